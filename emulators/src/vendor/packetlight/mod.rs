//! PacketLight (also Smartoptics OEM): SL-SECU-MIB and the other objects that a manager needs,
//! under 1.3.6.1.4.1.4515, at an end of a forced re-initialisation pair.
//!
//! Chosen by this project, because the MIBs do not specify it: the pre-shared text reads as empty;
//! ForceInit reads as 0; in one PDU the exchange is forced after everything else; the protected
//! port is in the same state; the row of the service has the ifIndex of the uplink; traps contain
//! only the full ifIndex, because the layout of its port part is not published; the management
//! firewall cannot be closed; an alarm is critical and service affecting; error-statuses, see
//! [`crate::wire::snmp`].

macro_rules! sl { ($($id:literal),*) => { &[1, 3, 6, 1, 4, 1, 4515, 1, $($id),*] }; }

mod aps;
pub mod fuzz;
pub(super) mod profile;
#[cfg(test)]
mod tests;

pub use aps::{PATHS, Ports};

use crate::{
    fault::{ApplyDeviceFault, DeviceFault},
    model::{
        encryptor::forced::{ExchangeState, ForcedEvent, ForcedRekeyEndpoint},
        protection::ProtectionSwitch,
    },
    wire::snmp::{
        agent::{Agent, Mib},
        node::{Interface, Node, NodeOptions},
        values::{check_change, display, octets, one_of, truth_value},
    },
};
use aps::Aps;
use qkd_driver_kit::link::snmp::{ErrorStatus, Oid, Value, VarBind};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use zeroize::Zeroizing;

/// Enterprise number of the vendor.
pub const ENTERPRISE: u32 = 4515;
/// Product pl1000tec: PL-1000TE Crypto.
const PRODUCT: [u32; 11] = [1, 3, 6, 1, 4, 1, 4515, 100, 1, 1000, 8];
/// SL-ALARM-MIB slAlarmConfigEntry, slAlarmActive, slAlarmTrap; slmTrapLogId.
const ALARM: [u32; 13] = [1, 3, 6, 1, 4, 1, 4515, 1, 3, 20, 1, 1, 1];
const ALARM_ACTIVE: [u32; 12] = [1, 3, 6, 1, 4, 1, 4515, 1, 3, 20, 2, 1];
const ALARM_TRAP: [u32; 12] = [1, 3, 6, 1, 4, 1, 4515, 1, 3, 20, 2, 2];
const TRAP_LOG_ID: [u32; 13] = [1, 3, 6, 1, 4, 1, 4515, 1, 3, 5, 2, 1, 1];
/// SL-ALARM-MIB SlAlarmType: those that can be asked for by name.
const TYPES: &[(&str, u32, &str)] = &[
    ("hwfail", 11, "Hardware failure"),
    ("ethConfigLossOfSignal", 202, "Loss of signal"),
    ("encAisFault", 221, "Encryption AIS"),
    ("encRdiFault", 222, "Encryption RDI"),
    ("encKeyExchangeFailed", 223, "Key exchange failed"),
    ("sfpRemoved", 702, "SFP removed"),
    ("sfpLossOfLight", 707, "Loss of light"),
    ("otnLos", 754, "OTN loss of signal"),
    ("otnLof", 755, "OTN loss of frame"),
];
const KEY_EXCHANGE_FAILED: u32 = 223;
/// The one row of the entity table.
const ENTITY: u32 = 1;

/// Options of an agent.
#[derive(Debug, Clone)]
pub struct Options {
    /// Names of the node.
    pub node: NodeOptions,
    /// ifIndex of the uplink. The layout of these numbers is not public; this one is an example.
    pub if_index: u32,
    /// A Smartoptics OEM agent: no columns 7 (Lock) and 8 (ProtectedStatus).
    pub oem: bool,
    /// Optical protection, if the device has it, and its model, whose one group has the number of
    /// the user port.
    pub protection: Option<(Ports, Arc<ProtectionSwitch>)>,
}

impl Options {
    /// A node of this name with the usual uplink.
    #[must_use]
    pub fn named(name: &str) -> Self {
        Self {
            node: NodeOptions::named(name, ENTERPRISE),
            if_index: 1_295_104,
            oem: false,
            protection: None,
        }
    }
}

