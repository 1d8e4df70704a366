//! SNMP: our link against net-snmp's C library, on the same agent; our agents against snmpsim,
//! under the same client.

use crate::tool::{compile, current_thread, number, raise_limit, resident_kib, row, spawn_runtime};
use futures::{StreamExt, stream::FuturesUnordered};
use nix::{
    sched::{CpuSet, sched_getaffinity, sched_setaffinity},
    unistd::Pid,
};
use qkd_driver_kit::{
    credentials::CredentialEntry,
    link::{
        snmp::{Oid, SnmpLink, Value},
        snmp_udp::{SnmpClientLibrary, SnmpOptions, SnmpSecurity, UdpSnmpLink},
    },
};
use qkd_emulators::{
    Clock,
    model::encryptor::forced::{ForcedRekeyEndpoint, ForcedRekeyLink},
    server::snmp::{SnmpServerOptions, UsmUser, serve},
    vendor::packetlight,
    wire::snmp::SnmpAgent,
};
use qkd_hal::{Identity, event::EventHub};
use qkd_interop::snmpd::{AUTH_PASSWORD, PRIV_PASSWORD, Snmpd, USER};
use std::{
    io,
    net::{SocketAddr, UdpSocket},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::runtime::Runtime;

/// OID of sysUpTime.0.
const NAME: [u32; 9] = [1, 3, 6, 1, 2, 1, 1, 3, 0];
pub(crate) const NAME_TEXT: &str = "1.3.6.1.2.1.1.3.0";
const REPLY_TIMEOUT: Duration = Duration::from_secs(5);

fn security(version: &str) -> SnmpSecurity {
    let entry = CredentialEntry::new("bench");
    let entry = match version {
        "v3" => entry
            .with("user", USER)
            .with("auth_password", AUTH_PASSWORD)
            .with("priv_password", PRIV_PASSWORD),
        _ => entry.with("community", "public"),
    };
    SnmpSecurity::from_entry(&entry).expect("credentials")
}

pub(crate) async fn open(port: u16, version: &str, client: SnmpClientLibrary) -> Arc<UdpSnmpLink> {
    UdpSnmpLink::open(
        &format!("127.0.0.1:{port}"),
        security(version),
        &SnmpOptions {
            client,
            ..SnmpOptions::default()
        },
        REPLY_TIMEOUT,
        EventHub::default(),
        None,
    )
    .await
    .expect("the agent answers")
}

pub(crate) fn ours(
    port: u16,
    version: &str,
    client: SnmpClientLibrary,
    count: u32,
    in_flight: usize,
) -> f64 {
    current_thread().block_on(async {
        let link = open(port, version, client).await;
        let name = [Oid::from(NAME)];
        let ask = || async { link.get(&name, REPLY_TIMEOUT).await.expect("an answer") };
        // Sessions are made once; what is measured is the traffic after that.
        futures::future::join_all((0..in_flight).map(|_| ask())).await;
        let begun = Instant::now();
        if in_flight <= 1 {
            for _ in 0..count {
                ask().await;
            }
        } else {
            let mut running: FuturesUnordered<_> = (0..in_flight).map(|_| ask()).collect();
            for _ in 0..count {
                running.next().await;
                running.push(ask());
            }
        }
        f64::from(count) / begun.elapsed().as_secs_f64()
    })
}

fn compare(
    what: &str,
    port: u16,
    reference: &Path,
    (version, client): (&str, SnmpClientLibrary),
    count: u32,
    in_flight: usize,
    goal: &str,
) {
    let mut pairs = Vec::new();
    for _ in 0..5 {
        let arguments = [
            version,
            &port.to_string(),
            NAME_TEXT,
            &count.to_string(),
            &in_flight.to_string(),
        ]
        .map(str::to_owned);
        let Some(theirs) = number(
            reference,
            &arguments.iter().map(String::as_str).collect::<Vec<_>>(),
        ) else {
            eprintln!("{what}: the reference failed, so its row is left out");
            return;
        };
        let ours = ours(port, version, client, count, in_flight);
        pairs.push((ours / theirs, ours, theirs));
    }
    pairs.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (ratio, ours, theirs) = pairs[pairs.len() / 2];
    row(
        what,
        &format!("{ours:.0}/s"),
        &format!("{theirs:.0}/s (net-snmp)"),
        Some(ratio),
        goal,
    );
}

pub(crate) fn client(scale: u32) {
    let Some((_folder, reference)) = compile("snmp", &["netsnmp"]) else {
        return;
    };
    let agent = match Snmpd::start() {
        Ok(agent) => agent,
        Err(error) => {
            eprintln!("SNMP client rows are left out: {error}");
            return;
        }
    };
    let count = 20_000 / scale;
    for (client, name) in [
        (SnmpClientLibrary::AsyncSnmp, "async-snmp"),
        (SnmpClientLibrary::Snmp2, "snmp2"),
    ] {
        for (in_flight, how, goal) in [
            (1, "one after another", "≥ 0.95"),
            (64, "64 in flight over one link", "≥ 1"),
        ] {
            for (version, level) in [("v2c", "v2c"), ("v3", "v3 authPriv")] {
                compare(
                    &format!("SNMP GET by {name}, {how}, {level}, snmpd"),
                    agent.port,
                    &reference,
                    (version, client),
                    count,
                    in_flight,
                    goal,
                );
            }
        }
    }
}

/// Number of agents, also in a quick run: they start fast, and the memory that they share is only
/// visible with many.
const AGENT_COUNT: u32 = 5_000;
/// OID of sysDescr.0.
const DESCR: [u32; 9] = [1, 3, 6, 1, 2, 1, 1, 1, 0];
const DESCR_TEXT: &str = "1.3.6.1.2.1.1.1.0";

fn packetlight(name: &str) -> Arc<dyn SnmpAgent> {
    let identity = Identity::new("PacketLight").with_model("PL-1000TE");
    let link = ForcedRekeyLink::new(Clock::default(), b"first");
    packetlight::agent(
        Arc::new(ForcedRekeyEndpoint::new(link, 0, "1", identity)),
        packetlight::Options::named(name),
    )
}

pub(crate) fn loopback(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

/// Many agents in this process, which did nothing else before: prints the seconds until all listen,
/// and KiB of each.
pub(crate) fn many_agents() {
    raise_limit();
    Runtime::new().expect("a runtime").block_on(async {
        let before = resident_kib();
        let begun = Instant::now();
        let user = UsmUser::new(USER, AUTH_PASSWORD, PRIV_PASSWORD).expect("a user");
        let mut ports = Vec::new();
        for k in 0..AGENT_COUNT {
            match serve(
                loopback(0),
                packetlight(&format!("pl-{k}")),
                SnmpServerOptions::new(user.clone()),
            )
            .await
            {
                Ok((address, _)) => ports.push(address.port()),
                Err(error) => {
                    eprintln!("agent {k} of {AGENT_COUNT} does not start: {error}");
                    std::process::exit(1);
                }
            }
        }
        tokio::task::yield_now().await;
        let took = begun.elapsed();
        let kib = resident_kib().saturating_sub(before) as f64 / f64::from(AGENT_COUNT);
        // Some of them, to see that they serve.
        for port in ports.iter().step_by(ports.len().div_ceil(20)) {
            let got = open(*port, "v3", SnmpClientLibrary::AsyncSnmp)
                .await
                .get(&[Oid::from(DESCR)], REPLY_TIMEOUT)
                .await
                .expect("an answer");
            assert!(
                matches!(got[0].value, Value::OctetString(_)),
                "sysDescr of an agent of the crowd"
            );
        }
        println!("{} {kib}", took.as_secs_f64());
    });
}

fn startup() {
    let child = Command::new(std::env::current_exe().expect("this program"))
        .arg(crate::SNMP_AGENTS_ARGUMENT)
        .stderr(Stdio::inherit())
        .output();
    let output = child
        .map(|o| String::from_utf8_lossy(&o.stdout).into_owned())
        .unwrap_or_default();
    let figures: Vec<f64> = output
        .split_whitespace()
        .filter_map(|f| f.parse().ok())
        .collect();
    let [seconds, kib] = figures[..] else {
        eprintln!("the rows of {AGENT_COUNT} SNMP agents are left out: they did not all start");
        return;
    };
    row(
        &format!("{AGENT_COUNT} SNMPv3 agents start in one process"),
        &format!("{seconds:.2} s"),
        "-",
        None,
        "≤ 1 s",
    );
    row(
        &format!("resident memory of one of {AGENT_COUNT} SNMPv3 agents"),
        &format!("{kib:.1} KiB"),
        "-",
        None,
        "≤ 20 KiB",
    );
}

/// snmpsim with one varbind; ends when dropped.
struct Snmpsim {
    child: Child,
    port: u16,
    _folder: tempfile::TempDir,
}

impl Drop for Snmpsim {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Returns the path from `SNMPSIM`, next to the Python of `QKD_CI_PYTHON`, or from `PATH`.
fn snmpsim_binary() -> PathBuf {
    const NAME: &str = "snmpsim-command-responder";
    let next_to_python = || {
        std::env::var_os("QKD_CI_PYTHON")
            .map(|p| PathBuf::from(p).with_file_name(NAME))
            .filter(|p| p.exists())
    };
    std::env::var_os("SNMPSIM")
        .map(PathBuf::from)
        .or_else(next_to_python)
        .unwrap_or_else(|| NAME.into())
}

impl Snmpsim {
    fn start(descr: &[u8]) -> io::Result<Self> {
        let folder = tempfile::tempdir()?;
        let port = UdpSocket::bind(loopback(0))?.local_addr()?.port();
        let [data, cache] = ["data", "cache"].map(|n| folder.path().join(n));
        for path in [&data, &cache] {
            std::fs::create_dir(path)?;
        }
        // The file's name is the community; 4 is OCTET STRING.
        std::fs::write(
            data.join("public.snmprec"),
            format!("{DESCR_TEXT}|4|{}\n", String::from_utf8_lossy(descr)),
        )?;
        let mut command = Command::new(snmpsim_binary());
        command
            .arg(format!("--data-dir={}", data.display()))
            .arg(format!("--cache-dir={}", cache.display()));
        command
            .arg(format!("--agent-udpv4-endpoint=127.0.0.1:{port}"))
            .arg("--logging-method=null");
        if nix::unistd::geteuid().is_root() {
            // As root, snmpsim requires the user to continue as.
            command.args(["--process-user=root", "--process-group=root"]);
        }
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let mut sim = Self {
            child,
            port,
            _folder: folder,
        };
        sim.wait(descr)?;
        Ok(sim)
    }

    fn wait(&mut self, descr: &[u8]) -> io::Result<()> {
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(30) {
            if let Some(status) = self.child.try_wait()? {
                return Err(io::Error::other(format!("snmpsim ended at once: {status}")));
            }
            let answer = current_thread().block_on(async {
                let patience = Duration::from_millis(500);
                let link = UdpSnmpLink::open(
                    &format!("127.0.0.1:{}", self.port),
                    security("v2c"),
                    &SnmpOptions::default(),
                    patience,
                    EventHub::default(),
                    None,
                )
                .await
                .ok()?;
                link.get(&[Oid::from(DESCR)], patience).await.ok()
            });
            match answer {
                Some(got) if got[0].value == Value::text(descr) => return Ok(()),
                Some(got) => return Err(io::Error::other(format!("snmpsim answers {got:?}"))),
                // Refused immediately while no process listens.
                None => std::thread::sleep(Duration::from_millis(50)),
            }
        }
        Err(io::Error::new(
            io::ErrorKind::TimedOut,
            "snmpsim does not answer",
        ))
    }
}

/// Keeps this thread, and the threads and processes that it starts, on one core until dropped.
struct OneCore(CpuSet);

impl OneCore {
    fn new() -> nix::Result<Self> {
        let all = sched_getaffinity(Pid::from_raw(0))?;
        let first = (0..CpuSet::count())
            .find(|c| all.is_set(*c).unwrap_or(false))
            .ok_or(nix::errno::Errno::EINVAL)?;
        let mut one = CpuSet::new();
        one.set(first)?;
        sched_setaffinity(Pid::from_raw(0), &one)?;
        Ok(Self(all))
    }
}

impl Drop for OneCore {
    fn drop(&mut self) {
        let _ = sched_setaffinity(Pid::from_raw(0), &self.0);
    }
}

pub(crate) fn agent(scale: u32) {
    startup();
    let Some((_folder, client)) = compile("snmp", &["netsnmp"]) else {
        return;
    };
    // Over many cores a lone question mostly measures how soon an idle core wakes up, which differs
    // from run to run; so both are shown.
    match OneCore::new() {
        Ok(core) => {
            against_snmpsim("client and agent on one core", &client, scale);
            drop(core);
        }
        Err(error) => eprintln!("the row of snmpsim on one core is left out: {error}"),
    }
    against_snmpsim("on any core", &client, scale);
}

fn against_snmpsim(place: &str, client: &Path, scale: u32) {
    let servers = spawn_runtime();
    let service = packetlight("pl-0");
    let Value::OctetString(descr) = service.get(&Oid::from(DESCR)) else {
        panic!("sysDescr is text")
    };
    let user = UsmUser::new(USER, AUTH_PASSWORD, PRIV_PASSWORD).expect("a user");
    let (address, _) = servers
        .block_on(serve(
            loopback(0),
            service,
            SnmpServerOptions::new(user).with_community("public"),
        ))
        .expect("an agent");
    let sim = match Snmpsim::start(&descr) {
        Ok(sim) => sim,
        Err(error) => {
            eprintln!(
                "the row of snmpsim is left out ({}): {error}",
                snmpsim_binary().display()
            );
            return;
        }
    };
    for (what, in_flight, goal) in [
        ("one after another", "1", "≥ 10"),
        ("64 in flight", "64", "≥ 30"),
    ] {
        let rate = |port: u16, count: u32| {
            number(
                client,
                &[
                    "v2c",
                    &port.to_string(),
                    DESCR_TEXT,
                    &count.to_string(),
                    in_flight,
                ],
            )
        };
        let mut pairs = Vec::new();
        for _ in 0..5 {
            let (Some(theirs), Some(ours)) = (
                rate(sim.port, 2_000 / scale),
                rate(address.port(), 20_000 / scale),
            ) else {
                eprintln!("the row of snmpsim is left out: a GET failed");
                return;
            };
            pairs.push((ours / theirs, ours, theirs));
        }
        pairs.sort_by(|a, b| a.0.total_cmp(&b.0));
        let (ratio, ours, theirs) = pairs[pairs.len() / 2];
        let name = format!("SNMP agent, GET of sysDescr {what}, v2c, {place}");
        row(
            &name,
            &format!("{ours:.0}/s"),
            &format!("{theirs:.0}/s (snmpsim)"),
            Some(ratio),
            goal,
        );
    }
}
