//! Text from devices: nothing of it moves a cursor, hides or forges a line, in any output.

use crate::bench::Bench;
use qkd_emulators::profile::{Options, Running};
use qkd_hal::text::is_misleading;

/// Clears the screen, sets its title, colours, C1, overrides the direction, marks.
const HOSTILE: [&str; 2] = [
    ASCII,
    "S\u{1b}[2J\u{1b}]0;owned\u{7}\u{1b}[31m\u{9b}1m\u{202e}\u{200b}\u{feff}Z",
];

/// The same for protocols that have ASCII alone.
const ASCII: &str = "S\u{1b}[2J\u{1b}]0;owned\u{7}\u{1b}[31mZ";

#[track_caller]
fn assert_clean(what: &str, text: &str) {
    let found = text.chars().find(|c| *c != '\n' && is_misleading(*c));
    assert_eq!(found, None, "{what}: {}", text.escape_debug());
    assert!(
        text.lines().all(|l| l.chars().count() < 20_000),
        "{what} is bounded"
    );
}

/// Runs commands on a device, and looks at all that they print and write.
fn look(bench: &Bench, running: &Running, round: usize, commands: &[&[&str]]) -> String {
    let uri = running.ready().uri.as_str();
    let credentials = match running.ready().credentials_file {
        Some(_) => bench.credentials("hostile.toml", &[running]),
        None => bench.private("hostile.toml", ""),
    };
    let mut seen = String::new();
    for (n, command) in commands.iter().enumerate() {
        for output in ["table", "json"] {
            let transcript = bench.path(&format!("{round}-{n}-{output}.jsonl"));
            let file = transcript.display().to_string();
            let arguments: Vec<&str> = command
                .iter()
                .map(|word| if *word == "URI" { uri } else { word })
                .chain(["--output", output, "--credentials", &credentials])
                .chain(["--transcript", &file, "-vv"])
                .collect();
            let run = bench.run(&arguments);
            let what = format!("{}: {command:?} {output}", running.ready().profile);
            assert_clean(&what, &run.out);
            assert_clean(&what, &run.err);
            let written = std::fs::read_to_string(&transcript).unwrap_or_default();
            assert_clean(&format!("{what}: transcript"), &written);
            assert_clean(&format!("{what}: journal"), &bench.journal_text());
            seen.push_str(&run.out);
            seen.push_str(&run.err);
        }
    }
    seen
}

#[test]
fn hostile_text_of_a_device_reaches_no_output_as_it_is() {
    let mut shown = 0;
    for profile in [
        "polatis-16x16",
        "dicon-gp600",
        "scte-hms-ab",
        "fs-olp",
        "packetlight-pair",
        "nokia-sros-macsec-pair",
        "idq-quantis",
    ] {
        let bench = Bench::new();
        let running = bench.start_with(profile, Options::default());
        let mut commands: Vec<&[&str]> = vec![
            &["info", "URI"],
            &["get", "URI"],
            &["watch", "URI", "--count", "1"],
        ];
        match profile {
            "polatis-16x16" | "dicon-gp600" => commands.extend([
                &["switch", "show", "URI"][..],
                &["switch", "apply", "URI", "--connect", "1-17", "--yes"],
            ]),
            "fs-olp" | "scte-hms-ab" => commands.push(&["switch", "protect", "show", "URI"]),
            "packetlight-pair" | "nokia-sros-macsec-pair" => {
                commands.push(&["encryptor", "show", "URI"]);
            }
            _ => {}
        }
        // Some emulators keep their serial numbers in a shape of their own.
        for (round, text) in HOSTILE.iter().enumerate() {
            if running.fault(&format!("identity={text}")).is_err() {
                continue;
            }
            let seen = look(&bench, &running, round, &commands);
            assert!(!seen.is_empty(), "{profile}");
            shown += usize::from(seen.contains("\\x1b[2J") && seen.contains("\\u001b[2J"));
        }
    }
    // Others refuse such a text as none of a device.
    assert!(shown >= 2, "it is shown, made visible, by {shown} of them");
}
