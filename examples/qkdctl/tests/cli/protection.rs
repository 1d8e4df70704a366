//! Protection switches: shown, set, switched by command, and watched during a switch-over.

use crate::{
    bench::{Bench, Run},
    watch::Watch,
};
use qkd_emulators::profile::{Options, RunningEmulator};

const NOT_READY: i32 = 9;

/// A protection switch, and the program with its credentials and every assumption accepted.
struct Desk {
    bench: Bench,
    running: RunningEmulator,
    credentials: String,
}

impl Desk {
    fn with(profile: &str, options: Options) -> Self {
        let bench = Bench::new();
        let running = bench.start_with(profile, options);
        let credentials = bench.credentials("credentials.toml", &[&running]);
        Self {
            bench,
            running,
            credentials,
        }
    }
    fn of(profile: &str) -> Self {
        Self::with(profile, Options::default())
    }
    /// Returns the arguments that every call needs.
    fn always(&self) -> Vec<String> {
        let driver = self
            .running
            .ready()
            .uri
            .split('+')
            .next()
            .unwrap()
            .to_owned();
        let registry = qkd_hardware::registry();
        let assumptions = registry
            .driver(&driver)
            .unwrap()
            .info()
            .assumptions
            .iter()
            .flat_map(|a| ["--assume".to_owned(), a.id.to_string()]);
        ["--credentials".to_owned(), self.credentials.clone()]
            .into_iter()
            .chain(assumptions)
            .collect()
    }
    fn run(&self, verbs: &[&str], arguments: &[&str]) -> Run {
        let uri = self.running.ready().uri.as_str();
        let all = verbs
            .iter()
            .copied()
            .chain([uri])
            .chain(arguments.iter().copied());
        let always = self.always();
        self.bench.run(all.chain(always.iter().map(String::as_str)))
    }
    fn protect(&self, verb: &str, arguments: &[&str]) -> Run {
        self.run(&["switch", "protect", verb], arguments)
    }
    /// A dry run that warns and changes nothing; then it is done, and in the journal.
    #[track_caller]
    fn changes(&self, verb: &str, arguments: &[&str], warning: &str, operation: &str) -> Run {
        let (before, noted) = (self.running.state(), self.bench.journal().len());
        self.protect(verb, arguments)
            .exits(0)
            .expect_text("dry run")
            .expect_text(warning);
        assert_eq!(
            (self.running.state(), self.bench.journal().len()),
            (before, noted),
            "a dry run of {verb} changed something"
        );
        let done = self
            .protect(verb, &[arguments, &["--yes"]].concat())
            .exits(0)
            .expect_text("done: ");
        let last = self.bench.journal().pop().unwrap();
        assert_eq!(
            (last["operation"].as_str(), last["outcome"].as_str()),
            (Some(operation), Some("done")),
            "{last:#}"
        );
        done
    }
}

#[test]
fn an_ab_switch_is_set_and_switched() {
    let desk = Desk::of("scte-hms-ab");
    desk.run(&["switch", "show"], &[])
        .exits(0)
        .expect_text("common - [1]  2")
        .expect_text(": protected")
        .expect_text("automatic");
    desk.protect("show", &[])
        .exits(0)
        .expect_text(": protected")
        .expect_text("a (no-request)");
    // In automatic mode, the device selects the path.
    desk.protect("force", &["b", "--yes"])
        .exits(NOT_READY)
        .complains("manual");
    desk.changes(
        "set",
        &["mode=manual"],
        "In manual mode the group is not protected",
        "set-protection",
    )
    .expect_text("NOT PROTECTED: in manual mode");
    desk.changes("manual", &["b"], "This moves light", "protection-command")
        .expect_text("b (manual-switch)");
    assert!(
        desk.running.state().contains("manual active 1"),
        "{}",
        desk.running.state()
    );
    desk.run(&["switch", "show"], &[])
        .exits(0)
        .expect_text("common -  1  [2]")
        .expect_text("NOT PROTECTED");
    desk.running.fault("cut=a").unwrap();
    let noted = desk.bench.journal().len();
    desk.protect("manual", &["a", "--yes"])
        .exits(NOT_READY)
        .complains("path a has failed; only a forced switch goes there");
    assert_eq!(
        desk.bench.journal().len(),
        noted,
        "a refusal before anything is sent is not a change"
    );
    desk.changes(
        "force",
        &["a"],
        "whatever comes in on that path",
        "protection-command",
    )
    .expect_text("FAILED");
    assert!(
        desk.running.state().contains("manual active 0"),
        "{}",
        desk.running.state()
    );
    desk.changes(
        "set",
        &["wait-to-restore=60", "revert=on", "mode=automatic"],
        "",
        "set-protection",
    )
    .expect_text("yes, after 1m");
    desk.protect("force", &["z"])
        .exits(2)
        .complains("it has: a, b");
    desk.protect("clear", &[])
        .exits(2)
        .complains("do not support the command");
}

