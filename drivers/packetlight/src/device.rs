//! The device: identity, health and traps.

use crate::{
    INFO,
    aps_groups::{self, ApsGroups},
    proto::{
        self, ProtoError, PskEncoding,
        aps::{LosEncoding, PORT, PORT_POWER},
        decode_number, decode_severity, decode_status, decode_text, decode_truth_value, oid,
    },
    roll::RollTracker,
};
use async_trait::async_trait;
use qkd_driver_kit::{
    change_lock::ChangeLock,
    link::{
        make::check_agent,
        snmp::{Notification, Oid, Value},
        snmp_client::{BackgroundTask, SnmpCall, SnmpClient, reading},
    },
};
use qkd_hal::{
    Capabilities, Descriptor, Device, DeviceKind, Error, ErrorKind, EventKind, EventStream, Health,
    Identity, Operation, Result,
    device::HealthState,
    encryptor::{EncryptorCapabilities, KeyForm, KeyIdForm, KeyRole, KeySizes},
    event::{EventHub, Origin, Severity},
    reading::{Reading, ReadingValue as Measure},
};
use qkd_switch_hal::{Port, PowerMeterCapabilities, protection::ProtectionCapabilities};
use std::{collections::HashMap, sync::Arc};

/// A PacketLight device: an encryptor, which may also have optical protection and power monitors.
pub struct PacketLight {
    descriptor: Descriptor,
    capabilities: Capabilities,
    pub(crate) encryptor: EncryptorCapabilities,
    pub(crate) protection: ProtectionCapabilities,
    pub(crate) meter: PowerMeterCapabilities,
    pub(crate) agent: SnmpClient,
    pub(crate) groups: Arc<ApsGroups>,
    pub(crate) encoding: PskEncoding,
    events: EventHub,
    pub(crate) rolls: RollTracker,
    pub(crate) turns: ChangeLock,
    traps: BackgroundTask,
}

/// Publishes an alarm or a switch-over that a trap reports.
async fn on_notification(
    groups: Arc<ApsGroups>,
    events: EventHub,
    notification: Option<Notification>,
) {
    let Some(trap) = notification else {
        // Lost traps may have reported a switch-over.
        return groups.poll(Origin::Poll, &events).await;
    };
    if let Ok(Some(alarm)) = proto::decode_trap(&trap) {
        let kind = EventKind::Alarm {
            code: alarm.kind.to_string(),
            text: format!("{}: {}", proto::alarm_name(alarm.kind), alarm.text),
            subject: Some(alarm.if_index.to_string()),
            severity: alarm.severity,
        };
        events.publish(Origin::Device, kind);
    } else if let Ok(Some(reported)) = proto::aps::decode_trap(&trap) {
        groups.record_switch_over(reported, &events).await;
    }
}

/// Returns the ports that report their power, by ifIndex.
async fn power_monitors(call: &SnmpCall<'_>) -> Result<Vec<Port>> {
    let rows = call.walk(&Oid::from(PORT).child(&[PORT_POWER])).await?;
    rows.iter()
        .map(|(index, _)| {
            if let [port] = index.as_slice() {
                Ok(Port(*port))
            } else {
                Err(ProtoError::Name.into())
            }
        })
        .collect()
}

impl PacketLight {
    pub(crate) async fn open(
        descriptor: Descriptor,
        agent: SnmpClient,
        encoding: PskEncoding,
        los: Option<LosEncoding>,
        events: EventHub,
    ) -> Result<Self> {
        use Operation as Op;
        let mut capabilities = Capabilities::none()
            .with(&[
                Op::Identity,
                Op::Health,
                Op::Telemetry,
                Op::Channels,
                Op::Channel,
                Op::Stage,
                Op::Activate,
                Op::Confirm,
                Op::SetEncryption,
            ])
            .with_events(agent.link().event_support());
        let groups = Arc::new(ApsGroups::new(agent.clone(), los));
        let listener = (Arc::clone(&groups), events.clone());
        let traps = BackgroundTask::for_each_notification(agent.link(), move |notification| {
            on_notification(Arc::clone(&listener.0), listener.1.clone(), notification)
        });
        check_agent(&INFO, &agent.call()).await?;
        let capability = agent.call().get(&[Oid::from(oid::CAPABILITY)]).await?;
        if decode_number(&capability[0], "slmSysEncryptionCapability")? == Some(1) {
            return Err(Error::unsupported(
                "open",
                "the device reports that it cannot encrypt (slmSysEncryptionCapability is 1)",
            ));
        }
        let mut kinds = vec![DeviceKind::Encryptor];
        if !groups.rows(&agent.call()).await?.is_empty() {
            kinds.push(DeviceKind::ProtectionSwitch);
            capabilities = capabilities.with(&[
                Op::ProtectionGroups,
                Op::ProtectionStatus,
                Op::SetProtection,
                Op::ProtectionCommand,
            ]);
            groups.poll(Origin::Driver, &events).await;
        }
        let monitors = power_monitors(&agent.call()).await?;
        if !monitors.is_empty() {
            kinds.push(DeviceKind::PowerMeter);
            capabilities = capabilities.with(&[Op::Power, Op::Monitor]);
        }
        let device = Self {
            descriptor: descriptor.with_kinds(&kinds),
            capabilities,
            // The MIB bounds the text of a key, and does not say how long an exchange takes.
            encryptor: EncryptorCapabilities::forced_reinitialisation(
                KeyForm::new(
                    KeyRole::Psk,
                    KeySizes::AnyUpTo(encoding.largest_key()),
                    KeyIdForm::None,
                ),
                None,
            ),
            protection: aps_groups::capabilities(los),
            meter: PowerMeterCapabilities::for_ports(monitors),
            agent,
            groups,
            encoding,
            events,
            rolls: RollTracker::default(),
            turns: ChangeLock::default(),
            traps,
        };
        if device.rows().await?.is_empty() {
            return Err(Error::new(
                ErrorKind::NotReady,
                "the device has no row in slSecuEncryptionTable: set up an encrypting uplink on it",
            ));
        }
        Ok(device)
    }

