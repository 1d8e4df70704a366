//! An emulated pair, the journal and the QKD modules that outlive a process, and processes that end
//! at a chosen exchange.

use async_trait::async_trait;
use qkd_driver_kit::{
    OpenContext,
    credentials::{CredentialEntry, Credentials},
    link::{
        bytes::Connector,
        datagram::{DatagramPeer, DatagramService, Datagrams},
        memory::{Endpoint, MemoryConnector},
        snmp::{ErrorStatus, Notification, Oid, SnmpService, Value, VarBind},
    },
    wrap::fault::{FaultSource, LinkFault},
};
use qkd_emulators::{
    Clock, FaultInjector,
    model::encryptor::{
        Traffic,
        forced::{ForcedRekeyEndpoint, ForcedRekeyLink, REKEY_OUTAGE},
        mka::{MkaEndpoint, MkaLink},
        psk::{OnFailure, PskEndpoint, PskLink, PskRules},
    },
    profile::{InMemory, Options},
    profiles,
    server::memory::attach,
    vendor::{
        adva_fsp150, adva_fsp3000r7, ciena_waveserver, infinera_xtm,
        linux_macsec::{self, MacsecPair, operator},
        nokia, packetlight,
        strongswan::{CharonPair, Settings},
        wireguard::WireGuardPair,
    },
    wire::{ByteService, snmp::NodeOptions},
};
use qkd_hal::{Identity, Key, KeyId, Result, units::Bits};
use qkd_hardware::drivers::strongswan::proto::{Element, command};
use qkd_keyflow::{EncryptorPair, KeySource, RollEnd, RollObserver, RollRecord};
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha12Rng;
use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream},
    sync::Notify,
    time::sleep,
};
use zeroize::Zeroizing;

const HOUR: Duration = Duration::from_secs(3600);

/// The officer, as credentials name it.
const OFFICER: &str = "noc";
const OFFICER_PASSWORD: &str = "Officer-of-the-bench";

type Policy = (PskRules, OnFailure);

const R7: Policy = (adva_fsp3000r7::RULES, adva_fsp3000r7::ON_FAILURE);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Family {
    /// Two slots.
    Nokia,
    /// Forced re-initialisation.
    PacketLight,
    /// A second association before the first ends.
    StrongSwan,
    /// The next handshake, which no command starts.
    WireGuard,
    /// Four slots, static SAKs.
    LinuxMacsec,
    /// MKA by wpa_supplicant, which reassociates with a key that was set over the one before.
    LinuxMka,
    /// A key exchange on command, with the officer's password.
    AdvaFsp3000R7,
    /// A key exchange on command, with the crypto password.
    AdvaFsp150,
    /// The next re-authentication, which no command starts.
    Ciena,
    /// The next authentication of the IKE peer, which no command starts.
    InfineraXtm,
}

pub(crate) const FAMILIES: [Family; 10] = [
    Family::Nokia,
    Family::PacketLight,
    Family::StrongSwan,
    Family::WireGuard,
    Family::LinuxMacsec,
    Family::LinuxMka,
    Family::AdvaFsp3000R7,
    Family::AdvaFsp150,
    Family::Ciena,
    Family::InfineraXtm,
];

impl Family {
    fn driver(self) -> &'static str {
        match self {
            Self::Nokia => "nokia-sros-macsec",
            Self::PacketLight => "packetlight",
            Self::StrongSwan => "strongswan",
            Self::WireGuard => "wireguard",
            Self::LinuxMacsec | Self::LinuxMka => "linux-macsec",
            Self::AdvaFsp3000R7 => "adva-fsp3000r7",
            Self::AdvaFsp150 => "adva-fsp150",
            Self::Ciena => "ciena-waveserver",
            Self::InfineraXtm => "infinera-xtm",
        }
    }

    /// The channel of which the key is rolled; `None`: there is one.
    fn channel(self) -> Option<&'static str> {
        (self == Self::AdvaFsp150).then_some("1.1")
    }

    /// Whether a device reports the ID of its key, and keeps the key before until it is retired.
    pub(crate) fn shows_keys(self) -> bool {
        matches!(self, Self::Nokia | Self::StrongSwan | Self::LinuxMacsec)
    }

    /// Whether a roll that is interrupted drops no traffic.
    pub(crate) fn is_hitless(self) -> bool {
        matches!(self, Self::Nokia | Self::LinuxMacsec)
    }

    /// The longest time between two processes: longer than the time between two exchanges, so that
    /// some of them find different keys at the ends.
    pub(crate) fn longest_gap(self) -> Duration {
        match self {
            Self::Ciena | Self::InfineraXtm => 2 * HOUR,
            _ => Duration::from_secs(40),
        }
    }

    /// The exchange after this one at which a roll is cut. A device whose next exchange has to be
    /// waited for is polled hundreds of times: a few of these polls are cut.
    pub(crate) fn next_cut(self, n: usize) -> usize {
        match self {
            Self::WireGuard if n >= 24 => n + 101,
            Self::Ciena | Self::InfineraXtm if n >= 32 => n + 101,
            _ => n + 1,
        }
    }
}

