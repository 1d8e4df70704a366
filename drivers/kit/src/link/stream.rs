//! The owner of a byte stream: one task that matches replies to requests, enforces deadlines,
//! reconnects and resynchronises.

use super::{
    LinkError,
    bytes::{ByteLink, ByteStream, Connector, Exchange, Frame},
    receive_buffer::ReceiveBuffer,
    ticket::{self, Ticket},
};
use crate::backoff::Backoff;
use async_trait::async_trait;
use qkd_hal::{
    DeviceMisbehaved, ErrorKind, EventKind, TransportFault,
    event::{EventHub, Origin},
    text::printable,
};
use std::{sync::Arc, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::{mpsc, oneshot},
    time::{Instant, timeout_at},
};
use zeroize::Zeroizing;

/// Maximum number of bytes that a device may send unasked before the line is cut.
const MAX_UNSOLICITED_BYTES: usize = 1 << 20;
/// Maximum number of characters of a reply in an error.
const MAX_SHOWN: usize = 120;

/// Method of resynchronisation after a lost, late or damaged reply, before the next exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Resync {
    /// A new connection: what the device still sends goes to the old one.
    Reconnect,
    /// Waits until nothing came for so long. Enough where the device answers within a known time or
    /// not at all.
    Quiet(Duration),
    /// Sends the identity probe and reads until its answer, then until nothing came for so long.
    /// Enough where the identity probe's answer can't be that of another request.
    Sentinel(Duration),
}

/// Reads a name out of a reply.
pub type Identify = Box<dyn Fn(&[u8]) -> Option<String> + Send + Sync>;

/// The exchange that reads the identity of the device: run after each connect, before any other
/// exchange.
pub struct IdentityProbe {
    /// Creates the exchange.
    pub exchange: Box<dyn Fn() -> Exchange + Send + Sync>,
    /// Reads from the reply the identity that must stay the same after a reconnect.
    pub identify: Identify,
}

/// Whether a reply is what it must be.
pub type Accept = Box<dyn Fn(&[u8]) -> Result<(), LinkError> + Send + Sync>;

/// An exchange that must go well after each connect, before the identity probe: a login.
pub struct LoginExchange {
    /// Creates the exchange.
    pub exchange: Box<dyn Fn() -> Exchange + Send + Sync>,
    /// Whether its reply lets the identity probe follow.
    pub accept: Accept,
}

/// Options of a stream link.
pub struct StreamOptions {
    /// Method of resynchronisation.
    pub resync: Resync,
    /// Login exchanges before the identity probe, in order.
    pub logins: Vec<LoginExchange>,
    /// Exchange that reads the identity of the device; `None` if the protocol has none.
    pub identity_probe: Option<IdentityProbe>,
    /// The least time between a reply and the next request.
    pub min_gap: Duration,
    /// The time after a connect before the first request.
    pub startup_delay: Duration,
    /// Bytes that mean nothing outside a reply, such as the rest of a line end.
    pub ignored_bytes: &'static [u8],
    /// Maximum number of bytes of a reply.
    pub reply_limit: usize,
    /// Receives the events of loss and recovery of the link.
    pub events: EventHub,
}

impl StreamOptions {
    /// Options with a way to resynchronise; replies have at most 64 KiB.
    #[must_use]
    pub fn new(resync: Resync, events: EventHub) -> Self {
        Self {
            resync,
            logins: Vec::new(),
            identity_probe: None,
            min_gap: Duration::ZERO,
            startup_delay: Duration::ZERO,
            ignored_bytes: b"",
            reply_limit: 64 * 1024,
            events,
        }
    }
    /// Adds a login exchange after those already present.
    #[must_use]
    pub fn login(
        mut self,
        exchange: impl Fn() -> Exchange + Send + Sync + 'static,
        accept: impl Fn(&[u8]) -> Result<(), LinkError> + Send + Sync + 'static,
    ) -> Self {
        self.logins.push(LoginExchange {
            exchange: Box::new(exchange),
            accept: Box::new(accept),
        });
        self
    }
    /// Sets the identity probe.
    #[must_use]
    pub fn identity_probe(
        mut self,
        exchange: impl Fn() -> Exchange + Send + Sync + 'static,
        identify: impl Fn(&[u8]) -> Option<String> + Send + Sync + 'static,
    ) -> Self {
        self.identity_probe = Some(IdentityProbe {
            exchange: Box::new(exchange),
            identify: Box::new(identify),
        });
        self
    }
    /// With a least time between exchanges.
    #[must_use]
    pub fn min_gap(mut self, pace: Duration) -> Self {
        self.min_gap = pace;
        self
    }
    /// With a time after a connect before the first request.
    #[must_use]
    pub fn startup_delay(mut self, time: Duration) -> Self {
        self.startup_delay = time;
        self
    }
    /// Sets bytes that are ignored outside a reply: the rest of a line end that arrives after its
    /// reply does not desynchronise the link.
    #[must_use]
    pub fn ignored_bytes(mut self, bytes: &'static [u8]) -> Self {
        self.ignored_bytes = bytes;
        self
    }
    /// With another limit of a reply.
    #[must_use]
    pub fn reply_limit(mut self, bytes: usize) -> Self {
        self.reply_limit = bytes;
        self
    }
}

