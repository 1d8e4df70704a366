//! An atmedia encryptor: ATMEDIA-MIB, 1.3.6.1.4.1.13458.1, where everything is read-only. At the
//! other end of each engine's line is a peer without an agent.
//!
//! Chosen by this project, because the MIB does not specify it (see also [`crate::wire::snmp`]):
//!
//! - the last arc of the sysObjectID; ifTable has a row for each interface; the agent has no
//!   ENTITY-MIB, as acSerialNumber has the serial number;
//! - engine N has the plain interface 2N - 1 and the encrypted interface 2N; all interfaces are
//!   gigabit ones, and the SONET, E3, E1 and Fibre Channel tables do not exist;
//! - engines agree on keys once an hour, which takes 1 s and is tried again 30 s after a failure;
//!   an engine that has failed to is down and drops its frames; one in plain mode sends them in
//!   clear; LastChange is the acMaUptime of the change;
//! - a frame has 1000 octets, also on the encrypted side; of a cut line, LOS, LossofSync and
//!   LinkDown are active, and each cut counts once in acGigabitAlarmsTable; rates, cells, custom
//!   values and errors are zero or do not exist;
//! - 40.00 degrees, and a power supply that is up until a fault.
//!
//! The MIB has no notifications, and this agent sends none.

mod columns;
pub mod fuzz;
pub(super) mod profile;
#[cfg(test)]
mod tests;

pub use columns::Object;

use crate::{
    clock::Clock,
    fault::{ApplyDeviceFault, DeviceFault},
    model::encryptor::{
        FRAME_BYTES,
        psk::{OnFailure, PskEndpoint, PskEvent, PskLink, PskRules, Sends},
    },
    wire::snmp::{
        agent::{Agent, Mib},
        node::{Interface, Node, NodeOptions},
        values::date_and_time,
    },
};
use qkd_driver_kit::link::snmp::{ErrorStatus, Oid, Value};
use qkd_hal::Identity;
use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// Enterprise number of the vendor.
pub const ENTERPRISE: u32 = 13_458;
/// Under atmcrypt; the last number is our choice.
const PRODUCT: [u32; 9] = [1, 3, 6, 1, 4, 1, ENTERPRISE, 1, 1];
/// Most engines of an encryptor.
pub const MAX_ENGINES: u32 = 4;
/// Times of the key agreements.
const RULES: PskRules = PskRules {
    duration: Duration::from_secs(1),
    retry: Some(Duration::from_secs(30)),
    attempts: None,
};
const ON_FAILURE: OnFailure = OnFailure::BlockAfter(Duration::ZERO);

/// Creates engines with their peers.
#[must_use]
pub fn links(clock: &Clock, number: u32) -> Vec<Arc<PskLink>> {
    let hour = Duration::from_secs(3600);
    (0..number)
        .map(|_| PskLink::new(clock.clone(), b"emulated", RULES, hour, ON_FAILURE))
        .collect()
}

#[derive(Debug, Default)]
struct SharedState {
    /// The last change of each engine, and of its line.
    changed: Vec<[Duration; 2]>,
    cuts: Vec<u64>,
    power_failed: Option<Duration>,
    power_changed: Duration,
}

struct Board {
    node: Node,
    kept: Mutex<SharedState>,
}

