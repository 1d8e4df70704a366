//! The driver for MACsec of Linux on the emulated pair of kernels, in memory under paused time.

use qkd_driver_kit::{
    OpenContext,
    link::{
        datagram::{DatagramPeer, DatagramService, Datagrams},
        memory::Endpoint,
    },
    transcript::{Part, Replay, Transcript},
};
use qkd_emulators::{
    Clock,
    model::encryptor::Traffic,
    profile::{InMemory, Options},
    profiles,
    vendor::linux_macsec::{MacsecPair, Protocol, Settings, operator},
};
use qkd_hal::{
    Effect, Encryptor, Error, ErrorKind, Key, KeyId,
    device::HealthState,
    encryptor::{ChannelId, ChannelState, FailureMode, Staged},
    reading::ReadingValue,
};
use std::{sync::Arc, time::Duration};
use tokio::time::sleep;
use zeroize::Zeroizing;

const WITHIN: Duration = Duration::from_secs(10);
const RATE: u32 = 1000;

fn key(number: u8) -> Key {
    let id = KeyId::from_bytes(&[number; 16]).unwrap();
    Key::new(id, Zeroizing::new(vec![number ^ 0x5a; 32]))
}

fn channel() -> ChannelId {
    "macsec0".into()
}

type Handle = Arc<dyn Encryptor>;

/// Opens both ends of a pair that has receive channels and no keys.
async fn open_pair(pair: &Arc<MacsecPair>) -> [Handle; 2] {
    for end in 0..2 {
        operator::add_channel(pair, end);
    }
    [open(pair, 0).await.unwrap(), open(pair, 1).await.unwrap()]
}

async fn open(pair: &Arc<MacsecPair>, end: usize) -> Result<Handle, Error> {
    let endpoint = operator::endpoint(Arc::clone(pair), end);
    open_endpoint(endpoint).await
}

async fn open_endpoint(endpoint: Endpoint) -> Result<Handle, Error> {
    let context = OpenContext::new().with_memory("kernel", endpoint);
    let registry = qkd_hardware::registry();
    let opened = registry.open("linux-macsec+mem://kernel", &context).await?;
    opened.encryptor()
}

fn new_pair() -> Arc<MacsecPair> {
    let settings = Settings {
        frames_per_second: RATE.into(),
        ..Settings::default()
    };
    MacsecPair::new(Clock::default(), settings)
}

async fn stage(ends: &[Handle; 2], key: &Key) -> [Staged; 2] {
    let [near, far] = ends;
    [
        near.stage(&channel(), key).await.unwrap(),
        far.stage(&channel(), key).await.unwrap(),
    ]
}

async fn finish(ends: &[Handle; 2], staged: &[Staged; 2]) {
    for (end, staged) in ends.iter().zip(staged) {
        end.activate(staged).await.unwrap();
    }
    let mut proofs = Vec::new();
    for (end, staged) in ends.iter().zip(staged) {
        let confirmation = end.confirm(staged, WITHIN).await.unwrap();
        proofs.push(confirmation.confirmed().unwrap());
    }
    for (end, proof) in ends.iter().zip(&proofs) {
        end.retire(proof).await.unwrap();
    }
}

async fn roll(ends: &[Handle; 2], key: &Key) {
    let staged = stage(ends, key).await;
    sleep(Duration::from_millis(50)).await;
    finish(ends, &staged).await;
}

fn traffic(pair: &MacsecPair) -> [Traffic; 2] {
    [0, 1].map(|end| pair.traffic_from(end))
}

#[tokio::test(start_paused = true)]
async fn a_roll_deletes_the_key_before_and_loses_no_frame() {
    let pair = new_pair();
    let ends = open_pair(&pair).await;
    roll(&ends, &key(1)).await;
    let before = traffic(&pair);
    let mut slots = Vec::new();
    for number in 2..22 {
        roll(&ends, &key(number)).await;
        sleep(Duration::from_millis(300)).await;
        for end in &ends {
            let status = end.channel(&channel()).await.unwrap();
            assert_eq!(status.state, ChannelState::Encrypting);
            assert_eq!(status.failure_mode, FailureMode::Block);
            let [slot] = status.slots.as_slice() else {
                panic!("{status:?}");
            };
            assert!(slot.active);
            assert_eq!(slot.key_id.as_ref(), Some(key(number).id()));
            slots.push(slot.number);
        }
    }
    // Association 0 is for an end that has no key.
    assert!(slots[..8].iter().eq(&[2, 2, 3, 3, 4, 4, 2, 2]), "{slots:?}");
    for (before, now) in before.into_iter().zip(traffic(&pair)) {
        let sent = now.encrypted - before.encrypted;
        assert!(sent >= u64::from(RATE) * 7, "{sent}");
        assert_eq!(now.accepted - before.accepted, sent);
        assert_eq!((now.dropped(), now.clear), (before.dropped(), 0));
    }
}

