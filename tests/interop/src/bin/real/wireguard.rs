//! WireGuard, keyed by our driver: two wireguard-go processes over their configuration sockets, and
//! interfaces of the kernel over netlink.

use crate::{
    Losses, Trial,
    real::{
        capture::Capture,
        keys::{self, KeySource},
        network::{INNER, Network, OUTER, Rules},
        processes::{Processes, wait_for},
        secrets,
    },
    tool,
};
use qkd_keyflow::EncryptorPair;
use std::{fs, path::Path, process::Stdio};

/// Milliseconds of traffic that a roll by replacement may lose, as a mean.
const REPLACEMENT: f64 = 50.0;
const PORT: u16 = 51_820;

/// The part that encrypts packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Implementation {
    /// A process of wireguard-go at each end, with a TUN interface.
    Userspace,
    Kernel,
}

struct Interfaces {
    implementation: Implementation,
    processes: Processes,
    names: [String; 2],
    public_keys: [String; 2],
    private_keys: [String; 2],
}

fn keygen() -> Result<(String, String), String> {
    let private = tool("wg", &["genkey"])?.trim().to_owned();
    let folder = tempfile::tempdir().map_err(|e| e.to_string())?;
    let file = folder.path().join("key");
    fs::write(&file, &private).map_err(|e| e.to_string())?;
    let public = tool("sh", &["-c", &format!("wg pubkey < {}", file.display())])?;
    Ok((private, public.trim().to_owned()))
}

impl Interfaces {
    fn start(network: &Network, implementation: Implementation) -> Result<Self, String> {
        let (one, two) = (keygen()?, keygen()?);
        let mut new = Self {
            implementation,
            processes: Processes::default(),
            names: ["a", "b"].map(|end| format!("qw{end}{}", std::process::id())),
            private_keys: [one.0, two.0],
            public_keys: [one.1, two.1],
        };
        for end in 0..2 {
            new.start_end(network, end)?;
        }
        Ok(new)
    }

    fn start_process(&mut self, network: &Network, end: usize) -> Result<(), String> {
        let name = self.names[end].clone();
        let child = network
            .command(end, "wireguard-go")
            .args(["-f", &name])
            .env("LOG_LEVEL", "error")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|e| format!("wireguard-go cannot be run: {e}"))?;
        self.processes.put(end, child);
        let socket = self.socket(end);
        wait_for("the socket of wireguard-go", || Path::new(&socket).exists())
    }

    fn socket(&self, end: usize) -> String {
        format!("/var/run/wireguard/{}.sock", self.names[end])
    }

    /// Starts one end, and configures it as an operator does, without a preshared key.
    fn start_end(&mut self, network: &Network, end: usize) -> Result<(), String> {
        match self.implementation {
            Implementation::Userspace => self.start_process(network, end)?,
            Implementation::Kernel => {
                let (netns, name) = (&network.names[end], &self.names[end]);
                tool(
                    "ip",
                    &["-n", netns, "link", "add", name, "type", "wireguard"],
                )?;
            }
        }
        let file = tempfile::NamedTempFile::new().map_err(|e| e.to_string())?;
        fs::write(file.path(), &self.private_keys[end]).map_err(|e| e.to_string())?;
        let (name, port) = (self.names[end].as_str(), PORT.to_string());
        let key = file.path().to_string_lossy().into_owned();
        let own = ["set", name, "private-key", &key, "listen-port", &port];
        network.run(end, "wg", &own)?;
        self.set_peer(network, end)?;
        network.add_tunnel(end, name)
    }

    /// Adds the other end as a peer.
    fn set_peer(&self, network: &Network, end: usize) -> Result<(), String> {
        let ips = format!("{}/32", INNER[1 - end]);
        let endpoint = format!("{}:{PORT}", OUTER[1 - end]);
        let peer = [
            "set",
            &self.names[end],
            "peer",
            &self.public_keys[1 - end],
            "allowed-ips",
            &ips,
            "endpoint",
            &endpoint,
            "persistent-keepalive",
            "1",
        ];
        network.run(end, "wg", &peer).map(drop)
    }

    fn uris(&self, network: &Network, method: &str) -> [String; 2] {
        [0, 1].map(|end| match self.implementation {
            Implementation::Userspace => {
                format!("wireguard+unix://{}?roll={method}", self.socket(end))
            }
            Implementation::Kernel => {
                let (name, netns) = (&self.names[end], &network.names[end]);
                format!("wireguard+netlink:///{name}?netns={netns}&roll={method}")
            }
        })
    }

    fn channels(&self) -> [Option<&str>; 2] {
        [
            Some(self.public_keys[1].as_str()),
            Some(self.public_keys[0].as_str()),
        ]
    }
}

impl Drop for Interfaces {
    fn drop(&mut self) {
        for end in 0..2 {
            let _ = fs::remove_file(self.socket(end));
        }
    }
}

