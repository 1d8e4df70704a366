//! Faulty and slow links: each message of the device is subject to a [`LinkFault`], planned
//! ([`FaultScript`]) or random ([`RandomFaults`]).
//!
//! The device always processes the request: the fault applies to the reply. The result is that of
//! the real link of the level:
//!
//! | fault | bytes (each chunk, solicited or not) | SNMP | USB | HTTP |
//! |---|---|---|---|---|
//! | [`Lost`](LinkFault::Lost) | nothing arrives | `Timeout` | `Timeout` | `Timeout` |
//! | [`Delayed`](LinkFault::Delayed) | it arrives later, and so do later messages | later; `Timeout` from the deadline on | as SNMP | as SNMP |
//! | [`Late`](LinkFault::Late) | it arrives later, later messages on time | as delayed: the ID of a late response is no longer awaited | as delayed | as delayed |
//! | [`Twice`](LinkFault::Twice) | it arrives twice | passes: the second belongs to no request | passes: the bus drops it | passes: TCP drops it |
//! | [`CutShort`](LinkFault::CutShort) | its first half arrives | as lost: no complete BER | IN: half of the data; OUT passes | `Transport(HungUp)` |
//! | [`Damaged`](LinkFault::Damaged) | one bit is wrong | as lost: the check of BER or HMAC drops it | passes: the bus repeats it | `Transport(Framing)`: TLS detects it |
//! | [`HangsUp`](LinkFault::HangsUp) | the stream ends | `Unreachable`: ICMP reports a closed port | `Transport(Unplugged)` | `Transport(HungUp)` |
//! | [`Slow`](LinkFault::Slow) | byte by byte | passes: it is one datagram | passes: the bus has one speed | passes |
//! | [`Floods`](LinkFault::Floods) | random bytes arrive until the host disconnects | as lost: it belongs to no request | `Transport(Overrun)` | `Transport(Overrun)` |
//!
//! On a byte link, a connect is not counted. On the others, an exchange that failed before anything
//! was sent is not counted.

use crate::link::{
    Disclosure, LinkError,
    bytes::{ByteStream, Connector},
    http::{HttpLink, HttpRequest, HttpResponse},
    snmp::{Notification, Oid, SecurityLevel, SetRequest, SnmpLink, VarBind},
    usb::{BulkRead, SetupPacket, UsbIdentity, UsbLink},
};
use async_trait::async_trait;
use qkd_hal::{ErrorKind, TransportFault};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::{
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWrite, AsyncWriteExt},
    sync::broadcast,
    task::JoinHandle,
    time::{Instant, sleep, sleep_until, timeout},
};
use zeroize::Zeroizing;

/// Fault of one message from the device to the driver.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum LinkFault {
    /// No fault: the message passes unchanged.
    #[default]
    Passes,
    /// The message never arrives.
    Lost,
    /// The message and those after it arrive later by this time.
    Delayed(Duration),
    /// The message arrives later by this time, those after it on time.
    Late(Duration),
    /// The message arrives twice.
    Twice,
    /// Its second half is missing.
    CutShort,
    /// One bit of it is wrong.
    Damaged,
    /// The line is hung up instead.
    HangsUp,
    /// The message arrives at this rate, in bytes per second.
    Slow(u32),
    /// The message never ends.
    Floods,
}

/// Source of the faults of messages.
pub trait FaultSource: Send + Sync {
    /// Returns the faults of the next message; all of them apply.
    fn next(&self) -> Vec<LinkFault>;
    /// Returns the seed for the positions of damaged bits.
    fn seed(&self) -> u64 {
        0
    }
}

/// Planned faults: exchanges are counted, and a chosen one gets a fault. Clones share one script.
#[derive(Debug, Clone, Default)]
pub struct FaultScript(Arc<Mutex<Plan>>);

#[derive(Debug, Default)]
struct Plan {
    seen: usize,
    /// Zero-based index and fault of the chosen exchange.
    due: Option<(usize, LinkFault)>,
    injected: bool,
}

