//! Serialisation of changes on one device.

use qkd_hal::{Error, ErrorKind, Result};
use tokio::{
    sync::{Mutex, MutexGuard},
    time::{Instant, timeout_at},
};

/// Serialises the changes on one device: between the first read and the read-back of a change, no
/// other change of the same handle starts.
#[derive(Debug, Default)]
pub struct ChangeLock(Mutex<()>);

impl ChangeLock {
    /// Waits for a turn.
    ///
    /// # Errors
    /// `Timeout`, if it does not come by then.
    pub async fn lock(&self, until: Instant) -> Result<MutexGuard<'_, ()>> {
        timeout_at(until, self.0.lock())
            .await
            .map_err(|_| Error::new(ErrorKind::Timeout, "other changes took until the deadline"))
    }
}
