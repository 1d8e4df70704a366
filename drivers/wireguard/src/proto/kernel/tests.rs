use super::*;
use proptest::prelude::*;
use qkd_driver_kit::link::{
    datagram::Received,
    netlink::{decode_family, encode_get_family, recognise},
};
use serde_json::Value;

const FAMILY: u16 = 32;

/// An exchange of `wg` with Linux 6.1 that was recorded: the request, and the datagrams of the
/// answer.
pub(crate) fn recorded(name: &str) -> (Vec<u8>, Vec<Vec<u8>>) {
    let text = include_str!("../../../vectors/wireguard-kernel.json");
    let all: Value = serde_json::from_str(text).unwrap();
    let exchanges = all["exchanges"].as_array().unwrap();
    let one = exchanges.iter().find(|e| e["name"] == name).unwrap();
    let octets = |v: &Value| hex::decode(v.as_str().unwrap()).unwrap();
    let receive = one["receive"].as_array().unwrap();
    (octets(&one["send"]), receive.iter().map(octets).collect())
}

fn parts(all: &[Vec<u8>]) -> impl Iterator<Item = &[u8]> {
    all.iter().map(Vec::as_slice)
}

fn sequence(message: &[u8]) -> u32 {
    u32_at(message, 8).unwrap()
}

fn peers(name: &str) -> Vec<Peer> {
    decode_get(parts(&recorded(name).1)).unwrap()
}

/// The keys of the recordings: 32 bytes that count up.
fn counting(from: u8) -> PresharedKey {
    let bytes: Vec<u8> = (0..32).map(|n| from + n).collect();
    PresharedKey::copy_of(&bytes).unwrap()
}

#[test]
fn the_family_is_asked_for_as_wg_does() {
    let (request, answer) = recorded("getfamily wireguard");
    let mut ours = encode_get_family(sequence(&request), FAMILY_NAME);
    // `wg` asks for an acknowledgement, too.
    ours[6] |= 4;
    assert_eq!(ours[..], request[..]);
    // The answer comes before the acknowledgement, which is foreign to the next request.
    assert_eq!(recognise(sequence(&request), &answer[0]), Received::Last);
    assert_eq!(decode_family(parts(&answer)), Ok(FAMILY));
}

#[test]
fn an_interface_is_asked_for_as_wg_does() {
    for (name, interface) in [
        ("get, two peers", "wg0"),
        ("get: no such interface", "nosuch"),
    ] {
        let (request, _) = recorded(name);
        let mut ours = encode_get(FAMILY, sequence(&request), interface);
        ours[6] |= 4;
        // The kernel ignores the padding after the name, and does not ask for a version.
        ours[17] = request[17];
        assert_eq!(ours[..], request[..], "{name}");
    }
}

#[test]
fn peers_are_those_that_were_configured() {
    assert!(peers("get, without peers").is_empty());
    let all = peers("get, two peers");
    let find = |end: &str| all.iter().find(|p| p.endpoint.as_deref() == Some(end));
    let first = find("192.0.2.1:51820").unwrap();
    assert!(first.preshared_key == counting(0xa0));
    assert_eq!(first.keepalive, 25);
    let mut ranges = first.allowed_ips.clone();
    ranges.sort();
    assert_eq!(ranges, ["10.0.0.2/32", "fd00::2/128"]);
    assert!(!first.last_handshake.is_some());
    let second = find("[fe80::1%1]:443").unwrap();
    assert!(second.preshared_key == PresharedKey::default());
    assert_eq!(second.allowed_ips, ["10.9.0.0/16"]);
    assert_eq!(all.len(), 2);
    let replaced = peers("get, after replace");
    let first = replaced.iter().find(|p| p.keepalive == 25).unwrap();
    assert!(first.preshared_key == counting(0xc0));
}

#[test]
fn peers_and_addresses_that_come_in_several_messages_are_put_together() {
    let answer = recorded("get, many").1;
    assert!(answer.len() > 1);
    let number = sequence(&answer[0]);
    assert_eq!(recognise(number, &answer[0]), Received::Part);
    assert_eq!(recognise(number, &answer[1]), Received::Last);
    let all = decode_get(parts(&answer)).unwrap();
    // One with 150 addresses, and twelve with one each.
    assert_eq!(all.len(), 13);
    let most = all.iter().map(|p| p.allowed_ips.len()).max();
    assert_eq!(most, Some(150));
    let first = decode_get(parts(&answer[..1])).unwrap();
    assert!(first.last().unwrap().allowed_ips.len() < 150 || first.len() < 13);
}

#[test]
fn changes_are_those_of_wg_that_the_kernel_accepted() {
    let mut peer = peers("get, two peers")
        .into_iter()
        .find(|p| p.keepalive == 25)
        .unwrap();
    // The kernel shows the addresses in another order than `wg` was given.
    peer.allowed_ips.sort();
    let key = counting(0xc0);
    let change = Change::Replace {
        peer: &peer,
        key: &key,
    };
    let (request, answer) = recorded("replace");
    let ours = SetDevice::new(&change).unwrap();
    let ours = ours.encode(FAMILY, sequence(&request), "wg0");
    assert_eq!(ours[..], request[..]);
    assert_eq!(decode_set(parts(&answer)), Ok(()));

    let change = Change::PresharedKey {
        peer: &peer.public_key,
        key: &key,
    };
    let (request, answer) = recorded("set preshared key");
    let ours = SetDevice::new(&change).unwrap();
    let ours = ours.encode(FAMILY, sequence(&request), "wg0");
    // `wg` adds a peer that is not there: only our request has flags, at its end.
    let (flags, rest) = (&ours[request.len()..], &ours[..request.len()]);
    assert_eq!(
        flags,
        [8_u16.to_ne_bytes(), 3_u16.to_ne_bytes(), [4, 0], [0, 0]].concat()
    );
    for (at, (one, other)) in rest.iter().zip(&request).enumerate() {
        // Lengths of the message, of the list and of the peer.
        let longer = if [0, 28, 32].contains(&at) { 8 } else { 0 };
        assert_eq!(*one, other + longer, "at {at}");
    }
    assert_eq!(decode_set(parts(&answer)), Ok(()));
}

