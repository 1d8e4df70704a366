//! strongSwan: two charon daemons, keyed by our driver over VICI.

use crate::{
    Losses, Trial,
    real::{
        capture::Capture,
        conformance,
        keys::{self, KeySource},
        network::{INNER, Network, OUTER, Rules},
        overhead,
        processes::{Processes, wait_for},
        secrets,
    },
    tool,
};
use qkd_keyflow::End;
use std::{fmt::Write, fs, path::Path, process::Stdio, time::Duration};
use tempfile::TempDir;

/// Losses allowed with kernel-libipsec: less than one packet a roll in each direction, as a mean.
const LOSSES: Losses = Losses::PerRoll(1.0);
const IDENTITIES: [&str; 2] = ["a.test", "b.test"];

/// The part that encrypts packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Esp {
    /// The daemon, through a TUN interface.
    Libipsec,
    /// The kernel.
    Kernel,
}

fn conf(esp: Esp, folder: &Path, end: usize) -> String {
    let esp = match esp {
        Esp::Libipsec => "kernel-libipsec",
        Esp::Kernel => "",
    };
    format!(
        "charon-systemd {{\n load = random nonce aes sha1 sha2 hmac kdf curve25519 openssl gcm pem \
         pkcs1 x509 pubkey {esp} kernel-netlink socket-default vici updown\n \
         install_virtual_ip = no\n retransmit_base = 1.2\n retransmit_timeout = 0.5\n \
         retransmit_tries = 6\n plugins {{ vici {{ socket = unix://{0}/{end}.vici }} }}\n \
         filelog {{ log {{ path = {0}/{end}.log\n default = 1\n flush_line = yes }} }}\n \
         journal {{ default = -1 }}\n}}\n",
        folder.display()
    )
}

fn connections(end: usize) -> String {
    let far = 1 - end;
    format!(
        "[connections.net]\nversion = 2\nlocal_addrs = [\"{}\"]\nremote_addrs = [\"{}\"]\n\
         proposals = [\"aes256gcm16-prfsha256-x25519\"]\nencap = true\nmobike = false\n\
         rekey_time = 0\nreauth_time = 0\n[connections.net.local]\nauth = \"psk\"\nid = \"{}\"\n\
         [connections.net.remote]\nauth = \"psk\"\nid = \"{}\"\n\
         [connections.net.children.net]\nlocal_ts = [\"{}/32\"]\nremote_ts = [\"{}/32\"]\n\
         esp_proposals = [\"aes256gcm16-x25519\"]\nrekey_time = 0\n",
        OUTER[end], OUTER[far], IDENTITIES[end], IDENTITIES[far], INNER[end], INNER[far]
    )
}

/// The secret with which the ends authenticate IKE itself, loaded as an operator does.
fn swanctl(folder: &Path, end: usize, secret: &str) -> Result<(), String> {
    let mut text = String::new();
    let _ = write!(
        text,
        "secrets {{ ike-net {{ id-1 = {} \n id-2 = {} \n secret = 0x{secret} }} }}\n",
        IDENTITIES[0], IDENTITIES[1]
    );
    let file = folder.join(format!("{end}.swanctl"));
    fs::write(&file, text).map_err(|e| e.to_string())?;
    let socket = format!("unix://{}/{end}.vici", folder.display());
    let file = file.to_string_lossy().into_owned();
    tool(
        "swanctl",
        &["--load-creds", "--uri", &socket, "--file", &file],
    )
    .map(drop)
}

/// The daemons, in the namespaces of a network.
struct Daemons {
    esp: Esp,
    processes: Processes,
    folder: TempDir,
    secret: String,
}

impl Daemons {
    fn start(esp: Esp, network: &Network) -> Result<Self, String> {
        let folder = tempfile::tempdir().map_err(|e| e.to_string())?;
        let mut new = Self {
            esp,
            processes: Processes::default(),
            folder,
            secret: hex::encode(random_bytes()?),
        };
        for end in 0..2 {
            let file = new.folder.path().join(format!("{end}.toml"));
            fs::write(file, connections(end)).map_err(|e| e.to_string())?;
            new.start_end(network, end)?;
        }
        Ok(new)
    }

