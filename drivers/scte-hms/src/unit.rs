//! State of one switch of an agent.

use crate::proto::{
    Position, SwitchType, decode_fault, decode_mode, decode_position, decode_power, decode_revert,
    oid,
};
use qkd_driver_kit::link::{
    make::{SystemGroup, another_make},
    snmp::Oid,
    snmp_client::{SnmpCall, SnmpClient, integer, optional},
};
use qkd_driver_kit::protection::ActivePathTracker;
use qkd_hal::{
    DeviceMisbehaved, Error, ErrorKind, Result, reading::Measured, units::DecibelMilliwatts,
};
use qkd_switch_hal::{
    Port,
    protection::{GroupId, PathStatus, ProtectionStatus, SelectionMode, SwitchRequest},
};
use std::time::Duration;

/// A switch of an agent.
pub(crate) struct Unit {
    pub(crate) agent: SnmpClient,
    /// Number of the unit: entPhysicalIndex.
    pub(crate) index: u32,
    pub(crate) shape: SwitchType,
    /// The rows of inputs A and B.
    pub(crate) inputs: [u32; 2],
    pub(crate) watch: ActivePathTracker,
}

/// State of an input.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Input {
    pub(crate) failed: bool,
    pub(crate) level: Option<DecibelMilliwatts>,
    pub(crate) threshold: Option<DecibelMilliwatts>,
}

/// State of the unit, read in one PDU.
#[derive(Debug, Clone)]
pub(crate) struct UnitStatus {
    pub(crate) mode: SelectionMode,
    pub(crate) control: Position,
    pub(crate) revert: bool,
    pub(crate) state: Position,
    pub(crate) failover: bool,
    pub(crate) wait: Option<Duration>,
    pub(crate) inputs: [Input; 2],
}

impl Unit {
    /// Finds the switch: the one of this index, or the only one.
    pub(crate) async fn find(agent: SnmpClient, wanted: Option<u32>) -> Result<Self> {
        let call = agent.call();
        let rows = call.walk(&oid::column(oid::UNIT, oid::MODE)).await?;
        let units: Vec<u32> = rows
            .iter()
            .filter_map(|(rest, _)| rest.first().copied())
            .collect();
        let index = match (wanted, units.as_slice()) {
            (_, []) => {
                // The standard has no sysObjectID: this table is what makes an HMS optical switch.
                let system = SystemGroup::read(&call).await?;
                return Err(another_make(
                    "an HMS optical switch with a row in heOpSwitchUnitTable",
                    system,
                ));
            }
            (Some(index), units) if units.contains(&index) => index,
            (None, [only]) => *only,
            (wanted, units) => {
                let what = wanted.map_or_else(
                    || "several switches".to_owned(),
                    |w| format!("no switch {w}"),
                );
                return Err(Error::invalid(format!(
                    "the agent has {what}; name one with unit=, of: {units:?}"
                )));
            }
        };
        let rows = |entry, column| {
            let root = oid::column(entry, column).child(&[index]);
            async move {
                call.walk(&root).await.map(|rows| {
                    rows.into_iter()
                        .filter_map(|(rest, _)| rest.first().copied())
                        .collect::<Vec<u32>>()
                })
            }
        };
        let odd = |what: &str, n: usize| {
            Error::misbehaved(
                DeviceMisbehaved::ValueOutOfRange,
                format!("switch {index} has {n} {what}"),
            )
        };
        let inputs = rows(oid::INPUT, oid::INPUT_STATUS).await?;
        let inputs = <[u32; 2]>::try_from(inputs)
            .map_err(|rows| odd("inputs, where two are due", rows.len()))?;
        let outputs = rows(oid::OUTPUT, oid::OUTPUT_DESCRIPTION).await?.len();
        let shape = SwitchType::of_outputs(outputs)
            .ok_or_else(|| odd("outputs, where one or two are due", outputs))?;
        Ok(Self {
            agent,
            index,
            shape,
            inputs,
            watch: ActivePathTracker::default(),
        })
    }

    pub(crate) fn group(&self) -> GroupId {
        GroupId(self.index.to_string())
    }

    /// # Errors
    /// `NotFound` for another group.
    pub(crate) fn check(&self, group: &GroupId) -> Result<()> {
        if *group == self.group() {
            Ok(())
        } else {
            Err(Error::new(
                ErrorKind::NotFound,
                format!("there is no group {group}; the one group is {}", self.index),
            ))
        }
    }

