//! The switch as a device: who and how it is, and its alarms.

use crate::{
    proto::{self, SwitchType, decode_fault, oid},
    unit::Unit,
};
use async_trait::async_trait;
use qkd_driver_kit::{
    change_lock::ChangeLock,
    link::{
        snmp::Notification,
        snmp_client::{BackgroundTask, SnmpClient, integer, optional, reading, text},
    },
};
use qkd_hal::{
    Capabilities, Descriptor, Device, DeviceKind, EventKind, EventStream, Health, Identity,
    Operation, Result,
    device::HealthState,
    event::{EventHub, Origin},
    reading::{Reading, ReadingValue as Measure},
    units::DecibelMilliwatts,
};
use qkd_switch_hal::{
    Geometry, Port, PowerMeterCapabilities, SwitchCapabilities,
    protection::{ExternalCommandKind, ProtectionCapabilities, SettingKind},
};
use std::{sync::Arc, time::Duration};

/// HeTenthdBm and heOpSwitchWaitToRestoreTime are bounded as an Integer32 only.
const MAX_INTEGER32: f64 = i32::MAX as f64;

/// An optical switch of an HMS agent.
pub struct ScteHms {
    descriptor: Descriptor,
    capabilities: Capabilities,
    pub(crate) protection: ProtectionCapabilities,
    pub(crate) switch: SwitchCapabilities,
    pub(crate) meter: PowerMeterCapabilities,
    pub(crate) unit: Arc<Unit>,
    pub(crate) identity: Identity,
    events: EventHub,
    pub(crate) turns: ChangeLock,
    pub(crate) plans: ChangeLock,
    traps: BackgroundTask,
}

/// Handles a notification: whatever its content, the state is read again.
async fn on_notification(unit: Arc<Unit>, events: EventHub, notification: Option<Notification>) {
    let alarm = match notification.as_ref().map(proto::decode_trap) {
        Some(Ok(Some(alarm))) => Some(alarm),
        // Lost notifications may have reported a switch-over.
        None => None,
        Some(_) => return,
    };
    let origin = if alarm.is_some() {
        Origin::Device
    } else {
        Origin::Poll
    };
    let over = match unit.read_status(&unit.agent.call()).await {
        Ok(now) => unit.watch.observe(&unit.status(&now), origin, &events),
        Err(_) => false,
    };
    if let (false, Some(alarm)) = (over, alarm) {
        let kind = EventKind::Alarm {
            code: alarm.state.to_owned(),
            text: alarm.text,
            subject: Some(alarm.object.to_string()),
            severity: alarm.severity,
        };
        events.publish(Origin::Device, kind);
    }
}

impl ScteHms {
    pub(crate) async fn open(
        descriptor: Descriptor,
        agent: SnmpClient,
        unit: Option<u32>,
        events: EventHub,
    ) -> Result<Self> {
        use Operation as Op;
        let unit = Arc::new(Unit::find(agent, unit).await?);
        let listener = (Arc::clone(&unit), events.clone());
        // Subscribed before the first reading, so that no later switch-over is missed.
        let traps = BackgroundTask::for_each_notification(unit.agent.link(), move |notification| {
            on_notification(Arc::clone(&listener.0), listener.1.clone(), notification)
        });
        let now = unit.read_status(&unit.agent.call()).await?;
        unit.watch
            .observe(&unit.status(&now), Origin::Driver, &events);
        let identity = identity(&unit).await?;

        let mut settings = vec![
            SettingKind::Mode,
            SettingKind::Preferred,
            SettingKind::Revertive,
        ];
        settings.extend(now.wait.map(|_| SettingKind::WaitToRestore));
        let thresholds =
            unit.shape == SwitchType::Ab && now.inputs.iter().all(|i| i.threshold.is_some());
        settings.extend(thresholds.then_some(SettingKind::Threshold));
        let mut protection = ProtectionCapabilities::new(
            &settings,
            &[ExternalCommandKind::Force, ExternalCommandKind::Manual],
        );
        if now.wait.is_some() {
            protection = protection.with_wait_to_restore(
                Duration::ZERO..=Duration::from_secs_f64(MAX_INTEGER32),
                Duration::from_secs(1),
            );
        }
        if thresholds {
            protection = protection.with_threshold(
                DecibelMilliwatts(-MAX_INTEGER32 / 10.0)..=DecibelMilliwatts(MAX_INTEGER32 / 10.0),
            );
        }
        let geometry = if unit.shape == SwitchType::Ab {
            Geometry::one_by(2)
        } else {
            Geometry::Crossbar
        };
        let mut capabilities = Capabilities::none()
            .with(&[
                Op::Identity,
                Op::Health,
                Op::Telemetry,
                Op::Connections,
                Op::Apply,
            ])
            .with(&[
                Op::ProtectionGroups,
                Op::ProtectionStatus,
                Op::SetProtection,
                Op::ProtectionCommand,
            ])
            .with_events(unit.agent.link().event_support());
        let measures = now.inputs.iter().all(|i| i.level.is_some());
        let (descriptor, meter) = if measures {
            capabilities = capabilities.with(&[Op::Power, Op::Monitor]);
            (
                descriptor,
                PowerMeterCapabilities::for_ports([Port(1), Port(2)]),
            )
        } else {
            (
                descriptor.with_kinds(&[DeviceKind::OpticalSwitch, DeviceKind::ProtectionSwitch]),
                PowerMeterCapabilities::default(),
            )
        };
        let switch = SwitchCapabilities::new(geometry);
        let (turns, plans) = Default::default();
        Ok(Self {
            descriptor,
            capabilities,
            protection,
            switch,
            meter,
            unit,
            identity,
            events,
            turns,
            plans,
            traps,
        })
    }

