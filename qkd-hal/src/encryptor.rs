//! Encryptors that use externally supplied keys.
//!
//! An [`Encryptor`] encrypts traffic on one or more *channels* (an uplink, a MACsec connectivity
//! association, a tunnel). A controller replaces the key of a channel on both ends of a pair. This
//! procedure is called a *roll*:
//!
//! ```text
//! controller             encryptor A             encryptor B
//!     |--- stage(key) ------->|                       |
//!     |<-- Staged ------------|                       |
//!     |--- stage(key) ------------------------------->|
//!     |<-- Staged ------------------------------------|
//!     |--- activate(staged) ->|                       |
//!     |--- activate(staged) ------------------------->|   only if activate_both
//!     |                       |<=== key agreement ===>|   forced: traffic stops here
//!     |--- confirm(staged) -->|                       |
//!     |--- confirm(staged) -------------------------->|
//!     |--- retire(confirmed) ->|                      |   only if both are confirmed
//!     |--- retire(confirmed) ------------------------>|   and keys are in slots
//! ```
//!
//! # Families
//!
//! | | two slots | forced re-initialisation |
//! |---|---|---|
//! | [`Staging`] | `Slots`: idle slot, active key unchanged | `Overwrite`: used at next exchange |
//! | [`Activation`] | `SlotPointer` | `ForcedReinitialisation`: restarts the exchange |
//! | traffic | hitless if both ends declare it | interrupted; outage declared and reported |
//!
//! A two-slot roll is hitless because both ends can receive with the new key before either end
//! sends with it (`receive_ready`).
//!
//! # Contract
//!
//! 1. `stage` borrows the key and never activates it. After a lost reply
//!    ([`crate::Effect::Unknown`]), stage again with the same key.
//! 2. `activate` fails with `NotReady` if no matching key is staged. After a lost reply, read the
//!    channel.
//! 3. `confirm` waits at most [`EncryptorCapabilities::confirm_timeout`] and returns a
//!    [`Confirmation`]. `Confirmation::confirmed` gives [`Confirmed`], or `NotReady` with effect
//!    `Partial` if the key does not protect traffic by then.
//! 4. `retire` takes [`Confirmed`]. It fails with `NotReady` while the key to delete is in use, and
//!    with `Unsupported` on devices without slots.
//! 5. On the first error, stop and read both channels before you continue.
//!
//! # For driver authors
//!
//! Never select [`FailureMode::AllowClear`] automatically. Send key material by SNMP only with
//! authPriv; otherwise return `Authentication` without sending anything.

use crate::{
    Device, Effect, Error, ErrorKind, Key, KeyId, Operation, Result, reading::Measured, units::Bits,
};
use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, fmt, time::Duration};

/// A channel: an uplink, a connectivity association, a tunnel.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ChannelId(pub String);

impl fmt::Display for ChannelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<&str> for ChannelId {
    fn from(name: &str) -> Self {
        Self(name.to_owned())
    }
}

/// Where a staged key goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Staging {
    /// Into an idle slot; the key in use stays.
    Slots {
        /// Number of key slots of a channel, at least 2.
        count: u8,
        /// Whether a staged key is accepted for receiving before it is activated.
        receive_ready: bool,
    },
    /// Over the secret in use; what is under way keeps the traffic key it has until the next
    /// exchange.
    Overwrite,
}

/// Method by which a staged key becomes active.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Activation {
    /// A pointer to the active slot moves.
    SlotPointer,
    /// A command restarts the key exchange; traffic drops until it has ended.
    ForcedReinitialisation,
}

/// Treatment of traffic while no key is agreed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum FailureMode {
    /// Traffic is blocked.
    Block,
    /// Traffic passes unencrypted. A driver never selects this automatically.
    AllowClear,
    /// The vendor does not publish it and the device does not report it.
    Unknown,
}

/// The key sizes that an encryptor takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum KeySizes {
    /// Any whole number of bytes, up to this size.
    AnyUpTo(Bits),
    /// One of these sizes.
    OneOf(Vec<Bits>),
    /// The public facts do not say. A key is sent as it is, and the device accepts or refuses it.
    Unknown,
}

impl KeySizes {
    /// One of these sizes.
    #[must_use]
    pub fn one_of(sizes: &[Bits]) -> Self {
        Self::OneOf(sizes.to_vec())
    }

