//! Signals end the program immediately, or, during a change, after the present step.

use crate::bench::{Bench, Run};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use qkd_emulators::profile::{Options, RunningEmulator as Emulator};
use serde_json::Value;
use std::{
    ffi::OsStr,
    process::{Child, Stdio},
};

/// The program while it runs.
pub(crate) struct Running(Child);

impl Running {
    pub(crate) fn start<A: AsRef<OsStr>>(
        bench: &Bench,
        arguments: impl IntoIterator<Item = A>,
    ) -> Self {
        let mut command = bench.command(arguments);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        Self(command.spawn().unwrap())
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let id = i32::try_from(self.0.id()).unwrap();
        kill(Pid::from_raw(id), signal).unwrap();
    }

    pub(crate) fn ended(self) -> Run {
        let output = self.0.wait_with_output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Run {
            code: output.status.code().unwrap_or(-1),
            out: text(output.stdout),
            err: text(output.stderr),
        }
    }
}

/// Whether a line of the journal says that an operation was begun at this device.
pub(crate) fn begun<'a>(operation: &'a str, uri: &'a str) -> impl Fn(&Value) -> bool + 'a {
    let address = uri.split('?').next().unwrap();
    move |line| {
        line["operation"] == operation
            && line["outcome"] == "begun"
            && line["device"]
                .as_str()
                .is_some_and(|d| d.split('?').next() == Some(address))
    }
}

const ALL: [(Signal, i32); 3] = [
    (Signal::SIGINT, 130),
    (Signal::SIGTERM, 143),
    (Signal::SIGHUP, 129),
];

#[test]
fn a_command_that_reads_ends_at_the_first_signal() {
    let bench = Bench::new();
    let switch = bench.start("polatis-16x16");
    switch.fault("delay=1s").unwrap();
    let uri = format!("{}?deadline=60s", switch.ready().uri);
    for (signal, code) in ALL {
        let running = Running::start(&bench, ["info", &uri]);
        bench.until("a lock is held", || {
            std::fs::read_dir(bench.path("locks")).is_ok_and(|mut all| all.next().is_some())
        });
        running.signal(signal);
        let run = running.ended().exits(code);
        assert!(run.err.contains("no device was changed"), "{run:#?}");
        assert_eq!(run.out, "");
    }
}

#[test]
fn a_plan_that_a_signal_interrupts_is_completed_read_back_and_printed() {
    for (signal, _) in ALL {
        let bench = Bench::new();
        let switch = bench.start("polatis-16x16");
        switch.fault("delay=200ms").unwrap();
        let uri = format!("{}?deadline=60s", switch.ready().uri);
        let running = Running::start(
            &bench,
            [
                "switch",
                "apply",
                &uri,
                "--connect",
                "1-17,2-18,3-19",
                "--yes",
            ],
        );
        bench.until_journal(begun("apply", &uri));
        running.signal(signal);
        let run = running
            .ended()
            .exits(8)
            .expect_text("read-back matches the plan");
        assert!(run.err.contains("completes the present step"), "{run:#?}");
        assert_eq!(bench.journal().pop().unwrap()["outcome"], "done");
        switch.fault("clear").unwrap();
        assert_eq!(bench.paths(&uri), ["1-17", "2-18", "3-19"]);
    }
}

#[test]
fn a_second_signal_ends_at_once_after_one_line() {
    let bench = Bench::new();
    let slow = bench.start("polatis-16x16");
    slow.fault("delay=1s").unwrap();
    let uri = format!("{}?deadline=60s", slow.ready().uri);
    let running = Running::start(
        &bench,
        ["switch", "apply", &uri, "--connect", "1-17", "--yes"],
    );
    bench.until_journal(begun("apply", &uri));
    slow.fault("delay=50s").unwrap();
    running.signal(Signal::SIGINT);
    running.signal(Signal::SIGTERM);
    let run = running.ended().exits(8);
    assert_eq!(run.err.matches("ends immediately;").count(), 1, "{run:#?}");
    assert_eq!(run.out, "");
}

