//! Two charon daemons and the link between them.
//!
//! An exchange of messages takes no time while the link works. If the link is cut, or the other
//! daemon does not know the SA, a request is sent again after 4.0, 7.2, 13.0, 23.3 and 42.0 s, and
//! the daemon gives up after another 75.6 s, as charon's default settings say.

mod authentication;
mod listing;
mod rekeying;

use super::{
    clients::Clients,
    config::{Algorithms, Child, Connection, Peer, Unique, common},
    message::{Value, Writer},
};
use crate::model::encryptor::{FrameMeter, Traffic};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha12Rng;
use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

/// Addresses of the two hosts.
pub(super) const HOSTS: [&str; 2] = ["192.0.2.1", "192.0.2.2"];
/// Octets of a packet before encryption, which is what charon counts.
const PACKET: u64 = 84;
/// Times between the requests of an exchange: 4 s × 1.8ⁿ.
const RETRANSMITS: [Duration; 6] = [
    Duration::from_millis(4000),
    Duration::from_millis(7200),
    Duration::from_millis(12_960),
    Duration::from_millis(23_328),
    Duration::from_millis(41_990),
    Duration::from_millis(75_583),
];
/// Lifetime of an IKE SA that is half-open at the responder.
const HALF_OPEN: Duration = Duration::from_secs(30);
/// Time after which `unique=replace` deletes the older SA: measured at charon 5.9.8.
const REPLACED: Duration = Duration::from_secs(10);
/// Time for which a rekeyed CHILD SA stays: measured at charon 5.9.8.
const REKEYED: Duration = Duration::from_secs(5);
/// Time after which a delayed reauthentication is tried again. charon's is random.
const REAUTH_RETRY: Duration = Duration::from_secs(13);
/// Most SAs of a daemon, and most secrets and connections that are loaded.
const MAX_SAS: usize = 256;
pub(super) const MAX_LOADED: usize = 1024;

/// Kind of a shared secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SecretKind {
    Ike,
    Ppk,
    /// EAP, XAuth or NTLM: kept, and not used.
    Other,
}

#[derive(Clone)]
pub(super) struct Secret {
    /// `None` for one that was loaded without an id.
    pub(super) id: Option<String>,
    pub(super) kind: SecretKind,
    /// Identities; an empty list means all.
    pub(super) owners: Vec<String>,
    pub(super) data: Value,
}

