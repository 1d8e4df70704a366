//! The driver against small scripted servers, in memory and under paused time.

use crate::driver;
use qkd_driver_kit::{
    OpenContext, OpenedDevice, Registry,
    link::{
        http::{HttpResponse, HttpService, Method},
        memory::{Endpoint, MemoryConnector},
    },
};
use qkd_hal::{
    DeviceMisbehaved, Effect, ErrorKind, Operation, Result, Support, TransportFault,
    device::HealthState,
    parameter::ParameterValue,
    qkd::{KeyRequest, ModuleState, Role},
    reading::ReadingValue,
};
use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use zeroize::Zeroizing;

enum PeerFault {
    Answer(Vec<u8>),
    DropRequest,
    Reset,
}

#[derive(Default)]
struct Node {
    link: &'static str,
    bob: bool,
    pci: &'static str,
    qber: f64,
    faults: VecDeque<(&'static str, PeerFault)>,
    /// Every command of hw and hws.
    seen: Vec<String>,
    fails: Option<&'static str>,
    old: bool,
}

type Shared = Arc<Mutex<Node>>;

fn text16(text: &str) -> Vec<u8> {
    [
        &u16::try_from(text.len()).unwrap().to_le_bytes()[..],
        text.as_bytes(),
    ]
    .concat()
}
fn text8(text: &str) -> Vec<u8> {
    [&[u8::try_from(text.len()).unwrap()], text.as_bytes()].concat()
}

fn observe(node: &Node, word: &str) -> Vec<u8> {
    let ints = |all: &[i32]| {
        all.iter()
            .flat_map(|i| i.to_le_bytes())
            .collect::<Vec<u8>>()
    };
    match (word, node.bob) {
        ("get_link", _) => text16(node.link),
        ("get_pci_status", _) => text16(node.pci),
        ("get_server_status", _) => ints(&[0, 0, 0, 0]),
        ("get_rng_status" | "get_wrs_ip_status", _) => ints(&[0]),
        ("get_gc", _) => 1e9f64.to_le_bytes().to_vec(),
        ("get_counts", true) => ints(&[312, 150, 162]),
        ("get_spd_temp", true) => (-50.5f64).to_le_bytes().to_vec(),
        ("get_node_stats", false) => {
            [&200_000i32.to_le_bytes()[..], &node.qber.to_le_bytes()].concat()
        }
        // Unknown commands are not answered.
        _ => Vec::new(),
    }
}

async fn mon(mut far: tokio::io::DuplexStream, node: Shared) {
    while let Ok(length) = far.read_u16_le().await {
        let mut word = vec![0; usize::from(length)];
        if far.read_exact(&mut word).await.is_err() {
            return;
        }
        let word = String::from_utf8(word).unwrap();
        let reply = {
            let mut node = node.lock().unwrap();
            let fault = node
                .faults
                .front()
                .is_some_and(|(on, _)| *on == word)
                .then(|| node.faults.pop_front())
                .flatten();
            match fault {
                Some((_, PeerFault::Reset)) => return,
                Some((_, PeerFault::DropRequest)) => Vec::new(),
                Some((_, PeerFault::Answer(bytes))) => bytes,
                None => observe(&node, &word),
            }
        };
        if far.write_all(&reply).await.is_err() {
            return;
        }
    }
}

async fn hws(mut far: tokio::io::DuplexStream, node: Shared) {
    while let Ok(length) = far.read_u8().await {
        let mut word = vec![0; usize::from(length)];
        if length == 0 || far.read_exact(&mut word).await.is_err() {
            node.lock().unwrap().seen.push("end".into());
            return;
        }
        let word = String::from_utf8(word).unwrap();
        let (fails, old) = {
            let mut node = node.lock().unwrap();
            node.seen.push(word.clone());
            (node.fails == Some(word.as_str()), node.old)
        };
        let newer = ["find_am2_bias", "fd_a_long", "fd_b_long"].contains(&word.as_str());
        let reply = match word.as_str() {
            _ if fails => text8(&format!("{word} \u{1b}[31mfail, 5.0V\u{1b}[0m")),
            _ if old && newer => text8(&format!(
                "\u{1b}[31munknown command or error in function{word}\u{1b}[0m"
            )),
            "loop_find_gates" => [
                &[3u8, 0, 0, 0, 9, 9, 9][..],
                &text8("loop_find_gates success: good gates found"),
            ]
            .concat(),
            "config_laser" => text8("laser_config_done Rcalc=1.0 Rread=1.0"),
            "find_am2_bias" => text8("find_am_bias done. min count: 1, index: 2"),
            word => text8(&format!(
                "{} done",
                word.trim_end_matches(|c: char| c.is_ascii_digit() || c == '_')
            )),
        };
        tokio::time::sleep(Duration::from_secs(20)).await;
        if far.write_all(&reply).await.is_err() {
            return;
        }
    }
}

struct Kme;

impl HttpService for Kme {
    fn call(
        &self,
        _client: Option<&str>,
        _method: Method,
        path: &str,
        _body: &[u8],
    ) -> HttpResponse {
        let body = if path.ends_with("/status") {
            r#"{"key_size":512,"stored_key_count":3,"max_key_count":100000}"#
        } else {
            r#"{"keys":[{"key_ID":"bc490419-7d60-487f-adc1-4ddcc177c139",
"key":
"wHHVxRwDJs3/bXd38GHP3oe4svTuRpZS0yCC7x4Ly+vrywse74Ig01KWRu70sriH3s9h8Hd3bf/NJgMcxdVxwA=="}]}"#
        };
        HttpResponse {
            status: 200,
            body: Zeroizing::new(body.as_bytes().to_vec()),
        }
    }
}

