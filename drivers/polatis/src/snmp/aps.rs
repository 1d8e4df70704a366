//! Automatic protection switching: a working port whose signal goes to a protecting port when an
//! alarm is raised.

use super::{
    monitors::{Gauge, gauges},
    proto::{self, Condition, oid},
};
use crate::interface::ProtectionGroups;
use async_trait::async_trait;
use qkd_driver_kit::{
    link::{
        snmp::{Oid, SetRequest, Value},
        snmp_client::{SnmpCall, SnmpClient, integer},
    },
    protection::{ActivePathTracker, ProtectionBackend},
};
use qkd_hal::{
    Error, ErrorKind, Operation, Result,
    event::{EventHub, Origin},
    reading::Measured,
};
use qkd_switch_hal::{
    Port,
    protection::{
        ExternalCommand, ExternalCommandKind, GroupId, PathId, PathStatus, ProtectionCapabilities,
        ProtectionSetting, ProtectionStatus, SelectionMode, SettingKind, SwitchRequest,
    },
};
use std::{collections::BTreeSet, time::Duration};
use tokio::time::Instant;

/// Chosen by this project: the delay between the desired and the current condition is not
/// published.
const SETTLING: Duration = Duration::from_millis(500);

/// Returns the supported settings and external commands.
pub(crate) fn capabilities() -> ProtectionCapabilities {
    ProtectionCapabilities::new(
        &[SettingKind::Mode],
        &[ExternalCommandKind::Clear, ExternalCommandKind::Lockout],
    )
}

/// Protection groups of the switch.
pub(crate) struct ApsGroups {
    agent: SnmpClient,
    scale: f64,
    monitors: BTreeSet<Port>,
    watch: ActivePathTracker,
}

fn path(port: u32) -> PathId {
    PathId(port.to_string())
}

fn missing(group: &GroupId) -> Error {
    Error::new(
        ErrorKind::NotFound,
        format!("there is no group `{group}`; groups are named by their working ports"),
    )
}

impl ApsGroups {
    pub(super) fn new(agent: SnmpClient, scale: f64, monitors: BTreeSet<Port>) -> Self {
        Self {
            agent,
            scale,
            monitors,
            watch: ActivePathTracker::default(),
        }
    }

    /// Working and protecting port of each row.
    async fn rows(&self, call: &SnmpCall<'_>) -> Result<Vec<(u32, u32)>> {
        let rows = call.walk(&Oid::from(oid::APS_PRIORITY)).await?;
        rows.iter()
            .map(|(index, _)| {
                if let [working, protecting] = index[..] {
                    Ok((working, protecting))
                } else {
                    Err(proto::SnmpDecodeError::Name.into())
                }
            })
            .collect()
    }

    /// The ports of a group, the working one first.
    async fn ports(&self, group: &GroupId, call: &SnmpCall<'_>) -> Result<Vec<u32>> {
        let working: u32 = group
            .0
            .parse()
            .ok()
            .filter(|n: &u32| n.to_string() == group.0)
            .ok_or_else(|| missing(group))?;
        let rows = self.rows(call).await?;
        let mut ports = vec![working];
        ports.extend(
            rows.into_iter()
                .filter(|(w, _)| *w == working)
                .map(|(_, protecting)| protecting),
        );
        if ports.len() > 1 {
            Ok(ports)
        } else {
            Err(missing(group))
        }
    }

    /// Polls each group and publishes switch-overs. A group that cannot be read is polled again at
    /// the next notification.
    pub(super) async fn poll(&self, origin: Origin, events: &EventHub) {
        let until = self.agent.call().deadline();
        for group in self.list(until).await.unwrap_or_default() {
            if let Ok(now) = self.status(&group, until).await {
                self.watch.observe(&now, origin, events);
            }
        }
    }

    /// Records a switch-over that the switch reported.
    pub(super) fn record_switch_over(
        &self,
        group: u32,
        port: u32,
        request: SwitchRequest,
        events: &EventHub,
    ) {
        self.watch
            .record_notification(GroupId(group.to_string()), path(port), request, events);
    }
}

#[async_trait]
impl ProtectionGroups for ApsGroups {
    async fn list(&self, until: Instant) -> Result<Vec<GroupId>> {
        let working: BTreeSet<u32> = self
            .rows(&self.agent.with_deadline(until))
            .await?
            .into_iter()
            .map(|(working, _)| working)
            .collect();
        Ok(working
            .into_iter()
            .map(|port| GroupId(port.to_string()))
            .collect())
    }