    /// Returns the identity at opening.
    pub(crate) fn opened_as(&self) -> &Identity {
        &self.identity
    }

    /// Whether it measures the power at its inputs.
    pub(crate) fn measures(&self) -> bool {
        !self.meter.monitors.is_empty()
    }
}

/// Reads the identity from the entity table, and from sysDescr if the table has no model.
async fn identity(unit: &Unit) -> Result<Identity> {
    let columns = [oid::MAKER, oid::MODEL, oid::SERIAL, oid::SOFTWARE];
    let mut names = columns
        .map(|c| oid::column(oid::PHYSICAL, c).child(&[unit.index]))
        .to_vec();
    names.push(oid::SYS_DESCR.into());
    let values = unit.agent.call().get(&names).await?;
    let reported = |i: usize| text(&values[i], "entPhysicalEntry");
    let mut identity = Identity::new(reported(0)?.unwrap_or_else(|| "SCTE HMS".to_owned()));
    if let Some(model) = reported(1)?.or(text(&values[4], "sysDescr")?) {
        identity = identity.with_model(model);
    }
    if let Some(serial) = reported(2)? {
        identity = identity.with_serial(serial);
    }
    if let Some(software) = reported(3)? {
        identity = identity.with_firmware(software);
    }
    Ok(identity)
}

#[async_trait]
impl Device for ScteHms {
    fn descriptor(&self) -> &Descriptor {
        &self.descriptor
    }
    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    async fn identity(&self) -> Result<Identity> {
        let now = identity(&self.unit).await?;
        self.unit
            .agent
            .check_identity(&self.identity, &now, &self.events)
            .await;
        Ok(now)
    }

    async fn health(&self) -> Result<Health> {
        let now = self.unit.read_status(&self.unit.agent.call()).await?;
        let mut faults: Vec<String> = ["A", "B"]
            .iter()
            .zip(now.inputs)
            .filter(|(_, i)| i.failed)
            .map(|(name, _)| format!("input {name} is in fault"))
            .collect();
        if now.failover {
            faults.push(format!(
                "failover: the switch is at {}, and {} is preferred",
                now.state.name(),
                now.control.name()
            ));
        }
        Ok(Health::from_faults(HealthState::Degraded, faults))
    }

    async fn telemetry(&self) -> Result<Vec<Reading>> {
        let call = self.unit.agent.call();
        let now = self.unit.read_status(&call).await?;
        let values = call
            .get(&[oid::BOTH_INPUTS, oid::WAVELENGTH, oid::HYSTERESIS].map(|c| self.unit.name(c)))
            .await?;
        let mut all = vec![Reading::now("failover", Measure::Flag(now.failover), "")];
        for (name, input) in ["a", "b"].iter().zip(now.inputs) {
            all.push(Reading::now(
                format!("input.{name}.fault"),
                Measure::Flag(input.failed),
                "",
            ));
            all.extend(input.level.map(|p| {
                Reading::now(
                    format!("input.{name}.power"),
                    Measure::Number(p.0),
                    DecibelMilliwatts::SYMBOL,
                )
            }));
        }
        let fault = optional(&values[0], |v| decode_fault(v, "heOpSwitchBothInputStatus"));
        all.extend(reading(
            "both-inputs-low",
            "",
            fault.map(|f| f.map(Measure::Flag)),
        )?);
        #[allow(clippy::cast_precision_loss, reason = "an Integer32")]
        for (at, object, name, unit, scale) in [
            (1, "heOpSwitchSelectWavelength", "wavelength", "nm", 100.0),
            (2, "heOpSwitchHysteresis", "hysteresis", "dB", 10.0),
        ] {
            let number = optional(&values[at], |v| integer(v, object))
                .map(|n| n.map(|n| Measure::Number(n as f64 / scale)));
            all.extend(reading(name, unit, number)?);
        }
        Ok(all)
    }

    fn events(&self) -> EventStream {
        self.events.subscribe()
    }

    async fn close(&self) -> Result<()> {
        self.traps.stop();
        self.unit.agent.link().close().await;
        self.events.close();
        Ok(())
    }
}
