//! Declarations of an encryptor. A controller plans a roll from them alone.

use super::KeyForm;
use serde::{Deserialize, Serialize};
use std::{borrow::Cow, fmt, time::Duration};

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
    /// In addition to the secret in use, under the id of the key.
    Named,
    /// The device takes no key: `stage` is `Unsupported`.
    None,
}

impl Staging {
    /// Whether the key in use stays on the device when another one is staged, and is deleted by
    /// `retire`.
    #[must_use]
    pub fn keeps_previous(self) -> bool {
        matches!(self, Self::Slots { .. } | Self::Named)
    }
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
    /// The device uses the staged key at its next key exchange, which no command starts:
    /// `activate` is `Unsupported`, and a roll continues with `confirm`.
    NextExchange {
        /// The longest time until that exchange; `None` if it is not known.
        #[serde(rename = "longest_ns", with = "crate::serial::optional_nanoseconds")]
        longest: Option<Duration>,
    },
    /// A new association is established with the staged key, while the one before still carries
    /// traffic. `retire` ends the one before.
    MakeBeforeBreak,
    /// The device takes no key: `activate` is `Unsupported`.
    None,
}

impl Activation {
    /// Whether a controller activates a staged key; otherwise the device does it, or never.
    #[must_use]
    pub fn is_commanded(self) -> bool {
        !matches!(self, Self::NextExchange { .. } | Self::None)
    }
}

/// Whether a roll drops no traffic, if the other end declares it too, and how that is known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hitless {
    is_hitless: bool,
    evidence: Cow<'static, str>,
}

impl Hitless {
    /// A roll drops no traffic.
    #[must_use]
    pub fn yes(evidence: impl Into<Cow<'static, str>>) -> Self {
        Self {
            is_hitless: true,
            evidence: evidence.into(),
        }
    }
    /// A roll may drop traffic.
    #[must_use]
    pub fn no(evidence: impl Into<Cow<'static, str>>) -> Self {
        Self {
            is_hitless: false,
            evidence: evidence.into(),
        }
    }
    /// Whether a roll drops no traffic.
    #[must_use]
    pub fn is_hitless(&self) -> bool {
        self.is_hitless
    }
    /// Returns how that is known: a measurement, a vendor's text, or the mechanism.
    #[must_use]
    pub fn evidence(&self) -> &str {
        &self.evidence
    }
}

/// The state of a channel whose roll was not completed: one end has the new key, the other has not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum HalfDoneRoll {
    /// The key before continues to protect traffic.
    PreviousKeyProtects,
    /// The traffic key before continues to protect traffic until the next key exchange, which
    /// fails until both ends have one key.
    FailsAtNextExchange,
    /// An activation ends the traffic key before at once. From the first activation on, no traffic
    /// passes until both ends have activated one key.
    StopsAtActivation,
    /// The device takes no key.
    NotApplicable,
}

impl fmt::Display for HalfDoneRoll {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::PreviousKeyProtects => "the key before continues to protect traffic",
            Self::FailsAtNextExchange => {
                "traffic passes until the next key exchange, which fails until both ends have one \
                 key"
            }
            Self::StopsAtActivation => {
                "traffic stops at the first activation, until both ends have activated one key"
            }
            Self::NotApplicable => "the device takes no key",
        })
    }
}

/// The side that carries out a policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum PolicyOwner {
    /// The device, as it is configured.
    ByDevice,
    /// The controller: the device does nothing of its own.
    ByController,
    /// Neither can: the public protocol does not offer it.
    Unsupported,
}

impl fmt::Display for PolicyOwner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ByDevice => "by the device",
            Self::ByController => "by the controller",
            Self::Unsupported => "not supported",
        })
    }
}

/// Evidence on which a confirmation rests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum ConfirmationBasis {
    /// Counters of encrypted packets and the id of the key under which they were.
    KeyAndCounters,
    /// The id of the key in use, without traffic counters of its own.
    KeyOnly,
    /// The state that the device reports, without traffic counters.
    StateOnly,
}

/// Properties of an encryptor in addition to [`crate::Capabilities`]. They hold for each of its
/// channels.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct EncryptorCapabilities {
    /// Where a staged key goes.
    pub staging: Staging,
    /// Method by which a staged key becomes active.
    pub activation: Activation,
    /// Form of the keys that a channel takes; `None` if it takes none.
    pub key: Option<KeyForm>,
    /// Whether both ends must activate; otherwise one end does it for both.
    pub activate_both: bool,
    /// Whether rolling drops no traffic, if it is so at the other end too.
    pub hitless: Hitless,
    /// State after a roll that was not completed.
    pub half_done_roll: HalfDoneRoll,
    /// The declared gap of a roll that is not hitless, where known.
    #[serde(rename = "outage_ns", with = "crate::serial::optional_nanoseconds")]
    pub outage: Option<Duration>,
    /// The time within which a roll is confirmed if nothing is wrong: the usual longest wait of
    /// `confirm`.
    #[serde(rename = "confirm_timeout_ns", with = "crate::serial::nanoseconds")]
    pub confirm_timeout: Duration,
    /// Whether counters of encrypted traffic exist.
    pub evidence: ConfirmationBasis,
    /// The side that stops using a key that is too old, when no new one comes.
    pub starvation: PolicyOwner,
    /// The side that decides on traffic while no key is agreed. Neither a driver nor
    /// a controller selects clear traffic automatically.
    pub failure: PolicyOwner,
}

