//! Optical protection: SL-OPT-APS-MIB optApsConfigTable with one row, SL-OSW-MIB
//! slOSWPortConfigTable with the two network ports.
//!
//! Chosen by this project, because the MIBs do not specify it: the row exists and cannot be created
//! or destroyed over SNMP; scheme, architecture and direction are stored and have no effect; a
//! disabled group keeps its path; the transmitter follows the receiver; the power of one port
//! counts for the LosThreshold of the group and for its own; a threshold below zero is written and
//! read as a negative number, although the MIB's range begins at zero; the MIB has two versions of
//! the trap, and the second, without the log ID, is sent.

use crate::{
    model::protection::{ActiveCommand, Group, PathChange as Moved, ProtectionSwitch},
    wire::snmp::{
        node::Node,
        values::{integer, one_of, tenths, unsigned},
    },
};
use qkd_driver_kit::link::snmp::{ErrorStatus, Oid, Value, VarBind};
use qkd_hal::EventKind;
use qkd_switch_hal::protection::{GroupId, SelectionMode, SwitchRequest};
use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// Names of the paths, in the order of the model.
pub const PATHS: [&str; 2] = ["working", "protection"];
/// The row optApsConfigEntry and the notification optApsTrapSwitchover.
const ENTRY: &[u32] = sl![11, 1, 1, 1];
const TRAP_SWITCHOVER: &[u32] = sl![11, 2, 1];

/// The ports of the group: their ifIndex.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ports {
    /// User ports: working, which is the row, and protecting.
    pub user: [u32; 2],
    /// Network ports: working and protecting.
    pub net: [u32; 2],
}

struct SharedState {
    scheme: i32,
    architecture: i32,
    direction: i32,
    /// optApsConfigSwitchCommand, as it was last given.
    command: i32,
}

/// The group, and the part of its row that is not in the model.
pub(super) struct Aps {
    pub(super) model: Arc<ProtectionSwitch>,
    pub(super) ports: Ports,
    kept: Mutex<SharedState>,
    reported: Mutex<qkd_hal::EventStream>,
}

/// Tested change of a SET.
pub(super) enum Change {
    Enable(bool),
    Wait(Duration),
    Revert(bool),
    Command(i32),
    ResetCounters,
    Threshold(f64),
    PortThreshold(usize, f64),
    Scheme(i32),
    Architecture(i32),
    Direction(i32),
}

impl Aps {
    pub(super) fn new(model: Arc<ProtectionSwitch>, ports: Ports) -> Self {
        let reported = Mutex::new(model.base().events.subscribe());
        Self {
            model,
            ports,
            kept: Mutex::new(SharedState {
                scheme: 2,
                architecture: 1,
                direction: 1,
                command: 1,
            }),
            reported,
        }
    }
    fn shared(&self) -> MutexGuard<'_, SharedState> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
    fn id(&self) -> GroupId {
        GroupId(self.ports.user[0].to_string())
    }
    fn with_group<T>(&self, look: impl FnOnce(&Group) -> T) -> Option<T> {
        self.model.with_group(&self.id(), look)
    }

    pub(super) fn rows(&self) -> Vec<Vec<u32>> {
        vec![vec![self.ports.user[0]]]
    }
    pub(super) fn port_rows(&self) -> Vec<Vec<u32>> {
        let mut net = self.ports.net;
        net.sort_unstable();
        net.iter().map(|p| vec![*p]).collect()
    }

    /// A column of the group's row.
    pub(super) fn column(&self, node: &Node, column: u32) -> Option<Value> {
        let kept = self.shared();
        let Ports { user, net } = self.ports;
        self.with_group(|g| {
            let active = Value::Integer(g.active() as i32 + 1);
            Some(match column {
                1 => Value::Integer(user[0] as i32),
                2 => Value::Integer(net[0] as i32),
                3 => Value::Integer(user[1] as i32),
                4 => Value::Integer(net[1] as i32),
                5 => Value::Integer(kept.scheme),
                6 => Value::Integer(if g.mode == SelectionMode::Automatic {
                    2
                } else {
                    1
                }),
                7 => Value::Integer(kept.architecture),
                8 | 9 => active,
                10 => Value::Gauge32((g.wait_to_restore.as_secs() / 60) as u32),
                11 => Value::Integer(kept.direction),
                12 => Value::Integer(if g.revert { 2 } else { 1 }),
                13 => {
                    // BITS: the first is the highest bit of the first octet.
                    let bits = [
                        g.standing == Some(ActiveCommand::Lockout),
                        g.failed(0),
                        g.failed(1),
                        g.active() != g.preferred,
                        false,
                    ];
                    Value::text([bits
                        .iter()
                        .enumerate()
                        .map(|(n, on)| u8::from(*on) << (7 - n))
                        .sum::<u8>()])
                }
                14 => Value::Counter32(g.signal_failures() as u32),
                15 => Value::Counter32(g.switch_overs() as u32),
                16 => Value::TimeTicks(g.since().map_or(0, |at| node.ticks(at))),
                17 => Value::Integer(kept.command),
                18 | 20 => Value::Integer(match g.request() {
                    SwitchRequest::WaitToRestore | SwitchRequest::DoNotRevert => 2,
                    SwitchRequest::ManualSwitch => 3,
                    SwitchRequest::SignalFail | SwitchRequest::SignalDegrade => 4,
                    SwitchRequest::ForcedSwitch => 5,
                    SwitchRequest::LockoutOfProtection => 6,
                    _ => 1,
                }),
                19 => Value::Integer(1),
                // RowStatus active.
                21 => Value::Integer(1),
                22 => tenths(g.inputs[0].threshold),
                _ => return None,
            })
        })
        .flatten()
    }

