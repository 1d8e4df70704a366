//! A change left by an interrupted run is always reported.

use qkd_emulators::{
    profile::{self, Options},
    profiles,
};
use sha2::{Digest, Sha256};
use std::{path::Path, process::Command};

/// A journal of these entries, each line with the digest over all entries up to it.
fn chained(entries: &[String]) -> String {
    let mut digest = [0u8; 32];
    entries
        .iter()
        .map(|entry| {
            digest = Sha256::new()
                .chain_update(digest)
                .chain_update(entry)
                .finalize()
                .into();
            let hex: String = digest.iter().map(|b| format!("{b:02x}")).collect();
            format!("{{\"sha256\":\"{hex}\",\"entry\":{entry}}}\n")
        })
        .collect()
}

const UNREACHABLE: &str = "polatis+tcp://127.0.0.1:1";

/// Entries of a run on `rack 3` at `uri` that was interrupted during a change. `serial`: serial
/// number of the device that was changed.
fn entries(uri: &str, serial: &str) -> Vec<String> {
    let about = qkd_conformance::suite::about();
    let dut = format!("rack 3 at {uri}");
    vec![
        format!(
            "{{\"suite\":\"{} {} {}\"}}",
            about.name, about.version, about.requirements
        ),
        format!(
            "{{\"device\":[\"{dut}\",{{\"identity\":{{\"vendor\":\"Polatis\",\
             \"model\":\"N-OST-16x16-LA1-DMHNS\",\"serial\":\"{serial}\",\
             \"firmware\":\"1.0\"}},\"ports\":[1,17]}}]}}"
        ),
        format!("{{\"begin\":[\"{dut}\",\"SWI-11/free-ports\"]}}"),
        format!("{{\"snapshot\":[\"{dut}\",{{\"connections\":\"1-17\"}}]}}"),
    ]
}

/// Writes a journal, and a file of `rack 3` at `uri`; the command that resumes the run.
fn resuming(folder: &Path, journal: &str, uri: &str, file: &str) -> Command {
    std::fs::create_dir(folder.join("out")).unwrap();
    std::fs::write(folder.join("out/journal.jsonl"), journal).unwrap();
    std::fs::write(
        folder.join("dut.toml"),
        format!("name = 'rack 3'\nprofile = 'matrix-switch'\nuri = '{uri}'\n{file}"),
    )
    .unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_qkd-conform"));
    command
        .args(["run", "dut.toml", "--out", "out", "--resume", "--quiet"])
        .args(["--only", "DEV-01"])
        .env("QKD_LOCK_FOLDER", folder.join("locks"))
        .current_dir(folder);
    command
}

/// Interrupts a run on `rack 3`, at a port without a listener, during a change; returns the journal
/// and the command that resumes it for a device at `uri`.
fn interrupted(folder: &Path, uri: &str) -> (String, Command) {
    let journal = chained(&entries(UNREACHABLE, "1"));
    let command = resuming(folder, &journal, uri, "");
    (journal, command)
}

#[test]
fn the_journal_stays_until_every_change_is_restored() {
    let folder = tempfile::tempdir().unwrap();
    let (journal, mut command) = interrupted(folder.path(), "polatis+tcp://127.0.0.1:1");
    for _ in 0..2 {
        let run = command.output().unwrap();
        let said = String::from_utf8(run.stderr).unwrap();
        assert_eq!(run.status.code(), Some(3), "{said}");
        assert!(
            said.contains("NOT RESTORED: previous state was connections 1-17")
                && said.contains("journal.jsonl is kept"),
            "{said}"
        );
        assert!(
            std::fs::read_to_string(folder.path().join("out/journal.jsonl"))
                .unwrap()
                .starts_with(&journal)
        );
    }
}

#[test]
fn to_resume_needs_the_file_of_the_device_that_was_left_changed() {
    let folder = tempfile::tempdir().unwrap();
    // Another device with the same name.
    let (journal, mut command) = interrupted(folder.path(), "polatis+tcp://127.0.0.1:2");
    let run = command.output().unwrap();
    let said = String::from_utf8(run.stderr).unwrap();
    assert_eq!(run.status.code(), Some(2), "{said}");
    assert!(
        said.contains(
            "SWI-11/free-ports of `rack 3 at polatis+tcp://127.0.0.1:1`: name its file too"
        ),
        "{said}"
    );
    assert_eq!(
        std::fs::read_to_string(folder.path().join("out/journal.jsonl")).unwrap(),
        journal
    );
}

