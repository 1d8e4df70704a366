use super::{AdvaR7, MODULE, ON_FAILURE, Options, PORT, RULES, agent};
use crate::{
    clock::Clock,
    fault::{ApplyDeviceFault, DeviceFault},
    model::encryptor::psk::{PskEndpoint, PskLink, Sends},
    wire::snmp::{
        Agent, SnmpAgent,
        testing::{Heard, binds, oid, vector, vectors, walk},
    },
};
use qkd_driver_kit::link::snmp::{ErrorStatus, Oid, SnmpService, Value, VarBind};
use qkd_hal::Identity;
use std::{sync::Arc, time::Duration};

const VECTORS: &str = include_str!("../../../vectors/adva-fsp3000r7.json");
const E: &str = "1.3.6.1.4.1.2544.1.11.5.1";
const PASSWORD: &str = "Emulated-Officer-1";

fn pair() -> ([Arc<Agent<AdvaR7>>; 2], Arc<PskLink>, Clock) {
    let clock = Clock::manual();
    let day = Duration::from_secs(86_400);
    let link = PskLink::new(clock.clone(), b"first key", RULES, day, ON_FAILURE);
    let ends = [0, 1].map(|n| {
        let identity = Identity::new("ADVA")
            .with_model("FSP 3000R7")
            .with_serial(format!("AD{n}"));
        agent(
            PskEndpoint::new(link.clone(), n, identity),
            Options::named(&format!("fsp-{n}"), PASSWORD),
        )
    });
    (ends, link, clock)
}
fn scalar(number: u32) -> Oid {
    oid(E).child(&[2, number, 0])
}
fn port(column: u32) -> Oid {
    oid(E).child(&[3, 12, 1, column, PORT])
}
fn status(agent: &Agent<AdvaR7>, column: u32) -> Value {
    agent.get(&oid(E).child(&[3, 13, 1, column, PORT]))
}
fn module(column: u32) -> Oid {
    oid(E).child(&[2, 10, 1, column, MODULE])
}
/// A SET with this password; returns cryptoOfficerPasswordError.
fn set(agent: &Agent<AdvaR7>, password: Option<&str>, name: Oid, value: Value) -> i32 {
    let mut pdu = vec![VarBind::new(name, value)];
    if let Some(password) = password {
        pdu.insert(0, VarBind::new(scalar(1), Value::text(password)));
    }
    agent.set(4711, &pdu).unwrap();
    assert_eq!(agent.get(&scalar(3)), Value::Gauge32(4711));
    match agent.get(&scalar(2)) {
        Value::Integer(error) => error,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_roll_by_the_vectors() {
    let (ends, link, clock) = pair();
    let all = vectors(VECTORS);
    let mut heard = Heard::new(ends[0].as_ref());
    for name in ["ports", "no failed exchange", "the module may be reset"] {
        for bind in binds(vector(&all, name)) {
            assert_eq!(ends[0].get(&bind.oid), bind.value, "{name}");
        }
    }
    for end in &ends {
        end.set(77, &binds(vector(&all, "write the authentication key")))
            .unwrap();
        for name in [
            "result of the officer password: accepted",
            "request of the officer password",
        ] {
            let expected = &binds(vector(&all, name))[0];
            assert_eq!(end.get(&expected.oid), expected.value, "{name}");
        }
        assert_eq!(end.get(&port(2)), Value::NoSuchInstance);
        assert_eq!(end.get(&scalar(1)), Value::NoSuchInstance);
    }
    assert_eq!(heard.next(), 91);
    ends[0]
        .set(78, &binds(vector(&all, "force a key exchange")))
        .unwrap();
    clock.advance(Duration::from_secs(4));
    assert_eq!(link.session().map(|s| s.number), Some(1));
    clock.advance(Duration::from_secs(1));
    for name in [
        "no failed exchange",
        "time of the last good exchange",
        "remaining life time",
        "seconds with encryption",
        "elapsed seconds",
    ] {
        for end in &ends {
            let expected = &binds(vector(&all, name))[0];
            assert_eq!(end.get(&expected.oid), expected.value, "{name}");
        }
    }
    // The time, the entity and the number of the event are examples.
    heard.is_like(vector(&all, "key exchange forced"), |_| true);
    ends[0]
        .set(79, &binds(vector(&all, "clear the forced condition")))
        .unwrap();
    assert_eq!(link.traffic_from(0).dropped(), 0);
    let rows = walk(ends[0].as_ref());
    assert!(rows.len() > 40);
    for bind in &rows {
        assert!(!matches!(&bind.value, Value::OctetString(text)
                if text.starts_with(b"0001020304") || text == PASSWORD.as_bytes()));
    }
}

#[test]
fn three_wrong_passwords_lock_the_input_and_change_nothing() {
    let (ends, _, clock) = pair();
    let before = ends[0].state();
    let mut heard = Heard::new(ends[0].as_ref());
    let key = || (port(2), Value::text("another key"));
    let try_ = |password| set(&ends[0], password, key().0, key().1);
    assert_eq!(try_(None), 6);
    for _ in 0..3 {
        assert_eq!(try_(Some("wrong password")), 2);
    }
    assert_eq!(heard.next(), 222);
    let failed = oid(E).child(&[2, 11, 1, 2, MODULE]);
    assert_eq!(ends[0].get(&failed), Value::Gauge32(3));
    clock.advance(Duration::from_secs(179));
    assert_eq!(try_(Some(PASSWORD)), 3, "the right one is refused, too");
    assert_eq!(ends[0].state(), before);
    clock.advance(Duration::from_secs(1));
    assert_eq!(try_(Some(PASSWORD)), 1);
    assert_eq!(ends[0].get(&failed), Value::Gauge32(0));
    assert_ne!(ends[0].state(), before);
    assert_eq!(set(&ends[1], Some(PASSWORD), port(3), Value::Integer(1)), 1);
}

#[test]
fn different_keys_fail_until_the_session_key_is_gone() {
    let (ends, link, clock) = pair();
    let all = vectors(VECTORS);
    let mut heard = Heard::new(ends[1].as_ref());
    ends[0]
        .set(1, &binds(vector(&all, "life time of 30 minutes")))
        .unwrap();
    set(
        &ends[0],
        Some(PASSWORD),
        port(2),
        Value::text("another key"),
    );
    set(&ends[0], Some(PASSWORD), port(6), Value::Integer(2));
    clock.advance(Duration::from_secs(5));
    assert_eq!(status(&ends[1], 3), Value::Gauge32(1));
    heard.is_like(vector(&all, "single exchange failed"), |_| true);
    assert_eq!(status(&ends[1], 6), Value::Gauge32(1795));
    clock.advance(Duration::from_secs(60));
    ends[1].tick();
    assert_eq!((heard.next(), heard.next()), (146, 146));
    heard.is_like(vector(&all, "too many failures, in service"), |_| true);
    assert_eq!(status(&ends[1], 3), Value::Gauge32(3));
    assert_eq!(link.sends(1), Sends::Encrypted);
    clock.advance(Duration::from_secs(1800));
    ends[1].tick();
    assert_eq!((heard.next(), link.sends(1)), (150, Sends::Nothing));
    // The same key again, and an exchange.
    set(
        &ends[1],
        Some(PASSWORD),
        port(2),
        Value::text("another key"),
    );
    set(&ends[1], Some(PASSWORD), port(6), Value::Integer(2));
    clock.advance(Duration::from_secs(5));
    ends[1].tick();
    assert_eq!([heard.next(), heard.next(), heard.next()], [91, 147, 151]);
    assert_eq!(status(&ends[1], 3), Value::Gauge32(0));
}

#[test]
fn clear_traffic_needs_two_steps_and_ends_without_a_command() {
    let (ends, link, clock) = pair();
    let all = vectors(VECTORS);
    let off = binds(vector(&all, "encryption off"));
    assert_eq!(
        ends[0].set(1, &off),
        Err((ErrorStatus::InconsistentValue, 2))
    );
    for end in &ends {
        end.set(2, &binds(vector(&all, "permit the off switch")))
            .unwrap();
        assert_eq!(link.sends(end.mib().end.end()), Sends::Encrypted);
        end.set(3, &off).unwrap();
    }
    assert_eq!(ends[0].get(&port(5)), Value::Integer(2));
    clock.advance(Duration::from_secs(100));
    assert_eq!(link.traffic_from(0).clear, 100_000);
    assert_eq!(status(&ends[0], 2), Value::Gauge32(500));
    clock.advance(Duration::from_secs(500));
    assert_eq!(ends[0].get(&port(5)), Value::Integer(1));
    assert_eq!(ends[0].get(&port(4)), Value::Integer(2));
    assert_eq!(link.sends(0), Sends::Encrypted);
}

#[test]
fn a_reset_needs_the_capability_and_clears_all_passwords() {
    let (ends, link, _) = pair();
    let all = vectors(VECTORS);
    let reset = binds(vector(&all, "reset to factory"));
    let mut options = Options::named("fsp", PASSWORD);
    options.reset = false;
    let without = agent(
        PskEndpoint::new(link.clone(), 0, Identity::new("ADVA")),
        options,
    );
    assert_eq!(
        without.set(1, &reset),
        Err((ErrorStatus::InconsistentValue, 2))
    );
    assert!(link.has_secret(0));
    let mut heard = Heard::new(ends[0].as_ref());
    ends[0].set(1, &reset).unwrap();
    assert!(!link.has_secret(0) && link.has_secret(1));
    assert_eq!(
        [heard.next(), heard.next(), heard.next(), heard.next()],
        [150, 106, 104, 90]
    );
    assert_eq!(set(&ends[0], Some(PASSWORD), port(3), Value::Integer(1)), 4);
    let new = |text| (module(2), Value::text(text));
    assert_eq!(set(&ends[0], None, new("short").0, new("short").1), 5);
    assert_eq!(
        set(&ends[0], None, new("officer two").0, new("officer two").1),
        1
    );
    assert_eq!(
        set(&ends[0], Some("officer two"), port(3), Value::Integer(1)),
        1
    );
}

#[test]
fn refused_writes_change_nothing_and_name_the_varbind() {
    let (ends, ..) = pair();
    let before = ends[0].state();
    let password = || VarBind::new(scalar(1), Value::text(PASSWORD));
    let refused = |name: Oid, value| {
        let pdu = [
            password(),
            VarBind::new(port(3), Value::Integer(2)),
            VarBind::new(name, value),
        ];
        let (status, index) = ends[0].set(1, &pdu).unwrap_err();
        assert_eq!(index, 3);
        status
    };
    assert_eq!(
        refused(port(2), Value::text("seven..")),
        ErrorStatus::WrongLength
    );
    assert_eq!(
        refused(port(2), Value::text([0xff; 9])),
        ErrorStatus::WrongValue
    );
    assert_eq!(refused(port(2), Value::Integer(1)), ErrorStatus::WrongType);
    assert_eq!(
        refused(port(3), Value::Integer(14)),
        ErrorStatus::WrongValue
    );
    assert_eq!(refused(port(6), Value::Integer(0)), ErrorStatus::WrongValue);
    let failures = oid(E).child(&[3, 13, 1, 3, PORT]);
    assert_eq!(
        refused(failures, Value::Gauge32(0)),
        ErrorStatus::NotWritable
    );
    assert_eq!(
        refused(oid(E).child(&[3, 12, 1, 2, 9]), Value::text("12345678")),
        ErrorStatus::NoCreation
    );
    ends[0].apply(&DeviceFault::Refuse(1)).unwrap();
    let pdu = [password(), VarBind::new(port(3), Value::Integer(2))];
    assert_eq!(ends[0].set(1, &pdu), Err((ErrorStatus::GenErr, 2)));
    assert_eq!(ends[0].state(), before);
    ends[0].set(1, &pdu).unwrap();
    assert_ne!(ends[0].state(), before);
}

#[test]
fn a_broken_exchange_is_counted_and_notified_at_once() {
    let (ends, _, clock) = pair();
    let mut heard = Heard::new(ends[1].as_ref());
    ends[0].apply(&DeviceFault::Fail).unwrap();
    assert_eq!(status(&ends[1], 3), Value::Gauge32(1));
    assert_eq!(heard.next(), 146);
    clock.advance(Duration::from_secs(60));
    assert_eq!(status(&ends[1], 3), Value::Gauge32(3));
    assert_eq!([heard.next(), heard.next(), heard.next()], [146, 146, 149]);
    assert!(heard.is_empty());
}

#[test]
fn another_device_and_a_restart() {
    let (ends, link, clock) = pair();
    let serial = oid("1.3.6.1.2.1.47.1.1.1.1.11.1");
    assert_eq!(ends[0].get(&serial), Value::text("AD0"));
    assert_eq!(
        ends[0].get(&oid("1.3.6.1.2.1.1.2.0")),
        Value::ObjectId(oid("1.3.6.1.4.1.2544.1.11.1.1"))
    );
    ends[0].apply(&DeviceFault::Identity("AD9".into())).unwrap();
    assert_eq!(ends[0].get(&serial), Value::text("AD9"));
    ends[0].apply(&DeviceFault::Reboot).unwrap();
    assert_eq!(link.sends(0), Sends::Nothing);
    clock.advance(Duration::from_secs(5));
    assert_eq!(link.sends(0), Sends::Encrypted);
}