    pub(crate) fn name(&self, column: u32) -> Oid {
        oid::unit(column, self.index)
    }

    pub(crate) async fn read_status(&self, call: &SnmpCall<'_>) -> Result<UnitStatus> {
        let unit = [
            oid::MODE,
            oid::CONTROL,
            oid::REVERT,
            oid::STATE,
            oid::FAILOVER,
            oid::WAIT_TO_RESTORE,
        ];
        let mut names: Vec<Oid> = unit.map(|c| self.name(c)).to_vec();
        for row in self.inputs {
            names.extend(
                [oid::INPUT_STATUS, oid::LEVEL, oid::THRESHOLD]
                    .map(|c| oid::input(c, self.index, row)),
            );
        }
        let values = call.get(&names).await?;
        let input = |at: usize| -> Result<Input> {
            Ok(Input {
                failed: decode_fault(&values[at], "heOpSwitchInputStatus")?,
                level: optional(&values[at + 1], |v| {
                    decode_power(v, "heOpSwitchInputOpticalLevel")
                })?,
                threshold: optional(&values[at + 2], |v| {
                    decode_power(v, "heOpSwitchSetInputPowerThreshold")
                })?,
            })
        };
        let wait = optional(&values[5], |v| integer(v, "heOpSwitchWaitToRestoreTime"))?;
        let standing = UnitStatus {
            mode: decode_mode(&values[0])?,
            control: decode_position(&values[1], "heOpSwitchControl")?,
            revert: decode_revert(&values[2])?,
            state: decode_position(&values[3], "heOpSwitchState")?,
            failover: decode_fault(&values[4], "heOpSwitchFailoverStatus")?,
            wait: wait
                .and_then(|s| u64::try_from(s).ok())
                .map(Duration::from_secs),
            inputs: [input(unit.len())?, input(unit.len() + 3)?],
        };
        for (object, position) in [
            ("heOpSwitchControl", standing.control),
            ("heOpSwitchState", standing.state),
        ] {
            if !self.shape.positions().contains(&position) {
                let why = format!(
                    "{object} is {}, but the outputs report {}",
                    position.name(),
                    self.shape
                );
                return Err(Error::misbehaved(DeviceMisbehaved::ValueOutOfRange, why));
            }
        }
        Ok(standing)
    }

    /// Converts the state of the unit to the status of the group.
    pub(crate) fn status(&self, now: &UnitStatus) -> ProtectionStatus {
        let paths = self
            .shape
            .positions()
            .iter()
            .map(|p| self.path(*p, now))
            .collect();
        let path = |p: Position| p.name().into();
        let mut status = ProtectionStatus::new(
            self.group(),
            now.mode,
            path(now.state),
            now.request(),
            paths,
        );
        status.preferred = Some(path(now.control));
        (status.revertive, status.wait_to_restore) = (Some(now.revert), now.wait);
        self.watch.fill_since(&mut status);
        status
    }

    fn path(&self, position: Position, now: &UnitStatus) -> PathStatus {
        let mut path = PathStatus::new(position.name());
        path.failed = Some(now.failed(position));
        if let (SwitchType::Ab, [input]) = (self.shape, position.inputs()) {
            path.port = u32::try_from(input + 1).ok().map(Port);
            path.power = now.inputs[*input].level.map(Measured::now);
            path.threshold = now.inputs[*input].threshold;
        }
        path
    }
}

impl UnitStatus {
    /// Whether an input of a position has failed.
    pub(crate) fn failed(&self, position: Position) -> bool {
        position.inputs().iter().any(|i| self.inputs[*i].failed)
    }

    /// Why the state is what it is, as the MIB's text on modes has it.
    fn request(&self) -> SwitchRequest {
        match self.mode {
            SelectionMode::Manual => SwitchRequest::ManualSwitch,
            // A failover that is reported while the state is the preferred one contradicts the MIB.
            SelectionMode::Automatic if self.state == self.control => {
                if self.failover {
                    SwitchRequest::Unknown
                } else {
                    SwitchRequest::NoRequest
                }
            }
            SelectionMode::Automatic if self.failed(self.control) => SwitchRequest::SignalFail,
            SelectionMode::Automatic if self.revert => SwitchRequest::WaitToRestore,
            SelectionMode::Automatic => SwitchRequest::DoNotRevert,
        }
    }
}
