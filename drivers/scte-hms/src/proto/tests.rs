use super::*;
use proptest::prelude::*;
use serde_json::Value as Json;

fn bind(json: &Json) -> VarBind {
    let value = match json["type"].as_str().unwrap() {
        "INTEGER" => Value::Integer(i32::try_from(json["value"].as_i64().unwrap()).unwrap()),
        "OBJECT IDENTIFIER" => Value::ObjectId(json["value"].as_str().unwrap().parse().unwrap()),
        _ => Value::text(json["value"].as_str().unwrap()),
    };
    VarBind::new(json["oid"].as_str().unwrap().parse().unwrap(), value)
}

#[test]
fn names_and_values_are_those_of_the_mib() {
    let vectors: Vec<Json> =
        serde_json::from_str(include_str!("../../vectors/scte-hms.json")).unwrap();
    for v in &vectors {
        let binds: Vec<VarBind> = v["varbinds"].as_array().unwrap().iter().map(bind).collect();
        let (name, value, m) = (&binds[0].oid, &binds[0].value, &v["meaning"]);
        let input = |column| {
            oid::input(
                column,
                7,
                u32::try_from(m["input"].as_u64().unwrap()).unwrap(),
            )
        };
        let reported = |position: Position| Some(position.name()) == m["path"].as_str();
        match (
            v["direction"].as_str().unwrap(),
            m["object"].as_str().unwrap(),
        ) {
            ("get", "mode") => assert_eq!(
                (name, decode_mode(value).unwrap().to_string().as_str()),
                (&oid::unit(oid::MODE, 7), m["mode"].as_str().unwrap())
            ),
            ("set", "mode") => assert_eq!(
                (name, value),
                (&oid::unit(oid::MODE, 7), &mode(SelectionMode::Manual))
            ),
            ("get", "state") => assert!(
                *name == oid::unit(oid::STATE, 7) && reported(decode_position(value, "x").unwrap())
            ),
            ("set", "control") => {
                let path = PathId(m["path"].as_str().unwrap().to_owned());
                assert_eq!(
                    (name, value),
                    (
                        &oid::unit(oid::CONTROL, 7),
                        &SwitchType::Ab.position(&path).unwrap().value()
                    )
                );
            }
            ("get", "revert") => assert_eq!(
                (name, decode_revert(value).ok()),
                (&oid::unit(oid::REVERT, 7), m["on"].as_bool())
            ),
            ("set", "revert") => {
                assert_eq!((name, value), (&oid::unit(oid::REVERT, 7), &revert(false)))
            }
            ("get", "failover") => assert_eq!(
                (name, decode_fault(value, "x").ok()),
                (&oid::unit(oid::FAILOVER, 7), m["fault"].as_bool())
            ),
            ("get", "input-status") => assert_eq!(
                (name, decode_fault(value, "x").ok()),
                (&input(oid::INPUT_STATUS), m["fault"].as_bool())
            ),
            ("get", "level") => assert_eq!(
                (name, decode_power(value, "x").unwrap().0),
                (&input(oid::LEVEL), m["dbm"].as_f64().unwrap())
            ),
            ("get", "threshold") => assert_eq!(
                (name, decode_power(value, "x").unwrap().0),
                (&input(oid::THRESHOLD), m["dbm"].as_f64().unwrap())
            ),
            ("trap", "alarm") => {
                let trap = Notification {
                    trap: v["trap"].as_str().unwrap().parse().unwrap(),
                    uptime: 1,
                    binds,
                };
                let alarm = decode_trap(&trap).unwrap().unwrap();
                let got = (alarm.object.to_string(), alarm.state, alarm.text.as_str());
                assert_eq!(
                    got,
                    (
                        m["subject"].as_str().unwrap().to_owned(),
                        m["state"].as_str().unwrap(),
                        m["text"].as_str().unwrap()
                    )
                );
            }
            other => panic!("nothing reads {other:?}"),
        }
    }
    assert!(vectors.len() >= 16);
}

#[test]
fn values_outside_the_mib_are_refused() {
    assert_eq!(
        decode_position(&Value::Integer(7), "heOpSwitchState"),
        Err(SnmpDecodeError::Enumeration {
            object: "heOpSwitchState",
            value: 7
        })
    );
    assert!(
        decode_mode(&Value::Integer(0)).is_err() && decode_fault(&Value::text("1"), "x").is_err()
    );
    assert_eq!(
        (SwitchType::of_outputs(0), SwitchType::of_outputs(3)),
        (None, None)
    );
    assert_eq!(SwitchType::Ab.position(&"bar".into()), None);
    let bare = Notification {
        trap: Oid::from(oid::ALARM_EVENT),
        uptime: 1,
        binds: Vec::new(),
    };
    assert_eq!(
        decode_trap(&bare),
        Err(SnmpDecodeError::Absent {
            object: "heCommonLogOID"
        })
    );
    assert_eq!(
        decode_trap(&Notification {
            trap: Oid::from([1, 3]),
            ..bare
        }),
        Ok(None)
    );
}

proptest! {
    #[test]
    fn no_bytes_make_a_decoder_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        fuzz(&bytes);
    }
}
