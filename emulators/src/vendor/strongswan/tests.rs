use super::*;
use message::Element;
use proptest::prelude::*;
use serde_json::Value as Json;

/// A client of one end, which waits no time.
struct Client {
    session: Box<dyn Session>,
    events: Vec<(String, Message)>,
}

/// Content of a packet: operation, name of an event, message.
fn parse(packet: &[u8]) -> (u8, String, Message) {
    let length = u32::from_be_bytes(packet[..4].try_into().unwrap()) as usize;
    assert_eq!(length, packet.len() - 4);
    let (name, from) = if packet[4] == operation::EVENT {
        let length = usize::from(packet[5]);
        let name = String::from_utf8(packet[6..6 + length].to_vec()).unwrap();
        (name, 6 + length)
    } else {
        (String::new(), 5)
    };
    let message = Message::read(&packet[from..]);
    assert!(message.is_whole);
    (packet[4], name, message)
}

fn texts(settings: &[(&str, &str)]) -> Writer {
    let mut message = Writer::default();
    for (name, value) in settings {
        message.value(name, value);
    }
    message
}

impl Client {
    fn new(pair: &Arc<CharonPair>, end: usize) -> Self {
        Self {
            session: pair.session(end),
            events: Vec::new(),
        }
    }
    fn take(&mut self, replies: Vec<Reply>) -> Option<Message> {
        let mut answer = None;
        for reply in replies {
            assert!(!reply.close);
            match parse(&reply.bytes) {
                (operation::EVENT, name, message) => self.events.push((name, message)),
                (operation::CMD_RESPONSE, _, message) => answer = Some(message),
                (operation::EVENT_CONFIRM, ..) => {}
                (other, ..) => panic!("operation {other}"),
            }
        }
        answer
    }
    fn send(&mut self, name: &str, message: Writer) -> Option<Message> {
        let packet = packet(operation::CMD_REQUEST, Some(name), &message.into_bytes());
        let replies = self.session.feed(&packet);
        self.take(replies)
    }
    fn poll(&mut self) -> Option<Message> {
        let replies = self.session.poll();
        self.take(replies)
    }
    fn register(&mut self, events: &[&str]) {
        for event in events {
            let packet = packet(operation::EVENT_REGISTER, Some(event), &[]);
            let replies = self.session.feed(&packet);
            self.take(replies);
        }
    }
    /// Sends a command that succeeds.
    #[track_caller]
    fn done(&mut self, name: &str, message: Writer) {
        let reply = self.send(name, message).unwrap();
        assert_eq!(
            reply.text("success"),
            Some("yes"),
            "{:?}",
            reply.text("errmsg")
        );
    }
    /// Sends a command that fails, and returns why.
    #[track_caller]
    fn fails(&mut self, name: &str, message: Writer) -> String {
        let reply = self.send(name, message).unwrap();
        assert_eq!(reply.text("success"), Some("no"));
        reply.text("errmsg").unwrap().to_owned()
    }
    fn ppk(&mut self, id: &str, octet: &str) {
        let mut message = texts(&[("id", id), ("type", "ppk")]);
        message.value("data", octet.repeat(32)).list("owners", [id]);
        self.done("load-shared", message);
    }
    fn initiate(&mut self) -> Option<Message> {
        self.send("initiate", texts(&[("child", "net"), ("timeout", "5000")]))
    }
    /// The SAs of a daemon: id, state, PPK, states of its CHILD SAs.
    fn sas(&mut self) -> Vec<(String, String, bool, Vec<String>)> {
        self.register(&["list-sa"]);
        self.events.clear();
        self.send("list-sas", Writer::default()).unwrap();
        let packet = packet(operation::EVENT_UNREGISTER, Some("list-sa"), &[]);
        let replies = self.session.feed(&packet);
        self.take(replies);
        let text = |m: &Message, name: &str| m.text(name).unwrap_or_default().to_owned();
        self.events
            .drain(..)
            .map(|(_, event)| {
                let sa = section(&event.elements[0]);
                let children = sa.elements.iter().find(|e| e.name == "child-sas").unwrap();
                let children = section(children).elements;
                let states = children.iter().map(|c| text(&section(c), "state"));
                let ppk = sa.text("ppk") == Some("yes");
                (
                    text(&sa, "uniqueid"),
                    text(&sa, "state"),
                    ppk,
                    states.collect(),
                )
            })
            .collect()
    }
    /// Messages of the log of the last command.
    fn log(&mut self) -> Vec<String> {
        let lines = self
            .events
            .drain(..)
            .filter(|(name, _)| name == "control-log");
        lines
            .map(|(_, m)| m.text("msg").unwrap().to_owned())
            .collect()
    }
}

