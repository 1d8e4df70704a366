use super::{DROP, ENTERPRISE, PORT, RULES, Waveserver, agent};
use crate::{
    clock::Clock,
    fault::{ApplyDeviceFault, DeviceFault},
    model::encryptor::psk::{PskEndpoint, PskLink, Sends},
    wire::snmp::{
        Agent, NodeOptions, SnmpAgent,
        testing::{Heard, binds, oid, vector, vectors, walk},
    },
};
use qkd_driver_kit::link::snmp::{ErrorStatus, Oid, SnmpService, Value, VarBind};
use qkd_hal::Identity;
use std::{sync::Arc, time::Duration};

const VECTORS: &str = include_str!("../../../vectors/ciena-waveserver.json");
const W: &str = "1.3.6.1.4.1.1271.3.4.23";
const HOUR: Duration = Duration::from_secs(3600);

fn pair() -> ([Arc<Agent<Waveserver>>; 2], Arc<PskLink>, Clock) {
    let clock = Clock::manual();
    let link = PskLink::new(clock.clone(), b"the first key", RULES, HOUR, DROP);
    let ends = [0, 1].map(|n| {
        let identity = Identity::new("Ciena")
            .with_model("Waveserver")
            .with_serial(format!("CW{n}"));
        agent(
            PskEndpoint::new(link.clone(), n, identity),
            NodeOptions::named(&format!("ws-{n}"), ENTERPRISE),
        )
    });
    (ends, link, clock)
}
fn key(column: u32) -> Oid {
    oid(W).child(&[4, 1, column, PORT, 0])
}
fn set(agent: &Agent<Waveserver>, name: Oid, value: Value) -> Result<(), ErrorStatus> {
    agent
        .set(1, &[VarBind::new(name, value)])
        .map_err(|(status, _)| status)
}
fn check(agent: &Agent<Waveserver>, name: &str) {
    for bind in binds(vector(&vectors(VECTORS), name)) {
        assert_eq!(agent.get(&bind.oid), bind.value, "{name}");
    }
}

#[test]
fn a_roll_by_the_vectors_takes_effect_at_the_next_re_authentication() {
    let (ends, link, clock) = pair();
    let all = vectors(VECTORS);
    clock.advance(Duration::from_secs(60));
    for end in &ends {
        for name in ["ports", "a key is set", "peer authenticated", "port up"] {
            check(end, name);
        }
        check(end, "licence and feature");
        check(end, "one hour and drop");
    }
    let before = ends[0].get(&key(3));
    assert!(matches!(&before, Value::OctetString(text) if text.len() == 32));
    ends[0]
        .set(1, &binds(vector(&all, "write the pre-shared key")))
        .unwrap();
    assert_ne!(ends[0].get(&key(3)), before);
    assert_eq!(ends[1].get(&key(3)), before);
    ends[1]
        .set(1, &binds(vector(&all, "write the pre-shared key")))
        .unwrap();
    assert_eq!(ends[1].get(&key(3)), ends[0].get(&key(3)));
    check(&ends[0], "the key reads as empty");
    clock.advance(HOUR - Duration::from_secs(61));
    assert_eq!(link.session().map(|s| s.number), Some(1));
    clock.advance(Duration::from_secs(2));
    assert_eq!(link.session().map(|s| s.number), Some(2));
    check(&ends[1], "peer authenticated");
    assert_eq!(link.traffic_from(0).dropped(), 0);
    let rows = walk(ends[0].as_ref());
    assert_eq!(rows.len(), 6 + 3 + 7 + 3 + 20);
    let hides = |bind: &VarBind| !matches!(&bind.value, Value::OctetString(text) if text.starts_with(b"0001020304"));
    assert!(rows.iter().all(hides));
}

#[test]
fn different_keys_are_found_at_the_re_authentication_and_the_mode_decides() {
    let all = vectors(VECTORS);
    for (mode, sends) in [("drop", Sends::Nothing), ("allow", Sends::Clear)] {
        let (ends, link, clock) = pair();
        let mut heard = Heard::new(ends[1].as_ref());
        for end in &ends {
            end.set(1, &binds(vector(&all, mode))).unwrap();
        }
        ends[0]
            .set(1, &binds(vector(&all, "write the pre-shared key")))
            .unwrap();
        check(&ends[1], "peer authenticated");
        clock.advance(HOUR + Duration::from_secs(1));
        ends[1].tick();
        heard.is_like(vector(&all, "alarm raised"), |n| n == 4);
        for end in &ends {
            check(end, "peer not authenticated");
            check(end, "port not authenticated");
        }
        assert_eq!(link.sends(0), sends);
        clock.advance(Duration::from_secs(10));
        let traffic = link.traffic_from(0);
        let lost = [traffic.blocked, traffic.clear];
        assert_eq!(
            lost,
            if mode == "drop" {
                [10_000, 0]
            } else {
                [0, 10_000]
            }
        );
        ends[1]
            .set(1, &binds(vector(&all, "write the pre-shared key")))
            .unwrap();
        clock.advance(HOUR - Duration::from_secs(20));
        check(&ends[0], "peer not authenticated");
        clock.advance(Duration::from_secs(20));
        ends[1].tick();
        heard.is_like(vector(&all, "alarm cleared"), |n| n == 4);
        check(&ends[0], "peer authenticated");
        assert_eq!(link.sends(0), Sends::Encrypted);
        assert!(heard.is_empty());
    }
}

