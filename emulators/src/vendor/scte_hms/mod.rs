//! ANSI/SCTE 85-4, SCTE-HMS-HE-OPTICAL-SWITCH-MIB: an A/B switch or a 2×2 switch with failover,
//! under 1.3.6.1.4.1.5591.
//!
//! Chosen by this project, because the MIB does not specify it: the input level of an available
//! path; hysteresis below zero counts as none; an agent serves one unit, of entPhysicalIndex 1; in
//! manual mode a write of heOpSwitchControl takes effect immediately and stays the preferred path
//! when the mode returns to automatic; the log entry of SCTE-HMS-HE-COMMON-MIB for an alarm. The
//! log table itself is not served.

pub mod fuzz;
pub(super) mod profile;
#[cfg(test)]
mod tests;

use crate::{
    fault::{ApplyDeviceFault, DeviceFault},
    model::protection::{Group, Input, ProtectionRejection, ProtectionSwitch},
    wire::snmp::{
        agent::{Agent, Mib},
        node::{Node, NodeOptions},
        values::{check_change, integer, one_of, tenths},
    },
};
use qkd_driver_kit::link::snmp::{ErrorStatus, Oid, Value, VarBind};
use qkd_switch_hal::protection::{GroupId, SelectionMode};
use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// The enterprise number of the SCTE.
pub const ENTERPRISE: u32 = 5591;
/// The unit: its entPhysicalIndex.
const UNIT: u32 = 1;
/// SCTE-HMS-HE-COMMON-MIB: heCommonAlarmEvent, and the log entry whose columns are its varbinds.
const ALARM_EVENT: [u32; 10] = [1, 3, 6, 1, 4, 1, 5591, 1, 0, 5];
const LOG: [u32; 16] = [1, 3, 6, 1, 4, 1, 5591, 1, 11, 2, 1, 1, 1, 2, 3, 1];
/// Prefix heOpticalSwitchObjects of the MIB.
const OBJECTS: [u32; 13] = [1, 3, 6, 1, 4, 1, 5591, 1, 11, 1, 4, 1, 1];

/// Kind of switch, of the two that the MIB models.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Two inputs, one output: pathA, pathB.
    Ab,
    /// Two inputs, two outputs: bar, cross, and both outputs from one input.
    TwoByTwo,
}

impl Kind {
    /// Returns the names of the paths, in the order of the model, with the values of
    /// heOpSwitchControl and the inputs that each path needs.
    #[must_use]
    pub const fn paths(self) -> &'static [(&'static str, i32, &'static [usize])] {
        match self {
            Self::Ab => &[("a", 1, &[0]), ("b", 2, &[1])],
            Self::TwoByTwo => &[
                ("bar", 4, &[0, 1]),
                ("cross", 3, &[0, 1]),
                ("both-a", 5, &[0]),
                ("both-b", 6, &[1]),
            ],
        }
    }

    /// Creates the group of the paths of this kind, with these inputs.
    pub(crate) fn group(self, inputs: Vec<Input>) -> Group {
        let paths = self.paths().iter();
        Group::with_path_inputs(
            paths
                .map(|(name, _, needs)| ((*name).to_owned(), needs.to_vec()))
                .collect(),
            inputs,
        )
    }
}

/// An object of the MIB.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Object {
    /// A column of heOpSwitchUnitTable.
    Unit(u32),
    /// A column of heOpSwitchInputTable.
    Input(u32),
    /// A column of heOpSwitchOutputTable.
    Output(u32),
}

/// State in addition to the model, and the last notified state.
#[derive(Default)]
struct SharedState {
    /// Wavelength, in 0.01 nm.
    wavelength: i32,
    log: u32,
    /// Last notified failover status, both-input status and input status.
    reported: Vec<bool>,
}

/// Objects of the switch.
pub struct Scte {
    kind: Kind,
    model: Arc<ProtectionSwitch>,
    node: Node,
    kept: Mutex<SharedState>,
}

/// An agent in front of a model with one group, whose paths are those of `kind`.
#[must_use]
pub fn agent(model: Arc<ProtectionSwitch>, kind: Kind, options: NodeOptions) -> Arc<Agent<Scte>> {
    let identity = model.base().identity();
    let descr = format!(
        "{} {} {}",
        identity.vendor,
        identity.model.unwrap_or_default(),
        identity.firmware.unwrap_or_default()
    );
    let node = Node::new(
        model.clock().clone(),
        descr.trim_end().to_owned(),
        Oid::from([1, 3, 6, 1, 4, 1, ENTERPRISE, 1, 11, 1, 4]),
        options,
        Vec::new(),
    );
    let kept = Mutex::new(SharedState {
        wavelength: 155_000,
        ..SharedState::default()
    });
    let scte = Scte {
        kind,
        model,
        node,
        kept,
    };
    scte.shared().reported = scte.faults();
    Arc::new(Agent::new(scte))
}