impl Secret {
    /// Rank of an identity: 2 if it is named, 1 if all are.
    fn matches(&self, identity: &str) -> u8 {
        if self.owners.iter().any(|owner| owner == identity) {
            2
        } else {
            u8::from(self.owners.is_empty() || self.owners.iter().any(|o| o == "%any"))
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum IkeState {
    Connecting,
    Established,
    Rekeying,
    Deleting,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ChildState {
    Installed,
    /// Replaced; its packets are still received.
    Rekeyed,
    Deleted,
}

/// A CHILD SA as one end has it.
#[derive(Clone)]
pub(super) struct ChildSa {
    pub(super) id: u32,
    pub(super) name: String,
    /// Names the same SA at the other end.
    pub(super) pair: u64,
    pub(super) reqid: u32,
    pub(super) state: ChildState,
    pub(super) spis: [u32; 2],
    algorithms: Algorithms,
    ts: [Vec<String>; 2],
    encap: bool,
    installed: Duration,
    packets: [u64; 2],
    used: [Option<Duration>; 2],
}

/// An IKE SA as one end has it.
#[derive(Clone)]
pub(super) struct IkeSa {
    pub(super) id: u32,
    /// Names the same SA at the other end.
    pub(super) pair: u64,
    /// The settings with which it was made; a connection that is loaded later does not change them.
    pub(super) connection: Arc<Connection>,
    is_named: bool,
    pub(super) is_initiator: bool,
    pub(super) state: IkeState,
    spis: [u64; 2],
    algorithms: Algorithms,
    /// Id of the PPK in use.
    pub(super) ppk: Option<String>,
    established: Duration,
    pub(super) children: Vec<ChildSa>,
    /// The CHILD SA to make once it is established.
    wanted: Option<String>,
    /// Told whether the initiation succeeded.
    waiter: Option<Waiter>,
    /// The client that sees the log of the present command.
    client: Option<u64>,
}

/// Outcome of an initiation, once it is known.
pub(super) type Waiter = Arc<OnceLock<bool>>;

/// An event that no command causes directly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Due {
    /// Request number n of an initiation, or of a deletion, is sent again.
    Retransmit(usize),
    HalfOpenEnds,
    /// The older SA is deleted, because its connection is to be unique.
    Replaced,
    ChildGone(u32),
    Reauthenticate,
}

struct Timer {
    at: Duration,
    end: usize,
    sa: u32,
    due: Due,
}

/// One daemon.
pub(super) struct Daemon {
    pub(super) started: Duration,
    pub(super) secrets: Vec<Secret>,
    pub(super) connections: Vec<Arc<Connection>>,
    pub(super) sas: Vec<IkeSa>,
    next_sa: u32,
    next_child: u32,
    next_reqid: u32,
    pub(super) clients: Clients,
}

impl Daemon {
    fn new(started: Duration) -> Self {
        Self {
            started,
            secrets: Vec::new(),
            connections: Vec::new(),
            sas: Vec::new(),
            next_sa: 1,
            next_child: 1,
            next_reqid: 1,
            clients: Clients::default(),
        }
    }
    pub(super) fn sa(&mut self, id: u32) -> Option<&mut IkeSa> {
        self.sas.iter_mut().find(|sa| sa.id == id)
    }
    fn by_pair(&mut self, pair: u64) -> Option<&mut IkeSa> {
        self.sas.iter_mut().find(|sa| sa.pair == pair)
    }
    /// The secret of this kind that fits an identity, or two, best.
    fn secret(&self, kind: SecretKind, identities: &[&str]) -> Option<&Secret> {
        let rank = |secret: &&Secret| {
            let each = identities.iter().map(|identity| secret.matches(identity));
            each.clone().all(|m| m > 0).then(|| each.sum::<u8>())
        };
        let of_kind = self.secrets.iter().filter(|s| s.kind == kind);
        of_kind
            .filter(|s| rank(s).is_some())
            .max_by_key(|s| rank(s).unwrap_or(0))
    }
}

/// Fixed properties of the pair.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Packets offered to each daemon, per second.
    pub packets_per_second: f64,
    /// Version that the daemons report.
    pub version: String,
    /// Whether a reauthentication makes the new SA before the old one ends.
    pub make_before_break: bool,
    /// Whether packets without an SA reach the other host in clear; otherwise they are blocked.
    pub clear_route: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            packets_per_second: 100.0,
            version: "5.9.8".to_owned(),
            make_before_break: true,
            clear_route: false,
        }
    }
}

/// Both daemons, and what is between them.
pub(super) struct State {
    pub(super) settings: Settings,
    pub(super) daemons: [Daemon; 2],
    pub(super) is_cut: bool,
    pub(super) now: Duration,
    timers: Vec<Timer>,
    random: ChaCha12Rng,
    next_pair: u64,
    meters: [FrameMeter; 2],
    pub(super) traffic: [Traffic; 2],
    /// Connections and secrets that the host of each end loads when it starts.
    pub(super) startup: [(Vec<Arc<Connection>>, Vec<Secret>); 2],
}