/// An emulated switch on a real socket, the identity that it reports, and its URI.
fn switch() -> (
    tokio::runtime::Runtime,
    profile::RunningEmulator,
    String,
    String,
) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let (running, uri, serial) = runtime.block_on(async {
        let running = profiles::start("polatis-16x16", &Options::default())
            .await
            .unwrap();
        let uris = &running.ready().uris;
        let uri = uris.iter().find(|u| u.contains("+tcp:")).unwrap().clone();
        let opened = qkd_hardware::registry()
            .open(&uri, &qkd_driver_kit::OpenContext::new())
            .await
            .unwrap();
        let identity = opened.device().identity().await.unwrap();
        assert_eq!(identity.model.as_deref(), Some("N-OST-16x16-LA1-DMHNS"));
        opened.device().close().await.unwrap();
        (running, uri, identity.serial.unwrap())
    });
    (runtime, running, uri, serial)
}

#[test]
fn the_state_of_one_device_is_never_restored_into_another() {
    let (_runtime, running, uri, serial) = switch();
    for (of, code) in [("of another device", 7), (serial.as_str(), 0)] {
        let folder = tempfile::tempdir().unwrap();
        let journal = chained(&entries(&uri, of));
        let before = running.state();
        let run = resuming(folder.path(), &journal, &uri, "ports = [1, 17]\n")
            .output()
            .unwrap();
        let said = String::from_utf8(run.stderr).unwrap();
        assert_eq!(run.status.code(), Some(code), "{said}");
        let kept = std::fs::read_to_string(folder.path().join("out/journal.jsonl"));
        if code == 7 {
            for part in [
                "the earlier run was on Polatis N-OST-16x16-LA1-DMHNS, serial of another device",
                "previous state: connections 1-17",
                "qkdctl switch apply",
                "identity-changed",
            ] {
                assert!(said.contains(part), "{part}: {said}");
            }
            assert_eq!((running.state(), kept.unwrap()), (before, journal));
        } else {
            assert_ne!(running.state(), before, "it was restored");
            assert!(kept.is_err(), "the journal is removed");
        }
    }
}

#[test]
fn items_that_the_file_no_longer_names_are_not_restored_and_are_listed() {
    let (_runtime, running, uri, serial) = switch();
    let folder = tempfile::tempdir().unwrap();
    let journal = chained(&entries(&uri, &serial));
    let before = running.state();
    let run = resuming(folder.path(), &journal, &uri, "ports = [1]\n")
        .output()
        .unwrap();
    let said = String::from_utf8(run.stderr).unwrap();
    assert_eq!(run.status.code(), Some(3), "{said}");
    assert!(
        said.contains("names fewer ports than when the run began"),
        "{said}"
    );
    assert_eq!(running.state(), before);
    let kept = std::fs::read_to_string(folder.path().join("out/journal.jsonl")).unwrap();
    assert!(kept.starts_with(&journal));
}

#[test]
fn edited_truncated_or_outdated_journals_are_refused() {
    let whole = entries(UNREACHABLE, "1");
    let text = chained(&whole);
    let mut other = whole.clone();
    other[0] = "{\"suite\":\"qkd-conform 0.0.9 abc\"}".to_owned();
    for (journal, says) in [
        (text.replace("1-17", "1-18"), "line 4 was edited"),
        (
            text.split_inclusive('\n').skip(1).collect(),
            "its first line is missing",
        ),
        (chained(&whole[1..]), "its first line is missing"),
        (
            chained(&other),
            "the state was:\n    of Polatis N-OST-16x16-LA1-DMHNS, serial 1",
        ),
        (whole[..1].join("") + "\n", "it left nothing changed"),
        (other.join("\n") + "\n", "connections 1-17"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let run = resuming(folder.path(), &journal, UNREACHABLE, "ports = [1, 17]\n")
            .output()
            .unwrap();
        let said = String::from_utf8(run.stderr).unwrap();
        assert_eq!(run.status.code(), Some(2), "{said}");
        assert!(said.contains(says), "{says}: {said}");
        let kept = std::fs::read_to_string(folder.path().join("out/journal.jsonl")).unwrap();
        assert_eq!(kept, journal);
    }
}
