//! The interface as an `Encryptor`: each peer is a channel.

use crate::{
    interface::{Implementation, Interface},
    proto::{
        Change, HANDSHAKE_INTERVAL, HANDSHAKE_RETRY, HandshakeTime, KEY_BYTES, Peer, PresharedKey,
        SESSION_LIFETIME,
    },
};
use async_trait::async_trait;
use base64::{Engine, engine::general_purpose::STANDARD};
use qkd_driver_kit::change_lock::ChangeLock;
use qkd_hal::{
    Capabilities, Descriptor, Device, DeviceMisbehaved, Effect, Encryptor, Error, ErrorKind,
    EventStream, Health, Identity, Key, KeyId, Operation, Result,
    encryptor::{
        Activation, ChannelId, ChannelState, ChannelStatus, Confirmation, EncryptorCapabilities,
        FailureMode, Hitless, KeyForm, KeyIdForm, KeyRole, KeySizes, PolicyOwner, Staged,
    },
    event::EventHub,
    reading::{Reading, ReadingValue as Measure},
    units::Bits,
};
use rand::Rng;
use std::{
    collections::{HashMap, hash_map::RandomState},
    hash::BuildHasher,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};
use subtle::ConstantTimeEq;
use tokio::time::Instant;

/// Bounds of the interval at which a peer is polled for a handshake. Between them it is a sixteenth
/// of the time that has passed: a handshake may be minutes away.
const POLL_INTERVAL: [Duration; 2] = [Duration::from_millis(200), Duration::from_secs(2)];
/// Of a baseline: time of the last handshake when the key was staged.
const HANDSHAKE_BEFORE: &str = "last-handshake";
/// The outage of a roll by replacement: 26 ms a roll were measured, with a margin.
const REPLACEMENT_OUTAGE: Duration = Duration::from_millis(50);

/// Method by which a staged key becomes active.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RollMethod {
    /// The peers use the key at their next handshake.
    Wait,
    /// The peer is removed and added again, which ends its session and starts a handshake.
    Replace,
}

/// The last handshake that was seen of a peer.
struct Seen {
    handshake: HandshakeTime,
    /// Its age at the last reading.
    age: Duration,
    read: Instant,
}

/// The last change of the preshared key of a peer by this handle.
#[derive(Clone)]
enum Held {
    /// It staged this key. The number recognises the key at the device, and does not give it away.
    Staged(KeyId, u64),
    Zeroized,
}

/// A WireGuard interface.
pub struct WireGuard {
    descriptor: Descriptor,
    capabilities: Capabilities,
    encryptor: EncryptorCapabilities,
    interface: Interface,
    method: RollMethod,
    events: EventHub,
    turns: ChangeLock,
    held: Mutex<HashMap<[u8; KEY_BYTES], Held>>,
    /// Makes the numbers of keys, with a secret of this handle.
    numbers: RandomState,
    seen: Mutex<HashMap<[u8; KEY_BYTES], Seen>>,
}

fn key_form() -> KeyForm {
    KeyForm::new(
        KeyRole::Psk,
        KeySizes::one_of(&[Bits(8 * KEY_BYTES as u64)]),
        KeyIdForm::None,
    )
}

impl Implementation {
    fn model(self) -> &'static str {
        match self {
            Self::Userspace => "userspace",
            Self::Kernel => "Linux kernel",
        }
    }
    fn waiting_evidence(self) -> &'static str {
        match self {
            Self::Userspace => {
                "the session before is used until the handshake has ended; measured on \
                 wireguard-go 0.0.20220316: 0 of 20,834 packets lost"
            }
            Self::Kernel => {
                "the session before is used until the handshake has ended; measured on Linux \
                 6.1 (Debian): 0 of 92,490 packets lost in one roll"
            }
        }
    }
    fn replacement_evidence(self) -> &'static str {
        match self {
            Self::Userspace => {
                "the session ends at once; measured on wireguard-go 0.0.20220316: 26 ms of \
                 traffic lost in each roll"
            }
            Self::Kernel => {
                "the session ends at once; measured on Linux 6.1 (Debian) on an emulated \
                 processor: 3 ms to 15 ms of traffic lost in each roll"
            }
        }
    }
}

