//! Shared code of drivers of protection switches: the sequence of
//! [`Protection::command`](qkd_switch_hal::protection::Protection::command), and the tracking of
//! the active path.

use crate::change_lock::ChangeLock;
use async_trait::async_trait;
use qkd_hal::{
    DeviceMisbehaved, Effect, Error, ErrorKind, EventKind, Result,
    event::{EventHub, Origin},
};
use qkd_switch_hal::protection::{
    ExternalCommand, GroupId, PathId, ProtectionStatus, SwitchRequest,
};
use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::{Duration, SystemTime},
};
use tokio::time::{Instant, sleep};

/// Interval at which the status of a group is polled after a command.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// Operations that a driver of protection groups provides.
#[async_trait]
pub trait ProtectionBackend: Send + Sync {
    /// Reads the status of a group from the device by the deadline `until`.
    async fn status(&self, group: &GroupId, until: Instant) -> Result<ProtectionStatus>;
    /// Checks whether a command is allowed in this status, in addition to
    /// [`ProtectionStatus::permits`]. No I/O.
    ///
    /// # Errors
    /// `NotReady`, with the reason.
    fn permits(&self, _status: &ProtectionStatus, _command: &ExternalCommand) -> Result<()> {
        Ok(())
    }
    /// Sends an external command to the device.
    async fn send_command(
        &self,
        group: &GroupId,
        command: &ExternalCommand,
        until: Instant,
    ) -> Result<()>;
    /// Within which the group shows what was commanded.
    fn settling_time(&self) -> Duration;
}

/// Performs an external command after earlier changes are complete: reads the status, refuses an
/// unsafe command, sends it, and reads back until the status matches the command. Ends by `until`.
///
/// # Errors
/// As [`Protection::command`](qkd_switch_hal::protection::Protection::command).
pub async fn command(
    backend: &dyn ProtectionBackend,
    group: &GroupId,
    command: &ExternalCommand,
    turns: &ChangeLock,
    until: Instant,
) -> Result<()> {
    let _turn = turns.lock(until).await?;
    let before = backend.status(group, until).await?;
    before.permits(command)?;
    backend.permits(&before, command)?;
    backend.send_command(group, command, until).await?;
    let settled = Instant::now() + backend.settling_time();
    loop {
        let asked = Instant::now();
        let now = backend
            .status(group, until)
            .await
            .map_err(|e| e.with_effect(Effect::Unknown))?;
        if shows(&now, command) {
            return Ok(());
        }
        let (active, request) = (now.active.path, now.active.request);
        if asked >= settled {
            let why = format!(
                "`{command}` was accepted, and the signal of group {group} is on path {active}: \
                 {request}"
            );
            return Err(Error::misbehaved(DeviceMisbehaved::ChangeNotApplied, why)
                .with_effect(Effect::Unknown));
        }
        if asked + POLL_INTERVAL >= until {
            let why = format!(
                "`{command}` was accepted, and when the deadline came the signal of group {group} \
                 was still on path {active}: {request}"
            );
            return Err(Error::new(ErrorKind::Timeout, why).with_effect(Effect::Unknown));
        }
        sleep(POLL_INTERVAL).await;
    }
}

/// Returns whether the status of a group matches a command.
fn shows(now: &ProtectionStatus, command: &ExternalCommand) -> bool {
    match (command, now.active.request) {
        (ExternalCommand::Lockout, request) => {
            matches!(
                request,
                SwitchRequest::LockoutOfProtection | SwitchRequest::Unknown
            )
        }
        (ExternalCommand::Clear, request) => !matches!(
            request,
            SwitchRequest::LockoutOfProtection | SwitchRequest::ForcedSwitch
        ),
        (command, _) => command.path() == Some(&now.active.path),
    }
}

/// An active path, with the time since when it is active and the source of this fact.
type Last = (PathId, Option<(SystemTime, Origin)>);

/// The last known active path of each group, as published in events.
#[derive(Debug, Default)]
pub struct ActivePathTracker(Mutex<BTreeMap<GroupId, Last>>);

