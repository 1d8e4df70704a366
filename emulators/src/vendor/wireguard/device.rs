//! Two WireGuard devices and the network between them.
//!
//! The timers are those of the protocol (WireGuard paper, section 6.1), as `wireguard-go` has them.
//! A message takes no time. Packets are offered evenly, so that a device with an offer sends at
//! any time.

use crate::model::encryptor::{FrameMeter, Traffic};
use curve25519_dalek::MontgomeryPoint;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha12Rng;
use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::Duration,
};
use zeroize::Zeroizing;

const REKEY_AFTER_TIME: Duration = Duration::from_secs(120);
const REJECT_AFTER_TIME: Duration = Duration::from_secs(180);
const REKEY_TIMEOUT: Duration = Duration::from_secs(5);
/// `KEEPALIVE_TIMEOUT` + `REKEY_TIMEOUT`: after so long without an answer to data, a handshake
/// begins.
const UNHEARD: Duration = Duration::from_secs(15);
/// `REKEY_ATTEMPT_TIME` / `REKEY_TIMEOUT`.
const MAX_ATTEMPTS: u32 = 18;
/// Octets of messages on the wire: initiation, response, keepalive, and a packet of 84 octets.
const INITIATION: u64 = 148;
const RESPONSE: u64 = 92;
const KEEPALIVE: u64 = 32;
const DATA: u64 = 128;
/// Most peers of a device. `wireguard-go` has 65,536.
const MAX_PEERS: usize = 256;
/// Most networks of a peer.
const MAX_NETWORKS: usize = 1024;
/// Most timers that expire at one look; only a clock that jumps by years has more.
const MAX_EVENTS: usize = 1_000_000;

/// Addresses of the hosts, and of the devices within the tunnel.
pub(super) const OUTER: [IpAddr; 2] = [
    IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)),
    IpAddr::V4(Ipv4Addr::new(192, 0, 2, 2)),
];
pub(super) const INNER: [IpAddr; 2] = [
    IpAddr::V4(Ipv4Addr::new(10, 98, 1, 1)),
    IpAddr::V4(Ipv4Addr::new(10, 98, 1, 2)),
];

/// A private or preshared key.
pub(super) type Secret = Zeroizing<[u8; 32]>;
pub(super) type PublicKey = [u8; 32];

/// A network: address with its host bits zero, and length of the prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Network {
    pub(super) address: IpAddr,
    pub(super) prefix: u8,
}

impl Network {
    /// Clears the host bits; `None` for an impossible prefix.
    pub(super) fn new(address: IpAddr, prefix: u8) -> Option<Self> {
        let address = match address {
            IpAddr::V4(v4) if prefix <= 32 => {
                let mask = u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0);
                IpAddr::V4((v4.to_bits() & mask).into())
            }
            IpAddr::V6(v6) if prefix <= 128 => {
                let mask = u128::MAX.checked_shl(128 - u32::from(prefix)).unwrap_or(0);
                IpAddr::V6((v6.to_bits() & mask).into())
            }
            _ => return None,
        };
        Some(Self { address, prefix })
    }
    fn has(self, address: IpAddr) -> bool {
        address.is_ipv4() == self.address.is_ipv4() && Self::new(address, self.prefix) == Some(self)
    }
}

/// Keys for data, as one end has them.
#[derive(Debug, Clone, Copy)]
struct SessionKeys {
    /// Names the same keys at the other end.
    pair: u64,
    is_initiator: bool,
    created: Duration,
}

impl SessionKeys {
    fn is_valid(self, now: Duration) -> bool {
        now < self.created + REJECT_AFTER_TIME
    }
}

/// A handshake that was not answered yet.
#[derive(Debug, Clone, Copy)]
struct Attempt {
    retries: u32,
    next: Duration,
}