async fn open(role: &str, more: &str) -> (Result<OpenedDevice>, Shared) {
    let node: Shared = Arc::new(Mutex::new(Node {
        link: "probably online",
        bob: role == "bob",
        pci: "ok",
        qber: 0.031,
        ..Node::default()
    }));
    let served = Arc::clone(&node);
    let for_mon = MemoryConnector::new("node", move |far| {
        drop(tokio::spawn(mon(far, Arc::clone(&served))))
    });
    let served = Arc::clone(&node);
    let for_hws = MemoryConnector::new("node-hws", move |far| {
        drop(tokio::spawn(hws(far, Arc::clone(&served))))
    });
    let served = Arc::clone(&node);
    let for_hw = MemoryConnector::new("node-hw", move |mut far: tokio::io::DuplexStream| {
        let node = Arc::clone(&served);
        tokio::spawn(async move {
            // One command with a double, then the empty one, at which the server hangs up.
            let mut all = vec![0; 2];
            far.read_exact(&mut all).await.unwrap();
            let rest = usize::from(u16::from_le_bytes([all[0], all[1]])) + 8 + 2;
            all.resize(2 + rest, 0xff);
            far.read_exact(&mut all[2..]).await.unwrap();
            node.lock().unwrap().seen.push(hex::encode(all));
        });
    });
    let context = OpenContext::new()
        .with_memory("node", Endpoint::Bytes(Arc::new(for_mon)))
        .with_memory("node-hws", Endpoint::Bytes(Arc::new(for_hws)))
        .with_memory("node-hw", Endpoint::Bytes(Arc::new(for_hw)))
        .with_memory("kme", Endpoint::Http(Arc::new(Kme), None));
    (
        Registry::new()
            .with(driver())
            .open(
                &format!("veriqloud-qline+mem://node?role={role}{more}"),
                &context,
            )
            .await,
        node,
    )
}

#[tokio::test(start_paused = true)]
async fn each_role_has_what_the_facts_give_it() {
    let (alice, _) = open("alice", "").await;
    let alice = alice.unwrap().module().unwrap();
    assert_eq!(alice.qkd_capabilities().role, Role::Transmitter);
    let performance = alice.performance().await.unwrap();
    assert_eq!(
        (
            performance.last_block.unwrap().value.0,
            performance.qber.unwrap().value.0
        ),
        (200_000, 0.031)
    );
    assert_eq!(performance.secret_key_rate, None);
    let (bob, _) = open("bob", "").await;
    let bob = bob.unwrap().module().unwrap();
    let telemetry = bob.telemetry().await.unwrap();
    assert_eq!(
        telemetry
            .iter()
            .find(|r| r.name == "detector.counts")
            .unwrap()
            .value,
        ReadingValue::Number(3120.0)
    );
    assert_eq!(
        telemetry
            .iter()
            .find(|r| r.name == "detector.temperature")
            .unwrap()
            .value,
        ReadingValue::Number(-50.5)
    );
    for operation in [
        Operation::Performance,
        Operation::Start,
        Operation::Calibrate,
        Operation::Stop,
        Operation::TakeKeys,
    ] {
        assert_eq!(
            bob.capabilities().supports(operation),
            Support::Unsupported,
            "{operation}"
        );
    }
    assert_eq!(
        alice.capabilities().supports(Operation::Stop),
        Support::Unsupported
    );
}

#[tokio::test(start_paused = true)]
async fn states_and_health_are_those_of_the_node() {
    let (opened, node) = open("alice", "").await;
    let module = opened.unwrap().module().unwrap();
    for (words, state) in [
        ("error", ModuleState::Error),
        ("calibrating", ModuleState::Calibrating),
        ("probably online", ModuleState::Generating),
    ] {
        node.lock().unwrap().link = words;
        let status = module.status().await.unwrap();
        assert_eq!(
            (status.state, status.vendor_state.as_deref()),
            (state, Some(words))
        );
    }
    assert_eq!(module.health().await.unwrap().state, HealthState::Ok);
    node.lock().unwrap().pci = "missing";
    assert_eq!(module.health().await.unwrap().faults, ["PCI: missing"]);
    node.lock().unwrap().qber = 1.5;
    assert_eq!(
        module.performance().await.unwrap_err().kind(),
        ErrorKind::Misbehaved(DeviceMisbehaved::QberOutOfRange)
    );
}

