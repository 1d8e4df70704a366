//! An optical switch: a matrix, one common port and N channels, or a crossbar.

pub mod aps;
mod instruments;
pub mod monitor;

pub use instruments::{AVERAGING, SwitchEvent};

use super::{
    DeviceBase,
    change_faults::{ChangeFaults, ChangeRefusal},
    device_base::impl_device,
    light::measured,
};
use crate::{
    clock::Clock,
    fault::{ApplyDeviceFault, DeviceFault},
};
use aps::Aps;
use async_trait::async_trait;
use monitor::{Monitor, Voa, VoaMode};
use qkd_hal::{
    Capabilities, Certainty, DeviceKind, Effect, Error, ErrorKind, EventKind, Health, Identity,
    Operation, Result, device::HealthState, event::Origin, reading::Measured,
};
use qkd_switch_hal::{
    ApplyReport, AttenuatorCapabilities, CrossConnect, CrossConnects, Geometry, OpticalSwitch,
    Plan, Port, PortState, PortStatus, PowerFailureBehaviour, PowerMeterCapabilities,
    SwitchCapabilities, protection::ProtectionCapabilities,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::sync::broadcast;

/// Connections after power-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BootMode {
    /// No connection; on a switch that cannot be dark, the first channel, or bar.
    Dark,
    /// Those that were saved.
    Restore,
    /// The last connections before power-off.
    Auto,
}

/// Why the switch did not do it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SwitchRejection {
    /// The port does not exist or is on the wrong side.
    NoSuchPort(u32),
    /// The port is in use, and this switch does not re-route.
    Busy(u32),
    /// The port has failed.
    Failed(u32),
    /// The lists have different lengths.
    Unequal,
    /// This switch always has a path.
    NeverDark,
    /// A fault refused the change.
    Gate(ChangeRefusal),
}

struct State {
    connections: CrossConnects,
    saved: CrossConnects,
    disabled: BTreeSet<u32>,
    failed: BTreeSet<u32>,
    cut: BTreeSet<u32>,
    input: BTreeMap<u32, f64>,
    extra_loss: f64,
    stray: Option<f64>,
    boot: BootMode,
    monitors: BTreeMap<u32, Monitor>,
    voas: BTreeMap<u32, Voa>,
    labels: BTreeMap<u32, String>,
    aps: Aps,
}

/// Model of an optical switch.
pub struct Switch {
    base: DeviceBase,
    limits: SwitchCapabilities,
    meter: PowerMeterCapabilities,
    attenuator: AttenuatorCapabilities,
    protection: ProtectionCapabilities,
    happenings: broadcast::Sender<SwitchEvent>,
    /// Insertion loss, in dB.
    loss: f64,
    /// Whether a connection to a port in use takes it over.
    reroutes: bool,
    change_faults: ChangeFaults,
    clock: Clock,
    state: Mutex<State>,
}

/// Default time until a path has settled.
pub const SETTLING: Duration = Duration::from_millis(25);

