use super::*;
use qkd_driver_kit::link::{
    datagram::Received,
    netlink::{decode_family, encode_get_family, recognise},
};
use serde_json::Value;

/// An exchange that was recorded from Linux 6.1: the request, and the datagrams of the answer.
fn recorded(name: &str) -> (Vec<u8>, Vec<Vec<u8>>) {
    let text = include_str!("../../vectors/linux-macsec-kernel.json");
    let all: Value = serde_json::from_str(text).unwrap();
    let exchanges = all["exchanges"].as_array().unwrap();
    let one = exchanges.iter().find(|e| e["name"] == name).unwrap();
    let octets = |v: &Value| hex::decode(v.as_str().unwrap()).unwrap();
    let receive = one["receive"].as_array().unwrap();
    (octets(&one["send"]), receive.iter().map(octets).collect())
}

fn answer(name: &str) -> Vec<Vec<u8>> {
    recorded(name).1
}

fn parts(all: &[Vec<u8>]) -> impl Iterator<Item = &[u8]> {
    all.iter().map(Vec::as_slice)
}

fn sequence(message: &[u8]) -> u32 {
    u32_at(message, 8).unwrap()
}

const FAMILY: u16 = 26;
const INDEX: u32 = 3;
const LINK: Link = Link {
    index: INDEX,
    is_up: true,
    has_carrier: true,
};
/// The channel of the recordings.
const SCI: Sci = [2, 0, 0, 0, 0, 0x0b, 0, 1];

#[test]
fn the_family_is_asked_for_by_its_name() {
    let (request, answer) = recorded("getfamily macsec");
    let ours = encode_get_family(sequence(&request), FAMILY_NAME);
    // The recording has the version 3 of `ip`, which the kernel ignores.
    assert_eq!(ours[..17], request[..17]);
    assert_eq!(ours[20..], request[20..]);
    assert_eq!(decode_family(parts(&answer)), Ok(FAMILY));
    let unknown = recorded("getfamily unknown").1;
    assert_eq!(decode_family(parts(&unknown)), Err(ProtoError::Errno(2)));
}

#[test]
fn changes_are_those_that_the_kernel_accepted() {
    let sci_of = |request: &[u8]| -> Sci { request[32..40].try_into().unwrap() };
    for (name, direction_is_receive, number) in [
        ("add rxsa 0", true, 0),
        ("add txsa 0", false, 0),
        ("upd rxsa on", true, 3),
        ("del txsa: unknown an", false, 1),
    ] {
        let (request, _) = recorded(name);
        let direction = if direction_is_receive {
            Direction::Receive(sci_of(&request))
        } else {
            Direction::Transmit
        };
        let key = [[0x11; 32], [0x22; 32]];
        // Key and id are compared by their places: those of the recording have other values.
        let change = match name {
            "upd rxsa on" => Change::Switch(true),
            "del txsa: unknown an" => Change::Delete,
            _ => Change::Add {
                key: &key[0],
                key_id: &key[1][..16],
                is_active: true,
            },
        };
        let ours = encode_change(
            FAMILY,
            sequence(&request),
            INDEX,
            direction,
            number,
            &change,
        );
        let shape = |message: &[u8]| {
            let mut all: Vec<(u16, u16, usize)> = Vec::new();
            for attribute in attributes(&message[20..]) {
                let (outer, value) = attribute.unwrap();
                if outer == attr::IFINDEX {
                    assert_eq!(value, INDEX.to_ne_bytes());
                    continue;
                }
                for inner in attributes(value) {
                    let (inner, value) = inner.unwrap();
                    all.push((outer, inner, value.len()));
                }
            }
            all.sort_unstable();
            all
        };
        assert_eq!(ours[4..6], request[4..6], "{name}: family");
        assert_eq!(ours[16], request[16], "{name}: command");
        let wanted: Vec<_> = shape(&request);
        assert_eq!(shape(&ours), wanted, "{name}");
    }
}

#[test]
fn errors_have_the_number_of_the_kernel() {
    for (name, number) in [
        ("add rxsa 0 again", 16),
        ("add rxsa: no rxsc", 19),
        ("del txsa: active", 16),
        ("get unknown link", 19),
        ("link: encoding sa 4", 22),
    ] {
        let answer = answer(name);
        assert_eq!(
            decode_change(parts(&answer)),
            Err(ProtoError::Errno(number)),
            "{name}"
        );
    }
    assert_eq!(decode_change(parts(&answer("add rxsa 0"))), Ok(()));
}

