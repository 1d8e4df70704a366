//! Text from devices: nothing of it moves a cursor, hides or forges a line, in any output.
//!
//! Every profile, every wire, every text field. Two passes keep the time of the test short:
//!
//! - all fields at once, with each kind of hostile text, by turns to `probe` and `info`: most
//!   drivers refuse the device then, and the outputs are errors, logs and transcripts;
//! - one field at a time, so that the driver gets as far as that field: the commands that show what
//!   the device says, each for the fields that no command before it has read, as a table with
//!   control characters and as JSON with marks.

use crate::bench::Bench;
use qkd_emulators::{
    fault::HostileText,
    profile::{Options, Profile, RunningEmulator},
    profiles,
};
use qkd_hal::text::is_misleading;
use serde_json::Value;
use std::{
    collections::BTreeSet,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

/// More fields than there are: none is hostile, all are counted.
const NO_FIELD: &str = "control:1000000";
/// The longest line of an output, in characters; a transcript has the whole message in a line.
const MAX_LINE: usize = 20_000;
/// Commands that read from a device.
const COMMANDS: [&[&str]; 7] = [
    &["info", "URI"],
    &["get", "URI"],
    &["switch", "show", "URI"],
    &["switch", "protect", "show", "URI"],
    &["encryptor", "show", "URI"],
    &["key", "status", "URI"],
    &["watch", "URI", "--count", "1"],
];

#[track_caller]
fn assert_clean(what: &str, text: &str, max_line: usize) {
    let found = text.chars().find(|c| *c != '\n' && is_misleading(*c));
    assert_eq!(found, None, "{what}: {}", text.escape_debug());
    // A forged line would begin so.
    assert!(
        !text.lines().any(|line| line.starts_with("forged")),
        "{what}: {text}"
    );
    let longest = text.lines().map(|line| line.chars().count()).max();
    assert!(longest < Some(max_line), "{what}: a line of {longest:?}");
}

/// One wire of a running emulator.
struct Wire<'a> {
    bench: &'a Bench,
    running: &'a RunningEmulator,
    uri: &'a str,
    /// Number of the end, 1-based.
    end: usize,
    credentials: String,
    assumptions: Vec<String>,
    runs: AtomicUsize,
}

impl Wire<'_> {
    fn fault(&self, spec: &str) {
        let spec = format!("{}:{spec}", self.end);
        self.running.fault(&spec).unwrap();
    }

    /// Runs a command with hostile text, looks at all that it prints and writes, and returns that.
    fn check_output(&self, command: &[&str], output: &str, hostile: &str) -> (i32, String) {
        self.fault("clear");
        self.fault(&format!("hostile-text={hostile}"));
        let run = self.runs.fetch_add(1, Ordering::Relaxed);
        let transcript = self.bench.path(&format!("{}-{run}.jsonl", self.end));
        let file = transcript.display().to_string();
        let arguments: Vec<&str> = command
            .iter()
            .map(|word| if *word == "URI" { self.uri } else { word })
            .chain(["--output", output, "--credentials", &self.credentials])
            .chain(["--transcript", &file, "-vv"])
            .chain(self.assumptions.iter().flat_map(|id| ["--assume", id]))
            .collect();
        let run = self.bench.run(&arguments);
        let what = format!("{} {command:?} {output} {hostile}", self.uri);
        // A document of `watch` is one line.
        let max_line = MAX_LINE * if command[0] == "watch" { 10 } else { 1 };
        assert_clean(&what, &run.out, max_line);
        assert_clean(&what, &run.err, MAX_LINE);
        let written = std::fs::read_to_string(&transcript).unwrap_or_default();
        assert_clean(&format!("{what}: transcript"), &written, 1_000_000);
        let journal = self.bench.journal_text();
        assert_clean(&format!("{what}: journal"), &journal, MAX_LINE);
        if output == "json" && !run.out.is_empty() {
            for line in run.out.lines().take(usize::from(command[0] == "watch")) {
                serde_json::from_str::<Value>(line).unwrap_or_else(|e| panic!("{what}: {e}"));
            }
            if command[0] != "watch" {
                run.json();
            }
        }
        (run.code, run.out + &run.err)
    }

    /// The fields that a command reads, and whether it is one for this device.
    fn fields(&self, command: &[&str]) -> Option<Vec<String>> {
        let (code, _) = self.check_output(command, "table", NO_FIELD);
        (code == 0).then(|| self.running.text_fields(self.end))
    }
}

