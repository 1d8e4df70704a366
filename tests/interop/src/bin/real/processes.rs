//! Daemons of both ends.

use std::{
    process::Child,
    time::{Duration, Instant},
};

/// A process for each end, ended with this value.
#[derive(Default)]
pub(crate) struct Processes([Option<Child>; 2]);

impl Processes {
    pub(crate) fn put(&mut self, end: usize, child: Child) {
        self.kill(end);
        self.0[end] = Some(child);
    }

    /// Kills the process of an end, without a chance to clean up.
    pub(crate) fn kill(&mut self, end: usize) {
        if let Some(mut child) = self.0[end].take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Drop for Processes {
    fn drop(&mut self) {
        for end in 0..2 {
            self.kill(end);
        }
    }
}

/// Waits until a condition holds, at most 10 s.
pub(crate) fn wait_for(what: &str, holds: impl FnMut() -> bool) -> Result<(), String> {
    wait_within(Duration::from_secs(10), what, holds)
}

/// Waits until a condition holds, at most this time.
pub(crate) fn wait_within(
    longest: Duration,
    what: &str,
    mut holds: impl FnMut() -> bool,
) -> Result<(), String> {
    let end = Instant::now() + longest;
    while Instant::now() < end {
        if holds() {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Err(format!(
        "{what} did not start within {} s",
        longest.as_secs()
    ))
}
