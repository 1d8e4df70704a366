//! strongSwan: a pair of charon daemons, controlled over VICI.
//!
//! Sources: `src/libcharon/plugins/vici/README.md` of strongSwan, for packets, messages and
//! commands; RFC 8784 and RFC 7296. What the daemons do was recorded from two `charon-systemd`
//! 5.9.8 (Debian 5.9.8-5+deb12u6) with kernel-libipsec; its replies to faulty requests, its texts
//! of errors and the order of its events are those of the recording.
//!
//! Confirmed by the recording:
//! - The elements before a malformed one count, and the command is answered. A packet with another
//!   operation or an unreadable name is ignored. Only a length of more than 512 KiB ends the
//!   connection.
//! - A responder confirms PPKs if it has any PPK. Without a PPK of the initiator's id it goes on
//!   without one if neither end requires it; a PPK of this id with other octets always fails.
//! - `load-conn` replaces the connection for later SAs only. `rekey reauth=yes` uses the settings
//!   with which the SA was made, so also the PPK id of then; if that secret is gone, it fails, and
//!   the old SA stays.
//! - `unique=replace` deletes the older SA 10 s later, and at once if the new one is the only one
//!   that the initiator has. `initiate` with an `ike` that is established waits for its timeout.
//! - A rekeyed CHILD SA is listed for 5 s as `DELETED`; a reauthentication waits for its end.
//!
//! Inferred: `unique=keep`, `make_before_break=no`, `TS_UNACCEPTABLE`, and the port without
//! encapsulation, from the documentation and the source of strongSwan.
//!
//! Different from the real daemon: an exchange takes no time; nothing is rekeyed because of its
//! age; an exchange within an SA that a cut link interrupted is not repeated when the link is back;
//! `log` and `ike-update` are registered and never raised; `control-log` has the lines of the
//! groups IKE and CFG; other commands than those below are unknown; a COOKIE is never asked for;
//! traffic selectors meet if they are equal or `dynamic`; sections are nested 16 deep at most.

mod clients;
mod config;
mod daemon;
mod message;
pub(super) mod profile;
#[cfg(test)]
mod tests;

pub use daemon::Settings;

use crate::{
    clock::Clock,
    fault::{ApplyDeviceFault, DeviceFault, TextFormat},
    model::{change_faults::ChangeFaults, encryptor::Traffic, fingerprint},
    wire::{Reply, Session, extend_wiped},
};
use config::Connection;
use daemon::{IkeState, MAX_LOADED, Secret, SecretKind, State, Waiter};
use message::{Content, MAX_PACKET, Message, Writer, operation, packet, printable, request};
use std::{
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::Duration,
};
use zeroize::Zeroizing;

/// Time at which every daemon was first started, for `stats`: seconds since 1970.
const EPOCH: Duration = Duration::from_secs(1_767_225_600);

/// Two daemons with a link between them.
pub struct CharonPair {
    clock: Clock,
    faults: [ChangeFaults; 2],
    state: Mutex<State>,
}

impl CharonPair {
    /// Creates a pair without connections, secrets and SAs.
    #[must_use]
    pub fn new(clock: Clock, settings: Settings, seed: u64) -> Arc<Self> {
        let state = Mutex::new(State::new(settings, clock.now(), seed));
        Arc::new(Self {
            clock,
            faults: Default::default(),
            state,
        })
    }

    fn with<T>(&self, run: impl FnOnce(&mut State) -> T) -> T {
        let now = self.clock.now();
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.advance(now);
        run(&mut state)
    }

    /// Creates the session of a new connection to the daemon of end 0 or 1.
    #[must_use]
    pub fn session(self: &Arc<Self>, end: usize) -> Box<dyn Session> {
        let end = end & 1;
        Box::new(Vici {
            client: self.with(|s| s.daemons[end].clients.connect()),
            pair: Arc::clone(self),
            end,
            input: Zeroizing::default(),
            pending: None,
        })
    }

    /// Packets that an end was offered, since the start.
    #[must_use]
    pub fn traffic_from(&self, end: usize) -> Traffic {
        self.with(|s| s.traffic[end & 1])
    }