/// A pair of encryptors, a QKD pair, and the arguments that roll over.
pub(crate) struct Pair {
    pub(crate) bench: Bench,
    pub(crate) encryptors: Emulator,
    pub(crate) keys: Emulator,
    pub(crate) arguments: Vec<String>,
}

impl Pair {
    pub(crate) fn new(encryptors: &str, assumptions: &[&str]) -> Self {
        Self::with(encryptors, Options::default(), assumptions)
    }

    /// A pair of this driver, of which every assumption is accepted. The size of a key is 256 bits.
    pub(crate) fn of_driver(driver: &str, options: Options) -> Self {
        let registry = qkd_hardware::registry();
        let all = registry.driver(driver).unwrap().info().assumptions;
        let ids: Vec<String> = all.iter().map(|a| a.id.to_string()).collect();
        let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
        let mut pair = Self::with(&format!("{driver}-pair"), options, &ids);
        pair.arguments.extend(["--size", "256"].map(str::to_owned));
        pair
    }

    fn with(encryptors: &str, options: Options, assumptions: &[&str]) -> Self {
        let bench = Bench::new();
        let encryptors = bench.start_with(encryptors, options);
        let keys = bench.start_stored("etsi014-pair");
        let credentials = bench.credentials("credentials.toml", &[&encryptors, &keys]);
        let of = |emulator: &Emulator, n: usize| {
            let uri = &emulator.ready().uris[n];
            let mark = if uri.contains('?') { '&' } else { '?' };
            format!("{uri}{mark}deadline=60s")
        };
        let mut arguments: Vec<String> = [
            "encryptor",
            "roll",
            &of(&encryptors, 0),
            "--peer",
            &of(&encryptors, 1),
            "--source",
            &of(&keys, 0),
            "--peer-source",
            &of(&keys, 1),
            "--credentials",
            &credentials,
            "--yes",
        ]
        .map(str::to_owned)
        .to_vec();
        for id in assumptions {
            arguments.extend(["--assume".to_owned(), (*id).to_owned()]);
        }
        Self {
            bench,
            encryptors,
            keys,
            arguments,
        }
    }

    pub(crate) fn nokia() -> Self {
        Self::new("nokia-sros-macsec-pair", &crate::encryptors::NOKIA)
    }

    pub(crate) fn packetlight() -> Self {
        let mut pair = Self::new(
            "packetlight-pair",
            &[
                "packetlight.preshared-at-next-exchange",
                "packetlight.force-init-one-end",
            ],
        );
        let size = ["--size".to_owned(), "256".to_owned()];
        pair.arguments.extend(size);
        pair
    }

    pub(crate) fn roll(&self) -> Running {
        Running::start(&self.bench, &self.arguments)
    }

    /// The slots of both ends: the active one and the ids of the keys.
    pub(crate) fn slots(&self) -> Vec<Value> {
        (0..2)
            .map(|n| {
                let credentials = self.bench.path("credentials.toml").display().to_string();
                let uri = &self.encryptors.ready().uris[n];
                self.bench
                    .run([
                        "encryptor",
                        "show",
                        uri,
                        "--credentials",
                        &credentials,
                        "--output",
                        "json",
                    ])
                    .exits(0)
                    .json()["channels"][0]["status"]["slots"]
                    .clone()
            })
            .collect()
    }

    fn active(&self) -> Vec<u64> {
        self.slots()
            .iter()
            .map(|slots| {
                let all = slots.as_array().unwrap();
                let active = all.iter().find(|s| s["active"] == true).unwrap();
                active["number"].as_u64().unwrap()
            })
            .collect()
    }

