//! Exchanges that this handle has forced.

use crate::port::Before;
use qkd_hal::KeyId;
use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

/// The port as it was before this handle forced an exchange, by row. An exchange that was in
/// progress when the key was staged used the key before.
#[derive(Default)]
pub(crate) struct Activations(Mutex<HashMap<u32, (KeyId, Before)>>);

impl Activations {
    pub(crate) fn record(&self, row: u32, key: KeyId, before: Before) {
        self.lock().insert(row, (key, before));
    }

    pub(crate) fn forget(&self, row: u32) {
        self.lock().remove(&row);
    }

    /// Returns the port as it was before the exchange with this key was forced.
    pub(crate) fn before(&self, row: u32, key: &KeyId) -> Option<Before> {
        let all = self.lock();
        let (of, before) = all.get(&row)?;
        (of == key).then(|| before.clone())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<u32, (KeyId, Before)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