    /// Returns the state of an end that commands can change, as text; a secret is shown as a
    /// fingerprint.
    #[must_use]
    pub fn state(&self, end: usize) -> String {
        self.with(|s| {
            let daemon = &s.daemons[end & 1];
            let secrets = daemon.secrets.iter().map(|secret| {
                let id = secret.id.as_deref().unwrap_or("without id");
                let Secret { kind, owners, .. } = secret;
                let shown = fingerprint(&secret.data);
                format!("secret {id}: {kind:?} of {owners:?}: {shown}")
            });
            let connections = daemon
                .connections
                .iter()
                .map(|c| format!("connection {}: {:?}, {:?}", c.name, c.peer, c.children));
            let sas = daemon.sas.iter().map(|sa| {
                let children: Vec<_> = sa
                    .children
                    .iter()
                    .map(|c| format!("{}-{}: {:?}", c.name, c.id, c.state))
                    .collect();
                format!(
                    "IKE SA {}[{}]: {:?}, PPK {:?}, {children:?}",
                    sa.name(),
                    sa.id,
                    sa.state,
                    sa.ppk
                )
            });
            let lines: Vec<_> = secrets.chain(connections).chain(sas).collect();
            lines.join("\n")
        })
    }

    /// Cuts the link between the daemons, or mends it.
    pub fn set_cut(&self, is_cut: bool) {
        self.with(|s| s.is_cut = is_cut);
    }

    /// Loads a connection, the secret of both identities and a PPK at an end, now and after each
    /// start.
    fn load(
        &self,
        end: usize,
        connection: Connection,
        ike: &[u8],
        identities: [&str; 2],
        (id, ppk): (&str, &[u8]),
    ) {
        let secret = |id: &str, kind, owners: &[&str], data: &[u8]| Secret {
            id: Some(id.to_owned()),
            kind,
            owners: owners.iter().map(|owner| (*owner).to_owned()).collect(),
            data: Zeroizing::new(data.to_vec()),
        };
        self.with(|s| {
            let secrets = vec![
                secret("ike", SecretKind::Ike, &identities, ike),
                secret(id, SecretKind::Ppk, &[id], ppk),
            ];
            s.startup[end & 1] = (vec![Arc::new(connection)], secrets);
            s.load_startup(end & 1);
        });
    }

    /// Initiates the CHILD SA of this name at an end.
    fn bring_up(&self, end: usize, name: &str) -> Result<(), String> {
        let waiter: Waiter = Arc::new(OnceLock::new());
        self.with(|s| {
            let all = &s.daemons[end & 1].connections;
            let found = all.iter().find(|c| c.child(name).is_some()).cloned();
            let found = found.ok_or_else(|| format!("there is no connection `{name}`"))?;
            s.initiate(end & 1, found, Some(name), None, &waiter)
        })?;
        match waiter.get() {
            Some(true) => Ok(()),
            _ => Err(format!("connection `{name}` could not be established")),
        }
    }

    fn take_change(&self, end: usize) -> Result<(), String> {
        self.faults[end & 1]
            .check()
            .map_err(|_| "refused by a fault of the emulator".to_owned())
    }
}

/// One end of a pair, for faults.
pub struct CharonEnd {
    pair: Arc<CharonPair>,
    end: usize,
}

impl CharonEnd {
    /// End 0 or 1.
    #[must_use]
    pub fn new(pair: Arc<CharonPair>, end: usize) -> Self {
        Self { pair, end: end & 1 }
    }
}

impl ApplyDeviceFault for CharonEnd {
    fn apply(&self, fault: &DeviceFault) -> Result<(), String> {
        let Self { pair, end } = self;
        match fault {
            DeviceFault::Reboot => pair.with(|s| s.restart(*end)),
            DeviceFault::Refuse(n) => pair.faults[*end].refuse(*n),
            DeviceFault::Cut(None) => pair.set_cut(true),
            DeviceFault::Operator(action) if action == "terminate" => {
                pair.with(|s| s.delete_all(*end));
            }
            DeviceFault::Operator(action) if action == "alter-ppk" => {
                return pair.with(|s| {
                    let mut secrets = s.daemons[*end].secrets.iter_mut().rev();
                    let last = secrets.find(|secret| secret.kind == SecretKind::Ppk);
                    let octet = last.and_then(|secret| secret.data.last_mut());
                    octet
                        .map(|octet| *octet ^= 1)
                        .ok_or_else(|| "there is no PPK".to_owned())
                });
            }
            DeviceFault::Clear => {
                pair.faults[*end].clear();
                pair.set_cut(false);
            }
            other => {
                return Err(format!(
                    "charon has no fault {other:?}; it has reboot, refuse, cut, \
                     operator=terminate, operator=alter-ppk, clear"
                ));
            }
        }
        Ok(())
    }
}

