//! WireGuard: a pair of userspace devices, controlled over UAPI sockets.
//!
//! Sources: the cross-platform userspace interface (<https://www.wireguard.com/xplatform/>), the
//! WireGuard paper for the timers, and `device/uapi.go` and `device/timers.go` of `wireguard-go`.
//! Replies and errors are those of a recording of `wireguard-go` 0.0.20220316 (Debian
//! 0.0.20220316-1+b4), as are the octets that handshakes and keepalives count.
//!
//! Confirmed by the recording:
//! - The lines of a `set` apply one by one: what precedes a refused line stays. What follows it in
//!   the same write is lost, as is a further operation in the same write as a `set`.
//! - An operation that is neither `get=1` nor `set=1` ends the connection without a reply.
//! - A refused line is `errno=-22` (EINVAL), one without `=` `errno=-71` (EPROTO), one of more than
//!   64 KiB `errno=-5` (EIO).
//! - A preshared key is used at the next handshake: 120 s after the last one, by the device that
//!   began it, when it sends. With other preshared keys at the ends the responder counts each
//!   initiation and answers it, and the initiator counts no response; the session ends after 180 s.
//! - Removing a peer ends its session and its counters; adding it with a keepalive, also in the
//!   same operation, begins a handshake at once.
//! - Keepalives that are not heard begin no handshake; data does so after 15 s.
//!
//! Inferred from the source: a handshake is given up after 18 retries, and begun again by the next
//! packet or keepalive; a device with a session of which it is the responder begins none.
//!
//! Different from the real device: timers have no jitter; peers are listed in the order in which
//! they were added; at most 256 peers, with at most 1024 networks each; a port in use is not
//! detected; `fwmark` has no effect; cookies are not modelled.

mod device;
pub(super) mod profile;
#[cfg(test)]
mod tests;