impl ActivePathTracker {
    fn with<R>(&self, f: impl FnOnce(&mut BTreeMap<GroupId, Last>) -> R) -> R {
        f(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Records the status of a group. If the active path has changed, publishes an event and
    /// returns `true`.
    pub fn observe(&self, status: &ProtectionStatus, origin: Origin, events: &EventHub) -> bool {
        let path = status.active.path.clone();
        let over = self.with(|last| match last.get(&status.group) {
            Some((known, _)) if *known == path => false,
            known => {
                let over = known.is_some();
                last.insert(
                    status.group.clone(),
                    (path.clone(), over.then(|| (SystemTime::now(), origin))),
                );
                over
            }
        });
        if over {
            let (group, request) = (status.group.0.clone(), status.active.request.to_string());
            events.publish(
                origin,
                EventKind::SwitchOver {
                    group,
                    path: path.0,
                    request,
                },
            );
        }
        over
    }

    /// Records a switch-over that the device has reported, and publishes it unless the path is
    /// known to be active.
    pub fn record_notification(
        &self,
        group: GroupId,
        path: PathId,
        request: SwitchRequest,
        events: &EventHub,
    ) {
        let active = (path.clone(), Some((SystemTime::now(), Origin::Device)));
        let known = self.with(|last| {
            last.insert(group.clone(), active)
                .is_some_and(|(known, _)| known == path)
        });
        if !known {
            events.publish(
                Origin::Device,
                EventKind::SwitchOver {
                    group: group.0,
                    path: path.0,
                    request: request.to_string(),
                },
            );
        }
    }

    /// Returns the last known active path; `None` if unknown.
    #[must_use]
    pub fn active_path(&self, group: &GroupId) -> Option<PathId> {
        self.with(|last| last.get(group).map(|(path, _)| path.clone()))
    }

    /// Sets the time since when the active path is active, if an event gave it.
    pub fn fill_since(&self, status: &mut ProtectionStatus) {
        status.active.since = self.with(|last| {
            last.get(&status.group)
                .filter(|(path, _)| *path == status.active.path)
                .and_then(|(_, since)| *since)
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use qkd_hal::event::StreamItem;
    use qkd_switch_hal::protection::{PathStatus, SelectionMode};

    #[test]
    fn a_switch_over_is_reported_once_and_sets_the_time_of_the_path() {
        let (watch, events) = (ActivePathTracker::default(), EventHub::default());
        let mut reported = events.subscribe();
        let status_on = |path: &str| {
            ProtectionStatus::new(
                "1".into(),
                SelectionMode::Automatic,
                path.into(),
                SwitchRequest::SignalFail,
                vec![PathStatus::new("a"), PathStatus::new("b")],
            )
        };
        let mut now = status_on("a");
        assert!(!watch.observe(&now, Origin::Poll, &events));
        watch.fill_since(&mut now);
        assert_eq!(now.active.since, None);
        let mut now = status_on("b");
        watch.fill_since(&mut now);
        assert_eq!(now.active.since, None, "no event has reported it yet");
        assert!(
            watch.observe(&now, Origin::Device, &events)
                && !watch.observe(&now, Origin::Device, &events)
        );
        watch.fill_since(&mut now);
        assert_eq!(now.active.since.unwrap().1, Origin::Device);
        let Some(StreamItem::Event(event)) = reported.try_next() else {
            panic!()
        };
        assert_eq!(
            event.kind,
            EventKind::SwitchOver {
                group: "1".into(),
                path: "b".into(),
                request: "signal-fail".into()
            }
        );
        watch.record_notification("1".into(), "b".into(), SwitchRequest::SignalFail, &events);
        assert_eq!(
            (reported.try_next(), watch.active_path(&"1".into())),
            (None, Some("b".into()))
        );
        watch.record_notification("1".into(), "a".into(), SwitchRequest::NoRequest, &events);
        assert!(reported.try_next().is_some() && watch.active_path(&"2".into()).is_none());
    }
}
