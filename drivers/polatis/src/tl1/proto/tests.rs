use super::*;
use proptest::prelude::*;
use qkd_driver_kit::link::bytes::Frame;
use serde_json::{Value, json};

fn vectors() -> Vec<Value> {
    serde_json::from_str(include_str!("../../../vectors/polatis-tl1.json")).unwrap()
}

fn ports(value: &Value) -> Vec<u32> {
    value
        .as_array()
        .unwrap()
        .iter()
        .map(|p| u32::try_from(p.as_u64().unwrap()).unwrap())
        .collect()
}

fn command(m: &Value) -> Command {
    let port = || ports(&m["ports"])[0];
    let number = |field: &str| m[field].as_f64().unwrap();
    match m["command"].as_str().unwrap() {
        "type" => Command::NeType,
        "inventory" => Command::Inventory,
        "size" => Command::Size,
        "silence" => Command::Silence,
        "connections" => Command::Connections,
        "connect" => Command::Connect(
            ports(&m["ingress"])
                .into_iter()
                .zip(ports(&m["egress"]))
                .collect(),
        ),
        "disconnect" => Command::Disconnect(ports(&m["ports"])),
        "close" => Command::Shutter(port(), false),
        "open" => Command::Shutter(port(), true),
        "monitors" => Command::Monitors,
        "monitor" => Command::Monitor(port()),
        "set-monitor" => Command::SetMonitor(
            port(),
            Monitor {
                wavelength: number("wavelength"),
                offset: number("offset"),
                averaging: 4,
            },
        ),
        "threshold" => Command::Threshold(port()),
        "set-threshold" => Command::SetThreshold(
            port(),
            Threshold {
                mode: AlarmMode::Continuous,
                edge: Edge::Low,
                low: number("low"),
                high: number("high"),
            },
        ),
        "alarm" => Command::Alarm(port()),
        "voa-config" => Command::VoaConfig,
        "voa" => Command::Voa(port()),
        "set-voa" => Command::SetVoa(port(), VoaMode::Absolute(number("level"))),
        other => panic!("no such command: {other}"),
    }
}

#[test]
fn requests_are_those_of_the_sources() {
    let mut seen = 0;
    for v in vectors().iter().filter(|v| v["direction"] == "request") {
        let (m, ascii) = (&v["meaning"], v["ascii"].as_str().unwrap());
        if m["command"] == "login" {
            let request = login(
                m["user"].as_str().unwrap(),
                m["password"].as_str().unwrap(),
                1,
            );
            assert_eq!(std::str::from_utf8(&request).unwrap().trim_end(), ascii);
            assert!(
                password_of(&request)
                    .into_iter()
                    .all(|span| &request[span] == b"root")
            );
        } else {
            assert!(
                command(m)
                    .request(123)
                    .trim_end()
                    .eq_ignore_ascii_case(ascii),
                "{} is {}",
                v["name"],
                command(m).request(123)
            );
        }
        seen += 1;
    }
    assert!(seen >= 19, "only {seen} requests");
}

#[test]
fn replies_are_decoded_as_in_the_sources() {
    let mut seen = 0;
    for v in vectors().iter().filter(|v| v["direction"] == "reply") {
        let (reply, m) = (v["ascii"].as_str().unwrap().as_bytes(), &v["meaning"]);
        assert_eq!(frame()(reply), Frame::Complete(reply.len()));
        let Answer::Done(lines) = decode(reply, 123).unwrap() else {
            panic!("{}", v["name"])
        };
        let at = || ports(&m["ports"])[0];
        let reported = match v["to"].as_str().unwrap() {
            "type" => decode_type(&lines).map(|t| {
                json!({"vendor": t.vendor, "model": t.model,
                "version": t.version})
            }),
            "inventory" => decode_serial(&lines).map(|s| json!({"serial": s})),
            "size" => decode_size(&lines).map(|s| json!({"size": [s.0, s.1]})),
            "connections" => decode_connections(&lines).map(|all| {
                json!({"ingress": all.iter().map(|p| p.0).collect::<Vec<_>>(),
                    "egress": all.iter().map(|p| p.1).collect::<Vec<_>>()})
            }),
            "shutters" => decode_open(&lines, &ports(&m["ports"]))
                .map(|open| json!({"ports": m["ports"], "open": open})),
            "power" => decode_power(&lines, &ports(&m["ports"]))
                .map(|dbm| json!({"ports": m["ports"], "dbm": dbm})),
            "monitors" => decode_monitors(&lines).map(|all| json!({"ports": all})),
            "monitor" => decode_monitor(&lines, at()).map(|s| {
                json!({"ports": m["ports"],
                    "wavelength": s.wavelength, "offset": s.offset, "averaging": s.averaging})
            }),
            "threshold" => decode_threshold(&lines, at()).map(|t| {
                json!({"ports": m["ports"],
                    "mode": t.mode.keyword(), "edge": t.edge.keyword(), "low": t.low, "high": t.high})
            }),
            "alarm" => decode_alarmed(&lines, at()).map(|raised| {
                json!({"ports": m["ports"],
                "raised": raised})
            }),
            "voa-config" => decode_voa_config(&lines).map(|c| {
                json!({"absolute": c.absolute,
                "relative": c.relative, "converged": c.converged})
            }),
            "voa" => decode_voa(&lines, at()).map(|voa| {
                json!({"ports": m["ports"],
                "mode": voa.mode, "level": voa.level})
            }),
            other => panic!("no such reply: {other}"),
        };
        assert_eq!(reported.unwrap(), *m, "{}", v["name"]);
        seen += 1;
    }
    assert!(seen >= 13, "only {seen} replies");
}

