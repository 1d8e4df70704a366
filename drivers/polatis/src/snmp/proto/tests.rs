use super::*;
use proptest::prelude::*;
use qkd_hal::event::{EventKind, Severity};
use serde_json::{Value as Json, json};

fn vectors() -> Vec<Json> {
    serde_json::from_str(include_str!("../../../vectors/polatis-snmp.json")).unwrap()
}

fn value(kind: &Json, value: &Json) -> Value {
    match kind.as_str().unwrap() {
        "text" => Value::text(value.as_str().unwrap()),
        "gauge" => Value::Gauge32(u32::try_from(value.as_u64().unwrap()).unwrap()),
        _ => Value::Integer(i32::try_from(value.as_i64().unwrap()).unwrap()),
    }
}

fn name(json: &Json) -> Oid {
    json.as_str().unwrap().parse().unwrap()
}

#[test]
fn values_are_decoded_as_in_the_sources() {
    let mut seen = 0;
    for v in vectors().iter().filter(|v| v["direction"] == "value") {
        let (m, value, at) = (
            &v["meaning"],
            value(&v["type"], &v["value"]),
            name(&v["oid"]),
        );
        let row = *at.sub_identifiers().last().unwrap();
        let (column, reported) = match m["object"].as_str().unwrap() {
            "product-code" => (oid::PRODUCT_CODE, json!({"object": "product-code"})),
            "size" => (
                oid::SIZE,
                json!({"object": "size", "size": [decode_size(&value).unwrap().0,
                    decode_size(&value).unwrap().1]}),
            ),
            "patch" => (
                oid::PATCH,
                json!({"object": "patch", "peer": decode_patch(&value).unwrap()}),
            ),
            "port-state" => (
                oid::PORT_STATE,
                json!({"object": "port-state", "state": format!("{:?}",
                    decode_port_state(&value).unwrap())}),
            ),
            "wavelength" => (
                oid::OPM_WAVELENGTH,
                json!({"object": "wavelength", "milli": decode_milli(&value, "x").unwrap()}),
            ),
            "threshold" => (
                oid::ALARM_LOW,
                json!({"object": "threshold", "milli": decode_milli(&value, "x").unwrap()}),
            ),
            "power" => (
                oid::POWER,
                json!({"object": "power", "milli": decode_milli(&value, "x").unwrap()}),
            ),
            "edge" => (
                oid::ALARM_EDGE,
                json!({"object": "edge", "edge": format!("{:?}", decode_edge(&value).unwrap())}),
            ),
            "alarm-mode" => (
                oid::ALARM_MODE,
                json!({"object": "alarm-mode", "on": decode_alarm_on(&value).unwrap()}),
            ),
            "voa-state" => (
                oid::VOA_STATE,
                json!({"object": "voa-state", "state": format!("{:?}", decode_voa_state(&value,
                    "x").unwrap())}),
            ),
            "aps-desired" => (
                oid::APS_DESIRED,
                json!({"object": "aps-desired", "mode": format!("{:?}",
                    decode_mode(&value).unwrap())}),
            ),
            "condition" => (
                oid::APS_CONDITION,
                json!({"object": "condition", "condition": format!("{:?}",
                    decode_condition(&value).unwrap())}),
            ),
            other => panic!("no such object: {other}"),
        };
        assert_eq!(reported, *m, "{}", v["name"]);
        assert!(
            at == Oid::from(column) || at == oid::of(column, row),
            "{}: {at}",
            v["name"]
        );
        seen += 1;
    }
    assert!(seen >= 25, "only {seen} values");
}

#[test]
fn notifications_match_the_sources() {
    let mut seen = 0;
    for v in vectors().iter().filter(|v| v["direction"] == "trap") {
        let binds = v["binds"]
            .as_array()
            .unwrap()
            .iter()
            .map(|b| VarBind::new(name(&b[0]), value(&b[1], &b[2])))
            .collect();
        let reported = decode_trap(&Notification {
            trap: name(&v["oid"]),
            uptime: 0,
            binds,
        })
        .unwrap()
        .unwrap();
        let reported = match reported {
            TrapEvent::Event(EventKind::StateChanged { subject, .. }) => {
                json!({"event": "state-changed", "subject": subject})
            }
            TrapEvent::Event(EventKind::Alarm {
                code,
                subject,
                severity,
                ..
            }) => {
                json!({"event": "alarm", "code": code, "subject": subject,
                    "cleared": severity == Severity::Cleared})
            }
            TrapEvent::SwitchOver { group, port, .. } => {
                json!({"event": "switch-over", "group": group, "port": port})
            }
            other => panic!("{other:?}"),
        };
        assert_eq!(reported, v["meaning"], "{}", v["name"]);
        seen += 1;
    }
    assert!(seen >= 9, "only {seen} notifications");
}

#[test]
fn every_revision_of_a_notification_is_known_and_no_stranger() {
    let known = |family: &[u32], n: u32| {
        decode_trap(&Notification {
            trap: Oid::from(family).child(&[0, n]),
            uptime: 0,
            binds: Vec::new(),
        })
        .unwrap()
        .is_some()
    };
    for (family, numbers) in [
        (oid::OXC_TRAPS, 1..=14),
        (oid::OPM_TRAPS, 1..=6),
        (oid::VOA_TRAPS, 1..=2),
        (oid::APS_TRAPS, 1..=3),
        (oid::SYSTEM_TRAPS, 7..=20),
    ] {
        assert!(numbers.clone().all(|n| known(family, n)), "{family:?}");
        assert!(!known(family, numbers.end() + 1) && !known(family, 0));
    }
}

proptest! {
    #[test]
    fn no_bytes_make_a_decoder_panic(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
        fuzz(&bytes);
    }
}
