//! The driver against a scripted interface, in memory and under paused time.

mod kernel;

use crate::driver;
use qkd_driver_kit::{
    OpenContext, OpenedDevice, Registry,
    link::memory::{Endpoint, MemoryConnector},
};
use qkd_hal::{
    Effect, ErrorKind, Key, Operation, Result, Support,
    encryptor::{Activation, ChannelId, ChannelState, Staged},
};
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use zeroize::Zeroizing;

const PEER: &str = "b85996fecc9c7f1fc6d2572a76eda11d59bcd20be8e543b15ce4bd85a8e75a33";
const CHANNEL: &str = "uFmW/sycfx/G0lcqdu2hHVm80gvo5UOxXOS9hajnWjM=";

/// An interface with one peer, which answers by script.
struct Interface {
    psk: String,
    keepalive: u16,
    handshake: u64,
    requests: Vec<String>,
    /// Whether a change is accepted without effect.
    ignores: bool,
    errno: i64,
    /// Address range of the peer after a change.
    allowed_after: &'static str,
    allowed: &'static str,
}

impl Interface {
    fn answer(&mut self, request: &str) -> String {
        self.requests.push(request.to_owned());
        if request == "get=1\n\n" {
            return format!(
                "private_key={}\npublic_key={PEER}\npreshared_key={}\nallowed_ip={}\n\
                 endpoint=192.0.2.1:51820\npersistent_keepalive_interval={}\n\
                 last_handshake_time_sec={}\nlast_handshake_time_nsec=0\nrx_bytes=5\n\
                 tx_bytes=6\nerrno=0\n\n",
                "77".repeat(32),
                self.psk,
                self.allowed,
                self.keepalive,
                self.handshake
            );
        }
        if request.contains("remove") {
            self.allowed = self.allowed_after;
        }
        for line in request.lines() {
            if let Some(psk) = line.strip_prefix("preshared_key=")
                && !self.ignores
            {
                self.psk = psk.to_owned();
            }
        }
        format!("errno={}\n\n", self.errno)
    }
}

type Shared = Arc<Mutex<Interface>>;

async fn serve(interface: Shared, mut stream: DuplexStream) {
    let (mut seen, mut buffer) = (Vec::new(), [0; 1024]);
    while let Ok(n @ 1..) = stream.read(&mut buffer).await {
        seen.extend_from_slice(&buffer[..n]);
        while let Some(at) = seen.windows(2).position(|two| two == b"\n\n") {
            let request: Vec<u8> = seen.drain(..at + 2).collect();
            let reply = interface
                .lock()
                .unwrap()
                .answer(std::str::from_utf8(&request).unwrap());
            if stream.write_all(reply.as_bytes()).await.is_err() {
                return;
            }
        }
    }
}

fn interface() -> Shared {
    Arc::new(Mutex::new(Interface {
        psk: "00".repeat(32),
        keepalive: 25,
        handshake: 1_700_000_000,
        requests: Vec::new(),
        ignores: false,
        errno: 0,
        allowed: "10.0.0.2/32",
        allowed_after: "10.0.0.2/32",
    }))
}

async fn open(interface: &Shared, parameters: &str) -> OpenedDevice {
    let shared = Arc::clone(interface);
    let connector = MemoryConnector::new("wg0", move |stream| {
        tokio::spawn(serve(Arc::clone(&shared), stream));
    });
    let context = OpenContext::new().with_memory("wg0", Endpoint::Bytes(Arc::new(connector)));
    let uri = format!("wireguard+mem://wg0{parameters}");
    open_uri(&uri, &context).await.unwrap()
}

async fn open_uri(uri: &str, context: &OpenContext) -> Result<OpenedDevice> {
    Registry::new().with(driver()).open(uri, context).await
}

fn key(byte: u8) -> Key {
    Key::new(
        format!("00000000-0000-4000-8000-0000000000{byte:02x}")
            .parse()
            .unwrap(),
        Zeroizing::new(vec![byte; 32]),
    )
}

fn channel() -> ChannelId {
    CHANNEL.into()
}

const ZERO: Duration = Duration::ZERO;

