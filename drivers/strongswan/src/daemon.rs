//! The daemon, reached over VICI.

use crate::proto::{self, Element, ProtoError, Reply, Section};
use qkd_driver_kit::link::{
    Disclosure, LinkError, all_secret,
    bytes::{ByteLink, Exchange},
    query::{QueryError, query},
    stream::{Resync, StreamOptions},
};
use qkd_hal::{
    DeviceMisbehaved, Effect, Error, ErrorKind, Operation, Result, event::EventHub, text::printable,
};
use std::{sync::Arc, time::Duration};
use tokio::time::Instant;

/// Events of which the replies to commands consist, and the daemon's log of a command.
const EVENTS: [&str; 3] = ["list-sa", "list-conn", LOG];
/// Event with a line of the log: sent to the client whose command it belongs to, before the
/// response.
const LOG: &str = "control-log";
/// Log groups of sent and received messages. They never have the reason of a failure.
const MESSAGE_GROUPS: [&str; 2] = ["ENC", "NET"];
/// Lines of the log in an error.
const MAX_LINES: usize = 2;
/// Time for a request after each connect.
const LOGIN: Duration = Duration::from_secs(5);
/// Characters of the daemon's own words in an error.
const MAX_SHOWN: usize = 200;

fn unreadable(error: ProtoError) -> Error {
    let what = error.to_string();
    match error {
        ProtoError::UnknownCommand | ProtoError::UnknownEvent => {
            Error::new(ErrorKind::Unsupported, what)
        }
        ProtoError::TooLong => Error::invalid(what),
        _ => Error::misbehaved(DeviceMisbehaved::UnexpectedReply, what),
    }
}

/// Options of the link: after each connect, the driver registers for the events of its commands and
/// reads which daemon answers.
pub(crate) fn options(events: EventHub) -> StreamOptions {
    let mut options = StreamOptions::new(Resync::Reconnect, events).reply_limit(proto::MAX_REPLY);
    for event in EVENTS {
        options = options.login(
            move || {
                let request = proto::register(event).unwrap_or_default();
                Exchange::new("register", request.to_vec(), LOGIN)
                    .reply(proto::frame, Disclosure::Public)
                    .read_only()
            },
            |reply| {
                proto::decode_registration(reply)
                    .map_err(|e| LinkError::new(ErrorKind::Unsupported, e.to_string()))
            },
        );
    }
    options.identity_probe(
        || {
            let request = proto::command("version", &[]).unwrap_or_default();
            Exchange::new("identity", request.to_vec(), LOGIN)
                .reply(proto::frame, Disclosure::Public)
                .read_only()
        },
        |reply| {
            let reply = proto::decode_reply(reply).ok()?;
            let name = reply.response.text("daemon")?;
            Some(printable(name, MAX_SHOWN).into_owned())
        },
    )
}

/// An IKE association, with its children.
#[derive(Debug, Clone)]
pub(crate) struct Association {
    /// Name of its connection.
    pub(crate) name: String,
    /// Number by which the daemon names it.
    pub(crate) id: u64,
    /// State, in the daemon's words.
    pub(crate) state: String,
    /// Whether its keys depend on a PPK.
    pub(crate) has_ppk: bool,
    pub(crate) children: Vec<Child>,
}

/// An association that carries traffic.
#[derive(Debug, Clone)]
pub(crate) struct Child {
    pub(crate) id: u64,
    /// Name of its settings in the connection.
    pub(crate) name: String,
    pub(crate) is_installed: bool,
    pub(crate) cipher: Option<String>,
    pub(crate) sent: u64,
    pub(crate) received: u64,
}

impl Association {
    pub(crate) fn of(name: &str, section: &Section) -> Option<Self> {
        let children = section.section("child-sas");
        Some(Self {
            name: name.to_owned(),
            id: section.number("uniqueid")?,
            state: section.text("state")?.to_owned(),
            has_ppk: section.is_yes("ppk"),
            children: children
                .into_iter()
                .flat_map(Section::sections)
                .filter_map(|(_, child)| Child::of(child))
                .collect(),
        })
    }

    /// Whether it is established with a PPK and carries traffic. It does while the daemon replaces
    /// its keys.
    pub(crate) fn is_up(&self) -> bool {
        ["ESTABLISHED", "REKEYING"].contains(&self.state.as_str())
            && self.has_ppk
            && self.installed().next().is_some()
    }

    /// Children that carry traffic.
    pub(crate) fn installed(&self) -> impl Iterator<Item = &Child> {
        self.children.iter().filter(|child| child.is_installed)
    }

    /// Whether it carries the traffic of the child of this name.
    pub(crate) fn carries(&self, child: &str) -> bool {
        self.installed().any(|one| one.name == child)
    }
}

impl Child {
    fn of(section: &Section) -> Option<Self> {
        let cipher = section
            .text("encr-alg")
            .map(|algorithm| match section.text("encr-keysize") {
                Some(bits) => format!("{algorithm}-{bits}"),
                None => algorithm.to_owned(),
            });
        Some(Self {
            id: section.number("uniqueid")?,
            name: section.text("name").unwrap_or_default().to_owned(),
            is_installed: matches!(section.text("state"), Some("INSTALLED" | "REKEYING")),
            cipher,
            sent: section.number("packets-out").unwrap_or(0),
            received: section.number("packets-in").unwrap_or(0),
        })
    }
}

