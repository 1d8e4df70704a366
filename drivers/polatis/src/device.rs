//! The switch behind the contract.

use crate::proto::{self, BootMode, Command, Identification, Monitors, ProtoError, State};
use async_trait::async_trait;
use qkd_driver_kit::{
    link::{
        Disclosure,
        ask::{Unanswered, ask},
        bytes::{ByteLink, Exchange, line},
    },
    switching,
};
use qkd_hal::{
    Capabilities, Descriptor, Device, DeviceKind, DeviceMisbehaved, Effect, Error, ErrorKind, EventStream, Health, Identity, Operation, Result, Stated,
    TransportFault,
    device::HealthState,
    event::EventHub,
    parameter::{ParameterSpec, ParameterType, ParameterValue, find},
    reading::{Measured, Reading, Value},
    units::DecibelMilliwatts,
};
use qkd_switch_hal::{
    Applied, CrossConnect, CrossConnects, Geometry, OpticalSwitch, Plan, Port, PortState, PortStatus, PowerLoss, PowerMeter, PowerMeterCapabilities, Step,
    SwitchCapabilities,
};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};
use tokio::time::Instant;

/// The most pairs of one command. The longest line that a switch takes is not public; 1 KiB is safe with all published clients.
const PAIRS_PER_COMMAND: usize = 100;

const BOOT_MODES: &[&str] = &["dark", "restore", "autosave"];

const PARAMETERS: &[ParameterSpec] = &[
    ParameterSpec::read_only("boot-mode", "what the paths do at power-up", ParameterType::Choice(BOOT_MODES), "").writable(),
    ParameterSpec::read_only("network-address", "address of the management interface", ParameterType::Text { max: 64 }, ""),
];

/// A Polatis switch.
pub struct Polatis {
    descriptor: Descriptor,
    capabilities: Capabilities,
    switch: SwitchCapabilities,
    meter: PowerMeterCapabilities,
    link: Arc<dyn ByteLink>,
    line_end: &'static str,
    identity: Identity,
    events: EventHub,
    turns: switching::Turns,
}

/// The identity that a reply to `*idn?` tells; `None` for other makers.
pub(crate) fn identity_of(id: &Identification) -> Option<Identity> {
    let polatis = id.maker.to_ascii_lowercase().contains("polatis");
    polatis.then(|| Identity::of(&id.maker).with_model(&id.product_code).with_serial(&id.serial).with_firmware(&id.firmware))
}

/// The exchange of a command.
pub(crate) fn exchange(command: &Command, line_end: &str, until: Instant) -> Exchange {
    let mut request = command.line();
    request.push_str(line_end);
    let within = until.saturating_duration_since(Instant::now());
    let exchange = Exchange::new("scpi", request, within).reply(line(proto::LINE_LIMIT), Disclosure::Public);
    if command.changes() { exchange } else { exchange.reads() }
}

/// What a wrong reply is, told by what else it could be.
fn misbehaved(error: &ProtoError, reply_to: &Command) -> Error {
    match error {
        ProtoError::NotText => Error::new(ErrorKind::Transport(TransportFault::Framing), error.to_string()),
        ProtoError::Shape { got, .. } => {
            let bytes = got.as_bytes();
            // One of the other queries' replies came, whole: it is late, or somebody else's.
            let other = proto::decode_identity(bytes).is_ok()
                || proto::decode_size(bytes).is_ok()
                || proto::decode_connections(bytes).is_ok()
                || proto::decode_peer(bytes).is_ok()
                || proto::decode_error(bytes).is_ok()
                || proto::decode_boot_mode(bytes).is_ok();
            let what = if other { DeviceMisbehaved::ReplyForAnotherRequest } else { DeviceMisbehaved::UnexpectedReply };
            Error::misbehaved(what, format!("`{reply_to}`: {error}"))
        }
        ProtoError::Count { .. } => Error::misbehaved(DeviceMisbehaved::UnexpectedReply, format!("`{reply_to}`: {error}")),
    }
}

