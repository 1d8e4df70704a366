//! SNMP: our link against net-snmp's C library, on the same agent; our agents against snmpsim, under the same client.

use crate::tool::{beside, compile, current_thread, number, row};
use futures::{StreamExt, stream::FuturesUnordered};
use qkd_driver_kit::{
    credentials::Entry,
    link::{
        snmp::{Oid, SnmpLink},
        snmp_udp::{Security, UdpSnmp},
    },
};
use qkd_hal::event::EventHub;
use qkd_interop::snmpd::{AUTH_PASSWORD, PRIV_PASSWORD, Snmpd, USER};
use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

/// sysUpTime.0
const NAME: [u32; 9] = [1, 3, 6, 1, 2, 1, 1, 3, 0];
const NAME_TEXT: &str = "1.3.6.1.2.1.1.3.0";
const PATIENCE: Duration = Duration::from_secs(5);

fn security(version: &str) -> Security {
    let entry = Entry::new("bench");
    let entry = match version {
        "v3" => entry.with("user", USER).with("auth_password", AUTH_PASSWORD).with("priv_password", PRIV_PASSWORD),
        _ => entry.with("community", "public"),
    };
    Security::from_entry(&entry).expect("credentials")
}

async fn open(port: u16, version: &str) -> Arc<UdpSnmp> {
    UdpSnmp::open(&format!("127.0.0.1:{port}"), security(version), PATIENCE, EventHub::default(), None).await.expect("the agent answers")
}

fn ours(port: u16, version: &str, count: u32, in_flight: usize) -> f64 {
    current_thread().block_on(async {
        let link = open(port, version).await;
        let name = [Oid::from(NAME)];
        let ask = || async { link.get(&name, PATIENCE).await.expect("an answer") };
        // Sessions are made once; what is measured is the traffic after that.
        futures::future::join_all((0..in_flight).map(|_| ask())).await;
        let begun = Instant::now();
        if in_flight <= 1 {
            for _ in 0..count {
                ask().await;
            }
        } else {
            let mut running: FuturesUnordered<_> = (0..in_flight).map(|_| ask()).collect();
            for _ in 0..count {
                running.next().await;
                running.push(ask());
            }
        }
        f64::from(count) / begun.elapsed().as_secs_f64()
    })
}

fn side_by_side(what: &str, port: u16, reference: &Path, version: &str, count: u32, in_flight: usize, goal: &str) {
    let mut pairs = Vec::new();
    for _ in 0..5 {
        let arguments = [version, &port.to_string(), NAME_TEXT, &count.to_string(), &in_flight.to_string()].map(str::to_owned);
        let Some(theirs) = number(reference, &arguments.iter().map(String::as_str).collect::<Vec<_>>()) else {
            eprintln!("{what}: the reference failed, so its row is left out");
            return;
        };
        let ours = ours(port, version, count, in_flight);
        pairs.push((ours / theirs, ours, theirs));
    }
    pairs.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (ratio, ours, theirs) = pairs[pairs.len() / 2];
    row(what, &format!("{ours:.0}/s"), &format!("{theirs:.0}/s (net-snmp)"), Some(ratio), goal);
}

pub(crate) fn client(scale: u32) {
    let Some((_folder, reference)) = compile("snmp", &["netsnmp"]) else { return };
    let agent = match Snmpd::start() {
        Ok(agent) => agent,
        Err(error) => {
            eprintln!("SNMP client rows are left out: {error}");
            return;
        }
    };
    let count = 20_000 / scale;
    side_by_side("SNMP GET one after another, v2c, snmpd", agent.port, &reference, "v2c", count, 1, "≥ 0.95");
    side_by_side("SNMP GET one after another, v3 authPriv, snmpd", agent.port, &reference, "v3", count, 1, "≥ 0.95");
    side_by_side("SNMP GET, 64 in flight over one pooled link, v2c, snmpd", agent.port, &reference, "v2c", count, 64, "≥ 1");
    side_by_side("SNMP GET, 64 in flight over one pooled link, v3 authPriv, snmpd", agent.port, &reference, "v3", count, 64, "≥ 1");
}

pub(crate) fn agent(_scale: u32) {
    let _servers = beside();
}