/// Why an exchange did not lead to an SA, with the lines of the initiator's log.
struct Failed {
    log: Vec<(&'static str, String)>,
    /// Whether the responder keeps a half-open SA.
    half_open: bool,
}

fn failed(group: &'static str, line: impl Into<String>) -> Failed {
    Failed {
        log: vec![(group, line.into())],
        half_open: false,
    }
}
const REFUSED: &str = "received AUTHENTICATION_FAILED notify error";

/// Result of an exchange that succeeded.
struct Agreed {
    /// The responder's connection.
    connection: Arc<Connection>,
    algorithms: Algorithms,
    ppk: Option<String>,
    log: Vec<(&'static str, String)>,
}

impl State {
    pub(super) fn new(settings: Settings, now: Duration, seed: u64) -> Self {
        Self {
            settings,
            daemons: [Daemon::new(now), Daemon::new(now)],
            is_cut: false,
            now,
            timers: Vec::new(),
            random: ChaCha12Rng::seed_from_u64(seed),
            next_pair: 1,
            meters: Default::default(),
            traffic: Default::default(),
            startup: Default::default(),
        }
    }

    /// Advances to a time: traffic, and timers that expire.
    pub(super) fn advance(&mut self, now: Duration) {
        while let Some(next) = self
            .timers
            .iter()
            .map(|t| t.at)
            .min()
            .filter(|at| *at <= now)
        {
            self.flow(next);
            if let Some(place) = self.timers.iter().position(|t| t.at == next) {
                let timer = self.timers.remove(place);
                self.happen(timer);
            }
        }
        self.flow(now);
    }

    fn flow(&mut self, until: Duration) {
        let seconds = until.saturating_sub(self.now).as_secs_f64();
        self.now = self.now.max(until);
        for end in 0..2 {
            let packets = self.meters[end].frames(seconds, self.settings.packets_per_second);
            if packets == 0 {
                continue;
            }
            let newest = self.daemons[end]
                .sas
                .iter_mut()
                .flat_map(|sa| &mut sa.children)
                .filter(|child| child.state == ChildState::Installed)
                .max_by_key(|child| (child.installed, child.id));
            let traffic = &mut self.traffic[end];
            let Some(child) = newest else {
                if self.settings.clear_route && !self.is_cut {
                    traffic.clear += packets;
                } else {
                    traffic.blocked += packets;
                }
                continue;
            };
            child.packets[1] += packets;
            child.used[1] = Some(until);
            traffic.encrypted += packets;
            let pair = child.pair;
            let other = self.daemons[1 - end]
                .sas
                .iter_mut()
                .flat_map(|sa| &mut sa.children)
                .find(|child| child.pair == pair);
            match other {
                Some(child) if !self.is_cut => {
                    child.packets[0] += packets;
                    child.used[0] = Some(until);
                    traffic.accepted += packets;
                }
                _ => traffic.refused += packets,
            }
        }
    }

    fn after(&mut self, time: Duration, end: usize, sa: u32, due: Due) {
        let at = self.now + time;
        self.timers.push(Timer { at, end, sa, due });
    }

    fn happen(&mut self, timer: Timer) {
        let Timer {
            end, sa: id, due, ..
        } = timer;
        let Some(sa) = self.daemons[end].sa(id) else {
            return;
        };
        let (state, pair) = (sa.state, sa.pair);
        match due {
            Due::HalfOpenEnds if state == IkeState::Connecting => self.forget(end, id),
            Due::Replaced => self.delete(end, id),
            Due::ChildGone(child) => sa.children.retain(|c| c.id != child),
            Due::Reauthenticate => self.reauthenticate(end, id),
            Due::Retransmit(n) => match state {
                IkeState::Connecting if !self.is_cut => self.connect(end, id),
                IkeState::Deleting if self.reaches(end, pair) => self.finish_delete(end, id),
                // An exchange within an established SA is not done later than it was asked for.
                IkeState::Established if self.reaches(end, pair) => {}
                _ => self.retransmit(end, id, n),
            },
            Due::HalfOpenEnds => {}
        }
    }

    /// Whether a request within an SA reaches a daemon that knows it.
    fn reaches(&mut self, end: usize, pair: u64) -> bool {
        !self.is_cut && self.daemons[1 - end].by_pair(pair).is_some()
    }

