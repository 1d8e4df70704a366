//! MACsec of the kernel with static SAKs, and the rolls of a script with `ip macsec` to compare
//! with.

use crate::{
    Losses, Trial,
    real::{
        capture::Capture,
        keys::{self, KeySource},
        network::{Network, Rules},
        secrets::{self, Holder},
        traffic::Traffic,
    },
    tool,
};
use qkd_hal::{Key, units::Bits};
use qkd_keyflow::End;
use std::{
    io::Write,
    path::Path,
    process::{Command, Stdio},
    time::Instant,
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
        let (wire, far) = (&self.network.wires[end], &self.macs[1 - end]);
        self.ip(
            end,
            &format!(
                "link add link {wire} {INTERFACE} type macsec port 1 cipher gcm-aes-256 encrypt on \
                 validate strict replay on window 64"
            ),
        )?;
        self.ip(
            end,
            &format!("macsec add {INTERFACE} rx port 1 address {far} on"),
        )?;
        self.network.add_tunnel(end, INTERFACE)
    }

    fn delete(&self, end: usize) -> Result<(), String> {
        self.ip(end, &format!("link del {INTERFACE}"))
    }

    fn ip(&self, end: usize, command: &str) -> Result<(), String> {
        let words = ["-n", &self.network.names[end]];
        let command: Vec<&str> = words.into_iter().chain(command.split(' ')).collect();
        tool("ip", &command).map(drop)
    }

    fn uris(&self) -> [String; 2] {
        let uri = |name| format!("linux-macsec+netlink:///{INTERFACE}?netns={name}");
        self.network.names.each_ref().map(uri)
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
        let mut child = Command::new(script)
            .args([
                self.way,
                &network.names[0],
                &macs[0],
                &network.names[1],
                &macs[1],
            ])
            .args([&next.to_string(), &old, &hex::encode(key.id().as_bytes())])
            .stdin(Stdio::piped())
            .spawn()
            .map_err(|e| format!("roll-macsec cannot be run: {e}"))?;
        let text = Zeroizing::new(hex::encode(key.expose()) + "\n");
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

pub(crate) async fn run(rolls: usize) -> Result<String, String> {
    let mut network = Network::new(Rules::TrafficControl)?;
    // Every other frame would be one in clear.
    network.clear = "not ether proto 0x88e5".to_owned();
    network.control_run()?;
    let source = KeySource::open().await.map_err(|e| e.to_string())?;
    let interfaces = Interfaces::new(&network)?;
    let scripts = by_script(&interfaces, &source).await?;
    // The driver makes the first associations, too.
    for end in 0..2 {
        interfaces.delete(end)?;
        interfaces.add(end)?;
    }
    let (trial, found) = by_driver(&interfaces, &source, rolls).await?;
    let [plain, batch] = scripts
        .each_ref()
        .map(|script| script.median.as_secs_f64() / trial.median.as_secs_f64());
    Ok(format!(
        "static SAKs: {trial}; {found}; a script with `ip macsec` takes {plain:.0} times as long \
         for a roll, and {batch:.0} times with `ip -batch`"
    ))
}

/// Rolls under traffic by the driver, and rolls that do not succeed.
async fn by_driver(
    interfaces: &Interfaces<'_>,
    source: &KeySource,
    rolls: usize,
) -> Result<(Trial, String), String> {
    let text = |e: qkd_hal::Error| e.to_string();
    let network = interfaces.network;
    let uris = interfaces.uris();
    let pair = keys::open_pair(&uris, [None, None]).await.map_err(text)?;
    keys::roll(&pair, source).await.map_err(text)?;
    let trial = Trial::run(network, &pair, source, rolls, Losses::None).await?;
    let capture = Capture::start(network)?;

    // The process that rolls is killed when one end has the key; another finds that and finishes.
    let [key, _] = source.take(KEY).await.map_err(text)?;
    let channel = pair.end(End::Near).channel().0.clone();
    let holder = Holder::start(&uris[0], &channel, &key)?;
    drop(holder);
    drop(pair);
    let pair = keys::open_pair(&uris, [None, None]).await.map_err(text)?;
    let half = keys::begun_near(key.id());
    let traffic = Traffic::start(network)?;
    let finished = keys::recover(&pair, source, &half).await.map_err(text)?;
    let count = traffic.stop()?;
    if count.lost != [0, 0] {
        return Err(format!("{count:?} with a roll whose process was killed"));
    }

    // One end restarts in the middle of a roll, and has lost its keys.
    let half = keys::stage_near_only(&pair, source).await.map_err(text)?;
    interfaces.delete(1)?;
    if keys::roll(&pair, source).await.is_ok() {
        return Err("a roll succeeded without the interface of the far end".to_owned());
    }
    interfaces.add(1)?;
    let pair = keys::open_pair(&uris, [None, None]).await.map_err(text)?;
    let recovered = keys::recover(&pair, source, &half).await.map_err(text)?;
    if crate::passes(network, 0.5)? == 0 {
        return Err("no packet passes after the recovery".to_owned());
    }

    // A wrong key at one end is seen in the frames that the other sends.
    let traffic = Traffic::start(network)?;
    let wrong = keys::roll_with_wrong_key(&pair, source)
        .await
        .map_err(text)?;
    traffic.stop()?;
    let reported = wrong.map_err(|e| format!("a wrong key was confirmed: {e}"))?;
    let silent = crate::passes(network, 0.5)?;
    if silent > 0 {
        return Err(format!("{silent} packets passed with a wrong key"));
    }
    keys::roll(&pair, source).await.map_err(text)?;
    if crate::passes(network, 0.5)? == 0 {
        return Err("no packet passes after a wrong key was replaced".to_owned());
    }
    // The near end confirms with the frames of the far end.
    let traffic = Traffic::start(network)?;
    let memory = secrets::run(&pair, source, &uris[0]).await?;
    traffic.stop()?;
    let (_, clear) = capture.stop()?;
    if clear > 0 {
        return Err(format!("{clear} frames left in clear"));
    }
    Ok((
        trial,
        format!(
            "after the process was killed in a roll: {finished}; after a restart of one end in a \
             roll: {recovered}; a wrong key passes nothing: {reported}; memory: {memory}"
        ),
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