/// Side of an exchange on which a process ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cut {
    /// The request is not sent.
    BeforeRequest,
    /// The device has processed the request, and its reply does not arrive.
    BeforeReply,
}

pub(crate) const CUTS: [Cut; 2] = [Cut::BeforeRequest, Cut::BeforeReply];

/// The exchanges of one process with both devices.
#[derive(Default)]
pub(crate) struct Exchanges {
    state: Mutex<ExchangeState>,
    cut: Notify,
}

#[derive(Default)]
struct ExchangeState {
    seen: usize,
    due: Option<(usize, Cut)>,
    is_cut: bool,
    /// Octets that were written to the devices.
    written: Vec<Zeroizing<Vec<u8>>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Exchanges {
    /// Ends the process at an exchange; `None`: the process ends on its own.
    pub(crate) fn cut_at(due: Option<(usize, Cut)>) -> Arc<Self> {
        let new = Self::default();
        lock(&new.state).due = due;
        Arc::new(new)
    }

    pub(crate) fn is_cut(&self) -> bool {
        lock(&self.state).is_cut
    }

    /// Whether these octets were written to a device, as they are or as hexadecimal digits.
    pub(crate) fn has_written(&self, secret: &[u8]) -> bool {
        let digits = hex::encode(secret);
        let contains = |octets: &[u8], part: &[u8]| octets.windows(part.len()).any(|w| w == part);
        lock(&self.state).written.iter().any(|octets| {
            contains(octets, secret) || contains(&octets.to_ascii_lowercase(), digits.as_bytes())
        })
    }

    /// Counts a request over a byte stream; whether it reaches the device.
    fn begin_exchange(&self, request: &[u8]) -> bool {
        let mut state = lock(&self.state);
        let number = state.seen;
        state.seen += 1;
        if state.due == Some((number, Cut::BeforeRequest)) {
            state.is_cut = true;
            self.cut.notify_one();
        }
        let passes = !state.is_cut;
        if passes {
            state.written.push(Zeroizing::new(request.to_vec()));
        }
        passes
    }

    /// Whether a reply over a byte stream reaches the process.
    fn passes_reply(&self) -> bool {
        let mut state = lock(&self.state);
        let last = state.seen.checked_sub(1);
        if last.is_some_and(|number| state.due == Some((number, Cut::BeforeReply))) {
            state.is_cut = true;
            self.cut.notify_one();
        }
        !state.is_cut
    }

    fn reaches_device(&self) -> bool {
        let state = lock(&self.state);
        !state.is_cut && state.due != Some((state.seen, Cut::BeforeRequest))
    }
}

/// Counts the exchanges, and withholds the reply of the one at which the process ends.
struct Replies(Arc<Exchanges>);

impl FaultSource for Replies {
    fn next(&self) -> Vec<LinkFault> {
        let mut state = lock(&self.0.state);
        let number = state.seen;
        state.seen += 1;
        if state.due.is_some_and(|(due, _)| due == number) {
            state.is_cut = true;
            self.0.cut.notify_one();
        }
        match state.is_cut {
            true => vec![LinkFault::Drop],
            false => Vec::new(),
        }
    }
}

/// The way to an agent, which requests of an ended process do not pass.
struct Gate<A: ?Sized> {
    agent: Arc<A>,
    exchanges: Arc<Exchanges>,
}

impl<A: SnmpService + ?Sized> SnmpService for Gate<A> {
    fn get(&self, oid: &Oid) -> Value {
        if self.exchanges.reaches_device() {
            self.agent.get(oid)
        } else {
            Value::NoSuchObject
        }
    }
    fn next(&self, oid: &Oid) -> Option<VarBind> {
        self.exchanges
            .reaches_device()
            .then(|| self.agent.next(oid))?
    }
    fn set(&self, request_id: i32, binds: &[VarBind]) -> Result<(), (ErrorStatus, usize)> {
        if !self.exchanges.reaches_device() {
            return Ok(());
        }
        for bind in binds {
            if let Value::OctetString(octets) = &bind.value {
                let octets = Zeroizing::new(octets.clone());
                lock(&self.exchanges.state).written.push(octets);
            }
        }
        self.agent.set(request_id, binds)
    }
    fn notifications(&self) -> tokio::sync::broadcast::Receiver<Notification> {
        self.agent.notifications()
    }
}

/// The way to a kernel or a daemon, which requests of an ended process do not pass.
struct Kernel {
    sockets: Arc<dyn DatagramService>,
    exchanges: Arc<Exchanges>,
}

impl DatagramService for Kernel {
    fn answer(&self, peer: DatagramPeer, datagram: &[u8]) -> Datagrams {
        if !self.exchanges.begin_exchange(datagram) {
            return Vec::new();
        }
        let answer = self.sockets.answer(peer, datagram);
        match self.exchanges.passes_reply() {
            true => answer,
            false => Vec::new(),
        }
    }
}

/// Passes the requests of a process to a device with a byte protocol, and its replies back.
async fn pass(exchanges: Arc<Exchanges>, device: Arc<dyn Connector>, client: DuplexStream) {
    let device = device.connect(Duration::ZERO).await.unwrap();
    let (mut requests, mut to_client) = tokio::io::split(client);
    let (mut replies, mut to_device) = tokio::io::split(device);
    let forward = async {
        let mut buffer = Zeroizing::new(vec![0; 64 * 1024]);
        // A request is one write, which one read takes whole.
        while let Ok(n @ 1..) = requests.read(&mut buffer).await {
            let request = &buffer[..n];
            if exchanges.begin_exchange(request) && to_device.write_all(request).await.is_err() {
                return;
            }
        }
    };
    let backward = async {
        let mut buffer = vec![0; 64 * 1024];
        while let Ok(n @ 1..) = replies.read(&mut buffer).await {
            if exchanges.passes_reply() && to_client.write_all(&buffer[..n]).await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        () = forward => {}
        () = backward => {}
    }
}

/// The agents of both devices, and their model.
enum Devices {
    StrongSwan(Arc<CharonPair>, tempfile::TempDir),
    WireGuard(Arc<WireGuardPair>),
    LinuxMacsec(Arc<MacsecPair>),
    LinuxMka(InMemory),
    Nokia(
        [Arc<qkd_emulators::wire::snmp::Agent<nokia::Nokia>>; 2],
        Arc<MkaLink>,
    ),
    PacketLight(
        [Arc<qkd_emulators::wire::snmp::Agent<packetlight::PacketLight>>; 2],
        Arc<ForcedRekeyLink>,
    ),
    /// Secrets that authenticate a key exchange.
    Psk([Arc<dyn SnmpService>; 2], Arc<PskLink>),
}

/// A key that the QKD modules have given out.
pub(crate) struct Issued {
    pub(crate) id: KeyId,
    pub(crate) secret: Zeroizing<Vec<u8>>,
}

/// The key that one end uses: its ID where the end shows one, and the fingerprint of the secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct InUse {
    pub(crate) id: Option<Vec<u8>>,
    pub(crate) fingerprint: String,
    /// Number of keys on the device.
    pub(crate) keys: usize,
}

/// The world outside the processes.
pub(crate) struct World {
    pub(crate) family: Family,
    devices: Devices,
    /// Lines of the journal, as a file has them.
    lines: Arc<Mutex<Vec<String>>>,
    keeps_staged: bool,
    exchanges_periodically: bool,
    issued: Arc<Mutex<Vec<Issued>>>,
    random: Arc<Mutex<ChaCha12Rng>>,
}

/// The journal, as a process writes it.
pub(crate) struct Journal {
    lines: Arc<Mutex<Vec<String>>>,
    keeps_staged: bool,
    exchanges: Arc<Exchanges>,
    /// Stops the roll after this number of records.
    pub(crate) stop_after: Option<usize>,
    written: usize,
}

#[async_trait]
impl RollObserver for Journal {
    async fn record(&mut self, record: &RollRecord) {
        assert!(!self.exchanges.is_cut(), "{record:?} of an ended process");
        self.written += 1;
        let record = match record {
            RollRecord::Staged { key_id, end, .. } if !self.keeps_staged => RollRecord::Done {
                key_id: key_id.clone(),
                end: *end,
                step: qkd_keyflow::Step::Stage,
            },
            record => record.clone(),
        };
        lock(&self.lines).push(serde_json::to_string(&record).unwrap());
    }
    fn is_stop_requested(&self) -> bool {
        self.stop_after.is_some_and(|n| self.written >= n)
    }
}

/// Both QKD modules.
pub(crate) struct Modules {
    issued: Arc<Mutex<Vec<Issued>>>,
    random: Arc<Mutex<ChaCha12Rng>>,
}

#[async_trait]
impl KeySource for Modules {
    async fn take(&mut self, size: Bits) -> Result<[Key; 2]> {
        let mut random = lock(&self.random);
        let mut id = [0; 16];
        random.fill_bytes(&mut id);
        let mut secret = Zeroizing::new(vec![0; usize::try_from(size.0 / 8).unwrap()]);
        random.fill_bytes(&mut secret);
        let id = KeyId::from_bytes(&id).unwrap();
        lock(&self.issued).push(Issued {
            id: id.clone(),
            secret: secret.clone(),
        });
        Ok([Key::new(id.clone(), secret.clone()), Key::new(id, secret)])
    }
}

impl World {
    /// A pair that uses a first key.
    pub(crate) async fn new(family: Family, seed: u64) -> Self {
        let devices = match family {
            Family::PacketLight => {
                let link = ForcedRekeyLink::new(Clock::default(), b"first secret");
                let agents = [0, 1].map(|n| {
                    let identity = Identity::new("PacketLight").with_serial(format!("PL{n}"));
                    let end = ForcedRekeyEndpoint::new(Arc::clone(&link), n, "uplink-1", identity);
                    packetlight::agent(Arc::new(end), packetlight::Options::named("pl"))
                });
                Devices::PacketLight(agents, link)
            }
            Family::Nokia => {
                let link = MkaLink::new(Clock::default(), seed);
                let agents = [0, 1].map(|n| {
                    let identity = Identity::new("Nokia").with_model("7750 SR-1");
                    let end = MkaEndpoint::new(Arc::clone(&link), n, "ca1", identity);
                    nokia::agent(Arc::new(end), nokia::Options::named("sr"))
                });
                Devices::Nokia(agents, link)
            }
            Family::StrongSwan => strongswan(seed),
            Family::WireGuard => Devices::WireGuard(wireguard(seed)),
            Family::LinuxMacsec => Devices::LinuxMacsec(macsec(Clock::default())),
            Family::LinuxMka => Devices::LinuxMka(supplicants(seed)),
            Family::AdvaFsp3000R7 => adva_fsp3000r7(),
            Family::AdvaFsp150 => adva_fsp150(),
            Family::Ciena => ciena(),
            Family::InfineraXtm => infinera_xtm(),
        };
        let world = Self {
            family,
            devices,
            lines: Arc::default(),
            keeps_staged: true,
            exchanges_periodically: false,
            issued: Arc::default(),
            random: Arc::new(Mutex::new(ChaCha12Rng::seed_from_u64(seed))),
        };
        // A PacketLight pair agrees on its first secret without a command.
        sleep(Duration::from_secs(5)).await;
        let exchanges = Exchanges::cut_at(None);
        let outcome = world.run(&exchanges, async |pair| world.roll(&exchanges, pair).await);
        assert!(matches!(
            outcome.await.unwrap(),
            qkd_keyflow::RollOutcome::Ended(report) if report.is_confirmed()
        ));
        world
    }

