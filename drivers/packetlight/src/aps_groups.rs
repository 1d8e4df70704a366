//! Protection groups of the device (SL-OPT-APS-MIB).

use crate::proto::{
    ProtoError,
    aps::{
        self, ActiveRequest, ChannelStatus, Connection, LosEncoding, SwitchOver,
        decode_channel_status, decode_connection, decode_power, decode_request, decode_second,
    },
};
use async_trait::async_trait;
use qkd_driver_kit::{
    link::{
        snmp::{Oid, SetRequest, Value},
        snmp_client::{SnmpCall, SnmpClient, integer, optional, to_integer_steps},
    },
    protection::{ActivePathTracker, ProtectionBackend},
};
use qkd_hal::{
    Error, ErrorKind, EventKind, Operation, Result,
    event::{EventHub, Origin},
    units::DecibelMilliwatts,
};
use qkd_switch_hal::protection::{
    ExternalCommand, ExternalCommandKind, GroupId, PathId, PathStatus, ProtectionCapabilities,
    ProtectionSetting as Setting, ProtectionStatus, SelectionMode, SettingKind, SwitchRequest,
};
use std::time::{Duration, SystemTime};
use tokio::time::Instant;

/// Hardware switches within this time (text of SL-OPT-APS-MIB).
const SWITCHING: Duration = Duration::from_millis(50);
/// Ours: until when the agent must show what the hardware did.
const SETTLING: Duration = Duration::from_millis(500);
/// Unit of optApsConfigWaitToRestore.
const MINUTE: Duration = Duration::from_secs(60);

/// Returns the supported settings and external commands.
pub(crate) fn capabilities(los: Option<LosEncoding>) -> ProtectionCapabilities {
    let mut settings = vec![
        SettingKind::Mode,
        SettingKind::Revertive,
        SettingKind::WaitToRestore,
    ];
    settings.extend(los.map(|_| SettingKind::Threshold));
    let commands = [
        ExternalCommandKind::Clear,
        ExternalCommandKind::Lockout,
        ExternalCommandKind::Force,
        ExternalCommandKind::Manual,
    ];
    let capabilities = ProtectionCapabilities::new(&settings, &commands)
        .with_wait_to_restore(MINUTE..=12 * MINUTE, MINUTE)
        .with_switching_time(SWITCHING);
    match los {
        // From -50.0 dBm on (text of the MIB); the most is that of 16 bits.
        Some(_) => capabilities.with_threshold(
            DecibelMilliwatts(-50.0)..=DecibelMilliwatts(f64::from(i16::MAX) / 10.0),
        ),
        None => capabilities,
    }
}

/// Protection groups of the device.
pub(crate) struct ApsGroups {
    agent: SnmpClient,
    los: Option<LosEncoding>,
    watch: ActivePathTracker,
}

/// A row, read in one PDU.
struct Row {
    enabled: bool,
    active: Connection,
    wait: i64,
    revertive: bool,
    status: ChannelStatus,
    switchovers: Option<i64>,
    since: Option<SystemTime>,
    request: ActiveRequest,
    threshold: Option<DecibelMilliwatts>,
}

fn missing(group: &GroupId) -> Error {
    Error::new(
        ErrorKind::NotFound,
        format!("there is no group `{group}`; groups are ifIndex numbers of working user ports"),
    )
}

fn row(group: &GroupId) -> Result<u32> {
    group
        .0
        .parse()
        .ok()
        .filter(|n: &u32| n.to_string() == group.0)
        .ok_or_else(|| missing(group))
}

fn connection(path: &PathId) -> Result<Connection> {
    Connection::of(path).ok_or_else(|| {
        Error::invalid(format!(
            "there is no path `{path}`; a group has working and protection"
        ))
    })
}

/// Returns the time of the last switch-over: the agent reports its sysUpTime at that time, 0 for
/// never.
fn since(last: &Value, now: &Value) -> Result<Option<SystemTime>, ProtoError> {
    let last = optional(last, |v| integer(v, "optApsConfigChanLastSwitchover"))?.filter(|t| *t > 0);
    let now = optional(now, |v| integer(v, "sysUpTime"))?;
    // A time after now is of before the agent's restart.
    let ago = last
        .zip(now)
        .and_then(|(last, now)| u64::try_from(now - last).ok());
    Ok(ago.and_then(|hundredths| {
        SystemTime::now().checked_sub(Duration::from_millis(hundredths * 10))
    }))
}

