use super::*;
use crate::{profile::Options, profiles};
use device::public_key;
use proptest::prelude::*;
use serde_json::Value as Json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// A client of one end.
struct Client(Box<dyn Session>);

impl Client {
    fn ask(&mut self, request: &str) -> String {
        let replies = self.0.feed(request.as_bytes());
        let bytes = replies.into_iter().flat_map(|reply| reply.bytes).collect();
        String::from_utf8(bytes).unwrap()
    }
    #[track_caller]
    fn set(&mut self, lines: &str) {
        assert_eq!(self.ask(&format!("set=1\n{lines}\n")), "errno=0\n\n");
    }
    /// A value of the only peer.
    fn get(&mut self, name: &str) -> String {
        let reply = self.ask("get=1\n\n");
        let mut lines = reply.lines().filter_map(|line| line.split_once('='));
        let value = lines.find(|(known, _)| *known == name);
        value.map(|(_, value)| value.to_owned()).unwrap_or_default()
    }
    fn number(&mut self, name: &str) -> u64 {
        self.get(name).parse().unwrap()
    }
    fn last_handshake(&mut self) -> u64 {
        self.number("last_handshake_time_sec")
    }
}

fn pair(packets: f64, keepalive: u16) -> (Arc<WireGuardPair>, Clock, [Client; 2]) {
    let clock = Clock::manual();
    // The clock begins at 1000 s.
    let epoch = Duration::from_secs(1000);
    let pair = WireGuardPair::new(clock.clone(), epoch, packets, false, 1);
    profile::configure(&pair, 1, keepalive);
    let clients = [0, 1].map(|end| Client(pair.session(end)));
    (pair, clock, clients)
}

fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// Sets a preshared key at an end.
fn preshare(client: &mut Client, octet: &str) {
    let peer = client.get("public_key");
    let key = octet.repeat(32);
    client.set(&format!(
        "public_key={peer}\nupdate_only=true\npreshared_key={key}\n"
    ));
}

#[test]
fn every_recorded_request_gets_the_reply_of_the_real_device() {
    let pair = WireGuardPair::new(Clock::manual(), Duration::ZERO, 0.0, false, 1);
    let path = format!("{}/vectors/wireguard-go.json", env!("CARGO_MANIFEST_DIR"));
    let all: Vec<Json> = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    assert!(all.len() > 50);
    for vector in &all {
        let request = vector["send"].as_str().unwrap();
        let mut session = pair.session(0);
        let replies = session.feed(request.as_bytes());
        let ends = replies.iter().any(|reply| reply.close);
        let bytes = replies.into_iter().flat_map(|reply| reply.bytes).collect();
        let text = String::from_utf8(bytes).unwrap();
        assert_eq!(text, vector["receive"].as_str().unwrap(), "{request}");
        assert_eq!(ends, vector["ends"].as_bool().unwrap(), "{request}");
    }
}

#[test]
fn a_private_key_has_the_public_key_of_x25519() {
    // Made by `wg pubkey` of wireguard-tools 1.0.20210914.
    let private = key("085fac81d213a0aec69b7c15b7ef0807ff118135136f8d5403201321c951fd55").unwrap();
    assert_eq!(
        hex::encode(public_key(&private)),
        "11c6ad0f04352758a8e6815a05ecc35f4814fa461eaa970edb6c49b3a16de502"
    );
}

#[test]
fn keepalives_alone_count_what_the_real_device_counts() {
    let (_, clock, [mut a, mut b]) = pair(0.0, 5);
    // One handshake: 148 out, 92 in, and a keepalive of 32 that confirms it.
    assert_eq!((a.number("tx_bytes"), a.number("rx_bytes")), (180, 92));
    assert_eq!((b.number("tx_bytes"), b.number("rx_bytes")), (92, 180));
    clock.advance(seconds(15));
    assert_eq!(a.number("tx_bytes"), 276);
    clock.advance(seconds(104));
    assert_eq!(
        (a.last_handshake(), a.number("tx_bytes")),
        (1000, 180 + 23 * 32)
    );
    clock.advance(seconds(1));
    assert_eq!((a.last_handshake(), b.last_handshake()), (1120, 1120));
    assert_eq!((a.number("tx_bytes"), a.number("rx_bytes")), (1128, 184));
}