fn section(element: &Element) -> Message {
    match &element.content {
        Content::Section(inner) => Message {
            elements: inner.iter().map(copy).collect(),
            is_whole: true,
        },
        _ => panic!("{} is not a section", element.name),
    }
}
fn copy(element: &Element) -> Element {
    Element {
        name: element.name.clone(),
        content: match &element.content {
            Content::Section(inner) => Content::Section(inner.iter().map(copy).collect()),
            Content::Value(value) => Content::Value(value.clone()),
            Content::List(items) => Content::List(items.clone()),
        },
    }
}

fn connection(end: usize, ppk_id: &str, required: &str, unique: &str) -> Writer {
    let other = 1 - end;
    let mut message = Writer::default();
    message.section("net", |m| {
        m.value("version", "2")
            .list("local_addrs", [daemon::HOSTS[end]])
            .list("remote_addrs", [daemon::HOSTS[other]])
            .value("unique", unique)
            .value("ppk_required", required);
        if !ppk_id.is_empty() {
            m.value("ppk_id", ppk_id);
        }
        let ids = ["a.test", "b.test"];
        m.section("local", |m| {
            m.value("auth", "psk").value("id", ids[end]);
        })
        .section("remote", |m| {
            m.value("auth", "psk").value("id", ids[other]);
        })
        .section("children", |m| {
            m.section("net", |m| {
                m.value("rekey_time", "0");
            });
        });
    });
    message
}

/// A pair with a connection, the same IKE secret and one PPK, `k0`; no SA.
fn pair(settings: Settings) -> (Arc<CharonPair>, Clock, [Client; 2]) {
    let clock = Clock::manual();
    let pair = CharonPair::new(clock.clone(), settings, 1);
    let clients = [0, 1].map(|end| {
        let mut client = Client::new(&pair, end);
        let mut ike = texts(&[("id", "ike"), ("type", "ike"), ("data", "secret")]);
        ike.list("owners", ["a.test", "b.test"]);
        client.done("load-shared", ike);
        client.ppk("k0", "a");
        let own = if end == 0 { "k0" } else { "" };
        client.done("load-conn", connection(end, own, "yes", "never"));
        client
    });
    (pair, clock, clients)
}

fn success(reply: Option<Message>) -> Option<bool> {
    reply.map(|reply| reply.text("success") == Some("yes"))
}

/// Values that differ from run to run.
const VOLATILE: [&str; 6] = [
    "spi-in",
    "spi-out",
    "initiator-spi",
    "responder-spi",
    "established",
    "install-time",
];

fn shown(elements: &[Element], indent: usize, out: &mut String) {
    for element in elements {
        let (name, pad) = (&element.name, " ".repeat(indent));
        match &element.content {
            Content::Section(inner) => {
                *out += &format!("{pad}{name} {{\n");
                shown(inner, indent + 2, out);
                *out += &format!("{pad}}}\n");
            }
            Content::Value(_) if VOLATILE.contains(&name.as_str()) => {
                *out += &format!("{pad}{name} = *\n");
            }
            Content::Value(value) => {
                *out += &format!("{pad}{name} = {}\n", String::from_utf8_lossy(value));
            }
            Content::List(items) => {
                let items: Vec<_> = items.iter().map(|i| String::from_utf8_lossy(i)).collect();
                *out += &format!("{pad}{name} [{}]\n", items.join(", "));
            }
        }
    }
}