impl Switch {
    /// Creates a switch without connections (a switch that cannot be dark: at its first channel, or
    /// bar), with power monitors on all egress ports of a matrix, and 0 dBm into each ingress port.
    #[must_use]
    pub fn new(identity: Identity, geometry: Geometry, clock: Clock) -> Self {
        let mut operations = vec![
            Operation::Identity,
            Operation::Health,
            Operation::Connections,
            Operation::Apply,
        ];
        let mut limits = SwitchCapabilities::new(geometry).with_settling(SETTLING);
        let (mut meter, mut attenuator) = (
            PowerMeterCapabilities::default(),
            AttenuatorCapabilities::default(),
        );
        let matrix = matches!(geometry, Geometry::Matrix { .. });
        if matrix {
            operations.extend([
                Operation::Ports,
                Operation::SetPort,
                Operation::Power,
                Operation::Monitor,
                Operation::SetMonitor,
                Operation::Attenuation,
                Operation::SetAttenuation,
                Operation::ProtectionGroups,
                Operation::ProtectionStatus,
                Operation::SetProtection,
                Operation::ProtectionCommand,
            ]);
            limits =
                limits.with_power_failure(Certainty::Confirmed(PowerFailureBehaviour::BootMode));
            let egress = || geometry.ports().filter(|p| geometry.is_egress(*p));
            (meter, attenuator) = instruments::capabilities(egress(), egress());
        }
        let input = geometry
            .ports()
            .filter(|p| geometry.is_ingress(*p))
            .map(|p| (p.0, 0.0))
            .collect();
        Self {
            base: DeviceBase::new(
                DeviceKind::OpticalSwitch,
                identity,
                Capabilities::none().with(&operations),
            ),
            limits,
            attenuator,
            protection: instruments::protection(),
            happenings: broadcast::Sender::new(64),
            loss: 1.0,
            reroutes: true,
            change_faults: ChangeFaults::default(),
            clock,
            state: Mutex::new(State {
                connections: initial(&geometry),
                saved: CrossConnects::dark(),
                disabled: BTreeSet::new(),
                failed: BTreeSet::new(),
                cut: BTreeSet::new(),
                input,
                extra_loss: 0.0,
                stray: None,
                boot: BootMode::Dark,
                monitors: meter
                    .monitors
                    .iter()
                    .map(|p| (p.0, Monitor::default()))
                    .collect(),
                voas: BTreeMap::new(),
                labels: BTreeMap::new(),
                aps: Aps::default(),
            }),
            meter,
        }
    }
    /// A switch with power monitors on the ingress ports too.
    #[must_use]
    pub fn with_all_monitors(mut self) -> Self {
        let geometry = self.limits.geometry;
        (self.meter, _) = instruments::capabilities(geometry.ports(), std::iter::empty());
        self.lock().monitors = geometry
            .ports()
            .map(|p| (p.0, Monitor::default()))
            .collect();
        self
    }
    /// A switch that refuses a connection to a port in use.
    #[must_use]
    pub fn without_rerouting(mut self) -> Self {
        self.reroutes = false;
        self
    }
    /// A switch that does this at power-up.
    #[must_use]
    pub fn with_boot_mode(self, mode: BootMode) -> Self {
        self.lock().boot = mode;
        self
    }
    /// A switch without power monitors.
    #[must_use]
    pub fn without_monitors(mut self) -> Self {
        self.meter.monitors.clear();
        self.lock().monitors.clear();
        self.base.capabilities = self.base.capabilities.without(&[
            Operation::Power,
            Operation::Monitor,
            Operation::SetMonitor,
        ]);
        self
    }
    /// Returns the state that all models share.
    #[must_use]
    pub fn base(&self) -> &DeviceBase {
        &self.base
    }
    /// Returns the scheduled refusals of changes.
    #[must_use]
    pub fn change_faults(&self) -> &ChangeFaults {
        &self.change_faults
    }
    /// Returns the clock of the model.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.clock
    }
    /// Returns the ports and possible cross-connects.
    #[must_use]
    pub fn geometry(&self) -> Geometry {
        self.limits.geometry
    }
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the state that commands can change, as text.
    #[must_use]
    pub fn state(&self) -> String {
        let state = self.lock();
        let State {
            connections,
            saved,
            disabled,
            failed,
            boot,
            monitors,
            voas,
            labels,
            aps,
            ..
        } = &*state;
        let mut text = format!(
            "connections: {connections}\nsaved: {saved}\ndisabled: {disabled:?}\nfailed: \
             {failed:?}\nboot: {boot:?}"
        );
        // Default values are omitted: a large matrix has hundreds of each.
        let usual = Monitor::default().to_string();
        for (port, monitor) in monitors
            .iter()
            .map(|(p, m)| (p, m.to_string()))
            .filter(|(_, m)| *m != usual)
        {
            text.push_str(&format!("\nmonitor {port}: {monitor}"));
        }
        for (port, voa) in voas.iter().filter(|(_, v)| v.mode != VoaMode::None) {
            text.push_str(&format!("\nattenuator {port}: {voa:?}"));
        }
        text.push_str(&format!("\nlabels: {labels:?}\n{aps:?}"));
        text
    }

    /// Returns the current connections.
    #[must_use]
    pub fn cross_connects(&self) -> CrossConnects {
        self.lock().connections.clone()
    }
    /// The port at the other end.
    #[must_use]
    pub fn peer(&self, port: u32) -> Option<u32> {
        self.lock().connections.peer(Port(port)).map(|p| p.0)
    }
    /// Whether there is such a port.
    #[must_use]
    pub fn has_port(&self, port: u32) -> bool {
        self.limits.geometry.check_port(Port(port)).is_ok()
    }

    fn check(
        &self,
        state: &State,
        pairs: &[(u32, u32)],
    ) -> std::result::Result<(), SwitchRejection> {
        let geometry = &self.limits.geometry;
        for (ingress, egress) in pairs {
            for (port, right) in [
                (*ingress, geometry.is_ingress(Port(*ingress))),
                (*egress, geometry.is_egress(Port(*egress))),
            ] {
                if !right {
                    return Err(SwitchRejection::NoSuchPort(port));
                }
                if state.failed.contains(&port) {
                    return Err(SwitchRejection::Failed(port));
                }
            }
        }
        Ok(())
    }

    fn connect(&self, state: &mut State, pairs: &[(u32, u32)]) {
        for (ingress, egress) in pairs {
            // The one mirror of a crossbar makes both paths.
            let other = matches!(self.limits.geometry, Geometry::Crossbar)
                .then(|| (3 - ingress, 7 - egress));
            for (ingress, egress) in [(*ingress, *egress)].into_iter().chain(other) {
                state.connections.remove(Port(ingress));
                state.connections.remove(Port(egress));
                let _ = state.connections.insert(CrossConnect::new(ingress, egress));
            }
        }
    }

    fn switched(&self, pairs: impl Iterator<Item = (u32, u32)>) {
        let (ingress, egress): (Vec<u32>, Vec<u32>) = pairs.unzip();
        if !ingress.is_empty() {
            self.publish(SwitchEvent::Switched { ingress, egress });
        }
    }

    /// Adds connections, keeping the others; all or none.
    ///
    /// # Errors
    /// See [`SwitchRejection`].
    pub fn add(&self, pairs: &[(u32, u32)]) -> std::result::Result<(), SwitchRejection> {
        let mut state = self.lock();
        self.check(&state, pairs)?;
        if !self.reroutes
            && let Some(busy) = pairs
                .iter()
                .flat_map(|(i, e)| [*i, *e])
                .find(|p| state.connections.connection_at(Port(*p)).is_some())
        {
            return Err(SwitchRejection::Busy(busy));
        }
        if !self
            .change_faults
            .should_apply()
            .map_err(SwitchRejection::Gate)?
        {
            return Ok(());
        }
        self.connect(&mut state, pairs);
        self.switched(pairs.iter().copied());
        state.settle(self);
        Ok(())
    }

    /// Replaces all connections; all or none.
    ///
    /// # Errors
    /// See [`SwitchRejection`].
    pub fn replace_all(&self, pairs: &[(u32, u32)]) -> std::result::Result<(), SwitchRejection> {
        let mut state = self.lock();
        self.check(&state, pairs)?;
        if pairs.is_empty() && !self.limits.geometry.can_be_dark() {
            return Err(SwitchRejection::NeverDark);
        }
        if !self
            .change_faults
            .should_apply()
            .map_err(SwitchRejection::Gate)?
        {
            return Ok(());
        }
        let before = std::mem::take(&mut state.connections);
        self.connect(&mut state, pairs);
        let gone = before
            .iter()
            .filter(|c| !state.connections.contains(*c))
            .map(|c| (c.ingress.0, c.egress.0));
        self.switched(gone.chain(pairs.iter().copied()));
        state.settle(self);
        Ok(())
    }

    /// Takes the connections of these ports away.
    ///
    /// # Errors
    /// See [`SwitchRejection`].
    pub fn remove(&self, ports: &[u32]) -> std::result::Result<(), SwitchRejection> {
        let mut state = self.lock();
        if let Some(port) = ports.iter().find(|p| !self.has_port(**p)) {
            return Err(SwitchRejection::NoSuchPort(*port));
        }
        if !self.limits.geometry.can_be_dark() {
            return Err(SwitchRejection::NeverDark);
        }
        if !self
            .change_faults
            .should_apply()
            .map_err(SwitchRejection::Gate)?
        {
            return Ok(());
        }
        let gone: Vec<_> = ports
            .iter()
            .filter_map(|p| state.connections.remove(Port(*p)))
            .map(|c| (c.ingress.0, c.egress.0))
            .collect();
        self.switched(gone.into_iter());
        state.settle(self);
        Ok(())
    }

    /// Takes all connections away.
    ///
    /// # Errors
    /// See [`SwitchRejection`].
    pub fn remove_all(&self) -> std::result::Result<(), SwitchRejection> {
        self.replace_all(&[])
    }

    /// Opens or closes the shutters of ports. Connections stay.
    ///
    /// # Errors
    /// See [`SwitchRejection`].
    pub fn enable(&self, ports: &[u32], enabled: bool) -> std::result::Result<(), SwitchRejection> {
        if let Some(port) = ports.iter().find(|p| !self.has_port(**p)) {
            return Err(SwitchRejection::NoSuchPort(*port));
        }
        if !self
            .change_faults
            .should_apply()
            .map_err(SwitchRejection::Gate)?
        {
            return Ok(());
        }
        let mut state = self.lock();
        for port in ports {
            if enabled {
                state.disabled.remove(port)
            } else {
                state.disabled.insert(*port)
            };
        }
        for port in ports {
            self.publish(SwitchEvent::PortEnabled(*port, enabled));
        }
        state.settle(self);
        Ok(())
    }

    /// The state of a port.
    #[must_use]
    pub fn port_state(&self, port: u32) -> PortState {
        let state = self.lock();
        match () {
            () if state.failed.contains(&port) => PortState::Failed,
            () if state.disabled.contains(&port) => PortState::Disabled,
            () => PortState::Enabled,
        }
    }

    /// Whether the shutter of a port is closed.
    #[must_use]
    pub fn is_disabled(&self, port: u32) -> bool {
        self.lock().disabled.contains(&port)
    }

    /// Whether a port has a power monitor.
    #[must_use]
    pub fn is_monitored(&self, port: u32) -> bool {
        self.meter.monitors.contains(&Port(port))
    }

    /// Light into an ingress port, in dBm.
    pub fn set_input_power(&self, port: u32, dbm: f64) {
        let mut state = self.lock();
        state.input.insert(port, dbm);
        state.settle(self);
    }

    /// Returns the reading of the monitor at a port, in dBm, at least
    /// [`NO_LIGHT_DBM`](super::light::NO_LIGHT_DBM).
    #[must_use]
    pub fn power_at(&self, port: u32) -> f64 {
        self.lock().power(self, port)
    }

    /// Returns the boot mode.
    #[must_use]
    pub fn boot_mode(&self) -> BootMode {
        self.lock().boot
    }
    /// Sets the boot mode. `Restore` saves the current connections (chosen by this project: it is
    /// not published when a real switch saves).
    ///
    /// # Errors
    /// See [`SwitchRejection`].
    pub fn set_boot_mode(&self, mode: BootMode) -> std::result::Result<(), SwitchRejection> {
        if !self
            .change_faults
            .should_apply()
            .map_err(SwitchRejection::Gate)?
        {
            return Ok(());
        }
        let mut state = self.lock();
        state.boot = mode;
        if mode == BootMode::Restore {
            state.saved = state.connections.clone();
        }
        Ok(())
    }
    /// Loses power and comes back.
    pub fn reboot(&self) {
        let mut state = self.lock();
        match state.boot {
            BootMode::Dark => state.connections = initial(&self.limits.geometry),
            BootMode::Restore => state.connections = state.saved.clone(),
            BootMode::Auto => {}
        }
        state.settle(self);
        drop(state);
        self.base
            .events
            .publish(Origin::Device, EventKind::Restarted);
    }

    /// A second operator: `connect:1-17,2-18`, `disconnect:3`, `clear`, `disable:4`, `enable:4`.
    fn operator(&self, action: &str) -> std::result::Result<(), String> {
        let (verb, rest) = action.split_once(':').unwrap_or((action, ""));
        let list = || {
            rest.split(',')
                .map(|p| p.parse::<u32>().map_err(|_| format!("invalid port `{p}`")))
                .collect::<std::result::Result<Vec<_>, _>>()
        };
        if matches!(verb, "disconnect" | "clear") && !self.limits.geometry.can_be_dark() {
            return Err("a switch that cannot be dark has nothing to disconnect".to_owned());
        }
        let done = match verb {
            "connect" => {
                let pairs: CrossConnects =
                    rest.parse().map_err(|e: Error| e.message().to_owned())?;
                self.add(
                    &pairs
                        .iter()
                        .map(|c| (c.ingress.0, c.egress.0))
                        .collect::<Vec<_>>(),
                )
            }
            "disconnect" => self.remove(&list()?),
            "clear" => self.remove_all(),
            "disable" => self.enable(&list()?, false),
            "enable" => self.enable(&list()?, true),
            _ => {
                return Err(format!(
                    "`{verb}` is nothing that an operator of a switch does: connect, disconnect, \
                     clear, disable, enable"
                ));
            }
        };
        done.map_err(|e| format!("the switch rejected it: {e:?}"))
    }
}

