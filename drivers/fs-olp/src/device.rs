//! The chassis as a device: who and how it is, and the watch over its groups.

use crate::{
    INFO,
    chassis::{Chassis, Units},
    proto::{self, name},
};
use async_trait::async_trait;
use qkd_driver_kit::{
    change_lock::ChangeLock,
    link::{
        make::check_agent,
        snmp::Oid,
        snmp_client::{BackgroundTask, SnmpClient, text},
    },
    protection::ActivePathTracker,
};
use qkd_hal::{
    Capabilities, Descriptor, Device, EventKind, EventStream, Health, Identity, Operation, Result,
    capability::EventSupport,
    device::HealthState,
    event::{EventHub, Origin},
    reading::{Reading, ReadingValue as Measure},
    units::DecibelMilliwatts,
};
use qkd_switch_hal::protection::{
    ExternalCommandKind, GroupId, PathId, ProtectionCapabilities, ProtectionStatus, SettingKind,
};
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use tokio::time::{MissedTickBehavior, interval};

/// A chassis with OLP cards.
pub struct FsOlp {
    descriptor: Descriptor,
    capabilities: Capabilities,
    pub(crate) protection: ProtectionCapabilities,
    pub(crate) chassis: Arc<Chassis>,
    identity: Identity,
    events: EventHub,
    pub(crate) turns: ChangeLock,
    poll: Option<BackgroundTask>,
}

/// Polls each group and publishes switch-overs.
async fn poll_groups(
    chassis: &Chassis,
    origin: Origin,
    events: &EventHub,
) -> Result<Vec<ProtectionStatus>> {
    let call = chassis.agent.call();
    let mut all = Vec::new();
    for slot in chassis.slots(&call).await? {
        let now = chassis.status(&GroupId(slot.to_string()), &call).await?;
        chassis.watch.observe(&now, origin, events);
        all.push(now);
    }
    Ok(all)
}

/// Failed paths, as last read.
#[derive(Default)]
struct Failed(BTreeMap<(GroupId, PathId), Option<bool>>);

impl Failed {
    /// Records the status of groups, and publishes paths that have failed or recovered since.
    fn note(&mut self, groups: Vec<ProtectionStatus>, events: &EventHub) {
        for status in groups {
            for path in status.paths {
                let subject = format!("{}/{}", status.group, path.path);
                let before = self
                    .0
                    .insert((status.group.clone(), path.path), path.failed);
                if before.is_some_and(|before| before != path.failed) {
                    let state = if path.failed == Some(true) {
                        "failed"
                    } else {
                        "well"
                    }
                    .to_owned();
                    events.publish(Origin::Poll, EventKind::StateChanged { subject, state });
                }
            }
        }
    }
}

async fn watch(chassis: Arc<Chassis>, every: Duration, mut failed: Failed, events: EventHub) {
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks.tick().await;
    loop {
        ticks.tick().await;
        // The link publishes its own loss.
        if let Ok(groups) = poll_groups(&chassis, Origin::Poll, &events).await {
            failed.note(groups, &events);
        }
    }
}