type Reply = Result<Zeroizing<Vec<u8>>, LinkError>;

enum Job {
    Exchange(Exchange, Instant, Ticket, oneshot::Sender<Reply>),
    Close(oneshot::Sender<()>),
}

/// A [`ByteLink`] over any [`Connector`].
pub struct StreamLink {
    jobs: mpsc::Sender<Job>,
    address: String,
}

impl StreamLink {
    /// Connects within `within` and starts the owner task on the current runtime.
    ///
    /// # Errors
    /// Errors of the connector; `Misbehaved` if the reply to the identity probe is invalid.
    pub async fn open(
        connector: Box<dyn Connector>,
        options: StreamOptions,
        within: Duration,
    ) -> Result<Arc<Self>, LinkError> {
        let address = connector.address();
        let mut owner = Owner {
            connector,
            options,
            stream: None,
            buffer: ReceiveBuffer::default(),
            in_doubt: false,
            unasked: 0,
            identity: None,
            lost: false,
            failed: None,
            backoff: Backoff::default(),
            last: None,
            heard: Instant::now(),
        };
        owner.ready(Instant::now() + within).await?;
        let (jobs, inbox) = mpsc::channel(64);
        tokio::spawn(owner.run(inbox));
        Ok(Arc::new(Self { jobs, address }))
    }
}

#[async_trait]
impl ByteLink for StreamLink {
    async fn exchange(&self, exchange: Exchange) -> Reply {
        let deadline = Instant::now() + exchange.within;
        ticket::submit(&self.jobs, deadline, |turn, reply| {
            Job::Exchange(exchange, deadline, turn, reply)
        })
        .await
    }
    fn address(&self) -> String {
        self.address.clone()
    }
    async fn close(&self) {
        let (done, wait) = oneshot::channel();
        if self.jobs.send(Job::Close(done)).await.is_ok() {
            let _ = wait.await;
        }
    }
}

struct Owner {
    connector: Box<dyn Connector>,
    options: StreamOptions,
    stream: Option<Box<dyn ByteStream>>,
    /// Bytes received since the last request was written.
    buffer: ReceiveBuffer,
    /// Whether something may still come that belongs to an earlier request.
    in_doubt: bool,
    /// Number of unsolicited bytes since the last reply.
    unasked: usize,
    identity: Option<String>,
    lost: bool,
    /// Another device answers: the link is over.
    failed: Option<LinkError>,
    backoff: Backoff,
    last: Option<Instant>,
    /// When something last came, or the line fell into doubt: from then on its silence counts.
    heard: Instant,
}

impl Owner {
    async fn run(mut self, mut inbox: mpsc::Receiver<Job>) {
        loop {
            let job = tokio::select! {
                biased;
                job = inbox.recv() => job,
                () = self.watch() => continue,
            };
            match job {
                None => return,
                Some(Job::Close(done)) => {
                    inbox.close();
                    self.stream = None;
                    let _ = done.send(());
                    return;
                }
                Some(Job::Exchange(exchange, deadline, turn, reply)) => {
                    // A caller that has gone before its turn came is not served; from here on the
                    // exchange runs to its end.
                    if turn.claim() && !reply.is_closed() {
                        let outcome = self.serve(exchange, deadline).await;
                        if let Err(unread) = reply.send(outcome) {
                            tracing::debug!(
                                address = self.connector.address(),
                                ok = unread.is_ok(),
                                "the caller has gone; its reply was zeroized"
                            );
                        }
                    }
                }
            }
        }
    }

    /// Detects a closed connection and unsolicited bytes while no call is in progress.
    async fn watch(&mut self) {
        let Some(stream) = &mut self.stream else {
            return std::future::pending().await;
        };
        let mut scratch = Zeroizing::new([0u8; 512]);
        match stream.read(scratch.as_mut_slice()).await {
            Ok(0) | Err(_) => self.drop_line("it was hung up while idle"),
            Ok(n) => {
                if !scratch[..n]
                    .iter()
                    .all(|b| self.options.ignored_bytes.contains(b))
                {
                    tracing::debug!(
                        address = self.connector.address(),
                        bytes = n,
                        "unsolicited bytes arrived"
                    );
                    self.desynchronised();
                }
                self.count_unasked(n);
            }
        }
    }

