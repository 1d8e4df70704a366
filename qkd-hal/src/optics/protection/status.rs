//! Status of a protection group.

use super::{ExternalCommand, GroupId, PathId, ProtectionSetting, SelectionMode, SettingKind};
use crate::optics::Port;
use crate::{Error, ErrorKind, Result, event::Origin, reading::Measured, units::DecibelMilliwatts};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeSet, fmt, time::Duration, time::SystemTime};

/// Reason for which a path is active: the request in effect, lowest priority first (ITU-T G.808.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum SwitchRequest {
    /// None: the signal is where it belongs.
    NoRequest,
    /// The preferred path has recovered; the group is non-revertive.
    DoNotRevert,
    /// The preferred path has recovered; the wait-to-restore time is running.
    WaitToRestore,
    /// An operator's manual switch, or manual mode.
    ManualSwitch,
    /// The signal is bad on the other path.
    SignalDegrade,
    /// The signal has failed on the other path.
    SignalFail,
    /// An operator's forced switch.
    ForcedSwitch,
    /// An operator's lockout: the signal stays on the preferred path.
    LockoutOfProtection,
    /// The device does not report it.
    Unknown,
}

impl fmt::Display for SwitchRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoRequest => "no-request",
            Self::DoNotRevert => "do-not-revert",
            Self::WaitToRestore => "wait-to-restore",
            Self::ManualSwitch => "manual-switch",
            Self::SignalDegrade => "signal-degrade",
            Self::SignalFail => "signal-fail",
            Self::ForcedSwitch => "forced-switch",
            Self::LockoutOfProtection => "lockout-of-protection",
            Self::Unknown => "unknown",
        })
    }
}

/// Active path of a protection group.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ActivePath {
    /// ID of the path.
    pub path: PathId,
    /// Reason for which the path is active.
    pub request: SwitchRequest,
    /// Time of the last switch-over and its source: the device, or polling by this handle. `None`
    /// if no switch-over was observed since the handle was opened and the device does not report
    /// one.
    #[serde(with = "optional_switch_over_time")]
    pub since: Option<(SystemTime, Origin)>,
}

/// Form in which the time of a switch-over travels.
#[derive(Serialize, Deserialize)]
struct SwitchOverTime {
    #[serde(with = "crate::serial::time")]
    at: SystemTime,
    origin: Origin,
}

/// The time of a switch-over and its source, or null.
mod optional_switch_over_time {
    use super::*;
    pub(super) fn serialize<S: serde::Serializer>(
        since: &Option<(SystemTime, Origin)>,
        s: S,
    ) -> std::result::Result<S::Ok, S::Error> {
        since
            .map(|(at, origin)| SwitchOverTime { at, origin })
            .serialize(s)
    }
    pub(super) fn deserialize<'de, D: serde::Deserializer<'de>>(
        d: D,
    ) -> std::result::Result<Option<(SystemTime, Origin)>, D::Error> {
        let since = Option::<SwitchOverTime>::deserialize(d)?;
        Ok(since.map(|since| (since.at, since.origin)))
    }
}

/// A path of a group.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PathStatus {
    /// ID of the path.
    pub path: PathId,
    /// Switch port at which the path ends; `None` if the device is not a switch.
    pub port: Option<Port>,
    /// The power that comes in, where it is measured.
    #[serde(rename = "power_dbm")]
    pub power: Option<Measured<DecibelMilliwatts>>,
    /// The power below which it has failed, where there is one.
    #[serde(rename = "threshold_dbm")]
    pub threshold: Option<DecibelMilliwatts>,
    /// Whether the device reports the path as failed; `None` if the device does not report it.
    pub failed: Option<bool>,
}

impl PathStatus {
    /// A path of which nothing more is known.
    #[must_use]
    pub fn new(path: impl Into<PathId>) -> Self {
        Self {
            path: path.into(),
            port: None,
            power: None,
            threshold: None,
            failed: None,
        }
    }
}

/// Status of a protection group.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ProtectionStatus {
    /// ID of the protection group.
    pub group: GroupId,
    /// Whether the device or the operator selects the path.
    pub mode: SelectionMode,
    /// Preferred path; `None` if the device does not report it.
    pub preferred: Option<PathId>,
    /// Active path.
    #[serde(rename = "active")]
    pub active: ActivePath,
    /// Whether the group is revertive; `None` if the device does not report it.
    #[serde(rename = "revertive")]
    pub revertive: Option<bool>,
    /// Wait-to-restore time; `None` if the device does not report it.
    #[serde(
        rename = "wait_to_restore_ns",
        with = "crate::serial::optional_nanoseconds"
    )]
    pub wait_to_restore: Option<Duration>,
    /// Status of each path of the group.
    pub paths: Vec<PathStatus>,
    /// Number of switch-overs; `None` if the device does not count them.
    pub switch_overs: Option<u64>,
}

