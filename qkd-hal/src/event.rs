//! Ordered events with sequence numbers.
//!
//! Events of SNMP devices arrive only if the process receives notifications: give the kit's
//! `OpenContext` a receiver (`OpenContext::with_notifications`). Without a receiver, such a device
//! declares [`EventSupport::LinkOnly`](crate::capability::EventSupport::LinkOnly), and its handle
//! publishes only changes of the link.
//!
//! A slow reader receives [`StreamItem::Lost`] and must read the state again. [`Origin`]
//! distinguishes events that the device sent from those that polling detected.

use serde::{Deserialize, Serialize};
use std::{
    collections::VecDeque,
    fmt,
    future::poll_fn,
    sync::{Arc, Mutex, PoisonError},
    task::{Poll, Waker},
    time::SystemTime,
};

/// Source of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    /// The device sent it.
    Device,
    /// Polling detected a change.
    Poll,
    /// The link or the driver.
    Driver,
}

/// Severity of an alarm (ITU-T X.733).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// The alarm has gone.
    Cleared,
    /// The severity cannot be determined.
    Indeterminate,
    /// A possible fault; no service is affected yet.
    Warning,
    /// A fault that does not affect service.
    Minor,
    /// A fault that affects service and needs urgent correction.
    Major,
    /// A fault that affects service and needs immediate correction.
    Critical,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Cleared => "cleared",
            Self::Indeterminate => "indeterminate",
            Self::Warning => "warning",
            Self::Minor => "minor",
            Self::Major => "major",
            Self::Critical => "critical",
        })
    }
}

/// Kind of an event, with its data.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "what")]
#[non_exhaustive]
pub enum EventKind {
    /// The link was lost; reported once, however often reconnecting fails.
    LinkLost {
        /// Reason for the failure.
        reason: String,
    },
    /// The link is back, and the same device answers.
    LinkRestored,
    /// Another device answers; the handle is closed.
    IdentityChanged {
        /// Identity that was found.
        found: String,
    },
    /// The device has restarted.
    Restarted,
    /// An alarm was raised, or cleared.
    Alarm {
        /// Code as given by the vendor.
        code: String,
        /// Text as given by the vendor.
        text: String,
        /// Port or channel that the alarm concerns; `None` if the device does not report it.
        subject: Option<String>,
        /// Severity of the alarm.
        severity: Severity,
    },
    /// The state of the device or of one of its parts changed.
    StateChanged {
        /// Of what (`module`, a channel, a port).
        subject: String,
        /// New state.
        state: String,
    },
    /// The selector of a protection group changed to another path.
    SwitchOver {
        /// ID of the protection group.
        group: String,
        /// Path that is active now.
        path: String,
        /// Why, by the names of ITU-T G.808.1, such as `signal-fail`.
        request: String,
    },
    /// Something else that the vendor's document names.
    Vendor {
        /// The vendor's name for it.
        name: String,
        /// Details, without secrets.
        detail: String,
    },
    /// A key was lost on the way: it must never be used at the peer.
    KeyLost {
        /// The ids, where they are known.
        ids: Vec<crate::KeyId>,
    },
}

/// An event with its sequence number, time and origin.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Event {
    /// Grows by one with each event of this device handle.
    pub sequence: u64,
    /// Time at which the event was detected.
    #[serde(with = "crate::serial::time")]
    pub at: SystemTime,
    /// Source of the event.
    pub origin: Origin,
    /// Kind of the event.
    #[serde(flatten)]
    pub kind: EventKind,
}

/// Item of an event stream.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StreamItem {
    /// The next event in order.
    Event(Arc<Event>),
    /// So many events came faster than they were read: read the device's state again.
    Lost(u64),
}

#[derive(Debug)]
struct Ring {
    /// In the order of their sequence numbers, which have gaps where events were lost before.
    events: VecDeque<Arc<Event>>,
    next: u64,
    capacity: usize,
    wakers: Vec<Waker>,
    closed: bool,
}