#[tokio::test(start_paused = true)]
async fn start_and_calibrate_run_over_hws() {
    let (opened, node) = open("alice", "").await;
    let module = opened.unwrap().module().unwrap();
    module.start().await.unwrap();
    assert_eq!(node.lock().unwrap().seen[0], "start");
    node.lock().unwrap().old = true;
    module.calibrate().await.unwrap();
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert!(
        node.lock()
            .unwrap()
            .seen
            .iter()
            .filter(|s| *s == "end")
            .count()
            >= 18,
        "each command ends its connection"
    );
    node.lock().unwrap().fails = Some("pol_bob");
    let error = module.calibrate().await.unwrap_err();
    assert_eq!(
        (error.kind(), error.effect(), error.vendor_text()),
        (
            ErrorKind::Refused,
            Effect::Partial,
            Some("pol_bob fail, 5.0V")
        )
    );
    assert!(
        error
            .message()
            .contains("done before: init, config_laser, sync_gc"),
        "{error}"
    );
    node.lock().unwrap().fails = Some("start");
    assert_eq!(module.start().await.unwrap_err().kind(), ErrorKind::Refused);
    node.lock().unwrap().fails = None;
    module.start().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn settings_are_sent_over_hw_and_checked_first() {
    let (opened, node) = open("alice", "").await;
    let device = opened.unwrap().device();
    device
        .set_parameter("vca", &ParameterValue::Real(3.5))
        .await
        .unwrap();
    assert_eq!(
        node.lock().unwrap().seen,
        ["07007365745f7663610000000000000c400000"]
    );
    assert_eq!(
        device
            .set_parameter("vca", &ParameterValue::Real(5.5))
            .await
            .unwrap_err()
            .kind(),
        ErrorKind::InvalidInput
    );
    assert_eq!(
        device
            .set_parameter("spd-eff", &ParameterValue::Text("20".into()))
            .await
            .unwrap_err()
            .kind(),
        ErrorKind::NotFound
    );
    assert_eq!(
        device.parameter("vca").await.unwrap_err().kind(),
        ErrorKind::Unsupported
    );
}

#[tokio::test(start_paused = true)]
async fn mismatched_missing_and_truncated_replies_fail_only_one_call() {
    let (opened, node) = open("alice", "").await;
    let module = opened.unwrap().module().unwrap();
    for (fault, kind) in [
        (
            PeerFault::Answer(text16("ok")),
            ErrorKind::Misbehaved(DeviceMisbehaved::ReplyForAnotherRequest),
        ),
        (
            PeerFault::Answer(vec![2, 0, 0xff, 0xff]),
            ErrorKind::Misbehaved(DeviceMisbehaved::UnexpectedReply),
        ),
        (PeerFault::Answer(vec![200, 0, b'x']), ErrorKind::Timeout),
        (PeerFault::DropRequest, ErrorKind::Timeout),
        (
            PeerFault::Reset,
            ErrorKind::Transport(TransportFault::HungUp),
        ),
    ] {
        node.lock().unwrap().faults.push_back(("get_link", fault));
        assert_eq!(module.status().await.unwrap_err().kind(), kind);
        assert_eq!(
            module.status().await.unwrap().state,
            ModuleState::Generating
        );
    }
}

#[tokio::test(start_paused = true)]
async fn keys_are_delivered_by_the_014_server_of_the_node() {
    let (opened, _) = open("alice", "&kme=mem://kme&peer=sae-bob").await;
    let module = opened.unwrap().module().unwrap();
    assert_eq!(module.key_store().await.unwrap().stored, Some(3));
    assert_eq!(
        module.status().await.unwrap().peer.as_deref(),
        Some("sae-bob")
    );
    assert_eq!(
        module.take_keys(&KeyRequest::new(1)).await.unwrap().len(),
        1
    );
}

#[tokio::test(start_paused = true)]
async fn uri_parameters_are_checked() {
    for (role, more) in [
        ("carol", ""),
        ("alice", "&kme=mem://kme"),
        ("alice", "&kme=nonsense&peer=x"),
        ("alice", "&calibration-deadline=0s"),
    ] {
        assert_eq!(
            open(role, more).await.0.unwrap_err().kind(),
            ErrorKind::InvalidInput,
            "{role}{more}"
        );
    }
    // Bob's server, opened as Alice: it does not answer what it does not know.
    let node: Shared = Arc::new(Mutex::new(Node {
        link: "error",
        bob: true,
        ..Node::default()
    }));
    let endpoint = MemoryConnector::new("node", move |far| {
        drop(tokio::spawn(mon(far, Arc::clone(&node))))
    });
    let context = OpenContext::new().with_memory("node", Endpoint::Bytes(Arc::new(endpoint)));
    let error = Registry::new()
        .with(driver())
        .open("veriqloud-qline+mem://node?role=alice", &context)
        .await
        .unwrap_err();
    assert!(
        error.kind() == ErrorKind::Timeout && error.message().contains("role="),
        "{error}"
    );
}
