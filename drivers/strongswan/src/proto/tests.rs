use super::*;

fn reply(packets: &[&[u8]]) -> Vec<u8> {
    let mut all = Vec::new();
    for packet in packets {
        all.extend((packet.len() as u32).to_be_bytes());
        all.extend(*packet);
    }
    all
}

/// The example of the README of VICI: a value, a section with a list and a section.
const MESSAGE: &[u8] = b"\x03\x04key1\x00\x06value1\x01\x08section1\x01\x0bsub-section\
    \x03\x04key2\x00\x06value2\x02\x04\x05list1\x05\x00\x05item1\x05\x00\x05item2\x06\x02";

#[test]
fn the_example_of_the_protocol_is_read_and_written() {
    let packet = [&[packet::RESPONSE], MESSAGE].concat();
    let read = decode_reply(&reply(&[&packet])).unwrap().response;
    assert_eq!(read.text("key1"), Some("value1"));
    let section = read.section("section1").unwrap();
    assert_eq!(
        section.list("list1").collect::<Vec<_>>(),
        ["item1", "item2"]
    );
    let inner = section.section("sub-section").unwrap();
    assert_eq!(inner.text("key2"), Some("value2"));

    let message = [
        Element::Value("key1", b"value1"),
        Element::Section(
            "section1",
            vec![
                Element::Section("sub-section", vec![Element::Value("key2", b"value2")]),
                Element::List("list1", vec![b"item1", b"item2"]),
            ],
        ),
    ];
    let sent = command("name", &message).unwrap();
    let expected = reply(&[&[b"\0\x04name", MESSAGE].concat()]);
    assert_eq!(*sent, expected);
    assert_eq!(sent.capacity(), sent.len());
    assert_eq!(*register("list-sa").unwrap(), reply(&[b"\x03\x07list-sa"]));
}

#[test]
fn a_reply_has_events_before_its_response() {
    let event = [b"\x07\x07list-sa".as_slice(), b"\x03\x01a\x00\x01b"].concat();
    let all = reply(&[&event, &event, b"\x01"]);
    assert_eq!(frame(&all), Frame::Complete(all.len()));
    assert_eq!(frame(&all[..all.len() - 1]), Frame::Incomplete);
    let read = decode_reply(&all).unwrap();
    assert_eq!(read.events.len(), 2);
    assert_eq!(read.events[0].0, "list-sa");
    assert_eq!(read.events[1].1.text("a"), Some("b"));
    assert_eq!(read.response, Section::default());
}

#[test]
fn packets_and_messages_of_another_form_are_refused() {
    for (packet, error) in [
        (&b"\x02"[..], ProtoError::UnknownCommand),
        (b"\x05", ProtoError::PacketType(5)),
        (b"\x01\x03\x04key", ProtoError::Short),
        (b"\x01\x03\x01\xff\0\0", ProtoError::Name),
        (b"\x01\x02", ProtoError::Element),
        (b"\x01\x01\x01a", ProtoError::Short),
        (b"\x01\x04\x01a\x03", ProtoError::Element),
    ] {
        assert_eq!(decode_reply(&reply(&[packet])), Err(error), "{packet:?}");
    }
    let deep = [b"\x01".to_vec(), b"\x01\x01a".repeat(MAX_DEPTH + 1)].concat();
    assert_eq!(decode_reply(&reply(&[&deep])), Err(ProtoError::TooMuch));
    // A length of four gigabytes is refused, and nothing is allocated for it.
    assert!(matches!(frame(&[0xff; 4]), Frame::Garbled(_)));
    assert!(matches!(frame(&[0; 4]), Frame::Garbled(_)));
    assert_eq!(decode_registration(&reply(&[b"\x05"])), Ok(()));
    assert_eq!(
        decode_registration(&reply(&[b"\x06"])),
        Err(ProtoError::UnknownEvent)
    );
    let long = "n".repeat(256);
    assert_eq!(command(&long, &[]), Err(ProtoError::TooLong));
    let large = vec![0; 70_000];
    assert_eq!(
        command("a", &[Element::Value("b", &large)]),
        Err(ProtoError::TooLong)
    );
}

proptest::proptest! {
    #[test]
    fn no_bytes_make_a_decoder_panic(input: Vec<u8>) {
        fuzz(&input);
        fuzz(&reply(&[&[&[packet::RESPONSE], &input[..]].concat()]));
    }
}
