//! MACsec Key Agreement between two participants with preshared CAKs.

use rand::Rng;
use rand_chacha::ChaCha12Rng;
use std::time::Duration;
use zeroize::Zeroizing;

/// Time between two hellos (IEEE 802.1X-2010, table 9-3).
pub(super) const HELLO: Duration = Duration::from_secs(2);
/// Time for which a silent peer remains live (IEEE 802.1X-2010, table 9-3).
const LIFE: Duration = Duration::from_secs(6);
/// When a participant has sent its first hello.
const FIRST_HELLO: Duration = Duration::from_millis(200);
/// When the key server finds its peer live, after both have begun.
const LIVE: Duration = Duration::from_secs(2);
/// When both have the distributed key.
const DISTRIBUTED: Duration = Duration::from_secs(3);

/// The CAK and its name.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Network {
    /// 16 or 32 octets.
    pub(crate) cak: Zeroizing<Vec<u8>>,
    /// 1 to 32 octets.
    pub(crate) ckn: Zeroizing<Vec<u8>>,
}

/// A participant of the key agreement.
pub(super) struct Participant {
    pub(super) network: Network,
    began: Duration,
    /// Its member identifier, which differs for each start.
    pub(super) member_id: [u8; 12],
    /// Until when its peer, which has gone silent, counts as live.
    kept_until: Option<Duration>,
    /// Keys that were distributed since it began.
    pub(super) keys: u32,
}

impl Participant {
    fn new(network: Network, began: Duration, random: &mut ChaCha12Rng) -> Self {
        let mut member_id = [0; 12];
        random.fill_bytes(&mut member_id);
        Self {
            network,
            began,
            member_id,
            kept_until: None,
            keys: 0,
        }
    }

    /// The number of its last message.
    pub(super) fn message_number(&self, now: Duration) -> u64 {
        let age = now.saturating_sub(self.began);
        if age < FIRST_HELLO {
            0
        } else {
            1 + age.as_secs() / HELLO.as_secs()
        }
    }
}

/// A daemon.
pub(super) struct End {
    startup: Network,
    /// Used by the participant from its next start on.
    pub(super) stored: Network,
    pub(super) participant: Participant,
    pub(super) is_connected: bool,
}

/// Progress of the agreement at an end.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Progress {
    /// It has sent nothing yet.
    NotActive,
    /// It has no live peer. `heard`: one that is not yet live.
    Alone { heard: bool },
    /// It has a live peer. `keyed`: the key was distributed.
    Live { keyed: bool },
}

/// Both ends.
pub(super) struct Session {
    pub(super) ends: [End; 2],
    pub(super) is_cut: bool,
    /// Since when both participants hear each other with one key.
    agreed_since: Option<Duration>,
    random: ChaCha12Rng,
}

impl Session {
    pub(super) fn new(startup: [Network; 2], now: Duration, mut random: ChaCha12Rng) -> Self {
        let ends = startup.map(|network| End {
            stored: network.clone(),
            participant: Participant::new(network.clone(), now, &mut random),
            startup: network,
            is_connected: true,
        });
        let mut session = Self {
            ends,
            is_cut: false,
            agreed_since: None,
            random,
        };
        session.note_changes(now);
        session
    }

    /// Begins a participant with the stored key.
    pub(super) fn associate(&mut self, end: usize, now: Duration) {
        self.begin(end, self.ends[end].stored.clone(), now);
        self.ends[end].is_connected = true;
    }

    /// Begins a participant with a key that may be another one than the stored one.
    pub(super) fn begin(&mut self, end: usize, network: Network, now: Duration) {
        self.ends[end].participant = Participant::new(network, now, &mut self.random);
    }

    /// Starts the daemon again: what was set and not saved is lost.
    pub(super) fn restart(&mut self, end: usize, now: Duration) {
        self.ends[end].stored = self.ends[end].startup.clone();
        self.associate(end, now);
    }

    /// When both have the key of the present agreement, and frames pass.
    pub(super) fn keyed_at(&self) -> Option<Duration> {
        Some(self.agreed_since? + DISTRIBUTED)
    }

    /// Notes whether the participants agree after a change.
    pub(super) fn note_changes(&mut self, now: Duration) {
        let [a, b] = &self.ends;
        let begun = a.participant.began.max(b.participant.began);
        let agrees = !self.is_cut && a.participant.network == b.participant.network;
        let was_keyed = self.keyed_at().is_some_and(|at| at <= now);
        // A participant that began after the agreement has heard nothing yet.
        let is_other = self.agreed_since.is_some_and(|since| since < begun);
        if self.agreed_since.is_some() && (!agrees || is_other) {
            let since = self.agreed_since.take().unwrap_or_default();
            for end in &mut self.ends {
                if was_keyed && end.participant.began <= since {
                    end.participant.kept_until = Some(now + LIFE);
                }
            }
        }
        if agrees && self.agreed_since.is_none() {
            self.agreed_since = Some(now.max(begun));
        }
        if self.keyed_at().is_some_and(|at| at <= now) {
            for end in &mut self.ends {
                end.participant.keys = end.participant.keys.max(1);
            }
        }
    }

    /// Returns the progress of the agreement at an end.
    pub(super) fn progress(&self, end: usize, now: Duration) -> Progress {
        let participant = &self.ends[end].participant;
        let is_key_server = end == 0;
        let age = self.agreed_since.map(|since| now.saturating_sub(since));
        match age {
            Some(age) if age >= DISTRIBUTED => Progress::Live { keyed: true },
            Some(age) if age >= LIVE && is_key_server => Progress::Live { keyed: false },
            _ if participant.kept_until.is_some_and(|until| now < until) => {
                Progress::Live { keyed: true }
            }
            _ if participant.message_number(now) == 0 => Progress::NotActive,
            age => Progress::Alone {
                heard: age.is_some_and(|age| age >= FIRST_HELLO),
            },
        }
    }
}
