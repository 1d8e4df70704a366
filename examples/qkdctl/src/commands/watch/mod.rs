//! `qkdctl watch`: how devices are, as it changes. On a terminal a table that is drawn again in
//! place; over a pipe a line for each change and event.

mod items;
mod poll;
mod screen;
mod state;
mod view;

use crate::{
    cli::Watch,
    colour,
    interrupt::Work,
    output::{self, Format, Output},
    session::Session,
};
use poll::PollSchedule;
use qkd_driver_kit::link::snmp_udp::{NotificationReceiver, SnmpSecurity};
use qkd_hal::{DeviceUri, Error, ErrorKind, Result};
use screen::{Screen, UserAction};
use serde_json::json;
use state::{DeviceState, Line, Name, WatchState};
use std::{io::Write, sync::Arc, time::SystemTime};
use tokio::{
    sync::mpsc,
    task::{JoinError, JoinSet},
    time::{Instant, sleep_until},
};

/// Follows the devices until the count, the time or a person ends it; 0 if all of them could be
/// read at the end.
pub(crate) async fn run(mut session: Session, output: Output, watch: Watch) -> Result<u8> {
    let uris = watch
        .devices
        .iter()
        .map(|d| session.inventory.resolve(d))
        .collect::<Result<Vec<_>>>()?;
    if let Some(address) = &watch.notifications {
        let receiver = NotificationReceiver::bind(address, &users(&session, &uris)?).await?;
        session.context = session.context.with_notifications(receiver);
    }
    let end = watch.duration.map(|d| Instant::now() + *d);
    let pace = PollSchedule {
        interval: *watch.interval,
        count: watch.count,
    };
    let (sender, mut reports) = mpsc::channel(64);
    let mut followers = JoinSet::new();
    let session = Arc::new(session);
    for (place, name) in watch.devices.iter().enumerate() {
        followers.spawn(poll::follow(
            Arc::clone(&session),
            place,
            name.clone(),
            pace,
            sender.clone(),
        ));
    }
    drop(sender);

    let names: Vec<_> = watch
        .devices
        .iter()
        .zip(&uris)
        .map(|(given, uri)| Name {
            label: label(&session, given, uri, &uris),
            uri: uri.to_string(),
        })
        .collect();
    let mut picture = WatchState::new(names, watch.acknowledge);
    let mut show = Show::new(output)?;
    let guard = session.interrupt.begin(Work::View)?;
    show.draw(&picture, &watch)?;
    let mut broken = None;
    loop {
        tokio::select! {
            report = reports.recv() => {
                // All have been read as often as was asked.
                let Some(report) = report else { break };
                let (at, place) = (report.at, report.device);
                let lines = picture.apply_report(report);
                show.draw(&picture, &watch)?;
                if !show.log(at, &picture.devices[place], &lines) {
                    // Nobody reads any more.
                    break;
                }
            }
            Some(ended) = followers.join_next() => {
                broken = failure(ended);
                if broken.is_some() {
                    break;
                }
            }
            () = until(end) => break,
            _ = guard.signalled() => break,
            wish = show.next_action() => match wish {
                UserAction::Leave => break,
                UserAction::Redraw => show.draw(&picture, &watch)?,
                UserAction::Acknowledge => {
                    picture.acknowledge();
                    show.draw(&picture, &watch)?;
                }
            },
        }
    }
    if !reports.is_closed() {
        followers.abort_all();
    }
    while let Some(ended) = followers.join_next().await {
        broken = broken.or(failure(ended));
    }
    show.end(&picture, &watch);
    broken.map_or_else(|| Ok(picture.code()), Err)
}

/// Returns the name of a device in the inventory, even if its URI was given; otherwise its URI,
/// without parameters if it is unique without them.
fn label(session: &Session, given: &str, uri: &DeviceUri, all: &[DeviceUri]) -> String {
    if !given.contains("://") {
        return given.to_owned();
    }
    let named = session.inventory.devices.iter();
    let mut named = named.filter(|(_, device)| device.uri == given);
    if let Some((name, _)) = named.next() {
        return name.clone();
    }
    let short = |uri: &DeviceUri| {
        let text = uri.to_string();
        text.split('?').next().unwrap_or_default().to_owned()
    };
    if all
        .iter()
        .filter(|other| short(other) == short(uri))
        .count()
        > 1
    {
        given.to_owned()
    } else {
        short(uri)
    }
}