/// Tested changes of a SET, in the order of its varbinds.
#[derive(Default)]
pub struct Draft(Vec<Change>);

enum Change {
    Mode(SelectionMode),
    Control(usize),
    Revert(bool),
    Wavelength(i32),
    Hysteresis(f64),
    Wait(Duration),
    Threshold(usize, f64),
}

/// HeOnOffControl, HeFaultStatus and their like: 1 or 2.
fn second(yes: bool) -> Value {
    Value::Integer(if yes { 2 } else { 1 })
}

impl Scte {
    fn shared(&self) -> MutexGuard<'_, SharedState> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
    fn with_group<T>(&self, look: impl FnOnce(&Group) -> T) -> Option<T> {
        self.model.with_group(&GroupId::from("1"), look)
    }
    fn number(&self, path: usize) -> i32 {
        self.kind.paths().get(path).map_or(0, |p| p.1)
    }
    /// Failover, both inputs, each input.
    fn faults(&self) -> Vec<bool> {
        let all = |g: &Group| {
            let inputs: Vec<bool> = g.inputs.iter().map(Input::failed).collect();
            [
                vec![g.active() != g.preferred, inputs.iter().all(|f| *f)],
                inputs,
            ]
            .concat()
        };
        self.with_group(all).unwrap_or_default()
    }
    /// Sends heCommonAlarmEvent for each status that differs from the last notified one.
    fn send_notifications(&self) {
        let now = self.faults();
        let before = std::mem::replace(&mut self.shared().reported, now.clone());
        for (n, (is, was)) in now.iter().zip(&before).enumerate() {
            if is == was {
                continue;
            }
            let about = match n {
                0 => Oid::from(OBJECTS).child(&[1, 1, 5, UNIT]),
                1 => Oid::from(OBJECTS).child(&[1, 1, 6, UNIT]),
                input => Oid::from(OBJECTS).child(&[2, 1, 4, UNIT, input as u32 - 1]),
            };
            let log = {
                let mut kept = self.shared();
                kept.log = kept.log % 65_535 + 1;
                kept.log
            };
            let bind = |column, value| VarBind::new(Oid::from(LOG).child(&[column, log]), value);
            let words = ["failover", "both inputs", "input A", "input B"];
            let binds = vec![
                bind(2, Value::ObjectId(about)),
                bind(3, second(*is)),
                // heCommonNominal(1), heCommonDiscreteMajor(6).
                bind(4, Value::Integer(if *is { 6 } else { 1 })),
                // DateAndTime: an emulator's clock begins with the epoch.
                bind(5, Value::text([0x07, 0xB2, 1, 1, 0, 0, 0, 0])),
                bind(
                    6,
                    Value::text(format!(
                        "{} {}",
                        words.get(n).unwrap_or(&"input"),
                        if *is { "fault" } else { "normal" }
                    )),
                ),
            ];
            self.node.notify(Oid::from(ALARM_EVENT), binds);
        }
    }
}

macro_rules! he { ($($id:literal),*) => { &[1, 3, 6, 1, 4, 1, 5591, 1, 11, 1, 4, 1, 1, $($id),*] }; }

impl Mib for Scte {
    type Object = Object;
    type Draft = Draft;