/// An object of the MIB.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Object {
    /// Operational state (slmSysOperStatus).
    OperStatus,
    /// Format of traps (slmSysTrapFormat).
    TrapFormat,
    /// SNMP version (slmSysSnmpVersion).
    SnmpVersion,
    /// Encryption capability (slmSysEncryptionCapability).
    Capability,
    /// A column of slEntPhysicalTable.
    Entity(u32),
    /// A column of slAlarmConfigTable.
    Alarm(u32),
    /// Firewall state (slSecuFirewallEnable).
    Firewall,
    /// Selected firewall rules (slSecuSelectEnable).
    FirewallSelect,
    /// A column of slSecuEncryptionTable.
    Encryption(u32),
    /// Type of the service (xpdrServiceType).
    ServiceType,
    /// User of the encryption (xpdrCryptoUser).
    CryptoUser,
    /// A column of optApsConfigTable.
    Aps(u32),
    /// A column of slOSWPortConfigTable.
    SwitchPort(u32),
}

#[derive(Clone)]
struct Alarm {
    text: String,
    since: Duration,
    acknowledged: bool,
}

#[derive(Default)]
struct SharedState {
    alarms: BTreeMap<u32, Alarm>,
    /// slmTrapLogId of the last trap.
    log: u32,
    crypto_user: Vec<u8>,
}

/// State of the agent in addition to the model, shared with its listener.
struct Board {
    node: Node,
    if_index: u32,
    kept: Mutex<SharedState>,
}

impl Board {
    fn shared(&self) -> MutexGuard<'_, SharedState> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
    fn raise(&self, kind: u32, text: &str) {
        let since = self.node.clock().now();
        if self
            .shared()
            .alarms
            .insert(
                kind,
                Alarm {
                    text: text.to_owned(),
                    since,
                    acknowledged: false,
                },
            )
            .is_none()
        {
            self.trap(kind, text, since, true);
        }
    }
    fn clear(&self, kind: u32) {
        let gone = self.shared().alarms.remove(&kind);
        if let Some(alarm) = gone {
            self.trap(kind, &alarm.text, self.node.clock().now(), false);
        }
    }
    /// Sends SL-ALARM-MIB slAlarmTrap, with its varbinds in order.
    fn trap(&self, kind: u32, text: &str, at: Duration, active: bool) {
        let log = {
            let mut kept = self.shared();
            kept.log = kept.log.wrapping_add(1);
            kept.log
        };
        let alarm = |column, value| {
            VarBind::new(
                Oid::from(ALARM).child(&[column, self.if_index, kind]),
                value,
            )
        };
        let binds = vec![
            alarm(1, Value::Integer(self.if_index as i32)),
            alarm(2, Value::Integer(kind as i32)),
            alarm(3, Value::Integer(if active { 1 } else { 4 })),
            alarm(4, truth_value(true)),
            VarBind::new(Oid::from(ALARM_ACTIVE).child(&[0]), truth_value(active)),
            alarm(8, Value::text(text)),
            alarm(5, Value::TimeTicks(self.node.ticks(at))),
            VarBind::new(Oid::from(TRAP_LOG_ID).child(&[log]), Value::Gauge32(log)),
        ];
        self.node.notify(Oid::from(ALARM_TRAP), binds);
    }
    fn on_event(&self, event: &ForcedEvent) {
        match event {
            ForcedEvent::ExchangeFailed(true) => {
                self.raise(KEY_EXCHANGE_FAILED, "Key exchange failed")
            }
            ForcedEvent::ExchangeFailed(false) => self.clear(KEY_EXCHANGE_FAILED),
            ForcedEvent::Alarm(asked) => {
                let known = TYPES
                    .iter()
                    .find(|(name, number, _)| name == asked || number.to_string() == *asked);
                let (_, kind, text) = known.copied().unwrap_or(("", 11, asked));
                self.raise(kind, text);
            }
            ForcedEvent::Stage(_) => {}
        }
    }
}

/// The objects of one end.
pub struct PacketLight {
    end: Arc<ForcedRekeyEndpoint>,
    board: Arc<Board>,
    oem: bool,
    aps: Option<Aps>,
}