    /// Whether bytes or a hang-up were there already, without waiting for any.
    async fn noticed(&mut self) -> bool {
        tokio::select! {
            biased;
            () = self.watch() => true,
            () = std::future::ready(()) => false,
        }
    }

    /// A device that never stops sending is cut off: no quiet time would ever come.
    fn count_unasked(&mut self, n: usize) {
        self.unasked += n;
        if self.unasked > MAX_UNSOLICITED_BYTES {
            self.drop_line("it never stops sending");
        }
    }

    fn drop_line(&mut self, why: &str) {
        self.stream = None;
        self.unasked = 0;
        self.in_doubt = false;
        if !self.lost {
            self.lost = true;
            self.options.events.publish(
                Origin::Driver,
                EventKind::LinkLost {
                    reason: why.to_owned(),
                },
            );
        }
    }

    async fn serve(&mut self, exchange: Exchange, deadline: Instant) -> Reply {
        if let Some(over) = &self.failed {
            return Err(over.clone());
        }
        self.ready(deadline).await?;
        self.transact(exchange, deadline).await
    }

    /// Ensures that the link is connected, synchronised and still to the same device.
    async fn ready(&mut self, deadline: Instant) -> Result<(), LinkError> {
        // Input received so far belongs to no request.
        while self.noticed().await {}
        if self.in_doubt && self.options.resync == Resync::Reconnect {
            // Not a loss: our own way to be sure.
            self.stream = None;
            self.in_doubt = false;
        }
        if self.stream.is_none()
            && let Err(error) = self.connect(deadline).await
        {
            if self.last.is_some() {
                self.drop_line("it could not be reached again");
            }
            return Err(error);
        }
        if self.in_doubt {
            let resynchronised = match self.options.resync {
                Resync::Reconnect => Ok(()),
                Resync::Quiet(time) => self.quiet(time, deadline).await,
                Resync::Sentinel(quiet) => self.sentinel(quiet, deadline).await,
            };
            match resynchronised {
                // The device never stopped sending and was disconnected: a new connection may be
                // synchronised.
                Err(error)
                    if self.stream.is_none()
                        && error.kind == ErrorKind::Transport(TransportFault::Overrun) =>
                {
                    self.connect(deadline).await?
                }
                other => other?,
            }
            self.in_doubt = false;
        }
        Ok(())
    }

    async fn connect(&mut self, deadline: Instant) -> Result<(), LinkError> {
        if let Err(wait) = self.backoff.may_try(deadline) {
            return Err(LinkError::new(
                ErrorKind::Unreachable,
                format!(
                    "{} did not answer; the next attempt comes in {} ms",
                    self.connector.address(),
                    wait.as_millis()
                ),
            ));
        }
        self.backoff.wait().await;
        let left = deadline.saturating_duration_since(Instant::now());
        let stream = match self.connector.connect(left).await {
            Ok(stream) => stream,
            Err(error) => {
                self.backoff.failed();
                return Err(error);
            }
        };
        self.stream = Some(stream);
        self.heard = Instant::now();
        self.in_doubt = false;
        if !self.options.startup_delay.is_zero() {
            tokio::time::sleep_until((Instant::now() + self.options.startup_delay).min(deadline))
                .await;
        }
        // A connection whose identity probe failed is discarded: the next call makes a new one.
        if let Err(error) = self.greet(deadline).await {
            self.stream = None;
            self.backoff.failed();
            return Err(error);
        }
        self.backoff.succeeded();
        if self.lost {
            self.lost = false;
            self.options
                .events
                .publish(Origin::Driver, EventKind::LinkRestored);
        }
        Ok(())
    }

    async fn greet(&mut self, deadline: Instant) -> Result<(), LinkError> {
        // After a loss a serial line may still bring what an earlier request asked for.
        if let (true, Resync::Quiet(time) | Resync::Sentinel(time)) =
            (self.lost, self.options.resync)
        {
            self.quiet(time, deadline).await?;
        }
        for i in 0..self.options.logins.len() {
            let exchange = (self.options.logins[i].exchange)();
            let reply = self.transact(exchange, deadline).await?;
            (self.options.logins[i].accept)(&reply)?;
        }
        if let Some(identity_probe) = &self.options.identity_probe {
            let exchange = (identity_probe.exchange)();
            let mut reply = self.transact(exchange, deadline).await?;
            // Asked twice, because one wrong bit of a reply does not prove another device.
            let mut repeated = false;
            if self.names_another(&reply)
                && let Some(identity_probe) = &self.options.identity_probe
            {
                let exchange = (identity_probe.exchange)();
                let again = self.transact(exchange, deadline).await?;
                repeated = *again == *reply;
                reply = again;
            }
            self.check_identity(&reply, repeated)?;
        }
        Ok(())
    }

