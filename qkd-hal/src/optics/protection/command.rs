//! Settings of a protection group and external commands, with their text form.

use super::PathId;
use crate::{Error, Result, units::DecibelMilliwatts};
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr, time::Duration};

/// Whether the device or the operator selects the path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SelectionMode {
    /// The device selects the path by the received power.
    Automatic,
    /// The operator selects the path.
    Manual,
}

impl fmt::Display for SelectionMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if *self == Self::Automatic {
            "automatic"
        } else {
            "manual"
        })
    }
}

/// A setting of a group.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "setting", content = "value")]
#[non_exhaustive]
pub enum ProtectionSetting {
    /// Whether the device or the operator selects the path.
    Mode(SelectionMode),
    /// Path on which the signal normally is.
    Preferred(PathId),
    /// Whether the signal returns to the preferred path after that path has recovered.
    Revertive(bool),
    /// Time for which the preferred path must have been available before the signal returns to it.
    WaitToRestore(#[serde(with = "crate::serial::nanoseconds")] Duration),
    /// The input power of a path below which the path has failed.
    Threshold {
        /// Path of the threshold.
        path: PathId,
        /// Power below which the path has failed.
        level: DecibelMilliwatts,
    },
}

/// Kind of a [`ProtectionSetting`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum SettingKind {
    /// Kind of [`ProtectionSetting::Mode`].
    Mode,
    /// Kind of [`ProtectionSetting::Preferred`].
    Preferred,
    /// Kind of [`ProtectionSetting::Revertive`].
    Revertive,
    /// Kind of [`ProtectionSetting::WaitToRestore`].
    WaitToRestore,
    /// Kind of [`ProtectionSetting::Threshold`].
    Threshold,
}

impl fmt::Display for SettingKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Mode => "mode",
            Self::Preferred => "preferred",
            Self::Revertive => "revert",
            Self::WaitToRestore => "wait-to-restore",
            Self::Threshold => "threshold",
        })
    }
}

impl ProtectionSetting {
    /// Returns the kind of this setting.
    #[must_use]
    pub fn kind(&self) -> SettingKind {
        match self {
            Self::Mode(_) => SettingKind::Mode,
            Self::Preferred(_) => SettingKind::Preferred,
            Self::Revertive(_) => SettingKind::Revertive,
            Self::WaitToRestore(_) => SettingKind::WaitToRestore,
            Self::Threshold { .. } => SettingKind::Threshold,
        }
    }
}

impl fmt::Display for ProtectionSetting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mode(mode) => write!(f, "mode={mode}"),
            Self::Preferred(path) => write!(f, "preferred={path}"),
            Self::Revertive(on) => write!(f, "revert={}", if *on { "on" } else { "off" }),
            Self::WaitToRestore(time) => write!(f, "wait-to-restore={}", time.as_secs_f64()),
            Self::Threshold { path, level } => write!(f, "threshold.{path}={}", level.0),
        }
    }
}

impl FromStr for ProtectionSetting {
    type Err = Error;
    /// `mode=automatic`, `preferred=b`, `revert=off`, `wait-to-restore=60` (in seconds),
    /// `threshold.b=-25` (in dBm).
    fn from_str(text: &str) -> Result<Self> {
        let wrong = |what: &str| {
            Error::invalid(format!(
                "invalid setting `{text}` for a protection group: {what}"
            ))
        };
        let (name, value) = text
            .split_once('=')
            .ok_or_else(|| wrong("it is a name and a value, such as mode=automatic"))?;
        let number = |unit: &str| {
            value
                .parse::<f64>()
                .ok()
                .filter(|v| v.is_finite())
                .ok_or_else(|| wrong(&format!("the value is a number of {unit}")))
        };
        match name {
            "mode" => match value {
                "automatic" => Ok(Self::Mode(SelectionMode::Automatic)),
                "manual" => Ok(Self::Mode(SelectionMode::Manual)),
                _ => Err(wrong("the mode is automatic or manual")),
            },
            "preferred" => Ok(Self::Preferred(value.into())),
            "revert" => match value {
                "on" => Ok(Self::Revertive(true)),
                "off" => Ok(Self::Revertive(false)),
                _ => Err(wrong("revert is on or off")),
            },
            "wait-to-restore" => {
                let time = Duration::try_from_secs_f64(number("seconds")?)
                    .map_err(|_| wrong("the value is a number of seconds, not below zero"))?;
                Ok(Self::WaitToRestore(time))
            }
            _ => match name.strip_prefix("threshold.") {
                Some(path) => Ok(Self::Threshold {
                    path: path.into(),
                    level: DecibelMilliwatts(number("dBm")?),
                }),
                None => Err(wrong(
                    "the names are mode, preferred, revert, wait-to-restore and threshold.PATH",
                )),
            },
        }
    }
}

/// An operator's command to a group (ITU-T G.808.1, externally initiated commands).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "command", content = "path")]
#[non_exhaustive]
pub enum ExternalCommand {
    /// Takes the standing command back.
    Clear,
    /// Keeps the signal on the preferred path, whatever happens.
    Lockout,
    /// Goes to a path and stays there, whatever its light.
    Force(PathId),
    /// Selects a path that is available.
    Manual(PathId),
}

/// Kind of an [`ExternalCommand`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum ExternalCommandKind {
    /// Kind of [`ExternalCommand::Clear`].
    Clear,
    /// Kind of [`ExternalCommand::Lockout`].
    Lockout,
    /// Kind of [`ExternalCommand::Force`].
    Force,
    /// Kind of [`ExternalCommand::Manual`].
    Manual,
}

impl fmt::Display for ExternalCommandKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Clear => "clear",
            Self::Lockout => "lockout",
            Self::Force => "force",
            Self::Manual => "manual",
        })
    }
}

impl ExternalCommand {
    /// Returns the kind of this command.
    #[must_use]
    pub fn kind(&self) -> ExternalCommandKind {
        match self {
            Self::Clear => ExternalCommandKind::Clear,
            Self::Lockout => ExternalCommandKind::Lockout,
            Self::Force(_) => ExternalCommandKind::Force,
            Self::Manual(_) => ExternalCommandKind::Manual,
        }
    }
    /// The path to which it goes.
    #[must_use]
    pub fn path(&self) -> Option<&PathId> {
        match self {
            Self::Force(path) | Self::Manual(path) => Some(path),
            Self::Clear | Self::Lockout => None,
        }
    }
}

impl fmt::Display for ExternalCommand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Clear => f.write_str("clear"),
            Self::Lockout => f.write_str("lockout"),
            Self::Force(path) => write!(f, "force {path}"),
            Self::Manual(path) => write!(f, "manual {path}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_read_as_they_are_written() {
        for text in [
            "mode=automatic",
            "mode=manual",
            "preferred=b",
            "revert=on",
            "revert=off",
            "wait-to-restore=60",
            "wait-to-restore=0.5",
            "threshold.b=-25.5",
        ] {
            assert_eq!(text.parse::<ProtectionSetting>().unwrap().to_string(), text);
        }
        for (text, says) in [
            ("mode", "a name and a value"),
            ("mode=auto", "automatic or manual"),
            ("revert=yes", "on or off"),
            ("wait-to-restore=-1", "not below zero"),
            ("wait-to-restore=inf", "number of seconds"),
            ("threshold.a=dark", "number of dBm"),
            ("colour=red", "threshold.PATH"),
        ] {
            let error = text.parse::<ProtectionSetting>().unwrap_err();
            assert!(error.message().contains(says), "{error}");
        }
    }
}
