//! What an interrupted run left changed is never forgotten.

use std::process::Command;

#[test]
fn the_journal_stays_until_what_was_changed_is_put_back() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    // Nobody listens at this port.
    write("dut.toml", "name = 'rack 3'\nprofile = 'matrix-switch'\nuri = 'polatis+tcp://127.0.0.1:1'\n");
    let about = qkd_conformance::suite::about();
    let journal = format!(
        "{{\"suite\":\"{} {} {}\"}}\n{{\"begin\":[\"rack 3 at polatis+tcp://127.0.0.1:1\",\"SWI-11/free-ports\"]}}\n{{\"stood\":[\"rack 3 at polatis+tcp://127.0.0.1:1\",{{\"connections\":\"1-17\"}}]}}\n",
        about.name, about.version, about.requirements
    );
    std::fs::create_dir(folder.path().join("out")).unwrap();
    write("out/journal.jsonl", &journal);
    for _ in 0..2 {
        let run = Command::new(env!("CARGO_BIN_EXE_qkd-conform"))
            .args(["run", "dut.toml", "--out", "out", "--resume", "--quiet"])
            .current_dir(folder.path())
            .output()
            .unwrap();
        let said = String::from_utf8(run.stderr).unwrap();
        assert_eq!(run.status.code(), Some(3), "{said}");
        assert!(said.contains("COULD NOT BE PUT BACK: it stood at connections 1-17") && said.contains("journal.jsonl stays"), "{said}");
        assert!(std::fs::read_to_string(folder.path().join("out/journal.jsonl")).unwrap().starts_with(&journal));
    }
}

#[test]
fn to_resume_needs_the_file_of_the_device_that_was_left_changed() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write("dut.toml", "name = 'rack 3'\nprofile = 'matrix-switch'\nuri = 'polatis+tcp://127.0.0.1:2'\n");
    let about = qkd_conformance::suite::about();
    let journal = format!(
        "{{\"suite\":\"{} {} {}\"}}\n{{\"begin\":[\"rack 3 at polatis+tcp://127.0.0.1:1\",\"SWI-11/free-ports\"]}}\n{{\"stood\":[\"rack 3 at polatis+tcp://127.0.0.1:1\",{{\"connections\":\"1-17\"}}]}}\n",
        about.name, about.version, about.requirements
    );
    std::fs::create_dir(folder.path().join("out")).unwrap();
    write("out/journal.jsonl", &journal);
    let run =
        Command::new(env!("CARGO_BIN_EXE_qkd-conform")).args(["run", "dut.toml", "--out", "out", "--resume"]).current_dir(folder.path()).output().unwrap();
    let said = String::from_utf8(run.stderr).unwrap();
    assert_eq!(run.status.code(), Some(2), "{said}");
    assert!(said.contains("SWI-11/free-ports of `rack 3 at polatis+tcp://127.0.0.1:1`: name its file too"), "{said}");
    assert_eq!(std::fs::read_to_string(folder.path().join("out/journal.jsonl")).unwrap(), journal);
}
