use super::*;
use proptest::prelude::*;
use qkd_driver_kit::link::snmp::{Notification, Oid, VarBind};
use serde_json::Value as Json;

fn vectors() -> Vec<Json> {
    serde_json::from_str(include_str!("../../vectors/nokia-sros-macsec.json")).unwrap()
}

fn value(json: &Json) -> Value {
    let unsigned = || u32::try_from(json["value"].as_u64().unwrap()).unwrap();
    match json["type"].as_str().unwrap() {
        "INTEGER" => Value::Integer(i32::try_from(json["value"].as_i64().unwrap()).unwrap()),
        "OCTET STRING" => Value::text(json["value"].as_str().unwrap()),
        "Gauge32" => Value::Gauge32(unsigned()),
        "Counter64" => Value::Counter64(json["value"].as_u64().unwrap()),
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
        let m = &v["meaning"];
        let ckn = || m["ckn"].as_str().unwrap().parse::<KeyId>().unwrap();
        let ca = || oid::ca_index(m["ca"].as_str().unwrap()).unwrap();
        let slot = || u8::try_from(m["slot"].as_u64().unwrap()).unwrap();
        let port = || oid::Port {
            id: u32::try_from(m["port"].as_u64().unwrap()).unwrap(),
            sub: 1,
        };
        let binds = if v["varbinds"].is_null() {
            vec![]
        } else {
            binds(&v)
        };
        match m["operation"].as_str().unwrap() {
            "stage" => {
                let key = hex::decode(m["cak"].as_str().unwrap()).unwrap();
                let expected = vec![
                    VarBind::new(
                        oid::of_slot(oid::psk::ROW_STATUS, &ca(), slot()),
                        RowStatus::CreateAndGo.into(),
                    ),
                    VarBind::new(
                        oid::of_slot(oid::psk::ENCRYPT_TYPE, &ca(), slot()),
                        Value::Integer(EncryptType::for_key(key.len()).unwrap() as i32),
                    ),
                    VarBind::new(
                        oid::of_slot(oid::psk::CAK, &ca(), slot()),
                        Value::text(&*cak_text(&key).unwrap()),
                    ),
                    VarBind::new(
                        oid::of_slot(oid::psk::CAK_NAME, &ca(), slot()),
                        Value::text(ckn_text(&ckn())),
                    ),
                ];
                assert_eq!(binds, expected);
            }
            "activate" => {
                assert_eq!(
                    binds,
                    [VarBind::new(
                        oid::of_ca(oid::static_cak::ENTRY, oid::static_cak::ACTIVE_PSK, &ca()),
                        Value::Gauge32(2)
                    )]
                );
                assert_eq!(decode_active_psk(&binds[0].value).unwrap(), slot());
            }
            "retire" => assert_eq!(
                binds,
                [VarBind::new(
                    oid::of_slot(oid::psk::ROW_STATUS, &ca(), slot()),
                    RowStatus::Destroy.into()
                )]
            ),
            "oper-state" => {
                assert_eq!(
                    binds[0].oid,
                    oid::of_mka(oid::mka::OPER_STATE, port(), &ckn())
                );
                assert_eq!(
                    oid::decode_mka(
                        binds[0]
                            .oid
                            .suffix_of(&oid::column(oid::mka::ENTRY, 39))
                            .unwrap()
                    )
                    .unwrap(),
                    (port(), ckn())
                );
                assert_eq!(
                    decode_oper_state(&binds[0].value).unwrap().keyword(),
                    m["state"].as_str().unwrap()
                );
            }
            "encrypted" => assert_eq!(
                binds[0].oid,
                oid::of_port(oid::tx_sc::ENTRY, oid::tx_sc::ENCRYPTED, port())
            ),
            "trap" => {
                let trap = Notification {
                    trap: v["trap"].as_str().unwrap().parse().unwrap(),
                    uptime: 0,
                    binds,
                };
                let trap = decode_trap(&trap).unwrap().unwrap();
                assert_eq!(
                    (trap.kind.name(), trap.port),
                    (m["name"].as_str().unwrap(), Some(port().id))
                );
                assert_eq!(
                    trap.active_psk.map(Json::from).unwrap_or_default(),
                    m["slot"]
                );
                assert_eq!(
                    trap.ckn
                        .map(|k| Json::from(hex::encode(k.as_bytes())))
                        .unwrap_or_default(),
                    m["ckn"]
                );
                assert_eq!(trap.ca.as_deref(), m["ca"].as_str());
            }
            "port-name" => {
                let scheme = PortScheme::from_number(m["scheme"].as_u64().unwrap()).unwrap();
                assert_eq!(port_name(port().id, scheme), m["name"].as_str().unwrap());
            }
            "serial" => assert_eq!(
                binds,
                [VarBind::new(
                    Oid::from(oid::CHASSIS_SERIAL),
                    Value::text(m["serial"].as_str().unwrap())
                )]
            ),
            "sys-descr" => {
                let Value::OctetString(text) = &binds[0].value else {
                    panic!("{v}")
                };
                let parts = decode_sys_descr(std::str::from_utf8(text).unwrap());
                assert_eq!(
                    (parts.version.as_deref(), parts.model.as_deref()),
                    (m["version"].as_str(), m["model"].as_str())
                );
            }
            other => panic!("{other}"),
        }
        seen += 1;
    }
    assert!(seen >= 9);
}

