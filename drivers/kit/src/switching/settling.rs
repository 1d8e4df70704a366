//! Devices that may still tell their old state for a while after a set.

use super::SwitchBackend;
use qkd_hal::Result;
use qkd_switch_hal::CrossConnects;
use std::time::Duration;
use tokio::time::{Instant, sleep_until};

/// How long after a set a device may still tell its old state, and how it is asked meanwhile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Settling {
    /// From then on, what it tells is the truth.
    pub max_time: Duration,
    /// The time between two readings.
    pub poll_interval: Duration,
    /// Whether the first reading after a set may be old however late it comes: it is thrown away.
    pub discard_first: bool,
}

impl Settling {
    /// What it tells is always the truth: one reading is enough.
    pub const NONE: Self = Self {
        max_time: Duration::ZERO,
        poll_interval: Duration::ZERO,
        discard_first: false,
    };

    /// It tells the truth within this time at the latest, and is asked this often.
    #[must_use]
    pub const fn polled(within: Duration, every: Duration) -> Self {
        Self {
            max_time: within,
            poll_interval: every,
            discard_first: false,
        }
    }

    /// The same, and the first reading after a set is thrown away.
    #[must_use]
    pub const fn first_is_old(mut self) -> Self {
        self.discard_first = true;
        self
    }
}

/// What a device told in the end.
pub(super) enum SettleResult {
    /// The state that was wanted.
    Wanted(CrossConnects),
    /// Another one, when it must have settled.
    Other(CrossConnects),
    /// Another one; the deadline came before it must have settled.
    Unsettled(CrossConnects),
}

/// Reads until the state is wanted, or the device must have settled from what was sent at `since`
/// (`None`: nothing was), or `until` comes.
pub(super) async fn read(
    backend: &dyn SwitchBackend,
    since: Option<Instant>,
    until: Instant,
    wanted: impl Fn(&CrossConnects) -> bool,
) -> Result<SettleResult> {
    let settling = backend.settling();
    let settled = since.map_or_else(Instant::now, |since| since + settling.max_time);
    loop {
        let asked = Instant::now();
        let state = backend.read().await?;
        if wanted(&state) {
            return Ok(SettleResult::Wanted(state));
        }
        if asked >= settled {
            return Ok(SettleResult::Other(state));
        }
        let next = (Instant::now() + settling.poll_interval).min(settled);
        if next >= until {
            return Ok(SettleResult::Unsettled(state));
        }
        sleep_until(next).await;
    }
}