    /// Whether a key of this size is taken, as far as is known.
    #[must_use]
    pub fn allow(&self, size: Bits) -> bool {
        match self {
            Self::AnyUpTo(largest) => size.to_bytes().is_some() && size.0 > 0 && size <= *largest,
            Self::OneOf(sizes) => sizes.contains(&size),
            Self::Unknown => true,
        }
    }

    /// The largest size that both take, at most `limit`. Sizes that only one of two encryptors
    /// lists are left out; where neither lists sizes, the smaller bound decides.
    #[must_use]
    pub fn largest_common(&self, other: &Self, limit: Bits) -> Option<Bits> {
        let listed = |sizes: &Self| match sizes {
            Self::OneOf(sizes) => sizes.clone(),
            Self::AnyUpTo(largest) => vec![*largest],
            Self::Unknown => Vec::new(),
        };
        let mut candidates = listed(self);
        candidates.extend(listed(other));
        candidates.push(limit);
        candidates.sort_by_key(|size| size.0);
        candidates
            .into_iter()
            .rev()
            .find(|size| *size <= limit && self.allow(*size) && other.allow(*size))
    }
}

impl fmt::Display for KeySizes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AnyUpTo(largest) => write!(f, "up to {largest}"),
            Self::OneOf(sizes) => {
                let sizes: Vec<String> = sizes.iter().map(ToString::to_string).collect();
                f.write_str(&sizes.join(", "))
            }
            Self::Unknown => f.write_str("not known"),
        }
    }
}

/// Properties of an encryptor in addition to [`crate::Capabilities`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct EncryptorCapabilities {
    /// Where a staged key goes.
    pub staging: Staging,
    /// Method by which a staged key becomes active.
    pub activation: Activation,
    /// Sizes of key that it takes.
    pub key_sizes: KeySizes,
    /// Whether both ends must activate; otherwise one end does it for both.
    pub activate_both: bool,
    /// Whether rolling drops no traffic, if it is `true` at the other end too.
    pub hitless: bool,
    /// The declared gap of a roll that is not hitless, where known.
    #[serde(rename = "outage_ns", with = "crate::serial::optional_nanoseconds")]
    pub outage: Option<Duration>,
    /// The longest time between activation and confirmation.
    #[serde(rename = "confirm_timeout_ns", with = "crate::serial::nanoseconds")]
    pub confirm_timeout: Duration,
    /// Whether counters of encrypted traffic exist.
    pub evidence: ConfirmationBasis,
}

/// Evidence on which a confirmation rests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum ConfirmationBasis {
    /// Counters of encrypted packets and the id of the key under which they were.
    KeyAndCounters,
    /// The state that the device reports, without traffic counters.
    StateOnly,
}

impl EncryptorCapabilities {
    /// Creates the capabilities of an encryptor with key slots.
    #[must_use]
    pub fn two_slot(count: u8, receive_ready: bool, key_sizes: KeySizes) -> Self {
        Self {
            staging: Staging::Slots {
                count,
                receive_ready,
            },
            activation: Activation::SlotPointer,
            key_sizes,
            activate_both: true,
            hitless: receive_ready,
            outage: None,
            confirm_timeout: Duration::from_secs(10),
            evidence: ConfirmationBasis::KeyAndCounters,
        }
    }
    /// The shape of forced re-initialisation.
    #[must_use]
    pub fn forced_reinitialisation(key_sizes: KeySizes, gap: Option<Duration>) -> Self {
        Self {
            staging: Staging::Overwrite,
            activation: Activation::ForcedReinitialisation,
            key_sizes,
            activate_both: false,
            hitless: false,
            outage: gap,
            confirm_timeout: Duration::from_secs(30),
            evidence: ConfirmationBasis::StateOnly,
        }
    }
    /// With this time to confirm.
    #[must_use]
    pub fn with_confirm_timeout(mut self, time: Duration) -> Self {
        self.confirm_timeout = time;
        self
    }
}

/// The state of a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum ChannelState {
    /// Encryption is disabled.
    Disabled,
    /// No key, or the exchange has not begun.
    Initialising,
    /// The key exchange is in progress.
    Exchanging,
    /// Traffic is encrypted with the active key.
    Encrypting,
    /// The key exchange has failed.
    Failed,
    /// The device does not report it.
    Unknown,
}

impl fmt::Display for ChannelState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Disabled => "disabled",
            Self::Initialising => "initialising",
            Self::Exchanging => "exchanging",
            Self::Encrypting => "encrypting",
            Self::Failed => "failed",
            Self::Unknown => "unknown",
        })
    }
}