impl FaultScript {
    /// Creates a script without faults.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
    fn lock(&self) -> MutexGuard<'_, Plan> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
    /// Schedules `fault` for the exchange after the next `skip` exchanges; those after it pass.
    /// Replaces an earlier schedule.
    pub fn inject(&self, skip: usize, fault: LinkFault) {
        let mut plan = self.lock();
        plan.due = Some((plan.seen + skip, fault));
        plan.injected = false;
    }
    /// Cancels the scheduled fault.
    pub fn clear(&self) {
        let mut plan = self.lock();
        plan.due = None;
        plan.injected = false;
    }
    /// Returns the number of exchanges so far.
    #[must_use]
    pub fn count(&self) -> usize {
        self.lock().seen
    }
    /// Whether the exchange of the last [`inject`](Self::inject) has come.
    #[must_use]
    pub fn was_injected(&self) -> bool {
        self.lock().injected
    }
}

impl FaultSource for FaultScript {
    fn next(&self) -> Vec<LinkFault> {
        let mut plan = self.lock();
        let number = plan.seen;
        plan.seen += 1;
        match plan.due {
            Some((due, fault)) if due == number => {
                (plan.due, plan.injected) = (None, true);
                vec![fault]
            }
            _ => Vec::new(),
        }
    }
}

/// Faults by chance, seeded, so that a run can be repeated.
#[derive(Debug)]
pub struct RandomFaults {
    loss: f64,
    delay: Duration,
    duplicate: f64,
    damage: f64,
    speed: Option<u32>,
    seed: u64,
    dice: Mutex<ChaCha8Rng>,
}

impl RandomFaults {
    /// No faults, with a seed.
    #[must_use]
    pub fn seeded(seed: u64) -> Self {
        let dice = Mutex::new(ChaCha8Rng::seed_from_u64(seed));
        Self {
            loss: 0.0,
            delay: Duration::ZERO,
            duplicate: 0.0,
            damage: 0.0,
            speed: None,
            seed,
            dice,
        }
    }
    /// With this probability a message is lost.
    #[must_use]
    pub fn loss(mut self, probability: f64) -> Self {
        self.loss = probability;
        self
    }
    /// Delays each message by `delay`.
    #[must_use]
    pub fn delay(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }
    /// With this probability a message comes twice.
    #[must_use]
    pub fn duplicate(mut self, probability: f64) -> Self {
        self.duplicate = probability;
        self
    }
    /// With this probability one bit of a message is flipped.
    #[must_use]
    pub fn damage(mut self, probability: f64) -> Self {
        self.damage = probability;
        self
    }
    /// At a low speed.
    #[must_use]
    pub fn speed(mut self, bytes_per_second: u32) -> Self {
        self.speed = Some(bytes_per_second);
        self
    }
}

impl FaultSource for RandomFaults {
    fn next(&self) -> Vec<LinkFault> {
        let mut dice = self.dice.lock().unwrap_or_else(PoisonError::into_inner);
        let mut roll =
            |probability: f64| probability > 0.0 && dice.random_bool(probability.min(1.0));
        let mut faults = Vec::new();
        for (probability, fault) in [
            (self.loss, LinkFault::Lost),
            (self.damage, LinkFault::Damaged),
            (self.duplicate, LinkFault::Twice),
        ] {
            if roll(probability) {
                faults.push(fault);
            }
        }
        if !self.delay.is_zero() {
            faults.push(LinkFault::Delayed(self.delay));
        }
        faults.extend(self.speed.map(LinkFault::Slow));
        faults
    }
    fn seed(&self) -> u64 {
        self.seed
    }
}

/// A link with faults.
pub struct FaultyLink<L> {
    inner: L,
    faults: Arc<dyn FaultSource>,
    /// The task of the last stream, which holds what may be open only once.
    former: tokio::sync::Mutex<Option<JoinHandle<()>>>,
}

