//! Infinera XTM (Transmode): LUM-CRYPTO-MIB, 1.3.6.1.4.1.8708.2.73.2, at an end of a pair of IKE
//! peers that a pre-shared key authenticates.
//!
//! Chosen by this project, because the MIB does not specify it (see also [`crate::wire::snmp`]):
//!
//! - one board with one IKE peer and one data plane, all with index 1; two rows of counters, for a
//!   quarter of an hour and for a day, which both count since the start and cannot be created or
//!   changed; ifTable has a row for the line port; the agent has the ENTITY-MIB;
//! - ReAuthInterval is in hours; the shorter one of both ends applies; a new key is used at the
//!   next authentication, which takes 2 s and is repeated 30 s after a failure; a cut line is found
//!   at once;
//! - the PSK reads as empty; 63 characters are wrongLength;
//! - after a failure nothing is rekeyed; FailurePolicy applies from the first failure on;
//! - commands are read-only, as in the MIB, and read as empty; an agent with `commands` takes any
//!   text as one, except for CreateIKEPeer; a rekey command without an authenticated peer does
//!   nothing;
//! - AdminStatus service shows all faults as ok; identities that are not as expected raise the
//!   fault of a mismatch, and stop nothing; OTNOHAllocation and the number of the IKE peer are
//!   stored and have no effect, and only peers 0 and 1 exist;
//! - nulled frames are those that the board could not send, authentication failures and
//!   authenticated frames are of received frames, encrypted ones of sent frames; the total is of
//!   both directions.
//!
//! The MIB has no notifications.

mod columns;
pub mod fuzz;
pub(super) mod profile;
#[cfg(test)]
mod tests;

pub use columns::Object;

use crate::{
    fault::{ApplyDeviceFault, DeviceFault},
    model::encryptor::psk::{OnFailure, PskEndpoint, PskEvent, PskRules, Sends},
    wire::snmp::{
        agent::{Agent, Mib},
        node::{Interface, Node, NodeOptions},
        values::{check_change, date_and_time, display, octets, one_of, unsigned},
    },
};
use qkd_driver_kit::link::snmp::{ErrorStatus, Oid, Value};
use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use zeroize::Zeroizing;

/// Enterprise number of the vendor.
pub const ENTERPRISE: u32 = 8708;
/// Under the enterprise number; the last number is our choice.
const PRODUCT: [u32; 9] = [1, 3, 6, 1, 4, 1, ENTERPRISE, 2, 1];
/// Index of every row, and ifIndex of the line port.
pub const ROW: u32 = 1;
/// Times of the authentications.
pub const RULES: PskRules = PskRules {
    duration: Duration::from_secs(2),
    retry: Some(Duration::from_secs(30)),
    attempts: None,
};
/// FailurePolicy continueop, the default value of the MIB.
pub const ON_FAILURE: OnFailure = OnFailure::Keep;
const HOUR: u64 = 3600;

/// Options of an agent.
#[derive(Clone)]
pub struct Options {
    /// Names of the node.
    pub node: NodeOptions,
    /// Whether the agent takes the commands, which the MIB declares read-only.
    pub commands: bool,
}

impl Options {
    /// A node of this name.
    #[must_use]
    pub fn named(name: &str) -> Self {
        Self {
            node: NodeOptions::named(name, ENTERPRISE),
            commands: false,
        }
    }
}

/// Times of automatic rekeys: each an interval after the one before.
#[derive(Debug, Clone, Copy)]
struct Rekeys {
    interval: Duration,
    /// A rekey, or the change of the interval; later ones count from here.
    base: Duration,
}

impl Rekeys {
    fn every(seconds: u64) -> Self {
        Self {
            interval: Duration::from_secs(seconds),
            base: Duration::ZERO,
        }
    }
    /// The last rekey until `end`, where the key agreement began at `began`.
    fn last(&self, began: Duration, end: Duration) -> Duration {
        let base = self.base.max(began);
        let passed = end.saturating_sub(base);
        let rest = passed.as_nanos() % self.interval.as_nanos().max(1);
        base + passed.saturating_sub(Duration::from_nanos(
            u64::try_from(rest).unwrap_or_default(),
        ))
    }
}

/// Rows of the agent that are not in the model.
#[derive(Debug, Clone)]
struct Rows {
    auth_hours: u32,
    expected_peer: Vec<u8>,
    alarms_off: bool,
    peer_rekeys: Rekeys,
    expected_plane: Vec<u8>,
    overhead: i32,
    peer_number: i32,
    plane_rekeys: Rekeys,
    policy: i32,
    kill_offset: u32,
    mode: i32,
}

