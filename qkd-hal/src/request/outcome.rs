//! Outcome of an operation, as a value.

use crate::{
    DeviceMisbehaved, Effect, Error, Health, Identity, Key, KeyId, Result,
    encryptor::{ChannelId, ChannelStatus, Confirmation, Staged, TrafficCounters},
    optics::{
        ApplyReport, Attenuation, CrossConnects, MonitorStatus, PortStatus,
        protection::{GroupId, ProtectionStatus},
    },
    parameter::ParameterValue,
    qkd::{KeyStore, ModuleStatus, Performance},
    reading::{Measured, Reading},
    units::{Bits, DecibelMilliwatts},
};
use serde::{Deserialize, Serialize, Serializer};
use std::fmt;
use zeroize::Zeroizing;

/// The value that an operation returned.
///
/// It serialises without key bytes and random bytes; see the [module](super).
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "outcome", content = "value")]
pub enum Outcome {
    /// The operation returns no value.
    Done,
    /// Of `identity`.
    Identity(Identity),
    /// Of `health`.
    Health(Health),
    /// Of `telemetry`.
    Telemetry(Vec<Reading>),
    /// Of `parameter`.
    Parameter(ParameterValue),
    /// Of `status` of a QKD module.
    ModuleStatus(ModuleStatus),
    /// Of `performance`.
    Performance(Performance),
    /// Of `key_store`.
    KeyStore(KeyStore),
    /// Of `take_keys` and `take_keys_by_id`.
    Keys(Keys),
    /// Of `channels`.
    Channels(Vec<ChannelId>),
    /// Of `channel`.
    Channel(ChannelStatus),
    /// Of `stage`.
    Staged(Staged),
    /// Of `confirm`.
    Confirmation(Confirmation),
    /// Of `counters`.
    Counters(TrafficCounters),
    /// Of `random`.
    Random(RandomBytes),
    /// Of `connections`.
    Connections(Measured<CrossConnects>),
    /// Of `ports`.
    Ports(Vec<PortStatus>),
    /// Of `apply`.
    Applied(ApplyReport),
    /// Of `power`.
    Power(Vec<Measured<DecibelMilliwatts>>),
    /// Of `monitor`.
    Monitor(MonitorStatus),
    /// Of `attenuation`.
    Attenuation(Attenuation),
    /// Of `groups`.
    ProtectionGroups(Vec<GroupId>),
    /// Of `protection`.
    ProtectionStatus(Measured<ProtectionStatus>),
}

impl Outcome {
    /// Returns the secret parts in order: the bytes of each key, or the random bytes. A transport
    /// that protects them carries them in addition to the serialised outcome.
    #[must_use]
    pub fn secrets(&self) -> Vec<&[u8]> {
        match self {
            Self::Keys(Keys::Present(keys)) => keys.iter().map(Key::expose).collect(),
            Self::Random(RandomBytes::Present(bytes)) => vec![bytes],
            _ => Vec::new(),
        }
    }

    /// Attaches the secret parts that a transport carried in addition to the outcome.
    ///
    /// # Errors
    /// `Misbehaved(UnexpectedReply)` with effect `Unknown` if number or sizes of the parts are not
    /// those of the outcome: the keys are lost.
    pub fn with_secrets(self, secrets: Vec<Zeroizing<Vec<u8>>>) -> Result<Self> {
        let count = secrets.len();
        let mismatch = || {
            Error::misbehaved(
                DeviceMisbehaved::UnexpectedReply,
                format!("the {count} secret parts are not those of the outcome; keys were lost"),
            )
            .with_effect(Effect::Unknown)
        };
        match self {
            Self::Keys(Keys::Absent(labels)) => {
                let sizes = secrets.iter().map(|bytes| Bits(bytes.len() as u64 * 8));
                if !labels.iter().map(|label| label.size).eq(sizes) {
                    return Err(mismatch());
                }
                let keys = labels.into_iter().zip(secrets);
                let keys = keys.map(|(label, bytes)| Key::new(label.id, bytes));
                Ok(Self::Keys(Keys::Present(keys.collect())))
            }
            Self::Random(RandomBytes::Absent(length)) => {
                let [bytes] = <[_; 1]>::try_from(secrets).map_err(|_| mismatch())?;
                if bytes.len() == length {
                    Ok(Self::Random(RandomBytes::Present(bytes)))
                } else {
                    Err(mismatch())
                }
            }
            other if secrets.is_empty() => Ok(other),
            _ => Err(mismatch()),
        }
    }
}

/// A key without its bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyLabel {
    /// Key ID.
    pub id: KeyId,
    /// Key size.
    #[serde(rename = "size_bits")]
    pub size: Bits,
}

impl From<&Key> for KeyLabel {
    fn from(key: &Key) -> Self {
        Self {
            id: key.id().clone(),
            size: key.size(),
        }
    }
}

/// Keys of an outcome. They serialise as their labels.
#[derive(Debug, PartialEq)]
pub enum Keys {
    /// The keys, on the side that has them.
    Present(Vec<Key>),
    /// Their labels: the outcome has travelled without the bytes.
    Absent(Vec<KeyLabel>),
}

impl Keys {
    /// Returns the labels in order.
    #[must_use]
    pub fn labels(&self) -> Vec<KeyLabel> {
        match self {
            Self::Present(keys) => keys.iter().map(KeyLabel::from).collect(),
            Self::Absent(labels) => labels.clone(),
        }
    }
}

impl Serialize for Keys {
    fn serialize<S: Serializer>(&self, s: S) -> std::result::Result<S::Ok, S::Error> {
        self.labels().serialize(s)
    }
}

impl<'de> Deserialize<'de> for Keys {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> std::result::Result<Self, D::Error> {
        Vec::<KeyLabel>::deserialize(d).map(Self::Absent)
    }
}

/// Random bytes of an outcome. They serialise as their number.
#[derive(PartialEq)]
pub enum RandomBytes {
    /// The bytes, on the side that has them.
    Present(Zeroizing<Vec<u8>>),
    /// Their number: the outcome has travelled without the bytes.
    Absent(usize),
}

impl RandomBytes {
    /// Returns the number of bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Present(bytes) => bytes.len(),
            Self::Absent(length) => *length,
        }
    }
    /// Whether the number of bytes is 0.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl fmt::Debug for RandomBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RandomBytes({})", self.len())
    }
}

impl Serialize for RandomBytes {
    fn serialize<S: Serializer>(&self, s: S) -> std::result::Result<S::Ok, S::Error> {
        self.len().serialize(s)
    }
}

impl<'de> Deserialize<'de> for RandomBytes {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> std::result::Result<Self, D::Error> {
        usize::deserialize(d).map(Self::Absent)
    }
}