#[tokio::test(start_paused = true)]
async fn a_key_is_used_at_the_next_handshake() {
    let interface = interface();
    let opened = open(&interface, "").await;
    let encryptor = opened.encryptor().unwrap();
    assert_eq!(encryptor.channels().await.unwrap(), [channel()]);
    assert_eq!(
        encryptor.encryptor_capabilities().activation,
        Activation::NextExchange {
            longest: Some(Duration::from_secs(150))
        }
    );
    let staged = encryptor.stage(&channel(), &key(0xab)).await.unwrap();
    assert_eq!(interface.lock().unwrap().psk, "ab".repeat(32));
    let early = encryptor.confirm(&staged, ZERO).await.unwrap();
    assert!(!early.is_confirmed(), "{early:?}");
    interface.lock().unwrap().handshake += 118;
    let confirmed = encryptor
        .confirm(&staged, Duration::from_secs(1))
        .await
        .unwrap();
    assert!(confirmed.is_confirmed(), "{confirmed:?}");
    let error = encryptor.activate(&staged).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
}

#[tokio::test(start_paused = true)]
async fn without_keepalive_no_time_is_declared() {
    let interface = interface();
    interface.lock().unwrap().keepalive = 0;
    let opened = open(&interface, "?roll=wait").await;
    let encryptor = opened.encryptor().unwrap();
    let declared = encryptor.encryptor_capabilities().activation;
    assert_eq!(declared, Activation::NextExchange { longest: None });
    let staged = encryptor.stage(&channel(), &key(1)).await.unwrap();
    let late = encryptor.confirm(&staged, ZERO).await.unwrap();
    assert!(late.evidence().contains("persistent keepalive"), "{late:?}");
}