#[tokio::test(start_paused = true)]
async fn a_first_key_is_not_in_use_before_it_is_activated() {
    let pair = new_pair();
    let ends = open_pair(&pair).await;
    let staged = stage(&ends, &key(1)).await;
    sleep(Duration::from_secs(1)).await;
    assert_eq!(traffic(&pair).map(|t| t.encrypted), [0, 0]);
    let status = ends[0].channel(&channel()).await.unwrap();
    assert_eq!(status.state, ChannelState::Initialising);
    assert!(status.slots.iter().all(|slot| !slot.active));
    let confirmation = ends[0].confirm(&staged[0], WITHIN).await.unwrap();
    assert!(!confirmation.is_confirmed());
    finish(&ends, &staged).await;
}

#[tokio::test(start_paused = true)]
async fn an_end_that_restarted_is_keyed_again_without_an_agreement_on_numbers() {
    for rolls in 2..6 {
        for restarted in 0..2 {
            let options = Options::default().with("packets-per-second", "1000");
            let memory = profiles::in_memory("linux-macsec-pair", &options).unwrap();
            let context = memory.attach(OpenContext::new());
            let ends = opened(&memory, &context).await;
            for number in 1..=rolls {
                roll(&ends, &key(number)).await;
            }
            // In the middle of a roll.
            let staged = stage(&ends, &key(100)).await;
            ends[1 - restarted]
                .activate(&staged[1 - restarted])
                .await
                .unwrap();
            memory.fault(&format!("{}:reboot", restarted + 1)).unwrap();
            sleep(Duration::from_secs(1)).await;
            let error = ends[restarted]
                .activate(&staged[restarted])
                .await
                .unwrap_err();
            assert_eq!(
                (error.kind(), error.effect()),
                (ErrorKind::NotReady, Effect::None)
            );
            roll(&ends, &key(101)).await;
            for end in &ends {
                let status = end.channel(&channel()).await.unwrap();
                assert_eq!(status.state, ChannelState::Encrypting);
                assert!(
                    status
                        .slots
                        .iter()
                        .all(|s| s.key_id.as_ref() == Some(key(101).id()))
                );
            }
            // And the next one is hitless again.
            roll(&ends, &key(102)).await;
            assert_eq!(ends[0].channel(&channel()).await.unwrap().slots.len(), 1);
        }
    }
}

async fn opened(memory: &InMemory, context: &OpenContext) -> [Handle; 2] {
    let registry = qkd_hardware::registry();
    let mut all = Vec::new();
    for uri in memory.uris() {
        let opened = registry.open(uri, context).await.unwrap();
        all.push(opened.encryptor().unwrap());
    }
    all.try_into()
        .unwrap_or_else(|_| panic!("a pair has two ends"))
}

