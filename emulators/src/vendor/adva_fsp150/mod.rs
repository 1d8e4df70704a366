//! ADVA FSP 150 with ConnectGuard: F3-CONNECTGUARD-MIB, 1.3.6.1.4.1.2544.1.12.36, with what it
//! needs of CM-FACILITY-MIB (12.4), CM-ALARM-MIB (12.6) and CM-SECURITY-MIB (12.10), at an end of a
//! pair whose key exchanges a password authenticates.
//!
//! Chosen by this project, because the MIBs do not specify it (see also [`crate::wire::snmp`]):
//!
//! - network element 1 with ConnectGuard flows 1 and 2, each in an Ethernet flow of its own,
//!   1.1.1.1 and 1.1.1.2, and both with key exchange profile 1; flows are neither created nor
//!   destroyed; ifTable has a row for the network port; the agent has the ENTITY-MIB;
//! - a pointer to a profile names its f3ConnectGuardKeyExchangeProfileName; any column is taken;
//! - a wrong crypto password is noAccess at its varbind; a SET that lacks one is commitFailed as a
//!   whole; both count in cmSecurityUserNumFailedLoginAttempts of the user, which a right one
//!   resets; no user is locked out; cmFlowSecureBlockingEnabled and cmSecurityCryptoPassword need
//!   the password in force, too; passwords read as empty;
//! - an AuthPassword has 1 to 255 characters, and is used at the next exchange; only mode
//!   authPasswordBasedDiffieHellman can be had (inconsistentValue); a new profile without password,
//!   and a pointer to no profile, are commitFailed; a profile with flows cannot be destroyed
//!   (inconsistentValue);
//! - the interval is 1 to 10080 minutes; the shorter one of both ends applies; an exchange takes 2
//!   s, and is repeated 10 s after a failure, five times in all, until f3ConnectGuardFlowAction;
//! - from the first failure on, a flow is not secure: it is blocked or, without
//!   cmFlowSecureBlockingEnabled, in clear; secureBlocked is never shown;
//! - alarms are keyExchangeFail (347, critical) from the first failure on and keyExchangeStopped
//!   (390, critical) after the last, both until a success; their location is nearEnd, their
//!   direction none;
//! - the channels have index 1; an association number is that of the exchange modulo four, and the
//!   one before remains, not in use; the counters of all periods (1 to 4) count since the start and
//!   are not cleared; packets that are only integrity-protected or have a bad tag stay zero.

mod columns;
pub mod fuzz;
pub(super) mod profile;
#[cfg(test)]
mod tests;

pub use columns::Object;

use crate::{
    fault::{ApplyDeviceFault, DeviceFault},
    model::{
        encryptor::{
            FRAME_BYTES,
            psk::{OnFailure, PskEndpoint, PskEvent, PskLink, PskRules, Sends, Session},
        },
        fingerprint,
    },
    wire::snmp::{
        agent::{Agent, Mib},
        node::{Interface, Node, NodeOptions},
        values::{
            check_change, date_and_time, display, integer, octets, one_of, truth_value, unsigned,
        },
    },
};
use qkd_driver_kit::link::snmp::{ErrorStatus, Oid, Value, VarBind};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use zeroize::Zeroizing;

/// Enterprise number of the vendor.
pub const ENTERPRISE: u32 = 2544;
/// sysObjectID and sysDescr as LibreNMS has them, in `tests/snmpsim/adva_fsp150.snmprec`.
const PRODUCT: [u32; 12] = [1, 3, 6, 1, 4, 1, ENTERPRISE, 1, 12, 1, 1, 9];
const DESCR: &str = "FSP150CC-GE114";
/// CM-ALARM-MIB, below fsp150cm.
const ALARMS: [u32; 10] = [1, 3, 6, 1, 4, 1, ENTERPRISE, 1, 12, 6];
/// F3-CONNECTGUARD-MIB.
const CONNECT_GUARD: [u32; 10] = [1, 3, 6, 1, 4, 1, ENTERPRISE, 1, 12, 36];
/// f3ConnectGuardKeyExchangeProfileEntry.
const PROFILE: [u32; 13] = [1, 3, 6, 1, 4, 1, ENTERPRISE, 1, 12, 36, 1, 2, 1];

/// neIndex.
pub const NE: u32 = 1;
/// Number of ConnectGuard flows, from 1.
pub const FLOWS: usize = 2;
/// f3ConnectGuardTxSCIndex and f3ConnectGuardRxSCIndex.
const CHANNEL: u32 = 1;
/// Index of the profile that both flows have at first.
pub const FIRST_PROFILE: u32 = 1;
const MAX_PROFILES: usize = 16;

