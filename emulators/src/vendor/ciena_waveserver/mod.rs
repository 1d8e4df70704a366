//! Ciena Waveserver: CIENA-WS-ENCRYPTION-MIB, 1.3.6.1.4.1.1271.3.4.23 and its procedures,
//! 1.3.6.1.4.1.1271.3.4.24, at an end of a pair that a pre-shared key authenticates at intervals.
//!
//! Chosen by this project, because the MIB does not specify it (see also [`crate::wire::snmp`]):
//!
//! - one port, 48; every SnmpKey and every index of a procedure is 0; ifTable has a row with the
//!   number of the port; the agent has the ENTITY-MIB;
//! - fewer than 32 or an odd number of hexadecimal digits is wrongLength, other characters are
//!   wrongValue; spaces alone clear the key, as no characters do;
//! - the fingerprint is 32 hexadecimal digits of a hash of this emulator, of which many keys have
//!   the same one; equal keys have equal fingerprints on both nodes;
//! - a re-authentication takes 1 s, and after a failure the next one is a Period later; the shorter
//!   Period of both nodes applies; a mended line and an enabled port re-authenticate at once;
//! - with FailureMode allow, traffic is in clear after a failure;
//! - the peer's status is unknown without a key;
//! - ClearCSP deletes the traffic key, too; procedures have fail(0) as the result before their
//!   first run;
//! - the alarm of a failed authentication has severity major, site, group and member 1, instance
//!   number and table 1, and the time as text; alarms that a fault raises are of the port, too.

mod columns;
pub mod fuzz;
pub(super) mod profile;
#[cfg(test)]
mod tests;

pub use columns::Object;

use crate::{
    fault::{ApplyDeviceFault, DeviceFault},
    model::{
        encryptor::psk::{OnFailure, PskEndpoint, PskEvent, PskRules},
        fingerprint,
    },
    wire::snmp::{
        agent::{Agent, Mib},
        node::{Interface, Node, NodeOptions},
        values::{check_change, octets, one_of, truth_value, unsigned},
    },
};
use qkd_driver_kit::link::snmp::{ErrorStatus, Oid, Value, VarBind};
use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, UNIX_EPOCH},
};
use zeroize::Zeroizing;

/// Enterprise number of the vendor.
pub const ENTERPRISE: u32 = 1271;
/// sysObjectID and sysDescr as LibreNMS has them, in `tests/snmpsim/ciena-waveserver.snmprec`.
const PRODUCT: [u32; 8] = [1, 3, 6, 1, 4, 1, ENTERPRISE, 3];
const DESCR: &str = "Waveserver Platform";
/// CIENA-WS-NOTIFICATION-MIB wsAlarmNotification; its objects are below it.
const ALARM: [u32; 10] = [1, 3, 6, 1, 4, 1, ENTERPRISE, 3, 2, 11];
/// cwsPortPortsPortId.
pub const PORT: u32 = 48;
const NAME: &str = "48";

/// Times of the re-authentications.
pub const RULES: PskRules = PskRules {
    duration: Duration::from_secs(1),
    retry: None,
    attempts: None,
};
/// FailureMode drop.
pub const DROP: OnFailure = OnFailure::BlockAfter(Duration::ZERO);
const HOUR: u64 = 3600;
/// Hexadecimal digits of a key.
const MIN_DIGITS: usize = 32;
const MAX_DIGITS: usize = 512;
const MAX_DESCRIPTION: usize = 60;

/// The last run of a procedure.
#[derive(Clone, Copy, Default)]
struct Run {
    at: Duration,
    passed: bool,
}

/// State of the agent in addition to the model.
struct SharedState {
    description: Vec<u8>,
    period: u32,
    mode: i32,
    cleared: Run,
    enabled: Run,
}

struct Board {
    node: Node,
    kept: Mutex<SharedState>,
}

impl Board {
    fn shared(&self) -> MutexGuard<'_, SharedState> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
    /// Sends wsAlarmNotification, with its varbinds in order.
    fn alarm(&self, text: &str, active: bool) {
        let at = UNIX_EPOCH + self.node.clock().now().min(Duration::from_secs(1 << 37));
        let number = |column| (column, Value::Gauge32(1));
        let binds = [
            number(1),
            number(2),
            number(3),
            number(4),
            (
                5,
                Value::text(humantime::format_rfc3339_seconds(at).to_string()),
            ),
            number(6),
            // cleared(1), major(4).
            (7, Value::Integer(if active { 4 } else { 1 })),
            (8, Value::text(NAME)),
            // Its size is 1 to 32.
            (9, Value::text(text.chars().take(32).collect::<String>())),
            (10, Value::Integer(if active { 1 } else { 2 })),
            // linePort.
            (11, Value::Integer(3)),
        ];
        let binds = binds
            .into_iter()
            .map(|(n, value)| VarBind::new(Oid::from(ALARM).child(&[n, 0]), value))
            .collect();
        self.node.notify(Oid::from(ALARM), binds);
    }
    fn on_event(&self, event: &PskEvent) {
        const FAILED: &str = "Peer authentication failed";
        match event {
            PskEvent::Failed { failures: 1, .. } => self.alarm(FAILED, true),
            PskEvent::Succeeded { failures, .. } if *failures > 0 => self.alarm(FAILED, false),
            PskEvent::Alarm(text) => self.alarm(text, true),
            _ => {}
        }
    }
}

