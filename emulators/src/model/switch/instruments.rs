//! Instruments of a [`Switch`] matrix: power monitors, attenuators and protection.

use super::{
    State, Switch, SwitchRejection,
    aps::{Aps, Condition},
    monitor::{AlarmKind, AlarmMode, Monitor, Voa, VoaMode},
    refused,
};
use crate::model::light::{NO_LIGHT_DBM, measured};
use async_trait::async_trait;
use qkd_hal::{
    Error, ErrorKind, EventKind, Operation, Result,
    event::Origin,
    reading::Measured,
    units::{DecibelMilliwatts, Decibels, Nanometres},
};
use qkd_switch_hal::{
    AlarmLevels, Attenuation, Attenuator, AttenuatorCapabilities, CrossConnect, MonitorSetting,
    MonitorStatus, Port, PowerMeter, PowerMeterCapabilities,
    protection::{
        ExternalCommand, ExternalCommandKind, GroupId, PathId, PathStatus, Protection,
        ProtectionCapabilities, ProtectionSetting, ProtectionStatus, SelectionMode, SettingKind,
        SwitchRequest,
    },
};
use std::time::Duration;

/// Averaging times, by their code from 1.
pub const AVERAGING: [Duration; 8] = [
    Duration::from_millis(10),
    Duration::from_millis(20),
    Duration::from_millis(50),
    Duration::from_millis(100),
    Duration::from_millis(200),
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(2),
];

/// Event of the switch, for its wire front ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SwitchEvent {
    /// Paths were made or taken away: ingress and egress ports, pairwise.
    Switched {
        /// Numbers of the ingress ports.
        ingress: Vec<u32>,
        /// Numbers of the egress ports.
        egress: Vec<u32>,
    },
    /// A shutter was opened or closed.
    PortEnabled(u32, bool),
    /// A port has failed.
    PortFailed(u32),
    /// An alarm was raised, or cleared.
    Alarm(u32, AlarmKind, bool),
    /// The path to a port switched over to a protection port, or back to the working port.
    Protected {
        /// `true` for a switch-over, `false` for a return.
        over: bool,
        /// The port at its other end.
        connected: u32,
        /// Number of the working port.
        working: u32,
        /// Number of the protection port.
        protecting: u32,
    },
}

/// The capabilities of the instruments of a matrix, in the units of the contract.
pub(super) fn capabilities(
    monitors: impl Iterator<Item = Port>,
    egress: impl Iterator<Item = Port>,
) -> (PowerMeterCapabilities, AttenuatorCapabilities) {
    let powers = DecibelMilliwatts(-60.0)..=DecibelMilliwatts(25.0);
    let meter = PowerMeterCapabilities::for_ports(monitors)
        .with_averaging(AVERAGING)
        .with_wavelengths(Nanometres(1260.0)..=Nanometres(1675.0))
        .with_alarms(powers.clone());
    let voa = AttenuatorCapabilities::for_ports(egress)
        .with_extremes()
        .with_output_power(powers)
        .with_relative(Decibels(0.0)..=Decibels(40.0));
    (meter, voa)
}

pub(super) fn protection() -> ProtectionCapabilities {
    ProtectionCapabilities::new(
        &[SettingKind::Mode],
        &[ExternalCommandKind::Clear, ExternalCommandKind::Lockout],
    )
}

impl State {
    /// Returns the power at an egress port before its attenuator, or the input power of an ingress
    /// port, in dBm.
    fn light(&self, switch: &Switch, port: u32) -> Option<f64> {
        let blocked = |p: u32| {
            self.disabled.contains(&p) || self.failed.contains(&p) || self.cut.contains(&p)
        };
        if switch.limits.geometry.is_ingress(Port(port)) {
            return (!self.cut.contains(&port))
                .then(|| self.input.get(&port).copied())
                .flatten();
        }
        let ingress = self
            .connections
            .peer(Port(port))
            .map(|p| p.0)
            .filter(|i| !blocked(*i) && !blocked(port))?;
        self.input
            .get(&ingress)
            .map(|input| input - switch.loss - self.extra_loss)
    }

    /// Returns the reading of the monitor at a port, in dBm, at least [`NO_LIGHT_DBM`].
    pub(super) fn power(&self, switch: &Switch, port: u32) -> f64 {
        let light = self.light(switch, port).map(|light| {
            let voa = self.voas.get(&port).copied().unwrap_or_default();
            let reference = voa
                .reference
                .filter(|r| *r != port && voa.mode == VoaMode::Relative)
                .and_then(|r| self.light(switch, r));
            voa.passes(light, reference)
        });
        let watts = [light, self.stray]
            .into_iter()
            .flatten()
            .map(|dbm| DecibelMilliwatts(dbm).to_watts())
            .sum();
        let offset = self
            .monitors
            .get(&port)
            .map_or(0.0, |m| f64::from(m.offset) / 1000.0);
        (DecibelMilliwatts::from_watts(watts).0 + offset).max(NO_LIGHT_DBM)
    }

