//! Two charon daemons and the link between them.
//!
//! An exchange of messages takes no time while the link works. If the link is cut, or the other
//! daemon does not know the SA, a request is sent again after 4.0, 7.2, 13.0, 23.3 and 42.0 s, and
//! the daemon gives up after another 75.6 s, as charon's default settings say.

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
    /// Identities; all if there is none.
    pub(super) owners: Vec<String>,
    pub(super) data: Value,
}

impl Secret {
    /// Degree to which an identity is named: 2 exactly, 1 as any.
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

/// Something that happens without a command.
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

/// Result of a negotiation of both ends.
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

    /// Advances to a time: traffic, and what happens without a command.
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

    /// The exchanges IKE_SA_INIT and IKE_AUTH (RFC 7296), with a PPK as RFC 8784 has it.
    fn authenticate(
        &self,
        end: usize,
        connection: &Connection,
        child: Option<&str>,
    ) -> Result<Agreed, Failed> {
        let (peer, [own, other]) = (&connection.peer, [HOSTS[end], HOSTS[1 - end]]);
        let (initiator, responder) = (&self.daemons[end], &self.daemons[1 - end]);
        // IKE_SA_INIT: the responder chooses by addresses and proposals.
        let by_address = |c: &&Arc<Connection>| {
            c.peer.version != 1
                && Peer::has(&c.peer.local_addrs, other)
                && Peer::has(&c.peer.remote_addrs, own)
        };
        let candidates: Vec<_> = responder.connections.iter().filter(by_address).collect();
        let chosen = candidates
            .iter()
            .find_map(|c| common(&peer.proposals, &c.peer.proposals));
        let algorithms = chosen
            .and_then(|proposal| Algorithms::parse(proposal))
            .ok_or_else(|| failed("IKE", "received NO_PROPOSAL_CHOSEN notify error"))?;
        let mut log = vec![("CFG", algorithms.selected_ike())];
        let stop = |log: &mut Vec<_>, group, line: String, half_open| Failed {
            log: std::mem::take(log)
                .into_iter()
                .chain([(group, line)])
                .collect(),
            half_open,
        };
        // USE_PPK: asked for with a PPK id, and confirmed by a responder that has any PPK.
        let has_any = responder.secrets.iter().any(|s| s.kind == SecretKind::Ppk);
        let mut ppk = None;
        match &peer.ppk_id {
            Some(id) if has_any => match initiator.secret(SecretKind::Ppk, &[id]) {
                Some(found) => ppk = Some((id, found)),
                None if peer.ppk_required => {
                    let line = format!("PPK required but no PPK found for '{id}'");
                    return Err(stop(&mut log, "CFG", line, true));
                }
                None => {
                    let line =
                        format!("no PPK for '{id}' found, ignored because PPK is not required");
                    log.push(("CFG", line));
                }
            },
            _ if peer.ppk_required => {
                let line = "PPK required but peer does not support PPK".to_owned();
                return Err(stop(&mut log, "CFG", line, true));
            }
            _ => {}
        }
        let [own_id, other_id] = [Peer::id(&peer.local, own), Peer::id(&peer.remote, other)];
        let Some(key) = initiator.secret(SecretKind::Ike, &[own_id, other_id]) else {
            let line = format!("no shared key found for '{own_id}' - '{other_id}'");
            return Err(stop(&mut log, "IKE", line, true));
        };
        let line = format!("authentication of '{own_id}' (myself) with pre-shared key");
        log.push(("IKE", line));
        if child.is_some() {
            let line = format!("establishing CHILD_SA {}", initiator.child_label(child));
            log.push(("IKE", line));
        }
        // IKE_AUTH: the responder chooses by identities.
        let refused = |log: &mut Vec<_>| stop(log, "IKE", REFUSED.to_owned(), false);
        let by_id = |c: &&&Arc<Connection>| {
            Peer::id(&c.peer.local, other) == other_id
                && [own_id, "%any"].contains(&Peer::id(&c.peer.remote, "%any"))
                && common(&peer.proposals, &c.peer.proposals).is_some()
        };
        let Some(selected) = candidates.iter().find(by_id) else {
            return Err(refused(&mut log));
        };
        let theirs = responder.secret(SecretKind::Ike, &[other_id, own_id]);
        if theirs.is_none_or(|theirs| theirs.data != key.data) {
            return Err(refused(&mut log));
        }
        let mut used = None;
        match ppk {
            None if selected.peer.ppk_required => return Err(refused(&mut log)),
            None => {}
            Some((id, ours)) => match responder.secret(SecretKind::Ppk, &[id]) {
                Some(theirs) if theirs.data == ours.data => used = Some(id.clone()),
                // A PPK that both have and that differs is never ignored.
                Some(_) => return Err(refused(&mut log)),
                None if selected.peer.ppk_required || peer.ppk_required => {
                    return Err(refused(&mut log));
                }
                None => {}
            },
        }
        let others = responder.sas.iter().any(|sa| {
            sa.state == IkeState::Established
                && sa.is_named
                && sa.identities(1 - end) == [other_id, own_id]
        });
        if selected.peer.unique == Unique::Keep && others {
            return Err(refused(&mut log));
        }
        log.push((
            "IKE",
            format!("authentication of '{other_id}' with pre-shared key successful"),
        ));
        match (&used, ppk) {
            (Some(id), _) => log.push(("CFG", format!("using PPK for PPK_ID '{id}'"))),
            (None, Some((id, _))) => {
                log.push(("CFG", format!("peer didn't use PPK for PPK_ID '{id}'")));
            }
            (None, None) => {}
        }
        Ok(Agreed {
            connection: Arc::clone(selected),
            algorithms,
            ppk: used,
            log,
        })
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

    /// Begins to delete an SA at both ends.
    pub(super) fn delete(&mut self, end: usize, id: u32) {
        let Some(sa) = self.daemons[end].sa(id) else {
            return;
        };
        if sa.state == IkeState::Connecting {
            return self.forget(end, id);
        }
        let pair = sa.pair;
        let [own_id, other_id] = sa.identities(end);
        let label = format!("{}[{id}]", sa.name());
        let line = format!(
            "deleting IKE_SA {label} between {}[{own_id}]...{}[{other_id}]",
            HOSTS[end],
            HOSTS[1 - end]
        );
        if sa.state == IkeState::Deleting {
            return;
        }
        sa.state = IkeState::Deleting;
        self.log(end, id, "IKE", &line);
        self.log(
            end,
            id,
            "IKE",
            &format!("sending DELETE for IKE_SA {label}"),
        );
        if self.reaches(end, pair) {
            self.finish_delete(end, id);
        } else {
            self.timers.retain(|t| t.end != end || t.sa != id);
            self.after(RETRANSMITS[0], end, id, Due::Retransmit(1));
        }
    }

    /// The other end has the request: the SA ends there, then here.
    fn finish_delete(&mut self, end: usize, id: u32) {
        let Some(pair) = self.daemons[end].sa(id).map(|sa| sa.pair) else {
            return;
        };
        let other = self.daemons[1 - end].by_pair(pair).map(|sa| {
            sa.state = IkeState::Deleting;
            sa.id
        });
        if let Some(other) = other {
            self.go_down(1 - end, other);
        }
        self.log(end, id, "IKE", "IKE_SA deleted");
        self.go_down(end, id);
    }

    fn go_down(&mut self, end: usize, id: u32) {
        self.publish(end, id, "ike-updown", false, &["IKE_DELETE"]);
        let children = self.daemons[end].sa(id).map_or(0, |sa| sa.children.len());
        for _ in 0..children {
            self.publish(end, id, "child-updown", false, &["IKE_DELETE"]);
            if let Some(sa) = self.daemons[end].sa(id) {
                sa.children.pop();
            }
        }
        self.forget(end, id);
    }

    /// Deletes a CHILD SA at both ends; whether the other end answered.
    pub(super) fn delete_child(&mut self, end: usize, child: u32) -> bool {
        let owner = self.daemons[end].sas.iter().find_map(|sa| {
            let found = sa.children.iter().find(|c| c.id == child)?;
            Some((sa.id, sa.pair, found.clone()))
        });
        let Some((id, pair, found)) = owner else {
            return false;
        };
        let [inbound, outbound] = found.spis;
        let line = format!(
            "closing CHILD_SA {}{{{child}}} with SPIs {inbound:08x}_i ({} bytes) {outbound:08x}_o \
             ({} bytes) and TS {} === {}",
            found.name,
            found.packets[0] * PACKET,
            found.packets[1] * PACKET,
            found.ts[0].join(" "),
            found.ts[1].join(" ")
        );
        self.log(end, id, "IKE", &line);
        if !self.reaches(end, pair) {
            self.after(RETRANSMITS[0], end, id, Due::Retransmit(1));
            return false;
        }
        for place in [1 - end, end] {
            let Some(sa) = self.daemons[place].by_pair(pair) else {
                continue;
            };
            let sa_id = sa.id;
            // An event reports the last CHILD SA.
            if let Some(at) = sa.children.iter().position(|c| c.pair == found.pair) {
                let last = sa.children.remove(at);
                sa.children.push(last);
                self.publish(place, sa_id, "child-updown", false, &["CHILD_DELETE"]);
            }
            if let Some(sa) = self.daemons[place].sa(sa_id) {
                sa.children.retain(|c| c.pair != found.pair);
            }
        }
        self.log(end, id, "IKE", "CHILD_SA closed");
        true
    }

    /// Replaces the keys of an IKE SA. The PPK stays as it is (RFC 8784 has none in this exchange).
    pub(super) fn rekey(&mut self, end: usize, id: u32) {
        let now = self.now;
        let Some(sa) = self.daemons[end].sa(id) else {
            return;
        };
        let pair = sa.pair;
        if sa.state != IkeState::Established {
            return;
        }
        if !self.reaches(end, pair) {
            return self.after(RETRANSMITS[0], end, id, Due::Retransmit(1));
        }
        let new_pair = self.next_pair;
        self.next_pair += 1;
        let spis = [self.random.random(), self.random.random()];
        for place in [1 - end, end] {
            let daemon = &mut self.daemons[place];
            let next = daemon.next_sa;
            let Some(old) = daemon.by_pair(pair) else {
                continue;
            };
            let mut new = old.clone();
            (new.id, new.pair, new.spis, new.established) = (next, new_pair, spis, now);
            new.is_initiator = place == end;
            let children = std::mem::take(&mut old.children);
            new.children = Vec::new();
            if place == end {
                old.state = IkeState::Rekeying;
            }
            let mut message = Writer::default();
            message.section(old.name(), |m| {
                m.section("old", |m| {
                    old.write(m, place, now);
                    m.list(old.tasks(), ["IKE_REKEY"]);
                })
                .section("new", |m| new.write(m, place, now));
            });
            let old_id = old.id;
            new.children = children;
            daemon.next_sa += 1;
            daemon.sas.insert(0, new);
            daemon.clients.publish("ike-rekey", message);
            for timer in self
                .timers
                .iter_mut()
                .filter(|t| t.end == place && t.sa == old_id)
            {
                timer.sa = next;
            }
            self.forget(place, old_id);
        }
    }

    /// Replaces the keys of a CHILD SA.
    pub(super) fn rekey_child(&mut self, end: usize, child: u32) {
        let now = self.now;
        let owner = self.daemons[end].sas.iter().find_map(|sa| {
            let found = sa.children.iter().find(|c| c.id == child)?;
            Some((sa.id, sa.pair, found.clone()))
        });
        let Some((id, pair, found)) = owner else {
            return;
        };
        if found.state != ChildState::Installed {
            return;
        }
        if !self.reaches(end, pair) {
            return self.after(RETRANSMITS[0], end, id, Due::Retransmit(1));
        }
        let Some(other) = self.daemons[1 - end].by_pair(pair) else {
            return;
        };
        let same = other.children.iter().find(|c| c.pair == found.pair);
        let Some((other_id, other_name)) = same.map(|c| (other.id, c.name.clone())) else {
            return;
        };
        let mut algorithms = found.algorithms.clone();
        let configured = self.daemons[end].sa(id).and_then(|sa| {
            let child = sa.connection.child(&found.name)?;
            Algorithms::parse(child.proposals.first()?)?.group
        });
        algorithms.group = configured;
        self.daemons[end].next_child += 1;
        self.install(
            [(end, id, &found.name), (1 - end, other_id, &other_name)],
            &algorithms,
        );
        for (place, sa_id) in [(1 - end, other_id), (end, id)] {
            let Some(sa) = self.daemons[place].sa(sa_id) else {
                continue;
            };
            let (mut message, mut gone) = (Writer::default(), 0);
            let new = sa.children.last().cloned();
            if let Some(old) = sa.children.iter_mut().find(|c| c.pair == found.pair) {
                (old.state, gone) = (ChildState::Rekeyed, old.id);
                let old = old.clone();
                message.section(sa.name(), |m| {
                    sa.write(m, place, now);
                    m.list(sa.tasks(), ["CHILD_REKEY"]);
                    m.section("child-sas", |m| {
                        m.section(&old.name, |m| {
                            m.section("old", |m| old.write(m, now));
                            if let Some(new) = &new {
                                m.section("new", |m| new.write(m, now));
                            }
                        });
                    });
                });
            }
            if let Some(old) = sa.children.iter_mut().find(|c| c.pair == found.pair) {
                old.state = ChildState::Deleted;
            }
            self.daemons[place].clients.publish("child-rekey", message);
            self.after(REKEYED, place, sa_id, Due::ChildGone(gone));
        }
    }

    /// Makes the SA anew with the settings with which it was made: a connection that was loaded
    /// later, with another PPK id, has no effect.
    pub(super) fn reauthenticate(&mut self, end: usize, id: u32) {
        let Some(sa) = self.daemons[end].sa(id) else {
            return;
        };
        if sa.state != IkeState::Established {
            return;
        }
        if sa.children.iter().any(|c| c.state != ChildState::Installed) {
            return self.after(REAUTH_RETRY, end, id, Due::Reauthenticate);
        }
        let connection = Arc::clone(&sa.connection);
        let children: Vec<_> = sa.children.iter().map(|c| c.name.clone()).collect();
        let first = children.first().map(String::as_str);
        if !self.settings.make_before_break {
            self.delete(end, id);
        }
        let new = self.connect_new(end, connection, first, None, None);
        let Ok(new) = new else { return };
        let is_up = self.daemons[end]
            .sa(new)
            .is_some_and(|sa| sa.state == IkeState::Established);
        if is_up {
            for child in children.iter().skip(1) {
                self.create_child(end, new, child, true);
            }
            if self.settings.make_before_break {
                self.delete(end, id);
            }
        }
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

impl Algorithms {
    fn selected_ike(&self) -> String {
        let mut words = vec![self.encryption_with_size()];
        words.extend(
            [self.function, self.group]
                .into_iter()
                .flatten()
                .map(str::to_owned),
        );
        format!("selected proposal: IKE:{}", words.join("/"))
    }
    fn selected_esp(&self) -> String {
        let mut words = vec![self.encryption_with_size()];
        words.extend(
            [self.integrity, self.group]
                .into_iter()
                .flatten()
                .map(str::to_owned),
        );
        format!("selected proposal: ESP:{}/NO_EXT_SEQ", words.join("/"))
    }
    fn encryption_with_size(&self) -> String {
        match self.key_size {
            0 => self.encryption.to_owned(),
            size => format!("{}_{size}", self.encryption),
        }
    }
    fn write(&self, message: &mut Writer) {
        message.value("encr-alg", self.encryption);
        if self.key_size > 0 {
            message.value("encr-keysize", self.key_size);
        }
        let optional = [
            ("integ-alg", self.integrity),
            ("prf-alg", self.function),
            ("dh-group", self.group),
        ];
        for (name, value) in optional {
            if let Some(value) = value {
                message.value(name, value);
            }
        }
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

    /// The settings of its section, without its CHILD SAs.
    fn write(&self, m: &mut Writer, end: usize, now: Duration) {
        let peer = &self.connection.peer;
        let port = if peer.encap || peer.mobike { 4500 } else { 500 };
        let [own_id, other_id] = self.identities(end);
        let is_up = self.state != IkeState::Connecting;
        m.value("uniqueid", self.id).value("version", 2).value(
            "state",
            match self.state {
                IkeState::Connecting => "CONNECTING",
                IkeState::Established => "ESTABLISHED",
                IkeState::Rekeying => "REKEYING",
                IkeState::Deleting => "DELETING",
            },
        );
        let port = if is_up { port } else { 500 };
        m.value("local-host", HOSTS[end])
            .value("local-port", port)
            .value("local-id", if self.is_named { own_id } else { "%any" })
            .value("remote-host", HOSTS[1 - end])
            .value("remote-port", port)
            .value("remote-id", if self.is_named { other_id } else { "%any" });
        if self.is_initiator {
            m.value("initiator", "yes");
        }
        m.value("initiator-spi", format!("{:016x}", self.spis[0]))
            .value("responder-spi", format!("{:016x}", self.spis[1]));
        if peer.encap && is_up {
            m.value("nat-remote", "yes").value("nat-any", "yes");
        }
        if is_up {
            self.algorithms.write(m);
        }
        if self.ppk.is_some() {
            m.value("ppk", "yes");
        }
        if self.state == IkeState::Established {
            m.value(
                "established",
                now.saturating_sub(self.established).as_secs(),
            );
        }
    }

    /// Writes a section of `list-sas`.
    pub(super) fn write_all(&self, message: &mut Writer, end: usize, now: Duration) {
        message.section(self.name(), |m| {
            self.write(m, end, now);
            if self.state == IkeState::Connecting {
                m.list(
                    self.tasks(),
                    ["IKE_VENDOR", "IKE_INIT", "IKE_NATD", "IKE_AUTH"],
                );
            } else if self.state == IkeState::Deleting {
                m.list(self.tasks(), ["IKE_DELETE"]);
            }
            m.section("child-sas", |m| {
                for child in &self.children {
                    m.section(&child.key(), |m| child.write(m, now));
                }
            });
        });
    }
}

impl ChildSa {
    fn key(&self) -> String {
        format!("{}-{}", self.name, self.id)
    }
    fn write(&self, m: &mut Writer, now: Duration) {
        m.value("name", &self.name)
            .value("uniqueid", self.id)
            .value("reqid", self.reqid)
            .value(
                "state",
                match self.state {
                    ChildState::Installed => "INSTALLED",
                    ChildState::Rekeyed => "REKEYED",
                    ChildState::Deleted => "DELETED",
                },
            )
            .value("mode", "TUNNEL")
            .value("protocol", "ESP");
        if self.encap {
            m.value("encap", "yes");
        }
        m.value("spi-in", format!("{:08x}", self.spis[0]))
            .value("spi-out", format!("{:08x}", self.spis[1]));
        self.algorithms.write(m);
        for (place, way) in ["in", "out"].into_iter().enumerate() {
            let packets = self.packets[place];
            m.value(&format!("bytes-{way}"), packets * PACKET)
                .value(&format!("packets-{way}"), packets);
            if let Some(used) = self.used[place] {
                m.value(&format!("use-{way}"), now.saturating_sub(used).as_secs());
            }
        }
        m.value("install-time", now.saturating_sub(self.installed).as_secs())
            .list("local-ts", &self.ts[0])
            .list("remote-ts", &self.ts[1]);
    }
}
