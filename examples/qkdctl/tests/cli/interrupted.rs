//! Signals during the change of each command that changes a device.

use crate::{
    bench::{Bench, Run},
    encryptors::first_channel,
    signals::{Running, begun},
};
use nix::sys::signal::Signal;
use qkd_emulators::profile::{Options, RunningEmulator as Emulator};
use std::collections::{BTreeMap, BTreeSet};

/// The id of the key in the file of a desk.
const KEY: &str = "6fa459ea-ee8a-4ca4-894e-db77e160355e";

/// A command in front of an emulator, with credentials and every assumption accepted.
struct Desk {
    bench: Bench,
    device: Emulator,
    keys: Option<Emulator>,
    common: Vec<String>,
}

impl Desk {
    fn new(profile: &str) -> Self {
        let bench = Bench::new();
        let options = match profile {
            // Its initialisation and calibrations last minutes of model time.
            "veriqloud-qline-pair" => Options::default().with("time-factor", "2000"),
            _ => Options::default(),
        };
        let device = bench.start_with(profile, options);
        let keys = (profile == "nokia-sros-macsec-pair").then(|| bench.start("etsi014-pair"));
        let with_files: Vec<&Emulator> = std::iter::once(&device)
            .chain(&keys)
            .filter(|e| e.ready().credentials_file.is_some())
            .collect();
        let mut common = Vec::new();
        if !with_files.is_empty() {
            let file = bench.credentials("credentials.toml", &with_files);
            common.extend(["--credentials".to_owned(), file]);
        }
        let driver = device.ready().uri.split('+').next().unwrap().to_owned();
        let registry = qkd_hardware::registry();
        let assumptions = registry.driver(&driver).unwrap().info().assumptions;
        for assumption in assumptions {
            // With it, a module that generates keys is not started again.
            if assumption.id == "veriqloud-qline.online-is-generating" {
                continue;
            }
            common.extend(["--assume".to_owned(), assumption.id.to_string()]);
        }
        Self {
            bench,
            device,
            keys,
            common,
        }
    }

    fn uri(&self, place: usize) -> String {
        with_deadline(&self.device.ready().uris[place])
    }

    fn run(&self, arguments: &[&str]) -> Run {
        let common = self.common.iter().map(String::as_str);
        self.bench.run(arguments.iter().copied().chain(common))
    }