    /// A journal that writes no staged value down.
    pub(crate) fn without_staged_values(mut self) -> Self {
        self.keeps_staged = false;
        self
    }

    /// Key server priorities of the ends.
    pub(crate) fn with_far_key_server(self) -> Self {
        if let Devices::Nokia(_, link) = &self.devices {
            link.set_priority(1, 8);
        }
        self
    }

    /// Has the ends exchange keys at this interval, with the secrets that they have by then.
    pub(crate) fn with_exchange_period(mut self, period: Duration) -> Self {
        match &self.devices {
            Devices::PacketLight(_, link) => link.set_period(0, period).unwrap(),
            Devices::Psk(_, link) => link.set_interval(0, period).unwrap(),
            _ => {}
        }
        self.exchanges_periodically = true;
        self
    }

    /// Ends the periodic exchanges, and waits for the last one.
    pub(crate) async fn end_exchanges(&self) {
        match &self.devices {
            _ if !self.exchanges_periodically => {}
            Devices::PacketLight(_, link) => {
                link.set_period(0, Duration::ZERO).unwrap();
                sleep(REKEY_OUTAGE).await;
            }
            Devices::Psk(_, link) => {
                link.set_interval(0, HOUR).unwrap();
                sleep(Duration::from_secs(10)).await;
            }
            _ => {}
        }
    }

