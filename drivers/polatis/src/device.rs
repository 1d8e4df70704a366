//! The switch of the contract, over any of its interfaces.

use crate::{
    interface::{Change, Features, Interface, Pair, ProtectionGroups, not_applied},
    product,
};
use async_trait::async_trait;
use qkd_driver_kit::{change_lock::ChangeLock, protection, switching};
use qkd_hal::{
    Capabilities, Certainty, Descriptor, Device, DeviceKind, DeviceMisbehaved, Effect, Error,
    EventKind, EventStream, Health, Identity, Operation, Result, Support,
    device::HealthState,
    event::{EventHub, Origin},
    parameter::{ParameterSpec, ParameterValue},
    reading::{Measured, Reading, ReadingValue},
    units::DecibelMilliwatts,
};
use qkd_switch_hal::{
    ApplyReport, Attenuation, Attenuator, AttenuatorCapabilities, CrossConnect, CrossConnects,
    Geometry, MonitorSetting, MonitorStatus, OpticalSwitch, Plan, Port, PortState, PortStatus,
    PowerFailureBehaviour, PowerMeter, PowerMeterCapabilities, Step, SwitchCapabilities,
    protection::{
        ExternalCommand, GroupId, Protection, ProtectionCapabilities, ProtectionSetting,
        ProtectionStatus,
    },
};
use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};
use tokio::time::Instant;

/// A Polatis optical switch.
pub struct Polatis {
    descriptor: Descriptor,
    capabilities: Capabilities,
    switch: SwitchCapabilities,
    fitted: Features,
    protection: ProtectionCapabilities,
    interface: Box<dyn Interface>,
    identity: Identity,
    events: EventHub,
    turns: ChangeLock,
    /// Of changes of groups, monitors and attenuators, which read before or after.
    settings: ChangeLock,
}

impl Polatis {
    /// Reads identity, size and features of the switch and opens it.
    pub(crate) async fn open(
        descriptor: Descriptor,
        interface: Box<dyn Interface>,
        events: EventHub,
    ) -> Result<Self> {
        use Operation as Op;
        let until = Instant::now() + descriptor.deadline;
        let identity = interface.identity(until).await?;
        let model = identity.model.clone().unwrap_or_default();
        let Some(size) = product::size(&model) else {
            return Err(Error::unsupported(
                "open",
                format!(
                    "product code {model} contains no size; any-to-any switches have no public \
                     protocol"
                ),
            ));
        };
        let reported = interface.size(until).await?;
        if reported != size || size.0 == 0 || size.1 == 0 {
            let why = format!(
                "product code {model} says {}x{}, and the switch says {}x{}",
                size.0, size.1, reported.0, reported.1
            );
            return Err(Error::misbehaved(DeviceMisbehaved::ValueOutOfRange, why));
        }
        let geometry = Geometry::matrix(size.0, size.1);
        let fitted = interface.fitted(&model, &geometry, until).await?;
        let mut kinds = vec![DeviceKind::OpticalSwitch];
        // If the interface reports failed ports, `fitted` states it.
        let mut capabilities = Capabilities::none()
            .with(&[
                Op::Identity,
                Op::Connections,
                Op::Ports,
                Op::Apply,
                Op::SetPort,
            ])
            .with_emulated(&[Op::Health])
            .with(&fitted.operations)
            .with_events(fitted.events);
        if !interface.parameters().is_empty() {
            capabilities = capabilities.with(&[Op::GetParameter, Op::SetParameter]);
        }
        if !fitted.meter.monitors.is_empty() {
            kinds.push(DeviceKind::PowerMeter);
            capabilities = capabilities.with(&[Op::Power, Op::Telemetry]);
        }
        if !fitted.attenuator.ports.is_empty() {
            kinds.push(DeviceKind::Attenuator);
            capabilities = capabilities.with(&[Op::Attenuation, Op::SetAttenuation]);
        }
        if fitted.protection.is_some() {
            kinds.push(DeviceKind::ProtectionSwitch);
            capabilities = capabilities.with(&[
                Op::ProtectionGroups,
                Op::ProtectionStatus,
                Op::SetProtection,
                Op::ProtectionCommand,
            ]);
        }
        Ok(Self {
            descriptor: descriptor.with_kinds(&kinds),
            capabilities,
            switch: SwitchCapabilities::new(geometry)
                .with_power_failure(Certainty::Confirmed(PowerFailureBehaviour::BootMode)),
            protection: fitted.protection.clone().unwrap_or_default(),
            fitted,
            interface,
            identity,
            events,
            turns: ChangeLock::default(),
            settings: ChangeLock::default(),
        })
    }

