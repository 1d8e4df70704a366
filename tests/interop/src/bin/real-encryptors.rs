//! Real encryptors, keyed by our drivers with keys of an emulated QKD pair, under traffic. Needs
//! root: each check makes its own network namespaces.
//!
//! `real-encryptors all`, or one of the names that `real-encryptors list` shows.

mod real {
    pub(crate) mod capture;
    pub(crate) mod keys;
    pub(crate) mod network;
    pub(crate) mod processes;
    pub(crate) mod secrets;
    pub(crate) mod strongswan;
    pub(crate) mod traffic;
    pub(crate) mod wireguard;
}

use qkd_interop::scaled;
use qkd_keyflow::EncryptorPair;
use real::{
    capture::Capture,
    keys::{self, KeySource},
    network::Network,
    secrets, strongswan,
    traffic::{self, Count, RATE, Traffic},
    wireguard,
};
use std::{
    fmt,
    process::ExitCode,
    time::{Duration, Instant},
};

/// Rolls of each encryptor in the gate.
const ROLLS: usize = 50;
const NAMES: [&str; 2] = ["strongswan", "wireguard"];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        ["traffic", bind, to] => ended(traffic::run_end(bind, to)),
        ["hold", uri, channel] => ended(secrets::hold(uri, channel)),
        ["list"] => {
            NAMES.iter().for_each(|name| println!("{name}"));
            ExitCode::SUCCESS
        }
        ["all"] | [] => run(&NAMES),
        [name] if NAMES.contains(&name) => run(&[name]),
        _ => {
            eprintln!("usage: real-encryptors [all | list | NAME]");
            ExitCode::from(2)
        }
    }
}

/// The exit code of a subcommand.
fn ended(result: Result<ExitCode, String>) -> ExitCode {
    result.unwrap_or_else(|why| {
        eprintln!("{why}");
        ExitCode::FAILURE
    })
}

fn run(names: &[&str]) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    let mut failed = 0;
    for name in names {
        let begun = Instant::now();
        let result = runtime.block_on(async {
            match *name {
                "strongswan" => strongswan::run(scaled(ROLLS)).await,
                _ => wireguard::run(scaled(ROLLS)).await,
            }
        });
        let seconds = begun.elapsed().as_secs();
        match result {
            Ok(what) => println!("PASS {name} ({seconds} s): {what}"),
            Err(why) => {
                failed += 1;
                println!("FAIL {name} ({seconds} s): {why}");
            }
        }
    }
    println!("{} passed, {failed} failed", names.len() - failed);
    if failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// Rolls that wait for a handshake of two minutes each.
pub(crate) fn waiting_rolls() -> usize {
    scaled(2)
}

/// Packets that rolls may lose, as a mean over the run in each direction.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Losses {
    None,
    PerRoll(f64),
    MillisecondsPerRoll(f64),
}

impl Losses {
    fn allowed(self, rolls: usize) -> f64 {
        match self {
            Self::None => 0.0,
            Self::PerRoll(packets) => packets * rolls as f64,
            Self::MillisecondsPerRoll(time) => time / 1000.0 * f64::from(RATE) * rolls as f64,
        }
    }
}

/// The result of rolls under traffic.
pub(crate) struct Trial {
    rolls: usize,
    count: Count,
    median: Duration,
    longest: Duration,
    left: usize,
}

impl Trial {
    pub(crate) async fn run(
        network: &Network,
        pair: &EncryptorPair,
        source: &KeySource,
        rolls: usize,
        losses: Losses,
    ) -> Result<Self, String> {
        Self::paced(
            network,
            pair,
            source,
            rolls,
            losses,
            Duration::from_millis(100),
        )
        .await
    }

    /// Rolls under traffic, with this time between them, and accounts for every packet.
    pub(crate) async fn paced(
        network: &Network,
        pair: &EncryptorPair,
        source: &KeySource,
        rolls: usize,
        losses: Losses,
        pause: Duration,
    ) -> Result<Self, String> {
        let blocked_before = network.blocked()?;
        let capture = Capture::start(network)?;
        let traffic = Traffic::start(network)?;
        tokio::time::sleep(Duration::from_secs(1)).await;
        let mut times = Vec::with_capacity(rolls);
        for n in 1..=rolls {
            // The rules against clear packets are there before each roll.
            network.blocked()?;
            let begun = Instant::now();
            keys::roll(pair, source)
                .await
                .map_err(|e| format!("roll {n} of {rolls}: {e}"))?;
            times.push(begun.elapsed());
            tokio::time::sleep(pause).await;
        }
        let count = traffic.stop()?;
        let (left, clear) = capture.stop()?;
        let blocked = network.blocked()?;
        if clear > 0 || blocked != blocked_before {
            return Err(format!(
                "{clear} packets left in clear, and the rules dropped {blocked_before:?} packets \
                 before the rolls, {blocked:?} after"
            ));
        }
        let allowed = losses.allowed(rolls);
        if count.lost.iter().any(|lost| *lost as f64 > allowed) {
            return Err(format!(
                "{:?} packets of {:?} were lost in {rolls} rolls; {allowed:.0} are allowed in each \
                 direction",
                count.lost, count.sent
            ));
        }
        times.sort();
        Ok(Self {
            rolls,
            count,
            median: times.get(times.len() / 2).copied().unwrap_or_default(),
            longest: times.last().copied().unwrap_or_default(),
            left,
        })
    }
}

impl fmt::Display for Trial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Count { sent, lost } = self.count;
        write!(
            f,
            "{} rolls, median {} ms, longest {} ms; lost {} of {} and {} of {} packets; {} packets \
             on the wires, none in clear",
            self.rolls,
            self.median.as_millis(),
            self.longest.as_millis(),
            lost[0],
            sent[0],
            lost[1],
            sent[1],
            self.left
        )
    }
}

/// Packets that pass in this time, in both directions.
pub(crate) fn passes(network: &Network, seconds: f64) -> Result<u64, String> {
    let traffic = Traffic::start(network)?;
    std::thread::sleep(Duration::from_secs_f64(seconds));
    let Count { sent, lost } = traffic.stop()?;
    Ok(sent.iter().sum::<u64>() - lost.iter().sum::<u64>())
}

/// Shows that packets pass in clear, and are seen, where nothing protects them.
pub(crate) fn control_run(network: &Network) -> Result<(), String> {
    let capture = Capture::start(network)?;
    let passed = passes(network, 0.5)?;
    let (_, clear) = capture.stop()?;
    if passed == 0 || clear == 0 {
        return Err(format!(
            "control run without protection: {passed} packets passed and {clear} were seen in \
             clear; without them, a test for clear packets cannot fail"
        ));
    }
    Ok(())
}

/// Runs a tool; its name in every error.
pub(crate) fn tool(name: &str, arguments: &[&str]) -> Result<String, String> {
    let output = std::process::Command::new(name)
        .args(arguments)
        .output()
        .map_err(|e| format!("{name} cannot be run: {e}"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(format!(
        "{name} {} ended with {}: {}",
        arguments.join(" "),
        output.status,
        String::from_utf8_lossy(&output.stderr).trim()
    ))
}
