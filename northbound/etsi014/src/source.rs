//! Where keys come from.

use std::{
    collections::{HashMap, VecDeque},
    fmt,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::time::Instant;
use uuid::Uuid;
use zeroize::Zeroizing;

/// SAEs that may receive a key: the requesting SAE, and those that it named (6.1: `slave_SAE_ID`
/// and `additional_slave_SAE_IDs`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyAudience {
    /// The SAE that took the key.
    pub master: String,
    /// SAEs that may fetch the key at the peer, once each.
    pub slaves: Vec<String>,
}

/// A key. `Debug` shows its id and size only.
pub struct KeyItem {
    /// ID of the key (`key_ID`).
    pub id: Uuid,
    /// Secret bytes of the key.
    pub bytes: Zeroizing<Vec<u8>>,
}

impl fmt::Debug for KeyItem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyItem({}, {} bit)", self.id, self.bytes.len() * 8)
    }
}

/// Why a source gives no keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SourceError {
    /// Fewer are stored than were asked for.
    NotEnough,
    /// Too many keys that the master took wait for their slaves.
    Undelivered,
    /// At least one id is unknown, or was delivered already.
    NotFound,
    /// The caller was not named when the key was taken.
    NotAllowed,
    /// The source cannot be reached.
    Failed(String),
}

/// A store of keys between two KMEs. Both ends of a link are one source.
pub trait KeySource: Send + Sync {
    /// Returns the number of keys of `bits` bit that can be taken now, and the capacity in such
    /// keys.
    fn count(&self, bits: u64) -> (u64, u64);
    /// Takes `count` new keys of `bits` each, which is a multiple of 8: all or none.
    ///
    /// # Errors
    /// `NotEnough`, `Failed`.
    fn take(
        &self,
        grant: &KeyAudience,
        count: usize,
        bits: u64,
    ) -> Result<Vec<KeyItem>, SourceError>;
    /// Takes the keys that `master` took, for `slave`, in the requested order: all or none.
    ///
    /// # Errors
    /// `NotFound`, `NotAllowed`, `Failed`.
    fn take_by_id(
        &self,
        master: &str,
        slave: &str,
        ids: &[Uuid],
    ) -> Result<Vec<KeyItem>, SourceError>;
}

/// Where a [`KeyPool`] draws its bytes from.
pub trait KeyMaterial: Send {
    /// Bytes that can be drawn now.
    fn available(&mut self) -> u64;
    /// The most that it ever holds.
    fn capacity(&self) -> u64;
    /// Fills `out`, whose length is at most [`available`](Self::available).
    fn draw(&mut self, out: &mut [u8]);
    /// The id of the next key.
    fn id(&mut self) -> Uuid {
        Uuid::new_v4()
    }
}

struct Twin {
    bytes: Zeroizing<Vec<u8>>,
    grant: KeyAudience,
    delivered: Vec<String>,
}

struct Inner {
    material: Box<dyn KeyMaterial>,
    twins: HashMap<Uuid, Twin>,
    /// Creation time of each waiting key, oldest first; including keys fetched since.
    made: VecDeque<(Instant, Uuid)>,
    /// Twins that wait, by master.
    waiting: HashMap<String, usize>,
    lifetime: Duration,
    expired: u64,
    repeats: bool,
    taken: (u64, u64),
}

impl Inner {
    fn remove(&mut self, id: &Uuid) -> bool {
        let Some(twin) = self.twins.remove(id) else {
            return false;
        };
        if let Some(count) = self.waiting.get_mut(&twin.grant.master) {
            *count -= 1;
            if *count == 0 {
                self.waiting.remove(&twin.grant.master);
            }
        }
        true
    }

    /// Destroys waiting keys whose lifetime has ended.
    fn expire(&mut self) {
        let now = Instant::now();
        while let Some((made, id)) = self.made.front().copied() {
            if now.duration_since(made) < self.lifetime {
                break;
            }
            self.made.pop_front();
            if self.remove(&id) {
                self.expired += 1;
            }
        }
        // Twins that were fetched must not fill the list until their time is over.
        if self.made.len() > 2 * self.twins.len() + 1024 {
            let twins = &self.twins;
            self.made.retain(|(_, id)| twins.contains_key(id));
        }
    }
}

/// Maximum number of keys that wait for the peer: a client cannot fill the memory by taking keys
/// that the peer does not fetch.
const MOST_WAITING: usize = 1_000_000;
/// The most of them that one master has: others can still take keys.
const MOST_WAITING_OF_ONE: usize = MOST_WAITING / 2;
/// Default time for which a key waits for the peer; [`KeyPool::set_peer_key_lifetime`] changes it.
/// The only published value is that of `lucasmbarboza/skip-server`, which keeps keys for 3600 s.
pub const PEER_KEY_LIFETIME: Duration = Duration::from_secs(3600);