    /// Returns the identity at opening.
    pub(crate) fn opened_as(&self) -> &Identity {
        &self.identity
    }

    /// Returns whether the switch is also of this kind.
    pub(crate) fn is(&self, kind: DeviceKind) -> bool {
        self.descriptor.kinds.contains(&kind)
    }

    /// Refuses operations that need power monitors if there are none.
    fn monitored(&self, operation: Operation) -> Result<()> {
        if self.is(DeviceKind::PowerMeter) {
            Ok(())
        } else {
            Err(Error::unsupported(
                operation.name(),
                "this model has no power monitors",
            ))
        }
    }

    fn until(&self) -> Instant {
        Instant::now() + self.descriptor.deadline
    }

    async fn state(&self, until: Instant) -> Result<CrossConnects> {
        let geometry = self.switch.geometry;
        let mut state = CrossConnects::dark();
        for (ingress, egress) in self.interface.paths(until).await? {
            let connection = CrossConnect::new(ingress, egress);
            geometry
                .check(connection)
                .and_then(|()| state.insert(connection))
                .map_err(|e| {
                    Error::misbehaved(
                        DeviceMisbehaved::ValueOutOfRange,
                        format!(
                            "the switch reported a state that is impossible in its geometry: {}",
                            e.message()
                        ),
                    )
                })?;
        }
        Ok(state)
    }

    async fn measure(
        &self,
        ports: &[Port],
        until: Instant,
    ) -> Result<Vec<Measured<DecibelMilliwatts>>> {
        Ok(self
            .interface
            .power(ports, until)
            .await?
            .into_iter()
            .map(Measured::now)
            .collect())
    }

    fn check_ports(&self, ports: &[Port]) -> Result<()> {
        ports
            .iter()
            .try_for_each(|p| self.switch.geometry.check_port(*p))
    }

    fn groups(&self, operation: Operation) -> Result<&dyn ProtectionGroups> {
        self.interface.groups().ok_or_else(|| {
            Error::unsupported(operation.name(), "only SNMP serves protection groups")
        })
    }
}

#[async_trait]
impl Device for Polatis {
    fn descriptor(&self) -> &Descriptor {
        &self.descriptor
    }
    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    async fn identity(&self) -> Result<Identity> {
        let until = self.until();
        let mut now = self.interface.identity(until).await?;
        if !now.is_same_device(&self.identity) {
            // One damaged bit is not another device: another device returns the same identity
            // twice.
            now = self.interface.identity(until).await?;
        }
        if !now.is_same_device(&self.identity) {
            // The check in front of the handles refuses from now on; the other device receives no
            // more requests.
            self.events.publish(
                Origin::Driver,
                EventKind::IdentityChanged {
                    found: now.to_string(),
                },
            );
            self.interface.close().await;
        }
        Ok(now)
    }

    async fn health(&self) -> Result<Health> {
        if self.capabilities.supports(Operation::Health) == Support::Emulated {
            // This interface has no word for a failed port: it answers, and that is all.
            return self
                .interface
                .size(self.until())
                .await
                .map(|_| Health::ok());
        }
        let ports: Vec<Port> = self.switch.geometry.ports().collect();
        let states = self.interface.states(&ports, self.until()).await?;
        let failed = ports
            .iter()
            .zip(states)
            .filter(|(_, s)| *s == PortState::Failed)
            .map(|(p, _)| format!("port {p} has failed"));
        let faults: Vec<String> = failed.collect();
        Ok(Health::from_faults(HealthState::Degraded, faults))
    }

