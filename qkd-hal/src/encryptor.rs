//! Encryptors: boxes that protect traffic with keys they are given.
//!
//! Two shapes exist in the field and both fit here without a lie:
//!
//! | shape | staging | activation | while rolling |
//! |---|---|---|---|
//! | two slots ([`Staging::Slots`]) | the new key is ready to receive at both ends before either sends with it | a pointer moves | hitless, if both ends declare it |
//! | forced re-initialisation ([`Staging::Overwrite`]) | the new secret replaces the old one, and is used at the next exchange | a command restarts the state machine | traffic drops; the gap is declared, measured and reported |
//!
//! # For controller authors
//! Roll a pair in this order: [`stage`](Encryptor::stage) on both ends, [`activate`](Encryptor::activate) on both (or on the one that
//! [`EncryptorCapabilities::activate_both`] says), [`confirm`](Encryptor::confirm) on both, [`retire`](Encryptor::retire). Stop at the first error and read the
//! channels again.
//!
//! # For driver authors
//! Clear traffic is never chosen by itself. A SET that carries key material needs authPriv and is refused otherwise.

use crate::{Device, Error, Key, KeyId, Operation, Result, reading::Measured, units::Bits};
use async_trait::async_trait;
use serde::Serialize;
use std::{fmt, time::Duration};

/// A channel: an uplink, a connectivity association, a tunnel.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Staging {
    /// Into an idle slot; the key in use stays.
    Slots {
        /// How many slots a channel has.
        count: u8,
        /// Whether a staged key is accepted for receiving before it is activated.
        receive_ready: bool,
    },
    /// Over the secret in use; what is under way keeps the traffic key it has until the next exchange.
    Overwrite,
}

/// How a staged key becomes the one in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Activation {
    /// A pointer to the active slot moves.
    SlotPointer,
    /// A command restarts the key exchange; traffic drops until it has ended.
    ForcedReinitialisation,
}

/// What happens to traffic while no key can be agreed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum FailureMode {
    /// Nothing passes.
    Block,
    /// Clear traffic may pass. Never chosen by itself.
    AllowClear,
    /// Not public, or not told by the device.
    Unknown,
}

/// What an encryptor can do beyond [`crate::Capabilities`].
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct EncryptorCapabilities {
    /// Where a staged key goes.
    pub staging: Staging,
    /// How it becomes the one in use.
    pub activation: Activation,
    /// Sizes of key that it takes.
    pub key_sizes: Vec<Bits>,
    /// Whether both ends must activate; otherwise one end does it for both.
    pub activate_both: bool,
    /// Whether rolling drops no traffic, given that the other end says so too.
    pub hitless: bool,
    /// The declared gap of a roll that is not hitless, where known.
    #[serde(
        rename = "outage_ms",
        serialize_with = "crate::reading::serialize_optional_millis"
    )]
    pub gap: Option<Duration>,
    /// The longest time between activation and confirmation.
    #[serde(
        rename = "confirm_timeout_ms",
        serialize_with = "crate::reading::serialize_millis"
    )]
    pub confirmation: Duration,
    /// Whether counters of encrypted traffic exist.
    pub evidence: Evidence,
}

/// What confirms that a new key protects traffic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Evidence {
    /// Counters of encrypted packets and the id of the key under which they were.
    KeyAndCounters,
    /// A state only.
    StateOnly,
}

impl EncryptorCapabilities {
    /// The two-slot shape.
    #[must_use]
    pub fn slots(count: u8, receive_ready: bool, key_sizes: &[Bits]) -> Self {
        Self {
            staging: Staging::Slots {
                count,
                receive_ready,
            },
            activation: Activation::SlotPointer,
            key_sizes: key_sizes.to_vec(),
            activate_both: true,
            hitless: receive_ready,
            gap: None,
            confirmation: Duration::from_secs(10),
            evidence: Evidence::KeyAndCounters,
        }
    }
    /// The shape of forced re-initialisation.
    #[must_use]
    pub fn forced(key_sizes: &[Bits], gap: Option<Duration>) -> Self {
        Self {
            staging: Staging::Overwrite,
            activation: Activation::ForcedReinitialisation,
            key_sizes: key_sizes.to_vec(),
            activate_both: false,
            hitless: false,
            gap,
            confirmation: Duration::from_secs(30),
            evidence: Evidence::StateOnly,
        }
    }
    /// With this time to confirm.
    #[must_use]
    pub fn with_confirmation(mut self, time: Duration) -> Self {
        self.confirmation = time;
        self
    }
}

/// The state of a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum ChannelState {
    /// Encryption is off.
    Disabled,
    /// No key, or the exchange has not begun.
    Initialising,
    /// The exchange runs.
    Exchanging,
    /// Traffic is encrypted.
    Encrypting,
    /// The exchange failed.
    Failed,
    /// The device does not tell.
    Unknown,
}

/// A slot of a channel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Slot {
    /// Its number, 1-based.
    pub number: u8,
    /// The id of the key in it, where the device tells it.
    pub key_id: Option<KeyId>,
    /// Whether the channel sends with it.
    pub active: bool,
}

impl Slot {
    /// A slot.
    #[must_use]
    pub fn new(number: u8, key_id: Option<KeyId>, active: bool) -> Self {
        Self {
            number,
            key_id,
            active,
        }
    }
}

