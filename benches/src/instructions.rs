//! Instructions of one round, by valgrind's callgrind: what a busy machine cannot blur. User space
//! only; the kernel's part is not in them.

use crate::{
    handle::{self, Around},
    keys, snmp,
    tool::{compile, row},
};
use qkd_driver_kit::link::snmp_udp::SnmpClientLibrary;
use qkd_interop::snmpd::Snmpd;
use std::process::Command;

/// Rounds of the shorter run; the longer has twice as many, and the difference has no start-up in
/// it.
const ROUNDS: u32 = 1_000;

/// Runs a number of rounds of a case: `<case> <rounds> <port>`.
pub(crate) fn rounds(arguments: &[String]) {
    let [case, n, port] = arguments else {
        panic!("a case, a number of rounds and a port")
    };
    let (n, port) = (n.parse().expect("a number"), port.parse().expect("a port"));
    match case.as_str() {
        "bare" => handle::handle_calls(Around::Nothing)(n),
        "checked" => handle::handle_calls(Around::Check)(n),
        "layered" => handle::handle_calls(Around::CheckAndLayer)(n),
        "stage" => handle::serialised(handle::stage())(n),
        "apply" => handle::serialised(handle::apply())(n),
        "usb" => handle::usb_calls()(n),
        "line" => handle::line_exchanges()(n),
        "keys" => drop(keys::deliver_batches(n)),
        version => drop(snmp::ours(
            port,
            version,
            SnmpClientLibrary::AsyncSnmp,
            n,
            1,
        )),
    }
}

/// Instructions of a whole run; `None`, with a word, if they can't be counted here.
fn collected(program: &str, arguments: &[String]) -> Option<u64> {
    let output = Command::new("valgrind")
        .args([
            "--tool=callgrind",
            "--callgrind-out-file=/dev/null",
            program,
        ])
        .args(arguments)
        .output();
    let text = output
        .map(|o| String::from_utf8_lossy(&o.stderr).into_owned())
        .unwrap_or_else(|e| e.to_string());
    let counted = text
        .lines()
        .find_map(|l| l.split_once("Collected :")?.1.trim().parse().ok());
    if counted.is_none() {
        eprintln!(
            "instructions of {arguments:?} are left out: {}",
            text.lines().last().unwrap_or_default()
        );
    }
    counted
}

fn each(program: &str, arguments: impl Fn(u32) -> Vec<String>) -> Option<f64> {
    let [short, long] = [1, 2].map(|times| collected(program, &arguments(times * ROUNDS)));
    Some((long? as f64 - short? as f64) / f64::from(ROUNDS))
}

pub(crate) fn run() {
    let program = std::env::current_exe()
        .expect("this program")
        .display()
        .to_string();
    let ours = |case: &'static str, port: u16| {
        each(&program, |n| {
            vec![
                "rounds".to_owned(),
                case.to_owned(),
                n.to_string(),
                port.to_string(),
            ]
        })
    };
    println!("| one round | ours, instructions | reference | ratio | |\n|---|---|---|---|---|");
    if let (Some(bare), Some(checked)) = (ours("bare", 0), ours("checked", 0)) {
        row(
            "a call of a handle with its checks",
            &format!("{checked:.0}"),
            &format!("{bare:.0} without them"),
            None,
            "",
        );
    }
    for (case, what) in [
        ("layered", "the same with one empty layer"),
        ("stage", "a request to JSON and back: `stage`"),
        ("apply", "a request to JSON and back: `apply` of two steps"),
        (
            "usb",
            "a whole call over an in-memory USB link, emulator included",
        ),
        (
            "line",
            "an exchange of the line's owner over in-memory bytes, far end included",
        ),
        (
            "keys",
            "a batch of 128 keys of 256 bit, taken and handed on",
        ),
    ] {
        if let Some(count) = ours(case, 0) {
            row(what, &format!("{count:.0}"), "-", None, "");
        }
    }
    let Some((_folder, reference)) = compile("snmp", &["netsnmp"]) else {
        return;
    };
    let agent = match Snmpd::start() {
        Ok(agent) => agent,
        Err(error) => {
            eprintln!("SNMP rows are left out: {error}");
            return;
        }
    };
    for version in ["v2c", "v3"] {
        let of = |n: u32| {
            [
                version,
                &agent.port.to_string(),
                snmp::NAME_TEXT,
                &n.to_string(),
                "1",
            ]
            .map(str::to_owned)
            .to_vec()
        };
        if let (Some(theirs), Some(mine)) = (
            each(&reference.display().to_string(), of),
            ours(version, agent.port),
        ) {
            row(
                &format!("an SNMP GET, {version}"),
                &format!("{mine:.0}"),
                &format!("{theirs:.0} (net-snmp)"),
                Some(theirs / mine),
                "",
            );
        }
    }
}
