//! Data of protection switches: settings, external commands, status.

mod command;
mod status;

pub use command::{
    ExternalCommand, ExternalCommandKind, ProtectionSetting, SelectionMode, SettingKind,
};
pub use status::{ActivePath, PathStatus, ProtectionStatus, SwitchRequest};

use super::{PowerFailureBehaviour, power_meter::check_range};
use crate::{Certainty, Error, Result, units::DecibelMilliwatts};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeSet, fmt, ops::RangeInclusive, time::Duration};

macro_rules! name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
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

/// Properties of a protection switch in addition to [`crate::Capabilities`].
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ProtectionCapabilities {
    /// The settings that can be changed.
    pub settings: BTreeSet<SettingKind>,
    /// The commands that it takes.
    pub commands: BTreeSet<ExternalCommandKind>,
    /// The times to wait before it restores; whole multiples of the least step.
    #[serde(
        rename = "wait_to_restore_ns",
        with = "crate::serial::optional_nanoseconds_range"
    )]
    pub wait_to_restore: Option<RangeInclusive<Duration>>,
    /// The least step of the time to wait.
    #[serde(rename = "wait_step_ns", with = "crate::serial::nanoseconds")]
    pub wait_step: Duration,
    /// The powers to which thresholds can be set, in dBm.
    #[serde(
        rename = "threshold_dbm",
        with = "crate::serial::optional_number_range"
    )]
    pub threshold: Option<RangeInclusive<f64>>,
    /// Longest time of a switch-over; `None` if unknown.
    #[serde(
        rename = "switching_time_ns",
        with = "crate::serial::optional_nanoseconds"
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
        (self.wait_to_restore, self.wait_step) = (Some(range), step);
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
                let seconds = self
                    .wait_to_restore
                    .as_ref()
                    .map(|range| range.start().as_secs_f64()..=range.end().as_secs_f64());
                check_range(time.as_secs_f64(), seconds.as_ref(), "s", "time to wait")?;
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