/// The objects of one end.
pub struct Waveserver {
    end: Arc<PskEndpoint>,
    board: Arc<Board>,
}

/// Creates the agent of an end of a pair. Times are those of the clock of the pair.
#[must_use]
pub fn agent(end: PskEndpoint, options: NodeOptions) -> Arc<Agent<Waveserver>> {
    let interfaces = vec![Interface {
        index: PORT,
        descr: format!("Port {NAME}"),
        name: NAME.to_owned(),
    }];
    let end = Arc::new(end);
    let chassis = Arc::clone(&end);
    let node = Node::new(
        end.link().clock().clone(),
        DESCR.to_owned(),
        Oid::from(PRODUCT),
        options,
        interfaces,
    )
    .with_chassis(move || chassis.identity());
    let board = Arc::new(Board {
        node,
        kept: Mutex::new(SharedState {
            description: Vec::new(),
            period: u32::try_from(end.link().interval(end.end()).as_secs() / HOUR).unwrap_or(1),
            mode: 1,
            cleared: Run::default(),
            enabled: Run::default(),
        }),
    });
    end.listen(&board, Board::on_event);
    Arc::new(Agent::new(Waveserver { end, board }))
}

/// Tested changes of a SET.
#[derive(Default)]
pub struct Draft {
    /// The key in octets; empty: it is cleared.
    key: Option<Zeroizing<Vec<u8>>>,
    description: Option<Vec<u8>>,
    period: Option<u32>,
    mode: Option<i32>,
    port_enabled: Option<bool>,
    clear: bool,
    enable: bool,
}

/// Decodes a key; an empty one if the text is blank.
fn key(text: &[u8]) -> Result<Zeroizing<Vec<u8>>, ErrorStatus> {
    if text.len() > MAX_DIGITS {
        return Err(ErrorStatus::WrongLength);
    }
    if text.iter().all(|c| *c == b' ') {
        return Ok(Zeroizing::default());
    }
    if !text.iter().all(u8::is_ascii_hexdigit) {
        return Err(ErrorStatus::WrongValue);
    }
    if text.len() < MIN_DIGITS || !text.len().is_multiple_of(2) {
        return Err(ErrorStatus::WrongLength);
    }
    hex::decode(text)
        .map(Zeroizing::new)
        .map_err(|_| ErrorStatus::WrongValue)
}

/// Returns a text from which the key cannot be found: it is much shorter.
fn key_fingerprint(key: Option<&[u8]>) -> String {
    key.map(|key| {
        let tagged = |tag: &[u8]| Zeroizing::new([tag, key].concat());
        fingerprint(&tagged(b"a")) + &fingerprint(&tagged(b"b"))
    })
    .unwrap_or_default()
}

impl Waveserver {
    fn peer_status(&self) -> i32 {
        let (link, end) = (self.end.link(), self.end.end());
        match link.session() {
            _ if !link.has_secret(end) => 0,
            _ if link.failed().0.is_some() => 2,
            Some(_) => 1,
            None => 0,
        }
    }
    fn port_state(&self) -> i32 {
        let (link, end) = (self.end.link(), self.end.end());
        let authenticated = link.failed().0.is_none() && link.session().is_some();
        match () {
            () if link.is_cut() || !link.is_enabled(end) => 2,
            () if authenticated => 1,
            () => 3,
        }
    }
    fn pre_shared_key(&self, column: u32) -> Option<Value> {
        let (link, end) = (self.end.link(), self.end.end());
        Some(match column {
            2 => Value::text(""),
            3 => Value::text(link.with_secret(end, key_fingerprint)),
            4 => truth_value(link.has_secret(end)),
            5 => Value::OctetString(self.board.shared().description.clone()),
            _ => return None,
        })
    }
    fn procedure(&self, column: u32, run: Run) -> Option<Value> {
        Some(match column {
            2 => Value::Integer(0),
            3 => Value::TimeTicks(self.board.node.ticks(run.at)),
            4 => Value::Integer(i32::from(run.passed)),
            5 => Value::text(""),
            _ => return None,
        })
    }
}

impl Mib for Waveserver {
    type Object = Object;
    type Draft = Draft;