impl EncryptorCapabilities {
    /// Creates the capabilities of an encryptor with key slots. It is hitless if a staged key is
    /// accepted for receiving.
    #[must_use]
    pub fn two_slot(count: u8, receive_ready: bool, key: KeyForm) -> Self {
        let hitless = if receive_ready {
            Hitless::yes("a staged key is accepted for receiving before it is activated")
        } else {
            Hitless::no("a staged key is not accepted before it is activated")
        };
        Self {
            staging: Staging::Slots {
                count,
                receive_ready,
            },
            activation: Activation::SlotPointer,
            key: Some(key),
            activate_both: true,
            hitless,
            half_done_roll: HalfDoneRoll::PreviousKeyProtects,
            outage: None,
            confirm_timeout: Duration::from_secs(10),
            evidence: ConfirmationBasis::KeyAndCounters,
            starvation: PolicyOwner::ByController,
            failure: PolicyOwner::Unsupported,
        }
    }

    /// Creates the capabilities of an encryptor whose secret is overwritten and whose key exchange
    /// is restarted.
    #[must_use]
    pub fn forced_reinitialisation(key: KeyForm, outage: Option<Duration>) -> Self {
        Self {
            staging: Staging::Overwrite,
            activation: Activation::ForcedReinitialisation,
            key: Some(key),
            activate_both: false,
            hitless: Hitless::no("the key exchange restarts, and traffic drops until it has ended"),
            half_done_roll: HalfDoneRoll::FailsAtNextExchange,
            outage,
            confirm_timeout: Duration::from_secs(30),
            evidence: ConfirmationBasis::StateOnly,
            starvation: PolicyOwner::ByController,
            failure: PolicyOwner::Unsupported,
        }
    }

    /// Creates the capabilities of an encryptor that uses a staged key at its next key exchange.
    #[must_use]
    pub fn next_exchange(key: KeyForm, longest: Option<Duration>, hitless: Hitless) -> Self {
        Self {
            activation: Activation::NextExchange { longest },
            hitless,
            // An exchange may need retries.
            confirm_timeout: longest.unwrap_or_default() + Duration::from_secs(30),
            ..Self::forced_reinitialisation(key, None)
        }
    }

    /// Creates the capabilities of an encryptor that stores keys under their ids and establishes a
    /// new association before the one before ends.
    #[must_use]
    pub fn make_before_break(key: KeyForm, hitless: Hitless) -> Self {
        Self {
            staging: Staging::Named,
            activation: Activation::MakeBeforeBreak,
            activate_both: false,
            hitless,
            ..Self::two_slot(2, true, key)
        }
    }

    /// Creates the capabilities of an encryptor that reports its state and takes no key.
    #[must_use]
    pub fn status_only() -> Self {
        Self {
            staging: Staging::None,
            activation: Activation::None,
            key: None,
            activate_both: false,
            hitless: Hitless::no("keys are not rolled through this interface"),
            half_done_roll: HalfDoneRoll::NotApplicable,
            outage: None,
            confirm_timeout: Duration::ZERO,
            evidence: ConfirmationBasis::StateOnly,
            starvation: PolicyOwner::Unsupported,
            failure: PolicyOwner::Unsupported,
        }
    }

    /// Sets the time within which a roll is confirmed.
    #[must_use]
    pub fn with_confirm_timeout(mut self, time: Duration) -> Self {
        self.confirm_timeout = time;
        self
    }
    /// Sets whether a roll drops no traffic.
    #[must_use]
    pub fn with_hitless(mut self, hitless: Hitless) -> Self {
        self.hitless = hitless;
        self
    }
    /// Sets the state of traffic after a roll that was not completed.
    #[must_use]
    pub fn with_half_done_roll(mut self, state: HalfDoneRoll) -> Self {
        self.half_done_roll = state;
        self
    }
    /// Sets that both ends must activate.
    #[must_use]
    pub fn with_activation_of_both(mut self) -> Self {
        self.activate_both = true;
        self
    }
    /// Sets the declared gap of a roll that is not hitless.
    #[must_use]
    pub fn with_outage(mut self, outage: Duration) -> Self {
        self.outage = Some(outage);
        self
    }
    /// Sets the evidence on which a confirmation rests.
    #[must_use]
    pub fn with_evidence(mut self, evidence: ConfirmationBasis) -> Self {
        self.evidence = evidence;
        self
    }
    /// Sets who stops using a key that is too old, and who decides on traffic without a key.
    #[must_use]
    pub fn with_policies(mut self, starvation: PolicyOwner, failure: PolicyOwner) -> Self {
        (self.starvation, self.failure) = (starvation, failure);
        self
    }
}
