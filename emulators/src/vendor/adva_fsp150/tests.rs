use super::{FLOWS, Fsp150, ON_FAILURE, Options, RULES, agent};
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

const VECTORS: &str = include_str!("../../../vectors/adva-fsp150.json");
const G: &str = "1.3.6.1.4.1.2544.1.12.36";
const PASSWORD: &str = "Emulated-Officer-1";

type Pair = ([Arc<Agent<Fsp150>>; 2], [Arc<PskLink>; FLOWS], Clock);

fn pair() -> Pair {
    let clock = Clock::manual();
    let hour = Duration::from_secs(3600);
    let links =
        [(); FLOWS].map(|()| PskLink::new(clock.clone(), b"first", RULES, hour, ON_FAILURE));
    let ends = [0, 1].map(|n| {
        let ends = links.each_ref().map(|link| {
            let identity = Identity::new("ADVA").with_serial(format!("LB{n}"));
            PskEndpoint::new(Arc::clone(link), n, identity)
        });
        agent(ends, b"first", Options::named(&format!("ge-{n}"), PASSWORD))
    });
    (ends, links, clock)
}
fn flow(column: u32, flow: u32) -> Oid {
    oid(G).child(&[1, 1, 1, column, 1, flow])
}
fn profile(column: u32, index: u32) -> Oid {
    oid(G).child(&[1, 2, 1, column, index])
}
fn refused(agent: &Agent<Fsp150>) -> Value {
    agent.get(&oid("1.3.6.1.4.1.2544.1.12.10.1.5.1.5.3.110.111.99.2"))
}
fn set(
    agent: &Agent<Fsp150>,
    password: Option<&str>,
    changes: &[(Oid, Value)],
) -> Result<(), (ErrorStatus, usize)> {
    let password = password.map(|p| (oid(G).child(&[1, 9, 1, 0]), Value::text(p)));
    let pdu: Vec<_> = password
        .into_iter()
        .chain(changes.iter().cloned())
        .map(|(name, value)| VarBind::new(name, value))
        .collect();
    agent.set(1, &pdu)
}
fn check(agent: &Agent<Fsp150>, name: &str) {
    for bind in binds(vector(&vectors(VECTORS), name)) {
        assert_eq!(agent.get(&bind.oid), bind.value, "{name}: {}", bind.oid);
    }
}
fn write(agent: &Agent<Fsp150>, name: &str) {
    agent
        .set(1, &binds(vector(&vectors(VECTORS), name)))
        .unwrap();
}

#[test]
fn a_roll_by_the_vectors_is_of_all_flows_with_the_profile() {
    let (ends, links, clock) = pair();
    for end in &ends {
        for name in ["flows", "the profile", "operational", "no failed exchange"] {
            check(end, name);
        }
        check(end, "interval of an hour");
        check(end, "secure");
        check(end, "crypto user, no refused password");
        write(end, "write the authentication password");
        check(end, "the password reads as empty");
    }
    for link in &links {
        assert!(
            [0, 1].map(|end| link.with_secret(end, |s| s.is_some_and(|s| s.len() == 64)))
                == [true; 2]
        );
    }
    write(&ends[0], "restart the key exchange of flow 1");
    clock.advance(Duration::from_secs(2));
    let numbers = || links.each_ref().map(|l| l.session().map(|s| s.number));
    assert_eq!(numbers(), [Some(2), Some(1)]);
    for end in &ends {
        check(end, "sending association");
        check(end, "encrypted packets");
    }
    write(&ends[1], "restart the key exchange of flow 2");
    clock.advance(Duration::from_secs(2));
    assert_eq!(numbers(), [Some(2), Some(2)]);
    assert!(links.iter().all(|l| l.traffic_from(0).dropped() == 0));
    let rows = walk(ends[0].as_ref());
    assert!(rows.len() > 100, "{}", rows.len());
    for bind in &rows {
        assert!(!matches!(&bind.value, Value::OctetString(text)
                if text.starts_with(b"0001020304") || text == PASSWORD.as_bytes()));
    }
}