/// An agent at an end of a pair. Times are those of the pair's clock.
#[must_use]
pub fn agent(end: Arc<ForcedRekeyEndpoint>, options: Options) -> Arc<Agent<PacketLight>> {
    let identity = end.base().identity();
    let descr = format!(
        "{} {} {}",
        identity.vendor,
        identity.model.unwrap_or_default(),
        identity.firmware.unwrap_or_default()
    );
    let mut interfaces = vec![Interface {
        index: options.if_index,
        descr: "Uplink 1".to_owned(),
        name: "UPLINK 1".to_owned(),
    }];
    if let Some((ports, _)) = &options.protection {
        let named = [
            (ports.user[0], "Service 1"),
            (ports.user[1], "Service 2"),
            (ports.net[0], "Uplink 1"),
            (ports.net[1], "Uplink 2"),
        ];
        interfaces = named
            .map(|(index, descr)| Interface {
                index,
                descr: descr.to_owned(),
                name: descr.to_uppercase(),
            })
            .to_vec();
        interfaces.sort_by_key(|i| i.index);
    }
    let node = Node::new(
        end.link().clock().clone(),
        descr.trim_end().to_owned(),
        Oid::from(PRODUCT),
        options.node,
        interfaces,
    );
    let kept = SharedState {
        crypto_user: b"Crypto".to_vec(),
        ..SharedState::default()
    };
    let board = Arc::new(Board {
        node,
        if_index: options.if_index,
        kept: Mutex::new(kept),
    });
    let (ear, number) = (Arc::downgrade(&board), end.end());
    end.link().listen(move |at, event| {
        if at == number
            && let Some(board) = ear.upgrade()
        {
            board.on_event(event);
        }
    });
    let aps = options
        .protection
        .map(|(ports, model)| Aps::new(model, ports));
    Arc::new(Agent::new(PacketLight {
        end,
        board,
        oem: options.oem,
        aps,
    }))
}

/// Tested changes of a SET, in the order in which they are applied.
#[derive(Default)]
pub struct Draft {
    secret: Option<Zeroizing<Vec<u8>>>,
    enable: Option<bool>,
    lock: Option<bool>,
    period: Option<Duration>,
    acknowledge: Vec<(u32, bool)>,
    crypto_user: Option<Vec<u8>>,
    force: bool,
    aps: Vec<aps::Change>,
}

impl PacketLight {
    fn entity(&self, column: u32) -> Option<Value> {
        let identity = self.end.base().identity();
        let text = |t: Option<String>| Value::text(t.unwrap_or_default());
        Some(match column {
            2 => text(identity.model),
            4 => Value::text("1.0"),
            5 | 6 => text(identity.firmware),
            7 => text(identity.serial.map(|s| s.chars().take(32).collect())),
            18 => Value::Integer(1),
            22 => text(identity.model.map(|m| m.chars().take(12).collect())),
            _ => return None,
        })
    }
    fn alarm(&self, column: u32, kind: u32) -> Option<Value> {
        let alarm = self.board.shared().alarms.get(&kind)?.clone();
        Some(match column {
            1 => Value::Integer(self.board.if_index as i32),
            2 => Value::Integer(kind as i32),
            3 => Value::Integer(1),
            4 => truth_value(true),
            5 => Value::TimeTicks(self.board.node.ticks(alarm.since)),
            6 => truth_value(alarm.acknowledged),
            8 => Value::text(&alarm.text),
            _ => return None,
        })
    }
    fn encryption(&self, column: u32) -> Option<Value> {
        let (link, end) = (self.end.link(), self.end.end());
        Some(match column {
            1 => Value::Integer(self.board.if_index as i32),
            2 => truth_value(link.is_enabled(end)),
            3 | 8 => Value::Integer(match link.stage() {
                ExchangeState::Init => 1,
                ExchangeState::Exchange => 2,
                ExchangeState::Derivation => 3,
                ExchangeState::Active => 4,
            }),
            4 => Value::Integer(0),
            5 => Value::text(""),
            6 => Value::Integer(i32::try_from(link.period(end).as_secs() / 60).unwrap_or(i32::MAX)),
            7 => truth_value(link.is_locked(end)),
            _ => return None,
        })
    }
}

impl Mib for PacketLight {
    type Object = Object;
    type Draft = Draft;

