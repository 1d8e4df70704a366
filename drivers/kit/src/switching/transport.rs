//! The line of a switch, and one call on it: requests with a reply, requests without, all by one
//! deadline.

use crate::{
    DriverInfo, OpenContext,
    context::SerialSettings,
    driver_info::UriParameter,
    link::{
        Disclosure,
        bytes::{ByteLink, Exchange, Framer, fixed_framer, line_framer},
        query::{QueryError, query},
        stream::{Identify, Resync, StreamOptions},
    },
};
use qkd_hal::{
    Descriptor, DeviceUri, Effect, Error, ErrorKind, EventStream, Result, event::EventHub,
};
use std::{fmt::Display, sync::Arc, time::Duration};
use tokio::time::{Instant, sleep};

/// The parameter of URIs that [`flow_control`] reads.
pub const FLOW_PARAMETER: UriParameter = UriParameter {
    name: "flow",
    help: "rts-cts, or none for cables without these lines; default rts-cts",
    required: false,
};

/// Whether a serial line has RTS/CTS flow control, by the URI's `flow=`.
///
/// # Errors
/// `InvalidInput` for another word.
pub fn flow_control(uri: &DeviceUri) -> Result<bool> {
    match uri.parameter("flow") {
        None | Some("rts-cts") => Ok(true),
        Some("none") => Ok(false),
        Some(other) => Err(Error::invalid(format!(
            "flow={other}: it takes rts-cts or none"
        ))),
    }
}

/// Method by which the end of a reply is found.
#[derive(Debug, Clone, Copy)]
enum ReplyMode {
    Lines(usize),
    Frames(usize),
}

impl ReplyMode {
    fn framer(self) -> Framer {
        match self {
            Self::Lines(limit) => Box::new(line_framer(limit)),
            Self::Frames(length) => Box::new(fixed_framer(length)),
        }
    }
}

/// Configuration of the transport of a switch family.
pub struct TransportConfig {
    resync: Resync,
    serial: Option<SerialSettings>,
    port: u16,
    replies: ReplyMode,
    startup: Duration,
    identity_probe: Option<(Vec<u8>, Identify)>,
}

impl TransportConfig {
    /// Creates a configuration with this method of resynchronisation. Replies are lines of at most
    /// 256 bytes, and empty lines are ignored.
    #[must_use]
    pub fn new(resync: Resync) -> Self {
        Self {
            resync,
            serial: None,
            port: 0,
            replies: ReplyMode::Lines(256),
            startup: Duration::ZERO,
            identity_probe: None,
        }
    }
    /// Over serial lines of this speed, 8N1.
    #[must_use]
    pub fn serial(mut self, baud: u32, rts_cts: bool) -> Self {
        self.serial = Some(SerialSettings {
            baud,
            hardware_flow: rts_cts,
        });
        self
    }
    /// Over TCP, by default at this port.
    #[must_use]
    pub fn tcp(mut self, port: u16) -> Self {
        self.port = port;
        self
    }
    /// Sets replies to frames of `length` bytes.
    #[must_use]
    pub fn frames(mut self, length: usize) -> Self {
        self.replies = ReplyMode::Frames(length);
        self
    }
    /// The device takes nothing until so long after the line was opened.
    #[must_use]
    pub fn startup_delay(mut self, time: Duration) -> Self {
        self.startup = time;
        self
    }
    /// Sets the request that reads the identity, and the decoder of its reply: a name that stays
    /// the same, `None` for another vendor. The probe runs after each connect, and for
    /// resynchronisation with [`Resync::Sentinel`].
    #[must_use]
    pub fn identity_probe(
        mut self,
        request: impl Into<Vec<u8>>,
        identify: impl Fn(&[u8]) -> Option<String> + Send + Sync + 'static,
    ) -> Self {
        self.identity_probe = Some((request.into(), Box::new(identify)));
        self
    }

    /// Opens the line to the device that the URI names.
    ///
    /// # Errors
    /// As [`OpenContext::byte_link`].
    pub async fn open(
        self,
        info: &'static DriverInfo,
        uri: &DeviceUri,
        context: &OpenContext,
    ) -> Result<SwitchConnection> {
        let descriptor = context.descriptor(info, uri)?;
        let (replies, deadline, events) = (self.replies, descriptor.deadline, EventHub::default());
        let mut options = StreamOptions::new(self.resync, events.clone())
            .reply_limit(512)
            .startup_delay(self.startup);
        if matches!(replies, ReplyMode::Lines(_)) {
            options = options.ignored_bytes(b"\r\n");
        }
        if let Some((request, identify)) = self.identity_probe {
            let exchange = move || {
                Exchange::new("identify", request.clone(), deadline)
                    .read_only()
                    .reply(replies.framer(), Disclosure::Public)
            };
            options = options.identity_probe(exchange, identify);
        }
        let link = context
            .byte_link(uri, self.port, self.serial, options)
            .await?;
        Ok(SwitchConnection {
            descriptor,
            link,
            events,
            replies,
        })
    }
}

