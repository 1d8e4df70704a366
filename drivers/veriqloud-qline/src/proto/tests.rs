use super::*;
use proptest::prelude::*;
use serde_json::Value;

fn vectors() -> Vec<Value> {
    serde_json::from_str(include_str!("../../vectors/veriqloud-qline.json")).unwrap()
}

fn hws(word: &str) -> HwsCommand {
    HwsCommand::calibration()
        .into_iter()
        .chain([HwsCommand::Start, HwsCommand::FindVca(None)])
        .find(|c| c.keyword() == word)
        .unwrap_or_else(|| panic!("{word}"))
}

#[test]
fn bytes_are_those_of_the_vendor() {
    let mut seen = 0;
    for v in vectors() {
        let (bytes, m) = (
            hex::decode(v["hex"].as_str().unwrap()).unwrap(),
            &v["meaning"],
        );
        let command = m["command"].as_str().unwrap();
        let is = |field: &str, got: Value| assert_eq!(got, m[field], "{}", v["name"]);
        match (
            v["server"].as_str().unwrap(),
            v["direction"].as_str().unwrap(),
            command,
        ) {
            ("mon", "request", word) => assert_eq!(
                MonCommand::ALL
                    .into_iter()
                    .find(|c| c.keyword() == word)
                    .unwrap()
                    .encode(),
                bytes
            ),
            ("mon", "reply", "get_link") => is(
                "link",
                MonCommand::decode_link(&bytes)
                    .unwrap()
                    .description()
                    .into(),
            ),
            ("mon", "reply", "get_counts") => {
                let c = MonCommand::decode_counts(&bytes).unwrap();
                is("counts", vec![c.total, c.click0, c.click1].into());
            }
            ("mon", "reply", "nai") => {
                let mut reader = Reader::new(&bytes);
                let (rows, columns, items) = reader.nai().unwrap();
                reader.end().unwrap();
                is("rows", rows.into());
                is("columns", columns.into());
                is("items", items.into());
                assert_eq!(frame(&[Field::Array], &bytes), Frame::Complete(bytes.len()));
            }
            ("mon", "reply", "get_node_stats") => {
                let s = MonCommand::decode_node_stats(&bytes).unwrap();
                is("key_length", s.key_length.into());
                is("qber", s.qber.into());
            }
            ("hw", "request", "set_vca") => assert_eq!(
                HwCommand::Set(
                    "set_vca",
                    vec![Argument::Double(m["volt"].as_f64().unwrap())]
                )
                .encode()
                .unwrap(),
                bytes
            ),
            ("hws", "request", word) => assert_eq!(hws(word).encode().unwrap(), bytes),
            ("hws", "reply", word) => match (
                decode_hws(&hws(word), &bytes).unwrap(),
                m["outcome"].as_str().unwrap(),
            ) {
                (Outcome::Done(text), "done")
                | (Outcome::Failed(text), "failed")
                | (Outcome::Unknown(text), "unknown") => is("text", text.into()),
                (got, wanted) => panic!("{got:?} instead of {wanted}"),
            },
            other => panic!("{other:?}"),
        }
        seen += 1;
    }
    assert!(seen >= 12);
}

#[test]
fn a_reply_is_framed_byte_by_byte() {
    for v in vectors().iter().filter(|v| {
        v["direction"] == "reply" && v["server"] == "mon" && v["meaning"]["command"] != "nai"
    }) {
        let bytes = hex::decode(v["hex"].as_str().unwrap()).unwrap();
        let command = MonCommand::ALL
            .into_iter()
            .find(|c| c.keyword() == v["meaning"]["command"])
            .unwrap();
        for cut in 0..bytes.len() {
            assert_eq!(
                frame(command.reply(), &bytes[..cut]),
                Frame::Incomplete,
                "{} cut at {cut}",
                v["name"]
            );
        }
        assert_eq!(frame(command.reply(), &bytes), Frame::Complete(bytes.len()));
    }
}

#[test]
fn a_picture_before_the_text_is_skipped() {
    let text = b"\x14loop_find_gates done";
    let with = [&[3, 0, 0, 0, 1, 2, 3], &text[..]].concat();
    for reply in [&with[..], &text[..]] {
        assert_eq!(
            HwsCommand::LoopFindGates.frame(reply),
            Frame::Complete(reply.len())
        );
        assert_eq!(
            decode_hws(&HwsCommand::LoopFindGates, reply).unwrap(),
            Outcome::Done("loop_find_gates done".into())
        );
    }
}

#[test]
fn announced_sizes_are_bounded() {
    assert!(matches!(
        frame(&[Field::Array], &i32::MAX.to_le_bytes()),
        Frame::Garbled(_)
    ));
    assert!(matches!(
        frame(&[Field::Data], &(-1i32).to_le_bytes()),
        Frame::Garbled(_)
    ));
    // 8 bytes follow, but two rows of three would need 24 more.
    assert_eq!(
        MonCommand::decode_gates(&[8, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0]),
        Err(ProtoError::Array)
    );
}

#[test]
fn each_end_has_its_own_commands() {
    assert!(
        MonCommand::NodeStats.exists_at(Side::Alice) && !MonCommand::NodeStats.exists_at(Side::Bob)
    );
    assert!(MonCommand::Counts.exists_at(Side::Bob) && !MonCommand::Counts.exists_at(Side::Alice));
    assert!(MonCommand::Link.exists_at(Side::Alice) && MonCommand::Link.exists_at(Side::Bob));
}

#[test]
fn a_pickle_is_never_requested() {
    assert_eq!(HwCommand::Gates.encode(), Err(ProtoError::Argument));
}

#[test]
fn a_reply_to_another_command_is_reported() {
    let reply = |text: &str| [&[u8::try_from(text.len()).unwrap()], text.as_bytes()].concat();
    assert!(matches!(
        decode_hws(&HwsCommand::Start, &reply("init done")),
        Err(ProtoError::Unexpected(_))
    ));
    assert_eq!(
        MonCommand::decode_link(&[1, 0, b'x']),
        Err(ProtoError::Unexpected("x".into()))
    );
    let mut long = reply("start done");
    long.push(0);
    assert_eq!(
        decode_hws(&HwsCommand::Start, &long),
        Err(ProtoError::Trailing(1))
    );
    assert!(
        HwsCommand::Save("a_b".into()).encode().is_err()
            && HwsCommand::Save("../x".into()).encode().is_err()
    );
}

proptest! {
    #[test]
    fn no_bytes_make_a_decoder_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        fuzz(&bytes);
    }
}
