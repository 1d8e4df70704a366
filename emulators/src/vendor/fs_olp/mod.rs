//! FS.com and Glsun OLP cards in an OAP chassis of sixteen slots, OAP-Cn-OLP: 25 scalars for each
//! slot, under 1.3.6.1.4.1.40989.10.16.
//!
//! Chosen by this project, because the MIB does not specify it (it has names and ranges, and no
//! descriptions): a slot without a card has no objects; powers are in 0.01 dBm; delays are in
//! seconds, or in the unit of the setting; the texts of the chassis and of its cards; the channel
//! cannot be set in automatic mode (inconsistentValue); a card that has lost power keeps its path
//! and its settings; alarm powers and wavelengths are stored and have no effect; the transmitter
//! has constant power.

pub mod fuzz;
pub(super) mod profile;
#[cfg(test)]
mod tests;

use crate::{
    fault::{ApplyDeviceFault, DeviceFault},
    model::protection::{Group, ProtectionRejection, ProtectionSwitch},
    wire::snmp::{
        agent::{Agent, Mib},
        node::{Node, NodeOptions},
        values::{check_change, one_of},
    },
};
use qkd_driver_kit::link::snmp::{ErrorStatus, Oid, Value};
use qkd_switch_hal::protection::{GroupId, SelectionMode};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// Enterprise number of the vendor.
pub const ENTERPRISE: u32 = 40_989;
/// Number of the management unit (OAP-NMU) of the chassis, after those of the slots, and its
/// scalars: device type, state of the fan and of both power supplies, version, serial number.
const CHASSIS: u32 = 20;
const CHASSIS_SCALARS: [u32; 6] = [1, 10, 11, 12, 13, 15];
/// Columns: the scalars of a card.
const COLUMNS: std::ops::RangeInclusive<u32> = 1..=25;
/// Names of the paths, in the order of the model.
pub const PATHS: [&str; 2] = ["main", "sub"];

/// All objects of all cards: the index is slot, 3, scalar, 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Card;

/// Stored settings of a card in addition to the model, by scalar.
type StoredSettings = BTreeMap<(u32, u32), i32>;

/// Objects of the chassis and its cards.
pub struct Olp {
    model: Arc<ProtectionSwitch>,
    node: Node,
    /// Duration of one unit of a delay.
    unit: Duration,
    kept: Mutex<StoredSettings>,
}

/// An agent in front of a model whose groups are the slots with a card.
#[must_use]
pub fn agent(
    model: Arc<ProtectionSwitch>,
    unit: Duration,
    options: NodeOptions,
) -> Arc<Agent<Olp>> {
    // As recorded chassis respond: LibreNMS has such recordings.
    let node = Node::new(
        model.clock().clone(),
        "GLCY SNMP".to_owned(),
        Oid::from([1, 3, 6, 1, 2, 1, 1, 2]),
        options,
        Vec::new(),
    );
    Arc::new(Agent::new(Olp {
        model,
        node,
        unit,
        kept: Mutex::default(),
    }))
}

enum Change {
    Mode(SelectionMode),
    Channel(usize),
    Revert(bool),
    Threshold(usize, f64),
    Restore(Duration),
    HoldOff(Duration),
    Keep(u32, i32),
}

/// Tested changes of a SET: by slot, in the order of its varbinds.
#[derive(Default)]
pub struct Draft(Vec<(u32, Change)>);

fn hundredths(dbm: f64) -> Value {
    Value::Integer((dbm * 100.0).round() as i32)
}

impl Olp {
    fn stored_settings(&self) -> MutexGuard<'_, StoredSettings> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
    fn slots(&self) -> Vec<u32> {
        self.model
            .ids()
            .iter()
            .filter_map(|id| id.0.parse().ok())
            .collect()
    }
    fn with_group<T>(&self, slot: u32, look: impl FnOnce(&Group) -> T) -> Option<T> {
        self.model.with_group(&GroupId(slot.to_string()), look)
    }
    fn units(&self, time: Duration) -> Value {
        Value::Integer((time.as_millis() / self.unit.as_millis().max(1)) as i32)
    }
    /// Returns a setting without effect on the model: as it was set, or its default.
    fn as_kept(&self, slot: u32, scalar: u32) -> i32 {
        let delivered = match scalar {
            13 | 14 => -2500,
            15 => -500,
            // w1550nm.
            16..=18 => 1,
            _ => 0,
        };
        self.stored_settings()
            .get(&(slot, scalar))
            .copied()
            .unwrap_or(delivered)
    }
    fn chassis(&self, scalar: u32) -> Option<Value> {
        let identity = self.model.base().identity();
        let text = |t: Option<String>| Some(Value::text(t.unwrap_or_default()));
        match scalar {
            1 => text(identity.model),
            10..=12 => Some(Value::Integer(1)),
            13 => text(identity.firmware),
            15 => text(identity.serial),
            _ => None,
        }
    }
    fn scalar(&self, slot: u32, scalar: u32) -> Option<Value> {
        let identity = self.model.base().identity();
        let text = |t: Option<String>| Value::text(t.unwrap_or_default());
        self.with_group(slot, |g| {
            Some(match scalar {
                1 => Value::Integer(1),
                2 => Value::text("OLP"),
                3 => Value::text("OLP card"),
                4 => text(identity.firmware),
                5 => Value::text("1.0"),
                6 => text(identity.serial.map(|s| format!("{s}-{slot}"))),
                7 => Value::text("2024-01-01"),
                8 => Value::Integer(i32::from(g.mode == SelectionMode::Automatic)),
                9 => Value::Integer(g.active() as i32 + 1),
                11 => hundredths(g.inputs[0].threshold),
                12 => hundredths(g.inputs[1].threshold),
                19 => hundredths(g.level(0).max(-50.0)),
                20 => hundredths(g.level(1).max(-50.0)),
                21 => hundredths(0.0),
                22 => Value::Integer(i32::from(g.revert)),
                23 => self.units(g.wait_to_restore),
                24 => self.units(g.hold_off),
                _ => Value::Integer(self.as_kept(slot, scalar)),
            })
        })
        .flatten()
    }
}