    /// A line of the log of a command, for the client that gave it.
    fn log(&mut self, end: usize, id: u32, group: &str, line: &str) {
        let daemon = &mut self.daemons[end];
        let Some(sa) = daemon.sas.iter().find(|sa| sa.id == id) else {
            return;
        };
        let Some(client) = sa.client else { return };
        let important = ["initiating", "establishing", "deleting", "closing"];
        let is_state = important.iter().any(|word| line.starts_with(word))
            || line.contains(" established ")
            || line.ends_with(" deleted");
        let level = i64::from(!is_state);
        if level > daemon.clients.log_level(client) {
            return;
        }
        let mut message = Writer::default();
        message
            .value("group", group)
            .value("level", level)
            .value("ikesa-name", sa.name())
            .value("ikesa-uniqueid", id)
            .value("msg", line);
        daemon.clients.send_to(client, "control-log", message);
    }

    fn retransmit(&mut self, end: usize, id: u32, n: usize) {
        let message = u8::from(
            self.daemons[end]
                .sa(id)
                .is_some_and(|sa| sa.state == IkeState::Deleting),
        ) * 2;
        if n < RETRANSMITS.len() {
            let line = format!("retransmit {n} of request with message ID {message}");
            self.log(end, id, "IKE", &line);
            self.after(RETRANSMITS[n], end, id, Due::Retransmit(n + 1));
            return;
        }
        let tries = RETRANSMITS.len() - 1;
        self.log(
            end,
            id,
            "IKE",
            &format!("giving up after {tries} retransmits"),
        );
        if self.daemons[end]
            .sa(id)
            .is_some_and(|sa| sa.state == IkeState::Connecting)
        {
            let line = "establishing IKE_SA failed, peer not responding";
            self.log(end, id, "IKE", line);
            self.forget(end, id);
        } else {
            self.go_down(end, id);
        }
    }

    /// Removes an SA without a message to the other end.
    fn forget(&mut self, end: usize, id: u32) {
        let daemon = &mut self.daemons[end];
        if let Some(place) = daemon.sas.iter().position(|sa| sa.id == id) {
            let sa = daemon.sas.remove(place);
            sa.end_wait(false);
        }
        self.timers.retain(|t| t.end != end || t.sa != id);
    }

    /// Publishes that an IKE SA, and what is in it, came up or went down.
    fn publish(&mut self, end: usize, id: u32, name: &str, is_up: bool, tasks: &[&str]) {
        let now = self.now;
        let daemon = &mut self.daemons[end];
        let Some(sa) = daemon.sas.iter().find(|sa| sa.id == id) else {
            return;
        };
        let with_children = name == "child-updown";
        let mut message = Writer::default();
        if is_up {
            message.value("up", "yes");
        }
        message.section(sa.name(), |m| {
            sa.write(m, end, now);
            m.list(sa.tasks(), tasks);
            if with_children {
                m.section("child-sas", |m| {
                    // One event for each CHILD SA that went down, and for the newest that came up.
                    for child in sa.children.iter().rev().take(1) {
                        m.section(&child.key(), |m| child.write(m, now));
                    }
                });
            }
        });
        daemon.clients.publish(name, message);
    }

