//! The clock of the models.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::time::Instant;

#[derive(Debug, Clone)]
enum Source {
    Tokio { start: Instant, factor: f64 },
    Manual(Arc<AtomicU64>),
}

/// A clock that starts at zero. Clones show the same time.
#[derive(Debug, Clone)]
pub struct Clock(Source);

impl Default for Clock {
    /// The time of tokio, which tests can pause.
    fn default() -> Self {
        Self::scaled(1.0)
    }
}

impl Clock {
    /// The time of tokio, `factor` times as fast: minutes of calibration pass in seconds.
    #[must_use]
    pub fn scaled(factor: f64) -> Self {
        let factor = if factor.is_finite() && factor > 0.0 {
            factor.min(1e9)
        } else {
            1.0
        };
        Self(Source::Tokio {
            start: Instant::now(),
            factor,
        })
    }
    /// Creates a clock that changes only with [`advance`](Self::advance).
    #[must_use]
    pub fn manual() -> Self {
        Self(Source::Manual(Arc::default()))
    }
    /// Time since the start.
    #[must_use]
    pub fn now(&self) -> Duration {
        match &self.0 {
            Source::Tokio { start, factor } => {
                Duration::try_from_secs_f64(start.elapsed().as_secs_f64() * factor)
                    .unwrap_or(Duration::MAX)
            }
            Source::Manual(nanos) => Duration::from_nanos(nanos.load(Ordering::SeqCst)),
        }
    }
    /// Moves a manual clock; does nothing to another one.
    pub fn advance(&self, by: Duration) {
        if let Source::Manual(nanos) = &self.0 {
            nanos.fetch_add(
                u64::try_from(by.as_nanos()).unwrap_or(u64::MAX),
                Ordering::SeqCst,
            );
        }
    }
    /// Converts a duration of this clock to wall time.
    #[must_use]
    pub fn to_wall_time(&self, time: Duration) -> Duration {
        match &self.0 {
            Source::Tokio { factor, .. } => time.div_f64(*factor),
            Source::Manual(_) => Duration::ZERO,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn manual_time_stays_until_it_is_advanced() {
        let clock = Clock::manual();
        let twin = clock.clone();
        clock.advance(Duration::from_secs(3));
        assert_eq!(twin.now(), Duration::from_secs(3));
    }

    #[tokio::test(start_paused = true)]
    async fn scaled_time_runs_faster() {
        let clock = Clock::scaled(10.0);
        tokio::time::advance(Duration::from_secs(2)).await;
        assert_eq!(clock.now().as_secs(), 20);
        assert_eq!(clock.to_wall_time(Duration::from_secs(20)).as_secs(), 2);
    }
}
