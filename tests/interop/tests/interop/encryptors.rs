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
        psk::{OnFailure, PskEndpoint, PskLink, PskRules},
    },
    profile::Options,
    profiles,
    server::snmp::{self, UsmUser},
    vendor::{adva_fsp150, adva_fsp3000r7, ciena_waveserver, infinera_xtm, nokia, packetlight},
    wire::snmp::{NodeOptions, SnmpAgent},
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
const OFFICER_PASSWORD: &str = "for-tests-officer";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Family {
    PacketLight,
    Nokia,
    AdvaFsp3000R7,
    AdvaFsp150,
    Ciena,
    InfineraXtm,
}
use Family::{AdvaFsp150, AdvaFsp3000R7, Ciena, InfineraXtm, Nokia, PacketLight};

const FAMILIES: [Family; 6] = [
    PacketLight,
    Nokia,
    AdvaFsp3000R7,
    AdvaFsp150,
    Ciena,
    InfineraXtm,
];

impl Family {
    fn driver(self) -> &'static str {
        match self {
            PacketLight => "packetlight",
            Nokia => "nokia-sros-macsec",
            AdvaFsp3000R7 => "adva-fsp3000r7",
            AdvaFsp150 => "adva-fsp150",
            Ciena => "ciena-waveserver",
            InfineraXtm => "infinera-xtm",
        }
    }
    /// Whether a change needs the officer's password.
    fn asks_officer(self) -> bool {
        matches!(self, AdvaFsp3000R7 | AdvaFsp150)
    }
    /// Whether no command makes the ends use a key: they do at the next exchange.
    fn waits(self) -> bool {
        matches!(self, Ciena | InfineraXtm)
    }
    /// Whether traffic keeps its key while the ends have different ones.
    fn keeps_key(self) -> bool {
        matches!(self, AdvaFsp3000R7 | InfineraXtm)
    }
    /// Whether the handle that activates has to be the one that confirms.
    fn sees_exchange_only_while_it_runs(self) -> bool {
        self == PacketLight
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
            // cryptoPortConfigAuthKey.
            AdvaFsp3000R7 => Oid::from([1, 3, 6, 1, 4, 1, 2544, 1, 11, 5, 1, 3, 12, 1, 2])
                .child(&[adva_fsp3000r7::PORT]),
            // f3ConnectGuardKeyExchangeProfilePassword.
            AdvaFsp150 => Oid::from([1, 3, 6, 1, 4, 1, 2544, 1, 12, 36, 1, 2, 1, 5])
                .child(&[adva_fsp150::FIRST_PROFILE]),
            Ciena => Oid::from([1, 3, 6, 1, 4, 1, 1271, 3, 4, 23, 4, 1, 2])
                .child(&[ciena_waveserver::PORT, 0]),
            // cryptoIKEPeerPSK.
            InfineraXtm => Oid::from([1, 3, 6, 1, 4, 1, 8708, 2, 73, 2, 3, 1, 1, 7])
                .child(&[infinera_xtm::ROW]),
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

const HOUR: Duration = Duration::from_secs(3600);

/// A pair that exchanges keys every hour, with these secrets.
fn psk_link(secret: &str, rules: PskRules, on_failure: OnFailure) -> Arc<PskLink> {
    PskLink::new(Clock::default(), secret.as_bytes(), rules, HOUR, on_failure)
}

fn psk_ends(link: &Arc<PskLink>) -> [PskEndpoint; 2] {
    [0, 1].map(|n| {
        let identity = Identity::new("maker").with_serial(format!("S{n}"));
        PskEndpoint::new(Arc::clone(link), n, identity)
    })
}

impl Pair {
    fn of<A: SnmpAgent + ApplyDeviceFault + 'static>(
        agents: [Arc<A>; 2],
        traffic: impl Fn(usize) -> Traffic + 'static,
    ) -> Self {
        let faulty = agents.clone().map(|a| a as Arc<dyn ApplyDeviceFault>);
        Self {
            agents: agents.map(|a| a as Arc<dyn SnmpAgent>),
            faulty,
            traffic: Box::new(traffic),
        }
    }

    fn new(family: Family) -> Self {
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
                Self::of(agents, move |end| link.traffic_from(end))
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
                Self::of(agents, move |end| link.traffic_from(end))
            }
            AdvaFsp3000R7 => {
                use adva_fsp3000r7::{ON_FAILURE, Options, RULES, agent};
                let link = psk_link("first secret", RULES, ON_FAILURE);
                let agents = psk_ends(&link).map(|end| {
                    let name = format!("r7-{}", end.end());
                    agent(end, Options::named(&name, OFFICER_PASSWORD))
                });
                Self::of(agents, move |end| link.traffic_from(end))
            }
            AdvaFsp150 => Self::fsp150(true).0,
            Ciena => {
                use ciena_waveserver::{DROP, ENTERPRISE, RULES, agent};
                let link = psk_link("first secret key", RULES, DROP);
                let agents = psk_ends(&link).map(|end| {
                    let name = format!("ws-{}", end.end());
                    agent(end, NodeOptions::named(&name, ENTERPRISE))
                });
                Self::of(agents, move |end| link.traffic_from(end))
            }
            InfineraXtm => {
                use infinera_xtm::{ON_FAILURE, Options, RULES, agent};
                let link = psk_link(&"first secret ".repeat(5), RULES, ON_FAILURE);
                let agents = psk_ends(&link).map(|end| {
                    let name = format!("xtm-{}", end.end());
                    agent(end, Options::named(&name))
                });
                Self::of(agents, move |end| link.traffic_from(end))
            }
        }
    }

    /// A pair with two flows, and the model of each flow.
    fn fsp150(own_profiles: bool) -> (Self, [Arc<PskLink>; 2]) {
        use adva_fsp150::{ON_FAILURE, Options, RULES, agent};
        let links = [0, 1].map(|_| psk_link("first secret", RULES, ON_FAILURE));
        let [first, second] = links.each_ref().map(psk_ends);
        let flows = first.into_iter().zip(second);
        let agents: Vec<_> = flows
            .map(|(first, second)| {
                let name = format!("ge-{}", first.end());
                let mut options = Options::named(&name, OFFICER_PASSWORD);
                options.user = USER.to_owned();
                options.own_profiles = own_profiles;
                agent([first, second], b"first secret", options)
            })
            .collect();
        let agents = <[_; 2]>::try_from(agents).unwrap_or_else(|_| unreachable!("two ends"));
        let link = Arc::clone(&links[0]);
        (Self::of(agents, move |end| link.traffic_from(end)), links)
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
    /// Further parameters of the URI.
    more: &'static str,
}

