//! The device: identity, health, telemetry and notifications.

use crate::{
    INFO,
    port::{Before, PortStatus},
    proto::{
        Condition, decode_elapsed, decode_life_time, decode_rows, decode_text, decode_trap, oid,
    },
};
use async_trait::async_trait;
use qkd_driver_kit::{
    change_lock::ChangeLock,
    forced_exchanges::ForcedExchanges,
    link::{
        make::check_agent,
        snmp::{Oid, SnmpLink},
        snmp_client::{BackgroundTask, SnmpCall, SnmpClient, reading},
    },
    officer_password::OfficerPassword,
};
use qkd_hal::{
    Capabilities, Descriptor, Device, Error, ErrorKind, EventKind, EventStream, Health, Identity,
    Operation, Result,
    device::HealthState,
    encryptor::{
        EncryptorCapabilities, Hitless, KeyForm, KeyIdForm, KeyRole, KeySizes, PolicyOwner,
    },
    event::{EventHub, Origin, Severity},
    reading::{Reading, ReadingValue as Measure},
    units::Bits,
};

/// An ADVA FSP 3000R7 with encryption modules.
pub struct Fsp3000R7 {
    opened: Identity,
    descriptor: Descriptor,
    capabilities: Capabilities,
    pub(crate) encryptor: EncryptorCapabilities,
    pub(crate) agent: SnmpClient,
    pub(crate) officer: OfficerPassword,
    /// The device shows the result of the last SET only.
    pub(crate) turns: ChangeLock,
    pub(crate) exchanges: ForcedExchanges<Before>,
    events: EventHub,
    traps: BackgroundTask,
}

fn listen(link: &dyn SnmpLink, events: EventHub) -> BackgroundTask {
    BackgroundTask::for_each_notification(link, move |notification| {
        if let Some(condition) = notification.and_then(|n| decode_trap(&n)) {
            events.publish(Origin::Device, event(condition));
        }
        std::future::ready(())
    })
}

fn event(condition: Condition) -> EventKind {
    let name = condition.name.to_owned();
    match condition.severity {
        Severity::Indeterminate => EventKind::Vendor {
            name,
            detail: condition.entity.unwrap_or_default(),
        },
        severity => EventKind::Alarm {
            code: condition.number.to_string(),
            text: name,
            subject: condition.entity,
            severity,
        },
    }
}

/// The key becomes a password of hexadecimal digits. The MIB does not say what traffic does while a
/// forced exchange runs.
fn declare() -> EncryptorCapabilities {
    let sizes = KeySizes::AnyUpTo(Bits(crate::proto::TEXT_LIMIT / 2 * 8));
    let form = KeyForm::new(KeyRole::KeyEncryptionPassword, sizes, KeyIdForm::None);
    EncryptorCapabilities::forced_reinitialisation(form, None)
        .with_hitless(Hitless::no(
            "the MIB does not say what traffic does during a forced key exchange",
        ))
        .with_policies(PolicyOwner::ByDevice, PolicyOwner::ByDevice)
}

impl Fsp3000R7 {
    pub(crate) async fn open(
        descriptor: Descriptor,
        agent: SnmpClient,
        officer: OfficerPassword,
        events: EventHub,
    ) -> Result<Self> {
        use Operation as Op;
        let capabilities = Capabilities::none()
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
        let traps = listen(agent.link(), events.clone());
        let opened = read_identity(&agent).await?;
        if rows(&agent.call()).await?.is_empty() {
            return Err(Error::new(
                ErrorKind::NotReady,
                "the device has no row in its table of encrypting ports: set one up on it",
            ));
        }
        Ok(Self {
            opened,
            descriptor,
            capabilities,
            encryptor: declare(),
            agent,
            officer,
            turns: ChangeLock::default(),
            exchanges: ForcedExchanges::default(),
            events,
            traps,
        })
    }

    /// The identity at opening.
    pub(crate) fn opened_as(&self) -> &Identity {
        &self.opened
    }

    pub(crate) async fn rows(&self, call: &SnmpCall<'_>) -> Result<Vec<u32>> {
        rows(call).await
    }