impl FsOlp {
    pub(crate) async fn open(
        descriptor: Descriptor,
        agent: SnmpClient,
        units: Units,
        poll: Option<Duration>,
        events: EventHub,
    ) -> Result<Self> {
        use Operation as Op;
        let chassis = Arc::new(Chassis {
            agent,
            units,
            watch: ActivePathTracker::default(),
        });
        let identity = identity(&chassis).await?;
        let mut failed = Failed::default();
        failed.note(
            poll_groups(&chassis, Origin::Driver, &events).await?,
            &events,
        );
        let mut settings = vec![SettingKind::Mode, SettingKind::Revertive];
        settings.extend(units.delay.map(|_| SettingKind::WaitToRestore));
        settings.extend(units.power.map(|_| SettingKind::Threshold));
        let mut protection = ProtectionCapabilities::new(
            &settings,
            &[ExternalCommandKind::Force, ExternalCommandKind::Manual],
        );
        if let Some(unit) = units.delay {
            protection = protection.with_wait_to_restore(
                Duration::ZERO..=unit.saturating_mul(i32::MAX.unsigned_abs()),
                unit,
            );
        }
        if units.power.is_some() {
            let (least, most) = proto::POWERS;
            protection =
                protection.with_threshold(units.power(least.into())..=units.power(most.into()));
        }
        let capabilities = Capabilities::none()
            .with(&[Op::Identity, Op::Health, Op::Telemetry])
            .with(&[
                Op::ProtectionGroups,
                Op::ProtectionStatus,
                Op::SetProtection,
                Op::ProtectionCommand,
            ])
            .with_events(if poll.is_some() {
                EventSupport::Polled
            } else {
                EventSupport::LinkOnly
            });
        let poll = poll.map(|every| {
            BackgroundTask::spawn(watch(Arc::clone(&chassis), every, failed, events.clone()))
        });
        Ok(Self {
            descriptor,
            capabilities,
            protection,
            chassis,
            identity,
            events,
            turns: ChangeLock::default(),
            poll,
        })
    }

    /// Returns the identity at opening.
    pub(crate) fn opened_as(&self) -> &Identity {
        &self.identity
    }
}

/// The identity of the chassis. Cards come and go; the chassis stays the same device.
async fn identity(chassis: &Chassis) -> Result<Identity> {
    let call = chassis.agent.call();
    check_agent(&INFO, &call).await?;
    let values = call.get(&proto::CHASSIS.map(Oid::from)).await?;
    let mut identity = Identity::new("FS.com");
    if let Some(model) = text(&values[0], "deviceType")? {
        identity = identity.with_model(model);
    }
    if let Some(version) = text(&values[1], "softwareVersion")? {
        identity = identity.with_firmware(version);
    }
    if let Some(serial) = text(&values[2], "serialNumber")? {
        identity = identity.with_serial(serial);
    }
    Ok(identity)
}

#[async_trait]
impl Device for FsOlp {
    fn descriptor(&self) -> &Descriptor {
        &self.descriptor
    }
    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    async fn identity(&self) -> Result<Identity> {
        let now = identity(&self.chassis).await?;
        self.chassis
            .agent
            .check_identity(&self.identity, &now, &self.events)
            .await;
        Ok(now)
    }

    async fn health(&self) -> Result<Health> {
        let call = self.chassis.agent.call();
        let mut faults = Vec::new();
        for slot in self.chassis.slots(&call).await? {
            let group = GroupId(slot.to_string());
            if !self.chassis.card(&group, &call).await?.on {
                faults.push(format!("the card in slot {slot} is off"));
            }
            let failed = self
                .chassis
                .status(&group, &call)
                .await?
                .paths
                .into_iter()
                .filter(|p| p.failed == Some(true));
            faults.extend(failed.map(|p| {
                format!(
                    "slot {slot}: the power of path {} is below its switching power",
                    p.path
                )
            }));
        }
        Ok(Health::from_faults(HealthState::Degraded, faults))
    }

    async fn telemetry(&self) -> Result<Vec<Reading>> {
        let call = self.chassis.agent.call();
        let mut all = Vec::new();
        for slot in self.chassis.slots(&call).await? {
            let values = call
                .get(
                    &[proto::POWER, proto::POWER + 1, proto::TX_POWER]
                        .map(|object| name(slot, object)),
                )
                .await?;
            for (which, value) in ["r1", "r2", "tx"].iter().zip(&values) {
                let power = self
                    .chassis
                    .units
                    .power_of(value, "R1Power, R2Power or TxPower")?;
                all.push(Reading::now(
                    format!("slot.{slot}.{which}.power"),
                    Measure::Number(power.0),
                    DecibelMilliwatts::SYMBOL,
                ));
            }
        }
        Ok(all)
    }

    fn events(&self) -> EventStream {
        self.events.subscribe()
    }

    async fn close(&self) -> Result<()> {
        self.poll.iter().for_each(BackgroundTask::stop);
        self.chassis.agent.link().close().await;
        self.events.close();
        Ok(())
    }
}