    fn names_another(&self, reply: &[u8]) -> bool {
        let found = self
            .options
            .identity_probe
            .as_ref()
            .and_then(|g| (g.identify)(reply));
        found.is_none() || self.identity.is_some() && found != self.identity
    }

    /// `repeated`: the device sent this reply twice, which noise does not.
    fn check_identity(&mut self, reply: &[u8], repeated: bool) -> Result<(), LinkError> {
        let Some(identity_probe) = &self.options.identity_probe else {
            return Ok(());
        };
        let Some(found) = (identity_probe.identify)(reply) else {
            let words = std::str::from_utf8(reply).map_or("", str::trim);
            if repeated && !words.is_empty() && !words.contains(char::is_control) {
                return Err(LinkError::new(
                    ErrorKind::IdentityChanged,
                    format!(
                        "a device of another vendor responds at {}: `{}`",
                        self.connector.address(),
                        printable(words, MAX_SHOWN)
                    ),
                ));
            }
            return Err(LinkError::new(
                ErrorKind::Misbehaved(DeviceMisbehaved::UnexpectedReply),
                format!(
                    "what answers at {} does not say that it is such a device; check the address, \
                     and the line speed",
                    self.connector.address()
                ),
            ));
        };
        match &self.identity {
            None => self.identity = Some(found),
            Some(known) if *known == found => {}
            Some(known) => {
                let error = LinkError::new(
                    ErrorKind::IdentityChanged,
                    format!("{known} was opened, and {found} answers now; the handle is closed"),
                );
                self.options
                    .events
                    .publish(Origin::Driver, EventKind::IdentityChanged { found });
                self.failed = Some(error.clone());
                return Err(error);
            }
        }
        Ok(())
    }

    async fn quiet(&mut self, time: Duration, deadline: Instant) -> Result<(), LinkError> {
        let mut scratch = Zeroizing::new([0u8; 512]);
        loop {
            // Silence counts across calls, so that a deadline shorter than the silence cannot keep
            // the link desynchronised for ever.
            let end = self.heard + time;
            if end > deadline {
                return Err(LinkError::new(
                    ErrorKind::Timeout,
                    "the line did not fall silent within the deadline",
                ));
            }
            let Some(stream) = &mut self.stream else {
                return Ok(());
            };
            match timeout_at(end, stream.read(scratch.as_mut_slice())).await {
                Err(_) => return Ok(()),
                Ok(Ok(n)) if n > 0 => {
                    self.heard = Instant::now();
                    self.count_unasked(n);
                    if self.stream.is_none() {
                        return Err(self.never_silent());
                    }
                }
                Ok(_) => return Err(self.hung_up(false)),
            }
        }
    }

    fn never_silent(&self) -> LinkError {
        LinkError::new(
            ErrorKind::Transport(TransportFault::Overrun),
            format!(
                "{} never stops sending; the line was cut",
                self.connector.address()
            ),
        )
    }

    async fn sentinel(&mut self, quiet: Duration, deadline: Instant) -> Result<(), LinkError> {
        let Some(identity_probe) = &self.options.identity_probe else {
            return self.quiet(quiet, deadline).await;
        };
        let mut exchange = (identity_probe.exchange)();
        self.write(&exchange.request, deadline).await?;
        self.buffer.clear();
        let mut stranger = false;
        loop {
            // Input before the reply to the resynchronisation query belongs to earlier requests.
            if let Some(framer) = &mut exchange.framer {
                match framer(&self.buffer) {
                    Frame::Complete(n) => {
                        let n = n.min(self.buffer.len());
                        let found = self
                            .options
                            .identity_probe
                            .as_ref()
                            .and_then(|g| (g.identify)(&self.buffer[..n]));
                        if found.is_some() && (self.identity.is_none() || found == self.identity) {
                            break;
                        }
                        stranger |= found.is_some();
                        self.buffer.remove(n);
                        exchange = self
                            .options
                            .identity_probe
                            .as_ref()
                            .map_or(exchange, |g| (g.exchange)());
                        continue;
                    }
                    Frame::Garbled(_) => {
                        self.count_unasked(self.buffer.len());
                        self.buffer.clear();
                    }
                    Frame::Incomplete if self.buffer.len() > self.options.reply_limit => {
                        self.count_unasked(self.buffer.len());
                        self.buffer.clear();
                    }
                    Frame::Incomplete => {}
                }
            }
            if self.stream.is_none() {
                return Err(self.never_silent());
            }
            if let Err(error) = self.fill(deadline).await {
                if stranger {
                    // The next call runs the identity probe again and returns the identity.
                    self.drop_line("another device answers");
                }
                return Err(error);
            }
        }
        self.quiet(quiet, deadline).await
    }

