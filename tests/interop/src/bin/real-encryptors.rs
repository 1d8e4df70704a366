//! Real encryptors, keyed by our drivers with keys of an emulated QKD pair, under traffic. Needs
//! root: each check makes its own network namespaces.
//!
//! `real-encryptors all`, or names that `real-encryptors list` shows. Checks of what is
//! in the kernel start a kernel for it, and run there as `real-encryptors inside NAME`.

mod real {
    pub(crate) mod capture;
    pub(crate) mod conformance;
    pub(crate) mod keys;
    pub(crate) mod macsec;
    pub(crate) mod mka;
    pub(crate) mod network;
    pub(crate) mod overhead;
    pub(crate) mod processes;
    pub(crate) mod qemu;
    pub(crate) mod secrets;
    pub(crate) mod strongswan;
    pub(crate) mod traffic;
    pub(crate) mod uml;
    pub(crate) mod wireguard;
}

use qkd_interop::scaled;
use qkd_keyflow::EncryptorPair;
use real::{
    capture::Capture,
    keys::{self, KeySource},
    macsec, mka,
    network::Network,
    qemu, secrets, strongswan,
    strongswan::Esp,
    traffic::{self, Count, RATE, Traffic},
    uml, wireguard,
};
use std::{
    fmt,
    path::PathBuf,
    process::ExitCode,
    time::{Duration, Instant},
};

/// Rolls of each encryptor in the gate.
const ROLLS: usize = 50;
/// Time between rolls.
const PAUSE: Duration = Duration::from_millis(100);
/// Rolls of strongSwan with ESP of the kernel, whose other rolls are those of the check outside.
const KERNEL_ESP_ROLLS: usize = 20;

/// Rolls of MKA, which interrupt traffic for several seconds each.
const MKA_ROLLS: usize = 3;
/// Rolls of WireGuard of the kernel.
const KERNEL_WIREGUARD_ROLLS: usize = 3;

/// A check.
struct Check {
    name: &'static str,
    place: Place,
}

/// Where a check runs.
enum Place {
    /// On this machine.
    Here,
    /// In User-Mode Linux, with these modules.
    Uml(&'static [&'static str]),
    /// In a virtual machine, with these modules in the order in which they are loaded.
    Qemu(&'static [&'static str]),
}

const CHECKS: [Check; 7] = [
    Check {
        name: "strongswan",
        place: Place::Here,
    },
    Check {
        name: "strongswan-suite",
        place: Place::Here,
    },
    Check {
        name: "wireguard",
        place: Place::Here,
    },
    Check {
        name: "strongswan-kernel",
        place: Place::Uml(&["esp4", "xfrm_user", "tun"]),
    },
    Check {
        name: "macsec",
        place: Place::Uml(&["macsec"]),
    },
    Check {
        name: "mka",
        place: Place::Uml(&["macsec"]),
    },
    Check {
        name: "wireguard-kernel",
        place: Place::Qemu(&[
            "veth",
            "sch_ingress",
            "cls_flower",
            "act_gact",
            "udp_tunnel",
            "ip6_udp_tunnel",
            "libchacha",
            "libcurve25519-generic",
            "curve25519-x86_64",
            "poly1305-x86_64",
            "chacha-x86_64",
            "libchacha20poly1305",
            "wireguard",
        ]),
    },
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        ["traffic", bind, to] => ended(traffic::run_end(bind, to)),
        ["hold", uri, channel] => ended(secrets::hold(uri, channel)),
        ["list"] => {
            CHECKS.iter().for_each(|check| println!("{}", check.name));
            ExitCode::SUCCESS
        }
        ["all"] | [] => run(&CHECKS.iter().collect::<Vec<_>>(), false),
        ["inside", ref names @ ..] => run_named(names, true),
        ref names => run_named(names, false),
    }
}