impl ApsGroups {
    pub(crate) fn new(agent: SnmpClient, los: Option<LosEncoding>) -> Self {
        Self {
            agent,
            los,
            watch: ActivePathTracker::default(),
        }
    }

    /// The groups that are there.
    pub(crate) async fn rows(&self, call: &SnmpCall<'_>) -> Result<Vec<GroupId>> {
        let rows = call
            .walk(&Oid::from(aps::ENTRY).child(&[aps::ENABLE]))
            .await?;
        rows.iter()
            .map(|(index, _)| {
                if let [group] = index.as_slice() {
                    Ok(GroupId(group.to_string()))
                } else {
                    Err(ProtoError::Name.into())
                }
            })
            .collect()
    }

    async fn row(&self, group: &GroupId, call: &SnmpCall<'_>) -> Result<Row> {
        let index = row(group)?;
        let columns = [
            aps::ENABLE,
            aps::ACTIVE_RX,
            aps::WAIT_TO_RESTORE,
            aps::REVERTIVE,
            aps::CHAN_STATUS,
            aps::SWITCHOVERS,
            aps::LAST_SWITCHOVER,
            aps::ACTIVE_REQUEST,
            aps::LOS_THRESHOLD,
        ];
        let mut names = columns.map(|column| aps::of(column, index)).to_vec();
        names.push(aps::SYS_UP_TIME.into());
        let values = call.get(&names).await?;
        if values[0].is_absent() {
            return Err(missing(group));
        }
        Ok(Row {
            enabled: decode_second(&values[0], "optApsConfigEnable")?,
            active: decode_connection(&values[1])?,
            wait: integer(&values[2], "optApsConfigWaitToRestore")?,
            revertive: decode_second(&values[3], "optApsConfigRevertive")?,
            status: decode_channel_status(&values[4])?,
            switchovers: optional(&values[5], |v| integer(v, "optApsConfigChanSwitchovers"))?,
            since: since(&values[6], &values[9])?,
            request: decode_request(&values[7])?,
            threshold: optional(&values[8], |v| decode_power(v, "optApsConfigLosThreshold"))?,
        })
    }

    pub(crate) async fn read_status(
        &self,
        group: &GroupId,
        call: &SnmpCall<'_>,
    ) -> Result<ProtectionStatus> {
        let row = self.row(group, call).await?;
        let paths =
            Connection::ALL
                .into_iter()
                .zip(row.status.failed)
                .map(|(connection, failed)| {
                    let mut path = PathStatus::new(connection.keyword());
                    (path.failed, path.threshold) = (Some(failed), row.threshold);
                    path
                });
        let mode = if row.enabled {
            SelectionMode::Automatic
        } else {
            SelectionMode::Manual
        };
        let mut status = ProtectionStatus::new(
            group.clone(),
            mode,
            row.active.keyword().into(),
            row.request(),
            paths.collect(),
        );
        status.preferred = Some(Connection::Working.keyword().into());
        status.revertive = Some(row.revertive);
        status.wait_to_restore = u32::try_from(row.wait).ok().map(|minutes| MINUTE * minutes);
        status.switch_overs = row.switchovers.and_then(|n| u64::try_from(n).ok());
        self.watch.fill_since(&mut status);
        status.active.since = row
            .since
            .map(|at| (at, Origin::Device))
            .or(status.active.since);
        Ok(status)
    }

    /// Changes a setting of a group, and reads back.
    pub(crate) async fn set(
        &self,
        group: &GroupId,
        setting: &Setting,
        call: &SnmpCall<'_>,
    ) -> Result<()> {
        let (object, column, value) = match setting {
            Setting::Mode(mode) => (
                "optApsConfigEnable",
                aps::ENABLE,
                aps::second(*mode == SelectionMode::Automatic),
            ),
            Setting::Revertive(on) => ("optApsConfigRevertive", aps::REVERTIVE, aps::second(*on)),
            Setting::WaitToRestore(time) => {
                let minutes = to_integer_steps(time.as_secs_f64(), MINUTE.as_secs_f64(), "s")?;
                (
                    "optApsConfigWaitToRestore",
                    aps::WAIT_TO_RESTORE,
                    Value::Gauge32(minutes.unsigned_abs()),
                )
            }
            Setting::Threshold { path, level } => {
                // One threshold for both.
                connection(path)?;
                let tenths = i16::try_from(to_integer_steps(level.0, 0.1, "dBm")?)
                    .map_err(|_| Error::invalid(format!("{level} is beyond 16 bits")))?;
                (
                    "optApsConfigLosThreshold",
                    aps::LOS_THRESHOLD,
                    self.los.unwrap_or(LosEncoding::Signed).value(tenths),
                )
            }
            other => return Err(Error::invalid(format!("the MIB has no `{other}`"))),
        };
        // A group that is not there is `NotFound`: a SET might create its row.
        self.row(group, call).await?;
        call.change(
            Operation::SetProtection.name(),
            object,
            aps::of(column, row(group)?),
            value,
        )
        .await
    }

