//! The types that methods of the traits return, as outcomes.

use super::{Keys, Outcome, RandomBytes};
use crate::{
    Effect, Error, ErrorKind, Health, Identity, Key, Result,
    encryptor::{ChannelId, ChannelStatus, Confirmation, Staged, TrafficCounters},
    optics::{
        ApplyReport, Attenuation, CrossConnects, MonitorStatus, PortStatus,
        protection::{GroupId, ProtectionStatus},
    },
    parameter::ParameterValue,
    qkd::{KeyStore, ModuleStatus, Performance},
    reading::{Measured, Reading},
    units::DecibelMilliwatts,
};
use zeroize::Zeroizing;

/// A type that a method of a trait returns.
pub trait Answer: Sized + Send {
    /// Wraps the value.
    fn into_outcome(self) -> Outcome;
    /// Takes the value out of an outcome.
    ///
    /// # Errors
    /// `Internal` if the outcome is that of another operation; `Unsupported` with effect `Unknown`
    /// if its secret parts have not travelled with it.
    fn from_outcome(outcome: Outcome) -> Result<Self>;
}

fn of_another_operation() -> Error {
    Error::new(
        ErrorKind::Internal,
        "the outcome is that of another operation",
    )
}

fn without_secrets() -> Error {
    Error::new(
        ErrorKind::Unsupported,
        "the keys did not travel with the outcome, because the transport does not protect them; \
         they are lost, and must not be used at the peer",
    )
    .with_effect(Effect::Unknown)
}

macro_rules! answers {
    ($($answer:ty: $variant:ident;)*) => {$(
        impl Answer for $answer {
            fn into_outcome(self) -> Outcome {
                Outcome::$variant(self)
            }
            fn from_outcome(outcome: Outcome) -> Result<Self> {
                match outcome {
                    Outcome::$variant(value) => Ok(value),
                    _ => Err(of_another_operation()),
                }
            }
        }
    )*};
}

answers! {
    Identity: Identity;
    Health: Health;
    Vec<Reading>: Telemetry;
    ParameterValue: Parameter;
    ModuleStatus: ModuleStatus;
    Performance: Performance;
    KeyStore: KeyStore;
    Vec<ChannelId>: Channels;
    ChannelStatus: Channel;
    Staged: Staged;
    Confirmation: Confirmation;
    TrafficCounters: Counters;
    Measured<CrossConnects>: Connections;
    Vec<PortStatus>: Ports;
    ApplyReport: Applied;
    Vec<Measured<DecibelMilliwatts>>: Power;
    MonitorStatus: Monitor;
    Attenuation: Attenuation;
    Vec<GroupId>: ProtectionGroups;
    Measured<ProtectionStatus>: ProtectionStatus;
}

impl Answer for () {
    fn into_outcome(self) -> Outcome {
        Outcome::Done
    }
    fn from_outcome(outcome: Outcome) -> Result<Self> {
        match outcome {
            Outcome::Done => Ok(()),
            _ => Err(of_another_operation()),
        }
    }
}

impl Answer for Vec<Key> {
    fn into_outcome(self) -> Outcome {
        Outcome::Keys(Keys::Present(self))
    }
    fn from_outcome(outcome: Outcome) -> Result<Self> {
        match outcome {
            Outcome::Keys(Keys::Present(keys)) => Ok(keys),
            Outcome::Keys(Keys::Absent(_)) => Err(without_secrets()),
            _ => Err(of_another_operation()),
        }
    }
}

impl Answer for Zeroizing<Vec<u8>> {
    fn into_outcome(self) -> Outcome {
        Outcome::Random(RandomBytes::Present(self))
    }
    fn from_outcome(outcome: Outcome) -> Result<Self> {
        match outcome {
            Outcome::Random(RandomBytes::Present(bytes)) => Ok(bytes),
            Outcome::Random(RandomBytes::Absent(_)) => Err(without_secrets()),
            _ => Err(of_another_operation()),
        }
    }
}