    pub(crate) fn journal(&self, exchanges: &Arc<Exchanges>) -> Journal {
        Journal {
            lines: Arc::clone(&self.lines),
            keeps_staged: self.keeps_staged,
            exchanges: Arc::clone(exchanges),
            stop_after: None,
            written: 0,
        }
    }

    /// The records, read as another process reads them.
    pub(crate) fn records(&self) -> Vec<RollRecord> {
        let lines = lock(&self.lines);
        lines
            .iter()
            .map(|l| serde_json::from_str(l).unwrap())
            .collect()
    }

    pub(crate) fn modules(&self) -> Modules {
        Modules {
            issued: Arc::clone(&self.issued),
            random: Arc::clone(&self.random),
        }
    }

    pub(crate) fn issued(&self) -> MutexGuard<'_, Vec<Issued>> {
        lock(&self.issued)
    }

    /// A seeded time below this one.
    pub(crate) fn delay(&self, below: Duration) -> Duration {
        let millis = u64::try_from(below.as_millis()).unwrap();
        Duration::from_millis(lock(&self.random).random_range(0..millis))
    }

    pub(crate) fn choose(&self, below: usize) -> usize {
        lock(&self.random).random_range(0..below)
    }

    /// Runs a process that opens both devices, works, and closes them. `None` if it was cut: its
    /// future is dropped with all that it held.
    pub(crate) async fn run<T>(
        &self,
        exchanges: &Arc<Exchanges>,
        work: impl AsyncFnOnce(EncryptorPair) -> Result<T>,
    ) -> Option<T> {
        let process = async {
            let [near, far] = self.endpoints(exchanges);
            let registry = qkd_hardware::registry();
            let assumptions = registry.drivers().flat_map(|d| d.info().assumptions);
            let mut context = OpenContext::new()
                .with_accepted_assumptions(assumptions.map(|a| a.id.to_string()))
                .with_memory("near", near)
                .with_memory("far", far)
                .with_credentials(officer());
            if matches!(
                self.devices,
                Devices::Nokia(..) | Devices::PacketLight(..) | Devices::Psk(..)
            ) {
                context = context.with_faults(Replies(Arc::clone(exchanges)));
            }
            let driver = self.family.driver();
            let own = |name: &str| match &self.devices {
                Devices::Nokia(..) | Devices::WireGuard(_) | Devices::LinuxMacsec(_) => {
                    String::new()
                }
                Devices::PacketLight(..) => "&psk-encoding=hex".to_owned(),
                Devices::StrongSwan(_, folder) => {
                    let file = folder.path().join(name);
                    format!("&connection=net&connections={}", file.display())
                }
                Devices::LinuxMka(_) => "&peer=wpa_supplicant".to_owned(),
                Devices::Psk(..) => format!("&credentials={OFFICER}"),
            };
            let uri = |name: &str| format!("{driver}+mem://{name}?deadline=2s{}", own(name));
            let opened = [
                registry.open(&uri("near"), &context).await?,
                registry.open(&uri("far"), &context).await?,
            ];
            let channel = self.family.channel();
            let pair = EncryptorPair::new(
                RollEnd::open(opened[0].encryptor()?, channel).await?,
                RollEnd::open(opened[1].encryptor()?, channel).await?,
            );
            let done = work(pair).await?;
            for device in &opened {
                device.device().close().await?;
            }
            Ok::<T, qkd_hal::Error>(done)
        };
        tokio::select! {
            biased;
            () = exchanges.cut.notified() => None,
            done = process => Some(done.unwrap()),
        }
    }

