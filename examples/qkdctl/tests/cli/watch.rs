//! `qkdctl watch` over a pipe: a line for each change and event.

use crate::bench::{Bench, closed_port};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use qkd_emulators::{
    profile::{Options, RunningEmulator},
    profiles,
};
use serde_json::Value;
use std::{
    io::{BufRead, BufReader, Lines},
    process::{Child, ChildStdout, Stdio},
};

/// A running watch. It ends automatically after a minute, so that a missing line cannot block the
/// test.
pub(crate) struct Watch {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Watch {
    pub(crate) fn of(bench: &Bench, arguments: &[&str]) -> Self {
        let always = ["watch", "--interval", "100ms", "--for", "60s"];
        let mut child = bench
            .command(always.iter().chain(arguments))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines }
    }
    /// The next line that holds this.
    #[track_caller]
    pub(crate) fn until(&mut self, what: &str) -> String {
        let mut before = Vec::new();
        for line in self.lines.by_ref() {
            let line = line.unwrap();
            if line.contains(what) {
                return line;
            }
            before.push(line);
        }
        panic!("no `{what}`: {before:#?}")
    }
    /// Ends it by a signal; the exit code.
    pub(crate) fn ended(mut self) -> i32 {
        kill(
            Pid::from_raw(i32::try_from(self.child.id()).unwrap()),
            Signal::SIGTERM,
        )
        .unwrap();
        self.lines.by_ref().for_each(|line| drop(line.unwrap()));
        self.child.wait().unwrap().code().unwrap()
    }
}

/// Starts an emulator at this address as soon as it is free.
fn start_at(bench: &Bench, name: &str, address: &str) -> RunningEmulator {
    let listen = address.parse().unwrap();
    let options = Options {
        listen: Some(listen),
        ..Options::default().seeded(7)
    };
    std::iter::repeat_with(|| bench.runtime.block_on(profiles::start(name, &options)))
        .take(100_000)
        .find_map(Result::ok)
        .expect("the port is free again")
}

#[test]
fn each_device_is_read_as_often_as_was_asked() {
    let bench = Bench::new();
    let (switch, link, encryptors) = (
        bench.start("polatis-16x16"),
        bench.start_stored("veriqloud-qline-pair"),
        bench.start("nokia-sros-macsec-pair"),
    );
    let source = bench.start("idq-quantis");
    let credentials = bench.credentials("credentials.toml", &[&encryptors]);
    let uris = [&switch, &link, &encryptors, &source].map(|r| r.ready().uri.as_str());
    switch.fault("operator=connect:3-20").unwrap();
    let watch = |more: &[&str]| {
        bench.run(
            ["watch"]
                .iter()
                .chain(&uris)
                .chain(&["--credentials", &credentials, "--interval", "100ms"])
                .chain(more),
        )
    };
    let run = watch(&["--count", "2"])
        .exits(0)
        .expect_text("health: ok")
        .expect_text("paths: 3-20")
        .expect_text("power 20: ")
        .expect_text("keys stored: ")
        .expect_text("ca1 state: ")
        .expect_text("modules.status: ");
    assert!(
        !run.out.contains('?'),
        "a URI without its parameters is unique: {run:#?}"
    );
    assert_eq!(
        run.out.matches("health: ok").count(),
        4,
        "an unchanged state is reported once: {run:#?}"
    );

    let json = watch(&["--count", "1", "--output", "json"]).exits(0);
    let lines: Vec<Value> = json
        .out
        .lines()
        .map(|l| serde_json::from_str(l).unwrap())
        .collect();
    assert_eq!(lines.len(), 4, "{lines:#?}");
    for uri in uris {
        let line = lines.iter().find(|l| l["uri"] == uri).unwrap();
        assert_eq!(
            (
                line["news"]["is"].as_str(),
                line["news"]["values"]["health"].as_str()
            ),
            (Some("readings"), Some("ok")),
            "{line:#}"
        );
    }
}