/// A command that waits.
struct Pending {
    /// When it ends without a result.
    deadline: Option<Duration>,
    timeout: i64,
    what: Wait,
}

enum Wait {
    /// Kind and name of what is initiated.
    Initiate(&'static str, String, Waiter),
    /// The SAs that are to end.
    Terminate(Vec<u32>),
}

/// One connection to a daemon.
struct Vici {
    pair: Arc<CharonPair>,
    end: usize,
    client: u64,
    /// Input that is not used yet. Requests may hold keys.
    input: Zeroizing<Vec<u8>>,
    /// One command at a time.
    pending: Option<Pending>,
}

impl Drop for Vici {
    fn drop(&mut self) {
        let (end, client) = (self.end, self.client);
        self.pair
            .with(|s| s.daemons[end].clients.disconnect(client));
    }
}

/// Octets that may wait until a command has ended.
const MAX_INPUT: usize = 2 * (MAX_PACKET + 4);

impl Session for Vici {
    fn feed(&mut self, bytes: &[u8]) -> Vec<Reply> {
        if self.input.len() + bytes.len() > MAX_INPUT {
            return vec![Reply::hang_up()];
        }
        extend_wiped(&mut self.input, bytes);
        self.run()
    }
    fn text_format(&self) -> TextFormat {
        TextFormat::Vici
    }
    fn is_waiting(&self) -> bool {
        let (end, client) = (self.end, self.client);
        self.pending.is_some()
            || self
                .pair
                .with(|s| s.daemons[end].clients.is_listening(client))
    }
    fn poll(&mut self) -> Vec<Reply> {
        self.run()
    }
}

impl Vici {
    /// Does what is possible: events first, then the reply of the command that waits, then what
    /// has come since.
    fn run(&mut self) -> Vec<Reply> {
        let input = std::mem::take(&mut self.input);
        let (mut rest, mut replies) = (&input[..], Vec::new());
        while self.settle(&mut replies) {
            let Some((length, after)) = rest.split_first_chunk::<4>() else {
                break;
            };
            let length = u32::from_be_bytes(*length) as usize;
            if length > MAX_PACKET {
                replies.push(Reply::hang_up());
                break;
            }
            let Some((packet, after)) = after.split_at_checked(length) else {
                break;
            };
            rest = after;
            let answer = self.answer(packet);
            self.take_events(&mut replies);
            replies.extend(answer.map(Reply::bytes));
        }
        self.input = if rest.len() == input.len() {
            input
        } else {
            Zeroizing::new(rest.to_vec())
        };
        replies
    }

    fn take_events(&self, replies: &mut Vec<Reply>) {
        let (end, client) = (self.end, self.client);
        let events = self.pair.with(|s| s.daemons[end].clients.take(client));
        replies.extend(events.into_iter().map(Reply::bytes));
    }

    /// Sends what has become known; whether the next command may begin.
    fn settle(&mut self, replies: &mut Vec<Reply>) -> bool {
        let done = self
            .pending
            .as_ref()
            .and_then(|pending| self.outcome(pending));
        self.take_events(replies);
        if let Some(reply) = done {
            self.pending = None;
            replies.push(Reply::bytes(reply.response()));
        }
        self.pending.is_none()
    }

    /// Answers a packet. `None`: it is ignored, or its reply comes later.
    fn answer(&mut self, packet: &[u8]) -> Option<Vec<u8>> {
        let (operation, name, message) = request(packet)?;
        let (end, client) = (self.end, self.client);
        match operation {
            operation::CMD_REQUEST => self.command(name, &Message::read(message)),
            operation::EVENT_REGISTER => {
                let known = self
                    .pair
                    .with(|s| s.daemons[end].clients.register(client, name));
                Some(confirmed(known))
            }
            _ => {
                let known = self
                    .pair
                    .with(|s| s.daemons[end].clients.unregister(client, name));
                Some(confirmed(known))
            }
        }
    }