    fn endpoints(&self, exchanges: &Arc<Exchanges>) -> [Endpoint; 2] {
        fn gate<A: SnmpService + ?Sized + 'static>(
            agent: &Arc<A>,
            to: &Arc<Exchanges>,
        ) -> Endpoint {
            Endpoint::Snmp(Arc::new(Gate {
                agent: Arc::clone(agent),
                exchanges: Arc::clone(to),
            }))
        }
        match &self.devices {
            Devices::Nokia(agents, _) => [0, 1].map(|n| gate(&agents[n], exchanges)),
            Devices::PacketLight(agents, _) => [0, 1].map(|n| gate(&agents[n], exchanges)),
            Devices::Psk(agents, _) => [0, 1].map(|n| gate(&agents[n], exchanges)),
            Devices::StrongSwan(pair, _) => [0, 1].map(|n| {
                let pair = Arc::clone(pair);
                byte_gate(Arc::new(move || pair.session(n)), exchanges)
            }),
            Devices::WireGuard(pair) => [0, 1].map(|n| {
                let pair = Arc::clone(pair);
                byte_gate(Arc::new(move || pair.session(n)), exchanges)
            }),
            Devices::LinuxMacsec(pair) => {
                [0, 1].map(|n| datagram_gate(operator::endpoint(Arc::clone(pair), n), exchanges))
            }
            Devices::LinuxMka(memory) => {
                [0, 1].map(|n| datagram_gate(memory.endpoints()[n].1.clone(), exchanges))
            }
        }
    }

    /// A roll with a key of the modules.
    pub(crate) async fn roll(
        &self,
        exchanges: &Arc<Exchanges>,
        pair: EncryptorPair,
    ) -> Result<qkd_keyflow::RollOutcome> {
        let roll = pair.readiness().await?.ready()?;
        let [near, far] = self.modules().take(roll.key_size()).await?;
        roll.run([&near, &far], &mut self.journal(exchanges)).await
    }

    pub(crate) fn in_use(&self) -> [InUse; 2] {
        [0, 1].map(|end| match &self.devices {
            Devices::Nokia(_, link) => {
                let state = link.state(end);
                let slots = state.lines().filter(|l| l.contains("written at")).count();
                let active = link.active(end);
                InUse {
                    id: link.slot_of(end, active).map(|(ckn, ..)| ckn),
                    fingerprint: fingerprint_of(&state, &format!("slot {active}: ")),
                    keys: slots,
                }
            }
            Devices::PacketLight(_, link) => InUse {
                id: None,
                fingerprint: fingerprint_of(&link.state(end), "secret: "),
                keys: 1,
            },
            Devices::StrongSwan(pair, _) => {
                let state = pair.state(end);
                // The newest association is the last one.
                let last = state.lines().rfind(|l| l.starts_with("IKE SA ")).unwrap();
                let id = last.split('"').nth(1).unwrap_or_else(|| panic!("{state}"));
                let keys = state
                    .lines()
                    .filter(|l| l.contains("-ppk-") && l.contains(": Ppk"));
                InUse {
                    id: Some(id.parse::<KeyId>().unwrap().as_bytes().to_vec()),
                    fingerprint: secret_of(&state, id),
                    keys: keys.count(),
                }
            }
            Devices::WireGuard(pair) => InUse {
                id: None,
                fingerprint: preshared_of(&pair.state(end)),
                keys: 1,
            },
            Devices::LinuxMacsec(pair) => sak_in_use(&pair.state(end)),
            Devices::LinuxMka(memory) => cak_in_use(&memory.state(), end),
            Devices::Psk(_, link) => InUse {
                id: None,
                fingerprint: fingerprint_of(&link.state(end), "secret: "),
                keys: 1,
            },
        })
    }

    /// The fingerprint that a device shows of this secret.
    pub(crate) fn fingerprint(&self, secret: &[u8]) -> String {
        match self.family {
            Family::Nokia => {
                let link = MkaLink::new(Clock::manual(), 0);
                link.write_slot(0, 1, &[1], Zeroizing::new(secret.to_vec()))
                    .unwrap();
                fingerprint_of(&link.state(0), "slot 1: ")
            }
            Family::PacketLight => {
                let text = hex::encode(secret);
                let link = ForcedRekeyLink::new(Clock::manual(), text.as_bytes());
                fingerprint_of(&link.state(0), "secret: ")
            }
            Family::AdvaFsp3000R7 | Family::AdvaFsp150 | Family::InfineraXtm => {
                let link = psk_link(Clock::manual(), hex::encode(secret).as_bytes(), R7);
                fingerprint_of(&link.state(0), "secret: ")
            }
            Family::Ciena => {
                let link = psk_link(Clock::manual(), secret, R7);
                fingerprint_of(&link.state(0), "secret: ")
            }
            Family::StrongSwan => {
                let pair = CharonPair::new(Clock::manual(), Settings::default(), 0);
                load_secret(&pair, 0, "net-ppk-x", "ppk", secret, &["x"]);
                secret_of(&pair.state(0), "x")
            }
            Family::WireGuard => {
                let pair = wireguard(0);
                set_preshared(&pair, 0, secret);
                preshared_of(&pair.state(0))
            }
            Family::LinuxMacsec => {
                let pair = macsec(Clock::manual());
                operator::set_key(&pair, 0, 0, &[1; 16], secret);
                sak_in_use(&pair.state(0)).fingerprint
            }
            Family::LinuxMka => {
                let memory = supplicants(0);
                control(
                    &memory,
                    0,
                    &format!("SET_NETWORK 0 mka_cak {}", hex::encode(secret)),
                );
                control(&memory, 0, "REASSOCIATE");
                cak_in_use(&memory.state(), 0).fingerprint
            }
        }
    }

    /// Packets in both directions; `None` where the emulator has no traffic.
    pub(crate) fn traffic(&self) -> Option<[Traffic; 2]> {
        let of = |end| match &self.devices {
            Devices::Nokia(_, link) => Some(link.traffic_from(end)),
            Devices::PacketLight(_, link) => Some(link.traffic_from(end)),
            Devices::StrongSwan(pair, _) => Some(pair.traffic_from(end)),
            Devices::WireGuard(pair) => Some(pair.traffic_from(end)),
            Devices::LinuxMacsec(pair) => Some(pair.traffic_from(end)),
            Devices::LinuxMka(_) => None,
            Devices::Psk(_, link) => Some(link.traffic_from(end)),
        };
        Some([of(0)?, of(1)?])
    }

    /// Number of exchanges that found different keys at the ends; `None` for families in which
    /// none is expected between two processes.
    pub(crate) fn failed_exchanges(&self) -> Option<u64> {
        let is_expected = self.exchanges_periodically || self.family.longest_gap() > HOUR;
        match &self.devices {
            Devices::Psk(_, link) if is_expected => Some(link.failures().1),
            _ => None,
        }
    }

    /// Whether both daemons have agreed on a traffic key; `None` for other families.
    pub(crate) fn has_agreed(&self) -> Option<bool> {
        let Devices::LinuxMka(memory) = &self.devices else {
            return None;
        };
        let has_agreed = |end| {
            let status = control(memory, end, "STATUS");
            let has = |line: &str| status.lines().any(|l| l == line);
            has("Secured=Yes")
                && has("live_peers=1")
                && (has("Number of Keys Distributed=1") || has("Number of Keys Received=1"))
        };
        Some(has_agreed(0) && has_agreed(1))
    }
}