    /// Lets the light of now act: alarms, and what they trigger. Tells what happened.
    pub(super) fn settle(&mut self, switch: &Switch) {
        // Each round switches over at least one more port, so the loop ends.
        loop {
            let mut lost = Vec::new();
            let ports: Vec<u32> = self.monitors.keys().copied().collect();
            for port in ports {
                let level = self.power(switch, port);
                let Some(monitor) = self.monitors.get_mut(&port) else {
                    continue;
                };
                for (kind, raised) in monitor.evaluate(level) {
                    switch.publish(SwitchEvent::Alarm(port, kind, raised));
                    if kind == AlarmKind::Los && raised {
                        lost.push(port);
                    }
                }
            }
            self.aps.over.retain(|_, (protecting, connected)| {
                self.connections.peer(Port(*protecting)) == Some(Port(*connected))
            });
            let mut moved = false;
            for port in lost {
                for working in self.aps.triggered_by(port) {
                    moved |= self.go_over(switch, working);
                }
            }
            if !moved {
                return;
            }
        }
    }

    /// Moves the path of a working port to the best protecting port; whether it could.
    fn go_over(&mut self, switch: &Switch, working: u32) -> bool {
        let Some(connected) = self.connections.peer(Port(working)) else {
            return false;
        };
        let free = |p: &u32| {
            self.connections.connection_at(Port(*p)).is_none()
                && !self.failed.contains(p)
                && !self.disabled.contains(p)
        };
        let Some(protecting) = self.aps.protecting_ports(working).into_iter().find(free) else {
            return false;
        };
        self.repatch(switch, working, protecting, connected);
        self.aps.over.insert(working, (protecting, connected.0));
        switch.protected(true, connected.0, working, protecting);
        true
    }

    /// Moves a path back to its working port.
    fn go_back(&mut self, switch: &Switch, working: u32) {
        if let Some((protecting, connected)) = self.aps.over.remove(&working) {
            self.repatch(switch, protecting, working, Port(connected));
            switch.protected(false, connected, working, protecting);
        }
    }

    fn repatch(&mut self, switch: &Switch, from: u32, to: u32, connected: Port) {
        self.connections.remove(Port(from));
        self.connections.remove(Port(to));
        let ingress = switch.limits.geometry.is_ingress(Port(to));
        let (ingress, egress) = if ingress {
            (to, connected.0)
        } else {
            (connected.0, to)
        };
        let _ = self.connections.insert(CrossConnect::new(ingress, egress));
    }
}

impl Switch {
    /// Subscribes to the events from now on.
    #[must_use]
    pub fn subscribe(&self) -> tokio::sync::broadcast::Receiver<SwitchEvent> {
        self.happenings.subscribe()
    }
    pub(super) fn publish(&self, event: SwitchEvent) {
        let _ = self.happenings.send(event);
    }
    fn protected(&self, over: bool, connected: u32, working: u32, protecting: u32) {
        self.publish(SwitchEvent::Protected {
            over,
            connected,
            working,
            protecting,
        });
        let path = if over { protecting } else { working };
        let request = if over {
            SwitchRequest::SignalFail
        } else {
            SwitchRequest::LockoutOfProtection
        };
        self.base.events.publish(
            Origin::Device,
            EventKind::SwitchOver {
                group: working.to_string(),
                path: path.to_string(),
                request: request.to_string(),
            },
        );
    }

    /// The monitor of a port.
    #[must_use]
    pub fn monitor_of(&self, port: u32) -> Option<Monitor> {
        self.lock().monitors.get(&port).copied()
    }
    /// Changes monitors; all or none.
    ///
    /// # Errors
    /// See [`SwitchRejection`].
    pub fn change_monitors(
        &self,
        ports: &[u32],
        change: impl Fn(&mut Monitor),
    ) -> std::result::Result<(), SwitchRejection> {
        let mut state = self.lock();
        if let Some(port) = ports.iter().find(|p| !state.monitors.contains_key(p)) {
            return Err(SwitchRejection::NoSuchPort(*port));
        }
        if !self
            .change_faults
            .should_apply()
            .map_err(SwitchRejection::Gate)?
        {
            return Ok(());
        }
        ports
            .iter()
            .filter_map(|p| state.monitors.get_mut(p).map(&change))
            .for_each(drop);
        state.settle(self);
        Ok(())
    }

