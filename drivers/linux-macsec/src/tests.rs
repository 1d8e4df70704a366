//! MKA against a scripted daemon, which answers as wpa_supplicant 2.10 was recorded to.

use crate::LinuxMacsecDriver;
use qkd_driver_kit::{
    Driver, OpenContext,
    link::{
        datagram::{DatagramPeer, DatagramService, Datagrams},
        memory::Endpoint,
    },
};
use qkd_hal::{
    Effect, Encryptor, Error, ErrorKind, Key, KeyId,
    device::HealthState,
    encryptor::{ChannelId, ChannelState, HalfDoneRoll, Staged},
};
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};
use zeroize::Zeroizing;

const WITHIN: Duration = Duration::from_secs(1);

/// One end; the other one is as the fields say.
#[derive(Clone)]
struct Daemon {
    networks: usize,
    policy: &'static str,
    key_management: &'static str,
    has_mka: bool,
    state: &'static str,
    /// Name of the key of the configuration file, and of the one that was set.
    file: String,
    stored: String,
    /// Name and member identifier of the participant.
    running: String,
    member: u64,
    is_secured: bool,
    live_peers: u32,
    keys: u32,
    /// Start of commands that are refused, that start nothing, and all that came.
    refuses: &'static str,
    stays: bool,
    commands: Vec<String>,
}

impl Daemon {
    fn status(&self) -> String {
        let mut text = format!(
            "key_mgmt={}\nwpa_state={}\naddress=02:00:00:00:00:0a\n",
            self.key_management, self.state
        );
        if self.has_mka {
            let flag = |is| if is { "Yes" } else { "No" };
            text += &format!(
                "PAE KaY status=Active\nSecured={}\nFailed=No\nNumber of Keys Distributed={}\n\
                 Number of Keys Received=0\nactor_sci=02:00:00:00:00:0a@1\nparticipant_idx=0\n\
                 ckn={}\nmi={:024x}\nmn=1\nlive_peers={}\npotential_peers=0\n",
                flag(self.is_secured),
                self.keys,
                self.running,
                self.member,
                self.live_peers
            );
        }
        text
    }

    fn start(&mut self) {
        self.running.clone_from(&self.stored);
        self.member += 1;
        (self.is_secured, self.live_peers, self.keys) = (false, 0, 0);
    }

    /// The daemon starts with the key of its configuration file.
    fn restart(&mut self) {
        self.stored.clone_from(&self.file);
        self.start();
    }

    fn agree(&mut self) {
        (self.is_secured, self.live_peers, self.keys) = (true, 1, 1);
    }

    fn answer(&mut self, command: &str) -> String {
        self.commands.push(command.to_owned());
        if !self.refuses.is_empty() && command.starts_with(self.refuses) {
            return "FAIL\n".to_owned();
        }
        let words: Vec<&str> = command.split(' ').collect();
        match words.as_slice() {
            ["PING"] => "PONG\n".to_owned(),
            ["GET", "version"] => "2.10".to_owned(),
            ["LIST_NETWORKS"] => {
                let rows = (0..self.networks).map(|n| format!("{n}\t\tany\t[CURRENT]\n"));
                let first = "network id / ssid / bssid / flags\n".to_owned();
                std::iter::once(first).chain(rows).collect()
            }
            ["GET_NETWORK", "0", "macsec_policy"] => self.policy.to_owned(),
            ["STATUS"] => self.status(),
            ["SET_NETWORK", "0", "mka_cak", _] => "OK\n".to_owned(),
            ["SET_NETWORK", "0", "mka_ckn", ckn] => {
                self.stored = (*ckn).to_owned();
                "OK\n".to_owned()
            }
            ["REASSOCIATE"] => {
                if !self.stays {
                    self.start();
                }
                "OK\n".to_owned()
            }
            _ => "UNKNOWN COMMAND\n".to_owned(),
        }
    }
}

struct Socket(Mutex<Daemon>);

