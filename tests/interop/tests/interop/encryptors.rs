//! Linked pairs of encryptors through their drivers: in memory under paused time where the wire
//! does not matter, over SNMPv3 on the loopback where it does.

use qkd_driver_kit::{
    OpenContext, OpenedDevice,
    credentials::{CredentialEntry, Credentials},
    link::{
        memory::Endpoint,
        snmp::{Oid, SnmpService, Value},
        snmp_udp::{NotificationReceiver, SnmpSecurity},
    },
    transcript::Transcript,
};
use qkd_emulators::{
    Clock, FaultInjector,
    fault::ApplyDeviceFault,
    model::encryptor::{
        Traffic,
        forced::{ForcedRekeyEndpoint, ForcedRekeyLink},
        mka::{MkaEndpoint, MkaLink},
    },
    profile::Options,
    profiles,
    server::snmp::{self, UsmUser},
    vendor::{nokia, packetlight},
    wire::snmp::SnmpAgent,
};
use qkd_hal::{
    Effect, Encryptor, ErrorKind, Event, EventKind, EventStream, Identity, Key, KeyId, Operation,
    Result, Support,
    capability::EventSupport,
    device::HealthState,
    encryptor::{ChannelId, ChannelState, Confirmation, Staged},
    event::StreamItem,
};
use std::{fmt::Debug, sync::Arc, time::Duration};
use tokio::time::sleep;
use zeroize::Zeroizing;

const USER: &str = "noc";
const AUTH_PASSWORD: &str = "for-tests-auth";
const PRIV_PASSWORD: &str = "for-tests-priv";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Family {
    PacketLight,
    Nokia,
}
use Family::{Nokia, PacketLight};

const FAMILIES: [Family; 2] = [PacketLight, Nokia];

impl Family {
    fn driver(self) -> &'static str {
        match self {
            PacketLight => "packetlight",
            Nokia => "nokia-sros-macsec",
        }
    }
    /// Returns the URI with the parameters of the family.
    fn uri(self, transport: &str, address: &str, more: &str) -> String {
        let own = if self == PacketLight {
            "psk-encoding=hex&"
        } else {
            ""
        };
        let deadline = if more.contains("deadline=") {
            ""
        } else {
            "deadline=2s&"
        };
        format!(
            "{}+{transport}://{address}?{deadline}{own}{more}",
            self.driver()
        )
    }
    /// Where an agent of this family keeps the key that it was given.
    fn key_object(self) -> Oid {
        match self {
            PacketLight => "1.3.6.1.4.1.4515.1.3.24.4.1.1.5.1295104".parse().unwrap(),
            Nokia => Oid::from([
                1, 3, 6, 1, 4, 1, 6527, 3, 1, 2, 114, 2, 4, 1, 5, 3, 99, 97, 49, 2,
            ]),
        }
    }
}

fn accepting(context: OpenContext) -> OpenContext {
    let registry = qkd_hardware::registry();
    let all: Vec<String> = registry
        .drivers()
        .flat_map(|d| d.info().assumptions)
        .map(|a| a.id.to_string())
        .collect();
    context.with_accepted_assumptions(all)
}

/// The agents of a pair, and their model.
struct Pair {
    agents: [Arc<dyn SnmpAgent>; 2],
    faulty: [Arc<dyn ApplyDeviceFault>; 2],
    traffic: Box<dyn Fn(usize) -> Traffic>,
}

impl Pair {
    fn new(family: Family) -> Self {
        fn both<A: SnmpAgent + ApplyDeviceFault + 'static>(
            agents: [Arc<A>; 2],
            traffic: impl Fn(usize) -> Traffic + 'static,
        ) -> Pair {
            let faulty = agents.clone().map(|a| a as Arc<dyn ApplyDeviceFault>);
            Pair {
                agents: agents.map(|a| a as Arc<dyn SnmpAgent>),
                faulty,
                traffic: Box::new(traffic),
            }
        }
        match family {
            PacketLight => {
                let link = ForcedRekeyLink::new(Clock::default(), b"first secret");
                let agents = [0, 1].map(|n| {
                    let end = Arc::new(ForcedRekeyEndpoint::new(
                        Arc::clone(&link),
                        n,
                        "uplink-1",
                        Identity::new("PacketLight").with_serial(format!("PL{n}")),
                    ));
                    packetlight::agent(end, packetlight::Options::named(&format!("pl-{n}")))
                });
                both(agents, move |end| link.traffic_from(end))
            }
            Nokia => {
                let link = MkaLink::new(Clock::default(), 1);
                let agents = [0, 1].map(|n| {
                    let end = Arc::new(MkaEndpoint::new(
                        Arc::clone(&link),
                        n,
                        "ca1",
                        Identity::new("Nokia").with_model("7750 SR-1"),
                    ));
                    nokia::agent(end, nokia::Options::named(&format!("sr-{n}")))
                });
                both(agents, move |end| link.traffic_from(end))
            }
        }
    }
}

