//! On a terminal: what is drawn, coloured and shown there, and nowhere else; and that the terminal
//! is then as it was before.

use crate::bench::Bench;
use nix::{
    poll::{PollFd, PollFlags, PollTimeout, poll},
    pty::{Winsize, openpty},
    sys::{
        signal::{Signal, kill},
        termios::{Termios, tcgetattr},
    },
    unistd::Pid,
};
use std::{
    fs::File,
    io::{Read, Write},
    os::fd::{AsFd, OwnedFd},
    process::{Child, Command, Stdio},
};

/// Onto the other screen, and back from it.
const OTHER: &str = "\u{1b}[?1049h";
const BACK: &str = "\u{1b}[?1049l";

/// A terminal with the program on it.
struct Terminal {
    ours: File,
    theirs: OwnedFd,
    child: Child,
    before: Termios,
    /// Received bytes; a character may arrive in two parts.
    bytes: Vec<u8>,
    seen: String,
}

impl Terminal {
    fn with(command: Command) -> Self {
        Self::sized(command, 120)
    }

    fn sized(mut command: Command, columns: u16) -> Self {
        let pair = openpty(
            Some(&Winsize {
                ws_row: 40,
                ws_col: columns,
                ws_xpixel: 0,
                ws_ypixel: 0,
            }),
            None,
        )
        .unwrap();
        let before = tcgetattr(&pair.slave).unwrap();
        let theirs = || Stdio::from(pair.slave.try_clone().unwrap());
        let child = command
            .env("TERM", "xterm-256color")
            .stdin(theirs())
            .stdout(theirs())
            .stderr(theirs())
            .spawn()
            .unwrap();
        Self {
            ours: File::from(pair.master),
            theirs: pair.slave,
            child,
            before,
            bytes: Vec::new(),
            seen: String::new(),
        }
    }

    /// Reads the available output; returns whether any arrived within this number of milliseconds.
    fn read(&mut self, patience: u16) -> bool {
        let mut fds = [PollFd::new(self.ours.as_fd(), PollFlags::POLLIN)];
        if poll(&mut fds, PollTimeout::from(patience)).unwrap() == 0 {
            return false;
        }
        let mut buffer = [0; 4096];
        let n = self.ours.read(&mut buffer).unwrap();
        self.bytes.extend_from_slice(&buffer[..n]);
        self.seen = String::from_utf8_lossy(&self.bytes).into_owned();
        n > 0
    }

    /// Waits until this is to be seen.
    #[track_caller]
    fn until(&mut self, what: &str) {
        while !self.seen.contains(what) {
            assert!(
                self.read(30_000),
                "no `{what}`: {}",
                self.seen.escape_debug()
            );
        }
    }

    fn types(&mut self, keys: &[u8]) {
        self.ours.write_all(keys).unwrap();
    }

