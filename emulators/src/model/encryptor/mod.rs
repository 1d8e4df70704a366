//! Linked pairs of encryptors: traffic passes only under a key that both ends hold. Frames that do
//! not pass are counted.

pub mod forced;
pub mod mka;
pub mod psk;

use std::sync::{Mutex, PoisonError};

/// Told what happens, and at which end.
type Listener<E> = Box<dyn Fn(usize, &E) + Send + Sync>;

/// Receivers of the events of a model: its wire front ends, which send traps.
pub(crate) struct Listeners<E>(Mutex<Vec<Listener<E>>>);

impl<E> Default for Listeners<E> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<E> Listeners<E> {
    pub(crate) fn add(&self, listener: impl Fn(usize, &E) + Send + Sync + 'static) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(Box::new(listener));
    }
    pub(crate) fn notify(&self, events: Vec<(usize, E)>) {
        if events.is_empty() {
            return;
        }
        let listeners = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (end, event) in &events {
            listeners.iter().for_each(|l| l(*end, event));
        }
    }
}

/// Frames of one direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Traffic {
    /// That the sender encrypted.
    pub encrypted: u64,
    /// That the receiver accepted.
    pub accepted: u64,
    /// That the receiver refused.
    pub refused: u64,
    /// Frames that the sender could not send because it had no key.
    pub blocked: u64,
    /// That went in clear, because encryption is off at both ends.
    pub clear: u64,
}

impl Traffic {
    /// Returns the number of offered frames that did not arrive.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.refused + self.blocked
    }
}

/// Octets of one frame, for the octet counters.
pub const FRAME_BYTES: u64 = 1000;

/// Turns time into whole frames.
#[derive(Debug, Default)]
pub(crate) struct FrameMeter {
    rest: f64,
}

impl FrameMeter {
    pub(crate) fn frames(&mut self, seconds: f64, per_second: f64) -> u64 {
        let total = self.rest + seconds * per_second;
        let whole = total.floor().max(0.0);
        self.rest = total - whole;
        whole as u64
    }
}