    async fn telemetry(&self) -> Result<Vec<Reading>> {
        self.monitored(Operation::Telemetry)?;
        let ports: Vec<Port> = self.fitted.meter.monitors.iter().copied().collect();
        let power = self.measure(&ports, self.until()).await?;
        Ok(ports
            .iter()
            .zip(power)
            .map(|(port, m)| {
                Reading::now(
                    format!("port.{port}.power"),
                    ReadingValue::Number(m.value.0),
                    DecibelMilliwatts::SYMBOL,
                )
                .with_quality(m.quality)
            })
            .collect())
    }

    fn parameters(&self) -> &[ParameterSpec] {
        self.interface.parameters()
    }

    async fn parameter(&self, name: &str) -> Result<ParameterValue> {
        self.interface.parameter(name, self.until()).await
    }

    async fn set_parameter(&self, name: &str, value: &ParameterValue) -> Result<()> {
        self.interface
            .set_parameter(name, value, self.until())
            .await
    }

    fn events(&self) -> EventStream {
        self.events.subscribe()
    }

    async fn close(&self) -> Result<()> {
        self.interface.close().await;
        self.events.close();
        Ok(())
    }
}

#[async_trait]
impl OpticalSwitch for Polatis {
    fn switch_capabilities(&self) -> &SwitchCapabilities {
        &self.switch
    }

    async fn connections(&self) -> Result<Measured<CrossConnects>> {
        Ok(Measured::now(self.state(self.until()).await?))
    }

    async fn ports(&self, ports: &[Port]) -> Result<Vec<PortStatus>> {
        self.check_ports(ports)?;
        let until = self.until();
        let state = self.state(until).await?;
        let asked: Vec<Port> = if ports.is_empty() {
            self.switch.geometry.ports().collect()
        } else {
            ports.to_vec()
        };
        let states = self.interface.states(&asked, until).await?;
        let monitored: Vec<Port> = asked
            .iter()
            .copied()
            .filter(|p| self.fitted.meter.monitors.contains(p))
            .collect();
        let power: BTreeMap<Port, _> = monitored
            .iter()
            .copied()
            .zip(self.measure(&monitored, until).await?)
            .collect();
        Ok(asked
            .into_iter()
            .zip(states)
            .map(|(port, s)| {
                let status = PortStatus::new(port, s, state.peer(port));
                match power.get(&port) {
                    Some(m) => status.with_power(*m),
                    None => status,
                }
            })
            .collect())
    }

    async fn apply(&self, plan: &Plan) -> Result<ApplyReport> {
        let until = self.until();
        let run = Run {
            device: self,
            plan,
            until,
            read: Mutex::default(),
        };
        switching::apply(&run, &self.identity, plan, &self.turns, until).await
    }

    async fn set_port(&self, port: Port, enabled: bool) -> Result<()> {
        self.check_ports(&[port])?;
        let until = self.until();
        self.interface.begin(until).await?;
        self.interface.set_port(port, enabled, until).await?;
        let wanted = if enabled {
            PortState::Enabled
        } else {
            PortState::Disabled
        };
        match self
            .interface
            .states(&[port], until)
            .await
            .map_err(|e| e.with_effect(Effect::Unknown))?
            .as_slice()
        {
            [now] if *now == wanted => Ok(()),
            now => Err(not_applied(
                format!("state {wanted} of port {port}"),
                now.iter()
                    .map(ToString::to_string)
                    .collect::<Vec<_>>()
                    .join(", "),
            )),
        }
    }
}

/// One application of a plan.
struct Run<'a> {
    device: &'a Polatis,
    plan: &'a Plan,
    until: Instant,
    /// The state as last read.
    read: Mutex<CrossConnects>,
}

