use super::{Nokia, Options, Place, Scheme, agent};
use crate::{
    clock::Clock,
    fault::{ApplyDeviceFault, DeviceFault},
    model::encryptor::mka::{MkaEndpoint, MkaLink},
    wire::snmp::{
        Agent,
        testing::{binds, oid, vector, vectors, walk},
    },
};
use qkd_driver_kit::link::snmp::{ErrorStatus, Oid, SnmpService, Value, VarBind};
use qkd_hal::Identity;
use std::{sync::Arc, time::Duration};

const VECTORS: &str = include_str!("../../../vectors/nokia-sros-macsec.json");
const N: &str = "1.3.6.1.4.1.6527.3.1.2.114";
const KEY: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
const NAME: &str = "6fa459eaee8a4ca4894edb77e160355e";
const FIRST: &str = "00000000000000000000000000000001";

fn pair() -> ([Arc<Agent<Nokia>>; 2], Clock) {
    let clock = Clock::manual();
    let link = MkaLink::new(clock.clone(), 1);
    let ends = [0, 1].map(|n| {
        let end = Arc::new(MkaEndpoint::new(
            link.clone(),
            n,
            "ca1",
            Identity::new("Nokia")
                .with_model("7750 SR-1")
                .with_firmware("TiMOS-C-22.10"),
        ));
        agent(end, Options::named(&format!("sr-{n}")))
    });
    (ends, clock)
}
fn psk(column: u32, slot: u32) -> Oid {
    oid(N).child(&[2, 4, 1, column, 3, 99, 97, 49, slot])
}
fn write(
    agent: &Agent<Nokia>,
    slot: u32,
    name: &str,
    key: &str,
) -> Result<(), (ErrorStatus, usize)> {
    let mut pdu = vec![
        VarBind::new(psk(4, slot), Value::Integer(2)),
        VarBind::new(psk(5, slot), Value::text(key)),
        VarBind::new(psk(6, slot), Value::text(name)),
    ];
    if agent.get(&psk(3, slot)).is_absent() {
        pdu.insert(0, VarBind::new(psk(3, slot), Value::Integer(4)));
    }
    agent.set(1, &pdu)
}
fn counter(agent: &Agent<Nokia>, column: u32, name: &str) -> Value {
    let ckn = hex::decode(name).unwrap();
    let index: Vec<u32> = [35_684_352, 1, ckn.len() as u32]
        .into_iter()
        .chain(ckn.iter().map(|o| u32::from(*o)))
        .collect();
    agent.get(&oid(N).child(&[3, 2, 1, column]).child(&index))
}

#[test]
fn a_roll_by_the_vectors() {
    let (ends, clock) = pair();
    let all = vectors(VECTORS);
    for end in &ends {
        write(end, 1, FIRST, KEY).unwrap();
        walk(end.as_ref());
    }
    clock.advance(Duration::from_secs(1));
    let mut heard = ends[0].notifications();
    let before = ends[0].get(&oid(N).child(&[3, 6, 1, 4, 35_684_352, 1]));
    for end in &ends {
        end.set(2, &binds(vector(&all, "write slot 2 of ca1 in one PDU")))
            .unwrap();
        assert_eq!(end.get(&psk(5, 2)), Value::text(""));
        assert_eq!(end.get(&psk(6, 2)), Value::text(NAME));
        assert_eq!(end.get(&psk(3, 2)), Value::Integer(1));
        assert_eq!(end.get(&psk(2, 2)), Value::TimeTicks(100));
        assert_eq!(counter(end, 18, NAME), Value::Counter64(0));
    }
    clock.advance(Duration::from_secs(1));
    for end in ends.iter().rev() {
        end.set(3, &binds(vector(&all, "activate slot 2"))).unwrap();
    }
    let state = &binds(vector(&all, "MKA instance inService"))[0];
    for end in &ends {
        assert_eq!(end.get(&state.oid), state.value);
        assert_eq!(
            (counter(end, 18, NAME), counter(end, 19, NAME)),
            (Value::Counter64(1), Value::Counter64(1))
        );
        assert_eq!(
            (counter(end, 15, NAME), counter(end, 29, NAME)),
            (Value::Counter64(0), Value::Counter64(0))
        );
        assert!(matches!(counter(end, 3, NAME), Value::OctetString(t) if t == NAME.as_bytes()));
        end.set(4, &binds(vector(&all, "destroy slot 1"))).unwrap();
        assert!(end.get(&psk(3, 1)).is_absent());
        let rows = walk(end.as_ref());
        assert!(rows.iter().all(|b| b.value != Value::text(KEY)));
    }
    clock.advance(Duration::from_secs(1));
    let encrypted = &binds(vector(&all, "encrypted packets"))[0];
    assert_eq!(
        (before, ends[0].get(&encrypted.oid)),
        (Value::Counter64(1000), Value::Counter64(3000))
    );
    let mut seen = Vec::new();
    while let Ok(n) = heard.try_recv() {
        for golden in [
            vector(&all, "roll-over"),
            vector(&all, "SAK installed for sending"),
        ] {
            if n.trap == oid(golden["trap"].as_str().unwrap()) {
                let expected = binds(golden);
                for (bind, golden) in n.binds.iter().zip(&expected) {
                    assert_eq!(bind.oid, golden.oid);
                    assert!(
                        bind.oid.suffix_of(&oid(N).child(&[4, 5])).is_some()
                            || bind.value == golden.value,
                        "{bind:?}"
                    );
                }
                assert_eq!(n.binds.len(), expected.len());
            }
        }
        seen.push(n.trap.sub_identifiers()[12]);
    }
    assert_eq!(seen, [7, 12, 13, 14, 9, 17]);
}

