//! `qkd-emu` as a program: what it prints, when it ends, and what it says of mistakes.

#![allow(clippy::unwrap_used)]

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;
use std::{
    collections::BTreeSet,
    io::{BufRead, BufReader, Read, Write},
    os::unix::fs::FileTypeExt,
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    time::Duration,
};

fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_qkd-emu"));
    command.env_remove("QKD_EMU_LOG");
    command
}

/// A run that ends by itself: exit code, standard output, standard error.
fn run(arguments: &[&str]) -> (i32, String, String) {
    let output = command()
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (
        output.status.code().unwrap(),
        text(output.stdout),
        text(output.stderr),
    )
}

/// A run that serves; killed if a test ends before it does.
struct Serving {
    child: Child,
    orders: Option<ChildStdin>,
    lines: Option<BufReader<ChildStdout>>,
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Serving {
    fn start(arguments: &[&str]) -> Self {
        let mut child = command()
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (orders, lines) = (child.stdin.take(), child.stdout.take().map(BufReader::new));
        Self {
            child,
            orders,
            lines,
        }
    }
    fn line(&mut self) -> Value {
        let mut line = String::new();
        self.lines.as_mut().unwrap().read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap_or_else(|e| panic!("no JSON line ({e}): {line:?}"))
    }
    fn order(&mut self, order: &str) -> Value {
        writeln!(self.orders.as_mut().unwrap(), "{order}").unwrap();
        self.line()
    }
    /// Closes its standard input: it ends well, and has printed nothing more.
    #[track_caller]
    fn end(mut self) {
        drop(self.orders.take());
        let mut rest = String::new();
        self.lines
            .as_mut()
            .unwrap()
            .read_to_string(&mut rest)
            .unwrap();
        assert_eq!(rest, "");
        assert!(self.child.wait().unwrap().success());
    }
}

fn profiles() -> Vec<String> {
    let (code, out, err) = run(&["list", "--output", "json"]);
    assert_eq!((code, err.as_str()), (0, ""));
    let all: Value = serde_json::from_str(&out).unwrap();
    all.as_array()
        .unwrap()
        .iter()
        .map(|p| p["name"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn profiles_are_listed_and_begin_with_their_drivers_folder() {
    let names = profiles();
    assert_eq!(
        names.iter().collect::<BTreeSet<_>>().len(),
        names.len(),
        "each once"
    );
    let drivers = Path::new(env!("CARGO_MANIFEST_DIR")).join("../drivers");
    let folders: Vec<_> = std::fs::read_dir(drivers)
        .unwrap()
        .map(Result::unwrap)
        .filter(|e| e.file_type().unwrap().is_dir())
        .map(|e| e.file_name().into_string().unwrap())
        .filter(|f| !["all", "kit", "template"].contains(&f.as_str()))
        .collect();
    let of = |name: &str, folder: &str| {
        name.strip_prefix(folder).is_some_and(|rest| {
            rest.is_empty() || rest.starts_with(|c: char| c == '-' || c.is_ascii_digit())
        })
    };
    for name in &names {
        assert!(
            folders.iter().any(|f| of(name, f)),
            "{name} begins with no folder of {folders:?}"
        );
    }
    for folder in &folders {
        assert!(
            names.iter().any(|n| of(n, folder)),
            "the driver {folder} has no profile among {names:?}"
        );
    }
    let (code, table, _) = run(&["list"]);
    assert_eq!(code, 0);
    assert!(names.iter().all(|n| table.contains(n.as_str())), "{table}");
}

#[test]
fn each_profile_tells_where_it_is_in_one_line_and_ends_with_its_input() {
    for name in profiles() {
        let mut serving = Serving::start(&["run", &name]);
        let ready = serving.line();
        let keys: BTreeSet<_> = ready
            .as_object()
            .unwrap()
            .keys()
            .map(String::as_str)
            .collect();
        let mut expected = BTreeSet::from(["profile", "uri", "uris", "endpoints"]);
        match name.as_str() {
            "nokia-sros-macsec-pair"
            | "packetlight-pair"
            | "fs-olp"
            | "scte-hms-ab"
            | "scte-hms-2x2" => expected.extend(["credentials", "credentials_file"]),
            _ if name.starts_with("polatis") => {
                expected.extend(["credentials", "credentials_file"])
            }
            "etsi014-pair" => expected.extend(["tls", "sae", "credentials_file"]),
            "veriqloud-qline-pair" => expected.extend(["sae"]),
            _ => {}
        }
        assert_eq!(keys, expected, "{name}");
        assert_eq!(ready["profile"], name.as_str());
        assert_eq!(ready["uri"], ready["uris"][0]);
        let (driver, _) = ready["uri"].as_str().unwrap().split_once('+').unwrap();
        assert!(name.starts_with(driver), "{name}: {ready}");
        let endpoints = ready["endpoints"].as_array().unwrap();
        assert!(
            !endpoints.is_empty()
                && endpoints
                    .iter()
                    .all(|e| e["bus"].is_string() && e["address"].is_string()),
            "{name}: {ready}"
        );
        if name.ends_with("-pair") {
            assert_eq!(
                ready["uris"].as_array().unwrap().len(),
                2,
                "{name}: {ready}"
            );
        }
        for member in [
            "user",
            "auth_protocol",
            "auth_password",
            "priv_protocol",
            "priv_password",
        ] {
            assert_eq!(
                ready["credentials"][member].is_string(),
                expected.contains("credentials"),
                "{name}: {ready}"
            );
        }
        for member in ["ca", "cert", "key", "slave_cert", "slave_key"] {
            let pem = ready["tls"][member].as_str().map(|path| {
                std::fs::read_to_string(path)
                    .unwrap()
                    .starts_with("-----BEGIN")
            });
            assert_eq!(
                pem,
                expected.contains("tls").then_some(true),
                "{name}: {ready}"
            );
        }
        let files: Vec<_> = ["credentials_file"]
            .iter()
            .filter_map(|f| ready[f].as_str().map(str::to_owned))
            .collect();
        assert!(files.iter().all(|f| Path::new(f).exists()), "{name}");
        serving.end();
        assert!(
            files.iter().all(|f| !Path::new(f).exists()),
            "{name}: its secrets go with it"
        );
    }
}

#[test]
fn orders_are_answered_and_mistakes_in_them_told() {
    let mut serving = Serving::start(&["run", "polatis-16x16"]);
    serving.line();
    assert_eq!(serving.order("fault delay=5ms")["done"], "fault delay=5ms");
    assert_eq!(
        serving.order("set input=3:-12.5")["done"],
        "set input=3:-12.5"
    );
    for (order, why) in [
        ("fault earthquake", "docs/emulators.md"),
        ("set input=99:0", "1 to 16"),
        ("set baud=9600", "input"),
        ("dance", "fault SPEC"),
    ] {
        let answer = serving.order(order);
        assert!(
            answer["error"].as_str().is_some_and(|e| e.contains(why)),
            "{order}: {answer}"
        );
    }
    serving.end();
}

#[test]
fn a_signal_ends_it_though_its_input_is_open() {
    let folder = tempfile::tempdir().unwrap();
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let link = folder.path().join("port");
        let mut serving =
            Serving::start(&["run", "agiltron-ff", "--pty-link", link.to_str().unwrap()]);
        serving.line();
        // An answered order: it serves, and its signals are its own.
        serving.order("fault delay=1ms");
        kill(
            Pid::from_raw(serving.child.id().try_into().unwrap()),
            signal,
        )
        .unwrap();
        let (ended, end) = std::sync::mpsc::channel();
        let mut lines = serving.lines.take().unwrap();
        std::thread::spawn(move || ended.send(lines.read_line(&mut String::new())));
        let read = end
            .recv_timeout(Duration::from_secs(20))
            .expect("it ends though nobody closed its input");
        assert_eq!(read.unwrap(), 0, "it says nothing more");
        assert!(serving.orders.is_some() && serving.child.wait().unwrap().success());
        assert!(!link.is_symlink(), "the link goes with it");
    }
}

#[test]
fn mistakes_on_the_command_line_are_told_with_what_would_be_right() {
    for (arguments, why) in [
        (&["run", "polatis-17x17"][..], "polatis-16x16"),
        (
            &["run", "polatis-16x16", "--set", "colour=red"],
            "busy-port",
        ),
        (&["run", "polatis-16x16", "--set", "colour"], "NAME=VALUE"),
        (
            &["run", "polatis-16x16", "--set", "size=big"],
            "such as 16x16",
        ),
        (
            &["run", "polatis-16x16", "--fault", "earthquake"],
            "docs/emulators.md",
        ),
        (
            &["run", "polatis-16x16", "--fault", "5:hangup"],
            "there are 4",
        ),
        (&["run", "idq-quantis", "--fault", "cut"], "unplug"),
        (
            &["run", "etsi014-pair", "--set", "length=long"],
            "length=long",
        ),
        (
            &["run", "etsi014-pair", "--pty-link", "no-such-folder/link"],
            "pseudo-terminal",
        ),
        (&["run", "polatis-16x16", "--listen", "nowhere"], "nowhere"),
        (&["up", "no-such-file.toml"], "no-such-file.toml"),
    ] {
        let (code, out, err) = run(arguments);
        assert_eq!((code, out.as_str()), (2, ""), "{arguments:?}: {err}");
        assert!(err.contains(why), "{arguments:?}: {err}");
    }
}

#[test]
fn a_link_leads_to_the_pseudo_terminal() {
    let folder = tempfile::tempdir().unwrap();
    for profile in ["polatis-16x16", "agiltron-ff"] {
        let link = folder.path().join(profile);
        let mut serving = Serving::start(&["run", profile, "--pty-link", link.to_str().unwrap()]);
        let ready = serving.line();
        let serial = ready["endpoints"]
            .as_array()
            .unwrap()
            .iter()
            .find(|e| e["bus"] == "serial")
            .unwrap();
        assert!(std::fs::symlink_metadata(&link).unwrap().is_symlink());
        assert!(
            std::fs::metadata(&link)
                .unwrap()
                .file_type()
                .is_char_device(),
            "{ready}"
        );
        let told = std::fs::canonicalize(serial["address"].as_str().unwrap()).unwrap();
        assert_eq!(
            std::fs::canonicalize(&link).unwrap(),
            told,
            "the link and the endpoint are one: {ready}"
        );
        serving.end();
        assert!(
            std::fs::symlink_metadata(&link).is_err(),
            "the link goes with the emulator"
        );
    }
}