    /// Makes an SA of a connection of this end, with a CHILD SA unless `None`. The outcome goes to
    /// `waiter`, at once if the link works.
    ///
    /// # Errors
    /// If there are too many SAs.
    pub(super) fn initiate(
        &mut self,
        end: usize,
        connection: Arc<Connection>,
        child: Option<&str>,
        client: Option<u64>,
        waiter: &Waiter,
    ) -> Result<(), String> {
        let existing = self.daemons[end].sas.iter().find(|sa| {
            sa.connection.name == connection.name
                && sa.connection.peer == connection.peer
                && matches!(sa.state, IkeState::Established | IkeState::Connecting)
                && sa.is_named
        });
        if let Some(sa) = existing {
            let (id, state) = (sa.id, sa.state);
            // charon waits for an event that does not come if there is nothing to do.
            let Some(child) = child else { return Ok(()) };
            if let Some(sa) = self.daemons[end].sa(id) {
                sa.client = client;
                if state == IkeState::Connecting {
                    sa.waiter = Some(Arc::clone(waiter));
                    sa.wanted = Some(child.to_owned());
                    return Ok(());
                }
            }
            let made = self.create_child(end, id, child, true);
            let _ = waiter.set(made);
            return Ok(());
        }
        self.connect_new(end, connection, child, client, Some(Arc::clone(waiter)))
            .map(|_| ())
    }

    /// Begins a new SA, and returns its id.
    fn connect_new(
        &mut self,
        end: usize,
        connection: Arc<Connection>,
        child: Option<&str>,
        client: Option<u64>,
        waiter: Option<Waiter>,
    ) -> Result<u32, String> {
        if self.daemons[end].sas.len() >= MAX_SAS {
            return Err("too many IKE_SAs".to_owned());
        }
        let pair = self.next_pair;
        self.next_pair += 1;
        let spi = self.random.random();
        let id = self.add(end, connection, pair, true);
        if let Some(sa) = self.daemons[end].sa(id) {
            sa.wanted = child.map(str::to_owned);
            (sa.client, sa.waiter, sa.spis[0]) = (client, waiter, spi);
        }
        self.connect(end, id);
        Ok(id)
    }

    fn add(
        &mut self,
        end: usize,
        connection: Arc<Connection>,
        pair: u64,
        is_initiator: bool,
    ) -> u32 {
        let now = self.now;
        let daemon = &mut self.daemons[end];
        let id = daemon.next_sa;
        daemon.next_sa += 1;
        // The newest is listed first.
        daemon.sas.insert(
            0,
            IkeSa {
                id,
                pair,
                connection,
                is_named: true,
                is_initiator,
                state: IkeState::Connecting,
                spis: [0; 2],
                algorithms: Algorithms::default(),
                ppk: None,
                established: now,
                children: Vec::new(),
                wanted: None,
                waiter: None,
                client: None,
            },
        );
        id
    }

    /// Sends the first request of an SA, and does what follows if the other daemon answers.
    fn connect(&mut self, end: usize, id: u32) {
        let Some(sa) = self.daemons[end].sa(id) else {
            return;
        };
        let connection = Arc::clone(&sa.connection);
        let wanted = sa.wanted.clone();
        let line = format!(
            "initiating IKE_SA {}[{id}] to {}",
            sa.name(),
            HOSTS[1 - end]
        );
        let is_known = Peer::has(&connection.peer.remote_addrs, HOSTS[1 - end])
            && connection.peer.remote_addrs.iter().all(|a| a != "%any");
        if !is_known && connection.peer.remote_addrs.iter().any(|a| a == "%any") {
            self.log(end, id, "IKE", "unable to initiate to %any");
            return self.forget(end, id);
        }
        self.log(end, id, "IKE", &line);
        if self.is_cut || !is_known {
            self.timers.retain(|t| t.end != end || t.sa != id);
            return self.after(RETRANSMITS[0], end, id, Due::Retransmit(1));
        }
        match self.authenticate(end, &connection, wanted.as_deref()) {
            Err(Failed { log, half_open }) => {
                // The CHILD SA that was asked for took an id.
                if log
                    .iter()
                    .any(|(_, line)| line.starts_with("establishing CHILD_SA"))
                {
                    self.daemons[end].next_child += 1;
                }
                let peer_id = self.count_attempt(end, half_open);
                if half_open {
                    self.after(HALF_OPEN, 1 - end, peer_id, Due::HalfOpenEnds);
                }
                for (group, line) in log {
                    self.log(end, id, group, &line);
                }
                self.forget(end, id);
            }
            Ok(agreed) => self.establish(end, id, agreed),
        }
    }

