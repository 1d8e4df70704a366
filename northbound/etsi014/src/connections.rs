//! Connections of the server, and which one is closed if there are too many.

use std::{
    cmp::Reverse,
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{task::AbortHandle, time::Instant};

/// Limits on the resources that clients can occupy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Connections in total; default 512, below the usual limit of open files.
    pub connections: usize,
    /// Connections of one address; default 64.
    pub connections_per_address: usize,
    /// Connections of one SAE, as its certificate names it; default 32.
    pub connections_per_sae: usize,
    /// Time for a handshake, for the head of a request, and for its body; default 10 s.
    pub read_deadline: Duration,
    /// Time within which a client has read a whole response; default 10 s.
    pub write_deadline: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 512,
            connections_per_address: 64,
            connections_per_sae: 32,
            read_deadline: Duration::from_secs(10),
            write_deadline: Duration::from_secs(10),
        }
    }
}

struct Connection {
    address: IpAddr,
    /// SAE ID in the certificate; `None` before the handshake, and over plain HTTP.
    sae: Option<String>,
    /// Since when the server waits for the client; `None` while a request is answered.
    waits_since: Option<Instant>,
    abort: Option<AbortHandle>,
}

#[derive(Default)]
struct Inner {
    next: u64,
    open: HashMap<u64, Connection>,
}

/// The connections of one server.
#[derive(Clone)]
pub(crate) struct Connections {
    limits: Limits,
    inner: Arc<Mutex<Inner>>,
}

/// One admitted connection; it leaves the count when dropped.
pub(crate) struct Ticket {
    id: u64,
    of: Connections,
}

impl Connections {
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            limits,
            inner: Arc::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Admits a connection; at a limit, closes one that the server waits for. `None` if there is
    /// none to close.
    pub(crate) fn admit(&self, address: IpAddr) -> Option<Ticket> {
        let mut inner = self.lock();
        if inner.count(|c| c.address == address) >= self.limits.connections_per_address {
            // A client from the same address that has presented its certificate keeps its
            // connection.
            inner.evict(|c| c.address == address && c.sae.is_none())?;
        }
        if inner.open.len() >= self.limits.connections {
            inner.evict(|_| true)?;
        }
        let id = inner.next;
        inner.next += 1;
        let connection = Connection {
            address,
            sae: None,
            waits_since: Some(Instant::now()),
            abort: None,
        };
        inner.open.insert(id, connection);
        Some(Ticket {
            id,
            of: self.clone(),
        })
    }

    /// Notes how the task of a connection is ended.
    pub(crate) fn set_abort(&self, id: u64, abort: AbortHandle) {
        match self.lock().open.get_mut(&id) {
            Some(connection) => connection.abort = Some(abort),
            // The connection was closed before its task was known, or has ended.
            None => abort.abort(),
        }
    }
}

impl Inner {
    fn count(&self, is: impl Fn(&Connection) -> bool) -> usize {
        self.open.values().filter(|c| is(c)).count()
    }

    /// Ends one connection among those that the server waits for: of unknown clients first, then
    /// of the address with the most connections, then the one that has waited longest.
    fn evict(&mut self, among: impl Fn(&Connection) -> bool) -> Option<()> {
        let mut of_address: HashMap<IpAddr, usize> = HashMap::new();
        for connection in self.open.values() {
            *of_address.entry(connection.address).or_default() += 1;
        }
        let (&id, _) = self
            .open
            .iter()
            .filter(|(_, c)| c.waits_since.is_some() && among(c))
            .min_by_key(|(_, c)| {
                let count = of_address.get(&c.address).copied().unwrap_or(0);
                (c.sae.is_some(), Reverse(count), c.waits_since)
            })?;
        let abort = self.open.remove(&id)?.abort;
        if let Some(abort) = abort {
            abort.abort();
        }
        Some(())
    }
}

impl Ticket {
    pub(crate) fn id(&self) -> u64 {
        self.id
    }

    /// Notes whom the certificate names. Whether the SAE may have one more connection: its own
    /// oldest idle one is closed.
    pub(crate) fn identify(&self, sae: &str) -> bool {
        let mut inner = self.of.lock();
        let is_of = |c: &Connection| c.sae.as_deref() == Some(sae);
        if inner.count(is_of) >= self.of.limits.connections_per_sae && inner.evict(is_of).is_none()
        {
            return false;
        }
        match inner.open.get_mut(&self.id) {
            Some(connection) => {
                connection.sae = Some(sae.to_owned());
                true
            }
            None => false,
        }
    }

    /// Notes whether the server waits for the client, or works for it.
    pub(crate) fn set_waiting(&self, waiting: bool) {
        if let Some(connection) = self.of.lock().open.get_mut(&self.id) {
            connection.waits_since = waiting.then(Instant::now);
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.of.lock().open.remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(n: u8) -> IpAddr {
        [192, 0, 2, n].into()
    }

    fn connections(total: usize, per_address: usize) -> Connections {
        Connections::new(Limits {
            connections: total,
            connections_per_address: per_address,
            connections_per_sae: 2,
            ..Limits::default()
        })
    }

    fn is_open(ticket: &Ticket) -> bool {
        ticket.of.lock().open.contains_key(&ticket.id)
    }

    #[test]
    fn the_oldest_unauthenticated_connection_of_the_same_address_is_cut() {
        let all = connections(10, 2);
        let known = all.admit(address(1)).unwrap();
        assert!(known.identify("alice"));
        let old = all.admit(address(1)).unwrap();
        let new = all.admit(address(1)).unwrap();
        assert!(is_open(&known) && !is_open(&old) && is_open(&new));
        new.set_waiting(false);
        assert!(all.admit(address(1)).is_none(), "none that can give way");
        assert!(all.admit(address(2)).is_some());
    }

    #[test]
    fn at_the_total_limit_the_address_with_most_connections_is_cut() {
        let all = connections(4, 4);
        let known = all.admit(address(1)).unwrap();
        assert!(known.identify("alice"));
        let alone = all.admit(address(2)).unwrap();
        let flood: Vec<_> = (0..2).map(|_| all.admit(address(3)).unwrap()).collect();
        let next = all.admit(address(4)).unwrap();
        assert!(is_open(&known) && is_open(&alone) && is_open(&next));
        assert!(!is_open(&flood[0]) && is_open(&flood[1]));
        drop(flood);
        assert_eq!(all.lock().open.len(), 3);
    }

    #[test]
    fn an_sae_holds_a_bounded_number_of_connections() {
        let all = connections(10, 10);
        let tickets: Vec<_> = (0..3).map(|n| all.admit(address(n)).unwrap()).collect();
        assert!(tickets.iter().all(|t| t.identify("alice")));
        assert_eq!(tickets.iter().filter(|t| is_open(t)).count(), 2);
        tickets.iter().for_each(|t| t.set_waiting(false));
        let more = all.admit(address(9)).unwrap();
        assert!(!more.identify("alice"), "both are in use");
        assert!(more.identify("bob"));
    }
}