fn officer() -> Credentials {
    let entry = CredentialEntry::new(OFFICER).with("officer_password", OFFICER_PASSWORD);
    Credentials::from_environment().with(entry)
}

/// A pair that uses the same secret, and exchanges keys every hour.
fn psk_link(clock: Clock, secret: &[u8], (rules, on_failure): Policy) -> Arc<PskLink> {
    PskLink::new(clock, secret, rules, HOUR, on_failure)
}

fn psk_pair(
    secret: &[u8],
    policy: Policy,
    agent: impl Fn(PskEndpoint) -> Arc<dyn SnmpService>,
) -> Devices {
    let link = psk_link(Clock::default(), secret, policy);
    let agents = [0, 1].map(|n| {
        let identity = Identity::new("maker").with_serial(format!("S{n}"));
        agent(PskEndpoint::new(Arc::clone(&link), n, identity))
    });
    Devices::Psk(agents, link)
}

fn adva_fsp3000r7() -> Devices {
    psk_pair(b"first secret", R7, |end| {
        adva_fsp3000r7::agent(end, adva_fsp3000r7::Options::named("r7", OFFICER_PASSWORD))
    })
}

/// Flows with profiles of their own, of which the first is rolled.
fn adva_fsp150() -> Devices {
    let policy = (adva_fsp150::RULES, adva_fsp150::ON_FAILURE);
    let other = psk_link(Clock::default(), b"first secret", policy);
    psk_pair(b"first secret", policy, |end| {
        let identity = end.identity();
        let second = PskEndpoint::new(Arc::clone(&other), end.end(), identity);
        let mut options = adva_fsp150::Options::named("ge", OFFICER_PASSWORD);
        options.own_profiles = true;
        adva_fsp150::agent([end, second], b"first secret", options)
    })
}

