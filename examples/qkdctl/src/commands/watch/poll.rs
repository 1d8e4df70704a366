//! Following one device: it is opened, read at each interval, and opened again if it was lost. Its
//! events come in between.

use super::items::{self, Readings};
use crate::session::{Device, Session};
use qkd_driver_kit::{OpenedDevice, program::lock::LockMode};
use qkd_hal::{
    DeviceUri, Error, ErrorKind, EventStream, Identity, Result,
    event::{Event, StreamItem},
};
use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};
use tokio::{
    sync::mpsc::Sender,
    time::{MissedTickBehavior, interval},
};

/// Update about a device.
#[derive(Debug)]
pub(super) enum Update {
    /// Identity of the device, sent once for each opening.
    Identity(Identity),
    Readings(Readings),
    Event(Arc<Event>),
    /// So many events came faster than they were read.
    Lost(u64),
    /// It could not be read.
    Trouble(Error),
}

/// News of a device.
#[derive(Debug)]
pub(super) struct Report {
    /// Its place in the list.
    pub(super) device: usize,
    pub(super) at: SystemTime,
    pub(super) news: Update,
}

/// Interval and number of the polls.
#[derive(Debug, Clone, Copy)]
pub(super) struct PollSchedule {
    pub(super) interval: Duration,
    pub(super) count: Option<u64>,
}

/// Returns whether the device may recover without a change of the arguments.
fn may_come_back(kind: ErrorKind) -> bool {
    kind.is_transient() || kind == ErrorKind::Closed
}

struct Follower {
    session: Arc<Session>,
    name: String,
    place: usize,
    opened: Option<(DeviceUri, OpenedDevice)>,
    events: Option<EventStream>,
    reports: Sender<Report>,
}

/// Polls a device until it was read the requested number of times, or the receiver is closed.
///
/// # Errors
/// If the device cannot be opened the first time, and waiting would not help.
pub(super) async fn follow(
    session: Arc<Session>,
    place: usize,
    name: String,
    pace: PollSchedule,
    reports: Sender<Report>,
) -> Result<()> {
    let mut follower = Follower {
        session,
        name,
        place,
        opened: None,
        events: None,
        reports,
    };
    let mut ticks = interval(pace.interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut done = 0;
    while pace.count.is_none_or(|count| done < count) && !follower.reports.is_closed() {
        loop {
            tokio::select! {
                _ = ticks.tick() => break,
                delivery = next(&mut follower.events) => follower.deliver(delivery).await,
            }
        }
        let result = follower.read().await;
        // Events of the link precede their consequences.
        while let Some(delivery) = follower.events.as_mut().and_then(EventStream::try_next) {
            follower.deliver(Some(delivery)).await;
        }
        match result {
            Ok(readings) => follower.send(Update::Readings(readings)).await,
            Err(error)
                if done == 0 && follower.opened.is_none() && !may_come_back(error.kind()) =>
            {
                return Err(error);
            }
            Err(error) => {
                // A handle that was closed stays closed: the next time opens another.
                if matches!(error.kind(), ErrorKind::Closed | ErrorKind::IdentityChanged) {
                    follower.let_go().await;
                }
                follower.send(Update::Trouble(error)).await;
            }
        }
        done += 1;
    }
    follower.let_go().await;
    Ok(())
}

/// Returns the next event; waits for ever if there are no events.
async fn next(events: &mut Option<EventStream>) -> Option<StreamItem> {
    match events {
        Some(stream) => stream.next().await,
        None => std::future::pending().await,
    }
}

impl Follower {
    async fn send(&self, news: Update) {
        // A closed receiver ends the loop.
        let _ = self
            .reports
            .send(Report {
                device: self.place,
                at: SystemTime::now(),
                news,
            })
            .await;
    }

    async fn deliver(&mut self, delivery: Option<StreamItem>) {
        match delivery {
            Some(StreamItem::Event(event)) => self.send(Update::Event(event)).await,
            Some(StreamItem::Lost(n)) => self.send(Update::Lost(n)).await,
            None => self.events = None,
        }
    }

    async fn read(&mut self) -> Result<Readings> {
        if self.opened.is_none() {
            // The lock ends with the reading, so that watching a device does not block changes.
            let Device {
                uri,
                opened,
                lock: _lock,
            } = self.session.open(&self.name, LockMode::Shared).await?;
            let device = opened.device();
            self.events = Some(device.events());
            let identity = device.identity().await;
            self.opened = Some((uri, opened));
            if let Ok(identity) = identity {
                self.send(Update::Identity(identity)).await;
            }
        }
        let Some((uri, opened)) = &self.opened else {
            return Err(Error::new(
                ErrorKind::Internal,
                "an opened device is not there",
            ));
        };
        let _lock = self.session.lock(uri, LockMode::Shared).await?;
        items::read(opened).await
    }

    async fn let_go(&mut self) {
        self.events = None;
        if let Some((_, opened)) = self.opened.take() {
            let _ = opened.device().close().await;
        }
    }
}