/// A peer of a device.
pub(super) struct Peer {
    pub(super) public_key: PublicKey,
    pub(super) preshared_key: Secret,
    pub(super) endpoint: Option<SocketAddr>,
    /// Seconds; 0 is off.
    pub(super) keepalive: u16,
    pub(super) networks: Vec<Network>,
    pub(super) last_handshake: Option<Duration>,
    pub(super) tx: u64,
    pub(super) rx: u64,
    session: Option<SessionKeys>,
    attempt: Option<Attempt>,
    /// When a message of a handshake was last sent.
    last_sent: Option<Duration>,
    keepalive_at: Option<Duration>,
    unheard_at: Option<Duration>,
}

impl Peer {
    fn new(public_key: PublicKey) -> Self {
        Self {
            public_key,
            preshared_key: Zeroizing::default(),
            endpoint: None,
            keepalive: 0,
            networks: Vec::new(),
            last_handshake: None,
            tx: 0,
            rx: 0,
            session: None,
            attempt: None,
            last_sent: None,
            keepalive_at: None,
            unheard_at: None,
        }
    }
    fn valid_session(&self, now: Duration) -> Option<SessionKeys> {
        self.session.filter(|session| session.is_valid(now))
    }
    fn reaches(&self, address: IpAddr) -> bool {
        self.networks.iter().any(|network| network.has(address))
    }
    /// A message to or from the peer was on the wire.
    fn traverse(&mut self, now: Duration) {
        let interval = Duration::from_secs(self.keepalive.into());
        self.keepalive_at = (!interval.is_zero()).then(|| now + interval);
    }
    /// A message may be sent this long after the last one of a handshake.
    fn allowed_at(&self) -> Duration {
        self.last_sent
            .map_or(Duration::ZERO, |at| at + REKEY_TIMEOUT)
    }
}

/// A device.
#[derive(Default)]
pub(super) struct Device {
    pub(super) private_key: Option<Secret>,
    public_key: Option<PublicKey>,
    pub(super) listen_port: u16,
    pub(super) fwmark: u32,
    pub(super) peers: Vec<Peer>,
}

impl Device {
    pub(super) fn position(&self, key: &PublicKey) -> Option<usize> {
        self.peers.iter().position(|peer| peer.public_key == *key)
    }
    pub(super) fn is_own(&self, key: &PublicKey) -> bool {
        self.public_key.as_ref() == Some(key)
    }
    /// Finds or creates a peer: its place, and whether it is new. `None` if there are too many.
    pub(super) fn peer(&mut self, key: &PublicKey) -> Option<(usize, bool)> {
        if let Some(place) = self.position(key) {
            return Some((place, false));
        }
        if self.peers.len() >= MAX_PEERS {
            return None;
        }
        self.peers.push(Peer::new(*key));
        Some((self.peers.len() - 1, true))
    }
    /// Sets the private key; zero removes it. Sessions end with another key, and a peer with the
    /// public key of the device is removed.
    pub(super) fn set_private_key(&mut self, key: Secret) {
        if self.private_key.as_ref() == Some(&key) {
            return;
        }
        for peer in &mut self.peers {
            peer.session = None;
        }
        if *key == [0; 32] {
            (self.private_key, self.public_key) = (None, None);
            return;
        }
        let mut clamped = key;
        clamped[0] &= 248;
        clamped[31] = clamped[31] & 127 | 64;
        let public = MontgomeryPoint::mul_base_clamped(*clamped).to_bytes();
        self.peers.retain(|peer| peer.public_key != public);
        (self.private_key, self.public_key) = (Some(clamped), Some(public));
    }
    /// Adds a network to a peer; no other peer has it then. Returns whether there is room.
    pub(super) fn add_network(&mut self, place: usize, network: Network) -> bool {
        for peer in &mut self.peers {
            peer.networks.retain(|known| *known != network);
        }
        let Some(peer) = self.peers.get_mut(place) else {
            return true;
        };
        let has_room = peer.networks.len() < MAX_NETWORKS;
        if has_room {
            peer.networks.push(network);
        }
        has_room
    }
    /// The peer to which packets for an address go.
    fn route(&self, address: IpAddr) -> Option<usize> {
        let longest = |peer: &Peer| {
            let all = peer.networks.iter().filter(|network| network.has(address));
            all.map(|network| network.prefix).max()
        };
        let all = self.peers.iter().enumerate();
        all.filter_map(|(place, peer)| Some((longest(peer)?, place)))
            .max()
            .map(|(_, place)| place)
    }
}

