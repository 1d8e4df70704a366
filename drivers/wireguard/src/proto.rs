//! The cross-platform configuration protocol of WireGuard: lines `key=value` over a Unix socket.
//! [`kernel`] has the same for interfaces of the Linux kernel, over generic netlink.
//!
//! A request is `get=1` or `set=1`, the lines of a change, and an empty line. A reply ends with
//! `errno=` and an empty line (<https://www.wireguard.com/xplatform/>).

pub mod kernel;

use qkd_driver_kit::link::{bytes::Frame, netlink::NetlinkError};
use std::{fmt, ops::Range, time::Duration};
use zeroize::{Zeroize, Zeroizing};

/// Number of bytes of a public, private or preshared key.
pub const KEY_BYTES: usize = 32;
/// Bytes of the longest reply that is read: some 1,000 peers.
pub const REPLY_LIMIT: usize = 512 * 1024;
/// Peers of the largest device that is read.
const MAX_PEERS: usize = 4096;
/// Addresses of the peer with the most that is read.
const MAX_ALLOWED_IPS: usize = 1024;
/// Request for the configuration and the state of a device.
pub const GET: &[u8] = b"get=1\n\n";
/// Names of the values that are secret.
const SECRETS: [&[u8]; 2] = [b"private_key=", b"preshared_key="];

/// A session is used for at most this time (WireGuard, section 6.1: REJECT_AFTER_TIME).
pub const SESSION_LIFETIME: Duration = Duration::from_secs(180);
/// The initiator makes a new handshake when it sends after this time (REKEY_AFTER_TIME).
pub const HANDSHAKE_INTERVAL: Duration = Duration::from_secs(120);
/// A handshake without a response is repeated after this time (REKEY_TIMEOUT).
pub const HANDSHAKE_RETRY: Duration = Duration::from_secs(5);

/// A reply that is not one of this protocol.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProtoError {
    /// The reply is not UTF-8, has no `errno`, or a line without `=`.
    Form(&'static str),
    /// The value of a key cannot be read.
    Value(&'static str),
    /// There are more peers or addresses than are read.
    TooMany(&'static str),
    /// The device refused the request with this number.
    Errno(i64),
    /// The answer of the kernel cannot be used.
    Kernel(NetlinkError),
}

impl fmt::Display for ProtoError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Form(what) => write!(f, "the reply {what}"),
            Self::Value(key) => write!(f, "the value of `{key}` cannot be read"),
            Self::TooMany(what) => write!(f, "the reply has too many {what}"),
            Self::Errno(number) => write!(f, "the device refused the request with errno {number}"),
            Self::Kernel(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for ProtoError {}

impl From<NetlinkError> for ProtoError {
    fn from(error: NetlinkError) -> Self {
        Self::Kernel(error)
    }
}

/// Time of a handshake since 1970, as the device reports it. Zero: there was none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct HandshakeTime(pub Duration);

impl HandshakeTime {
    /// Whether there was a handshake.
    #[must_use]
    pub fn is_some(self) -> bool {
        !self.0.is_zero()
    }
}

impl fmt::Display for HandshakeTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:09}", self.0.as_secs(), self.0.subsec_nanos())
    }
}

impl std::str::FromStr for HandshakeTime {
    type Err = ProtoError;
    fn from_str(text: &str) -> Result<Self, ProtoError> {
        let wrong = ProtoError::Value("handshake");
        let (seconds, nanoseconds) = text.split_once('.').ok_or_else(|| wrong.clone())?;
        let nanoseconds = nanoseconds.parse().ok().filter(|n| *n < 1_000_000_000);
        match (seconds.parse(), nanoseconds) {
            (Ok(seconds), Some(nanoseconds)) => Ok(Self(Duration::new(seconds, nanoseconds))),
            _ => Err(wrong),
        }
    }
}

/// A preshared key of [`KEY_BYTES`] bytes, wiped when it is dropped. It is on the heap, because a
/// value that moves leaves a copy where it was.
#[derive(Clone, PartialEq, Eq)]
pub struct PresharedKey(Zeroizing<Vec<u8>>);

