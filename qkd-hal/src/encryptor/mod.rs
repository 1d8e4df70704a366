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
//!     |--- activate(staged) ->|                       |   if activation is commanded
//!     |--- activate(staged) ------------------------->|   and activate_both
//!     |                       |<=== key agreement ===>|   forced: traffic stops here
//!     |--- confirm(staged) -->|                       |
//!     |--- confirm(staged) -------------------------->|
//!     |--- retire(confirmed) ->|                      |   only if both are confirmed
//!     |--- retire(confirmed) ------------------------>|   and the key before is kept
//! ```
//!
//! # Families
//!
//! | [`Staging`] | [`Activation`] | traffic during a roll | example |
//! |---|---|---|---|
//! | `Slots`: idle slot, active key unchanged | `SlotPointer` | hitless if both ends receive with a staged key | MACsec with two CAKs, static SAKs |
//! | `Named`: in addition to the secret in use | `MakeBeforeBreak`: a second association, then the first ends | as declared | IKEv2 with a PPK |
//! | `Overwrite`: over the secret in use | `ForcedReinitialisation`: restarts the exchange | interrupted; outage declared and reported | optical transponders |
//! | `Overwrite` | `NextExchange`: no command; `activate` is `Unsupported` | as declared | WireGuard |
//! | `None` | `None`: the device reports its state only | | status agents |
//!
//! A controller plans a roll from [`EncryptorCapabilities`] alone.
//!
//! # Contract
//!
//! 1. `stage` borrows the key and never activates it. After a lost reply
//!    ([`crate::Effect::Unknown`]), stage again with the same key. A key whose role, size, bytes or
//!    id do not fit [`EncryptorCapabilities::key`] is refused before anything is sent.
//! 2. `activate` fails with `NotReady` if no matching key is staged. After a lost reply, read the
//!    channel.
//! 3. `confirm` waits at most as long as the caller says, usually
//!    [`EncryptorCapabilities::confirm_timeout`], and returns a [`Confirmation`]. It may be called
//!    again. `Confirmation::confirmed` gives [`Confirmed`], or `NotReady` with effect `Partial` if
//!    the key does not protect traffic by then.
//! 4. `retire` takes [`Confirmed`]. It fails with `NotReady` while the key to delete is in use, and
//!    with `Unsupported` where the key before is not kept ([`Staging::keeps_previous`]).
//! 5. On the first error, stop and read both channels before you continue.
//!
//! # For driver authors
//!
//! Never select [`FailureMode::AllowClear`] automatically. Send key material by SNMP only with
//! authPriv; otherwise return `Authentication` without sending anything.

mod capabilities;
mod key_form;
mod staged;
mod status;

pub use crate::key::KeyRole;
pub use capabilities::{
    Activation, ConfirmationBasis, EncryptorCapabilities, HalfDoneRoll, Hitless, PolicyOwner,
    Staging,
};
pub use key_form::{KeyAlphabet, KeyForm, KeyIdForm, KeySizes};
pub use staged::{Confirmation, Confirmed, Staged};
pub use status::{ChannelId, ChannelState, ChannelStatus, FailureMode, Slot, TrafficCounters};

use crate::{Device, Error, Key, Operation, Result};
use async_trait::async_trait;
use std::time::Duration;

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
    /// 1. Checks the key against [`EncryptorCapabilities::key`], and that the link protects key
    ///    material.
    /// 2. Writes key and key ID in one request.
    /// 3. Reads back what the device reports about the key.
    ///
    /// # Errors
    /// `InvalidInput` (role, size, bytes or id), `Authentication` (the link is below authPriv),
    /// `NotFound`, `Refused` with effect `None`; `Unsupported` with [`Staging::None`]. A lost reply
    /// has effect `Unknown`: stage again with the same key.
    async fn stage(&self, _channel: &ChannelId, _key: &Key) -> Result<Staged> {
        unsupported_operation(Operation::Stage)
    }

    /// Makes the staged key the one in use. May disturb traffic where
    /// [`EncryptorCapabilities::hitless`] is false.
    ///
    /// # Errors
    /// `NotReady` if nothing fitting is staged; `Refused`; `Unsupported` unless
    /// [`Activation::is_commanded`]; a lost reply has effect `Unknown`: read the channel.
    async fn activate(&self, _staged: &Staged) -> Result<()> {
        unsupported_operation(Operation::Activate)
    }

    /// Waits until the staged key protects traffic, at most `longest`: usually
    /// [`EncryptorCapabilities::confirm_timeout`]. With zero it reads once. It may be called again.
    ///
    /// Works in another process than the one that staged, with the [`Staged`] that it passed on.
    /// A device that overwrites its secret shows an exchange only while it runs: an end that was
    /// not open meanwhile is not confirmed, says so in its evidence, and can be confirmed after
    /// another `activate` at that end, which interrupts traffic again.
    ///
    /// # Errors
    /// Transport errors. A key that does not protect traffic by then is not an error here, but at
    /// [`Confirmation::confirmed`].
    async fn confirm(&self, _staged: &Staged, _longest: Duration) -> Result<Confirmation> {
        unsupported_operation(Operation::Confirm)
    }

    /// Deletes the previous key from the device, once the new one is confirmed to protect traffic.
    ///
    /// # Errors
    /// `NotReady` if the previous key is still in use; `Unsupported` unless
    /// [`Staging::keeps_previous`].
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