    const OBJECTS: &'static [(&'static [u32], Object)] = columns::OBJECTS;

    fn node(&self) -> &Node {
        &self.board.node
    }
    fn instances(&self, object: Object) -> Vec<Vec<u32>> {
        match object {
            Object::PortId => vec![vec![PORT]],
            Object::PortName
            | Object::PortState(_)
            | Object::PeerStatus
            | Object::PreSharedKey(_)
            | Object::ReAuthentication(_) => vec![vec![PORT, 0]],
            Object::EncryptionState(_) | Object::ClearCsp(_) | Object::EnableEncryption(_) => {
                vec![vec![0]]
            }
        }
    }
    fn read(&self, object: Object, index: &[u32]) -> Option<Value> {
        self.tick();
        if !self.instances(object).iter().any(|i| i == index) {
            return None;
        }
        match object {
            Object::PortId => Some(Value::Integer(PORT as i32)),
            Object::PortName => Some(Value::text(NAME)),
            Object::PortState(2) => {
                let enabled = self.end.link().is_enabled(self.end.end());
                Some(Value::Integer(if enabled { 1 } else { 2 }))
            }
            Object::PortState(_) => Some(Value::Integer(self.port_state())),
            Object::PeerStatus => Some(Value::Integer(self.peer_status())),
            Object::PreSharedKey(column) => self.pre_shared_key(column),
            Object::ReAuthentication(2) => Some(Value::Gauge32(self.board.shared().period)),
            Object::ReAuthentication(_) => Some(Value::Integer(self.board.shared().mode)),
            // Licence held, feature ready.
            Object::EncryptionState(_) => Some(Value::Integer(2)),
            Object::ClearCsp(column) => {
                let run = self.board.shared().cleared;
                self.procedure(column, run)
            }
            Object::EnableEncryption(column) => {
                let run = self.board.shared().enabled;
                self.procedure(column, run)
            }
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
        if !object.is_writable() {
            return Err(ErrorStatus::NotWritable);
        }
        if !self.instances(object).iter().any(|i| i == index) {
            return Err(ErrorStatus::NoCreation);
        }
        check_change(self.end.change_faults())?;
        match object {
            Object::PortState(_) => draft.port_enabled = Some(one_of(value, &[1, 2])? == 1),
            Object::PreSharedKey(2) => draft.key = Some(key(octets(value)?)?),
            Object::PreSharedKey(_) => match octets(value)? {
                text if text.len() > MAX_DESCRIPTION => return Err(ErrorStatus::WrongLength),
                text => draft.description = Some(text.to_vec()),
            },
            Object::ReAuthentication(2) => {
                draft.period = Some(unsigned(value, |v| (1..=24).contains(&v))?);
            }
            Object::ReAuthentication(_) => draft.mode = Some(one_of(value, &[1, 2])?),
            Object::ClearCsp(_) => draft.clear = one_of(value, &[0, 1])? == 1,
            _ => draft.enable = one_of(value, &[0, 1])? == 1,
        }
        Ok(())
    }
    fn commit(&self, draft: Draft) -> Result<(), ErrorStatus> {
        let (link, end) = (self.end.link(), self.end.end());
        let now = self.board.node.clock().now();
        let failed = |_| ErrorStatus::CommitFailed;
        if let Some(key) = &draft.key {
            let key = Some(key.as_slice()).filter(|key| !key.is_empty());
            link.set_secret(end, key).map_err(failed)?;
        }
        if let Some(hours) = draft.period {
            link.set_interval(end, Duration::from_secs(u64::from(hours) * HOUR))
                .map_err(failed)?;
            self.board.shared().period = hours;
        }
        if let Some(mode) = draft.mode {
            let policy = if mode == 1 {
                DROP
            } else {
                OnFailure::ClearAfter(Duration::ZERO)
            };
            link.set_on_failure(end, policy).map_err(failed)?;
            self.board.shared().mode = mode;
        }
        if let Some(enabled) = draft.port_enabled {
            link.set_enabled(end, enabled).map_err(failed)?;
        }
        if let Some(description) = draft.description {
            self.board.shared().description = description;
        }
        let run = Run {
            at: now,
            passed: true,
        };
        if draft.clear {
            link.zeroize(end).map_err(failed)?;
            self.board.shared().cleared = run;
        }
        if draft.enable {
            link.set_off(end, None).map_err(failed)?;
            self.board.shared().enabled = run;
        }
        Ok(())
    }
    fn state(&self) -> String {
        let link = self.end.link().state(self.end.end());
        let kept = self.board.shared();
        format!(
            "{link}\ndescription: {}, period: {}, failure mode: {}",
            kept.description.escape_ascii(),
            kept.period,
            kept.mode
        )
    }
    fn tick(&self) {
        self.end.link().tick();
    }
    fn quiet_for(&self) -> Duration {
        self.end.link().quiet_for()
    }
    fn fault(&self, fault: &DeviceFault) -> Result<(), String> {
        self.end.apply(fault)
    }
}
