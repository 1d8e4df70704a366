use super::{ON_FAILURE, Options, ROW, RULES, Xtm, agent};
use crate::{
    clock::Clock,
    fault::{ApplyDeviceFault, DeviceFault},
    model::encryptor::psk::{PskEndpoint, PskLink, Sends},
    wire::snmp::{
        Agent, SnmpAgent,
        testing::{binds, oid, vector, vectors, walk},
        values::date_and_time,
    },
};
use qkd_driver_kit::link::snmp::{ErrorStatus, Oid, SnmpService, Value, VarBind};
use qkd_hal::Identity;
use std::{sync::Arc, time::Duration};

const VECTORS: &str = include_str!("../../../vectors/infinera-xtm.json");
const X: &str = "1.3.6.1.4.1.8708.2.73.2";
const DAY: Duration = Duration::from_secs(86_400);

fn pair_with(commands: bool) -> ([Arc<Agent<Xtm>>; 2], Arc<PskLink>, Clock) {
    let clock = Clock::manual();
    let link = PskLink::new(clock.clone(), b"the first key", RULES, DAY, ON_FAILURE);
    let ends = [0, 1].map(|n| {
        let identity = Identity::new("Infinera").with_serial(format!("IX{n}"));
        let mut options = Options::named(&format!("xtm-{n}"));
        options.commands = commands;
        agent(PskEndpoint::new(link.clone(), n, identity), options)
    });
    (ends, link, clock)
}
fn pair() -> ([Arc<Agent<Xtm>>; 2], Arc<PskLink>, Clock) {
    pair_with(false)
}
fn column(table: u32, column: u32) -> Oid {
    oid(X).child(&[table, 1, 1, column, ROW])
}
fn set(agent: &Agent<Xtm>, name: Oid, value: Value) -> Result<(), ErrorStatus> {
    agent
        .set(1, &[VarBind::new(name, value)])
        .map_err(|(status, _)| status)
}
fn check(agent: &Agent<Xtm>, name: &str) {
    for bind in binds(vector(&vectors(VECTORS), name)) {
        assert_eq!(agent.get(&bind.oid), bind.value, "{name}");
    }
}
fn write(agent: &Agent<Xtm>, name: &str) {
    agent
        .set(1, &binds(vector(&vectors(VECTORS), name)))
        .unwrap();
}
fn at(seconds: u64) -> Value {
    date_and_time(Some(Duration::from_secs(seconds)))
}

#[test]
fn a_roll_by_the_vectors_takes_effect_at_the_next_authentication() {
    let (ends, link, clock) = pair();
    for end in &ends {
        for name in ["rows", "peer up", "no fault of the peer", "as delivered"] {
            check(end, name);
        }
        write(end, "write the pre-shared key");
        check(end, "the key reads as empty");
    }
    clock.advance(DAY);
    assert_eq!(link.session().map(|s| s.number), Some(1));
    assert_eq!(ends[0].get(&column(3, 10)), at(0));
    clock.advance(Duration::from_secs(2));
    assert_eq!(link.session().map(|s| s.number), Some(2));
    for name in ["peer up", "time of the last authentication"] {
        check(&ends[1], name);
    }
    assert_eq!(ends[0].get(&oid(X).child(&[1, 2, 0])), at(86_402));
    assert_eq!(ends[0].get(&oid(X).child(&[1, 1, 0])), at(0));
    assert_eq!(link.traffic_from(0).dropped(), 0);
    check(&ends[0], "encrypted frames");
    let rows = walk(ends[0].as_ref());
    assert_eq!(rows.len(), 6 + 3 + 7 + 3 + 2 + 5 + 16 + 20 + 20);
    let hides = |bind: &VarBind| !matches!(&bind.value, Value::OctetString(text) if text.starts_with(b"0001020304"));
    assert!(rows.iter().all(hides));
}

#[test]
fn rekeys_go_on_until_an_authentication_fails() {
    let (ends, _, clock) = pair();
    clock.advance(Duration::from_secs(3700));
    let rekeys = || [(3, 12), (4, 13), (4, 14)].map(|(t, c)| ends[0].get(&column(t, c)));
    assert_eq!(rekeys(), [at(3600), at(3600), at(3600)]);
    // Another interval counts from the last rekey.
    set(&ends[0], column(4, 9), Value::Gauge32(60)).unwrap();
    assert_eq!(rekeys(), [at(3600), at(3660), at(3660)]);
    clock.advance(DAY - Duration::from_secs(3700));
    write(&ends[0], "write the pre-shared key");
    clock.advance(Duration::from_secs(4000));
    assert_eq!(rekeys(), [at(86_400), at(86_400), at(86_400)]);
    check(&ends[0], "authentication failed");
    check(&ends[0], "peer down");
    assert_eq!(ends[0].get(&column(4, 17)), Value::Integer(2));
}