    /// A column of a network port.
    pub(super) fn port(&self, column: u32, port: u32) -> Option<Value> {
        let nth = self.ports.net.iter().position(|p| *p == port)?;
        self.with_group(|g| {
            Some(match column {
                1 => Value::Integer(port as i32),
                2 => tenths(g.level(nth)),
                3 => tenths(g.inputs[nth].threshold),
                4 => Value::Integer(1),
                _ => return None,
            })
        })
        .flatten()
    }

    /// Tests a write to the row of the group.
    pub(super) fn write(&self, column: u32, value: &Value) -> Result<Change, ErrorStatus> {
        Ok(match column {
            5 => Change::Scheme(one_of(value, &[1, 2])?),
            6 => Change::Enable(one_of(value, &[1, 2])? == 2),
            7 => Change::Architecture(one_of(value, &[1, 2])?),
            10 => Change::Wait(Duration::from_secs(
                60 * u64::from(unsigned(value, |v| (1..=12).contains(&v))?),
            )),
            11 => Change::Direction(one_of(value, &[1, 2])?),
            12 => Change::Revert(one_of(value, &[1, 2])? == 2),
            17 => Change::Command(one_of(value, &[1, 2, 3, 4, 5, 6])?),
            19 => one_of(value, &[1]).map(|_| Change::ResetCounters)?,
            22 => Change::Threshold(threshold(value)?),
            _ => return Err(ErrorStatus::NotWritable),
        })
    }
    /// Tests a write to a network port.
    pub(super) fn write_port(
        &self,
        column: u32,
        port: u32,
        value: &Value,
    ) -> Result<Change, ErrorStatus> {
        let nth = self
            .ports
            .net
            .iter()
            .position(|p| *p == port)
            .ok_or(ErrorStatus::NoCreation)?;
        if column == 3 {
            Ok(Change::PortThreshold(nth, threshold(value)?))
        } else {
            Err(ErrorStatus::NotWritable)
        }
    }

    pub(super) fn commit(&self, changes: Vec<Change>) -> Result<(), ErrorStatus> {
        for change in changes {
            let done = self.model.try_update_group(&self.id(), |g, _| {
                let mut kept = self.shared();
                match change {
                    Change::Enable(on) => {
                        g.mode = if on {
                            SelectionMode::Automatic
                        } else {
                            SelectionMode::Manual
                        }
                    }
                    Change::Wait(time) => g.wait_to_restore = time,
                    Change::Revert(on) => g.revert = on,
                    Change::ResetCounters => g.reset_counters(),
                    Change::Threshold(dbm) => g.inputs.iter_mut().for_each(|i| i.threshold = dbm),
                    Change::PortThreshold(n, dbm) => g.inputs[n].threshold = dbm,
                    Change::Scheme(v) => kept.scheme = v,
                    Change::Architecture(v) => kept.architecture = v,
                    Change::Direction(v) => kept.direction = v,
                    // A forced or manual switch of a line: its traffic goes to the other one.
                    Change::Command(v) => {
                        kept.command = v;
                        g.standing = match v {
                            2 => Some(ActiveCommand::Lockout),
                            3 => Some(ActiveCommand::Force(1)),
                            4 => Some(ActiveCommand::Force(0)),
                            5 => Some(ActiveCommand::Manual(1)),
                            6 => Some(ActiveCommand::Manual(0)),
                            _ => None,
                        };
                    }
                }
                Ok(None::<Moved>)
            });
            done.map_err(|_| ErrorStatus::CommitFailed)?;
        }
        Ok(())
    }

    /// optApsTrapSwitchover for each switch-over since the last time.
    pub(super) fn send_notifications(&self, node: &Node) {
        self.model.tick();
        let mut reported = self.reported.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(delivery) = reported.try_next() {
            let qkd_hal::event::StreamItem::Event(event) = delivery else {
                continue;
            };
            let EventKind::SwitchOver { path, .. } = &event.kind else {
                continue;
            };
            let row = self.ports.user[0];
            let bind = |column, value| VarBind::new(Oid::from(ENTRY).child(&[column, row]), value);
            let active = if path == PATHS[0] { 1 } else { 2 };
            node.notify(
                Oid::from(TRAP_SWITCHOVER),
                vec![
                    bind(1, Value::Integer(row as i32)),
                    bind(8, Value::Integer(active)),
                ],
            );
        }
    }

    pub(super) fn state(&self) -> String {
        let model = self.model.state();
        let SharedState {
            scheme,
            architecture,
            direction,
            command,
        } = &*self.shared();
        format!(
            "{model}\naps: scheme {scheme}, architecture {architecture}, direction {direction}, \
             command {command}"
        )
    }
}

fn threshold(value: &Value) -> Result<f64, ErrorStatus> {
    // From -50.0 dBm, as the MIB's text says.
    Ok(f64::from(integer(value, -500..=300)?) / 10.0)
}