/// A source in memory, shared by both KMEs of a link.
///
/// The twin of a key that was taken waits for its slaves for [`PEER_KEY_LIFETIME`], then it is
/// destroyed and counted. No more keys are given while a million twins wait, or half a million of
/// one master.
pub struct KeyPool(Mutex<Inner>);

impl KeyPool {
    /// A pool that draws from `material`.
    #[must_use]
    pub fn new(material: impl KeyMaterial + 'static) -> Self {
        Self(Mutex::new(Inner {
            material: Box::new(material),
            twins: HashMap::new(),
            made: VecDeque::new(),
            waiting: HashMap::new(),
            lifetime: PEER_KEY_LIFETIME,
            expired: 0,
            repeats: false,
            taken: (0, 0),
        }))
    }
    /// Sets how long a key waits for its slaves. It applies to waiting keys too.
    pub fn set_peer_key_lifetime(&self, lifetime: Duration) {
        self.lock().lifetime = lifetime;
    }
    /// Returns the number of keys that expired before all their slaves had fetched them.
    #[must_use]
    pub fn expired(&self) -> u64 {
        self.lock().expired
    }
    /// Sets whether a key can be fetched repeatedly, which some KMEs in the field allow and the
    /// standard does not.
    pub fn set_redelivers(&self, repeats: bool) {
        self.lock().repeats = repeats;
    }
    /// Returns the keys that were taken and wait for their slaves.
    #[must_use]
    pub fn undelivered(&self) -> usize {
        self.lock().twins.len()
    }
    /// Returns the number of new keys taken so far, and the number of keys fetched by the peer.
    #[must_use]
    pub fn delivered_counts(&self) -> (u64, u64) {
        self.lock().taken
    }
    /// Destroys the keys that wait for their slaves.
    pub fn discard(&self) {
        let mut inner = self.lock();
        inner.twins.clear();
        inner.made.clear();
        inner.waiting.clear();
    }
    fn lock(&self) -> MutexGuard<'_, Inner> {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        inner.expire();
        inner
    }
}

impl KeySource for KeyPool {
    fn count(&self, bits: u64) -> (u64, u64) {
        let mut inner = self.lock();
        let size = (bits / 8).max(1);
        (
            inner.material.available() / size,
            inner.material.capacity() / size,
        )
    }

    fn take(
        &self,
        grant: &KeyAudience,
        count: usize,
        bits: u64,
    ) -> Result<Vec<KeyItem>, SourceError> {
        let mut guard = self.lock();
        let inner = &mut *guard;
        let size = usize::try_from(bits / 8).map_err(|_| SourceError::NotEnough)?;
        let total = (size as u64)
            .checked_mul(count as u64)
            .ok_or(SourceError::NotEnough)?;
        if total > inner.material.available() {
            return Err(SourceError::NotEnough);
        }
        let own = inner.waiting.get(&grant.master).copied().unwrap_or(0);
        if inner.twins.len().saturating_add(count) > MOST_WAITING
            || own.saturating_add(count) > MOST_WAITING_OF_ONE
        {
            return Err(SourceError::Undelivered);
        }
        let now = Instant::now();
        let mut keys = Vec::with_capacity(count);
        for _ in 0..count {
            let mut bytes = Zeroizing::new(vec![0; size]);
            inner.material.draw(&mut bytes);
            let id = inner.material.id();
            inner.made.push_back((now, id));
            inner.twins.insert(
                id,
                Twin {
                    bytes: bytes.clone(),
                    grant: grant.clone(),
                    delivered: Vec::new(),
                },
            );
            keys.push(KeyItem { id, bytes });
        }
        *inner.waiting.entry(grant.master.clone()).or_default() += count;
        inner.taken.0 += keys.len() as u64;
        Ok(keys)
    }

    fn take_by_id(
        &self,
        master: &str,
        slave: &str,
        ids: &[Uuid],
    ) -> Result<Vec<KeyItem>, SourceError> {
        let mut guard = self.lock();
        let inner = &mut *guard;
        for (i, id) in ids.iter().enumerate() {
            let twin = inner
                .twins
                .get(id)
                .filter(|t| t.grant.master == master)
                .ok_or(SourceError::NotFound)?;
            if !twin.grant.slaves.iter().any(|s| s == slave) {
                return Err(SourceError::NotAllowed);
            }
            if ids[..i].contains(id)
                || (!inner.repeats && twin.delivered.iter().any(|s| s == slave))
            {
                return Err(SourceError::NotFound);
            }
        }
        let mut keys = Vec::with_capacity(ids.len());
        for id in ids {
            let Some(twin) = inner.twins.get_mut(id) else {
                return Err(SourceError::NotFound);
            };
            keys.push(KeyItem {
                id: *id,
                bytes: twin.bytes.clone(),
            });
            twin.delivered.push(slave.to_owned());
            if !inner.repeats && twin.grant.slaves.iter().all(|s| twin.delivered.contains(s)) {
                inner.remove(id);
            }
        }
        inner.taken.1 += keys.len() as u64;
        Ok(keys)
    }
}
