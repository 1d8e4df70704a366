//! A key on its way through a roll: staged, and confirmed to protect traffic.

use super::ChannelId;
use crate::{Effect, Error, ErrorKind, KeyId, Operation, Result, reading::Measured};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, time::Duration};

/// A key that was staged. It holds all that [`Encryptor::confirm`](crate::Encryptor::confirm)
/// needs, so that a roll can be finished by another process: write it down (it serialises, and
/// holds no key) and pass it on.
///
/// [`Encryptor::confirm`]: super::Encryptor::confirm
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

/// The outcome of [`Encryptor::confirm`](crate::Encryptor::confirm): whether the staged key
/// protects traffic. Ask it with [`confirmed`](Self::confirmed), which fails if the key does not.
///
/// [`Encryptor::confirm`]: super::Encryptor::confirm
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
    /// The proof that the key protects traffic, which
    /// [`Encryptor::retire`](crate::Encryptor::retire) asks for.
    ///
    /// # Errors
    /// `NotReady` with effect `Partial` if it does not: the new key is staged or active, and the
    /// old one may still be in use.
    ///
    /// [`Encryptor::retire`]: super::Encryptor::retire
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
/// It deserialises, so that a transport can carry a call of
/// [`Encryptor::retire`](crate::Encryptor::retire). A proof that was received is as reliable as its
/// sender.
///
/// [`Encryptor::retire`]: super::Encryptor::retire
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
}