impl Default for PresharedKey {
    /// 32 zero bytes: no key.
    fn default() -> Self {
        Self(Zeroizing::new(vec![0; KEY_BYTES]))
    }
}

impl PresharedKey {
    /// Copies a key of the right size.
    #[must_use]
    pub fn copy_of(key: &[u8]) -> Option<Self> {
        (key.len() == KEY_BYTES).then(|| Self(Zeroizing::new(key.to_vec())))
    }
    /// The bytes of the key. Copy them only into something that wipes them.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
    /// The bytes of the key, to be written.
    pub fn expose_mut(&mut self) -> &mut [u8] {
        &mut self.0
    }
}

/// A peer of a device. Its preshared key does not print.
#[derive(Clone, PartialEq, Eq)]
pub struct Peer {
    /// Public key, which names the peer.
    pub public_key: [u8; KEY_BYTES],
    /// Preshared key; 32 zero bytes without one.
    pub preshared_key: PresharedKey,
    /// Address and port of the peer, as the device writes them; `None` before it is known.
    pub endpoint: Option<String>,
    /// Interval of keepalive messages in seconds; 0 without them.
    pub keepalive: u16,
    /// Address ranges of the peer.
    pub allowed_ips: Vec<String>,
    /// Time of the last handshake.
    pub last_handshake: HandshakeTime,
    /// Bytes received from the peer.
    pub received: u64,
    /// Bytes sent to the peer.
    pub sent: u64,
}

impl Peer {
    fn new(public_key: [u8; KEY_BYTES]) -> Self {
        Self {
            public_key,
            preshared_key: PresharedKey::default(),
            endpoint: None,
            keepalive: 0,
            allowed_ips: Vec::new(),
            last_handshake: HandshakeTime::default(),
            received: 0,
            sent: 0,
        }
    }
}

impl fmt::Debug for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Peer")
            .field("public_key", &hex::encode(self.public_key))
            .field("endpoint", &self.endpoint)
            .field("keepalive", &self.keepalive)
            .field("last_handshake", &self.last_handshake)
            .finish_non_exhaustive()
    }
}

/// A change of the preshared key of a peer.
pub enum Change<'a> {
    /// Sets it, if there is such a peer. It is used at the next handshake.
    PresharedKey {
        /// Public key of the peer.
        peer: &'a [u8; KEY_BYTES],
        /// Its new preshared key.
        key: &'a PresharedKey,
    },
    /// Removes the peer and adds it again, which ends its session.
    Replace {
        /// The peer, whose configuration is kept.
        peer: &'a Peer,
        /// Its new preshared key.
        key: &'a PresharedKey,
    },
}

/// Finds the end of a reply: an empty line.
pub fn frame(seen: &[u8]) -> Frame {
    match seen.windows(2).position(|two| two == b"\n\n") {
        Some(at) => Frame::Complete(at + 2),
        None if seen.len() > REPLY_LIMIT => {
            Frame::Garbled(format!("no empty line within {REPLY_LIMIT} bytes"))
        }
        None => Frame::Incomplete,
    }
}

/// Positions of the secret values of a request or reply.
#[must_use]
pub fn secrets(message: &[u8]) -> Vec<Range<usize>> {
    let mut spans = Vec::new();
    let mut start = 0;
    for line in message.split_inclusive(|b| *b == b'\n') {
        if let Some(name) = SECRETS.iter().find(|name| line.starts_with(name)) {
            let text = line.strip_suffix(b"\n").unwrap_or(line);
            spans.push(start + name.len()..start + text.len());
        }
        start += line.len();
    }
    spans
}