impl Polatis {
    /// Reads who answers and how large it is.
    pub(crate) async fn open(descriptor: Descriptor, link: Arc<dyn ByteLink>, line_end: &'static str, events: EventHub) -> Result<Self> {
        let mut device = Self {
            descriptor,
            capabilities: Capabilities::none(),
            switch: SwitchCapabilities::new(Geometry::matrix(1, 1)),
            meter: PowerMeterCapabilities::default(),
            link,
            line_end,
            identity: Identity::default(),
            events,
            turns: switching::Turns::default(),
        };
        let until = device.until();
        let id = device.query(&Command::Identify, until, proto::decode_identity).await?;
        device.identity = identity_of(&id)
            .ok_or_else(|| Error::misbehaved(DeviceMisbehaved::UnexpectedReply, format!("a device of {} answers, which is no Polatis switch", id.maker)))?;
        let Some(size) = proto::size_in_product_code(&id.product_code) else {
            return Err(Error::unsupported("open", format!("product code {} tells no size; any-to-any switches have no public protocol", id.product_code)));
        };
        let told = device.query(&Command::Size, until, proto::decode_size).await?;
        if told != size || size.0 == 0 || size.1 == 0 {
            let why = format!("product code {} says {}x{}, and the switch says {}x{}", id.product_code, size.0, size.1, told.0, told.1);
            return Err(Error::misbehaved(DeviceMisbehaved::ValueOutOfRange, why));
        }
        let geometry = Geometry::matrix(size.0, size.1);
        let monitors = proto::monitors_in_product_code(&id.product_code);
        let monitored = geometry.ports().filter(|p| match monitors {
            Monitors::None => false,
            Monitors::Egress => geometry.is_egress(*p),
            Monitors::All => true,
        });
        device.switch = SwitchCapabilities::new(geometry).with_power_loss(Stated::Confirmed(PowerLoss::BootMode));
        device.meter = PowerMeterCapabilities::at(monitored);
        use Operation as Op;
        device.capabilities =
            Capabilities::none().with(&[Op::Identity, Op::Health, Op::GetParameter, Op::SetParameter, Op::Connections, Op::Ports, Op::Apply, Op::SetPort]);
        if monitors != Monitors::None {
            device.capabilities = device.capabilities.with(&[Op::Power, Op::Telemetry]);
        } else {
            device.descriptor = device.descriptor.with_kinds(&[DeviceKind::OpticalSwitch]);
        }
        Ok(device)
    }

    /// Refuses what needs power monitors where the product code has none.
    fn monitored(&self, operation: Operation) -> Result<()> {
        if self.meter.monitors.is_empty() { Err(Error::unsupported(operation.name(), "this model has no power monitors")) } else { Ok(()) }
    }

    fn until(&self) -> Instant {
        Instant::now() + self.descriptor.deadline
    }

    async fn query<T>(&self, command: &Command, until: Instant, decode: impl Fn(&[u8]) -> Result<T, ProtoError> + Clone + Send + 'static) -> Result<T> {
        match ask(self.link.as_ref(), exchange(command, self.line_end, until), decode).await {
            Ok(value) => Ok(value),
            Err(Unanswered::Link(error)) => Err(error.reading("query")),
            Err(Unanswered::Reply(error)) => Err(misbehaved(&error, command)),
        }
    }

    /// Sends a set command with the error query behind it.
    async fn set(&self, command: &Command, until: Instant) -> Result<()> {
        match ask(self.link.as_ref(), exchange(command, self.line_end, until), proto::decode_error).await {
            Ok(error) if error.code == 0 => Ok(()),
            Ok(error) => {
                Err(Error::new(ErrorKind::Refused, format!("the switch refused `{command}`")).vendor_code(error.code.to_string()).vendor_text(error.text))
            }
            Err(Unanswered::Link(error)) => Err(error.changing("set")),
            Err(Unanswered::Reply(error)) => Err(misbehaved(&error, command).effect(Effect::Unknown)),
        }
    }

    /// Forgets errors that somebody else's commands left in the queue, so that the next one is ours.
    async fn clear(&self, until: Instant) -> Result<()> {
        self.set(&Command::Clear, until).await.map_err(|e| e.effect(Effect::None))
    }

    async fn state(&self, until: Instant) -> Result<CrossConnects> {
        let pairs = self.query(&Command::Connections, until, proto::decode_connections).await?;
        let geometry = self.switch.geometry;
        let mut state = CrossConnects::dark();
        for (ingress, egress) in pairs {
            let connection = CrossConnect::new(ingress, egress);
            geometry
                .check(connection)
                .and_then(|()| state.insert(connection))
                .map_err(|e| Error::misbehaved(DeviceMisbehaved::ValueOutOfRange, format!("the switch tells an impossible state: {}", e.message())))?;
        }
        Ok(state)
    }