    /// Polls each group and publishes switch-overs. A group that cannot be read is polled again at
    /// the next trap.
    pub(crate) async fn poll(&self, origin: Origin, events: &EventHub) {
        let call = self.agent.call();
        for group in self.rows(&call).await.unwrap_or_default() {
            if let Ok(now) = self.read_status(&group, &call).await {
                self.watch.observe(&now, origin, events);
            }
        }
    }

    /// Records a switch-over that the device reported, with the reason from the status.
    pub(crate) async fn record_switch_over(&self, reported: SwitchOver, events: &EventHub) {
        let group = GroupId(reported.group.to_string());
        match self.read_status(&group, &self.agent.call()).await {
            Ok(now) => drop(self.watch.observe(&now, Origin::Device, events)),
            Err(_) => {
                let path = reported.connection.keyword().to_owned();
                events.publish(
                    Origin::Device,
                    EventKind::SwitchOver {
                        group: group.0,
                        path,
                        request: SwitchRequest::Unknown.to_string(),
                    },
                );
            }
        }
    }
}

impl Row {
    /// Returns optApsConfigActiveRequest, or the reason derived from the rest of the row
    /// without a request.
    fn request(&self) -> SwitchRequest {
        match (self.request, self.active) {
            // Without automatic protection the signal stays where it was put.
            _ if !self.enabled => SwitchRequest::ManualSwitch,
            (ActiveRequest::LockOut, _) => SwitchRequest::LockoutOfProtection,
            _ if self.status.locked_out => SwitchRequest::LockoutOfProtection,
            (ActiveRequest::ForceSwitch, _) => SwitchRequest::ForcedSwitch,
            (ActiveRequest::Manual, _) => SwitchRequest::ManualSwitch,
            (ActiveRequest::SignalFailure, _) => SwitchRequest::SignalFail,
            (ActiveRequest::Revertive | ActiveRequest::Other, Connection::Working) => {
                SwitchRequest::NoRequest
            }
            (_, Connection::Protection) if self.status.failed[0] => SwitchRequest::SignalFail,
            (_, Connection::Protection) if self.revertive => SwitchRequest::WaitToRestore,
            (_, Connection::Protection) => SwitchRequest::DoNotRevert,
        }
    }
}

#[async_trait]
impl ProtectionBackend for ApsGroups {
    async fn status(&self, group: &GroupId, until: Instant) -> Result<ProtectionStatus> {
        self.read_status(group, &self.agent.with_deadline(until))
            .await
    }
    fn permits(&self, status: &ProtectionStatus, command: &ExternalCommand) -> Result<()> {
        match (status.mode, command) {
            (SelectionMode::Automatic, _) | (_, ExternalCommand::Clear) => Ok(()),
            _ => Err(Error::new(
                ErrorKind::NotReady,
                "optical protection is disabled, and what a command does then is not public: set \
                 the mode to automatic first",
            )),
        }
    }
    async fn send_command(
        &self,
        group: &GroupId,
        command: &ExternalCommand,
        until: Instant,
    ) -> Result<()> {
        let operation = Operation::ProtectionCommand.name();
        let value = aps::command(command)
            .ok_or_else(|| Error::unsupported(operation, format!("the MIB has no `{command}`")))?;
        // What the object shows after a command is not said: the state of the group is read back.
        self.agent
            .with_deadline(until)
            .set(
                operation,
                SetRequest::new().with(aps::of(aps::SWITCH_COMMAND, row(group)?), value),
            )
            .await
    }
    fn settling_time(&self) -> Duration {
        SETTLING
    }
}
