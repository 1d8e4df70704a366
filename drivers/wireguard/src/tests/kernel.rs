//! The driver with answers that were recorded from the kernel.

use super::{key, open_uri};
use crate::proto::kernel::tests::recorded;
use qkd_driver_kit::{
    OpenContext, OpenedDevice,
    link::{
        datagram::{DatagramPeer, DatagramService, Datagrams},
        memory::Endpoint,
    },
    transcript::Transcript,
};
use qkd_hal::{
    Effect, Error, ErrorKind, Key, Result,
    encryptor::{Activation, ChannelId},
};
use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
};
use zeroize::Zeroizing;

const FIRST: &str = "uFmW/sycfx/G0lcqdu2hHVm80gvo5UOxXOS9hajnWjM=";

/// Recorded answers, in the order in which they are given.
#[derive(Default)]
struct Recording {
    answers: Mutex<VecDeque<Vec<Vec<u8>>>>,
    requests: Mutex<Vec<Vec<u8>>>,
}

impl Recording {
    fn new(names: &[&str]) -> Arc<Self> {
        let new = Arc::new(Self::default());
        names.iter().for_each(|name| new.push(recorded(name).1));
        new
    }

    fn push(&self, answer: Vec<Vec<u8>>) {
        self.answers.lock().unwrap().push_back(answer);
    }
}

/// Positions of the messages of a datagram.
fn starts(datagram: &[u8]) -> Vec<usize> {
    let (mut all, mut at) = (Vec::new(), 0);
    while at < datagram.len() {
        all.push(at);
        let length = u32::from_ne_bytes(datagram[at..at + 4].try_into().unwrap());
        at += usize::try_from(length).unwrap().div_ceil(4) * 4;
    }
    all
}

impl DatagramService for Recording {
    fn answer(&self, peer: DatagramPeer, request: &[u8]) -> Datagrams {
        assert_eq!(peer, DatagramPeer::NetlinkGeneric);
        self.requests.lock().unwrap().push(request.to_vec());
        let mut answer = self.answers.lock().unwrap().pop_front().unwrap_or_default();
        for datagram in &mut answer {
            for at in starts(datagram) {
                datagram[at + 8..at + 12].copy_from_slice(&request[8..12]);
            }
        }
        answer.into_iter().map(Zeroizing::new).collect()
    }
}

/// The recorded error with another number.
fn refusal(number: i32) -> Vec<Vec<u8>> {
    let mut answer = recorded("get: no such interface").1;
    answer[0][16..20].copy_from_slice(&(-number).to_ne_bytes());
    answer
}

async fn open_with(
    recording: &Arc<Recording>,
    context: OpenContext,
    parameters: &str,
) -> Result<OpenedDevice> {
    let service = Arc::clone(recording) as Arc<dyn DatagramService>;
    let context = context.with_memory("kernel", Endpoint::Datagram(service));
    let uri = format!("wireguard+mem://kernel?peer=kernel{parameters}");
    open_uri(&uri, &context).await
}

async fn open(recording: &Arc<Recording>) -> Result<OpenedDevice> {
    open_with(recording, OpenContext::new(), "").await
}

/// The key of the recording after the change.
fn second_key() -> Key {
    let bytes: Vec<u8> = (0xc0..0xe0).collect();
    Key::new(key(1).id().clone(), Zeroizing::new(bytes))
}

const OPENED: [&str; 2] = ["getfamily wireguard", "get, two peers"];

#[tokio::test(start_paused = true)]
async fn an_interface_of_the_kernel_has_the_declarations_of_the_socket() {
    let recording = Recording::new(&[&OPENED[..], &["get, two peers", "get, many"]].concat());
    let opened = open(&recording).await.unwrap();
    let encryptor = opened.encryptor().unwrap();
    // One of the peers has no keepalive.
    let declared = encryptor.encryptor_capabilities();
    assert_eq!(
        declared.activation,
        Activation::NextExchange { longest: None }
    );
    let identity = opened.device().identity().await.unwrap();
    assert_eq!(identity.model.as_deref(), Some("Linux kernel"));
    let channels = encryptor.channels().await.unwrap();
    assert_eq!(channels.len(), 13);
    assert!(channels.contains(&FIRST.into()));
    let requests = recording.requests.lock().unwrap();
    assert!(requests[1].ends_with(b"wg0\0"), "{:?}", requests[1]);
}

