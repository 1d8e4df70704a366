//! Other people's SNMP clients on our agents: gosnmp, npm `net-snmp`, Perl's Net::SNMP, ruby-snmp
//! and Prometheus' snmp_exporter. They have to find as many objects as net-snmp's `snmpwalk` does.

use crate::{block_on, expect, print_check, tool};
use qkd_emulators::{profile::Options, profiles};
use serde_json::json;
use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

const COMMUNITY: &str = "watch";
/// Profiles with an SNMP agent.
pub(crate) const PROFILES: [&str; 12] = [
    "packetlight-pair",
    "nokia-sros-macsec-pair",
    "adva-fsp3000r7-pair",
    "adva-fsp150-pair",
    "ciena-waveserver-pair",
    "infinera-xtm-pair",
    "ieee-macsec",
    "atmedia",
    "scte-hms-ab",
    "scte-hms-2x2",
    "fs-olp",
    "polatis-16x16",
];
/// Until snmp_exporter is up.
const DEADLINE: Duration = Duration::from_secs(20);

fn script(name: &str) -> String {
    format!(
        "{}/src/bin/foreign/clients/{name}",
        env!("CARGO_MANIFEST_DIR")
    )
}

/// A client: its name, its program with the arguments before those of the agent.
fn clients(folder: &std::path::Path) -> Result<Vec<(&'static str, Vec<String>)>, String> {
    let gosnmp = folder.join("gosnmp");
    let built = Command::new("go")
        .args(["build", "-o"])
        .arg(&gosnmp)
        .arg(script("gosnmp.go"))
        .envs([("GO111MODULE", "off"), ("GOPATH", "/usr/share/gocode")])
        .env("GOCACHE", folder.join("go"))
        .output()
        .map_err(|e| format!("go cannot be run: {e}"))?;
    expect(built.status.success(), || {
        format!(
            "gosnmp is not built: {}",
            String::from_utf8_lossy(&built.stderr)
        )
    })?;
    Ok(vec![
        ("gosnmp", vec![gosnmp.display().to_string()]),
        (
            "Perl Net::SNMP",
            vec!["perl".to_owned(), script("net_snmp.pl")],
        ),
        ("ruby-snmp", vec!["ruby".to_owned(), script("ruby_snmp.rb")]),
        // Last, as its SETs add rows to logs.
        (
            "npm net-snmp",
            vec!["node".to_owned(), script("net-snmp.js")],
        ),
    ])
}

/// For `net-snmp.js`: a SET in one PDU, of object names with their types and values; a SET that is
/// refused with an error-status; what is read after both.
fn changes(profile: &str, officer: Option<&str>) -> Option<String> {
    const SECRET: &str = "5aa1c0de00112233445566778899aabbccddeeff0123456789abcdef5aa1c0de";
    let officer = officer.unwrap_or_default();
    let text = |oid: &str, value: &str| json!({"oid": oid, "type": "OctetString", "value": value});
    let integer = |oid: &str, value: i32| json!({"oid": oid, "type": "Integer", "value": value});
    let r7 = |rest: &str| format!("1.3.6.1.4.1.2544.1.11.5.1.{rest}");
    let guard = |rest: &str| format!("1.3.6.1.4.1.2544.1.12.36.{rest}");
    let ciena = |rest: &str| format!("1.3.6.1.4.1.1271.3.4.23.{rest}");
    let xtm = |rest: &str| format!("1.3.6.1.4.1.8708.2.73.2.{rest}");
    let secy = "1.0.8802.1.1.3.1.1.1.1.5.101";
    let engine = "1.3.6.1.4.1.13458.1.4.2.2.1.2.1";
    let (set, refused, status, read) = match profile {
        "adva-fsp3000r7-pair" => (
            json!([
                text(&r7("2.1.0"), officer),
                text(&r7("3.12.1.2.268503362"), SECRET),
                integer(&r7("3.12.1.3.268503362"), 3),
            ]),
            json!([
                text(&r7("2.1.0"), officer),
                integer(&r7("3.13.1.3.268503362"), 0)
            ]),
            17,
            // The first password was accepted.
            json!([[r7("2.2.0"), 1], [r7("3.12.1.3.268503362"), 3]]),
        ),
        "adva-fsp150-pair" => (
            json!([
                text(&guard("1.9.1.0"), officer),
                text(&guard("1.2.1.5.1"), SECRET),
                integer(&guard("1.1.1.18.1.2"), 45),
            ]),
            json!([
                text(&guard("1.9.1.0"), "not this one"),
                integer(&guard("1.1.1.18.1.2"), 1)
            ]),
            6,
            json!([[guard("1.2.1.5.1"), ""], [guard("1.1.1.18.1.2"), 45]]),
        ),
        "ciena-waveserver-pair" => (
            json!([
                text(&ciena("4.1.2.48.0"), SECRET),
                text(&ciena("4.1.5.48.0"), "npm")
            ]),
            json!([
                text(&ciena("4.1.5.48.0"), "other"),
                text(&ciena("4.1.2.48.0"), "abc")
            ]),
            8,
            json!([[ciena("4.1.2.48.0"), ""], [ciena("4.1.5.48.0"), "npm"]]),
        ),
        "infinera-xtm-pair" => (
            json!([
                text(&xtm("3.1.1.7.1"), SECRET),
                integer(&xtm("4.1.1.10.1"), 2)
            ]),
            json!([
                integer(&xtm("4.1.1.10.1"), 1),
                text(&xtm("3.1.1.7.1"), &SECRET[1..])
            ]),
            8,
            json!([[xtm("3.1.1.7.1"), ""], [xtm("4.1.1.10.1"), 2]]),
        ),
        "ieee-macsec" => (json!([]), json!([integer(secy, 2)]), 17, json!([[secy, 1]])),
        "atmedia" => (
            json!([]),
            json!([integer(engine, 3)]),
            17,
            json!([[engine, 1]]),
        ),
        _ => return None,
    };
    Some(json!({"set": set, "refused": refused, "status": status, "read": read}).to_string())
}

