use super::*;
use proptest::prelude::*;
use qkd_hal::{ErrorKind, qkd::RequestExtension};

fn vectors() -> Vec<Value> {
    serde_json::from_str(include_str!("../../vectors/etsi014.json")).unwrap()
}

/// The request that a vector's meaning describes.
fn request(m: &Value) -> KeyRequest {
    let mut request = KeyRequest::new(u32::try_from(m["number"].as_u64().unwrap()).unwrap());
    if let Some(bits) = m["size"].as_u64() {
        request = request.with_size(Bits(bits));
    }
    if let Some(saes) = m["additional"].as_array() {
        request = request.with_additional_receivers(
            saes.iter()
                .map(|s| s.as_str().unwrap().to_owned())
                .collect(),
        );
    }
    for (list, mandatory) in [("mandatory", true), ("optional", false)] {
        for pair in m[list].as_array().into_iter().flatten() {
            request = request.with_extension(RequestExtension {
                name: pair[0].as_str().unwrap().into(),
                value: pair[1].to_string(),
                mandatory,
            });
        }
    }
    request
}

#[test]
fn bodies_are_those_of_the_standard() {
    let mut seen = 0;
    for v in vectors() {
        let (body, m) = (v["json"].to_string().into_bytes(), &v["meaning"]);
        let parsed = |bytes: &[u8]| serde_json::from_slice::<Value>(bytes).unwrap();
        match v["kind"].as_str().unwrap() {
            "status" => {
                let s = decode_status(&body).unwrap().key_store();
                assert_eq!(
                    (s.key_size, s.stored),
                    (
                        Some(Bits(m["key_size_bits"].as_u64().unwrap())),
                        m["stored"].as_u64()
                    )
                );
            }
            "key-request" => assert_eq!(parsed(&encode_request(&request(m)).unwrap()), v["json"]),
            "key-ids" => {
                let ids: Vec<KeyId> = m["ids"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .map(|id| id.as_str().unwrap().parse().unwrap())
                    .collect();
                assert_eq!(parsed(&encode_ids(&ids)), v["json"]);
            }
            "container" => {
                let keys = decode_container(&body).unwrap();
                let ids: Vec<Value> = keys.iter().map(|k| k.id.to_string().into()).collect();
                assert_eq!(Value::from(ids), m["ids"]);
                assert!(keys.iter().all(|k| k.bytes.len() as u64 * 8 == m["bits"]));
                for (key, hex) in keys.iter().zip(m["hex"].as_array().into_iter().flatten()) {
                    assert_eq!(hex::encode(&*key.bytes), *hex, "{}", v["name"]);
                }
            }
            "error" => {
                let failure =
                    decode_failure(u16::try_from(v["status"].as_u64().unwrap()).unwrap(), &body);
                assert_eq!(
                    failure.kind.name(),
                    m["kind"].as_str().unwrap(),
                    "{}",
                    v["name"]
                );
                let words = [&m["words"], &v["json"]["message"]];
                let words = words.into_iter().find_map(Value::as_str);
                assert_eq!(failure.message.as_deref(), words, "{}", v["name"]);
            }
            "path" => assert_eq!(
                path("", m["sae"].as_str().unwrap(), m["call"].as_str().unwrap()),
                v["ascii"].as_str().unwrap()
            ),
            other => panic!("{other}"),
        }
        seen += 1;
    }
    assert!(seen >= 14);
}

#[test]
fn no_error_repeats_the_body() {
    for body in [
        r#"{"keys":[{"key_ID":"SECRET ID","key":"AAAA"}]}"#,
        r#"{"keys":[{"key_ID":"bc490419-7d60-487f-adc1-4ddcc177c139","key":"SECRET!"}]}"#,
        r#"{"keys":[{"key_ID":"bc490419-7d60-487f-adc1-4ddcc177c139","key":["SECRET"]}]}"#,
        r#"{"keys":"SECRET"}"#,
        r#"{"SECRET":1}"#,
        "SECRET",
    ] {
        let error = decode_container(body.as_bytes()).unwrap_err();
        assert!(
            !format!("{error} {error:?}").contains("SECRET"),
            "{error:?}"
        );
    }
    let keys = decode_container(
        br#"{"keys":[{"key_ID":"bc490419-7d60-487f-adc1-4ddcc177c139","key":"AAAA"}]}"#,
    )
    .unwrap();
    assert_eq!(
        format!("{keys:?}"),
        "[DeliveredKey(bc490419-7d60-487f-adc1-4ddcc177c139, 3 bytes)]"
    );
}

#[test]
fn an_escaped_slash_is_still_base64() {
    let body = br#"{"keys":[{"key_ID":"a","key":"\/\/\/\/"}],"x":{"y":[1]}}"#;
    let keys = decode_container(body).unwrap();
    assert_eq!(*keys[0].bytes, [0xff, 0xff, 0xff]);
}

#[test]
fn text_that_is_not_base64_is_no_key() {
    let decode = |text: &str| {
        let body = json!({"keys": [{"key_ID": "a", "key": text}]}).to_string();
        decode_container(body.as_bytes()).map(|keys| hex::encode(&*keys[0].bytes))
    };
    for (text, key) in [
        ("AQ==Ag==", "0102"),
        ("AQ==AgM=", "010203"),
        ("AQIDBA==BQYH", "01020304050607"),
    ] {
        assert_eq!(decode(text).unwrap(), key, "{text}");
    }
    for text in [
        "",
        "=",
        "====",
        "A===",
        "AQ=",
        "AQ==Ag",
        "AQ==Ag=",
        "AQ=Ag==",
        "AQ==\u{e4}",
        "AQ===Ag=",
    ] {
        assert_eq!(decode(text), Err(ProtoError::NotBase64(0)), "{text}");
    }
}

#[test]
fn unknown_statuses_are_reported_as_unknown() {
    assert!(matches!(
        decode_failure(302, b"").kind,
        ErrorKind::Misbehaved(_)
    ));
    assert_eq!(decode_failure(500, b"<html>").kind, ErrorKind::Refused);
    assert_eq!(
        decode_failure(503, br#"{"message":"Not enough keys"}"#).kind,
        ErrorKind::Exhausted
    );
}

#[test]
fn extensions_need_a_vendors_prefix() {
    let with = |name: &str, value: &str| {
        encode_request(&KeyRequest::new(1).with_extension(RequestExtension {
            name: name.into(),
            value: value.into(),
            mandatory: true,
        }))
    };
    assert!(with("abc_route_type", "\"direct\"").is_ok());
    assert!(with("route", "1").is_err() && with("_x", "1").is_err() && with("abc_x", "{").is_err());
}

proptest! {
    #[test]
    fn no_bytes_make_a_decoder_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200),
        cut in 0usize..400) {
        fuzz(&bytes);
        for v in vectors() {
            let body = v["json"].to_string();
            fuzz(&body.as_bytes()[..cut.min(body.len())]);
        }
    }
}
