use super::*;
use proptest::prelude::*;
use qkd_driver_kit::link::snmp::{Notification, Oid, VarBind};
use serde_json::Value as Json;

fn vectors() -> Vec<Json> {
    serde_json::from_str(include_str!("../../vectors/packetlight.json")).unwrap()
}

fn value(json: &Json) -> Value {
    let text = || json["value"].as_str().unwrap();
    match json["type"].as_str().unwrap() {
        "INTEGER" => Value::Integer(i32::try_from(json["value"].as_i64().unwrap()).unwrap()),
        "OCTET STRING" => Value::text(text()),
        "Gauge32" => Value::Gauge32(u32::try_from(json["value"].as_u64().unwrap()).unwrap()),
        "TimeTicks" => Value::TimeTicks(u32::try_from(json["value"].as_u64().unwrap()).unwrap()),
        "OBJECT IDENTIFIER" => Value::ObjectId(text().parse().unwrap()),
        "noSuchInstance" => Value::NoSuchInstance,
        other => panic!("{other}"),
    }
}

fn binds(json: &Json) -> Vec<VarBind> {
    json["varbinds"]
        .as_array()
        .unwrap()
        .iter()
        .map(|b| VarBind::new(b["oid"].as_str().unwrap().parse().unwrap(), value(b)))
        .collect()
}

#[test]
fn names_and_values_are_those_of_the_mib() {
    let mut seen = 0;
    for v in vectors() {
        let (binds, m) = (binds(&v), &v["meaning"]);
        let row = || u32::try_from(m["row"].as_u64().unwrap()).unwrap();
        match (
            v["direction"].as_str().unwrap(),
            m["object"].as_str().unwrap(),
        ) {
            ("get", "capability") => assert_eq!(binds[0].oid, Oid::from(oid::CAPABILITY)),
            ("walk", "rows") => {
                let column = oid::column(oid::IF_INDEX);
                let walk: Vec<_> = binds
                    .iter()
                    .map(|b| (b.oid.suffix_of(&column).unwrap().to_vec(), b.value.clone()))
                    .collect();
                assert_eq!(decode_rows(&walk).unwrap(), vec![row()]);
            }
            ("get", "status") => {
                assert_eq!(binds[0].oid, oid::instance(oid::STATUS, row()));
                assert_eq!(
                    decode_status(&binds[0].value).unwrap().map(Status::keyword),
                    m["status"].as_str()
                );
            }
            ("get", "protected-status") => {
                assert_eq!(binds[0].oid, oid::instance(oid::PROTECTED_STATUS, row()));
                assert_eq!(decode_status(&binds[0].value).unwrap(), None);
            }
            ("set", "pre-shared") => {
                assert_eq!(binds[0].oid, oid::instance(oid::PRE_SHARED, row()))
            }
            ("set", "force-init") => assert_eq!(
                binds[0],
                VarBind::new(oid::instance(oid::FORCE_INIT, row()), Value::Integer(1))
            ),
            ("trap", "alarm") => {
                let trap = Notification {
                    trap: v["trap"].as_str().unwrap().parse().unwrap(),
                    uptime: 1,
                    binds,
                };
                let alarm = decode_trap(&trap).unwrap().unwrap();
                assert_eq!(
                    (
                        alarm.if_index,
                        alarm.kind,
                        alarm.severity == Severity::Cleared
                    ),
                    (row(), 223, m["active"] == false)
                );
                assert_eq!(
                    (alarm_name(alarm.kind), alarm.text.as_str()),
                    (m["name"].as_str().unwrap(), m["text"].as_str().unwrap())
                );
            }
            (_, object) if object.starts_with("aps-") || object.starts_with("osw-") => {
                aps::tests::check(&v, &binds)
            }
            other => panic!("{other:?}"),
        }
        seen += 1;
    }
    assert!(seen >= 8);
}

#[test]
fn encodings_of_a_key() {
    let key: Vec<u8> = (0..32).collect();
    let text =
        |encoding: PskEncoding| String::from_utf8(encoding.encode(&key).unwrap().to_vec()).unwrap();
    assert_eq!(
        text(PskEncoding::Hex),
        "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
    );
    assert_eq!(
        text(PskEncoding::Base64),
        "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
    );
    assert!(PskEncoding::Hex.encode(&[0; 128]).is_none());
    assert!(PskEncoding::from_keyword("text").is_none());
}

#[test]
fn values_outside_the_mib_are_refused() {
    assert_eq!(
        decode_status(&Value::Integer(5)),
        Err(ProtoError::Enumeration {
            object: "slSecuEncryptionStatus",
            value: 5
        })
    );
    assert!(matches!(
        decode_status(&Value::text("4")),
        Err(ProtoError::Type { .. })
    ));
    assert_eq!(
        decode_rows(&[(vec![7], Value::Integer(8))]),
        Err(ProtoError::Name)
    );
    assert_eq!(
        decode_trap(&Notification {
            trap: Oid::from(oid::TRAP),
            uptime: 0,
            binds: vec![]
        }),
        Err(ProtoError::Name)
    );
    assert_eq!(
        decode_trap(&Notification {
            trap: Oid::from([1, 3]),
            uptime: 0,
            binds: vec![]
        }),
        Ok(None)
    );
}

#[test]
fn models_by_system_object_id() {
    assert_eq!(
        oid::model(&"1.3.6.1.4.1.4515.100.1.1000.8".parse().unwrap()),
        Some("PL-1000TE Crypto")
    );
    assert_eq!(
        oid::model(&"1.3.6.1.4.1.4515.100.1.9".parse().unwrap()),
        None
    );
}

proptest! {
    #[test]
    fn no_bytes_make_a_decoder_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        fuzz(&bytes);
    }
}
