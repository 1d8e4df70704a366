//! Output and disks that cannot be written, too few descriptors, signals: the operation is
//! completed, and the exit codes are the documented ones.

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use std::{
    fs::File,
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Command, Output, Stdio},
    time::{Duration, Instant},
};

const WRITE_FAILED: i32 = 74;

fn program() -> Command {
    Command::new(env!("CARGO_BIN_EXE_qkd-conform"))
}

fn full() -> File {
    File::options().write(true).open("/dev/full").unwrap()
}

/// The program in a folder, under a limit of its shell such as `ulimit -f 0`.
fn limited(folder: &Path, limit: &str, arguments: &[&str]) -> Output {
    Command::new("sh")
        .args(["-c", &format!("{limit} && exec \"$0\" \"$@\"")])
        .arg(env!("CARGO_BIN_EXE_qkd-conform"))
        .args(arguments)
        .current_dir(folder)
        .output()
        .unwrap()
}

fn names(folder: &Path) -> Vec<String> {
    let mut all: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .collect();
    all.sort();
    all
}

/// Writes the file of a device under test in memory.
fn emulated(folder: &Path) {
    let dut = "name = 'rack 3'\nprofile = 'matrix-switch'\nemulator = 'polatis-16x16'\n";
    std::fs::write(folder.join("dut.toml"), dut).unwrap();
}

#[test]
fn a_result_that_cannot_be_printed_has_its_exit_code() {
    let folder = tempfile::tempdir().unwrap();
    emulated(folder.path());
    for (n, arguments) in [
        &["list"][..],
        &["--help"],
        &["run", "dut.toml", "--list"],
        &["run", "dut.toml", "--only", "DEV-01", "--out", "out"],
    ]
    .into_iter()
    .enumerate()
    {
        let status = program()
            .args(arguments)
            .current_dir(folder.path())
            .stdout(full())
            .stderr(full())
            .status()
            .unwrap();
        assert_eq!(status.code(), Some(WRITE_FAILED), "{n}: {arguments:?}");
    }
    assert!(folder.path().join("out/results.json").exists());
    let mistaken = program()
        .args(["run", "no-such-file.toml"])
        .stdout(full())
        .stderr(full())
        .status();
    assert_eq!(mistaken.unwrap().code(), Some(2));
}

#[test]
fn a_disk_that_is_full_after_a_run_is_not_a_wrong_argument() {
    let folder = tempfile::tempdir().unwrap();
    emulated(folder.path());
    let arguments = ["run", "dut.toml", "--only", "DEV-01", "--out", "out"];
    let run = limited(folder.path(), "umask 000 && ulimit -f 8", &arguments);
    let reported = String::from_utf8(run.stderr).unwrap();
    assert_eq!(run.status.code(), Some(WRITE_FAILED), "{reported}");
    assert!(reported.contains("journal.jsonl is kept"), "{reported}");
    let out = folder.path().join("out");
    assert_eq!(names(&out), ["journal.jsonl"], "nothing is cut");
    let mode = out.join("journal.jsonl").metadata().unwrap().permissions();
    assert_eq!(mode.mode() & 0o777, 0o600, "whatever the umask");
    let verdict = String::from_utf8(run.stdout).unwrap();
    assert!(
        verdict.contains("rack 3"),
        "what is known is printed first: {verdict}"
    );
}

#[test]
fn keys_and_bundles_that_cannot_be_written_leave_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    emulated(path);
    let run = limited(path, "ulimit -f 0", &["keygen", "--out", "keys"]);
    assert_eq!(run.status.code(), Some(WRITE_FAILED), "{run:?}");
    assert_eq!(names(&path.join("keys")), Vec::<String>::new());
    for arguments in [
        &["keygen", "--out", "keys"][..],
        &[
            "run", "dut.toml", "--only", "DEV-01", "--out", "out", "--quiet",
        ],
    ] {
        let run = limited(path, "true", arguments);
        assert!(matches!(run.status.code(), Some(0 | 3)), "{run:?}");
    }
    let bundle = [
        "bundle",
        "out/results.json",
        "--key",
        "keys/lab.key",
        "--out",
        "lab.qkdreport",
    ];
    let before = names(path);
    let run = limited(path, "ulimit -f 1", &bundle);
    assert_eq!(run.status.code(), Some(WRITE_FAILED), "{run:?}");
    assert_eq!(names(path), before, "no cut bundle blocks the next try");
    let run = limited(path, "true", &bundle);
    assert_eq!(run.status.code(), Some(0), "{run:?}");
}

#[test]
fn too_few_file_descriptors_are_an_error_and_not_a_panic() {
    let folder = tempfile::tempdir().unwrap();
    emulated(folder.path());
    for limit in (4..40).step_by(5) {
        let out = format!("out-{limit}");
        let run = limited(
            folder.path(),
            &format!("ulimit -n {limit}"),
            &["run", "dut.toml", "--only", "DEV-01", "--out", &out],
        );
        let reported = String::from_utf8_lossy(&run.stderr);
        assert!(!reported.contains("panicked"), "{limit}: {reported}");
        let code = run.status.code();
        assert!(
            matches!(code, Some(0..=3 | 70 | 74 | 127)),
            "{limit}: {code:?} {reported}"
        );
    }
}

#[test]
fn a_signal_lets_the_case_that_runs_end_and_has_its_exit_code() {
    for (signal, code) in [
        (Signal::SIGINT, 130),
        (Signal::SIGTERM, 143),
        (Signal::SIGHUP, 129),
    ] {
        let folder = tempfile::tempdir().unwrap();
        // Nobody answers, for as long as the deadline: a case runs when the signal comes.
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let child = program()
            .args(["run", "--uri"])
            .arg(format!("polatis+tcp://{address}?deadline=2s"))
            .args(["--profile", "matrix-switch", "--out", "out"])
            .current_dir(folder.path())
            .env("QKD_LOCK_FOLDER", folder.path().join("locks"))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let end = Instant::now() + Duration::from_secs(30);
        let journal = folder.path().join("out/journal.jsonl");
        while !std::fs::read_to_string(&journal).is_ok_and(|text| text.contains("\"suite\"")) {
            assert!(Instant::now() < end, "no case begins");
            std::thread::sleep(Duration::from_millis(5));
        }
        // The announcement opens the device, and only then are signals a matter of the run.
        let (connection, _) = listener.accept().unwrap();
        drop(connection);
        let id = Pid::from_raw(i32::try_from(child.id()).unwrap());
        kill(id, signal).unwrap();
        let run = child.wait_with_output().unwrap();
        let reported = String::from_utf8_lossy(&run.stderr).into_owned();
        assert_eq!(run.status.code(), Some(code), "{reported}");
        assert!(journal.exists(), "--resume continues it: {reported}");
    }
}
