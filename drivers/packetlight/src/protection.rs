//! The device as a `Protection`.

use crate::device::PacketLight;
use async_trait::async_trait;
use qkd_driver_kit::protection;
use qkd_hal::{Result, reading::Measured};
use qkd_switch_hal::protection::{
    ExternalCommand, GroupId, Protection, ProtectionCapabilities, ProtectionSetting,
    ProtectionStatus,
};

#[async_trait]
impl Protection for PacketLight {
    fn protection_capabilities(&self) -> &ProtectionCapabilities {
        &self.protection
    }

    async fn groups(&self) -> Result<Vec<GroupId>> {
        self.groups.rows(&self.agent.call()).await
    }

    async fn protection(&self, group: &GroupId) -> Result<Measured<ProtectionStatus>> {
        self.groups
            .read_status(group, &self.agent.call())
            .await
            .map(Measured::now)
    }

    async fn set_protection(&self, group: &GroupId, setting: &ProtectionSetting) -> Result<()> {
        self.protection.check_setting(setting)?;
        let call = self.agent.call();
        let _turn = self.turns.lock(call.deadline()).await?;
        self.groups.set(group, setting, &call).await
    }

    async fn command(&self, group: &GroupId, command: &ExternalCommand) -> Result<()> {
        self.protection.check_command(command)?;
        protection::command(
            &*self.groups,
            group,
            command,
            &self.turns,
            self.agent.call().deadline(),
        )
        .await
    }
}