/// Times of the exchanges.
pub const RULES: PskRules = PskRules {
    duration: Duration::from_secs(2),
    retry: Some(Duration::from_secs(10)),
    attempts: Some(5),
};
/// Policy with cmFlowSecureBlockingEnabled.
pub const ON_FAILURE: OnFailure = OnFailure::BlockAfter(Duration::ZERO);
const IN_CLEAR: OnFailure = OnFailure::ClearAfter(Duration::ZERO);
/// CmConditionType.
const KEY_EXCHANGE_FAIL: i32 = 347;
const KEY_EXCHANGE_STOPPED: i32 = 390;
const SECURITY_ERROR: i32 = 391;

/// Options of an agent.
#[derive(Clone)]
pub struct Options {
    /// Names of the node.
    pub node: NodeOptions,
    /// User of the agent, who is a crypto user.
    pub user: String,
    /// The crypto password of the user.
    pub crypto_password: Zeroizing<String>,
    /// cmFlowSecureBlockingEnabled at the start.
    pub blocking: bool,
    /// Whether each flow has a key exchange profile of its own.
    pub own_profiles: bool,
}

impl Options {
    /// A node of this name.
    #[must_use]
    pub fn named(name: &str, crypto_password: &str) -> Self {
        Self {
            node: NodeOptions::named(name, ENTERPRISE),
            user: "noc".to_owned(),
            crypto_password: Zeroizing::new(crypto_password.to_owned()),
            blocking: true,
            own_profiles: false,
        }
    }
}

/// A key exchange profile.
#[derive(Clone)]
struct ProfileRow {
    name: Vec<u8>,
    password: Zeroizing<Vec<u8>>,
    /// Whether the draft writes the password.
    is_written: bool,
    length: i32,
    /// In a draft: whether the row was there, or is created by it.
    exists: bool,
}

impl ProfileRow {
    fn new() -> Self {
        Self {
            name: Vec::new(),
            password: Zeroizing::default(),
            is_written: false,
            length: 1,
            exists: false,
        }
    }
}

#[derive(Debug, Clone)]
struct FlowRow {
    cipher: i32,
    admin: i32,
    profile: u32,
    minutes: i32,
    replay: i32,
    window: u32,
    alias: Vec<u8>,
    blocking: bool,
}

/// The rows that SETs change.
#[derive(Clone)]
struct Rows {
    profiles: BTreeMap<u32, ProfileRow>,
    flows: [FlowRow; FLOWS],
    restore_approved: bool,
    needs_password: bool,
}

#[derive(Clone)]
struct StandingAlarm {
    condition: i32,
    flow: u32,
    at: Duration,
    text: String,
}

struct SharedState {
    rows: Rows,
    crypto_password: Zeroizing<Vec<u8>>,
    /// The crypto password at the start.
    first_password: Zeroizing<Vec<u8>>,
    refused: i32,
    /// By number, which is an index.
    alarms: BTreeMap<u32, StandingAlarm>,
    alarm: u32,
    changed: Duration,
}

struct Board {
    node: Node,
    kept: Mutex<SharedState>,
}

/// cmFlowEntry's index: network element, shelf, slot, access port, flow.
fn ethernet_flow(flow: u32) -> [u32; 5] {
    [NE, 1, 1, 1, flow]
}

/// FlowSecureState: secureNormal(1), unsecureNormal(3), unsecureBlocked(4).
fn secure_state(sends: Sends) -> i32 {
    match sends {
        Sends::Encrypted => 1,
        Sends::Clear => 3,
        Sends::Nothing => 4,
    }
}