    /// Waits for the end; the exit code. The terminal must be as it was before.
    #[track_caller]
    fn ends(&mut self) -> i32 {
        // Somebody must read what is written, or it never ends.
        let status = loop {
            self.read(20);
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
        };
        while self.read(0) {}
        assert_eq!(
            tcgetattr(&self.theirs).unwrap(),
            self.before,
            "the terminal is not as it was: {}",
            self.seen.escape_debug()
        );
        assert_eq!(
            self.seen.matches(OTHER).count(),
            self.seen.matches(BACK).count().min(1),
            "{}",
            self.seen.escape_debug()
        );
        status.code().unwrap()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_watch_is_drawn_in_place_and_ends_on_a_key_press() {
    let bench = Bench::new();
    let switch = bench.start("polatis-16x16");
    switch.fault("operator=connect:3-20").unwrap();
    for keys in [b"q".as_slice(), b"\x03", b"\x1b"] {
        let mut terminal = Terminal::with(bench.command([
            "watch",
            &switch.ready().uri,
            "--interval",
            "100ms",
            "--for",
            "60s",
        ]));
        terminal.until("3-20");
        terminal.until("Polatis");
        assert!(
            terminal.seen.starts_with(OTHER),
            "{}",
            terminal.seen.escape_debug()
        );
        assert_ne!(
            tcgetattr(&terminal.theirs).unwrap(),
            terminal.before,
            "keys come without a newline"
        );
        terminal.types(keys);
        assert_eq!(terminal.ends(), 0);
        let kept = terminal.seen.split(BACK).nth(1).unwrap();
        assert!(
            kept.contains("3-20"),
            "what was seen last stays: {}",
            kept.escape_debug()
        );
    }
}

#[test]
fn a_signal_restores_the_terminal_too() {
    let bench = Bench::new();
    let switch = bench.start("polatis-16x16");
    for signal in [Signal::SIGTERM, Signal::SIGHUP, Signal::SIGINT] {
        let mut terminal = Terminal::with(bench.command([
            "watch",
            &switch.ready().uri,
            "--interval",
            "100ms",
            "--for",
            "60s",
        ]));
        terminal.until("dark");
        kill(
            Pid::from_raw(i32::try_from(terminal.child.id()).unwrap()),
            signal,
        )
        .unwrap();
        assert_eq!(terminal.ends(), 0, "{signal}");
    }
}

#[test]
fn an_error_is_printed_on_standard_error() {
    let bench = Bench::new();
    let switch = bench.start("polatis-16x16");
    let mut terminal =
        Terminal::with(bench.command(["watch", &format!("{}?speed=1", switch.ready().uri)]));
    assert_eq!(terminal.ends(), 2);
    let kept = terminal.seen.rsplit(BACK).next().unwrap();
    assert!(
        kept.contains("error:") && kept.contains("deadline"),
        "{}",
        terminal.seen.escape_debug()
    );
}

#[test]
fn colours_are_used_on_terminals_and_on_request() {
    let bench = Bench::new();
    let switch = bench.start("polatis-16x16");
    let info = || bench.command(["info", switch.ready().uri.as_str()]);
    let green = "\u{1b}[32mok";
    let on_terminal = |command| {
        let mut terminal = Terminal::with(command);
        assert_eq!(terminal.ends(), 0);
        terminal.seen.clone()
    };
    assert!(on_terminal(info()).contains(green));
    let mut without = info();
    without.env("NO_COLOR", "1");
    let text = on_terminal(without);
    assert!(
        !text.contains('\u{1b}') && text.contains("health      ok"),
        "{}",
        text.escape_debug()
    );

    let over_pipe =
        |command: &mut Command| String::from_utf8(command.output().unwrap().stdout).unwrap();
    assert!(!over_pipe(&mut info()).contains('\u{1b}'));
    assert!(over_pipe(info().env("CLICOLOR_FORCE", "1")).contains(green));
}

#[test]
fn text_wraps_at_words_and_tables_split_no_name() {
    let bench = Bench::new();
    let shown = |arguments: &[&str]| {
        let mut command = bench.command(arguments);
        command.env("NO_COLOR", "1");
        let mut terminal = Terminal::sized(command, 80);
        assert_eq!(terminal.ends(), 0);
        terminal.seen.replace('\r', "")
    };
    let fits = |text: &str| {
        for line in text.lines().filter(|l| l.chars().count() > 80) {
            let words = line.split_whitespace().count();
            assert!(words <= 1, "a line of several words is too long: {line}");
        }
    };
    let drivers = shown(&["drivers"]);
    for name in ["nokia-sros-macsec", "veriqloud-qline", "idq-quantis"] {
        assert!(drivers.contains(name), "{name} is split: {drivers}");
    }
    assert!(
        drivers.lines().all(|l| l.chars().count() <= 80),
        "{drivers}"
    );
    let one = shown(&["drivers", "polatis"]);
    fits(&one);
    let assumption = one
        .lines()
        .position(|l| l.contains("polatis.snmp-mirror-rows:"));
    let next = one.lines().nth(assumption.unwrap() + 1).unwrap();
    assert!(next.starts_with("    ") && !next.trim().is_empty(), "{one}");
    fits(&shown(&["--help"]));
    fits(&shown(&["key", "start", "--help"]));
    // Over a pipe, a line is a line.
    let piped = bench.run(["drivers", "polatis"]).exits(0);
    assert!(piped.out.lines().any(|l| l.chars().count() > 200));
}

#[test]
fn progress_is_shown_on_terminals_only() {
    let bench = Bench::new();
    let source = bench.start("idq-quantis");
    let random = ["random", source.ready().uri.as_str(), "--bytes", "65536"];
    let mut terminal = Terminal::with(bench.command(random));
    assert_eq!(terminal.ends(), 0);
    assert!(
        terminal.seen.contains(" left") && terminal.seen.contains("65536 random bytes"),
        "{}",
        terminal.seen.escape_debug()
    );
    let mut json = Terminal::with(bench.command(random.iter().chain(&["--output", "json"])));
    assert_eq!(json.ends(), 0);
    assert!(
        serde_json::from_str::<serde_json::Value>(&json.seen).is_ok(),
        "{}",
        json.seen.escape_debug()
    );
    let over_pipe = bench.run(random).exits(0);
    assert_eq!(over_pipe.err, "");
}

#[test]
fn a_calibration_shows_its_progress_and_the_state_that_follows() {
    let bench = Bench::new();
    let options = qkd_emulators::profile::Options::default().with("time-factor", "2000");
    let link = bench.start_with("veriqloud-qline-pair", options);
    let uri = format!("{}&deadline=60s", link.ready().uri);
    link.fault("delay=300ms").unwrap();
    let mut terminal = Terminal::with(bench.command(["key", "calibrate", &uri, "--yes"]));
    terminal.until("calibrate the link (the command ends within ");
    assert!(!terminal.seen.contains("done: "), "{}", terminal.seen);
    terminal.until("done: calibrate the link");
    terminal.until("state: ");
    assert_eq!(terminal.ends(), 0);
    let outcomes: Vec<_> = bench
        .journal()
        .iter()
        .map(|l| (l["operation"].clone(), l["outcome"].clone()))
        .collect();
    let line = |outcome: &str| ("calibrate".into(), outcome.into());
    assert_eq!(outcomes, [line("begun"), line("done")]);
}