struct SharedState {
    rows: Rows,
    /// The last change of the configuration and of the state.
    changed: [Duration; 2],
}

struct Board {
    node: Node,
    kept: Mutex<SharedState>,
}

impl Board {
    fn shared(&self) -> MutexGuard<'_, SharedState> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
    fn on_event(&self, event: &PskEvent) {
        if !matches!(event, PskEvent::Alarm(_)) {
            self.shared().changed[1] = self.node.clock().now();
        }
    }
}

/// The objects of one end.
pub struct Xtm {
    end: Arc<PskEndpoint>,
    board: Arc<Board>,
    commands: bool,
}

/// Creates the agent of an end of a pair. Times are those of the clock of the pair.
#[must_use]
pub fn agent(end: PskEndpoint, options: Options) -> Arc<Agent<Xtm>> {
    let identity = end.identity();
    let descr = format!(
        "{} {} {}",
        identity.vendor,
        identity.model.unwrap_or_default(),
        identity.firmware.unwrap_or_default()
    );
    let interfaces = vec![Interface {
        index: ROW,
        descr: "line:1:2:1".to_owned(),
        name: "line:1:2:1".to_owned(),
    }];
    let end = Arc::new(end);
    let chassis = Arc::clone(&end);
    let clock = end.link().clock().clone();
    let now = clock.now();
    let node = Node::new(
        clock,
        descr.trim_end().to_owned(),
        Oid::from(PRODUCT),
        options.node,
        interfaces,
    )
    .with_chassis(move || chassis.identity());
    let hours = end.link().interval(end.end()).as_secs() / HOUR;
    let rows = Rows {
        auth_hours: u32::try_from(hours).unwrap_or(u32::MAX),
        expected_peer: Vec::new(),
        alarms_off: false,
        peer_rekeys: Rekeys::every(3600),
        expected_plane: Vec::new(),
        overhead: 1,
        peer_number: 1,
        plane_rekeys: Rekeys::every(300),
        policy: 1,
        kill_offset: 900,
        mode: 2,
    };
    let board = Arc::new(Board {
        node,
        kept: Mutex::new(SharedState {
            rows,
            changed: [now; 2],
        }),
    });
    end.listen(&board, Board::on_event);
    Arc::new(Agent::new(Xtm {
        end,
        board,
        commands: options.commands,
    }))
}

/// Tested changes of a SET: the rows after it, and what the model gets.
pub struct Draft {
    rows: Rows,
    key: Option<Zeroizing<Vec<u8>>>,
    authenticate: bool,
    /// Rekey commands: of the peer, of the data plane.
    rekey: [bool; 2],
}

/// MgmtNameString: at most 255 octets.
fn management_name(value: &Value) -> Result<Vec<u8>, ErrorStatus> {
    display(octets(value)?, 255).map(<[u8]>::to_vec)
}

/// FaultStatusWithNA: ok(1), alarm(2).
fn fault_status(is_fault: bool) -> Value {
    Value::Integer(if is_fault { 2 } else { 1 })
}

fn identity(end: usize, what: &str) -> String {
    format!("xtm-{}/{what}:1:2:1", ["a", "b"][end & 1])
}

