//! Conditions from public bug reports of SNMP tools, on an emulated agent over UDP, with both
//! client libraries. Where `snmp2` has a limit, the test names it.

use qkd_driver_kit::{
    credentials::CredentialEntry,
    link::{
        LinkError,
        snmp::{ErrorStatus, Notification, Oid, SetRequest, SnmpLink, SnmpService, Value, VarBind},
        snmp_udp::{SnmpClientLibrary, SnmpOptions, SnmpSecurity, UdpSnmpLink},
    },
};
use qkd_emulators::{
    clock::Clock,
    fault::FaultInjector,
    model::encryptor::forced::{ForcedRekeyEndpoint, ForcedRekeyLink},
    server::snmp::{SnmpServerOptions, UsmUser, serve},
    vendor::packetlight,
    wire::snmp::{Agent, Node, SnmpAgent},
};
use qkd_hal::{ErrorKind, Identity, event::EventHub};
use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicI32, Ordering},
    },
    time::Duration,
};
use tokio::{net::UdpSocket, sync::broadcast};

const BOTH: [SnmpClientLibrary; 2] = [SnmpClientLibrary::AsyncSnmp, SnmpClientLibrary::Snmp2];
const SECOND: Duration = Duration::from_secs(1);
/// Long enough that a busy machine does not decide a test.
const LONG: Duration = Duration::from_secs(20);

struct Bench {
    faults: FaultInjector,
    address: SocketAddr,
    agent: Arc<Agent<packetlight::PacketLight>>,
    server: tokio::task::JoinHandle<()>,
}

impl Drop for Bench {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Bench {
    async fn new(faults: &[&str]) -> Self {
        let link = ForcedRekeyLink::new(Clock::scaled(20.0), b"first");
        let end = Arc::new(ForcedRekeyEndpoint::new(
            link,
            0,
            "1",
            Identity::new("PacketLight"),
        ));
        let agent = packetlight::agent(end, packetlight::Options::named("pl"));
        let active = FaultInjector::new(1, Some(agent.clone()));
        let user = UsmUser::new("noc", "auth-password", "priv-password").unwrap();
        let options = SnmpServerOptions::new(user)
            .with_community("public")
            .with_faults(active.clone());
        let any = "127.0.0.1:0".parse().unwrap();
        let (address, server) = serve(any, agent.clone(), options).await.unwrap();
        let bench = Self {
            faults: active,
            address,
            agent,
            server,
        };
        for fault in faults {
            bench.fault(fault);
        }
        bench
    }

    fn fault(&self, spec: &str) {
        self.faults.add(spec.parse().unwrap()).unwrap();
    }

    async fn open(&self, client: SnmpClientLibrary) -> Result<Arc<UdpSnmpLink>, LinkError> {
        self.open_with(&v3(), client, LONG).await
    }

    async fn open_with(
        &self,
        security: &SnmpSecurity,
        client: SnmpClientLibrary,
        within: Duration,
    ) -> Result<Arc<UdpSnmpLink>, LinkError> {
        let options = SnmpOptions {
            client,
            ..SnmpOptions::default()
        };
        self.open_options(security, &options, within).await
    }