impl Board {
    fn shared(&self) -> MutexGuard<'_, SharedState> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
    /// Takes the next number, and sends cmNetworkElementAlmTrap.
    fn alarm(&self, alarm: &StandingAlarm, raised: bool) -> u32 {
        let number = {
            let mut kept = self.shared();
            kept.alarm = kept.alarm % 65_535 + 1;
            kept.changed = alarm.at;
            kept.alarm
        };
        let mut binds = vec![VarBind::new(
            Oid::from(ALARMS).child(&[1, 1, 2, 0]),
            Value::Integer(number as i32),
        )];
        binds.extend((1..=11).filter_map(|column| {
            let name = Oid::from(ALARMS).child(&[1, 4, 1, column, NE, number]);
            alarm_column(alarm, column, raised).map(|value| VarBind::new(name, value))
        }));
        self.node.notify(Oid::from(ALARMS).child(&[2, 2]), binds);
        number
    }
    fn raise(&self, condition: i32, flow: u32, text: &str) {
        let alarm = StandingAlarm {
            condition,
            flow,
            at: self.node.clock().now(),
            text: text.to_owned(),
        };
        let number = self.alarm(&alarm, true);
        self.shared().alarms.insert(number, alarm);
    }
    fn clear(&self, flow: u32) {
        let now = self.node.clock().now();
        let cleared: Vec<_> = {
            let mut kept = self.shared();
            let (gone, rest) = std::mem::take(&mut kept.alarms)
                .into_iter()
                .partition(|(_, a)| a.flow == flow);
            kept.alarms = rest;
            let gone: BTreeMap<_, _> = gone;
            gone.into_values().collect()
        };
        for mut alarm in cleared {
            alarm.at = now;
            self.alarm(&alarm, false);
        }
    }
    fn on_event(&self, flow: u32, event: &PskEvent) {
        match event {
            PskEvent::Succeeded { failures, .. } if *failures > 0 => self.clear(flow),
            PskEvent::Succeeded { .. } => {}
            PskEvent::Failed { failures, last, .. } => {
                if *failures == 1 {
                    self.raise(KEY_EXCHANGE_FAIL, flow, "Key Exchange Failed");
                }
                if *last && Some(*failures) == RULES.attempts {
                    self.raise(KEY_EXCHANGE_STOPPED, flow, "Key Exchange Stopped");
                }
            }
            PskEvent::Sends(sends) => self.node.notify(
                Oid::from(CONNECT_GUARD).child(&[3, 4]),
                vec![VarBind::new(
                    Oid::from(CONNECT_GUARD)
                        .child(&[1, 7, 1, 3])
                        .child(&ethernet_flow(flow)),
                    Value::Integer(secure_state(*sends)),
                )],
            ),
            PskEvent::Alarm(asked) => {
                let number = asked.parse().unwrap_or(SECURITY_ERROR);
                self.raise(number, flow, asked);
            }
        }
    }
}

fn flow_name(flow: u32) -> String {
    format!("CONNECTGUARD FLOW-{NE}-{flow}")
}

fn alarm_column(alarm: &StandingAlarm, column: u32, raised: bool) -> Option<Value> {
    Some(match column {
        // TrapAlarmSeverity: critical(2), cleared(6).
        1 => Value::Integer(if raised { 2 } else { 6 }),
        2 => Value::Integer(alarm.condition),
        // serviceAffecting.
        3 => Value::Integer(2),
        4 => date_and_time(Some(alarm.at)),
        // nearEnd, and no direction.
        5 => Value::Integer(3),
        6 => Value::Integer(0),
        // Its size is 1 to 64.
        7 => Value::text(alarm.text.chars().take(64).collect::<String>()),
        8 => Value::ObjectId(Oid::from(CONNECT_GUARD).child(&[1, 1, 1, 2, NE, alarm.flow])),
        9 => Value::text(flow_name(alarm.flow)),
        10 => Value::ObjectId(Oid::from([0, 0])),
        11 => Value::text(""),
        _ => return None,
    })
}

/// Listener of the events of a flow.
struct FlowEar {
    board: Arc<Board>,
    flow: u32,
}

/// The objects of one end.
pub struct Fsp150 {
    ends: [Arc<PskEndpoint>; FLOWS],
    board: Arc<Board>,
    /// Kept, as the model only knows them as long as they exist.
    _ears: Vec<Arc<FlowEar>>,
    /// Index of the user's row.
    user: Vec<u32>,
}

