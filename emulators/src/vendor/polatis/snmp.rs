//! Polatis: OXC, OPM, VOA and APS tables, under 1.3.6.1.4.1.26592.
//!
//! The MIB itself is not public: names, numbers and enumerations are those of independent users of
//! real switches (archive id:52513912784, id:48536120552, id:36743106339; ONOS).
//!
//! Chosen by this project, because they do not specify it: the type of each column as below; writes
//! to the column of one port take effect immediately, in the order of the varbinds; a patch between
//! ports that cannot be connected, or of a port that has failed, is inconsistentValue; VOA rows are
//! those of the egress ports, and their mode is the last DesiredState; a relative attenuation
//! without a reference port is inconsistentValue; the alarm ID of a trap counts up, its status is
//! `active` or `cleared`; the texts of messages; traps of fans, supplies and the like are sent only
//! on request (`alarm=fan-fail` and others); the interface and network tables have default values
//! and cannot be written.

use super::{ENTERPRISE, notify};
use crate::{
    fault::{ApplyDeviceFault, DeviceFault},
    model::switch::{
        Switch, SwitchEvent, SwitchRejection,
        aps::{Aps, Condition},
        monitor::{AlarmMode, Edge, Voa, VoaMode},
    },
    wire::snmp::{
        agent::{Agent, Mib},
        node::{Node, NodeOptions},
        values::{check_change, integer, octets, one_of, unsigned},
    },
};
use qkd_driver_kit::link::snmp::{ErrorStatus, Oid, Value};
use qkd_switch_hal::{Geometry, Port, PortState};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::broadcast;

/// An object of the MIB.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Object {
    /// polatisSysInfo: product code, serial number, firmware.
    Info(u32),
    /// A column of polatisInterfaceConfigTable.
    Interface(u32),
    /// Size of the matrix (polatisOxcSize).
    Size,
    /// A column of the OXC port table.
    Port(u32),
    /// A column of the monitors' settings.
    Monitor(u32),
    /// A column of the monitors' alarms.
    Alarm(u32),
    /// Optical power (polatisOpmPower).
    Power,
    /// A column of the VOA table.
    Voa(u32),
    /// A column of the APS port table.
    ApsPort(u32),
    /// A column of the table of protecting ports.
    ApsGroup(u32),
    /// A column of the table of triggers.
    ApsTrigger(u32),
}

/// Interfaces and their devices, as of a real unit (id:36743106339).
const INTERFACES: [(&str, &str); 5] = [
    ("scpi", "console"),
    ("scpi", "tcp:333"),
    ("scpi", "tcp:5025"),
    ("tl1", "usbserial"),
    ("tl1", "tcp:3082"),
];

/// Objects of a Polatis switch.
pub struct PolatisMib {
    switch: Arc<Switch>,
    node: Node,
    happenings: Mutex<broadcast::Receiver<SwitchEvent>>,
    alarm_id: Mutex<u32>,
}

/// An agent in front of a matrix.
#[must_use]
pub fn agent(switch: Arc<Switch>, options: NodeOptions) -> Arc<Agent<PolatisMib>> {
    let id = switch.base().identity();
    let descr = format!(
        "{} {} {}",
        id.vendor,
        id.model.unwrap_or_default(),
        id.firmware.unwrap_or_default()
    );
    let node = Node::new(
        switch.clock().clone(),
        descr.trim_end().to_owned(),
        Oid::from([1, 3, 6, 1, 4, 1, ENTERPRISE]),
        options,
        Vec::new(),
    );
    let happenings = Mutex::new(switch.subscribe());
    Arc::new(Agent::new(PolatisMib {
        switch,
        node,
        happenings,
        alarm_id: Mutex::default(),
    }))
}

enum Change {
    Patch(u32, u32),
    Enable(u32, bool),
    Wavelength(u32, u32),
    Offset(u32, i32),
    Averaging(u32, u8),
    Edge(u32, Edge),
    Low(u32, i32),
    High(u32, i32),
    Mode(u32, AlarmMode),
    VoaLevel(u32, i32),
    VoaReference(u32, u32),
    VoaMode(u32, VoaMode),
    InService(u32, bool),
    Condition(u32, Condition),
    Priority(u32, u32, u32),
    Group(u32, u32, bool),
    Trigger(u32, u32, bool),
}