    /// An attempt that failed took an id of the responder; a half-open SA is listed there.
    fn count_attempt(&mut self, end: usize, half_open: bool) -> u32 {
        let pair = self.next_pair;
        self.next_pair += 1;
        let empty = Connection::read("(unnamed)", &[]);
        let (Ok(empty), true) = (
            empty,
            half_open && self.daemons[1 - end].sas.len() < MAX_SAS,
        ) else {
            self.daemons[1 - end].next_sa += 1;
            return 0;
        };
        let spis = [self.random.random(), self.random.random()];
        let id = self.add(1 - end, Arc::new(empty), pair, false);
        if let Some(sa) = self.daemons[1 - end].sa(id) {
            (sa.spis, sa.is_named) = (spis, false);
        }
        id
    }

    fn establish(&mut self, end: usize, id: u32, agreed: Agreed) {
        let now = self.now;
        let spi = self.random.random();
        let Some(sa) = self.daemons[end].sa(id) else {
            return;
        };
        (sa.state, sa.established, sa.spis[1]) = (IkeState::Established, now, spi);
        (sa.algorithms, sa.ppk) = (agreed.algorithms, agreed.ppk);
        let (pair, spis, wanted) = (sa.pair, sa.spis, sa.wanted.take());
        let (algorithms, ppk) = (sa.algorithms.clone(), sa.ppk.clone());
        let own_policy = sa.connection.peer.unique;
        let [own_id, other_id] = sa.identities(end).map(str::to_owned);
        let name = sa.name().to_owned();
        let is_first = !self.daemons[end]
            .sas
            .iter()
            .any(|sa| sa.id != id && sa.is_named && sa.state == IkeState::Established);
        self.timers.retain(|t| t.end != end || t.sa != id);
        for (group, line) in agreed.log {
            self.log(end, id, group, &line);
        }
        let peer = 1 - end;
        let policy = agreed.connection.peer.unique;
        let peer_id = self.add(peer, agreed.connection, pair, false);
        if let Some(sa) = self.daemons[peer].sa(peer_id) {
            (sa.state, sa.spis, sa.ppk) = (IkeState::Established, spis, ppk);
            sa.algorithms = algorithms;
        }
        let has_initial_contact = is_first && own_policy != Unique::Never;
        self.enforce_uniqueness(peer, peer_id, policy, has_initial_contact);
        self.publish(
            peer,
            peer_id,
            "ike-updown",
            true,
            &["IKE_ESTABLISH", "IKE_AUTH_LIFETIME", "CHILD_CREATE"],
        );
        let line = format!(
            "IKE_SA {name}[{id}] established between {}[{own_id}]...{}[{other_id}]",
            HOSTS[end], HOSTS[peer]
        );
        self.log(end, id, "IKE", &line);
        self.publish(
            end,
            id,
            "ike-updown",
            true,
            &["IKE_ESTABLISH", "CHILD_CREATE"],
        );
        let made = wanted.is_none_or(|child| self.create_child(end, id, &child, false));
        if let Some(sa) = self.daemons[end].sa(id) {
            sa.end_wait(made);
        }
    }

    /// Other SAs of the same peers at the responder.
    fn enforce_uniqueness(&mut self, end: usize, new: u32, policy: Unique, initial_contact: bool) {
        if policy == Unique::Never {
            return;
        }
        let daemon = &mut self.daemons[end];
        let Some(identities) = daemon
            .sa(new)
            .map(|sa| sa.identities(end).map(str::to_owned))
        else {
            return;
        };
        let older: Vec<u32> = daemon
            .sas
            .iter()
            .filter(|sa| sa.id != new && sa.is_named && sa.state == IkeState::Established)
            .filter(|sa| sa.identities(end) == [&identities[0], &identities[1]])
            .map(|sa| sa.id)
            .collect();
        for id in older {
            if initial_contact {
                self.forget(end, id);
            } else if policy == Unique::Replace {
                self.after(REPLACED, end, id, Due::Replaced);
            }
        }
    }