/// A slot of a channel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Slot {
    /// Slot number, 1-based.
    pub number: u8,
    /// ID of the key in the slot; `None` if the slot is empty or the device does not report it.
    pub key_id: Option<KeyId>,
    /// Whether the channel sends with it.
    pub active: bool,
}

impl Slot {
    /// Creates a slot.
    #[must_use]
    pub fn new(number: u8, key_id: Option<KeyId>, active: bool) -> Self {
        Self {
            number,
            key_id,
            active,
        }
    }
}

/// Channel status as reported by the device.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ChannelStatus {
    /// Channel that the status describes.
    pub channel: ChannelId,
    /// Current key-exchange state.
    pub state: ChannelState,
    /// The device's own word for it.
    pub vendor_state: Option<String>,
    /// Its slots; empty where it has none.
    pub slots: Vec<Slot>,
    /// Treatment of traffic while no key is agreed.
    pub failure_mode: FailureMode,
    /// Cipher in use; `None` if the device does not report it.
    pub cipher: Option<String>,
}

impl ChannelStatus {
    /// A status with a state.
    #[must_use]
    pub fn new(channel: ChannelId, state: ChannelState) -> Self {
        Self {
            channel,
            state,
            vendor_state: None,
            slots: Vec::new(),
            failure_mode: FailureMode::Unknown,
            cipher: None,
        }
    }
    /// Adds the device's own word.
    #[must_use]
    pub fn with_vendor_state(mut self, word: impl Into<String>) -> Self {
        self.vendor_state = Some(word.into());
        self
    }
    /// Sets the key slots.
    #[must_use]
    pub fn with_slots(mut self, slots: Vec<Slot>) -> Self {
        self.slots = slots;
        self
    }
    /// Adds the failure mode.
    #[must_use]
    pub fn with_failure_mode(mut self, mode: FailureMode) -> Self {
        self.failure_mode = mode;
        self
    }
    /// Sets the cipher in use.
    #[must_use]
    pub fn with_cipher(mut self, cipher: impl Into<String>) -> Self {
        self.cipher = Some(cipher.into());
        self
    }
}

/// A key that was staged. It holds all that [`Encryptor::confirm`] needs, so that a roll can be
/// finished by another process: write it down (it serialises, and holds no key) and pass it on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Staged {
    /// Channel on which the key is staged.
    pub channel: ChannelId,
    /// ID of the staged key.
    pub key_id: KeyId,
    /// The slot; `None` on a device without slots.
    pub slot: Option<u8>,
    /// Reply of the device that shows that the key arrived.
    #[serde(rename = "evidence")]
    pub evidence: String,
    /// State that the driver read before it staged the key, for comparison in `confirm`. Only the
    /// driver interprets it. Empty if the value was not created by a driver.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub baseline: BTreeMap<String, String>,
}

impl Staged {
    /// Creates the record of a staged key.
    #[must_use]
    pub fn new(
        channel: ChannelId,
        key_id: KeyId,
        slot: Option<u8>,
        evidence: impl Into<String>,
    ) -> Self {
        Self {
            channel,
            key_id,
            slot,
            evidence: evidence.into(),
            baseline: BTreeMap::new(),
        }
    }
    /// With what the driver compares with at `confirm`. It must hold no secret.
    #[must_use]
    pub fn with_baseline(mut self, baseline: BTreeMap<String, String>) -> Self {
        self.baseline = baseline;
        self
    }
}

/// The outcome of [`Encryptor::confirm`]: whether the staged key protects traffic. Ask it with
/// [`confirmed`](Self::confirmed), which fails if the key does not.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[must_use = "a key that was not confirmed does not protect traffic: call `confirmed()?`"]
pub struct Confirmation {
    confirmed: bool,
    evidence: String,
    #[serde(
        rename = "outage_ns",
        with = "crate::serial::optional_measured_nanoseconds"
    )]
    outage: Option<Measured<Duration>>,
    staged: Staged,
}