/// Returns the public key of a private key.
pub(super) fn public_key(private: &Secret) -> PublicKey {
    MontgomeryPoint::mul_base_clamped(**private).to_bytes()
}

/// Both devices, and what is between them.
pub(super) struct State {
    pub(super) devices: [Device; 2],
    pub(super) is_cut: bool,
    pub(super) now: Duration,
    packets_per_second: f64,
    clear_route: bool,
    random: ChaCha12Rng,
    next_pair: u64,
    meters: [FrameMeter; 2],
    pub(super) traffic: [Traffic; 2],
    /// Configuration that the host of each end loads when it starts.
    startup: [Option<Startup>; 2],
}

/// Configuration of a device with one peer, as a file of `wg setconf` has it.
#[derive(Clone)]
pub(super) struct Startup {
    pub(super) private_key: Secret,
    pub(super) listen_port: u16,
    pub(super) peer: PublicKey,
    pub(super) preshared_key: Secret,
    pub(super) endpoint: SocketAddr,
    pub(super) network: Option<Network>,
    pub(super) keepalive: u16,
}

impl State {
    pub(super) fn new(
        packets_per_second: f64,
        clear_route: bool,
        now: Duration,
        seed: u64,
    ) -> Self {
        let mut state = Self {
            devices: Default::default(),
            is_cut: false,
            now,
            packets_per_second,
            clear_route,
            random: ChaCha12Rng::seed_from_u64(seed),
            next_pair: 1,
            meters: Default::default(),
            traffic: Default::default(),
            startup: [None, None],
        };
        state.restart(0);
        state.restart(1);
        state
    }

    /// The device starts without keys and peers; it listens on any port.
    pub(super) fn restart(&mut self, end: usize) {
        self.devices[end] = Device {
            listen_port: self.any_port(),
            ..Device::default()
        };
        self.load_startup(end);
    }

    /// Configures an end, and has it so configured after each start.
    pub(super) fn set_startup(&mut self, end: usize, startup: Startup) {
        self.startup[end] = Some(startup);
        self.load_startup(end);
    }

    fn load_startup(&mut self, end: usize) {
        let Some(startup) = self.startup[end].clone() else {
            return;
        };
        let device = &mut self.devices[end];
        device.set_private_key(startup.private_key);
        device.listen_port = startup.listen_port;
        let Some((place, _)) = device.peer(&startup.peer) else {
            return;
        };
        if let Some(network) = startup.network {
            device.add_network(place, network);
        }
        let peer = &mut device.peers[place];
        peer.preshared_key = startup.preshared_key;
        peer.endpoint = Some(startup.endpoint);
        peer.keepalive = startup.keepalive;
    }

    pub(super) fn any_port(&mut self) -> u16 {
        self.random.random_range(32_768..=60_999)
    }

    /// Advances to a time: packets, and timers that expire.
    pub(super) fn advance(&mut self, now: Duration) {
        for _ in 0..MAX_EVENTS {
            let Some((at, end, place)) = self.next().filter(|(at, ..)| *at <= now) else {
                break;
            };
            self.flow(at);
            self.expire(end, place);
        }
        self.flow(now);
    }

    /// Whether an end sends packets to a peer.
    fn has_data(&self, end: usize, place: usize) -> bool {
        self.packets_per_second > 0.0 && self.devices[end].route(INNER[1 - end]) == Some(place)
    }

    /// The time of the next event, and its peer.
    fn next(&self) -> Option<(Duration, usize, usize)> {
        let each = (0..2).flat_map(|end| (0..self.devices[end].peers.len()).map(move |p| (end, p)));
        each.filter_map(|(end, place)| {
            let at = self.next_of(end, place)?;
            Some((at.max(self.now), end, place))
        })
        .min()
    }

