//! Faulty and slow links: each message of the device is subject to a [`LinkFault`], planned
//! ([`FaultScript`]) or random ([`RandomFaults`]).
//!
//! The device always processes the request: the fault applies to the reply. The result is that of
//! the real link of the level:
//!
//! | fault | bytes (each chunk, solicited or not) | SNMP | USB | HTTP | datagrams |
//! |---|---|---|---|---|---|
//! | [`Drop`](LinkFault::Drop) | nothing arrives | `Timeout` | `Timeout` | `Timeout` | `Timeout` |
//! | [`Delay`](LinkFault::Delay) | it arrives later, and so do later messages | later; `Timeout` from the deadline on | as SNMP | as SNMP | as SNMP |
//! | [`Reorder`](LinkFault::Reorder) | it arrives later, later messages on time | as a delay: the ID of a late response is no longer awaited | as a delay | as a delay | as a delay |
//! | [`Duplicate`](LinkFault::Duplicate) | it arrives twice | passes: the second belongs to no request | passes: the bus drops it | passes: TCP drops it | passes: the second belongs to no request |
//! | [`Truncate`](LinkFault::Truncate) | its first half arrives | as dropped: no complete BER | IN: half of the data; OUT passes | `Transport(HungUp)` | `Transport(Framing)`: the system reports it |
//! | [`Corrupt`](LinkFault::Corrupt) | one bit is wrong | as dropped: the check of BER or HMAC drops it | passes: the bus repeats it | `Transport(Framing)`: TLS detects it | passes: the kernel copies memory |
//! | [`Reset`](LinkFault::Reset) | the stream ends | `Unreachable`: ICMP reports a closed port | `Transport(Unplugged)` | `Transport(HungUp)` | `Unreachable`: the socket of the peer is gone |
//! | [`Throttle`](LinkFault::Throttle) | byte by byte | passes: it is one datagram | passes: the bus has one speed | passes | passes: they are complete |
//! | [`Flood`](LinkFault::Flood) | random bytes arrive until the host disconnects | as dropped: it belongs to no request | `Transport(Overrun)` | `Transport(Overrun)` | `Transport(Overrun)` |
//!
//! On a byte link, a connect is not counted. On the others, an exchange that failed before anything
//! was sent is not counted.

use crate::link::{
    Disclosure, LinkError,
    bytes::{ByteStream, Connector},
    datagram::{DatagramExchange, DatagramLink, Datagrams},
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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkFault {
    /// The message never arrives.
    Drop,
    /// The message and those after it arrive later by this time.
    Delay(Duration),
    /// The message arrives later by this time, those after it on time.
    Reorder(Duration),
    /// The message arrives twice.
    Duplicate,
    /// Its second half is missing.
    Truncate,
    /// One bit of it is wrong.
    Corrupt,
    /// The connection ends instead.
    Reset,
    /// The message arrives at this rate, in bytes per second.
    Throttle(u32),
    /// The message never ends.
    Flood,
}

impl LinkFault {
    /// Returns the name of the fault, which is the same on links, in emulators and in reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Drop => "drop",
            Self::Delay(_) => "delay",
            Self::Reorder(_) => "reorder",
            Self::Duplicate => "duplicate",
            Self::Truncate => "truncate",
            Self::Corrupt => "corrupt",
            Self::Reset => "reset",
            Self::Throttle(_) => "throttle",
            Self::Flood => "flood",
        }
    }
}

/// Source of the faults of messages.
pub trait FaultSource: Send + Sync {
    /// Returns the faults of the next message; all of them apply.
    fn next(&self) -> Vec<LinkFault>;
    /// Returns the seed for the positions of corrupted bits.
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
    /// Each with its probability.
    faults: Vec<(LinkFault, f64)>,
    seed: u64,
    dice: Mutex<ChaCha8Rng>,
}

impl RandomFaults {
    /// No faults, with a seed.
    #[must_use]
    pub fn seeded(seed: u64) -> Self {
        Self {
            faults: Vec::new(),
            seed,
            dice: Mutex::new(ChaCha8Rng::seed_from_u64(seed)),
        }
    }
    /// With this fault of each message, with a probability from 0 to 1. The faults of one message
    /// apply in the order in which they were added.
    #[must_use]
    pub fn with_fault(mut self, fault: LinkFault, probability: f64) -> Self {
        self.faults.push((fault, probability));
        self
    }
}

