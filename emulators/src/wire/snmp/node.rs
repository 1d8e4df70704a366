//! Objects and notifications that every agent has.

use crate::clock::Clock;
use qkd_driver_kit::link::snmp::{ErrorStatus, Notification, Oid, Value, VarBind};
use qkd_hal::Identity;
use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::sync::{Notify, broadcast, watch};

/// Number of notifications that are queued for a slow reader.
const WAITING: usize = 16;

/// entPhysicalIndex of the chassis.
const CHASSIS: u32 = 1;

/// Objects of the standard MIBs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StandardObject {
    Descr,
    ObjectId,
    UpTime,
    /// sysContact, sysName or sysLocation, by index.
    Text(usize),
    IfIndex,
    IfDescr,
    IfName,
    /// A column of entPhysicalTable.
    Entity(u32),
    EngineId,
    EngineBoots,
    EngineTime,
}

macro_rules! ent {
    ($id:literal) => {
        &[1, 3, 6, 1, 2, 1, 47, 1, 1, 1, 1, $id]
    };
}

/// SNMPv2-MIB (RFC 3418) system group; IF-MIB (RFC 2863) ifTable and ifXTable: the columns that
/// name a row.
pub(crate) const SYSTEM_AND_IF_MIB: &[(&[u32], StandardObject)] = &[
    (&[1, 3, 6, 1, 2, 1, 1, 1], StandardObject::Descr),
    (&[1, 3, 6, 1, 2, 1, 1, 2], StandardObject::ObjectId),
    (&[1, 3, 6, 1, 2, 1, 1, 3], StandardObject::UpTime),
    (&[1, 3, 6, 1, 2, 1, 1, 4], StandardObject::Text(0)),
    (&[1, 3, 6, 1, 2, 1, 1, 5], StandardObject::Text(1)),
    (&[1, 3, 6, 1, 2, 1, 1, 6], StandardObject::Text(2)),
    (&[1, 3, 6, 1, 2, 1, 2, 2, 1, 1], StandardObject::IfIndex),
    (&[1, 3, 6, 1, 2, 1, 2, 2, 1, 2], StandardObject::IfDescr),
    (&[1, 3, 6, 1, 2, 1, 31, 1, 1, 1, 1], StandardObject::IfName),
];
/// ENTITY-MIB (RFC 6933) entPhysicalTable: the columns that identify the chassis.
pub(crate) const ENTITY_MIB: &[(&[u32], StandardObject)] = &[
    (ent![2], StandardObject::Entity(2)),
    (ent![5], StandardObject::Entity(5)),
    (ent![7], StandardObject::Entity(7)),
    (ent![10], StandardObject::Entity(10)),
    (ent![11], StandardObject::Entity(11)),
    (ent![12], StandardObject::Entity(12)),
    (ent![13], StandardObject::Entity(13)),
];
/// SNMP-FRAMEWORK-MIB (RFC 3411) snmpEngine group.
pub(crate) const FRAMEWORK_MIB: &[(&[u32], StandardObject)] = &[
    (&[1, 3, 6, 1, 6, 3, 10, 2, 1, 1], StandardObject::EngineId),
    (
        &[1, 3, 6, 1, 6, 3, 10, 2, 1, 2],
        StandardObject::EngineBoots,
    ),
    (&[1, 3, 6, 1, 6, 3, 10, 2, 1, 3], StandardObject::EngineTime),
];

/// A row of the interface table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interface {
    /// Interface number (`ifIndex`).
    pub index: u32,
    /// Interface description (`ifDescr`).
    pub descr: String,
    /// Interface name (`ifName`).
    pub name: String,
}

/// Names and boots of a node.
#[derive(Debug, Clone)]
pub struct NodeOptions {
    /// Name of the node (`sysName`).
    pub name: String,
    /// Contact person (`sysContact`).
    pub contact: String,
    /// Location of the node (`sysLocation`).
    pub location: String,
    /// snmpEngineID, 5 to 32 octets; agents of one network differ in it.
    pub engine_id: Vec<u8>,
    /// Number of restarts (`snmpEngineBoots`).
    pub boots: u32,
}

