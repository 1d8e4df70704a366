//! The two ends of a pair.

use qkd_hal::{
    Encryptor, Error, ErrorKind, Operation, Result, Support,
    encryptor::{Activation, ChannelId, ChannelStatus, EncryptorCapabilities, Staging},
    units::Bits,
};
use serde::{Deserialize, Serialize};
use std::{fmt, sync::Arc};

/// An end of a pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum End {
    /// The end that is staged and activated first.
    Near,
    /// The other end.
    Far,
}

impl End {
    /// Both ends, in the order in which they are changed.
    pub const BOTH: [Self; 2] = [Self::Near, Self::Far];

    /// Returns the other end.
    #[must_use]
    pub fn other(self) -> Self {
        match self {
            Self::Near => Self::Far,
            Self::Far => Self::Near,
        }
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Near => "near end",
            Self::Far => "far end",
        })
    }
}

/// A channel of an encryptor that is one end of a pair. Clones share the handle.
#[derive(Clone)]
pub struct RollEnd {
    encryptor: Arc<dyn Encryptor>,
    channel: ChannelId,
}

impl RollEnd {
    /// Selects the channel of this name, or without a name the only channel.
    ///
    /// # Errors
    /// As [`find_channel`].
    pub async fn open(encryptor: Arc<dyn Encryptor>, named: Option<&str>) -> Result<Self> {
        let channel = find_channel(&*encryptor, named).await?;
        Ok(Self { encryptor, channel })
    }

    /// Returns the encryptor.
    #[must_use]
    pub fn encryptor(&self) -> &dyn Encryptor {
        &*self.encryptor
    }

    /// Returns the channel.
    #[must_use]
    pub fn channel(&self) -> &ChannelId {
        &self.channel
    }

    /// Returns the URI by which the encryptor was opened.
    pub(crate) fn device(&self) -> &str {
        &self.encryptor.descriptor().uri
    }

    /// Whether the key in use stays when another one is staged.
    pub(crate) fn keeps_previous(&self) -> bool {
        self.capabilities().staging.keeps_previous()
    }
    /// Whether the slots of a channel have numbers by which keys are addressed.
    pub(crate) fn has_slots(&self) -> bool {
        matches!(self.capabilities().staging, Staging::Slots { .. })
    }
    pub(crate) fn capabilities(&self) -> &EncryptorCapabilities {
        self.encryptor.encryptor_capabilities()
    }

    pub(crate) fn supports(&self, operation: Operation) -> bool {
        self.encryptor.capabilities().supports(operation) != Support::Unsupported
    }

    /// Whether a key before the new one stays on the device and can be deleted.
    pub(crate) fn can_retire(&self) -> bool {
        self.keeps_previous() && self.supports(Operation::Retire)
    }

    async fn read(&self) -> Result<ChannelStatus> {
        self.encryptor.channel(&self.channel).await
    }
}

impl fmt::Debug for RollEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, channel {}", self.device(), self.channel)
    }
}

/// Two channels that encrypt traffic to each other with one key. Clones share the handles.
#[derive(Debug, Clone)]
pub struct EncryptorPair {
    near: RollEnd,
    far: RollEnd,
    size: Option<Bits>,
}

impl EncryptorPair {
    /// Creates a pair. Its rolls take keys of the largest size that both ends accept, at most 256
    /// bits.
    #[must_use]
    pub fn new(near: RollEnd, far: RollEnd) -> Self {
        Self {
            near,
            far,
            size: None,
        }
    }

    /// Sets the size of the keys that its rolls take.
    #[must_use]
    pub fn with_key_size(mut self, size: Bits) -> Self {
        self.size = Some(size);
        self
    }

    /// Returns an end.
    #[must_use]
    pub fn end(&self, end: End) -> &RollEnd {
        match end {
            End::Near => &self.near,
            End::Far => &self.far,
        }
    }

    /// Reads both channels, the near one first.
    ///
    /// # Errors
    /// Those of [`Encryptor::channel`].
    pub async fn read(&self) -> Result<[ChannelStatus; 2]> {
        Ok([self.near.read().await?, self.far.read().await?])
    }

    pub(crate) fn named_size(&self) -> Option<Bits> {
        self.size
    }

    /// The ends that must be activated: both, if one of them declares it; otherwise the first one
    /// whose activation a command starts. None, if both use a staged key at their next exchange.
    pub(crate) fn ends_to_activate(&self) -> Vec<End> {
        let commanded = |end: &End| self.end(*end).capabilities().activation.is_commanded();
        let mut ends: Vec<End> = End::BOTH.into_iter().filter(commanded).collect();
        if !self.any(|end| end.capabilities().activate_both) {
            ends.truncate(1);
        }
        ends
    }

    /// Whether a roll restarts the key exchange.
    pub(crate) fn reinitialises(&self) -> bool {
        self.any(|end| end.capabilities().activation == Activation::ForcedReinitialisation)
    }

    /// Whether each end that keeps the key before can delete it; `false` if neither keeps it.
    pub(crate) fn retires(&self) -> bool {
        self.any(RollEnd::keeps_previous)
            && !self.any(|end| end.keeps_previous() && !end.can_retire())
    }

    pub(crate) fn any(&self, is: impl Fn(&RollEnd) -> bool) -> bool {
        is(&self.near) || is(&self.far)
    }
}

/// Returns the channel of this name, or without a name the only channel of an encryptor.
///
/// # Errors
/// `NotFound` if no channel has this name; `InvalidInput` without a name, if the encryptor
/// has several channels or none; those of [`Encryptor::channels`].
pub async fn find_channel(encryptor: &dyn Encryptor, named: Option<&str>) -> Result<ChannelId> {
    let channels = encryptor.channels().await?;
    let known = || {
        channels
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join(", ")
    };
    match (named, channels.as_slice()) {
        (Some(name), all) => all.iter().find(|c| c.0 == name).cloned().ok_or_else(|| {
            Error::new(
                ErrorKind::NotFound,
                format!("there is no channel `{name}`; there are: {}", known()),
            )
        }),
        (None, [one]) => Ok(one.clone()),
        (None, []) => Err(Error::invalid("the encryptor has no channel")),
        (None, _) => Err(Error::invalid(format!(
            "the encryptor has several channels; name one of: {}",
            known()
        ))),
    }
}

/// Returns the status of a channel in one line: its state and the key of each slot.
#[must_use]
pub fn describe(status: &ChannelStatus) -> String {
    let slots = status.slots.iter().map(|slot| {
        let key = slot
            .key_id
            .as_ref()
            .map_or_else(|| "empty".to_owned(), |id| format!("key {id}"));
        let active = if slot.active { ", active" } else { "" };
        format!("slot {}: {key}{active}", slot.number)
    });
    let all: Vec<String> = std::iter::once(status.state.to_string())
        .chain(slots)
        .collect();
    all.join("; ")
}