/// Creates the agent of an end of a pair, from the end of each flow, which hold this password.
/// Times are those of the clock of the first.
#[must_use]
pub fn agent(ends: [PskEndpoint; FLOWS], password: &[u8], options: Options) -> Arc<Agent<Fsp150>> {
    let ends = ends.map(Arc::new);
    let chassis = Arc::clone(&ends[0]);
    let link = Arc::clone(ends[0].link());
    let end = ends[0].end();
    let interfaces = vec![Interface {
        index: 1,
        descr: "NETWORK PORT-1-1-1-1".to_owned(),
        name: "NETWORK PORT-1-1-1-1".to_owned(),
    }];
    let node = Node::new(
        link.clock().clone(),
        DESCR.to_owned(),
        Oid::from(PRODUCT),
        options.node,
        interfaces,
    )
    .with_chassis(move || chassis.identity());
    let profile = ProfileRow {
        name: b"qkd".to_vec(),
        password: Zeroizing::new(password.to_vec()),
        exists: true,
        ..ProfileRow::new()
    };
    let flow = FlowRow {
        cipher: 1,
        admin: 1,
        profile: FIRST_PROFILE,
        minutes: i32::try_from(link.interval(end).as_secs() / 60).unwrap_or(60),
        replay: 1,
        window: 0,
        alias: Vec::new(),
        blocking: options.blocking,
    };
    let mut flows = [flow.clone(), flow];
    if options.own_profiles {
        for (flow, profile) in flows.iter_mut().zip(FIRST_PROFILE..) {
            flow.profile = profile;
        }
    }
    if !options.blocking {
        for end in &ends {
            // A new pair refuses nothing.
            let _ = end.link().set_on_failure(end.end(), IN_CLEAR);
        }
    }
    let crypto_password = Zeroizing::new(options.crypto_password.as_bytes().to_vec());
    let board = Arc::new(Board {
        node,
        kept: Mutex::new(SharedState {
            rows: Rows {
                profiles: flows.iter().map(|f| (f.profile, profile.clone())).collect(),
                flows,
                restore_approved: false,
                needs_password: true,
            },
            crypto_password: crypto_password.clone(),
            first_password: crypto_password,
            refused: 0,
            alarms: BTreeMap::new(),
            alarm: 0,
            changed: Duration::ZERO,
        }),
    });
    let ears = (1..)
        .zip(&ends)
        .map(|(flow, end)| {
            let ear = Arc::new(FlowEar {
                board: Arc::clone(&board),
                flow,
            });
            end.listen(&ear, |ear, event| ear.board.on_event(ear.flow, event));
            ear
        })
        .collect();
    // A DisplayString and a TruthValue, false.
    let name = options.user.as_bytes();
    let user = std::iter::once(name.len() as u32)
        .chain(name.iter().map(|c| u32::from(*c)))
        .chain([2])
        .collect();
    Arc::new(Agent::new(Fsp150 {
        ends,
        board,
        _ears: ears,
        user,
    }))
}

/// Tested changes of a SET: the rows after it, and what the model gets.
pub struct Draft {
    rows: Rows,
    /// Whether a right crypto password is among the varbinds.
    is_permitted: bool,
    /// Whether there is a change that needs one.
    is_guarded: bool,
    crypto_password: Option<Zeroizing<Vec<u8>>>,
    restart: [bool; FLOWS],
}

/// An AN of the Tx SA table: current, previous.
fn associations(session: Option<Session>) -> Vec<(u32, bool)> {
    let Some(session) = session else {
        return Vec::new();
    };
    let mut all = vec![(session.number & 3, true)];
    if session.number > 1 {
        all.push(((session.number - 1) & 3, false));
    }
    all.sort_unstable();
    all
}

