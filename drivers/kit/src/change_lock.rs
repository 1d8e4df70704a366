//! The turns of changes on one box.

use qkd_hal::{Error, ErrorKind, Result};
use tokio::{
    sync::{Mutex, MutexGuard},
    time::{Instant, timeout_at},
};

/// The turns of changes on one box: between what a change reads first and what it reads back, no
/// other change of the same handle begins.
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