fn run_named(names: &[&str], inside: bool) -> ExitCode {
    let find = |name: &&str| CHECKS.iter().find(|check| check.name == *name);
    match names.iter().map(find).collect::<Option<Vec<_>>>() {
        Some(checks) if !checks.is_empty() => run(&checks, inside),
        _ => {
            eprintln!("usage: real-encryptors [all | list | [inside] NAME...]");
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

/// Runs checks; `inside`: this is already the kernel that they need.
fn run(checks: &[&Check], inside: bool) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    let mut failed = 0;
    for Check { name, place } in checks {
        let begun = Instant::now();
        let result = match place {
            Place::Uml(modules) if !inside => uml::run(name, modules),
            Place::Qemu(modules) if !inside => qemu::run(name, modules),
            _ => runtime.block_on(run_here(name)),
        };
        let seconds = begun.elapsed().as_secs();
        match result {
            Ok(what) if inside => println!("PASS {name} ({seconds} s): {}, {what}", kernel()),
            Ok(what) => println!("PASS {name} ({seconds} s): {what}"),
            Err(why) => {
                failed += 1;
                println!("FAIL {name} ({seconds} s): {why}");
            }
        }
    }
    println!("{} passed, {failed} failed", checks.len() - failed);
    if failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// The kernel that a check has met.
fn kernel() -> String {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!("Linux {}", release.trim())
}

async fn run_here(name: &str) -> Result<String, String> {
    match name {
        "strongswan" => strongswan::run(Esp::Libipsec, scaled(ROLLS)).await,
        "strongswan-kernel" => strongswan::run(Esp::Kernel, scaled(KERNEL_ESP_ROLLS)).await,
        "strongswan-suite" => strongswan::run_suite().await,
        "mka" => mka::run(scaled(MKA_ROLLS)).await,
        "macsec" => macsec::run(scaled(ROLLS)).await,
        "wireguard" => wireguard::run(scaled(ROLLS)).await,
        "wireguard-kernel" => wireguard::run_kernel(scaled(KERNEL_WIREGUARD_ROLLS)).await,
        _ => Err(format!("`{name}` is not a check")),
    }
}

/// Rolls that wait for a handshake of two minutes each.
pub(crate) fn waiting_rolls() -> usize {
    scaled(2)
}

/// Packets that rolls may lose in each direction.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Losses {
    None,
    /// As a mean over the run.
    PerRoll(f64),
    /// As a mean over the run.
    MillisecondsPerRoll(f64),
    /// The caller knows the limit after the run.
    CheckedByCaller,
    /// Each roll interrupts traffic, for at most this time.
    Interruption(Duration),
}

impl Losses {
    /// Checks a count, and the number of packets that the rules dropped in it.
    fn check(self, count: &Count, dropped: [u64; 2], rolls: usize) -> Result<(), String> {
        let sum = match self {
            Self::None => 0.0,
            Self::CheckedByCaller => f64::INFINITY,
            Self::PerRoll(packets) => packets * rolls as f64,
            Self::MillisecondsPerRoll(time) => packets_within(time / 1000.0) * rolls as f64,
            Self::Interruption(outage) => packets_within(outage.as_secs_f64()) * rolls as f64,
        };
        if count.lost.iter().any(|lost| *lost as f64 > sum) {
            return Err(format!(
                "{:?} packets of {:?} were lost in {rolls} rolls; {sum:.0} are allowed in each \
                 direction",
                count.lost, count.sent
            ));
        }
        let Self::Interruption(outage) = self else {
            return match dropped {
                [0, 0] => Ok(()),
                _ => Err(format!("the rules dropped {dropped:?} packets in clear")),
            };
        };
        if count.lost.iter().any(|lost| (*lost as usize) < rolls) {
            return Err(format!(
                "{:?} packets were lost in {rolls} rolls that are declared as not hitless",
                count.lost
            ));
        }
        // The sum alone would not show that traffic passes again between two rolls.
        let most = packets_within(outage.as_secs_f64());
        if count.longest.iter().any(|gap| *gap as f64 > most) {
            return Err(format!(
                "{:?} packets in sequence were lost; {most:.0} are allowed, for the declared \
                 outage of {outage:?}",
                count.longest
            ));
        }
        // Without the tunnel, packets take the route in clear, and the rules stop them.
        let mut pairs = dropped.iter().zip(&count.lost);
        if pairs.any(|(dropped, lost)| dropped > lost) {
            return Err(format!(
                "the rules dropped {dropped:?} packets, and {:?} were lost",
                count.lost
            ));
        }
        Ok(())
    }
}

/// The file of this program. A build at the same time may have replaced it by an equal one.
pub(crate) fn own_program() -> Result<PathBuf, String> {
    let program = std::env::current_exe().map_err(|e| e.to_string())?;
    let text = program.to_string_lossy();
    Ok(match text.strip_suffix(" (deleted)") {
        Some(replaced) => PathBuf::from(replaced),
        None => program.clone(),
    })
}

/// Packets that an end sends within this time.
fn packets_within(seconds: f64) -> f64 {
    seconds * f64::from(RATE)
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
    /// Rolls of a pair under traffic.
    pub(crate) async fn run(
        network: &Network,
        pair: &EncryptorPair,
        source: &KeySource,
        rolls: usize,
        losses: Losses,
    ) -> Result<Self, String> {
        let roll = async || {
            let begun = Instant::now();
            let rolled = keys::roll(pair, source).await;
            rolled.map(|()| begun.elapsed()).map_err(|e| e.to_string())
        };
        Self::timed(network, rolls, losses, roll).await
    }

    /// Rolls under traffic, and accounts for every packet. `roll` returns the time that it has
    /// taken.
    pub(crate) async fn timed(
        network: &Network,
        rolls: usize,
        losses: Losses,
        mut roll: impl AsyncFnMut() -> Result<Duration, String>,
    ) -> Result<Self, String> {
        let blocked_before = network.blocked()?;
        let capture = Capture::start(network)?;
        let traffic = Traffic::start(network)?;
        tokio::time::sleep(Duration::from_secs(1)).await;
        let mut times = Vec::with_capacity(rolls);
        for n in 1..=rolls {
            // The rules against clear packets are there before each roll.
            network.blocked()?;
            let rolled = roll().await;
            times.push(rolled.map_err(|e| format!("roll {n} of {rolls}: {e}"))?);
            tokio::time::sleep(PAUSE).await;
        }
        let count = traffic.stop()?;
        let (left, clear) = capture.stop()?;
        let blocked = network.blocked()?;
        if clear > 0 {
            return Err(format!("{clear} packets left in clear"));
        }
        let dropped = [0, 1].map(|end: usize| blocked[end].saturating_sub(blocked_before[end]));
        losses.check(&count, dropped, rolls)?;
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

impl Trial {
    /// The time in which the longest sequence of lost packets was sent.
    pub(crate) fn longest_interruption(&self) -> Duration {
        let [near, far] = self.count.longest;
        Duration::from_secs_f64(near.max(far) as f64 / f64::from(RATE))
    }
}

impl fmt::Display for Trial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Count { sent, lost, .. } = self.count;
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
    let Count { sent, lost, .. } = traffic.stop()?;
    Ok(sent.iter().sum::<u64>() - lost.iter().sum::<u64>())
}

/// Shows that packets pass in clear, and are seen, where nothing protects them, and that the rules
/// stop them then. Both ends have their inner addresses.
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
    network.block_clear()?;
    let passed = passes(network, 0.1)?;
    let blocked = network.blocked()?;
    if passed > 0 || blocked.contains(&0) {
        return Err(format!(
            "{passed} packets passed in clear, although rules block them; they dropped {blocked:?}"
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

#[cfg(test)]
mod tests {
    use super::{Count, Duration, Losses};

    /// Whether three rolls with these losses, longest gaps and dropped packets pass.
    fn passes(losses: Losses, lost: u64, longest: u64, dropped: u64) -> bool {
        let count = Count {
            sent: [10_000; 2],
            lost: [lost; 2],
            longest: [longest; 2],
        };
        losses.check(&count, [dropped; 2], 3).is_ok()
    }

    #[test]
    fn an_interruption_is_shown_and_has_an_end() {
        // 400 packets for each roll.
        let losses = Losses::Interruption(Duration::from_secs(1));
        assert!(passes(losses, 900, 400, 900));
        assert!(!passes(losses, 0, 0, 0), "nothing was interrupted");
        assert!(!passes(losses, 1201, 400, 0), "longer than declared");
        assert!(!passes(losses, 900, 401, 0), "nothing between two rolls");
        assert!(!passes(losses, 900, 400, 901), "more than were lost");
    }

    #[test]
    fn packets_in_clear_never_pass_otherwise() {
        assert!(passes(Losses::PerRoll(1.0), 3, 1, 0));
        assert!(!passes(Losses::PerRoll(1.0), 4, 1, 0));
        assert!(!passes(Losses::PerRoll(1.0), 3, 1, 1));
        assert!(!passes(Losses::None, 1, 1, 0));
    }
}