#[test]
fn refusals_of_the_kernel_have_their_numbers() {
    for (name, number) in [
        ("get: no such interface", 19),
        ("get: not of WireGuard", 95),
        ("set: no such interface", 19),
    ] {
        let answer = recorded(name).1;
        let refused = ProtoError::Kernel(NetlinkError::Errno(number));
        assert_eq!(decode_set(parts(&answer)), Err(refused.clone()), "{name}");
        assert_eq!(decode_get(parts(&answer)), Err(refused), "{name}");
    }
}

#[test]
fn no_key_is_left_outside_of_what_is_secret() {
    // Runs of bytes that count up, which only keys are. The kernel clamps the last byte of the
    // private key.
    let is_key = |w: &[u8]| w.windows(2).all(|two| two[1] == two[0].wrapping_add(1));
    for (name, keys) in [
        ("set key and port", 1),
        ("set peer", 1),
        ("get, two peers", 2),
        ("replace", 1),
        ("get, many", 13),
        // An error returns the whole request.
        ("set: no such interface", 1),
    ] {
        let (request, answer) = recorded(name);
        let mut found = 0;
        for mut message in [vec![request], answer].concat() {
            let spans = secrets(&message);
            found += spans
                .iter()
                .filter(|s| message[(*s).clone()].windows(8).any(is_key))
                .count();
            spans.into_iter().for_each(|span| message[span].fill(0));
            assert!(!message.windows(8).any(is_key), "{name}");
        }
        assert!(found >= keys, "{name}: {found}");
    }
}

#[test]
fn values_of_another_form_are_refused() {
    let message = |attribute: u16, value: &[u8]| {
        Request::new(FAMILY, 0, 1)
            .header(&[0, 1, 0, 0])
            .with_nested(device::PEERS, |r| {
                r.with_nested(0, |r| {
                    r.with(peer::PUBLIC_KEY, &[7; 32]).with(attribute, value)
                })
            })
            .finish()
    };
    let decode =
        |attribute, value: &[u8]| decode_get(std::iter::once(message(attribute, value).as_slice()));
    for (attribute, value) in [
        (peer::PUBLIC_KEY, &[7; 31][..]),
        (peer::PRESHARED_KEY, &[7; 33]),
        (peer::ENDPOINT, &[2, 0, 0, 1]),
        (peer::KEEPALIVE, &[1]),
        (peer::LAST_HANDSHAKE, &[0xff; 16]),
        (peer::RECEIVED, &[0; 4]),
        (peer::ALLOWED_IPS, &[4, 0, 0, 0]),
    ] {
        let error = decode(attribute, value).unwrap_err();
        let is_malformed = matches!(error, ProtoError::Kernel(NetlinkError::Malformed(_)));
        assert!(is_malformed, "{attribute}: {error}");
    }
    let time = [5_i64.to_ne_bytes(), 7_i64.to_ne_bytes()].concat();
    let read = decode(peer::LAST_HANDSHAKE, &time).unwrap();
    assert_eq!(read[0].last_handshake.to_string(), "5.000000007");
}

fn any_peer() -> impl Strategy<Value = Peer> {
    let range = prop_oneof![
        (any::<Ipv4Addr>(), 0..=32_u8).prop_map(|(ip, mask)| format!("{ip}/{mask}")),
        (any::<Ipv6Addr>(), 0..=128_u8).prop_map(|(ip, mask)| format!("{ip}/{mask}")),
    ];
    let v6 = |(ip, port, scope)| SocketAddrV6::new(ip, port, 0, scope).to_string();
    let endpoint = prop_oneof![
        any::<(Ipv4Addr, u16)>().prop_map(|at| SocketAddr::from(at).to_string()),
        any::<(Ipv6Addr, u16, u32)>().prop_map(v6),
    ];
    (
        any::<[u8; 32]>(),
        proptest::option::of(endpoint),
        any::<u16>(),
        proptest::collection::vec(range, 0..20),
    )
        .prop_map(|(public_key, endpoint, keepalive, allowed_ips)| Peer {
            endpoint,
            keepalive,
            allowed_ips,
            ..Peer::new(public_key)
        })
}

proptest! {
    #[test]
    fn what_is_encoded_is_decoded(mut peer in any_peer(), key: [u8; 32]) {
        let key = PresharedKey::copy_of(&key).unwrap();
        let change = Change::Replace { peer: &peer, key: &key };
        let request = SetDevice::new(&change).unwrap().encode(FAMILY, 1, "wg0");
        let read = decode_get(std::iter::once(request.as_slice())).unwrap();
        let spans = secrets(&request);
        prop_assert_eq!(spans.len(), 1);
        prop_assert_eq!(&request[spans[0].clone()], key.expose());
        peer.preshared_key = key;
        prop_assert_eq!(read, vec![peer]);
    }

    #[test]
    fn no_bytes_make_a_decoder_panic(input: Vec<u8>) {
        fuzz(&input);
    }
}