    fn start_end(&mut self, network: &Network, end: usize) -> Result<(), String> {
        let folder = self.folder.path();
        let file = folder.join(format!("{end}.conf"));
        fs::write(&file, conf(self.esp, folder, end)).map_err(|e| e.to_string())?;
        let child = network
            .command(end, "charon-systemd")
            .env("STRONGSWAN_CONF", file)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|e| format!("charon-systemd cannot be run: {e}"))?;
        self.processes.put(end, child);
        let socket = folder.join(format!("{end}.vici"));
        wait_for("the socket of charon", || socket.exists())?;
        // The socket exists a moment before the daemon answers.
        let mut last = String::new();
        wait_for("charon", || match swanctl(folder, end, &self.secret) {
            Ok(()) => true,
            Err(e) => {
                last = e;
                false
            }
        })
        .map_err(|e| format!("{e}: {last}"))
    }

    fn uris(&self) -> [String; 2] {
        let folder = self.folder.path().display();
        [0, 1].map(|end| {
            format!(
                "strongswan+unix://{folder}/{end}.vici?connection=net\
                 &connections={folder}/{end}.toml&deadline=10s"
            )
        })
    }
}

/// Counter of packets that arrived with the SPI of an association that has a number, and no key yet.
const EARLY: &str = "XfrmAcquireError";

/// Packets that arrived at each end before it had the key of their association.
fn early(network: &Network) -> Result<[u64; 2], String> {
    let mut counts = [0; 2];
    for (end, count) in counts.iter_mut().enumerate() {
        let text = network.run(end, "cat", &["/proc/net/xfrm_stat"])?;
        let line = text.lines().find_map(|line| line.strip_prefix(EARLY));
        let number = line.and_then(|number| number.trim().parse().ok());
        *count = number.ok_or_else(|| format!("the kernel has no counter {EARLY}"))?;
    }
    Ok(counts)
}

/// Checks the losses of rolls with ESP of the kernel: less than one packet a roll as a mean in each
/// direction, apart from packets that arrived before the end had the key, as its kernel counted.
///
/// The end that answers gives its associations to the kernel, which sends with them at once, and
/// then sends its answer; the other end has the key when that has come. No setting of charon and no
/// order of commands changes that: only the rekeying of one IKE association, which keeps its PPK,
/// delays the association that sends. The time between is that of both daemons for one message:
/// kernel-libipsec loses a packet in four rolls. In User-Mode Linux it is 5 ms to 10 ms, and longer
/// while other programs have the processor, so that a limit in packets would measure the load of the
/// host. A roll that ends the association before too early, or that makes one with another key,
/// loses packets that this counter does not have.
fn check_losses(trial: &Trial, early: [u64; 2]) -> Result<String, String> {
    // Packets that one end sends arrive at the other.
    let others = [0, 1].map(|from: usize| trial.count.lost[from].saturating_sub(early[1 - from]));
    if others.iter().any(|lost| *lost as usize >= trial.rolls) {
        return Err(format!(
            "{:?} packets were lost in {} rolls; {early:?} of them arrived at the near and the far \
             end before it had the key",
            trial.count.lost, trial.rolls
        ));
    }
    let early: u64 = early.iter().sum();
    Ok(format!(
        "; {early} of them arrived before the daemon had given the key to its kernel"
    ))
}

fn random_bytes() -> Result<[u8; 32], String> {
    use std::io::Read;
    let mut bytes = [0; 32];
    fs::File::open("/dev/urandom")
        .and_then(|mut f| f.read_exact(&mut bytes))
        .map_err(|e| e.to_string())?;
    Ok(bytes)
}

