//! ADVA FSP 3000R7: ADVA-FSPR7-MODULE-ENCRYPTION-MIB, 1.3.6.1.4.1.2544.1.11.5.1, at an end of a
//! pair whose exchanges two passwords authenticate.
//!
//! Chosen by this project, because the MIB does not specify it (see also [`crate::wire::snmp`]):
//!
//! - one module and one port, whose EntityIndex are examples; ifTable has a row with the number of
//!   the port; the tables with five indices do not exist; the agent has the ENTITY-MIB;
//! - a SET whose officer password is not accepted is answered without an error, as
//!   cryptoOfficerPasswordError has the result, and changes nothing of this MIB;
//! - the result is passwdValidationAborted if the password is missing, passwdRejected while the
//!   input is locked, passwdNotInit after a reset to factory, passwdTooSimple for a new officer
//!   password of fewer than eight characters; the lock takes 180 s and then forgets the failures;
//!   after a reset to factory a SET of a new officer password needs none before it;
//! - passwords and AuthKeys have no instance (noSuchInstance); an AuthKey has at least eight octets
//!   (wrongLength);
//! - an exchange takes 5 s, and is repeated 10 s after a failure, three times in all; the
//!   exchange at the end of the life time keeps the older session key for a minute more; the
//!   longest life time is four weeks;
//! - the forced condition is that of the end which forced the exchange, and begins with its
//!   success; no object shows it, so that its clearing has no effect;
//! - encryption returns 600 s after it was switched off, and the permission ends with it;
//!   EncryptionOff without permission and ResetToFactory without capability are inconsistentValue;
//!   EncryptionOffTimeRemaining is in seconds;
//! - commands read as released (1); the self test takes no time; errored and degraded seconds stay
//!   zero; the log has the last 32 events, indexed by number.

mod columns;
pub mod fuzz;
pub(super) mod profile;
#[cfg(test)]
mod tests;

pub use columns::Object;

use crate::{
    fault::{ApplyDeviceFault, DeviceFault},
    model::{
        encryptor::psk::{OnFailure, PskEndpoint, PskEvent, PskRules, Sends},
        fingerprint,
    },
    wire::snmp::{
        agent::{Agent, Mib},
        node::{Interface, Node, NodeOptions},
        values::{check_change, date_and_time, integer, octets, one_of},
    },
};
use qkd_driver_kit::link::snmp::{ErrorStatus, Oid, Value, VarBind};
use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use zeroize::Zeroizing;

/// Enterprise number of the vendor.
pub const ENTERPRISE: u32 = 2544;
/// sysObjectID and sysDescr as LibreNMS has them, in `tests/snmpsim/adva_fsp3kr7.snmprec`.
const PRODUCT: [u32; 11] = [1, 3, 6, 1, 4, 1, ENTERPRISE, 1, 11, 1, 1];
const DESCR: &str = "Fiber Service Platform F7";
const TRAPS: [u32; 12] = [1, 3, 6, 1, 4, 1, ENTERPRISE, 1, 11, 7, 5, 0];
/// neEventLogEntry.
const EVENT_LOG: [u32; 11] = [1, 3, 6, 1, 4, 1, ENTERPRISE, 2, 3, 2, 1];
/// EntityIndex of the port and of the module.
pub const PORT: u32 = 268_503_362;
/// EntityIndex of the module.
pub const MODULE: u32 = 134_285_634;

/// Times of the exchanges.
pub const RULES: PskRules = PskRules {
    duration: Duration::from_secs(5),
    retry: Some(Duration::from_secs(10)),
    attempts: Some(MAX_FAILURES),
};
/// Policy of the pair: see the life time in the module's description.
pub const ON_FAILURE: OnFailure = OnFailure::KeepForInterval(Duration::from_secs(60));
/// Failed exchanges, and wrong passwords, of which the MIB counts no more.
const MAX_FAILURES: u32 = 3;
const LOCK: Duration = Duration::from_secs(180);
const OFF_TIME: Duration = Duration::from_secs(600);
const MIN_SECRET: usize = 8;
const MAX_EVENTS: usize = 32;
/// CryptoFspR7SessionKeyLifetime, from lifetime30min(1), in minutes.
const LIFETIMES: [u64; 13] = [
    30, 60, 120, 180, 360, 720, 1440, 2880, 4320, 10_080, 20_160, 30_240, 40_320,
];
/// cryptoOfficerPasswordError.
const PASSWORD_OK: i32 = 1;
const PASSWORD_INVALID: i32 = 2;
const PASSWORD_REJECTED: i32 = 3;
const PASSWORD_NOT_INIT: i32 = 4;
const PASSWORD_TOO_SIMPLE: i32 = 5;
const VALIDATION_ABORTED: i32 = 6;
const NONE: i32 = 7;