    const OBJECTS: &'static [(&'static [u32], Object)] = &[
        // SL-OSW-MIB: slOSWPortConfigTable.
        (sl![1, 17, 1, 1, 1, 1], Object::SwitchPort(1)),
        (sl![1, 17, 1, 1, 1, 2], Object::SwitchPort(2)),
        (sl![1, 17, 1, 1, 1, 3], Object::SwitchPort(3)),
        (sl![1, 17, 1, 1, 1, 4], Object::SwitchPort(4)),
        // SL-MAIN-MIB: slmSystem.
        (sl![3, 1, 7], Object::OperStatus),
        (sl![3, 1, 42], Object::TrapFormat),
        (sl![3, 1, 50], Object::SnmpVersion),
        (sl![3, 1, 51], Object::Capability),
        // SL-ENTITY-MIB: slEntPhysicalTable.
        (sl![3, 6, 1, 1, 1, 2], Object::Entity(2)),
        (sl![3, 6, 1, 1, 1, 4], Object::Entity(4)),
        (sl![3, 6, 1, 1, 1, 5], Object::Entity(5)),
        (sl![3, 6, 1, 1, 1, 6], Object::Entity(6)),
        (sl![3, 6, 1, 1, 1, 7], Object::Entity(7)),
        (sl![3, 6, 1, 1, 1, 18], Object::Entity(18)),
        (sl![3, 6, 1, 1, 1, 22], Object::Entity(22)),
        // SL-ALARM-MIB: slAlarmConfigTable, the active alarms.
        (sl![3, 20, 1, 1, 1, 1], Object::Alarm(1)),
        (sl![3, 20, 1, 1, 1, 2], Object::Alarm(2)),
        (sl![3, 20, 1, 1, 1, 3], Object::Alarm(3)),
        (sl![3, 20, 1, 1, 1, 4], Object::Alarm(4)),
        (sl![3, 20, 1, 1, 1, 5], Object::Alarm(5)),
        (sl![3, 20, 1, 1, 1, 6], Object::Alarm(6)),
        (sl![3, 20, 1, 1, 1, 8], Object::Alarm(8)),
        // SL-SECU-MIB: firewall and slSecuEncryptionTable.
        (sl![3, 24, 1, 1], Object::Firewall),
        (sl![3, 24, 2, 1, 1, 3], Object::FirewallSelect),
        (sl![3, 24, 4, 1, 1, 1], Object::Encryption(1)),
        (sl![3, 24, 4, 1, 1, 2], Object::Encryption(2)),
        (sl![3, 24, 4, 1, 1, 3], Object::Encryption(3)),
        (sl![3, 24, 4, 1, 1, 4], Object::Encryption(4)),
        (sl![3, 24, 4, 1, 1, 5], Object::Encryption(5)),
        (sl![3, 24, 4, 1, 1, 6], Object::Encryption(6)),
        (sl![3, 24, 4, 1, 1, 7], Object::Encryption(7)),
        (sl![3, 24, 4, 1, 1, 8], Object::Encryption(8)),
        // SL-XPDR-MIB.
        (sl![8, 1, 1, 1, 6], Object::ServiceType),
        (sl![8, 1, 1, 1, 16], Object::CryptoUser),
        // SL-OPT-APS-MIB: optApsConfigTable.
        (sl![11, 1, 1, 1, 1], Object::Aps(1)),
        (sl![11, 1, 1, 1, 2], Object::Aps(2)),
        (sl![11, 1, 1, 1, 3], Object::Aps(3)),
        (sl![11, 1, 1, 1, 4], Object::Aps(4)),
        (sl![11, 1, 1, 1, 5], Object::Aps(5)),
        (sl![11, 1, 1, 1, 6], Object::Aps(6)),
        (sl![11, 1, 1, 1, 7], Object::Aps(7)),
        (sl![11, 1, 1, 1, 8], Object::Aps(8)),
        (sl![11, 1, 1, 1, 9], Object::Aps(9)),
        (sl![11, 1, 1, 1, 10], Object::Aps(10)),
        (sl![11, 1, 1, 1, 11], Object::Aps(11)),
        (sl![11, 1, 1, 1, 12], Object::Aps(12)),
        (sl![11, 1, 1, 1, 13], Object::Aps(13)),
        (sl![11, 1, 1, 1, 14], Object::Aps(14)),
        (sl![11, 1, 1, 1, 15], Object::Aps(15)),
        (sl![11, 1, 1, 1, 16], Object::Aps(16)),
        (sl![11, 1, 1, 1, 17], Object::Aps(17)),
        (sl![11, 1, 1, 1, 18], Object::Aps(18)),
        (sl![11, 1, 1, 1, 19], Object::Aps(19)),
        (sl![11, 1, 1, 1, 20], Object::Aps(20)),
        (sl![11, 1, 1, 1, 21], Object::Aps(21)),
        (sl![11, 1, 1, 1, 22], Object::Aps(22)),
    ];

    fn node(&self) -> &Node {
        &self.board.node
    }
    fn has(&self, object: Object) -> bool {
        match object {
            Object::Encryption(7 | 8) => !self.oem,
            Object::Aps(_) | Object::SwitchPort(_) => self.aps.is_some(),
            _ => true,
        }
    }
    fn instances(&self, object: Object) -> Vec<Vec<u32>> {
        match object {
            Object::OperStatus
            | Object::TrapFormat
            | Object::SnmpVersion
            | Object::Capability
            | Object::Firewall => vec![vec![0]],
            Object::Entity(_) => vec![vec![ENTITY]],
            Object::Alarm(_) => {
                self.tick();
                self.board
                    .shared()
                    .alarms
                    .keys()
                    .map(|kind| vec![self.board.if_index, *kind])
                    .collect()
            }
            // Index 6 is snmp.
            Object::FirewallSelect => vec![vec![6]],
            Object::Encryption(_) | Object::ServiceType | Object::CryptoUser => {
                vec![vec![self.board.if_index]]
            }
            Object::Aps(_) => self.aps.as_ref().map(Aps::rows).unwrap_or_default(),
            Object::SwitchPort(_) => self.aps.as_ref().map(Aps::port_rows).unwrap_or_default(),
        }
    }
    fn read(&self, object: Object, index: &[u32]) -> Option<Value> {
        if let Object::Alarm(column) = object {
            self.tick();
            return match index {
                [at, kind] if *at == self.board.if_index => self.alarm(column, *kind),
                _ => None,
            };
        }
        if !self.instances(object).iter().any(|i| i == index) {
            return None;
        }
        match object {
            Object::OperStatus | Object::TrapFormat => Some(Value::Integer(1)),
            // v1, v2c and v3.
            Object::SnmpVersion => Some(Value::Integer(4)),
            Object::Capability => Some(Value::Integer(2)),
            Object::Entity(column) => self.entity(column),
            Object::Firewall | Object::FirewallSelect => Some(truth_value(false)),
            Object::Encryption(column) => self.encryption(column),
            // encGbe100lan.
            Object::ServiceType => Some(Value::Integer(101)),
            Object::CryptoUser => Some(Value::OctetString(self.board.shared().crypto_user.clone())),
            Object::Aps(column) => self.aps.as_ref()?.column(&self.board.node, column),
            Object::SwitchPort(column) => self.aps.as_ref()?.port(column, *index.first()?),
            Object::Alarm(_) => None,
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
            Object::Encryption(2 | 4..=7)
                | Object::Alarm(6)
                | Object::CryptoUser
                | Object::TrapFormat
                | Object::SnmpVersion
        );
        if !writable && !matches!(object, Object::Aps(_) | Object::SwitchPort(_)) {
            return Err(ErrorStatus::NotWritable);
        }
        if self.read(object, index).is_none() {
            return Err(ErrorStatus::NoCreation);
        }
        if let (Some(aps), Object::Aps(_) | Object::SwitchPort(_)) = (&self.aps, object) {
            let change = match object {
                Object::Aps(column) => aps.write(column, value)?,
                Object::SwitchPort(column) => {
                    aps.write_port(column, index.first().copied().unwrap_or_default(), value)?
                }
                _ => return Err(ErrorStatus::NotWritable),
            };
            check_change(aps.model.change_faults())?;
            draft.aps.push(change);
            return Ok(());
        }
        check_change(self.end.link().change_faults(self.end.end()))?;
        match object {
            // Only the present value of the device is accepted.
            Object::TrapFormat => one_of(value, &[1]).map(drop)?,
            Object::SnmpVersion => one_of(value, &[4]).map(drop)?,
            Object::Alarm(_) => draft.acknowledge.push((
                index.last().copied().unwrap_or_default(),
                one_of(value, &[1, 2])? == 1,
            )),
            Object::CryptoUser => draft.crypto_user = Some(display(octets(value)?, 255)?.to_vec()),
            Object::Encryption(2) => draft.enable = Some(one_of(value, &[1, 2])? == 1),
            Object::Encryption(7) => draft.lock = Some(one_of(value, &[1, 2])? == 1),
            Object::Encryption(5) => {
                draft.secret = Some(Zeroizing::new(display(octets(value)?, 255)?.to_vec()))
            }
            Object::Encryption(4) => match value {
                Value::Integer(_) => draft.force = true,
                _ => return Err(ErrorStatus::WrongType),
            },
            Object::Encryption(_) => match value {
                Value::Integer(minutes) => {
                    let minutes = u64::try_from(*minutes).map_err(|_| ErrorStatus::WrongValue)?;
                    draft.period = Some(Duration::from_secs(minutes * 60));
                }
                _ => return Err(ErrorStatus::WrongType),
            },
            _ => return Err(ErrorStatus::NotWritable),
        }
        Ok(())
    }
    fn commit(&self, draft: Draft) -> Result<(), ErrorStatus> {
        let (link, end) = (self.end.link(), self.end.end());
        let failed = |_| ErrorStatus::CommitFailed;
        if let Some(secret) = &draft.secret {
            link.set_secret(end, secret).map_err(failed)?;
        }
        if let Some(period) = draft.period {
            link.set_period(end, period).map_err(failed)?;
        }
        if let Some(lock) = draft.lock {
            link.set_locked(end, lock).map_err(failed)?;
        }
        if let Some(on) = draft.enable {
            link.set_enabled(end, on).map_err(failed)?;
        }
        if draft.force {
            link.force_init(end).map_err(failed)?;
        }
        if let Some(aps) = &self.aps {
            aps.commit(draft.aps)?;
            aps.send_notifications(&self.board.node);
        }
        let mut kept = self.board.shared();
        for (kind, yes) in draft.acknowledge {
            if let Some(alarm) = kept.alarms.get_mut(&kind) {
                alarm.acknowledged = yes;
            }
        }
        if let Some(user) = draft.crypto_user {
            kept.crypto_user = user;
        }
        Ok(())
    }
    fn state(&self) -> String {
        let link = self.end.link().state(self.end.end());
        let kept = self.board.shared();
        let acknowledged: Vec<u32> = kept
            .alarms
            .iter()
            .filter(|(_, a)| a.acknowledged)
            .map(|(kind, _)| *kind)
            .collect();
        let aps = self
            .aps
            .as_ref()
            .map(|aps| format!("\n{}", aps.state()))
            .unwrap_or_default();
        format!(
            "{link}\ncrypto user: {}\nacknowledged alarms: {acknowledged:?}{aps}",
            kept.crypto_user.escape_ascii()
        )
    }
    fn tick(&self) {
        self.end.link().tick();
        if let Some(aps) = &self.aps {
            aps.send_notifications(&self.board.node);
        }
    }
    fn fault(&self, fault: &DeviceFault) -> Result<(), String> {
        match &self.aps {
            // A path is not the line between the pair: `cut=working`, `cut=protection`. The
            // operator of the group is not that of the encryptor.
            Some(aps) if matches!(fault, DeviceFault::Cut(Some(_))) => aps.model.apply(fault)?,
            Some(aps) if matches!(fault, DeviceFault::Operator(_)) => {
                self.end.apply(fault).or_else(|_| aps.model.apply(fault))?
            }
            Some(aps) if matches!(fault, DeviceFault::LossDb(_)) => aps.model.apply(fault)?,
            Some(aps)
                if matches!(
                    fault,
                    DeviceFault::Refuse(_) | DeviceFault::Full | DeviceFault::Clear
                ) =>
            {
                self.end.apply(fault)?;
                aps.model.apply(fault)?;
            }
            _ => self.end.apply(fault)?,
        }
        if let Some(aps) = &self.aps {
            aps.send_notifications(&self.board.node);
        }
        if *fault == DeviceFault::Clear {
            let asked: Vec<u32> = self
                .board
                .shared()
                .alarms
                .keys()
                .copied()
                .filter(|kind| *kind != KEY_EXCHANGE_FAILED)
                .collect();
            asked.into_iter().for_each(|kind| self.board.clear(kind));
            if !self.end.link().has_failed(self.end.end()) {
                self.board.clear(KEY_EXCHANGE_FAILED);
            }
        }
        Ok(())
    }
}
