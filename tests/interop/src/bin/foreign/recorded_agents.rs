//! Our drivers on other people's agents: PyPI `snmpsim`, which serves what net-snmp's `snmpwalk`
//! recorded from our agents, and npm `net-snmp` and net-snmp's `snmpd`, which serve what our link
//! read. Over another agent, the drivers report the same.

use crate::{block_on, expect, print_check, tool};
use qkd_driver_kit::{
    OpenContext, OpenedDevice,
    credentials::{CredentialEntry, Credentials},
    link::{
        snmp::{Oid, SnmpLink, Value as Snmp, VarBind},
        snmp_udp::{SnmpOptions, SnmpSecurity, UdpSnmpLink},
    },
};
use qkd_emulators::{
    profile::{self, Options, RunningEmulator},
    profiles,
};
use qkd_hal::{
    Encryptor, ErrorKind, Key, KeyId, encryptor::ChannelState, event::EventHub,
    reading::ReadingValue,
};
use qkd_switch_hal::{OpticalSwitch, protection::Protection};
use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};
use zeroize::Zeroizing;

/// Deadline for automatic processes of a pair, and for the start of snmpsim.
const DEADLINE: Duration = Duration::from_secs(30);

/// State of a device as reported by a driver.
#[derive(Debug, Default, PartialEq)]
struct ReportedIdentity {
    /// Values that do not change.
    facts: Vec<String>,
    /// Values that only increase, or only decrease.
    counts: Vec<(String, u64)>,
}

impl ReportedIdentity {
    async fn by(opened: &OpenedDevice) -> qkd_hal::Result<Self> {
        let mut all = Self::default();
        let device = opened.device();
        all.facts.push(format!("{:?}", device.identity().await?));
        all.facts.push(format!("{:?}", device.health().await?));
        if let Ok(encryptor) = opened.encryptor() {
            all.of_encryptor(encryptor.as_ref()).await?;
        }
        if let Ok(protection) = opened.protection() {
            all.of_protection(protection.as_ref()).await?;
        }
        if let Ok(switch) = opened.switch() {
            all.of_switch(switch.as_ref()).await?;
        }
        Ok(all)
    }

