use super::*;
use proptest::prelude::*;
use qkd_driver_kit::link::{
    snmp::{Notification, Oid, VarBind},
    snmp_vectors::{notification, varbinds},
};
use qkd_hal::event::Severity;
use serde_json::Value as Json;

#[test]
fn values_outside_the_mib_are_refused() {
    assert!(decode_authentication(&Value::Integer(3)).is_err());
    assert!(decode_feature(&Value::NoSuchInstance).is_err());
    for hours in [0, 25, u32::MAX] {
        assert!(decode_period(&Value::Gauge32(hours)).is_err(), "{hours}");
    }
    assert_eq!(decode_port_state(&Value::Integer(-1)), Ok(Some("unknown")));
    let walk = [(vec![48], Value::Integer(1))];
    assert_eq!(decode_rows(&walk), Err(ProtoError::Index));
}

#[test]
fn severities_are_those_of_the_mib() {
    let alarm = |severity: i32, active: i32| {
        let name = |column| Oid::from(oid::ALARM).child(&[column, 0]);
        let notification = Notification {
            trap: Oid::from(oid::ALARM),
            uptime: 1,
            binds: vec![
                VarBind::new(name(oid::ALARM_SEVERITY), Value::Integer(severity)),
                VarBind::new(name(oid::ALARM_ACTIVE), Value::Integer(active)),
                VarBind::new(name(oid::ALARM_DESCRIPTION), Value::text("Auth failed")),
            ],
        };
        decode_trap(&notification).map(|alarm| alarm.unwrap().severity)
    };
    assert_eq!(alarm(3, 1), Ok(Severity::Critical));
    assert_eq!(alarm(3, 2), Ok(Severity::Cleared));
    assert_eq!(alarm(6, 3), Ok(Severity::Warning));
    for absent in [2, 7, 9] {
        assert!(alarm(absent, 1).is_err(), "{absent}");
    }
}

#[test]
fn names_and_values_are_those_of_the_mib() {
    let text = include_str!("../../vectors/ciena-waveserver.json");
    let messages: Vec<Json> = serde_json::from_str(text).unwrap();
    let row = oid::Row { port: 48, key: 0 };
    let mut seen = 0;
    for message in &messages {
        let (meaning, binds) = (&message["meaning"], varbinds(message));
        let word = |name: &str| meaning[name].as_str();
        let Some(object) = word("object") else {
            let alarm = decode_trap(&notification(message)).unwrap().unwrap();
            let severity = match meaning["active"].as_bool().unwrap() {
                true => Severity::Major,
                false => Severity::Cleared,
            };
            assert_eq!(alarm.severity, severity);
            assert_eq!(alarm.instance.as_deref(), word("instance"));
            seen += 1;
            continue;
        };
        let (first, last) = (&binds[0], binds.last().unwrap());
        let is = |entry, column| assert_eq!(last.oid, oid::of(entry, column, row));
        match object {
            "ports" => {
                assert_eq!(last.oid, Oid::from(oid::PORT_NAME).child(&[48, 0]));
            }
            "port state" => {
                assert_eq!(last.oid, Oid::from(oid::PORT_STATE).child(&[48, 0]));
                let state = decode_port_state(&last.value).unwrap().unwrap();
                assert_eq!(Some(&*state.to_lowercase()), word("state"));
            }
            "peer" => {
                is(oid::PORT, oid::PEER_AUTHENTICATION);
                let peer = decode_authentication(&last.value).unwrap();
                assert_eq!(peer.map(PeerAuthentication::keyword), word("status"));
            }
            "key" => {
                assert_eq!(first.oid, oid::of(oid::KEY, oid::KEY_VALUE, row));
                if binds.len() == 2 {
                    is(oid::KEY, oid::KEY_DESCRIPTION);
                }
            }
            "key reads" => is(oid::KEY, oid::KEY_VALUE),
            "key status" => {
                is(oid::KEY, oid::KEY_STATUS);
                let is_set = decode_key_status(&last.value).unwrap();
                assert_eq!(is_set, meaning["set"].as_bool());
            }
            "re-authentication" => {
                is(oid::REAUTHENTICATION, oid::FAILURE_MODE);
                assert_eq!(decode_period(&first.value).ok(), meaning["hours"].as_u64());
                let mode = decode_failure_mode(&last.value).unwrap();
                assert_eq!(mode, Some(FailureMode::Drop));
            }
            "period" => is(oid::REAUTHENTICATION, oid::PERIOD),
            "feature" => {
                let names = [oid::LICENSE, oid::FEATURE];
                let names = names.map(|column| Oid::from(oid::CHASSIS).child(&[column, 0]));
                assert_eq!([&first.oid, &last.oid], names.each_ref());
                assert_eq!(decode_license(&first.value).ok(), word("licence"));
                assert_eq!(decode_feature(&last.value), Ok(Feature::Ready));
            }
            // The driver never selects what passes after a failure, and uses no procedure.
            "failure mode" | "clear all" | "clear all result" | "enable" | "enable result" => {
                continue;
            }
            other => panic!("{other}"),
        }
        seen += 1;
    }
    assert_eq!(seen, messages.len() - 6);
}

proptest! {
    #[test]
    fn any_bytes_are_decoded_without_a_panic(input: Vec<u8>) {
        fuzz(&input);
    }
}