impl<L> FaultyLink<L> {
    /// Puts faults around a link.
    pub fn new(inner: L, faults: Arc<dyn FaultSource>) -> Self {
        Self {
            inner,
            faults,
            former: tokio::sync::Mutex::default(),
        }
    }
}

/// The way of one stream's messages to the host.
struct FaultyWriter<W> {
    to_host: W,
    faults: Arc<dyn FaultSource>,
    dice: ChaCha8Rng,
    late: Vec<(Instant, Zeroizing<Vec<u8>>)>,
}

impl<W: AsyncWrite + Unpin> FaultyWriter<W> {
    /// Sends one message with its faults applied; returns `false` if the connection is closed
    /// instead.
    async fn send(&mut self, mut message: Zeroizing<Vec<u8>>) -> io::Result<bool> {
        let (mut copies, mut pace, mut late) = (1, None, None);
        for fault in self.faults.next() {
            match fault {
                LinkFault::Passes => {}
                LinkFault::Lost => copies = 0,
                LinkFault::Delayed(time) => sleep(time).await,
                LinkFault::Late(time) => late = Some(Instant::now() + time),
                LinkFault::Twice => copies *= 2,
                LinkFault::CutShort => truncate_half(&mut message),
                LinkFault::Damaged if message.is_empty() => {}
                LinkFault::Damaged => {
                    let bit = self.dice.random_range(0..message.len() * 8);
                    message[bit / 8] ^= 1 << (bit % 8);
                }
                LinkFault::HangsUp => return Ok(false),
                LinkFault::Slow(speed) => pace = Some(Duration::from_secs(1) / speed.max(1)),
                LinkFault::Floods => loop {
                    self.to_host.write_all(&[b'U'; 64]).await?;
                },
            }
        }
        if let Some(at) = late {
            self.late.extend((0..copies).map(|_| (at, message.clone())));
            return Ok(true);
        }
        for _ in 0..copies {
            match pace {
                None => self.to_host.write_all(&message).await?,
                Some(pace) => {
                    for byte in message.iter() {
                        sleep(pace).await;
                        self.to_host.write_all(&[*byte]).await?;
                    }
                }
            }
        }
        Ok(true)
    }

    /// Until a late message is due.
    async fn next_late(&self) {
        match self.late.iter().map(|(at, _)| *at).min() {
            Some(at) => sleep_until(at).await,
            None => std::future::pending().await,
        }
    }

    async fn send_late(&mut self) -> io::Result<()> {
        let now = Instant::now();
        for (_, message) in self.late.extract_if(.., |(at, _)| *at <= now) {
            self.to_host.write_all(&message).await?;
        }
        Ok(())
    }
}

#[async_trait]
impl Connector for FaultyLink<Box<dyn Connector>> {
    /// The faults act on what the device sends, message by message as it comes.
    async fn connect(&self, within: Duration) -> Result<Box<dyn ByteStream>, LinkError> {
        let mut former = self.former.lock().await;
        if let Some(task) = former.take() {
            let _ = timeout(within, task).await;
        }
        let stream = self.inner.connect(within).await?;
        let (near, far) = tokio::io::duplex(64 * 1024);
        let (mut from_device, mut to_device) = tokio::io::split(stream);
        let (mut from_host, to_host) = tokio::io::split(far);
        let dice = ChaCha8Rng::seed_from_u64(self.faults.seed());
        let mut way = FaultyWriter {
            to_host,
            faults: Arc::clone(&self.faults),
            dice,
            late: Vec::new(),
        };
        *former = Some(tokio::spawn(async move {
            let back = async {
                let mut buffer = Zeroizing::new(vec![0; 4096]);
                let mut ended = false;
                // What is late still comes after the device has ended.
                while !ended || !way.late.is_empty() {
                    tokio::select! {
                        biased;
                        () = way.next_late() => way.send_late().await?,
                        read = from_device.read(&mut buffer), if !ended => match read? {
                            0 => ended = true,
                            n if way.send(Zeroizing::new(buffer[..n].to_vec())).await? => {}
                            _ => break,
                        },
                    }
                }
                way.to_host.shutdown().await
            };
            let forth = tokio::io::copy(&mut from_host, &mut to_device);
            tokio::select! { _ = back => {}, _ = forth => {} }
        }));
        Ok(Box::new(near))
    }
    fn address(&self) -> String {
        self.inner.address()
    }
    fn exclusive(&self) -> Option<String> {
        self.inner.exclusive()
    }
}