/// Lines of a reply as names and values, without `errno`.
///
/// # Errors
/// [`ProtoError`]; `Errno` if the device refused the request.
fn lines(reply: &[u8]) -> Result<Vec<(&str, &str)>, ProtoError> {
    let text = std::str::from_utf8(reply).map_err(|_| ProtoError::Form("is not UTF-8"))?;
    let mut pairs = Vec::new();
    for line in text.lines().take_while(|line| !line.is_empty()) {
        let pair = line
            .split_once('=')
            .ok_or(ProtoError::Form("has a line without `=`"))?;
        pairs.push(pair);
    }
    match pairs.pop() {
        Some(("errno", "0")) => Ok(pairs),
        Some(("errno", number)) => Err(number
            .parse()
            .map_or(ProtoError::Value("errno"), ProtoError::Errno)),
        _ => Err(ProtoError::Form("does not end with `errno`")),
    }
}

fn key(name: &'static str, digits: &str) -> Result<PresharedKey, ProtoError> {
    let mut bytes = PresharedKey::default();
    hex::decode_to_slice(digits, bytes.expose_mut()).map_err(|_| ProtoError::Value(name))?;
    Ok(bytes)
}

fn number<T: std::str::FromStr>(name: &'static str, text: &str) -> Result<T, ProtoError> {
    text.parse().map_err(|_| ProtoError::Value(name))
}

/// Reads the peers of the reply to [`GET`]. Values that are not named here are skipped: newer
/// devices may have more.
///
/// # Errors
/// [`ProtoError`].
pub fn decode_get(reply: &[u8]) -> Result<Vec<Peer>, ProtoError> {
    let mut peers: Vec<Peer> = Vec::new();
    for (name, value) in lines(reply)? {
        if name == "public_key" {
            if peers.len() == MAX_PEERS {
                return Err(ProtoError::TooMany("peers"));
            }
            let mut public_key = [0; KEY_BYTES];
            hex::decode_to_slice(value, &mut public_key)
                .map_err(|_| ProtoError::Value("public_key"))?;
            peers.push(Peer::new(public_key));
            continue;
        }
        // Values before the first peer are those of the device.
        let Some(peer) = peers.last_mut() else {
            continue;
        };
        match name {
            "preshared_key" => peer.preshared_key = key("preshared_key", value)?,
            "endpoint" => peer.endpoint = Some(value.to_owned()),
            "persistent_keepalive_interval" => {
                peer.keepalive = number("persistent_keepalive_interval", value)?;
            }
            "allowed_ip" if peer.allowed_ips.len() == MAX_ALLOWED_IPS => {
                return Err(ProtoError::TooMany("addresses"));
            }
            "allowed_ip" => peer.allowed_ips.push(value.to_owned()),
            "last_handshake_time_sec" => {
                let nanoseconds = peer.last_handshake.0.subsec_nanos();
                let seconds = number("last_handshake_time_sec", value)?;
                peer.last_handshake = HandshakeTime(Duration::new(seconds, nanoseconds));
            }
            "last_handshake_time_nsec" => {
                let nanoseconds: u32 = number("last_handshake_time_nsec", value)?;
                if nanoseconds >= 1_000_000_000 {
                    return Err(ProtoError::Value("last_handshake_time_nsec"));
                }
                let seconds = peer.last_handshake.0.as_secs();
                peer.last_handshake = HandshakeTime(Duration::new(seconds, nanoseconds));
            }
            "rx_bytes" => peer.received = number("rx_bytes", value)?,
            "tx_bytes" => peer.sent = number("tx_bytes", value)?,
            _ => {}
        }
    }
    Ok(peers)
}

/// Reads the reply to a change.
///
/// # Errors
/// [`ProtoError`].
pub fn decode_set(reply: &[u8]) -> Result<(), ProtoError> {
    lines(reply).map(drop)
}

/// Text that is wiped when it is dropped, in one allocation.
struct SecretText(Zeroizing<Vec<u8>>);