/// An opened link to a switch.
pub struct SwitchConnection {
    descriptor: Descriptor,
    link: Arc<dyn ByteLink>,
    events: EventHub,
    replies: ReplyMode,
}

impl SwitchConnection {
    /// A call that begins now.
    #[must_use]
    pub fn call(&self) -> SwitchCall<'_> {
        SwitchCall {
            line: self,
            until: Instant::now() + self.descriptor.deadline,
        }
    }

    /// Of the device at the other end.
    #[must_use]
    pub fn descriptor(&self) -> &Descriptor {
        &self.descriptor
    }

    /// Returns the events of the link.
    #[must_use]
    pub fn events(&self) -> EventStream {
        self.events.subscribe()
    }

    /// Closes the link.
    pub async fn close(&self) {
        self.link.close().await;
        self.events.close();
    }
}

/// One call: as many exchanges as it needs, until its deadline.
#[derive(Clone, Copy)]
pub struct SwitchCall<'a> {
    line: &'a SwitchConnection,
    until: Instant,
}

impl SwitchCall<'_> {
    /// When it ends at the latest.
    #[must_use]
    pub fn until(&self) -> Instant {
        self.until
    }

    fn exchange(&self, name: &'static str, request: impl Into<Vec<u8>>) -> Exchange {
        Exchange::new(
            name,
            request,
            self.until.saturating_duration_since(Instant::now()),
        )
    }

    /// Asks something that changes nothing.
    ///
    /// # Errors
    /// Errors of `decode` and of the link, with effect `None`.
    pub async fn query<T, E: Display + Into<Error> + Send + 'static>(
        &self,
        name: &'static str,
        request: impl Into<Vec<u8>>,
        decode: impl Fn(&[u8]) -> Result<T, E> + Clone + Send + 'static,
    ) -> Result<T> {
        let exchange = self
            .exchange(name, request)
            .read_only()
            .reply(self.line.replies.framer(), Disclosure::Public);
        match query(self.line.link.as_ref(), exchange, decode).await {
            Ok(value) => Ok(value),
            Err(QueryError::Link(error)) => Err(error.into_read_error(name)),
            Err(QueryError::Reply(error)) => Err(error.into().with_operation(name)),
        }
    }

    /// Changes something, which the device answers.
    ///
    /// # Errors
    /// Errors of `decode`, with effect `Unknown`; errors of the link.
    pub async fn command<T, E: Display + Into<Error> + Send + 'static>(
        &self,
        name: &'static str,
        request: impl Into<Vec<u8>>,
        decode: impl Fn(&[u8]) -> Result<T, E> + Clone + Send + 'static,
    ) -> Result<T> {
        let exchange = self
            .exchange(name, request)
            .reply(self.line.replies.framer(), Disclosure::Public);
        match query(self.line.link.as_ref(), exchange, decode).await {
            Ok(value) => Ok(value),
            Err(QueryError::Link(error)) => Err(error.into_change_error(name)),
            Err(QueryError::Reply(error)) => Err(error
                .into()
                .with_operation(name)
                .with_effect(Effect::Unknown)),
        }
    }

    /// Changes something, which the device does not answer: read it back.
    ///
    /// # Errors
    /// Those of the link.
    pub async fn command_no_reply(
        &self,
        name: &'static str,
        request: impl Into<Vec<u8>>,
    ) -> Result<()> {
        self.line
            .link
            .exchange(self.exchange(name, request))
            .await
            .map(drop)
            .map_err(|e| e.into_change_error(name))
    }

    /// Waits before the next exchange.
    ///
    /// # Errors
    /// `Timeout` at once, if the deadline comes first.
    pub async fn wait(&self, time: Duration) -> Result<()> {
        if Instant::now() + time >= self.until {
            return Err(Error::new(
                ErrorKind::Timeout,
                "the device was not ready within the deadline",
            ));
        }
        sleep(time).await;
        Ok(())
    }
}