    /// A file with a key.
    fn key(&self) -> String {
        let text = format!(r#"[{{"id":"{KEY}","hex":"{}"}}]"#, "5a".repeat(16));
        self.bench.private("key.json", &text)
    }

    /// Stages the key at both ends.
    fn stage(&self) {
        let key = self.key();
        for place in [0, 1] {
            let uri = self.uri(place);
            let stage = ["encryptor", "stage", &uri, "--channel", "ca1"];
            self.run(&[&stage[..], &["--key", &key, "--yes"]].concat())
                .exits(0);
        }
    }

    /// Activates the key at the first end.
    fn activate(&self) {
        let uri = self.uri(0);
        let activate = ["encryptor", "activate", &uri, "--channel", "ca1"];
        self.run(&[&activate[..], &["--id", KEY, "--slot", "2", "--yes"]].concat())
            .exits(0);
    }
}

fn with_deadline(uri: &str) -> String {
    let mark = if uri.contains('?') { '&' } else { '?' };
    format!("{uri}{mark}deadline=60s")
}

/// A command that changes a device.
struct Case {
    /// The command, as its page of the manual is named.
    verb: &'static str,
    profile: &'static str,
    /// Its operation in the journal, during which the signal comes.
    operation: &'static str,
    /// Index of the URI in the emulator's list.
    place: usize,
    /// Arguments after the URI; prepares the device for the change.
    arguments: fn(&Desk) -> Vec<String>,
    /// The state that is printed.
    says: &'static str,
}

fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

macro_rules! case {
    ($verb:literal, $profile:literal, $operation:literal, $place:literal, $arguments:expr,
        $says:literal) => {
        Case {
            verb: $verb,
            profile: $profile,
            operation: $operation,
            place: $place,
            arguments: $arguments,
            says: $says,
        }
    };
}

#[rustfmt::skip]
const CASES: &[Case] = &[
    case!("set", "polatis-16x16", "set-parameter", 0,
        |_| words("boot-mode=autosave"), "now: boot-mode = autosave"),
    case!("switch-apply", "polatis-16x16", "apply", 0,
        |_| words("--connect 1-17"), "read-back matches the plan"),
    case!("switch-restore", "polatis-16x16", "apply", 0, |desk| {
        let file = desk.bench.path("saved.json").display().to_string();
        let uri = desk.uri(0);
        desk.run(&["switch", "save", &uri, &file]).exits(0);
        desk.run(&["switch", "apply", &uri, "--connect", "1-17", "--yes"]).exits(0);
        vec![file]
    }, "read-back matches the plan"),
    case!("switch-port", "polatis-16x16", "set-port", 0,
        |_| words("3 disable"), "port 3: disabled"),
    case!("switch-attenuate", "polatis-16x16", "set-attenuation", 3,
        |_| words("17 maximum"), "port 17: attenuation maximum"),
    case!("switch-monitor", "polatis-16x16", "set-monitor", 3,
        |_| words("17 alarms=-31.5..10"), "alarms below -31.5"),
    case!("switch-protect-set", "scte-hms-ab", "set-protection", 0,
        |_| words("mode=manual"), "NOT PROTECTED: in manual mode"),
    case!("switch-protect-lockout", "packetlight-pair", "protection-command", 0,
        |_| Vec::new(), "protection is locked out"),
    case!("switch-protect-force", "packetlight-pair", "protection-command", 0,
        |_| words("protection"), "a forced switch"),
    case!("switch-protect-manual", "packetlight-pair", "protection-command", 0,
        |_| words("protection"), "manual-switch"),
    case!("switch-protect-clear", "packetlight-pair", "protection-command", 0, |desk| {
        let uri = desk.uri(0);
        desk.run(&["switch", "protect", "lockout", &uri, "--yes"]).exits(0);
        Vec::new()
    }, ": protected"),
    case!("key-start", "veriqloud-qline-pair", "start", 0,
        |_| words("--wait 1h"), "state: "),
    case!("key-calibrate", "veriqloud-qline-pair", "calibrate", 0,
        |_| Vec::new(), "state: "),
    case!("key-take", "etsi014-pair", "take-keys", 0, |desk| {
        vec!["--to".to_owned(), desk.bench.path("taken.json").display().to_string()]
    }, "1 key is in"),
    case!("encryptor-stage", "nokia-sros-macsec-pair", "stage", 0, |desk| {
        vec!["--channel".to_owned(), "ca1".to_owned(), "--key".to_owned(), desk.key()]
    }, "now: channel ca1: "),
    case!("encryptor-activate", "nokia-sros-macsec-pair", "activate", 0, |desk| {
        desk.stage();
        words(&format!("--channel ca1 --id {KEY} --slot 2"))
    }, "now: channel ca1: "),
    case!("encryptor-retire", "nokia-sros-macsec-pair", "retire", 0, |desk| {
        desk.stage();
        desk.activate();
        words(&format!("--channel ca1 --id {KEY} --slot 2"))
    }, "channel ca1: "),
    case!("encryptor-zeroize", "nokia-sros-macsec-pair", "zeroize", 0,
        |_| words("--channel ca1"), "channel ca1: "),
    case!("encryptor-encryption", "packetlight-pair", "set-encryption", 0, |desk| {
        let uri = desk.uri(0);
        let channel = first_channel(&desk.bench, &uri, &desk.common[1]);
        vec!["off".to_owned(), "--channel".to_owned(), channel]
    }, "disabled"),
    case!("encryptor-roll", "nokia-sros-macsec-pair", "activate", 0, |desk| {
        let keys = &desk.keys.as_ref().unwrap().ready().uris;
        vec![
            "--peer".to_owned(), desk.uri(1),
            "--source".to_owned(), with_deadline(&keys[0]),
            "--peer-source".to_owned(), with_deadline(&keys[1]),
        ]
    }, "near end now"),
];

/// Commands that no driver supports, which are refused before anything is sent.
const UNSUPPORTED: [(&str, &str); 1] = [("key-stop", "veriqloud-qline-pair")];

/// Runs a case, with faults of the device, until its change has begun.
fn begin(case: &Case, faults: &[&str]) -> (Desk, Running) {
    let desk = Desk::new(case.profile);
    let uri = desk.uri(case.place);
    let arguments = (case.arguments)(&desk);
    // Keys are taken in one exchange, most other changes in several.
    let delay = if case.verb == "key-take" {
        "delay=500ms"
    } else {
        "delay=200ms"
    };
    for fault in faults.iter().chain(&[delay]) {
        desk.device.fault(fault).unwrap();
    }
    let verb = case.verb.split('-').map(str::to_owned);
    let yes = ["--yes".to_owned()];
    let all = verb
        .chain([uri.clone()])
        .chain(arguments)
        .chain(yes)
        .chain(desk.common.iter().cloned());
    // Some cases make a change of the same operation first.
    let earlier = desk.bench.journal().len();
    let running = Running::start(&desk.bench, all);
    let is_begun = begun(case.operation, &uri);
    desk.bench.until(case.verb, || {
        let text = desk.bench.journal_text();
        let mut new = text.lines().skip(earlier);
        new.any(|l| serde_json::from_str(l).is_ok_and(|l| is_begun(&l)))
    });
    (desk, running)
}

/// Runs all cases in parallel, because most of their time is delays of the emulators.
fn for_each_case(is_wanted: impl Fn(&Case) -> bool, check: impl Fn(&Case) + Sync) {
    let failed: Vec<&str> = std::thread::scope(|scope| {
        let all: Vec<_> = CASES
            .iter()
            .filter(|case| is_wanted(case))
            .map(|case| (case.verb, scope.spawn(|| check(case))))
            .collect();
        all.into_iter()
            .filter_map(|(verb, thread)| thread.join().is_err().then_some(verb))
            .collect()
    });
    assert_eq!(failed, Vec::<&str>::new(), "see above");
}

#[test]
fn each_command_that_changes_a_device_is_listed_here() {
    let bench = Bench::new();
    let folder = bench.path("man");
    let to = folder.display().to_string();
    bench.run(["man", "--to", &to]).exits(0);
    let changing: BTreeSet<String> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            let page = std::fs::read_to_string(path).unwrap();
            page.contains(r"[\fB\-\-yes\fR]")
        })
        .map(|path| {
            let name = path.file_stem().unwrap().to_str().unwrap();
            name.strip_prefix("qkdctl-").unwrap().to_owned()
        })
        .collect();
    let listed: BTreeSet<String> = CASES
        .iter()
        .map(|case| case.verb)
        .chain(UNSUPPORTED.map(|(verb, _)| verb))
        .map(str::to_owned)
        .collect();
    assert_eq!(changing, listed);
}