impl Xtm {
    fn rows(&self) -> Rows {
        self.board.shared().rows.clone()
    }
    /// The last of these rekeys; `None` without a key agreement.
    fn last_rekey(&self, rekeys: Rekeys) -> Option<Duration> {
        let link = self.end.link();
        let until = link.failed().0.unwrap_or_else(|| link.clock().now());
        link.session().map(|s| rekeys.last(s.began, until))
    }
    fn auth(&self, column: u32) -> Option<Value> {
        Some(match column {
            3 => Value::text("authentication:1:2:1"),
            4 => Value::text(identity(self.end.end(), "authentication")),
            5 => Value::Gauge32(self.rows().auth_hours),
            6 | 7 => Value::text(""),
            _ => return None,
        })
    }
    fn peer(&self, column: u32) -> Option<Value> {
        let (link, end, rows) = (self.end.link(), self.end.end(), self.rows());
        let fails = link.failed().0.is_some() && !rows.alarms_off;
        let session = link.session();
        let remote = identity(1 - end, "ikePeer");
        Some(match column {
            2 => Value::Gauge32(ROW),
            3 => Value::text("ikePeer:1:2:1"),
            4 => Value::text(identity(end, "ikePeer")),
            5 => Value::OctetString(rows.expected_peer),
            6 => Value::Integer(1),
            7 => Value::text(""),
            8 => Value::Integer(if rows.alarms_off { 2 } else { 1 }),
            // down(2), up(3).
            9 => Value::Integer(if link.failed().0.is_none() && session.is_some() {
                3
            } else {
                2
            }),
            10 => date_and_time(session.map(|s| s.began)),
            11 => Value::Gauge32(rows.peer_rekeys.interval.as_secs() as u32),
            12 => date_and_time(self.last_rekey(rows.peer_rekeys)),
            13 => Value::text(""),
            14 => fault_status(
                !rows.alarms_off
                    && !rows.expected_peer.is_empty()
                    && rows.expected_peer != remote.as_bytes(),
            ),
            15 => fault_status(fails && link.is_cut()),
            16 => fault_status(fails && !link.is_cut()),
            17 => fault_status(fails),
            _ => return None,
        })
    }
    fn plane(&self, column: u32) -> Option<Value> {
        let (link, end, rows) = (self.end.link(), self.end.end(), self.rows());
        let remote = identity(1 - end, "dpEncr");
        Some(match column {
            3 => Value::text("dpEncr:1:2:1"),
            4 => Value::text(identity(end, "dpEncr")),
            5 => Value::OctetString(rows.expected_plane),
            6 if link.is_cut() => Value::text(""),
            6 => Value::text(remote),
            7 => Value::Integer(rows.overhead),
            8 => Value::Integer(rows.peer_number),
            9 => Value::Gauge32(rows.plane_rekeys.interval.as_secs() as u32),
            10 => Value::Integer(rows.policy),
            11 => Value::Gauge32(rows.kill_offset),
            12 => Value::Integer(rows.mode),
            13 | 14 => date_and_time(self.last_rekey(rows.plane_rekeys)),
            15 => fault_status(
                !rows.expected_plane.is_empty() && rows.expected_plane != remote.as_bytes(),
            ),
            17 => fault_status(link.failed().0.is_some()),
            20 => fault_status(link.sends(end) == Sends::Nothing),
            16 | 18 | 19 | 21 => fault_status(false),
            22 => Value::text(""),
            _ => return None,
        })
    }
    fn counter(&self, column: u32, row: u32) -> Option<Value> {
        let (link, end) = (self.end.link(), self.end.end());
        let (sent, received) = (link.traffic_from(end), link.traffic_from(1 - end));
        let count = match column {
            2 => {
                let length = if row == 1 { "15min" } else { "24h" };
                return Some(Value::text(format!("cryptoPm:1:2:1:{length}")));
            }
            5 => return Some(Value::Integer(row as i32)),
            // Both directions.
            6 => return Some(Value::Integer(3)),
            7 => sent.blocked,
            8 => received.refused,
            9 | 10 => 0,
            11 => {
                let out = sent.encrypted + sent.clear + sent.blocked;
                out + received.accepted + received.refused + received.clear
            }
            12 => received.accepted,
            13 => sent.encrypted,
            _ => return None,
        };
        Some(Value::Counter64(count))
    }
}

impl Mib for Xtm {
    type Object = Object;
    type Draft = Draft;