    /// Text that names a port, where IF-MIB has a row of this number.
    async fn port_name(&self, row: u32) -> Result<String> {
        let name = Oid::from(oid::IF_DESCR).child(&[row]);
        let value = self.agent.call().get(&[name]).await?;
        Ok(match decode_text(&value[0], "ifDescr").ok().flatten() {
            Some(descr) => format!("port {row} ({descr})"),
            None => format!("port {row}"),
        })
    }
}

/// The shelf comes first in entPhysicalTable: its serial number is that of the device.
async fn read_identity(agent: &SnmpClient) -> Result<Identity> {
    let call = agent.call();
    let system = check_agent(&INFO, &call).await?;
    let mut identity = Identity::new("ADVA");
    if let Some(model) = system.descr {
        identity = identity.with_model(model);
    }
    for (_, serial) in call.walk(&Oid::from(oid::SERIAL_NUMBERS)).await? {
        let serial = decode_text(&serial, "entPhysicalSerialNum").ok().flatten();
        if let Some(serial) = serial.filter(|serial| !serial.is_empty()) {
            return Ok(identity.with_serial(serial));
        }
    }
    Ok(identity)
}

async fn rows(call: &SnmpCall<'_>) -> Result<Vec<u32>> {
    // The columns of keys and passwords are never read.
    let column = oid::column(oid::PORT_CONFIG, oid::LIFE_TIME);
    Ok(decode_rows(&call.walk(&column).await?)?)
}

#[async_trait]
impl Device for Fsp3000R7 {
    fn descriptor(&self) -> &Descriptor {
        &self.descriptor
    }
    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    async fn identity(&self) -> Result<Identity> {
        read_identity(&self.agent).await
    }

    async fn health(&self) -> Result<Health> {
        let mut faults = Vec::new();
        for row in self.rows(&self.agent.call()).await? {
            let status = PortStatus::read(&self.agent.call(), row).await?;
            if let Some(fault) = status.fault() {
                faults.push(format!("{}: {fault}", self.port_name(row).await?));
            }
        }
        Ok(Health::from_faults(HealthState::Degraded, faults))
    }

    async fn telemetry(&self) -> Result<Vec<Reading>> {
        let mut all = Vec::new();
        for row in self.rows(&self.agent.call()).await? {
            let names = [
                oid::of(oid::PORT_CONFIG, oid::LIFE_TIME, row),
                oid::of(oid::PORT_STATUS, oid::FAILURES, row),
                oid::of(oid::PORT_STATUS, oid::REMAINING, row),
                oid::of(oid::CURRENT_15_MIN, oid::RUN_SECONDS, row),
                oid::of(oid::CURRENT_15_MIN, oid::ERROR_SECONDS, row),
                oid::of(oid::CURRENT_15_MIN, oid::ELAPSED, row),
            ];
            let values = self.agent.call().get(&names).await?;
            let life_time =
                decode_life_time(&values[0]).map(|t| t.map(|t| Measure::Text(t.to_owned())));
            all.extend(reading(
                format!("channel.{row}.key-life-time"),
                "",
                life_time,
            )?);
            for (name, unit, value) in [
                ("failed-exchanges", "", &values[1]),
                ("key-life-time-remaining", "s", &values[2]),
                ("encrypted-15-min", "s", &values[3]),
                ("errored-15-min", "s", &values[4]),
            ] {
                let number =
                    crate::proto::decode_count(value, "cryptoPort").map(|n| n.map(Measure::Count));
                all.extend(reading(format!("channel.{row}.{name}"), unit, number)?);
            }
            let elapsed = decode_elapsed(&values[5]).map(|n| n.map(Measure::Count));
            all.extend(reading(
                format!("channel.{row}.elapsed-15-min"),
                "s",
                elapsed,
            )?);
        }
        Ok(all)
    }

    fn events(&self) -> EventStream {
        self.events.subscribe()
    }

    async fn close(&self) -> Result<()> {
        self.traps.stop();
        self.agent.link().close().await;
        self.events.close();
        Ok(())
    }
}