    fn next_of(&self, end: usize, place: usize) -> Option<Duration> {
        let peer = self.devices[end].peers.get(place)?;
        self.devices[end].private_key.as_ref()?;
        let mut all = vec![
            peer.keepalive_at,
            peer.attempt.map(|a| a.next),
            peer.unheard_at,
        ];
        if self.has_data(end, place) {
            let session = peer.valid_session(self.now);
            // The end of a session is when packets are no longer sent under it.
            all.push(session.map(|s| s.created + REJECT_AFTER_TIME));
            if peer.attempt.is_none() {
                let due = match session {
                    None => Some(self.now),
                    Some(s) if s.is_initiator => Some(s.created + REKEY_AFTER_TIME),
                    Some(_) => None,
                };
                all.push(due.map(|due| due.max(peer.allowed_at())));
            }
        }
        all.into_iter().flatten().min()
    }

    /// Handles the event that is due at a peer.
    fn expire(&mut self, end: usize, place: usize) {
        let now = self.now;
        let has_data = self.has_data(end, place);
        let Some(peer) = self.devices[end].peers.get_mut(place) else {
            return;
        };
        if peer.session.is_some_and(|s| !s.is_valid(now)) {
            peer.session = None;
        }
        if peer.keepalive_at.is_some_and(|at| at <= now) {
            peer.keepalive_at = None;
            return self.send_keepalive(end, place);
        }
        if peer.unheard_at.is_some_and(|at| at <= now) {
            peer.unheard_at = None;
            return self.initiate(end, place, false);
        }
        if let Some(attempt) = &mut peer.attempt {
            if attempt.next <= now {
                if attempt.retries > MAX_ATTEMPTS {
                    peer.attempt = None;
                } else {
                    attempt.retries += 1;
                    attempt.next = now + REKEY_TIMEOUT;
                    self.initiate(end, place, true);
                }
            }
        } else if has_data {
            let needs = match peer.session {
                None => true,
                Some(s) => s.is_initiator && now >= s.created + REKEY_AFTER_TIME,
            };
            if needs && now >= peer.allowed_at() {
                self.initiate(end, place, false);
            }
        }
    }

    /// Sends a keepalive, or begins a handshake without a session.
    pub(super) fn send_keepalive(&mut self, end: usize, place: usize) {
        let now = self.now;
        if self.devices[end].private_key.is_none() {
            return;
        }
        let Some(peer) = self.devices[end].peers.get_mut(place) else {
            return;
        };
        let Some(session) = peer.valid_session(now) else {
            peer.traverse(now);
            return self.initiate(end, place, false);
        };
        peer.traverse(now);
        if peer.endpoint.is_some() {
            peer.tx += KEEPALIVE;
        }
        if let Some(other) = self.receiver(end, place, session) {
            let other = &mut self.devices[1 - end].peers[other];
            other.rx += KEEPALIVE;
            other.unheard_at = None;
            other.traverse(now);
        }
        if session.is_initiator && now >= session.created + REKEY_AFTER_TIME {
            self.initiate(end, place, false);
        }
    }

    /// Whether a message of a peer's end arrives at the other device.
    fn arrives(&self, end: usize, place: usize) -> bool {
        let other = SocketAddr::new(OUTER[1 - end], self.devices[1 - end].listen_port);
        !self.is_cut && self.devices[end].peers[place].endpoint == Some(other)
    }

    /// The peer of the other device that decrypts a message under these keys.
    fn receiver(&self, end: usize, place: usize, keys: SessionKeys) -> Option<usize> {
        let other = &self.devices[1 - end];
        let of_keys = |peer: &Peer| {
            let session = peer.valid_session(self.now);
            session.is_some_and(|session| session.pair == keys.pair)
        };
        let arrives = self.arrives(end, place);
        other.peers.iter().position(of_keys).filter(|_| arrives)
    }

