//! Known state of all devices, and its changes.

use super::{
    items::{Item, Readings},
    poll::{Report, Update},
};
use crate::exit;
use qkd_hal::{Error, ErrorKind, Event, Identity, event::EventKind};
use serde::Serialize;
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::SystemTime,
};

/// As many lines of events as are remembered.
const MAX_EVENT_LINES: usize = 200;

/// A change, an event: what a line says.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case", tag = "is")]
pub(super) enum Line {
    /// The first readings, or the first after it was away.
    Readings {
        values: BTreeMap<String, Value>,
        #[serde(skip)]
        shown: Vec<(String, String)>,
    },
    /// A reading is new, is another than before, or has gone.
    Change {
        name: String,
        before: Value,
        after: Value,
        #[serde(skip)]
        shown: (String, String),
    },
    /// Event from the device, from polling or from the link.
    Event { event: Event },
    /// Events came faster than they were read.
    Lost { events: u64 },
    /// It cannot be read now.
    Trouble {
        word: &'static str,
        kind: &'static str,
        message: String,
    },
    /// It can be read again.
    Back,
    /// Another device than before responds at its address.
    Replaced { before: String, after: String },
}

/// Why a device cannot be read now.
#[derive(Debug, Clone)]
pub(super) struct ReadFailure {
    pub(super) word: &'static str,
    pub(super) message: String,
    pub(super) since: SystemTime,
    code: u8,
}

/// Another device responds than before.
#[derive(Debug, Clone)]
pub(super) struct Replaced {
    pub(super) since: SystemTime,
    /// The device that was watched first.
    pub(super) before: Identity,
}

/// Name of a device on the screen.
#[derive(Debug, Clone)]
pub(super) struct Name {
    pub(super) label: String,
    pub(super) uri: String,
}

/// State of one device.
#[derive(Debug, Default)]
pub(super) struct DeviceState {
    /// As it is shown.
    pub(super) label: String,
    pub(super) uri: String,
    pub(super) identity: Option<Identity>,
    /// The replaced device, until it is acknowledged.
    pub(super) replaced: Option<Replaced>,
    pub(super) readings: Option<Readings>,
    /// Names of the readings that the last reading changed.
    pub(super) changed: BTreeSet<String>,
    pub(super) trouble: Option<ReadFailure>,
}

/// All devices, and what happened last.
#[derive(Debug)]
pub(super) struct WatchState {
    pub(super) devices: Vec<DeviceState>,
    pub(super) happened: VecDeque<(SystemTime, String, Line)>,
    /// Whether a replaced device is taken for the right one at once.
    acknowledges: bool,
}

/// Returns the kind of an error as one word.
fn word(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::Busy => "busy",
        ErrorKind::Unreachable
        | ErrorKind::Timeout
        | ErrorKind::Transport(_)
        | ErrorKind::Closed => "away",
        _ => "error",
    }
}

impl WatchState {
    pub(super) fn new(names: Vec<Name>, acknowledges: bool) -> Self {
        let watched = |name: Name| DeviceState {
            label: name.label,
            uri: name.uri,
            ..DeviceState::default()
        };
        Self {
            devices: names.into_iter().map(watched).collect(),
            happened: VecDeque::new(),
            acknowledges,
        }
    }

    /// Takes all replaced devices for the right ones.
    pub(super) fn acknowledge(&mut self) {
        self.devices.iter_mut().for_each(|d| d.replaced = None);
    }

    /// Takes a report; what it says that was not known before.
    pub(super) fn apply_report(&mut self, report: Report) -> Vec<Line> {
        let device = &mut self.devices[report.device];
        let lines = match report.news {
            Update::Identity(identity) => device
                .was_identified(identity, report.at)
                .into_iter()
                .collect(),
            Update::Event(event) => vec![Line::Event {
                event: Event::clone(&event),
            }],
            Update::Lost(events) => vec![Line::Lost { events }],
            Update::Trouble(error) => device
                .cannot_be_read(&error, report.at)
                .into_iter()
                .collect(),
            Update::Readings(readings) => device.was_read(readings),
        };
        if self.acknowledges {
            device.replaced = None;
        }
        let name = &device.label;
        self.happened.extend(
            lines
                .iter()
                .filter(|l| l.is_event())
                .map(|l| (report.at, name.clone(), l.clone())),
        );
        let many = self.happened.len().saturating_sub(MAX_EVENT_LINES);
        self.happened.drain(..many);
        lines
    }

    /// The exit code: that of the first device that cannot be read now, or that was replaced.
    pub(super) fn code(&self) -> u8 {
        let is_replaced = self.devices.iter().any(DeviceState::is_replaced);
        self.devices
            .iter()
            .find_map(|d| d.trouble.as_ref())
            .map_or(if is_replaced { exit::REPLACED } else { 0 }, |t| t.code)
    }
}

impl DeviceState {
    /// Returns whether another device responds than before, and this was not acknowledged.
    pub(super) fn is_replaced(&self) -> bool {
        self.replaced.is_some()
    }

    fn was_identified(&mut self, identity: Identity, at: SystemTime) -> Option<Line> {
        let before = self.identity.replace(identity.clone())?;
        if before.is_same_device(&identity) {
            return None;
        }
        let line = Line::Replaced {
            before: before.to_string(),
            after: identity.to_string(),
        };
        match &self.replaced {
            // The first one is back.
            Some(replaced) if replaced.before.is_same_device(&identity) => self.replaced = None,
            Some(_) => {}
            None => self.replaced = Some(Replaced { since: at, before }),
        }
        Some(line)
    }