/// A daemon. Each command has the deadline of its call.
pub(crate) struct Daemon {
    link: Arc<dyn ByteLink>,
    deadline: Duration,
}

/// A call of an operation: its commands end before one time.
pub(crate) struct Call<'a> {
    link: &'a dyn ByteLink,
    operation: Operation,
    until: Instant,
}

impl Daemon {
    pub(crate) fn new(link: Arc<dyn ByteLink>, deadline: Duration) -> Self {
        Self { link, deadline }
    }
    pub(crate) fn link(&self) -> &dyn ByteLink {
        &*self.link
    }
    pub(crate) fn call(&self, operation: Operation) -> Call<'_> {
        Call {
            link: &*self.link,
            operation,
            until: Instant::now() + self.deadline,
        }
    }
}

impl Call<'_> {
    /// Time that is left.
    pub(crate) fn left(&self) -> Duration {
        self.until.saturating_duration_since(Instant::now())
    }

    async fn exchange(
        &self,
        name: &str,
        message: &[Element<'_>],
        disclosure: Disclosure,
        changes: bool,
    ) -> Result<Reply> {
        let operation = self.operation.name();
        let mut request = proto::command(name, message).map_err(unreadable)?;
        // The exchange wipes its request when it is dropped.
        let bytes = std::mem::take(&mut *request);
        let mut exchange = Exchange::new(operation, bytes, self.left())
            .with_request_disclosure(disclosure)
            .reply(proto::frame, Disclosure::Public);
        if !changes {
            exchange = exchange.read_only();
        }
        match query(self.link, exchange, proto::decode_reply).await {
            Ok(reply) => Ok(reply),
            Err(QueryError::Link(error)) if changes => Err(error.into_change_error(operation)),
            Err(QueryError::Link(error)) => Err(error.into_read_error(operation)),
            Err(QueryError::Reply(error)) => {
                let effect = match error {
                    ProtoError::UnknownCommand => Effect::None,
                    _ if changes => Effect::Unknown,
                    _ => Effect::None,
                };
                Err(unreadable(error).with_effect(effect))
            }
        }
    }

    /// Makes a command that reads.
    pub(crate) async fn read(&self, name: &str, message: &[Element<'_>]) -> Result<Reply> {
        self.exchange(name, message, Disclosure::Public, false)
            .await
    }

    /// Makes a command that changes the daemon, and checks that it succeeded.
    ///
    /// # Errors
    /// `Refused` with the daemon's words.
    pub(crate) async fn change(&self, name: &str, message: &[Element<'_>]) -> Result<()> {
        let reply = self
            .exchange(name, message, Disclosure::Public, true)
            .await?;
        succeeded(name, &reply)
    }

    /// As [`change`](Self::change), with a secret in the message.
    pub(crate) async fn change_secret(&self, name: &str, message: &[Element<'_>]) -> Result<()> {
        let disclosure = Disclosure::Secret(all_secret);
        let reply = self.exchange(name, message, disclosure, true).await?;
        succeeded(name, &reply)
    }

    /// Reads the associations of all connections.
    pub(crate) async fn associations(&self) -> Result<Vec<Association>> {
        let reply = self.read("list-sas", &[]).await?;
        let listed = reply.events.iter().filter(|(name, _)| name == "list-sa");
        Ok(listed
            .flat_map(|(_, message)| message.sections())
            .filter_map(|(name, section)| Association::of(name, section))
            .collect())
    }

    /// Reads the names of all secrets.
    pub(crate) async fn secrets(&self) -> Result<Vec<String>> {
        let reply = self.read("get-shared", &[]).await?;
        Ok(reply.response.list("keys").map(str::to_owned).collect())
    }

    /// Reads the names of all connections.
    pub(crate) async fn connections(&self) -> Result<Vec<String>> {
        let reply = self.read("get-conns", &[]).await?;
        Ok(reply.response.list("conns").map(str::to_owned).collect())
    }
}

/// The last lines of the log of a command, which have the reason of its failure.
fn reason(reply: &Reply) -> Vec<&str> {
    let mut lines: Vec<&str> = reply
        .events
        .iter()
        .rev()
        .filter(|(name, _)| name == LOG)
        .filter(|(_, line)| {
            !line
                .text("group")
                .is_some_and(|g| MESSAGE_GROUPS.contains(&g))
        })
        .filter_map(|(_, line)| line.text("msg"))
        .take(MAX_LINES)
        .collect();
    lines.reverse();
    lines
}

fn succeeded(name: &str, reply: &Reply) -> Result<()> {
    let response = &reply.response;
    match response.text("success") {
        Some("yes") => return Ok(()),
        Some("no") => {}
        // A reply that was damaged is not a refusal: the command may have been carried out.
        _ => {
            return Err(Error::misbehaved(
                DeviceMisbehaved::UnexpectedReply,
                format!("the reply to `{name}` has neither success nor failure"),
            )
            .with_effect(Effect::Unknown));
        }
    }
    let words = response.text("errmsg").unwrap_or("no reason was given");
    let words = [&[words][..], &reason(reply)].concat().join("; ");
    let words = printable(&words, MAX_SHOWN).into_owned();
    Err(
        Error::new(ErrorKind::Refused, format!("the daemon refused `{name}`"))
            .with_vendor_text(words),
    )
}