#[test]
fn the_size_of_a_key_gives_its_type() {
    assert_eq!(EncryptType::for_key(16), Some(EncryptType::Aes128Cmac));
    assert_eq!(cak_text(&[0xab; 32]).unwrap().len(), 64);
    assert!(cak_text(&[0; 24]).is_none());
}

#[test]
fn values_outside_the_mib_are_refused() {
    assert!(oid::ca_index("").is_none() && oid::ca_index(&"x".repeat(33)).is_none());
    assert_eq!(
        decode_active_psk(&Value::Gauge32(3)),
        Err(ProtoError::Enumeration {
            object: "tmnxMacsecStaticCakActivePsk",
            value: 3
        })
    );
    assert!(decode_oper_state(&Value::text("2")).is_err());
    for index in [&[][..], &[3, 97, 97], &[1, 300], &[1, 97, 98], &[0]] {
        assert_eq!(oid::decode_ca(index), Err(ProtoError::Index), "{index:?}");
    }
    assert_eq!(oid::decode_ca_slot(&[1, 97, 3]), Err(ProtoError::Index));
    assert!(oid::decode_mka(&[1, 1, 4294967295, 1]).is_err());
    assert!(ckn_from_text(b"xyz").is_none() && ckn_from_text(b"").is_none());
}

#[test]
fn a_port_number_that_does_not_fit_the_scheme_is_printed_as_it_is() {
    use PortScheme::{A, B, C, D};
    assert_eq!(port_name(0x5000_0007, A), "lag-7");
    // Each has one bit where its layout has none.
    for (id, scheme) in [
        (0x0220_8000, D),
        (35_684_352 | 1, A),
        (37_830_659, A),
        (1_610_899_521 | 1 << 12, B),
        (1_610_907_680 | 1, B),
        (1_610_907_680 | 1 << 23, B),
        (37_830_659 | 1 << 6, C),
        (37_830_659 | 1 << 23, C),
        (69_369_856 | 1, C),
        (1_258_889_350 | 1 << 12, D),
        (1_258_889_350 | 1 << 23, D),
        (1_259_896_835 | 1 << 14, D),
    ] {
        assert_eq!(port_name(id, scheme), id.to_string(), "{scheme:?}");
    }
}

#[test]
fn an_unknown_sys_descr_has_no_parts() {
    for text in ["", "Linux sr1 5.10", "Copyright TiMOS-C-1 Nokia 7750"] {
        assert_eq!(decode_sys_descr(text), SysDescr::default(), "{text}");
    }
    let cut = decode_sys_descr("TiMOS-C-22.10");
    assert_eq!(
        (cut.version.as_deref(), cut.model),
        (Some("TiMOS-C-22.10"), None)
    );
}

proptest! {
    #[test]
    fn indexes_round_trip(name in "[!-~]{1,32}", slot in 1u8..=2, id: u32,
        ckn in proptest::collection::vec(any::<u8>(), 1..=32)) {
        let index = oid::ca_index(&name).unwrap();
        prop_assert_eq!(oid::decode_ca(&index).unwrap(), name.clone());
        let of_slot = oid::of_slot(oid::psk::CAK_NAME, &index, slot);
        prop_assert_eq!(oid::decode_ca_slot(of_slot.suffix_of(&oid::column(oid::psk::ENTRY,
            6)).unwrap()).unwrap(), (name, slot));
        let (port, ckn) = (oid::Port { id, sub: 1 }, KeyId::from_bytes(&ckn).unwrap());
        let of_mka = oid::of_mka(oid::mka::OPER_STATE, port, &ckn);
        prop_assert_eq!(oid::decode_mka(of_mka.suffix_of(&oid::column(oid::mka::ENTRY,
            39)).unwrap()).unwrap(), (port, ckn));
        let _: Oid = of_mka;
    }
    #[test]
    fn no_bytes_make_a_decoder_panic(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
        fuzz(&bytes);
    }
}