#[test]
fn unlike_passwords_fail_and_stop_both_flows() {
    let (ends, links, clock) = pair();
    let all = vectors(VECTORS);
    let mut heard = Heard::new(ends[1].as_ref());
    write(&ends[0], "write the authentication password");
    write(&ends[0], "restart the key exchange of flow 1");
    clock.advance(Duration::from_secs(2));
    for end in &ends {
        check(end, "one failed exchange");
        check(end, "outage");
        check(end, "not secure and blocked");
    }
    // Times are examples.
    heard.is_like(vector(&all, "key exchange failed"), |n| n == 4);
    heard.is_like(vector(&all, "state change"), |_| false);
    assert_eq!(links[1].sends(0), Sends::Encrypted, "until its exchange");
    clock.advance(Duration::from_secs(60));
    assert_eq!(links[0].failures(), (5, 5));
    ends[1].tick();
    heard.is_like(vector(&all, "key exchange stopped"), |n| n < 12);
    assert!(heard.is_empty());
    let standing = oid("1.3.6.1.4.1.2544.1.12.6.1.4.1.2");
    assert_eq!(ends[0].get(&standing.child(&[1, 1])), Value::Integer(347));
    assert_eq!(ends[0].get(&standing.child(&[1, 2])), Value::Integer(390));
    clock.advance(Duration::from_secs(600));
    assert_eq!(links[0].failures(), (5, 5), "only a command starts another");
    write(&ends[1], "write the authentication password");
    write(&ends[1], "restart the key exchange of flow 1");
    clock.advance(Duration::from_secs(2));
    check(&ends[0], "operational");
    heard.is_like(vector(&all, "key exchange succeeded again"), |n| n < 12);
    assert_eq!(ends[0].get(&standing.child(&[1, 1])), Value::NoSuchInstance);
}

#[test]
fn a_flow_that_is_not_secure_is_in_clear_without_blocking() {
    let (ends, links, clock) = pair();
    for end in &ends {
        write(end, "let flows that are not secure pass");
    }
    ends[0].apply(&DeviceFault::Fail).unwrap();
    check(&ends[1], "not secure and in clear");
    assert_eq!(
        links.each_ref().map(|l| l.sends(0)),
        [Sends::Clear, Sends::Nothing]
    );
    clock.advance(Duration::from_secs(1));
    let clear = ends[0].get(&oid(G).child(&[2, 1, 1, 5, 1, 1, 1]));
    assert_eq!(clear, Value::Counter64(1000));
    for end in &ends {
        write(end, "block flows that are not secure");
    }
    check(&ends[1], "not secure and blocked");
}

#[test]
fn each_change_needs_the_password_and_refused_ones_are_counted() {
    let (ends, links, _) = pair();
    let before = ends[0].state();
    let key = (profile(5, 1), Value::text("another"));
    assert_eq!(
        set(&ends[0], Some("wrong"), std::slice::from_ref(&key)),
        Err((ErrorStatus::NoAccess, 1))
    );
    assert_eq!(
        set(&ends[0], None, std::slice::from_ref(&key)),
        Err((ErrorStatus::CommitFailed, 1))
    );
    assert_eq!(refused(&ends[0]), Value::Integer(2));
    assert_eq!(ends[0].state(), before);
    // It may come after the change.
    let last = (oid(G).child(&[1, 9, 1, 0]), Value::text(PASSWORD));
    set(&ends[0], None, &[key.clone(), last]).unwrap();
    assert_eq!(refused(&ends[0]), Value::Integer(0));
    assert!(
        links
            .iter()
            .all(|l| l.with_secret(0, |s| s == Some(b"another")))
    );
    // The control removes the need.
    let control = (oid(G).child(&[1, 8, 6, 0]), Value::Integer(2));
    set(&ends[0], Some(PASSWORD), &[control]).unwrap();
    set(&ends[0], None, &[key]).unwrap();
}