/// Options of an agent.
#[derive(Clone)]
pub struct Options {
    /// Names of the node.
    pub node: NodeOptions,
    /// Password of the crypto officer.
    pub officer_password: Zeroizing<String>,
    /// Whether the module may be reset to factory over the network.
    pub reset: bool,
}

impl Options {
    /// A node of this name.
    #[must_use]
    pub fn named(name: &str, officer_password: &str) -> Self {
        Self {
            node: NodeOptions::named(name, ENTERPRISE),
            officer_password: Zeroizing::new(officer_password.to_owned()),
            reset: true,
        }
    }
}

#[derive(Clone)]
struct Logged {
    number: u32,
    at: Duration,
    trap: u32,
    about: u32,
}

/// State of the agent in addition to the model.
struct SharedState {
    officer: Option<Zeroizing<Vec<u8>>>,
    /// The officer's password at the start.
    first_officer: Zeroizing<Vec<u8>>,
    error: i32,
    request_id: u32,
    wrong: u32,
    locked_until: Option<Duration>,
    good_login: Option<Duration>,
    bad_login: Option<Duration>,
    lifetime: i32,
    off_permitted: bool,
    update_permitted: bool,
    firmware: Vec<u8>,
    /// Whether this end started the exchange in progress.
    forcing: bool,
    events: VecDeque<Logged>,
    logged: u32,
}

/// The state, shared with the listener of the model.
struct Board {
    node: Node,
    kept: Mutex<SharedState>,
}

impl Board {
    fn shared(&self) -> MutexGuard<'_, SharedState> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
    /// Logs an event and sends its notification.
    fn notify(&self, trap: u32, about: u32) {
        let at = self.node.clock().now();
        let number = {
            let mut kept = self.shared();
            // A Counter32 that is an index, too.
            kept.logged = kept.logged % i32::MAX.unsigned_abs() + 1;
            let number = kept.logged;
            if kept.events.len() == MAX_EVENTS {
                kept.events.pop_front();
            }
            kept.events.push_back(Logged {
                number,
                at,
                trap,
                about,
            });
            number
        };
        let bind =
            |column, value| VarBind::new(Oid::from(EVENT_LOG).child(&[column, number]), value);
        self.node.notify(
            Oid::from(TRAPS).child(&[trap]),
            vec![
                bind(2, date_and_time(Some(at))),
                bind(4, Value::text(name(about))),
            ],
        );
    }
    fn on_event(&self, event: &PskEvent) {
        match event {
            PskEvent::Succeeded { failures, .. } => {
                if *failures > 0 {
                    self.notify(147, PORT);
                }
                let forced = std::mem::take(&mut self.shared().forcing);
                if forced {
                    self.notify(151, PORT);
                }
            }
            PskEvent::Failed { last, sends, .. } => {
                self.shared().forcing = false;
                self.notify(146, PORT);
                // In service with the older session key.
                if *last && *sends == Sends::Encrypted {
                    self.notify(149, PORT);
                }
            }
            PskEvent::Sends(Sends::Clear) => self.notify(108, PORT),
            PskEvent::Sends(Sends::Nothing) => self.notify(150, PORT),
            // The time of clear traffic is over, and with it the permission.
            PskEvent::Sends(Sends::Encrypted) => self.shared().off_permitted = false,
            PskEvent::Alarm(asked) => self.notify(asked.parse().unwrap_or(385), MODULE),
        }
    }
}