#[test]
fn a_denial_contains_the_reason() {
    for v in vectors().iter().filter(|v| v["direction"] == "denial") {
        let Ok(Answer::Denied(denial)) = decode(v["ascii"].as_str().unwrap().as_bytes(), 123)
        else {
            panic!("{}", v["name"])
        };
        assert_eq!(v["meaning"]["code"], denial.code);
        assert!(denial.text.starts_with("bad"));
    }
}

const REPLY: &str = "\r\n   ( nil ) 26-07-01 12:00:00\r\nM  7 COMPLD\r\n   \"a;b\"\r\n;";

#[test]
fn unsolicited_messages_are_skipped() {
    let unasked = "\r\n   ( nil ) 26-07-01 12:00:00\r\nA  3 REPT ALM\r\n   \
                   \"17:LOS\"\r\n;\r\n\r\n   x 26-07-01 12:00:00\r\n*C 4 REPT ALM\r\n;\r\n";
    let both = format!("{unasked}{REPLY}\r\n");
    assert_eq!(frame()(unasked.as_bytes()), Frame::Incomplete);
    assert_eq!(frame()(both.as_bytes()), Frame::Complete(both.len()));
    assert_eq!(
        decode(both.as_bytes(), 7),
        Ok(Answer::Done(vec!["a;b".to_owned()]))
    );
}

#[test]
fn a_reply_is_whole_and_has_our_tag() {
    assert_eq!(
        frame()(REPLY.trim_end_matches(';').as_bytes()),
        Frame::Incomplete
    );
    assert!(matches!(
        decode(REPLY.as_bytes(), 8),
        Err(TextDecodeError::OtherReply { .. })
    ));
    assert!(decode_any(REPLY.as_bytes()).is_ok());
    assert!(matches!(
        decode(REPLY.replace("COMPLD", "PRTL").as_bytes(), 7),
        Err(TextDecodeError::Unexpected { .. })
    ));
    assert!(matches!(
        decode(REPLY.replace('a', "\u{fffd}").as_bytes(), 7),
        Err(TextDecodeError::NotText(_))
    ));
    assert!(matches!(
        decode(b";", 7),
        Err(TextDecodeError::Unexpected { .. })
    ));
}

#[test]
fn lines_are_of_the_ports_that_were_asked() {
    let lines = |all: &[&str]| all.iter().map(|l| (*l).to_owned()).collect::<Vec<_>>();
    assert_eq!(
        decode_power(&lines(&["18:-3.0", "17:-2.0"]), &[17, 18]),
        Ok(vec![-2.0, -3.0])
    );
    for wrong in [
        &["17:-2.0"][..],
        &["17:-2.0", "19:-3.0"],
        &["17:-2.0", "18:-3.0", "19:1.0"],
        &["17:-2.0", "18:nan"],
    ] {
        assert!(decode_power(&lines(wrong), &[17, 18]).is_err(), "{wrong:?}");
    }
}

#[test]
fn no_secret_that_tl1_would_read_otherwise() {
    assert!(
        is_plain("root")
            && is_plain("S3cret!")
            && !is_plain("a;b")
            && !is_plain("")
            && !is_plain("a b")
    );
}

proptest! {
    #[test]
    fn no_bytes_make_a_decoder_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200),
        text in "[M ;0-9A-Z,:\"\r\n=*-]{0,80}") {
        fuzz(&bytes);
        fuzz(text.as_bytes());
    }
}
