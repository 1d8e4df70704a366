//! A protection switch that breaks a requirement.

use super::Broken;
use async_trait::async_trait;
use qkd_hal::{DeviceMisbehaved, Effect, Error, ErrorKind, Result, reading::Measured};
use qkd_switch_hal::protection::{
    ExternalCommand, GroupId, PathId, Protection, ProtectionCapabilities, ProtectionSetting,
    ProtectionStatus, SelectionMode, SettingKind, SwitchRequest,
};
use std::sync::Arc;

impl Broken {
    fn honest_protection(&self) -> Arc<dyn Protection> {
        self.opened.protection().unwrap()
    }

    /// Returns the status of the device with the fault applied.
    fn shown(&self, mut now: ProtectionStatus) -> ProtectionStatus {
        match self.breaks {
            "PRT-01" => now.group = "another".into(),
            "PRT-02" => now.active.path = "nowhere".into(),
            // Never anything but well, and where it was first.
            "PRT-07" => {
                let first = self
                    .past()
                    .kept_path
                    .get_or_insert_with(|| now.active.path.clone())
                    .clone();
                now.active.path = first;
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
                now.active.request = SwitchRequest::NoRequest
            }
            "PRT-15" if now.active.request == SwitchRequest::WaitToRestore => {
                if let Some(preferred) = &now.preferred {
                    now.active.path = preferred.clone();
                }
            }
            _ => {}
        }
        now
    }
}

fn not_here(path: &PathId, now: &ProtectionStatus) -> bool {
    now.path(path).is_err()
}

#[async_trait]
impl Protection for Broken {
    fn protection_capabilities(&self) -> &ProtectionCapabilities {
        self.protection.as_ref().unwrap()
    }

    async fn groups(&self) -> Result<Vec<GroupId>> {
        let protection = self.honest_protection();
        self.through(protection.groups()).await
    }

    async fn protection(&self, group: &GroupId) -> Result<Measured<ProtectionStatus>> {
        let protection = self.honest_protection();
        if self.is("PRT-03") {
            let first = protection.groups().await?.remove(0);
            return protection.protection(&first).await;
        }
        let mut now = self.through(protection.protection(group)).await?;
        now.value = self.shown(now.value);
        Ok(now)
    }

    async fn set_protection(&self, group: &GroupId, setting: &ProtectionSetting) -> Result<()> {
        let protection = self.honest_protection();
        match self.breaks {
            "PRT-04" if matches!(setting, ProtectionSetting::Preferred(p) if not_here(p, &protection.protection(group).await?.value)) =>
            {
                return Ok(());
            }
            // It asks the device first.
            "PRT-05" => drop(protection.protection(group).await?),
            "PRT-06" if setting.kind() == SettingKind::Revertive => return Ok(()),
            _ => {}
        }
        let result = self
            .through(protection.set_protection(group, setting))
            .await;
        match result {
            Err(e)
                if self.is("PRT-16")
                    && e.kind() == ErrorKind::Misbehaved(DeviceMisbehaved::ChangeNotApplied) =>
            {
                Ok(())
            }
            result => result,
        }
    }

    async fn command(&self, group: &GroupId, command: &ExternalCommand) -> Result<()> {
        let protection = self.honest_protection();
        if let ("PRT-04", Some(path)) = (self.breaks, command.path())
            && not_here(path, &protection.protection(group).await?.value)
        {
            return Ok(());
        }
        let result = self.through(protection.command(group, command)).await;
        match (self.breaks, result) {
            // What may not be asked for is forced.
            ("PRT-10", Err(e))
                if e.kind() == ErrorKind::NotReady
                    && matches!(command, ExternalCommand::Manual(_)) =>
            {
                Err(Error::new(ErrorKind::NotReady, e.message()).with_effect(Effect::Unknown))
            }
            ("PRT-13", Err(_)) => Ok(()),
            (_, result) => result,
        }
    }
}