impl DatagramService for Socket {
    fn answer(&self, peer: DatagramPeer, datagram: &[u8]) -> Datagrams {
        assert_eq!(peer, DatagramPeer::Unix);
        let reply = self.now().answer(std::str::from_utf8(datagram).unwrap());
        vec![Zeroizing::new(reply.into_bytes())]
    }
}

impl Socket {
    fn now(&self) -> std::sync::MutexGuard<'_, Daemon> {
        self.0.lock().unwrap()
    }

    fn count(&self, command: &str) -> usize {
        let daemon = self.now();
        let all = daemon.commands.iter();
        all.filter(|one| one.starts_with(command)).count()
    }
}

fn daemon() -> Daemon {
    let first = "11".repeat(16);
    Daemon {
        networks: 1,
        policy: "1",
        key_management: "NONE",
        has_mka: true,
        state: "COMPLETED",
        file: first.clone(),
        stored: first.clone(),
        running: first,
        member: 1,
        is_secured: true,
        live_peers: 1,
        keys: 1,
        refuses: "",
        stays: false,
        commands: Vec::new(),
    }
}

type Handle = Arc<dyn Encryptor>;

async fn open(daemon: Daemon) -> Result<(Handle, Arc<Socket>), Error> {
    let socket = Arc::new(Socket(Mutex::new(daemon)));
    let endpoint = Endpoint::Datagram(Arc::clone(&socket) as Arc<dyn DatagramService>);
    let context = OpenContext::new().with_memory("daemon", endpoint);
    let uri = "linux-macsec+mem://daemon/eth3?peer=wpa_supplicant&deadline=2s";
    let opened = LinuxMacsecDriver.open(&uri.parse()?, &context).await?;
    Ok((opened.encryptor()?, socket))
}

fn channel() -> ChannelId {
    "eth3".into()
}

fn key(number: u8, secret: u8) -> Key {
    let id = KeyId::from_bytes(&[number; 16]).unwrap();
    Key::new(id, Zeroizing::new(vec![secret; 32]))
}

async fn stage(end: &Handle, number: u8) -> Staged {
    end.stage(&channel(), &key(number, 0xa7)).await.unwrap()
}

fn outcome(error: &Error) -> (ErrorKind, Effect) {
    (error.kind(), error.effect())
}

#[tokio::test(start_paused = true)]
async fn a_roll_says_what_it_does_to_traffic() {
    let (end, socket) = open(daemon()).await.unwrap();
    let declared = end.encryptor_capabilities();
    assert!(declared.activate_both && !declared.hitless.is_hitless());
    assert!(declared.hitless.evidence().contains("addresses"));
    assert_eq!(declared.half_done_roll, HalfDoneRoll::StopsAtActivation);
    let staged = stage(&end, 2).await;
    assert_eq!(socket.count("REASSOCIATE"), 0, "staging interrupts nothing");
    end.activate(&staged).await.unwrap();
    let confirmation = end.confirm(&staged, WITHIN).await.unwrap();
    assert!(
        !confirmation.is_confirmed(),
        "the other end was not activated"
    );
    socket.now().agree();
    let confirmation = end.confirm(&staged, WITHIN).await.unwrap();
    assert!(confirmation.is_confirmed(), "{}", confirmation.evidence());
    let status = end.channel(&channel()).await.unwrap();
    assert_eq!(status.state, ChannelState::Encrypting);
    assert_eq!(end.health().await.unwrap().state, HealthState::Ok);
    let identity = end.identity().await.unwrap();
    assert_eq!(identity.firmware.as_deref(), Some("2.10"));
    assert_eq!(identity.serial.as_deref(), Some("02000000000a0001"));
}

