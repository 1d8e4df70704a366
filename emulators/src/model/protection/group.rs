//! A protection group (ITU-T G.808.1): the selector switches over if the signal of its path fails,
//! and reverts, or not, when the path has recovered.

use crate::model::light::NO_LIGHT_DBM;
use qkd_switch_hal::protection::{SelectionMode, SwitchRequest};
use std::time::Duration;

/// Light that comes in.
#[derive(Debug, Clone, PartialEq)]
pub struct Input {
    /// Power without a fault, in dBm.
    pub level: f64,
    /// Whether its fibre is cut.
    pub cut: bool,
    /// Below this it has failed, in dBm.
    pub threshold: f64,
    failed: bool,
}

impl Input {
    /// Creates an input without a fault.
    #[must_use]
    pub fn new(level: f64, threshold: f64) -> Self {
        Self {
            level,
            cut: false,
            threshold,
            failed: false,
        }
    }
    /// Whether it has failed.
    #[must_use]
    pub fn failed(&self) -> bool {
        self.failed
    }
}

/// An active external command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ActiveCommand {
    /// The signal stays on the preferred path.
    Lockout,
    /// It goes to this path, whatever its light.
    Force(usize),
    /// Selects this path while it is available.
    Manual(usize),
}

/// A change of the active path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PathChange {
    /// When, in the time of the model.
    pub at: Duration,
    /// Index of the new active path.
    pub to: usize,
    /// Reason of the change.
    pub request: SwitchRequest,
}

/// The group. Paths and inputs are numbered from 0.
#[derive(Debug, Clone)]
pub struct Group {
    /// The names of its paths, and the inputs that each needs.
    paths: Vec<(String, Vec<usize>)>,
    /// Inputs of the group.
    pub inputs: Vec<Input>,
    /// Selection by the device or by the operator.
    pub mode: SelectionMode,
    /// Where the signal belongs.
    pub preferred: usize,
    /// Whether the group is revertive.
    pub revert: bool,
    /// Time for which the preferred path must be available before the group reverts.
    pub wait_to_restore: Duration,
    /// Time for which a path must have failed before the selector leaves it.
    pub hold_off: Duration,
    /// By how much an input must exceed its threshold to be well again, in dB.
    pub hysteresis: f64,
    /// More loss on all inputs, in dB.
    pub extra_loss: f64,
    /// Active external command; `None` if there is none.
    pub standing: Option<ActiveCommand>,
    active: usize,
    request: SwitchRequest,
    since: Option<Duration>,
    leave_at: Option<Duration>,
    restore_at: Option<Duration>,
    switch_overs: u64,
    signal_failures: u64,
}

impl Group {
    /// Creates a group in which each path needs the input with its index. The first path is active
    /// and preferred.
    #[must_use]
    pub fn of(paths: &[&str], inputs: Vec<Input>) -> Self {
        Self::with_path_inputs(
            paths
                .iter()
                .enumerate()
                .map(|(n, name)| ((*name).to_owned(), vec![n]))
                .collect(),
            inputs,
        )
    }
    /// A group whose paths need several inputs.
    #[must_use]
    pub fn with_path_inputs(paths: Vec<(String, Vec<usize>)>, inputs: Vec<Input>) -> Self {
        Self {
            paths,
            inputs,
            mode: SelectionMode::Automatic,
            preferred: 0,
            revert: true,
            wait_to_restore: Duration::from_secs(60),
            hold_off: Duration::ZERO,
            hysteresis: 1.0,
            extra_loss: 0.0,
            standing: None,
            active: 0,
            request: SwitchRequest::NoRequest,
            since: None,
            leave_at: None,
            restore_at: None,
            switch_overs: 0,
            signal_failures: 0,
        }
    }