impl SecretText {
    fn with_capacity(bytes: usize) -> Self {
        Self(Zeroizing::new(Vec::with_capacity(bytes)))
    }
    fn line(&mut self, name: &str, value: &str) {
        for part in [name.as_bytes(), b"=", value.as_bytes(), b"\n"] {
            self.0.extend_from_slice(part);
        }
    }
    fn key(&mut self, name: &str, key: &[u8]) {
        let mut digits = [0; 2 * KEY_BYTES];
        // Two digits for each byte: the sizes fit.
        if hex::encode_to_slice(key, &mut digits).is_ok() {
            self.0.extend_from_slice(name.as_bytes());
            self.0.push(b'=');
            self.0.extend_from_slice(&digits);
            self.0.push(b'\n');
        }
        digits.zeroize();
    }
    fn end(mut self) -> Zeroizing<Vec<u8>> {
        self.0.push(b'\n');
        self.0
    }
}

/// Encodes a change.
#[must_use]
pub fn encode_set(change: &Change<'_>) -> Zeroizing<Vec<u8>> {
    match change {
        Change::PresharedKey { peer, key } => encode_preshared_key(peer, key),
        Change::Replace { peer, key } => encode_replace(peer, key),
    }
}

fn encode_preshared_key(
    peer: &[u8; KEY_BYTES],
    preshared_key: &PresharedKey,
) -> Zeroizing<Vec<u8>> {
    let mut text = SecretText::with_capacity(256);
    text.line("set", "1");
    text.key("public_key", peer);
    text.line("update_only", "true");
    text.key("preshared_key", preshared_key.expose());
    text.end()
}

fn encode_replace(peer: &Peer, preshared_key: &PresharedKey) -> Zeroizing<Vec<u8>> {
    let addresses: usize = peer.allowed_ips.iter().map(|ip| ip.len() + 16).sum();
    let endpoint = peer.endpoint.as_ref().map_or(0, String::len);
    let mut text = SecretText::with_capacity(512 + endpoint + addresses);
    text.line("set", "1");
    text.key("public_key", &peer.public_key);
    text.line("remove", "true");
    text.key("public_key", &peer.public_key);
    text.key("preshared_key", preshared_key.expose());
    if let Some(endpoint) = &peer.endpoint {
        text.line("endpoint", endpoint);
    }
    text.line("replace_allowed_ips", "true");
    for ip in &peer.allowed_ips {
        text.line("allowed_ip", ip);
    }
    // Last: a device sends a keepalive message when it is set, and needs the rest for it.
    text.line("persistent_keepalive_interval", &peer.keepalive.to_string());
    text.end()
}