/// neEventLogIdentityTranslation.
fn name(entity: u32) -> &'static str {
    if entity == PORT {
        "CH-1-1-N"
    } else {
        "MOD-1-1"
    }
}

/// The objects of one end.
pub struct AdvaR7 {
    end: Arc<PskEndpoint>,
    board: Arc<Board>,
    reset: bool,
}

/// Creates the agent of an end of a pair. Times are those of the clock of the pair.
#[must_use]
pub fn agent(end: PskEndpoint, options: Options) -> Arc<Agent<AdvaR7>> {
    let interfaces = vec![Interface {
        index: PORT,
        descr: "Channel 1-1-N, encrypted".to_owned(),
        name: name(PORT).to_owned(),
    }];
    let end = Arc::new(end);
    let chassis = Arc::clone(&end);
    let link = Arc::clone(end.link());
    let node = Node::new(
        link.clock().clone(),
        DESCR.to_owned(),
        Oid::from(PRODUCT),
        options.node,
        interfaces,
    )
    .with_chassis(move || chassis.identity());
    let officer = Zeroizing::new(options.officer_password.as_bytes().to_vec());
    let board = Arc::new(Board {
        node,
        kept: Mutex::new(SharedState {
            officer: Some(officer.clone()),
            first_officer: officer,
            error: NONE,
            request_id: 0,
            wrong: 0,
            locked_until: None,
            good_login: None,
            bad_login: None,
            lifetime: lifetime(link.interval(end.end())),
            off_permitted: false,
            update_permitted: false,
            firmware: Vec::new(),
            forcing: false,
            events: VecDeque::new(),
            logged: 0,
        }),
    });
    end.listen(&board, Board::on_event);
    Arc::new(Agent::new(AdvaR7 {
        end,
        board,
        reset: options.reset,
    }))
}

fn lifetime(interval: Duration) -> i32 {
    let n = LIFETIMES
        .iter()
        .position(|m| *m >= interval.as_secs() / 60)
        .unwrap_or(LIFETIMES.len() - 1);
    n as i32 + 1
}

/// Tested changes of a SET.
#[derive(Default)]
pub struct Draft {
    request_id: i32,
    password: Option<Zeroizing<Vec<u8>>>,
    /// Whether there is a change that the officer's password has to permit.
    guarded: bool,
    new_password: Option<Zeroizing<Vec<u8>>>,
    reset: bool,
    update_permitted: Option<bool>,
    firmware: Option<Vec<u8>>,
    self_test: bool,
    auth_key: Option<Zeroizing<Vec<u8>>>,
    lifetime: Option<i32>,
    off_permitted: Option<bool>,
    off: Option<bool>,
    exchange: bool,
}

/// A SnmpAdminString: UTF-8, at most 255 octets.
fn admin_string(value: &Value, least: usize) -> Result<&[u8], ErrorStatus> {
    let text = octets(value)?;
    if !(least..=255).contains(&text.len()) {
        Err(ErrorStatus::WrongLength)
    } else if std::str::from_utf8(text).is_err() {
        Err(ErrorStatus::WrongValue)
    } else {
        Ok(text)
    }
}

/// EnableDisable: enable(1), disable(2).
fn enabled(yes: bool) -> Value {
    Value::Integer(if yes { 1 } else { 2 })
}

fn seconds(time: Duration) -> Value {
    Value::Gauge32(u32::try_from(time.as_secs()).unwrap_or(u32::MAX))
}