fn ciena() -> Devices {
    let policy = (ciena_waveserver::RULES, ciena_waveserver::DROP);
    psk_pair(b"first secret key", policy, |end| {
        ciena_waveserver::agent(end, NodeOptions::named("ws", ciena_waveserver::ENTERPRISE))
    })
}

fn infinera_xtm() -> Devices {
    let policy = (infinera_xtm::RULES, infinera_xtm::ON_FAILURE);
    psk_pair("first secret ".repeat(5).as_bytes(), policy, |end| {
        infinera_xtm::agent(end, infinera_xtm::Options::named("xtm"))
    })
}

/// Daemons that use one key.
fn supplicants(seed: u64) -> InMemory {
    let options = Options {
        seed,
        ..Options::default()
    };
    profiles::in_memory("linux-macsec-mka-pair", &options).unwrap()
}

/// Sends a command to a daemon; returns its reply.
fn control(memory: &InMemory, end: usize, command: &str) -> String {
    let service = datagrams(memory.endpoints()[end].1.clone());
    let reply = service.answer(DatagramPeer::Unix, command.as_bytes());
    String::from_utf8(reply[0].to_vec()).unwrap()
}

/// The CAK of the participant that runs at an end, in the state text of the pair.
fn cak_in_use(state: &str, end: usize) -> InUse {
    let running = state
        .lines()
        .filter_map(|l| l.strip_prefix("running: CKN "));
    let (ckn, fingerprint) = running
        .collect::<Vec<_>>()
        .get(end)
        .and_then(|line| line.split_once(", CAK "))
        .unwrap_or_else(|| panic!("{state}"));
    InUse {
        id: Some(hex::decode(ckn).unwrap()),
        fingerprint: fingerprint.to_owned(),
        keys: 1,
    }
}

/// An endpoint of datagrams whose requests a process makes until it is cut.
fn datagram_gate(endpoint: Endpoint, exchanges: &Arc<Exchanges>) -> Endpoint {
    let exchanges = Arc::clone(exchanges);
    let sockets = datagrams(endpoint);
    Endpoint::Datagram(Arc::new(Kernel { sockets, exchanges }))
}

fn datagrams(endpoint: Endpoint) -> Arc<dyn DatagramService> {
    match endpoint {
        Endpoint::Datagram(service) => service,
        _ => unreachable!("it is one of datagrams"),
    }
}

/// An endpoint whose requests a process makes until it is cut.
fn byte_gate(service: Arc<dyn ByteService>, exchanges: &Arc<Exchanges>) -> Endpoint {
    let faults = FaultInjector::new(0, None);
    let Endpoint::Bytes(device) = attach("device", service, faults, Clock::default()) else {
        unreachable!("it is one of bytes");
    };
    let exchanges = Arc::clone(exchanges);
    Endpoint::Bytes(Arc::new(MemoryConnector::new("device", move |client| {
        tokio::spawn(pass(Arc::clone(&exchanges), Arc::clone(&device), client));
    })))
}

/// Loads a secret over the daemon's own interface.
fn load_secret(
    pair: &Arc<CharonPair>,
    end: usize,
    id: &str,
    kind: &str,
    data: &[u8],
    owners: &[&str],
) {
    let owners = owners.iter().map(|owner| owner.as_bytes()).collect();
    let message = [
        Element::Value("id", id.as_bytes()),
        Element::Value("type", kind.as_bytes()),
        Element::Value("data", data),
        Element::List("owners", owners),
    ];
    pair.session(end)
        .feed(&command("load-shared", &message).unwrap());
}

