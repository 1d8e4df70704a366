//! The status of a channel, as the device reports it, and its counters.

use crate::KeyId;
use serde::{Deserialize, Serialize};
use std::fmt;

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