    /// The reply of a command that waits, if it is known by now.
    fn outcome(&self, pending: &Pending) -> Option<Writer> {
        let end = self.end;
        let now = self.pair.clock.now();
        let is_late = pending.deadline.is_some_and(|deadline| now >= deadline);
        match &pending.what {
            Wait::Initiate(kind, name, waiter) => {
                self.pair.with(|_| ());
                match waiter.get() {
                    Some(true) => Some(Writer::outcome(Ok(()))),
                    Some(false) => {
                        let why = format!("establishing {kind} '{name}' failed");
                        Some(Writer::outcome(Err(why)))
                    }
                    None if is_late => {
                        let timeout = pending.timeout;
                        let why = format!("{kind} '{name}' not established after {timeout}ms");
                        Some(Writer::outcome(Err(why)))
                    }
                    None => None,
                }
            }
            Wait::Terminate(ids) => {
                let left = self.pair.with(|s| {
                    ids.iter()
                        .filter(|id| s.daemons[end].sa(**id).is_some())
                        .count()
                });
                (left == 0 || is_late).then(|| terminated(ids.len(), ids.len() - left))
            }
        }
    }

    /// Does a command. `None`: its reply comes later.
    fn command(&mut self, name: &str, message: &Message) -> Option<Vec<u8>> {
        let end = self.end;
        let reply = match name {
            "version" => self.version(),
            "stats" => self.stats(),
            "load-conn" => Writer::outcome(self.load_conn(message)),
            "unload-conn" => Writer::outcome(self.unload_conn(message)),
            "get-conns" => {
                let mut reply = Writer::default();
                self.pair.with(|s| {
                    let all = &s.daemons[end].connections;
                    reply.list("conns", all.iter().map(|c| c.name.as_str()));
                });
                reply
            }
            "list-conns" => {
                self.list_conns(message);
                Writer::default()
            }
            "load-shared" => Writer::outcome(self.load_shared(message)),
            "unload-shared" => Writer::outcome(self.unload_shared(message)),
            "get-shared" => {
                let mut reply = Writer::default();
                self.pair.with(|s| {
                    let all = s.daemons[end].secrets.iter();
                    reply.list("keys", all.filter_map(|secret| secret.id.as_deref()));
                });
                reply
            }
            "clear-creds" => {
                self.pair.with(|s| s.daemons[end].secrets.clear());
                Writer::outcome(Ok(()))
            }
            "list-sas" => {
                self.list_sas(message);
                Writer::default()
            }
            "initiate" => self.initiate(message)?,
            "terminate" => self.terminate(message)?,
            "rekey" => self.rekey(message),
            _ => return Some(packet(operation::CMD_UNKNOWN, None, &[])),
        };
        Some(reply.response())
    }

    fn version(&self) -> Writer {
        let mut reply = Writer::default();
        self.pair.with(|s| {
            reply
                .value("daemon", "charon-systemd")
                .value("version", &s.settings.version)
                .value("sysname", "Linux")
                .value("release", "6.1.0")
                .value("machine", "x86_64");
        });
        reply
    }

    fn stats(&self) -> Writer {
        let mut reply = Writer::default();
        self.pair.with(|s| {
            let daemon = &s.daemons[self.end];
            let uptime = s.now.saturating_sub(daemon.started);
            let half_open = daemon
                .sas
                .iter()
                .filter(|sa| sa.state == IkeState::Connecting);
            let half_open = half_open.count();
            let levels = ["critical", "high", "medium", "low"];
            reply
                .section("uptime", |m| {
                    m.value("running", relative(uptime.as_secs()))
                        .value("since", date(EPOCH + daemon.started));
                })
                .section("workers", |m| {
                    m.value("total", 16)
                        .value("idle", 11)
                        .section("active", |m| {
                            for (level, n) in levels.into_iter().zip([4, 0, 1, 0]) {
                                m.value(level, n);
                            }
                        });
                })
                .section("queues", |m| {
                    for level in levels {
                        m.value(level, 0);
                    }
                })
                .value("scheduled", 0)
                .section("ikesas", |m| {
                    m.value("total", daemon.sas.len())
                        .value("half-open", half_open);
                })
                .list(
                    "plugins",
                    ["charon-systemd", "openssl", "kernel-libipsec", "vici"],
                );
        });
        reply
    }

