//! Checked handle of a protection switch.

use crate::protection::{
    ExternalCommand, GroupId, Protection, ProtectionCapabilities, ProtectionSetting,
    ProtectionStatus,
};
use async_trait::async_trait;
use qkd_hal::{
    Request, Result,
    checked::{Checked, no_arguments},
    reading::Measured,
};
use std::borrow::Cow;

/// Checks a request of a protection switch.
///
/// # Errors
/// `InvalidInput` for a setting or a command that is not declared.
fn check(protection: &dyn Protection, request: &Request<'_>) -> Result<()> {
    let declared = protection.protection_capabilities();
    match request {
        Request::SetProtection { setting, .. } => declared.check_setting(setting),
        Request::ProtectionCommand { command, .. } => declared.check_command(command),
        _ => Ok(()),
    }
}

#[async_trait]
impl Protection for Checked<dyn Protection> {
    fn protection_capabilities(&self) -> &ProtectionCapabilities {
        self.inner().protection_capabilities()
    }
    async fn groups(&self) -> Result<Vec<GroupId>> {
        let call = self.inner().groups();
        self.call_guard()
            .run(&Request::ProtectionGroups, no_arguments, call)
            .await
    }
    async fn protection(&self, group: &GroupId) -> Result<Measured<ProtectionStatus>> {
        let call = self.inner().protection(group);
        let request = Request::ProtectionStatus {
            group: Cow::Borrowed(group),
        };
        self.call_guard().run(&request, no_arguments, call).await
    }
    async fn set_protection(&self, group: &GroupId, setting: &ProtectionSetting) -> Result<()> {
        let call = self.inner().set_protection(group, setting);
        let request = Request::SetProtection {
            group: Cow::Borrowed(group),
            setting: Cow::Borrowed(setting),
        };
        let check = |r: &Request<'_>| check(self.inner(), r);
        self.call_guard().run(&request, check, call).await
    }
    async fn command(&self, group: &GroupId, command: &ExternalCommand) -> Result<()> {
        let call = self.inner().command(group, command);
        let request = Request::ProtectionCommand {
            group: Cow::Borrowed(group),
            command: Cow::Borrowed(command),
        };
        let check = |r: &Request<'_>| check(self.inner(), r);
        self.call_guard().run(&request, check, call).await
    }
}