fn pairs<'a>(connections: impl IntoIterator<Item = &'a CrossConnect>) -> Vec<Pair> {
    connections
        .into_iter()
        .map(|c| (c.ingress.0, c.egress.0))
        .collect()
}

impl Run<'_> {
    /// The whole wanted state, if the interface can replace all and the plan declares every port:
    /// only then may a command touch all others.
    fn replacement(&self) -> Option<Vec<Pair>> {
        let Polatis {
            interface, switch, ..
        } = self.device;
        if !interface.replaces()
            || !switch
                .geometry
                .ports()
                .all(|p| self.plan.ports().contains(&p))
        {
            return None;
        }
        let present = self
            .read
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let wanted = self.plan.expected_state(&present).ok()?;
        (wanted.len() <= interface.pairs_per_command())
            .then(|| pairs(&wanted.iter().collect::<Vec<_>>()))
    }
}

#[async_trait]
impl switching::SwitchBackend for Run<'_> {
    async fn read(&self) -> Result<CrossConnects> {
        let state = self.device.state(self.until).await?;
        *self.read.lock().unwrap_or_else(PoisonError::into_inner) = state.clone();
        Ok(state)
    }

    async fn run(&self, steps: &[Step]) -> Result<(), (usize, Error)> {
        let interface = &self.device.interface;
        interface.begin(self.until).await.map_err(|e| (0, e))?;
        if let Some(wanted) = self.replacement() {
            return interface
                .change(Change::Only(&wanted), self.until)
                .await
                .map_err(|e| (0, e));
        }
        // Removals precede additions in every plan; consecutive steps of one kind are sent in one
        // command.
        let mut sent = 0;
        for group in steps.chunk_by(|a, b| a.added().is_empty() == b.added().is_empty()) {
            for part in group.chunks(interface.pairs_per_command()) {
                let (removes, adds) = (
                    pairs(part.iter().flat_map(Step::removed)),
                    pairs(part.iter().flat_map(Step::added)),
                );
                let change = if adds.is_empty() {
                    Change::Remove(&removes)
                } else {
                    Change::Add(&adds)
                };
                interface
                    .change(change, self.until)
                    .await
                    .map_err(|e| (sent, e))?;
                sent += part.len();
            }
        }
        Ok(())
    }
}

#[async_trait]
impl PowerMeter for Polatis {
    fn meter_capabilities(&self) -> &PowerMeterCapabilities {
        &self.fitted.meter
    }

    async fn power(&self, ports: &[Port]) -> Result<Vec<Measured<DecibelMilliwatts>>> {
        self.monitored(Operation::Power)?;
        ports
            .iter()
            .try_for_each(|p| self.fitted.meter.check_port(*p))?;
        self.measure(ports, self.until()).await
    }

    async fn monitor(&self, port: Port) -> Result<MonitorStatus> {
        self.fitted.meter.check_port(port)?;
        self.interface.monitor(port, self.until()).await
    }

    async fn set_monitor(&self, port: Port, change: &MonitorSetting) -> Result<()> {
        self.fitted.meter.check_port(port)?;
        self.fitted.meter.check(change)?;
        let until = self.until();
        let _turn = self.settings.lock(until).await?;
        self.interface.set_monitor(port, change, until).await?;
        let now = self
            .interface
            .monitor(port, until)
            .await
            .map_err(|e| e.with_effect(Effect::Unknown))?;
        if self.read_status(&now, change) {
            Ok(())
        } else {
            Err(not_applied(
                format!("{change} at port {port}"),
                current(&now, change),
            ))
        }
    }
}

impl Polatis {
    fn near(&self, a: f64, b: f64) -> bool {
        (a - b).abs() <= self.interface.resolution() / 2.0 + 1e-9
    }