    fn load_conn(&self, message: &Message) -> Result<(), String> {
        if !message.is_whole {
            return Err("parsing request failed".to_owned());
        }
        for element in &message.elements {
            let Content::Section(inner) = &element.content else {
                continue;
            };
            let new = Connection::read(&element.name, inner)?;
            self.pair.take_change(self.end)?;
            self.pair.with(|s| {
                let daemon = &mut s.daemons[self.end];
                let place = daemon.connections.iter().position(|c| c.name == new.name);
                let Some(place) = place else {
                    if daemon.connections.len() >= MAX_LOADED {
                        return Err("too many connections".to_owned());
                    }
                    daemon.connections.push(Arc::new(new));
                    return Ok(());
                };
                // A connection that differs in its children only is updated, also for its SAs.
                let old = Arc::clone(&daemon.connections[place]);
                let new = Arc::new(new);
                if old.peer == new.peer {
                    for sa in daemon.sas.iter_mut().filter(|sa| sa.connection == old) {
                        sa.connection = Arc::clone(&new);
                    }
                }
                daemon.connections[place] = new;
                Ok(())
            })?;
        }
        Ok(())
    }

    fn unload_conn(&self, message: &Message) -> Result<(), String> {
        let name = message
            .text("name")
            .ok_or("unload: missing connection name")?;
        self.pair.take_change(self.end)?;
        self.pair.with(|s| {
            let all = &mut s.daemons[self.end].connections;
            let place = all.iter().position(|c| c.name == name);
            let place = place.ok_or_else(|| format!("unload: connection '{name}' not found"))?;
            all.remove(place);
            Ok(())
        })
    }

    fn list_conns(&self, message: &Message) {
        let filter = message.text("ike");
        self.pair.with(|s| {
            let daemon = &mut s.daemons[self.end];
            for connection in &daemon.connections {
                if filter.is_none_or(|name| connection.name == name) {
                    let mut event = Writer::default();
                    connection.write(&mut event);
                    daemon.clients.send_to(self.client, "list-conn", event);
                }
            }
        });
    }

    fn load_shared(&self, message: &Message) -> Result<(), String> {
        let kind = message.text("type").ok_or("shared key type missing")?;
        let kind = match kind.to_ascii_lowercase().as_str() {
            "ike" => SecretKind::Ike,
            "ppk" => SecretKind::Ppk,
            "eap" | "xauth" | "ntlm" => SecretKind::Other,
            _ => return Err(format!("invalid shared key type: {kind}")),
        };
        let data = message.value("data").filter(|data| !data.is_empty());
        let data = data.ok_or("shared key data missing")?;
        let owners = message.list("owners").iter().map(|owner| {
            let text = printable(owner).map(str::to_owned);
            text.ok_or_else(|| "parsing shared key owners failed".to_owned())
        });
        let secret = Secret {
            id: message.text("id").map(str::to_owned),
            kind,
            owners: owners.collect::<Result<_, _>>()?,
            data: Zeroizing::new(data.to_vec()),
        };
        self.pair.take_change(self.end)?;
        self.pair.with(|s| {
            let secrets = &mut s.daemons[self.end].secrets;
            if secret.id.is_some() {
                secrets.retain(|known| known.id != secret.id);
            }
            if secrets.len() >= MAX_LOADED {
                return Err("too many secrets".to_owned());
            }
            secrets.push(secret);
            Ok(())
        })
    }

    fn unload_shared(&self, message: &Message) -> Result<(), String> {
        let id = message.text("id").ok_or("unique identifier missing")?;
        self.pair.take_change(self.end)?;
        // An unknown id causes no error.
        self.pair.with(|s| {
            let secrets = &mut s.daemons[self.end].secrets;
            secrets.retain(|secret| secret.id.as_deref() != Some(id));
        });
        Ok(())
    }

