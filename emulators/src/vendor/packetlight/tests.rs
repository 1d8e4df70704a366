use super::{Options, PacketLight, agent};
use crate::{
    clock::Clock,
    fault::{ApplyDeviceFault, DeviceFault},
    model::encryptor::forced::{ForcedRekeyEndpoint, ForcedRekeyLink},
    wire::snmp::{
        Agent, SnmpAgent,
        testing::{binds, oid, vector, vectors, walk},
    },
};
use qkd_driver_kit::link::snmp::{ErrorStatus, Oid, SnmpService, Value, VarBind};
use qkd_hal::Identity;
use std::{sync::Arc, time::Duration};

const VECTORS: &str = include_str!("../../../vectors/packetlight.json");
const ROW: &str = "1.3.6.1.4.1.4515.1.3.24.4.1.1";

fn end(link: &Arc<ForcedRekeyLink>, number: usize, oem: bool) -> Arc<Agent<PacketLight>> {
    let identity = Identity::new("PacketLight")
        .with_model("PL-1000TE")
        .with_serial(format!("PL{number}"))
        .with_firmware("1.2");
    let end = Arc::new(ForcedRekeyEndpoint::new(
        link.clone(),
        number,
        "1295104",
        identity,
    ));
    agent(
        end,
        Options {
            oem,
            ..Options::named(&format!("pl-{number}"))
        },
    )
}
fn pair() -> ([Arc<Agent<PacketLight>>; 2], Clock) {
    let clock = Clock::manual();
    let link = ForcedRekeyLink::new(clock.clone(), b"first");
    let ends = [end(&link, 0, false), end(&link, 1, false)];
    clock.advance(Duration::from_secs(5));
    (ends, clock)
}
fn column(n: u32) -> Oid {
    oid(ROW).child(&[n, 1_295_104])
}
fn set(agent: &Agent<PacketLight>, column_: u32, value: Value) -> Result<(), (ErrorStatus, usize)> {
    agent.set(1, &[VarBind::new(column(column_), value)])
}

#[test]
fn walks_and_system_group() {
    let (ends, _) = pair();
    let all = walk(ends[0].as_ref());
    assert_eq!(all.len(), 6 + 3 + 4 + 7 + 2 + 8 + 2 + 3);
    assert_eq!(
        ends[0].get(&oid("1.3.6.1.2.1.1.2.0")),
        Value::ObjectId(oid("1.3.6.1.4.1.4515.100.1.1000.8"))
    );
    assert_eq!(
        ends[0].get(&oid("1.3.6.1.4.1.4515.1.3.6.1.1.1.7.1")),
        Value::text("PL0")
    );
    assert!(
        matches!(ends[0].get(&oid("1.3.6.1.6.3.10.2.1.1.0")), Value::OctetString(id) if id.starts_with(&[0x80, 0, 0x11, 0xa3, 4]))
    );
    assert_eq!(ends[0].get(&column(9)), Value::NoSuchObject);
    assert_eq!(ends[0].get(&oid(ROW).child(&[3, 7])), Value::NoSuchInstance);
    let name = oid("1.3.6.1.2.1.1.5.0");
    ends[0]
        .set(1, &[VarBind::new(name.clone(), Value::text("new"))])
        .unwrap();
    assert_eq!(ends[0].get(&name), Value::text("new"));
}

#[test]
fn vectors_of_the_mibs() {
    let (ends, clock) = pair();
    let all = vectors(VECTORS);
    for name in ["the device can encrypt", "rows", "status active"] {
        for bind in binds(vector(&all, name)) {
            assert_eq!(ends[0].get(&bind.oid), bind.value, "{name}");
        }
    }
    let oem = end(&ForcedRekeyLink::new(clock.clone(), b"x"), 0, true);
    assert!(oem.get(&column(8)).is_absent() && oem.get(&column(7)).is_absent());
    assert_eq!(walk(oem.as_ref()).len() + 2, walk(ends[0].as_ref()).len());
    for end in &ends {
        end.set(1, &binds(vector(&all, "write the pre-shared secret")))
            .unwrap();
    }
    assert_eq!(
        ends[0].get(&column(5)),
        Value::text(""),
        "a key never comes back"
    );
    ends[1]
        .set(2, &binds(vector(&all, "force a new exchange")))
        .unwrap();
    for name in [
        "status init",
        "status exchange",
        "status kdf",
        "status active",
    ] {
        let expected = &binds(vector(&all, name))[0];
        assert_eq!(ends[0].get(&expected.oid), expected.value, "{name}");
        clock.advance(Duration::from_millis(if name == "status init" {
            600
        } else {
            1000
        }));
    }
}