    /// The ids of the keys that the journal names.
    pub(crate) fn key_ids(&self) -> Vec<String> {
        let mut all: Vec<String> = self
            .bench
            .journal()
            .iter()
            .flat_map(|line| line["key_ids"].as_array().cloned().unwrap_or_default())
            .map(|id| id.as_str().unwrap().to_owned())
            .collect();
        all.sort();
        all.dedup();
        all
    }

    fn last(&self) -> Value {
        self.bench.journal().pop().unwrap()
    }
}

#[test]
fn a_roll_whose_first_end_is_being_staged_leaves_the_old_key_active() {
    let pair = Pair::nokia();
    let before = pair.active();
    pair.encryptors.fault("delay=150ms").unwrap();
    let running = pair.roll();
    pair.bench
        .until_journal(begun("stage", &pair.encryptors.ready().uris[0]));
    running.signal(Signal::SIGINT);
    let run = running
        .ended()
        .exits(8)
        .expect_text("NOT ROLLED")
        .expect_text("sends with the old key")
        .expect_text("near end now")
        .expect_text("far end now");
    pair.encryptors.fault("clear").unwrap();
    assert_eq!(pair.active(), before, "{run:#?}");
    let ids = pair.key_ids();
    assert_eq!(ids.len(), 1, "{ids:?}");
    let run = run.expect_text(&ids[0]);
    let last = pair.last();
    assert_eq!(last["operation"], "roll");
    let outcome = last["outcome"].as_str().unwrap();
    assert!(
        outcome.contains("SIGINT") && outcome.contains(&ids[0]),
        "{outcome} {run:#?}"
    );
    // The next roll is an ordinary one: nothing was left open.
    let next = pair.roll().ended().exits(0);
    assert!(!next.err.contains("did not end"), "{next:#?}");
    assert_ne!(pair.active(), before);
}

#[test]
fn a_roll_whose_second_end_is_being_staged_is_finished() {
    let pair = Pair::nokia();
    let before = pair.active();
    pair.encryptors.fault("2:delay=150ms").unwrap();
    let running = pair.roll();
    pair.bench
        .until_journal(begun("stage", &pair.encryptors.ready().uris[1]));
    running.signal(Signal::SIGTERM);
    let run = running
        .ended()
        .exits(8)
        .expect_text("near end now")
        .expect_text("confirmed: ");
    pair.encryptors.fault("clear").unwrap();
    assert!(pair.active().iter().zip(&before).all(|(a, b)| a != b));
    let outcome = pair.last()["outcome"].as_str().unwrap().to_owned();
    assert_eq!(outcome, "done, after SIGTERM", "{run:#?}");
}

#[test]
fn a_secret_that_is_overwritten_at_one_end_is_overwritten_at_the_other() {
    let pair = Pair::packetlight();
    pair.encryptors.fault("delay=150ms").unwrap();
    let running = pair.roll();
    pair.bench
        .until_journal(begun("stage", &pair.encryptors.ready().uris[0]));
    running.signal(Signal::SIGHUP);
    let run = running.ended().exits(8);
    let staged = pair
        .bench
        .journal()
        .iter()
        .filter(|l| l["operation"] == "stage" && l["outcome"] == "done")
        .count();
    assert_eq!(staged, 2, "{run:#?}");
}