/// Why a follower ended, if not because it was to.
fn failure(ended: std::result::Result<Result<()>, JoinError>) -> Option<Error> {
    match ended {
        Ok(result) => result.err(),
        Err(e) if e.is_cancelled() => None,
        Err(_) => Some(Error::new(
            ErrorKind::Internal,
            "following a device ended early",
        )),
    }
}

/// The SNMP users and communities of the devices, from whom notifications are taken.
fn users(session: &Session, uris: &[DeviceUri]) -> Result<Vec<SnmpSecurity>> {
    let mut entries: Vec<_> = uris
        .iter()
        .filter(|u| u.transport() == "snmp")
        .filter_map(|u| u.parameter("credentials"))
        .collect();
    entries.sort_unstable();
    entries.dedup();
    if entries.is_empty() {
        return Err(Error::invalid(
            "--notifications is for devices over SNMP, and none of these is one",
        ));
    }
    entries
        .into_iter()
        .map(|name| SnmpSecurity::from_entry(&session.credentials.entry(name)?))
        .collect()
}

async fn until(end: Option<Instant>) {
    match end {
        Some(end) => sleep_until(end).await,
        None => std::future::pending().await,
    }
}

/// To whom it is shown.
enum Show {
    Person(Screen),
    Plain,
    Json,
}

impl Show {
    fn new(output: Output) -> Result<Self> {
        Ok(match output.format {
            Format::Json => Self::Json,
            Format::Table if screen::is_terminal() => {
                Self::Person(Screen::open().map_err(|e| {
                    Error::new(
                        ErrorKind::Internal,
                        format!("the terminal cannot be used: {e}"),
                    )
                })?)
            }
            Format::Table => Self::Plain,
        })
    }

    async fn next_action(&mut self) -> UserAction {
        match self {
            Self::Person(screen) => screen.next_action().await,
            _ => std::future::pending().await,
        }
    }

    fn draw(&self, picture: &WatchState, watch: &Watch) -> Result<()> {
        let Self::Person(screen) = self else {
            return Ok(());
        };
        let (width, height) = Screen::size();
        screen
            .draw(&view::rows(picture, &heading(watch), width, height))
            .map_err(|e| {
                Error::new(
                    ErrorKind::Internal,
                    format!("the terminal cannot be drawn: {e}"),
                )
            })
    }

    /// Prints one line for each update; returns whether standard output can be written.
    fn log(&self, at: SystemTime, device: &DeviceState, lines: &[Line]) -> bool {
        let mut out = anstream::stdout();
        let time = humantime::format_rfc3339_millis(at);
        lines.iter().all(|line| {
            let written = match self {
                Self::Person(_) => Ok(()),
                Self::Json => {
                    let body = json!({
                        "at": time.to_string(), "device": device.label, "uri": device.uri,
                        "replaced": device.is_replaced(), "news": line,
                    });
                    output::document("watch", &body, false)
                        .map_err(std::io::Error::other)
                        .and_then(|text| writeln!(out, "{text}"))
                }
                Self::Plain => match line {
                    Line::Readings { shown, .. } => shown.iter().try_for_each(|(name, value)| {
                        writeln!(
                            out,
                            "{time} {} {name}: {}",
                            plain_label(device),
                            view::printable(value)
                        )
                    }),
                    line => {
                        let words = view::printable(&line.status_text());
                        writeln!(
                            out,
                            "{time} {} {}",
                            plain_label(device),
                            if line.is_bad() {
                                colour::render(&colour::paint(colour::TextStyle::Bad, &words))
                            } else {
                                words
                            }
                        )
                    }
                },
            };
            written.and_then(|()| out.flush()).is_ok()
        })
    }

    /// The terminal is as it was before, and keeps what was seen last.
    fn end(self, picture: &WatchState, watch: &Watch) {
        if let Self::Person(screen) = self {
            drop(screen);
            let (width, height) = Screen::size();
            view::rows(picture, &heading(watch), width, height.saturating_sub(1))
                .iter()
                .for_each(|row| output::line(&view::text(row, true)));
        }
    }
}

/// The name of a device, and whether another one responds in its place.
fn plain_label(device: &DeviceState) -> String {
    if device.is_replaced() {
        format!("{} (REPLACED)", device.label)
    } else {
        device.label.clone()
    }
}

fn heading(watch: &Watch) -> String {
    format!(
        "qkdctl watch  {}  every {}  q leaves, a acknowledges replaced devices",
        view::clock(SystemTime::now()),
        watch.interval
    )
}
