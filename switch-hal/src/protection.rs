//! Protection: a signal reaches its receiver over one of several paths, and the device selects
//! another path if the signal fails.
//!
//! Terms are those of ITU-T G.808.1. A group has paths; one is *active* (the selector is set to it)
//! and one is *preferred* (the working path). In automatic mode, the device switches over
//! automatically. In manual mode, it stays on the selected path, even without light.
//!
//! ```text
//! controller               protection switch
//!     |--- protection(group) ---->|   status: active path, reason, alarms
//!     |<-- ProtectionStatus ------|
//!     |--- command(Manual(b)) --->|
//!     |                           |   reads the status; permits(command)?
//!     |                           |   commands; reads back the active path
//!     |<-- Ok --------------------|
//!     |                           X   signal fail on b
//!     |<-- event SwitchOver(a) ---|   automatic mode only
//! ```
//!
//! # For controller authors
//!
//! - A switch-over is an event ([`qkd_hal::EventKind::SwitchOver`]). Its origin is `Device` if the
//!   device sends notifications.
//! - [`ExternalCommand::Manual`] is refused if the requested path has failed or its state is
//!   unknown. [`ExternalCommand::Force`] is not.
//! - Manual mode does not protect. Return a group to automatic mode when you have finished.
//!
//! # For driver authors
//!
//! - Declare in [`ProtectionCapabilities`] exactly what the device supports: the check in front of
//!   the handle refuses the rest.
//! - In [`Protection::command`], read the status first and call [`ProtectionStatus::permits`].

pub use qkd_hal::optics::protection::*;

use async_trait::async_trait;
use qkd_hal::{Device, Result, reading::Measured};

/// A protection switch with one or more protection groups.
#[async_trait]
pub trait Protection: Device {
    /// Returns the properties of this protection switch, without I/O.
    fn protection_capabilities(&self) -> &ProtectionCapabilities;

    /// Lists the protection groups, in the order of the device.
    ///
    /// # Errors
    /// Transport errors.
    async fn groups(&self) -> Result<Vec<GroupId>>;

    /// Reads the status of a protection group.
    ///
    /// # Errors
    /// `NotFound` for a group that does not exist; `Misbehaved(ValueOutOfRange)` for a path that
    /// does not belong to the group; transport errors.
    async fn protection(&self, group: &GroupId) -> Result<Measured<ProtectionStatus>>;

    /// Changes a setting and reads it back. **May disturb traffic**: another preferred path,
    /// threshold or mode can cause a switch-over.
    ///
    /// # Errors
    /// `NotFound` for a group that does not exist; `InvalidInput` for a path that does not belong
    /// to it or a value outside the capabilities, before anything is sent; `Refused`,
    /// `Misbehaved(ChangeNotApplied)`, transport errors.
    async fn set_protection(&self, group: &GroupId, setting: &ProtectionSetting) -> Result<()>;

    /// Gives an external command and reads back the result. **Disturbs traffic.**
    ///
    /// 1. Reads the status of the group.
    /// 2. Refuses a command that [`ProtectionStatus::permits`] refuses, with effect `None`. An
    ///    unknown state is refused too.
    /// 3. Sends the command.
    /// 4. Reads back and compares the active path with that of the command.
    ///
    /// # Errors
    /// `NotFound` for a group that does not exist; `InvalidInput` for a path that does not belong
    /// to it; `NotReady` if the command is unsafe or the group is in another mode; `Refused`,
    /// `Misbehaved(ChangeNotApplied)`, transport errors.
    async fn command(&self, group: &GroupId, command: &ExternalCommand) -> Result<()>;
}
