//! Settling: devices that may report their old state for some time after a change.

use super::SwitchBackend;
use qkd_hal::Result;
use qkd_switch_hal::CrossConnects;
use std::time::Duration;
use tokio::time::{Instant, sleep_until};

/// Time for which a device may report its old state after a change, and the polling during that
/// time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Settling {
    /// Time after which the reported state is current.
    pub max_time: Duration,
    /// The time between two readings.
    pub poll_interval: Duration,
    /// Whether the first reading after a set is discarded, because it may be old at any later time.
    pub discard_first: bool,
}

impl Settling {
    /// The reported state is always current: one reading is sufficient.
    pub const NONE: Self = Self {
        max_time: Duration::ZERO,
        poll_interval: Duration::ZERO,
        discard_first: false,
    };

    /// The reported state is current after at most `within`; it is polled at the interval `every`.
    #[must_use]
    pub const fn polled(within: Duration, every: Duration) -> Self {
        Self {
            max_time: within,
            poll_interval: every,
            discard_first: false,
        }
    }

    /// Also discards the first reading after a set.
    #[must_use]
    pub const fn discard_first(mut self) -> Self {
        self.discard_first = true;
        self
    }
}

/// Final state that a device reported.
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
