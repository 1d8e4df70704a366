use super::*;
use netlink::{Attributes, HEADER, split};
use proptest::prelude::*;
use serde_json::Value as Json;

/// Codes of requests, as `if_macsec.h` has them.
const ADD_RXSC: u8 = 1;
const UPD_RXSC: u8 = 3;
const ADD_TXSA: u8 = 4;
const DEL_TXSA: u8 = 5;
const UPD_TXSA: u8 = 6;
const ADD_RXSA: u8 = 7;
const DEL_RXSA: u8 = 8;
const UPD_RXSA: u8 = 9;

fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let mut bytes = (value.len() as u16 + 4).to_le_bytes().to_vec();
    bytes.extend(kind.to_le_bytes());
    bytes.extend(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

fn message(kind: u16, flags: u16, body: &[u8]) -> Vec<u8> {
    let mut bytes = (HEADER as u32 + body.len() as u32).to_le_bytes().to_vec();
    bytes.extend(kind.to_le_bytes());
    bytes.extend(flags.to_le_bytes());
    bytes.extend(7u32.to_le_bytes());
    bytes.extend(0u32.to_le_bytes());
    bytes.extend(body);
    bytes
}

/// One end: both sockets.
struct End {
    pair: Arc<MacsecPair>,
    end: usize,
}

/// Configuration of an SA: number, activity, packet number, key.
fn sa(an: u8, active: Option<u8>, pn: Option<u32>, key: Option<&[u8]>) -> Vec<u8> {
    let mut all = attribute(1, &[an]);
    if let Some(active) = active {
        all.extend(attribute(2, &[active]));
    }
    if let Some(pn) = pn {
        all.extend(attribute(3, &pn.to_le_bytes()));
    }
    if let Some(key) = key {
        all.extend(attribute(4, key));
        all.extend(attribute(5, &[an; 16]));
    }
    attribute(3, &all)
}

impl End {
    /// Sends a request for MACsec, and returns its error.
    fn request(&self, code: u8, nests: &[u8]) -> i32 {
        let socket = self.pair.socket(self.end, Protocol::Generic);
        let mut body = vec![code, 1, 0, 0];
        body.extend(attribute(1, &INTERFACE.to_le_bytes()));
        body.extend(nests);
        let family = self.pair.settings.family;
        error(&socket.send(&message(family, 5, &body)))
    }
    /// The channel from the other end.
    fn channel(&self, active: Option<u8>) -> Vec<u8> {
        let mut all = attribute(1, &sci(1 - self.end));
        if let Some(active) = active {
            all.extend(attribute(2, &[active]));
        }
        attribute(2, &all)
    }
    fn receive(&self, code: u8, sa: &[u8]) -> i32 {
        self.request(code, &[self.channel(None), sa.to_vec()].concat())
    }
    fn encode(&self, an: u8) -> i32 {
        let data = attribute(2, &attribute(6, &[an]));
        let info = attribute(18, &[attribute(1, b"macsec\0"), data].concat());
        let mut body = vec![0; 16];
        body[4..8].copy_from_slice(&INTERFACE.to_le_bytes());
        body.extend(info);
        let socket = self.pair.socket(self.end, Protocol::Route);
        error(&socket.send(&message(16, 5, &body)))
    }
    /// Gives a new key to a number that is not in use.
    fn install(&self, an: u8, key: &[u8]) {
        let new = sa(an, Some(1), Some(1), Some(key));
        assert_eq!(self.receive(ADD_RXSA, &new), 0);
        assert_eq!(self.request(ADD_TXSA, &new), 0);
    }
    fn remove(&self, an: u8) {
        let off = sa(an, Some(0), None, None);
        assert_eq!(self.receive(UPD_RXSA, &off), 0);
        assert_eq!(self.request(UPD_TXSA, &off), 0);
        assert_eq!(self.receive(DEL_RXSA, &sa(an, None, None, None)), 0);
        assert_eq!(self.request(DEL_TXSA, &sa(an, None, None, None)), 0);
    }
    /// Counters of the receive channel, and of one of its SAs.
    fn received(&self, an: usize) -> ([u64; 10], [u32; 5]) {
        self.pair.with(|s| {
            let secy = s.kernels[self.end].macsec().unwrap();
            let channel = &secy.channels[0];
            let sa = channel.associations[an].as_ref();
            (
                channel.counters.all(),
                sa.map(|sa| sa.counters).unwrap_or_default(),
            )
        })
    }
}

/// The error of the only message of an answer.
fn error(answer: &[Datagram]) -> i32 {
    assert_eq!(answer.len(), 1);
    assert_eq!(u16::from_le_bytes([answer[0][4], answer[0][5]]), 2);
    i32::from_le_bytes(answer[0][16..20].try_into().unwrap())
}

fn pair(settings: Settings) -> (Arc<MacsecPair>, Clock, [End; 2]) {
    let clock = Clock::manual();
    let pair = MacsecPair::new(clock.clone(), settings);
    let ends = [0, 1].map(|end| End {
        pair: Arc::clone(&pair),
        end,
    });
    (pair, clock, ends)
}

/// A pair with a channel and the same key at both ends, on number 0.
fn keyed() -> (Arc<MacsecPair>, Clock, [End; 2]) {
    let (pair, clock, ends) = pair(Settings::default());
    for end in &ends {
        assert_eq!(end.request(ADD_RXSC, &end.channel(None)), 0);
        end.install(0, &[1; 32]);
    }
    (pair, clock, ends)
}

fn second(clock: &Clock) {
    clock.advance(Duration::from_secs(1));
}

/// A link, as far as it is modelled: type and index, and the attribute for MACsec.
fn link_part(datagram: &[u8]) -> Vec<Vec<u8>> {
    let (mut rest, mut parts) = (datagram, Vec::new());
    while let Some((header, message, after)) = split(rest) {
        rest = after;
        if header.kind != 16 {
            parts.push(message.to_vec());
            continue;
        }
        let attributes = Attributes::read(message, HEADER + 16);
        let mut part = [&message[4..12], &message[18..24]].concat();
        // Interfaces of other kinds have such an attribute too. Padding depends on the place.
        let info = attributes
            .nest(18, message)
            .filter(|info| info.text(1) == Some("macsec"));
        if let Some(data) = info.and_then(|info| info.nest(2, message)) {
            part.extend((1..=13).filter_map(|kind| data.get(kind)).flatten());
            part.extend(attributes.get(5).unwrap());
            part.extend(attributes.get(3).unwrap());
        }
        parts.push(part);
    }
    parts
}

#[test]
fn every_recorded_request_gets_the_answer_of_the_real_kernel() {
    let path = format!(
        "{}/vectors/linux-macsec-kernel.json",
        env!("CARGO_MANIFEST_DIR")
    );
    let all: Json = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    assert_eq!(all["index"].as_u64(), Some(INTERFACE.into()));
    let settings = Settings {
        frames_per_second: 0.0,
        pads: true,
        family: all["family"].as_u64().unwrap() as u16,
        interface: "ms0".to_owned(),
        ..Settings::default()
    };
    let (pair, ..) = pair(settings);
    let exchanges = all["exchanges"].as_array().unwrap();
    assert!(exchanges.len() > 120);
    let mut differences = Vec::new();
    for exchange in exchanges {
        let protocol = match exchange["protocol"].as_str() {
            Some("route") => Protocol::Route,
            _ => Protocol::Generic,
        };
        let mut socket = pair.socket(0, protocol);
        socket.set_port(exchange["port"].as_u64().unwrap() as u32);
        socket.set_extended_ack(exchange["ext_ack"].as_bool().unwrap());
        socket.set_capped_ack(exchange["cap_ack"].as_bool().unwrap());
        let request = hex::decode(exchange["send"].as_str().unwrap()).unwrap();
        let answer = socket.send(&request);
        let own: Vec<_> = answer.iter().map(|d| d.to_vec()).collect();
        let real = exchange["receive"].as_array().unwrap().iter();
        let real: Vec<_> = real
            .map(|d| hex::decode(d.as_str().unwrap()).unwrap())
            .collect();
        let name = exchange["name"].as_str().unwrap();
        let is_equal = if ["get link", "get link by name", "dump links"].contains(&name) {
            let part = |all: &[Vec<u8>]| all.iter().flat_map(|d| link_part(d)).collect::<Vec<_>>();
            part(&own) == part(&real)
        } else {
            own == real
        };
        if !is_equal {
            let shown = |all: &[Vec<u8>]| all.iter().map(hex::encode).collect::<Vec<_>>();
            differences.push(format!(
                "{name}: {:?}\ninstead of {:?}",
                shown(&own),
                shown(&real)
            ));
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

#[test]
fn twenty_rolls_over_four_numbers_lose_no_frame() {
    let (pair, clock, ends) = keyed();
    for roll in 1..=20u8 {
        let (an, old) = (roll % 4, (roll - 1) % 4);
        for end in &ends {
            end.install(an, &[roll; 32]);
            clock.advance(Duration::from_millis(130));
        }
        for end in &ends {
            assert_eq!(end.encode(an), 0);
            clock.advance(Duration::from_millis(130));
        }
        for end in &ends {
            end.remove(old);
            clock.advance(Duration::from_millis(130));
        }
    }
    for end in 0..2 {
        let traffic = pair.traffic_from(end);
        assert_eq!((traffic.dropped(), traffic.clear), (0, 0));
        assert_eq!(traffic.accepted, 1560);
    }
}

#[test]
fn a_number_that_is_encoded_and_not_received_loses_frames() {
    let (pair, clock, [a, b]) = keyed();
    let new = sa(1, Some(1), Some(1), Some(&[2; 32]));
    assert_eq!(a.request(ADD_TXSA, &new), 0);
    assert_eq!(a.encode(1), 0);
    second(&clock);
    assert_eq!(pair.traffic_from(0).refused, 100);
    assert_eq!(b.received(0).0[8], 100, "not using an SA");
    // Under another key they are not valid.
    let wrong = sa(1, Some(1), Some(1), Some(&[3; 32]));
    assert_eq!(b.receive(ADD_RXSA, &wrong), 0);
    second(&clock);
    assert_eq!(pair.traffic_from(0).refused, 200);
    let (channel, sa) = b.received(1);
    assert_eq!((channel[7], sa), (100, [0, 0, 100, 0, 0]));
    // A number without an SA stops the sender.
    assert_eq!(a.encode(2), 0);
    second(&clock);
    assert_eq!(pair.traffic_from(0).blocked, 100);
    assert_eq!(a.encode(0), 0);
    second(&clock);
    assert_eq!(pair.traffic_from(0).accepted, 100);
    assert_eq!(
        pair.traffic_from(1).accepted,
        400,
        "the other direction is not affected"
    );
}

#[test]
fn what_is_off_neither_sends_nor_receives_but_a_channel() {
    let (pair, clock, [a, b]) = keyed();
    assert_eq!(b.request(UPD_RXSC, &b.channel(Some(0))), 0);
    second(&clock);
    assert_eq!(
        pair.traffic_from(0).accepted,
        100,
        "a channel that is off receives"
    );
    assert_eq!(b.receive(UPD_RXSA, &sa(0, Some(0), None, None)), 0);
    second(&clock);
    assert_eq!(pair.traffic_from(0).refused, 100);
    assert_eq!(a.request(UPD_TXSA, &sa(0, Some(0), None, None)), 0);
    second(&clock);
    assert_eq!(pair.traffic_from(0).blocked, 100);
    assert_eq!(a.request(UPD_TXSA, &sa(0, Some(1), None, None)), 0);
    assert_eq!(b.receive(UPD_RXSA, &sa(0, Some(1), None, None)), 0);
    second(&clock);
    assert_eq!(pair.traffic_from(0).accepted, 200);
}

#[test]
fn packet_numbers_end_and_late_frames_are_dropped() {
    let (pair, clock, [a, b]) = keyed();
    assert_eq!(
        a.request(UPD_TXSA, &sa(0, None, Some(u32::MAX - 9), None)),
        0
    );
    second(&clock);
    let traffic = pair.traffic_from(0);
    assert_eq!((traffic.accepted, traffic.blocked), (10, 90));
    let after = sa(0, Some(1), Some(5), None);
    assert_eq!(a.request(UPD_TXSA, &after), 0);
    // Replay protection with a window of 3: numbers below 8 - 3 = 5 would be late.
    let data = [attribute(12, &[1]), attribute(5, &3u32.to_le_bytes())].concat();
    let info = attribute(
        18,
        &[attribute(1, b"macsec\0"), attribute(2, &data)].concat(),
    );
    let mut body = vec![0; 16];
    body[4..8].copy_from_slice(&INTERFACE.to_le_bytes());
    body.extend(info);
    let socket = pair.socket(1, Protocol::Route);
    assert_eq!(error(&socket.send(&message(16, 5, &body))), 0);
    assert_eq!(b.receive(UPD_RXSA, &sa(0, None, Some(18), None)), 0);
    second(&clock);
    // 5 to 14 are late.
    assert_eq!(b.received(0).0[6], 10);
    assert_eq!(pair.traffic_from(0).accepted, 100);
}

#[test]
fn frames_without_encryption_are_clear() {
    let (pair, clock, _ends) = keyed();
    for (setting, others) in [(7u16, 100), (8, 0)] {
        // `encrypt off` leaves a tag, `protect off` none; a strict receiver drops those.
        let data = attribute(2, &attribute(setting, &[0]));
        let info = attribute(18, &[attribute(1, b"macsec\0"), data].concat());
        let mut body = vec![0; 16];
        body[4..8].copy_from_slice(&INTERFACE.to_le_bytes());
        body.extend(info);
        let socket = pair.socket(0, Protocol::Route);
        assert_eq!(error(&socket.send(&message(16, 5, &body))), 0);
        let before = pair.traffic_from(0);
        let ok = pair.with(|s| s.kernels[1].macsec().unwrap().channels[0].counters.ok);
        second(&clock);
        let after = pair.traffic_from(0);
        assert_eq!(after.clear - before.clear, 100);
        assert_eq!(after.encrypted, before.encrypted);
        let received = pair.with(|s| s.kernels[1].macsec().unwrap().channels[0].counters.ok);
        assert_eq!(received - ok, others);
    }
}

#[test]
fn numbers_of_64_bits_need_a_salt() {
    let settings = Settings {
        xpn: true,
        ..Settings::default()
    };
    let (pair, clock, [a, _]) = pair(settings);
    assert_eq!(
        a.request(ADD_TXSA, &sa(0, Some(1), Some(1), Some(&[1; 32]))),
        -22
    );
    let mut all = [attribute(1, &[0]), attribute(2, &[1])].concat();
    all.extend(attribute(3, &u64::MAX.to_le_bytes()));
    all.extend([attribute(4, &[1; 32]), attribute(5, &[0; 16])].concat());
    assert_eq!(a.request(ADD_TXSA, &attribute(3, &all)), -22);
    all.extend([attribute(8, &[0; 4]), attribute(9, &[0; 12])].concat());
    assert_eq!(a.request(ADD_TXSA, &attribute(3, &all)), 0);
    second(&clock);
    assert_eq!(
        pair.traffic_from(0).blocked,
        99,
        "the last number is used once"
    );
}

#[test]
fn faults_of_the_kernel_apply_or_are_refused() {
    let (pair, clock, [a, _b]) = keyed();
    let end = |n| MacsecEnd::new(Arc::clone(&pair), n);
    let before = pair.state(0);
    assert!(!before.contains(&"01".repeat(32)));
    let new = sa(1, Some(1), Some(1), Some(&[2; 32]));
    end(0).apply(&DeviceFault::Refuse(1)).unwrap();
    assert_eq!(a.request(ADD_TXSA, &new), -12);
    end(0).apply(&DeviceFault::Ignore(1)).unwrap();
    assert_eq!(a.request(ADD_TXSA, &new), 0);
    assert_eq!(pair.state(0), before);
    assert_eq!(a.request(ADD_TXSA, &new), 0);
    assert_ne!(pair.state(0), before);
    let mut socket = pair.socket(0, Protocol::Route);
    socket.set_privileged(false);
    assert_eq!(error(&socket.send(&message(16, 5, &[0; 16]))), -1);
    end(1).apply(&DeviceFault::Cut(None)).unwrap();
    second(&clock);
    assert_eq!(pair.traffic_from(0).refused, 100);
    end(1).apply(&DeviceFault::Clear).unwrap();
    end(1)
        .apply(&DeviceFault::Operator("alter-keys".to_owned()))
        .unwrap();
    second(&clock);
    assert_eq!(pair.traffic_from(0).refused, 200);
    end(1).apply(&DeviceFault::Reboot).unwrap();
    second(&clock);
    assert_eq!(
        (pair.traffic_from(0).refused, pair.traffic_from(1).blocked),
        (300, 100)
    );
    assert!(pair.state(1).ends_with("send: "), "{}", pair.state(1));
    end(0)
        .apply(&DeviceFault::Operator("delete-link".to_owned()))
        .unwrap();
    assert_eq!(a.request(UPD_TXSA, &sa(0, Some(0), None, None)), -19);
    assert!(end(0).apply(&DeviceFault::Full).is_err());
}

proptest! {
    #[test]
    fn any_datagram_is_survived(
        datagrams in prop::collection::vec((
            any::<bool>(),
            prop::sample::select(vec![0u16, 1, 16, 18, 26, 200]),
            any::<u16>(),
            prop::collection::vec(prop_oneof![0u8..12, any::<u8>()], 0..120),
            any::<bool>(),
        ), 0..12),
    ) {
        let (pair, clock, _ends) = keyed();
        for (is_route, kind, flags, body, is_raw) in datagrams {
            let protocol = if is_route { Protocol::Route } else { Protocol::Generic };
            let mut socket = pair.socket(0, protocol);
            socket.set_extended_ack(true);
            let datagram = if is_raw { body } else { message(kind, flags, &body) };
            for answer in socket.send(&datagram) {
                prop_assert!(split(&answer).is_some());
            }
            clock.advance(Duration::from_millis(100));
        }
        let traffic = pair.traffic_from(0);
        prop_assert_eq!(traffic.encrypted, traffic.accepted + traffic.refused);
    }
}
