//! MACsec of the kernel with MKA: two wpa_supplicant daemons, keyed by our driver over their
//! control sockets.

use crate::{
    Losses, Trial,
    real::{
        capture::Capture,
        keys::{self, KeySource},
        network::{INNER, Network, Rules},
        processes::{Processes, wait_for, wait_within},
        secrets,
    },
    tool,
};
use qkd_hal::{Key, units::Bits};
use qkd_keyflow::EncryptorPair;
use std::{
    collections::BTreeSet,
    fs,
    io::{BufRead, BufReader},
    process::{Child, Stdio},
    thread::JoinHandle,
    time::{Duration, Instant},
};
use tempfile::TempDir;

const INTERFACE: &str = "macsec0";
/// A CAK of MKA with AES-128; its name has the octets of the id of the key.
const CAK: Bits = Bits(128);
/// Time in which both ends agree on a first key.
const AGREEMENT: Duration = Duration::from_secs(60);
/// Time after which an end without the other knows that: longer than the MKA Life Time of 6 s (IEEE
/// 802.1X).
const LIFE_TIME: Duration = Duration::from_secs(8);

/// Sets the route through the interface of an end each time that the daemon has made it anew, as a
/// service of the host does. The daemon deletes it in each roll.
struct Routes {
    monitor: Child,
    thread: Option<JoinHandle<()>>,
}

impl Routes {
    fn start(network: &Network, end: usize) -> Result<Self, String> {
        let name = network.names[end].clone();
        let mut monitor = std::process::Command::new("ip")
            .args(["-o", "-n", &name, "monitor", "link"])
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|e| format!("ip cannot be run: {e}"))?;
        let output = monitor.stdout.take().ok_or("ip monitor has no output")?;
        let far = format!("{}/32", INNER[1 - end]);
        let thread = std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if !line.contains(INTERFACE) || line.starts_with("Deleted") {
                    continue;
                }
                // An interface that is deleted meanwhile gets neither.
                let _ = tool("ip", &["-n", &name, "link", "set", INTERFACE, "up"]);
                let route = ["route", "replace", &far, "dev", INTERFACE, "metric", "50"];
                let _ = tool("ip", &[&["-n", &name][..], &route].concat());
            }
        });
        Ok(Self {
            monitor,
            thread: Some(thread),
        })
    }
}

impl Drop for Routes {
    fn drop(&mut self) {
        let _ = self.monitor.kill();
        let _ = self.monitor.wait();
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// The daemons of both ends.
struct Daemons<'a> {
    network: &'a Network,
    folder: TempDir,
    processes: Processes,
    _routes: Vec<Routes>,
}

impl<'a> Daemons<'a> {
    /// Starts them with a first key, as an operator does.
    fn start(network: &'a Network, keys: &[Key; 2]) -> Result<Self, String> {
        let folder = tempfile::tempdir().map_err(|e| e.to_string())?;
        let routes = [0, 1].map(|end| Routes::start(network, end));
        let mut new = Self {
            network,
            folder,
            processes: Processes::default(),
            _routes: routes.into_iter().collect::<Result<_, _>>()?,
        };
        for (end, key) in keys.iter().enumerate() {
            let control = new.folder.path().join(end.to_string());
            let text = format!(
                "ctrl_interface={}\neapol_version=3\nap_scan=0\nnetwork={{\n key_mgmt=NONE\n \
                 eapol_flags=0\n macsec_policy=1\n macsec_replay_protect=1\n \
                 macsec_replay_window=0\n mka_cak={}\n mka_ckn={}\n mka_priority={}\n}}\n",
                control.display(),
                hex::encode(key.expose()),
                hex::encode(key.id().as_bytes()),
                16 + end
            );
            let file = new.folder.path().join(format!("{end}.conf"));
            fs::write(&file, text).map_err(|e| e.to_string())?;
            new.start_end(end)?;
        }
        new.wait()?;
        Ok(new)
    }

    fn start_end(&mut self, end: usize) -> Result<(), String> {
        let child = self
            .network
            .command(end, "wpa_supplicant")
            .args(["-D", "macsec_linux", "-i", &self.network.wires[end], "-c"])
            .arg(self.folder.path().join(format!("{end}.conf")))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|e| format!("wpa_supplicant cannot be run: {e}"))?;
        self.processes.put(end, child);
        let socket = self.socket(end);
        wait_for("wpa_supplicant", || fs::exists(&socket).unwrap_or_default())?;
        // Until its port is associated, it looks like one that an operator has disconnected.
        wait_within(AGREEMENT, "the port of wpa_supplicant", || {
            self.status(end).contains("wpa_state=COMPLETED")
        })
    }

    /// The status of the daemon, read apart from the driver.
    fn status(&self, end: usize) -> String {
        let folder = self.folder.path().join(end.to_string());
        let (folder, wire) = (folder.to_string_lossy(), self.network.wires[end].as_str());
        let own = self.folder.path().to_string_lossy();
        tool(
            "wpa_cli",
            &["-p", &folder, "-s", &own, "-i", wire, "status"],
        )
        .unwrap_or_default()
    }

    /// Starts a daemon that was killed. That has left its socket and its interface, with which the
    /// new one would never agree: `create_receive_sc` fails, because the channel exists.
    fn restart(&mut self, end: usize) -> Result<(), String> {
        let _ = fs::remove_file(self.socket(end));
        let netns = self.network.names[end].as_str();
        tool("ip", &["-n", netns, "link", "del", INTERFACE])?;
        self.start_end(end)
    }