    /// Whether it is of a kind.
    pub(crate) fn is(&self, kind: DeviceKind) -> bool {
        self.descriptor.kinds.contains(&kind)
    }

    pub(crate) async fn get(&self, oids: &[Oid]) -> Result<Vec<Value>> {
        self.agent.call().get(oids).await
    }

    async fn walk(&self, root: Oid) -> Result<Vec<(Vec<u32>, Value)>> {
        self.agent.call().walk(&root).await
    }

    pub(crate) async fn rows(&self) -> Result<Vec<u32>> {
        Ok(proto::decode_rows(
            &self.walk(oid::column(oid::IF_INDEX)).await?,
        )?)
    }
}

#[async_trait]
impl Device for PacketLight {
    fn descriptor(&self) -> &Descriptor {
        &self.descriptor
    }
    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    async fn identity(&self) -> Result<Identity> {
        let system = check_agent(&INFO, &self.agent.call()).await?;
        let known = system.object_id.as_ref().and_then(oid::model);
        let mut identity = Identity::new("PacketLight");
        if let Some(model) = known.map(str::to_owned).or(system.descr) {
            identity = identity.with_model(model);
        }
        let first = |rows: Vec<(Vec<u32>, Value)>| {
            rows.iter()
                .find_map(|(_, value)| decode_text(value, "slEntPhysical").ok().flatten())
        };
        if let Some(serial) = first(self.walk(Oid::from(oid::SERIAL)).await?) {
            identity = identity.with_serial(serial);
        }
        // Recorded agents that lack the software revision have the firmware revision.
        for column in [oid::SOFTWARE, oid::FIRMWARE] {
            if let Some(version) = first(self.walk(Oid::from(column)).await?) {
                identity = identity.with_firmware(version);
                break;
            }
        }
        Ok(identity)
    }

    async fn health(&self) -> Result<Health> {
        let oper = self.get(&[Oid::from(oid::OPER_STATUS)]).await?;
        let oper = decode_number(&oper[0], "slmSysOperStatus")?;
        let mut faults = Vec::new();
        for (index, value) in self.walk(oid::alarm(oid::ALARM_SEVERITY)).await? {
            let severity = decode_severity(&value)?;
            if let ([row, kind], true) = (index.as_slice(), severity != Severity::Cleared) {
                faults.push(format!(
                    "{} ({kind}) at {row}, {severity}",
                    proto::alarm_name(*kind)
                ));
            }
        }
        Ok(match oper {
            Some(2) => Health::with_faults(
                HealthState::Failed,
                [vec!["the node says that it is down".to_owned()], faults].concat(),
            ),
            _ => Health::from_faults(HealthState::Degraded, faults),
        })
    }

    async fn telemetry(&self) -> Result<Vec<Reading>> {
        let mut all = Vec::new();
        for row in self.rows().await? {
            let columns = [oid::STATUS, oid::PROTECTED_STATUS, oid::PERIOD, oid::LOCK];
            let values = self.get(&columns.map(|c| oid::instance(c, row))).await?;
            for (name, value) in [("status", &values[0]), ("protected-status", &values[1])] {
                let word =
                    decode_status(value).map(|s| s.map(|s| Measure::Text(s.keyword().to_owned())));
                all.extend(reading(format!("channel.{row}.{name}"), "", word)?);
            }
            let minutes = decode_number(&values[2], "slSecuEncryptionKeyExchangePeriod")
                .map(|m| m.map(|m| Measure::Count(m.unsigned_abs())));
            let name = format!("channel.{row}.key-exchange-period");
            all.extend(reading(name, "min", minutes)?);
            let lock = decode_truth_value(&values[3], "slSecuEncryptionLock")
                .map(|l| l.map(Measure::Flag));
            all.extend(reading(format!("channel.{row}.lock"), "", lock)?);
        }
        Ok(all)
    }

    fn events(&self) -> EventStream {
        self.events.subscribe()
    }

    async fn close(&self) -> Result<()> {
        self.traps.stop();
        self.rolls.with(HashMap::clear);
        self.agent.link().close().await;
        self.events.close();
        Ok(())
    }
}