/// Daemons that authenticate each other, and the connection files of both ends.
fn strongswan(seed: u64) -> Devices {
    let settings = Settings {
        packets_per_second: 1000.0,
        ..Settings::default()
    };
    let pair = CharonPair::new(Clock::default(), settings, seed);
    let folder = tempfile::tempdir().unwrap();
    let ends = [("near", "192.0.2.1", "a", 1), ("far", "192.0.2.2", "b", 2)];
    for (end, (name, own, id, network)) in ends.into_iter().enumerate() {
        load_secret(&pair, end, "ike", "ike", &[7; 32], &["a", "b"]);
        let (_, peer, peer_id, peer_network) = ends[1 - end];
        let text = format!(
            "[connections.net]\nversion = 2\nlocal_addrs = [\"{own}\"]\n\
             remote_addrs = [\"{peer}\"]\nproposals = [\"aes256gcm16-prfsha256-x25519\"]\n\
             [connections.net.local]\nauth = \"psk\"\nid = \"{id}\"\n\
             [connections.net.remote]\nauth = \"psk\"\nid = \"{peer_id}\"\n\
             [connections.net.children.net]\nlocal_ts = [\"10.99.{network}.1/32\"]\n\
             remote_ts = [\"10.99.{peer_network}.1/32\"]\n\
             esp_proposals = [\"aes256gcm16-x25519\"]\n"
        );
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    Devices::StrongSwan(pair, folder)
}

/// Private and public key of each end.
const WIREGUARD_KEYS: [[&str; 2]; 2] = [
    [
        "4041414141414141414141414141414141414141414141414141414141414141",
        "7a1a4e709bf085ac494aba0469b9b1eda0ab1f78b16aabb79ffeda90623e8522",
    ],
    [
        "4042424242424242424242424242424242424242424242424242424242424242",
        "132c442be010fbd57e72603328aa76e71fccc1503aae219327d14d9c9993f472",
    ],
];

/// Devices that are each other's peer, with a keepalive at both.
fn wireguard(seed: u64) -> Arc<WireGuardPair> {
    let epoch = SystemTime::UNIX_EPOCH.elapsed().unwrap();
    let pair = WireGuardPair::new(Clock::default(), epoch, 1000.0, false, seed);
    for end in [1, 0] {
        let peer = 1 - end;
        let request = format!(
            "set=1\nprivate_key={}\nlisten_port=51820\npublic_key={}\n\
             endpoint=192.0.2.{}:51820\nallowed_ip=10.98.1.{}/32\n\
             persistent_keepalive_interval=25\n\n",
            WIREGUARD_KEYS[end][0],
            WIREGUARD_KEYS[peer][1],
            peer + 1,
            peer + 1
        );
        pair.session(end).feed(request.as_bytes());
    }
    pair
}

fn set_preshared(pair: &Arc<WireGuardPair>, end: usize, key: &[u8]) {
    let (peer, key) = (WIREGUARD_KEYS[1 - end][1], hex::encode(key));
    let request = format!("set=1\npublic_key={peer}\npreshared_key={key}\n\n");
    pair.session(end).feed(request.as_bytes());
}

/// Interfaces with a receive channel and without keys.
fn macsec(clock: Clock) -> Arc<MacsecPair> {
    let settings = linux_macsec::Settings {
        frames_per_second: 1000.0,
        ..linux_macsec::Settings::default()
    };
    let pair = MacsecPair::new(clock, settings);
    for end in 0..2 {
        operator::add_channel(&pair, end);
    }
    pair
}

/// The SAK with which a kernel sends, in its state text.
fn sak_in_use(state: &str) -> InUse {
    let field = |text: &str, name: &str| -> String {
        let (_, rest) = text
            .split_once(name)
            .unwrap_or_else(|| panic!("{name}: {state}"));
        rest.split(',').next().unwrap().to_owned()
    };
    let encoding = field(state, "encoding SA ");
    let ids: BTreeSet<String> = state
        .split("; ")
        .flat_map(|part| part.split('\n'))
        .filter(|part| part.contains("id "))
        .map(|part| field(part, "id "))
        .collect();
    let sending = state
        .lines()
        .find_map(|l| l.strip_prefix("send: "))
        .unwrap();
    let start = format!("{encoding}: ");
    let one = sending.split("; ").find(|one| one.starts_with(&start));
    let one = one.unwrap_or_else(|| panic!("{state}"));
    InUse {
        id: Some(hex::decode(field(one, "id ")).unwrap()),
        fingerprint: field(one, "key "),
        keys: ids.len(),
    }
}

/// The fingerprint of the PPK of this id in the state text of a daemon.
fn secret_of(state: &str, id: &str) -> String {
    let start = format!("secret net-ppk-{id}: ");
    let rest = state.lines().find_map(|l| l.strip_prefix(&*start));
    let rest = rest.unwrap_or_else(|| panic!("no secret {id}: {state}"));
    rest.rsplit(": ").next().unwrap().to_owned()
}

/// The fingerprint of the preshared key in the state text of a device.
fn preshared_of(state: &str) -> String {
    let (_, rest) = state.split_once("preshared key ").unwrap();
    rest.split(", endpoint").next().unwrap().to_owned()
}

/// The fingerprint of a secret in the state text of a model.
fn fingerprint_of(state: &str, line: &str) -> String {
    let rest = state.lines().find_map(|l| l.strip_prefix(line)).unwrap();
    match rest.split_once('(') {
        Some((_, rest)) => rest.split(')').next().unwrap().to_owned(),
        None => rest.to_owned(),
    }
}
