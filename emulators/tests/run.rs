//! `qkd-emu` as a program: what it prints, when it ends, and what it says of mistakes.

#![allow(clippy::unwrap_used)]

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;
use std::{
    collections::BTreeSet,
    fs::File,
    io::{BufRead, BufReader, Read, Write},
    net::{Ipv4Addr, TcpListener, TcpStream},
    os::unix::fs::FileTypeExt,
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    sync::atomic::{AtomicU8, Ordering},
    time::{Duration, Instant},
};

fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_qkd-emu"));
    command.env_remove("QKD_EMU_LOG");
    command
}

/// Runs the program until it ends: exit code, standard output, standard error.
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
    commands: Option<ChildStdin>,
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
            .arg("--control")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (commands, lines) = (child.stdin.take(), child.stdout.take().map(BufReader::new));
        Self {
            child,
            commands,
            lines,
        }
    }
    fn line(&mut self) -> Value {
        let mut line = String::new();
        self.lines.as_mut().unwrap().read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap_or_else(|e| panic!("no JSON line ({e}): {line:?}"))
    }
    fn command(&mut self, command: &str) -> Value {
        writeln!(self.commands.as_mut().unwrap(), "{command}").unwrap();
        self.line()
    }
    /// Closes its standard input: it ends well, and has printed nothing more.
    #[track_caller]
    fn end(mut self) {
        drop(self.commands.take());
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

/// Names of the profiles, and whether they have a wire.
fn profiles() -> Vec<(String, bool)> {
    let (code, out, err) = run(&["list", "--output", "json"]);
    assert_eq!((code, err.as_str()), (0, ""));
    let all: Value = serde_json::from_str(&out).unwrap();
    all.as_array()
        .unwrap()
        .iter()
        .map(|p| {
            let name = p["name"].as_str().unwrap().to_owned();
            (name, p["has_wire"].as_bool().unwrap())
        })
        .collect()
}

#[test]
fn profiles_are_listed_and_begin_with_their_drivers_folder() {
    let names: Vec<String> = profiles().into_iter().map(|(name, _)| name).collect();
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
        .filter(|f| !["kit", "template"].contains(&f.as_str()))
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
fn a_profile_without_a_wire_says_so_and_is_not_started() {
    for (name, _) in profiles().into_iter().filter(|(_, has_wire)| !has_wire) {
        let (code, out, err) = run(&["run", &name]);
        assert_ne!(code, 0, "{name}");
        assert_eq!(out, "", "{name}");
        assert!(err.contains(&name) && err.contains("in memory"), "{err}");
    }
}

#[test]
fn each_profile_reports_where_it_is_in_one_line_and_ends_with_its_input() {
    for (name, _) in profiles().into_iter().filter(|(_, has_wire)| *has_wire) {
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
            | "scte-hms-2x2"
            | "ciena-waveserver-pair"
            | "infinera-xtm-pair"
            | "adva-fsp150-pair"
            | "ieee-macsec"
            | "atmedia"
            | "adva-fsp3000r7-pair" => expected.extend(["credentials", "credentials_file"]),
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
        assert_eq!(
            ready["credentials"]["officer_password"].is_string(),
            name.starts_with("adva-"),
            "{name}: {ready}"
        );
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
fn commands_are_answered_and_invalid_ones_reported() {
    let mut serving = Serving::start(&["run", "polatis-16x16"]);
    serving.line();
    assert_eq!(
        serving.command("fault delay=5ms")["done"],
        "fault delay=5ms"
    );
    assert_eq!(
        serving.command("set input=3:-12.5")["done"],
        "set input=3:-12.5"
    );
    for (command, why) in [
        ("fault earthquake", "docs/emulators.md"),
        ("set input=99:0", "1 to 16"),
        ("set baud=9600", "input"),
        ("dance", "fault SPEC"),
    ] {
        let answer = serving.command(command);
        assert!(
            answer["error"].as_str().is_some_and(|e| e.contains(why)),
            "{command}: {answer}"
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
        // An answered command: the emulator serves, and handles its own signals.
        serving.command("fault delay=1ms");
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
            .expect("it ends although its input is open");
        assert_eq!(read.unwrap(), 0, "it says nothing more");
        assert!(serving.commands.is_some() && serving.child.wait().unwrap().success());
        assert!(!link.is_symlink(), "the link goes with it");
    }
}

#[test]
fn invalid_command_lines_are_reported_with_the_valid_form() {
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
            &["run", "polatis-16x16", "--fault", "5:reset"],
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
fn up_names_private_client_files_when_it_is_ready_and_removes_them_at_its_end() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("testbed.toml");
    let text = "[emulators.enc]\nprofile = 'nokia-sros-macsec-pair'\n\
                [emulators.rack]\nprofile = 'polatis-16x16'\n";
    std::fs::write(&file, text).unwrap();
    let mut serving = Serving::start(&["up", file.to_str().unwrap()]);
    assert_eq!(serving.line()["name"], "enc");
    assert_eq!(serving.line()["name"], "rack");
    let ready = serving.line();
    assert_eq!(ready["ready"], true);
    let path = |name: &str| Path::new(ready[name].as_str().unwrap()).to_owned();
    let (credentials, inventory) = (path("credentials_file"), path("inventory_file"));
    for path in [&credentials, &inventory] {
        let mode = std::fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{}", path.display());
    }
    let text = std::fs::read_to_string(&inventory).unwrap();
    for section in ["[devices.enc-1]", "[devices.rack]", "[pair.enc]"] {
        assert!(text.contains(section), "no {section}: {text}");
    }
    serving.end();
    assert!(!credentials.exists() && !inventory.exists());
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
        let reported = std::fs::canonicalize(serial["address"].as_str().unwrap()).unwrap();
        assert_eq!(
            std::fs::canonicalize(&link).unwrap(),
            reported,
            "the link and the endpoint are one: {ready}"
        );
        serving.end();
        assert!(
            std::fs::symlink_metadata(&link).is_err(),
            "the link goes with the emulator"
        );
    }
}

/// Waits until something holds.
#[track_caller]
fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(20);
    while !holds() {
        assert!(Instant::now() < end, "never: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// An address that nothing else takes before the program binds it: its host, of 127.0.0.0/8, is
/// this call's alone, while everything else on the machine asks for a port of 127.0.0.1.
fn free_address() -> String {
    static CALLS: AtomicU8 = AtomicU8::new(1);
    let [high, low] = (std::process::id() as u16).to_be_bytes();
    let host = Ipv4Addr::new(127, high.max(1), low, CALLS.fetch_add(1, Ordering::Relaxed));
    let listener = TcpListener::bind((host, 0)).unwrap();
    listener.local_addr().unwrap().to_string()
}

fn answers(address: &str) -> bool {
    let Ok(mut stream) = TcpStream::connect(address) else {
        return false;
    };
    stream
        .set_read_timeout(Some(Duration::from_secs(5)))
        .unwrap();
    stream.write_all(b"*IDN?\r\n").is_ok() && stream.read(&mut [0; 16]).is_ok_and(|n| n > 0)
}

/// Killed if a test ends before it does.
struct Process(Child);

impl Process {
    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.0.id().try_into().unwrap()), signal).unwrap();
    }
    fn is_running(&mut self) -> bool {
        self.0.try_wait().unwrap().is_none()
    }
    fn code(&mut self) -> Option<i32> {
        self.0.wait().unwrap().code()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn standard_input_is_read_on_request_only() {
    for close in ["</dev/null", "<&-"] {
        let address = free_address();
        let mut shell = Command::new("sh");
        shell
            .args(["-c", &format!("exec \"$0\" \"$@\" {close}")])
            .arg(env!("CARGO_BIN_EXE_qkd-emu"))
            .args(["run", "polatis-16x16", "--listen", &address])
            .stdout(Stdio::null());
        let mut process = Process(shell.spawn().unwrap());
        until("it serves", || answers(&address));
        assert!(
            process.is_running(),
            "{close}: it serves though its input is closed"
        );
        process.signal(Signal::SIGTERM);
        assert_eq!(process.code(), Some(0), "{close}");
    }
}

#[test]
fn a_lost_terminal_ends_the_emulator_unless_it_runs_under_nohup() {
    let start = |program: &str, address: &str| {
        let mut command = Command::new(program);
        if program == "nohup" {
            command.arg(env!("CARGO_BIN_EXE_qkd-emu"));
        }
        command
            .args(["run", "polatis-16x16", "--listen", address])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let process = Process(command.spawn().unwrap());
        until("it serves", || answers(address));
        process
    };
    let address = free_address();
    let mut plain = start(env!("CARGO_BIN_EXE_qkd-emu"), &address);
    plain.signal(Signal::SIGHUP);
    assert_eq!(plain.code(), Some(0));
    let mut kept = start("nohup", &address);
    kept.signal(Signal::SIGHUP);
    assert!(answers(&address) && kept.is_running());
    kept.signal(Signal::SIGINT);
    assert_eq!(kept.code(), Some(0));
}

#[test]
fn output_that_cannot_be_written_does_not_end_the_emulator() {
    let full = || File::options().write(true).open("/dev/full").unwrap();
    for control in [false, true] {
        let address = free_address();
        let mut command = command();
        command.args(["run", "polatis-16x16", "--listen", &address]);
        if control {
            command.arg("--control").stdin(Stdio::piped());
        }
        command.stdout(full()).stderr(full());
        let mut process = Process(command.spawn().unwrap());
        until("it serves", || answers(&address));
        if let Some(mut commands) = process.0.stdin.take() {
            writeln!(commands, "fault delay=1ms").unwrap();
            drop(commands);
        } else {
            process.signal(Signal::SIGTERM);
        }
        assert_eq!(process.code(), Some(74), "control: {control}");
    }
    for arguments in [&["list"][..], &["--help"], &["list", "--output", "json"]] {
        let status = command()
            .args(arguments)
            .stdout(full())
            .stderr(full())
            .status();
        assert_eq!(status.unwrap().code(), Some(74), "{arguments:?}");
    }
    let mistaken = command()
        .args(["run", "no-such-profile"])
        .stdout(full())
        .stderr(full())
        .status();
    assert_eq!(mistaken.unwrap().code(), Some(2));
}

#[test]
fn too_few_file_descriptors_are_an_error_and_not_a_panic() {
    for limit in (4..40).step_by(3) {
        let script = format!("ulimit -n {limit} && exec \"$0\" run polatis-16x16 --control");
        let output = Command::new("sh")
            .args(["-c", &script, env!("CARGO_BIN_EXE_qkd-emu")])
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let code = output.status.code();
        let reported = String::from_utf8_lossy(&output.stderr);
        assert!(!reported.contains("panicked"), "{limit}: {reported}");
        assert!(
            matches!(code, Some(0 | 1 | 70 | 127)),
            "{limit}: {code:?} {reported}"
        );
    }
}

/// The lines of the README's first emulator, at another address.
fn readme_lines(address: &str) -> Vec<String> {
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md");
    let text = std::fs::read_to_string(readme).unwrap();
    let block = text
        .split("```sh\n")
        .find(|block| block.contains("qkd-emu run"))
        .unwrap();
    block
        .split("```")
        .next()
        .unwrap()
        .lines()
        .map(|line| line.replace("127.0.0.1:5025", address))
        .collect()
}

/// A shell with job control on a terminal, as a person has it: what is read of the terminal in the
/// background stops there.
#[test]
fn the_lines_of_the_readme_can_be_pasted_into_one_terminal() {
    let address = free_address();
    let lines = readme_lines(&address);
    assert!(
        lines.iter().all(|line| !line.contains("PORT")),
        "nothing is left to be filled in: {lines:#?}"
    );
    let emulator = lines.iter().find(|l| l.contains("qkd-emu run")).unwrap();
    let command = emulator.split('#').next().unwrap();
    assert!(
        command.contains('&'),
        "it leaves the terminal free: {command}"
    );
    let command = command.replace("target/release/qkd-emu", env!("CARGO_BIN_EXE_qkd-emu"));

    let pair = nix::pty::openpty(None, None).unwrap();
    let theirs = || Stdio::from(pair.slave.try_clone().unwrap());
    // A session of its own, whose terminal this is.
    let shell = Command::new("setsid")
        .args(["--ctty", "bash", "--norc", "--noprofile", "-i"])
        .env("PS1", "ready> ")
        .stdin(theirs())
        .stdout(theirs())
        .stderr(theirs())
        .spawn()
        .unwrap();
    let mut shell = Process(shell);
    let mut terminal = File::from(pair.master);
    let reader = terminal.try_clone().unwrap();
    let seen = std::sync::Arc::new(std::sync::Mutex::new(String::new()));
    let shown = std::sync::Arc::clone(&seen);
    std::thread::spawn(move || {
        for byte in BufReader::new(reader).bytes() {
            let Ok(byte) = byte else { return };
            shown.lock().unwrap().push(char::from(byte));
        }
    });
    writeln!(terminal, "{command}").unwrap();
    until("it serves", || answers(&address));
    writeln!(terminal, "jobs; echo end-of-$((40 + 2))").unwrap();
    until("jobs are listed", || {
        seen.lock().unwrap().contains("end-of-42")
    });
    let text = seen.lock().unwrap().clone();
    assert!(
        text.contains("Running") && !text.contains("Stopped"),
        "{text}"
    );
    assert!(answers(&address));
    writeln!(terminal, "kill %1; wait; exit").unwrap();
    until("the shell ends", || !shell.is_running());
    until("the emulator ends", || !answers(&address));
}

/// The lines of standard error after many datagrams that are no SNMP.
fn log_lines_after_foreign_datagrams(log: Option<&str>) -> usize {
    // A discovery (RFC 3414, 4).
    const DISCOVERY: &str = "3038020103300e020101020300ffe3040104020103\
                             0410300e0400020100020100040004000400\
                             301104000400a00b0201010201000201003000";
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    let mut command = command();
    if let Some(filter) = log {
        command.env("QKD_EMU_LOG", filter);
    }
    let mut child = command
        .args(["run", "fs-olp", "--control"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(File::create(&path).unwrap())
        .spawn()
        .unwrap();
    let mut serving = Serving {
        commands: child.stdin.take(),
        lines: child.stdout.take().map(BufReader::new),
        child,
    };
    let ready = serving.line();
    let address = ready["endpoints"][0]["address"].as_str().unwrap();
    let socket = std::net::UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    socket.connect(address).unwrap();
    socket
        .set_read_timeout(Some(Duration::from_secs(10)))
        .unwrap();
    let discovery = hex::decode(DISCOVERY).unwrap();
    // In turns: the answer says that what came before it was read.
    for n in 0..100 {
        socket.send(&[0x30, 0x03, 0x02, 0x01, n]).unwrap();
        socket.send(&discovery).unwrap();
        assert!(socket.recv(&mut [0; 2048]).unwrap() > 0);
    }
    serving.end();
    std::fs::read_to_string(&path).unwrap().lines().count()
}

#[test]
fn foreign_datagrams_provoke_few_log_lines_unless_they_are_asked_for() {
    assert!(log_lines_after_foreign_datagrams(None) < 10);
    assert!(log_lines_after_foreign_datagrams(Some("warn")) >= 50);
}