    /// Makes a CHILD SA in an established SA. A separate exchange (`is_separate`) has a group.
    fn create_child(&mut self, end: usize, id: u32, name: &str, is_separate: bool) -> bool {
        let peer = 1 - end;
        let Some(sa) = self.daemons[end].sa(id) else {
            return false;
        };
        let pair = sa.pair;
        let Some(child) = sa.connection.child(name).cloned() else {
            return false;
        };
        let number = self.daemons[end].next_child;
        self.daemons[end].next_child += 1;
        let Some(sa) = self.daemons[end].sa(id) else {
            return false;
        };
        let installed = |c: &&ChildSa| c.name == name && c.state == ChildState::Installed;
        if let Some(same) = sa.children.iter().find(installed) {
            let [inbound, outbound] = same.spis;
            let line = format!(
                "not establishing CHILD_SA {name}{{{number}}} due to existing duplicate {{{}}} \
                 with SPIs {inbound:08x}_i {outbound:08x}_o and TS {} === {}",
                same.id,
                same.ts[0].join(" "),
                same.ts[1].join(" ")
            );
            self.log(end, id, "IKE", &line);
            return false;
        }
        if is_separate {
            let line = format!("establishing CHILD_SA {name}{{{number}}}");
            self.log(end, id, "IKE", &line);
            if !self.reaches(end, pair) {
                // The exchange is repeated until the SA is given up.
                self.after(RETRANSMITS[0], end, id, Due::Retransmit(1));
                return false;
            }
        }
        let Some(other) = self.daemons[peer].by_pair(pair) else {
            return false;
        };
        let (peer_id, connection) = (other.id, Arc::clone(&other.connection));
        let fits = |theirs: &&Child| {
            selectors_fit(&child.local_ts, &theirs.remote_ts)
                && selectors_fit(&child.remote_ts, &theirs.local_ts)
        };
        let Some(theirs) = connection.children.iter().find(fits) else {
            let line = "received TS_UNACCEPTABLE notify, no CHILD_SA built";
            return self.no_child(end, id, line);
        };
        let proposal = common(&child.proposals, &theirs.proposals);
        let Some(mut algorithms) = proposal.and_then(|p| Algorithms::parse(p)) else {
            let line = "received NO_PROPOSAL_CHOSEN notify, no CHILD_SA built";
            return self.no_child(end, id, line);
        };
        algorithms.function = None;
        if !is_separate {
            algorithms.group = None;
        }
        let line = algorithms.selected_esp();
        self.log(end, id, "CFG", &line);
        let spis = self.install(
            [(end, id, name), (peer, peer_id, &theirs.name)],
            &algorithms,
        );
        self.publish(peer, peer_id, "child-updown", true, &["CHILD_CREATE"]);
        let line = format!(
            "CHILD_SA {name}{{{number}}} established with SPIs {:08x}_i {:08x}_o and TS {} === {}",
            spis[0],
            spis[1],
            child.local_ts.join(" "),
            child.remote_ts.join(" ")
        );
        self.log(end, id, "IKE", &line);
        self.publish(end, id, "child-updown", true, &["CHILD_CREATE"]);
        true
    }

    fn no_child(&mut self, end: usize, id: u32, line: &str) -> bool {
        self.log(end, id, "IKE", line);
        let line = "failed to establish CHILD_SA, keeping IKE_SA";
        self.log(end, id, "IKE", line);
        false
    }