    /// Sends the first message of a handshake, at most each 5 s, and does what follows.
    fn initiate(&mut self, end: usize, place: usize, is_retry: bool) {
        let now = self.now;
        let device = &mut self.devices[end];
        let Some(own_key) = device.public_key else {
            return;
        };
        let Some(peer) = device.peers.get_mut(place) else {
            return;
        };
        if let Some(attempt) = peer.attempt.as_mut().filter(|_| !is_retry) {
            attempt.retries = 0;
        }
        if now < peer.allowed_at() {
            return;
        }
        if !is_retry {
            let next = now + REKEY_TIMEOUT;
            peer.attempt = Some(Attempt { retries: 0, next });
        }
        peer.last_sent = Some(now);
        peer.traverse(now);
        if peer.endpoint.is_some() {
            peer.tx += INITIATION;
        }
        let address = SocketAddr::new(OUTER[end], device.listen_port);
        let (their_key, preshared) = (peer.public_key, peer.preshared_key.clone());
        if !self.arrives(end, place) {
            return;
        }
        // The initiation is encrypted to the responder's key.
        let other = &mut self.devices[1 - end];
        let Some(peer) = other
            .position(&own_key)
            .filter(|_| other.is_own(&their_key))
        else {
            return;
        };
        let peer = &mut other.peers[peer];
        peer.rx += INITIATION;
        peer.tx += RESPONSE;
        peer.endpoint = Some(address);
        (peer.unheard_at, peer.last_sent) = (None, Some(now));
        peer.traverse(now);
        // The preshared key is in the response, which the initiator cannot read with another one.
        if peer.preshared_key != preshared {
            return;
        }
        let pair = self.next_pair;
        self.next_pair += 1;
        // The initiator confirms with a keepalive.
        peer.rx += KEEPALIVE;
        let initiator = &mut self.devices[end].peers[place];
        initiator.rx += RESPONSE;
        initiator.tx += KEEPALIVE;
        for (place, key) in [(end, their_key), (1 - end, own_key)] {
            let device = &mut self.devices[place];
            let Some(peer) = device.position(&key) else {
                continue;
            };
            let peer = &mut device.peers[peer];
            let is_initiator = place == end;
            peer.session = Some(SessionKeys {
                pair,
                is_initiator,
                created: now,
            });
            // A handshake takes time: no two of them end at one time.
            peer.last_handshake = Some(now + Duration::from_nanos(pair));
            (peer.attempt, peer.unheard_at) = (None, None);
            peer.traverse(now);
        }
    }

    fn flow(&mut self, until: Duration) {
        let from = self.now;
        let seconds = until.saturating_sub(from).as_secs_f64();
        for end in 0..2 {
            let packets = self.meters[end].frames(seconds, self.packets_per_second);
            if packets == 0 {
                continue;
            }
            let Some(place) = self.devices[end].route(INNER[1 - end]) else {
                let traffic = &mut self.traffic[end];
                if self.clear_route && !self.is_cut {
                    traffic.clear += packets;
                } else {
                    traffic.blocked += packets;
                }
                continue;
            };
            let peer = &mut self.devices[end].peers[place];
            let session = peer.valid_session(from).filter(|_| peer.endpoint.is_some());
            let Some(session) = session else {
                self.traffic[end].blocked += packets;
                continue;
            };
            peer.tx += packets * DATA;
            peer.traverse(until);
            self.traffic[end].encrypted += packets;
            let receiver = self
                .receiver(end, place, session)
                .filter(|other| self.devices[1 - end].peers[*other].reaches(INNER[end]));
            let sender = &mut self.devices[end].peers[place];
            match receiver {
                Some(other) => {
                    // What is received is answered, with data or a keepalive.
                    sender.unheard_at = None;
                    let other = &mut self.devices[1 - end].peers[other];
                    other.rx += packets * DATA;
                    other.traverse(until);
                    self.traffic[end].accepted += packets;
                }
                None => {
                    sender.unheard_at.get_or_insert(from + UNHEARD);
                    self.traffic[end].refused += packets;
                }
            }
        }
        self.now = self.now.max(until);
    }
}