impl FaultSource for RandomFaults {
    fn next(&self) -> Vec<LinkFault> {
        let mut dice = self.dice.lock().unwrap_or_else(PoisonError::into_inner);
        let mut happens =
            |probability: f64| probability > 0.0 && dice.random_bool(probability.min(1.0));
        self.faults
            .iter()
            .filter(|(_, probability)| happens(*probability))
            .map(|(fault, _)| *fault)
            .collect()
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
        let (mut copies, mut pace, mut reordered) = (1, None, None);
        for fault in self.faults.next() {
            match fault {
                LinkFault::Drop => copies = 0,
                LinkFault::Delay(time) => sleep(time).await,
                LinkFault::Reorder(time) => reordered = Some(Instant::now() + time),
                LinkFault::Duplicate => copies *= 2,
                LinkFault::Truncate => truncate_half(&mut message),
                LinkFault::Corrupt if message.is_empty() => {}
                LinkFault::Corrupt => {
                    let bit = self.dice.random_range(0..message.len() * 8);
                    message[bit / 8] ^= 1 << (bit % 8);
                }
                LinkFault::Reset => return Ok(false),
                LinkFault::Throttle(speed) => pace = Some(Duration::from_secs(1) / speed.max(1)),
                LinkFault::Flood => loop {
                    self.to_host.write_all(&[b'U'; 64]).await?;
                },
            }
        }
        if let Some(at) = reordered {
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
    None,
    Drop,
    Delay(Duration),
    Truncate,
    Fail(ErrorKind, &'static str),
}

const LATE: &str = "no reply came within the deadline";

fn on_snmp(fault: LinkFault) -> MessageFault {
    match fault {
        LinkFault::Duplicate | LinkFault::Throttle(_) => MessageFault::None,
        LinkFault::Drop | LinkFault::Truncate | LinkFault::Corrupt | LinkFault::Flood => {
            MessageFault::Drop
        }
        LinkFault::Delay(time) | LinkFault::Reorder(time) => MessageFault::Delay(time),
        LinkFault::Reset => MessageFault::Fail(ErrorKind::Unreachable, "nothing listens there"),
    }
}

fn on_usb(fault: LinkFault) -> MessageFault {
    match fault {
        LinkFault::Duplicate | LinkFault::Throttle(_) | LinkFault::Corrupt => MessageFault::None,
        LinkFault::Drop => MessageFault::Drop,
        LinkFault::Delay(time) | LinkFault::Reorder(time) => MessageFault::Delay(time),
        LinkFault::Truncate => MessageFault::Truncate,
        LinkFault::Reset => MessageFault::Fail(
            ErrorKind::Transport(TransportFault::Unplugged),
            "the device was pulled out",
        ),
        LinkFault::Flood => MessageFault::Fail(
            ErrorKind::Transport(TransportFault::Overrun),
            "the device sent more than was asked for",
        ),
    }
}

fn on_http(fault: LinkFault) -> MessageFault {
    let fail = |fault, what| MessageFault::Fail(ErrorKind::Transport(fault), what);
    match fault {
        LinkFault::Duplicate | LinkFault::Throttle(_) => MessageFault::None,
        LinkFault::Drop => MessageFault::Drop,
        LinkFault::Delay(time) | LinkFault::Reorder(time) => MessageFault::Delay(time),
        LinkFault::Truncate | LinkFault::Reset => fail(
            TransportFault::HungUp,
            "the connection broke before the response was complete",
        ),
        LinkFault::Corrupt => fail(
            TransportFault::Framing,
            "the response was damaged on the way",
        ),
        LinkFault::Flood => fail(TransportFault::Overrun, "the response does not end"),
    }
}

fn on_datagrams(fault: LinkFault) -> MessageFault {
    let fail = |fault, what| MessageFault::Fail(ErrorKind::Transport(fault), what);
    match fault {
        LinkFault::Duplicate | LinkFault::Throttle(_) | LinkFault::Corrupt => MessageFault::None,
        LinkFault::Drop => MessageFault::Drop,
        LinkFault::Delay(time) | LinkFault::Reorder(time) => MessageFault::Delay(time),
        LinkFault::Truncate => fail(TransportFault::Framing, "a datagram was cut"),
        LinkFault::Reset => {
            MessageFault::Fail(ErrorKind::Unreachable, "the socket of the peer is gone")
        }
        LinkFault::Flood => fail(TransportFault::Overrun, "the answer has too many datagrams"),
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
                MessageFault::None => continue,
                MessageFault::Drop => deadline,
                MessageFault::Delay(time) => Instant::now() + time,
                MessageFault::Truncate => {
                    result = result.map(|mut reply| {
                        halve(&mut reply);
                        reply
                    });
                    continue;
                }
                MessageFault::Fail(kind, what) => {
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

#[async_trait]
impl DatagramLink for FaultyLink<Arc<dyn DatagramLink>> {
    async fn exchange(&self, exchange: DatagramExchange) -> Result<Datagrams, LinkError> {
        self.meet(
            exchange.within,
            on_datagrams,
            self.inner.exchange(exchange),
            whole,
        )
        .await
    }
    fn address(&self) -> String {
        self.inner.address()
    }
    async fn close(&self) {
        self.inner.close().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        link::{
            datagram::{DatagramPeer, DatagramService, Received},
            memory::MemoryDatagramLink,
        },
        transcript::{Replay, Transcript},
        wrap::traced::TracedLink,
    };

    /// Answers a request with as many datagrams as its first byte says.
    struct Countdown;

    impl DatagramService for Countdown {
        fn answer(&self, peer: DatagramPeer, datagram: &[u8]) -> Datagrams {
            assert_eq!(peer, DatagramPeer::NetlinkGeneric);
            let count = datagram.first().copied().unwrap_or(0);
            let part = |n| Zeroizing::new(vec![n; usize::from(n)]);
            (0..count).rev().map(part).collect()
        }
    }

    fn request(count: u8) -> DatagramExchange {
        let decoder = |seen: &[u8]| match seen {
            [] => Received::Last,
            _ => Received::Part,
        };
        let request = Zeroizing::new(vec![count]);
        DatagramExchange::new("test", request, Duration::from_secs(2), decoder)
            .with_disclosures(Disclosure::Public, Disclosure::Public)
    }

    fn link() -> Arc<dyn DatagramLink> {
        let peer = DatagramPeer::NetlinkGeneric;
        Arc::new(MemoryDatagramLink::new("test", Arc::new(Countdown), peer))
    }

    #[tokio::test(start_paused = true)]
    async fn faults_of_datagrams_end_as_the_table_says() {
        let script = FaultScript::new();
        let faulty = FaultyLink::new(link(), Arc::new(script.clone()));
        let hour = Duration::from_secs(3600);
        for (fault, expected) in [
            (LinkFault::Drop, Some(ErrorKind::Timeout)),
            (LinkFault::Delay(Duration::from_secs(1)), None),
            (LinkFault::Delay(hour), Some(ErrorKind::Timeout)),
            (LinkFault::Duplicate, None),
            (
                LinkFault::Truncate,
                Some(ErrorKind::Transport(TransportFault::Framing)),
            ),
            (LinkFault::Corrupt, None),
            (LinkFault::Reset, Some(ErrorKind::Unreachable)),
            (
                LinkFault::Flood,
                Some(ErrorKind::Transport(TransportFault::Overrun)),
            ),
        ] {
            script.inject(0, fault);
            let result = faulty.exchange(request(4)).await;
            match (&result, expected) {
                (Ok(answer), None) => assert_eq!(answer.len(), 4, "{fault:?}"),
                (Err(error), Some(kind)) => {
                    assert_eq!((error.kind, error.sent), (kind, true), "{fault:?}");
                }
                _ => panic!("{fault:?}: {:?}", result.err()),
            }
            assert_eq!(faulty.exchange(request(1)).await.unwrap().len(), 1);
        }
        // An answer that does not end.
        let silent = faulty.exchange(request(0)).await;
        assert_eq!(silent.unwrap_err().kind, ErrorKind::Timeout);
        faulty.close().await;
        let closed = faulty.exchange(request(1)).await;
        assert_eq!(closed.unwrap_err().kind, ErrorKind::Closed);
    }

    #[tokio::test(start_paused = true)]
    async fn recorded_datagrams_are_replayed_one_by_one() {
        let transcript = Transcript::in_memory();
        let traced = TracedLink::new(link(), transcript.clone());
        let recorded = traced.exchange(request(12)).await.unwrap();
        assert_eq!(recorded.len(), 12);
        let replay = Replay::new(transcript.records(), 7);
        let other = DatagramLink::exchange(&replay, request(12)).await.unwrap();
        assert_eq!(other, recorded);
        let ended = DatagramLink::exchange(&replay, request(12)).await;
        assert!(ended.is_err());
        let mut records = transcript.records();
        records[0].reply.remove(1);
        let damaged = Replay::new(records, 7);
        let error = DatagramLink::exchange(&damaged, request(12)).await;
        assert_eq!(error.unwrap_err().kind, ErrorKind::Internal);
    }
}