/// Returns the declarations of an interface with these peers.
fn declare(
    method: RollMethod,
    implementation: Implementation,
    peers: &[Peer],
) -> EncryptorCapabilities {
    let declared = match method {
        RollMethod::Wait => {
            // A peer makes a handshake when it sends. Without keepalive messages at this end, no
            // time is certain: either end may be the one that sends.
            let intervals = peers.iter().map(|peer| peer.keepalive);
            let longest = match intervals.min() {
                None | Some(0) => None,
                Some(_) => peers
                    .iter()
                    .map(|peer| peer.keepalive)
                    .max()
                    .map(|seconds| {
                        HANDSHAKE_INTERVAL + HANDSHAKE_RETRY + Duration::from_secs(seconds.into())
                    }),
            };
            let hitless = Hitless::yes(implementation.waiting_evidence());
            EncryptorCapabilities::next_exchange(key_form(), longest, hitless)
        }
        RollMethod::Replace => {
            EncryptorCapabilities::forced_reinitialisation(key_form(), Some(REPLACEMENT_OUTAGE))
                .with_hitless(Hitless::no(implementation.replacement_evidence()))
        }
    };
    declared.with_policies(PolicyOwner::ByController, PolicyOwner::ByDevice)
}

fn missing(channel: &ChannelId) -> Error {
    Error::new(
        ErrorKind::NotFound,
        format!(
            "there is no channel `{}`; channels are public keys of peers, in base64",
            qkd_hal::text::printable(&channel.0, 60)
        ),
    )
}

/// Returns the public key that a channel names.
fn public_key(channel: &ChannelId) -> Result<[u8; KEY_BYTES]> {
    let bytes = STANDARD.decode(&channel.0).ok();
    bytes
        .and_then(|bytes| bytes.try_into().ok())
        .ok_or_else(|| missing(channel))
}

impl WireGuard {
    pub(crate) async fn open(
        descriptor: Descriptor,
        interface: Interface,
        method: RollMethod,
        events: EventHub,
    ) -> Result<Self> {
        use Operation as Op;
        let peers = interface
            .peers(Op::Channels, Instant::now() + interface.deadline())
            .await?;
        if peers.is_empty() {
            return Err(Error::new(
                ErrorKind::NotReady,
                "the interface has no peer: configure one first",
            ));
        }
        let mut operations = vec![
            Op::Identity,
            Op::Telemetry,
            Op::Channels,
            Op::Channel,
            Op::Stage,
            Op::Confirm,
            Op::Zeroize,
        ];
        if method == RollMethod::Replace {
            operations.push(Op::Activate);
        }
        Ok(Self {
            descriptor,
            // The protocol has no health: an interface that answers is healthy.
            capabilities: Capabilities::none()
                .with(&operations)
                .with_emulated(&[Op::Health]),
            encryptor: declare(method, interface.implementation(), &peers),
            interface,
            method,
            events,
            turns: ChangeLock::default(),
            held: Mutex::default(),
            numbers: RandomState::new(),
            seen: Mutex::default(),
        })
    }

    fn until(&self) -> Instant {
        Instant::now() + self.interface.deadline()
    }

    async fn peer(&self, operation: Operation, channel: &ChannelId) -> Result<Peer> {
        let key = public_key(channel)?;
        let peer = self.interface.peer(operation, &key, self.until()).await;
        let peer = peer.map_err(|e| match e.kind() {
            ErrorKind::NotFound => missing(channel),
            _ => e,
        })?;
        self.age(&peer);
        Ok(peer)
    }

