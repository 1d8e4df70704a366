use super::{MacsecDevice, Options, agent, links};
use crate::{
    clock::Clock,
    fault::{ApplyDeviceFault, DeviceFault},
    model::encryptor::mka::MkaLink,
    wire::snmp::{
        Agent, SnmpAgent,
        testing::{Heard, binds, oid, vector, vectors, walk},
    },
};
use qkd_driver_kit::link::snmp::{ErrorStatus, SnmpService, Value, VarBind};
use qkd_hal::Identity;
use std::{sync::Arc, time::Duration};

const VECTORS: &str = include_str!("../../../vectors/ieee-macsec.json");

fn device_with(same_index: bool) -> (Arc<Agent<MacsecDevice>>, Vec<Arc<MkaLink>>, Clock) {
    let clock = Clock::manual();
    let links = links(&clock, 1, 2);
    let mut options = Options::named("macsec");
    options.same_index = same_index;
    let identity = Identity::new("IEEE").with_serial("IM1");
    (agent(links.clone(), &identity, options), links, clock)
}
fn device() -> (Arc<Agent<MacsecDevice>>, Vec<Arc<MkaLink>>, Clock) {
    device_with(false)
}
fn check(agent: &Agent<MacsecDevice>, name: &str) {
    for bind in binds(vector(&vectors(VECTORS), name)) {
        assert_eq!(agent.get(&bind.oid), bind.value, "{name}: {}", bind.oid);
    }
}

#[test]
fn a_secured_device_reads_as_in_the_vectors_and_its_counters_move() {
    let (agent, _, clock) = device();
    clock.advance(Duration::from_secs(2));
    for name in [
        "ports",
        "secured",
        "key number 1",
        "first participant is the principal",
        "live peer",
        "frames are protected and checked",
        "GCM-AES-256",
        "sending SA",
        "encrypted packets",
        "received packets",
        "no unsecured connectivity",
    ] {
        check(&agent, name);
    }
    let rows = walk(agent.as_ref());
    assert!(rows.len() > 150, "{}", rows.len());
    for bind in &rows {
        assert!(!matches!(&bind.value, Value::OctetString(t) if t.starts_with(b"emulated key")));
    }
    clock.advance(Duration::from_secs(1));
    let sent = oid("1.0.8802.1.1.3.1.2.2.1.4.102");
    assert_eq!(agent.get(&sent), Value::Counter64(3000));
}

#[test]
fn another_key_of_the_server_gives_another_key_number_and_principal() {
    let (agent, links, clock) = device();
    links.iter().for_each(|l| l.set_active(1, 2).unwrap());
    clock.advance(Duration::from_secs(2));
    let operator = |text: &str| agent.apply(&DeviceFault::Operator(text.into()));
    operator("eth1/activate:2").unwrap();
    check(&agent, "secured");
    check(&agent, "key number 2");
    check(&agent, "second participant is the principal");
    clock.advance(Duration::from_secs(1));
    let old = oid("1.0.8802.1.1.3.1.1.3.1").child(&[2, 101, 1]);
    assert_eq!(agent.get(&old), Value::Integer(2));
    let packets = oid("1.0.8802.1.1.3.1.2.1.1.2.101");
    assert_eq!(agent.get(&packets.child(&[1])), Value::Counter32(2000));
    assert_eq!(agent.get(&packets.child(&[2])), Value::Counter32(1000));
    let other = oid("1.3.111.2.802.1.1.15.1.6.1.1.18.2");
    assert_eq!(agent.get(&other), Value::Gauge32(1), "the other interface");
    assert!(operator("eth3/activate:2").is_err());
}

