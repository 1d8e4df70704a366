//! Fates on each level of link, under paused time: what the caller sees, and that the device
//! carried the request out all the same.

use qkd_driver_kit::{
    link::{
        Disclosure, LinkError,
        bytes::{ByteLink, Connector, Exchange, line},
        http::{HttpLink, HttpRequest, HttpResponse, HttpService, Method},
        line::{LineLink, LineOptions, Resync},
        memory,
        snmp::{ErrorStatus, Notification, Oid, SetRequest, SnmpLink, SnmpService, Value, VarBind},
        usb::{Completion, Read, Setup, UsbLink, UsbService},
    },
    wrap::fault::{Fate, Fates, Faulty, LinkFaults, Script},
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

const WITHIN: Duration = Duration::from_secs(2);
/// Longer than any deadline here.
const LONG: Duration = Duration::from_secs(10);
const SHORT: Duration = Duration::from_millis(300);

/// How often a device did what it was asked.
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
fn a_script_strikes_the_exchange_it_names_and_no_other() {
    let script = Script::new();
    let twin = script.clone();
    assert!(script.next().is_empty());
    script.strike(2, Fate::Lost);
    assert_eq!([script.next(), script.next()], [vec![], vec![]]);
    assert!(!twin.struck());
    assert_eq!(script.next(), [Fate::Lost]);
    assert!(twin.struck() && script.next().is_empty());
    assert_eq!(twin.count(), 5);
    script.strike(0, Fate::HangsUp);
    assert!(!script.struck());
    script.clear();
    assert!(script.next().is_empty() && !script.struck());
}

#[test]
fn chance_repeats_by_its_seed() {
    let run = |seed| {
        let faults = LinkFaults::seeded(seed)
            .loss(0.3)
            .damage(0.3)
            .duplicate(0.3)
            .delay(SHORT);
        (0..64).flat_map(|_| faults.next()).collect::<Vec<_>>()
    };
    assert_eq!(run(7), run(7));
    assert_ne!(run(7), run(8));
    let lost = run(7).iter().filter(|f| **f == Fate::Lost).count();
    assert!((8..32).contains(&lost), "{lost}");
}

/// A line that answers `ask` with `reply N`.
async fn byte_line(script: &Script) -> (Arc<LineLink>, Done) {
    let done = Done::default();
    let device = done.clone();
    let connector: Box<dyn Connector> =
        Box::new(memory::Bytes::new("device", move |stream: DuplexStream| {
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
        }));
    let options = LineOptions::new(Resync::Reconnect, EventHub::default());
    (
        LineLink::open(
            Box::new(Faulty::new(connector, Arc::new(script.clone()))),
            options,
            WITHIN,
        )
        .await
        .unwrap(),
        done,
    )
}

async fn ask(link: &LineLink) -> Result<String, LinkError> {
    let exchange = Exchange::new("ask", "ask\n", WITHIN).reply(line(100), Disclosure::Public);
    link.exchange(exchange)
        .await
        .map(|r| String::from_utf8_lossy(&r).into_owned())
}

#[tokio::test(start_paused = true)]
async fn bytes_meet_their_fates_and_the_next_exchange_is_whole() {
    let hung_up = ErrorKind::Transport(TransportFault::HungUp);
    for (fate, wanted) in [
        (Fate::Passes, Ok("reply 2\n")),
        (Fate::Lost, Err(ErrorKind::Timeout)),
        (Fate::Delayed(SHORT), Ok("reply 2\n")),
        (Fate::Delayed(LONG), Err(ErrorKind::Timeout)),
        (Fate::Late(SHORT), Ok("reply 2\n")),
        (Fate::Late(LONG), Err(ErrorKind::Timeout)),
        (Fate::Twice, Ok("reply 2\n")),
        (Fate::CutShort, Err(ErrorKind::Timeout)),
        (Fate::HangsUp, Err(hung_up)),
        (Fate::Slow(100), Ok("reply 2\n")),
        (Fate::Slow(1), Err(ErrorKind::Timeout)),
        (
            Fate::Floods,
            Err(ErrorKind::Transport(TransportFault::Framing)),
        ),
    ] {
        let script = Script::new();
        let (link, done) = byte_line(&script).await;
        script.strike(1, fate);
        assert_eq!(ask(&link).await.unwrap(), "reply 1\n");
        let begun = Instant::now();
        match (ask(&link).await, wanted) {
            (Ok(reply), Ok(wanted)) => assert_eq!(reply, wanted, "{fate:?}"),
            (Err(error), Err(wanted)) => {
                assert!(error.kind == wanted && error.sent, "{fate:?}: {error:?}")
            }
            (got, wanted) => panic!("{fate:?}: {got:?}, not {wanted:?}"),
        }
        assert!(begun.elapsed() <= WITHIN, "{fate:?}");
        assert!(script.struck());
        assert_eq!(done.count(), 2, "{fate:?}: it was carried out");
        assert_eq!(ask(&link).await.unwrap(), "reply 3\n", "{fate:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_late_message_lets_those_behind_it_pass() {
    let script = Script::new();
    script.strike(0, Fate::Late(SHORT));
    let connector: Box<dyn Connector> =
        Box::new(memory::Bytes::new("device", |mut stream: DuplexStream| {
            tokio::spawn(async move {
                for word in ["first\n", "second\n"] {
                    stream.write_all(word.as_bytes()).await.unwrap();
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            });
        }));
    let stream = Faulty::new(connector, Arc::new(script))
        .connect(WITHIN)
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
    let script = Script::new();
    script.strike(0, Fate::Damaged);
    let (link, _) = byte_line(&script).await;
    let exchange = Exchange::new("ask", "ask\n", WITHIN)
        .reply(qkd_driver_kit::link::bytes::fixed(8), Disclosure::Public);
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

/// Strikes the one exchange that `call` makes; what came of it, and how long it took.
async fn struck<T>(
    script: &Script,
    fate: Fate,
    call: impl Future<Output = Result<T, LinkError>>,
) -> (Result<T, ErrorKind>, Duration) {
    script.strike(0, fate);
    let begun = Instant::now();
    let result = call.await;
    assert!(script.struck());
    (
        result.map_err(|e| {
            if e.sent {
                e.kind
            } else {
                panic!("{fate:?}: {e:?} was sent")
            }
        }),
        begun.elapsed(),
    )
}

#[tokio::test(start_paused = true)]
async fn snmp_meets_its_fates_after_the_agent_has_set_it() {
    let (script, done) = (Script::new(), Done::default());
    let inner: Arc<dyn SnmpLink> =
        Arc::new(memory::Snmp::new("agent", Arc::new(Agent(done.clone()))));
    let link = Faulty::new(inner, Arc::new(script.clone()));
    let oid = Oid::from([1, 3]);
    let lost = (Err(ErrorKind::Timeout), WITHIN);
    for (n, (fate, wanted)) in [
        (Fate::Passes, (Ok(()), Duration::ZERO)),
        (Fate::Lost, lost),
        (Fate::CutShort, lost),
        (Fate::Damaged, lost),
        (Fate::Floods, lost),
        (Fate::Late(LONG), lost),
        (Fate::Delayed(SHORT), (Ok(()), SHORT)),
        (Fate::Twice, (Ok(()), Duration::ZERO)),
        (Fate::Slow(1), (Ok(()), Duration::ZERO)),
        (Fate::HangsUp, (Err(ErrorKind::Unreachable), Duration::ZERO)),
    ]
    .into_iter()
    .enumerate()
    {
        let (result, took) = struck(
            &script,
            fate,
            link.set(
                SetRequest::new().with(oid.clone(), Value::Integer(1)),
                WITHIN,
            ),
        )
        .await;
        assert_eq!((result.map(drop), took), wanted, "set, {fate:?}");
        let (result, took) =
            struck(&script, fate, link.get(std::slice::from_ref(&oid), WITHIN)).await;
        assert_eq!((result.map(drop), took), wanted, "get, {fate:?}");
        let (result, took) = struck(&script, fate, link.walk(&oid, WITHIN)).await;
        assert_eq!((result.map(drop), took), wanted, "walk, {fate:?}");
        assert_eq!(done.count(), 2 * (n + 1), "{fate:?}");
    }
    link.close().await;
    let before = script.count();
    assert_eq!(
        link.get(&[oid], WITHIN).await.unwrap_err().kind,
        ErrorKind::Closed
    );
    assert_eq!(script.count(), before, "nothing was sent");
}

struct Gadget(Done);

impl UsbService for Gadget {
    fn control(&self, setup: Setup, _data: &[u8]) -> Completion {
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
async fn usb_meets_its_fates_after_the_device_took_the_data() {
    let (script, done) = (Script::new(), Done::default());
    let inner: Arc<dyn UsbLink> =
        Arc::new(memory::Usb::open("gadget", Arc::new(Gadget(done.clone())), 0, 0).unwrap());
    let link = Faulty::new(inner, Arc::new(script.clone()));
    let setup = |request_type| Setup {
        request_type,
        request: 1,
        value: 0,
        index: 0,
        length: 0,
    };
    let fault = |fault| Err(ErrorKind::Transport(fault));
    for (fate, wanted) in [
        (Fate::Passes, Ok(512)),
        (Fate::Lost, Err(ErrorKind::Timeout)),
        (Fate::Delayed(LONG), Err(ErrorKind::Timeout)),
        (Fate::Late(SHORT), Ok(512)),
        (Fate::Twice, Ok(512)),
        (Fate::Damaged, Ok(512)),
        (Fate::Slow(1), Ok(512)),
        (Fate::CutShort, Ok(256)),
        (Fate::HangsUp, fault(TransportFault::Unplugged)),
        (Fate::Floods, fault(TransportFault::Overrun)),
    ] {
        let read = Read {
            endpoint: 0x86,
            chunk: 512,
            count: 1,
            within: WITHIN,
            disclosure: Disclosure::Undeclared,
        };
        let (result, _) = struck(&script, fate, link.bulk_in(read)).await;
        assert_eq!(result.map(|data| data.len()), wanted, "bulk in, {fate:?}");
        let (result, _) = struck(&script, fate, link.interrupt_in(read)).await;
        assert_eq!(
            result.map(|data| data.len()),
            wanted,
            "interrupt in, {fate:?}"
        );
        let (result, _) = struck(
            &script,
            fate,
            link.control_in(setup(0xc0), WITHIN, Disclosure::Public),
        )
        .await;
        assert_eq!(
            result.map(|data| data.len()),
            wanted.map(|n| n * 18 / 512),
            "control in, {fate:?}"
        );
        let before = done.count();
        let (result, _) = struck(
            &script,
            fate,
            link.control_out(setup(0x40), &[], WITHIN, Disclosure::Public),
        )
        .await;
        assert_eq!(result, wanted.map(drop), "control out, {fate:?}");
        let (result, _) = struck(
            &script,
            fate,
            link.bulk_out(2, &[1; 9], WITHIN, Disclosure::Public),
        )
        .await;
        assert_eq!(result, wanted.map(|_| 9), "bulk out, {fate:?}");
        assert_eq!(done.count(), before + 2, "{fate:?}: it was carried out");
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
async fn http_meets_its_fates_after_the_server_acted() {
    let (script, done) = (Script::new(), Done::default());
    let inner: Arc<dyn HttpLink> = Arc::new(memory::Http::new(
        "server",
        Arc::new(Server(done.clone())),
        None,
    ));
    let link = Faulty::new(inner, Arc::new(script.clone()));
    let fault = |fault| Err(ErrorKind::Transport(fault));
    for (n, (fate, wanted)) in [
        (Fate::Passes, Ok(200)),
        (Fate::Lost, Err(ErrorKind::Timeout)),
        (Fate::Delayed(SHORT), Ok(200)),
        (Fate::Late(LONG), Err(ErrorKind::Timeout)),
        (Fate::Twice, Ok(200)),
        (Fate::Slow(1), Ok(200)),
        (Fate::CutShort, fault(TransportFault::HungUp)),
        (Fate::HangsUp, fault(TransportFault::HungUp)),
        (Fate::Damaged, fault(TransportFault::Framing)),
        (Fate::Floods, fault(TransportFault::Overrun)),
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
        let (result, _) = struck(&script, fate, link.call(request, WITHIN)).await;
        assert_eq!(result.map(|r| r.status), wanted, "{fate:?}");
        assert_eq!(done.count(), n + 1, "{fate:?}");
    }
}