    /// Installs a CHILD SA at both ends; the first end has counted its id already. Returns the
    /// SPIs as the first end has them: inbound, outbound.
    fn install(&mut self, ends: [(usize, u32, &str); 2], algorithms: &Algorithms) -> [u32; 2] {
        let pair = self.next_pair;
        self.next_pair += 1;
        let mut spis: [u32; 2] = [self.random.random(), self.random.random()];
        let first = spis;
        let now = self.now;
        for (place, (end, sa, name)) in ends.into_iter().enumerate() {
            let daemon = &mut self.daemons[end];
            if place == 1 {
                daemon.next_child += 1;
            }
            let id = daemon.next_child - 1;
            let known = daemon.sas.iter().flat_map(|sa| &sa.children);
            let reqid = known.clone().find(|c| c.name == name).map(|c| c.reqid);
            let reqid = reqid.unwrap_or_else(|| {
                daemon.next_reqid += 1;
                daemon.next_reqid - 1
            });
            let Some(sa) = daemon.sa(sa) else { continue };
            let Some(child) = sa.connection.child(name) else {
                continue;
            };
            let child = ChildSa {
                id,
                name: name.to_owned(),
                pair,
                reqid,
                state: ChildState::Installed,
                spis,
                algorithms: algorithms.clone(),
                ts: [child.local_ts.clone(), child.remote_ts.clone()],
                encap: sa.connection.peer.encap,
                installed: now,
                packets: [0; 2],
                used: [None; 2],
            };
            sa.children.push(child);
            spis.reverse();
        }
        first
    }

    /// The daemon ends without a message and starts again without SAs, connections and secrets.
    pub(super) fn restart(&mut self, end: usize) {
        let mut clients = std::mem::take(&mut self.daemons[end].clients);
        clients.disconnect_all();
        for sa in &self.daemons[end].sas {
            sa.end_wait(false);
        }
        self.daemons[end] = Daemon::new(self.now);
        self.daemons[end].clients = clients;
        self.load_startup(end);
        self.timers.retain(|t| t.end != end);
    }

    /// Loads what the host of an end loads when it starts, as `swanctl --load-all` does.
    pub(super) fn load_startup(&mut self, end: usize) {
        let (connections, secrets) = &self.startup[end];
        let daemon = &mut self.daemons[end];
        daemon.connections.extend(connections.iter().cloned());
        daemon.secrets.extend(secrets.iter().cloned());
    }

    /// Deletes all SAs of an end, as charon does before it ends.
    pub(super) fn delete_all(&mut self, end: usize) {
        let all: Vec<_> = self.daemons[end].sas.iter().map(|sa| sa.id).collect();
        for id in all {
            self.delete(end, id);
        }
    }
}

/// Whether traffic selectors of both ends meet. They meet here if they are equal, or dynamic.
fn selectors_fit(ours: &[String], theirs: &[String]) -> bool {
    let dynamic = |ts: &[String]| ts.iter().any(|t| t == "dynamic");
    ours == theirs || dynamic(ours) || dynamic(theirs)
}

impl Daemon {
    /// The next CHILD SA of this name, as logs have it.
    fn child_label(&self, name: Option<&str>) -> String {
        format!("{}{{{}}}", name.unwrap_or_default(), self.next_child)
    }
}

impl IkeSa {
    pub(super) fn name(&self) -> &str {
        &self.connection.name
    }
    fn tasks(&self) -> &'static str {
        if self.is_initiator {
            "tasks-active"
        } else {
            "tasks-passive"
        }
    }
    fn identities(&self, end: usize) -> [&str; 2] {
        let peer = &self.connection.peer;
        [
            Peer::id(&peer.local, HOSTS[end & 1]),
            Peer::id(&peer.remote, HOSTS[1 - (end & 1)]),
        ]
    }
    /// Reports the outcome of an initiation.
    fn end_wait(&self, success: bool) {
        if let Some(waiter) = &self.waiter {
            let _ = waiter.set(success);
        }
    }
    /// Whether a client follows the command.
    pub(super) fn set_client(&mut self, client: Option<u64>) {
        self.client = client;
    }
}