/// Feeds every decoder with bytes from outside, for fuzzing.
pub fn fuzz(input: &[u8]) {
    let _ = frame(input);
    let _ = secrets(input);
    let _ = decode_set(input);
    if let Ok(peers) = decode_get(input) {
        for peer in peers {
            let _ = encode_replace(&peer, &peer.preshared_key);
        }
    }
    if let Ok(text) = std::str::from_utf8(input) {
        let _ = text.parse::<HandshakeTime>();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REPLY: &str = "private_key=e84b5a6d2717c1003a13b431570353dbaca9146cf150c5f8575680feba52027a\n\
        listen_port=12912\n\
        public_key=b85996fecc9c7f1fc6d2572a76eda11d59bcd20be8e543b15ce4bd85a8e75a33\n\
        preshared_key=188515093e952f5f22e865cef3012e72f8b5f0b598ac0309d5dacce3b70fcf52\n\
        allowed_ip=192.168.4.4/32\n\
        endpoint=[abcd:23::33%2]:51820\n\
        public_key=58402e695ba1772b1cc9309755f043251ea77fdcf10fbe63989ceb7e19321376\n\
        tx_bytes=38333\n\
        rx_bytes=2224\n\
        allowed_ip=192.168.4.6/32\n\
        persistent_keepalive_interval=111\n\
        last_handshake_time_sec=1700000000\n\
        last_handshake_time_nsec=5\n\
        protocol_version=1\n\
        errno=0\n\n";

    #[test]
    fn the_example_of_the_protocol_is_read() {
        let peers = decode_get(REPLY.as_bytes()).unwrap();
        assert_eq!(peers.len(), 2);
        assert_eq!(peers[0].preshared_key.expose()[..2], [0x18, 0x85]);
        assert_eq!(peers[0].endpoint.as_deref(), Some("[abcd:23::33%2]:51820"));
        assert!(!peers[0].last_handshake.is_some());
        let second = &peers[1];
        assert_eq!(
            (second.sent, second.received, second.keepalive),
            (38333, 2224, 111)
        );
        assert_eq!(second.allowed_ips, ["192.168.4.6/32"]);
        assert_eq!(second.last_handshake.to_string(), "1700000000.000000005");
        assert_eq!("1700000000.000000005".parse(), Ok(second.last_handshake));
        assert_eq!(second.preshared_key.expose(), [0; 32]);
        assert!(!format!("{peers:?}").contains("1885"), "{peers:?}");
    }

    #[test]
    fn secret_values_are_found_in_requests_and_replies() {
        let hidden: Vec<&str> = secrets(REPLY.as_bytes())
            .into_iter()
            .map(|span| &REPLY[span])
            .collect();
        assert_eq!(
            hidden,
            [
                "e84b5a6d2717c1003a13b431570353dbaca9146cf150c5f8575680feba52027a",
                "188515093e952f5f22e865cef3012e72f8b5f0b598ac0309d5dacce3b70fcf52"
            ]
        );
        let peers = decode_get(REPLY.as_bytes()).unwrap();
        let request = encode_replace(&peers[0], &PresharedKey::copy_of(&[0xab; 32]).unwrap());
        let spans = secrets(&request);
        assert_eq!(spans.len(), 1);
        assert_eq!(request[spans[0].clone()], *"ab".repeat(32).as_bytes());
        // A message that ends in the middle of a secret hides what there is.
        assert_eq!(secrets(b"preshared_key=ab").first(), Some(&(14..16)));
    }

    #[test]
    fn a_replaced_peer_keeps_its_configuration() {
        let peers = decode_get(REPLY.as_bytes()).unwrap();
        let request = encode_replace(&peers[1], &PresharedKey::copy_of(&[0xcd; 32]).unwrap());
        let public = "58402e695ba1772b1cc9309755f043251ea77fdcf10fbe63989ceb7e19321376";
        let expected = format!(
            "set=1\npublic_key={public}\nremove=true\npublic_key={public}\npreshared_key={}\n\
             replace_allowed_ips=true\nallowed_ip=192.168.4.6/32\n\
             persistent_keepalive_interval=111\n\n",
            "cd".repeat(32)
        );
        assert_eq!(std::str::from_utf8(&request).unwrap(), expected);
        let request = encode_preshared_key(
            &peers[1].public_key,
            &PresharedKey::copy_of(&[0xcd; 32]).unwrap(),
        );
        let expected = format!(
            "set=1\npublic_key={public}\nupdate_only=true\npreshared_key={}\n\n",
            "cd".repeat(32)
        );
        assert_eq!(std::str::from_utf8(&request).unwrap(), expected);
    }

    #[test]
    fn replies_of_another_form_are_refused() {
        for (reply, error) in [
            ("", ProtoError::Form("does not end with `errno`")),
            ("errno=-22\n\n", ProtoError::Errno(-22)),
            ("errno=no\n\n", ProtoError::Value("errno")),
            (
                "word\nerrno=0\n\n",
                ProtoError::Form("has a line without `=`"),
            ),
            (
                "public_key=12\nerrno=0\n\n",
                ProtoError::Value("public_key"),
            ),
        ] {
            assert_eq!(decode_get(reply.as_bytes()), Err(error), "{reply}");
        }
        assert_eq!(frame(b"errno=0\n"), Frame::Incomplete);
        assert_eq!(frame(b"errno=0\n\nx"), Frame::Complete(9));
        assert!(matches!(
            frame(&vec![b'a'; REPLY_LIMIT + 1]),
            Frame::Garbled(_)
        ));
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_make_a_decoder_panic(input: Vec<u8>) {
            fuzz(&input);
        }
    }
}
