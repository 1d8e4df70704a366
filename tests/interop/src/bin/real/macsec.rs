//! MACsec of the kernel with static SAKs, and the rolls of a script with `ip macsec` to compare
//! with.

use crate::{
    Losses, Trial,
    real::{
        keys::KeySource,
        network::{Network, Rules},
    },
    tool,
};
use qkd_hal::{Key, units::Bits};
use std::{
    io::Write,
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};
use zeroize::Zeroizing;

const INTERFACE: &str = "macsec0";
const KEY: Bits = Bits(256);
/// Rolls by the script, in each of its ways. They take a second each.
const SCRIPT_ROLLS: usize = 3;

/// A MACsec interface on each wire.
struct Interfaces<'a> {
    network: &'a Network,
    macs: [String; 2],
}

impl<'a> Interfaces<'a> {
    fn new(network: &'a Network) -> Result<Self, String> {
        let mut macs = [String::new(), String::new()];
        for (end, mac) in macs.iter_mut().enumerate() {
            let (name, wire) = (&network.names[end], &network.wires[end]);
            let shown = tool("ip", &["-n", name, "-br", "link", "show", wire])?;
            let word = shown.split_whitespace().nth(2);
            *mac = word.ok_or("a wire has no address")?.to_owned();
        }
        let new = Self { network, macs };
        for end in 0..2 {
            new.add(end)?;
        }
        Ok(new)
    }

    /// Makes the interface of an end, as an operator does, without a key.
    fn add(&self, end: usize) -> Result<(), String> {
        let (name, wire) = (&self.network.names[end], &self.network.wires[end]);
        let link = [
            "-n",
            name,
            "link",
            "add",
            "link",
            wire,
            INTERFACE,
            "type",
            "macsec",
            "port",
            "1",
            "cipher",
            "gcm-aes-256",
            "encrypt",
            "on",
            "replay",
            "on",
            "window",
            "64",
        ];
        tool("ip", &link)?;
        let far = self.macs[1 - end].as_str();
        let channel = [
            "-n", name, "macsec", "add", INTERFACE, "rx", "port", "1", "address", far,
        ];
        tool("ip", &channel)?;
        self.network.add_tunnel(end, INTERFACE)
    }

    fn delete(&self, end: usize) -> Result<(), String> {
        let name = self.network.names[end].as_str();
        tool("ip", &["-n", name, "link", "del", INTERFACE]).map(drop)
    }
}

/// Rolls by the script.
struct Script<'a> {
    interfaces: &'a Interfaces<'a>,
    way: &'static str,
    /// Number of the association in use; `None` before the first key.
    an: Option<u8>,
}

impl Script<'_> {
    fn roll(&mut self, key: &Key) -> Result<(), String> {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("uml/roll-macsec");
        let Interfaces { network, macs } = self.interfaces;
        let next = self.an.map_or(0, |an| (an + 1) % 4);
        let old = self.an.map_or("none".to_owned(), |an| an.to_string());
        let hex = |bytes: &[u8]| {
            bytes
                .iter()
                .fold(String::new(), |s, b| s + &format!("{b:02x}"))
        };
        let mut child = Command::new(script)
            .args([
                self.way,
                &network.names[0],
                &macs[0],
                &network.names[1],
                &macs[1],
            ])
            .args([&next.to_string(), &old, &hex(key.id().as_bytes())])
            .stdin(Stdio::piped())
            .spawn()
            .map_err(|e| format!("roll-macsec cannot be run: {e}"))?;
        let text = Zeroizing::new(hex(key.expose()) + "\n");
        if let Some(mut input) = child.stdin.take() {
            let sent = input.write_all(text.as_bytes());
            sent.map_err(|e| format!("roll-macsec: {e}"))?;
        }
        let status = child.wait().map_err(|e| e.to_string())?;
        if !status.success() {
            return Err(format!("roll-macsec ended with {status}"));
        }
        self.an = Some(next);
        Ok(())
    }
}

pub(crate) async fn run() -> Result<String, String> {
    let mut network = Network::new(Rules::TrafficControl)?;
    // Every other frame would be one in clear.
    network.clear = "not ether proto 0x88e5".to_owned();
    network.control_run()?;
    let source = KeySource::open().await.map_err(|e| e.to_string())?;
    let interfaces = Interfaces::new(&network)?;
    let [plain, batch] = by_script(&interfaces, &source).await?;
    Ok(format!(
        "script with `ip macsec`: {plain}; with `ip -batch`: {batch}"
    ))
}

/// Rolls under traffic by the script, one command at a time and in batches.
async fn by_script(interfaces: &Interfaces<'_>, source: &KeySource) -> Result<[Trial; 2], String> {
    let mut script = Script {
        interfaces,
        way: "plain",
        an: None,
    };
    let text = |e: qkd_hal::Error| e.to_string();
    let [key, _] = source.take(KEY).await.map_err(text)?;
    script.roll(&key)?;
    let mut trials = Vec::new();
    for way in ["plain", "batch"] {
        script.way = way;
        let roll = async || {
            let [key, _] = source.take(KEY).await.map_err(text)?;
            let begun = Instant::now();
            script.roll(&key)?;
            Ok(begun.elapsed())
        };
        let network = interfaces.network;
        let trial = Trial::timed(network, SCRIPT_ROLLS, Losses::None, roll).await?;
        trials.push(trial);
    }
    trials.try_into().map_err(|_| "two trials".to_owned())
}
