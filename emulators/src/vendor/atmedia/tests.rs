use super::{Atmedia, ENTERPRISE, agent, links};
use crate::{
    clock::Clock,
    fault::{ApplyDeviceFault, DeviceFault},
    model::encryptor::psk::PskLink,
    wire::snmp::{
        Agent, NodeOptions, SnmpAgent,
        testing::{Heard, binds, oid, vector, vectors, walk},
    },
};
use qkd_driver_kit::link::snmp::{ErrorStatus, SnmpService, Value, VarBind};
use qkd_hal::Identity;
use std::{sync::Arc, time::Duration};

const VECTORS: &str = include_str!("../../../vectors/atmedia.json");

fn encryptor() -> (Arc<Agent<Atmedia>>, Vec<Arc<PskLink>>, Clock) {
    let clock = Clock::manual();
    let links = links(&clock, 2);
    let identity = Identity::new("atmedia")
        .with_model("10G Ethernet Encryptor")
        .with_serial("AT00801")
        .with_firmware("2.1.0");
    let options = NodeOptions::named("atm", ENTERPRISE);
    (agent(links.clone(), identity, options), links, clock)
}
fn check(agent: &Agent<Atmedia>, name: &str) {
    for bind in binds(vector(&vectors(VECTORS), name)) {
        assert_eq!(agent.get(&bind.oid), bind.value, "{name}: {}", bind.oid);
    }
}

#[test]
fn a_healthy_encryptor_reads_as_in_the_vectors_and_its_counters_move() {
    let (agent, _, clock) = encryptor();
    clock.advance(Duration::from_secs(2));
    for name in [
        "identity",
        "numbers of rows",
        "engines encrypt",
        "interfaces are up",
        "octets",
        "power and temperature",
        "line without alarms",
    ] {
        check(&agent, name);
    }
    assert!(walk(agent.as_ref()).len() > 100);
    clock.advance(Duration::from_secs(1));
    let octets = oid("1.3.6.1.4.1.13458.1.4.1.2.1.8.4");
    assert_eq!(agent.get(&octets), Value::Counter64(3_000_000));
    clock.advance(Duration::from_secs(7200));
    check(&agent, "engines encrypt");
}

#[test]
fn a_cut_line_raises_alarms_and_stops_the_engine() {
    let (agent, links, clock) = encryptor();
    let mut heard = Heard::new(agent.as_ref());
    clock.advance(Duration::from_secs(4));
    agent.apply(&DeviceFault::Cut(Some("1".into()))).unwrap();
    check(&agent, "an interface is down");
    check(&agent, "loss of signal");
    clock.advance(Duration::from_secs(1));
    check(&agent, "an engine is stopped");
    check(&agent, "time of the last change of an engine");
    clock.advance(Duration::from_secs(1));
    assert_eq!(links[0].traffic_from(0).blocked, 1000);
    agent.apply(&DeviceFault::Clear).unwrap();
    check(&agent, "interfaces are up");
    clock.advance(Duration::from_secs(1));
    check(&agent, "engines encrypt");
    let alarms = oid("1.3.6.1.4.1.13458.1.6.4.2.2.1.2.2");
    assert_eq!(agent.get(&alarms), Value::Counter64(1), "it counts cuts");
    assert!(agent.apply(&DeviceFault::Cut(Some("3".into()))).is_err());
    agent.tick();
    assert!(heard.is_empty(), "the MIB has no notifications");
}

#[test]
fn plain_mode_a_failed_engine_and_power() {
    let (agent, links, clock) = encryptor();
    let operator = |text: &str| agent.apply(&DeviceFault::Operator(text.into()));
    operator("plain").unwrap();
    check(&agent, "an engine is in plain mode");
    clock.advance(Duration::from_secs(1));
    assert_eq!(links[0].traffic_from(0).clear, 1000);
    operator("encrypt").unwrap();
    check(&agent, "engines encrypt");
    agent.apply(&DeviceFault::PortFails(1)).unwrap();
    check(&agent, "an engine is stopped");
    agent.apply(&DeviceFault::Clear).unwrap();
    clock.advance(Duration::from_secs(31));
    check(&agent, "engines encrypt");
    operator("1/alter-secret").unwrap();
    operator("1/exchange").unwrap();
    clock.advance(Duration::from_secs(1));
    check(&agent, "an engine is stopped");
    operator("power-fails").unwrap();
    check(&agent, "power supply down");
    operator("power-returns").unwrap();
    check(&agent, "power and temperature");
}

#[test]
fn nothing_is_written() {
    let (agent, ..) = encryptor();
    let before = agent.state();
    for (name, value) in [
        ("1.1.3.0", Value::text("other")),
        ("1.4.2.2.1.2.1", Value::Integer(3)),
    ] {
        let name = oid(&format!("1.3.6.1.4.1.13458.{name}"));
        let pdu = [VarBind::new(name, value)];
        assert_eq!(agent.set(1, &pdu), Err((ErrorStatus::NotWritable, 1)));
    }
    assert_eq!(agent.state(), before);
    assert!(agent.apply(&DeviceFault::Full).is_err());
    agent.apply(&DeviceFault::Identity("AT9".into())).unwrap();
    let serial = oid("1.3.6.1.4.1.13458.1.1.2.0");
    assert_eq!(agent.get(&serial), Value::text("AT9"));
}