/// Both encryptors of a pair, opened.
struct EncryptorPair {
    family: Family,
    pair: Pair,
    opened: [OpenedDevice; 2],
    encryptors: [Arc<dyn Encryptor>; 2],
    channel: ChannelId,
    transcript: Transcript,
    context: OpenContext,
}

/// Waits for the confirmation as long as the encryptor declares.
async fn confirm(encryptor: &dyn Encryptor, staged: &Staged) -> Confirmation {
    let longest = encryptor.encryptor_capabilities().confirm_timeout;
    encryptor.confirm(staged, longest).await.unwrap()
}

impl EncryptorPair {
    /// Opens a pair in memory.
    async fn open(family: Family) -> Self {
        let pair = Pair::new(family);
        let transcript = Transcript::in_memory();
        let mut context = accepting(OpenContext::new()).with_transcript(transcript.clone());
        for (name, agent) in ["near", "far"].into_iter().zip(&pair.agents) {
            context = context.with_memory(
                name,
                Endpoint::Snmp(Arc::clone(agent) as Arc<dyn SnmpService>),
            );
        }
        let registry = qkd_hardware::registry();
        let opened = [
            registry
                .open(&family.uri("mem", "near", ""), &context)
                .await
                .unwrap(),
            registry
                .open(&family.uri("mem", "far", ""), &context)
                .await
                .unwrap(),
        ];
        let encryptors = [
            opened[0].encryptor().unwrap(),
            opened[1].encryptor().unwrap(),
        ];
        let channels = encryptors[0].channels().await.unwrap();
        assert_eq!(
            (channels.len(), &channels),
            (1, &encryptors[1].channels().await.unwrap())
        );
        // A PacketLight pair agrees on its first secret automatically.
        sleep(Duration::from_secs(5)).await;
        Self {
            family,
            pair,
            opened,
            encryptors,
            channel: channels[0].clone(),
            transcript,
            context,
        }
    }

    /// The program ends, and another one opens the same devices.
    async fn reopen(&mut self) {
        let registry = qkd_hardware::registry();
        for (n, name) in ["near", "far"].into_iter().enumerate() {
            self.encryptors[n].close().await.unwrap();
            self.opened[n] = registry
                .open(&self.family.uri("mem", name, ""), &self.context)
                .await
                .unwrap();
            self.encryptors[n] = self.opened[n].encryptor().unwrap();
        }
    }

    fn near(&self) -> &dyn Encryptor {
        &*self.encryptors[0]
    }

    /// Stages one key at each end, and makes them the ones in use.
    async fn place(&self, keys: [&Key; 2]) -> Result<[Staged; 2]> {
        let staged = [
            self.encryptors[0].stage(&self.channel, keys[0]).await?,
            self.encryptors[1].stage(&self.channel, keys[1]).await?,
        ];
        self.encryptors[0].activate(&staged[0]).await?;
        if self.near().encryptor_capabilities().activate_both {
            self.encryptors[1].activate(&staged[1]).await?;
        }
        Ok(staged)
    }

    async fn confirm(&self, staged: &[Staged; 2]) -> [Confirmation; 2] {
        [
            confirm(&*self.encryptors[0], &staged[0]).await,
            confirm(&*self.encryptors[1], &staged[1]).await,
        ]
    }

    /// A roll with the same key at both ends, which must be confirmed.
    async fn roll(&self, key: &Key) {
        let staged = self.place([key, key]).await.unwrap();
        for (end, confirmation) in ["near", "far"].into_iter().zip(self.confirm(&staged).await) {
            assert!(
                confirmation.is_confirmed(),
                "{:?}, {end}: {confirmation:?}",
                self.family
            );
        }
    }

    async fn states(&self) -> [ChannelState; 2] {
        [
            self.encryptors[0]
                .channel(&self.channel)
                .await
                .unwrap()
                .state,
            self.encryptors[1]
                .channel(&self.channel)
                .await
                .unwrap()
                .state,
        ]
    }