/// A link in memory needs no user; the officer's password is one of the credentials.
const IN_MEMORY: &str = "credentials=noc";

/// Waits for the confirmation as long as the encryptor declares.
async fn confirm(encryptor: &dyn Encryptor, staged: &Staged) -> Confirmation {
    let longest = encryptor.encryptor_capabilities().confirm_timeout;
    encryptor.confirm(staged, longest).await.unwrap()
}

impl EncryptorPair {
    /// Opens a pair in memory.
    async fn open(family: Family) -> Self {
        Self::open_pair(family, Pair::new(family)).await
    }

    async fn open_pair(family: Family, pair: Pair) -> Self {
        let transcript = Transcript::in_memory();
        let mut context = context([noc()]).with_transcript(transcript.clone());
        for (name, agent) in ["near", "far"].into_iter().zip(&pair.agents) {
            context = context.with_memory(
                name,
                Endpoint::Snmp(Arc::clone(agent) as Arc<dyn SnmpService>),
            );
        }
        let registry = qkd_hardware::registry();
        let opened = [
            registry
                .open(&family.uri("mem", "near", IN_MEMORY), &context)
                .await
                .unwrap(),
            registry
                .open(&family.uri("mem", "far", IN_MEMORY), &context)
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
            (
                if family == AdvaFsp150 { 2 } else { 1 },
                &encryptors[1].channels().await.unwrap()
            )
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
            more: IN_MEMORY,
        }
    }

