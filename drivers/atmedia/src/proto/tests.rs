use super::*;
use proptest::prelude::*;
use qkd_driver_kit::link::{
    snmp::{Oid, VarBind},
    snmp_vectors::{varbinds, walk},
};
use serde_json::Value as Json;

#[test]
fn values_outside_the_mib_are_refused() {
    for wrong in [0, 4, -1] {
        assert!(decode_engine_state(&Value::Integer(wrong)).is_err());
    }
    assert_eq!(decode_power_failure(&Value::Integer(0)), Ok(None));
    assert_eq!(decode_power_failure(&Value::NoSuchInstance), Ok(None));
    let walk = vec![(vec![1, 2], Value::Integer(1))];
    assert_eq!(decode_rows(walk), Err(ProtoError::Index));
}

#[test]
fn names_and_values_are_those_of_the_mib() {
    let text = include_str!("../../vectors/atmedia.json");
    let messages: Vec<Json> = serde_json::from_str(text).unwrap();
    let mut seen = 0;
    for message in &messages {
        let (meaning, binds) = (&message["meaning"], varbinds(message));
        let value = |name: Oid| {
            let found = binds.iter().find(|bind: &&VarBind| bind.oid == name);
            found.map(|bind| bind.value.clone())
        };
        let states = || meaning["states"].as_object().unwrap();
        let row = |name: &str| u32::try_from(meaning[name].as_u64().unwrap()).unwrap();
        match meaning["object"].as_str().unwrap() {
            "identity" => {
                for (name, word) in [
                    (oid::PRODUCT, "product"),
                    (oid::SERIAL, "serial"),
                    (oid::SOFTWARE, "software"),
                ] {
                    let text = decode_text(&value(Oid::from(name)).unwrap(), "x").unwrap();
                    assert_eq!(text.as_deref(), meaning[word].as_str());
                }
            }
            "engines" => {
                let rows = decode_rows(walk(&binds, &Oid::from(oid::ENGINE_STATE))).unwrap();
                assert_eq!(rows.len(), states().len());
                for (row, value) in rows {
                    let state = decode_engine_state(&value).unwrap();
                    assert_eq!(states()[&row.to_string()], state.keyword());
                }
            }
            "interfaces" => {
                let rows = decode_rows(walk(&binds, &Oid::from(oid::INTERFACE_STATE))).unwrap();
                assert_eq!(rows.len(), states().len());
                for (row, value) in rows {
                    let is_up = decode_interface_state(&value).unwrap();
                    assert_eq!(is_up, states()[&row.to_string()] == "up");
                }
            }
            "engine-change" => {
                let name = oid::of(oid::ENGINE_LAST_CHANGE, row("engine"));
                let ticks = count(&value(name).unwrap(), "x").ok();
                assert_eq!(ticks, meaning["ticks"].as_u64());
            }
            "octets" => {
                for (column, word) in [(oid::INTERFACE_RX, "received"), (oid::INTERFACE_TX, "sent")]
                {
                    let octets = value(oid::of(column, row("interface"))).unwrap();
                    assert_eq!(count(&octets, "x").ok(), meaning[word].as_u64());
                }
            }
            "maintenance" => {
                let has_failed = decode_power_failure(&value(Oid::from(oid::POWER)).unwrap());
                assert_eq!(has_failed, Ok(Some(meaning["power"] == "down")));
                if let Some(hundredths) = value(Oid::from(oid::TEMPERATURE)) {
                    assert_eq!(count(&hundredths, "x"), Ok(4_000));
                }
            }
            // The driver walks what it reads, and does not read the alarms of a line.
            "numbers" | "gigabit" => continue,
            other => panic!("{other}"),
        }
        seen += 1;
    }
    assert_eq!(seen, messages.len() - 3);
}

proptest! {
    #[test]
    fn any_bytes_are_decoded_without_a_panic(input: Vec<u8>) {
        fuzz(&input);
    }
}
