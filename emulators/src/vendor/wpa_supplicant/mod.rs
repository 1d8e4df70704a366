//! wpa_supplicant 2.10 with the driver `macsec_linux`: two daemons with MACsec Key Agreement (MKA)
//! by a preshared CAK, and the wire between them. Datagrams of their control interfaces go in and
//! come out as octets, without sockets.
//!
//! Sources: hostapd git, `wpa_supplicant/ctrl_iface.c` and `src/pae/ieee802_1x_kay.c`;
//! wpa_supplicant.conf(5); IEEE 802.1X-2010, table 9-3. Answers were recorded from Debian's
//! wpa_supplicant 2.10 on Linux 6.1.
//!
//! Confirmed by the recording:
//! - `SET_NETWORK` changes the stored CAK and CKN only. The running participant keeps its own until
//!   `REASSOCIATE`, which also deletes the MACsec interface and makes it again.
//! - A stored CAK or CKN is never shown: `GET_NETWORK` answers `*`.
//! - `STATUS` has the CKN of the running participant. Directly after `REASSOCIATE`, it is
//!   `Not-Active` and not secured.
//! - Where one end only is reassociated, the other one is secured for up to 6 s more, although no
//!   frame passes.
//! - The key server is secured, with a live peer, about a second before it has distributed a key.
//!   Its `Is Key Server` is `No`.
//! - `DISCONNECT` and `DISABLE_NETWORK` do not end the participant.
//!
//! Different from the daemon: one network, number 0, whose other variables cannot be set; no events
//! after `ATTACH`; hellos are sent every 2 s from the start of a participant; a restart reads the
//! configuration that the daemon first had.

mod control;
pub(crate) mod profile;
mod session;
#[cfg(test)]
mod tests;

use crate::{
    clock::Clock,
    fault::{ApplyDeviceFault, DeviceFault},
    model::{
        change_faults::ChangeFaults,
        encryptor::{FrameMeter, Traffic},
        fingerprint,
    },
};
use qkd_driver_kit::link::datagram::{DatagramPeer, DatagramService, Datagrams};
use rand_chacha::ChaCha12Rng;
use session::{Network, Session};
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use zeroize::Zeroizing;

/// MAC addresses of the ends.
const ADDRESSES: [&str; 2] = ["02:00:00:00:00:0a", "02:00:00:00:00:0b"];
/// Priorities with which the key server is elected: the lowest one wins.
const PRIORITIES: [u8; 2] = [16, 20];
/// Names of the interfaces.
const INTERFACES: [&str; 2] = ["ea", "eb"];

struct State {
    session: Session,
    settled: Duration,
    meters: [FrameMeter; 2],
    traffic: [Traffic; 2],
}

/// Two daemons with a wire between them.
pub struct SupplicantPair {
    clock: Clock,
    frames_per_second: f64,
    faults: [ChangeFaults; 2],
    state: Mutex<State>,
}

impl SupplicantPair {
    /// Starts both daemons with these configurations. `random` gives the member identifiers.
    #[must_use]
    pub(crate) fn new(
        clock: Clock,
        frames_per_second: f64,
        startup: [Network; 2],
        random: ChaCha12Rng,
    ) -> Arc<Self> {
        let now = clock.now();
        Arc::new(Self {
            state: Mutex::new(State {
                session: Session::new(startup, now, random),
                settled: now,
                meters: Default::default(),
                traffic: Default::default(),
            }),
            clock,
            frames_per_second,
            faults: Default::default(),
        })
    }

    fn with<T>(&self, run: impl FnOnce(&mut Session, Duration) -> T) -> T {
        let now = self.clock.now();
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.flow(now, self.frames_per_second);
        let result = run(&mut state.session, now);
        state.session.note_changes(now);
        result
    }

    /// Frames that an end was offered, since the start.
    #[must_use]
    pub fn traffic_from(&self, end: usize) -> Traffic {
        self.with(|_, _| ());
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.traffic[end & 1]
    }

    /// Returns the state of an end that commands can change, as text; a key is shown as a
    /// fingerprint.
    #[must_use]
    pub fn state(&self, end: usize) -> String {
        self.with(|session, _| {
            let end = &session.ends[end & 1];
            let shown = |network: &Network| {
                let (ckn, cak) = (hex::encode(&*network.ckn), fingerprint(&network.cak));
                format!("CKN {ckn}, CAK {cak}")
            };
            format!(
                "connected {}\nstored: {}\nrunning: {}",
                end.is_connected,
                shown(&end.stored),
                shown(&end.participant.network)
            )
        })
    }

    /// Answers a datagram at the control interface of an end.
    fn answer(&self, end: usize, datagram: &[u8]) -> Zeroizing<Vec<u8>> {
        let faults = &self.faults[end];
        self.with(|session, now| {
            let may_change = || faults.should_apply().map_err(|_| ());
            control::answer(session, end, now, datagram, &may_change)
        })
    }
}

impl State {
    /// Passes the frames since the last call.
    fn flow(&mut self, now: Duration, per_second: f64) {
        let begun = self.settled;
        self.settled = now.max(begun);
        let passing = self.session.keyed_at().map_or(Duration::ZERO, |since| {
            self.settled.saturating_sub(since.max(begun))
        });
        let blocked = self.settled.saturating_sub(begun).saturating_sub(passing);
        for (traffic, meter) in self.traffic.iter_mut().zip(&mut self.meters) {
            let frames = meter.frames(blocked.as_secs_f64(), per_second);
            traffic.blocked += frames;
            let frames = meter.frames(passing.as_secs_f64(), per_second);
            traffic.encrypted += frames;
            traffic.accepted += frames;
        }
    }
}

/// One end of a pair: its control interface, and its faults.
pub struct SupplicantEnd {
    pair: Arc<SupplicantPair>,
    end: usize,
}

impl SupplicantEnd {
    /// End 0 or 1.
    #[must_use]
    pub fn new(pair: Arc<SupplicantPair>, end: usize) -> Self {
        Self { pair, end: end & 1 }
    }
}

impl DatagramService for SupplicantEnd {
    fn answer(&self, peer: DatagramPeer, datagram: &[u8]) -> Datagrams {
        if peer == DatagramPeer::Unix {
            vec![self.pair.answer(self.end, datagram)]
        } else {
            Vec::new()
        }
    }
}

impl ApplyDeviceFault for SupplicantEnd {
    fn apply(&self, fault: &DeviceFault) -> Result<(), String> {
        let Self { pair, end } = self;
        match fault {
            DeviceFault::Reboot => pair.with(|session, now| session.restart(*end, now)),
            DeviceFault::Refuse(n) => pair.faults[*end].refuse(*n),
            DeviceFault::Ignore(n) => pair.faults[*end].ignore(*n),
            DeviceFault::Cut(None) => pair.with(|session, _| session.is_cut = true),
            DeviceFault::Operator(action) if action == "disconnect" => {
                pair.with(|session, _| session.ends[*end].is_connected = false);
            }
            DeviceFault::Operator(action) if action == "alter-keys" => pair.with(|session, now| {
                let mut network = session.ends[*end].stored.clone();
                network.cak[0] ^= 1;
                session.begin(*end, network, now);
            }),
            DeviceFault::Clear => {
                pair.faults[*end].clear();
                pair.with(|session, _| session.is_cut = false);
            }
            other => {
                return Err(format!(
                    "wpa_supplicant has no fault {other:?}; it has reboot, refuse, ignore, cut, \
                     operator=disconnect, operator=alter-keys, clear"
                ));
            }
        }
        Ok(())
    }
}