    fn socket(&self, end: usize) -> String {
        let (folder, wire) = (self.folder.path(), &self.network.wires[end]);
        format!("{}/{end}/{wire}", folder.display())
    }

    fn uris(&self) -> [String; 2] {
        [0, 1].map(|end| {
            let (socket, name) = (self.socket(end), &self.network.names[end]);
            format!("linux-macsec+unixgram://{socket}?netns={name}")
        })
    }

    /// The key ids that the kernel of an end shows: empty unless it has associations in both
    /// directions that are on.
    fn key_ids(&self, end: usize) -> BTreeSet<String> {
        let netns = self.network.names[end].as_str();
        let shown = tool("ip", &["-n", netns, "macsec", "show"]).unwrap_or_default();
        let ids: Vec<&str> = shown
            .split("state on, key ")
            .skip(1)
            .filter_map(|rest| rest.split_whitespace().next())
            .collect();
        if ids.len() < 2 {
            return BTreeSet::new();
        }
        ids.into_iter().map(str::to_owned).collect()
    }

    /// The key ids that the kernels of both ends show, if those are the same.
    fn agreed(&self) -> Option<BTreeSet<String>> {
        let ids = self.key_ids(0);
        (!ids.is_empty() && ids == self.key_ids(1)).then_some(ids)
    }

    /// Waits until both kernels have associations with one key.
    fn wait(&self) -> Result<(), String> {
        wait_within(AGREEMENT, "MKA", || self.agreed().is_some())
    }

    fn check_passes(&self) -> Result<(), String> {
        match crate::passes(self.network, 0.5)? {
            0 => Err("no packet passes although both ends are secured".to_owned()),
            _ => Ok(()),
        }
    }
}

/// Rolls under traffic. The kernels, which are read apart from the driver, have another key after
/// each.
async fn by_driver(
    daemons: &Daemons<'_>,
    pair: &EncryptorPair,
    source: &KeySource,
    rolls: usize,
) -> Result<Trial, String> {
    let text = |e: qkd_hal::Error| e.to_string();
    let outage = pair.readiness().await.map_err(text)?.outage.declared();
    let outage = outage.ok_or("the driver declares no outage of a roll")?;
    let mut before = daemons.agreed().ok_or("the ends have no common key")?;
    let roll = async || {
        let begun = Instant::now();
        keys::roll(pair, source).await.map_err(text)?;
        let took = begun.elapsed();
        let now = daemons
            .agreed()
            .ok_or("the roll is confirmed, and the kernels have no common key")?;
        if !now.is_disjoint(&before) {
            return Err("the roll is confirmed, and the kernels have the key before".to_owned());
        }
        before = now;
        Ok(took)
    };
    let losses = Losses::Interruption(outage);
    Trial::timed(daemons.network, rolls, losses, roll).await
}

pub(crate) async fn run(rolls: usize) -> Result<String, String> {
    let mut network = Network::new(Rules::TrafficControl)?;
    // Frames of MKA itself are signed, and not encrypted. Without the interface of the tunnel, the
    // kernel looks for the other end on the wire (ARP), and the rules stop what it would send.
    network.clear = "not ether proto 0x88e5 and not ether proto 0x888e and not arp".to_owned();
    network.control_run()?;
    // The daemon deletes and makes the interface of the tunnel: addresses are not on that.
    network.add_inner(["lo", "lo"])?;
    let text = |e: qkd_hal::Error| e.to_string();
    let source = KeySource::open().await.map_err(text)?;
    let capture = Capture::start(&network)?;
    let first = source.take(CAK).await.map_err(text)?;
    let mut daemons = Daemons::start(&network, &first)?;
    daemons.check_passes()?;
    let uris = daemons.uris();
    let pair = keys::open_pair(&uris, [None, None]).await.map_err(text)?;
    let trial = by_driver(&daemons, &pair, &source, rolls).await?;
    daemons.check_passes()?;

    // One end restarts in the middle of a roll, with the key of its file.
    let half = keys::stage_near_only(&pair, &source).await.map_err(text)?;
    daemons.processes.kill(1);
    if keys::roll(&pair, &source).await.is_ok() {
        return Err("a roll succeeded while the far daemon was down".to_owned());
    }
    daemons.restart(1)?;
    let pair = keys::open_pair(&uris, [None, None]).await.map_err(text)?;
    let recovered = keys::recover(&pair, &source, &half).await.map_err(text)?;
    daemons.check_passes()?;

    let wrong = keys::roll_with_wrong_key(&pair, &source)
        .await
        .map_err(text)?;
    let reported = wrong.map_err(|e| format!("a wrong key was confirmed: {e}"))?;
    tokio::time::sleep(LIFE_TIME).await;
    if daemons.agreed().is_some() {
        return Err("the kernels have a common key, and the ends have different CAKs".to_owned());
    }
    let silent = crate::passes(&network, 0.5)?;
    if silent > 0 {
        return Err(format!("{silent} packets passed with a wrong CAK"));
    }
    let memory = secrets::run(&pair, &source, &uris[0]).await?;
    daemons.check_passes()?;
    let (_, clear) = capture.stop()?;
    if clear > 0 {
        return Err(format!("{clear} frames left in clear"));
    }
    Ok(format!(
        "MKA by wpa_supplicant: {trial}; traffic was interrupted for at most {} ms; after a restart of one end in a roll: {recovered}; a \
         wrong key passes nothing: {reported}; memory: {memory}",
        trial.longest_interruption().as_millis()
    ))
}