impl AdvaR7 {
    fn now(&self) -> Duration {
        self.board.node.clock().now()
    }
    fn module_status(&self, column: u32) -> Option<Value> {
        let kept = self.board.shared();
        Some(match column {
            2 => Value::Gauge32(kept.wrong),
            3 => date_and_time(kept.good_login),
            4 => date_and_time(kept.bad_login),
            5 => enabled(self.reset),
            _ => return None,
        })
    }
    fn port(&self, column: u32) -> Option<Value> {
        let off = self.end.link().off_for(self.end.end()).is_some();
        let kept = self.board.shared();
        Some(match column {
            3 => Value::Integer(kept.lifetime),
            4 => enabled(kept.off_permitted),
            5 => Value::Integer(if off { 2 } else { 1 }),
            6 | 7 => Value::Integer(1),
            _ => return None,
        })
    }
    fn port_status(&self, column: u32) -> Option<Value> {
        let (link, end) = (self.end.link(), self.end.end());
        let session = link.session();
        Some(match column {
            2 => seconds(link.off_for(end).unwrap_or_default()),
            3 => Value::Gauge32(link.failures().0.min(MAX_FAILURES)),
            4 => date_and_time(session.map(|s| s.began)),
            5 => date_and_time(link.failed().1),
            6 => {
                let life = link.interval(0).min(link.interval(1));
                seconds(session.map_or(Duration::ZERO, |s| {
                    (s.began + life).saturating_sub(self.now())
                }))
            }
            7 => enabled(true),
            _ => return None,
        })
    }
    fn counter(&self, period: usize, column: u32) -> Option<Value> {
        let (encrypted, elapsed) = *self.end.link().encrypted_time(self.end.end()).get(period)?;
        Some(match column {
            1 => seconds(encrypted),
            2 | 3 => Value::Gauge32(0),
            4 => Value::Integer(i32::try_from(elapsed.as_secs()).unwrap_or(i32::MAX)),
            _ => return None,
        })
    }
    fn event(&self, column: u32, number: u32) -> Option<Value> {
        let event = {
            let kept = self.board.shared();
            kept.events.iter().find(|e| e.number == number)?.clone()
        };
        Some(match column {
            2 => date_and_time(Some(event.at)),
            3 => Value::ObjectId(Oid::from(TRAPS).child(&[event.trap])),
            4 => Value::text(name(event.about)),
            _ => return None,
        })
    }

    fn write_module(
        &self,
        draft: &mut Draft,
        column: u32,
        value: &Value,
    ) -> Result<(), ErrorStatus> {
        match column {
            2 => draft.new_password = Some(Zeroizing::new(admin_string(value, 0)?.to_vec())),
            3 => {
                draft.reset = one_of(value, &[1, 2])? == 2;
                if draft.reset && !self.reset {
                    return Err(ErrorStatus::InconsistentValue);
                }
            }
            4 => draft.update_permitted = Some(one_of(value, &[1, 2])? == 1),
            5 => draft.firmware = Some(admin_string(value, 0)?.to_vec()),
            6 => draft.self_test = one_of(value, &[1, 2])? == 2,
            _ => return Err(ErrorStatus::NotWritable),
        }
        Ok(())
    }
    fn write_port(&self, draft: &mut Draft, column: u32, value: &Value) -> Result<(), ErrorStatus> {
        match column {
            2 => draft.auth_key = Some(Zeroizing::new(admin_string(value, MIN_SECRET)?.to_vec())),
            3 => draft.lifetime = Some(integer(value, 1..=13)?),
            4 => draft.off_permitted = Some(one_of(value, &[1, 2])? == 1),
            5 => {
                let off = one_of(value, &[1, 2])? == 2;
                let permitted = draft
                    .off_permitted
                    .unwrap_or_else(|| self.board.shared().off_permitted);
                if off && !permitted {
                    return Err(ErrorStatus::InconsistentValue);
                }
                draft.off = Some(off);
            }
            6 => draft.exchange = one_of(value, &[1, 2])? == 2,
            7 => {
                one_of(value, &[1, 2])?;
            }
            _ => return Err(ErrorStatus::NotWritable),
        }
        Ok(())
    }