fn recorded() -> Vec<Json> {
    let path = format!("{}/vectors/charon.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

#[test]
fn every_recorded_request_gets_the_reply_of_the_real_daemon() {
    let clock = Clock::manual();
    let quiet = Settings {
        packets_per_second: 0.0,
        ..Settings::default()
    };
    let pair = CharonPair::new(clock.clone(), quiet, 1);
    let mut sessions = std::collections::BTreeMap::new();
    let show = |packets: &[Vec<u8>]| {
        let mut out = String::new();
        for packet in packets {
            let (operation, name, message) = parse(packet);
            out += &format!("{operation} {name}\n");
            shown(&message.elements, 2, &mut out);
        }
        out
    };
    let (mut replies_seen, mut differences) = (0, Vec::new());
    for vector in recorded() {
        let wait = vector["wait_s"].as_u64().unwrap_or_default();
        clock.advance(Duration::from_secs(wait));
        let end = vector["end"].as_u64().unwrap() as usize - 1;
        let connection = vector["connection"].as_str().unwrap().to_owned();
        let session = sessions
            .entry((end, connection))
            .or_insert_with(|| pair.session(end));
        let request = hex::decode(vector["send"].as_str().unwrap()).unwrap();
        let replies: Vec<_> = session
            .feed(&request)
            .into_iter()
            .map(|r| r.bytes)
            .collect();
        let expected: Vec<_> = vector["receive"]
            .as_array()
            .unwrap()
            .iter()
            .map(|text| hex::decode(text.as_str().unwrap()).unwrap())
            .collect();
        let (own, real) = (show(&replies), show(&expected));
        if own != real {
            differences.push(format!("{}: {own}\ninstead of {real}", vector["name"]));
        }
        replies_seen += replies.len();
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
    assert!(replies_seen > 80, "{replies_seen}");
}

#[test]
fn an_sa_needs_the_same_ppk_at_both_ends() {
    let (_, _, [mut a, mut b]) = pair(Settings::default());
    a.register(&["control-log"]);
    b.ppk("k0", "b");
    assert_eq!(success(a.initiate()), Some(false));
    assert!(
        a.log()
            .contains(&"received AUTHENTICATION_FAILED notify error".to_owned())
    );
    b.done("unload-shared", texts(&[("id", "k0")]));
    assert_eq!(success(a.initiate()), Some(false));
    let log = a.log();
    assert_eq!(
        log.last().unwrap(),
        "PPK required but peer does not support PPK"
    );
    b.ppk("k0", "a");
    a.done("unload-shared", texts(&[("id", "k0")]));
    assert_eq!(success(a.initiate()), Some(false));
    let log = a.log();
    assert_eq!(
        log.last().unwrap(),
        "PPK required but no PPK found for 'k0'"
    );
    a.ppk("k0", "a");
    assert_eq!(success(a.initiate()), Some(true));
    let log = a.log();
    assert!(
        log.contains(&"using PPK for PPK_ID 'k0'".to_owned()),
        "{log:#?}"
    );
    let [sas_a, sas_b] = [a.sas(), b.sas()];
    assert_eq!(sas_a.len(), 1);
    assert!(sas_a[0].2 && sas_b[0].2);
}

#[test]
fn a_ppk_that_is_not_required_is_left_out_if_it_is_unknown_and_not_if_it_differs() {
    let (_, _, [mut a, mut b]) = pair(Settings::default());
    a.done("load-conn", connection(0, "k0", "no", "never"));
    b.done("load-conn", connection(1, "", "no", "never"));
    b.ppk("k0", "b");
    assert_eq!(success(a.initiate()), Some(false));
    b.done("unload-shared", texts(&[("id", "k0")]));
    b.ppk("other", "c");
    assert_eq!(success(a.initiate()), Some(true));
    assert!(!a.sas()[0].2 && !b.sas()[0].2, "in use without a PPK");
    // An end that requires a PPK gets none.
    a.done("terminate", texts(&[("ike", "net")]));
    b.done("load-conn", connection(1, "", "yes", "never"));
    assert_eq!(success(a.initiate()), Some(false));
}

#[test]
fn a_reauthentication_keeps_the_old_ppk_id() {
    let (pair, clock, [mut a, mut b]) = pair(Settings::default());
    assert_eq!(success(a.initiate()), Some(true));
    for client in [&mut a, &mut b] {
        client.ppk("k1", "b");
    }
    a.done("load-conn", connection(0, "k1", "yes", "never"));
    a.done("rekey", texts(&[("ike", "net"), ("reauth", "yes")]));
    let sas = a.sas();
    assert_eq!((sas.len(), sas[0].0.as_str()), (1, "2"), "a new SA");
    assert!(
        pair.state(0).contains("PPK Some(\"k0\")"),
        "{}",
        pair.state(0)
    );
    // Without the old secret it "succeeds", and the old SA stays.
    for client in [&mut a, &mut b] {
        client.done("unload-shared", texts(&[("id", "k0")]));
    }
    a.done("rekey", texts(&[("ike", "net"), ("reauth", "yes")]));
    clock.advance(Duration::from_secs(60));
    assert_eq!(a.sas()[0].0, "2");
    // A new SA of the new connection has the new one.
    assert_eq!(success(a.initiate()), Some(true));
    assert_eq!(a.sas().len(), 2);
    a.done("terminate", texts(&[("ike-id", "2")]));
    assert!(
        pair.state(0).contains("PPK Some(\"k1\")"),
        "{}",
        pair.state(0)
    );
    assert!(
        pair.state(1).contains("PPK Some(\"k1\")"),
        "{}",
        pair.state(1)
    );
}

#[test]
fn a_reauthentication_that_breaks_first_leaves_nothing_if_it_fails() {
    let settings = Settings {
        make_before_break: false,
        ..Settings::default()
    };
    let (_, _, [mut a, mut b]) = pair(settings);
    assert_eq!(success(a.initiate()), Some(true));
    b.ppk("k0", "b");
    a.done("rekey", texts(&[("ike", "net"), ("reauth", "yes")]));
    assert!(a.sas().is_empty() && b.sas().is_empty());
}

#[test]
fn replaced_sas_end_after_ten_seconds_and_others_stay() {
    for (unique, left) in [("replace", 1), ("never", 2), ("no", 2)] {
        let (_, clock, [mut a, mut b]) = pair(Settings::default());
        for (end, client) in [&mut a, &mut b].into_iter().enumerate() {
            client.ppk("k1", "b");
            client.done("load-conn", connection(end, "k0", "yes", unique));
        }
        assert_eq!(success(a.initiate()), Some(true));
        a.done("load-conn", connection(0, "k1", "yes", unique));
        assert_eq!(success(a.initiate()), Some(true));
        clock.advance(Duration::from_millis(9_900));
        assert_eq!((a.sas().len(), b.sas().len()), (2, 2), "{unique}");
        clock.advance(Duration::from_millis(200));
        assert_eq!((a.sas().len(), b.sas().len()), (left, left), "{unique}");
    }
    let (_, _, [mut a, mut b]) = pair(Settings::default());
    b.done("load-conn", connection(1, "", "yes", "keep"));
    assert_eq!(success(a.initiate()), Some(true));
    a.done("load-conn", connection(0, "k0", "no", "never"));
    assert_eq!(success(a.initiate()), Some(false), "the older is kept");
}

#[test]
fn an_sa_of_the_same_connection_gets_one_child_of_a_name() {
    let (_, _, [mut a, _b]) = pair(Settings::default());
    assert_eq!(success(a.initiate()), Some(true));
    a.register(&["control-log"]);
    assert_eq!(success(a.initiate()), Some(false));
    let log = a.log();
    assert!(
        log[0].starts_with("not establishing CHILD_SA net{2} due to existing"),
        "{log:?}"
    );
    // Equal settings update the connection, and other children keep the SA.
    a.done("load-conn", connection(0, "k0", "yes", "never"));
    assert_eq!(success(a.initiate()), Some(false));
    a.done("terminate", texts(&[("child", "net")]));
    assert_eq!(a.sas()[0].3, Vec::<String>::new());
    assert_eq!(success(a.initiate()), Some(true));
    assert_eq!(a.sas().len(), 1);
}

/// Packets in and out of the first CHILD SA.
fn packets(client: &mut Client) -> (u64, u64) {
    client.register(&["list-sa"]);
    client.events.clear();
    client.send("list-sas", Writer::default()).unwrap();
    let (_, event) = client.events.pop().unwrap();
    let packet = packet(operation::EVENT_UNREGISTER, Some("list-sa"), &[]);
    let replies = client.session.feed(&packet);
    client.take(replies);
    let sa = section(&event.elements[0]);
    let children = section(sa.elements.iter().find(|e| e.name == "child-sas").unwrap());
    let child = section(&children.elements[0]);
    let number = |name| child.number(name).unwrap() as u64;
    assert_eq!(number("bytes-out"), number("packets-out") * 84);
    (number("packets-in"), number("packets-out"))
}

#[test]
fn packets_pass_while_there_is_a_child_and_the_link_works() {
    let (pair, clock, [mut a, mut b]) = pair(Settings::default());
    clock.advance(Duration::from_secs(1));
    assert_eq!(pair.traffic_from(0).blocked, 100, "without an SA");
    assert_eq!(success(a.initiate()), Some(true));
    clock.advance(Duration::from_secs(2));
    assert_eq!(packets(&mut a), (200, 200));
    pair.set_cut(true);
    clock.advance(Duration::from_secs(1));
    assert_eq!((packets(&mut a), packets(&mut b)), ((200, 300), (200, 300)));
    pair.set_cut(false);
    // Under two SAs packets go through the newer one, and none is lost when the older ends.
    for client in [&mut a, &mut b] {
        client.ppk("k1", "b");
    }
    a.done("load-conn", connection(0, "k1", "yes", "never"));
    assert_eq!(success(a.initiate()), Some(true));
    clock.advance(Duration::from_secs(1));
    a.done("terminate", texts(&[("ike-id", "1")]));
    clock.advance(Duration::from_secs(1));
    assert_eq!(packets(&mut a), (200, 200));
    let before = pair.traffic_from(1);
    assert_eq!(
        (before.accepted, before.refused, before.clear),
        (400, 100, 0)
    );
    a.done("terminate", texts(&[("child", "net")]));
    clock.advance(Duration::from_secs(1));
    let after = pair.traffic_from(1);
    assert_eq!((after.encrypted, after.blocked), (500, 200));
}

#[test]
fn clear_packets_are_counted_apart() {
    let settings = Settings {
        clear_route: true,
        ..Settings::default()
    };
    let (pair, clock, [mut a, _b]) = pair(settings);
    clock.advance(Duration::from_secs(1));
    assert_eq!(success(a.initiate()), Some(true));
    clock.advance(Duration::from_secs(1));
    let traffic = pair.traffic_from(0);
    assert_eq!((traffic.clear, traffic.encrypted), (100, 100));
}

#[test]
fn a_cut_link_lets_commands_wait_one_at_a_time() {
    let (pair, clock, [mut a, _b]) = pair(Settings::default());
    pair.set_cut(true);
    a.register(&["control-log"]);
    assert!(a.initiate().is_none());
    assert!(a.session.is_waiting());
    // The next command of this connection waits; another connection does not.
    assert!(a.send("get-conns", Writer::default()).is_none());
    let mut other = Client::new(&pair, 0);
    assert!(other.send("get-conns", Writer::default()).is_some());
    clock.advance(Duration::from_millis(4999));
    assert!(a.poll().is_none());
    clock.advance(Duration::from_millis(1));
    let replies = a.session.poll();
    let (.., reply) = parse(&replies[replies.len() - 2].bytes);
    assert_eq!(
        reply.text("errmsg"),
        Some("CHILD_SA 'net' not established after 5000ms")
    );
    let (.., reply) = parse(&replies[replies.len() - 1].bytes);
    assert_eq!(reply.list("conns").len(), 1, "what waited follows");
    assert_eq!(a.sas()[0].1, "CONNECTING");
    // The request is repeated: when the link is back, the SA is made.
    pair.set_cut(false);
    clock.advance(Duration::from_secs(10));
    assert_eq!(a.sas()[0].1, "ESTABLISHED");
    // With a cut link an SA is given up after 165 s.
    pair.set_cut(true);
    assert!(a.send("terminate", texts(&[("ike", "net")])).is_none());
    assert_eq!(
        a.events.pop().unwrap().1.text("msg"),
        Some("sending DELETE for IKE_SA net[1]")
    );
    clock.advance(Duration::from_secs(164));
    assert!(a.poll().is_none());
    clock.advance(Duration::from_secs(2));
    assert_eq!(success(a.poll()), Some(true));
    assert!(a.sas().is_empty());
}

#[test]
fn an_initiation_without_an_answer_is_given_up() {
    let (pair, clock, [mut a, _b]) = pair(Settings::default());
    pair.set_cut(true);
    assert!(a.send("initiate", texts(&[("child", "net")])).is_none());
    clock.advance(Duration::from_secs(166));
    assert_eq!(success(a.poll()), Some(false));
    assert!(a.sas().is_empty());
    // Without waiting, it has begun.
    a.done("initiate", texts(&[("child", "net"), ("timeout", "-1")]));
    assert_eq!(a.sas()[0].1, "CONNECTING");
}

#[test]
fn events_report_what_comes_up_and_goes_down_at_both_ends() {
    let (pair, _, [mut a, mut b]) = pair(Settings::default());
    let all = ["ike-updown", "child-updown", "ike-rekey", "child-rekey"];
    let mut monitors = [Client::new(&pair, 0), Client::new(&pair, 1)];
    for monitor in &mut monitors {
        monitor.register(&all);
    }
    let mut expect = |expected: &[(&str, bool)]| {
        for monitor in &mut monitors {
            assert!(monitor.session.is_waiting());
            monitor.poll();
            let names: Vec<_> = monitor
                .events
                .iter()
                .map(|(name, m)| (name.as_str(), m.text("up") == Some("yes")))
                .collect();
            assert_eq!(names, expected);
            monitor.events.clear();
        }
    };
    assert_eq!(success(a.initiate()), Some(true));
    expect(&[("ike-updown", true), ("child-updown", true)]);
    b.done("rekey", texts(&[("child", "net")]));
    expect(&[("child-rekey", false)]);
    b.done("rekey", texts(&[("ike", "net")]));
    expect(&[("ike-rekey", false)]);
    a.done("terminate", texts(&[("ike", "net")]));
    // The rekeyed CHILD SA is still listed.
    expect(&[
        ("ike-updown", false),
        ("child-updown", false),
        ("child-updown", false),
    ]);
}

#[test]
fn a_rekeyed_child_delays_a_reauthentication() {
    let (_, clock, [mut a, _b]) = pair(Settings::default());
    assert_eq!(success(a.initiate()), Some(true));
    a.done("rekey", texts(&[("child", "net")]));
    assert_eq!(a.sas()[0].3, ["DELETED", "INSTALLED"]);
    a.done("rekey", texts(&[("ike", "net"), ("reauth", "yes")]));
    clock.advance(Duration::from_secs(6));
    assert_eq!((a.sas()[0].0.as_str(), a.sas()[0].3.len()), ("1", 1));
    clock.advance(Duration::from_secs(8));
    assert_eq!(a.sas()[0].0, "2");
}

#[test]
fn a_daemon_that_restarts_has_nothing_and_its_peer_notices_nothing() {
    let (pair, clock, [mut a, _b]) = pair(Settings::default());
    assert_eq!(success(a.initiate()), Some(true));
    let b = CharonEnd::new(Arc::clone(&pair), 1);
    b.apply(&DeviceFault::Reboot).unwrap();
    let mut fresh = Client::new(&pair, 1);
    assert!(fresh.sas().is_empty());
    let reply = fresh.send("get-shared", Writer::default()).unwrap();
    assert!(reply.list("keys").is_empty());
    assert_eq!(a.sas()[0].1, "ESTABLISHED");
    clock.advance(Duration::from_secs(1));
    let traffic = pair.traffic_from(0);
    assert_eq!((traffic.encrypted, traffic.refused), (100, 100));
    // Its SA ends without an answer.
    assert!(a.send("terminate", texts(&[("ike", "net")])).is_none());
    clock.advance(Duration::from_secs(166));
    assert_eq!(success(a.poll()), Some(true));
    a.register(&["control-log"]);
    assert_eq!(success(a.initiate()), Some(false));
    assert_eq!(
        a.log().last().unwrap(),
        "received NO_PROPOSAL_CHOSEN notify error"
    );
}

#[test]
fn faults_of_the_device_apply_or_are_refused() {
    let (pair, _, [mut a, _b]) = pair(Settings::default());
    let end = |n| CharonEnd::new(Arc::clone(&pair), n);
    end(0).apply(&DeviceFault::Refuse(1)).unwrap();
    assert!(
        a.fails("unload-shared", texts(&[("id", "k0")]))
            .contains("refused")
    );
    let operator = |action: &str| DeviceFault::Operator(action.to_owned());
    end(1).apply(&operator("alter-ppk")).unwrap();
    assert_eq!(success(a.initiate()), Some(false));
    end(1).apply(&operator("alter-ppk")).unwrap();
    assert_eq!(success(a.initiate()), Some(true));
    end(1).apply(&operator("terminate")).unwrap();
    assert!(a.sas().is_empty());
    end(0).apply(&DeviceFault::Cut(None)).unwrap();
    assert!(a.initiate().is_none());
    end(0).apply(&DeviceFault::Clear).unwrap();
    assert!(
        end(0)
            .apply(&DeviceFault::Full)
            .unwrap_err()
            .contains("operator=terminate")
    );
}

#[test]
fn a_length_of_more_than_512_kib_ends_the_connection() {
    let (pair, ..) = pair(Settings::default());
    let mut session = pair.session(0);
    let replies = session.feed(&(MAX_PACKET as u32 + 1).to_be_bytes());
    assert_eq!(replies, [Reply::hang_up()]);
    // The longest is answered, in whatever pieces it comes.
    let mut request = Writer::default();
    while request.len() < MAX_PACKET - 40_000 {
        request.value("k", "x".repeat(30_000));
    }
    let packet = packet(
        operation::CMD_REQUEST,
        Some("get-conns"),
        &request.into_bytes(),
    );
    let mut session = pair.session(0);
    let mut replies = Vec::new();
    for piece in packet.chunks(4096) {
        replies.extend(session.feed(piece));
    }
    assert_eq!(replies.len(), 1);
    // What waits after a command has a limit too.
    pair.set_cut(true);
    let mut client = Client::new(&pair, 0);
    assert!(client.initiate().is_none());
    let mut ended = false;
    for _ in 0..MAX_INPUT / 4096 + 1 {
        ended |= client.session.feed(&[0; 4096]).iter().any(|r| r.close);
    }
    assert!(ended);
}

#[test]
fn secrets_are_in_no_text() {
    let (pair, ..) = pair(Settings::default());
    let (hex, text) = ("61".repeat(32), "a".repeat(32));
    let before = pair.state(0);
    assert!(
        !before.contains(&hex) && !before.contains(&text),
        "{before}"
    );
    let mut a = Client::new(&pair, 0);
    a.ppk("k0", "b");
    assert_ne!(pair.state(0), before, "another secret shows");
}

#[test]
fn statistics_show_uptime_and_sas() {
    let (_, clock, [mut a, _b]) = pair(Settings::default());
    a.initiate();
    clock.advance(Duration::from_secs(86_400 * 3));
    let stats = a.send("stats", Writer::default()).unwrap();
    let find = |name: &str| stats.elements.iter().find(|e| e.name == name).unwrap();
    assert_eq!(section(find("uptime")).text("running"), Some("3 days"));
    assert_eq!(
        section(find("uptime")).text("since"),
        Some("Jan 01 00:00:00 2026")
    );
    assert_eq!(section(find("ikesas")).text("total"), Some("1"));
    for (seconds, text) in [(1, "1 second"), (120, "120 seconds"), (121, "2 minutes")] {
        assert_eq!(relative(seconds), text);
    }
}

proptest! {
    #[test]
    fn any_input_is_survived(pieces in prop::collection::vec(
        prop_oneof![
            prop::collection::vec(any::<u8>(), 0..200),
            (0u8..8, prop::sample::select(vec![
                "load-conn", "load-shared", "initiate", "terminate", "rekey", "list-sas", "stats",
            ]), prop::collection::vec(0u8..7, 0..60)).prop_map(|(op, name, message)| {
                packet(op, Some(name), &message)
            }),
        ],
        0..20,
    )) {
        let (pair, clock, _clients) = pair(Settings::default());
        let mut session = pair.session(0);
        for piece in pieces {
            session.feed(&piece);
            clock.advance(Duration::from_secs(1));
            session.poll();
        }
        let traffic = pair.traffic_from(0);
        prop_assert_eq!(traffic.encrypted, traffic.accepted + traffic.refused);
    }
}