pub(crate) async fn run(esp: Esp, rolls: usize) -> Result<String, String> {
    let network = Network::new(match esp {
        Esp::Libipsec => Rules::Nftables,
        Esp::Kernel => Rules::TrafficControl,
    })?;
    network.add_inner(["lo", "lo"])?;
    crate::control_run(&network)?;
    let mut daemons = Daemons::start(esp, &network)?;
    let text = |e: qkd_hal::Error| e.to_string();
    let source = KeySource::open().await.map_err(text)?;
    let uris = daemons.uris();
    let pair = keys::open_pair(&uris, [None, None]).await.map_err(text)?;
    // The first key makes the tunnel.
    keys::roll(&pair, &source).await.map_err(text)?;
    if esp == Esp::Kernel {
        for end in 0..2 {
            let state = network.run(end, "ip", &["xfrm", "state"])?;
            if !state.contains("proto esp") {
                return Err(format!(
                    "the kernel of end {} has no ESP association",
                    end + 1
                ));
            }
        }
    }
    let (trial, explained) = match esp {
        Esp::Libipsec => {
            let trial = Trial::run(&network, &pair, &source, rolls, LOSSES).await?;
            (trial, String::new())
        }
        Esp::Kernel => {
            let before = early(&network)?;
            let losses = Losses::CheckedByCaller;
            let trial = Trial::run(&network, &pair, &source, rolls, losses).await?;
            let after = early(&network)?;
            let during = [0, 1].map(|end: usize| after[end].saturating_sub(before[end]));
            let explained = check_losses(&trial, during)?;
            (trial, explained)
        }
    };

    // The driver is the same with both.
    let (memory, overhead) = match esp {
        Esp::Libipsec => {
            let ratio = overhead::measure(&uris, &source).await?;
            let overhead = format!("a roll takes {ratio:.2} times the daemons' own time");
            (secrets::run(&pair, &source, &uris[0]).await?, overhead)
        }
        Esp::Kernel => {
            let as_there = "as with kernel-libipsec".to_owned();
            (as_there.clone(), as_there)
        }
    };

    // One end restarts in the middle of a roll: the roll fails, and a recovery makes the link again.
    let capture = Capture::start(&network)?;
    let half = keys::stage_near_only(&pair, &source).await.map_err(text)?;
    daemons.processes.kill(1);
    let failed = keys::roll(&pair, &source).await;
    if failed.is_ok() {
        return Err("a roll succeeded while the far daemon was down".to_owned());
    }
    let _ = fs::remove_file(daemons.folder.path().join("1.vici"));
    daemons.start_end(&network, 1)?;
    tokio::time::sleep(Duration::from_millis(500)).await;
    let pair = keys::open_pair(&uris, [None, None]).await.map_err(text)?;
    let recovered = keys::recover(&pair, &source, &half).await.map_err(text)?;
    if !keys::encrypts(&pair).await.map_err(text)? {
        return Err("the channel does not encrypt after the recovery".to_owned());
    }

    // A wrong key at one end: reported, and the association before still carries traffic.
    let wrong = keys::roll_with_wrong_key(&pair, &source)
        .await
        .map_err(text)?;
    let reported = wrong.map_err(|e| format!("a wrong key was confirmed: {e}"))?;
    keys::roll(&pair, &source).await.map_err(text)?;
    let (_, clear) = capture.stop()?;
    if clear > 0 {
        return Err(format!("{clear} packets left in clear after the restart"));
    }
    Ok(format!(
        "{}, {trial}{explained}; after a restart of one end in a roll: {recovered}; a wrong key: {reported}; \
         memory: {memory}; time: {overhead}",
        pair.end(End::Near)
            .encryptor()
            .identity()
            .await
            .map_err(text)?
    ))
}

/// The conformance suite on both daemons, without traffic.
pub(crate) async fn run_suite() -> Result<String, String> {
    let network = Network::new(Rules::Nftables)?;
    network.add_inner(["lo", "lo"])?;
    let daemons = Daemons::start(Esp::Libipsec, &network)?;
    // The file of the device has the deadline.
    let uris = daemons.uris().map(|uri| uri.replace("&deadline=10s", ""));
    conformance::run("strongswan.toml", &uris).await
}
