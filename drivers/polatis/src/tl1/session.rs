//! A session: who logs in, and how the line is used.

use super::proto::{self, Answer, Command, Denial, TextDecodeError};
use qkd_driver_kit::{
    OpenContext,
    link::{
        Disclosure, LinkError,
        bytes::Exchange,
        stream::{Resync, StreamOptions},
    },
};
use qkd_hal::{
    DeviceMisbehaved, DeviceUri, Error, ErrorKind, Result, TransportFault, event::EventHub,
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};
use zeroize::Zeroizing;

/// The published default of user and password (id:9001667762, id:48182013068).
const DEFAULT: &str = "root";

/// User, password, and the tags of this handle's requests.
#[derive(Clone)]
pub(crate) struct Session(Arc<Inner>);

struct Inner {
    user: String,
    password: Zeroizing<String>,
    tag: AtomicU32,
    /// Of what a new connection begins with: a recording of the calls alone, without connections,
    /// then has the same tags.
    line_tag: AtomicU32,
}

/// Tags have at most six digits (GR-831). The lower half is that of calls, the upper one that of
/// new connections.
const MAX_CALL_TAG: u32 = 499_999;

/// Returns the meaning of a denied login.
fn denied(denial: &Denial) -> (ErrorKind, String) {
    // PICC: bad login (id:36840253885). The switch's words are left out: they might repeat what was
    // sent.
    let kind = if denial.code == "PICC" {
        ErrorKind::Authentication
    } else {
        ErrorKind::Refused
    };
    (
        kind,
        format!(
            "the switch does not let this user in ({}); credentials= names an entry with user and \
             password",
            denial.code
        ),
    )
}

fn misread(error: &TextDecodeError) -> LinkError {
    let kind = match error {
        TextDecodeError::NotText(_) => ErrorKind::Transport(TransportFault::Framing),
        TextDecodeError::OtherReply { .. } => {
            ErrorKind::Misbehaved(DeviceMisbehaved::ReplyForAnotherRequest)
        }
        TextDecodeError::Unexpected { .. } => {
            ErrorKind::Misbehaved(DeviceMisbehaved::UnexpectedReply)
        }
    };
    LinkError::new(
        kind,
        "the login was answered by something else; check the address, and the line speed",
    )
}

impl Session {
    /// As the URI's credentials say, or as a switch comes from the factory.
    pub(crate) fn of(uri: &DeviceUri, context: &OpenContext) -> Result<Self> {
        let (user, password) = if uri.parameter("credentials").is_some() {
            let entry = context.credentials(uri)?;
            let (user, password) = (entry.require("user")?, entry.require("password")?);
            if !proto::is_plain(user) || !proto::is_plain(password) {
                return Err(Error::invalid(format!(
                    "credentials `{}`: TL1 takes users and passwords without blanks and ; : , & = \
                     \" \\",
                    entry.name()
                )));
            }
            (user.to_owned(), Zeroizing::new(password.to_owned()))
        } else {
            (DEFAULT.to_owned(), Zeroizing::new(DEFAULT.to_owned()))
        };
        Ok(Self(Arc::new(Inner {
            user,
            password,
            tag: AtomicU32::default(),
            line_tag: AtomicU32::default(),
        })))
    }

    /// A tag that no earlier request of this handle had.
    pub(crate) fn tag(&self) -> u32 {
        self.0.tag.fetch_add(1, Ordering::Relaxed) % MAX_CALL_TAG + 1
    }
    fn line_tag(&self) -> u32 {
        MAX_CALL_TAG + 1 + self.0.line_tag.fetch_add(1, Ordering::Relaxed) % MAX_CALL_TAG
    }

    /// The exchange that logs in.
    pub(crate) fn login(&self, tag: u32, within: Duration) -> Exchange {
        let mut exchange = Exchange::new("login", Vec::new(), within)
            .reply(proto::frame(), Disclosure::Undeclared)
            .with_request_disclosure(Disclosure::Secret(proto::password_of))
            .read_only();
        exchange.request = proto::login(&self.0.user, &self.0.password, tag);
        exchange
    }

    /// Checks the reply to a login.
    ///
    /// # Errors
    /// `Authentication`, `Misbehaved`.
    pub(crate) fn entered(reply: &[u8], tag: u32) -> Result<(), LinkError> {
        match proto::decode(reply, tag) {
            Ok(Answer::Done(_)) => Ok(()),
            Ok(Answer::Denied(denial)) => {
                let (kind, why) = denied(&denial);
                Err(LinkError::new(kind, why))
            }
            Err(error) => Err(misread(&error)),
        }
    }

    /// The exchange of a command.
    pub(crate) fn exchange(command: &Command, tag: u32, within: Duration) -> Exchange {
        let exchange = Exchange::new(command.verb(), command.request(tag), within)
            .reply(proto::frame(), Disclosure::Public);
        if command.changes() {
            exchange
        } else {
            exchange.read_only()
        }
    }

    /// Returns the options of the link: each connection logs in, disables unsolicited messages, and
    /// queries the serial number.
    pub(crate) fn options(
        &self,
        serial: bool,
        deadline: Duration,
        events: EventHub,
    ) -> StreamOptions {
        let resync = if serial {
            Resync::Sentinel(Duration::from_millis(300))
        } else {
            Resync::Reconnect
        };
        // The tag that a preface was sent with.
        let (sent, of_login) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
        let (login, login_sent) = (self.clone(), Arc::clone(&of_login));
        let (silence, silence_sent) = (self.clone(), Arc::clone(&sent));
        let greet = self.clone();
        StreamOptions::new(resync, events)
            .reply_limit(proto::MESSAGE_LIMIT)
            .ignored_bytes(b"\r\n")
            .login(
                move || {
                    let tag = login.line_tag();
                    login_sent.store(tag, Ordering::Relaxed);
                    let mut exchange = login.login(tag, deadline);
                    if serial {
                        // Ends an incomplete request of another client: the reply to it does not
                        // have a tag of this connection.
                        exchange.request.splice(0..0, *b"\r\n");
                    }
                    exchange
                },
                move |reply| Self::entered(reply, of_login.load(Ordering::Relaxed)),
            )
            .login(
                move || {
                    let tag = silence.line_tag();
                    silence_sent.store(tag, Ordering::Relaxed);
                    Self::exchange(&Command::Silence, tag, deadline)
                },
                // A switch that cannot be silenced is listened to: what it sends unasked is
                // skipped.
                move |reply| {
                    proto::decode(reply, sent.load(Ordering::Relaxed))
                        .map(drop)
                        .map_err(|e| misread(&e))
                },
            )
            .identity_probe(
                move || Self::exchange(&Command::Inventory, greet.line_tag(), deadline),
                |reply| match proto::decode_any(reply) {
                    Ok(Answer::Done(lines)) => proto::decode_serial(&lines)
                        .ok()
                        .map(|serial| format!("serial {serial}")),
                    _ => None,
                },
            )
    }

    /// Creates the error for a denied command, which had no effect.
    pub(crate) fn refused(command: &Command, denial: Denial) -> Error {
        Error::new(
            ErrorKind::Refused,
            format!("the switch denied {}", command.verb()),
        )
        .with_vendor_code(denial.code)
        .with_vendor_text(denial.text)
    }
}