    async fn write(&mut self, request: &[u8], deadline: Instant) -> Result<(), LinkError> {
        let Some(stream) = &mut self.stream else {
            return Err(LinkError::new(
                ErrorKind::Unreachable,
                "there is no connection",
            ));
        };
        let sent = timeout_at(deadline, async {
            stream.write_all(request).await?;
            stream.flush().await
        })
        .await;
        match sent {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(self.hung_up(true)),
            Err(_) => {
                self.desynchronised();
                Err(LinkError::new(
                    ErrorKind::Timeout,
                    "the device did not take the request within the deadline",
                )
                .mark_sent())
            }
        }
    }

    /// Reads what comes next into the buffer.
    async fn fill(&mut self, deadline: Instant) -> Result<(), LinkError> {
        let Some(stream) = &mut self.stream else {
            return Err(LinkError::new(
                ErrorKind::Unreachable,
                "there is no connection",
            ));
        };
        match timeout_at(deadline, self.buffer.fill(stream)).await {
            Ok(Ok(0)) => Err(LinkError {
                ended: true,
                ..self.hung_up(true)
            }),
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) => Err(self.hung_up(true)),
            Err(_) => {
                self.desynchronised();
                let seen = match self.buffer.len() {
                    0 => "no reply came".to_owned(),
                    n => format!("{n} bytes arrived, which are not a complete reply,"),
                };
                Err(
                    LinkError::new(ErrorKind::Timeout, format!("{seen} within the deadline"))
                        .mark_sent(),
                )
            }
        }
    }

    /// From now on, what comes may belong to an earlier request.
    fn desynchronised(&mut self) {
        self.in_doubt = true;
        self.heard = Instant::now();
    }

    fn hung_up(&mut self, sent: bool) -> LinkError {
        self.drop_line("the line was hung up");
        let error = LinkError::new(
            ErrorKind::Transport(TransportFault::HungUp),
            format!("{} hung up", self.connector.address()),
        );
        if sent { error.mark_sent() } else { error }
    }

    async fn transact(&mut self, mut exchange: Exchange, deadline: Instant) -> Reply {
        if let Some(last) = self.last
            && !self.options.min_gap.is_zero()
        {
            tokio::time::sleep_until((last + self.options.min_gap).min(deadline)).await;
        }
        if Instant::now() >= deadline {
            return Err(LinkError::new(
                ErrorKind::Timeout,
                "the deadline passed before the request's turn came; nothing was sent",
            ));
        }
        self.buffer.clear();
        self.write(&exchange.request, deadline).await?;
        let Some(mut framer) = exchange.framer.take() else {
            self.last = Some(Instant::now());
            return Ok(Zeroizing::new(Vec::new()));
        };
        loop {
            match framer(&self.buffer) {
                Frame::Complete(n) => {
                    let n = n.min(self.buffer.len());
                    let mut reply = Zeroizing::new(Vec::with_capacity(n));
                    reply.extend_from_slice(&self.buffer[..n]);
                    // More than one reply arrived: the rest belongs to no request, and the link is
                    // resynchronised before the next exchange.
                    if !self.buffer[n..]
                        .iter()
                        .all(|b| self.options.ignored_bytes.contains(b))
                    {
                        self.desynchronised();
                    }
                    // The reply may be secret.
                    self.buffer.clear();
                    self.unasked = 0;
                    self.last = Some(Instant::now());
                    return Ok(reply);
                }
                Frame::Garbled(why) => {
                    self.desynchronised();
                    return Err(
                        LinkError::new(ErrorKind::Transport(TransportFault::Framing), why)
                            .mark_sent(),
                    );
                }
                Frame::Incomplete if self.buffer.len() > self.options.reply_limit => {
                    self.desynchronised();
                    let limit = self.options.reply_limit;
                    return Err(LinkError::new(
                        ErrorKind::Transport(TransportFault::Overrun),
                        format!("more than {limit} bytes came and no end of the reply"),
                    )
                    .mark_sent());
                }
                Frame::Incomplete => self.fill(deadline).await?,
            }
        }
    }
}