    /// The attenuator of a port.
    #[must_use]
    pub fn voa(&self, port: u32) -> Option<Voa> {
        self.attenuator
            .ports
            .contains(&Port(port))
            .then(|| self.lock().voas.get(&port).copied().unwrap_or_default())
    }
    /// Sets attenuators; all or none.
    ///
    /// # Errors
    /// See [`SwitchRejection`].
    pub fn set_voas(&self, ports: &[u32], voa: Voa) -> std::result::Result<(), SwitchRejection> {
        if let Some(port) = ports
            .iter()
            .find(|p| !self.attenuator.ports.contains(&Port(**p)))
        {
            return Err(SwitchRejection::NoSuchPort(*port));
        }
        if let Some(reference) = voa.reference.filter(|r| !self.has_port(*r)) {
            return Err(SwitchRejection::NoSuchPort(reference));
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
            state.voas.insert(*port, voa);
        }
        state.settle(self);
        Ok(())
    }

    /// The label of a port; empty if it has none.
    #[must_use]
    pub fn label(&self, port: u32) -> String {
        self.lock().labels.get(&port).cloned().unwrap_or_default()
    }
    /// Labels ports.
    ///
    /// # Errors
    /// See [`SwitchRejection`].
    pub fn set_label(
        &self,
        ports: &[u32],
        label: &str,
    ) -> std::result::Result<(), SwitchRejection> {
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
            state.labels.insert(*port, label.to_owned());
        }
        Ok(())
    }

    /// The protection groups as they are set up.
    #[must_use]
    pub fn aps(&self) -> Aps {
        self.lock().aps.clone()
    }
    /// Changes the protection groups: all or nothing.
    ///
    /// # Errors
    /// See [`SwitchRejection`].
    pub fn change_aps(
        &self,
        change: impl FnOnce(&mut Aps),
    ) -> std::result::Result<(), SwitchRejection> {
        if !self
            .change_faults
            .should_apply()
            .map_err(SwitchRejection::Gate)?
        {
            return Ok(());
        }
        let mut state = self.lock();
        change(&mut state.aps);
        state
            .aps
            .conditions
            .retain(|_, condition| *condition != Condition::None);
        let back: Vec<u32> = state
            .aps
            .over
            .keys()
            .copied()
            .filter(|w| state.aps.condition(*w) == Condition::ToProtection)
            .collect();
        back.into_iter()
            .for_each(|working| state.go_back(self, working));
        state.settle(self);
        Ok(())
    }

    fn group(&self, id: &GroupId) -> Result<(u32, Vec<u32>)> {
        let working = id.0.parse::<u32>().ok();
        let found =
            working.and_then(|w| Some((w, self.aps().groups.get(&w)?.keys().copied().collect())));
        found.ok_or_else(|| Error::new(ErrorKind::NotFound, format!("there is no group {id}")))
    }
}

#[async_trait]
impl PowerMeter for Switch {
    fn meter_capabilities(&self) -> &PowerMeterCapabilities {
        &self.meter
    }
    async fn power(&self, ports: &[Port]) -> Result<Vec<Measured<DecibelMilliwatts>>> {
        ports.iter().try_for_each(|p| self.meter.check_port(*p))?;
        Ok(ports.iter().map(|p| measured(self.power_at(p.0))).collect())
    }
    async fn monitor(&self, port: Port) -> Result<MonitorStatus> {
        self.meter.check_port(port)?;
        let monitor = self.monitor_of(port.0).unwrap_or_default();
        let mut status = MonitorStatus::new(port);
        status.wavelength = Some(Nanometres(f64::from(monitor.wavelength) / 1000.0));
        status.averaging = AVERAGING
            .get(usize::from(monitor.averaging).wrapping_sub(1))
            .copied();
        let los = monitor.los;
        let level = |counts: bool, limit: i32| {
            (counts && los.mode != AlarmMode::Off)
                .then(|| DecibelMilliwatts(f64::from(limit) / 1000.0))
        };
        use super::monitor::Edge;
        status.alarms = AlarmLevels {
            low: level(los.edge != Edge::High, los.low),
            high: level(los.edge != Edge::Low, los.high),
        };
        status.alarmed = Some(los.raised());
        Ok(status)
    }
    async fn set_monitor(&self, port: Port, change: &MonitorSetting) -> Result<()> {
        self.meter.check_port(port)?;
        self.meter.check(change)?;
        let milli = |power: DecibelMilliwatts| (power.0 * 1000.0).round() as i32;
        let done = self.change_monitors(&[port.0], |monitor| match change {
            MonitorSetting::Wavelength(nm) => monitor.wavelength = (nm.0 * 1000.0).round() as u32,
            MonitorSetting::Averaging(time) => {
                monitor.averaging = AVERAGING
                    .iter()
                    .position(|t| t == time)
                    .map_or(monitor.averaging, |n| n as u8 + 1)
            }
            MonitorSetting::Alarms(AlarmLevels { low, high }) => {
                use super::monitor::Edge;
                monitor.los.mode = if low.is_none() && high.is_none() {
                    AlarmMode::Off
                } else {
                    AlarmMode::Continuous
                };
                monitor.los.edge = match (low, high) {
                    (Some(_), Some(_)) => Edge::Both,
                    (None, Some(_)) => Edge::High,
                    _ => Edge::Low,
                };
                monitor.los.low = low.map_or(monitor.los.low, milli);
                monitor.los.high = high.map_or(monitor.los.high, milli);
            }
            _ => {}
        });
        done.map_err(|r| refused(Operation::SetMonitor, r))
    }
}

