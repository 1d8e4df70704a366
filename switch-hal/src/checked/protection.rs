//! Checked handle of a protection switch.

use crate::protection::{
    ExternalCommand, GroupId, Protection, ProtectionCapabilities, ProtectionSetting,
    ProtectionStatus,
};
use async_trait::async_trait;
use qkd_hal::{DeviceMisbehaved, Error, Operation, Result, checked::Checked, reading::Measured};

#[async_trait]
impl Protection for Checked<dyn Protection> {
    fn protection_capabilities(&self) -> &ProtectionCapabilities {
        self.inner().protection_capabilities()
    }
    async fn groups(&self) -> Result<Vec<GroupId>> {
        self.call_guard()
            .run(Operation::ProtectionGroups, self.inner().groups())
            .await
    }
    async fn protection(&self, group: &GroupId) -> Result<Measured<ProtectionStatus>> {
        self.call_guard()
            .run(Operation::ProtectionStatus, async {
                let mut status = self.inner().protection(group).await?;
                for path in &mut status.value.paths {
                    path.power = path.power.map(Measured::within_physical_range);
                }
                status.value.path(&status.value.active.path).map_err(|e| {
                    Error::misbehaved(DeviceMisbehaved::ValueOutOfRange, e.message())
                })?;
                Ok(status)
            })
            .await
    }
    async fn set_protection(&self, group: &GroupId, setting: &ProtectionSetting) -> Result<()> {
        self.call_guard()
            .run(Operation::SetProtection, async {
                self.inner()
                    .protection_capabilities()
                    .check_setting(setting)?;
                self.inner().set_protection(group, setting).await
            })
            .await
    }
    async fn command(&self, group: &GroupId, command: &ExternalCommand) -> Result<()> {
        self.call_guard()
            .run(Operation::ProtectionCommand, async {
                self.inner()
                    .protection_capabilities()
                    .check_command(command)?;
                self.inner().command(group, command).await
            })
            .await
    }
}