    async fn states(&self, ports: &[Port], until: Instant) -> Result<Vec<State>> {
        let count = if ports.is_empty() { self.switch.geometry.ports().count() } else { ports.len() };
        let command = Command::States(ports.iter().map(|p| p.0).collect());
        self.query(&command, until, move |reply| proto::decode_states(reply, count)).await
    }

    async fn measure(&self, ports: &[Port], until: Instant) -> Result<Vec<Measured<DecibelMilliwatts>>> {
        let mut all = Vec::with_capacity(ports.len());
        for part in ports.chunks(proto::POWER_QUERY_LIMIT) {
            let count = part.len();
            let command = Command::Power(part.iter().map(|p| p.0).collect());
            let dbm = self.query(&command, until, move |reply| proto::decode_power(reply, count)).await?;
            all.extend(dbm.into_iter().map(|v| Measured::now(DecibelMilliwatts(v))));
        }
        Ok(all)
    }

    fn check_ports(&self, ports: &[Port]) -> Result<()> {
        ports.iter().try_for_each(|p| self.switch.geometry.check_port(*p))
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
        let id = self.query(&Command::Identify, self.until(), proto::decode_identity).await?;
        match identity_of(&id) {
            Some(now) if now.same_box(&self.identity) => Ok(now),
            _ => Err(Error::new(
                ErrorKind::IdentityChanged,
                format!("{} was opened, and {} {}, serial {} answers now", self.identity, id.maker, id.product_code, id.serial),
            )),
        }
    }

    async fn health(&self) -> Result<Health> {
        let states = self.states(&[], self.until()).await?;
        let failed = self.switch.geometry.ports().zip(states).filter(|(_, s)| *s == State::Failed).map(|(p, _)| format!("port {p} has failed"));
        let faults: Vec<String> = failed.collect();
        Ok(if faults.is_empty() { Health::ok() } else { Health::with_faults(HealthState::Degraded, faults) })
    }

    async fn telemetry(&self) -> Result<Vec<Reading>> {
        self.monitored(Operation::Telemetry)?;
        let ports: Vec<Port> = self.meter.monitors.iter().copied().collect();
        let power = self.measure(&ports, self.until()).await?;
        Ok(ports
            .iter()
            .zip(power)
            .map(|(port, m)| Reading::now(format!("port.{port}.power"), Value::Number(m.value.0), DecibelMilliwatts::SYMBOL).with_quality(m.quality))
            .collect())
    }

    fn parameters(&self) -> &[ParameterSpec] {
        PARAMETERS
    }

    async fn parameter(&self, name: &str) -> Result<ParameterValue> {
        let until = self.until();
        match find(PARAMETERS, name)?.name {
            "boot-mode" => {
                let mode = self.query(&Command::BootMode, until, proto::decode_boot_mode).await?;
                Ok(ParameterValue::Text(word(mode).to_owned()))
            }
            _ => Ok(ParameterValue::Text(self.query(&Command::Network(false), until, proto::decode_network).await?.address)),
        }
    }

    async fn set_parameter(&self, name: &str, value: &ParameterValue) -> Result<()> {
        let spec = find(PARAMETERS, name)?;
        if !spec.writable {
            return Err(Error::unsupported(Operation::SetParameter.name(), format!("`{name}` can only be read")));
        }
        spec.check(value)?;
        let wanted = match value.to_string().as_str() {
            "dark" => BootMode::Dark,
            "restore" => BootMode::Restore,
            _ => BootMode::AutoSave,
        };
        let until = self.until();
        self.clear(until).await?;
        self.set(&Command::SetBootMode(wanted), until).await?;
        let now = self.query(&Command::BootMode, until, proto::decode_boot_mode).await.map_err(|e| e.effect(Effect::Unknown))?;
        if now == wanted {
            return Ok(());
        }
        let why = format!("boot mode {} was accepted, and the switch shows {}", word(wanted), word(now));
        Err(Error::misbehaved(DeviceMisbehaved::ChangeNotApplied, why).effect(Effect::Unknown))
    }

    fn events(&self) -> EventStream {
        self.events.subscribe()
    }

    async fn close(&self) -> Result<()> {
        self.link.close().await;
        self.events.close();
        Ok(())
    }
}