#[test]
fn another_key_of_the_peer_ends_the_session_and_fails_after_the_life_time() {
    let (agent, links, clock) = device();
    let all = vectors(VECTORS);
    let mut heard = Heard::new(agent.as_ref());
    agent
        .apply(&DeviceFault::Operator("other-key".into()))
        .unwrap();
    for name in [
        "not secured",
        "no participant is the principal",
        "no sending SA",
    ] {
        check(&agent, name);
    }
    heard.is_like(vector(&all, "controlled port down"), |_| false);
    let failed = oid("1.3.111.2.802.1.1.15.1.6.1.1.4.1");
    clock.advance(Duration::from_millis(5999));
    assert_eq!(agent.get(&failed), Value::Integer(2));
    clock.advance(Duration::from_millis(1));
    check(&agent, "failed");
    assert_eq!(links[0].traffic_from(0).dropped(), 6000);
    assert_eq!(links[1].traffic_from(0).dropped(), 0);
    // A key that both hold.
    agent
        .apply(&DeviceFault::Operator("1/activate:2".into()))
        .unwrap();
    links[0].set_active(1, 2).unwrap();
    check(&agent, "secured");
    heard.is_like(vector(&all, "controlled port up"), |_| false);
    assert!(heard.is_empty());
}

#[test]
fn a_cut_line_and_a_disabled_port() {
    let (agent, ..) = device();
    let status = |index| agent.get(&oid("1.3.6.1.2.1.2.2.1.8").child(&[index]));
    let mut heard = Heard::new(agent.as_ref());
    let cut = |name: &str| agent.apply(&DeviceFault::Cut(Some(name.into())));
    cut("1").unwrap();
    assert_eq!([status(1), status(101)], [2, 7].map(Value::Integer));
    assert_eq!([status(2), status(102)], [1, 1].map(Value::Integer));
    assert_eq!([heard.next(), heard.next()], [3, 3]);
    assert!(heard.is_empty() && cut("9").is_err());
    agent.apply(&DeviceFault::Clear).unwrap();
    check(&agent, "secured");
    assert_eq!([heard.next(), heard.next()], [4, 4]);
    agent.apply(&DeviceFault::PortFails(2)).unwrap();
    assert_eq!([status(2), status(102)], [2, 7].map(Value::Integer));
    let active = oid("1.3.111.2.802.1.1.15.1.6.1.1.1");
    agent.apply(&DeviceFault::Reboot).unwrap();
    assert_eq!(agent.get(&active.child(&[1])), Value::Integer(1));
    let number = oid("1.3.111.2.802.1.1.15.1.6.1.1.18.1");
    assert_eq!(agent.get(&number), Value::Gauge32(3), "mended, restarted");
}

#[test]
fn nothing_is_written() {
    let (agent, ..) = device();
    let before = agent.state();
    for name in [
        "1.0.8802.1.1.3.1.1.1.1.5.101",
        "1.0.8802.1.1.3.1.1.1.1.6.101",
        "1.3.111.2.802.1.1.15.1.1.5.1.16.1",
        "1.3.6.1.2.1.2.2.1.7.1",
    ] {
        let pdu = [VarBind::new(oid(name), Value::Integer(2))];
        assert_eq!(agent.set(1, &pdu), Err((ErrorStatus::NotWritable, 1)));
    }
    assert_eq!(agent.state(), before);
    assert!(agent.apply(&DeviceFault::Refuse(1)).is_err());
    agent.apply(&DeviceFault::Identity("IM9".into())).unwrap();
    let serial = oid("1.3.6.1.2.1.47.1.1.1.1.11.1");
    assert_eq!(agent.get(&serial), Value::text("IM9"));
}

#[test]
fn both_mibs_can_have_one_index() {
    let (agent, ..) = device_with(true);
    let rows = walk(agent.as_ref());
    assert!(rows.len() > 140);
    for name in [
        "1.0.8802.1.1.3.1.1.1.1.5.2",
        "1.3.111.2.802.1.1.15.1.6.1.1.3.2",
    ] {
        assert_eq!(agent.get(&oid(name)), Value::Integer(1), "{name}");
    }
    let mut heard = Heard::new(agent.as_ref());
    agent.apply(&DeviceFault::Cut(Some("2".into()))).unwrap();
    assert_eq!(heard.next(), 3);
    assert!(heard.is_empty());
}