#[test]
fn a_key_that_only_one_end_took_is_reported_as_discarded() {
    let pair = Pair::nokia();
    pair.keys.fault("delay=500ms").unwrap();
    let running = pair.roll();
    pair.bench
        .until_journal(begun("take-keys", &pair.keys.ready().uris[0]));
    running.signal(Signal::SIGINT);
    let run = running
        .ended()
        .exits(8)
        .expect_text("its twin was not")
        .expect_text("no encryptor was changed");
    let ids = pair.key_ids();
    assert_eq!(ids.len(), 1, "{run:#?}");
    run.expect_text(&ids[0]);
    let operations: Vec<_> = pair
        .bench
        .journal()
        .iter()
        .map(|l| l["operation"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(operations, ["roll", "take-keys", "take-keys", "roll"]);
}

#[test]
fn after_a_kill_the_next_roll_reports_the_state_and_stages_a_new_key() {
    let pair = Pair::nokia();
    pair.encryptors.fault("2:delay=150ms").unwrap();
    let running = pair.roll();
    pair.bench
        .until_journal(begun("stage", &pair.encryptors.ready().uris[1]));
    running.signal(Signal::SIGKILL);
    running.ended().exits(-1);
    pair.encryptors.fault("clear").unwrap();
    let cut = pair.key_ids();
    assert_eq!(cut.len(), 1);
    let next = pair.roll().ended().exits(0);
    for what in [
        "did not end",
        &cut[0],
        "stage at",
        "begun",
        "near end now",
        "far end now",
        "a fresh key is staged at both ends",
    ] {
        assert!(next.err.contains(what), "no `{what}`: {next:#?}");
    }
    let all = pair.key_ids();
    assert_eq!(all.len(), 2, "a fresh key: {all:?}");
    for slots in pair.slots() {
        let active = slots
            .as_array()
            .unwrap()
            .iter()
            .find(|s| s["active"] == true)
            .unwrap()
            .clone();
        if let Some(id) = active["key_id"].as_str() {
            assert_ne!(id, cut[0]);
        }
    }
    // Reported once: the next roll found nothing.
    let third = pair.roll().ended().exits(0);
    assert!(!third.err.contains("did not end"), "{third:#?}");
}

#[test]
fn delivered_keys_are_in_the_file_even_after_an_error() {
    let bench = Bench::new();
    let pair = bench.start_stored("etsi014-pair");
    let credentials = bench.credentials("credentials.toml", &[&pair]);
    let uri = format!("{}&deadline=60s", pair.ready().uris[0]);
    let path = bench.path("keys.json");
    let file = path.display().to_string();
    pair.fault("delay=500ms").unwrap();
    let running = Running::start(
        &bench,
        [
            "key",
            "take",
            &uri,
            "--count",
            "3",
            "--to",
            &file,
            "--credentials",
            &credentials,
            "--yes",
        ],
    );
    bench.until_journal(begun("take-keys", &uri));
    assert!(!path.exists(), "the file is there once it is whole");
    running.signal(Signal::SIGINT);
    let run = running.ended().exits(8).expect_text("3 keys are in");
    let entries: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    let ids: Vec<_> = entries
        .as_array()
        .unwrap()
        .iter()
        .map(|e| e["id"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(ids.len(), 3, "{run:#?}");
    let last = bench.journal().pop().unwrap();
    let reported: Vec<_> = last["key_ids"]
        .as_array()
        .unwrap()
        .iter()
        .map(|id| id.as_str().unwrap().to_owned())
        .collect();
    assert_eq!(reported, ids, "the journal names them");
}

#[test]
fn a_setting_in_progress_is_finished_and_no_other_is_started() {
    let bench = Bench::new();
    let olp = bench.start("scte-hms-ab");
    let credentials = bench.credentials("credentials.toml", &[&olp]);
    let uri = format!("{}&deadline=60s", olp.ready().uri);
    olp.fault("delay=150ms").unwrap();
    let running = Running::start(
        &bench,
        [
            "switch",
            "protect",
            "set",
            &uri,
            "revert=on",
            "wait-to-restore=77",
            "--credentials",
            &credentials,
            "--assume",
            "scte-hms.outputs-tell-the-shape",
            "--yes",
        ],
    );
    bench.until_journal(begun("set-protection", &uri));
    running.signal(Signal::SIGINT);
    running
        .ended()
        .exits(8)
        .expect_text("NOT DONE: wait-to-restore=77")
        .expect_text("group");
    let settings = bench
        .journal()
        .iter()
        .filter(|l| l["operation"] == "set-protection")
        .count();
    assert_eq!(settings, 2, "one setting, begun and done");
}