    const OBJECTS: &'static [(&'static [u32], Object)] = &[
        (he![1, 1, 1], Object::Unit(1)),
        (he![1, 1, 2], Object::Unit(2)),
        (he![1, 1, 3], Object::Unit(3)),
        (he![1, 1, 4], Object::Unit(4)),
        (he![1, 1, 5], Object::Unit(5)),
        (he![1, 1, 6], Object::Unit(6)),
        (he![1, 1, 7], Object::Unit(7)),
        (he![1, 1, 8], Object::Unit(8)),
        (he![1, 1, 9], Object::Unit(9)),
        (he![2, 1, 2], Object::Input(2)),
        (he![2, 1, 3], Object::Input(3)),
        (he![2, 1, 4], Object::Input(4)),
        (he![2, 1, 5], Object::Input(5)),
        (he![3, 1, 2], Object::Output(2)),
    ];

    fn node(&self) -> &Node {
        &self.node
    }
    fn instances(&self, object: Object) -> Vec<Vec<u32>> {
        let outputs = if self.kind == Kind::Ab { 1 } else { 2 };
        match object {
            Object::Unit(_) => vec![vec![UNIT]],
            Object::Input(_) => (1..=2).map(|n| vec![UNIT, n]).collect(),
            Object::Output(_) => (1..=outputs).map(|n| vec![UNIT, n]).collect(),
        }
    }
    fn read(&self, object: Object, index: &[u32]) -> Option<Value> {
        if !self.instances(object).iter().any(|i| i == index) {
            return None;
        }
        let nth = *index.last()? as usize - 1;
        let wavelength = self.shared().wavelength;
        self.with_group(|g| match object {
            Object::Unit(1) => Some(second(g.mode == SelectionMode::Manual)),
            Object::Unit(2) => Some(Value::Integer(self.number(g.preferred))),
            Object::Unit(3) => Some(second(g.revert)),
            Object::Unit(4) => Some(Value::Integer(self.number(g.active()))),
            Object::Unit(5) => Some(second(g.active() != g.preferred)),
            Object::Unit(6) => Some(second(g.inputs.iter().all(Input::failed))),
            Object::Unit(7) => Some(Value::Integer(wavelength)),
            Object::Unit(8) => Some(tenths(g.hysteresis)),
            Object::Unit(9) => Some(Value::Integer(
                i32::try_from(g.wait_to_restore.as_secs()).unwrap_or(i32::MAX),
            )),
            Object::Input(2) => Some(tenths(g.level(nth))),
            Object::Input(3) => Some(tenths(g.inputs[nth].threshold)),
            Object::Input(4) => Some(second(g.inputs[nth].failed())),
            Object::Input(5) => Some(Value::text(["Input A", "Input B"][nth])),
            Object::Output(2) => Some(Value::text(["Output 1", "Output 2"][nth])),
            _ => None,
        })
        .flatten()
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
        if !matches!(object, Object::Unit(1..=3 | 7..=9) | Object::Input(3)) {
            return Err(ErrorStatus::NotWritable);
        }
        if self.read(object, index).is_none() {
            return Err(ErrorStatus::NoCreation);
        }
        check_change(self.model.change_faults())?;
        draft.0.push(match object {
            Object::Unit(1) => Change::Mode(if one_of(value, &[1, 2])? == 1 {
                SelectionMode::Automatic
            } else {
                SelectionMode::Manual
            }),
            Object::Unit(2) => {
                let asked = one_of(value, &[1, 2, 3, 4, 5, 6])?;
                // A value that this switch does not support: inconsistentValue, as the MIB says.
                let path = self
                    .kind
                    .paths()
                    .iter()
                    .position(|(_, number, _)| *number == asked);
                Change::Control(path.ok_or(ErrorStatus::InconsistentValue)?)
            }
            Object::Unit(3) => Change::Revert(one_of(value, &[1, 2])? == 2),
            Object::Unit(7) => Change::Wavelength(integer(value, 0..=i32::MAX)?),
            Object::Unit(8) => Change::Hysteresis(f64::from(integer(value, -20..=20)?) / 10.0),
            Object::Unit(_) => Change::Wait(Duration::from_secs(u64::from(
                integer(value, 0..=i32::MAX)?.unsigned_abs(),
            ))),
            Object::Input(_) | Object::Output(_) => {
                let nth = index.last().copied().unwrap_or(1) as usize - 1;
                Change::Threshold(nth, f64::from(integer(value, i32::MIN..=i32::MAX)?) / 10.0)
            }
        });
        Ok(())
    }
    fn commit(&self, draft: Draft) -> Result<(), ErrorStatus> {
        let mut wavelength = None;
        let done = self
            .model
            .try_update_group(&GroupId::from("1"), |group, now| {
                let mut moved = None;
                for change in draft.0 {
                    match change {
                        Change::Mode(mode) => group.mode = mode,
                        Change::Control(path) => {
                            group.preferred = path;
                            if group.mode == SelectionMode::Manual {
                                moved = group.select_path(path, now).or(moved);
                            }
                        }
                        Change::Revert(on) => group.revert = on,
                        Change::Wavelength(hundredths) => wavelength = Some(hundredths),
                        Change::Hysteresis(db) => group.hysteresis = db,
                        Change::Wait(time) => group.wait_to_restore = time,
                        Change::Threshold(input, dbm) => group.inputs[input].threshold = dbm,
                    }
                }
                Ok(moved)
            });
        done.map_err(|rejected| {
            if let ProtectionRejection::Gate(_) = rejected {
                ErrorStatus::GenErr
            } else {
                ErrorStatus::CommitFailed
            }
        })?;
        if let Some(hundredths) = wavelength {
            self.shared().wavelength = hundredths;
        }
        self.send_notifications();
        Ok(())
    }
    fn state(&self) -> String {
        format!(
            "{}\nwavelength: {}",
            self.model.state(),
            self.shared().wavelength
        )
    }
    fn tick(&self) {
        self.model.tick();
        self.send_notifications();
    }
    fn fault(&self, fault: &DeviceFault) -> Result<(), String> {
        self.model.apply(fault)?;
        self.send_notifications();
        Ok(())
    }
}