#[test]
fn keys_are_hexadecimal_digits_and_blanks_clear() {
    let (ends, link, _) = pair();
    let write = |text: &str| set(&ends[0], key(2), Value::text(text));
    assert_eq!(write(&"a".repeat(31)), Err(ErrorStatus::WrongLength));
    assert_eq!(write(&"a".repeat(33)), Err(ErrorStatus::WrongLength));
    assert_eq!(write(&"a".repeat(514)), Err(ErrorStatus::WrongLength));
    assert_eq!(write(&"g".repeat(32)), Err(ErrorStatus::WrongValue));
    assert_eq!(
        set(&ends[0], key(2), Value::Integer(1)),
        Err(ErrorStatus::WrongType)
    );
    assert!(link.with_secret(0, |s| s == Some(b"the first key")));
    for digits in [32, 512] {
        write(&"Ab".repeat(digits / 2)).unwrap();
        assert!(link.with_secret(0, |s| s.is_some_and(|s| s.len() == digits / 2)));
    }
    for blank in ["", "  "] {
        write(&"ab".repeat(16)).unwrap();
        write(blank).unwrap();
        assert!(!link.has_secret(0) && link.session().is_some());
    }
    check(&ends[0], "no key is set");
}

#[test]
fn procedures_clear_all_keys_and_enable_encryption() {
    let (ends, link, clock) = pair();
    let all = vectors(VECTORS);
    clock.advance(Duration::from_secs(2));
    ends[0]
        .set(1, &binds(vector(&all, "clear all keys")))
        .unwrap();
    check(&ends[0], "all keys are cleared");
    check(&ends[0], "no key is set");
    assert_eq!((link.session(), link.sends(1)), (None, Sends::Nothing));
    ends[0]
        .set(1, &binds(vector(&all, "enable encryption")))
        .unwrap();
    check(&ends[0], "encryption is enabled");
    let run = oid("1.3.6.1.4.1.1271.3.4.24.3.1.3.0");
    assert_eq!(ends[0].get(&run), Value::TimeTicks(200));
}

#[test]
fn refused_writes_change_nothing_and_name_the_varbind() {
    let (ends, ..) = pair();
    let before = ends[0].state();
    let refused = |name: Oid, value| {
        let pdu = [
            VarBind::new(key(5), Value::text("not this one")),
            VarBind::new(name, value),
        ];
        let (status, index) = ends[0].set(1, &pdu).unwrap_err();
        assert_eq!(index, 2);
        status
    };
    let period = oid(W).child(&[5, 1, 2, PORT, 0]);
    let mode = oid(W).child(&[5, 1, 3, PORT, 0]);
    assert_eq!(
        refused(period.clone(), Value::Gauge32(25)),
        ErrorStatus::WrongValue
    );
    assert_eq!(refused(period, Value::Integer(1)), ErrorStatus::WrongType);
    assert_eq!(refused(mode, Value::Integer(0)), ErrorStatus::WrongValue);
    assert_eq!(refused(key(3), Value::text("x")), ErrorStatus::NotWritable);
    assert_eq!(
        refused(key(5), Value::text("x".repeat(61))),
        ErrorStatus::WrongLength
    );
    let other = oid(W).child(&[4, 1, 5, 7, 0]);
    assert_eq!(refused(other, Value::text("x")), ErrorStatus::NoCreation);
    ends[0].apply(&DeviceFault::Full).unwrap();
    assert_eq!(
        set(&ends[0], key(5), Value::text("x")),
        Err(ErrorStatus::ResourceUnavailable)
    );
    assert_eq!(ends[0].state(), before);
    ends[0].apply(&DeviceFault::Clear).unwrap();
    set(&ends[0], key(5), Value::text("x")).unwrap();
    assert_ne!(ends[0].state(), before);
}

#[test]
fn a_broken_authentication_shows_at_once() {
    let (ends, link, _) = pair();
    let mut heard = Heard::new(ends[1].as_ref());
    ends[0].apply(&DeviceFault::Fail).unwrap();
    for end in &ends {
        check(end, "peer not authenticated");
        check(end, "port not authenticated");
    }
    assert_eq!(link.sends(1), Sends::Nothing);
    heard.is_like(vector(&vectors(VECTORS), "alarm raised"), |n| n == 4);
    assert!(heard.is_empty());
    assert_eq!(
        ends[0].get(&oid("1.3.6.1.2.1.1.2.0")),
        Value::ObjectId(oid("1.3.6.1.4.1.1271.3"))
    );
    assert_eq!(
        ends[0].get(&oid("1.3.6.1.2.1.47.1.1.1.1.11.1")),
        Value::text("CW0")
    );
}

#[test]
fn a_disabled_port_and_a_cut_line_are_down() {
    let (ends, _, clock) = pair();
    let admin = oid("1.3.6.1.4.1.1271.3.4.7.5.1.2").child(&[PORT, 0]);
    let state = oid("1.3.6.1.4.1.1271.3.4.7.5.1.3").child(&[PORT, 0]);
    set(&ends[0], admin.clone(), Value::Integer(2)).unwrap();
    assert_eq!(ends[0].get(&state), Value::Integer(2));
    set(&ends[0], admin, Value::Integer(1)).unwrap();
    clock.advance(Duration::from_secs(1));
    check(&ends[0], "port up");
    ends[1].apply(&DeviceFault::Cut(None)).unwrap();
    assert_eq!(ends[0].get(&state), Value::Integer(2));
}