    /// Checks the officer's password, and returns cryptoOfficerPasswordError.
    fn check_password(&self, draft: &Draft) -> i32 {
        let now = self.now();
        let mut kept = self.board.shared();
        let new_only = draft.new_password.is_some() && kept.officer.is_none();
        if kept.locked_until.is_some_and(|until| now < until) {
            return PASSWORD_REJECTED;
        }
        if kept.locked_until.take().is_some() {
            kept.wrong = 0;
        }
        let right = match (&kept.officer, &draft.password) {
            (None, _) if new_only => true,
            (None, _) => return PASSWORD_NOT_INIT,
            (Some(_), None) => return VALIDATION_ABORTED,
            (Some(officer), Some(given)) => officer == given,
        };
        if !right {
            kept.bad_login = Some(now);
            kept.wrong += 1;
            if kept.wrong >= MAX_FAILURES {
                kept.locked_until = Some(now + LOCK);
                drop(kept);
                self.board.notify(222, MODULE);
            }
            return PASSWORD_INVALID;
        }
        (kept.wrong, kept.good_login) = (0, Some(now));
        if draft
            .new_password
            .as_ref()
            .is_some_and(|p| p.len() < MIN_SECRET)
        {
            return PASSWORD_TOO_SIMPLE;
        }
        PASSWORD_OK
    }

    fn apply_draft(&self, mut draft: Draft) -> Result<(), ErrorStatus> {
        let (link, end) = (self.end.link(), self.end.end());
        let failed = |_| ErrorStatus::CommitFailed;
        // First what the model can refuse, so that a refusal changes nothing.
        if let Some(key) = &draft.auth_key {
            link.set_secret(end, Some(key)).map_err(failed)?;
            self.board.notify(91, PORT);
        }
        if let Some(lifetime) = draft.lifetime {
            let minutes = LIFETIMES.get(lifetime as usize - 1).copied();
            link.set_interval(end, Duration::from_secs(60 * minutes.unwrap_or(30)))
                .map_err(failed)?;
            self.board.shared().lifetime = lifetime;
            self.board.notify(262, PORT);
        }
        if let Some(permitted) = draft.off_permitted {
            self.board.shared().off_permitted = permitted;
            if permitted {
                self.board.notify(103, PORT);
            } else {
                draft.off = Some(false);
            }
        }
        if let Some(off) = draft.off {
            link.set_off(end, off.then_some(OFF_TIME)).map_err(failed)?;
        }
        if draft.exchange {
            self.board.shared().forcing = true;
            link.force(end).map_err(failed)?;
        }
        if let Some(permitted) = draft.update_permitted {
            self.board.shared().update_permitted = permitted;
            if permitted {
                self.board.notify(131, MODULE);
            }
        }
        if let Some(firmware) = draft.firmware {
            self.board.shared().firmware = firmware;
        }
        if draft.self_test {
            self.board.notify(107, MODULE);
        }
        if let Some(password) = draft.new_password {
            self.board.shared().officer = Some(password);
            self.board.notify(105, MODULE);
        }
        if draft.reset {
            link.zeroize(end).map_err(failed)?;
            link.set_off(end, None).map_err(failed)?;
            {
                let mut kept = self.board.shared();
                kept.officer = None;
                (kept.off_permitted, kept.update_permitted) = (false, false);
                kept.forcing = false;
                kept.firmware.clear();
            }
            for (trap, about) in [(106, MODULE), (104, MODULE), (90, PORT)] {
                self.board.notify(trap, about);
            }
        }
        Ok(())
    }
}

impl Mib for AdvaR7 {
    type Object = Object;
    type Draft = Draft;