#[test]
fn mismatches_are_distinguished() {
    let (ends, clock) = pair();
    write(&ends[0], 1, NAME, KEY).unwrap();
    write(&ends[1], 1, FIRST, KEY).unwrap();
    clock.advance(Duration::from_secs(10));
    assert_eq!(
        (counter(&ends[1], 15, FIRST), counter(&ends[1], 29, FIRST)),
        (Value::Counter64(5), Value::Counter64(0))
    );
    assert_eq!(counter(&ends[1], 39, FIRST), Value::Integer(4));
    write(&ends[1], 1, NAME, &KEY.replace("00", "ff")).unwrap();
    clock.advance(Duration::from_secs(10));
    assert_eq!(
        (counter(&ends[1], 15, NAME), counter(&ends[1], 29, NAME)),
        (Value::Counter64(5), Value::Counter64(5))
    );
}

#[test]
fn refused_writes_change_nothing() {
    let (ends, _) = pair();
    let activate = VarBind::new(
        oid(N).child(&[2, 3, 1, 3, 3, 99, 97, 49]),
        Value::Gauge32(2),
    );
    assert_eq!(
        ends[0].set(1, std::slice::from_ref(&activate)),
        Err((ErrorStatus::InconsistentValue, 1))
    );
    assert_eq!(
        write(&ends[0], 1, NAME, &KEY[..32]),
        Err((ErrorStatus::WrongLength, 3))
    );
    assert_eq!(
        write(&ends[0], 1, NAME, &KEY.replace('0', "g")),
        Err((ErrorStatus::WrongValue, 3))
    );
    assert_eq!(
        write(&ends[0], 1, &"a".repeat(65), KEY),
        Err((ErrorStatus::WrongLength, 4))
    );
    assert!(ends[0].get(&psk(3, 1)).is_absent());
    assert_eq!(
        ends[0].set(1, &[VarBind::new(psk(5, 1), Value::text(KEY))]),
        Err((ErrorStatus::InconsistentName, 1))
    );
    assert_eq!(
        write(&ends[0], 3, NAME, KEY),
        Err((ErrorStatus::NoCreation, 1))
    );
    ends[0]
        .set(1, &[VarBind::new(psk(3, 2), Value::Integer(4))])
        .unwrap();
    assert_eq!(ends[0].get(&psk(3, 2)), Value::Integer(3), "not ready");
    assert!(ends[0].set(1, std::slice::from_ref(&activate)).is_err());
    write(&ends[0], 2, NAME, KEY).unwrap();
    ends[0].set(1, &[activate]).unwrap();
    ends[0]
        .apply(&DeviceFault::Operator("destroy:2".into()))
        .unwrap();
    assert!(ends[0].get(&psk(3, 2)).is_absent());
    walk(ends[0].as_ref());
}

#[test]
fn port_ids_by_the_vectors() {
    for golden in vectors(VECTORS)
        .iter()
        .filter(|v| v["direction"] == "value")
    {
        let meaning = &golden["meaning"];
        let name = meaning["name"].as_str().unwrap();
        let place: Place = name.parse().unwrap();
        assert_eq!(place.to_string(), name);
        let scheme = [Scheme::A, Scheme::B, Scheme::C, Scheme::D]
            [meaning["scheme"].as_u64().unwrap() as usize - 1];
        assert_eq!(
            u64::from(scheme.port_id(place)),
            meaning["port"].as_u64().unwrap(),
            "{golden}"
        );
    }
}

#[test]
fn the_chassis_has_its_serial_number_and_sys_descr_the_form_of_the_recordings() {
    let link = MkaLink::new(Clock::manual(), 1);
    let identity = Identity::new("Nokia")
        .with_model("7750 SR")
        .with_serial("XX1416X2339")
        .with_firmware("TiMOS-C-14.0.R5");
    let agent = agent(
        Arc::new(MkaEndpoint::new(link, 0, "ca1", identity)),
        Options::named("sr"),
    );
    let all = vectors(VECTORS);
    let serial = &binds(vector(&all, "serial number of the chassis"))[0];
    assert_eq!(agent.get(&serial.oid), serial.value);
    let recorded = &binds(vector(&all, "sysDescr TiMOS-C-14.0.R5"))[0];
    let (Value::OctetString(ours), Value::OctetString(theirs)) =
        (agent.get(&recorded.oid), &recorded.value)
    else {
        panic!("both are texts")
    };
    assert!(ours.starts_with(theirs), "{}", ours.escape_ascii());
    agent.apply(&DeviceFault::Identity("NS9".into())).unwrap();
    assert_eq!(agent.get(&serial.oid), Value::text("NS9"));
}