    /// The names of its paths.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.paths.iter().map(|(name, _)| name.as_str())
    }
    /// The inputs that a path needs.
    #[must_use]
    pub fn needs(&self, path: usize) -> &[usize] {
        &self.paths[path].1
    }
    /// Whether a path has failed.
    #[must_use]
    pub fn failed(&self, path: usize) -> bool {
        self.needs(path).iter().any(|n| self.inputs[*n].failed)
    }
    /// Returns the power at an input now, in dBm.
    #[must_use]
    pub fn level(&self, input: usize) -> f64 {
        let input = &self.inputs[input];
        if input.cut {
            NO_LIGHT_DBM
        } else {
            (input.level - self.extra_loss).max(NO_LIGHT_DBM)
        }
    }
    /// Where the signal is.
    #[must_use]
    pub fn active(&self) -> usize {
        self.active
    }
    /// Returns the reason for the active path.
    #[must_use]
    pub fn request(&self) -> SwitchRequest {
        self.request
    }
    /// Since when, if it has gone over.
    #[must_use]
    pub fn since(&self) -> Option<Duration> {
        self.since
    }
    /// Returns the number of switch-overs.
    #[must_use]
    pub fn switch_overs(&self) -> u64 {
        self.switch_overs
    }
    /// Returns the number of signal failures of the inputs.
    #[must_use]
    pub fn signal_failures(&self) -> u64 {
        self.signal_failures
    }
    /// Forgets what it has counted.
    pub fn reset_counters(&mut self) {
        (self.switch_overs, self.signal_failures) = (0, 0);
    }

    /// In manual mode, the operator's hand: the signal goes to `path`.
    pub fn select_path(&mut self, path: usize, now: Duration) -> Option<PathChange> {
        let change = self.go(path, SwitchRequest::ManualSwitch, now);
        self.request = SwitchRequest::ManualSwitch;
        change
    }

    fn go(&mut self, to: usize, request: SwitchRequest, at: Duration) -> Option<PathChange> {
        self.request = request;
        if to == self.active {
            return None;
        }
        (self.active, self.since) = (to, Some(at));
        self.switch_overs += 1;
        (self.leave_at, self.restore_at) = (None, None);
        Some(PathChange { at, to, request })
    }

    /// Lets the light of now act, and the time until now pass.
    pub fn evaluate(&mut self, now: Duration) -> Option<PathChange> {
        for n in 0..self.inputs.len() {
            let level = self.level(n);
            let hysteresis = self.hysteresis.max(0.0);
            let input = &mut self.inputs[n];
            let failed = if input.failed {
                level < input.threshold + hysteresis
            } else {
                level < input.threshold
            };
            self.signal_failures += u64::from(failed && !input.failed);
            input.failed = failed;
        }
        if self.mode == SelectionMode::Manual {
            (self.leave_at, self.restore_at) = (None, None);
            self.request = SwitchRequest::ManualSwitch;
            return None;
        }
        match self.standing {
            Some(ActiveCommand::Lockout) => {
                return self.go(self.preferred, SwitchRequest::LockoutOfProtection, now);
            }
            Some(ActiveCommand::Force(path)) => {
                return self.go(path, SwitchRequest::ForcedSwitch, now);
            }
            // A failure is stronger than a manual switch, and ends it.
            Some(ActiveCommand::Manual(path)) if self.failed(path) => self.standing = None,
            Some(ActiveCommand::Manual(path)) => {
                return self.go(path, SwitchRequest::ManualSwitch, now);
            }
            None => {}
        }
        // A cleared command is no longer the reason, even if the signal must stay on a failed path.
        if matches!(
            self.request,
            SwitchRequest::LockoutOfProtection
                | SwitchRequest::ForcedSwitch
                | SwitchRequest::ManualSwitch
        ) {
            self.request = match self.active == self.preferred {
                true => SwitchRequest::NoRequest,
                false => SwitchRequest::SignalFail,
            };
        }
        if self.failed(self.active) {
            let Some(other) = self.available_path() else {
                self.leave_at = None;
                return None;
            };
            let leave_at = *self.leave_at.get_or_insert(now + self.hold_off);
            return if now >= leave_at {
                self.go(other, SwitchRequest::SignalFail, leave_at)
            } else {
                None
            };
        }
        self.leave_at = None;
        if self.active == self.preferred {
            self.restore_at = None;
            self.request = SwitchRequest::NoRequest;
        } else if self.failed(self.preferred) {
            self.restore_at = None;
            self.request = SwitchRequest::SignalFail;
        } else if !self.revert {
            self.restore_at = None;
            self.request = SwitchRequest::DoNotRevert;
        } else {
            self.request = SwitchRequest::WaitToRestore;
            let restore_at = *self.restore_at.get_or_insert(now + self.wait_to_restore);
            if now >= restore_at {
                return self.go(self.preferred, SwitchRequest::NoRequest, restore_at);
            }
        }
        None
    }

    /// Returns an available path; the preferred one first.
    fn available_path(&self) -> Option<usize> {
        std::iter::once(self.preferred)
            .chain(0..self.paths.len())
            .find(|p| !self.failed(*p))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn group() -> Group {
        let mut group = Group::of(
            &["a", "b"],
            vec![Input::new(-5.0, -20.0), Input::new(-6.0, -20.0)],
        );
        group.wait_to_restore = s(60);
        group
    }

    #[test]
    fn a_cleared_command_is_not_the_reason_any_more_while_all_paths_have_failed() {
        for command in [
            ActiveCommand::Lockout,
            ActiveCommand::Force(0),
            ActiveCommand::Manual(0),
        ] {
            let mut group = group();
            group.standing = Some(command);
            group.evaluate(s(1));
            group.inputs.iter_mut().for_each(|input| input.cut = true);
            group.evaluate(s(2));
            group.standing = None;
            assert_eq!(group.evaluate(s(3)), None, "{command:?}");
            assert_eq!(group.request, SwitchRequest::NoRequest, "{command:?}");
        }
    }

    #[test]
    fn the_selector_switches_over_and_reverts_after_the_wait_to_restore_time() {
        let mut group = group();
        assert_eq!(group.evaluate(s(1)), None);
        group.inputs[0].cut = true;
        assert_eq!(
            group.evaluate(s(2)),
            Some(PathChange {
                at: s(2),
                to: 1,
                request: SwitchRequest::SignalFail
            })
        );
        assert_eq!(
            (group.evaluate(s(3)), group.request()),
            (None, SwitchRequest::SignalFail)
        );
        group.inputs[0].cut = false;
        assert_eq!(
            (group.evaluate(s(10)), group.request()),
            (None, SwitchRequest::WaitToRestore)
        );
        // Another failure restarts the wait.
        group.inputs[0].cut = true;
        group.evaluate(s(40));
        group.inputs[0].cut = false;
        assert_eq!((group.evaluate(s(50)), group.evaluate(s(80))), (None, None));
        assert_eq!(
            group.evaluate(s(200)),
            Some(PathChange {
                at: s(110),
                to: 0,
                request: SwitchRequest::NoRequest
            }),
            "when it was due, not when it was read"
        );
        assert_eq!((group.switch_overs(), group.signal_failures()), (2, 2));
    }

    #[test]
    fn a_non_revertive_group_and_a_group_without_an_available_path_stay() {
        let mut group = group();
        group.revert = false;
        group.inputs[0].cut = true;
        group.evaluate(s(1));
        group.inputs[0].cut = false;
        assert_eq!(
            (group.evaluate(s(500)), group.active(), group.request()),
            (None, 1, SwitchRequest::DoNotRevert)
        );
        group.extra_loss = 50.0;
        assert_eq!((group.evaluate(s(501)), group.active()), (None, 1));
    }

    #[test]
    fn manual_mode_does_not_protect_and_commands_have_priorities() {
        let mut group = group();
        group.mode = SelectionMode::Manual;
        group.inputs[0].cut = true;
        assert_eq!((group.evaluate(s(1)), group.active()), (None, 0));
        assert!(group.select_path(1, s(2)).is_some());
        group.mode = SelectionMode::Automatic;
        group.standing = Some(ActiveCommand::Force(0));
        assert_eq!(
            group.evaluate(s(3)).map(|c| c.request),
            Some(SwitchRequest::ForcedSwitch),
            "forced to a dark path"
        );
        group.standing = Some(ActiveCommand::Manual(0));
        assert_eq!(
            group.evaluate(s(4)).map(|c| (c.to, c.request)),
            Some((1, SwitchRequest::SignalFail)),
            "a failure ends a manual switch"
        );
        assert_eq!(group.standing, None);
    }

    #[test]
    fn hold_off_and_hysteresis() {
        let mut group = group();
        group.hold_off = s(5);
        group.inputs[0].level = -20.5;
        assert_eq!(group.evaluate(s(1)), None);
        assert_eq!(group.evaluate(s(7)).map(|c| c.at), Some(s(6)));
        group.inputs[0].level = -19.5;
        group.evaluate(s(8));
        assert!(group.failed(0), "within the hysteresis");
        group.inputs[0].level = -18.9;
        group.evaluate(s(9));
        assert!(!group.failed(0));
    }
}