    /// Returns the age of the last handshake, and notes it. The device and this process have one
    /// clock. The time between readings is measured, so that a clock that is set does not matter
    /// after the first one.
    fn age(&self, peer: &Peer) -> Duration {
        let mut all = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let (read, since_1970) = (Instant::now(), SystemTime::UNIX_EPOCH.elapsed());
        let by_clock = since_1970
            .unwrap_or_default()
            .saturating_sub(peer.last_handshake.0);
        let age = match all.get(&peer.public_key) {
            None => by_clock,
            Some(seen) if seen.handshake == peer.last_handshake => seen.age + seen.read.elapsed(),
            Some(seen) => by_clock.min(seen.read.elapsed()),
        };
        let handshake = peer.last_handshake;
        all.insert(
            peer.public_key,
            Seen {
                handshake,
                age,
                read,
            },
        );
        age
    }

    fn held(&self) -> MutexGuard<'_, HashMap<[u8; KEY_BYTES], Held>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Checks that the device holds the key, as far as can be known: that this handle staged no
    /// other one since and recognises it, or that another process staged it, whose baseline the
    /// staged key carries.
    fn check_staged(&self, peer: &Peer, staged: &Staged) -> Result<HandshakeTime> {
        let id = &staged.key_id;
        let number = self.numbers.hash_one(peer.preshared_key.expose());
        let why = match self.held().get(&peer.public_key) {
            Some(Held::Zeroized) => format!("the channel was zeroized after key {id} was staged"),
            Some(Held::Staged(other, _)) if other != id => {
                format!("key {other} was staged on this channel after key {id}")
            }
            Some(Held::Staged(_, known)) if *known != number => format!(
                "the device does not hold key {id} any more: it has restarted, or was configured"
            ),
            _ if is_none(&peer.preshared_key) => {
                format!("the device holds no preshared key, and so not key {id}")
            }
            _ => {
                let before = staged.baseline.get(HANDSHAKE_BEFORE);
                match before.and_then(|text| text.parse().ok()) {
                    Some(before) => return Ok(before),
                    None => format!(
                        "no staging of key {id} is known here, and the device stores no key ids"
                    ),
                }
            }
        };
        let again = format!("{why}: stage the key again");
        Err(Error::new(ErrorKind::NotReady, again))
    }

    /// Whether a peer is shown with the key and the session that it had.
    async fn is_as_before(&self, operation: Operation, peer: &Peer) -> bool {
        let now = self
            .interface
            .peer(operation, &peer.public_key, self.until());
        now.await.is_ok_and(|now| {
            same_key(&now.preshared_key, peer.preshared_key.expose())
                && now.last_handshake >= peer.last_handshake
                && now.received >= peer.received
                && now.sent >= peer.sent
                && now.allowed_ips.len() == peer.allowed_ips.len()
        })
    }

    /// Replaces a peer, and checks that the device shows it as it was.
    async fn replace(&self, operation: Operation, peer: &Peer, key: &PresharedKey) -> Result<()> {
        let until = self.until();
        let change = Change::Replace { peer, key };
        let set = self
            .interface
            .set(operation, &change, Effect::Partial, until);
        if let Err(error) = set.await {
            // A refusal does not report which lines were carried out.
            return Err(match error.kind() {
                ErrorKind::Refused if self.is_as_before(operation, peer).await => {
                    error.with_effect(Effect::None)
                }
                _ => error,
            });
        }
        let now = self
            .interface
            .peer(operation, &peer.public_key, until)
            .await
            .map_err(|e| e.with_effect(Effect::Unknown))?;
        if same_key(&now.preshared_key, key.expose())
            && now.keepalive == peer.keepalive
            && sorted(&now.allowed_ips) == sorted(&peer.allowed_ips)
        {
            return Ok(());
        }
        Err(Error::misbehaved(
            DeviceMisbehaved::ChangeNotApplied,
            "the interface accepted the change and shows another configuration of the peer",
        )
        .with_effect(Effect::Partial))
    }
}

/// The same address ranges may come in another order.
fn sorted(all: &[String]) -> Vec<&String> {
    let mut all: Vec<&String> = all.iter().collect();
    all.sort();
    all
}

