//! Veriqloud Qline (KIWI), a BB84 system: the management and monitoring servers of Alice and Bob.
//!
//! Source: the vendor's public repository `Veriqloud/kiwi_hw_control`: the servers
//! `remote/{hw_alice,hw_bob,mon_alice,mon_bob,hws_alice}.py`, their clients
//! `local/{hw_alice,hw_bob,mon,hws}.py`, and `config/qline1/meta_config.json` for the ports.
//!
//! | server | port in the sample configuration | end | module |
//! |---|---|---|---|
//! | hw | 13000 | both | [`hw`] |
//! | hws | 13001 | Alice | [`hws`] |
//! | mon | 13002 | both | [`mon`] |
//! | KMS, ETSI GS QKD 014 over plain HTTP | 13003, 13004 | both | [`crate::vendor::etsi014`] |
//!
//! The protocol has no request IDs, no TLS and no authentication; an empty command disconnects.
//! Starting and stopping raw key generation (`gc`) uses a Unix socket on the host of the server and
//! is not emulated.
//!
//! Chosen by this project, because the source does not specify it: the effect of the `hw` settings
//! on the model (they are stored, and `get_info` returns them as `name = value` lines); calibration
//! commands of `hws` take the calibration time of the model and succeed if light arrives; the
//! status values that the vendor calls FIFO, LTC, SDA and FDA are 0; the global counter counts the
//! pulses of the clock.

pub mod frame;
pub mod hw;
pub mod hws;
pub mod mon;
pub(super) mod profile;

use crate::{
    fault::{ApplyDeviceFault, DeviceFault},
    model::{
        optics::Rates,
        qkd::{Phase, QkdLink},
    },
};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// End of the QKD link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Alice: the transmitter.
    Alice,
    /// Bob: the receiver.
    Bob,
}

/// One end of a Qline.
pub struct Node {
    side: Side,
    link: Arc<QkdLink>,
    /// Settings by name, as they were set.
    settings: Mutex<BTreeMap<String, String>>,
    /// Saved settings, by the name under which they were saved.
    saved: Mutex<BTreeMap<String, BTreeMap<String, String>>>,
}

impl Node {
    /// Creates an end of this link, without settings.
    #[must_use]
    pub fn new(side: Side, link: Arc<QkdLink>) -> Arc<Self> {
        Arc::new(Self {
            side,
            link,
            settings: Mutex::default(),
            saved: Mutex::default(),
        })
    }
    /// Returns the end of the link.
    #[must_use]
    pub fn side(&self) -> Side {
        self.side
    }
    /// Returns the QKD link.
    #[must_use]
    pub fn link(&self) -> &Arc<QkdLink> {
        &self.link
    }
    /// Returns the state of this end that commands can change, as text; the state of the link is
    /// separate.
    #[must_use]
    pub fn state(&self) -> String {
        let saved = self.saved.lock().unwrap_or_else(PoisonError::into_inner);
        format!(
            "{:?} settings: {:?}\n{:?} saved: {saved:?}",
            self.side,
            self.settings(),
            self.side
        )
    }
    fn rates(&self) -> Rates {
        self.link.rates()
    }
    /// Returns whether the link is in a phase before key generation.
    fn is_calibrating(&self) -> bool {
        matches!(
            self.link.phase(),
            Phase::Synchronising | Phase::Aligning | Phase::Calibrating
        )
    }
    fn settings(&self) -> MutexGuard<'_, BTreeMap<String, String>> {
        self.settings.lock().unwrap_or_else(PoisonError::into_inner)
    }
    /// Saves the settings under a name.
    fn save(&self, name: &str) {
        let now = self.settings().clone();
        self.saved
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(name.to_owned(), now);
    }
    /// Restores the settings that were saved under a name; returns `false` if no settings have that
    /// name.
    fn load(&self, name: &str) -> bool {
        let saved = self
            .saved
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(name)
            .cloned();
        match saved {
            Some(settings) => {
                *self.settings() = settings;
                true
            }
            None => false,
        }
    }
}

impl ApplyDeviceFault for Node {
    fn apply(&self, fault: &DeviceFault) -> Result<(), String> {
        self.link.apply(fault)
    }
}

/// Feeds arbitrary bytes to all servers of both ends; must not panic for any input.
pub fn fuzz(input: &[u8]) {
    use crate::wire::Session;
    let link = QkdLink::new(
        crate::model::qkd::LinkConfig::default(),
        crate::Clock::manual(),
        1,
    );
    for side in [Side::Alice, Side::Bob] {
        let node = Node::new(side, Arc::clone(&link));
        mon::Mon::new(Arc::clone(&node)).feed(input);
        hw::Hw::new(Arc::clone(&node)).feed(input);
        hws::Hws::new(node).feed(input);
    }
}
