//! A protection switch that breaks a requirement.

use super::Broken;
use async_trait::async_trait;
use qkd_hal::{Result, reading::Measured};
use qkd_switch_hal::protection::{GroupId, Protection, ProtectionCapabilities, ProtectionSetting, ProtectionStatus, SwitchCommand};
use std::sync::Arc;

impl Broken {
    fn honest_protection(&self) -> Arc<dyn Protection> {
        self.opened.as_protection().unwrap()
    }
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
        self.through(protection.protection(group)).await
    }

    async fn set_protection(&self, group: &GroupId, setting: &ProtectionSetting) -> Result<()> {
        let protection = self.honest_protection();
        self.through(protection.set_protection(group, setting)).await
    }

    async fn command(&self, group: &GroupId, command: &SwitchCommand) -> Result<()> {
        let protection = self.honest_protection();
        self.through(protection.command(group, command)).await
    }
}
