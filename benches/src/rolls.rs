//! Keys rolled by one process over many pairs of SNMPv3 encryptors, against bare GETs of the same
//! agents: what SNMPv3, with its cryptography, allows.

use crate::{
    snmp::{loopback, open as open_link},
    tool::{raise_limit, resident_kib, row, spawn_runtime},
};
use futures::future::join_all;
use qkd_driver_kit::{
    OpenContext,
    credentials::{CredentialEntry, Credentials},
    link::{
        snmp::{Oid, SnmpLink},
        snmp_udp::SnmpClientLibrary,
    },
    transcript::Transcript,
};
use qkd_emulators::{
    Clock,
    model::encryptor::psk::{PskEndpoint, PskLink},
    server::snmp::{SnmpServerOptions, UsmUser, serve},
    vendor::ciena_waveserver::{self, DROP, ENTERPRISE, RULES},
    wire::snmp::NodeOptions,
};
use qkd_hal::{Encryptor, Identity, Key, KeyId, encryptor::ChannelId};
use qkd_interop::snmpd::{AUTH_PASSWORD, PRIV_PASSWORD, USER};
use std::{
    io::{BufRead, BufReader, Read},
    process::{Child, Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::runtime::Runtime;
use zeroize::Zeroizing;

/// Number of pairs.
const PAIR_COUNT: usize = 1_000;
/// A re-authentication period of an hour passes in 100 ms.
const TIME_FACTOR: f64 = 36_000.0;
/// Pause before an end that has not confirmed is asked again.
const PAUSE: Duration = Duration::from_millis(100);
/// Number of times that an end is asked.
const ASKED_AT_MOST: u32 = 100;
/// Deadline of each call: a thousand calls run at once.
const DEADLINE: &str = "20s";
const REPLY_TIMEOUT: Duration = Duration::from_secs(20);
/// OID of sysDescr.0.
const DESCR: [u32; 9] = [1, 3, 6, 1, 2, 1, 1, 1, 0];

async fn serve_end(link: &Arc<PskLink>, end: usize, name: &str) -> u16 {
    let identity = Identity::new("Ciena").with_model("Waveserver");
    let agent = ciena_waveserver::agent(
        PskEndpoint::new(Arc::clone(link), end, identity),
        NodeOptions::named(name, ENTERPRISE),
    );
    let user = UsmUser::new(USER, AUTH_PASSWORD, PRIV_PASSWORD).expect("a user");
    let served = serve(loopback(0), agent, SnmpServerOptions::new(user)).await;
    served.expect("an agent").0.port()
}

/// Prints the ports of both ends of each pair, and serves them until its input ends.
pub(crate) fn crowd() {
    raise_limit();
    let runtime = spawn_runtime();
    runtime.block_on(async {
        for k in 0..PAIR_COUNT {
            let clock = Clock::scaled(TIME_FACTOR);
            let hour = Duration::from_secs(3600);
            let link = PskLink::new(clock, b"emulated initial", RULES, hour, DROP);
            let near = serve_end(&link, 0, &format!("ws-{k}a")).await;
            let far = serve_end(&link, 1, &format!("ws-{k}b")).await;
            println!("{near} {far}");
        }
    });
    let _ = std::io::stdin().read(&mut [0]);
}

/// The process with the agents.
struct Crowd(Child);

impl Drop for Crowd {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Crowd {
    fn start() -> (Self, Vec<[u16; 2]>) {
        let child = Command::new(std::env::current_exe().expect("this program"))
            .arg(crate::PAIRS)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn();
        let mut new = Self(child.expect("a child"));
        let out = BufReader::new(new.0.stdout.take().expect("its output"));
        let ports = out.lines().take(PAIR_COUNT).map_while(|line| {
            let line = line.ok()?;
            let (near, far) = line.split_once(' ')?;
            Some([near.parse().ok()?, far.parse().ok()?])
        });
        let ports = ports.collect();
        (new, ports)
    }
}

/// One end of a pair.
struct End {
    encryptor: Arc<dyn Encryptor>,
    channel: ChannelId,
}

async fn open(port: u16, context: &OpenContext) -> End {
    let registry = qkd_hardware::registry();
    let uri = format!(
        "ciena-waveserver+snmp://127.0.0.1:{port}?credentials=bench&deadline={DEADLINE}\
         &assume=ciena-waveserver.key-at-re-authentication\
         &assume=ciena-waveserver.pass-is-of-the-last-authentication"
    );
    let opened = registry.open(&uri, context).await.expect("an encryptor");
    let encryptor = opened.encryptor().expect("an encryptor");
    let channel = encryptor.channels().await.expect("channels").remove(0);
    End { encryptor, channel }
}

/// One key at both ends, confirmed at both.
async fn roll(pair: &[End; 2], number: usize, round: u32) {
    let mut id = [0x40; 16];
    id[..8].copy_from_slice(&(number as u64).to_be_bytes());
    id[8..12].copy_from_slice(&round.to_be_bytes());
    let hex = id.iter().map(|byte| format!("{byte:02x}"));
    let id: KeyId = hex.collect::<String>().parse().expect("an id");
    let key = Key::new(id, Zeroizing::new(vec![round as u8 ^ number as u8; 32]));
    let stage = |end: usize| pair[end].encryptor.stage(&pair[end].channel, &key);
    let (near, far) = (stage(0).await, stage(1).await);
    for (end, staged) in pair.iter().zip([near, far]) {
        let staged = staged.expect("staged");
        let mut asked = 0;
        // The driver itself would wait for minutes, in the time of a real device.
        while !end
            .encryptor
            .confirm(&staged, Duration::ZERO)
            .await
            .expect("an answer")
            .is_confirmed()
        {
            asked += 1;
            assert!(asked < ASKED_AT_MOST, "the key is not confirmed");
            tokio::time::sleep(PAUSE).await;
        }
    }
}

fn credentials() -> Credentials {
    let entry = CredentialEntry::new("bench")
        .with("user", USER)
        .with("auth_password", AUTH_PASSWORD)
        .with("priv_password", PRIV_PASSWORD);
    Credentials::from_environment().with(entry)
}

/// Exchanges of one roll.
async fn exchanges(ports: [u16; 2]) -> usize {
    let transcript = Transcript::in_memory();
    let context = OpenContext::new()
        .with_credentials(credentials())
        .with_transcript(transcript.clone());
    let pair = [
        open(ports[0], &context).await,
        open(ports[1], &context).await,
    ];
    let opened = transcript.records().len();
    roll(&pair, 0, 1).await;
    transcript.records().len() - opened
}

/// Bare GETs a second, of as many agents at once.
async fn gets(ports: &[[u16; 2]], rounds: u32) -> f64 {
    let mut links = Vec::new();
    for [near, _] in ports {
        links.push(open_link(*near, "v3", SnmpClientLibrary::Snmp2).await);
    }
    let name = [Oid::from(DESCR)];
    let begun = Instant::now();
    join_all(links.iter().map(|link| async {
        for _ in 0..rounds {
            link.get(&name, REPLY_TIMEOUT).await.expect("an answer");
        }
    }))
    .await;
    f64::from(rounds) * links.len() as f64 / begun.elapsed().as_secs_f64()
}

pub(crate) fn run(scale: u32) {
    raise_limit();
    let (_crowd, ports) = Crowd::start();
    if ports.len() < PAIR_COUNT {
        eprintln!("the rows of {PAIR_COUNT} pairs are left out: they did not all start");
        return;
    }
    let rounds = (10 / scale).max(2);
    Runtime::new().expect("a runtime").block_on(async {
        let exchanges = exchanges(ports[0]).await;
        let before = resident_kib();
        let context = OpenContext::new().with_credentials(credentials());
        let mut pairs = Vec::new();
        for [near, far] in &ports {
            pairs.push([open(*near, &context).await, open(*far, &context).await]);
        }
        let kib = resident_kib().saturating_sub(before) as f64 / PAIR_COUNT as f64;
        let begun = Instant::now();
        join_all(pairs.iter().enumerate().map(|(number, pair)| async move {
            for round in 0..rounds {
                roll(pair, number, round).await;
            }
        }))
        .await;
        let rolls = f64::from(rounds) * PAIR_COUNT as f64 / begun.elapsed().as_secs_f64();
        drop(pairs);
        let gets = gets(&ports, rounds * 10).await;
        row(
            &format!(
                "rolls over {PAIR_COUNT} pairs of SNMPv3 encryptors, {exchanges} exchanges each"
            ),
            &format!("{rolls:.0}/s"),
            &format!("{:.0}/s, as bare GETs", gets / exchanges as f64),
            Some(rolls * exchanges as f64 / gets),
            "≥ 500/s",
        );
        row(
            "memory of an open pair of SNMPv3 encryptors",
            &format!("{kib:.0} KiB"),
            "-",
            None,
            "-",
        );
    });
}