#[test]
fn changes_are_reported_as_they_occur_and_do_not_block_others() {
    let bench = Bench::new();
    let switch = bench.start("polatis-16x16");
    let uri = switch.ready().uri.clone();
    let mut watch = Watch::of(&bench, &[&uri]);
    watch.until("paths: dark");
    // The lock is held for as long as a reading takes: one of many tries meets a moment in which it
    // is free.
    let done = std::iter::repeat_with(|| {
        bench.run(["switch", "apply", &uri, "--connect", "1-17", "--yes"])
    })
    .take(50)
    .find(|run| run.code != 4)
    .unwrap();
    done.exits(0);
    watch.until("paths: dark -> 1-17");
    watch.until("power 17: - -> ");
    let address = switch.ready().endpoints[0].address.clone();
    drop(switch);
    watch.until("the driver says: the link is lost");
    watch.until("away: ");
    let switch = start_at(&bench, "polatis-16x16", &address);
    watch.until("the driver says: the link is back, and the same device answers");
    watch.until("is back");
    watch.until("paths: 1-17 -> dark");
    switch.fault("identity=999999").unwrap();
    switch.fault("reset@once").unwrap();
    watch.until("another device answers");
    watch.until("(REPLACED) is back");
    assert_eq!(
        watch.ended(),
        7,
        "another one was opened, and this was not acknowledged"
    );
}

#[test]
fn a_missing_device_is_awaited() {
    let bench = Bench::new();
    let (address, held) = closed_port();
    let uri = format!("polatis+tcp://{address}");
    let once = bench
        .run(["watch", &uri, "--count", "1", "--interval", "100ms"])
        .exits(3)
        .expect_text("away: ");
    assert_eq!(once.err, "");
    let mut watch = Watch::of(&bench, &[&uri, "--output", "json"]);
    let away: Value = serde_json::from_str(&watch.until("trouble")).unwrap();
    assert_eq!(
        (away["news"]["word"].as_str(), away["news"]["kind"].as_str()),
        (Some("away"), Some("unreachable"))
    );
    drop(held);
    let _switch = start_at(&bench, "polatis-16x16", &address);
    watch.until(r#""is":"back""#);
    watch.until(r#""paths":"#);
    assert_eq!(watch.ended(), 0);
}

#[test]
fn errors_of_devices_are_reported_as_errors_of_the_device() {
    let bench = Bench::new();
    let port = std::net::UdpSocket::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .to_string();
    let encryptors = bench.start_with(
        "packetlight-pair",
        Options::default().with("trap-target", &port),
    );
    let credentials = bench.credentials("credentials.toml", &[&encryptors]);
    let mut watch = Watch::of(
        &bench,
        &[
            &encryptors.ready().uri,
            "--credentials",
            &credentials,
            "--notifications",
            &port,
        ],
    );
    watch.until("state: ");
    encryptors.fault("alarm=223").unwrap();
    watch.until("the device says: alarm");
    assert_eq!(watch.ended(), 0);
    let switch = bench.start("polatis-16x16");
    bench
        .run(["watch", &switch.ready().uri, "--notifications", &port])
        .exits(2)
        .complains("SNMP");
}

#[test]
fn an_invalid_argument_ends_the_emulator_immediately() {
    let bench = Bench::new();
    let switch = bench.start("polatis-16x16");
    let uri = switch.ready().uri.as_str();
    bench.run(["watch", uri, "sw9"]).exits(2).complains("sw9");
    bench
        .run(["watch", &format!("{uri}?speed=1")])
        .exits(2)
        .complains("deadline");
    bench
        .run(["watch", uri, "--interval", "1ms"])
        .exits(2)
        .complains("100ms");
    bench.run(["watch", uri, "--count", "0"]).exits(2);
    bench.run(["watch"]).exits(2);
}

#[test]
fn it_ends_when_no_caller_reads_any_more() {
    let bench = Bench::new();
    let source = bench.start("nokia-sros-macsec-pair");
    let credentials = bench.credentials("credentials.toml", &[&source]);
    // Its counters increase, so that there is always an update.
    let mut watch = Watch::of(
        &bench,
        &[&source.ready().uri, "--credentials", &credentials],
    );
    watch.until("encrypted: ");
    let begun = std::time::Instant::now();
    let Watch { mut child, lines } = watch;
    drop(lines);
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert!(
        begun.elapsed().as_secs() < 30,
        "it did not wait for its end"
    );
}
