//! MACsec of the kernel with MKA: two wpa_supplicant daemons, whose CAK `wpa_cli` replaces. The
//! driver that uses their control socket is not yet called here.

use crate::{
    real::{
        capture::Capture,
        keys::KeySource,
        network::{INNER, Network, Rules},
        processes::{Processes, wait_within},
    },
    tool,
};
use qkd_hal::{Key, units::Bits};
use std::{
    fs,
    process::Stdio,
    time::{Duration, Instant},
};
use tempfile::TempDir;

const INTERFACE: &str = "macsec0";
/// A CAK of MKA with AES-128; its name has the octets of the id of the key.
const CAK: Bits = Bits(128);
/// Time in which both ends agree on a new CAK: they lose the other after 6 s (MKA Life Time of IEEE
/// 802.1X), and find it again.
const AGREEMENT: Duration = Duration::from_secs(60);

/// The daemons of both ends.
struct Daemons<'a> {
    network: &'a Network,
    folder: TempDir,
    _processes: Processes,
}

impl<'a> Daemons<'a> {
    fn start(network: &'a Network, keys: &[Key; 2]) -> Result<Self, String> {
        let folder = tempfile::tempdir().map_err(|e| e.to_string())?;
        let mut processes = Processes::default();
        for (end, key) in keys.iter().enumerate() {
            let control = folder.path().join(end.to_string());
            let text = format!(
                "ctrl_interface={}\neapol_version=3\nap_scan=0\nnetwork={{\n key_mgmt=NONE\n \
                 eapol_flags=0\n macsec_policy=1\n macsec_replay_protect=1\n \
                 macsec_replay_window=0\n mka_cak={}\n mka_ckn={}\n mka_priority={}\n}}\n",
                control.display(),
                hex::encode(key.expose()),
                hex::encode(key.id().as_bytes()),
                16 + end
            );
            let file = folder.path().join(format!("{end}.conf"));
            fs::write(&file, text).map_err(|e| e.to_string())?;
            let child = network
                .command(end, "wpa_supplicant")
                .args(["-D", "macsec_linux", "-i", &network.wires[end], "-c"])
                .arg(file)
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .map_err(|e| format!("wpa_supplicant cannot be run: {e}"))?;
            processes.put(end, child);
        }
        let new = Self {
            network,
            folder,
            _processes: processes,
        };
        new.wait(keys)?;
        Ok(new)
    }

    fn client(&self, end: usize, command: &[&str]) -> Result<String, String> {
        let folder = self.folder.path();
        let (own, control) = (folder.display().to_string(), folder.join(end.to_string()));
        let control = control.display().to_string();
        let wire = self.network.wires[end].as_str();
        tool(
            "wpa_cli",
            &[&["-s", &own, "-p", &control, "-i", wire][..], command].concat(),
        )
    }

    /// Whether an end is secured with a key, and the kernel has associations in both directions.
    /// MKA alone is secured, too, where the kernel has no cipher for them.
    fn is_secured(&self, end: usize, key: &Key) -> bool {
        let status = self.client(end, &["status"]).unwrap_or_default();
        let name = format!("ckn={}", hex::encode(key.id().as_bytes()));
        let has = |wanted: &str| status.lines().any(|line| line == wanted);
        let netns = self.network.names[end].as_str();
        let shown = tool("ip", &["-n", netns, "macsec", "show"]).unwrap_or_default();
        let on = shown.matches("state on, key").count();
        has("Secured=Yes") && has("live_peers=1") && has(&name) && on >= 2
    }

    /// Waits until both ends are secured, and leads traffic through the interfaces, which are new
    /// each time.
    fn wait(&self, keys: &[Key; 2]) -> Result<(), String> {
        wait_within(AGREEMENT, "MKA", || {
            (0..2).all(|end| self.is_secured(end, &keys[end]))
        })?;
        for end in 0..2 {
            let (name, far) = (&self.network.names[end], format!("{}/32", INNER[1 - end]));
            tool("ip", &["-n", name, "link", "set", INTERFACE, "up"])?;
            let route = [
                "-n", name, "route", "replace", &far, "dev", INTERFACE, "metric", "50",
            ];
            tool("ip", &route)?;
        }
        Ok(())
    }

    /// Gives both ends a CAK, and has them start anew: nothing else makes the daemon use it.
    fn give(&self, keys: &[Key; 2]) -> Result<(), String> {
        for (end, key) in keys.iter().enumerate() {
            let (cak, ckn) = (hex::encode(key.expose()), hex::encode(key.id().as_bytes()));
            for command in [
                &["set_network", "0", "mka_cak", &cak][..],
                &["set_network", "0", "mka_ckn", &ckn],
                &["reassociate"],
            ] {
                let answer = self.client(end, command)?;
                if !answer.contains("OK") {
                    return Err(format!("wpa_cli {} answered {answer}", command[0]));
                }
            }
        }
        Ok(())
    }

    fn passes(&self) -> Result<(), String> {
        match crate::passes(self.network, 0.5)? {
            0 => Err("no packet passes although both ends are secured".to_owned()),
            _ => Ok(()),
        }
    }
}

pub(crate) async fn run() -> Result<String, String> {
    let mut network = Network::new(Rules::TrafficControl)?;
    // Frames of MKA itself are signed, and not encrypted. Without the interface of the tunnel, the
    // kernel looks for the other end on the wire (ARP), and the rules stop what it would send.
    network.clear = "not ether proto 0x88e5 and not ether proto 0x888e and not arp".to_owned();
    network.control_run()?;
    // The daemon deletes and makes the interface of the tunnel: addresses are not on that.
    network.add_inner(["lo", "lo"])?;
    let text = |e: qkd_hal::Error| e.to_string();
    let source = KeySource::open().await.map_err(text)?;
    let take = async || source.take(CAK).await.map_err(text);
    let capture = Capture::start(&network)?;
    let daemons = Daemons::start(&network, &take().await?)?;
    daemons.passes()?;

    let keys = take().await?;
    let begun = Instant::now();
    daemons.give(&keys)?;
    daemons.wait(&keys)?;
    let seconds = begun.elapsed().as_secs();
    daemons.passes()?;

    let [key, _] = take().await?;
    let [other, _] = take().await?;
    let wrong = Key::new(key.id().clone(), other.expose().to_vec().into());
    let keys = [key, wrong];
    daemons.give(&keys)?;
    // Longer than the life time of a peer.
    tokio::time::sleep(Duration::from_secs(8)).await;
    if (0..2).any(|end| daemons.is_secured(end, &keys[end])) {
        return Err("an end is secured, and the other has another CAK".to_owned());
    }
    let silent = crate::passes(&network, 0.5)?;
    if silent > 0 {
        return Err(format!("{silent} packets passed with a wrong CAK"));
    }
    let (left, clear) = capture.stop()?;
    if clear > 0 {
        return Err(format!("{clear} frames left in clear"));
    }
    Ok(format!(
        "wpa_supplicant with MKA: a roll of the CAK by `wpa_cli` takes {seconds} s and makes the \
         interface anew; a wrong CAK passes nothing; {left} frames on the wires, none in clear"
    ))
}
