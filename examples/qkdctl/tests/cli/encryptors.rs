//! Encryptors: staging, activating, rolling over.

use crate::bench::Bench;
use qkd_emulators::profile::RunningEmulator;
use serde_json::Value;

/// The name of the first channel of an encryptor.
pub(crate) fn first_channel(bench: &Bench, uri: &str, credentials: &str) -> String {
    let show = [
        "encryptor",
        "show",
        uri,
        "-o",
        "json",
        "--credentials",
        credentials,
    ];
    let shown = bench.run(show).exits(0).json();
    let channel = &shown["channels"][0]["status"]["channel"];
    channel.as_str().unwrap().to_owned()
}

#[test]
fn an_assumption_that_was_not_accepted_is_named() {
    let bench = Bench::new();
    let pair = bench.start("packetlight-pair");
    let credentials = bench.credentials("credentials.toml", &[&pair]);
    let uri = pair.ready().uri.as_str();
    let key = bench.private(
        "key.json",
        &format!(
            r#"[{{"id":"6fa459ea-ee8a-4ca4-894e-db77e160355e","hex":"{}"}}]"#,
            "5a".repeat(32)
        ),
    );
    let channel = first_channel(&bench, uri, &credentials);
    let stage = [
        "encryptor",
        "stage",
        uri,
        "--channel",
        &channel,
        "--key",
        &key,
        "--credentials",
        &credentials,
        "--yes",
    ];
    let id = "packetlight.preshared-at-next-exchange";
    bench
        .run(stage)
        .exits(5)
        .never_repeats("5a5a5a")
        .complains(id);
    bench
        .run(stage.iter().chain(&["--assume", id]))
        .exits(0)
        .never_repeats("5a5a5a")
        .expect_text("is staged");
    assert!(!bench.journal_text().contains("5a5a5a"));
}

#[test]
fn a_pair_of_encryptors_rolls_over_to_a_key_of_a_qkd_pair() {
    for source in ["etsi014-pair", "veriqloud-qline-pair"] {
        let bench = Bench::new();
        let (encryptors, keys) = (
            bench.start("nokia-sros-macsec-pair"),
            bench.start_stored(source),
        );
        let with_files: Vec<&RunningEmulator> = [&encryptors, &keys]
            .into_iter()
            .filter(|r| r.ready().credentials_file.is_some())
            .collect();
        let credentials = bench.credentials("credentials.toml", &with_files);
        let (b, k) = (&encryptors.ready().uris, &keys.ready().uris);
        let roll = [
            "encryptor",
            "roll",
            &b[0],
            "--peer",
            &b[1],
            "--source",
            &k[0],
            "--peer-source",
            &k[1],
            "--credentials",
            &credentials,
            "--output",
            "json",
            "--plain-http",
        ];
        let stored = || {
            bench
                .run([
                    "key",
                    "status",
                    &k[0],
                    "--credentials",
                    &credentials,
                    "--output",
                    "json",
                ])
                .exits(0)
                .json()["key_store"]["stored"]
                .clone()
        };
        let before = stored();
        // No key is spent on a roll that would stop in the middle, whichever assumption it is.
        for missing in NOKIA {
            let others: Vec<_> = NOKIA.into_iter().filter(|id| *id != missing).collect();
            let accepted = accepting(&others);
            bench
                .run(
                    roll.iter()
                        .copied()
                        .chain(["--yes"])
                        .chain(accepted.iter().map(String::as_str)),
                )
                .exits(5)
                .complains(missing);
        }
        let accepted = accepting(&NOKIA);
        let dry = bench
            .run(
                roll.iter()
                    .copied()
                    .chain(accepted.iter().map(String::as_str)),
            )
            .exits(0)
            .json();
        assert_eq!(dry["result"], "dry_run");
        assert_eq!(
            stored(),
            before,
            "no key was taken by a roll that was refused, or a dry run"
        );
        assert_eq!(bench.journal(), Vec::<Value>::new());
        let rolled = bench
            .run(
                roll.iter()
                    .copied()
                    .chain(["--yes"])
                    .chain(accepted.iter().map(String::as_str)),
            )
            .exits(0)
            .json();
        assert_eq!(
            (
                &rolled["near"]["confirmation"]["confirmed"],
                &rolled["far"]["confirmation"]["confirmed"]
            ),
            (&Value::Bool(true), &Value::Bool(true)),
            "{rolled:#}"
        );
        let last = bench.journal().pop().unwrap();
        assert_eq!(
            (last["operation"].as_str(), last["outcome"].as_str()),
            (Some("roll"), Some("done"))
        );
    }
}

pub(crate) const NOKIA: [&str; 4] = [
    "nokia-sros-macsec.cak-is-hex",
    "nokia-sros-macsec.slot-in-one-pdu",
    "nokia-sros-macsec.idle-slot-receives",
    "nokia-sros-macsec.destroy-zeroizes",
];

fn accepting(ids: &[&str]) -> Vec<String> {
    ids.iter()
        .flat_map(|id| ["--assume".to_owned(), (*id).to_owned()])
        .collect()
}

#[test]
fn keys_that_differ_are_not_confirmed() {
    let bench = Bench::new();
    let encryptors = bench.start("nokia-sros-macsec-pair");
    let credentials = bench.credentials("credentials.toml", &[&encryptors]);
    let id = "6fa459ea-ee8a-4ca4-894e-db77e160355e";
    let accepted = accepting(&NOKIA);
    let run = |arguments: &[&str]| {
        bench.run(
            arguments
                .iter()
                .copied()
                .chain(["--credentials", &credentials])
                .chain(accepted.iter().map(String::as_str)),
        )
    };
    let mut slots = Vec::new();
    for (uri, byte) in encryptors.ready().uris.iter().zip(["5a", "6b"]) {
        let file = bench.private(
            &format!("{byte}.json"),
            &format!(r#"[{{"id":"{id}","hex":"{}"}}]"#, byte.repeat(16)),
        );
        let staged = run(&[
            "encryptor",
            "stage",
            uri,
            "--channel",
            "ca1",
            "--key",
            &file,
            "--yes",
            "--output",
            "json",
        ])
        .exits(0)
        .json();
        slots.push(staged["staged"]["slot"].to_string());
    }
    // The first end is sent to a key that the second does not have; so is the second.
    for (uri, slot) in encryptors.ready().uris.iter().zip(&slots) {
        let activate = [
            "encryptor",
            "activate",
            uri,
            "--channel",
            "ca1",
            "--id",
            id,
            "--slot",
            slot,
        ];
        run(&activate).exits(0).expect_text("dry run");
        run(&[&activate[..], &["--yes"]].concat())
            .exits(8)
            .expect_text("NOT CONFIRMED");
    }
    assert!(!bench.journal_text().contains("5a5a5a") && !bench.journal_text().contains("6b6b6b"));
}