/// Tested changes of a SET, in the order of its varbinds.
#[derive(Default)]
pub struct Draft(Vec<Change>);

fn modes(mode: VoaMode) -> i32 {
    match mode {
        VoaMode::None => 1,
        VoaMode::Absolute => 2,
        VoaMode::Relative => 3,
        VoaMode::Converged => 4,
        VoaMode::Maximum => 5,
        VoaMode::Fixed => 6,
    }
}

impl From<SwitchRejection> for ErrorStatus {
    fn from(rejected: SwitchRejection) -> Self {
        match rejected {
            SwitchRejection::Gate(_) => Self::GenErr,
            _ => Self::InconsistentValue,
        }
    }
}

impl PolatisMib {
    fn ports(&self) -> Vec<u32> {
        self.switch.geometry().ports().map(|p| p.0).collect()
    }
    fn pairs(all: impl Iterator<Item = (u32, Vec<u32>)>) -> Vec<Vec<u32>> {
        all.flat_map(|(working, others)| others.into_iter().map(move |other| vec![working, other]))
            .collect()
    }
    fn aps_ports(&self) -> Vec<u32> {
        self.ports()
    }

    fn monitor(&self, object: Object, port: u32) -> Option<Value> {
        let m = self.switch.monitor_of(port)?;
        let ingress = self.switch.geometry().is_ingress(Port(port));
        Some(match object {
            Object::Monitor(1) => Value::Gauge32(m.wavelength),
            Object::Monitor(2) => Value::Integer(m.offset),
            Object::Monitor(3) => Value::Gauge32(u32::from(m.averaging)),
            Object::Monitor(_) => Value::Integer(if ingress { 1 } else { 2 }),
            Object::Alarm(1) => Value::Integer(match m.los.edge {
                Edge::Low => 1,
                Edge::High => 2,
                Edge::Both => 3,
            }),
            Object::Alarm(2) => Value::Integer(m.los.low),
            Object::Alarm(3) => Value::Integer(m.los.high),
            Object::Alarm(_) => Value::Integer(match m.los.mode {
                AlarmMode::Off => 1,
                AlarmMode::Single => 2,
                AlarmMode::Continuous => 3,
            }),
            _ => Value::Integer((self.switch.power_at(port) * 1000.0).round() as i32),
        })
    }

    fn aps_port(&self, column: u32, port: u32) -> Value {
        let aps = self.switch.aps();
        let out = aps.out_of_service.contains(&port);
        Value::Integer(match column {
            // is(1), oosma(2): by the management.
            1 => 1 + i32::from(out),
            2 => 1 + i32::from(out),
            _ => match aps.condition(port) {
                Condition::None => 1,
                Condition::ToProtection => 2,
                Condition::ToWorking => 3,
            },
        })
    }

    fn drain(&self) {
        loop {
            let event = self
                .happenings
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .try_recv();
            match event {
                Ok(event) => {
                    let id = {
                        let mut id = self.alarm_id.lock().unwrap_or_else(PoisonError::into_inner);
                        *id += 1;
                        *id
                    };
                    notify::of(&self.switch, &self.node, id, &event);
                }
                Err(broadcast::error::TryRecvError::Lagged(_)) => {}
                Err(_) => return,
            }
        }
    }

