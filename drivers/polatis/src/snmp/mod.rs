//! SNMP interface of the switch.

mod aps;
mod monitors;
pub mod proto;

use aps::ApsGroups;

use crate::interface::{
    Change, Features, Interface, MAX_LEVEL_DB, Pair, ProtectionGroups, meter, powers,
};
use async_trait::async_trait;
use proto::{TrapEvent, VoaState, oid};
use qkd_driver_kit::link::{
    make::{SystemGroup, another_make},
    snmp::{Notification, Oid, SetRequest, Value},
    snmp_client::{BackgroundTask, SnmpCall, SnmpClient, integer, text, to_integer_steps},
};
use qkd_hal::{
    DeviceMisbehaved, Error, Identity, Operation, Result,
    event::{EventHub, Origin},
    units::{DecibelMilliwatts, Decibels},
};
use qkd_switch_hal::{
    Attenuation, AttenuatorCapabilities, Geometry, MonitorSetting, MonitorStatus, Port, PortState,
};
use std::sync::{Arc, OnceLock};
use tokio::time::Instant;

/// SNMP of a switch.
pub(crate) struct Snmp {
    agent: SnmpClient,
    events: EventHub,
    /// Unit of polatisOpmPower, in dBm.
    scale: f64,
    /// Whether relative levels may be set.
    relative: bool,
    /// Number of ports, once known.
    ports: OnceLock<usize>,
    groups: OnceLock<Arc<ApsGroups>>,
    traps: OnceLock<BackgroundTask>,
}

/// Publishes the content of a notification.
async fn on_notification(
    groups: Option<Arc<ApsGroups>>,
    events: EventHub,
    notification: Option<Notification>,
) {
    match notification.as_ref().map(proto::decode_trap) {
        Some(Ok(Some(TrapEvent::Event(kind)))) => drop(events.publish(Origin::Device, kind)),
        Some(Ok(Some(TrapEvent::SwitchOver {
            group,
            port,
            request,
        }))) => {
            if let Some(groups) = groups {
                groups.record_switch_over(group, port, request, &events);
            }
        }
        Some(Ok(Some(TrapEvent::Protection)) | Err(_)) | None => {
            // Lost notifications may have reported a switch-over.
            let origin = if notification.is_some() {
                Origin::Device
            } else {
                Origin::Poll
            };
            if let Some(groups) = groups {
                groups.poll(origin, &events).await;
            }
        }
        Some(Ok(None)) => {}
    }
}

/// The only sub-identifier of a row's name.
fn row(index: &[u32]) -> Result<u32> {
    if let [port] = index {
        Ok(*port)
    } else {
        Err(proto::SnmpDecodeError::Name.into())
    }
}

async fn rows(call: &SnmpCall<'_>, column: &[u32], geometry: &Geometry) -> Result<Vec<Port>> {
    let ports: Vec<Port> = call
        .walk(&Oid::from(column))
        .await?
        .iter()
        .map(|(index, _)| row(index).map(Port))
        .collect::<Result<_>>()?;
    let strange = |e: Error| {
        Error::misbehaved(
            DeviceMisbehaved::ValueOutOfRange,
            format!("a row: {}", e.message()),
        )
    };
    ports
        .iter()
        .try_for_each(|p| geometry.check_port(*p))
        .map_err(strange)?;
    Ok(ports)
}

/// Returns the cross-connects in a column of peers; `None` if two rows contradict each other.
fn pairs(patches: &[(u32, Option<u32>)]) -> Option<Vec<Pair>> {
    let peer = |port: u32| {
        patches
            .iter()
            .find(|(p, _)| *p == port)
            .and_then(|(_, peer)| *peer)
    };
    let mut all = Vec::new();
    for (port, to) in patches {
        if let Some(to) = to {
            if peer(*to) != Some(*port) {
                return None;
            }
            if port < to {
                all.push((*port, *to));
            }
        }
    }
    Some(all)
}

impl Snmp {
    pub(crate) fn new(agent: SnmpClient, scale: f64, relative: bool, events: EventHub) -> Self {
        Self {
            agent,
            events,
            scale,
            relative,
            ports: OnceLock::new(),
            groups: OnceLock::new(),
            traps: OnceLock::new(),
        }
    }

    /// Sets a path: by the row of its ingress port.
    async fn patch(&self, ingress: u32, peer: u32, until: Instant) -> Result<()> {
        self.agent
            .with_deadline(until)
            .set(
                Operation::Apply.name(),
                SetRequest::new().with(oid::of(oid::PATCH, ingress), Value::Gauge32(peer)),
            )
            .await
    }
}