impl Fsp150 {
    fn link(&self, flow: u32) -> Option<(&Arc<PskLink>, usize)> {
        let end = self.ends.get((flow as usize).checked_sub(1)?)?;
        Some((end.link(), end.end()))
    }
    fn rows(&self) -> Rows {
        self.board.shared().rows.clone()
    }
    fn flow(&self, column: u32, flow: u32) -> Option<Value> {
        let (link, end) = self.link(flow)?;
        let rows = self.rows();
        let row = rows.flows.get(flow as usize - 1)?;
        let is_normal = link.sends(end) == Sends::Encrypted;
        Some(match column {
            2 => Value::Integer(row.cipher),
            3 => Value::Integer(row.admin),
            // SecondaryState: disabled(12), active(1), facilityfailure(3).
            4 if !link.is_enabled(end) => Value::text([0, 0x08, 0]),
            4 => Value::text([if is_normal { 0x40 } else { 0x10 }, 0, 0]),
            5 => Value::Integer(if is_normal { 1 } else { 2 }),
            7 => Value::ObjectId(Oid::from(PROFILE).child(&[2, row.profile])),
            18 => Value::Integer(row.minutes),
            // nonVolatile; active.
            20 => Value::Integer(3),
            21 => Value::Integer(1),
            22 => Value::Gauge32(link.failures().1 as u32),
            23 => Value::Integer(1),
            24 => Value::Integer(row.replay),
            25 => Value::Gauge32(row.window),
            29 => Value::text(&row.alias),
            _ => return None,
        })
    }
    fn profile(&self, column: u32, row: &ProfileRow) -> Option<Value> {
        Some(match column {
            2 => Value::text(&row.name),
            3 => Value::text(self.user_name()),
            4 => Value::Integer(1),
            5 => Value::text(""),
            6 => Value::Integer(row.length),
            7 => Value::Integer(3),
            8 => Value::Integer(1),
            _ => return None,
        })
    }
    fn user_name(&self) -> Vec<u8> {
        let name = self.user.get(1..self.user.len() - 1).unwrap_or_default();
        name.iter().map(|c| *c as u8).collect()
    }
    /// SCI: a locally administered MAC address, and the number of the flow.
    fn sci(end: usize, flow: u32) -> Value {
        Value::text([2, 0, 0x5e, 0x15, 0, end as u8 & 1, 0, flow as u8])
    }
    fn channel(&self, column: u32, flow: u32, is_sent: bool) -> Option<Value> {
        let (link, end) = self.link(flow)?;
        let session = link.session();
        let in_use = session.is_some() && link.sends(end) == Sends::Encrypted;
        let number = |an: Option<u32>| Value::Integer(an.map_or(-1, |an| an as i32));
        Some(match column {
            2 => Self::sci(if is_sent { end } else { 1 - end }, flow),
            3 => Value::Integer(if in_use { 1 } else { 2 }),
            4 => number(session.map(|s| s.number & 3)),
            5 => number(session.filter(|s| s.number > 1).map(|s| (s.number - 1) & 3)),
            7 => date_and_time(session.map(|s| s.began)),
            _ => return None,
        })
    }
    fn association(&self, column: u32, flow: u32, an: u32, is_sent: bool) -> Option<Value> {
        let (link, end) = self.link(flow)?;
        let session = link.session()?;
        let is_current = an == session.number & 3;
        let sender = if is_sent { end } else { 1 - end };
        let sent = link.traffic_from(sender).encrypted - session.before[sender];
        Some(match column {
            2 => Value::Integer(if is_current && link.sends(end) == Sends::Encrypted {
                1
            } else {
                2
            }),
            3 if is_current => Value::Gauge32((sent + 1) as u32),
            3 => Value::Gauge32(1),
            5 | 6 if is_current => date_and_time(Some(session.began)),
            5 | 6 => date_and_time(None),
            _ => return None,
        })
    }
    fn counter(&self, object: Object, flow: u32) -> Option<Value> {
        let (link, end) = self.link(flow)?;
        let (sent, received) = (link.traffic_from(end), link.traffic_from(1 - end));
        let count = match object {
            Object::FlowCounter(5) => sent.clear,
            Object::FlowCounter(8) if link.sends(1 - end) == Sends::Clear => received.refused,
            Object::FlowCounter(_) | Object::TxScCounter(5) => 0,
            Object::TxScCounter(6) => sent.encrypted,
            Object::TxScCounter(_) => sent.encrypted * FRAME_BYTES,
            Object::RxScCounter(8) => received.refused,
            Object::RxScCounter(12) => received.accepted,
            Object::RxScCounter(_) => received.accepted * FRAME_BYTES,
            Object::TxSaCounter(_) => sent.encrypted - link.session().map_or(0, |s| s.before[end]),
            _ => return None,
        };
        Some(Value::Counter64(count))
    }
    fn write_flow(
        draft: &mut Draft,
        column: u32,
        flow: usize,
        value: &Value,
    ) -> Result<(), ErrorStatus> {
        let Some(row) = draft.rows.flows.get_mut(flow) else {
            return Err(ErrorStatus::NoCreation);
        };
        match column {
            2 => row.cipher = one_of(value, &[1, 2])?,
            3 => row.admin = one_of(value, &[1, 2, 3, 4])?,
            7 => {
                let Value::ObjectId(name) = value else {
                    return Err(ErrorStatus::WrongType);
                };
                match name.sub_identifiers().strip_prefix(&PROFILE[..]) {
                    Some([_, profile]) => row.profile = *profile,
                    _ => return Err(ErrorStatus::WrongValue),
                }
            }
            18 => row.minutes = integer(value, 1..=10_080)?,
            // active, as it is.
            21 if one_of(value, &[1, 4, 6])? == 1 => {}
            21 => return Err(ErrorStatus::InconsistentValue),
            23 => {
                let restart = one_of(value, &[1, 2])? == 2;
                if let Some(place) = draft.restart.get_mut(flow) {
                    *place = restart;
                }
            }
            24 => row.replay = one_of(value, &[1, 2])?,
            25 => row.window = unsigned(value, |_| true)?,
            29 => row.alias = display(octets(value)?, 64)?.to_vec(),
            _ => return Err(ErrorStatus::NotWritable),
        }
        Ok(())
    }
    fn write_profile(
        draft: &mut Draft,
        column: u32,
        index: u32,
        value: &Value,
    ) -> Result<(), ErrorStatus> {
        let is_full = draft.rows.profiles.len() >= MAX_PROFILES;
        let used = draft.rows.flows.iter().any(|f| f.profile == index);
        if !draft.rows.profiles.contains_key(&index) {
            if index == 0 || i32::try_from(index).is_err() {
                return Err(ErrorStatus::NoCreation);
            }
            if is_full {
                return Err(ErrorStatus::ResourceUnavailable);
            }
        }
        let row = draft
            .rows
            .profiles
            .entry(index)
            .or_insert_with(ProfileRow::new);
        match column {
            2 => row.name = display(octets(value)?, 255)?.to_vec(),
            4 => match one_of(value, &[1, 2, 3])? {
                1 => {}
                _ => return Err(ErrorStatus::InconsistentValue),
            },
            5 => {
                let password = display(octets(value)?, 255)?;
                if password.is_empty() {
                    return Err(ErrorStatus::WrongLength);
                }
                row.password = Zeroizing::new(password.to_vec());
                row.is_written = true;
            }
            6 => row.length = one_of(value, &[1, 2])?,
            // active, createAndGo, destroy.
            8 => match one_of(value, &[1, 4, 6])? {
                1 if row.exists => {}
                4 if !row.exists => row.exists = true,
                6 if !used => {
                    draft.rows.profiles.remove(&index);
                }
                _ => return Err(ErrorStatus::InconsistentValue),
            },
            _ => return Err(ErrorStatus::NotWritable),
        }
        Ok(())
    }
    fn refuse_password(&self) {
        let mut kept = self.board.shared();
        kept.refused = kept.refused.saturating_add(1);
    }
}