impl Mib for Olp {
    type Object = Card;
    type Draft = Draft;

    const OBJECTS: &'static [(&'static [u32], Card)] =
        &[(&[1, 3, 6, 1, 4, 1, ENTERPRISE, 10, 16], Card)];

    fn node(&self) -> &Node {
        &self.node
    }
    fn instances(&self, Card: Card) -> Vec<Vec<u32>> {
        self.slots()
            .into_iter()
            .flat_map(|slot| COLUMNS.map(move |n| vec![slot, 3, n, 0]))
            .chain(CHASSIS_SCALARS.map(|n| vec![CHASSIS, n, 0]))
            .collect()
    }
    fn read(&self, Card: Card, index: &[u32]) -> Option<Value> {
        match index {
            [CHASSIS, scalar, 0] => self.chassis(*scalar),
            [slot, 3, scalar, 0] if COLUMNS.contains(scalar) => self.scalar(*slot, *scalar),
            _ => None,
        }
    }
    fn draft(&self) -> Draft {
        Draft::default()
    }
    fn write(
        &self,
        draft: &mut Draft,
        Card: Card,
        index: &[u32],
        value: &Value,
    ) -> Result<(), ErrorStatus> {
        if let [CHASSIS, scalar, 0] = *index
            && self.chassis(scalar).is_some()
        {
            return Err(ErrorStatus::NotWritable);
        }
        let [slot, 3, scalar, 0] = *index else {
            return Err(ErrorStatus::NoCreation);
        };
        if self.read(Card, index).is_none() {
            return Err(ErrorStatus::NoCreation);
        }
        let Value::Integer(number) = *value else {
            return Err(if matches!(scalar, 8..=18 | 22..=25) {
                ErrorStatus::WrongType
            } else {
                ErrorStatus::NotWritable
            });
        };
        let power = || {
            if (-9999..=9999).contains(&number) {
                Ok(f64::from(number) / 100.0)
            } else {
                Err(ErrorStatus::WrongValue)
            }
        };
        let delay = || {
            u32::try_from(number)
                .map(|n| self.unit * n)
                .map_err(|_| ErrorStatus::WrongValue)
        };
        let change = match scalar {
            8 => Change::Mode(if one_of(value, &[0, 1])? == 1 {
                SelectionMode::Automatic
            } else {
                SelectionMode::Manual
            }),
            9 => {
                let channel = one_of(value, &[1, 2])? as usize - 1;
                // A mode that the same PDU sets counts already.
                let mode = draft.0.iter().rev().find_map(|(s, c)| match c {
                    Change::Mode(mode) if *s == slot => Some(*mode),
                    _ => None,
                });
                let mode = mode.or_else(|| self.with_group(slot, |g| g.mode));
                if mode == Some(SelectionMode::Automatic) {
                    return Err(ErrorStatus::InconsistentValue);
                }
                Change::Channel(channel)
            }
            11 | 12 => Change::Threshold(scalar as usize - 11, power()?),
            13..=15 => power().map(|_| Change::Keep(scalar, number))?,
            10 | 16..=18 => Change::Keep(scalar, one_of(value, &[0, 1])?),
            22 => Change::Revert(one_of(value, &[0, 1])? == 1),
            23 => Change::Restore(delay()?),
            24 => Change::HoldOff(delay()?),
            25 => delay().map(|_| Change::Keep(scalar, number))?,
            _ => return Err(ErrorStatus::NotWritable),
        };
        check_change(self.model.change_faults())?;
        draft.0.push((slot, change));
        Ok(())
    }
    fn commit(&self, draft: Draft) -> Result<(), ErrorStatus> {
        for (slot, change) in draft.0 {
            if let Change::Keep(scalar, number) = change {
                self.stored_settings().insert((slot, scalar), number);
                continue;
            }
            let done = self
                .model
                .try_update_group(&GroupId(slot.to_string()), |group, now| {
                    match change {
                        Change::Mode(mode) => group.mode = mode,
                        Change::Channel(path) => return Ok(group.select_path(path, now)),
                        Change::Revert(on) => group.revert = on,
                        Change::Threshold(input, dbm) => group.inputs[input].threshold = dbm,
                        Change::Restore(time) => group.wait_to_restore = time,
                        Change::HoldOff(time) => group.hold_off = time,
                        Change::Keep(..) => {}
                    }
                    Ok(None)
                });
            done.map_err(|rejected| {
                if let ProtectionRejection::Gate(_) = rejected {
                    ErrorStatus::GenErr
                } else {
                    ErrorStatus::CommitFailed
                }
            })?;
        }
        Ok(())
    }
    fn state(&self) -> String {
        format!("{}\nkept: {:?}", self.model.state(), self.stored_settings())
    }
    fn tick(&self) {
        self.model.tick();
    }
    fn fault(&self, fault: &DeviceFault) -> Result<(), String> {
        self.model.apply(fault)
    }
}