/// Rolls by replacement under traffic.
async fn replace(
    network: &Network,
    interfaces: &Interfaces,
    source: &KeySource,
    rolls: usize,
) -> Result<(EncryptorPair, Trial), String> {
    let text = |e: qkd_hal::Error| e.to_string();
    let uris = interfaces.uris(network, "replace");
    let pair = keys::open_pair(&uris, interfaces.channels())
        .await
        .map_err(text)?;
    keys::roll(&pair, source).await.map_err(text)?;
    let losses = Losses::MillisecondsPerRoll(REPLACEMENT);
    let trial = Trial::run(network, &pair, source, rolls, losses).await?;
    Ok((pair, trial))
}

pub(crate) async fn run(rolls: usize) -> Result<String, String> {
    let network = Network::new(Rules::Nftables)?;
    network.control_run()?;
    let mut interfaces = Interfaces::start(&network, Implementation::Userspace)?;
    let text = |e: qkd_hal::Error| e.to_string();
    let source = KeySource::open().await.map_err(text)?;
    let uris = interfaces.uris(&network, "replace");
    let (pair, trial) = replace(&network, &interfaces, &source, rolls).await?;

    let memory = secrets::run(&pair, &source, &uris[0]).await?;

    let capture = Capture::start(&network)?;
    let half = keys::stage_near_only(&pair, &source).await.map_err(text)?;
    interfaces.processes.kill(1);
    if keys::roll(&pair, &source).await.is_ok() {
        return Err("a roll succeeded while the far end was down".to_owned());
    }
    let _ = fs::remove_file(interfaces.socket(1));
    interfaces.start_end(&network, 1)?;
    let pair = keys::open_pair(&uris, interfaces.channels())
        .await
        .map_err(text)?;
    let recovered = keys::recover(&pair, &source, &half).await.map_err(text)?;

    let reported = wrong_key(&network, &pair, &source).await?;
    let waiting = wait(&network, &interfaces, &source).await?;
    let (_, clear) = capture.stop()?;
    if clear > 0 {
        return Err(format!("{clear} packets left in clear"));
    }
    Ok(format!(
        "wireguard-go, by replacement: {trial}; after a restart of one end in a roll: {recovered}; \
         a wrong key passes nothing: {reported}; memory: {memory}; waiting: {waiting}"
    ))
}

/// Rolls that wait for the next handshake: two minutes each, so that the gate makes one.
async fn wait(
    network: &Network,
    interfaces: &Interfaces,
    source: &KeySource,
) -> Result<String, String> {
    let text = |e: qkd_hal::Error| e.to_string();
    let uris = interfaces.uris(network, "wait");
    let pair = keys::open_pair(&uris, interfaces.channels())
        .await
        .map_err(text)?;
    let rolls = crate::waiting_rolls();
    let trial = Trial::run(network, &pair, source, rolls, Losses::None).await?;
    Ok(trial.to_string())
}

/// Gives the ends keys that differ, checks that nothing passes, and returns how the driver reports
/// it. After the next roll, packets pass again.
async fn wrong_key(
    network: &Network,
    pair: &EncryptorPair,
    source: &KeySource,
) -> Result<String, String> {
    let text = |e: qkd_hal::Error| e.to_string();
    let wrong = keys::roll_with_wrong_key(pair, source)
        .await
        .map_err(text)?;
    let reported = wrong.map_err(|e| format!("a wrong key was confirmed: {e}"))?;
    let silent = crate::passes(network, 1.0)?;
    if silent > 0 {
        return Err(format!("{silent} packets passed with a wrong key"));
    }
    keys::roll(pair, source).await.map_err(text)?;
    match crate::passes(network, 1.0)? {
        0 => Err("no packet passes after a wrong key was replaced".to_owned()),
        _ => Ok(reported),
    }
}

/// Rolls of interfaces of the kernel, and a wrong key. In the virtual machine, whose processor is
/// emulated, a roll takes 0.1 s to 0.3 s and loses 3 ms to 15 ms of traffic (0.5 s and 47 ms while
/// compilers used both processors of the host): the limit is that of the other implementation.
pub(crate) async fn run_kernel(rolls: usize) -> Result<String, String> {
    let network = Network::new(Rules::TrafficControl)?;
    network.control_run()?;
    let interfaces = Interfaces::start(&network, Implementation::Kernel)?;
    let source = KeySource::open().await.map_err(|e| e.to_string())?;
    let (pair, trial) = replace(&network, &interfaces, &source, rolls).await?;

    let capture = Capture::start(&network)?;
    let reported = wrong_key(&network, &pair, &source).await?;
    let uris = interfaces.uris(&network, "replace");
    let memory = secrets::run(&pair, &source, &uris[0]).await?;
    let (_, clear) = capture.stop()?;
    if clear > 0 {
        return Err(format!("{clear} packets left in clear"));
    }
    Ok(format!(
        "by replacement over netlink: {trial}; a wrong key passes nothing: {reported}; memory: \
         {memory}"
    ))
}
