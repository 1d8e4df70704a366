//! The memory of the check: which device has responded, and which keys it has delivered.

use super::delivered::Delivered;
use crate::{Error, ErrorKind, Identity, Key, Result};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

/// The identity that responded first, and the ids of the keys that were delivered.
#[derive(Debug, Default)]
pub struct Seen {
    first: Mutex<Option<Identity>>,
    /// The error for every later call, after another device has responded.
    replaced: OnceLock<String>,
    delivered: Mutex<Delivered>,
}

impl Seen {
    fn first(&self) -> MutexGuard<'_, Option<Identity>> {
        self.first.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets the reference identity, unless there is one.
    pub(super) fn expect_identity(&self, opened: Identity) {
        self.first().get_or_insert(opened);
    }

    /// The identity with which later ones are compared.
    pub(super) fn reference_identity(&self) -> Option<Identity> {
        self.first().clone()
    }

    /// The error for every call, after another device has responded.
    pub(super) fn replaced(&self) -> Option<&str> {
        self.replaced.get().map(String::as_str)
    }

    /// Compares the responding identity with the reference identity. A different identity closes
    /// the handle for all operations.
    pub(super) fn check_identity(&self, found: &Identity) -> Result<()> {
        let mut known = self.first();
        let first = known.get_or_insert_with(|| found.clone());
        if first.is_same_device(found) {
            return Ok(());
        }
        let why = format!("{first} was opened, and {found} answers now; the handle is closed");
        let _ = self.replaced.set(why.clone());
        Err(Error::new(ErrorKind::IdentityChanged, why))
    }

    /// Closes the handle for all operations if the driver itself found another device.
    pub(super) fn note_replaced(&self, error: &Error) {
        if error.kind() == ErrorKind::IdentityChanged {
            let why = format!("{}; the handle is closed", error.message());
            let _ = self.replaced.set(why);
        }
    }

    /// Records keys; returns the first that had been delivered before.
    pub(super) fn delivered_before<'a>(&self, keys: &'a [Key]) -> Option<&'a Key> {
        let mut delivered = self
            .delivered
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        keys.iter().find(|key| !delivered.is_new(key.id()))
    }
}