    fn cannot_be_read(&mut self, error: &Error, at: SystemTime) -> Option<Line> {
        let (word, message) = (word(error.kind()), error.message().to_owned());
        let known = self.trouble.as_ref().is_some_and(|t| t.word == word);
        let since = self.trouble.as_ref().map_or(at, |t| t.since);
        self.trouble = Some(ReadFailure {
            word,
            message: message.clone(),
            since,
            code: exit::code(error),
        });
        // Told once, however often it is tried.
        (!known).then(|| Line::Trouble {
            word,
            kind: error.kind().name(),
            message,
        })
    }

    fn was_read(&mut self, readings: Readings) -> Vec<Line> {
        let mut lines: Vec<Line> = self
            .trouble
            .take()
            .map(|_| Line::Back)
            .into_iter()
            .collect();
        self.changed.clear();
        match &self.readings {
            None => lines.push(Line::Readings {
                values: readings
                    .items
                    .iter()
                    .map(|i| (i.name.clone(), i.value.clone()))
                    .collect(),
                shown: readings
                    .items
                    .iter()
                    .map(|i| (i.name.clone(), i.shown.clone()))
                    .collect(),
            }),
            Some(before) => {
                let changes = changes(&before.items, &readings.items);
                self.changed.extend(changes.iter().filter_map(|l| {
                    if let Line::Change { name, .. } = l {
                        Some(name.clone())
                    } else {
                        None
                    }
                }));
                lines.extend(changes);
            }
        }
        self.readings = Some(readings);
        lines
    }
}

fn changes(before: &[Item], after: &[Item]) -> Vec<Line> {
    let find = |all: &[Item], name: &str| {
        all.iter()
            .find(|i| i.name == name)
            .map_or((Value::Null, "-".to_owned()), |i| {
                (i.value.clone(), i.shown.clone())
            })
    };
    let gone = before
        .iter()
        .filter(|b| after.iter().all(|a| a.name != b.name));
    after
        .iter()
        .chain(gone)
        .filter_map(|item| {
            let ((before, was), (after, is)) = (find(before, &item.name), find(after, &item.name));
            (before != after).then(|| Line::Change {
                name: item.name.clone(),
                before,
                after,
                shown: (was, is),
            })
        })
        .collect()
}

impl Line {
    /// Whether it belongs into the list of what happened, rather than into the readings.
    fn is_event(&self) -> bool {
        !matches!(self, Self::Readings { .. } | Self::Change { .. })
    }
    /// Whether it is as bad as it looks.
    pub(super) fn is_bad(&self) -> bool {
        match self {
            Self::Trouble { .. } | Self::Lost { .. } | Self::Replaced { .. } => true,
            Self::Event { event } => {
                use qkd_hal::event::Severity as S;
                matches!(
                    &event.kind,
                    EventKind::LinkLost { .. }
                        | EventKind::IdentityChanged { .. }
                        | EventKind::KeyLost { .. }
                        | EventKind::Alarm {
                            severity: S::Major | S::Critical,
                            ..
                        }
                )
            }
            _ => false,
        }
    }
    /// Returns the status as text.
    pub(super) fn status_text(&self) -> String {
        match self {
            Self::Readings { values, .. } => format!("{} readings", values.len()),
            Self::Change {
                name,
                shown: (was, is),
                ..
            } => format!("{name}: {was} -> {is}"),
            Self::Event { event } => of_event(event),
            Self::Lost { events } => {
                format!("{events} events are lost: they came faster than they were read")
            }
            Self::Trouble { word, message, .. } => format!("{word}: {message}"),
            Self::Back => "is back".to_owned(),
            Self::Replaced { before, after } => {
                format!("another device responds: {after}; before it was {before}")
            }
        }
    }
}

fn of_event(event: &Event) -> String {
    let what = match &event.kind {
        EventKind::LinkLost { reason } => format!("the link is lost: {reason}"),
        EventKind::LinkRestored => "the link is back, and the same device answers".to_owned(),
        EventKind::IdentityChanged { found } => format!("another device answers: {found}"),
        EventKind::Restarted => "it has restarted".to_owned(),
        EventKind::Alarm {
            code,
            text,
            subject,
            severity,
        } => {
            let of = subject
                .as_ref()
                .map_or_else(String::new, |s| format!(" at {s}"));
            format!("alarm {code}{of}, {severity}: {text}")
        }
        EventKind::SwitchOver {
            group,
            path,
            request,
        } => format!("group {group} switched over to path {path}: {request}"),
        EventKind::StateChanged { subject, state } => format!("{subject} is now {state}"),
        EventKind::Vendor { name, detail } => format!("{name}: {detail}"),
        EventKind::KeyLost { ids } if ids.is_empty() => {
            "a key was lost on the way: its twin must never be used".to_owned()
        }
        EventKind::KeyLost { ids } => {
            format!(
                "keys were lost on the way, and their twins must never be used: {}",
                ids.iter()
                    .map(ToString::to_string)
                    .collect::<Vec<_>>()
                    .join(", ")
            )
        }
        _ => "something that this program does not know".to_owned(),
    };
    let by = match event.origin {
        qkd_hal::event::Origin::Device => "the device says",
        qkd_hal::event::Origin::Poll => "polling found",
        qkd_hal::event::Origin::Driver => "the driver says",
    };
    format!("{by}: {what}")
}