async fn packet_number(end: &Handle) -> u64 {
    let readings = end.telemetry().await.unwrap();
    let mut all = readings.iter().filter(|r| r.name == "packet-number");
    match all.next().map(|r| r.value.clone()) {
        Some(ReadingValue::Count(n)) => n,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_key_that_has_sent_is_not_made_again() {
    let pair = new_pair();
    let ends = open_pair(&pair).await;
    roll(&ends, &key(1)).await;
    sleep(Duration::from_secs(1)).await;
    let before = packet_number(&ends[0]).await;
    assert!(before > 900, "{before}");
    let state = pair.state(0);
    let staged = ends[0].stage(&channel(), &key(1)).await.unwrap();
    assert_eq!(pair.state(0), state);
    assert!(packet_number(&ends[0]).await >= before);
    ends[0].activate(&staged).await.unwrap();
    assert_eq!(pair.state(0), state);
}

#[tokio::test(start_paused = true)]
async fn another_key_under_one_id_is_a_mismatch() {
    let pair = new_pair();
    let ends = open_pair(&pair).await;
    roll(&ends, &key(1)).await;
    let wrong = Key::new(key(2).id().clone(), Zeroizing::new(vec![9; 32]));
    let staged = [
        ends[0].stage(&channel(), &key(2)).await.unwrap(),
        ends[1].stage(&channel(), &wrong).await.unwrap(),
    ];
    for (end, staged) in ends.iter().zip(&staged) {
        end.activate(staged).await.unwrap();
    }
    for (end, staged) in ends.iter().zip(&staged) {
        let confirmation = end.confirm(staged, WITHIN).await.unwrap();
        assert!(!confirmation.is_confirmed());
        assert!(
            confirmation.evidence().contains("were dropped"),
            "{confirmation:?}"
        );
    }
    let counters = ends[0].counters(&channel()).await.unwrap();
    assert!(counters.refused.unwrap() > 0);
    // The key before is still there, and a good one replaces both.
    roll(&ends, &key(3)).await;
    assert_eq!(ends[0].channel(&channel()).await.unwrap().slots.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_silent_link_is_confirmed_only_if_it_was_silent_before() {
    let pair = new_pair();
    let ends = open_pair(&pair).await;
    roll(&ends, &key(1)).await;
    // Frames arrive until the cut.
    let staged = stage(&ends, &key(2)).await;
    sleep(Duration::from_millis(100)).await;
    pair.set_cut(true);
    for (end, staged) in ends.iter().zip(&staged) {
        end.activate(staged).await.unwrap();
    }
    let cut = ends[0].confirm(&staged[0], WITHIN).await.unwrap();
    assert!(!cut.is_confirmed(), "{cut:?}");
    // Nothing has arrived since the staging.
    let staged = stage(&ends, &key(3)).await;
    for (end, staged) in ends.iter().zip(&staged) {
        end.activate(staged).await.unwrap();
    }
    let once = ends[0].confirm(&staged[0], Duration::ZERO).await.unwrap();
    assert!(
        !once.is_confirmed() && once.evidence().contains("wait longer"),
        "{once:?}"
    );
    let silent = ends[0].confirm(&staged[0], WITHIN).await.unwrap();
    assert!(
        silent.is_confirmed() && silent.evidence().contains("no frame"),
        "{silent:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn packet_numbers_that_are_nearly_used_up_are_reported() {
    let options = Options::default().with("packets-per-second", "1000000");
    let memory = profiles::in_memory("linux-macsec-pair", &options).unwrap();
    let ends = opened(&memory, &memory.attach(OpenContext::new())).await;
    assert_eq!(ends[0].health().await.unwrap().state, HealthState::Ok);
    sleep(Duration::from_secs(3300)).await;
    let health = ends[0].health().await.unwrap();
    assert_eq!(health.state, HealthState::Degraded);
    assert!(health.faults[0].contains("roll the key"), "{health:?}");
    sleep(Duration::from_secs(1100)).await;
    assert_eq!(ends[0].health().await.unwrap().state, HealthState::Failed);
    let status = ends[0].channel(&channel()).await.unwrap();
    assert_eq!(status.state, ChannelState::Failed);
    roll(&ends, &key(1)).await;
    assert_eq!(ends[0].health().await.unwrap().state, HealthState::Ok);
}

/// The sockets of a process without privileges.
struct Unprivileged(Arc<MacsecPair>);

impl DatagramService for Unprivileged {
    fn answer(&self, peer: DatagramPeer, datagram: &[u8]) -> Datagrams {
        let protocol = match peer {
            DatagramPeer::NetlinkRoute => Protocol::Route,
            _ => Protocol::Generic,
        };
        let mut socket = self.0.socket(0, protocol);
        socket.set_privileged(false);
        let all = socket.send(datagram);
        all.iter().map(|one| Zeroizing::new(one.to_vec())).collect()
    }
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_driven_is_refused_with_what_to_do() {
    let refused = |result: Result<Handle, Error>, kind: ErrorKind, word: &str| {
        let error = result.err().unwrap();
        assert_eq!(
            (error.kind(), error.effect()),
            (kind, Effect::None),
            "{error}"
        );
        assert!(error.message().contains(word), "{error}");
    };
    let pair = new_pair();
    let no_channel = open(&pair, 0).await;
    refused(no_channel, ErrorKind::NotReady, "ip macsec add macsec0 rx");
    for end in 0..2 {
        operator::add_channel(&pair, end);
    }
    let extended = Settings {
        xpn: true,
        ..Settings::default()
    };
    let extended = MacsecPair::new(Clock::default(), extended);
    refused(
        open(&extended, 0).await,
        ErrorKind::Unsupported,
        "gcm-aes-256",
    );
    let open_as = async |uri: &str| {
        let endpoint = operator::endpoint(Arc::clone(&pair), 0);
        let context = OpenContext::new().with_memory("kernel", endpoint);
        let opened = qkd_hardware::registry().open(uri, &context).await;
        opened.and_then(|opened| opened.encryptor())
    };
    let absent = open_as("linux-macsec+mem://kernel/macsec7").await;
    refused(absent, ErrorKind::NotFound, "macsec7");
    let other = open_as("linux-macsec+mem://kernel/eth0").await;
    refused(other, ErrorKind::InvalidInput, "type macsec");
    let long = open_as("linux-macsec+mem://kernel/a-name-that-is-too-long").await;
    refused(long, ErrorKind::InvalidInput, "names no interface");
    let reader = Endpoint::Datagram(Arc::new(Unprivileged(Arc::clone(&pair))));
    let reader = open_endpoint(reader).await.unwrap();
    let state = pair.state(0);
    let error = reader.stage(&channel(), &key(1)).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.effect()),
        (ErrorKind::Authentication, Effect::None)
    );
    assert!(error.message().contains("CAP_NET_ADMIN"), "{error}");
    assert_eq!(pair.state(0), state);
    // Keys of another form are refused before anything is sent.
    let end = open(&pair, 0).await.unwrap();
    for (id, length) in [(&[1; 16][..], 16), (&[1; 15][..], 32), (&[1; 17][..], 32)] {
        let key = Key::new(
            KeyId::from_bytes(id).unwrap(),
            Zeroizing::new(vec![1; length]),
        );
        let error = end.stage(&channel(), &key).await.unwrap_err();
        assert_eq!(
            (error.kind(), error.effect()),
            (ErrorKind::InvalidInput, Effect::None)
        );
    }
    assert_eq!(pair.state(0), state);
}

#[tokio::test(start_paused = true)]
async fn a_recorded_roll_is_replayed_and_holds_no_key() {
    let pair = new_pair();
    for end in 0..2 {
        operator::add_channel(&pair, end);
    }
    let peer = open(&pair, 1).await.unwrap();
    let transcript = Transcript::in_memory();
    let run = async |context: OpenContext, peer: Option<&Handle>| {
        let opened = qkd_hardware::registry()
            .open("linux-macsec+mem://kernel", &context)
            .await
            .unwrap();
        let own = opened.encryptor().unwrap();
        let staged = own.stage(&channel(), &key(1)).await.unwrap();
        if let Some(peer) = peer {
            let staged = peer.stage(&channel(), &key(1)).await.unwrap();
            peer.activate(&staged).await.unwrap();
        }
        own.activate(&staged).await.unwrap();
        sleep(Duration::from_secs(1)).await;
        let confirmation = own.confirm(&staged, WITHIN).await.unwrap();
        let status = own.channel(&channel()).await.unwrap();
        (confirmation, status)
    };
    let endpoint = operator::endpoint(Arc::clone(&pair), 0);
    let context = OpenContext::new()
        .with_memory("kernel", endpoint)
        .with_transcript(transcript.clone());
    let recorded = run(context, Some(&peer)).await;
    assert!(recorded.0.is_confirmed());
    let records = transcript.records();
    let hidden = |part: &&Part| matches!(part, Part::Secret(32));
    let secrets = records
        .iter()
        .flat_map(|r| &r.request)
        .filter(hidden)
        .count();
    assert!(secrets >= 2, "a key in each direction");
    let text: String = records.iter().map(|r| r.to_line().unwrap()).collect();
    assert!(!text.contains(&hex::encode([0x5b; 8])), "{text}");
    let replay = OpenContext::new().with_replay(Replay::new(records, 7));
    assert_eq!(run(replay, None).await, recorded);
}