impl Board {
    fn shared(&self) -> MutexGuard<'_, SharedState> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Listener of the events of an engine.
struct EngineEar {
    board: Arc<Board>,
    place: usize,
}

/// The objects of the encryptor.
pub struct Atmedia {
    ends: Vec<Arc<PskEndpoint>>,
    board: Arc<Board>,
    /// Kept, as the model only knows them as long as they exist.
    _ears: Vec<Arc<EngineEar>>,
}

/// Creates the agent of an encryptor with these engines. Times are those of the clock of the first.
#[must_use]
pub fn agent(
    links: Vec<Arc<PskLink>>,
    identity: Identity,
    options: NodeOptions,
) -> Arc<Agent<Atmedia>> {
    let clock = links
        .first()
        .map_or_else(Clock::manual, |link| link.clock().clone());
    let ends: Vec<_> = links
        .into_iter()
        .map(|link| Arc::new(PskEndpoint::new(link, 0, identity.clone())))
        .collect();
    let interfaces = (1..=2 * ends.len() as u32)
        .map(|index| Interface {
            index,
            descr: interface_name(index),
            name: format!("eth{index}"),
        })
        .collect();
    let node = Node::new(
        clock.clone(),
        description(&identity),
        Oid::from(PRODUCT),
        options,
        interfaces,
    );
    let now = clock.now();
    let board = Arc::new(Board {
        node,
        kept: Mutex::new(SharedState {
            changed: vec![[now; 2]; ends.len()],
            cuts: vec![0; ends.len()],
            power_failed: None,
            power_changed: now,
        }),
    });
    let ears = ends
        .iter()
        .enumerate()
        .map(|(place, end)| {
            let ear = Arc::new(EngineEar {
                board: Arc::clone(&board),
                place,
            });
            end.listen(&ear, |ear, event| {
                if let PskEvent::Sends(_) = event {
                    let now = ear.board.node.clock().now();
                    if let Some([engine, _]) = ear.board.shared().changed.get_mut(ear.place) {
                        *engine = now;
                    }
                }
            });
            ear
        })
        .collect();
    Arc::new(Agent::new(Atmedia {
        ends,
        board,
        _ears: ears,
    }))
}

/// acDescr.
fn description(identity: &Identity) -> String {
    format!("<{}>", identity.model.clone().unwrap_or_default())
}

fn interface_name(index: u32) -> String {
    let side = if index.is_multiple_of(2) {
        "encrypted"
    } else {
        "plain"
    };
    format!(
        "Ethernet {index}, {side} side of engine {}",
        index.div_ceil(2)
    )
}

impl Atmedia {
    fn engine(&self, index: u32) -> Option<(&PskLink, usize)> {
        let place = (index as usize).checked_sub(1)?;
        self.ends.get(place).map(|end| (end.link().as_ref(), place))
    }
    fn ticks(&self, at: Duration) -> Value {
        Value::TimeTicks(self.board.node.ticks(at))
    }
    fn machine(&self, column: u32) -> Option<Value> {
        let identity = self.ends.first()?.identity();
        let text = |text: Option<String>| Value::text(text.unwrap_or_default());
        Some(match column {
            1 => text(identity.model),
            2 => text(identity.serial),
            6 => Value::text(description(&identity)),
            // As sysName, sysContact and sysLocation.
            3..=5 => self.board.node.text(*[1, 0, 2].get(column as usize - 3)?),
            _ => return None,
        })
    }
    fn interface(&self, column: u32, index: u32) -> Option<Value> {
        Some(match column {
            1 => Value::Integer(index as i32),
            2 => Value::text(interface_name(index)),
            // gigabit.
            3 => Value::Integer(6),
            4 => Value::Gauge32(1_000_000_000),
            5 => Value::text("1"),
            _ => return None,
        })
    }
    fn interface_status(&self, column: u32, index: u32) -> Option<Value> {
        let (link, place) = self.engine(index.div_ceil(2))?;
        let is_line = index.is_multiple_of(2);
        let (sent, received) = (link.traffic_from(0), link.traffic_from(1));
        let (sent, received) = (
            (sent.encrypted + sent.clear) * FRAME_BYTES,
            (received.accepted + received.clear) * FRAME_BYTES,
        );
        Some(match column {
            1 => Value::Integer(index as i32),
            // up, down.
            2 => Value::Integer(if is_line && link.is_cut() { 2 } else { 1 }),
            3 if is_line => self.ticks(self.board.shared().changed.get(place)?[1]),
            3 => Value::TimeTicks(0),
            4 => Value::text(interface_name(index)),
            // The plain side receives what the line sends.
            7 => Value::Counter64(if is_line { received } else { sent }),
            8 => Value::Counter64(if is_line { sent } else { received }),
            _ => return None,
        })
    }
    fn engine_status(&self, column: u32, index: u32) -> Option<Value> {
        let (link, place) = self.engine(index)?;
        let (state, text) = match link.sends(0) {
            Sends::Encrypted => (1, "encrypting"),
            Sends::Nothing => (2, "stopped"),
            Sends::Clear => (3, "plain"),
        };
        Some(match column {
            1 => Value::Integer(index as i32),
            2 => Value::Integer(state),
            3 => self.ticks(self.board.shared().changed.get(place)?[0]),
            4 => Value::text(text),
            _ => return None,
        })
    }
    fn maintenance(&self, column: u32) -> Option<Value> {
        let now = self.board.node.clock().now();
        let kept = self.board.shared();
        Some(match column {
            1 => Value::TimeTicks(self.board.node.uptime()),
            3 => date_and_time(Some(now)),
            4 => Value::Gauge32(4000),
            11 => Value::Integer(if kept.power_failed.is_some() { 2 } else { 1 }),
            12 => self.ticks(kept.power_changed),
            _ => return None,
        })
    }
    fn gigabit(&self, object: Object, index: u32) -> Option<Value> {
        let (link, place) = self.engine(index.div_ceil(2))?;
        let is_line = index.is_multiple_of(2);
        let is_cut = is_line && link.is_cut();
        let cuts = if is_line {
            self.board.shared().cuts.get(place).copied()?
        } else {
            0
        };
        let frames = {
            let (sent, received) = (link.traffic_from(0), link.traffic_from(1));
            sent.encrypted + sent.clear + received.accepted + received.clear
        };
        Some(match object {
            Object::GigabitStatus(1) | Object::GigabitAlarms(1) | Object::GigabitErrors(1) => {
                Value::Integer(index as i32)
            }
            // up, failure.
            Object::GigabitStatus(2) => Value::Integer(if is_cut { 3 } else { 1 }),
            // active, inactive.
            Object::GigabitStatus(3..=5) => Value::Integer(if is_cut { 1 } else { 2 }),
            Object::GigabitStatus(_) => Value::text(if is_cut { "loss of signal" } else { "" }),
            Object::GigabitAlarms(_) => Value::Counter64(cuts),
            Object::GigabitErrors(2) => Value::Counter64(frames),
            Object::GigabitErrors(_) => Value::Counter64(0),
            _ => return None,
        })
    }
    fn chosen(&self, name: Option<&str>) -> Result<Vec<usize>, String> {
        let all = 0..self.ends.len();
        let Some(name) = name else {
            return Ok(all.collect());
        };
        let place = name.parse::<usize>().ok().and_then(|n| n.checked_sub(1));
        place
            .filter(|place| all.contains(place))
            .map(|place| vec![place])
            .ok_or_else(|| format!("there is no engine `{name}`"))
    }
    /// An action at an engine and its peer: `plain`, `encrypt`, or one of the model's; or
    /// `power-fails` and `power-returns`.
    fn operate(&self, command: &str) -> Result<(), String> {
        let now = self.board.node.clock().now();
        if let Some(failed) = match command {
            "power-fails" => Some(Some(now)),
            "power-returns" => Some(None),
            _ => None,
        } {
            let mut kept = self.board.shared();
            (kept.power_failed, kept.power_changed) = (failed, now);
            return Ok(());
        }
        let (name, action) = command.split_once('/').unwrap_or(("1", command));
        for place in self.chosen(Some(name))? {
            let end = &self.ends[place];
            let time = match action {
                "plain" => Some(Some(Duration::MAX)),
                "encrypt" => Some(None),
                _ => None,
            };
            match time {
                Some(time) => (0..2)
                    .try_for_each(|n| end.link().set_off(n, time))
                    .map_err(|r| format!("{r:?}"))?,
                None => end.apply(&DeviceFault::Operator(action.to_owned()))?,
            }
        }
        Ok(())
    }
}

impl Mib for Atmedia {
    type Object = Object;
    type Draft = ();