    async fn of_encryptor(&mut self, encryptor: &dyn Encryptor) -> qkd_hal::Result<()> {
        for reading in encryptor.telemetry().await? {
            match reading.value {
                ReadingValue::Count(n) => self.counts.push((reading.name.to_string(), n)),
                other => self.facts.push(format!("{}: {other:?}", reading.name)),
            }
        }
        for channel in encryptor.channels().await? {
            self.facts
                .push(format!("{:?}", encryptor.channel(&channel).await?));
            match encryptor.counters(&channel).await {
                Ok(c) => {
                    let counters = [
                        c.encrypted,
                        c.accepted,
                        c.refused,
                        c.clear,
                        c.unknown_key,
                        c.integrity_failures,
                    ];
                    self.counts
                        .extend(counters.into_iter().enumerate().filter_map(|(n, value)| {
                            Some((format!("{channel:?} counter {n}"), value?))
                        }));
                }
                Err(error) if error.kind() == ErrorKind::Unsupported => {
                    self.facts.push("no counters".to_owned())
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Groups, without the times at which they were read.
    async fn of_protection(&mut self, protection: &dyn Protection) -> qkd_hal::Result<()> {
        for group in protection.groups().await? {
            let now = protection.protection(&group).await?.value;
            self.facts.push(format!(
                "group {group}: {} on {} ({}), preferred {:?}, reverts {:?} after {:?}, \
                 switch-overs {:?}",
                now.mode,
                now.active.path,
                now.active.request,
                now.preferred,
                now.revertive,
                now.wait_to_restore,
                now.switch_overs
            ));
            for path in &now.paths {
                let power = path.power.as_ref().map(|p| p.value);
                self.facts.push(format!(
                    "path {}: {power:?}, threshold {:?}, failed {:?}",
                    path.path, path.threshold, path.failed
                ));
            }
        }
        Ok(())
    }

    async fn of_switch(&mut self, switch: &dyn OpticalSwitch) -> qkd_hal::Result<()> {
        self.facts.push(format!(
            "{}: {}",
            switch.switch_capabilities().geometry,
            switch.connections().await?.value
        ));
        Ok(())
    }

    /// Checks that this state is between the other two.
    fn between(&self, before: &Self, after: &Self) -> Result<(), String> {
        expect(before.facts == after.facts, || {
            format!("the emulator did not keep still: {before:?} {after:?}")
        })?;
        expect(self.facts == before.facts, || {
            format!(
                "on snmpsim: {:?}, on the emulator: {:?}",
                self.facts, before.facts
            )
        })?;
        expect(self.counts.len() == before.counts.len(), || {
            format!(
                "on snmpsim: {:?}, on the emulator: {:?}",
                self.counts, before.counts
            )
        })?;
        for ((own, from), to) in self.counts.iter().zip(&before.counts).zip(&after.counts) {
            let between = from.1.min(to.1)..=from.1.max(to.1);
            expect(own.0 == from.0 && between.contains(&own.1), || {
                format!("on snmpsim: {own:?}, on the emulator: {from:?} to {to:?}")
            })?;
        }
        Ok(())
    }
}

async fn open(uri: &str, credentials: Credentials) -> qkd_hal::Result<OpenedDevice> {
    let assumptions = qkd_hardware::registry()
        .drivers()
        .flat_map(|d| d.info().assumptions)
        .map(|a| a.id.to_string())
        .collect::<Vec<_>>();
    let context = OpenContext::new()
        .with_credentials(credentials)
        .with_accepted_assumptions(assumptions);
    qkd_hardware::registry().open(uri, &context).await
}

/// An emulated device: its URI, and the state reported by the driver before and after it was
/// recorded.
struct Recorded {
    uri: String,
    community: String,
    /// A file with all rows, and the subtrees that they are in.
    rows: PathBuf,
    subtrees: BTreeSet<String>,
    before: ReportedIdentity,
    after: ReportedIdentity,
}

fn of_emulator(running: &RunningEmulator) -> Result<Credentials, String> {
    let file = running
        .ready()
        .credentials_file
        .as_ref()
        .ok_or("no credentials")?;
    Credentials::from_file(file).map_err(|e| e.to_string())
}

/// One key at both ends, in use.
async fn encrypt(running: &RunningEmulator) -> Result<(), String> {
    let said = |e: qkd_hal::Error| e.to_string();
    let id = KeyId::from_bytes(&[0x5a; 16]).ok_or("no key id")?;
    let key = Key::new(
        id,
        Zeroizing::new(
            (0..32)
                .map(|n: u8| n.wrapping_mul(37).wrapping_add(11))
                .collect(),
        ),
    );
    let mut ends = Vec::new();
    for uri in &running.ready().uris {
        let end = open(uri, of_emulator(running)?)
            .await
            .and_then(|opened| opened.encryptor())
            .map_err(said)?;
        let channel = end
            .channels()
            .await
            .map_err(said)?
            .pop()
            .ok_or("no channel")?;
        let staged = end.stage(&channel, &key).await.map_err(said)?;
        ends.push((end, channel, staged));
    }
    for (n, (end, _, staged)) in ends.iter().enumerate() {
        if n == 0 || end.encryptor_capabilities().activate_both {
            end.activate(staged).await.map_err(said)?;
        }
    }
    for (end, channel, _) in &ends {
        let begun = Instant::now();
        while end.channel(channel).await.map_err(said)?.state != ChannelState::Encrypting {
            expect(begun.elapsed() < DEADLINE, || {
                format!("{channel:?} does not encrypt")
            })?;
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
    Ok(())
}

async fn record(profile: &str, folder: &Path) -> Result<Vec<Recorded>, String> {
    let running = profiles::start(profile, &Options::default())
        .await
        .map_err(|e| e.to_string())?;
    // The other pairs use a key from the start.
    if ["packetlight-pair", "nokia-sros-macsec-pair"].contains(&profile) {
        encrypt(&running)
            .await
            .map_err(|e| format!("{profile}: {e}"))?;
    }
    let cut = match profile {
        "packetlight-pair" => Some("cut=working"),
        "fs-olp" => Some("cut=2/main"),
        "scte-hms-ab" => Some("cut=a"),
        _ => None,
    };
    if let Some(cut) = cut {
        running.fault(cut).map_err(|e| format!("{profile}: {e}"))?;
    }
    let user = running
        .ready()
        .credentials
        .clone()
        .ok_or("no credentials")?;
    let mut all = Vec::new();
    for (n, (uri, endpoint)) in running
        .ready()
        .uris
        .iter()
        .zip(&running.ready().endpoints)
        .filter(|(_, endpoint)| endpoint.bus == "snmp")
        .enumerate()
    {
        let driven = open(uri, of_emulator(&running)?)
            .await
            .map_err(|e| e.to_string())?;
        let before = ReportedIdentity::by(&driven)
            .await
            .map_err(|e| format!("{uri}: {e}"))?;
        // The output that snmpsim asks for in its manual.
        let v3 = [
            "-v3",
            "-l",
            "authPriv",
            "-u",
            &user.user,
            "-a",
            "SHA-256",
            "-A",
            &user.auth_password,
            "-x",
            "AES",
            "-X",
            &user.priv_password,
        ];
        // IEEE8021-SECY-MIB is below iso.std, and IEEE8021X-PAE-MIB below ieee.
        let roots = match profile {
            "ieee-macsec" => &["1.0", "1.3"][..],
            _ => &["1.3.6.1"],
        };
        let (mut walk, mut rows) = (String::new(), Vec::new());
        for root in roots {
            let named = format!(".{root}");
            let arguments = [
                &["-m", "", "-ObentU"][..],
                &v3,
                &[&endpoint.address, &named],
            ]
            .concat();
            walk += &tokio::task::block_in_place(|| tool("snmpwalk", &arguments))?;
            let root: Oid = root.parse().map_err(|e| format!("{root}: {e}"))?;
            rows.extend(rows_of(&root, &endpoint.address, &user).await?);
        }
        let after = ReportedIdentity::by(&driven)
            .await
            .map_err(|e| format!("{uri}: {e}"))?;
        let community = format!("{profile}-{n}");
        std::fs::write(folder.join(format!("{community}.snmpwalk")), walk)
            .map_err(|e| e.to_string())?;
        let (json, subtrees) = as_json(&rows);
        let rows = folder.join(format!("{community}.json"));
        std::fs::write(&rows, json.to_string()).map_err(|e| e.to_string())?;
        all.push(Recorded {
            uri: uri.clone(),
            community,
            rows,
            subtrees,
            before,
            after,
        });
    }
    Ok(all)
}

/// Somebody else's agent that serves recorded devices; it ends when this is dropped.
struct Server {
    name: &'static str,
    child: Child,
    log: PathBuf,
    port: u16,
}

impl Server {
    fn start(
        name: &'static str,
        folder: &Path,
        command: impl FnOnce(u16, &Path) -> Result<Command, String>,
    ) -> Result<Self, String> {
        let broken = |e: std::io::Error| format!("{name} cannot be started: {e}");
        let port = std::net::UdpSocket::bind("127.0.0.1:0")
            .and_then(|s| s.local_addr())
            .map_err(broken)?
            .port();
        let folder = folder.join(format!("{name}-{port}"));
        std::fs::create_dir(&folder).map_err(broken)?;
        let log = folder.join("log");
        let file = std::fs::File::create(&log).map_err(broken)?;
        let child = command(port, &folder)?
            .stdin(Stdio::null())
            .stdout(file.try_clone().map_err(broken)?)
            .stderr(file)
            .spawn()
            .map_err(broken)?;
        Ok(Self {
            name,
            child,
            log,
            port,
        })
    }

    /// Starts PyPI `snmpsim`: one process for all recordings, which communities distinguish.
    fn snmpsim(folder: &Path, data: &Path) -> Result<Self, String> {
        Self::start("snmpsim", folder, |port, folder| {
            let python = PathBuf::from(std::env::var("QKD_CI_PYTHON").unwrap_or_default());
            let mut command = Command::new(python.with_file_name("snmpsim-command-responder"));
            command
                .arg(format!("--data-dir={}", data.display()))
                .arg(format!("--cache-dir={}", folder.join("cache").display()))
                .arg(format!("--agent-udpv4-endpoint=127.0.0.1:{port}"));
            // As root, it requires another user; another user could not read its modules in root's
            // home.
            let is_root = std::fs::metadata(folder)
                .map(|m| std::os::unix::fs::MetadataExt::uid(&m) == 0)
                .map_err(|e| e.to_string())?;
            if is_root {
                command.args(["--process-user=root", "--process-group=root"]);
            }
            Ok(command)
        })
    }

    /// The agent of npm's `net-snmp`.
    fn npm(folder: &Path, recorded: &Recorded) -> Result<Self, String> {
        Self::start("npm-net-snmp", folder, |port, _| {
            let mut command = Command::new("node");
            command
                .arg(script("net-snmp.js"))
                .arg(port.to_string())
                .arg(&recorded.community)
                .arg(&recorded.rows);
            Ok(command)
        })
    }

    /// net-snmp's `snmpd`, which asks a program for each recorded object.
    fn snmpd(folder: &Path, recorded: &Recorded) -> Result<Self, String> {
        Self::start("snmpd", folder, |port, folder| {
            let program = format!(
                "/usr/bin/env python3 {} {}",
                script("pass_persist.py"),
                recorded.rows.display()
            );
            let mut conf = format!(
                "agentAddress udp:127.0.0.1:{port}\nrocommunity {} 127.0.0.1\n\
                 dontLogTCPWrappersConnects yes\n",
                recorded.community
            );
            for subtree in &recorded.subtrees {
                conf.push_str(&format!("pass_persist .{subtree} {program}\n"));
            }
            let persistent = folder.join("persistent");
            std::fs::create_dir(&persistent)
                .and_then(|()| std::fs::write(folder.join("snmpd.conf"), conf))
                .map_err(|e| e.to_string())?;
            let mut command = Command::new("/usr/sbin/snmpd");
            // Of its own objects, only what access needs: the recording has its own system group.
            command
                .args(["-f", "-Lo", "-I", "pass_persist,vacm_conf,snmpEngine", "-p"])
                .arg(folder.join("pid"))
                .env("SNMPCONFPATH", folder)
                .env("SNMP_PERSISTENT_DIR", persistent);
            Ok(command)
        })
    }

    /// Opens a recorded device in it, as soon as it answers.
    async fn open(&mut self, recorded: &Recorded) -> Result<OpenedDevice, String> {
        let (driver, rest) = recorded.uri.split_once("+snmp://").ok_or("no SNMP")?;
        let query = rest.split_once('?').map_or("", |(_, q)| q);
        let uri = format!(
            "{driver}+snmp://127.0.0.1:{}?{query}&deadline=2s",
            self.port
        );
        let entry = CredentialEntry::new(entry_of(query)).with("community", &recorded.community);
        let begun = Instant::now();
        loop {
            match open(&uri, Credentials::default().with(entry.clone())).await {
                Ok(opened) => return Ok(opened),
                Err(error)
                    if matches!(error.kind(), ErrorKind::Timeout | ErrorKind::Unreachable)
                        && begun.elapsed() < DEADLINE =>
                {
                    if let Ok(Some(status)) = self.child.try_wait() {
                        return Err(format!(
                            "{} ended with {status}: {}",
                            self.name,
                            std::fs::read_to_string(&self.log).unwrap_or_default()
                        ));
                    }
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
                Err(error) => return Err(format!("{uri}: {error}")),
            }
        }
    }

    /// Whether the driver reports of the device in it what it reported of the emulator.
    async fn compare(&mut self, recorded: &Recorded) -> Result<(), String> {
        let name = self.name;
        let opened = self.open(recorded).await?;
        let now = ReportedIdentity::by(&opened)
            .await
            .map_err(|e| format!("{} on {name}: {e}", recorded.community))?;
        now.between(&recorded.before, &recorded.after)
            .map_err(|e| format!("{} on {name}: {e}", recorded.community))?;
        print_check(&format!(
            "{} on {name}: {} facts and {} counters, as on the emulator",
            recorded.community,
            now.facts.len(),
            now.counts.len()
        ));
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn script(name: &str) -> String {
    format!(
        "{}/src/bin/foreign/agents/{name}",
        env!("CARGO_MANIFEST_DIR")
    )
}

/// The rows as the agents of other people take them, and the subtrees that they are in.
fn as_json(rows: &[VarBind]) -> (serde_json::Value, BTreeSet<String>) {
    let mut subtrees = BTreeSet::new();
    let rows = rows.iter().filter_map(|row| {
        // An agent has its own engine and users.
        if row.oid.suffix_of(&Oid::from([1, 3, 6, 1, 6])).is_some() {
            return None;
        }
        let (kind, value) = match &row.value {
            Snmp::Integer(v) => ("integer", v.to_string()),
            Snmp::OctetString(v) => ("octets", v.iter().map(|b| format!("{b:02x}")).collect()),
            Snmp::ObjectId(v) => ("oid", v.to_string()),
            Snmp::IpAddress(v) => ("address", v.map(|b| b.to_string()).join(".")),
            Snmp::Counter32(v) => ("counter", v.to_string()),
            Snmp::Gauge32(v) => ("gauge", v.to_string()),
            Snmp::TimeTicks(v) => ("ticks", v.to_string()),
            Snmp::Counter64(v) => ("counter64", v.to_string()),
            _ => return None,
        };
        // The group of a standard MIB, or a vendor's enterprise.
        let prefix = &row.oid.sub_identifiers()[..7.min(row.oid.sub_identifiers().len() - 1)];
        subtrees.insert(Oid::from(prefix).to_string());
        Some(serde_json::json!([row.oid.to_string(), kind, value]))
    });
    (rows.collect(), subtrees)
}

/// All objects of an agent below this one, by our own link.
async fn rows_of(
    root: &Oid,
    address: &str,
    user: &profile::Credentials,
) -> Result<Vec<VarBind>, String> {
    let entry = CredentialEntry::new("noc")
        .with("user", &user.user)
        .with("auth_password", &user.auth_password)
        .with("priv_password", &user.priv_password);
    let security = SnmpSecurity::from_entry(&entry).map_err(|e| e.to_string())?;
    let options = SnmpOptions::default();
    let events = EventHub::default();
    let link = UdpSnmpLink::open(address, security, &options, DEADLINE, events, None)
        .await
        .map_err(|e| e.to_string())?;
    link.walk(root, DEADLINE).await.map_err(|e| e.to_string())
}

/// The entry of the credentials that a URI's query names.
fn entry_of(query: &str) -> &str {
    query
        .split('&')
        .find_map(|p| p.strip_prefix("credentials="))
        .unwrap_or_default()
}

pub(crate) fn run() -> Result<String, String> {
    block_on(async {
        let folder = tempfile::tempdir().map_err(|e| e.to_string())?;
        let data = folder.path().join("data");
        std::fs::create_dir(&data).map_err(|e| e.to_string())?;
        let mut recorded = Vec::new();
        for profile in [
            "packetlight-pair",
            "nokia-sros-macsec-pair",
            "adva-fsp3000r7-pair",
            "adva-fsp150-pair",
            "ciena-waveserver-pair",
            "infinera-xtm-pair",
            "atmedia",
            "ieee-macsec",
            "scte-hms-ab",
            "scte-hms-2x2",
            "fs-olp",
            "polatis-16x16",
        ] {
            recorded.extend(record(profile, &data).await?);
        }
        let mut simulator = Server::snmpsim(folder.path(), &data)?;
        for one in &recorded {
            simulator.compare(one).await?;
            Server::npm(folder.path(), one)?.compare(one).await?;
            Server::snmpd(folder.path(), one)?.compare(one).await?;
        }
        Ok(
            "snmpsim 1.2.2, npm net-snmp's agent and net-snmp's snmpd serve what was read from \
            PacketLight, Nokia, ADVA, Ciena, Infinera, atmedia, IEEE 802.1, SCTE, FS.com and \
            Polatis agents; the drivers report of them what they report of the emulators"
                .to_owned(),
        )
    })
}
