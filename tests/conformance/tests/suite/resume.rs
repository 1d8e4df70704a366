//! What an interrupted run left changed is never forgotten.

use std::{path::Path, process::Command};

/// A run on `rack 3`, at a port where nobody listens, that was ended in the middle of a change; and the command that goes on with it, for a device at `uri`.
fn interrupted(folder: &Path, uri: &str) -> (String, Command) {
    let about = qkd_conformance::suite::about();
    let dut = "rack 3 at polatis+tcp://127.0.0.1:1";
    let journal = format!(
        "{{\"suite\":\"{} {} {}\"}}\n{{\"begin\":[\"{dut}\",\"SWI-11/free-ports\"]}}\n{{\"stood\":[\"{dut}\",{{\"connections\":\"1-17\"}}]}}\n",
        about.name, about.version, about.requirements
    );
    std::fs::create_dir(folder.join("out")).unwrap();
    std::fs::write(folder.join("out/journal.jsonl"), &journal).unwrap();
    std::fs::write(
        folder.join("dut.toml"),
        format!("name = 'rack 3'\nprofile = 'matrix-switch'\nuri = '{uri}'\n"),
    )
    .unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_qkd-conform"));
    command
        .args(["run", "dut.toml", "--out", "out", "--resume", "--quiet"])
        .env("QKD_LOCK_FOLDER", folder.join("locks"))
        .current_dir(folder);
    (journal, command)
}

#[test]
fn the_journal_stays_until_what_was_changed_is_put_back() {
    let folder = tempfile::tempdir().unwrap();
    let (journal, mut command) = interrupted(folder.path(), "polatis+tcp://127.0.0.1:1");
    for _ in 0..2 {
        let run = command.output().unwrap();
        let said = String::from_utf8(run.stderr).unwrap();
        assert_eq!(run.status.code(), Some(3), "{said}");
        assert!(
            said.contains("COULD NOT BE PUT BACK: it stood at connections 1-17")
                && said.contains("journal.jsonl stays"),
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
    // Another box, under the same name.
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