impl NodeOptions {
    /// Creates the options of a node with this name. Its engine ID has RFC 3411's text form under
    /// `enterprise`, from the first 27 octets of the name.
    #[must_use]
    pub fn named(name: &str, enterprise: u32) -> Self {
        let mut engine_id = (enterprise | 0x8000_0000).to_be_bytes().to_vec();
        engine_id.push(4);
        engine_id.extend(name.bytes().take(27));
        Self {
            name: name.to_owned(),
            contact: "noc".to_owned(),
            location: "emulator".to_owned(),
            engine_id,
            boots: 1,
        }
    }
}

/// Returns the identity of the chassis, which a fault may change.
type Chassis = Box<dyn Fn() -> Identity + Send + Sync>;

/// The part of an agent that does not depend on its maker.
pub struct Node {
    clock: Clock,
    descr: String,
    object_id: Oid,
    engine_id: Vec<u8>,
    texts: Mutex<[Vec<u8>; 3]>,
    interfaces: Vec<Interface>,
    chassis: Option<Chassis>,
    booted: Mutex<Duration>,
    boots: watch::Sender<u32>,
    traps: broadcast::Sender<Notification>,
    changed: Notify,
}

impl Node {
    /// Creates a node that starts now. `interfaces` are sorted by number.
    #[must_use]
    pub fn new(
        clock: Clock,
        descr: String,
        object_id: Oid,
        options: NodeOptions,
        interfaces: Vec<Interface>,
    ) -> Self {
        let texts = [options.contact, options.name, options.location].map(String::into_bytes);
        let booted = Mutex::new(clock.now());
        let (boots, traps) = (
            watch::Sender::new(options.boots.max(1)),
            broadcast::Sender::new(WAITING),
        );
        Self {
            clock,
            descr,
            object_id,
            engine_id: options.engine_id,
            texts: Mutex::new(texts),
            interfaces,
            chassis: None,
            booted,
            boots,
            traps,
            changed: Notify::new(),
        }
    }
    /// Adds the row of the chassis in the ENTITY-MIB.
    #[must_use]
    pub fn with_chassis(mut self, chassis: impl Fn() -> Identity + Send + Sync + 'static) -> Self {
        self.chassis = Some(Box::new(chassis));
        self
    }
    fn booted(&self) -> MutexGuard<'_, Duration> {
        self.booted.lock().unwrap_or_else(PoisonError::into_inner)
    }
    fn texts(&self) -> MutexGuard<'_, [Vec<u8>; 3]> {
        self.texts.lock().unwrap_or_else(PoisonError::into_inner)
    }
    /// Returns the state that SETs can change, as text.
    pub(crate) fn state(&self) -> String {
        let [contact, name, location] = &*self.texts();
        format!(
            "contact: {}, name: {}, location: {}",
            contact.escape_ascii(),
            name.escape_ascii(),
            location.escape_ascii()
        )
    }
    /// Records a change that a SET or a fault made, for [`changed`](Self::changed).
    pub fn change(&self) {
        self.changed.notify_one();
    }
    /// Returns after the next change by a SET or a fault, or at once if there was one that was not waited for.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }
    /// Starts again: sysUpTime from zero, one boot more.
    pub fn reboot(&self) {
        *self.booted() = self.clock.now();
        self.boots
            .send_modify(|b| *b = b.saturating_add(1).min(i32::MAX as u32));
    }
    /// Returns sysName (1), sysContact (0) or sysLocation (2), for MIBs that have them, too.
    pub(crate) fn text(&self, number: usize) -> Value {
        Value::OctetString(self.texts().get(number).cloned().unwrap_or_default())
    }
    /// snmpEngineBoots, and its changes.
    #[must_use]
    pub fn boots(&self) -> watch::Receiver<u32> {
        self.boots.subscribe()
    }
    /// Returns the engine ID (`snmpEngineID`).
    #[must_use]
    pub fn engine_id(&self) -> &[u8] {
        &self.engine_id
    }
    /// A moment of the clock as TimeStamp: hundredths of a second since the start of the agent.
    #[must_use]
    pub fn ticks(&self, at: Duration) -> u32 {
        // TimeTicks wrap.
        (at.saturating_sub(*self.booted()).as_millis() / 10) as u32
    }
    /// Returns the up-time in hundredths of a second (`sysUpTime`).
    #[must_use]
    pub fn uptime(&self) -> u32 {
        self.ticks(self.clock.now())
    }
    /// Returns the clock of the node.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.clock
    }
    /// Sends a notification to whoever listens.
    pub fn notify(&self, trap: Oid, binds: Vec<VarBind>) {
        let _ = self.traps.send(Notification {
            trap,
            uptime: self.uptime(),
            binds,
        });
    }
    /// Notifications from now on.
    #[must_use]
    pub fn notifications(&self) -> broadcast::Receiver<Notification> {
        self.traps.subscribe()
    }

    pub(crate) fn instances(&self, object: StandardObject) -> Vec<Vec<u32>> {
        match object {
            StandardObject::IfIndex | StandardObject::IfDescr | StandardObject::IfName => {
                self.interfaces.iter().map(|i| vec![i.index]).collect()
            }
            StandardObject::Entity(_) => self.chassis.iter().map(|_| vec![CHASSIS]).collect(),
            _ => vec![vec![0]],
        }
    }
    pub(crate) fn read(&self, object: StandardObject, index: &[u32]) -> Option<Value> {
        let row = || self.interfaces.iter().find(|i| index == [i.index]);
        match object {
            StandardObject::IfIndex => return row().map(|i| Value::Integer(i.index as i32)),
            StandardObject::IfDescr => return row().map(|i| Value::text(&i.descr)),
            StandardObject::IfName => return row().map(|i| Value::text(&i.name)),
            StandardObject::Entity(column) if index == [CHASSIS] => return self.entity(column),
            _ if index != [0] => return None,
            _ => {}
        }
        Some(match object {
            StandardObject::Descr => Value::text(&self.descr),
            StandardObject::ObjectId => Value::ObjectId(self.object_id.clone()),
            StandardObject::UpTime => Value::TimeTicks(self.uptime()),
            StandardObject::Text(n) => Value::OctetString(self.texts().get(n)?.clone()),
            StandardObject::EngineId => Value::text(&self.engine_id),
            StandardObject::EngineBoots => Value::Integer(*self.boots.borrow() as i32),
            StandardObject::EngineTime => Value::Integer((self.uptime() / 100) as i32),
            StandardObject::IfIndex
            | StandardObject::IfDescr
            | StandardObject::IfName
            | StandardObject::Entity(_) => {
                return None;
            }
        })
    }
    fn entity(&self, column: u32) -> Option<Value> {
        let identity = self.chassis.as_ref()?();
        let text = |text: Option<String>| Value::text(text.unwrap_or_default());
        Some(match column {
            2 => Value::text(&self.descr),
            // PhysicalClass chassis.
            5 => Value::Integer(3),
            7 => Value::text("chassis"),
            10 => text(identity.firmware),
            // Its size is 0 to 32.
            11 => text(identity.serial.map(|s| s.chars().take(32).collect())),
            12 => Value::text(identity.vendor),
            13 => text(identity.model),
            _ => return None,
        })
    }
    /// Tests a SET of an object and returns the change.
    pub(crate) fn test(
        &self,
        object: StandardObject,
        index: &[u32],
        value: &Value,
    ) -> Result<(usize, Vec<u8>), ErrorStatus> {
        match (object, value) {
            (StandardObject::Text(_), _) if index != [0] => Err(ErrorStatus::NoCreation),
            (StandardObject::Text(n), Value::OctetString(text)) => {
                Ok((n, super::values::display(text, 255)?.to_vec()))
            }
            (StandardObject::Text(_), _) => Err(ErrorStatus::WrongType),
            _ => Err(ErrorStatus::NotWritable),
        }
    }
    pub(crate) fn write(&self, (n, text): (usize, Vec<u8>)) {
        if let Some(place) = self.texts().get_mut(n) {
            *place = text;
        }
    }
}