impl ProtectionStatus {
    /// Creates the status of a group with this active path.
    #[must_use]
    pub fn new(
        group: GroupId,
        mode: SelectionMode,
        active: PathId,
        request: SwitchRequest,
        paths: Vec<PathStatus>,
    ) -> Self {
        Self {
            group,
            mode,
            preferred: None,
            active: ActivePath {
                path: active,
                request,
                since: None,
            },
            revertive: None,
            wait_to_restore: None,
            paths,
            switch_overs: None,
        }
    }

    /// One of its paths.
    ///
    /// # Errors
    /// `InvalidInput`, naming those that are there.
    pub fn path(&self, path: &PathId) -> Result<&PathStatus> {
        self.paths.iter().find(|p| p.path == *path).ok_or_else(|| {
            let known: Vec<_> = self.paths.iter().map(|p| p.path.0.as_str()).collect();
            Error::invalid(format!(
                "group {} has no path `{path}`; it has: {}",
                self.group,
                known.join(", ")
            ))
        })
    }

    /// Returns the current settings that the device reports and `settable` contains. The mode is
    /// last: settings that depend on it are written before.
    #[must_use]
    pub fn settings(&self, settable: &BTreeSet<SettingKind>) -> Vec<ProtectionSetting> {
        let mut all: Vec<_> = self
            .preferred
            .iter()
            .cloned()
            .map(ProtectionSetting::Preferred)
            .collect();
        all.extend(self.revertive.map(ProtectionSetting::Revertive));
        all.extend(self.wait_to_restore.map(ProtectionSetting::WaitToRestore));
        all.extend(self.paths.iter().filter_map(|p| {
            Some(ProtectionSetting::Threshold {
                path: p.path.clone(),
                level: p.threshold?,
            })
        }));
        all.push(ProtectionSetting::Mode(self.mode));
        all.retain(|s| settable.contains(&s.kind()));
        all
    }

    /// Returns whether the group is protected now: it is in automatic mode, and a standby path is
    /// known to be available.
    #[must_use]
    pub fn is_protected(&self) -> bool {
        let held = matches!(
            self.active.request,
            SwitchRequest::ForcedSwitch | SwitchRequest::LockoutOfProtection
        );
        self.mode == SelectionMode::Automatic
            && !held
            && self
                .paths
                .iter()
                .any(|p| p.path != self.active.path && p.failed == Some(false))
    }

    /// Checks whether a command is safe in the current status. A manual switch needs a path that is
    /// known to be available, and no active command of higher priority. A forced switch needs only
    /// the path.
    ///
    /// # Errors
    /// `InvalidInput` for a path that does not belong to the group; `NotReady`, with the reason.
    pub fn permits(&self, command: &ExternalCommand) -> Result<()> {
        let Some(path) = command.path() else {
            return Ok(());
        };
        let path = self.path(path)?;
        let ExternalCommand::Manual(_) = command else {
            return Ok(());
        };
        let why = match (self.active.request, path.failed) {
            (SwitchRequest::ForcedSwitch | SwitchRequest::LockoutOfProtection, _) => {
                format!("a {} is active; clear it first", self.active.request)
            }
            (_, Some(true)) => format!(
                "path {} has failed; only a forced switch goes there",
                path.path
            ),
            (_, None) => format!(
                "path {} is not known to be well; only a forced switch goes there",
                path.path
            ),
            (_, Some(false)) => return Ok(()),
        };
        Err(Error::new(ErrorKind::NotReady, why))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(request: SwitchRequest, failed: Option<bool>) -> ProtectionStatus {
        let mut b = PathStatus::new("b");
        b.failed = failed;
        ProtectionStatus::new(
            "1".into(),
            SelectionMode::Automatic,
            "a".into(),
            request,
            vec![PathStatus::new("a"), b],
        )
    }

    #[test]
    fn a_manual_switch_asks_and_a_forced_one_does_not() {
        let manual = ExternalCommand::Manual("b".into());
        assert!(
            group(SwitchRequest::NoRequest, Some(false))
                .permits(&manual)
                .is_ok()
        );
        for (request, failed) in [
            (SwitchRequest::NoRequest, Some(true)),
            (SwitchRequest::NoRequest, None),
            (SwitchRequest::ForcedSwitch, Some(false)),
            (SwitchRequest::LockoutOfProtection, Some(false)),
        ] {
            let group = group(request, failed);
            assert_eq!(
                group.permits(&manual).unwrap_err().kind(),
                ErrorKind::NotReady
            );
            assert!(group.permits(&ExternalCommand::Force("b".into())).is_ok());
        }
        let unknown = group(SwitchRequest::NoRequest, Some(false))
            .permits(&ExternalCommand::Force("c".into()))
            .unwrap_err();
        assert_eq!(
            (unknown.kind(), unknown.message().contains("a, b")),
            (ErrorKind::InvalidInput, true)
        );
    }

    #[test]
    fn a_path_of_unknown_state_does_not_protect() {
        assert!(group(SwitchRequest::NoRequest, Some(false)).is_protected());
        assert!(!group(SwitchRequest::NoRequest, None).is_protected());
        assert!(!group(SwitchRequest::ForcedSwitch, Some(false)).is_protected());
    }
}