impl ApplyDeviceFault for Switch {
    fn apply(&self, fault: &DeviceFault) -> std::result::Result<(), String> {
        match fault {
            DeviceFault::Reboot => self.reboot(),
            DeviceFault::Refuse(n) => self.change_faults.refuse(*n),
            DeviceFault::Ignore(n) => self.change_faults.ignore(*n),
            DeviceFault::Full => self.change_faults.set_full(true),
            DeviceFault::Identity(serial) => self.base.replace_device(serial),
            DeviceFault::PortFails(port) => {
                if !self.has_port(*port) {
                    return Err(format!("there is no port {port}"));
                }
                let mut state = self.lock();
                state.failed.insert(*port);
                // A switch that cannot be dark keeps its mirror position.
                if self.limits.geometry.can_be_dark() {
                    state.connections.remove(Port(*port));
                }
                self.publish(SwitchEvent::PortFailed(*port));
            }
            DeviceFault::Cut(None) => {
                self.lock().cut = self.limits.geometry.ports().map(|p| p.0).collect()
            }
            DeviceFault::Cut(Some(port)) => {
                // Of a protection group, `17/18`: the path to port 18.
                let (_, port) = port.rsplit_once('/').unwrap_or(("", port));
                let port = port.parse().map_err(|_| format!("invalid port `{port}`"))?;
                self.lock().cut.insert(port);
            }
            DeviceFault::LossDb(db) => self.lock().extra_loss = *db,
            DeviceFault::Leak(dbm) => self.lock().stray = Some(*dbm),
            DeviceFault::Operator(action) => return self.operator(action),
            DeviceFault::Clear => {
                self.change_faults.clear();
                let mut state = self.lock();
                state.failed.clear();
                state.cut.clear();
                (state.extra_loss, state.stray) = (0.0, None);
            }
            other => return Err(format!("a switch has no fault {other:?}")),
        }
        self.lock().settle(self);
        Ok(())
    }
}