impl Mib for Fsp150 {
    type Object = Object;
    type Draft = Draft;

    const OBJECTS: &'static [(&'static [u32], Object)] = columns::OBJECTS;

    fn node(&self) -> &Node {
        &self.board.node
    }
    fn instances(&self, object: Object) -> Vec<Vec<u32>> {
        let flows = || 1..=FLOWS as u32;
        let below = |last: &[&[u32]]| -> Vec<Vec<u32>> {
            flows()
                .flat_map(|flow| last.iter().map(move |l| [&[NE, flow][..], l].concat()))
                .collect()
        };
        match object {
            Object::AlarmChange
            | Object::AlarmIndex
            | Object::RestoreApproved
            | Object::PasswordControl
            | Object::CryptoPassword => vec![vec![0]],
            Object::EthernetFlow(_) | Object::FlowExtension(_) => {
                flows().map(|f| ethernet_flow(f).to_vec()).collect()
            }
            Object::Alarm(_) => {
                self.tick();
                let kept = self.board.shared();
                kept.alarms.keys().map(|n| vec![NE, *n]).collect()
            }
            Object::User(_) => vec![self.user.clone()],
            Object::Flow(_) => below(&[&[]]),
            Object::Profile(_) => {
                let kept = self.board.shared();
                kept.rows.profiles.keys().map(|n| vec![*n]).collect()
            }
            Object::TxSc(_) | Object::RxSc(_) => below(&[&[CHANNEL]]),
            Object::TxSa(_) | Object::RxSa(_) => flows()
                .flat_map(|flow| {
                    let session = self.link(flow).and_then(|(link, _)| link.session());
                    associations(session)
                        .into_iter()
                        .map(move |(an, _)| vec![NE, flow, CHANNEL, an])
                })
                .collect(),
            Object::TxSaCounter(_) => flows()
                .flat_map(|flow| {
                    let session = self.link(flow).and_then(|(link, _)| link.session());
                    associations(session)
                        .into_iter()
                        .filter(|(_, is_current)| *is_current)
                        .map(move |(an, _)| vec![NE, flow, CHANNEL, an])
                })
                .collect(),
            // 15 minutes, a day, rollover, 5 minutes.
            Object::FlowCounter(_) => below(&[&[1], &[2], &[3], &[4]]),
            Object::TxScCounter(_) | Object::RxScCounter(_) => {
                below(&[&[CHANNEL, 1], &[CHANNEL, 2], &[CHANNEL, 3], &[CHANNEL, 4]])
            }
        }
    }
    fn read(&self, object: Object, index: &[u32]) -> Option<Value> {
        self.tick();
        if !self.instances(object).iter().any(|i| i == index) {
            return None;
        }
        let second = || index.get(1).copied();
        match object {
            Object::EthernetFlow(column) => {
                let flow = *index.last()?;
                let (link, end) = self.link(flow)?;
                Some(match column {
                    68 => truth_value(self.rows().flows.get(flow as usize - 1)?.blocking),
                    69 => Value::text(flow.to_string()),
                    _ => Value::text(secure_state(link.sends(end)).to_string()),
                })
            }
            Object::FlowExtension(_) => {
                let (link, end) = self.link(*index.last()?)?;
                Some(Value::Integer(secure_state(link.sends(end))))
            }
            Object::AlarmChange => {
                let changed = self.board.shared().changed;
                Some(Value::TimeTicks(self.board.node.ticks(changed)))
            }
            Object::AlarmIndex => Some(Value::Integer(self.board.shared().alarm as i32)),
            Object::Alarm(column) => {
                let alarm = self.board.shared().alarms.get(&second()?)?.clone();
                alarm_column(&alarm, column, true)
            }
            // cryptouser.
            Object::User(3) => Some(Value::Integer(6)),
            Object::User(5) => Some(Value::Integer(self.board.shared().refused)),
            Object::User(7) => Some(truth_value(false)),
            Object::User(_) | Object::CryptoPassword => Some(Value::text("")),
            Object::Flow(column) => self.flow(column, second()?),
            Object::Profile(column) => {
                let row = self.rows().profiles.get(index.first()?)?.clone();
                self.profile(column, &row)
            }
            Object::TxSc(column) => self.channel(column, second()?, true),
            Object::RxSc(column) => self.channel(column, second()?, false),
            Object::TxSa(column) => self.association(column, second()?, *index.last()?, true),
            Object::RxSa(column) => self.association(column, second()?, *index.last()?, false),
            Object::RestoreApproved => Some(truth_value(self.rows().restore_approved)),
            Object::PasswordControl => Some(truth_value(self.rows().needs_password)),
            Object::FlowCounter(_)
            | Object::TxScCounter(_)
            | Object::RxScCounter(_)
            | Object::TxSaCounter(_) => self.counter(object, second()?),
        }
    }
    fn draft(&self) -> Draft {
        Draft {
            rows: self.rows(),
            is_permitted: false,
            is_guarded: false,
            crypto_password: None,
            restart: [false; FLOWS],
        }
    }
    fn write(
        &self,
        draft: &mut Draft,
        object: Object,
        index: &[u32],
        value: &Value,
    ) -> Result<(), ErrorStatus> {
        let exists = || self.instances(object).iter().any(|i| i == index);
        match (object, index) {
            // A row of a profile may be created.
            (Object::Profile(_), [_]) => {}
            _ if exists() => {}
            _ => return Err(ErrorStatus::NoCreation),
        }
        if object == Object::CryptoPassword {
            let given = Zeroizing::new(display(octets(value)?, 255)?.to_vec());
            let is_right = {
                let kept = self.board.shared();
                !kept.rows.needs_password || kept.crypto_password == given
            };
            if !is_right {
                self.refuse_password();
                return Err(ErrorStatus::NoAccess);
            }
            draft.is_permitted = true;
            return Ok(());
        }
        check_change(self.ends[0].change_faults())?;
        draft.is_guarded = true;
        let flow = |place: usize| index.get(place).map_or(usize::MAX, |f| *f as usize - 1);
        match object {
            Object::EthernetFlow(68) => match draft.rows.flows.get_mut(flow(4)) {
                Some(row) => row.blocking = one_of(value, &[1, 2])? == 1,
                None => return Err(ErrorStatus::NoCreation),
            },
            // The one list of each flow.
            Object::EthernetFlow(69) => {
                let own = index.last().map(u32::to_string).unwrap_or_default();
                if display(octets(value)?, 255)? != own.as_bytes() {
                    return Err(ErrorStatus::InconsistentValue);
                }
            }
            Object::User(15) => {
                let password = display(octets(value)?, 32)?;
                draft.crypto_password = Some(Zeroizing::new(password.to_vec()));
            }
            Object::Flow(column) => Self::write_flow(draft, column, flow(1), value)?,
            Object::Profile(column) => {
                let index = index.first().copied().unwrap_or_default();
                Self::write_profile(draft, column, index, value)?;
            }
            Object::RestoreApproved => {
                draft.rows.restore_approved = one_of(value, &[1, 2])? == 1;
            }
            Object::PasswordControl => draft.rows.needs_password = one_of(value, &[1, 2])? == 1,
            _ => return Err(ErrorStatus::NotWritable),
        }
        Ok(())
    }
    fn commit(&self, mut draft: Draft) -> Result<(), ErrorStatus> {
        self.tick();
        let before = self.rows();
        if draft.is_guarded && before.needs_password && !draft.is_permitted {
            self.refuse_password();
            return Err(ErrorStatus::CommitFailed);
        }
        // A row needs its creation and a password, a flow needs its profile.
        let complete = draft
            .rows
            .profiles
            .values()
            .all(|p| p.exists && !p.password.is_empty());
        let found = |f: &FlowRow| draft.rows.profiles.contains_key(&f.profile);
        if !complete || !draft.rows.flows.iter().all(found) {
            return Err(ErrorStatus::CommitFailed);
        }
        let failed = |_| ErrorStatus::CommitFailed;
        let ends = self.ends.iter().zip(&draft.rows.flows).zip(&before.flows);
        for (((end, row), old), restart) in ends.zip(draft.restart) {
            let (link, end) = (end.link(), end.end());
            if let Some(profile) = draft.rows.profiles.get(&row.profile)
                && (profile.is_written || row.profile != old.profile)
            {
                link.set_secret(end, Some(&profile.password))
                    .map_err(failed)?;
            }
            if row.minutes != old.minutes {
                let minutes = u64::from(row.minutes.unsigned_abs());
                link.set_interval(end, Duration::from_secs(60 * minutes))
                    .map_err(failed)?;
            }
            if row.blocking != old.blocking {
                let policy = if row.blocking { ON_FAILURE } else { IN_CLEAR };
                link.set_on_failure(end, policy).map_err(failed)?;
            }
            if row.admin != old.admin {
                link.set_enabled(end, row.admin != 4).map_err(failed)?;
            }
            if restart {
                link.force(end).map_err(failed)?;
            }
        }
        for profile in draft.rows.profiles.values_mut() {
            profile.is_written = false;
        }
        let mut kept = self.board.shared();
        kept.rows = draft.rows;
        if draft.is_permitted {
            kept.refused = 0;
        }
        if let Some(password) = draft.crypto_password {
            kept.crypto_password = password;
        }
        Ok(())
    }
    fn state(&self) -> String {
        let mut lines: Vec<_> = (1..)
            .zip(&self.ends)
            .map(|(flow, end)| format!("flow {flow}: {}", end.link().state(end.end())))
            .collect();
        let kept = self.board.shared();
        let rows = &kept.rows;
        lines.extend(rows.profiles.iter().map(|(index, row)| {
            format!(
                "profile {index}: {}, {}, length {}",
                row.name.escape_ascii(),
                fingerprint(&row.password),
                row.length
            )
        }));
        lines.push(format!(
            "{:?}\nrestore approved: {}, needs password: {}, crypto password: {}",
            rows.flows,
            rows.restore_approved,
            rows.needs_password,
            fingerprint(&kept.crypto_password)
        ));
        lines.join("\n")
    }
    fn tick(&self) {
        self.ends.iter().for_each(|end| end.link().tick());
    }
    fn quiet_for(&self) -> Duration {
        let ends = self.ends.iter().map(|end| end.link().quiet_for());
        ends.min().unwrap_or_default()
    }
    fn fault(&self, fault: &DeviceFault) -> Result<(), String> {
        match fault {
            DeviceFault::Operator(action) if action == "new-password" => {
                let new = Zeroizing::new(b"a password of another user".to_vec());
                self.board.shared().crypto_password = new;
                return Ok(());
            }
            DeviceFault::Clear => {
                let mut kept = self.board.shared();
                kept.crypto_password = kept.first_password.clone();
            }
            _ => {}
        }
        let first = match fault {
            // Counted once for both flows.
            DeviceFault::Refuse(_) | DeviceFault::Full | DeviceFault::Alarm(_) => 1,
            _ => FLOWS,
        };
        self.ends
            .iter()
            .take(first)
            .try_for_each(|end| end.apply(fault))
    }
}
