//! Faults on each level of link, under paused time: the result at the caller, and that the device
//! processed the request.

use qkd_driver_kit::{
    link::{
        Disclosure, LinkError,
        bytes::{ByteLink, Connector, Exchange, line_framer},
        http::{HttpLink, HttpRequest, HttpResponse, HttpService, Method},
        memory,
        snmp::{ErrorStatus, Notification, Oid, SetRequest, SnmpLink, SnmpService, Value, VarBind},
        stream::{Resync, StreamLink, StreamOptions},
        usb::{BulkRead, Completion, SetupPacket, UsbLink, UsbService},
    },
    wrap::fault::{FaultScript, FaultSource, FaultyLink, LinkFault, RandomFaults},
};
use qkd_hal::{ErrorKind, TransportFault, event::EventHub};
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, DuplexStream},
    sync::broadcast,
    time::Instant,
};
use zeroize::Zeroizing;

const DEADLINE: Duration = Duration::from_secs(2);
/// Longer than any deadline here.
const LONG: Duration = Duration::from_secs(10);
const SHORT: Duration = Duration::from_millis(300);

/// Number of requests that a device processed.
#[derive(Clone, Default)]
struct Done(Arc<AtomicUsize>);

impl Done {
    fn one_more(&self) -> usize {
        self.0.fetch_add(1, Ordering::Relaxed) + 1
    }
    fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

#[test]
fn a_script_faults_only_the_exchange_that_it_names() {
    let script = FaultScript::new();
    let twin = script.clone();
    assert!(script.next().is_empty());
    script.inject(2, LinkFault::Drop);
    assert_eq!([script.next(), script.next()], [vec![], vec![]]);
    assert!(!twin.was_injected());
    assert_eq!(script.next(), [LinkFault::Drop]);
    assert!(twin.was_injected() && script.next().is_empty());
    assert_eq!(twin.count(), 5);
    script.inject(0, LinkFault::Reset);
    assert!(!script.was_injected());
    script.clear();
    assert!(script.next().is_empty() && !script.was_injected());
}

#[test]
fn random_faults_repeat_with_the_same_seed() {
    let run = |seed| {
        let faults = RandomFaults::seeded(seed)
            .with_fault(LinkFault::Drop, 0.3)
            .with_fault(LinkFault::Corrupt, 0.3)
            .with_fault(LinkFault::Duplicate, 0.3)
            .with_fault(LinkFault::Delay(SHORT), 1.0);
        (0..64).flat_map(|_| faults.next()).collect::<Vec<_>>()
    };
    assert_eq!(run(7), run(7));
    assert_ne!(run(7), run(8));
    let lost = run(7).iter().filter(|f| **f == LinkFault::Drop).count();
    assert!((8..32).contains(&lost), "{lost}");
}

/// A line that answers `ask` with `reply N`.
async fn byte_line(script: &FaultScript) -> (Arc<StreamLink>, Done) {
    let done = Done::default();
    let device = done.clone();
    let connector: Box<dyn Connector> = Box::new(memory::MemoryConnector::new(
        "device",
        move |stream: DuplexStream| {
            let done = device.clone();
            tokio::spawn(async move {
                let (reader, mut writer) = tokio::io::split(stream);
                let mut lines = BufReader::new(reader).lines();
                while let Ok(Some(_)) = lines.next_line().await {
                    let reply = format!("reply {}\n", done.one_more());
                    if writer.write_all(reply.as_bytes()).await.is_err() {
                        return;
                    }
                }
            });
        },
    ));
    let options = StreamOptions::new(Resync::Reconnect, EventHub::default());
    (
        StreamLink::open(
            Box::new(FaultyLink::new(connector, Arc::new(script.clone()))),
            options,
            DEADLINE,
        )
        .await
        .unwrap(),
        done,
    )
}

async fn ask(link: &StreamLink) -> Result<String, LinkError> {
    let exchange =
        Exchange::new("ask", "ask\n", DEADLINE).reply(line_framer(100), Disclosure::Public);
    link.exchange(exchange)
        .await
        .map(|r| String::from_utf8_lossy(&r).into_owned())
}

#[tokio::test(start_paused = true)]
async fn byte_links_apply_injected_faults_and_the_next_exchange_works() {
    let hung_up = ErrorKind::Transport(TransportFault::HungUp);
    for (fault, wanted) in [
        (LinkFault::Delay(Duration::ZERO), Ok("reply 2\n")),
        (LinkFault::Drop, Err(ErrorKind::Timeout)),
        (LinkFault::Delay(SHORT), Ok("reply 2\n")),
        (LinkFault::Delay(LONG), Err(ErrorKind::Timeout)),
        (LinkFault::Reorder(SHORT), Ok("reply 2\n")),
        (LinkFault::Reorder(LONG), Err(ErrorKind::Timeout)),
        (LinkFault::Duplicate, Ok("reply 2\n")),
        (LinkFault::Truncate, Err(ErrorKind::Timeout)),
        (LinkFault::Reset, Err(hung_up)),
        (LinkFault::Throttle(100), Ok("reply 2\n")),
        (LinkFault::Throttle(1), Err(ErrorKind::Timeout)),
        (
            LinkFault::Flood,
            Err(ErrorKind::Transport(TransportFault::Framing)),
        ),
    ] {
        let script = FaultScript::new();
        let (link, done) = byte_line(&script).await;
        script.inject(1, fault);
        assert_eq!(ask(&link).await.unwrap(), "reply 1\n");
        let begun = Instant::now();
        match (ask(&link).await, wanted) {
            (Ok(reply), Ok(wanted)) => assert_eq!(reply, wanted, "{fault:?}"),
            (Err(error), Err(wanted)) => {
                assert!(error.kind == wanted && error.sent, "{fault:?}: {error:?}")
            }
            (got, wanted) => panic!("{fault:?}: {got:?}, not {wanted:?}"),
        }
        assert!(begun.elapsed() <= DEADLINE, "{fault:?}");
        assert!(script.was_injected());
        assert_eq!(done.count(), 2, "{fault:?}: it was processed");
        assert_eq!(ask(&link).await.unwrap(), "reply 3\n", "{fault:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_late_message_does_not_delay_later_messages() {
    let script = FaultScript::new();
    script.inject(0, LinkFault::Reorder(SHORT));
    let connector: Box<dyn Connector> = Box::new(memory::MemoryConnector::new(
        "device",
        |mut stream: DuplexStream| {
            tokio::spawn(async move {
                for word in ["first\n", "second\n"] {
                    stream.write_all(word.as_bytes()).await.unwrap();
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            });
        },
    ));
    let stream = FaultyLink::new(connector, Arc::new(script))
        .connect(DEADLINE)
        .await
        .unwrap();
    let mut lines = BufReader::new(stream).lines();
    assert_eq!(lines.next_line().await.unwrap().unwrap(), "second");
    assert_eq!(lines.next_line().await.unwrap().unwrap(), "first");
    assert_eq!(
        lines.next_line().await.unwrap(),
        None,
        "the device has hung up"
    );
}

#[tokio::test(start_paused = true)]
async fn damage_is_one_bit() {
    let script = FaultScript::new();
    script.inject(0, LinkFault::Corrupt);
    let (link, _) = byte_line(&script).await;
    let exchange = Exchange::new("ask", "ask\n", DEADLINE).reply(
        qkd_driver_kit::link::bytes::fixed_framer(8),
        Disclosure::Public,
    );
    let reply = link.exchange(exchange).await.unwrap();
    assert_eq!(
        reply
            .iter()
            .zip(b"reply 1\n")
            .map(|(a, b)| (a ^ b).count_ones())
            .sum::<u32>(),
        1
    );
}

struct Agent(Done);

impl SnmpService for Agent {
    fn get(&self, _oid: &Oid) -> Value {
        Value::Integer(self.0.one_more() as i32)
    }
    fn next(&self, _oid: &Oid) -> Option<VarBind> {
        None
    }
    fn set(&self, _request_id: i32, _binds: &[VarBind]) -> Result<(), (ErrorStatus, usize)> {
        self.0.one_more();
        Ok(())
    }
    fn notifications(&self) -> broadcast::Receiver<Notification> {
        broadcast::channel(1).1
    }
}

/// Injects a fault into the one exchange of `call`; returns its result and its duration.
async fn injected<T>(
    script: &FaultScript,
    fault: LinkFault,
    call: impl Future<Output = Result<T, LinkError>>,
) -> (Result<T, ErrorKind>, Duration) {
    script.inject(0, fault);
    let begun = Instant::now();
    let result = call.await;
    assert!(script.was_injected());
    (
        result.map_err(|e| {
            if e.sent {
                e.kind
            } else {
                panic!("{fault:?}: {e:?} was sent")
            }
        }),
        begun.elapsed(),
    )
}

#[tokio::test(start_paused = true)]
async fn snmp_links_apply_injected_faults_after_the_agent_has_acted() {
    let (script, done) = (FaultScript::new(), Done::default());
    let inner: Arc<dyn SnmpLink> = Arc::new(memory::MemorySnmpLink::new(
        "agent",
        Arc::new(Agent(done.clone())),
    ));
    let link = FaultyLink::new(inner, Arc::new(script.clone()));
    let oid = Oid::from([1, 3]);
    let lost = (Err(ErrorKind::Timeout), DEADLINE);
    for (n, (fault, wanted)) in [
        (LinkFault::Delay(Duration::ZERO), (Ok(()), Duration::ZERO)),
        (LinkFault::Drop, lost),
        (LinkFault::Truncate, lost),
        (LinkFault::Corrupt, lost),
        (LinkFault::Flood, lost),
        (LinkFault::Reorder(LONG), lost),
        (LinkFault::Delay(SHORT), (Ok(()), SHORT)),
        (LinkFault::Duplicate, (Ok(()), Duration::ZERO)),
        (LinkFault::Throttle(1), (Ok(()), Duration::ZERO)),
        (
            LinkFault::Reset,
            (Err(ErrorKind::Unreachable), Duration::ZERO),
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let (result, took) = injected(
            &script,
            fault,
            link.set(
                SetRequest::new().with(oid.clone(), Value::Integer(1)),
                DEADLINE,
            ),
        )
        .await;
        assert_eq!((result.map(drop), took), wanted, "set, {fault:?}");
        let (result, took) = injected(
            &script,
            fault,
            link.get(std::slice::from_ref(&oid), DEADLINE),
        )
        .await;
        assert_eq!((result.map(drop), took), wanted, "get, {fault:?}");
        let (result, took) = injected(&script, fault, link.walk(&oid, DEADLINE)).await;
        assert_eq!((result.map(drop), took), wanted, "walk, {fault:?}");
        assert_eq!(done.count(), 2 * (n + 1), "{fault:?}");
    }
    link.close().await;
    let before = script.count();
    assert_eq!(
        link.get(&[oid], DEADLINE).await.unwrap_err().kind,
        ErrorKind::Closed
    );
    assert_eq!(script.count(), before, "nothing was sent");
}

struct Gadget(Done);

impl UsbService for Gadget {
    fn control(&self, setup: SetupPacket, _data: &[u8]) -> Completion {
        if setup.is_in() {
            return Completion::Data(vec![0; 18]);
        }
        self.0.one_more();
        Completion::Accepted(0)
    }
    fn read(&self, _endpoint: u8, length: usize) -> Completion {
        Completion::Data(vec![7; length])
    }
    fn write(&self, _endpoint: u8, data: &[u8]) -> Completion {
        self.0.one_more();
        Completion::Accepted(data.len())
    }
    fn descriptors(&self) -> (Vec<u8>, Vec<u8>) {
        (vec![0; 18], Vec::new())
    }
    fn generation(&self) -> u64 {
        0
    }
    fn changed(&self, _seen: u64, _at_most: Duration) {}
}

#[tokio::test(start_paused = true)]
async fn usb_links_apply_injected_faults_after_the_device_received_the_data() {
    let (script, done) = (FaultScript::new(), Done::default());
    let inner: Arc<dyn UsbLink> = Arc::new(
        memory::MemoryUsbLink::open("gadget", Arc::new(Gadget(done.clone())), 0, 0).unwrap(),
    );
    let link = FaultyLink::new(inner, Arc::new(script.clone()));
    let setup = |request_type| SetupPacket {
        request_type,
        request: 1,
        value: 0,
        index: 0,
        length: 0,
    };
    let fault = |fault| Err(ErrorKind::Transport(fault));
    for (fault, wanted) in [
        (LinkFault::Delay(Duration::ZERO), Ok(512)),
        (LinkFault::Drop, Err(ErrorKind::Timeout)),
        (LinkFault::Delay(LONG), Err(ErrorKind::Timeout)),
        (LinkFault::Reorder(SHORT), Ok(512)),
        (LinkFault::Duplicate, Ok(512)),
        (LinkFault::Corrupt, Ok(512)),
        (LinkFault::Throttle(1), Ok(512)),
        (LinkFault::Truncate, Ok(256)),
        (LinkFault::Reset, fault(TransportFault::Unplugged)),
        (LinkFault::Flood, fault(TransportFault::Overrun)),
    ] {
        let read = BulkRead {
            endpoint: 0x86,
            chunk: 512,
            count: 1,
            within: DEADLINE,
            disclosure: Disclosure::Undeclared,
        };
        let (result, _) = injected(&script, fault, link.bulk_in(read)).await;
        assert_eq!(result.map(|data| data.len()), wanted, "bulk in, {fault:?}");
        let (result, _) = injected(&script, fault, link.interrupt_in(read)).await;
        assert_eq!(
            result.map(|data| data.len()),
            wanted,
            "interrupt in, {fault:?}"
        );
        let (result, _) = injected(
            &script,
            fault,
            link.control_in(setup(0xc0), DEADLINE, Disclosure::Public),
        )
        .await;
        assert_eq!(
            result.map(|data| data.len()),
            wanted.map(|n| n * 18 / 512),
            "control in, {fault:?}"
        );
        let before = done.count();
        let (result, _) = injected(
            &script,
            fault,
            link.control_out(setup(0x40), &[], DEADLINE, Disclosure::Public),
        )
        .await;
        assert_eq!(result, wanted.map(drop), "control out, {fault:?}");
        let (result, _) = injected(
            &script,
            fault,
            link.bulk_out(2, &[1; 9], DEADLINE, Disclosure::Public),
        )
        .await;
        assert_eq!(result, wanted.map(|_| 9), "bulk out, {fault:?}");
        assert_eq!(done.count(), before + 2, "{fault:?}: it was processed");
    }
}

struct Server(Done);

impl HttpService for Server {
    fn call(
        &self,
        _client: Option<&str>,
        _method: Method,
        _path: &str,
        _body: &[u8],
    ) -> HttpResponse {
        self.0.one_more();
        HttpResponse {
            status: 200,
            body: Zeroizing::new(b"{}".to_vec()),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn http_links_apply_injected_faults_after_the_server_acted() {
    let (script, done) = (FaultScript::new(), Done::default());
    let inner: Arc<dyn HttpLink> = Arc::new(memory::MemoryHttpLink::new(
        "server",
        Arc::new(Server(done.clone())),
        None,
    ));
    let link = FaultyLink::new(inner, Arc::new(script.clone()));
    let fault = |fault| Err(ErrorKind::Transport(fault));
    for (n, (fault, wanted)) in [
        (LinkFault::Delay(Duration::ZERO), Ok(200)),
        (LinkFault::Drop, Err(ErrorKind::Timeout)),
        (LinkFault::Delay(SHORT), Ok(200)),
        (LinkFault::Reorder(LONG), Err(ErrorKind::Timeout)),
        (LinkFault::Duplicate, Ok(200)),
        (LinkFault::Throttle(1), Ok(200)),
        (LinkFault::Truncate, fault(TransportFault::HungUp)),
        (LinkFault::Reset, fault(TransportFault::HungUp)),
        (LinkFault::Corrupt, fault(TransportFault::Framing)),
        (LinkFault::Flood, fault(TransportFault::Overrun)),
    ]
    .into_iter()
    .enumerate()
    {
        let request = HttpRequest {
            name: "take",
            method: Method::Get,
            path: "/".to_owned(),
            body: None,
            changes: true,
            reply_disclosure: Disclosure::Undeclared,
        };
        let (result, _) = injected(&script, fault, link.call(request, DEADLINE)).await;
        assert_eq!(result.map(|r| r.status), wanted, "{fault:?}");
        assert_eq!(done.count(), n + 1, "{fault:?}");
    }
}