#[tokio::test(start_paused = true)]
async fn a_key_is_staged_over_netlink_and_read_back() {
    let change = ["get, two peers", "set preshared key", "get, after replace"];
    let recording = Recording::new(&[&OPENED[..], &change, &change].concat());
    let transcript = Transcript::in_memory();
    let context = OpenContext::new().with_transcript(transcript.clone());
    let opened = open_with(&recording, context, "").await.unwrap();
    let encryptor = opened.encryptor().unwrap();
    let channel = ChannelId::from(FIRST);
    encryptor.stage(&channel, &second_key()).await.unwrap();
    let sent = recording.requests.lock().unwrap()[3].clone();
    let second: Vec<u8> = (0xc0..0xe0).collect();
    assert!(sent.windows(32).any(|w| w == second));

    // The kernel shows another key.
    let error = encryptor.stage(&channel, &key(0x5b)).await.unwrap_err();
    assert!(error.message().contains("shows another one"), "{error}");
    assert_eq!(error.effect(), Effect::Unknown);

    // No key is in the transcript: not that of the interface, nor that of a peer before or after.
    let text = serde_json::to_string(&transcript.records()).unwrap();
    assert!(text.contains(&hex::encode("wg0")), "{text}");
    for start in [0x5b, 0xc8, 0xa8, 1] {
        let step = u8::from(start != 0x5b);
        let part: Vec<u8> = (0..8).map(|n| start + step * n).collect();
        assert!(!text.contains(&hex::encode(part)), "{text}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_peer_is_replaced_in_one_message() {
    let stage = ["get, two peers", "set preshared key", "get, after replace"];
    let activate = ["get, after replace", "replace", "get, after replace"];
    let recording = Recording::new(&[&OPENED[..], &stage, &activate].concat());
    let opened = open_with(&recording, OpenContext::new(), "&roll=replace")
        .await
        .unwrap();
    let encryptor = opened.encryptor().unwrap();
    let staged = encryptor.stage(&FIRST.into(), &second_key()).await.unwrap();
    encryptor.activate(&staged).await.unwrap();
    let requests = recording.requests.lock().unwrap();
    let wanted = recorded("replace").0;
    assert_eq!(requests[6][..8], wanted[..8]);
    assert_eq!(requests[6].len(), wanted.len());
    assert_eq!(requests.len(), 8);
}

#[tokio::test(start_paused = true)]
async fn an_interface_that_changes_while_it_is_read_is_read_again() {
    let interrupted = || {
        let mut answer = recorded("get, two peers").1;
        // NLM_F_DUMP_INTR
        answer[0][6] |= 0x10;
        answer
    };
    let recording = Recording::new(&OPENED[..1]);
    recording.push(interrupted());
    recording.push(recorded("get, two peers").1);
    (0..5).for_each(|_| recording.push(interrupted()));
    let opened = open(&recording).await.unwrap();
    let error = opened.device().identity().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Busy);
    assert_eq!(recording.requests.lock().unwrap().len(), 8);
}

#[tokio::test(start_paused = true)]
async fn refusals_of_the_kernel_say_what_to_do() {
    let check = |error: &Error, kind: ErrorKind, word: &str| {
        assert_eq!(
            (error.kind(), error.effect()),
            (kind, Effect::None),
            "{error}"
        );
        assert!(error.message().contains(word), "{error}");
    };
    let recording = Arc::new(Recording::default());
    recording.push(refusal(2));
    let error = open(&recording).await.err().unwrap();
    check(&error, ErrorKind::Unsupported, "modprobe wireguard");
    for (number, kind, word) in [
        (1, ErrorKind::Authentication, "CAP_NET_ADMIN"),
        (19, ErrorKind::NotFound, "no interface"),
        (95, ErrorKind::InvalidInput, "not of type wireguard"),
        (22, ErrorKind::Refused, "kernel refused"),
    ] {
        let recording = Recording::new(&OPENED[..1]);
        recording.push(refusal(number));
        let error = open(&recording).await.err().unwrap();
        check(&error, kind, word);
        assert_eq!(error.vendor_code(), Some(number.to_string().as_str()));

        let recording = Recording::new(&[&OPENED[..], &["get, two peers"]].concat());
        recording.push(refusal(number));
        let opened = open(&recording).await.unwrap();
        let encryptor = opened.encryptor().unwrap();
        let error = encryptor.stage(&FIRST.into(), &key(2)).await.unwrap_err();
        check(&error, kind, word);
    }
}

#[tokio::test(start_paused = true)]
async fn a_uri_names_an_interface_and_one_peer() {
    let context = OpenContext::new();
    for uri in [
        "wireguard+netlink:///",
        "wireguard+netlink:///a-name-of-17-chars",
        "wireguard+netlink://host/wg0",
        "wireguard+netlink:///wg0?peer=kernel",
        "wireguard+mem://kernel?peer=other",
    ] {
        let error = open_uri(uri, &context).await.err().unwrap();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{uri}: {error}");
    }
}
