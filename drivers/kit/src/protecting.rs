//! What drivers of protection switches share: the sequence of
//! [`Protection::command`](qkd_switch_hal::protection::Protection::command), and which path was
//! live last.

use crate::turns::Turns;
use async_trait::async_trait;
use qkd_hal::{
    DeviceMisbehaved, Effect, Error, ErrorKind, EventKind, Result,
    event::{EventHub, Origin},
};
use qkd_switch_hal::protection::{GroupId, PathId, ProtectionStatus, Request, SwitchCommand};
use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::{Duration, SystemTime},
};
use tokio::time::{Instant, sleep};

/// How often a group is looked at until it shows what was commanded.
const EVERY: Duration = Duration::from_millis(50);

/// What a driver of protection groups provides.
#[async_trait]
pub trait Backend: Send + Sync {
    /// How a group stands, read from the device by then.
    async fn status(&self, group: &GroupId, until: Instant) -> Result<ProtectionStatus>;
    /// Whether a command may be given as the group stands, beyond [`ProtectionStatus::permits`]. No
    /// I/O.
    ///
    /// # Errors
    /// `NotReady`, with the reason.
    fn permits(&self, _status: &ProtectionStatus, _command: &SwitchCommand) -> Result<()> {
        Ok(())
    }
    /// Gives a command.
    async fn give(&self, group: &GroupId, command: &SwitchCommand, until: Instant) -> Result<()>;
    /// Within which the group shows what was commanded.
    fn within(&self) -> Duration;
}

/// Gives a command, when it is its turn: reads, refuses what is not safe, gives it, and reads back
/// until the group stands as the command wants it. Ends by `until`.
///
/// # Errors
/// As [`Protection::command`](qkd_switch_hal::protection::Protection::command).
pub async fn command(
    backend: &dyn Backend,
    group: &GroupId,
    command: &SwitchCommand,
    turns: &Turns,
    until: Instant,
) -> Result<()> {
    let _turn = turns.take(until).await?;
    let before = backend.status(group, until).await?;
    before.permits(command)?;
    backend.permits(&before, command)?;
    backend.give(group, command, until).await?;
    let settled = Instant::now() + backend.within();
    loop {
        let asked = Instant::now();
        let now = backend
            .status(group, until)
            .await
            .map_err(|e| e.with_effect(Effect::Unknown))?;
        if shows(&now, command) {
            return Ok(());
        }
        let (live, request) = (now.live.path, now.live.request);
        if asked >= settled {
            let why = format!(
                "`{command}` was accepted, and the signal of group {group} is on path {live}: \
                 {request}"
            );
            return Err(Error::misbehaved(DeviceMisbehaved::ChangeNotApplied, why)
                .with_effect(Effect::Unknown));
        }
        if asked + EVERY >= until {
            let why = format!(
                "`{command}` was accepted, and when the deadline came the signal of group {group} \
                 was still on path {live}: {request}"
            );
            return Err(Error::new(ErrorKind::Timeout, why).with_effect(Effect::Unknown));
        }
        sleep(EVERY).await;
    }
}

/// Whether a group stands as a command wants it.
fn shows(now: &ProtectionStatus, command: &SwitchCommand) -> bool {
    match (command, now.live.request) {
        (SwitchCommand::Lockout, request) => {
            matches!(request, Request::LockoutOfProtection | Request::Unknown)
        }
        (SwitchCommand::Clear, request) => !matches!(
            request,
            Request::LockoutOfProtection | Request::ForcedSwitch
        ),
        (command, _) => command.path() == Some(&now.live.path),
    }
}

/// A path, and since when it has been live, and who noticed.
type Last = (PathId, Option<(SystemTime, Origin)>);

/// Which path of each group was live last, as events told it.
#[derive(Debug, Default)]
pub struct Watch(Mutex<BTreeMap<GroupId, Last>>);

impl Watch {
    fn with<R>(&self, f: impl FnOnce(&mut BTreeMap<GroupId, Last>) -> R) -> R {
        f(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Notes how a group stands; if another path was live last, tells of it. Returns whether it
    /// did.
    pub fn note(&self, status: &ProtectionStatus, origin: Origin, events: &EventHub) -> bool {
        let path = status.live.path.clone();
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
            let (group, request) = (status.group.0.clone(), status.live.request.to_string());
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

    /// The device told of a switch-over: tells of it, unless that path is known to be live.
    pub fn told(&self, group: GroupId, path: PathId, request: Request, events: &EventHub) {
        let live = (path.clone(), Some((SystemTime::now(), Origin::Device)));
        let known = self.with(|last| {
            last.insert(group.clone(), live)
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

    /// The path that was live last, as far as is known.
    #[must_use]
    pub fn live(&self, group: &GroupId) -> Option<PathId> {
        self.with(|last| last.get(group).map(|(path, _)| path.clone()))
    }

    /// Fills in since when the live path has been so, where an event told of it.
    pub fn date(&self, status: &mut ProtectionStatus) {
        status.live.since = self.with(|last| {
            last.get(&status.group)
                .filter(|(path, _)| *path == status.live.path)
                .and_then(|(_, since)| *since)
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use qkd_hal::event::Delivery;
    use qkd_switch_hal::protection::{Mode, PathStatus};

    #[test]
    fn a_switch_over_is_told_once_and_dates_the_path() {
        let (watch, events) = (Watch::default(), EventHub::default());
        let mut told = events.subscribe();
        let stands = |path: &str| {
            ProtectionStatus::new(
                "1".into(),
                Mode::Automatic,
                path.into(),
                Request::SignalFail,
                vec![PathStatus::new("a"), PathStatus::new("b")],
            )
        };
        let mut now = stands("a");
        assert!(!watch.note(&now, Origin::Poll, &events));
        watch.date(&mut now);
        assert_eq!(now.live.since, None);
        let mut now = stands("b");
        watch.date(&mut now);
        assert_eq!(now.live.since, None, "nobody has told of it yet");
        assert!(
            watch.note(&now, Origin::Device, &events) && !watch.note(&now, Origin::Device, &events)
        );
        watch.date(&mut now);
        assert_eq!(now.live.since.unwrap().1, Origin::Device);
        let Some(Delivery::Event(event)) = told.try_next() else {
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
        watch.told("1".into(), "b".into(), Request::SignalFail, &events);
        assert_eq!(
            (told.try_next(), watch.live(&"1".into())),
            (None, Some("b".into()))
        );
        watch.told("1".into(), "a".into(), Request::NoRequest, &events);
        assert!(told.try_next().is_some() && watch.live(&"2".into()).is_none());
    }
}