    /// The program ends, and another one opens the same devices.
    async fn reopen(&mut self) {
        let registry = qkd_hardware::registry();
        for (n, name) in ["near", "far"].into_iter().enumerate() {
            self.encryptors[n].close().await.unwrap();
            self.opened[n] = registry
                .open(&self.family.uri("mem", name, self.more), &self.context)
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
        self.activate(&staged).await?;
        Ok(staged)
    }

    /// Activates where a roll does.
    async fn activate(&self, staged: &[Staged; 2]) -> Result<()> {
        if self.family.waits() {
            return Ok(());
        }
        self.encryptors[0].activate(&staged[0]).await?;
        if self.near().encryptor_capabilities().activate_both {
            self.encryptors[1].activate(&staged[1]).await?;
        }
        Ok(())
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
            // The longest that a forced exchange can have interrupted traffic.
            Some(gap) if family.asks_officer() => assert!(
                gap.value.as_secs_f64() * 1000.0 + 450.0 >= lost as f64 && !is_hitless,
                "{family:?}: {lost} frames lost"
            ),
            // 1000 frames a second are offered; the row is polled every 200 ms.
            Some(gap) => {
                assert!(
                    (gap.value.as_secs_f64() * 1000.0 - lost as f64).abs() <= 450.0,
                    "{family:?}: {} s, {lost} frames lost",
                    gap.value.as_secs_f64()
                );
                assert!(lost > 0 && !is_hitless);
            }
            // No frame is lost unless an exchange falls between the ends.
            None => assert!(
                lost == 0 && is_hitless != family.waits(),
                "{family:?}: {lost} frames lost"
            ),
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
        let why = match family {
            PacketLight => "223",
            Nokia => "IcvCheckFailed",
            AdvaFsp3000R7 | AdvaFsp150 => "the key exchange failed",
            Ciena => "peer authentication is fail",
            InfineraXtm => "authentication of the peer fails",
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
                (now.accepted > before.accepted, now.clear),
                (family.keeps_key(), 0),
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
        if family.waits() {
            rig.roll(&key(2)).await;
            continue;
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
            assert!(!matches!(family, Nokia | AdvaFsp150));
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
                let grown = of(&now).zip(of(&before)).map(|(now, before)| now - before);
                // One family counts no frames under an unknown key.
                grown.unwrap_or_else(|| {
                    assert_eq!(family, AdvaFsp150);
                    0
                })
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
        let long = Key::new(id(9), Zeroizing::new(secret.expose().repeat(40)));
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
                // An object that can be written only.
                Value::NoSuchInstance => assert_eq!(family, AdvaFsp3000R7),
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

/// Both flows get the key where they share a key exchange profile and the URI permits that; the flow
/// that was not activated uses it at its next exchange. Otherwise the error names both.
#[tokio::test(start_paused = true)]
async fn flows_that_share_a_profile_get_one_key_where_that_is_permitted() {
    let (pair, links) = Pair::fsp150(false);
    let mut rig = EncryptorPair::open_pair(AdvaFsp150, pair).await;
    let states = || links.each_ref().map(|link| [link.state(0), link.state(1)]);
    let before = states();
    let error = rig.near().stage(&rig.channel, &key(1)).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.effect()),
        (ErrorKind::NotReady, Effect::None),
        "{error}"
    );
    for part in ["1.1, 1.2", "shared-profile=change"] {
        assert!(error.message().contains(part), "{error}");
    }
    assert_eq!(states(), before);

    rig.more = "credentials=noc&shared-profile=change";
    rig.reopen().await;
    let second = ChannelId("1.2".into());
    rig.roll(&key(1)).await;
    let of = |state: &str| state.lines().next().unwrap().to_owned();
    let [first, other] = states().map(|ends| ends.map(|state| of(&state)));
    assert_eq!(first[0], first[1]);
    assert_eq!(first, other, "both flows have the key");
    assert_ne!(first[0], of(&before[0][0]));
    let exchanged = |n: usize| links[n].session().unwrap().number;
    assert_eq!([exchanged(0), exchanged(1)], [2, 1]);
    // The key of the second flow was staged by the same SET.
    let staged = Staged::new(second.clone(), id(1), None, "of the shared profile");
    rig.near().activate(&staged).await.unwrap();
    sleep(Duration::from_secs(3)).await;
    assert_eq!([exchanged(0), exchanged(1)], [2, 2]);
    let state = rig.near().channel(&second).await.unwrap().state;
    assert_eq!(state, ChannelState::Encrypting);
}

/// No call makes a Waveserver pass traffic in clear.
#[tokio::test(start_paused = true)]
async fn a_waveserver_is_never_set_to_allow_traffic_in_clear() {
    let rig = EncryptorPair::open(Ciena).await;
    // cwsEncryptionReAuthenticationFailureMode: drop(1), allow(2).
    let mode = Oid::from([1, 3, 6, 1, 4, 1, 1271, 3, 4, 23, 5, 1, 3]);
    let mode = rig.pair.agents[0].next(&mode).unwrap();
    assert_eq!(mode.value, Value::Integer(1));
    rig.roll(&key(1)).await;
    let encryptor = rig.near();
    for on in [true, false] {
        let error = encryptor.set_encryption(&rig.channel, on).await;
        assert_eq!(error.unwrap_err().kind(), ErrorKind::Unsupported);
    }
    // The ends have different keys, and then this one has none.
    let staged = rig.place([&key_under(2, 2), &key_under(2, 3)]).await;
    let _not_confirmed = rig.confirm(&staged.unwrap()).await;
    encryptor.zeroize(&rig.channel).await.unwrap();
    sleep(2 * HOUR).await;
    assert_eq!(rig.pair.agents[0].get(&mode.oid), mode.value);
    for traffic in rig.traffic() {
        assert!(traffic.clear == 0 && traffic.dropped() > 0, "{traffic:?}");
    }
}

// Over UDP.

fn entry(name: &str, user: &str, auth: Option<&str>, privacy: Option<&str>) -> CredentialEntry {
    let mut entry = CredentialEntry::new(name)
        .with("user", user)
        .with("officer_password", OFFICER_PASSWORD);
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
                .open(family, &context([noc()]), "credentials=noc&deadline=1s")
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
                    if !family.waits() {
                        encryptor.activate(&staged).await.unwrap();
                    }
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
        let lab = CredentialEntry::new("lab")
            .with("community", "readers")
            .with("officer_password", OFFICER_PASSWORD);
        let context = context([lab]);
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
        let with_receiver = match family {
            // Its notifications are not public.
            InfineraXtm => EventSupport::LinkOnly,
            _ => EventSupport::Native,
        };
        for (context, declared) in [
            (context([noc()]), EventSupport::LinkOnly),
            (
                context([noc()]).with_notifications(receiver.clone()),
                with_receiver,
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
        rig.activate(&read).await.unwrap();
        for (end, staged) in rig.encryptors.iter().zip(&read) {
            let mut confirmation = confirm(&**end, staged).await;
            // An end without slots shows an exchange only while it runs, and this handle of the
            // far end came too late for it: the driver reports that, and what to do.
            if !confirmation.is_confirmed() {
                assert!(
                    family.sees_exchange_only_while_it_runs(),
                    "{confirmation:?}"
                );
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
    for family in FAMILIES.into_iter().filter(|f| *f != InfineraXtm) {
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
            // Traps of one alarm each, which name it by their number or by their text.
            AdvaFsp3000R7 | AdvaFsp150 | Ciena | InfineraXtm => {
                let numbers = match family {
                    AdvaFsp3000R7 => ["385", "255"],
                    AdvaFsp150 => ["347", "390"],
                    _ => ["alarm one", "alarm two"],
                };
                let named = |name: &'static str| {
                    move |k: &EventKind| {
                        matches!(k, EventKind::Alarm { code, text, .. }
                            if code == name || text == name)
                    }
                };
                for (end, number) in [1, 0].into_iter().zip(numbers) {
                    served[end].fault(&format!("alarm={number}"));
                    let (_, before) = event(&mut events[end], named(number)).await;
                    assert!(!before.iter().any(named(numbers[0])), "{before:?}");
                }
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