    async fn open_options(
        &self,
        security: &SnmpSecurity,
        options: &SnmpOptions,
        within: Duration,
    ) -> Result<Arc<UdpSnmpLink>, LinkError> {
        let address = self.address.to_string();
        let events = EventHub::default();
        UdpSnmpLink::open(&address, security.clone(), options, within, events, None).await
    }
}

fn v3() -> SnmpSecurity {
    let entry = CredentialEntry::new("noc")
        .with("user", "noc")
        .with("auth_password", "auth-password")
        .with("priv_password", "priv-password");
    SnmpSecurity::from_entry(&entry).unwrap()
}

fn v2c() -> SnmpSecurity {
    SnmpSecurity::from_entry(&CredentialEntry::new("lab").with("community", "public")).unwrap()
}

fn sys_descr() -> Oid {
    Oid::from([1, 3, 6, 1, 2, 1, 1, 1, 0])
}

/// A column of the encryption table: 6 is the period of the key exchange, in minutes.
fn column(n: u32) -> Oid {
    Oid::from([1, 3, 6, 1, 4, 1, 4515, 1, 3, 24, 4, 1, 1, n, 1_295_104])
}

async fn period(link: &UdpSnmpLink) -> Value {
    link.get(&[column(6)], LONG).await.unwrap()[0].value.clone()
}

async fn set_period(link: &UdpSnmpLink, minutes: i32) -> Result<i32, LinkError> {
    let request = SetRequest::new().with(column(6), Value::Integer(minutes));
    link.set(request, LONG).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_outlives_the_time_window() {
    for client in BOTH {
        // A clock a hundred times as fast leaves the window of 150 s within two seconds.
        let bench = Bench::new(&["clock-rate=100"]).await;
        let link = bench.open(client).await.unwrap();
        for minutes in [30, 31] {
            tokio::time::sleep(2 * SECOND).await;
            link.get(&[sys_descr()], LONG)
                .await
                .unwrap_or_else(|e| panic!("{client:?}: a read after a rest: {e}"));
            if client == SnmpClientLibrary::AsyncSnmp {
                tokio::time::sleep(2 * SECOND).await;
                set_period(&link, minutes).await.unwrap();
                assert_eq!(period(&link).await, Value::Integer(minutes));
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_legal_message_size_opens() {
    for size in ["484", "1500", "65507", "65535", "2147483647"] {
        let bench = Bench::new(&[&format!("msg-max-size={size}")]).await;
        let link = bench.open(SnmpClientLibrary::AsyncSnmp).await;
        let link = link.unwrap_or_else(|e| panic!("msgMaxSize {size}: {e}"));
        set_period(&link, 30).await.unwrap();
        // The limit of `snmp2` that its module names.
        let opened = bench
            .open_with(&v3(), SnmpClientLibrary::Snmp2, 2 * SECOND)
            .await;
        assert_eq!(
            opened.is_ok(),
            size.parse::<u32>().unwrap() <= 65_507,
            "{size}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn engine_boots_of_zero_opens() {
    let bench = Bench::new(&["engine-boots=0"]).await;
    let link = bench.open(SnmpClientLibrary::AsyncSnmp).await.unwrap();
    set_period(&link, 30).await.unwrap();
    assert_eq!(period(&link).await, Value::Integer(30));
    let refused = bench
        .open_with(&v3(), SnmpClientLibrary::Snmp2, 2 * SECOND)
        .await;
    assert!(
        refused.is_err(),
        "the limit of `snmp2` that its module names"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn duplicated_and_late_datagrams_are_not_replies() {
    for security in [v2c(), v3()] {
        let bench = Bench::new(&["duplicate"]).await;
        let client = SnmpClientLibrary::AsyncSnmp;
        let link = bench.open_with(&security, client, LONG).await.unwrap();
        for _ in 0..3 {
            link.get(&[sys_descr(), column(6)], LONG).await.unwrap();
        }
        if link.security() > qkd_driver_kit::link::snmp::SecurityLevel::NoAuthNoPriv {
            for minutes in [30, 31, 32] {
                set_period(&link, minutes)
                    .await
                    .expect("a SET that was applied is not reported as failed");
            }
            assert_eq!(period(&link).await, Value::Integer(32));
        }
        bench.fault("clear");
        // The reply to this one comes while the next is waited for.
        bench.fault("reorder=1200ms@once");
        link.get(&[sys_descr()], LONG).await.unwrap();
        for n in 0..5 {
            let found = link.get(&[column(6)], LONG).await.unwrap();
            assert_eq!(found[0].oid, column(6), "reply {n}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn duplicates_spoil_no_read_of_the_second_client() {
    let bench = Bench::new(&[]).await;
    let link = bench.open(SnmpClientLibrary::Snmp2).await.unwrap();
    for _ in 0..5 {
        bench.fault("duplicate@once");
        let found = link.get(&[column(6)], LONG).await.unwrap();
        assert_eq!(found[0].oid, column(6));
    }
}

/// An agent that remembers the request-id of its last SET.
struct Remembering(Arc<Agent<packetlight::PacketLight>>, AtomicI32);

impl SnmpService for Remembering {
    fn get(&self, oid: &Oid) -> Value {
        self.0.get(oid)
    }
    fn next(&self, oid: &Oid) -> Option<VarBind> {
        self.0.next(oid)
    }
    fn set(&self, id: i32, binds: &[VarBind]) -> Result<(), (ErrorStatus, usize)> {
        self.1.store(id, Ordering::SeqCst);
        self.0.set(id, binds)
    }
    fn notifications(&self) -> broadcast::Receiver<Notification> {
        self.0.notifications()
    }
}

impl SnmpAgent for Remembering {
    fn test(&self, binds: &[VarBind]) -> Result<(), (ErrorStatus, usize)> {
        self.0.test(binds)
    }
    fn node(&self) -> &Node {
        self.0.node()
    }
    fn state(&self) -> String {
        self.0.state()
    }
    fn tick(&self) {
        self.0.tick();
    }
    fn quiet_for(&self) -> Duration {
        self.0.quiet_for()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_set_has_the_request_id_that_the_link_returns() {
    for client in BOTH {
        let bench = Bench::new(&[]).await;
        let agent = Arc::new(Remembering(bench.agent.clone(), AtomicI32::new(0)));
        let user = UsmUser::new("noc", "auth-password", "priv-password").unwrap();
        let faults = FaultInjector::new(1, None);
        let options = SnmpServerOptions::new(user).with_faults(faults.clone());
        let any = "127.0.0.1:0".parse().unwrap();
        let (address, server) = serve(any, agent.clone(), options).await.unwrap();
        let options = SnmpOptions {
            client,
            ..SnmpOptions::default()
        };
        let (name, events) = (address.to_string(), EventHub::default());
        let link = UdpSnmpLink::open(&name, v3(), &options, LONG, events, None)
            .await
            .unwrap();
        for minutes in [30, 31] {
            let id = set_period(&link, minutes).await.unwrap();
            assert!(id > 0);
            assert_eq!(agent.1.load(Ordering::SeqCst), id, "{client:?}");
            // The second SET is refused for its clock first where the library corrects that.
            if client == SnmpClientLibrary::AsyncSnmp {
                faults.add("clock-rate=100".parse().unwrap()).unwrap();
                tokio::time::sleep(2 * SECOND).await;
            }
        }
        server.abort();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sizes_adapt_to_agents_and_networks() {
    let root = Oid::from([1, 3, 6, 1]);
    for client in BOTH {
        for security in [v2c(), v3()] {
            let bench = Bench::new(&[]).await;
            let link = bench.open_with(&security, client, LONG).await.unwrap();
            let whole = link.walk(&root, LONG).await.unwrap();
            assert!(whole.len() > 10);
            for fault in ["too-big=400", "mtu=400", "no-getbulk"] {
                let bench = Bench::new(&[fault]).await;
                let link = bench.open_with(&security, client, LONG).await.unwrap();
                let found = link.walk(&root, 3 * LONG).await;
                let found = found.unwrap_or_else(|e| panic!("{client:?} {fault}: {e}"));
                let names = |all: &[VarBind]| all.iter().map(|b| b.oid.clone()).collect::<Vec<_>>();
                assert_eq!(names(&found), names(&whole), "{client:?} {fault}");
                let many: Vec<Oid> = found.iter().map(|b| b.oid.clone()).collect();
                let values = link.get(&many, LONG).await.unwrap();
                assert_eq!(values.len(), many.len(), "{client:?} {fault}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_invalid_value_fails_one_reading() {
    let odd = sys_descr();
    let good = [column(6), Oid::from([1, 3, 6, 1, 2, 1, 1, 5, 0])];
    for kind in ["long-integer", "wide-integer", "unknown-type", "full-null"] {
        let bench = Bench::new(&[]).await;
        for client in BOTH {
            let link = bench.open(client).await.unwrap();
            bench.fault(&format!("odd-value={odd}:{kind}"));
            let asked = [good[0].clone(), odd.clone(), good[1].clone()];
            let found = link.get(&asked, LONG).await.unwrap();
            assert!(
                matches!(found[1].value, Value::Invalid(_)),
                "{kind}: {:?}",
                found[1]
            );
            assert!(matches!(found[0].value, Value::Integer(_)), "{kind}");
            assert!(matches!(found[2].value, Value::OctetString(_)), "{kind}");
            // A walk skips what can be recognised by its name.
            if client == SnmpClientLibrary::AsyncSnmp
                && matches!(kind, "wide-integer" | "unknown-type")
            {
                let system = Oid::from([1, 3, 6, 1, 2, 1, 1]);
                let rows = link.walk(&system, LONG).await.unwrap();
                let row = rows.iter().find(|r| r.oid == odd).unwrap();
                assert!(matches!(row.value, Value::Invalid(_)), "{kind}: {row:?}");
                assert!(rows.len() > 3);
            }
            bench.fault("clear");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_report_names_what_to_correct() {
    let bench = Bench::new(&[]).await;
    let entry = |user: &str, auth: &str, privacy: Option<&str>| {
        let entry = CredentialEntry::new("noc")
            .with("user", user)
            .with("auth_password", auth);
        let entry = match privacy {
            Some(privacy) => entry.with("priv_password", privacy),
            None => entry,
        };
        SnmpSecurity::from_entry(&entry).unwrap()
    };
    for (security, says) in [
        (
            entry("nobody", "auth-password", None),
            "usmStatsUnknownUserNames",
        ),
        (entry("noc", "wrong-password", None), "usmStatsWrongDigests"),
        (
            entry("noc", "wrong-password", Some("priv-password")),
            "usmStatsWrongDigests",
        ),
    ] {
        let opened = bench
            .open_with(&security, SnmpClientLibrary::AsyncSnmp, 3 * SECOND)
            .await;
        let error = opened.err().unwrap();
        assert_eq!(error.kind, ErrorKind::Authentication, "{error:?}");
        assert!(error.detail.contains(says), "{says}: {error}");
        assert!(!error.detail.contains("-password"), "{error}");
    }
    // AES decrypts anything, and what does not parse then is dropped (RFC 3412, 7.2.2).
    let wrong = entry("noc", "auth-password", Some("wrong-password"));
    let opened = bench
        .open_with(&wrong, SnmpClientLibrary::AsyncSnmp, 2 * SECOND)
        .await;
    let error = opened.err().unwrap();
    assert_eq!(error.kind, ErrorKind::Timeout);
    assert!(
        error
            .detail
            .contains("check priv_protocol and priv_password"),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn replies_from_another_address_are_accepted_if_they_authenticate_their_sender() {
    let bench = Bench::new(&["other-source"]).await;
    let client = SnmpClientLibrary::AsyncSnmp;
    bench.open_with(&v3(), client, LONG).await.unwrap();
    let refused = bench
        .open_with(&v2c(), client, 2 * SECOND)
        .await
        .err()
        .unwrap();
    assert_eq!(refused.kind, ErrorKind::Timeout);
    assert!(refused.detail.contains("source=any"), "{refused}");
    let options = SnmpOptions {
        any_source: true,
        ..SnmpOptions::default()
    };
    let link = bench.open_options(&v2c(), &options, LONG).await.unwrap();
    link.get(&[sys_descr()], LONG).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_with_several_addresses_is_tried_at_each() {
    let bench = Bench::new(&[]).await;
    // `localhost` is ::1 and 127.0.0.1 on most machines; the agent listens at the second only.
    let name = format!("localhost:{}", bench.address.port());
    let options = SnmpOptions::default();
    let events = EventHub::default();
    UdpSnmpLink::open(&name, v3(), &options, LONG, events, None)
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_engine_that_was_opened_stays_or_the_handle_closes() {
    for client in BOTH {
        let bench = Bench::new(&[]).await;
        let link = bench.open(client).await.unwrap();
        let address = bench.address;
        drop(bench);
        let other = packetlight::agent(
            Arc::new(ForcedRekeyEndpoint::new(
                ForcedRekeyLink::new(Clock::scaled(20.0), b"first"),
                0,
                "1",
                Identity::new("PacketLight"),
            )),
            packetlight::Options::named("another"),
        );
        let user = UsmUser::new("noc", "auth-password", "priv-password").unwrap();
        let server = loop {
            match serve(address, other.clone(), SnmpServerOptions::new(user.clone())).await {
                Ok((_, server)) => break server,
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        };
        let error = link.get(&[sys_descr()], LONG).await.unwrap_err();
        assert_eq!(
            error.kind,
            ErrorKind::IdentityChanged,
            "{client:?}: {error}"
        );
        let error = link.get(&[sys_descr()], LONG).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Closed, "{client:?}: {error}");
        server.abort();
    }
}

/// An agent that answers GETBULK and GETNEXT with a name that is always one greater.
async fn endless_agent() -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut buffer, mut count) = ([0; 2048], 0u32);
        loop {
            let (n, peer) = socket.recv_from(&mut buffer).await.unwrap();
            let request = &buffer[..n];
            // Of an SNMPv2c message, the request id follows version, community and PDU tag.
            let community = usize::from(request[6]);
            let pdu = 7 + community;
            let id = &request[pdu + 2..pdu + 4 + usize::from(request[pdu + 3])];
            let is_get = request[pdu] == 0xa0;
            let mut binds = Vec::new();
            for _ in 0..if is_get { 2 } else { 20 } {
                count += 1;
                let mut name = vec![6, 12, 0x2b, 6, 1, 2, 1, 1, 1];
                name.extend([0x80 | (count >> 28) as u8, 0x80 | (count >> 21) as u8]);
                name.extend([0x80 | (count >> 14) as u8, 0x80 | (count >> 7) as u8]);
                name.push(count as u8 & 0x7f);
                let value = [&[4, 0x82, 0x08, 0][..], &[b'x'; 2048]].concat();
                let bind = [name, value].concat();
                let length = bind.len() as u16;
                binds.extend([0x30, 0x82, (length >> 8) as u8, length as u8]);
                binds.extend(bind);
            }
            if is_get {
                // What opening asks for: the same names, with NULL.
                let asked = &request[pdu + 2..];
                binds = asked[asked.len() - 32..].to_vec();
            }
            let sized = |tag: u8, content: &[u8]| {
                let n = content.len() as u32;
                [
                    &[tag, 0x83, (n >> 16) as u8, (n >> 8) as u8, n as u8],
                    content,
                ]
                .concat()
            };
            let mut inner = id.to_vec();
            inner.extend([2, 1, 0, 2, 1, 0]);
            if is_get {
                let mut reply = request.to_vec();
                reply[pdu] = 0xa2;
                let _ = socket.send_to(&reply, peer).await;
                continue;
            }
            inner.extend(sized(0x30, &binds));
            let mut message = request[2..pdu].to_vec();
            message.extend(sized(0xa2, &inner));
            let _ = socket.send_to(&sized(0x30, &message), peer).await;
        }
    });
    address
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endless_walk_is_ended() {
    for client in BOTH {
        let address = endless_agent().await.to_string();
        let options = SnmpOptions {
            client,
            ..SnmpOptions::default()
        };
        let events = EventHub::default();
        let link = UdpSnmpLink::open(&address, v2c(), &options, LONG, events, None)
            .await
            .unwrap();
        let walked = link.walk(&Oid::from([1, 3, 6, 1, 2, 1]), 3 * LONG).await;
        let error = walked.unwrap_err();
        assert!(
            error.detail.contains("the agent does not stop"),
            "{client:?}: {error}"
        );
    }
}

/// A tag with its content, in BER.
fn tlv(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let content = parts.concat();
    let length = u8::try_from(content.len()).unwrap();
    let mut bytes = if length < 0x80 {
        vec![tag, length]
    } else {
        vec![tag, 0x81, length]
    };
    bytes.extend(content);
    bytes
}

/// An agent that answers every message with an unauthenticated Report on this object of RFC 3414,
/// and with another clock each time. Counts what it is sent.
async fn reporting_agent(object: u8) -> (SocketAddr, Arc<AtomicI32>) {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    let count = Arc::new(AtomicI32::new(0));
    let counted = Arc::clone(&count);
    tokio::spawn(async move {
        let mut buffer = [0; 2048];
        loop {
            let (_, peer) = socket.recv_from(&mut buffer).await.unwrap();
            let n = counted.fetch_add(1, Ordering::SeqCst);
            // The message id follows the version and the head of msgGlobalData.
            let version = buffer
                .windows(3)
                .position(|w| w == [2, 1, 3])
                .unwrap_or_default();
            let id = version + 5;
            let id = &buffer[id..id + 2 + usize::from(buffer[id + 1])];
            let is_discovery = n == 0 || object == 4;
            let object = if is_discovery { 4 } else { object };
            let user: &[u8] = if is_discovery { b"" } else { b"noc" };
            let engine = tlv(4, &[&[0x80, 0, 0x7e, 0xd9, 5, 1, 2, 3]]);
            let clock = [2, 1, (n % 100) as u8];
            let security = [&engine, &clock[..], &clock, &tlv(4, &[user]), &[4, 0, 4, 0]];
            let oid = tlv(6, &[&[0x2b, 6, 1, 6, 3, 15, 1, 1, object, 0]]);
            let binds = tlv(0x30, &[&tlv(0x30, &[&oid, &[0x41, 1, 1]])]);
            let pdu = tlv(0xa8, &[&[2, 1, 0, 2, 1, 0, 2, 1, 0], &binds]);
            let message = tlv(
                0x30,
                &[
                    &[2, 1, 3],
                    &tlv(0x30, &[id, &[2, 2, 0x10, 0, 4, 1, 0, 2, 1, 3]]),
                    &tlv(4, &[&tlv(0x30, &security)]),
                    &tlv(0x30, &[&engine, &[4, 0], &pdu]),
                ],
            );
            let _ = socket.send_to(&message, peer).await;
        }
    });
    (address, count)
}

#[tokio::test(flavor = "multi_thread")]
async fn reports_provoke_few_repeats() {
    for client in BOTH {
        for object in 1..=6 {
            let (address, count) = reporting_agent(object).await;
            let options = SnmpOptions {
                client,
                ..SnmpOptions::default()
            };
            let (name, events) = (address.to_string(), EventHub::default());
            let within = 2 * SECOND;
            let opened = UdpSnmpLink::open(&name, v3(), &options, within, events, None).await;
            let error = opened.err().unwrap();
            let sent = count.load(Ordering::SeqCst);
            assert!(
                sent < 40,
                "{client:?}, Report {object}: {sent} messages; {error}"
            );
        }
    }
}