/// Whether a device takes this preshared key for none.
fn is_none(key: &PresharedKey) -> bool {
    same_key(key, &[0; KEY_BYTES])
}

/// Whether a preshared key is this one, in constant time.
fn same_key(one: &PresharedKey, other: &[u8]) -> bool {
    one.expose().ct_eq(other).into()
}

#[async_trait]
impl Device for WireGuard {
    fn descriptor(&self) -> &Descriptor {
        &self.descriptor
    }
    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    async fn identity(&self) -> Result<Identity> {
        self.interface
            .peers(Operation::Identity, self.until())
            .await?;
        Ok(Identity::new("WireGuard").with_model(self.interface.implementation().model()))
    }

    async fn health(&self) -> Result<Health> {
        self.interface
            .peers(Operation::Health, self.until())
            .await?;
        Ok(Health::ok())
    }

    async fn telemetry(&self) -> Result<Vec<Reading>> {
        let peers = self
            .interface
            .peers(Operation::Telemetry, self.until())
            .await?;
        let mut all = Vec::with_capacity(3 * peers.len());
        for peer in &peers {
            // Names of readings are in lower case, so that a peer has the start of its public key
            // in hexadecimal digits.
            let start = hex::encode(&peer.public_key[..8]);
            let name = |what| format!("peer.{start}.{what}");
            if peer.last_handshake.is_some() {
                let age = Measure::Number(self.age(peer).as_secs_f64());
                all.push(Reading::now(name("handshake-age"), age, "s"));
            }
            for (what, bytes) in [("received", peer.received), ("sent", peer.sent)] {
                all.push(Reading::now(name(what), Measure::Count(bytes), "B"));
            }
        }
        Ok(all)
    }

    fn events(&self) -> EventStream {
        self.events.subscribe()
    }

    async fn close(&self) -> Result<()> {
        self.interface.close().await;
        self.events.close();
        Ok(())
    }
}

#[async_trait]
impl Encryptor for WireGuard {
    fn encryptor_capabilities(&self) -> &EncryptorCapabilities {
        &self.encryptor
    }

    async fn channels(&self) -> Result<Vec<ChannelId>> {
        let peers = self
            .interface
            .peers(Operation::Channels, self.until())
            .await?;
        let name = |peer: &Peer| ChannelId(STANDARD.encode(peer.public_key));
        Ok(peers.iter().map(name).collect())
    }

    async fn channel(&self, channel: &ChannelId) -> Result<ChannelStatus> {
        let peer = self.peer(Operation::Channel, channel).await?;
        let age = self.age(&peer);
        let (state, word) = if !peer.last_handshake.is_some() {
            (ChannelState::Initialising, "no handshake".to_owned())
        } else {
            let word = format!("last handshake {} s ago", age.as_secs());
            let state = match peer.keepalive {
                _ if age < SESSION_LIFETIME => ChannelState::Encrypting,
                // Nothing was sent that would have made a handshake.
                0 => ChannelState::Initialising,
                _ => ChannelState::Failed,
            };
            (state, word)
        };
        Ok(ChannelStatus::new(channel.clone(), state)
            .with_vendor_state(word)
            .with_failure_mode(FailureMode::Block)
            .with_cipher("ChaCha20-Poly1305"))
    }

