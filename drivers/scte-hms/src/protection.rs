//! The switch as a protection group.

use crate::{
    device::ScteHms,
    proto::{self, Position, oid},
    unit::Unit,
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

/// Chosen by this project: the MIB does not specify the delay between control and state.
pub(crate) const SETTLING: Duration = Duration::from_millis(500);

impl Unit {
    fn position(&self, path: &PathId) -> Result<Position> {
        self.shape.position(path).ok_or_else(|| {
            let known: Vec<_> = self.shape.positions().iter().map(|p| p.name()).collect();
            Error::invalid(format!(
                "group {} has no path `{path}`; it has: {}",
                self.index,
                known.join(", ")
            ))
        })
    }
}

/// In automatic mode a write to heOpSwitchControl does not move the switch: it names the preferred
/// path.
pub(crate) fn manual(mode: SelectionMode) -> Result<()> {
    match mode {
        SelectionMode::Manual => Ok(()),
        SelectionMode::Automatic => Err(Error::new(
            ErrorKind::NotReady,
            "the switch is in automatic mode: set its mode to manual first",
        )),
    }
}

#[async_trait]
impl ProtectionBackend for Unit {
    async fn status(&self, group: &GroupId, until: Instant) -> Result<ProtectionStatus> {
        self.check(group)?;
        Ok(Unit::status(
            self,
            &self.read_status(&self.agent.with_deadline(until)).await?,
        ))
    }
    fn permits(&self, status: &ProtectionStatus, _command: &ExternalCommand) -> Result<()> {
        manual(status.mode)
    }
    async fn send_command(
        &self,
        _group: &GroupId,
        command: &ExternalCommand,
        until: Instant,
    ) -> Result<()> {
        let path = command.path().ok_or_else(|| {
            Error::unsupported(
                Operation::ProtectionCommand.name(),
                format!("the MIB has no `{command}`"),
            )
        })?;
        let position = self.position(path)?;
        self.agent
            .with_deadline(until)
            .change(
                Operation::ProtectionCommand.name(),
                "heOpSwitchControl",
                self.name(oid::CONTROL),
                position.value(),
            )
            .await
    }
    fn settling_time(&self) -> Duration {
        SETTLING
    }
}

#[async_trait]
impl Protection for ScteHms {
    fn protection_capabilities(&self) -> &ProtectionCapabilities {
        &self.protection
    }

    async fn groups(&self) -> Result<Vec<GroupId>> {
        // Read, so that a removed row is not reported.
        self.unit
            .read_status(&self.unit.agent.call())
            .await
            .map(|_| vec![self.unit.group()])
    }

    async fn protection(&self, group: &GroupId) -> Result<Measured<ProtectionStatus>> {
        ProtectionBackend::status(&*self.unit, group, self.unit.agent.call().deadline())
            .await
            .map(Measured::now)
    }

    async fn set_protection(&self, group: &GroupId, setting: &Setting) -> Result<()> {
        self.unit.check(group)?;
        self.protection.check_setting(setting)?;
        let call = self.unit.agent.call();
        let (object, name, value) = match setting {
            Setting::Mode(mode) => (
                "heOpSwitchMode",
                self.unit.name(oid::MODE),
                proto::mode(*mode),
            ),
            Setting::Preferred(path) => (
                "heOpSwitchControl",
                self.unit.name(oid::CONTROL),
                self.unit.position(path)?.value(),
            ),
            Setting::Revertive(on) => (
                "heOpSwitchRevertEnable",
                self.unit.name(oid::REVERT),
                proto::revert(*on),
            ),
            Setting::WaitToRestore(time) => (
                "heOpSwitchWaitToRestoreTime",
                self.unit.name(oid::WAIT_TO_RESTORE),
                Value::Integer(to_integer_steps(time.as_secs_f64(), 1.0, "s")?),
            ),
            Setting::Threshold { path, level } => {
                let row = self.unit.inputs[self.unit.position(path)?.inputs()[0]];
                let name = oid::input(oid::THRESHOLD, self.unit.index, row);
                (
                    "heOpSwitchSetInputPowerThreshold",
                    name,
                    Value::Integer(to_integer_steps(level.0, 0.1, "dBm")?),
                )
            }
            other => return Err(Error::invalid(format!("the MIB has no `{other}`"))),
        };
        let _turn = self.turns.lock(call.deadline()).await?;
        call.change(Operation::SetProtection.name(), object, name, value)
            .await
    }

    async fn command(&self, group: &GroupId, command: &ExternalCommand) -> Result<()> {
        self.protection.check_command(command)?;
        protection::command(
            &*self.unit,
            group,
            command,
            &self.turns,
            self.unit.agent.call().deadline(),
        )
        .await
    }
}