#[async_trait]
impl Interface for Snmp {
    async fn identity(&self, until: Instant) -> Result<Identity> {
        let names = [oid::PRODUCT_CODE, oid::SERIAL_NUMBER, oid::FIRMWARE].map(Oid::from);
        let call = self.agent.with_deadline(until);
        let values = call.get(&names).await?;
        // The product code is the vendor's own object: an agent that has it is of this make,
        // whatever its sysObjectID.
        let Some(model) = text(&values[0], "polatisSysInfoProductCode")? else {
            let system = SystemGroup::read(&call).await?;
            return Err(another_make("a Polatis switch", system));
        };
        let mut identity = Identity::new("Polatis").with_model(model);
        if let Some(serial) = text(&values[1], "polatisSysInfoSerialNumber")? {
            identity = identity.with_serial(serial);
        }
        if let Some(firmware) = text(&values[2], "polatisSysInfoFirmwareVersion")? {
            identity = identity.with_firmware(firmware);
        }
        Ok(identity)
    }

    async fn size(&self, until: Instant) -> Result<Pair> {
        let (ingress, egress) = proto::decode_size(
            &self
                .agent
                .with_deadline(until)
                .get(&[Oid::from(oid::SIZE)])
                .await?[0],
        )?;
        let _ = self.ports.set(ingress as usize + egress as usize);
        Ok((ingress, egress))
    }

    async fn fitted(&self, _model: &str, geometry: &Geometry, until: Instant) -> Result<Features> {
        let call = self.agent.with_deadline(until);
        let mut fitted = Features {
            operations: vec![Operation::Health],
            events: self.agent.link().event_support(),
            ..Features::default()
        };
        let monitors = rows(&call, oid::POWER, geometry).await?;
        if !monitors.is_empty() {
            fitted.meter = meter(monitors);
            fitted
                .operations
                .extend([Operation::Monitor, Operation::SetMonitor]);
        }
        let attenuators = rows(&call, oid::VOA_LEVEL, geometry).await?;
        if !attenuators.is_empty() {
            fitted.attenuator = AttenuatorCapabilities::for_ports(attenuators)
                .with_extremes()
                .with_output_power(powers());
            if self.relative {
                fitted.attenuator = fitted
                    .attenuator
                    .with_relative(Decibels(0.0)..=Decibels(MAX_LEVEL_DB));
            }
        }
        if aps::is_there(&call).await? {
            fitted.protection = Some(aps::capabilities());
            let _ = self.groups.set(Arc::new(ApsGroups::new(
                self.agent.clone(),
                self.scale,
                fitted.meter.monitors.clone(),
            )));
        }
        // Subscribed before the groups are read, so that no later switch-over is missed.
        let listener = (self.groups.get().cloned(), self.events.clone());
        let traps = BackgroundTask::for_each_notification(self.agent.link(), move |notification| {
            on_notification(listener.0.clone(), listener.1.clone(), notification)
        });
        let _ = self.traps.set(traps);
        if let Some(groups) = self.groups.get() {
            groups.poll(Origin::Driver, &self.events).await;
        }
        Ok(fitted)
    }

    /// A walk takes several PDUs, between which another client may change a path: contradictory
    /// rows are read once more.
    async fn paths(&self, until: Instant) -> Result<Vec<Pair>> {
        let call = self.agent.with_deadline(until);
        for _ in 0..2 {
            let column = call.walk(&Oid::from(oid::PATCH)).await?;
            let patches = column
                .iter()
                .map(|(index, value)| Ok((row(index)?, proto::decode_patch(value)?)))
                .collect::<Result<Vec<_>>>()?;
            if self
                .ports
                .get()
                .is_some_and(|ports| *ports != patches.len())
            {
                let why = format!(
                    "polatisOxcPortPatch has {} rows, which is not one for each port",
                    patches.len()
                );
                return Err(Error::misbehaved(DeviceMisbehaved::UnexpectedReply, why));
            }
            if let Some(pairs) = pairs(&patches) {
                return Ok(pairs);
            }
        }
        Err(Error::misbehaved(
            DeviceMisbehaved::UnexpectedReply,
            "of polatisOxcPortPatch, the rows of two connected ports contradict each other",
        ))
    }

    async fn states(&self, ports: &[Port], until: Instant) -> Result<Vec<PortState>> {
        let names: Vec<Oid> = ports
            .iter()
            .map(|p| oid::of(oid::PORT_STATE, p.0))
            .collect();
        monitors::get(&self.agent.with_deadline(until), &names)
            .await?
            .iter()
            .map(|v| Ok(proto::decode_port_state(v)?))
            .collect()
    }

