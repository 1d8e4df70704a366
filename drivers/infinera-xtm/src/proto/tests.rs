use super::*;
use proptest::prelude::*;
use qkd_driver_kit::link::{
    snmp::VarBind,
    snmp_vectors::{varbinds, walk},
};
use serde_json::Value as Json;

#[test]
fn values_outside_the_mib_are_refused() {
    assert!(decode_peer_status(&Value::Integer(4)).is_err());
    assert_eq!(
        decode_peer_status(&Value::Integer(i32::MAX)),
        Ok(PeerStatus::NotApplicable)
    );
    assert_eq!(decode_fault(&Value::NoSuchInstance, "x"), Ok(false));
    assert!(decode_fault(&Value::Integer(3), "x").is_err());
    assert_eq!(decode_peer_number(&Value::Integer(16)), Ok(Some(16)));
    assert_eq!(decode_peer_number(&Value::Integer(i32::MAX)), Ok(None));
    for wrong in [17, 256, -1] {
        assert!(
            decode_peer_number(&Value::Integer(wrong)).is_err(),
            "{wrong}"
        );
    }
    let walk = vec![(vec![1, 2], Value::Integer(1))];
    assert_eq!(decode_rows(walk), Err(ProtoError::Index));
}

#[test]
fn places_are_the_last_three_parts_of_a_name() {
    let place = Place::parse("ikePeer:1:12:3").unwrap();
    assert_eq!((place.subrack, place.slot, place.item), (1, 12, 3));
    assert!(place.is_on_board_of(Place::parse("dpEncr:1:12:9").unwrap()));
    assert!(!place.is_on_board_of(Place::parse("dpEncr:1:11:3").unwrap()));
    for wrong in [
        "",
        "ikePeer",
        "ikePeer:1:2",
        "ikePeer:1:2:3:4",
        "a:b:c:d",
        "a:1:2:70000",
    ] {
        assert_eq!(Place::parse(wrong), None, "{wrong}");
    }
}

#[test]
fn names_and_values_are_those_of_the_mib() {
    let text = include_str!("../../vectors/infinera-xtm.json");
    let messages: Vec<Json> = serde_json::from_str(text).unwrap();
    let mut seen = 0;
    for message in &messages {
        let (meaning, binds) = (&message["meaning"], varbinds(message));
        let last = binds.last().unwrap();
        let value = |entry, column| {
            let name = oid::of(entry, column, 1);
            let found = binds.iter().find(|bind: &&VarBind| bind.oid == name);
            found.map(|bind| bind.value.clone())
        };
        match meaning["object"].as_str().unwrap() {
            "rows" => {
                for (entry, column) in [(oid::PEER, oid::PEER_NAME), (oid::PLANE, oid::PLANE_NAME)]
                {
                    let rows = decode_rows(walk(&binds, &oid::column(entry, column))).unwrap();
                    let [(1, name)] = rows.as_slice() else {
                        panic!("{rows:?}");
                    };
                    let name = decode_text(name, "x").unwrap().unwrap();
                    let place = Place {
                        subrack: 1,
                        slot: 2,
                        item: 1,
                    };
                    assert_eq!(Place::parse(&name), Some(place));
                }
            }
            "peer" => {
                let status = decode_peer_status(&value(oid::PEER, oid::PEER_STATUS).unwrap());
                assert_eq!(
                    status.ok().map(PeerStatus::keyword),
                    meaning["status"].as_str()
                );
            }
            "peer faults" => {
                let expected = meaning["faults"].as_array().unwrap();
                for (column, name) in [
                    (oid::PEER_UNREACHABLE, "unreachable"),
                    (oid::PEER_AUTH_FAILURE, "authentication"),
                    (oid::PEER_REKEY_FAILURE, "rekey"),
                ] {
                    if let Some(value) = value(oid::PEER, column) {
                        let is_expected = expected.iter().any(|fault| fault == name);
                        assert_eq!(decode_fault(&value, "x"), Ok(is_expected), "{name}");
                    }
                }
            }
            "plane" => {
                let of = |column| value(oid::PLANE, column).unwrap();
                assert_eq!(decode_peer_number(&of(oid::PLANE_PEER)), Ok(Some(1)));
                assert_eq!(count(&of(oid::PLANE_REKEY_INTERVAL), "x"), Ok(300));
                let policy = decode_failure_policy(&of(oid::PLANE_FAILURE_POLICY));
                assert_eq!(policy, Ok(FailurePolicy::Continue));
                assert_eq!(count(&of(oid::PLANE_KILL_OFFSET), "x"), Ok(900));
                assert_eq!(decode_mode(&of(oid::PLANE_MODE)), Ok(Mode::Gcm));
            }
            "key" | "key reads" => {
                assert_eq!(last.oid, oid::of(oid::PEER, oid::PEER_PSK, 1));
            }
            "last authentication" => {
                assert_eq!(last.oid, oid::of(oid::PEER, oid::PEER_LAST_REAUTH, 1));
                assert!(date_and_time(&last.value, "x").unwrap().is_some());
            }
            "counters" => {
                for (column, name) in oid::COUNTERS {
                    let of_message = match name {
                        "authentication-failures" => "failures",
                        "encrypted-frames" => "encrypted",
                        _ => continue,
                    };
                    let number = count(&value(oid::PERFORMANCE, column).unwrap(), "x").ok();
                    assert_eq!(number, meaning[of_message].as_u64());
                }
            }
            // The driver selects no policy, and uses no command that the MIB has as read-only.
            "policy" | "command" => continue,
            other => panic!("{other}"),
        }
        seen += 1;
    }
    assert_eq!(seen, messages.len() - 5);
}

proptest! {
    #[test]
    fn any_bytes_are_decoded_without_a_panic(input: Vec<u8>) {
        fuzz(&input);
    }
}