    const OBJECTS: &'static [(&'static [u32], Object)] = columns::OBJECTS;

    fn node(&self) -> &Node {
        &self.board.node
    }
    fn instances(&self, object: Object) -> Vec<Vec<u32>> {
        let engines = self.ends.len() as u32;
        let rows = match object {
            Object::Engine(_) | Object::EngineStatus(_) => 1..=engines,
            Object::If(_)
            | Object::IfStatus(_)
            | Object::GigabitStatus(_)
            | Object::GigabitAlarms(_)
            | Object::GigabitErrors(_) => 1..=2 * engines,
            _ => 0..=0,
        };
        rows.map(|n| vec![n]).collect()
    }
    fn read(&self, object: Object, index: &[u32]) -> Option<Value> {
        self.tick();
        if !self.instances(object).iter().any(|i| i == index) {
            return None;
        }
        let row = *index.first()?;
        let engines = self.ends.len() as i32;
        match object {
            Object::Machine(column) => self.machine(column),
            Object::Software(1) => {
                let firmware = self.ends.first()?.identity().firmware;
                Some(Value::text(firmware.unwrap_or_default()))
            }
            Object::Software(_) => Some(Value::text("emulated software")),
            Object::Hardware(1) => Some(Value::text("1.0")),
            Object::Hardware(_) => Some(Value::text("emulated hardware")),
            Object::IfNumber
            | Object::IfStatusNumber
            | Object::GigabitStatusNumber
            | Object::GigabitAlarmsNumber
            | Object::GigabitErrorsNumber => Some(Value::Integer(2 * engines)),
            Object::EngineNumber | Object::EngineStatusNumber => Some(Value::Integer(engines)),
            Object::If(column) => self.interface(column, row),
            Object::Engine(column) => Some(match column {
                1 => Value::Integer(row as i32),
                2 => Value::text(format!("engine {row}")),
                _ => Value::text("1"),
            }),
            Object::IfStatus(column) => self.interface_status(column, row),
            Object::EngineStatus(column) => self.engine_status(column, row),
            Object::Maintenance(column) => self.maintenance(column),
            Object::GigabitStatus(_) | Object::GigabitAlarms(_) | Object::GigabitErrors(_) => {
                self.gigabit(object, row)
            }
        }
    }
    fn draft(&self) {}
    fn write(
        &self,
        _draft: &mut (),
        _object: Object,
        _index: &[u32],
        _value: &Value,
    ) -> Result<(), ErrorStatus> {
        Err(ErrorStatus::NotWritable)
    }
    fn commit(&self, _draft: ()) -> Result<(), ErrorStatus> {
        Ok(())
    }
    fn state(&self) -> String {
        (1..)
            .zip(&self.ends)
            .map(|(n, end)| format!("engine {n}: {}", end.link().state(0)))
            .collect::<Vec<_>>()
            .join("\n")
    }
    fn tick(&self) {
        self.ends.iter().for_each(|end| end.link().tick());
    }
    fn fault(&self, fault: &DeviceFault) -> Result<(), String> {
        let places = match fault {
            DeviceFault::Cut(name) => self.chosen(name.as_deref())?,
            DeviceFault::PortFails(n) => self.chosen(Some(&n.to_string()))?,
            DeviceFault::Operator(command) => return self.operate(command),
            DeviceFault::Reboot | DeviceFault::Fail | DeviceFault::Clear => self.chosen(None)?,
            DeviceFault::Identity(_) => vec![0],
            other => return Err(format!("an encryptor that is only read has no {other:?}")),
        };
        let now = self.board.node.clock().now();
        for place in places {
            let end = &self.ends[place];
            let was_cut = end.link().is_cut();
            match fault {
                DeviceFault::PortFails(_) => end.apply(&DeviceFault::Fail)?,
                other => end.apply(other)?,
            }
            if was_cut != end.link().is_cut() {
                let mut kept = self.board.shared();
                if let Some([_, line]) = kept.changed.get_mut(place) {
                    *line = now;
                }
                if !was_cut && let Some(cuts) = kept.cuts.get_mut(place) {
                    *cuts += 1;
                }
            }
            if matches!(fault, DeviceFault::Cut(_)) {
                // The engine finds that its peer is gone.
                end.link().restart();
            }
        }
        if *fault == DeviceFault::Clear {
            let mut kept = self.board.shared();
            if kept.power_failed.take().is_some() {
                kept.power_changed = now;
            }
        }
        Ok(())
    }
}