    fn list_sas(&self, message: &Message) {
        let (ike, ike_id) = (message.text("ike"), message.number("ike-id"));
        self.pair.with(|s| {
            let now = s.now;
            let daemon = &mut s.daemons[self.end];
            for sa in &daemon.sas {
                if ike.is_none_or(|name| sa.name() == name)
                    && ike_id.is_none_or(|id| id == i64::from(sa.id))
                {
                    let mut event = Writer::default();
                    sa.write_all(&mut event, self.end, now);
                    daemon.clients.send_to(self.client, "list-sa", event);
                }
            }
        });
    }

    /// The client that follows a command, and the time at which the command ends. A timeout of -1
    /// returns at once, and without a log.
    fn follow(&self, message: &Message) -> (Option<u64>, i64, Option<Duration>) {
        let level = message.number("loglevel").unwrap_or(1);
        let timeout = message.number("timeout").unwrap_or(0);
        self.pair.with(|s| {
            s.daemons[self.end]
                .clients
                .set_log_level(self.client, level)
        });
        let client = (timeout >= 0).then_some(self.client);
        let limit = u64::try_from(timeout).ok().filter(|limit| *limit > 0);
        let deadline = limit.map(|limit| self.pair.clock.now() + Duration::from_millis(limit));
        (client, timeout, deadline)
    }

    fn initiate(&mut self, message: &Message) -> Option<Writer> {
        let (child, ike) = (message.text("child"), message.text("ike"));
        let (client, timeout, deadline) = self.follow(message);
        let (kind, name) = match (child, ike) {
            (Some(child), _) => ("CHILD_SA", child),
            (None, Some(ike)) => ("IKE_SA", ike),
            (None, None) => {
                return Some(Writer::outcome(
                    Err("missing configuration name".to_owned()),
                ));
            }
        };
        let waiter: Waiter = Arc::new(OnceLock::new());
        let end = self.end;
        let begun = self.pair.with(|s| {
            let fits = |c: &&Arc<Connection>| {
                ike.is_none_or(|ike| c.name == ike)
                    && child.is_none_or(|child| c.child(child).is_some())
            };
            let found = s.daemons[end].connections.iter().find(fits).cloned();
            let found = found.ok_or_else(|| format!("{kind} config '{name}' not found"))?;
            s.initiate(end, found, child, client, &waiter)
        });
        if let Err(why) = begun {
            return Some(Writer::outcome(Err(why)));
        }
        if timeout < 0 {
            return Some(Writer::outcome(Ok(())));
        }
        self.wait(
            deadline,
            timeout,
            Wait::Initiate(kind, name.to_owned(), waiter),
        )
    }

    /// Waits for the outcome of a command, unless it is known.
    fn wait(&mut self, deadline: Option<Duration>, timeout: i64, what: Wait) -> Option<Writer> {
        let pending = Pending {
            deadline,
            timeout,
            what,
        };
        let outcome = self.outcome(&pending);
        if outcome.is_none() {
            self.pending = Some(pending);
        }
        outcome
    }

    /// The SAs that a command names: whether they are CHILD SAs, and their ids.
    fn selected(&self, message: &Message) -> Option<(bool, Vec<u32>)> {
        let (child, ike) = (message.text("child"), message.text("ike"));
        let id = |name| message.number(name).filter(|id| *id != 0);
        let (child_id, ike_id) = (id("child-id"), id("ike-id"));
        let children = child.is_some() || child_id.is_some();
        if !children && ike.is_none() && ike_id.is_none() {
            return None;
        }
        let ids = self.pair.with(|s| {
            let by_name = |sa: &&daemon::IkeSa| ike.is_none_or(|ike| sa.name() == ike);
            let by_id = |sa: &&daemon::IkeSa| ike_id.is_none_or(|id| id == i64::from(sa.id));
            let sas = s.daemons[self.end].sas.iter().filter(by_name).filter(by_id);
            if children {
                sas.flat_map(|sa| &sa.children)
                    .filter(|c| child.is_none_or(|child| c.name == child))
                    .filter(|c| child_id.is_none_or(|id| id == i64::from(c.id)))
                    .map(|c| c.id)
                    .collect()
            } else {
                sas.map(|sa| sa.id).collect()
            }
        });
        Some((children, ids))
    }

