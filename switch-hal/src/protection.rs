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

mod command;
mod status;

pub use command::{
    ExternalCommand, ExternalCommandKind, ProtectionSetting, SelectionMode, SettingKind,
};
pub use status::{ActivePath, PathStatus, ProtectionStatus, SwitchRequest};

use crate::{PowerFailureBehaviour, power_meter::check_range};
use async_trait::async_trait;
use qkd_hal::{Certainty, Device, Error, Result, reading::Measured, units::DecibelMilliwatts};
use serde::Serialize;
use std::{collections::BTreeSet, fmt, ops::RangeInclusive, time::Duration};

macro_rules! name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
        #[serde(transparent)]
        pub struct $name(pub String);
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(text.to_owned())
            }
        }
    };
}
name!(
    /// A protection group, by the vendor's name or number for it.
    GroupId
);
name!(
    /// A path of a group: `a`, `main`, `working`, a port's number.
    PathId
);

/// Serialises a range of seconds as milliseconds, or null.
fn serialize_range_millis<S: serde::Serializer>(
    seconds: &Option<RangeInclusive<f64>>,
    s: S,
) -> std::result::Result<S::Ok, S::Error> {
    seconds
        .as_ref()
        .map(|range| range.start() * 1000.0..=range.end() * 1000.0)
        .serialize(s)
}

/// Properties of a protection switch in addition to [`qkd_hal::Capabilities`].
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
#[non_exhaustive]
pub struct ProtectionCapabilities {
    /// The settings that can be changed.
    pub settings: BTreeSet<SettingKind>,
    /// The commands that it takes.
    pub commands: BTreeSet<ExternalCommandKind>,
    /// The times to wait before it restores, in seconds; whole multiples of the least step.
    #[serde(
        rename = "wait_to_restore_ms",
        serialize_with = "serialize_range_millis"
    )]
    pub wait_to_restore: Option<RangeInclusive<f64>>,
    /// The least step of the time to wait.
    #[serde(
        rename = "wait_step_ms",
        serialize_with = "qkd_hal::reading::serialize_millis"
    )]
    pub wait_step: Duration,
    /// The powers to which thresholds can be set, in dBm.
    #[serde(rename = "threshold_dbm")]
    pub threshold: Option<RangeInclusive<f64>>,
    /// Longest time of a switch-over; `None` if unknown.
    #[serde(
        rename = "switching_time_ms",
        serialize_with = "qkd_hal::reading::serialize_optional_millis"
    )]
    pub switching_time: Option<Duration>,
    /// Behaviour of the active path when the device loses power.
    pub power_loss: Certainty<PowerFailureBehaviour>,
}

impl ProtectionCapabilities {
    /// With these settings and commands.
    #[must_use]
    pub fn new(settings: &[SettingKind], commands: &[ExternalCommandKind]) -> Self {
        Self {
            settings: settings.iter().copied().collect(),
            commands: commands.iter().copied().collect(),
            wait_step: Duration::from_secs(1),
            ..Self::default()
        }
    }
    /// With these times to wait.
    #[must_use]
    pub fn with_wait_to_restore(mut self, range: RangeInclusive<Duration>, step: Duration) -> Self {
        (self.wait_to_restore, self.wait_step) = (
            Some(range.start().as_secs_f64()..=range.end().as_secs_f64()),
            step,
        );
        self
    }
    /// Sets the range of supported thresholds.
    #[must_use]
    pub fn with_threshold(mut self, range: RangeInclusive<DecibelMilliwatts>) -> Self {
        self.threshold = Some(range.start().0..=range.end().0);
        self
    }
    /// Sets the longest time of a switch-over.
    #[must_use]
    pub fn with_switching_time(mut self, time: Duration) -> Self {
        self.switching_time = Some(time);
        self
    }
    /// With this behaviour on loss of power.
    #[must_use]
    pub fn with_power_loss(mut self, what: Certainty<PowerFailureBehaviour>) -> Self {
        self.power_loss = what;
        self
    }

    /// Checks a setting against what can be set. Whether its path is there, only the group knows.
    ///
    /// # Errors
    /// `InvalidInput`, naming what would be right.
    pub fn check_setting(&self, setting: &ProtectionSetting) -> Result<()> {
        if !self.settings.contains(&setting.kind()) {
            return Err(Error::invalid(format!(
                "the setting `{}` of its groups cannot be changed",
                setting.kind()
            )));
        }
        match setting {
            ProtectionSetting::WaitToRestore(time) => {
                check_range(
                    time.as_secs_f64(),
                    self.wait_to_restore.as_ref(),
                    "s",
                    "time to wait",
                )?;
                if time
                    .as_nanos()
                    .is_multiple_of(self.wait_step.as_nanos().max(1))
                {
                    return Ok(());
                }
                Err(Error::invalid(format!(
                    "the time to wait is set in steps of {} s",
                    self.wait_step.as_secs_f64()
                )))
            }
            ProtectionSetting::Threshold { level, .. } => {
                check_range(level.0, self.threshold.as_ref(), "dBm", "threshold")
            }
            _ => Ok(()),
        }
    }

    /// Checks a command against those that it takes.
    ///
    /// # Errors
    /// `InvalidInput`.
    pub fn check_command(&self, command: &ExternalCommand) -> Result<()> {
        if self.commands.contains(&command.kind()) {
            return Ok(());
        }
        Err(Error::invalid(format!(
            "its groups do not support the command `{}`",
            command.kind()
        )))
    }
}

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