    fn apply(&self, change: Change) -> Result<(), ErrorStatus> {
        let switch = &self.switch;
        let monitor = |port: u32, change: &dyn Fn(&mut crate::model::switch::monitor::Monitor)| {
            switch.change_monitors(&[port], change)
        };
        let voa = |port: u32, change: &dyn Fn(&mut Voa)| {
            let mut now = switch.voa(port).unwrap_or_default();
            change(&mut now);
            switch.set_voas(&[port], now)
        };
        match change {
            Change::Patch(port, 0) => switch.remove(&[port]),
            Change::Patch(port, peer) if switch.geometry().is_ingress(Port(port)) => {
                switch.add(&[(port, peer)])
            }
            Change::Patch(port, peer) => switch.add(&[(peer, port)]),
            Change::Enable(port, on) => switch.enable(&[port], on),
            Change::Wavelength(port, pm) => monitor(port, &|m| m.wavelength = pm),
            Change::Offset(port, mdb) => monitor(port, &|m| m.offset = mdb),
            Change::Averaging(port, code) => monitor(port, &|m| m.averaging = code),
            Change::Edge(port, edge) => monitor(port, &|m| m.los.edge = edge),
            Change::Low(port, low) => monitor(port, &|m| m.los.low = low),
            Change::High(port, high) => monitor(port, &|m| m.los.high = high),
            Change::Mode(port, mode) => monitor(port, &|m| m.los.mode = mode),
            Change::VoaLevel(port, level) => voa(port, &|v| v.level = level),
            Change::VoaReference(port, reference) => voa(port, &|v| {
                v.reference = (reference != 0).then_some(reference)
            }),
            Change::VoaMode(port, mode) => voa(port, &|v| v.mode = mode),
            Change::InService(port, on) => switch.change_aps(|aps| {
                if on {
                    aps.out_of_service.remove(&port);
                } else {
                    aps.out_of_service.insert(port);
                }
            }),
            Change::Condition(port, condition) => switch.change_aps(|aps| {
                aps.conditions.insert(port, condition);
            }),
            Change::Priority(working, protecting, priority) => switch.change_aps(|aps| {
                aps.groups
                    .entry(working)
                    .or_default()
                    .insert(protecting, priority);
            }),
            Change::Group(working, protecting, true) => switch.change_aps(|aps| {
                aps.groups
                    .entry(working)
                    .or_default()
                    .entry(protecting)
                    .or_insert(1);
            }),
            Change::Group(working, protecting, false) => switch.change_aps(|aps| {
                if let Some(group) = aps.groups.get_mut(&working) {
                    group.remove(&protecting);
                }
                aps.groups.retain(|_, group| !group.is_empty());
            }),
            Change::Trigger(working, trigger, true) => switch.change_aps(|aps| {
                aps.triggers.entry(working).or_default().insert(trigger);
            }),
            Change::Trigger(working, trigger, false) => switch.change_aps(|aps| {
                if let Some(ports) = aps.triggers.get_mut(&working) {
                    ports.remove(&trigger);
                }
                aps.triggers.retain(|_, ports| !ports.is_empty());
            }),
        }
        .map_err(ErrorStatus::from)
    }

    /// Decodes a RowStatus: createAndGo(4), destroy(6).
    fn row_status(value: &Value, exists: bool) -> Result<bool, ErrorStatus> {
        match (one_of(value, &[4, 6])?, exists) {
            (4, true) => Err(ErrorStatus::InconsistentValue),
            (status, _) => Ok(status == 4),
        }
    }

    fn write_row(
        &self,
        object: Object,
        index: &[u32],
        value: &Value,
    ) -> Result<Change, ErrorStatus> {
        let [working, other] = *index else {
            return Err(ErrorStatus::NoCreation);
        };
        if !self.switch.has_port(working) || !self.switch.has_port(other) || working == other {
            return Err(ErrorStatus::NoCreation);
        }
        let aps: Aps = self.switch.aps();
        let is_group = aps
            .groups
            .get(&working)
            .is_some_and(|g| g.contains_key(&other));
        let is_trigger = aps
            .triggers
            .get(&working)
            .is_some_and(|t| t.contains(&other));
        let ingress = |p: u32| self.switch.geometry().is_ingress(Port(p));
        match object {
            Object::ApsGroup(2) if is_group => Ok(Change::Priority(
                working,
                other,
                unsigned(value, |v| v <= 65_535)?,
            )),
            // A protecting port is of the side of its working port.
            Object::ApsGroup(3) if ingress(working) == ingress(other) => Ok(Change::Group(
                working,
                other,
                Self::row_status(value, is_group)?,
            )),
            Object::ApsTrigger(2) if self.switch.monitor_of(other).is_some() => Ok(
                Change::Trigger(working, other, Self::row_status(value, is_trigger)?),
            ),
            Object::ApsGroup(3) | Object::ApsTrigger(2) => Err(ErrorStatus::InconsistentValue),
            Object::ApsGroup(2) => Err(ErrorStatus::NoCreation),
            _ => Err(ErrorStatus::NotWritable),
        }
    }
}