#[test]
fn different_secrets_raise_223_and_agreement_clears_it() {
    let (ends, clock) = pair();
    let mut heard = ends[1].notifications();
    set(&ends[0], 5, Value::text("other")).unwrap();
    set(&ends[0], 4, Value::Integer(77)).unwrap();
    clock.advance(Duration::from_secs(3));
    ends[1].tick();
    let raised = heard.try_recv().unwrap();
    let all = vectors(VECTORS);
    let golden = vector(&all, "alarm raised");
    assert_eq!(raised.trap, oid(golden["trap"].as_str().unwrap()));
    let expected = binds(golden);
    assert_eq!(raised.binds.len(), expected.len());
    for (bind, golden) in raised.binds.iter().zip(&expected) {
        assert!(
            bind.oid.suffix_of(&golden.oid).is_some(),
            "{} is not {}",
            bind.oid,
            golden.oid
        );
        assert_eq!(
            std::mem::discriminant(&bind.value),
            std::mem::discriminant(&golden.value)
        );
        if !matches!(bind.value, Value::TimeTicks(_) | Value::Gauge32(_)) {
            assert_eq!(bind.value, golden.value);
        }
    }
    let alarm = oid("1.3.6.1.4.1.4515.1.3.20.1.1.1.2.1295104.223");
    assert_eq!(ends[1].get(&alarm), Value::Integer(223));
    walk(ends[1].as_ref());
    set(&ends[1], 5, Value::text("other")).unwrap();
    set(&ends[1], 4, Value::Integer(1)).unwrap();
    clock.advance(Duration::from_secs(3));
    ends[1].tick();
    let cleared = heard.try_recv().unwrap();
    assert_eq!(
        (&cleared.binds[2].value, &cleared.binds[4].value),
        (&Value::Integer(4), &Value::Integer(2))
    );
    assert!(ends[1].get(&alarm).is_absent());
}

#[test]
fn refused_writes_change_nothing_and_name_the_varbind() {
    let (ends, _) = pair();
    let refused = |c, v| set(&ends[0], c, v).unwrap_err().0;
    assert_eq!(
        refused(5, Value::text("x".repeat(256))),
        ErrorStatus::WrongLength
    );
    assert_eq!(refused(5, Value::text([0xff])), ErrorStatus::WrongValue);
    assert_eq!(refused(5, Value::Integer(1)), ErrorStatus::WrongType);
    assert_eq!(refused(2, Value::Integer(3)), ErrorStatus::WrongValue);
    assert_eq!(refused(6, Value::Integer(-1)), ErrorStatus::WrongValue);
    assert_eq!(refused(3, Value::Integer(4)), ErrorStatus::NotWritable);
    let pdu = [
        VarBind::new(column(6), Value::Integer(60)),
        VarBind::new(column(2), Value::Integer(9)),
    ];
    assert_eq!(ends[0].set(1, &pdu), Err((ErrorStatus::WrongValue, 2)));
    assert_eq!(ends[0].get(&column(6)), Value::Integer(0));
    ends[0].apply(&DeviceFault::Refuse(1)).unwrap();
    assert_eq!(refused(6, Value::Integer(60)), ErrorStatus::GenErr);
    set(&ends[0], 6, Value::Integer(60)).unwrap();
    ends[0].apply(&DeviceFault::Full).unwrap();
    assert_eq!(
        refused(6, Value::Integer(60)),
        ErrorStatus::ResourceUnavailable
    );
}

#[test]
fn reboot_and_alarms_on_request() {
    let (ends, clock) = pair();
    clock.advance(Duration::from_secs(10));
    ends[0].apply(&DeviceFault::Reboot).unwrap();
    assert_eq!(ends[0].get(&oid("1.3.6.1.2.1.1.3.0")), Value::TimeTicks(0));
    assert_eq!(
        ends[0].get(&oid("1.3.6.1.6.3.10.2.1.2.0")),
        Value::Integer(2)
    );
    let mut heard = ends[0].notifications();
    ends[0].apply(&DeviceFault::Alarm("otnLos".into())).unwrap();
    assert_eq!(
        heard.try_recv().unwrap().binds[1].value,
        Value::Integer(754)
    );
    ends[0].apply(&DeviceFault::Clear).unwrap();
    assert_eq!(heard.try_recv().unwrap().binds[4].value, Value::Integer(2));
}

#[test]
fn single_bits_of_a_name_never_panic() {
    let agent = pair().0;
    for length in 0..20 {
        for id in [0, 1, 3, 4515, u32::MAX] {
            let name = Oid::new(vec![id; length]);
            assert!(agent[0].get(&name).is_absent());
            let _ = agent[0].next(&name);
        }
    }
}
