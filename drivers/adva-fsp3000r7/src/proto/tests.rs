use super::*;
use proptest::prelude::*;
use qkd_driver_kit::link::{
    snmp::Oid,
    snmp_vectors::{notification, varbinds, walk},
};
use serde_json::Value as Json;

#[test]
fn values_outside_the_mib_are_refused() {
    assert_eq!(
        decode_password_result(&Value::Integer(8)),
        Err(ProtoError::Enumeration {
            object: "cryptoOfficerPasswordError",
            value: 8
        })
    );
    assert_eq!(decode_elapsed(&Value::Integer(i32::MIN)), Ok(None));
    assert!(decode_elapsed(&Value::Integer(-1)).is_err());
    assert_eq!(decode_count(&Value::Gauge32(u32::MAX), "x"), Ok(None));
    assert_eq!(decode_choice(&Value::Integer(0), "x"), Ok(None));
    assert!(decode_choice(&Value::Integer(3), "x").is_err());
    assert_eq!(
        decode_rows(&[(vec![1, 2], Value::Integer(1))]),
        Err(ProtoError::Index)
    );
}

#[test]
fn names_and_values_are_those_of_the_mib() {
    let text = include_str!("../../vectors/adva-fsp3000r7.json");
    let messages: Vec<Json> = serde_json::from_str(text).unwrap();
    let mut seen = 0;
    for message in &messages {
        let (meaning, binds) = (&message["meaning"], varbinds(message));
        let row = || u32::try_from(meaning["row"].as_u64().unwrap()).unwrap();
        let number = |name: &str| meaning[name].as_u64();
        if let Some(asked) = number("number") {
            let condition = decode_trap(&notification(message)).unwrap();
            assert_eq!(u64::from(condition.number), asked);
            assert!(condition.entity.is_some());
            seen += 1;
            continue;
        }
        let (first, last) = (&binds[0], binds.last().unwrap());
        if message["direction"] == "set" {
            assert_eq!(first.oid, Oid::from(oid::OFFICER_PASSWORD));
        }
        let column = match meaning["object"].as_str().unwrap() {
            "password" => {
                match meaning["result"].as_str() {
                    Some(keyword) => {
                        assert_eq!(first.oid, Oid::from(oid::PASSWORD_ERROR));
                        let result = decode_password_result(&first.value).unwrap();
                        assert_eq!(result.keyword(), keyword);
                    }
                    None => {
                        assert_eq!(first.oid, Oid::from(oid::PASSWORD_REQUEST));
                        let request = decode_count(&first.value, "x").unwrap();
                        assert_eq!(request, number("request_id"));
                    }
                }
                seen += 1;
                continue;
            }
            "ports" => {
                let rows = walk(&binds, &oid::column(oid::PORT_CONFIG, oid::LIFE_TIME));
                assert_eq!(decode_rows(&rows), Ok(vec![row()]));
                assert_eq!(decode_life_time(&first.value), Ok(Some("1 d")));
                (oid::PORT_CONFIG, oid::LIFE_TIME)
            }
            "key" => (oid::PORT_CONFIG, oid::AUTH_KEY),
            "exchange" => (oid::PORT_CONFIG, oid::FORCE_EXCHANGE),
            "forced clear" => (oid::PORT_CONFIG, oid::CLEAR_FORCED),
            "life time" => {
                assert_eq!(decode_life_time(&last.value), Ok(Some("30 min")));
                (oid::PORT_CONFIG, oid::LIFE_TIME)
            }
            "off state" => (oid::PORT_CONFIG, oid::OFF_STATE),
            "off" => {
                let encrypts = decode_choice(&last.value, "x").unwrap();
                assert_eq!(encrypts, meaning["off"].as_bool().map(|off| !off));
                (oid::PORT_CONFIG, oid::ENCRYPTION_OFF)
            }
            "failures" => {
                assert_eq!(decode_count(&last.value, "x"), Ok(number("failures")));
                (oid::PORT_STATUS, oid::FAILURES)
            }
            "last success" => {
                assert!(date_and_time(&last.value, "x").unwrap().is_some());
                (oid::PORT_STATUS, oid::LAST_GOOD)
            }
            "remaining" => {
                assert_eq!(decode_count(&last.value, "x"), Ok(number("seconds")));
                (oid::PORT_STATUS, oid::REMAINING)
            }
            "run seconds" => {
                assert_eq!(decode_count(&last.value, "x"), Ok(number("seconds")));
                (oid::CURRENT_15_MIN, oid::RUN_SECONDS)
            }
            "elapsed" => {
                assert_eq!(decode_elapsed(&last.value), Ok(number("seconds")));
                (oid::CURRENT_15_MIN, oid::ELAPSED)
            }
            // The driver never resets a module.
            "reset" | "reset capability" => continue,
            other => panic!("{other}"),
        };
        assert_eq!(last.oid, oid::of(column.0, column.1, row()));
        seen += 1;
    }
    assert_eq!(seen, messages.len() - 2);
}

proptest! {
    #[test]
    fn any_bytes_are_decoded_without_a_panic(input: Vec<u8>) {
        fuzz(&input);
    }
}