/// Result of a fault on a link whose replies arrive completely or not at all.
enum MessageFault {
    Passes,
    Lost,
    Later(Duration),
    Halved,
    Fails(ErrorKind, &'static str),
}

const LATE: &str = "no reply came within the deadline";

fn on_snmp(fault: LinkFault) -> MessageFault {
    match fault {
        LinkFault::Passes | LinkFault::Twice | LinkFault::Slow(_) => MessageFault::Passes,
        LinkFault::Lost | LinkFault::CutShort | LinkFault::Damaged | LinkFault::Floods => {
            MessageFault::Lost
        }
        LinkFault::Delayed(time) | LinkFault::Late(time) => MessageFault::Later(time),
        LinkFault::HangsUp => MessageFault::Fails(ErrorKind::Unreachable, "nothing listens there"),
    }
}

fn on_usb(fault: LinkFault) -> MessageFault {
    match fault {
        LinkFault::Passes | LinkFault::Twice | LinkFault::Slow(_) | LinkFault::Damaged => {
            MessageFault::Passes
        }
        LinkFault::Lost => MessageFault::Lost,
        LinkFault::Delayed(time) | LinkFault::Late(time) => MessageFault::Later(time),
        LinkFault::CutShort => MessageFault::Halved,
        LinkFault::HangsUp => MessageFault::Fails(
            ErrorKind::Transport(TransportFault::Unplugged),
            "the device was pulled out",
        ),
        LinkFault::Floods => MessageFault::Fails(
            ErrorKind::Transport(TransportFault::Overrun),
            "the device sent more than was asked for",
        ),
    }
}

fn on_http(fault: LinkFault) -> MessageFault {
    let fails = |fault, what| MessageFault::Fails(ErrorKind::Transport(fault), what);
    match fault {
        LinkFault::Passes | LinkFault::Twice | LinkFault::Slow(_) => MessageFault::Passes,
        LinkFault::Lost => MessageFault::Lost,
        LinkFault::Delayed(time) | LinkFault::Late(time) => MessageFault::Later(time),
        LinkFault::CutShort | LinkFault::HangsUp => fails(
            TransportFault::HungUp,
            "the connection broke before the response was complete",
        ),
        LinkFault::Damaged => fails(
            TransportFault::Framing,
            "the response was damaged on the way",
        ),
        LinkFault::Floods => fails(TransportFault::Overrun, "the response does not end"),
    }
}

/// For replies of which no half can come.
fn whole<T>(_reply: &mut T) {}

fn truncate_half(data: &mut Vec<u8>) {
    data.truncate(data.len() / 2);
}

impl<L> FaultyLink<L> {
    /// Performs an exchange and applies the faults to its reply.
    async fn meet<T: Send>(
        &self,
        within: Duration,
        met: fn(LinkFault) -> MessageFault,
        exchange: impl Future<Output = Result<T, LinkError>> + Send,
        halve: fn(&mut T),
    ) -> Result<T, LinkError> {
        let deadline = Instant::now() + within;
        let mut result = exchange.await;
        if result.as_ref().is_err_and(|e| !e.sent) {
            return result;
        }
        for fault in self.faults.next() {
            let at = match met(fault) {
                MessageFault::Passes => continue,
                MessageFault::Lost => deadline,
                MessageFault::Later(time) => Instant::now() + time,
                MessageFault::Halved => {
                    result = result.map(|mut reply| {
                        halve(&mut reply);
                        reply
                    });
                    continue;
                }
                MessageFault::Fails(kind, what) => {
                    return Err(LinkError::new(kind, what).mark_sent());
                }
            };
            sleep_until(at.min(deadline)).await;
            if at >= deadline {
                return Err(LinkError::new(ErrorKind::Timeout, LATE).mark_sent());
            }
        }
        result
    }
}

#[async_trait]
impl SnmpLink for FaultyLink<Arc<dyn SnmpLink>> {
    async fn get(&self, oids: &[Oid], within: Duration) -> Result<Vec<VarBind>, LinkError> {
        self.meet(within, on_snmp, self.inner.get(oids, within), whole)
            .await
    }
    async fn set(&self, request: SetRequest, within: Duration) -> Result<i32, LinkError> {
        self.meet(within, on_snmp, self.inner.set(request, within), whole)
            .await
    }
    async fn walk(&self, root: &Oid, within: Duration) -> Result<Vec<VarBind>, LinkError> {
        self.meet(within, on_snmp, self.inner.walk(root, within), whole)
            .await
    }
    fn notifications(&self) -> broadcast::Receiver<Notification> {
        self.inner.notifications()
    }
    fn has_notifications(&self) -> bool {
        self.inner.has_notifications()
    }
    fn security(&self) -> SecurityLevel {
        self.inner.security()
    }
    fn address(&self) -> String {
        self.inner.address()
    }
    async fn close(&self) {
        self.inner.close().await;
    }
}

#[async_trait]
impl UsbLink for FaultyLink<Arc<dyn UsbLink>> {
    async fn control_in(
        &self,
        setup: SetupPacket,
        within: Duration,
        disclosure: Disclosure,
    ) -> Result<Vec<u8>, LinkError> {
        self.meet(
            within,
            on_usb,
            self.inner.control_in(setup, within, disclosure),
            truncate_half,
        )
        .await
    }
    async fn control_out(
        &self,
        setup: SetupPacket,
        data: &[u8],
        within: Duration,
        disclosure: Disclosure,
    ) -> Result<(), LinkError> {
        self.meet(
            within,
            on_usb,
            self.inner.control_out(setup, data, within, disclosure),
            whole,
        )
        .await
    }
    async fn bulk_in(&self, read: BulkRead) -> Result<Zeroizing<Vec<u8>>, LinkError> {
        self.meet(read.within, on_usb, self.inner.bulk_in(read), |data| {
            truncate_half(data)
        })
        .await
    }
    async fn bulk_out(
        &self,
        endpoint: u8,
        data: &[u8],
        within: Duration,
        disclosure: Disclosure,
    ) -> Result<usize, LinkError> {
        self.meet(
            within,
            on_usb,
            self.inner.bulk_out(endpoint, data, within, disclosure),
            whole,
        )
        .await
    }
    async fn interrupt_in(&self, read: BulkRead) -> Result<Zeroizing<Vec<u8>>, LinkError> {
        self.meet(read.within, on_usb, self.inner.interrupt_in(read), |data| {
            truncate_half(data)
        })
        .await
    }
    fn identity(&self) -> UsbIdentity {
        self.inner.identity()
    }
    fn address(&self) -> String {
        self.inner.address()
    }
    async fn close(&self) {
        self.inner.close().await;
    }
}

#[async_trait]
impl HttpLink for FaultyLink<Arc<dyn HttpLink>> {
    async fn call(
        &self,
        request: HttpRequest,
        within: Duration,
    ) -> Result<HttpResponse, LinkError> {
        self.meet(within, on_http, self.inner.call(request, within), whole)
            .await
    }
    fn address(&self) -> String {
        self.inner.address()
    }
    async fn close(&self) {
        self.inner.close().await;
    }
}