/// What a channel says of itself.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ChannelStatus {
    /// Which channel.
    pub channel: ChannelId,
    /// Its state.
    pub state: ChannelState,
    /// The device's own word for it.
    pub vendor_state: Option<String>,
    /// Its slots; empty where it has none.
    pub slots: Vec<Slot>,
    /// What happens while no key can be agreed.
    pub failure_mode: FailureMode,
    /// The cipher in use, where the device tells it.
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
    /// Adds slots.
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
    /// Adds the cipher.
    #[must_use]
    pub fn with_cipher(mut self, cipher: impl Into<String>) -> Self {
        self.cipher = Some(cipher.into());
        self
    }
}

/// A key that was staged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Staged {
    /// The channel.
    pub channel: ChannelId,
    /// The key.
    pub key_id: KeyId,
    /// The slot, where there is one.
    pub slot: Option<u8>,
    /// What the device showed that proves it landed.
    #[serde(rename = "evidence")]
    pub proof: String,
}

impl Staged {
    /// A staged key.
    #[must_use]
    pub fn new(
        channel: ChannelId,
        key_id: KeyId,
        slot: Option<u8>,
        proof: impl Into<String>,
    ) -> Self {
        Self {
            channel,
            key_id,
            slot,
            proof: proof.into(),
        }
    }
}

/// Whether the staged key protects traffic now.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Confirmation {
    /// Whether it does.
    pub confirmed: bool,
    /// What the device showed, for a report.
    pub evidence: String,
    /// How long traffic was down, where it was measured.
    #[serde(
        rename = "outage_ms",
        serialize_with = "crate::reading::serialize_measured_millis"
    )]
    pub gap: Option<Measured<f64>>,
}

impl Confirmation {
    /// A confirmation.
    #[must_use]
    pub fn new(confirmed: bool, evidence: impl Into<String>) -> Self {
        Self {
            confirmed,
            evidence: evidence.into(),
            gap: None,
        }
    }
    /// With the gap, in seconds.
    #[must_use]
    pub fn with_gap(mut self, gap: Duration) -> Self {
        self.gap = Some(Measured::now(gap.as_secs_f64()));
        self
    }
}

/// Counters of a channel; what a family lacks is `None`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[non_exhaustive]
pub struct TrafficCounters {
    /// Packets sent encrypted.
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
    /// All of them, by name, in the order of the fields.
    #[must_use]
    pub fn named(&self) -> [(&'static str, Option<u64>); 6] {
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

fn lacks<T>(operation: Operation) -> Result<T> {
    Err(Error::unsupported(
        operation.name(),
        "this family's public protocol has no such operation",
    ))
}

/// A box that protects traffic with keys it is given.
#[async_trait]
pub trait Encryptor: Device {
    /// What this encryptor can do. No I/O.
    fn encryptor_capabilities(&self) -> &EncryptorCapabilities;

    /// The channels that it has.
    ///
    /// # Errors
    /// Transport errors.
    async fn channels(&self) -> Result<Vec<ChannelId>>;

    /// What a channel says of itself.
    ///
    /// # Errors
    /// `NotFound`; transport errors.
    async fn channel(&self, channel: &ChannelId) -> Result<ChannelStatus>;

    /// Gives the box a key that is not in use yet. Borrows the key: a refusal loses nothing.
    ///
    /// 1. Checks the size and that the link protects key material.
    /// 2. Writes key and key id in one request.
    /// 3. Reads back what the box shows of it.
    ///
    /// # Errors
    /// `InvalidInput` (size), `Authentication` (the link is below authPriv), `NotFound`, `Refused` with effect `None`; a lost reply has effect `Unknown`: stage again with
    /// the same key.
    async fn stage(&self, channel: &ChannelId, key: &Key) -> Result<Staged>;

    /// Makes the staged key the one in use. May disturb traffic where [`EncryptorCapabilities::hitless`] is false.
    ///
    /// # Errors
    /// `NotReady` if nothing fitting is staged; `Refused`; a lost reply has effect `Unknown`: read the channel.
    async fn activate(&self, staged: &Staged) -> Result<()>;

    /// Waits until the staged key protects traffic, at most [`EncryptorCapabilities::confirmation`].
    ///
    /// # Errors
    /// Transport errors. That it does not is a [`Confirmation`] with `confirmed: false`, not an error.
    async fn confirm(&self, staged: &Staged) -> Result<Confirmation>;

    /// Takes the key before this one out of the box.
    ///
    /// # Errors
    /// `NotReady` if it is still in use; `Unsupported` where there are no slots.
    async fn retire(&self, _staged: &Staged) -> Result<()> {
        lacks(Operation::Retire)
    }

    /// Destroys all keys of a channel. Traffic stops, or worse, as [`ChannelStatus::failure_mode`] says.
    ///
    /// # Errors
    /// `Unsupported` where the public protocol has no way.
    async fn zeroize(&self, _channel: &ChannelId) -> Result<()> {
        lacks(Operation::Zeroize)
    }

    /// Switches encryption of a channel on, or off, which may let clear traffic pass.
    ///
    /// # Errors
    /// `Refused`; transport errors.
    async fn set_encryption(&self, _channel: &ChannelId, _on: bool) -> Result<()> {
        lacks(Operation::SetEncryption)
    }

    /// Counters of a channel.
    ///
    /// # Errors
    /// `NotFound`; transport errors.
    async fn counters(&self, _channel: &ChannelId) -> Result<TrafficCounters> {
        lacks(Operation::Counters)
    }
}