#[test]
fn a_preshared_key_is_used_at_the_next_handshake() {
    let (pair, clock, [mut a, mut b]) = pair(100.0, 25);
    clock.advance(seconds(10));
    for client in [&mut a, &mut b] {
        preshare(client, "22");
    }
    clock.advance(seconds(109));
    assert_eq!(a.last_handshake(), 1000);
    clock.advance(seconds(2));
    assert_eq!((a.last_handshake(), b.last_handshake()), (1120, 1120));
    for end in [0, 1] {
        let traffic = pair.traffic_from(end);
        assert_eq!((traffic.dropped(), traffic.clear), (0, 0));
        assert_eq!(traffic.accepted, 12_100);
    }
}

#[test]
fn with_other_preshared_keys_the_session_ends_after_180_seconds() {
    let (pair, clock, [mut a, mut b]) = pair(100.0, 25);
    preshare(&mut b, "33");
    clock.advance(seconds(179));
    assert_eq!(pair.traffic_from(0).dropped(), 0);
    let before = pair.traffic_from(0).accepted;
    clock.advance(seconds(120));
    let traffic = pair.traffic_from(0);
    assert_eq!(traffic.accepted, before + 100, "one more second");
    assert_eq!((traffic.blocked, traffic.clear), (11_900, 0));
    assert_eq!((a.last_handshake(), b.last_handshake()), (1000, 1000));
    // The responder counts each initiation, the initiator no response.
    let received = b.number("rx_bytes");
    clock.advance(seconds(5));
    assert_eq!(b.number("rx_bytes"), received + 148);
    assert_eq!(
        a.number("rx_bytes"),
        92 + 128 * pair.traffic_from(1).accepted
    );
    preshare(&mut a, "33");
    clock.advance(seconds(5));
    assert!(a.last_handshake() >= 1304, "{}", a.last_handshake());
    clock.advance(seconds(1));
    assert!(pair.traffic_from(0).accepted > traffic.accepted);
}

#[test]
fn handshakes_without_an_answer_are_repeated_each_five_seconds() {
    let (pair, clock, [mut a, _b]) = pair(0.0, 25);
    pair.set_cut(true);
    let peer = a.get("public_key");
    let lines = format!(
        "public_key={peer}\nremove=true\npublic_key={peer}\nendpoint=192.0.2.2:51820\n\
         persistent_keepalive_interval=25\n"
    );
    a.set(&lines);
    assert_eq!((a.number("tx_bytes"), a.last_handshake()), (148, 0));
    clock.advance(seconds(60));
    assert_eq!(a.number("tx_bytes"), 13 * 148);
    // It gives up after 18 retries and one more, and begins again with the next keepalive.
    clock.advance(seconds(40));
    assert_eq!(a.number("tx_bytes"), 20 * 148);
    clock.advance(seconds(19));
    assert_eq!(a.number("tx_bytes"), 20 * 148);
    clock.advance(seconds(2));
    assert_eq!(a.number("tx_bytes"), 21 * 148);
}

#[test]
fn replacing_a_peer_ends_its_session_and_makes_another() {
    let (pair, clock, [mut a, mut b]) = pair(100.0, 25);
    clock.advance(seconds(10));
    let new = "44".repeat(32);
    let keys = [a.get("public_key"), b.get("public_key")];
    let replace = |end: usize| {
        let peer = &keys[end];
        let (host, inner) = (2 - end, 2 - end);
        format!(
            "public_key={peer}\nremove=true\npublic_key={peer}\npreshared_key={new}\n\
             endpoint=192.0.2.{host}:51820\nallowed_ip=10.98.1.{inner}/32\n"
        )
    };
    b.set(&replace(1));
    clock.advance(seconds(1));
    assert_eq!(b.last_handshake(), 0, "the other end has another key");
    assert!(pair.traffic_from(0).refused >= 99 && pair.traffic_from(1).blocked >= 99);
    a.set(&replace(0));
    clock.advance(seconds(6));
    assert!(a.last_handshake() >= 1011 && b.last_handshake() == a.last_handshake());
    let dropped = pair.traffic_from(0).dropped();
    clock.advance(seconds(10));
    assert_eq!(pair.traffic_from(0).dropped(), dropped);
}