#[test]
fn a_dump_is_read_as_the_kernel_wrote_it() {
    let (request, answer) = recorded("dump");
    assert_eq!(*encode_dump(FAMILY, sequence(&request)), request[..]);
    let secy = decode_dump(parts(&answer), LINK).unwrap().unwrap();
    let other = Link {
        index: INDEX + 1,
        ..LINK
    };
    assert_eq!(decode_dump(parts(&answer), other), Ok(None));
    let cipher = Cipher::from_id(secy.cipher).unwrap();
    assert_eq!((cipher.name, cipher.key_bytes), ("GCM-AES-256", 32));
    assert!(secy.protects && secy.encrypts && secy.is_operational);
    assert_eq!(secy.validation, Validation::Strict);
    let numbers = |all: &[Association]| all.iter().map(|a| a.number).collect::<Vec<_>>();
    assert_eq!(numbers(&secy.transmit), [0, 2]);
    let [channel] = secy.channels.as_slice() else {
        panic!("{secy:?}");
    };
    assert_eq!(numbers(&channel.associations), [0, 3]);
    assert!(channel.associations.iter().all(|a| a.key_id.len() == 16));
}

#[test]
fn a_link_of_macsec_is_known_by_its_kind() {
    let (request, answer) = recorded("get link by name");
    let name = attributes(&request[32..]).next().unwrap().unwrap().1;
    let name = std::str::from_utf8(&name[..name.len() - 1]).unwrap();
    let ours = encode_get_link(sequence(&request), name);
    assert_eq!(ours[4..6], request[4..6]);
    assert_eq!(ours[16..], request[16..]);
    assert_eq!(decode_link(parts(&answer)), Ok(Some(LINK)));
    // The dump has the loopback interface first.
    let all = recorded("dump links").1;
    assert_eq!(decode_link(parts(&all)), Ok(None));
    let (request, _) = recorded("link: encoding sa 2");
    let ours = encode_set_encoding(sequence(&request), INDEX, 2);
    assert_eq!(*ours, request[..]);
}

#[test]
fn answers_are_recognised_by_their_sequence_number() {
    let (request, answer) = recorded("dump");
    let number = sequence(&request);
    assert_eq!(recognise(number, &answer[0]), Received::Part);
    assert_eq!(recognise(number, &answer[1]), Received::Last);
    assert_eq!(recognise(number + 1, &answer[0]), Received::Foreign);
    assert!(matches!(
        recognise(number, &answer[0][..40]),
        Received::Invalid(_)
    ));
    assert!(matches!(recognise(number, &[]), Received::Invalid(_)));
    let (request, answer) = recorded("get link");
    assert_eq!(recognise(sequence(&request), &answer[0]), Received::Last);
    // A dump that is not of one moment is read again.
    let mut interrupted = recorded("dump").1;
    interrupted[0][6] |= 0x10;
    assert_eq!(
        decode_dump(parts(&interrupted), LINK),
        Err(ProtoError::Interrupted)
    );
}

#[test]
fn keys_are_found_in_requests_and_in_the_errors_that_return_them() {
    let key = [0xa5; 32];
    let change = Change::Add {
        key: &key,
        key_id: &[7; 16],
        is_active: true,
    };
    let request = encode_change(FAMILY, 1, INDEX, Direction::Receive(SCI), 2, &change);
    let hidden = |message: &[u8]| {
        let mut rest = message.to_vec();
        for span in secrets(message) {
            rest[span].fill(0);
        }
        !rest.windows(8).any(|w| w == [0xa5; 8])
    };
    assert!(hidden(&request));
    let spans = secrets(&request);
    assert_eq!(spans.len(), 1);
    assert_eq!(request[spans[0].clone()], key);
    // Without NETLINK_CAP_ACK an error has the whole request after its number.
    let mut error = vec![0; 20];
    error[4] = 2;
    error.extend_from_slice(&request);
    let length = u32::try_from(error.len()).unwrap();
    error[..4].copy_from_slice(&length.to_ne_bytes());
    assert!(hidden(&error));
    assert!(
        hidden(&request[..request.len() - 1]),
        "not readable: all of it"
    );
}