pub(crate) fn run() -> Result<String, String> {
    let folder = tempfile::tempdir().map_err(|e| e.to_string())?;
    let clients = clients(folder.path())?;
    let exporter = Exporter::start(folder.path())?;
    block_on(async {
        for profile in PROFILES {
            let running = profiles::start(
                profile,
                &Options {
                    set: vec![("community".to_owned(), COMMUNITY.to_owned())],
                    ..Options::default()
                },
            )
            .await
            .map_err(|e| format!("{profile}: {e}"))?;
            let user = running
                .ready()
                .credentials
                .clone()
                .ok_or("no credentials")?;
            let endpoint = running.ready().endpoints.iter().find(|e| e.bus == "snmp");
            let address = endpoint.ok_or("no agent")?.address.clone();
            let said = tokio::task::block_in_place(|| {
                let walk = [
                    "-m", "", "-v2c", "-c", COMMUNITY, "-On", "-t", "3", &address,
                ];
                let walk = tool("snmpwalk", &[&walk[..], &[".1.3.6.1"]].concat())?;
                let objects = walk
                    .lines()
                    .filter(|l| l.starts_with(".1.") && !l.contains("No more variables left"))
                    .count();
                for (name, command) in &clients {
                    let more = [
                        address.as_str(),
                        &user.user,
                        &user.auth_password,
                        &user.priv_password,
                        COMMUNITY,
                    ];
                    let before: Vec<&str> = command[1..].iter().map(String::as_str).collect();
                    let own = match *name {
                        "npm net-snmp" => changes(profile, user.officer_password.as_deref()),
                        _ => None,
                    };
                    let own: Vec<&str> = own.iter().map(String::as_str).collect();
                    let found = tool(&command[0], &[&before[..], &more, &own].concat())?;
                    expect(found.trim() == objects.to_string(), || {
                        format!("{name} finds {} objects, snmpwalk {objects}", found.trim())
                    })?;
                }
                exporter.scrape(&address)?;
                Ok::<_, String>(objects)
            });
            let objects = said.map_err(|e| format!("{profile}: {e}"))?;
            print_check(&format!("{profile}: {objects} objects, as for snmpwalk"));
        }
        Ok(
            "gosnmp, npm net-snmp (walks and SETs over SNMPv3), Perl Net::SNMP, ruby-snmp (walks \
            over SNMPv2c) and snmp_exporter (a scrape) on every emulated agent"
                .to_owned(),
        )
    })
}

/// Prometheus' snmp_exporter; ends when dropped.
struct Exporter {
    child: Child,
    port: u16,
}

impl Exporter {
    fn start(folder: &std::path::Path) -> Result<Self, String> {
        let broken = |e: std::io::Error| format!("prometheus-snmp-exporter: {e}");
        let config = folder.join("snmp.yml");
        std::fs::write(
            &config,
            format!(
                "system:\n  walk: [1.3.6.1.2.1.1]\n  metrics:\n    - name: sysUpTime\n      oid: \
                 1.3.6.1.2.1.1.3\n      type: gauge\n  version: 2\n  auth:\n    community: \
                 {COMMUNITY}\n"
            ),
        )
        .map_err(broken)?;
        let free = TcpListener::bind("127.0.0.1:0").map_err(broken)?;
        let port = free.local_addr().map_err(broken)?.port();
        drop(free);
        let child = Command::new("prometheus-snmp-exporter")
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(broken)?;
        let exporter = Self { child, port };
        let begun = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            expect(begun.elapsed() < DEADLINE, || {
                "prometheus-snmp-exporter does not come up".to_owned()
            })?;
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(exporter)
    }

    /// Has it read an agent; the metric has to be there.
    fn scrape(&self, address: &str) -> Result<(), String> {
        let broken = |e: std::io::Error| format!("prometheus-snmp-exporter: {e}");
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).map_err(broken)?;
        stream.set_read_timeout(Some(DEADLINE)).map_err(broken)?;
        let request =
            format!("GET /snmp?module=system&target={address} HTTP/1.0\r\nHost: localhost\r\n\r\n");
        stream.write_all(request.as_bytes()).map_err(broken)?;
        let mut page = String::new();
        stream.read_to_string(&mut page).map_err(broken)?;
        expect(page.lines().any(|l| l.starts_with("sysUpTime ")), || {
            format!("prometheus-snmp-exporter does not show sysUpTime: {page}")
        })
    }
}

impl Drop for Exporter {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