fn word(mode: BootMode) -> &'static str {
    match mode {
        BootMode::Dark => "dark",
        BootMode::Restore => "restore",
        BootMode::AutoSave => "autosave",
    }
}

#[async_trait]
impl PowerMeter for Polatis {
    fn meter_capabilities(&self) -> &PowerMeterCapabilities {
        &self.meter
    }

    async fn power(&self, ports: &[Port]) -> Result<Vec<Measured<DecibelMilliwatts>>> {
        self.monitored(Operation::Power)?;
        ports.iter().try_for_each(|p| self.meter.check_port(*p))?;
        self.measure(ports, self.until()).await
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
        let states = self.states(ports, until).await?;
        let asked: Vec<Port> = if ports.is_empty() { self.switch.geometry.ports().collect() } else { ports.to_vec() };
        let monitored: Vec<Port> = asked.iter().copied().filter(|p| self.meter.monitors.contains(p)).collect();
        let power: BTreeMap<Port, _> = monitored.iter().copied().zip(self.measure(&monitored, until).await?).collect();
        Ok(asked
            .into_iter()
            .zip(states)
            .map(|(port, s)| {
                let s = match s {
                    State::Enabled => PortState::Enabled,
                    State::Disabled => PortState::Disabled,
                    State::Failed => PortState::Failed,
                };
                let status = PortStatus::new(port, s, state.peer(port));
                match power.get(&port) {
                    Some(m) => status.with_power(*m),
                    None => status,
                }
            })
            .collect())
    }

    async fn apply(&self, plan: &Plan) -> Result<Applied> {
        let until = self.until();
        let run = Run { device: self, plan, until, read: Mutex::default() };
        switching::apply(&run, &self.identity, plan, &self.turns, until).await
    }

    async fn set_port(&self, port: Port, enabled: bool) -> Result<()> {
        self.check_ports(&[port])?;
        let until = self.until();
        self.clear(until).await?;
        let command = if enabled { Command::Enable(vec![port.0]) } else { Command::Disable(vec![port.0]) };
        self.set(&command, until).await?;
        let now = self.states(&[port], until).await.map_err(|e| e.effect(Effect::Unknown))?;
        match (now.as_slice(), enabled) {
            ([State::Enabled], true) | ([State::Disabled], false) => Ok(()),
            _ => {
                let why = format!("`{command}` was accepted, and port {port} shows {now:?}");
                Err(Error::misbehaved(DeviceMisbehaved::ChangeNotApplied, why).effect(Effect::Unknown))
            }
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

impl Run<'_> {
    /// The whole wanted state, if the plan declares every port: only then may a command touch all others.
    fn replacement(&self) -> Option<Vec<(u32, u32)>> {
        if !self.device.switch.geometry.ports().all(|p| self.plan.ports().contains(&p)) {
            return None;
        }
        let present = self.read.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let wanted = self.plan.result(&present).ok()?;
        (wanted.len() <= PAIRS_PER_COMMAND).then(|| wanted.iter().map(|c| (c.ingress.0, c.egress.0)).collect())
    }
}

#[async_trait]
impl switching::Backend for Run<'_> {
    async fn read(&self) -> Result<CrossConnects> {
        let state = self.device.state(self.until).await?;
        *self.read.lock().unwrap_or_else(PoisonError::into_inner) = state.clone();
        Ok(state)
    }

    async fn run(&self, steps: &[Step]) -> Result<(), (usize, Error)> {
        self.device.clear(self.until).await.map_err(|e| (0, e))?;
        if let Some(wanted) = self.replacement() {
            let command = if wanted.is_empty() { Command::DisconnectAll } else { Command::Only(wanted) };
            return self.device.set(&command, self.until).await.map_err(|e| (0, e));
        }
        // Removes stand before adds in every plan; neighbours of one kind go in one command.
        let mut sent = 0;
        for group in steps.chunk_by(|a, b| a.adds().is_empty() == b.adds().is_empty()) {
            for part in group.chunks(PAIRS_PER_COMMAND) {
                let pairs = |list: fn(&Step) -> &[CrossConnect]| part.iter().flat_map(list).map(|c| (c.ingress.0, c.egress.0)).collect();
                let command = if part[0].adds().is_empty() { Command::Remove(pairs(Step::removes)) } else { Command::Add(pairs(Step::adds)) };
                self.device.set(&command, self.until).await.map_err(|e| (sent, e))?;
                sent += part.len();
            }
        }
        Ok(())
    }
}