    fn traffic(&self) -> [Traffic; 2] {
        [0, 1].map(|end| (self.pair.traffic)(end))
    }
}

fn id(n: u8) -> KeyId {
    KeyId::from_bytes(&[0x40 | n; 16]).unwrap()
}

/// Keys whose octets are found nowhere else.
fn key(n: u8) -> Key {
    key_under(n, n)
}

fn key_under(name: u8, n: u8) -> Key {
    Key::new(
        id(name),
        Zeroizing::new(
            (0..32)
                .map(|i| 0xa7_u8.wrapping_add(n).wrapping_mul(i * 2 + 3))
                .collect(),
        ),
    )
}

#[tokio::test(start_paused = true)]
async fn the_same_key_at_both_ends_is_confirmed_at_both_and_encrypts() {
    for family in FAMILIES {
        let rig = EncryptorPair::open(family).await;
        for n in 1..=4 {
            rig.roll(&key(n)).await;
            assert_eq!(
                rig.states().await,
                [ChannelState::Encrypting; 2],
                "{family:?}, roll {n}"
            );
            let before = rig.traffic();
            sleep(Duration::from_secs(3)).await;
            for (before, now) in before.into_iter().zip(rig.traffic()) {
                assert!(
                    now.encrypted >= before.encrypted + 2900,
                    "{family:?}, roll {n}: {before:?} {now:?}"
                );
                assert_eq!(
                    (now.dropped(), now.clear),
                    (before.dropped(), 0),
                    "{family:?}, roll {n}"
                );
                assert!(
                    now.accepted >= before.accepted + 2900,
                    "{family:?}, roll {n}: {before:?} {now:?}"
                );
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_outage_of_a_roll_matches_the_declaration_of_its_family() {
    for family in FAMILIES {
        let rig = EncryptorPair::open(family).await;
        rig.roll(&key(1)).await;
        let before = rig.traffic()[0];
        let staged = rig.place([&key(2), &key(2)]).await.unwrap();
        let [near, far] = rig.confirm(&staged).await;
        assert!(
            near.is_confirmed() && far.is_confirmed(),
            "{near:?} {far:?}"
        );
        let lost = rig.traffic()[0].dropped() - before.dropped();
        let is_hitless = rig.near().encryptor_capabilities().hitless.is_hitless();
        match near.outage() {
            // 1000 frames a second are offered; the row is polled every 200 ms.
            Some(gap) => {
                assert!(
                    (gap.value.as_secs_f64() * 1000.0 - lost as f64).abs() <= 450.0,
                    "{family:?}: {} s, {lost} frames lost",
                    gap.value.as_secs_f64()
                );
                assert!(lost > 0 && !is_hitless);
            }
            None => assert!(lost == 0 && is_hitless, "{family:?}: {lost} frames lost"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_different_key_at_the_peer_is_not_confirmed_with_a_reason() {
    for family in FAMILIES {
        let rig = EncryptorPair::open(family).await;
        let staged = rig
            .place([&key_under(1, 1), &key_under(1, 2)])
            .await
            .unwrap();
        let why = if family == PacketLight {
            "223"
        } else {
            "IcvCheckFailed"
        };
        for (end, confirmation) in ["near", "far"].into_iter().zip(rig.confirm(&staged).await) {
            assert!(
                !confirmation.is_confirmed() && confirmation.evidence().contains(why),
                "{family:?}, {end}: {confirmation:?}"
            );
        }
        assert!(
            rig.states()
                .await
                .iter()
                .all(|s| *s != ChannelState::Encrypting),
            "{family:?}: {:?}",
            rig.states().await
        );
        let before = rig.traffic();
        sleep(Duration::from_secs(3)).await;
        for (before, now) in before.into_iter().zip(rig.traffic()) {
            assert_eq!(
                (now.accepted, now.clear),
                (before.accepted, 0),
                "{family:?}"
            );
        }
        // The next key that both have ends it.
        rig.roll(&key(3)).await;
        assert_eq!(
            rig.states().await,
            [ChannelState::Encrypting; 2],
            "{family:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_different_key_name_at_the_peer_is_distinguished_from_a_different_key() {
    let rig = EncryptorPair::open(Nokia).await;
    let staged = rig
        .place([&key_under(1, 1), &key_under(2, 1)])
        .await
        .unwrap();
    for confirmation in rig.confirm(&staged).await {
        assert!(
            !confirmation.is_confirmed() && confirmation.evidence().contains("CknNotFound"),
            "{confirmation:?}"
        );
    }
    let counters = rig.near().counters(&rig.channel).await.unwrap();
    assert!(
        counters.unknown_key.unwrap() > 0 && counters.integrity_failures == Some(0),
        "{counters:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_set_that_is_refused_has_changed_nothing() {
    for family in FAMILIES {
        let rig = EncryptorPair::open(family).await;
        rig.roll(&key(1)).await;
        let before = rig.near().channel(&rig.channel).await.unwrap();
        let fault = |text: &str| {
            FaultInjector::new(1, Some(Arc::clone(&rig.pair.faulty[0])))
                .add(text.parse().unwrap())
                .unwrap()
        };
        for (refusal, code) in [
            ("refuse=1", "genErr(5)"),
            ("full", "resourceUnavailable(13)"),
        ] {
            fault(refusal);
            let error = rig.near().stage(&rig.channel, &key(2)).await.unwrap_err();
            assert_eq!(
                (error.kind(), error.effect(), error.vendor_code()),
                (ErrorKind::Refused, Effect::None, Some(code)),
                "{family:?}: {error}"
            );
            fault("clear");
            assert_eq!(
                rig.near().channel(&rig.channel).await.unwrap(),
                before,
                "{family:?}"
            );
        }
        let staged = rig.near().stage(&rig.channel, &key(2)).await.unwrap();
        fault("refuse=1");
        let error = rig.near().activate(&staged).await.unwrap_err();
        assert_eq!(
            (error.kind(), error.effect()),
            (ErrorKind::Refused, Effect::None),
            "{family:?}: {error}"
        );
        assert_eq!(
            rig.states().await,
            [ChannelState::Encrypting; 2],
            "{family:?}"
        );
        // The time of a slot's change has a hundredth of a second.
        sleep(Duration::from_millis(20)).await;
        rig.roll(&key(2)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn counters_grow_while_traffic_is_encrypted() {
    for family in FAMILIES {
        let rig = EncryptorPair::open(family).await;
        rig.roll(&key(1)).await;
        if rig.near().capabilities().supports(Operation::Counters) == Support::Unsupported {
            assert_eq!(family, PacketLight);
            assert_eq!(
                rig.near().counters(&rig.channel).await.unwrap_err().kind(),
                ErrorKind::Unsupported
            );
            continue;
        }
        for end in &rig.encryptors {
            let before = end.counters(&rig.channel).await.unwrap();
            sleep(Duration::from_secs(10)).await;
            let now = end.counters(&rig.channel).await.unwrap();
            let grown = |of: fn(&qkd_hal::encryptor::TrafficCounters) -> Option<u64>| {
                of(&now).unwrap() - of(&before).unwrap()
            };
            assert!(
                (9_900..=10_100).contains(&grown(|c| c.encrypted)),
                "{before:?} {now:?}"
            );
            assert!(
                (9_900..=10_100).contains(&grown(|c| c.accepted)),
                "{before:?} {now:?}"
            );
            assert_eq!(
                (
                    grown(|c| c.refused),
                    grown(|c| c.integrity_failures),
                    grown(|c| c.unknown_key)
                ),
                (0, 0, 0)
            );
            assert_eq!(now.clear, Some(0));
        }
    }
}

/// Whether a text or octets hold the key, as octets or written out in any of the usual ways.
fn shows(what: &[u8], key: &Key) -> bool {
    let octets = key.expose();
    let list = format!("{octets:?}");
    let hex = hex::encode(octets);
    let lower = what.to_ascii_lowercase();
    // A part of the key is bad enough.
    [&octets[..8], &hex.as_bytes()[..16], &list.as_bytes()[1..25]]
        .iter()
        .any(|part| {
            lower.windows(part.len()).any(|w| w == *part)
                || what.windows(part.len()).any(|w| w == *part)
        })
}

#[tokio::test(start_paused = true)]
async fn the_key_is_never_returned() {
    for family in FAMILIES {
        let rig = EncryptorPair::open(family).await;
        let secret = key(1);
        assert!(
            shows(hex::encode_upper(secret.expose()).as_bytes(), &secret)
                && shows(secret.expose(), &secret)
                && shows(format!("{:?}", secret.expose()).as_bytes(), &secret)
        );
        let mut seen: Vec<String> = Vec::new();
        let mut see = |what: &dyn Debug| seen.push(format!("{what:?} {what:#?}"));
        let staged = rig.place([&secret, &secret]).await.unwrap();
        see(&secret);
        see(&staged);
        see(&rig.confirm(&staged).await);
        see(&rig.near().channel(&rig.channel).await.unwrap());
        see(&rig.near().telemetry().await.unwrap());
        see(&rig.near().health().await.unwrap());
        see(&rig.opened);
        FaultInjector::new(1, Some(Arc::clone(&rig.pair.faulty[0])))
            .add("refuse=1".parse().unwrap())
            .unwrap();
        let other = key_under(2, 1);
        let error = rig.near().stage(&rig.channel, &other).await.unwrap_err();
        see(&error);
        see(&error.to_string());
        see(&rig
            .near()
            .stage(&"no such channel".into(), &secret)
            .await
            .unwrap_err());
        let long = Key::new(id(9), Zeroizing::new(secret.expose().repeat(8)));
        see(&rig.near().stage(&rig.channel, &long).await.unwrap_err());
        let records = rig.transcript.records();
        assert!(records.len() > 10);
        see(&records);
        seen.push(serde_json::to_string(&records).unwrap());
        for text in &seen {
            assert!(!shows(text.as_bytes(), &secret), "{family:?}: {text}");
        }
        // What the agents themselves show: the object where it was written, and everything else.
        for agent in &rig.pair.agents {
            match agent.get(&family.key_object()) {
                Value::OctetString(text) => {
                    assert!(text.is_empty(), "{family:?}: {} octets", text.len())
                }
                other => panic!("{family:?}: {other:?}"),
            }
            let mut at = Oid::from([1, 3]);
            let mut rows = 0;
            while let Some(next) = agent.next(&at) {
                if let Value::OctetString(octets) = &next.value {
                    assert!(!shows(octets, &secret), "{family:?}: {}", next.oid);
                }
                (at, rows) = (next.oid, rows + 1);
            }
            assert!(rows > 20, "{family:?}");
        }
    }
}

// Over UDP.

fn entry(name: &str, user: &str, auth: Option<&str>, privacy: Option<&str>) -> CredentialEntry {
    let mut entry = CredentialEntry::new(name).with("user", user);
    if let Some(password) = auth {
        entry = entry.with("auth_password", password);
    }
    match privacy {
        Some(password) => entry.with("priv_password", password),
        None => entry,
    }
}

fn noc() -> CredentialEntry {
    entry("noc", USER, Some(AUTH_PASSWORD), Some(PRIV_PASSWORD))
}

/// An agent on the loopback, which ends when dropped.
struct Served {
    address: String,
    faults: FaultInjector,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Served {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Served {
    async fn start(pair: &Pair, end: usize, traps: Option<&NotificationReceiver>) -> Self {
        let faults = FaultInjector::new(1, Some(Arc::clone(&pair.faulty[end])));
        let mut options =
            snmp::SnmpServerOptions::new(UsmUser::new(USER, AUTH_PASSWORD, PRIV_PASSWORD).unwrap())
                .with_faults(faults.clone());
        if let Some(receiver) = traps {
            options = options.with_traps(receiver.address());
        }
        let (address, task) = snmp::serve(
            "127.0.0.1:0".parse().unwrap(),
            Arc::clone(&pair.agents[end]),
            options,
        )
        .await
        .unwrap();
        Self {
            address: address.to_string(),
            faults,
            task,
        }
    }

    fn fault(&self, spec: &str) {
        self.faults.add(spec.parse().unwrap()).unwrap();
    }

    async fn open(
        &self,
        family: Family,
        context: &OpenContext,
        more: &str,
    ) -> Result<OpenedDevice> {
        qkd_hardware::registry()
            .open(&family.uri("snmp", &self.address, more), context)
            .await
    }
}

fn context(entries: impl IntoIterator<Item = CredentialEntry>) -> OpenContext {
    let credentials = entries
        .into_iter()
        .fold(Credentials::from_environment(), Credentials::with);
    accepting(OpenContext::new().with_credentials(credentials))
}

/// The reply to the one SET of an operation is lost: the device has the key, and the driver must
/// not deny it. A reply lost before the SET is requested again.
#[tokio::test]
async fn a_lost_reply_to_a_set_leaves_the_effect_unknown() {
    for family in FAMILIES {
        let (mut unknown, mut unharmed) = (0, 0);
        for exchanges in 0..40 {
            let pair = Pair::new(family);
            let served = Served::start(&pair, 0, None).await;
            let opened = served
                .open(family, &context([noc()]), "credentials=noc&deadline=300ms")
                .await
                .unwrap();
            let encryptor = opened.encryptor().unwrap();
            let channel = encryptor.channels().await.unwrap()[0].clone();
            served.fault(&format!("drop@after={exchanges}@once"));
            let outcome = encryptor.stage(&channel, &key(1)).await;
            let met = served.faults.is_quiet();
            served.fault("clear");
            match outcome {
                Err(error) => {
                    assert_eq!(
                        (error.kind(), error.effect()),
                        (ErrorKind::Timeout, Effect::Unknown),
                        "{family:?}, {exchanges}: {error}"
                    );
                    assert!(!shows(format!("{error:?} {error}").as_bytes(), &key(1)));
                    if family == Nokia {
                        let slots = encryptor.channel(&channel).await.unwrap().slots;
                        assert_eq!(
                            slots.iter().map(|s| s.key_id.clone()).collect::<Vec<_>>(),
                            [Some(id(1))],
                            "the device has it"
                        );
                    }
                    // As the contract says: staged again, with the same key.
                    let staged = encryptor.stage(&channel, &key(1)).await.unwrap();
                    encryptor.activate(&staged).await.unwrap();
                    unknown += 1;
                }
                Ok(_) if met => unharmed += 1,
                Ok(_) => break,
            }
            assert!(
                exchanges < 39,
                "{family:?}: the exchanges of a stage have no end"
            );
        }
        assert_eq!(
            unknown,
            1,
            "{family:?}: one SET in {} exchanges",
            unknown + unharmed
        );
        assert!(
            unharmed >= 1,
            "{family:?}: reads before it are asked for again"
        );
    }
}

#[tokio::test]
async fn wrong_credentials_are_an_authentication_error() {
    for family in FAMILIES {
        let pair = Pair::new(family);
        let served = Served::start(&pair, 0, None).await;
        let entries = [
            noc(),
            entry("auth", USER, Some("another-password"), Some(PRIV_PASSWORD)),
            entry("user", "nobody", Some(AUTH_PASSWORD), Some(PRIV_PASSWORD)),
            entry("priv", USER, Some(AUTH_PASSWORD), Some("another-password")),
            entry("algorithm", USER, Some(AUTH_PASSWORD), Some(PRIV_PASSWORD))
                .with("auth_protocol", "SHA-512"),
        ];
        let context = context(entries);
        for wrong in ["auth", "user", "algorithm", "priv"] {
            let error = served
                .open(family, &context, &format!("credentials={wrong}"))
                .await
                .unwrap_err();
            // A message that decrypts to random bytes is not an SNMP message, and the agent drops
            // it without a reply (RFC 3412, 7.2): it cannot be distinguished from a loss.
            let kind = if wrong == "priv" {
                ErrorKind::Timeout
            } else {
                ErrorKind::Authentication
            };
            assert_eq!(
                (error.kind(), error.effect()),
                (kind, Effect::None),
                "{family:?}, {wrong}: {error}"
            );
            assert!(
                wrong != "priv"
                    || error
                        .message()
                        .contains("check priv_protocol and priv_password"),
                "{error}"
            );
            for secret in [AUTH_PASSWORD, PRIV_PASSWORD, "another-password"] {
                assert!(
                    !format!("{error:?} {error}").contains(secret),
                    "{family:?}, {wrong}"
                );
            }
        }
        for none in ["", "credentials=nowhere"] {
            assert_eq!(
                served
                    .open(family, &context, none)
                    .await
                    .unwrap_err()
                    .kind(),
                ErrorKind::Authentication,
                "{family:?} {none}"
            );
        }
        served
            .open(family, &context, "credentials=noc")
            .await
            .unwrap();
    }
}

/// Below authPriv, no key is sent.
#[tokio::test]
async fn a_key_is_not_sent_below_auth_priv() {
    for family in FAMILIES {
        let pair = Pair::new(family);
        let options =
            snmp::SnmpServerOptions::new(UsmUser::new(USER, AUTH_PASSWORD, PRIV_PASSWORD).unwrap())
                .with_community("readers");
        let (address, task) = snmp::serve(
            "127.0.0.1:0".parse().unwrap(),
            Arc::clone(&pair.agents[0]),
            options,
        )
        .await
        .unwrap();
        let context = context([CredentialEntry::new("lab").with("community", "readers")]);
        let opened = qkd_hardware::registry()
            .open(
                &family.uri("snmp", &address.to_string(), "credentials=lab"),
                &context,
            )
            .await
            .unwrap();
        let encryptor = opened.encryptor().unwrap();
        let channel = encryptor.channels().await.unwrap()[0].clone();
        let error = encryptor.stage(&channel, &key(1)).await.unwrap_err();
        assert_eq!(
            (error.kind(), error.effect()),
            (ErrorKind::Authentication, Effect::None),
            "{family:?}: {error}"
        );
        task.abort();
    }
}

async fn event(
    events: &mut EventStream,
    wanted: impl Fn(&EventKind) -> bool,
) -> (Arc<Event>, Vec<EventKind>) {
    let mut before = Vec::new();
    let heard = tokio::time::timeout(Duration::from_secs(20), async {
        loop {
            match events.next().await {
                Some(StreamItem::Event(e)) if wanted(&e.kind) => return e,
                Some(StreamItem::Event(e)) => before.push(e.kind.clone()),
                other => panic!("{other:?}"),
            }
        }
    });
    match heard.await {
        Ok(e) => (e, before),
        Err(_) => panic!("it does not come; {before:?} came"),
    }
}

/// Without a receiver of notifications no event of the device can arrive, and none is declared.
#[tokio::test]
async fn events_are_declared_where_they_can_arrive() {
    for family in FAMILIES {
        let users = [SnmpSecurity::from_entry(&noc()).unwrap()];
        let receiver = NotificationReceiver::bind("127.0.0.1:0", &users)
            .await
            .unwrap();
        let pair = Pair::new(family);
        let served = Served::start(&pair, 0, Some(&receiver)).await;
        for (context, declared) in [
            (context([noc()]), EventSupport::LinkOnly),
            (
                context([noc()]).with_notifications(receiver.clone()),
                EventSupport::Native,
            ),
        ] {
            let opened = served
                .open(family, &context, "credentials=noc")
                .await
                .unwrap();
            assert_eq!(
                opened.device().capabilities().events,
                declared,
                "{family:?}"
            );
        }
    }
}

/// A program that ended between `stage` and `confirm` is followed by another, which has what
/// `stage` returned as a file.
#[tokio::test(start_paused = true)]
async fn a_roll_is_confirmed_after_the_program_restarted() {
    for family in FAMILIES {
        let mut rig = EncryptorPair::open(family).await;
        rig.roll(&key(1)).await;
        let fresh = key(2);
        let staged = [
            rig.encryptors[0].stage(&rig.channel, &fresh).await.unwrap(),
            rig.encryptors[1].stage(&rig.channel, &fresh).await.unwrap(),
        ];
        let file = serde_json::to_string(&staged).unwrap();
        let secret: String = fresh.expose().iter().map(|b| format!("{b:02x}")).collect();
        assert!(!file.contains(&secret), "{file}");
        rig.reopen().await;
        let read: [Staged; 2] = serde_json::from_str(&file).unwrap();
        assert_eq!(read, staged);
        rig.encryptors[0].activate(&read[0]).await.unwrap();
        if rig.near().encryptor_capabilities().activate_both {
            rig.encryptors[1].activate(&read[1]).await.unwrap();
        }
        for (end, staged) in rig.encryptors.iter().zip(&read) {
            let mut confirmation = confirm(&**end, staged).await;
            // An end without slots shows an exchange only while it runs, and this handle of the
            // far end came too late for it: the driver reports that, and what to do.
            if !confirmation.is_confirmed() {
                assert_eq!(family, PacketLight);
                assert!(
                    confirmation.evidence().contains("activate forces"),
                    "{confirmation:?}"
                );
                end.activate(staged).await.unwrap();
                confirmation = confirm(&**end, staged).await;
            }
            confirmation.confirmed().unwrap();
        }
    }
}

/// Whichever end is activated first makes MKA agree under the new name, and no SAK follows when the
/// other end is activated. A device without slots needs what `stage` returned.
#[tokio::test(start_paused = true)]
async fn a_staged_key_that_is_only_named_is_confirmed_at_both_ends() {
    for first in [0, 1] {
        let mut rig = EncryptorPair::open(Nokia).await;
        rig.roll(&key(1)).await;
        let fresh = key(2);
        let slots = [
            rig.encryptors[0]
                .stage(&rig.channel, &fresh)
                .await
                .unwrap()
                .slot,
            rig.encryptors[1]
                .stage(&rig.channel, &fresh)
                .await
                .unwrap()
                .slot,
        ];
        rig.reopen().await;
        let named = slots.map(|slot| Staged::new(rig.channel.clone(), id(2), slot, "named"));
        for end in [first, 1 - first] {
            rig.encryptors[end].activate(&named[end]).await.unwrap();
        }
        for confirmation in rig.confirm(&named).await {
            assert!(confirmation.is_confirmed(), "{first}: {confirmation:?}");
        }
    }
}

/// Both agents send to one receiver from one address; each driver receives its own.
#[tokio::test]
async fn traps_arrive_at_the_driver_of_their_agent_only() {
    let alarm = |code: &'static str| {
        move |k: &EventKind| {
            matches!(k, EventKind::Alarm { code: c,
        .. } if c == code)
        }
    };
    for family in FAMILIES {
        let users = [SnmpSecurity::from_entry(&noc()).unwrap()];
        let receiver = NotificationReceiver::bind("127.0.0.1:0", &users)
            .await
            .unwrap();
        let pair = Pair::new(family);
        let served = [
            Served::start(&pair, 0, Some(&receiver)).await,
            Served::start(&pair, 1, Some(&receiver)).await,
        ];
        let context = context([noc()]).with_notifications(receiver.clone());
        let opened = [
            served[0]
                .open(family, &context, "credentials=noc")
                .await
                .unwrap(),
            served[1]
                .open(family, &context, "credentials=noc")
                .await
                .unwrap(),
        ];
        let mut events = [opened[0].device().events(), opened[1].device().events()];
        match family {
            PacketLight => {
                served[1].fault("alarm=sfpRemoved");
                let (heard, _) = event(&mut events[1], alarm("702")).await;
                assert!(
                    matches!(&heard.kind, EventKind::Alarm { subject: Some(s),
                        .. } if s == "1295104"),
                    "{heard:?}"
                );
                served[0].fault("alarm=hwfail");
                let (_, before) = event(&mut events[0], alarm("11")).await;
                assert!(!before.iter().any(alarm("702")), "{before:?}");
            }
            Nokia => {
                let encryptors = [
                    opened[0].encryptor().unwrap(),
                    opened[1].encryptor().unwrap(),
                ];
                let moved = |slot: u8| {
                    move |k: &EventKind| {
                        *k == EventKind::StateChanged {
                            subject: "ca1".into(),
                            state: format!("slot {slot} active"),
                        }
                    }
                };
                let staged = [
                    encryptors[0].stage(&"ca1".into(), &key(1)).await.unwrap(),
                    encryptors[1].stage(&"ca1".into(), &key(1)).await.unwrap(),
                ];
                encryptors[1].activate(&staged[1]).await.unwrap();
                event(&mut events[1], moved(2)).await;
                encryptors[0].activate(&staged[0]).await.unwrap();
                let (_, before) = event(&mut events[0], moved(2)).await;
                assert!(before.iter().all(|k| !moved(2)(k)), "{before:?}");
                let (_, between) = event(
                    &mut events[0],
                    |k| matches!(k, EventKind::StateChanged { state, .. } if state == "inService"),
                )
                .await;
                assert!(
                    !between.iter().any(moved(2)),
                    "the far end's roll-over is not this end's: {between:?}"
                );
            }
        }
    }
}

/// Faults of a profile reach the agent, not only its model.
#[tokio::test]
async fn an_alarm_of_a_profile_is_reported_and_cleared() {
    let running = profiles::start(
        "packetlight-pair",
        &Options::default().with("time-factor", 50),
    )
    .await
    .unwrap();
    let ready = running.ready();
    let credentials = Credentials::from_file(ready.credentials_file.as_ref().unwrap()).unwrap();
    let opened = qkd_hardware::registry()
        .open(
            &ready.uri,
            &accepting(OpenContext::new().with_credentials(credentials)),
        )
        .await
        .unwrap();
    assert_eq!(
        opened.device().health().await.unwrap().state,
        HealthState::Ok
    );
    running.fault("alarm=hwfail").unwrap();
    let health = opened.device().health().await.unwrap();
    assert!(
        health.state == HealthState::Degraded && format!("{health:?}").contains("(11)"),
        "{health:?}"
    );
    running.fault("clear").unwrap();
    assert_eq!(
        opened.device().health().await.unwrap().state,
        HealthState::Ok
    );
}
