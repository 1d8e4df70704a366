//! Log of the demo: each step, and whether its result was the expected one.

use crate::{
    colour::{TextStyle, paint},
    output::{self, Output},
};
use qkd_hal::Result;
use serde::Serialize;
use serde_json::json;
use std::time::Instant;

#[derive(Debug, Serialize)]
struct Line {
    chapter: String,
    what: String,
    /// `None`: information only; otherwise, whether the result was the expected one.
    holds: Option<bool>,
    at_ms: u128,
}

pub(crate) struct DemoLog {
    output: Output,
    begun: Instant,
    chapter: String,
    lines: Vec<Line>,
}

impl DemoLog {
    pub(crate) fn new(output: Output) -> Self {
        Self {
            output,
            begun: Instant::now(),
            chapter: String::new(),
            lines: Vec::new(),
        }
    }

    pub(crate) fn section(&mut self, title: &str) {
        title.clone_into(&mut self.chapter);
        if !self.output.is_json() {
            output::line(&format!("\n{title}"));
        }
    }

    fn push(&mut self, what: String, holds: Option<bool>) {
        if !self.output.is_json() {
            let mark = match holds {
                None => " ",
                Some(true) => &paint(TextStyle::Good, "✓"),
                Some(false) => &paint(TextStyle::Bad, "✗"),
            };
            output::line(&format!("  {mark} {what}"));
        }
        self.lines.push(Line {
            chapter: self.chapter.clone(),
            what,
            holds,
            at_ms: self.begun.elapsed().as_millis(),
        });
    }

    /// Logs an information.
    pub(crate) fn log(&mut self, what: impl Into<String>) {
        self.push(what.into(), None);
    }

    /// Tells something that must hold.
    pub(crate) fn check(&mut self, holds: bool, what: impl Into<String>) {
        self.push(what.into(), Some(holds));
    }

    /// Tells a result that must be one; gives it on.
    pub(crate) fn must<T>(&mut self, what: &str, result: Result<T>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(error) => {
                self.check(false, format!("{what}: {error}"));
                None
            }
        }
    }

    /// Tells a result that must be an error, as `right` wants it.
    pub(crate) fn must_fail<T>(
        &mut self,
        what: &str,
        result: Result<T>,
        right: impl FnOnce(&qkd_hal::Error) -> bool,
    ) {
        match result {
            Ok(_) => self.check(false, format!("{what}, but it succeeded")),
            Err(error) => self.check(
                right(&error),
                format!(
                    "{what}: {} [{}; {}]",
                    error.message(),
                    error.kind(),
                    error.effect()
                ),
            ),
        }
    }

    /// The verdict; the exit code.
    pub(crate) fn end(self) -> Result<u8> {
        let (held, failed) = (
            self.lines.iter().filter(|l| l.holds == Some(true)).count(),
            self.lines.iter().filter(|l| l.holds == Some(false)).count(),
        );
        let seconds = self.begun.elapsed().as_secs_f64();
        let (verdict, tone) = if failed == 0 {
            ("all as it should be", TextStyle::Good)
        } else {
            ("NOT as it should be", TextStyle::Bad)
        };
        output::print(
            self.output,
            "demo",
            &json!({
                "verdict": verdict, "held": held, "failed": failed,
                "duration_ms": seconds * 1000.0, "lines": self.lines,
            }),
            || {
                format!(
                    "\nVerdict: {}. {held} checks held, {failed} failed, in {seconds:.1} s. \
                     Everything above was answered by emulators, not by real devices.",
                    paint(tone, verdict)
                )
            },
        )?;
        Ok(if failed == 0 { 0 } else { 1 })
    }
}