#[test]
fn a_group_with_active_commands() {
    let desk = Desk::of("packetlight-pair");
    desk.protect("show", &[])
        .exits(0)
        .expect_text(": protected")
        .expect_text("working");
    desk.changes(
        "lockout",
        &[],
        "Until it is cleared, the group is not protected",
        "protection-command",
    )
    .expect_text("NOT PROTECTED: protection is locked out");
    desk.protect("manual", &["protection", "--yes"])
        .exits(NOT_READY)
        .complains("lockout-of-protection is active; clear it first");
    desk.changes(
        "clear",
        &[],
        "The device selects the path again",
        "protection-command",
    )
    .expect_text(": protected");
    desk.changes(
        "force",
        &["protection"],
        "Until it is cleared",
        "protection-command",
    )
    .expect_text("NOT PROTECTED: a forced switch");
    desk.changes("clear", &[], "The device selects", "protection-command");
    desk.changes(
        "manual",
        &["protection"],
        "This moves light",
        "protection-command",
    )
    .expect_text("protection (manual-switch)");
    desk.changes("clear", &[], "The device selects", "protection-command");
    desk.running.fault("cut=protection").unwrap();
    desk.protect("show", &[])
        .exits(0)
        .expect_text("NOT PROTECTED: no light on protection");
    desk.protect("manual", &["protection"])
        .exits(NOT_READY)
        .complains("path protection has failed");
}

#[test]
fn of_several_groups_one_must_be_named() {
    let desk = Desk::of("fs-olp");
    let shown = desk.protect("show", &["--output", "json"]).exits(0).json();
    assert_eq!(shown["groups"].as_array().unwrap().len(), 2, "{shown:#}");
    desk.protect("set", &["mode=manual"])
        .exits(2)
        .complains("name one with --group: 1, 2");
    desk.protect("show", &["--group", "9"])
        .exits(2)
        .complains("there is no group 9");
    desk.changes(
        "set",
        &["mode=manual", "--group", "2"],
        "not protected",
        "set-protection",
    );
    desk.changes(
        "force",
        &["sub", "--group", "2"],
        "This moves light",
        "protection-command",
    )
    .expect_text("sub");
    let state = desk.running.state();
    assert!(
        state.contains("group 1: automatic active 0") && state.contains("group 2: manual active 1"),
        "{state}"
    );
}

#[test]
fn a_switch_over_is_reported_when_it_happens() {
    let port = std::net::UdpSocket::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .to_string();
    let desk = Desk::with("scte-hms-ab", Options::default().with("trap-target", &port));
    let always = desk.always();
    let always: Vec<&str> = always.iter().map(String::as_str).collect();
    let mut watch = Watch::of(
        &desk.bench,
        &[
            &[desk.running.ready().uri.as_str(), "--notifications", &port],
            &always[..],
        ]
        .concat(),
    );
    watch.until("on a (no-request), automatic, protected");
    desk.running.fault("cut=a").unwrap();
    watch.until("switched over to path b: signal-fail");
    assert_eq!(watch.ended(), 0);
}

#[test]
fn a_switch_over_without_notifications_is_detected_by_polling() {
    let desk = Desk::of("fs-olp");
    let always = desk.always();
    let always: Vec<&str> = always.iter().map(String::as_str).collect();
    let mut watch = Watch::of(
        &desk.bench,
        &[&[desk.running.ready().uri.as_str()], &always[..]].concat(),
    );
    watch.until("group 2: on main");
    desk.running.fault("cut=2/main").unwrap();
    let line = watch.until("group 2: on main");
    assert!(line.contains("-> on sub"), "{line}");
    assert_eq!(watch.ended(), 0);
}