#[async_trait]
impl Attenuator for Switch {
    fn attenuator_capabilities(&self) -> &AttenuatorCapabilities {
        &self.attenuator
    }
    async fn attenuation(&self, port: Port) -> Result<Attenuation> {
        self.attenuator.check_port(port)?;
        let voa = self.voa(port.0).unwrap_or_default();
        let level = f64::from(voa.level) / 1000.0;
        Ok(match (voa.mode, voa.reference) {
            (VoaMode::None, _) => Attenuation::Transparent,
            (VoaMode::Maximum, _) => Attenuation::Maximum,
            (VoaMode::Absolute, _) => Attenuation::OutputPower(DecibelMilliwatts(level)),
            (VoaMode::Relative, Some(reference)) => Attenuation::Relative {
                below: Decibels(level),
                reference: Port(reference),
            },
            (mode, _) => Attenuation::Other(format!("{mode:?}").to_lowercase()),
        })
    }
    async fn set_attenuation(&self, port: Port, wanted: &Attenuation) -> Result<()> {
        self.attenuator.check(port, wanted)?;
        let milli = |value: f64| (value * 1000.0).round() as i32;
        let (mode, level, reference) = match wanted {
            Attenuation::OutputPower(power) => (VoaMode::Absolute, milli(power.0), None),
            Attenuation::Relative { below, reference } => {
                (VoaMode::Relative, milli(below.0), Some(reference.0))
            }
            Attenuation::Maximum => (VoaMode::Maximum, 0, None),
            _ => (VoaMode::None, 0, None),
        };
        self.set_voas(
            &[port.0],
            Voa {
                mode,
                level,
                reference,
            },
        )
        .map_err(|r| refused(Operation::SetAttenuation, r))
    }
}

#[async_trait]
impl Protection for Switch {
    fn protection_capabilities(&self) -> &ProtectionCapabilities {
        &self.protection
    }
    async fn groups(&self) -> Result<Vec<GroupId>> {
        Ok(self
            .aps()
            .groups
            .keys()
            .map(|w| GroupId(w.to_string()))
            .collect())
    }
    async fn protection(&self, id: &GroupId) -> Result<Measured<ProtectionStatus>> {
        let (working, protecting) = self.group(id)?;
        let aps = self.aps();
        let path = |port: u32| {
            let mut path = PathStatus::new(PathId(port.to_string()));
            path.port = Some(Port(port));
            if let Some(monitor) = self.monitor_of(port) {
                path.power = Some(measured(self.power_at(port)));
                path.failed = (monitor.los.mode != AlarmMode::Off).then(|| monitor.los.raised());
            }
            path
        };
        let over = aps.protecting(working);
        let request = match (over, aps.condition(working)) {
            (_, Condition::ToProtection) => SwitchRequest::LockoutOfProtection,
            (Some(_), _) => SwitchRequest::SignalFail,
            (None, _) => SwitchRequest::NoRequest,
        };
        let mode = if aps.out_of_service.contains(&working) {
            SelectionMode::Manual
        } else {
            SelectionMode::Automatic
        };
        let paths = std::iter::once(working)
            .chain(protecting)
            .map(path)
            .collect();
        let mut status = ProtectionStatus::new(
            id.clone(),
            mode,
            PathId(over.unwrap_or(working).to_string()),
            request,
            paths,
        );
        status.preferred = Some(PathId(working.to_string()));
        Ok(Measured::now(status))
    }
    async fn set_protection(&self, id: &GroupId, setting: &ProtectionSetting) -> Result<()> {
        let (working, _) = self.group(id)?;
        let ProtectionSetting::Mode(mode) = setting else {
            return Err(Error::invalid("only the mode of a group can be set"));
        };
        let done = self.change_aps(|aps| {
            if *mode == SelectionMode::Automatic {
                aps.out_of_service.remove(&working);
            } else {
                aps.out_of_service.insert(working);
            }
        });
        done.map_err(|r| refused(Operation::SetProtection, r))
    }
    async fn command(&self, id: &GroupId, command: &ExternalCommand) -> Result<()> {
        let (working, _) = self.group(id)?;
        self.protection(id).await?.value.permits(command)?;
        let condition = if *command == ExternalCommand::Lockout {
            Condition::ToProtection
        } else {
            Condition::None
        };
        let done = self.change_aps(|aps| {
            aps.conditions.insert(working, condition);
        });
        done.map_err(|r| refused(Operation::ProtectionCommand, r))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Clock,
        fault::{ApplyDeviceFault, DeviceFault},
    };
    use qkd_hal::Identity;
    use qkd_switch_hal::Geometry;

