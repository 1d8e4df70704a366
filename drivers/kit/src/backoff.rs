//! Capped, jittered back-off between attempts to connect.

use rand::RngExt;
use std::time::Duration;
use tokio::time::Instant;

const FIRST: Duration = Duration::from_millis(50);
const CAP: Duration = Duration::from_secs(5);

/// When the next attempt may come.
#[derive(Debug, Default)]
pub(crate) struct Backoff {
    delay: Option<Duration>,
    next: Option<Instant>,
}

impl Backoff {
    /// Whether an attempt falls before the deadline; otherwise, how long until the next.
    pub(crate) fn may_try(&self, deadline: Instant) -> Result<(), Duration> {
        match self.next {
            Some(next) if next >= deadline => Err(next.saturating_duration_since(Instant::now())),
            _ => Ok(()),
        }
    }
    pub(crate) async fn wait(&self) {
        if let Some(next) = self.next {
            tokio::time::sleep_until(next).await;
        }
    }
    pub(crate) fn failed(&mut self) {
        let delay = self.delay.map_or(FIRST, |d| (d * 2).min(CAP));
        self.delay = Some(delay);
        let jitter = rand::rng().random_range(0.75..1.25);
        self.next = Some(Instant::now() + delay.mul_f64(jitter));
    }
    pub(crate) fn succeeded(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_grows_to_its_cap_and_ends_with_success() {
        let mut backoff = Backoff::default();
        let far = Instant::now() + Duration::from_secs(3600);
        for _ in 0..20 {
            backoff.failed();
        }
        assert_eq!(backoff.delay, Some(CAP));
        assert!(backoff.may_try(far).is_ok());
        let wait = backoff.may_try(Instant::now()).unwrap_err();
        assert!(wait > CAP.mul_f64(0.7) && wait < CAP.mul_f64(1.3));
        backoff.succeeded();
        assert!(backoff.may_try(Instant::now()).is_ok());
    }
}