#[test]
fn data_that_is_not_answered_begins_a_handshake_after_15_seconds() {
    let (pair, clock, [mut a, mut b]) = pair(100.0, 25);
    clock.advance(seconds(10));
    let b_end = WireGuardEnd::new(Arc::clone(&pair), 1);
    let b_key = b.get("private_key");
    let a_key = b.get("public_key");
    // The host loads the configuration again when it starts, and would make a session.
    pair.set_cut(true);
    b_end.apply(&DeviceFault::Reboot).unwrap();
    assert_eq!(
        (b.get("private_key"), b.last_handshake()),
        (b_key.clone(), 0)
    );
    b.set("replace_peers=true\n");
    pair.set_cut(false);
    clock.advance(seconds(1));
    let psk = a.get("preshared_key");
    // The device has the keys again, and does not know where the other one is.
    b.set(&format!(
        "private_key={b_key}\nlisten_port=51820\npublic_key={a_key}\npreshared_key={psk}\n\
         allowed_ip=10.98.1.1/32\n"
    ));
    clock.advance(seconds(13));
    assert_eq!(a.last_handshake(), 1000);
    clock.advance(seconds(2));
    assert_eq!(a.last_handshake(), 1025);
    assert_eq!(b.get("endpoint"), "192.0.2.1:51820", "it has learned it");
}

#[test]
fn a_network_that_is_cut_loses_packets_and_no_session() {
    let (pair, clock, [mut a, _b]) = pair(100.0, 25);
    clock.advance(seconds(10));
    pair.set_cut(true);
    clock.advance(seconds(10));
    pair.set_cut(false);
    clock.advance(seconds(10));
    let traffic = pair.traffic_from(0);
    assert_eq!((traffic.accepted, traffic.refused), (2000, 1000));
    assert_eq!(a.last_handshake(), 1000);
    // Without the peer nothing is sent, and nothing in clear.
    WireGuardEnd::new(Arc::clone(&pair), 0)
        .apply(&DeviceFault::Operator("remove-peers".to_owned()))
        .unwrap();
    clock.advance(seconds(1));
    assert_eq!(pair.traffic_from(0).blocked, 100);
    assert_eq!(pair.traffic_from(0).clear, 0);
}

#[test]
fn clear_packets_are_counted_apart() {
    let clock = Clock::manual();
    let pair = WireGuardPair::new(clock.clone(), Duration::ZERO, 100.0, true, 1);
    clock.advance(seconds(1));
    let traffic = pair.traffic_from(0);
    assert_eq!((traffic.clear, traffic.encrypted), (100, 0));
}

#[test]
fn networks_belong_to_one_peer_and_the_longest_prefix_decides() {
    let (pair, clock, [mut a, _b]) = pair(100.0, 25);
    let other = "11".repeat(32);
    a.set(&format!("public_key={other}\nallowed_ip=10.98.1.0/24\n"));
    clock.advance(seconds(1));
    assert_eq!(pair.traffic_from(0).accepted, 100);
    a.set(&format!("public_key={other}\nallowed_ip=10.98.1.2/32\n"));
    clock.advance(seconds(1));
    assert_eq!(pair.traffic_from(0).accepted, 100);
    assert_eq!(
        a.ask("get=1\n\n")
            .matches("allowed_ip=10.98.1.2/32")
            .count(),
        1
    );
}

#[test]
fn faults_of_the_device_apply_or_are_refused() {
    let (pair, _, [mut a, mut b]) = pair(0.0, 0);
    let end = WireGuardEnd::new(Arc::clone(&pair), 0);
    let before = pair.state(0);
    end.apply(&DeviceFault::Refuse(1)).unwrap();
    assert_eq!(a.ask("set=1\nfwmark=5\n\n"), "errno=-5\n\n");
    end.apply(&DeviceFault::Ignore(1)).unwrap();
    assert_eq!(a.ask("set=1\nfwmark=5\n\n"), "errno=0\n\n");
    assert_eq!(pair.state(0), before);
    a.set("fwmark=5\n");
    assert_ne!(pair.state(0), before);
    end.apply(&DeviceFault::Operator("alter-psk".to_owned()))
        .unwrap();
    assert_ne!(a.get("preshared_key"), b.get("preshared_key"));
    assert!(
        end.apply(&DeviceFault::Full)
            .unwrap_err()
            .contains("alter-psk")
    );
    let secret = a.get("preshared_key");
    assert!(!pair.state(0).contains(&secret));
}

