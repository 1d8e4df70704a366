//! Output that cannot be written, disks that are full, too few file descriptors: what must be done
//! is done, exit codes are the documented ones, and nothing is left that blocks the next try.

use crate::bench::{Bench, Run, mode};
use std::{
    fs::File,
    process::{Command, Stdio},
};

/// Exit code of output that could not be written.
const WRITE_FAILED: i32 = 74;

fn full() -> Stdio {
    File::options()
        .write(true)
        .open("/dev/full")
        .unwrap()
        .into()
}

/// A pipe without a reader.
fn closed_pipe() -> Stdio {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    writer.into()
}

fn code(command: &mut Command) -> i32 {
    command.status().unwrap().code().unwrap()
}

/// The program under a limit of its shell, such as `ulimit -f 0`.
fn limited(bench: &Bench, limit: &str, arguments: &[&str]) -> Run {
    let inner = bench.command(arguments);
    let mut shell = Command::new("sh");
    shell
        .args(["-c", &format!("{limit} && exec \"$0\" \"$@\"")])
        .arg(inner.get_program())
        .args(inner.get_args());
    for (name, value) in inner.get_envs() {
        match value {
            Some(value) => shell.env(name, value),
            None => shell.env_remove(name),
        };
    }
    let output = shell.output().unwrap();
    Run {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

fn names(bench: &Bench, folder: &str) -> Vec<String> {
    std::fs::read_dir(bench.path(folder))
        .map(|all| {
            all.flatten()
                .map(|e| e.file_name().into_string().unwrap())
                .collect()
        })
        .unwrap_or_default()
}

#[test]
fn a_result_that_cannot_be_printed_has_its_exit_code() {
    let bench = Bench::new();
    let switch = bench.start("polatis-16x16");
    let uri = switch.ready().uri.as_str();
    for arguments in [
        &["info", uri][..],
        &["info", uri, "--output", "json"],
        &["drivers"],
        &["list"],
        &["completions", "bash"],
        &["man"],
        &["--help"],
        &["--version"],
        &["switch", "apply", "--help"],
    ] {
        for out in [full, closed_pipe] {
            let mut command = bench.command(arguments);
            let output = command.stdout(out()).output().unwrap();
            assert_eq!(
                output.status.code(),
                Some(WRITE_FAILED),
                "{arguments:?}: {output:?}"
            );
            let reported = String::from_utf8(output.stderr).unwrap();
            assert!(reported.contains("could not be written"), "{reported}");
        }
        // Whether the result can be printed does not matter.
        let mut command = bench.command(arguments);
        command.stdout(full()).stderr(full());
        assert_eq!(code(&mut command), WRITE_FAILED, "{arguments:?}");
    }
}

#[test]
fn errors_that_cannot_be_printed_have_their_exit_codes() {
    let bench = Bench::new();
    let cases: [(&[&str], i32); 4] = [
        (&["info", "nothing"], 2),
        (&["info", "polatis+tcp://127.0.0.1:1", "-vv"], 3),
        (&["no-such-command"], 2),
        (&["info", "nothing", "--output", "json"], 2),
    ];
    for (arguments, wanted) in cases {
        for unwritable in [full, closed_pipe] {
            let mut command = bench.command(arguments);
            command.stdout(unwritable()).stderr(unwritable());
            assert_eq!(code(&mut command), wanted, "{arguments:?}");
        }
    }
}

#[test]
fn a_change_is_made_even_if_it_cannot_be_printed() {
    let bench = Bench::new();
    let switch = bench.start("polatis-16x16");
    let uri = switch.ready().uri.as_str();
    for (path, unwritable) in [("1-17", full as fn() -> Stdio), ("2-18", closed_pipe)] {
        let mut command =
            bench.command(["switch", "apply", uri, "--connect", path, "--yes", "-vv"]);
        command.stdout(unwritable()).stderr(unwritable());
        assert_eq!(code(&mut command), WRITE_FAILED);
        assert!(bench.paths(uri).contains(&path.to_owned()));
    }
    let outcomes = bench.journal();
    assert!(outcomes.iter().filter(|l| l["outcome"] == "done").count() == 2);
}

#[test]
fn no_key_is_requested_without_space_to_store_it() {
    let bench = Bench::new();
    let pair = bench.start_stored("etsi014-pair");
    let credentials = bench.credentials("credentials.toml", &[&pair]);
    let near = pair.ready().uris[0].clone();
    std::fs::create_dir(bench.path("keys")).unwrap();
    let file = bench.path("keys/k.json").display().to_string();
    let take = [
        "key",
        "take",
        &near,
        "--count",
        "2",
        "--to",
        &file,
        "--credentials",
        &credentials,
        "--yes",
    ];
    let stored = || {
        bench
            .run([
                "key",
                "status",
                &near,
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
    let run = limited(&bench, "ulimit -f 0", &take);
    assert_eq!(run.code, 2, "{run:#?}");
    assert_eq!(stored(), before, "no key was taken: {run:#?}");
    assert_eq!(
        names(&bench, "keys"),
        Vec::<String>::new(),
        "no file is left"
    );
    bench.run(take).exits(0);
    assert_eq!(names(&bench, "keys"), ["k.json"]);
}

#[test]
fn a_file_that_cannot_be_written_does_not_block_the_next_try() {
    let bench = Bench::new();
    let (switch, source) = (bench.start("polatis-16x16"), bench.start("idq-quantis"));
    std::fs::create_dir(bench.path("files")).unwrap();
    let saved = bench.path("files/saved.json").display().to_string();
    let random = bench.path("files/random.bin").display().to_string();
    let save = ["switch", "save", &switch.ready().uri, &saved];
    let read = [
        "random",
        &source.ready().uri,
        "--bytes",
        "4096",
        "--to",
        &random,
    ];
    for arguments in [&save[..], &read] {
        let run = limited(&bench, "ulimit -f 0", arguments);
        assert_eq!(run.code, 2, "{run:#?}");
        assert_eq!(names(&bench, "files"), Vec::<String>::new(), "{run:#?}");
    }
    bench.run(save).exits(0);
    bench.run(read).exits(0);
}

#[test]
fn a_transcript_is_private_whole_and_never_overwritten() {
    let bench = Bench::new();
    let switch = bench.start("polatis-16x16");
    let path = bench.path("transcript.jsonl");
    let file = path.display().to_string();
    // Nothing was sent over a link: nothing remains that would block the next attempt.
    bench
        .run(["info", "no-such-name", "--transcript", &file])
        .exits(2);
    assert!(!path.exists());
    let info = ["info", &switch.ready().uri, "--transcript", &file];
    bench.run(info).exits(0);
    let kept = std::fs::read(&path).unwrap();
    assert!(!kept.is_empty());
    assert_eq!(mode(&path), 0o600);
    bench.run(info).exits(2).complains("never overwritten");
    assert_eq!(std::fs::read(&path).unwrap(), kept);
}

#[test]
fn the_journal_is_private_whatever_the_umask() {
    let bench = Bench::new();
    let switch = bench.start("polatis-16x16");
    let run = limited(
        &bench,
        "umask 000",
        &[
            "switch",
            "apply",
            &switch.ready().uri,
            "--connect",
            "1-17",
            "--yes",
        ],
    );
    assert_eq!(run.code, 0, "{run:#?}");
    assert_eq!(mode(&bench.path("journal.jsonl")), 0o600);
    let folder = bench.path("out").display().to_string();
    let transcript = bench.path("t.jsonl");
    let run = limited(
        &bench,
        "umask 000",
        &[
            "info",
            &switch.ready().uri,
            "--transcript",
            &transcript.display().to_string(),
        ],
    );
    assert_eq!(
        (run.code, mode(&transcript)),
        (0, 0o600),
        "{run:#?} {folder}"
    );
}

#[test]
fn too_few_file_descriptors_are_an_error_and_not_a_panic() {
    let bench = Bench::new();
    let switch = bench.start("polatis-16x16");
    for limit in (4..40).step_by(3) {
        let run = limited(
            &bench,
            &format!("ulimit -n {limit}"),
            &["info", &switch.ready().uri],
        );
        assert!(
            run.code != 101 && !run.err.contains("panicked"),
            "{limit}: {run:#?}"
        );
        assert!([0, 3, 70, 127].contains(&run.code), "{limit}: {run:#?}");
    }
    let run = limited(&bench, "ulimit -n 12", &["info", &switch.ready().uri]);
    assert_eq!(run.code, 70, "{run:#?}");
    assert!(run.err.contains("ulimit -n"), "{run:#?}");
}

#[test]
fn results_that_cannot_be_written_are_reported_and_the_journal_stays() {
    let bench = Bench::new();
    let switch = bench.start("polatis-16x16");
    let out = bench.path("out").display().to_string();
    let arguments = [
        "conform",
        "--uri",
        &switch.ready().uri,
        "--profile",
        "matrix-switch",
        "--only",
        "DEV-01",
        "--out",
        &out,
    ];
    // A journal of a few kilobytes has room, results have not.
    let run = limited(&bench, "ulimit -f 8", &arguments);
    assert_eq!(run.code, WRITE_FAILED, "{run:#?}");
    assert!(run.err.contains("journal.jsonl is kept"), "{run:#?}");
    assert_eq!(names(&bench, "out"), ["journal.jsonl"], "{run:#?}");
    assert_eq!(mode(&bench.path("out/journal.jsonl")), 0o600);
}