#[test]
fn the_policy_decides_after_a_failure() {
    for (policy, after) in [
        ("continue", Sends::Encrypted),
        ("kill after a minute", Sends::Nothing),
    ] {
        let (ends, link, clock) = pair();
        for end in &ends {
            write(end, policy);
        }
        write(&ends[0], "write the pre-shared key");
        clock.advance(DAY + Duration::from_secs(2));
        check(&ends[1], "authentication failed");
        assert_eq!(link.sends(0), Sends::Encrypted, "{policy}");
        clock.advance(Duration::from_secs(60));
        assert_eq!(link.sends(0), after, "{policy}");
        let blocked = ends[0].get(&column(4, 20));
        assert_eq!(blocked == Value::Integer(2), after == Sends::Nothing);
        clock.advance(Duration::from_secs(10));
        assert_eq!(link.traffic_from(0).blocked > 0, after == Sends::Nothing);
        let nulled = ends[0].get(&column(6, 7));
        assert_eq!(nulled, Value::Counter64(link.traffic_from(0).blocked));
        write(&ends[1], "write the pre-shared key");
        clock.advance(Duration::from_secs(32));
        check(&ends[1], "peer up");
        assert_eq!(link.sends(0), Sends::Encrypted, "{policy}");
    }
}

#[test]
fn commands_are_read_only_unless_the_agent_takes_them() {
    let (ends, link, _) = pair();
    let before = link.state(0);
    for (table, c) in [(2, 6), (2, 7), (3, 13), (4, 22)] {
        assert_eq!(
            set(&ends[0], column(table, c), Value::text("1")),
            Err(ErrorStatus::NotWritable)
        );
    }
    assert_eq!(link.state(0), before);
    let (ends, link, clock) = pair_with(true);
    clock.advance(Duration::from_secs(100));
    for name in ["rekey the peer", "rekey the data plane"] {
        write(&ends[0], name);
    }
    assert_eq!(ends[0].get(&column(3, 12)), at(100));
    assert_eq!(ends[0].get(&column(4, 13)), at(100));
    assert_eq!(ends[1].get(&column(4, 13)), at(0));
    write(&ends[0], "authenticate again");
    clock.advance(Duration::from_secs(2));
    assert_eq!(link.session().map(|s| s.number), Some(2));
    assert_eq!(
        set(&ends[0], column(2, 7), Value::text("1")),
        Err(ErrorStatus::NotWritable)
    );
}

#[test]
fn a_cut_line_is_unreachable_and_not_a_wrong_key() {
    let (ends, _, clock) = pair();
    ends[0].apply(&DeviceFault::Cut(None)).unwrap();
    clock.advance(Duration::from_secs(2));
    check(&ends[1], "peer unreachable");
    set(&ends[1], column(3, 8), Value::Integer(2)).unwrap();
    check(&ends[1], "no fault of the peer");
    ends[0].apply(&DeviceFault::Clear).unwrap();
    clock.advance(Duration::from_secs(2));
    check(&ends[0], "peer up");
    check(&ends[0], "no fault of the peer");
}

#[test]
fn a_broken_authentication_shows_at_once() {
    let (ends, ..) = pair();
    ends[0].apply(&DeviceFault::Fail).unwrap();
    for end in &ends {
        check(end, "authentication failed");
        check(end, "peer down");
    }
    assert_eq!(
        ends[0].get(&oid("1.3.6.1.2.1.47.1.1.1.1.11.1")),
        Value::text("IX0")
    );
}

#[test]
fn refused_writes_change_nothing_and_name_the_varbind() {
    let (ends, ..) = pair();
    let before = ends[0].state();
    let refused = |name: Oid, value| {
        let pdu = [
            VarBind::new(column(4, 11), Value::Gauge32(7)),
            VarBind::new(name, value),
        ];
        let (status, index) = ends[0].set(1, &pdu).unwrap_err();
        assert_eq!(index, 2);
        status
    };
    for length in [0, 63, 129] {
        assert_eq!(
            refused(column(3, 7), Value::text("k".repeat(length))),
            ErrorStatus::WrongLength
        );
    }
    assert_eq!(
        refused(column(3, 7), Value::text([0xff; 64])),
        ErrorStatus::WrongValue
    );
    assert_eq!(
        refused(column(3, 11), Value::Gauge32(599)),
        ErrorStatus::WrongValue
    );
    assert_eq!(
        refused(column(4, 9), Value::Gauge32(59)),
        ErrorStatus::WrongValue
    );
    assert_eq!(
        refused(column(2, 5), Value::Gauge32(1001)),
        ErrorStatus::WrongValue
    );
    assert_eq!(
        refused(column(4, 8), Value::Integer(17)),
        ErrorStatus::WrongValue
    );
    assert_eq!(
        refused(column(3, 9), Value::Integer(3)),
        ErrorStatus::NotWritable
    );
    let other = oid(X).child(&[3, 1, 1, 7, 9]);
    assert_eq!(
        refused(other, Value::text("k".repeat(64))),
        ErrorStatus::NoCreation
    );
    ends[0].apply(&DeviceFault::Refuse(1)).unwrap();
    assert_eq!(
        set(&ends[0], column(3, 7), Value::text("k".repeat(64))),
        Err(ErrorStatus::GenErr)
    );
    assert_eq!(ends[0].state(), before);
    set(&ends[0], column(3, 7), Value::text("k".repeat(64))).unwrap();
    assert_ne!(ends[0].state(), before);
}