    const OBJECTS: &'static [(&'static [u32], Object)] = columns::OBJECTS;

    fn node(&self) -> &Node {
        &self.board.node
    }
    fn instances(&self, object: Object) -> Vec<Vec<u32>> {
        match object {
            Object::Changed(_) => vec![vec![0]],
            Object::Auth(_) | Object::Peer(_) | Object::Plane(_) => vec![vec![ROW]],
            Object::Counter(_) => vec![vec![1], vec![2]],
        }
    }
    fn read(&self, object: Object, index: &[u32]) -> Option<Value> {
        self.tick();
        if !self.instances(object).iter().any(|i| i == index) {
            return None;
        }
        match object {
            Object::Changed(n) => {
                let at = *self.board.shared().changed.get(n as usize - 1)?;
                Some(date_and_time(Some(at)))
            }
            Object::Auth(column) => self.auth(column),
            Object::Peer(column) => self.peer(column),
            Object::Plane(column) => self.plane(column),
            Object::Counter(column) => self.counter(column, *index.first()?),
        }
    }
    fn draft(&self) -> Draft {
        Draft {
            rows: self.rows(),
            key: None,
            authenticate: false,
            rekey: [false; 2],
        }
    }
    fn write(
        &self,
        draft: &mut Draft,
        object: Object,
        index: &[u32],
        value: &Value,
    ) -> Result<(), ErrorStatus> {
        if !object.is_writable(self.commands) {
            return Err(ErrorStatus::NotWritable);
        }
        if !self.instances(object).iter().any(|i| i == index) {
            return Err(ErrorStatus::NoCreation);
        }
        check_change(self.end.change_faults())?;
        let now = self.board.node.clock().now();
        // The rekeys before the change keep their times.
        let changed = |rekeys: Rekeys, seconds: u32| Rekeys {
            interval: Duration::from_secs(seconds.into()),
            base: self.last_rekey(rekeys).unwrap_or(now),
        };
        let rows = &mut draft.rows;
        match object {
            Object::Auth(5) => rows.auth_hours = unsigned(value, |v| (1..=1000).contains(&v))?,
            Object::Auth(_) => draft.authenticate = octets(value).map(|_| true)?,
            Object::Peer(5) => rows.expected_peer = management_name(value)?,
            Object::Peer(6) => one_of(value, &[1]).map(drop)?,
            Object::Peer(7) => {
                let key = display(octets(value)?, 128)?;
                if key.len() < 64 {
                    return Err(ErrorStatus::WrongLength);
                }
                draft.key = Some(Zeroizing::new(key.to_vec()));
            }
            Object::Peer(8) => rows.alarms_off = one_of(value, &[1, 2])? == 2,
            Object::Peer(11) => {
                let seconds = unsigned(value, |v| (600..=86_400).contains(&v))?;
                rows.peer_rekeys = changed(rows.peer_rekeys, seconds);
            }
            Object::Peer(_) => draft.rekey[0] = octets(value).map(|_| true)?,
            Object::Plane(5) => rows.expected_plane = management_name(value)?,
            Object::Plane(7) => rows.overhead = one_of(value, &[1, 2, 3, 4])?,
            Object::Plane(8) => rows.peer_number = one_of(value, &[0, 1])?,
            Object::Plane(9) => {
                let seconds = unsigned(value, |v| (60..=86_400).contains(&v))?;
                rows.plane_rekeys = changed(rows.plane_rekeys, seconds);
            }
            Object::Plane(10) => rows.policy = one_of(value, &[1, 2])?,
            Object::Plane(11) => rows.kill_offset = unsigned(value, |v| v <= 86_400)?,
            Object::Plane(12) => rows.mode = one_of(value, &[1, 2])?,
            Object::Plane(22) => draft.rekey[1] = octets(value).map(|_| true)?,
            _ => return Err(ErrorStatus::NotWritable),
        }
        Ok(())
    }
    fn commit(&self, mut draft: Draft) -> Result<(), ErrorStatus> {
        let (link, end) = (self.end.link(), self.end.end());
        let now = self.board.node.clock().now();
        let failed = |_| ErrorStatus::CommitFailed;
        if let Some(key) = &draft.key {
            link.set_secret(end, Some(key)).map_err(failed)?;
        }
        let before = self.rows();
        let rows = &mut draft.rows;
        if rows.auth_hours != before.auth_hours {
            let interval = Duration::from_secs(u64::from(rows.auth_hours) * HOUR);
            link.set_interval(end, interval).map_err(failed)?;
        }
        let policy = match rows.policy {
            1 => OnFailure::Keep,
            _ => OnFailure::BlockAfter(Duration::from_secs(rows.kill_offset.into())),
        };
        link.set_on_failure(end, policy).map_err(failed)?;
        if rows.mode != before.mode {
            let bypass = (rows.mode == 1).then_some(Duration::MAX);
            link.set_off(end, bypass).map_err(failed)?;
        }
        if draft.authenticate {
            link.force(end).map_err(failed)?;
        }
        if link.failed().0.is_none() && link.session().is_some() {
            for (rekey, rekeys) in draft
                .rekey
                .into_iter()
                .zip([&mut rows.peer_rekeys, &mut rows.plane_rekeys])
            {
                if rekey {
                    rekeys.base = now;
                }
            }
        }
        let mut kept = self.board.shared();
        kept.rows = draft.rows;
        kept.changed[0] = now;
        Ok(())
    }
    fn state(&self) -> String {
        let link = self.end.link().state(self.end.end());
        format!("{link}\n{:?}", self.rows())
    }
    fn tick(&self) {
        self.end.link().tick();
    }
    fn quiet_for(&self) -> Duration {
        self.end.link().quiet_for()
    }
    fn fault(&self, fault: &DeviceFault) -> Result<(), String> {
        self.end.apply(fault)?;
        if matches!(fault, DeviceFault::Cut(_)) {
            // Dead peer detection (RFC 3706).
            self.end.link().restart();
        }
        Ok(())
    }
}
