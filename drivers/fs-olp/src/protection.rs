//! The cards as protection groups.

use crate::{
    chassis::{Chassis, slot},
    device::FsOlp,
    proto::{self, Channel, name},
};
use async_trait::async_trait;
use qkd_driver_kit::{
    link::{snmp::Value, snmp_client::to_integer_steps},
    protection::{self, ProtectionBackend},
};
use qkd_hal::{Error, ErrorKind, Operation, Result, reading::Measured};
use qkd_switch_hal::protection::{
    ExternalCommand, GroupId, PathId, Protection, ProtectionCapabilities,
    ProtectionSetting as Setting, ProtectionStatus, SelectionMode,
};
use std::time::Duration;
use tokio::time::Instant;

/// Chosen by this project: the time until the channel reports a change is not published.
const SETTLING: Duration = Duration::from_millis(500);

fn channel(path: &PathId) -> Result<Channel> {
    Channel::ALL
        .into_iter()
        .find(|c| c.keyword() == path.0)
        .ok_or_else(|| {
            Error::invalid(format!(
                "there is no path `{path}`; a card has main and sub"
            ))
        })
}

#[async_trait]
impl ProtectionBackend for Chassis {
    async fn status(&self, group: &GroupId, until: Instant) -> Result<ProtectionStatus> {
        Chassis::status(self, group, &self.agent.with_deadline(until)).await
    }
    fn permits(&self, status: &ProtectionStatus, _command: &ExternalCommand) -> Result<()> {
        match status.mode {
            SelectionMode::Manual => Ok(()),
            SelectionMode::Automatic => Err(Error::new(
                ErrorKind::NotReady,
                "the card is in automatic mode: set the mode of the group to manual first",
            )),
        }
    }
    async fn send_command(
        &self,
        group: &GroupId,
        command: &ExternalCommand,
        until: Instant,
    ) -> Result<()> {
        let path = command.path().ok_or_else(|| {
            Error::unsupported(
                Operation::ProtectionCommand.name(),
                format!("the MIB has no `{command}`"),
            )
        })?;
        let name = name(slot(group)?, proto::CHANNEL);
        self.agent
            .with_deadline(until)
            .change(
                Operation::ProtectionCommand.name(),
                "Channel",
                name,
                channel(path)?.value(),
            )
            .await
    }
    fn settling_time(&self) -> Duration {
        SETTLING
    }
}

#[async_trait]
impl Protection for FsOlp {
    fn protection_capabilities(&self) -> &ProtectionCapabilities {
        &self.protection
    }

    async fn groups(&self) -> Result<Vec<GroupId>> {
        let slots = self.chassis.slots(&self.chassis.agent.call()).await?;
        Ok(slots
            .into_iter()
            .map(|slot| GroupId(slot.to_string()))
            .collect())
    }

    async fn protection(&self, group: &GroupId) -> Result<Measured<ProtectionStatus>> {
        self.chassis
            .status(group, &self.chassis.agent.call())
            .await
            .map(Measured::now)
    }

    async fn set_protection(&self, group: &GroupId, setting: &Setting) -> Result<()> {
        self.protection.check_setting(setting)?;
        let units = self.chassis.units;
        let (object, number, value) = match setting {
            Setting::Mode(mode) => ("WorkMode", proto::WORK_MODE, proto::mode(*mode)),
            Setting::Revertive(on) => {
                ("BackMode", proto::BACK_MODE, Value::Integer(i32::from(*on)))
            }
            Setting::WaitToRestore(time) => {
                let unit = units.delay.unwrap_or(Duration::from_secs(1)).as_secs_f64();
                (
                    "BackDelay",
                    proto::BACK_DELAY,
                    Value::Integer(to_integer_steps(time.as_secs_f64(), unit, "s")?),
                )
            }
            Setting::Threshold { path, level } => {
                let receiver = if channel(path)? == Channel::Main {
                    0
                } else {
                    1
                };
                let raw = to_integer_steps(level.0, units.power.unwrap_or(0.01), "dBm")?;
                (
                    "R1SwitchingPower or R2SwitchingPower",
                    proto::SWITCHING_POWER + receiver,
                    Value::Integer(raw),
                )
            }
            other => return Err(Error::invalid(format!("the MIB has no `{other}`"))),
        };
        let call = self.chassis.agent.call();
        let _turn = self.turns.lock(call.deadline()).await?;
        // A slot without a card is `NotFound`, and nothing is sent to it.
        self.chassis.card(group, &call).await?;
        call.change(
            Operation::SetProtection.name(),
            object,
            name(slot(group)?, number),
            value,
        )
        .await
    }

    async fn command(&self, group: &GroupId, command: &ExternalCommand) -> Result<()> {
        self.protection.check_command(command)?;
        protection::command(
            &*self.chassis,
            group,
            command,
            &self.turns,
            self.chassis.agent.call().deadline(),
        )
        .await
    }
}
