//! Mutants of a protection switch.

use super::{Broken, NOT_APPLIED, with_effect};
use qkd_hal::{Effect, ErrorKind, Outcome, Request, Result};
use qkd_switch_hal::protection::{
    ExternalCommand, GroupId, PathId, ProtectionSetting, ProtectionStatus, SelectionMode,
    SettingKind, SwitchRequest,
};

impl Broken {
    pub(super) async fn protection_call(&self, request: &Request<'_>) -> Result<Outcome> {
        match (self.breaks, request) {
            ("PRT-03", Request::ProtectionStatus { .. }) => {
                let protection = self.opened.protection()?;
                let first = protection.groups().await?.remove(0);
                let status = protection.protection(&first).await?;
                return Ok(Outcome::ProtectionStatus(status));
            }
            ("PRT-04", Request::SetProtection { group, setting }) => {
                if let ProtectionSetting::Preferred(path) = &**setting
                    && self.lacks(group, path).await?
                {
                    return Ok(Outcome::Done);
                }
            }
            ("PRT-04", Request::ProtectionCommand { group, command }) => {
                if let Some(path) = command.path()
                    && self.lacks(group, path).await?
                {
                    return Ok(Outcome::Done);
                }
            }
            // It asks the device first.
            ("PRT-05", Request::SetProtection { group, .. }) => {
                self.opened.protection()?.protection(group).await?;
            }
            ("PRT-06", Request::SetProtection { setting, .. })
                if setting.kind() == SettingKind::Revertive =>
            {
                return Ok(Outcome::Done);
            }
            _ => {}
        }
        let mut result = self.honest(request).await;
        match (self.breaks, request, &mut result) {
            (_, _, Ok(Outcome::ProtectionStatus(now))) => self.alter(&mut now.value),
            // A command that is not permitted may have been carried out.
            ("PRT-10", Request::ProtectionCommand { command, .. }, Err(e))
                if e.kind() == ErrorKind::NotReady
                    && matches!(**command, ExternalCommand::Manual(_)) =>
            {
                result = Err(with_effect(e, Effect::Unknown));
            }
            ("PRT-13", Request::ProtectionCommand { .. }, Err(_)) => result = Ok(Outcome::Done),
            ("PRT-16", Request::SetProtection { .. }, Err(e)) if e.kind() == NOT_APPLIED => {
                result = Ok(Outcome::Done);
            }
            _ => {}
        }
        result
    }

    /// Whether a group of the device lacks a path.
    async fn lacks(&self, group: &GroupId, path: &PathId) -> Result<bool> {
        let now = self.opened.protection()?.protection(group).await?.value;
        Ok(now.path(path).is_err())
    }

    /// Applies the fault to the status of the device.
    fn alter(&self, now: &mut ProtectionStatus) {
        match self.breaks {
            "PRT-01" => now.group = "another".into(),
            "PRT-02" => now.active.path = "nowhere".into(),
            // It reports the first active path for ever.
            "PRT-07" => {
                let first = &mut self.past().path;
                now.active.path = first.get_or_insert(now.active.path.clone()).clone();
            }
            "PRT-09" | "PRT-12" => {
                now.paths.iter_mut().for_each(|p| p.failed = Some(false));
                if self.is("PRT-12") {
                    now.mode = SelectionMode::Automatic;
                }
            }
            "PRT-11"
                if now.active.request == SwitchRequest::ForcedSwitch
                    || now.mode == SelectionMode::Manual =>
            {
                now.active.request = SwitchRequest::NoRequest;
                now.mode = SelectionMode::Automatic;
            }
            "PRT-14" if now.active.request == SwitchRequest::LockoutOfProtection => {
                now.active.request = SwitchRequest::NoRequest;
            }
            "PRT-15" if now.active.request == SwitchRequest::WaitToRestore => {
                if let Some(preferred) = &now.preferred {
                    now.active.path = preferred.clone();
                }
            }
            _ => {}
        }
    }
}