impl Confirmation {
    /// An outcome for this key, with what the device showed.
    pub fn new(staged: &Staged, confirmed: bool, evidence: impl Into<String>) -> Self {
        Self {
            confirmed,
            evidence: evidence.into(),
            outage: None,
            staged: staged.clone(),
        }
    }
    /// With the measured outage of traffic.
    pub fn with_outage(mut self, gap: Duration) -> Self {
        self.outage = Some(Measured::now(gap));
        self
    }
    /// Whether the key protects traffic, without the proof of it: for reports.
    #[must_use]
    pub fn is_confirmed(&self) -> bool {
        self.confirmed
    }
    /// Returns the reply of the device that shows that the key arrived.
    #[must_use]
    pub fn evidence(&self) -> &str {
        &self.evidence
    }
    /// Returns the traffic outage of the roll; `None` if it was not measured.
    #[must_use]
    pub fn outage(&self) -> Option<Measured<Duration>> {
        self.outage
    }
    /// The proof that the key protects traffic, which [`Encryptor::retire`] asks for.
    ///
    /// # Errors
    /// `NotReady` with effect `Partial` if it does not: the new key is staged or active, and the
    /// old one may still be in use.
    pub fn confirmed(self) -> Result<Confirmed> {
        if self.confirmed {
            return Ok(Confirmed {
                staged: self.staged,
                evidence: self.evidence,
                outage: self.outage,
            });
        }
        let what = format!(
            "key {} does not protect traffic on channel {}: {}; read the channel at both ends \
             before anything else",
            self.staged.key_id, self.staged.channel, self.evidence
        );
        Err(Error::new(ErrorKind::NotReady, what)
            .with_effect(Effect::Partial)
            .with_operation(Operation::Confirm.name()))
    }
}

/// The proof that a key protects traffic. Only [`Confirmation::confirmed`] gives it.
///
/// It deserialises, so that a transport can carry a call of [`Encryptor::retire`]. A proof that was
/// received is as reliable as its sender.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Confirmed {
    staged: Staged,
    evidence: String,
    #[serde(
        rename = "outage_ns",
        with = "crate::serial::optional_measured_nanoseconds"
    )]
    outage: Option<Measured<Duration>>,
}

impl Confirmed {
    /// The key, its channel and its slot.
    #[must_use]
    pub fn staged(&self) -> &Staged {
        &self.staged
    }
    /// Returns the evidence on which the confirmation rests.
    #[must_use]
    pub fn evidence(&self) -> &str {
        &self.evidence
    }
    /// Returns the traffic outage of the roll; `None` if it was not measured.
    #[must_use]
    pub fn outage(&self) -> Option<Measured<Duration>> {
        self.outage
    }
}

/// Counters of a channel; what a family lacks is `None`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct TrafficCounters {
    /// Packets sent encrypted; `None` if the device does not count them.
    pub encrypted: Option<u64>,
    /// Packets received and accepted.
    pub accepted: Option<u64>,
    /// Packets received and refused (bad or no tag).
    pub refused: Option<u64>,
    /// Packets sent in clear. Must not grow.
    pub clear: Option<u64>,
    /// Key agreement messages with an unknown key name.
    pub unknown_key: Option<u64>,
    /// Key agreement messages that failed their integrity check.
    pub integrity_failures: Option<u64>,
}

impl TrafficCounters {
    /// Returns all counters with their names, in the order of the fields.
    #[must_use]
    pub fn as_pairs(&self) -> [(&'static str, Option<u64>); 6] {
        [
            ("encrypted", self.encrypted),
            ("accepted", self.accepted),
            ("refused", self.refused),
            ("clear", self.clear),
            ("unknown key", self.unknown_key),
            ("integrity failures", self.integrity_failures),
        ]
    }
}

fn unsupported_operation<T>(operation: Operation) -> Result<T> {
    Err(Error::unsupported(
        operation.name(),
        "this family's public protocol has no such operation",
    ))
}

/// An encryptor that uses externally supplied keys.
#[async_trait]
pub trait Encryptor: Device {
    /// Returns the properties of this encryptor, without I/O.
    fn encryptor_capabilities(&self) -> &EncryptorCapabilities;

    /// The channels that it has.
    ///
    /// # Errors
    /// Transport errors.
    async fn channels(&self) -> Result<Vec<ChannelId>>;

    /// Reads the status of a channel.
    ///
    /// # Errors
    /// `NotFound` if the channel does not exist; transport errors.
    async fn channel(&self, channel: &ChannelId) -> Result<ChannelStatus>;

    /// Stages a key without activating it. The key is borrowed: a refusal does not lose it.
    ///
    /// 1. Checks the key size, and that the link protects key material.
    /// 2. Writes key and key ID in one request.
    /// 3. Reads back what the device reports about the key.
    ///
    /// # Errors
    /// `InvalidInput` (size), `Authentication` (the link is below authPriv), `NotFound`, `Refused`
    /// with effect `None`. A lost reply has effect `Unknown`: stage again with the same key.
    async fn stage(&self, channel: &ChannelId, key: &Key) -> Result<Staged>;