#[tokio::test(start_paused = true)]
async fn daemons_that_cannot_be_keyed_are_refused_with_what_to_do() {
    type Change = fn(&mut Daemon);
    let cases: [(&str, Change); 7] = [
        ("exactly one", |d| d.networks = 2),
        ("exactly one", |d| d.networks = 0),
        ("set it to 1", |d| d.policy = "0"),
        ("CONFIG_MACSEC", |d| d.refuses = "GET_NETWORK"),
        ("macsec_linux", |d| d.has_mka = false),
        ("key_mgmt=NONE", |d| d.key_management = "IEEE8021X"),
        ("control socket", |d| d.refuses = "PING"),
    ];
    for (advice, change) in cases {
        let mut daemon = daemon();
        change(&mut daemon);
        let error = open(daemon).await.err().unwrap();
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
        assert!(error.message().contains(advice), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_interruption_of_a_staging_never_leaves_the_new_name_on_the_old_key() {
    let (end, socket) = open(daemon()).await.unwrap();
    socket.now().refuses = "SET_NETWORK 0 mka_cak";
    let error = end.stage(&channel(), &key(2, 7)).await.unwrap_err();
    assert_eq!(outcome(&error), (ErrorKind::Refused, Effect::None));
    assert_eq!(error.vendor_text(), Some("FAIL"));
    assert_eq!(socket.count("SET_NETWORK 0 mka_ckn"), 0);
    socket.now().refuses = "SET_NETWORK 0 mka_ckn";
    let error = end.stage(&channel(), &key(2, 7)).await.unwrap_err();
    assert_eq!(outcome(&error), (ErrorKind::Refused, Effect::Partial));
}

#[tokio::test(start_paused = true)]
async fn a_first_traffic_key_is_awaited() {
    let (end, socket) = open(daemon()).await.unwrap();
    let staged = stage(&end, 2).await;
    let early = end.confirm(&staged, Duration::ZERO).await.unwrap();
    assert!(!early.is_confirmed(), "it was not activated");
    end.activate(&staged).await.unwrap();
    socket.now().agree();
    socket.now().keys = 0;
    let confirmation = end.confirm(&staged, WITHIN).await.unwrap();
    assert!(!confirmation.is_confirmed(), "{}", confirmation.evidence());
    let status = end.channel(&channel()).await.unwrap();
    assert_eq!(status.state, ChannelState::Exchanging);
}

#[tokio::test(start_paused = true)]
async fn a_key_that_a_restart_lost_is_found() {
    let (end, socket) = open(daemon()).await.unwrap();
    let staged = stage(&end, 2).await;
    socket.now().restart();
    let error = end.activate(&staged).await.unwrap_err();
    assert_eq!(outcome(&error), (ErrorKind::NotReady, Effect::None));
    assert_eq!(socket.count("REASSOCIATE"), 0);

    let staged = stage(&end, 2).await;
    end.activate(&staged).await.unwrap();
    socket.now().agree();
    socket.now().restart();
    let confirmation = end.confirm(&staged, WITHIN).await.unwrap();
    assert!(!confirmation.is_confirmed());
    assert!(confirmation.evidence().contains("restarted"));
    let status = end.channel(&channel()).await.unwrap();
    assert_eq!(status.state, ChannelState::Failed);
    let health = end.health().await.unwrap();
    assert!(health.faults.iter().any(|f| f.contains("was activated")));
}

#[tokio::test(start_paused = true)]
async fn a_key_in_use_is_not_activated_again() {
    let (end, socket) = open(daemon()).await.unwrap();
    let staged = stage(&end, 2).await;
    end.activate(&staged).await.unwrap();
    end.activate(&staged).await.unwrap();
    assert_eq!(socket.count("REASSOCIATE"), 1);
    // Staged again under its name, it may be another one.
    let staged = end.stage(&channel(), &key(2, 9)).await.unwrap();
    end.activate(&staged).await.unwrap();
    assert_eq!(socket.count("REASSOCIATE"), 2);
}

#[tokio::test(start_paused = true)]
async fn a_key_of_another_program_is_not_taken_for_the_staged_one() {
    let (end, socket) = open(daemon()).await.unwrap();
    let first = stage(&end, 2).await;
    stage(&end, 3).await;
    let error = end.activate(&first).await.unwrap_err();
    assert_eq!(outcome(&error), (ErrorKind::NotReady, Effect::None));
    let staged = stage(&end, 4).await;
    socket.now().stored = "05".repeat(16);
    let error = end.activate(&staged).await.unwrap_err();
    assert_eq!(error.effect(), Effect::Partial);
    assert!(error.message().contains("05050505-"), "{error}");
    let unknown = Staged::new(channel(), key(9, 1).id().clone(), None, "");
    let (other, _) = open(daemon()).await.unwrap();
    let error = other.activate(&unknown).await.unwrap_err();
    assert_eq!(outcome(&error), (ErrorKind::NotReady, Effect::None));
}

#[tokio::test(start_paused = true)]
async fn a_daemon_that_starts_no_participant_is_reported() {
    let (end, socket) = open(daemon()).await.unwrap();
    let staged = stage(&end, 2).await;
    socket.now().stays = true;
    let error = end.activate(&staged).await.unwrap_err();
    assert_eq!(error.effect(), Effect::Unknown);
    assert!(error.message().contains("carrier"), "{error}");
    socket.now().refuses = "REASSOCIATE";
    let error = end.activate(&staged).await.unwrap_err();
    assert_eq!(outcome(&error), (ErrorKind::Refused, Effect::None));
}

#[tokio::test(start_paused = true)]
async fn zeroizing_leaves_a_key_that_no_device_has() {
    let (end, socket) = open(daemon()).await.unwrap();
    let staged = stage(&end, 2).await;
    end.zeroize(&channel()).await.unwrap();
    let daemon = socket.now().clone();
    assert!(daemon.running != daemon.file && daemon.running != "02".repeat(16));
    let error = end.activate(&staged).await.unwrap_err();
    assert_eq!(outcome(&error), (ErrorKind::NotReady, Effect::None));
    let mut caks = daemon.commands.iter().filter(|c| c.contains("mka_cak"));
    assert_ne!(caks.next(), caks.next());
}

#[tokio::test(start_paused = true)]
async fn a_daemon_that_has_just_started_is_opened_and_keyed() {
    let mut starting = daemon();
    (starting.state, starting.has_mka) = ("ASSOCIATING", false);
    let (end, socket) = open(starting).await.unwrap();
    let status = end.channel(&channel()).await.unwrap();
    assert_eq!(status.state, ChannelState::Initialising);
    let staged = stage(&end, 2).await;
    {
        let mut daemon = socket.now();
        (daemon.state, daemon.has_mka) = ("COMPLETED", true);
        daemon.start();
    }
    // It has associated with the key that was staged.
    end.activate(&staged).await.unwrap();
    assert_eq!(socket.count("REASSOCIATE"), 0);
    socket.now().agree();
    let confirmation = end.confirm(&staged, WITHIN).await.unwrap();
    assert!(confirmation.is_confirmed(), "{}", confirmation.evidence());
}

#[tokio::test(start_paused = true)]
async fn a_port_that_does_not_associate_is_disabled() {
    let mut stopped = daemon();
    stopped.state = "DISCONNECTED";
    (stopped.is_secured, stopped.live_peers) = (false, 0);
    let (end, _) = open(stopped).await.unwrap();
    let status = end.channel(&channel()).await.unwrap();
    assert_eq!(status.state, ChannelState::Disabled);
    let health = end.health().await.unwrap();
    assert!(health.faults[0].contains("DISCONNECTED"));
    let error = end.channel(&"eth9".into()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
}

#[tokio::test(start_paused = true)]
async fn the_peer_in_memory_is_named() {
    let context = OpenContext::new();
    for uri in [
        "linux-macsec+mem://daemon?peer=strongswan",
        "linux-macsec+unixgram:///run/wpa_supplicant/eth0?peer=kernel",
        "linux-macsec+unixgram:///run/wpa_supplicant/",
    ] {
        let uri = uri.parse().unwrap();
        let error = LinuxMacsecDriver.open(&uri, &context).await.err().unwrap();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
    }
}