    fn read_status(&self, now: &MonitorStatus, change: &MonitorSetting) -> bool {
        let level = |a: Option<DecibelMilliwatts>, b: Option<DecibelMilliwatts>| match (a, b) {
            (Some(a), Some(b)) => self.near(a.0, b.0),
            (a, b) => a.is_none() && b.is_none(),
        };
        match change {
            MonitorSetting::Wavelength(nm) => now.wavelength.is_some_and(|w| self.near(w.0, nm.0)),
            MonitorSetting::Averaging(time) => now.averaging == Some(*time),
            MonitorSetting::Alarms(wanted) => {
                level(now.alarms.low, wanted.low) && level(now.alarms.high, wanted.high)
            }
            _ => false,
        }
    }

    fn is_at(&self, now: &Attenuation, wanted: &Attenuation) -> bool {
        match (now, wanted) {
            (Attenuation::OutputPower(a), Attenuation::OutputPower(b)) => self.near(a.0, b.0),
            (
                Attenuation::Relative {
                    below: a,
                    reference: at,
                },
                Attenuation::Relative {
                    below: b,
                    reference,
                },
            ) => self.near(a.0, b.0) && at == reference,
            (now, wanted) => now == wanted,
        }
    }
}

#[async_trait]
impl Attenuator for Polatis {
    fn attenuator_capabilities(&self) -> &AttenuatorCapabilities {
        &self.fitted.attenuator
    }

    async fn attenuation(&self, port: Port) -> Result<Attenuation> {
        self.fitted.attenuator.check_port(port)?;
        self.interface.attenuation(port, self.until()).await
    }

    async fn set_attenuation(&self, port: Port, wanted: &Attenuation) -> Result<()> {
        self.fitted.attenuator.check(port, wanted)?;
        if let Attenuation::Relative { reference, .. } = wanted {
            self.check_ports(&[*reference])?;
        }
        let until = self.until();
        let _turn = self.settings.lock(until).await?;
        self.interface.set_attenuation(port, wanted, until).await?;
        let now = self
            .interface
            .attenuation(port, until)
            .await
            .map_err(|e| e.with_effect(Effect::Unknown))?;
        if self.is_at(&now, wanted) {
            Ok(())
        } else {
            Err(not_applied(format!("{wanted} at port {port}"), now))
        }
    }
}

#[async_trait]
impl Protection for Polatis {
    fn protection_capabilities(&self) -> &ProtectionCapabilities {
        &self.protection
    }

    async fn groups(&self) -> Result<Vec<GroupId>> {
        Polatis::groups(self, Operation::ProtectionGroups)?
            .list(self.until())
            .await
    }

    async fn protection(&self, group: &GroupId) -> Result<Measured<ProtectionStatus>> {
        Polatis::groups(self, Operation::ProtectionStatus)?
            .status(group, self.until())
            .await
            .map(Measured::now)
    }

    async fn set_protection(&self, group: &GroupId, setting: &ProtectionSetting) -> Result<()> {
        self.protection.check_setting(setting)?;
        let until = self.until();
        let _turn = self.settings.lock(until).await?;
        Polatis::groups(self, Operation::SetProtection)?
            .set(group, setting, until)
            .await
    }

    async fn command(&self, group: &GroupId, command: &ExternalCommand) -> Result<()> {
        self.protection.check_command(command)?;
        protection::command(
            Polatis::groups(self, Operation::ProtectionCommand)?,
            group,
            command,
            &self.settings,
            self.until(),
        )
        .await
    }
}

/// Returns the present setting of the kind of `change`, as text.
fn current(now: &MonitorStatus, change: &MonitorSetting) -> String {
    let present = match change {
        MonitorSetting::Wavelength(_) => now.wavelength.map(MonitorSetting::Wavelength),
        MonitorSetting::Averaging(_) => now.averaging.map(MonitorSetting::Averaging),
        _ => Some(MonitorSetting::Alarms(now.alarms)),
    };
    present.map_or_else(|| "an unknown value".to_owned(), |s| s.to_string())
}