#[test]
fn requests_arrive_in_pieces_of_any_size() {
    let (.., [mut a, _b]) = pair(0.0, 0);
    let mut replies = String::new();
    for piece in "set=1\nfwmark=7\n\nget=1\n\n".as_bytes().chunks(1) {
        replies += &a.ask(std::str::from_utf8(piece).unwrap());
    }
    assert!(replies.starts_with("errno=0\n\nprivate_key="), "{replies}");
    assert!(replies.contains("\nfwmark=7\n") && replies.ends_with("errno=0\n\n"));
}

#[tokio::test]
async fn both_ends_listen_on_private_sockets() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("wg0.sock");
    let options = Options::default().with("socket-1", path.display());
    let running = profiles::start("wireguard-pair", &options).await.unwrap();
    let ready = running.ready();
    assert_eq!(
        ready.uris[0],
        format!("wireguard+unix://{}", path.display())
    );
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let in_use = profiles::start("wireguard-pair", &options)
        .await
        .unwrap_err();
    assert_eq!(in_use.kind(), std::io::ErrorKind::AddrInUse);
    for endpoint in &ready.endpoints {
        let mut stream = tokio::net::UnixStream::connect(&endpoint.address)
            .await
            .unwrap();
        stream.write_all(b"get=1\n\n").await.unwrap();
        let mut reply = String::new();
        while !reply.ends_with("errno=0\n\n") {
            let mut buffer = [0; 4096];
            let n = stream.read(&mut buffer).await.unwrap();
            reply += std::str::from_utf8(&buffer[..n]).unwrap();
        }
        assert!(reply.contains("\nlast_handshake_time_sec="), "{reply}");
    }
    // Faults of the wire and of the device apply to them as to TCP.
    for (fault, ends) in [("drop@once", false), ("reset@once", true), ("reboot", true)] {
        let mut stream = tokio::net::UnixStream::connect(&path).await.unwrap();
        stream.write_all(b"get=1\n\n").await.unwrap();
        let mut buffer = [0; 4096];
        assert!(stream.read(&mut buffer).await.unwrap() > 0);
        running.fault(fault).unwrap();
        let _ = stream.write_all(b"set=1\n\n").await;
        if ends {
            assert_eq!(stream.read(&mut buffer).await.unwrap_or(0), 0, "{fault}");
        } else {
            stream.write_all(b"get=1\n\n").await.unwrap();
            let n = stream.read(&mut buffer).await.unwrap();
            assert!(
                buffer[..n].starts_with(b"private_key="),
                "the first reply is lost"
            );
        }
    }
    let second = ready.endpoints[1].address.clone();
    drop(running);
    // The tasks end at the next turn of the runtime.
    tokio::task::yield_now().await;
    assert!(!path.exists() && !std::path::Path::new(&second).exists());
    let wrong = Options::default().with("socket-1", folder.path().join("a?b").display());
    assert!(profiles::start("wireguard-pair", &wrong).await.is_err());
}

proptest! {
    #[test]
    fn any_input_is_survived(pieces in prop::collection::vec(
        prop_oneof![
            prop::collection::vec(any::<u8>(), 0..100),
            prop::sample::select(vec![
                "set=1\n", "get=1\n", "\n", "public_key=", "1111", "=", "remove=true\n",
                "allowed_ip=10.98.1.2/32\n", "persistent_keepalive_interval=1\n", "endpoint=",
                "192.0.2.2:51820\n", "replace_peers=true\n",
            ]).prop_map(|text| text.as_bytes().to_vec()),
        ],
        0..40,
    )) {
        let (pair, clock, _clients) = pair(100.0, 25);
        let mut session = pair.session(0);
        for piece in pieces {
            session.feed(&piece);
            clock.advance(Duration::from_millis(300));
        }
        let traffic = pair.traffic_from(0);
        prop_assert_eq!(traffic.encrypted, traffic.accepted + traffic.refused);
    }
}