    fn switch() -> Switch {
        Switch::new(
            Identity::new("any"),
            Geometry::matrix(4, 4),
            Clock::manual(),
        )
    }
    fn alarm(switch: &Switch, port: u32) {
        switch
            .change_monitors(&[port], |m| {
                (m.los.mode, m.los.low) = (AlarmMode::Continuous, -30_000)
            })
            .unwrap();
    }

    #[test]
    fn a_lost_signal_moves_the_path_of_the_working_port() {
        let switch = switch();
        switch.add(&[(1, 5), (2, 6)]).unwrap();
        alarm(&switch, 5);
        // Port 1 works, port 3 protects, and the light at 5 says when.
        switch
            .change_aps(|aps| {
                aps.groups.insert(1, [(3, 1), (4, 2)].into());
                aps.triggers.insert(1, [5].into());
            })
            .unwrap();
        let mut happenings = switch.subscribe();
        switch
            .apply(&DeviceFault::Cut(Some("1/1".to_owned())))
            .unwrap();
        assert_eq!(switch.cross_connects().to_string(), "2-6,3-5");
        assert_eq!(
            happenings.try_recv().unwrap(),
            SwitchEvent::Alarm(5, AlarmKind::Los, true)
        );
        assert_eq!(
            happenings.try_recv().unwrap(),
            SwitchEvent::Protected {
                over: true,
                connected: 5,
                working: 1,
                protecting: 3
            }
        );
        assert_eq!(
            happenings.try_recv().unwrap(),
            SwitchEvent::Alarm(5, AlarmKind::Los, false)
        );
        // To inhibit the protection brings it back, dark as it is.
        switch
            .change_aps(|aps| aps.conditions = [(1, Condition::ToProtection)].into())
            .unwrap();
        assert_eq!(switch.cross_connects().to_string(), "1-5,2-6");
        switch.change_aps(|aps| aps.conditions.clear()).unwrap();
        assert_eq!(
            switch.cross_connects().to_string(),
            "1-5,2-6",
            "the alarm was already active: there is no new event"
        );
    }

    #[test]
    fn a_protection_port_in_use_or_out_of_service_is_skipped() {
        let switch = switch();
        switch.add(&[(1, 5), (3, 7)]).unwrap();
        alarm(&switch, 5);
        let set = |aps: &mut Aps| {
            aps.groups.insert(1, [(3, 1), (4, 2), (2, 3)].into());
            aps.triggers.insert(1, [5].into());
            aps.out_of_service.insert(4);
        };
        switch.change_aps(set).unwrap();
        switch.set_input_power(1, -50.0);
        assert_eq!(switch.cross_connects().to_string(), "2-5,3-7");
    }

    #[test]
    fn attenuators_affect_the_monitored_power() {
        let switch = switch();
        switch.add(&[(1, 5), (2, 6)]).unwrap();
        switch
            .set_voas(
                &[5],
                Voa {
                    mode: VoaMode::Absolute,
                    level: -12_000,
                    reference: None,
                },
            )
            .unwrap();
        assert!((switch.power_at(5) + 12.0).abs() < 1e-9);
        switch
            .set_voas(
                &[6],
                Voa {
                    mode: VoaMode::Relative,
                    level: 3_000,
                    reference: Some(5),
                },
            )
            .unwrap();
        assert!(
            (switch.power_at(6) + 4.0).abs() < 1e-9,
            "relative to the light at 5 before its attenuator"
        );
        assert_eq!(
            switch.set_voas(&[1], Voa::default()),
            Err(SwitchRejection::NoSuchPort(1))
        );
    }
}