macro_rules! p { ($($id:literal),*) => { &[1, 3, 6, 1, 4, 1, 26592, 2, $($id),*] }; }

impl Mib for PolatisMib {
    type Object = Object;
    type Draft = Draft;

    const OBJECTS: &'static [(&'static [u32], Object)] = &[
        (p![1, 2, 2, 1], Object::Info(1)),
        (p![1, 2, 2, 2], Object::Info(2)),
        (p![1, 2, 2, 3], Object::Info(3)),
        (p![1, 2, 3, 2, 1, 1, 2], Object::Interface(2)),
        (p![1, 2, 3, 2, 1, 1, 3], Object::Interface(3)),
        (p![1, 2, 3, 2, 1, 1, 4], Object::Interface(4)),
        (p![2, 2, 1, 1], Object::Size),
        (p![2, 2, 1, 2, 1, 2], Object::Port(2)),
        (p![2, 2, 1, 2, 1, 3], Object::Port(3)),
        (p![2, 2, 1, 2, 1, 4], Object::Port(4)),
        (p![3, 2, 1, 1, 1, 1], Object::Monitor(1)),
        (p![3, 2, 1, 1, 1, 2], Object::Monitor(2)),
        (p![3, 2, 1, 1, 1, 3], Object::Monitor(3)),
        (p![3, 2, 1, 1, 1, 4], Object::Monitor(4)),
        (p![3, 2, 1, 2, 1, 1], Object::Alarm(1)),
        (p![3, 2, 1, 2, 1, 2], Object::Alarm(2)),
        (p![3, 2, 1, 2, 1, 3], Object::Alarm(3)),
        (p![3, 2, 1, 2, 1, 4], Object::Alarm(4)),
        (p![3, 2, 2, 2, 1, 1], Object::Power),
        (p![4, 2, 1, 1, 1, 1], Object::Voa(1)),
        (p![4, 2, 1, 1, 1, 2], Object::Voa(2)),
        (p![4, 2, 1, 1, 1, 3], Object::Voa(3)),
        (p![4, 2, 1, 1, 1, 4], Object::Voa(4)),
        (p![5, 2, 1, 1, 1, 1], Object::ApsPort(1)),
        (p![5, 2, 1, 1, 1, 2], Object::ApsPort(2)),
        (p![5, 2, 1, 1, 1, 3], Object::ApsPort(3)),
        (p![5, 2, 1, 1, 1, 4], Object::ApsPort(4)),
        (p![5, 2, 1, 2, 1, 1], Object::ApsGroup(1)),
        (p![5, 2, 1, 2, 1, 2], Object::ApsGroup(2)),
        (p![5, 2, 1, 2, 1, 3], Object::ApsGroup(3)),
        (p![5, 2, 1, 3, 1, 1], Object::ApsTrigger(1)),
        (p![5, 2, 1, 3, 1, 2], Object::ApsTrigger(2)),
    ];

    fn node(&self) -> &Node {
        &self.node
    }
    fn instances(&self, object: Object) -> Vec<Vec<u32>> {
        let each = |ports: Vec<u32>| ports.into_iter().map(|p| vec![p]).collect();
        match object {
            Object::Info(_) | Object::Size => vec![vec![0]],
            Object::Interface(_) => (1..=INTERFACES.len() as u32).map(|n| vec![n]).collect(),
            Object::Port(_) => each(self.ports()),
            Object::ApsPort(_) => each(self.aps_ports()),
            Object::Monitor(_) | Object::Alarm(_) | Object::Power => each(
                self.ports()
                    .into_iter()
                    .filter(|p| self.switch.is_monitored(*p))
                    .collect(),
            ),
            Object::Voa(_) => each(
                self.ports()
                    .into_iter()
                    .filter(|p| self.switch.voa(*p).is_some())
                    .collect(),
            ),
            Object::ApsGroup(_) => Self::pairs(
                self.switch
                    .aps()
                    .groups
                    .into_iter()
                    .map(|(w, g)| (w, g.into_keys().collect())),
            ),
            Object::ApsTrigger(_) => Self::pairs(
                self.switch
                    .aps()
                    .triggers
                    .into_iter()
                    .map(|(w, t)| (w, t.into_iter().collect())),
            ),
        }
    }
    fn read(&self, object: Object, index: &[u32]) -> Option<Value> {
        let id = || self.switch.base().identity();
        if let (Object::ApsGroup(column), [working, protecting]) = (object, index) {
            let priority = *self.switch.aps().groups.get(working)?.get(protecting)?;
            return Some(match column {
                1 => Value::Gauge32(*protecting),
                2 => Value::Gauge32(priority),
                // RowStatus active.
                _ => Value::Integer(1),
            });
        }
        if let (Object::ApsTrigger(column), [working, trigger]) = (object, index) {
            self.switch.aps().triggers.get(working)?.get(trigger)?;
            return Some(if column == 1 {
                Value::Gauge32(*trigger)
            } else {
                Value::Integer(1)
            });
        }
        let [n] = *index else { return None };
        match object {
            Object::Info(which) if n == 0 => Some(Value::text(
                match which {
                    1 => id().model,
                    2 => id().serial,
                    _ => id().firmware,
                }
                .unwrap_or_default(),
            )),
            Object::Size if n == 0 => match self.switch.geometry() {
                Geometry::Matrix { ingress, egress } => {
                    Some(Value::text(format!("{ingress}x{egress}")))
                }
                _ => None,
            },
            Object::Interface(column) => {
                let (protocol, device) = INTERFACES.get((n as usize).checked_sub(1)?)?;
                Some(match column {
                    2 => Value::text(protocol),
                    3 => Value::text(device),
                    _ => Value::Integer(1),
                })
            }
            _ if !self.switch.has_port(n) => None,
            Object::Port(2) => Some(Value::Gauge32(self.switch.peer(n).unwrap_or(0))),
            Object::Port(3) => Some(Value::Integer(match self.switch.port_state(n) {
                PortState::Failed => 3,
                PortState::Disabled => 2,
                _ => 1,
            })),
            Object::Port(_) => Some(Value::Integer(if self.switch.is_disabled(n) {
                2
            } else {
                1
            })),
            Object::Monitor(_) | Object::Alarm(_) | Object::Power => self.monitor(object, n),
            Object::Voa(column) => {
                let voa = self.switch.voa(n)?;
                Some(match column {
                    1 => Value::Integer(voa.level),
                    2 => Value::Gauge32(voa.reference.unwrap_or(0)),
                    _ => Value::Integer(modes(voa.mode)),
                })
            }
            // Current and desired: state, then condition.
            Object::ApsPort(column) => Some(self.aps_port(if column <= 2 { column } else { 3 }, n)),
            _ => None,
        }
    }
    fn draft(&self) -> Draft {
        Draft::default()
    }
    fn write(
        &self,
        draft: &mut Draft,
        object: Object,
        index: &[u32],
        value: &Value,
    ) -> Result<(), ErrorStatus> {
        let writable = matches!(
            object,
            Object::Port(2 | 4)
                | Object::Monitor(1..=3)
                | Object::Alarm(_)
                | Object::Voa(1 | 2 | 4)
                | Object::ApsPort(2 | 4)
                | Object::ApsGroup(2 | 3)
                | Object::ApsTrigger(2)
        );
        if !writable {
            return Err(ErrorStatus::NotWritable);
        }
        let change = if matches!(object, Object::ApsGroup(_) | Object::ApsTrigger(_)) {
            self.write_row(object, index, value)?
        } else {
            if self.read(object, index).is_none() {
                return Err(ErrorStatus::NoCreation);
            }
            let port = index.first().copied().unwrap_or_default();
            match object {
                Object::Port(2) => {
                    let peer = unsigned(value, |_| true)?;
                    let ingress = |p: u32| self.switch.geometry().is_ingress(Port(p));
                    if peer != 0 && (!self.switch.has_port(peer) || ingress(peer) == ingress(port))
                    {
                        return Err(ErrorStatus::InconsistentValue);
                    }
                    Change::Patch(port, peer)
                }
                Object::Port(_) => Change::Enable(port, one_of(value, &[1, 2])? == 1),
                Object::Monitor(1) => Change::Wavelength(
                    port,
                    unsigned(value, |v| (1_000_000..=2_000_000).contains(&v))?,
                ),
                Object::Monitor(2) => Change::Offset(port, integer(value, -100_000..=100_000)?),
                Object::Monitor(_) => Change::Averaging(
                    port,
                    u8::try_from(unsigned(value, |v| (1..=8).contains(&v))?)
                        .map_err(|_| ErrorStatus::WrongValue)?,
                ),
                Object::Alarm(1) => Change::Edge(
                    port,
                    [Edge::Low, Edge::High, Edge::Both][one_of(value, &[1, 2, 3])? as usize - 1],
                ),
                Object::Alarm(2) => Change::Low(port, integer(value, -100_000..=100_000)?),
                Object::Alarm(3) => Change::High(port, integer(value, -100_000..=100_000)?),
                Object::Alarm(_) => Change::Mode(
                    port,
                    [AlarmMode::Off, AlarmMode::Single, AlarmMode::Continuous]
                        [one_of(value, &[1, 2, 3])? as usize - 1],
                ),
                Object::Voa(1) => Change::VoaLevel(port, integer(value, -100_000..=100_000)?),
                Object::Voa(2) => Change::VoaReference(
                    port,
                    unsigned(value, |v| v == 0 || self.switch.has_port(v))?,
                ),
                Object::Voa(_) => {
                    let asked = one_of(value, &[1, 2, 3, 5, 6])?;
                    let mode = [
                        VoaMode::None,
                        VoaMode::Absolute,
                        VoaMode::Relative,
                        VoaMode::Maximum,
                        VoaMode::Fixed,
                    ]
                    .into_iter()
                    .find(|m| modes(*m) == asked);
                    let referred = draft.0.iter().rev().find_map(|c| match c {
                        Change::VoaReference(p, reference) if *p == port => Some(*reference != 0),
                        _ => None,
                    });
                    let referred = referred.unwrap_or_else(|| {
                        self.switch.voa(port).is_some_and(|v| v.reference.is_some())
                    });
                    match mode {
                        Some(VoaMode::Relative) if !referred => {
                            return Err(ErrorStatus::InconsistentValue);
                        }
                        Some(mode) => Change::VoaMode(port, mode),
                        None => return Err(ErrorStatus::WrongValue),
                    }
                }
                Object::ApsPort(2) => Change::InService(port, one_of(value, &[1, 2])? == 1),
                Object::ApsPort(_) => Change::Condition(
                    port,
                    [
                        Condition::None,
                        Condition::ToProtection,
                        Condition::ToWorking,
                    ][one_of(value, &[1, 2, 3])? as usize - 1],
                ),
                _ => octets(value).and(Err(ErrorStatus::NotWritable))?,
            }
        };
        check_change(self.switch.change_faults())?;
        draft.0.push(change);
        Ok(())
    }
    fn commit(&self, draft: Draft) -> Result<(), ErrorStatus> {
        let done = draft
            .0
            .into_iter()
            .try_for_each(|change| self.apply(change));
        self.drain();
        done
    }
    fn state(&self) -> String {
        self.switch.state()
    }
    fn tick(&self) {
        self.drain();
    }
    fn fault(&self, fault: &DeviceFault) -> Result<(), String> {
        if let DeviceFault::Alarm(name) = fault {
            return notify::system(&self.node, name);
        }
        ApplyDeviceFault::apply(&*self.switch, fault)?;
        self.drain();
        Ok(())
    }
}
