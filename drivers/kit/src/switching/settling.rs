//! Devices that may still tell their old state for a while after a set.

use super::Backend;
use qkd_hal::Result;
use qkd_switch_hal::CrossConnects;
use std::time::Duration;
use tokio::time::{Instant, sleep_until};

/// How long after a set a device may still tell its old state, and how it is asked meanwhile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Settling {
    /// From then on, what it tells is the truth.
    pub within: Duration,
    /// The time between two readings.
    pub every: Duration,
    /// Whether the first reading after a set may be old however late it comes: it is thrown away.
    pub first_is_old: bool,
}

impl Settling {
    /// What it tells is always the truth: one reading is enough.
    pub const NONE: Self = Self {
        within: Duration::ZERO,
        every: Duration::ZERO,
        first_is_old: false,
    };

    /// It tells the truth within this time at the latest, and is asked this often.
    #[must_use]
    pub const fn polled(within: Duration, every: Duration) -> Self {
        Self {
            within,
            every,
            first_is_old: false,
        }
    }

    /// The same, and the first reading after a set is thrown away.
    #[must_use]
    pub const fn first_is_old(mut self) -> Self {
        self.first_is_old = true;
        self
    }
}

/// What a device told in the end.
pub(super) enum Told {
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
    backend: &dyn Backend,
    since: Option<Instant>,
    until: Instant,
    wanted: impl Fn(&CrossConnects) -> bool,
) -> Result<Told> {
    let settling = backend.settling();
    let settled = since.map_or_else(Instant::now, |since| since + settling.within);
    loop {
        let asked = Instant::now();
        let state = backend.read().await?;
        if wanted(&state) {
            return Ok(Told::Wanted(state));
        }
        if asked >= settled {
            return Ok(Told::Other(state));
        }
        let next = (Instant::now() + settling.every).min(settled);
        if next >= until {
            return Ok(Told::Unsettled(state));
        }
        sleep_until(next).await;
    }
}