    /// Makes the staged key the one in use. May disturb traffic where
    /// [`EncryptorCapabilities::hitless`] is false.
    ///
    /// # Errors
    /// `NotReady` if nothing fitting is staged; `Refused`; a lost reply has effect `Unknown`: read
    /// the channel.
    async fn activate(&self, staged: &Staged) -> Result<()>;

    /// Waits until the staged key protects traffic, at most
    /// [`EncryptorCapabilities::confirm_timeout`].
    ///
    /// Works in another process than the one that staged, with the [`Staged`] that it passed on.
    /// A device that overwrites its secret shows an exchange only while it runs: an end that was
    /// not open meanwhile is not confirmed, says so in its evidence, and can be confirmed after
    /// another `activate` at that end, which interrupts traffic again.
    ///
    /// # Errors
    /// Transport errors. A key that does not protect traffic by then is not an error here, but at
    /// [`Confirmation::confirmed`].
    async fn confirm(&self, staged: &Staged) -> Result<Confirmation>;

    /// Deletes the previous key from the device, once the new one is confirmed to protect traffic.
    ///
    /// # Errors
    /// `NotReady` if the previous key is still in use; `Unsupported` on devices without slots.
    async fn retire(&self, _confirmed: &Confirmed) -> Result<()> {
        unsupported_operation(Operation::Retire)
    }

    /// Destroys all keys of a channel. Traffic stops, or worse, as [`ChannelStatus::failure_mode`]
    /// says.
    ///
    /// # Errors
    /// `Unsupported` where the public protocol has no way.
    async fn zeroize(&self, _channel: &ChannelId) -> Result<()> {
        unsupported_operation(Operation::Zeroize)
    }

    /// Switches encryption of a channel on, or off, which may let clear traffic pass.
    ///
    /// # Errors
    /// `Refused`; transport errors.
    async fn set_encryption(&self, _channel: &ChannelId, _on: bool) -> Result<()> {
        unsupported_operation(Operation::SetEncryption)
    }

    /// Counters of a channel.
    ///
    /// # Errors
    /// `NotFound`; transport errors.
    async fn counters(&self, _channel: &ChannelId) -> Result<TrafficCounters> {
        unsupported_operation(Operation::Counters)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn staged() -> Staged {
        let id = KeyId::from_bytes(&[7; 16]).unwrap();
        Staged::new("ca1".into(), id, Some(2), "slot 2 shows this name")
            .with_baseline([("port 1".to_owned(), "3 4".to_owned())].into())
    }

    #[test]
    fn a_key_that_is_not_confirmed_is_an_error() {
        let error = Confirmation::new(&staged(), false, "no new SAK")
            .confirmed()
            .unwrap_err();
        assert_eq!(
            (error.kind(), error.effect()),
            (ErrorKind::NotReady, Effect::Partial)
        );
        assert!(error.message().contains("no new SAK"), "{error}");
        let confirmed = Confirmation::new(&staged(), true, "SAK installed")
            .with_outage(Duration::from_millis(500))
            .confirmed()
            .unwrap();
        assert_eq!(confirmed.staged(), &staged());
        assert_eq!(
            confirmed.outage().unwrap().value,
            Duration::from_millis(500)
        );
    }

    #[test]
    fn key_sizes_mean_one_thing_each() {
        let any = KeySizes::AnyUpTo(Bits(512));
        let one = KeySizes::one_of(&[Bits(128), Bits(256)]);
        assert!(any.allow(Bits(8)) && any.allow(Bits(512)));
        assert!(!any.allow(Bits(520)) && !any.allow(Bits(12)) && !any.allow(Bits(0)));
        assert!(one.allow(Bits(256)) && !one.allow(Bits(192)));
        assert!(!KeySizes::OneOf(Vec::new()).allow(Bits(256)));
        assert!(KeySizes::Unknown.allow(Bits(99)));
        let limit = Bits(256);
        assert_eq!(one.largest_common(&any, limit), Some(Bits(256)));
        assert_eq!(
            one.largest_common(&KeySizes::Unknown, Bits(200)),
            Some(Bits(128))
        );
        assert_eq!(any.largest_common(&KeySizes::Unknown, limit), Some(limit));
        assert_eq!(
            one.largest_common(&KeySizes::one_of(&[Bits(64)]), limit),
            None
        );
    }
}
