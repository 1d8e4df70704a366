//! Rolls in progress: what a row was seen to do since a key was staged.

use crate::proto::{Status, decode_status, oid};
use qkd_driver_kit::link::snmp_client::{BackgroundTask, SnmpClient};
use qkd_hal::KeyId;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::time::Instant;

/// Interval at which a row is polled during a roll.
pub(crate) const POLL_INTERVAL: Duration = Duration::from_millis(200);
/// Time for which a staged key is tracked.
const WATCHED_FOR: Duration = Duration::from_secs(600);

/// Observations of a row since a key was staged.
pub(crate) struct Roll {
    pub(crate) key: KeyId,
    /// Whether alarm 223 was active before the key was written: it then carries no information
    /// about this key until it is cleared.
    pub(crate) failed_before: bool,
    /// Whether leaving `active` is significant: the row was in `active` or `init` before, or its
    /// exchange had failed permanently, or this driver forced it. Otherwise it may be an earlier
    /// exchange in progress, which ends with the previous secret.
    pub(crate) armed: bool,
    /// When the row was first seen out of `active`.
    pub(crate) left: Option<Instant>,
    /// When it was seen there again.
    pub(crate) back: Option<Instant>,
    /// Polls the row; `None` ends it.
    pub(crate) watcher: Option<BackgroundTask>,
}

impl Roll {
    /// A roll in which the row was not seen out of `active` yet.
    pub(crate) fn new(key: KeyId, failed_before: bool, armed: bool) -> Self {
        Self {
            key,
            failed_before,
            armed,
            left: None,
            back: None,
            watcher: None,
        }
    }
}

/// The last roll of each row.
#[derive(Default)]
pub(crate) struct RollTracker(Arc<Mutex<HashMap<u32, Roll>>>);

impl RollTracker {
    pub(crate) fn with<R>(&self, f: impl FnOnce(&mut HashMap<u32, Roll>) -> R) -> R {
        f(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Polls a row, so that the end that was not forced also detects that it left `active` and
    /// returned.
    pub(crate) fn watch(&self, agent: &SnmpClient, row: u32) {
        let (agent, rolls) = (agent.clone(), Arc::clone(&self.0));
        let watcher = BackgroundTask::spawn(async move {
            let end = Instant::now() + WATCHED_FOR;
            while Instant::now() < end {
                if let Ok(values) = agent.call().get(&[oid::instance(oid::STATUS, row)]).await
                    && let Ok(Some(status)) = decode_status(&values[0])
                {
                    let mut rolls = rolls.lock().unwrap_or_else(PoisonError::into_inner);
                    let Some(roll) = rolls.get_mut(&row) else {
                        return;
                    };
                    // An exchange begins there: one that has not begun takes the secret that is
                    // written.
                    roll.armed |= status == Status::Init;
                    match (status, roll.left) {
                        (Status::Active, None) => roll.armed = true,
                        (Status::Active, Some(_)) => {
                            roll.back = Some(Instant::now());
                            return;
                        }
                        _ if roll.armed => drop(roll.left.get_or_insert_with(Instant::now)),
                        _ => {}
                    }
                }
                tokio::time::sleep(POLL_INTERVAL).await;
            }
        });
        self.with(|rolls| {
            if let Some(roll) = rolls.get_mut(&row) {
                roll.watcher = Some(watcher);
            }
        });
    }
}
