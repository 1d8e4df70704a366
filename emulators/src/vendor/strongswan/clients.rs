//! The connections to a daemon: the events for which each has registered, and what waits for it.

use super::message::Writer;
use std::collections::{BTreeMap, VecDeque};

/// Events that charon 5.9.8 has.
const EVENTS: &[&str] = &[
    "log",
    "control-log",
    "list-sa",
    "list-policy",
    "list-conn",
    "list-cert",
    "list-authority",
    "ike-updown",
    "ike-rekey",
    "ike-update",
    "child-updown",
    "child-rekey",
];
/// Most events that wait for a client; a client that reads none loses what comes later.
const MAX_WAITING: usize = 4096;
/// Most registrations of a client.
const MAX_REGISTERED: usize = 64;

struct Client {
    /// An event is sent as often as it is registered.
    registered: Vec<&'static str>,
    waiting: VecDeque<Vec<u8>>,
    /// Highest level of the log lines of the present command.
    log_level: i64,
}

/// All clients of a daemon.
#[derive(Default)]
pub(super) struct Clients {
    all: BTreeMap<u64, Client>,
    next: u64,
}

impl Clients {
    pub(super) fn connect(&mut self) -> u64 {
        self.next += 1;
        let client = Client {
            registered: Vec::new(),
            waiting: VecDeque::new(),
            log_level: 1,
        };
        self.all.insert(self.next, client);
        self.next
    }
    pub(super) fn disconnect(&mut self, id: u64) {
        self.all.remove(&id);
    }
    /// Ends all registrations; the ids stay used.
    pub(super) fn disconnect_all(&mut self) {
        self.all.clear();
    }
    /// Whether an event exists and could be registered.
    pub(super) fn register(&mut self, id: u64, event: &str) -> bool {
        let Some(event) = EVENTS.iter().find(|known| **known == event) else {
            return false;
        };
        let client = self.all.get_mut(&id);
        client
            .filter(|client| client.registered.len() < MAX_REGISTERED)
            .map(|client| client.registered.push(event))
            .is_some()
    }
    pub(super) fn unregister(&mut self, id: u64, event: &str) -> bool {
        let Some(client) = self.all.get_mut(&id) else {
            return false;
        };
        let place = client.registered.iter().position(|known| *known == event);
        place.map(|at| client.registered.remove(at)).is_some()
    }
    /// Whether events may come for a client.
    pub(super) fn is_listening(&self, id: u64) -> bool {
        self.all
            .get(&id)
            .is_some_and(|c| !c.registered.is_empty() || !c.waiting.is_empty())
    }
    pub(super) fn set_log_level(&mut self, id: u64, level: i64) {
        if let Some(client) = self.all.get_mut(&id) {
            client.log_level = level;
        }
    }
    pub(super) fn log_level(&self, id: u64) -> i64 {
        self.all.get(&id).map_or(-1, |client| client.log_level)
    }
    /// Sends an event to one client.
    pub(super) fn send_to(&mut self, id: u64, event: &str, message: Writer) {
        let packet = message.event(event);
        if let Some(client) = self.all.get_mut(&id) {
            client.send(event, &packet);
        }
    }
    /// Sends an event to all clients.
    pub(super) fn publish(&mut self, event: &str, message: Writer) {
        let packet = message.event(event);
        for client in self.all.values_mut() {
            client.send(event, &packet);
        }
    }
    /// Takes what waits for a client.
    pub(super) fn take(&mut self, id: u64) -> VecDeque<Vec<u8>> {
        self.all
            .get_mut(&id)
            .map(|client| std::mem::take(&mut client.waiting))
            .unwrap_or_default()
    }
}

impl Client {
    fn send(&mut self, event: &str, packet: &[u8]) {
        for _ in self.registered.iter().filter(|known| **known == event) {
            if self.waiting.len() < MAX_WAITING {
                self.waiting.push_back(packet.to_vec());
            }
        }
    }
}
