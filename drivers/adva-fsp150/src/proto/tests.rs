use super::*;
use proptest::prelude::*;
use qkd_driver_kit::link::snmp_vectors::{notification, varbinds, walk};
use qkd_hal::event::Severity;
use serde_json::Value as Json;

#[test]
fn values_outside_the_mib_are_refused() {
    assert!(decode_profile_mode(&Value::Integer(4)).is_err());
    assert!(decode_admin_state(&Value::Integer(7)).is_err());
    assert!(decode_operational_state(&Value::Integer(0)).is_err());
    assert!(decode_in_use(&Value::NoSuchInstance).is_err());
    let walk = [(vec![1], Value::Integer(1))];
    assert_eq!(decode_flows(&walk), Err(ProtoError::Index));
}

#[test]
fn a_pointer_names_an_instance_in_the_row_of_a_profile() {
    let pointer = |ids: &[u32]| decode_profile(&Value::ObjectId(Oid::from(ids)));
    let row = |rest: &[u32]| [oid::PROFILE, rest].concat();
    assert_eq!(pointer(&row(&[1, 7])), Ok(Some(7)));
    assert_eq!(pointer(&[0, 0]), Ok(None));
    assert_eq!(decode_profile(&Value::NoSuchInstance), Ok(None));
    for wrong in [row(&[7]), row(&[1, 7, 7]), vec![1, 3, 6, 1]] {
        assert_eq!(pointer(&wrong), Err(ProtoError::Index));
    }
    assert!(decode_profile(&Value::Integer(7)).is_err());
}

#[test]
fn names_and_values_are_those_of_the_mib() {
    let text = include_str!("../../vectors/adva-fsp150.json");
    let messages: Vec<Json> = serde_json::from_str(text).unwrap();
    let mut seen = 0;
    for message in &messages {
        let (meaning, binds) = (&message["meaning"], varbinds(message));
        let number = |name: &str| meaning[name].as_u64();
        let flow = || Flow {
            ne: 1,
            number: u32::try_from(number("flow").unwrap()).unwrap(),
        };
        if message["direction"] == "trap" {
            let of_trap = decode_trap(&notification(message)).unwrap().unwrap();
            match (of_trap, meaning["state"].as_str()) {
                (Report::StateChange { state, .. }, Some(expected)) => assert_eq!(state, expected),
                (Report::Alarm(alarm), None) => {
                    assert_eq!(Some(alarm.number), number("condition"));
                    let severity = match meaning["severity"].as_str().unwrap() {
                        "critical" => Severity::Critical,
                        _ => Severity::Cleared,
                    };
                    assert_eq!(alarm.severity, severity);
                    assert_eq!(alarm.subject.as_deref(), Some("CONNECTGUARD FLOW-1-1"));
                }
                (other, _) => panic!("{other:?}"),
            }
            seen += 1;
            continue;
        }
        let (first, last) = (&binds[0], binds.last().unwrap());
        if message["direction"] == "set" {
            assert_eq!(first.oid, Oid::from(oid::CRYPTO_PASSWORD));
        }
        match meaning["object"].as_str().unwrap() {
            "flows" => {
                let rows = walk(&binds, &oid::column(oid::FLOW, oid::FLOW_PROFILE));
                assert_eq!(decode_flows(&rows).unwrap().len(), 2);
                assert_eq!(decode_profile(&last.value), Ok(Some(1)));
            }
            "profile" => {
                let mode = oid::of_profile(oid::PROFILE_MODE, 1);
                let mode = binds.iter().find(|bind| bind.oid == mode).unwrap();
                let mode = decode_profile_mode(&mode.value);
                assert_eq!(mode, Ok(ProfileMode::Password));
            }
            "key" => {
                let name = oid::of_profile(oid::PROFILE_PASSWORD, 1);
                assert!(binds.iter().any(|bind| bind.oid == name));
            }
            "exchange" => assert_eq!(last.oid, oid::of_flow(oid::ACTION, flow())),
            "state" => {
                assert_eq!(first.oid, oid::of_flow(oid::OPERATIONAL_STATE, flow()));
                let is_normal = decode_operational_state(&first.value);
                assert_eq!(is_normal, Ok(meaning["state"] == "normal"));
            }
            "failures" => {
                assert_eq!(first.oid, oid::of_flow(oid::FAILURES, flow()));
                assert_eq!(count(&first.value, "x").ok(), number("count"));
            }
            "interval" => {
                assert_eq!(first.oid, oid::of_flow(oid::INTERVAL, flow()));
                assert_eq!(count(&first.value, "x").ok(), number("minutes"));
            }
            "tx-sa" => {
                let index = [1, 1, 1, 2];
                let column = |column| oid::column(oid::TX_SA, column).child(&index);
                assert_eq!(first.oid, column(oid::SA_STATE));
                assert_eq!(decode_in_use(&first.value), Ok(true));
                assert_eq!(last.oid, column(oid::SA_CREATED));
                assert!(date_and_time(&last.value, "x").unwrap().is_some());
            }
            "encrypted" => {
                let column = oid::column(oid::TX_SC_STATS, oid::TX_ENCRYPTED);
                assert!(first.oid.suffix_of(&column).is_some());
                assert_eq!(count(&first.value, "x").ok(), number("packets"));
            }
            // The driver reads the policy of a flow, and neither its secure state nor its user.
            "blocking" => {
                let column = Oid::from(oid::SECURE_BLOCKING);
                assert!(last.oid.suffix_of(&column).is_some());
                let blocks = decode_truth_value(&last.value, "x").unwrap();
                assert_eq!(blocks, meaning["blocking"].as_bool());
            }
            "secure" | "user" => continue,
            other => panic!("{other}"),
        }
        seen += 1;
    }
    assert_eq!(seen, messages.len() - 4);
}

proptest! {
    #[test]
    fn any_bytes_are_decoded_without_a_panic(input: Vec<u8>) {
        fuzz(&input);
    }
}
