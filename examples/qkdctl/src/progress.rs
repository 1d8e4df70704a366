//! Progress of long operations: on standard error if it is a terminal; never with `--output json`.

use crate::output::Output;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::{io::IsTerminal, time::Duration};

/// A progress bar, or nothing without a terminal. It disappears when dropped.
pub(crate) struct Progress(ProgressBar);

impl Progress {
    fn new(output: Output, length: Option<u64>, template: &str) -> Self {
        let seen = !output.is_json() && !output.quiet && std::io::stderr().is_terminal();
        let target = if seen {
            ProgressDrawTarget::stderr()
        } else {
            ProgressDrawTarget::hidden()
        };
        let bar = ProgressBar::with_draw_target(length, target);
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(200));
        Self(bar)
    }
    /// Creates the progress of `length` bytes.
    pub(crate) fn bytes(output: Output, length: usize) -> Self {
        Self::new(
            output,
            Some(length as u64),
            "{bar:30} {bytes}/{total_bytes}  {bytes_per_sec}  {eta} left",
        )
    }
    /// Creates the progress of an operation of unknown length.
    pub(crate) fn work(output: Output, what: impl Into<String>) -> Self {
        let new = Self::new(output, None, "{spinner} {msg} ({elapsed})");
        new.0.set_message(what.into());
        new
    }
    /// Creates the progress of cases, whose number is set later.
    pub(crate) fn cases(output: Output) -> Self {
        Self::new(output, Some(0), "{bar:30} {pos}/{len} {msg}")
    }
    /// Sets the description of the current step.
    pub(crate) fn message(&self, what: String) {
        self.0.set_message(what);
    }
    /// So many more are to come.
    pub(crate) fn extend_by(&self, by: usize) {
        self.0.inc_length(by as u64);
    }
    /// One more is done.
    pub(crate) fn step(&self, what: &str) {
        self.0.inc(1);
        self.0.set_message(what.to_owned());
    }
    /// So many are done.
    pub(crate) fn at(&self, position: usize) {
        self.0.set_position(position as u64);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

/// Shows that work runs, for as long as it does.
pub(crate) async fn during<T>(
    output: Output,
    what: impl Into<String>,
    work: impl Future<Output = T>,
) -> T {
    let _shown = Progress::work(output, what);
    work.await
}