    fn terminate(&mut self, message: &Message) -> Option<Writer> {
        let Some((children, ids)) = self.selected(message) else {
            return Some(Writer::outcome(
                Err("missing terminate selector".to_owned()),
            ));
        };
        let (client, timeout, deadline) = self.follow(message);
        let end = self.end;
        if children {
            let done = ids.iter().filter(|id| {
                self.pair.with(|s| {
                    for sa in &mut s.daemons[end].sas {
                        sa.set_client(client);
                    }
                    s.delete_child(end, **id)
                })
            });
            let done = done.count();
            return Some(terminated(ids.len(), done));
        }
        self.pair.with(|s| {
            for id in &ids {
                if let Some(sa) = s.daemons[end].sa(*id) {
                    sa.set_client(client);
                }
                s.delete(end, *id);
            }
        });
        if timeout < 0 {
            return Some(terminated(ids.len(), ids.len()));
        }
        self.wait(deadline, timeout, Wait::Terminate(ids))
    }

    fn rekey(&self, message: &Message) -> Writer {
        let Some((children, ids)) = self.selected(message) else {
            return Writer::outcome(Err("missing rekey selector".to_owned()));
        };
        let anew = message.flag("reauth");
        self.pair.with(|s| {
            for id in &ids {
                match (children, anew) {
                    (true, _) => s.rekey_child(self.end, *id),
                    (false, false) => s.rekey(self.end, *id),
                    (false, true) => s.reauthenticate(self.end, *id),
                }
            }
        });
        let mut reply = Writer::default();
        let success = if ids.is_empty() { "no" } else { "yes" };
        reply.value("success", success).value("matches", ids.len());
        if ids.is_empty() {
            reply.value("errmsg", "no matching SAs to rekey found");
        }
        reply
    }
}

fn confirmed(known: bool) -> Vec<u8> {
    let operation = if known {
        operation::EVENT_CONFIRM
    } else {
        operation::EVENT_UNKNOWN
    };
    packet(operation, None, &[])
}

/// The reply of `terminate`.
fn terminated(matches: usize, done: usize) -> Writer {
    let why = match (matches, done) {
        (0, _) => Some("no matching SAs to terminate found"),
        (n, done) if done == n => None,
        (1, _) => Some("terminating SA failed"),
        _ => Some("not all matching SAs could be terminated"),
    };
    let mut reply = Writer::default();
    reply
        .value("success", if why.is_none() { "yes" } else { "no" })
        .value("matches", matches)
        .value("terminated", done);
    if let Some(why) = why {
        reply.value("errmsg", why);
    }
    reply
}

/// A time as charon writes it: in the largest unit of which there are more than two.
fn relative(seconds: u64) -> String {
    let units = [(86_400, "days"), (3600, "hours"), (60, "minutes")];
    let fits = units.into_iter().find(|(size, _)| seconds > 2 * size);
    let (size, unit) = fits.unwrap_or((1, "seconds"));
    let n = seconds / size;
    let unit = if n == 1 {
        unit.trim_end_matches('s')
    } else {
        unit
    };
    format!("{n} {unit}")
}

/// A time as charon writes it, such as `Nov 30 18:03:36 2026`.
fn date(since_1970: Duration) -> String {
    let whole = Duration::from_secs(since_1970.as_secs());
    let stamp = humantime::format_rfc3339_seconds(std::time::UNIX_EPOCH + whole).to_string();
    let months = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let month = stamp.get(5..7).and_then(|m| m.parse::<usize>().ok());
    let month = month.and_then(|m| months.get(m - 1)).unwrap_or(&months[0]);
    let part = |range| stamp.get(range).unwrap_or_default();
    format!("{month} {} {} {}", part(8..10), part(11..19), part(0..4))
}

/// Drives a daemon with arbitrary bytes.
pub fn fuzz(input: &[u8]) {
    let pair = CharonPair::new(Clock::manual(), Settings::default(), 1);
    pair.session(0).feed(input);
}