    const OBJECTS: &'static [(&'static [u32], Object)] = columns::OBJECTS;

    fn node(&self) -> &Node {
        &self.board.node
    }
    fn instances(&self, object: Object) -> Vec<Vec<u32>> {
        match object {
            Object::OfficerPassword
            | Object::PasswordError
            | Object::PasswordRequest
            | Object::EventsLogged => vec![vec![0]],
            Object::Module(_) | Object::ModuleStatus(_) => vec![vec![MODULE]],
            Object::Port(_) | Object::PortStatus(_) | Object::Quarter(_) | Object::Day(_) => {
                vec![vec![PORT]]
            }
            Object::Event(_) => {
                self.tick();
                let kept = self.board.shared();
                let mut all: Vec<_> = kept.events.iter().map(|e| vec![e.number]).collect();
                // The numbers begin anew after the largest one.
                all.sort_unstable();
                all
            }
        }
    }
    fn read(&self, object: Object, index: &[u32]) -> Option<Value> {
        self.tick();
        if let Object::Event(column) = object {
            return match index {
                [number] => self.event(column, *number),
                _ => None,
            };
        }
        if !self.instances(object).iter().any(|i| i == index) {
            return None;
        }
        match object {
            Object::OfficerPassword | Object::Module(2) | Object::Port(2) => None,
            Object::PasswordError => Some(Value::Integer(self.board.shared().error)),
            Object::PasswordRequest => Some(Value::Gauge32(self.board.shared().request_id)),
            Object::Module(4) => Some(enabled(self.board.shared().update_permitted)),
            Object::Module(5) => Some(Value::OctetString(self.board.shared().firmware.clone())),
            Object::Module(_) => Some(Value::Integer(1)),
            Object::ModuleStatus(column) => self.module_status(column),
            Object::Port(column) => self.port(column),
            Object::PortStatus(column) => self.port_status(column),
            Object::Quarter(column) => self.counter(0, column),
            Object::Day(column) => self.counter(1, column),
            Object::EventsLogged => Some(Value::Counter32(self.board.shared().logged)),
            Object::Event(_) => None,
        }
    }
    fn draft(&self) -> Draft {
        Draft::default()
    }
    fn set_request_id(&self, draft: &mut Draft, request_id: i32) {
        draft.request_id = request_id;
    }
    fn write(
        &self,
        draft: &mut Draft,
        object: Object,
        index: &[u32],
        value: &Value,
    ) -> Result<(), ErrorStatus> {
        let write: fn(&Self, &mut Draft, u32, &Value) -> Result<(), ErrorStatus>;
        let column = match object {
            Object::OfficerPassword => {
                if index != [0] {
                    return Err(ErrorStatus::NoCreation);
                }
                draft.password = Some(Zeroizing::new(admin_string(value, 0)?.to_vec()));
                return Ok(());
            }
            Object::Module(column) => {
                write = Self::write_module;
                column
            }
            Object::Port(column) => {
                write = Self::write_port;
                column
            }
            _ => return Err(ErrorStatus::NotWritable),
        };
        if !self.instances(object).iter().any(|i| i == index) {
            return Err(ErrorStatus::NoCreation);
        }
        check_change(self.end.change_faults())?;
        draft.guarded = true;
        write(self, draft, column, value)
    }
    fn commit(&self, draft: Draft) -> Result<(), ErrorStatus> {
        self.tick();
        let error = self.check_password(&draft);
        {
            let mut kept = self.board.shared();
            kept.error = error;
            kept.request_id = draft.request_id.cast_unsigned();
        }
        if error == PASSWORD_OK && draft.guarded {
            self.apply_draft(draft)
        } else {
            Ok(())
        }
    }
    fn state(&self) -> String {
        let link = self.end.link().state(self.end.end());
        let kept = self.board.shared();
        let SharedState {
            officer,
            lifetime,
            off_permitted,
            update_permitted,
            firmware,
            ..
        } = &*kept;
        let officer = officer
            .as_ref()
            .map_or_else(|| "none".to_owned(), |p| fingerprint(p));
        format!(
            "{link}\nofficer: {officer}, life time: {lifetime}, off permitted: {off_permitted}\n\
             firmware: {}, permitted: {update_permitted}",
            firmware.escape_ascii()
        )
    }
    fn tick(&self) {
        self.end.link().tick();
    }
    fn quiet_for(&self) -> Duration {
        self.end.link().quiet_for()
    }
    fn fault(&self, fault: &DeviceFault) -> Result<(), String> {
        match fault {
            DeviceFault::Operator(action) if action == "new-password" => {
                let new = Zeroizing::new(b"a password of another officer".to_vec());
                self.board.shared().officer = Some(new);
                return Ok(());
            }
            DeviceFault::Clear => {
                let mut kept = self.board.shared();
                kept.officer = Some(kept.first_officer.clone());
                (kept.wrong, kept.locked_until) = (0, None);
            }
            _ => {}
        }
        self.end.apply(fault)?;
        if *fault == DeviceFault::Reboot {
            self.board.notify(148, PORT);
        }
        Ok(())
    }
}