#[tokio::test(start_paused = true)]
async fn activation_by_replacement_keeps_the_configuration_of_the_peer() {
    let interface = interface();
    let opened = open(&interface, "?roll=replace").await;
    let encryptor = opened.encryptor().unwrap();
    let staged = encryptor.stage(&channel(), &key(0xcd)).await.unwrap();
    encryptor.activate(&staged).await.unwrap();
    let requests = interface.lock().unwrap().requests.clone();
    let replaced = requests.iter().rfind(|r| r.contains("remove")).unwrap();
    for line in [
        format!("public_key={PEER}\nremove=true\npublic_key={PEER}\n"),
        format!("preshared_key={}\n", "cd".repeat(32)),
        "endpoint=192.0.2.1:51820\n".to_owned(),
        "allowed_ip=10.0.0.2/32\n".to_owned(),
        "persistent_keepalive_interval=25\n".to_owned(),
    ] {
        assert!(replaced.contains(&line), "{replaced}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_interface_that_does_not_take_the_key_is_noticed() {
    let interface = interface();
    let opened = open(&interface, "?roll=replace").await;
    let encryptor = opened.encryptor().unwrap();
    interface.lock().unwrap().ignores = true;
    let error = encryptor.stage(&channel(), &key(2)).await.unwrap_err();
    assert!(error.message().contains("shows another one"), "{error}");
    interface.lock().unwrap().errno = -22;
    let error = encryptor.stage(&channel(), &key(2)).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.vendor_code()),
        (ErrorKind::Refused, Some("-22"))
    );
    assert!(!error.to_string().contains("0202"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_key_that_was_staged_before_another_one_is_not_confirmed() {
    let interface = interface();
    let opened = open(&interface, "?roll=replace").await;
    let encryptor = opened.encryptor().unwrap();
    let first = encryptor.stage(&channel(), &key(1)).await.unwrap();
    let second = encryptor.stage(&channel(), &key(2)).await.unwrap();
    interface.lock().unwrap().handshake += 1;
    assert!(
        !encryptor
            .confirm(&first, ZERO)
            .await
            .unwrap()
            .is_confirmed()
    );
    assert!(
        encryptor
            .confirm(&second, ZERO)
            .await
            .unwrap()
            .is_confirmed()
    );
    let error = encryptor.activate(&first).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotReady);
    // Another process has the staged key, and activates it.
    let reopened = open(&interface, "?roll=replace").await;
    let encryptor = reopened.encryptor().unwrap();
    encryptor.activate(&second).await.unwrap();
    let made_up = Staged::new(channel(), key(3).id().clone(), None, "made up");
    let error = encryptor.activate(&made_up).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotReady);
}

#[tokio::test(start_paused = true)]
async fn a_session_that_is_too_old_has_failed() {
    let interface = interface();
    let opened = open(&interface, "").await;
    let encryptor = opened.encryptor().unwrap();
    // The handshake of 2023 is too old.
    let status = encryptor.channel(&channel()).await.unwrap();
    assert_eq!(status.state, ChannelState::Failed);
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap();
    interface.lock().unwrap().handshake = now.as_secs();
    let status = encryptor.channel(&channel()).await.unwrap();
    assert_eq!(status.state, ChannelState::Encrypting);
    tokio::time::advance(Duration::from_secs(181)).await;
    let status = encryptor.channel(&channel()).await.unwrap();
    assert_eq!(status.state, ChannelState::Failed);
    interface.lock().unwrap().handshake = 0;
    let status = encryptor.channel(&channel()).await.unwrap();
    assert_eq!(status.state, ChannelState::Initialising);
}

#[tokio::test(start_paused = true)]
async fn zeroize_leaves_a_key_that_no_other_device_has() {
    let interface = interface();
    let opened = open(&interface, "").await;
    let encryptor = opened.encryptor().unwrap();
    encryptor.stage(&channel(), &key(0xab)).await.unwrap();
    encryptor.zeroize(&channel()).await.unwrap();
    let psk = interface.lock().unwrap().psk.clone();
    assert!(psk != "ab".repeat(32) && psk != "00".repeat(32));
    let unknown = encryptor.zeroize(&"no such channel".into()).await;
    assert_eq!(unknown.unwrap_err().kind(), ErrorKind::NotFound);
    let support = opened.device().capabilities().supports(Operation::Retire);
    assert_eq!(support, Support::Unsupported);
}

#[tokio::test(start_paused = true)]
async fn an_activation_that_waits_for_its_turn_does_not_undo_zeroize() {
    let interface = interface();
    let opened = open(&interface, "?roll=replace").await;
    let encryptor = opened.encryptor().unwrap();
    let channel = channel();
    let staged = encryptor.stage(&channel, &key(0xab)).await.unwrap();
    let (zeroized, activated) =
        tokio::join!(encryptor.zeroize(&channel), encryptor.activate(&staged));
    zeroized.unwrap();
    assert_ne!(interface.lock().unwrap().psk, "ab".repeat(32));
    assert_eq!(activated.unwrap_err().kind(), ErrorKind::NotReady);
    interface.lock().unwrap().handshake += 1;
    let late = encryptor.confirm(&staged, ZERO).await.unwrap();
    assert!(late.evidence().contains("zeroized"), "{late:?}");
}

#[tokio::test(start_paused = true)]
async fn a_device_that_holds_another_key_after_a_restart_is_not_confirmed() {
    let interface = interface();
    let opened = open(&interface, "?roll=replace").await;
    let encryptor = opened.encryptor().unwrap();
    let staged = encryptor.stage(&channel(), &key(0xab)).await.unwrap();
    {
        let mut restarted = interface.lock().unwrap();
        restarted.psk = "01".repeat(32);
        restarted.handshake += 1;
    }
    let other = encryptor.confirm(&staged, ZERO).await.unwrap();
    assert!(other.evidence().contains("does not hold"), "{other:?}");
    assert!(!other.is_confirmed());
    let error = encryptor.activate(&staged).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotReady);
    // Another process does not know the key, and refuses an empty one.
    let reopened = open(&interface, "?roll=replace").await;
    interface.lock().unwrap().psk = "00".repeat(32);
    let encryptor = reopened.encryptor().unwrap();
    let none = encryptor.confirm(&staged, ZERO).await.unwrap();
    assert!(!none.is_confirmed(), "{none:?}");
    let error = encryptor.stage(&channel(), &key(0)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
}

#[tokio::test(start_paused = true)]
async fn a_key_stays_staged_if_another_one_is_refused() {
    let interface = interface();
    let opened = open(&interface, "").await;
    let encryptor = opened.encryptor().unwrap();
    let staged = encryptor.stage(&channel(), &key(1)).await.unwrap();
    {
        let mut refusing = interface.lock().unwrap();
        (refusing.errno, refusing.ignores) = (-22, true);
    }
    let error = encryptor.stage(&channel(), &key(2)).await.unwrap_err();
    assert_eq!(error.effect(), Effect::None);
    // A clock that was set back does not matter either.
    interface.lock().unwrap().handshake -= 60;
    let confirmed = encryptor.confirm(&staged, ZERO).await.unwrap();
    assert!(confirmed.is_confirmed(), "{confirmed:?}");
    // A peer that has been added again and has made no handshake is not confirmed.
    interface.lock().unwrap().handshake = 0;
    let none = encryptor.confirm(&staged, ZERO).await.unwrap();
    assert!(!none.is_confirmed(), "{none:?}");
}

#[tokio::test(start_paused = true)]
async fn a_replaced_peer_with_another_address_is_noticed() {
    let interface = interface();
    let opened = open(&interface, "?roll=replace").await;
    let encryptor = opened.encryptor().unwrap();
    let staged = encryptor.stage(&channel(), &key(1)).await.unwrap();
    interface.lock().unwrap().allowed_after = "10.0.0.3/32";
    let error = encryptor.activate(&staged).await.unwrap_err();
    assert_eq!(error.effect(), Effect::Partial);
}
