//! Checks by software that we did not write. Each is named; one whose tool is missing fails by
//! name, it never passes silently.
//!
//! `foreign-checks all`, or one of the names that `foreign-checks list` shows.

mod foreign {
    pub(crate) mod agiltron;
    pub(crate) mod dicon;
    pub(crate) mod encryptors;
    pub(crate) mod etsi014;
    pub(crate) mod kernel_usb;
    pub(crate) mod netsnmp;
    pub(crate) mod notifications;
    pub(crate) mod pysnmp;
    pub(crate) mod recorded_agents;
    pub(crate) mod serial_switches;
    pub(crate) mod snmp_clients;
    pub(crate) mod snmpd;
    pub(crate) mod tools;
    pub(crate) mod visa;
}

use std::process::ExitCode;

type Check = fn() -> Result<String, String>;

const CHECKS: &[(&str, Check)] = &[
    ("our-link-on-snmpd", foreign::snmpd::run),
    ("net-snmp-on-our-agents", foreign::netsnmp::run),
    ("net-snmp-into-our-receiver", foreign::notifications::run),
    ("pysnmp-on-our-agents", foreign::pysnmp::run),
    ("snmp-clients-on-our-agents", foreign::snmp_clients::run),
    (
        "our-drivers-on-recorded-agents",
        foreign::recorded_agents::run,
    ),
    ("python-014-client-on-our-server", foreign::etsi014::client),
    ("qkdsec-doctor-on-our-server", foreign::etsi014::doctor),
    (
        "rust-014-client-on-our-server",
        foreign::etsi014::crate_client,
    ),
    ("agiltron-clients-on-our-switches", foreign::agiltron::run),
    ("pyvisa-on-our-switch", foreign::visa::run),
    ("pyvisa-serial-switches", foreign::serial_switches::run),
    ("autosweep-on-our-matrix", foreign::dicon::run),
    ("lxi-tools-on-our-switches", foreign::tools::lxi),
    ("swanctl-on-our-daemons", foreign::encryptors::swanctl),
    ("wg-on-our-devices", foreign::encryptors::wg),
    ("usbip-lists-our-device", foreign::tools::usbip),
    ("our-usb-driver-on-linux", foreign::kernel_usb::run),
];

fn main() -> ExitCode {
    let wanted = std::env::args().nth(1).unwrap_or_else(|| "all".to_owned());
    if wanted == "list" {
        CHECKS.iter().for_each(|(name, _)| println!("{name}"));
        return ExitCode::SUCCESS;
    }
    let chosen: Vec<_> = CHECKS
        .iter()
        .filter(|(name, _)| wanted == "all" || wanted == *name)
        .collect();
    if chosen.is_empty() {
        eprintln!("there is no check `{wanted}`; `list` names them");
        return ExitCode::from(2);
    }
    let mut failed = 0;
    for (name, check) in &chosen {
        match check() {
            Ok(what) => println!("PASS {name}: {what}"),
            Err(why) => {
                failed += 1;
                println!("FAIL {name}: {why}");
            }
        }
    }
    println!("{} passed, {failed} failed", chosen.len() - failed);
    if failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// A runtime for a check.
pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime")
        .block_on(future)
}

/// Runs a tool; its name in every error.
pub(crate) fn tool(name: &str, arguments: &[&str]) -> Result<String, String> {
    let output = std::process::Command::new(name)
        .args(arguments)
        .env("MIBS", "")
        .output()
        .map_err(|e| format!("{name} cannot be run: {e}"))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        Ok(text)
    } else {
        Err(format!(
            "{name} {} ended with {}: {text}{}",
            arguments.join(" "),
            output.status,
            String::from_utf8_lossy(&output.stderr)
        ))
    }
}

/// Runs a script of this folder with the Python of `QKD_CI_PYTHON`, where `.ci/run` has put the
/// packages from PyPI.
pub(crate) fn python(script: &str, arguments: &[&str]) -> Result<String, String> {
    let python = std::env::var("QKD_CI_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/bin/foreign/").to_owned() + script;
    tokio::task::block_in_place(|| tool(&python, &[&[path.as_str()], arguments].concat()))
}

/// Something that a check has found to be right.
pub(crate) fn print_check(what: &str) {
    println!("  ✓ {what}");
}

/// A condition of a check.
pub(crate) fn expect(holds: bool, otherwise: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(otherwise()) }
}