/// The ids of the assumptions that a device rests on, from its `info`.
fn assumptions(info: &str) -> Vec<String> {
    let ids = info.split("\"id\": \"").skip(1);
    ids.filter_map(|rest| rest.split_once('"'))
        // An assumption's id has the name of its driver; other things have ids, too.
        .filter(|(id, _)| id.contains('.'))
        .map(|(id, _)| id.to_owned())
        .collect()
}

/// Escaped hostile text found in the output.
#[derive(Debug, Default)]
struct Shown {
    fields: usize,
    tables: usize,
    documents: usize,
}

fn check(profile: &Profile) -> Shown {
    let bench = Bench::new();
    let options = match profile.settings.iter().any(|s| s.name == "startup") {
        true => Options::default().with("startup", "0s"),
        false => Options::default(),
    };
    let running = bench.start_with(profile.name, options);
    let credentials = match running.ready().credentials_file {
        Some(_) => bench.credentials("hostile.toml", &[&running]),
        None => bench.private("hostile.toml", ""),
    };
    let mut shown = Shown::default();
    for (end, uri) in (1..).zip(&running.ready().uris) {
        // Of an emulator with one set of faults for two wires, the first has them.
        let has_end = running.fault(&format!("{end}:clear")).is_ok();
        let mut wire = Wire {
            bench: &bench,
            running: &running,
            uri,
            end: if has_end { end } else { 1 },
            credentials: credentials.clone(),
            assumptions: Vec::new(),
            runs: AtomicUsize::new(end * 10_000),
        };
        let (_, about) = wire.check_output(&["info", "URI"], "json", NO_FIELD);
        wire.assumptions = assumptions(&about);
        let (code, text) = wire.check_output(COMMANDS[0], "table", NO_FIELD);
        // 5: a device that has no `health`, for one.
        assert!(matches!(code, 0 | 5), "{uri} recovers: {text}");
        let mut done = BTreeSet::new();
        for command in COMMANDS {
            // It shows what `info` and `get` show.
            if command[0] == "watch" && end > 1 {
                continue;
            }
            let Some(fields) = wire.fields(command) else {
                continue;
            };
            for (field, name) in (1..).zip(fields) {
                if !done.insert(name.clone()) {
                    continue;
                }
                let (_, table) = wire.check_output(command, "table", &format!("control:{field}"));
                let (_, json) = wire.check_output(command, "json", &format!("marks:{field}"));
                shown.fields += 1;
                let is_shown = ["\\x1b[2J", "\\u{1b}[2J"].iter().any(|t| table.contains(t));
                shown.tables += usize::from(is_shown);
                shown.documents +=
                    usize::from(["\\u202e", "\\u{202e}"].iter().any(|t| json.contains(t)));
            }
        }
        // Last: what a serial line still holds of a long text, the next opening would get.
        for (place, (kind, _)) in HostileText::ALL.into_iter().enumerate() {
            match place % 2 {
                0 => wire.check_output(&["probe", "URI", "--active"], "table", kind),
                _ => wire.check_output(&["info", "URI"], "json", kind),
            };
        }
    }
    shown
}

#[test]
fn hostile_text_of_a_device_is_cleaned_in_every_output() {
    let mut profiles: Vec<_> = profiles::all().iter().filter(|p| p.has_wire).collect();
    let count = profiles.len();
    // Those that take longest first: they have the most wires, or wait at each opening.
    profiles.sort_by_key(|p| !p.name.starts_with("thorlabs") && !p.name.starts_with("polatis"));
    let queue = Mutex::new(profiles.into_iter());
    let results = Mutex::new(Vec::new());
    // Most of the time is waiting for devices that do not answer as they should.
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                loop {
                    let Some(profile) = queue.lock().unwrap().next() else {
                        return;
                    };
                    let shown = check(profile);
                    results.lock().unwrap().push((profile.name, shown));
                }
            });
        }
    });
    let results = results.into_inner().unwrap();
    assert_eq!(results.len(), count);
    // Agiltron frames have no text.
    let without: Vec<_> = results.iter().filter(|(_, s)| s.fields == 0).collect();
    assert!(
        without.iter().all(|(name, _)| name.starts_with("agiltron")),
        "{without:?}"
    );
    // Some drivers refuse a device with such a text, and report that.
    let tables: usize = results.iter().map(|(_, s)| s.tables).sum();
    let documents: usize = results.iter().map(|(_, s)| s.documents).sum();
    assert!(tables >= 20 && documents >= 5, "{results:#?}");
}