/// Returns the connections of a new switch.
fn initial(geometry: &Geometry) -> CrossConnects {
    let pairs: &[_] = match geometry {
        Geometry::OneByN { dark: false, .. } => &[(Port::COMMON.0, 1)],
        Geometry::Crossbar => &[(1, 3), (2, 4)],
        _ => &[],
    };
    pairs
        .iter()
        .map(|(ingress, egress)| CrossConnect::new(*ingress, *egress))
        .collect::<Result<_>>()
        .unwrap_or_default()
}

fn refused(operation: Operation, rejected: SwitchRejection) -> Error {
    let kind = if matches!(rejected, SwitchRejection::NoSuchPort(_)) {
        ErrorKind::NotFound
    } else {
        ErrorKind::Refused
    };
    Error::new(kind, format!("the switch rejected it: {rejected:?}"))
        .with_operation(operation.name())
}

impl_device! { Switch, base,
    async fn health(&self) -> Result<Health> {
        let failed: Vec<_> = self.lock().failed.iter().map(|p| format!("port {p} has failed")).collect();
        Ok(Health::from_faults(HealthState::Degraded, failed))
    }
}

#[async_trait]
impl OpticalSwitch for Switch {
    fn switch_capabilities(&self) -> &SwitchCapabilities {
        &self.limits
    }
    async fn connections(&self) -> Result<Measured<CrossConnects>> {
        Ok(Measured::now(self.cross_connects()))
    }
    async fn ports(&self, ports: &[Port]) -> Result<Vec<PortStatus>> {
        let all = if ports.is_empty() {
            self.limits.geometry.ports().collect()
        } else {
            ports.to_vec()
        };
        all.into_iter()
            .map(|p| {
                self.limits.geometry.check_port(p)?;
                let status = PortStatus::new(p, self.port_state(p.0), self.peer(p.0).map(Port));
                Ok(if self.is_monitored(p.0) {
                    status.with_power(measured(self.power_at(p.0)))
                } else {
                    status
                })
            })
            .collect()
    }
    async fn apply(&self, plan: &Plan) -> Result<ApplyReport> {
        let start = self.clock.now();
        plan.check(&self.cross_connects())?;
        for (done, step) in plan.steps().iter().enumerate() {
            let pairs: Vec<_> = step
                .added()
                .iter()
                .map(|c| (c.ingress.0, c.egress.0))
                .collect();
            let gone: Vec<_> = step.removed().iter().map(|c| c.ingress.0).collect();
            // A move to nowhere goes dark.
            let result = if pairs.is_empty() {
                self.remove(&gone)
            } else {
                self.add(&pairs)
            };
            if let Err(rejected) = result {
                let effect = if done == 0 {
                    Effect::None
                } else {
                    Effect::Partial
                };
                return Err(refused(Operation::Apply, rejected).with_effect(effect));
            }
        }
        Ok(ApplyReport::new(
            plan.steps().len(),
            true,
            self.clock.now().saturating_sub(start),
        ))
    }
    async fn set_port(&self, port: Port, enabled: bool) -> Result<()> {
        self.enable(&[port.0], enabled)
            .map_err(|r| refused(Operation::SetPort, r))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn switch(geometry: Geometry) -> Switch {
        Switch::new(Identity::new("model"), geometry, Clock::manual())
    }

    #[test]
    fn a_crossbar_is_always_bar_or_cross() {
        let s = switch(Geometry::Crossbar);
        assert_eq!(s.cross_connects().to_string(), "1-3,2-4");
        s.add(&[(2, 3)]).unwrap();
        assert_eq!(
            s.cross_connects().to_string(),
            "1-4,2-3",
            "one half makes the other"
        );
        assert_eq!(s.remove(&[1]), Err(SwitchRejection::NeverDark));
        assert_eq!(s.remove_all(), Err(SwitchRejection::NeverDark));
        assert_eq!(s.add(&[(3, 1)]), Err(SwitchRejection::NoSuchPort(3)));
        assert_eq!(s.cross_connects().to_string(), "1-4,2-3");
        s.reboot();
        assert_eq!(s.cross_connects().to_string(), "1-3,2-4");
        s.set_boot_mode(BootMode::Auto).unwrap();
        s.replace_all(&[(1, 4)]).unwrap();
        s.reboot();
        assert_eq!(s.cross_connects().to_string(), "1-4,2-3");
    }

    #[test]
    fn a_one_by_n_switch_is_dark_only_if_it_supports_that() {
        let s = switch(Geometry::OneByN {
            channels: 8,
            dark: true,
        });
        assert!(s.cross_connects().is_empty());
        s.add(&[(0, 3)]).unwrap();
        s.add(&[(0, 8)]).unwrap();
        assert_eq!(s.cross_connects().to_string(), "common-8", "one at a time");
        s.remove(&[0]).unwrap();
        assert!(s.cross_connects().is_empty());
        s.add(&[(0, 2)]).unwrap();
        s.reboot();
        assert!(s.cross_connects().is_empty());

        let s = switch(Geometry::one_by(4));
        s.add(&[(0, 3)]).unwrap();
        assert_eq!(s.remove(&[0]), Err(SwitchRejection::NeverDark));
        s.reboot();
        assert_eq!(s.cross_connects().to_string(), "common-1");
    }
}