    /// No public client sets several in one PDU.
    fn pairs_per_command(&self) -> usize {
        1
    }

    async fn change(&self, change: Change<'_>, until: Instant) -> Result<()> {
        let (pairs, ends) = match change {
            Change::Add(pairs) | Change::Only(pairs) => (pairs, false),
            Change::Remove(pairs) => (pairs, true),
        };
        for (ingress, egress) in pairs {
            self.patch(*ingress, if ends { 0 } else { *egress }, until)
                .await?;
        }
        Ok(())
    }

    async fn set_port(&self, port: Port, enabled: bool, until: Instant) -> Result<()> {
        let request =
            SetRequest::new().with(oid::of(oid::PORT_DESIRED, port.0), proto::desired(enabled));
        self.agent
            .with_deadline(until)
            .set(Operation::SetPort.name(), request)
            .await
    }

    async fn power(&self, ports: &[Port], until: Instant) -> Result<Vec<DecibelMilliwatts>> {
        monitors::powers(&self.agent.with_deadline(until), ports, self.scale).await
    }

    async fn monitor(&self, port: Port, until: Instant) -> Result<MonitorStatus> {
        monitors::status(&self.agent.with_deadline(until), port).await
    }

    async fn set_monitor(&self, port: Port, change: &MonitorSetting, until: Instant) -> Result<()> {
        monitors::set(&self.agent.with_deadline(until), port, change).await
    }

    async fn attenuation(&self, port: Port, until: Instant) -> Result<Attenuation> {
        let names = [
            oid::VOA_LEVEL,
            oid::VOA_REFERENCE,
            oid::VOA_STATE,
            oid::VOA_DESIRED,
        ]
        .map(|column| oid::of(column, port.0));
        let values = self.agent.with_deadline(until).get(&names).await?;
        let level = || proto::decode_milli(&values[0], "polatisVoaLevel");
        let state = match proto::decode_voa_state(&values[2], "polatisVoaCurrentState")? {
            // On its way to what is desired.
            VoaState::Pending => proto::decode_voa_state(&values[3], "polatisVoaDesiredState")?,
            state => state,
        };
        Ok(match state {
            VoaState::Disabled => Attenuation::Transparent,
            VoaState::Absolute => Attenuation::OutputPower(DecibelMilliwatts(level()?)),
            VoaState::Relative => {
                let reference = integer(&values[1], "polatisVoaRefport")?;
                let reference =
                    u32::try_from(reference).map_err(|_| proto::SnmpDecodeError::Enumeration {
                        object: "polatisVoaRefport",
                        value: reference,
                    })?;
                Attenuation::Relative {
                    below: Decibels(level()?),
                    reference: Port(reference),
                }
            }
            VoaState::Maximum => Attenuation::Maximum,
            VoaState::Fixed => Attenuation::Other("fixed".to_owned()),
            VoaState::Pending => Attenuation::Other("pending".to_owned()),
        })
    }

    /// Level, then state, in one PDU, as ONOS does.
    async fn set_attenuation(
        &self,
        port: Port,
        wanted: &Attenuation,
        until: Instant,
    ) -> Result<()> {
        let object = |column| oid::of(column, port.0);
        let level = |value: f64, unit| {
            Ok::<_, Error>(Value::Integer(to_integer_steps(value, 0.001, unit)?))
        };
        let mut request = SetRequest::new();
        let state = match wanted {
            Attenuation::Transparent => VoaState::Disabled,
            Attenuation::Maximum => VoaState::Maximum,
            Attenuation::OutputPower(power) => {
                request = request.with(object(oid::VOA_LEVEL), level(power.0, "dBm")?);
                VoaState::Absolute
            }
            Attenuation::Relative { below, reference } => {
                request = request
                    .with(object(oid::VOA_LEVEL), level(below.0, "dB")?)
                    .with(object(oid::VOA_REFERENCE), Value::Gauge32(reference.0));
                VoaState::Relative
            }
            other => {
                return Err(Error::unsupported(
                    Operation::SetAttenuation.name(),
                    format!("there is no object for `{other}`"),
                ));
            }
        };
        let request = request.with(object(oid::VOA_DESIRED), Value::Integer(state as i32));
        self.agent
            .with_deadline(until)
            .set(Operation::SetAttenuation.name(), request)
            .await
    }

    fn resolution(&self) -> f64 {
        0.001
    }

    fn groups(&self) -> Option<&dyn ProtectionGroups> {
        self.groups.get().map(|groups| &**groups as _)
    }

    async fn close(&self) {
        if let Some(traps) = self.traps.get() {
            traps.stop();
        }
        self.agent.link().close().await;
    }
}