use crate::{
    clock::Clock,
    fault::{ApplyDeviceFault, DeviceFault},
    model::{change_faults::ChangeFaults, encryptor::Traffic, fingerprint},
    wire::{Reply, Session, extend_wiped},
};
use device::{Network, PublicKey, Secret, State};
use std::{
    fmt::Write as _,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use zeroize::Zeroizing;

/// Error numbers of Linux.
mod errno {
    pub(super) const EIO: i32 = -5;
    pub(super) const EINVAL: i32 = -22;
    pub(super) const EPROTO: i32 = -71;
}
/// Longest line, without its end.
const MAX_LINE: usize = 64 * 1024 - 1;

/// Two devices with a network between them.
pub struct WireGuardPair {
    clock: Clock,
    /// Time since 1970 at the start of the clock.
    epoch: Duration,
    faults: [ChangeFaults; 2],
    state: Mutex<State>,
}

impl WireGuardPair {
    /// Creates devices without keys and peers, which are offered this number of packets per second.
    /// `clear_route`: packets without a peer pass in clear. `epoch`: time since 1970 when the clock
    /// was zero.
    #[must_use]
    pub fn new(
        clock: Clock,
        epoch: Duration,
        packets_per_second: f64,
        clear_route: bool,
        seed: u64,
    ) -> Arc<Self> {
        let state = State::new(packets_per_second, clear_route, clock.now(), seed);
        Arc::new(Self {
            clock,
            epoch,
            faults: Default::default(),
            state: Mutex::new(state),
        })
    }

    fn with<T>(&self, run: impl FnOnce(&mut State) -> T) -> T {
        let now = self.clock.now();
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.advance(now);
        let result = run(&mut state);
        // What the change begins at once.
        state.advance(now);
        result
    }

    /// Creates the session of a new connection to the device of end 0 or 1.
    #[must_use]
    pub fn session(self: &Arc<Self>, end: usize) -> Box<dyn Session> {
        Box::new(Uapi {
            pair: Arc::clone(self),
            end: end & 1,
            line: Zeroizing::default(),
            is_long: false,
            operation: Operation::None,
        })
    }

    /// Packets that an end was offered, since the start.
    #[must_use]
    pub fn traffic_from(&self, end: usize) -> Traffic {
        self.with(|s| s.traffic[end & 1])
    }

    /// Cuts the network between the devices, or mends it.
    pub fn set_cut(&self, is_cut: bool) {
        self.with(|s| s.is_cut = is_cut);
    }

    /// Returns the state of an end that commands can change, as text; a secret is shown as a
    /// fingerprint.
    #[must_use]
    pub fn state(&self, end: usize) -> String {
        self.with(|s| {
            let device = &s.devices[end & 1];
            let shown = |key: &Secret| fingerprint(&**key);
            let private = device.private_key.as_ref().map(shown);
            let mut text = format!(
                "private key: {private:?}, port: {}, mark: {}",
                device.listen_port, device.fwmark
            );
            for peer in &device.peers {
                let _ = write!(
                    text,
                    "\npeer {}: preshared key {}, endpoint {:?}, keepalive {}, networks {:?}",
                    hex::encode(peer.public_key),
                    shown(&peer.preshared_key),
                    peer.endpoint,
                    peer.keepalive,
                    peer.networks
                );
            }
            text
        })
    }
}

/// One end of a pair, for faults.
pub struct WireGuardEnd {
    pair: Arc<WireGuardPair>,
    end: usize,
}

impl WireGuardEnd {
    /// End 0 or 1.
    #[must_use]
    pub fn new(pair: Arc<WireGuardPair>, end: usize) -> Self {
        Self { pair, end: end & 1 }
    }
}

impl ApplyDeviceFault for WireGuardEnd {
    fn apply(&self, fault: &DeviceFault) -> Result<(), String> {
        let Self { pair, end } = self;
        match fault {
            DeviceFault::Reboot => pair.with(|s| s.restart(*end)),
            DeviceFault::Refuse(n) => pair.faults[*end].refuse(*n),
            DeviceFault::Ignore(n) => pair.faults[*end].ignore(*n),
            DeviceFault::Cut(None) => pair.set_cut(true),
            DeviceFault::Operator(action) if action == "remove-peers" => {
                pair.with(|s| s.devices[*end].peers.clear());
            }
            DeviceFault::Operator(action) if action == "alter-psk" => pair.with(|s| {
                for peer in &mut s.devices[*end].peers {
                    peer.preshared_key[0] ^= 1;
                }
            }),
            DeviceFault::Clear => {
                pair.faults[*end].clear();
                pair.set_cut(false);
            }
            other => {
                return Err(format!(
                    "WireGuard has no fault {other:?}; it has reboot, refuse, ignore, cut, \
                     operator=remove-peers, operator=alter-psk, clear"
                ));
            }
        }
        Ok(())
    }
}

/// The peer that a `set` changes.
#[derive(Clone, Copy)]
struct Selected {
    /// `None`: the lines have no effect.
    key: Option<PublicKey>,
    is_new: bool,
    /// Whether a keepalive was switched on.
    sends_keepalive: bool,
}

/// Operation whose lines a connection receives.
enum Operation {
    None,
    /// `get=1`; its end is next.
    Get,
    /// `set=1`, and the peer that was selected.
    Set(Option<Selected>),
    /// A `set` that has its error, or is ignored: the reply that is due at its end.
    Skip(Option<i32>),
}

/// One connection to a device.
struct Uapi {
    pair: Arc<WireGuardPair>,
    end: usize,
    /// Part of a line that has come. It may hold a key.
    line: Zeroizing<Vec<u8>>,
    /// Whether the line is too long.
    is_long: bool,
    operation: Operation,
}

impl Session for Uapi {
    fn feed(&mut self, bytes: &[u8]) -> Vec<Reply> {
        let mut replies = Vec::new();
        for byte in bytes {
            match self.push(*byte) {
                Step::More => {}
                Step::Reply(reply) => replies.push(reply),
                // What came in the same write is lost.
                Step::EndOfSet(reply) => {
                    replies.extend(reply);
                    break;
                }
                Step::HangUp => {
                    replies.push(Reply::hang_up());
                    break;
                }
            }
        }
        replies
    }
}

enum Step {
    More,
    Reply(Reply),
    EndOfSet(Option<Reply>),
    HangUp,
}

/// The end of a reply.
fn status(errno: i32) -> Reply {
    Reply::bytes(format!("errno={errno}\n\n"))
}

impl Uapi {
    fn push(&mut self, byte: u8) -> Step {
        if matches!(self.operation, Operation::Get) {
            self.operation = Operation::None;
            if byte == b'\n' {
                return Step::Reply(Reply::bytes(self.get()));
            }
            return Step::Reply(status(errno::EINVAL));
        }
        if byte != b'\n' {
            if self.line.len() >= MAX_LINE {
                self.is_long = true;
                if matches!(self.operation, Operation::None) {
                    return Step::HangUp;
                }
            } else {
                extend_wiped(&mut self.line, &[byte]);
            }
            return Step::More;
        }
        let line = std::mem::take(&mut self.line);
        let is_long = std::mem::take(&mut self.is_long);
        match &self.operation {
            Operation::None | Operation::Get => self.begin(&line),
            Operation::Skip(due) if line.is_empty() && !is_long => {
                let due = *due;
                self.operation = Operation::None;
                Step::EndOfSet(due.map(status))
            }
            Operation::Skip(_) => Step::More,
            Operation::Set(_) if is_long => self.refuse(errno::EIO),
            Operation::Set(selected) => {
                let mut selected = *selected;
                if line.is_empty() {
                    self.operation = Operation::None;
                    self.complete(selected);
                    return Step::EndOfSet(Some(status(0)));
                }
                match self.apply(&line, &mut selected) {
                    Ok(()) => {
                        self.operation = Operation::Set(selected);
                        Step::More
                    }
                    Err(errno) => self.refuse(errno),
                }
            }
        }
    }

    /// The first line of an operation.
    fn begin(&mut self, line: &[u8]) -> Step {
        match line {
            b"get=1" => self.operation = Operation::Get,
            b"set=1" => {
                self.operation = match self.pair.faults[self.end].should_apply() {
                    Ok(true) => Operation::Set(None),
                    Ok(false) => Operation::Skip(Some(0)),
                    Err(_) => Operation::Skip(Some(errno::EIO)),
                }
            }
            _ => return Step::HangUp,
        }
        Step::More
    }

    /// Replies with an error; the rest of the operation is skipped.
    fn refuse(&mut self, errno: i32) -> Step {
        self.operation = Operation::Skip(None);
        Step::Reply(status(errno))
    }

    fn get(&self) -> Vec<u8> {
        self.pair.with(|s| {
            let device = &s.devices[self.end];
            let networks: usize = device.peers.iter().map(|peer| peer.networks.len()).sum();
            // Large enough, so that it never grows and leaves a copy.
            let mut text = String::with_capacity(512 + 512 * device.peers.len() + 64 * networks);
            if let Some(key) = &device.private_key {
                put_key(&mut text, "private_key", key);
            }
            let mut put = |name: &str, value: &dyn std::fmt::Display| {
                let _ = writeln!(text, "{name}={value}");
            };
            if device.listen_port != 0 {
                put("listen_port", &device.listen_port);
            }
            if device.fwmark != 0 {
                put("fwmark", &device.fwmark);
            }
            for peer in &device.peers {
                put_key(&mut text, "public_key", &peer.public_key);
                put_key(&mut text, "preshared_key", &peer.preshared_key);
                let mut put = |name: &str, value: &dyn std::fmt::Display| {
                    let _ = writeln!(text, "{name}={value}");
                };
                put("protocol_version", &1);
                if let Some(endpoint) = peer.endpoint {
                    put("endpoint", &endpoint);
                }
                let last = peer.last_handshake.map(|at| self.pair.epoch + at);
                let last = last.unwrap_or_default();
                put("last_handshake_time_sec", &last.as_secs());
                put("last_handshake_time_nsec", &last.subsec_nanos());
                put("tx_bytes", &peer.tx);
                put("rx_bytes", &peer.rx);
                put("persistent_keepalive_interval", &peer.keepalive);
                for Network { address, prefix } in &peer.networks {
                    let _ = writeln!(text, "allowed_ip={address}/{prefix}");
                }
            }
            text.push_str("errno=0\n\n");
            text.into_bytes()
        })
    }

    /// The end of a peer's lines: its keepalive begins.
    fn complete(&self, selected: Option<Selected>) {
        let Some(Selected {
            key: Some(key),
            sends_keepalive: true,
            ..
        }) = selected
        else {
            return;
        };
        self.pair.with(|s| {
            if let Some(place) = s.devices[self.end].position(&key) {
                s.send_keepalive(self.end, place);
            }
        });
    }

    /// Applies one line of a `set`.
    fn apply(&self, line: &[u8], selected: &mut Option<Selected>) -> Result<(), i32> {
        let at = line.iter().position(|b| *b == b'=').ok_or(errno::EPROTO)?;
        let (name, value) = (&line[..at], &line[at + 1..]);
        let name = std::str::from_utf8(name).map_err(|_| errno::EINVAL)?;
        let value = std::str::from_utf8(value).map_err(|_| errno::EINVAL)?;
        if name == "public_key" {
            self.complete(selected.take());
            let key = *key(value)?;
            *selected = Some(self.pair.with(|s| {
                let device = &mut s.devices[self.end];
                // The device itself as a peer is ignored.
                let found = if device.is_own(&key) {
                    None
                } else {
                    Some(device.peer(&key))
                };
                let found = match found {
                    None => None,
                    Some(found) => Some(found.ok_or(errno::EINVAL)?),
                };
                Ok::<_, i32>(Selected {
                    key: found.map(|_| key),
                    is_new: found.is_some_and(|(_, is_new)| is_new),
                    sends_keepalive: false,
                })
            })?);
            return Ok(());
        }
        match selected {
            None => self.apply_to_device(name, value),
            Some(peer) => self.apply_to_peer(name, value, peer),
        }
    }

    fn apply_to_device(&self, name: &str, value: &str) -> Result<(), i32> {
        let end = self.end;
        match name {
            "private_key" => {
                let key = key(value)?;
                self.pair.with(|s| s.devices[end].set_private_key(key));
            }
            "listen_port" => {
                let port: u16 = number(value)?;
                self.pair.with(|s| {
                    let any = s.any_port();
                    s.devices[end].listen_port = if port == 0 { any } else { port };
                });
            }
            "fwmark" => {
                let mark = number(value)?;
                self.pair.with(|s| s.devices[end].fwmark = mark);
            }
            "replace_peers" => {
                is_true(value)?;
                self.pair.with(|s| s.devices[end].peers.clear());
            }
            _ => return Err(errno::EINVAL),
        }
        Ok(())
    }

    fn apply_to_peer(&self, name: &str, value: &str, peer: &mut Selected) -> Result<(), i32> {
        let end = self.end;
        let change = |key: Option<PublicKey>, edit: &mut dyn FnMut(&mut device::Peer)| {
            self.pair.with(|s| {
                let place = key.and_then(|key| s.devices[end].position(&key));
                if let Some(place) = place {
                    edit(&mut s.devices[end].peers[place]);
                }
            });
        };
        let remove = |key: Option<PublicKey>| {
            self.pair.with(|s| {
                s.devices[end]
                    .peers
                    .retain(|known| Some(known.public_key) != key);
            });
        };
        match name {
            "update_only" => {
                is_true(value)?;
                if peer.is_new {
                    remove(peer.key.take());
                }
            }
            "remove" => {
                is_true(value)?;
                remove(peer.key.take());
            }
            "preshared_key" => {
                let new = key(value)?;
                change(peer.key, &mut |peer| peer.preshared_key = new.clone());
            }
            "endpoint" => {
                let new: SocketAddr = value.parse().map_err(|_| errno::EINVAL)?;
                change(peer.key, &mut |peer| peer.endpoint = Some(new));
            }
            "persistent_keepalive_interval" => {
                let new: u16 = number(value)?;
                let mut old = 0;
                change(peer.key, &mut |peer| {
                    old = std::mem::replace(&mut peer.keepalive, new);
                });
                peer.sends_keepalive = old == 0 && new != 0;
            }
            "replace_allowed_ips" => {
                is_true(value)?;
                change(peer.key, &mut |peer| peer.networks.clear());
            }
            "allowed_ip" => {
                let (address, prefix) = value.split_once('/').ok_or(errno::EINVAL)?;
                let address = address.parse().map_err(|_| errno::EINVAL)?;
                let network = Network::new(address, number(prefix)?).ok_or(errno::EINVAL)?;
                let added = self.pair.with(|s| {
                    let device = &mut s.devices[end];
                    let place = peer.key.and_then(|key| device.position(&key));
                    place.is_none_or(|place| device.add_network(place, network))
                });
                return added.then_some(()).ok_or(errno::EINVAL);
            }
            "protocol_version" if value == "1" => {}
            _ => return Err(errno::EINVAL),
        }
        Ok(())
    }
}

/// Reads a key of 32 octets in hexadecimal.
fn key(text: &str) -> Result<Secret, i32> {
    let mut key = Secret::default();
    let digits = text.as_bytes();
    if digits.len() != 64 {
        return Err(errno::EINVAL);
    }
    for (octet, pair) in key.iter_mut().zip(digits.chunks_exact(2)) {
        let digit = |byte: u8| char::from(byte).to_digit(16).ok_or(errno::EINVAL);
        *octet = (digit(pair[0])? << 4 | digit(pair[1])?) as u8;
    }
    Ok(key)
}

/// Writes a key in hexadecimal, without a copy.
fn put_key(text: &mut String, name: &str, key: &[u8; 32]) {
    text.push_str(name);
    text.push('=');
    for octet in key {
        let _ = write!(text, "{octet:02x}");
    }
    text.push('\n');
}

fn number<T: std::str::FromStr>(text: &str) -> Result<T, i32> {
    let is_plain = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let number = is_plain.then(|| text.parse().ok()).flatten();
    number.ok_or(errno::EINVAL)
}

fn is_true(text: &str) -> Result<(), i32> {
    (text == "true").then_some(()).ok_or(errno::EINVAL)
}

/// Drives a device with arbitrary bytes.
pub fn fuzz(input: &[u8]) {
    let pair = WireGuardPair::new(Clock::manual(), Duration::ZERO, 0.0, false, 1);
    pair.session(0).feed(input);
}