    async fn stage(&self, channel: &ChannelId, key: &Key) -> Result<Staged> {
        let _turn = self.turns.lock(self.until()).await?;
        let peer = self.peer(Operation::Stage, channel).await?;
        let bytes = PresharedKey::copy_of(key.expose())
            .ok_or_else(|| Error::invalid("a preshared key has 256 bit"))?;
        if is_none(&bytes) {
            return Err(Error::invalid(
                "all bytes of the key are zero, which the device takes for no preshared key",
            ));
        }
        // Unless this one is refused, no key that was staged before can be confirmed any more.
        let number = self.numbers.hash_one(bytes.expose());
        let held = Held::Staged(key.id().clone(), number);
        let held_before = self.held().insert(peer.public_key, held);
        let change = Change::PresharedKey {
            peer: &peer.public_key,
            key: &bytes,
        };
        let until = self.until();
        // The request changes one value, or none.
        let set = self
            .interface
            .set(Operation::Stage, &change, Effect::None, until)
            .await;
        if let Err(error) = set {
            if error.effect() == Effect::None {
                match held_before {
                    Some(before) => self.held().insert(peer.public_key, before),
                    None => self.held().remove(&peer.public_key),
                };
            }
            return Err(error);
        }
        // A handshake after this reading was made with the new key.
        let now = self
            .interface
            .peer(Operation::Stage, &peer.public_key, until)
            .await
            .map_err(|e| e.with_effect(Effect::Unknown))?;
        if !same_key(&now.preshared_key, key.expose()) {
            return Err(Error::misbehaved(
                DeviceMisbehaved::ChangeNotApplied,
                "the interface accepted the key and shows another one",
            )
            .with_effect(Effect::Unknown));
        }
        let before = (HANDSHAKE_BEFORE.to_owned(), now.last_handshake.to_string());
        let evidence = "the device reads back the key; it is used at the next handshake";
        Ok(
            Staged::new(channel.clone(), key.id().clone(), None, evidence)
                .with_baseline([before].into()),
        )
    }

    async fn activate(&self, staged: &Staged) -> Result<()> {
        if self.method == RollMethod::Wait {
            return Err(Error::unsupported(
                Operation::Activate.name(),
                "no command starts a handshake; open the device with roll=replace",
            ));
        }
        // The key is read in turn: what was read before a change would undo it.
        let _turn = self.turns.lock(self.until()).await?;
        let peer = self.peer(Operation::Activate, &staged.channel).await?;
        self.check_staged(&peer, staged)?;
        let key = peer.preshared_key.clone();
        self.replace(Operation::Activate, &peer, &key).await
    }

    async fn confirm(&self, staged: &Staged, longest: Duration) -> Result<Confirmation> {
        let begun = Instant::now();
        let end = begun + longest;
        loop {
            let peer = self.peer(Operation::Confirm, &staged.channel).await?;
            let before = match self.check_staged(&peer, staged) {
                Ok(before) => before,
                Err(e) => return Ok(Confirmation::new(staged, false, e.message())),
            };
            // A clock that was set back makes the time of a later handshake the earlier one.
            if peer.last_handshake.is_some() && peer.last_handshake != before {
                let evidence = format!(
                    "a handshake at {} s since 1970, after the key was staged; the one before was \
                     at {before}",
                    peer.last_handshake
                );
                return Ok(Confirmation::new(staged, true, evidence));
            }
            if Instant::now() >= end {
                let evidence = match self.encryptor.activation {
                    Activation::NextExchange { longest: None } => {
                        "no handshake since the key was staged; the peers make one when they \
                         send: set a persistent keepalive"
                    }
                    _ => {
                        "no handshake since the key was staged: the other end does not answer, or \
                         has another key"
                    }
                };
                return Ok(Confirmation::new(staged, false, evidence));
            }
            let pause = (begun.elapsed() / 16).clamp(POLL_INTERVAL[0], POLL_INTERVAL[1]);
            tokio::time::sleep_until((Instant::now() + pause).min(end)).await;
        }
    }

    /// Replaces the peer with a preshared key that no other device has: its session and its key
    /// are gone, and no handshake succeeds until a key is staged at both ends.
    async fn zeroize(&self, channel: &ChannelId) -> Result<()> {
        let _turn = self.turns.lock(self.until()).await?;
        let peer = self.peer(Operation::Zeroize, channel).await?;
        let mut key = PresharedKey::default();
        rand::rng().fill_bytes(key.expose_mut());
        self.held().insert(peer.public_key, Held::Zeroized);
        self.replace(Operation::Zeroize, &peer, &key).await
    }
}
