use super::*;
use proptest::prelude::*;
use qkd_driver_kit::link::{
    snmp::{Oid, VarBind},
    snmp_vectors::{varbinds, walk},
};
use serde_json::Value as Json;

#[test]
fn a_ckn_in_an_index_has_its_length_first() {
    let ckn = KeyId::from_bytes(&[0xca, 0xfe]).unwrap();
    assert_eq!(decode_ckn(&[2, 0xca, 0xfe]), Ok(ckn.clone()));
    let name = oid::of_participant(oid::PART_PRINCIPAL, 9, &ckn);
    let end = [oid::PART_PRINCIPAL, 9, 2, 0xca, 0xfe];
    assert!(name.sub_identifiers().ends_with(&end));
    for wrong in [&[][..], &[0], &[1], &[1, 256], &[2, 1], &[1, 1, 1]] {
        assert_eq!(decode_ckn(wrong), Err(ProtoError::Index), "{wrong:?}");
    }
    let long = [vec![33], vec![1; 33]].concat();
    assert_eq!(decode_ckn(&long), Err(ProtoError::Index));
}

#[test]
fn counters_are_summed_up_to_the_largest_number() {
    assert_eq!(sum(&[Value::NoSuchInstance], "x"), Ok(None));
    let large = Value::Counter64(u64::MAX);
    assert_eq!(sum(&[large.clone(), large], "x"), Ok(Some(u64::MAX)));
    assert!(sum(&[Value::text("1")], "x").is_err());
}

#[test]
fn names_and_values_are_those_of_the_mibs() {
    let text = include_str!("../../vectors/ieee-macsec.json");
    let messages: Vec<Json> = serde_json::from_str(text).unwrap();
    let mut seen = 0;
    for message in &messages {
        let (meaning, binds) = (&message["meaning"], varbinds(message));
        let value = |name: Oid| {
            let found = binds.iter().find(|bind: &&VarBind| bind.oid == name);
            found.map(|bind| bind.value.clone())
        };
        let Some(object) = meaning["object"].as_str() else {
            // The driver has no events: linkDown says nothing about keys.
            continue;
        };
        let total = |columns: &[&[u32]]| {
            let rows = columns
                .iter()
                .flat_map(|column| walk(&binds, &Oid::from(*column)));
            let values: Vec<_> = rows.map(|(_, value)| value).collect();
            sum(&values, "x").unwrap()
        };
        match object {
            "ports" => {
                let rows = walk(&binds, &Oid::from(oid::CONTROLLED_PORT));
                assert_eq!(decode_ports(&rows), Ok(vec![1, 2]));
                assert_eq!(decode_interface(&rows[0].1, "x"), Ok(Some(101)));
            }
            "kay" => {
                for (column, word) in [(oid::SECURED, "secured"), (oid::FAILED, "failed")] {
                    if let Some(flag) = value(oid::of_port(column, 1)) {
                        let flag = decode_truth_value(&flag, "x").unwrap();
                        assert_eq!(flag, meaning[word].as_bool());
                    }
                }
            }
            "key-number" => {
                for (column, word) in [(oid::TX_KN, "tx"), (oid::RX_KN, "rx")] {
                    let number = count(&value(oid::of_port(column, 1)).unwrap(), "x").ok();
                    assert_eq!(number, meaning[word].as_u64());
                }
            }
            "participants" => {
                for (index, flag) in walk(&binds, &oid::participants(oid::PART_PRINCIPAL, 1)) {
                    let ckn = hex::encode(decode_ckn(&index).unwrap().as_bytes());
                    let is_principal = decode_truth_value(&flag, "x").unwrap().unwrap();
                    assert_eq!(is_principal, meaning["principal"] == ckn.as_str());
                }
            }
            "sent" => {
                assert_eq!(total(&[oid::TX_ENCRYPTED]), meaning["encrypted"].as_u64());
                assert_eq!(total(&[oid::TX_UNTAGGED]), meaning["untagged"].as_u64());
            }
            "received" => {
                assert_eq!(total(&[oid::RX_OK]), meaning["ok"].as_u64());
                assert_eq!(total(&[oid::RX_NOT_VALID]), meaning["not_valid"].as_u64());
            }
            // The driver does not read these.
            "peer" | "secy" | "cipher" | "tx-sa" | "network" => continue,
            other => panic!("{other}"),
        }
        seen += 1;
    }
    assert_eq!(seen, messages.len() - 8);
}

proptest! {
    #[test]
    fn any_bytes_are_decoded_without_a_panic(input: Vec<u8>) {
        fuzz(&input);
    }
}