    async fn set(
        &self,
        group: &GroupId,
        setting: &ProtectionSetting,
        until: Instant,
    ) -> Result<()> {
        let ProtectionSetting::Mode(mode) = setting else {
            return Err(Error::invalid(format!(
                "there is no object for `{setting}`"
            )));
        };
        let call = self.agent.with_deadline(until);
        let working = self.ports(group, &call).await?[0];
        call.change(
            Operation::SetProtection.name(),
            "polatisApsPortDesiredState",
            oid::of(oid::APS_DESIRED, working),
            proto::mode(*mode),
        )
        .await
    }
}

#[async_trait]
impl ProtectionBackend for ApsGroups {
    async fn status(&self, group: &GroupId, until: Instant) -> Result<ProtectionStatus> {
        let call = self.agent.with_deadline(until);
        let ports = self.ports(group, &call).await?;
        let mut names = vec![
            oid::of(oid::APS_DESIRED, ports[0]),
            oid::of(oid::APS_CONDITION, ports[0]),
        ];
        names.extend(ports.iter().map(|p| oid::of(oid::PATCH, *p)));
        let values = call.get(&names).await?;
        let (mode, condition) = (
            proto::decode_mode(&values[0])?,
            proto::decode_condition(&values[1])?,
        );
        let lit: Vec<bool> = values[2..]
            .iter()
            .map(|v| Ok(proto::decode_patch(v)?.is_some()))
            .collect::<Result<_>>()?;

        // The active path is that of the cross-connect, or that of the last notification
        // without one.
        let over: Vec<u32> = ports[1..]
            .iter()
            .zip(&lit[1..])
            .filter(|(_, lit)| **lit)
            .map(|(p, _)| *p)
            .collect();
        let active = match (lit[0], over.as_slice()) {
            (true, _) => path(ports[0]),
            (false, [protecting]) => path(*protecting),
            (false, _) => self
                .watch
                .active_path(group)
                .filter(|p| ports.iter().any(|port| path(*port) == *p))
                .unwrap_or_else(|| path(ports[0])),
        };
        let request = match condition {
            Condition::InhibitProtection => SwitchRequest::LockoutOfProtection,
            _ if active != path(ports[0]) => SwitchRequest::SignalFail,
            _ => SwitchRequest::NoRequest,
        };
        let watched: Vec<u32> = ports
            .iter()
            .copied()
            .filter(|p| self.monitors.contains(&Port(*p)))
            .collect();
        let gauges = gauges(&call, &watched, self.scale).await?;
        let paths = ports.iter().map(|port| {
            let mut status = PathStatus::new(path(*port));
            status.port = Some(Port(*port));
            if let Some(Gauge { power, alarms, on }) =
                watched.iter().position(|p| p == port).map(|i| gauges[i])
            {
                status.power = Some(Measured::now(power));
                status.threshold = alarms.low;
                status.failed = on.then(|| {
                    alarms.low.is_some_and(|low| power < low)
                        || alarms.high.is_some_and(|high| power > high)
                });
            }
            status
        });
        let mut status =
            ProtectionStatus::new(group.clone(), mode, active, request, paths.collect());
        status.preferred = Some(path(ports[0]));
        self.watch.fill_since(&mut status);
        Ok(status)
    }
    /// A group that does not switch over automatically cannot be locked out.
    fn permits(&self, status: &ProtectionStatus, command: &ExternalCommand) -> Result<()> {
        match (command, status.mode) {
            (ExternalCommand::Lockout, SelectionMode::Manual) => Err(Error::new(
                ErrorKind::NotReady,
                "the group is out of service: set its mode to automatic first",
            )),
            _ => Ok(()),
        }
    }
    async fn send_command(
        &self,
        group: &GroupId,
        command: &ExternalCommand,
        until: Instant,
    ) -> Result<()> {
        let operation = Operation::ProtectionCommand.name();
        let condition = match command {
            ExternalCommand::Lockout => Condition::InhibitProtection,
            ExternalCommand::Clear => Condition::None,
            other => {
                return Err(Error::unsupported(
                    operation,
                    format!("there is no object for `{other}`"),
                ));
            }
        };
        let call = self.agent.with_deadline(until);
        let working = self.ports(group, &call).await?[0];
        call.set(
            operation,
            SetRequest::new().with(
                oid::of(oid::APS_DESIRED_CONDITION, working),
                Value::Integer(condition as i32),
            ),
        )
        .await
    }
    fn settling_time(&self) -> Duration {
        SETTLING
    }
}

/// Whether the agent has the table.
pub(super) async fn is_there(call: &SnmpCall<'_>) -> Result<bool> {
    let rows = call.walk(&Oid::from(oid::APS_DESIRED)).await?;
    rows.first().map_or(Ok(false), |(_, value)| {
        Ok(integer(value, "polatisApsPortDesiredState").is_ok())
    })
}