#[test]
fn a_command_that_no_driver_supports_sends_nothing() {
    for (verb, profile) in UNSUPPORTED {
        let desk = Desk::new(profile);
        let uri = desk.uri(0);
        let verb = verb.split('-').collect::<Vec<_>>();
        desk.run(&[&verb[..], &[&uri, "--yes"]].concat()).exits(5);
        assert_eq!(desk.bench.journal_text(), "");
    }
}

#[test]
fn a_change_that_a_signal_meets_is_finished_read_back_and_printed() {
    for_each_case(
        |_| true,
        |case| {
            let (desk, running) = begin(case, &[]);
            running.signal(Signal::SIGTERM);
            let run = running.ended().exits(8).expect_text(case.says);
            for line in [
                "SIGTERM: completes the present step and reads back",
                "SIGTERM arrived during a change",
            ] {
                assert_eq!(run.err.matches(line).count(), 1, "{}: {run:#?}", case.verb);
            }
            let last = desk.bench.journal().pop().unwrap();
            let outcome = last["outcome"].as_str().unwrap();
            assert!(
                ["done", "done, after SIGTERM"].contains(&outcome),
                "{}: {last:#}",
                case.verb
            );
        },
    );
}

#[test]
fn a_change_that_two_signals_meet_ends_at_once_after_one_line() {
    for_each_case(
        |_| true,
        |case| {
            let (desk, running) = begin(case, &[]);
            desk.device.fault("delay=50s").unwrap();
            running.signal(Signal::SIGINT);
            running.signal(Signal::SIGTERM);
            let run = running.ended().exits(8);
            assert_eq!(run.err.matches("ends immediately;").count(), 1, "{run:#?}");
            assert_eq!(run.out, "", "{}", case.verb);
            let last = desk.bench.journal().pop().unwrap();
            assert_eq!(last["outcome"], "begun", "{}", case.verb);
        },
    );
}

#[test]
fn a_change_that_is_refused_after_a_signal_is_followed_by_the_state() {
    let states = BTreeMap::from([
        ("set", "now: boot-mode = "),
        ("switch-apply", "paths now: "),
        ("switch-port", "port 3: enabled"),
        ("switch-protect-set", "automatic"),
        ("encryptor-stage", "now: channel ca1: "),
        ("encryptor-activate", "now: channel ca1: "),
    ]);
    for_each_case(
        |case| states.contains_key(case.verb),
        |case| {
            let (desk, running) = begin(case, &["refuse=9"]);
            running.signal(Signal::SIGTERM);
            let run = running.ended();
            assert!([1, 8].contains(&run.code), "{}: {run:#?}", case.verb);
            let run = run.complains(states[case.verb]);
            assert!(run.err.contains("error: "), "{}: {run:#?}", case.verb);
            let last = desk.bench.journal().pop().unwrap();
            let outcome = last["outcome"].as_str().unwrap();
            assert!(
                !["begun", "done"].contains(&outcome),
                "{}: {last:#}",
                case.verb
            );
        },
    );
}