#[test]
fn a_flow_can_have_a_profile_of_its_own() {
    let (ends, links, _) = pair();
    let to = |n| Value::ObjectId(profile(2, n));
    let create = [
        (profile(8, 2), Value::Integer(4)),
        (profile(5, 2), Value::text("of flow 2")),
        (flow(7, 2), to(2)),
    ];
    set(&ends[0], Some(PASSWORD), &create).unwrap();
    assert_eq!(ends[0].get(&flow(7, 2)), to(2));
    assert!(links[0].with_secret(0, |s| s == Some(b"first")));
    assert!(links[1].with_secret(0, |s| s == Some(b"of flow 2")));
    write(&ends[0], "write the authentication password");
    assert!(links[1].with_secret(0, |s| s == Some(b"of flow 2")));
    let destroy = |n| [(profile(8, n), Value::Integer(6))];
    assert_eq!(
        set(&ends[0], Some(PASSWORD), &destroy(2)),
        Err((ErrorStatus::InconsistentValue, 2))
    );
    set(&ends[0], Some(PASSWORD), &[(flow(7, 2), to(1))]).unwrap();
    assert!(links[1].with_secret(0, |s| s.is_some_and(|s| s.len() == 64)));
    set(&ends[0], Some(PASSWORD), &destroy(2)).unwrap();
    assert_eq!(ends[0].get(&profile(2, 2)), Value::NoSuchInstance);
    // Neither without a password nor without a profile.
    for bad in [(profile(8, 3), Value::Integer(4)), (flow(7, 1), to(9))] {
        assert_eq!(
            set(&ends[0], Some(PASSWORD), &[bad]),
            Err((ErrorStatus::CommitFailed, 1))
        );
    }
}

#[test]
fn refused_writes_change_nothing_and_name_the_varbind() {
    let (ends, ..) = pair();
    let before = ends[0].state();
    let refused = |name: Oid, value| {
        let pdu = [(flow(18, 1), Value::Integer(5)), (name, value)];
        let (status, index) = set(&ends[0], Some(PASSWORD), &pdu).unwrap_err();
        assert_eq!(index, 3);
        status
    };
    for (name, value, status) in [
        (profile(5, 1), Value::text(""), ErrorStatus::WrongLength),
        (
            profile(5, 1),
            Value::text("k".repeat(256)),
            ErrorStatus::WrongLength,
        ),
        (profile(5, 1), Value::text([0xff]), ErrorStatus::WrongValue),
        (profile(5, 1), Value::Integer(1), ErrorStatus::WrongType),
        (
            profile(4, 1),
            Value::Integer(3),
            ErrorStatus::InconsistentValue,
        ),
        (
            profile(8, 1),
            Value::Integer(4),
            ErrorStatus::InconsistentValue,
        ),
        (flow(18, 1), Value::Integer(0), ErrorStatus::WrongValue),
        (flow(5, 1), Value::Integer(1), ErrorStatus::NotWritable),
        (flow(23, 3), Value::Integer(2), ErrorStatus::NoCreation),
        (
            flow(21, 1),
            Value::Integer(6),
            ErrorStatus::InconsistentValue,
        ),
    ] {
        assert_eq!(refused(name.clone(), value), status, "{name}");
    }
    let pdu = [(flow(18, 1), Value::Integer(5))];
    ends[0].apply(&DeviceFault::Refuse(1)).unwrap();
    assert_eq!(
        set(&ends[0], Some(PASSWORD), &pdu),
        Err((ErrorStatus::GenErr, 2))
    );
    assert_eq!(ends[0].state(), before);
    set(&ends[0], Some(PASSWORD), &pdu).unwrap();
    assert_ne!(ends[0].state(), before);
}

#[test]
fn another_device_a_disabled_flow_and_a_restart() {
    let (ends, links, clock) = pair();
    let serial = oid("1.3.6.1.2.1.47.1.1.1.1.11.1");
    assert_eq!(ends[0].get(&serial), Value::text("LB0"));
    ends[0].apply(&DeviceFault::Identity("LB9".into())).unwrap();
    assert_eq!(ends[0].get(&serial), Value::text("LB9"));
    assert_eq!(
        ends[0].get(&oid("1.3.6.1.2.1.1.2.0")),
        Value::ObjectId(oid("1.3.6.1.4.1.2544.1.12.1.1.9"))
    );
    ends[0].apply(&DeviceFault::Reboot).unwrap();
    assert!(links.iter().all(|l| l.sends(0) == Sends::Nothing));
    assert_eq!(ends[0].get(&flow(5, 2)), Value::Integer(2));
    clock.advance(Duration::from_secs(2));
    check(&ends[1], "operational");
    let admin = |state| [(flow(3, 2), Value::Integer(state))];
    set(&ends[0], Some(PASSWORD), &admin(4)).unwrap();
    assert_eq!(ends[0].get(&flow(4, 2)), Value::text([0, 8, 0]));
    set(&ends[0], Some(PASSWORD), &admin(1)).unwrap();
    clock.advance(Duration::from_secs(2));
    check(&ends[0], "operational");
}