impl Ring {
    /// Adds an event, and returns who waits for it. `None`: its number is not a new one, or it is
    /// the last one that exists, after which no reader could go on.
    fn push(&mut self, event: Event) -> Option<Vec<Waker>> {
        if event.sequence < self.next {
            return None;
        }
        self.next = event.sequence.checked_add(1)?;
        if self.events.len() == self.capacity {
            self.events.pop_front();
        }
        self.events.push_back(Arc::new(event));
        Some(std::mem::take(&mut self.wakers))
    }
}

/// Where a driver publishes its events. Cheap to clone.
#[derive(Debug, Clone)]
pub struct EventHub(Arc<Mutex<Ring>>);

impl Default for EventHub {
    fn default() -> Self {
        Self::new(256)
    }
}

impl EventHub {
    /// A hub that keeps the last `capacity` events for slow readers.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self::starting_at(1, capacity)
    }

    /// A hub whose next event has the sequence number `next`: for the events of another hub, which
    /// [`forward`](Self::forward) publishes. [`EventStream::position`] of the stream that is
    /// forwarded is that number.
    #[must_use]
    pub fn starting_at(next: u64, capacity: usize) -> Self {
        Self(Arc::new(Mutex::new(Ring {
            events: VecDeque::new(),
            next,
            capacity: capacity.max(1),
            wakers: Vec::new(),
            closed: false,
        })))
    }

    fn with<R>(&self, f: impl FnOnce(&mut Ring) -> R) -> R {
        f(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Publishes an event; returns its sequence number.
    pub fn publish(&self, origin: Origin, kind: EventKind) -> u64 {
        let (sequence, wakers) = self.with(|ring| {
            let event = Event {
                sequence: ring.next,
                at: SystemTime::now(),
                origin,
                kind,
            };
            (event.sequence, ring.push(event))
        });
        wakers.into_iter().flatten().for_each(Waker::wake);
        sequence
    }

    /// Publishes an event of another hub, with the time and the sequence number that it has there.
    /// Readers learn of the numbers that are missing before it as [`StreamItem::Lost`].
    ///
    /// An event whose number is not above that of the last event, or is [`u64::MAX`], is ignored;
    /// returns whether it was published.
    pub fn forward(&self, event: Event) -> bool {
        let wakers = self.with(|ring| ring.push(event));
        let published = wakers.is_some();
        wakers.into_iter().flatten().for_each(Waker::wake);
        published
    }

    /// Events from now on.
    #[must_use]
    pub fn subscribe(&self) -> EventStream {
        EventStream {
            hub: self.clone(),
            next: self.with(|ring| ring.next),
        }
    }

    /// Ends all streams, once they have been read.
    pub fn close(&self) {
        let wakers = self.with(|ring| {
            ring.closed = true;
            std::mem::take(&mut ring.wakers)
        });
        wakers.into_iter().for_each(Waker::wake);
    }
}

/// A reader of events.
#[derive(Debug)]
pub struct EventStream {
    hub: EventHub,
    next: u64,
}

impl EventStream {
    /// A stream that has ended, for devices without events.
    #[must_use]
    pub fn ended() -> Self {
        let hub = EventHub::new(1);
        hub.close();
        hub.subscribe()
    }

    /// Returns the sequence number of the next event to read.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.next
    }

    /// Returns the next item if one is available, without waiting; `None` otherwise.
    pub fn try_next(&mut self) -> Option<StreamItem> {
        let next = self.next;
        let delivery = self.hub.with(|ring| {
            let index = ring.events.partition_point(|event| event.sequence < next);
            let event = ring.events.get(index)?;
            Some(match event.sequence - next {
                0 => StreamItem::Event(Arc::clone(event)),
                missing => StreamItem::Lost(missing),
            })
        })?;
        self.next += match delivery {
            StreamItem::Lost(n) => n,
            StreamItem::Event(_) => 1,
        };
        Some(delivery)
    }

    /// Waits for what comes next; `None` when the device was closed. Dropping the future loses
    /// nothing.
    pub async fn next(&mut self) -> Option<StreamItem> {
        poll_fn(|context| {
            if let Some(delivery) = self.try_next() {
                return Poll::Ready(Some(delivery));
            }
            let next = self.next;
            self.hub.with(|ring| {
                if ring.next > next {
                    context.waker().wake_by_ref();
                    Poll::Pending
                } else if ring.closed {
                    Poll::Ready(None)
                } else {
                    if !ring.wakers.iter().any(|w| w.will_wake(context.waker())) {
                        ring.wakers.push(context.waker().clone());
                    }
                    Poll::Pending
                }
            })
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::executor::block_on;

    fn publish(hub: &EventHub, n: usize) {
        for _ in 0..n {
            hub.publish(Origin::Device, EventKind::Restarted);
        }
    }

    #[test]
    fn replayed_in_order_up_to_the_end() {
        let hub = EventHub::new(8);
        let mut stream = hub.subscribe();
        publish(&hub, 2);
        hub.close();
        let sequence = |d| match d {
            Some(StreamItem::Event(e)) => e.sequence,
            other => panic!("{other:?}"),
        };
        assert_eq!(sequence(block_on(stream.next())), 1);
        assert_eq!(sequence(block_on(stream.next())), 2);
        assert_eq!(block_on(stream.next()), None);
    }

    #[test]
    fn a_slow_reader_learns_how_many_events_it_lost() {
        let hub = EventHub::new(4);
        let mut stream = hub.subscribe();
        publish(&hub, 10);
        assert_eq!(stream.try_next(), Some(StreamItem::Lost(6)));
        assert!(matches!(stream.try_next(), Some(StreamItem::Event(e)) if e.sequence == 7));
    }

    #[test]
    fn a_forwarded_event_keeps_its_number_and_its_time() {
        let (origin, copy) = (EventHub::new(8), EventHub::starting_at(3, 8));
        let mut stream = origin.subscribe();
        publish(&origin, 6);
        let events: Vec<Event> = std::iter::from_fn(|| match stream.try_next() {
            Some(StreamItem::Event(event)) => Some((*event).clone()),
            _ => None,
        })
        .collect();
        let mut reader = copy.subscribe();
        assert!(copy.forward(events[2].clone()));
        assert!(!copy.forward(events[2].clone()), "the same event again");
        assert!(copy.forward(events[5].clone()));
        let item = |event: &Event| Some(StreamItem::Event(Arc::new(event.clone())));
        assert_eq!(reader.try_next(), item(&events[2]));
        assert_eq!(reader.try_next(), Some(StreamItem::Lost(2)));
        assert_eq!(reader.try_next(), item(&events[5]));
        assert_eq!((reader.try_next(), reader.position()), (None, 7));
    }

    #[test]
    fn a_reader_goes_on_after_every_number_that_is_forwarded() {
        let hub = EventHub::starting_at(5, 8);
        let mut reader = hub.subscribe();
        let event = |sequence| Event {
            sequence,
            at: SystemTime::UNIX_EPOCH,
            origin: Origin::Driver,
            kind: EventKind::Restarted,
        };
        assert!(!hub.forward(event(u64::MAX)), "no number follows it");
        let last = event(u64::MAX - 1);
        assert!(hub.forward(last.clone()));
        assert_eq!(reader.try_next(), Some(StreamItem::Lost(u64::MAX - 6)));
        assert_eq!(
            reader.try_next(),
            Some(StreamItem::Event(Arc::new(last.clone())))
        );
        assert!(!hub.forward(last) && !hub.forward(event(u64::MAX)));
        publish(&hub, 1);
        assert_eq!((reader.try_next(), reader.position()), (None, u64::MAX));
    }

    #[test]
    fn a_waiting_reader_is_woken() {
        let hub = EventHub::new(4);
        let mut stream = hub.subscribe();
        let reader = std::thread::spawn(move || block_on(stream.next()));
        publish(&hub, 1);
        assert!(matches!(reader.join().unwrap(), Some(StreamItem::Event(_))));
    }
}
