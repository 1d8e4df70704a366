use super::*;
use proptest::prelude::*;
use serde_json::Value;

fn vectors() -> Vec<Value> {
    serde_json::from_str(include_str!("../../../vectors/polatis.json")).unwrap()
}

fn ports(value: &Value) -> Vec<u32> {
    value
        .as_array()
        .unwrap()
        .iter()
        .map(|p| u32::try_from(p.as_u64().unwrap()).unwrap())
        .collect()
}

fn pairs(value: &Value) -> Vec<(u32, u32)> {
    ports(&value["ingress"])
        .into_iter()
        .zip(ports(&value["egress"]))
        .collect()
}

/// The command that a vector's meaning names.
fn command(meaning: &Value) -> Command {
    match meaning["command"].as_str().unwrap() {
        "identify" => Command::Identify,
        "clear" => Command::Clear,
        "reset" => Command::Reset,
        "sync" => Command::Sync,
        "size" => Command::Size,
        "connections" => Command::Connections,
        "peer" => Command::Peer(ports(&meaning["ports"])[0]),
        "add" => Command::Add(pairs(meaning)),
        "only" => Command::Only(pairs(meaning)),
        "remove" => Command::Remove(pairs(meaning)),
        "disconnect-all" => Command::DisconnectAll,
        "enable" => Command::Enable(ports(&meaning["ports"])),
        "disable" => Command::Disable(ports(&meaning["ports"])),
        "states" => Command::States(ports(&meaning["ports"])),
        "power" => Command::Power(ports(&meaning["ports"])),
        "boot-mode" => Command::BootMode,
        "set-boot-mode" => Command::SetBootMode(BootMode::AutoSave),
        "network" => Command::Network(false),
        "next-error" => Command::NextError,
        other => panic!("no such command: {other}"),
    }
}

#[test]
fn commands_match_the_sources() {
    let mut seen = 0;
    for v in vectors()
        .iter()
        .filter(|v| v["direction"] == "request" && v["form"] == "short")
    {
        assert_eq!(
            command(&v["meaning"]).to_string(),
            v["ascii"].as_str().unwrap().trim_end(),
            "{}",
            v["name"]
        );
        seen += 1;
    }
    assert!(seen >= 15, "only {seen} requests");
}

#[test]
fn replies_are_decoded_as_in_the_sources() {
    let mut seen = 0;
    for v in vectors().iter().filter(|v| v["direction"] == "reply") {
        let (reply, m) = (v["ascii"].as_str().unwrap().as_bytes(), &v["meaning"]);
        match v["to"].as_str().unwrap() {
            "identify" => {
                let i = decode_identity(reply).unwrap();
                assert_eq!(
                    (
                        i.maker.as_str(),
                        i.product_code.as_str(),
                        i.serial.as_str(),
                        i.firmware.as_str()
                    ),
                    {
                        (
                            m["maker"].as_str().unwrap(),
                            m["product_code"].as_str().unwrap(),
                            m["serial"].as_str().unwrap(),
                            m["firmware"].as_str().unwrap(),
                        )
                    }
                );
                let size = product::size(&i.product_code).unwrap();
                assert_eq!(serde_json::json!([size.0, size.1]), m["size"]);
            }
            "size" => assert_eq!(
                decode_size(reply).unwrap(),
                (ports(&m["size"])[0], ports(&m["size"])[1])
            ),
            "connections" => assert_eq!(decode_connections(reply).unwrap(), pairs(m)),
            "peer" => assert_eq!(
                decode_peer(reply).unwrap(),
                ports(&m["ports"]).first().copied()
            ),
            "states" => {
                let letters: Vec<_> = decode_states(reply, 3)
                    .unwrap()
                    .into_iter()
                    .map(|s| format!("{s:?}").to_lowercase())
                    .map(Value::from)
                    .collect();
                assert_eq!(Value::from(letters), m["states"]);
            }
            "power" => assert_eq!(serde_json::json!(decode_power(reply, 2).unwrap()), m["dbm"]),
            "boot-mode" => assert_eq!(format!("{:?}", decode_boot_mode(reply).unwrap()), m["mode"]),
            "next-error" => {
                let e = decode_error(reply).unwrap();
                assert_eq!(
                    (Value::from(e.code), Value::from(e.text)),
                    (m["code"].clone(), m["text"].clone())
                );
            }
            "sync" => decode_complete(reply).unwrap(),
            "network" => assert_eq!(
                decode_network(reply).unwrap().address,
                m["address"].as_str().unwrap()
            ),
            other => panic!("no such reply: {other}"),
        }
        seen += 1;
    }
    assert!(seen >= 10, "only {seen} replies");
}

/// A line that answers one query is refused by the decoders of all others.
#[test]
fn no_reply_is_accepted_for_another_request() {
    for v in vectors().iter().filter(|v| v["direction"] == "reply") {
        let (reply, to) = (
            v["ascii"].as_str().unwrap().as_bytes(),
            v["to"].as_str().unwrap(),
        );
        for (name, accepted) in [
            ("identify", decode_identity(reply).is_ok()),
            ("size", decode_size(reply).is_ok()),
            ("connections", decode_connections(reply).is_ok()),
            ("peer", decode_peer(reply).is_ok()),
            ("states", decode_states(reply, 3).is_ok()),
            ("power", decode_power(reply, 2).is_ok()),
            ("boot-mode", decode_boot_mode(reply).is_ok()),
            ("next-error", decode_error(reply).is_ok()),
            ("sync", decode_complete(reply).is_ok()),
            ("network", decode_network(reply).is_ok()),
        ] {
            assert_eq!(accepted, name == to, "{name} with {}", v["name"]);
        }
    }
}

#[test]
fn a_set_is_followed_by_the_error_query() {
    assert_eq!(
        Command::Add(vec![(3, 27)]).line(),
        ":oxc:swit:conn:add (@3),(@27);:syst:err?"
    );
    assert_eq!(Command::Size.line(), ":oxc:swit:size?");
}

#[test]
fn noise_is_distinguished_from_a_mismatched_reply() {
    assert_eq!(decode_size(b"\xfe\x00\x80\r\n"), Err(ProtoError::NotText));
    assert!(matches!(
        decode_size(b"(@),(@)\r\n"),
        Err(ProtoError::Shape { .. })
    ));
    assert_eq!(
        decode_connections(b"(@1,2),(@3)"),
        Err(ProtoError::Count {
            expected: 2,
            got: 1
        })
    );
    assert!(decode_power(b"(NaN,-3.0)", 2).is_err() && decode_power(b"(inf,-3.0)", 2).is_err());
}

proptest! {
    #[test]
    fn connections_round_trip(pairs in proptest::collection::vec((1u32..1000, 1u32..1000), 0..64)) {
        let line = Command::Only(pairs.clone()).to_string();
        let lists = line.strip_prefix(":oxc:swit:conn:only ").unwrap();
        prop_assert_eq!(decode_connections(lists.as_bytes()).unwrap(), pairs);
    }
    #[test]
    fn no_bytes_make_a_decoder_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200),
        text in "[(@),\"0-9DEF. -]{0,40}") {
        fuzz(&bytes);
        fuzz(text.as_bytes());
    }
}
