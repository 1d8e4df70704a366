//! net-snmp's `snmpwalk`, `snmpbulkwalk`, `snmpget` and `snmpset` against our agents, over v3
//! authPriv and v2c.

mod encryptors;
mod protection;

use crate::{block_on, expect, print_check, tool};
use qkd_emulators::{
    profile::{Credentials, Options, RunningEmulator},
    profiles,
};
use std::time::{Duration, Instant};

const COMMUNITY: &str = "watch";
const DESCR: &str = ".1.3.6.1.2.1.1.1.0";
const OBJECT_ID: &str = ".1.3.6.1.2.1.1.2.0";
const CONTACT: &str = ".1.3.6.1.2.1.1.4.0";
const ENGINE_TIME: &str = ".1.3.6.1.6.3.10.2.1.3.0";
/// Longer than any automatic process of a pair takes.
const DEADLINE: Duration = Duration::from_secs(30);

/// Keys made for these checks.
const SECRET: &str = "5aa1c0de00112233445566778899aabbccddeeff0123456789abcdef5aa1c0de";
const SECOND_SECRET: &str = "c3d2e1f0ffeeddccbbaa99887766554433221100fedcba9876543210c3d2e1f0";

/// An agent, as net-snmp's tools see it.
struct Peer {
    address: String,
    user: Credentials,
}

/// A line of a walk.
#[derive(Clone, PartialEq, Eq)]
struct Row {
    oid: Vec<u32>,
    name: String,
    kind: String,
    value: String,
}

impl Row {
    /// Returns whether the value changes without a SET.
    fn moves(&self) -> bool {
        matches!(self.kind.as_str(), "Counter32" | "Counter64" | "Timeticks")
            || self.name == ENGINE_TIME
            || self.name.starts_with(MKA_MESSAGES)
            || encryptors::MOVING.iter().any(|m| self.name.starts_with(m))
    }
}

/// Lines of `-On`; long values go on in lines of their own.
fn rows(text: &str) -> Result<Vec<Row>, String> {
    let mut all: Vec<Row> = Vec::new();
    for line in text.lines().filter(|l| !l.is_empty()) {
        let Some((name, rest)) = line.split_once(" = ").filter(|(n, _)| n.starts_with(".1."))
        else {
            let last = all.last_mut().ok_or_else(|| format!("not a row: {line}"))?;
            last.value.push_str(line);
            continue;
        };
        if rest.starts_with("No more variables left") {
            continue;
        }
        let oid = name[1..]
            .split('.')
            .map(|id| id.parse::<u32>().map_err(|_| format!("not an OID: {name}")))
            .collect::<Result<_, _>>()?;
        let (kind, value) = rest.split_once(": ").unwrap_or((rest, ""));
        all.push(Row {
            oid,
            name: name.to_owned(),
            kind: kind.trim_end_matches(':').to_owned(),
            value: value.to_owned(),
        });
    }
    Ok(all)
}

impl Peer {
    fn all(running: &RunningEmulator) -> Result<Vec<Self>, String> {
        let user = running
            .ready()
            .credentials
            .clone()
            .ok_or("no credentials")?;
        let agents = running.ready().endpoints.iter().filter(|e| e.bus == "snmp");
        Ok(agents
            .map(|e| Self {
                address: format!("udp:{}", e.address),
                user: user.clone(),
            })
            .collect())
    }

    fn run(
        &self,
        name: &str,
        security: &[&str],
        more: &[&str],
        what: &[&str],
    ) -> Result<String, String> {
        let common = ["-m", "", "-r", "1", "-t", "3", "-On"];
        tool(
            name,
            &[&common, security, more, &[self.address.as_str()], what].concat(),
        )
    }
    fn v3_as<'a>(user: &'a str, auth: &'a str, privacy: &'a str, level: &'a str) -> Vec<&'a str> {
        let mut all = vec!["-v3", "-u", user, "-l", level, "-a", "SHA-256", "-A", auth];
        if level == "authPriv" {
            all.extend(["-x", "AES", "-X", privacy]);
        }
        all
    }
    fn v3(&self) -> Vec<&str> {
        Self::v3_as(
            &self.user.user,
            &self.user.auth_password,
            &self.user.priv_password,
            "authPriv",
        )
    }
    fn get(&self, oid: &str) -> Result<Row, String> {
        let text = self.run("snmpget", &self.v3(), &[], &[oid])?;
        rows(&text)?
            .into_iter()
            .find(|r| r.name == oid)
            .ok_or_else(|| format!("snmpget {oid}: {text}"))
    }
    fn set(&self, binds: &[(&str, &str, &str)]) -> Result<String, String> {
        let flat: Vec<_> = binds
            .iter()
            .flat_map(|(oid, kind, value)| [*oid, *kind, *value])
            .collect();
        self.run("snmpset", &self.v3(), &[], &flat)
    }
    fn walk(&self, name: &str, more: &[&str], oid: &str) -> Result<String, String> {
        self.run(name, &self.v3(), more, &[oid])
    }

    /// Asks until the answer is this.
    fn wait_for_value(&self, oid: &str, wanted: &str) -> Result<(), String> {
        let begun = Instant::now();
        loop {
            let got = self.get(oid)?;
            if got.value == wanted {
                return Ok(());
            }
            expect(begun.elapsed() < DEADLINE, || {
                format!("{oid} is {} for {DEADLINE:?}, not {wanted}", got.value)
            })?;
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// The whole tree by GETNEXT and by GETBULK: the same, strictly increasing, and with all of
    /// these.
    fn complete(&self, with: &[String]) -> Result<usize, String> {
        self.complete_below(".1.3.6.1", with)
    }
    fn complete_below(&self, root: &str, with: &[String]) -> Result<usize, String> {
        let one = rows(&self.walk("snmpwalk", &[], root)?)?;
        for repetitions in ["-Cr7", "-Cr40"] {
            let bulk = rows(&self.walk("snmpbulkwalk", &[repetitions], root)?)?;
            let names = |all: &[Row]| {
                all.iter()
                    .map(|r| (r.name.clone(), r.kind.clone()))
                    .collect::<Vec<_>>()
            };
            expect(names(&one) == names(&bulk), || {
                format!(
                    "snmpwalk and snmpbulkwalk {repetitions} see {} and {} rows, or different ones",
                    one.len(),
                    bulk.len()
                )
            })?;
            for (a, b) in one.iter().zip(&bulk).filter(|(a, _)| !a.moves()) {
                expect(a == b, || {
                    format!(
                        "{}: {} by snmpwalk, {} by snmpbulkwalk",
                        a.name, a.value, b.value
                    )
                })?;
            }
        }
        if let Some(w) = one.windows(2).find(|w| w[0].oid >= w[1].oid) {
            return Err(format!("{} is before {}", w[0].name, w[1].name));
        }
        let missing: Vec<_> = with
            .iter()
            .filter(|w| {
                !one.iter()
                    .any(|r| r.name == **w || r.name.starts_with(&format!("{w}.")))
            })
            .collect();
        expect(missing.is_empty(), || {
            format!("the walk of {} rows has no {missing:?}", one.len())
        })?;
        // What is walked can be had by name, too.
        for some in one.chunks(8) {
            let names: Vec<_> = some.iter().map(|r| r.name.as_str()).collect();
            let got = rows(&self.run("snmpget", &self.v3(), &[], &names)?)?;
            expect(got.len() == some.len(), || {
                format!("snmpget of {names:?} had {} rows", got.len())
            })?;
            for (row, got) in some.iter().zip(&got) {
                let same = got.name == row.name
                    && got.kind == row.kind
                    && (got.value == row.value || row.moves());
                expect(same, || {
                    format!(
                        "{}: walked {}, got {} {}",
                        row.name, row.value, got.name, got.value
                    )
                })?;
            }
        }
        Ok(one.len())
    }

    /// No walk shows any of these, as text, in hexadecimal or in an index.
    fn hides(&self, keys: &[&str]) -> Result<(), String> {
        for (name, shown) in [
            ("snmpwalk", "-Ona"),
            ("snmpwalk", "-Onx"),
            ("snmpbulkwalk", "-Onx"),
        ] {
            let text: String = self
                .walk(name, &[shown], ".1.3.6.1")?
                .chars()
                .filter(|c| !c.is_whitespace())
                .collect::<String>()
                .to_lowercase();
            for key in keys {
                let joined = |form: fn(&u8) -> String, with: &str| {
                    key.as_bytes()
                        .iter()
                        .map(form)
                        .collect::<Vec<_>>()
                        .join(with)
                };
                let octets = key
                    .as_bytes()
                    .chunks(2)
                    .filter_map(|d| u8::from_str_radix(std::str::from_utf8(d).ok()?, 16).ok());
                let octets = octets.map(|o| o.to_string()).collect::<Vec<_>>().join(".");
                let forms = [
                    key.to_lowercase(),
                    joined(|b| format!("{b:02x}"), ""),
                    joined(u8::to_string, "."),
                    octets,
                ];
                expect(!forms.iter().any(|f| text.contains(f.as_str())), || {
                    format!("{name} {shown} shows a pre-shared key")
                })?;
            }
        }
        Ok(())
    }

    /// A SET whose second varbind is bad is refused, by that name, and the first is not applied.
    fn refuses_whole(&self, second: (&str, &str, &str), why: &str) -> Result<(), String> {
        let before = self.get(CONTACT)?;
        let error = self
            .set(&[(CONTACT, "s", "not this one"), second])
            .err()
            .ok_or_else(|| format!("a SET of {} was accepted", second.0))?;
        let named = error
            .lines()
            .any(|l| l.trim() == format!("Failed object: {}", second.0));
        expect(named && error.contains(why), || {
            format!("a refused SET of {}, which is {why}: {error}", second.0)
        })?;
        expect(self.get(CONTACT)? == before, || {
            "a refused SET changed its first varbind".to_owned()
        })
    }

    /// Wrong credentials, too little security, and a community.
    fn guards(&self) -> Result<(), String> {
        let Credentials {
            user,
            auth_password,
            priv_password,
            ..
        } = &self.user;
        for (what, security, words) in [
            (
                "a wrong authentication password",
                Self::v3_as(user, "wrongpassword", priv_password, "authPriv"),
                "Authentication failure",
            ),
            // What cannot be decrypted may go unanswered.
            (
                "a wrong privacy password",
                Self::v3_as(user, auth_password, "wrongpassword", "authPriv"),
                "",
            ),
            (
                "an unknown user",
                Self::v3_as("nobody", auth_password, priv_password, "authPriv"),
                "Unknown user name",
            ),
            (
                "authNoPriv",
                Self::v3_as(user, auth_password, priv_password, "authNoPriv"),
                "authorizationError",
            ),
        ] {
            let error = self
                .run("snmpget", &security, &[], &[DESCR])
                .err()
                .ok_or_else(|| format!("{what} was accepted"))?;
            expect(error.contains(words) && !error.contains("STRING"), || {
                format!("{what}: {error}")
            })?;
        }
        let community = ["-v2c", "-c", COMMUNITY];
        let read = self.run("snmpget", &community, &[], &[DESCR])?;
        expect(read.starts_with(DESCR) && read.contains("STRING"), || {
            format!("v2c does not read: {read}")
        })?;
        let before = self.get(CONTACT)?;
        let error = self
            .run("snmpset", &community, &[], &[CONTACT, "s", "anybody"])
            .err()
            .ok_or("a community wrote")?;
        // RFC 3413, 3.2: the community has no view for writing.
        expect(
            error.contains("authorizationError") && self.get(CONTACT)? == before,
            || format!("a SET by a community: {error}"),
        )?;
        let error = self
            .run(
                "snmpget",
                &["-v2c", "-c", "other", "-r", "0", "-t", "1"],
                &[],
                &[DESCR],
            )
            .err()
            .ok_or("another community read")?;
        expect(error.contains("Timeout"), || {
            format!("another community: {error}")
        })
    }

    /// Whether sysObjectID is this name or below it.
    fn has_object_id(&self, prefix: &str) -> Result<(), String> {
        let got = self.get(OBJECT_ID)?;
        expect(
            got.kind == "OID" && format!("{}.", got.value).starts_with(&format!("{prefix}.")),
            || format!("sysObjectID is {} {}", got.kind, got.value),
        )
    }
}

/// The system group, ifName and the engine.
fn standard() -> impl Iterator<Item = String> {
    let system = (1..=6).map(|n| format!(".1.3.6.1.2.1.1.{n}.0"));
    system.chain([
        ".1.3.6.1.2.1.31.1.1.1.1".to_owned(),
        ".1.3.6.1.6.3.10.2.1.1.0".to_owned(),
        ENGINE_TIME.to_owned(),
    ])
}

/// SL-SECU-MIB slSecuEncryptionTable, at the uplink.
fn encryption(column: u32) -> String {
    format!(".1.3.6.1.4.1.4515.1.3.24.4.1.1.{column}.1295104")
}

fn packetlight(peers: &[Peer]) -> Result<(), String> {
    let [a, b] = peers else {
        return Err("a pair has two ends".to_owned());
    };
    let (status, force, preshared) = (encryption(3), encryption(4), encryption(5));
    a.wait_for_value(&status, "4")?;
    for peer in peers {
        peer.has_object_id(".1.3.6.1.4.1.4515")?;
        let count = peer.complete(
            &standard()
                .chain((1..=8).map(encryption))
                .collect::<Vec<_>>(),
        )?;
        print_check(&format!(
            "packetlight {}: sysObjectID; {count} rows by snmpwalk, snmpbulkwalk and snmpget, \
             strictly increasing",
            peer.address
        ));
    }

    b.set(&[(&preshared, "s", SECRET)])?;
    expect(b.get(&status)?.value == "4", || {
        "a new secret alone moved the exchange".to_owned()
    })?;
    a.set(&[(&preshared, "s", SECRET), (&force, "i", "1")])?;
    for peer in peers {
        let stage = peer.get(&status)?.value;
        expect(["1", "2", "3"].contains(&stage.as_str()), || {
            format!("after ForceInit the status of {} is {stage}", peer.address)
        })?;
    }
    a.wait_for_value(&status, "4")?;
    b.wait_for_value(&status, "4")?;
    // Unlike secrets do not meet, so the key that was written is the one in use.
    a.set(&[(&preshared, "s", SECOND_SECRET), (&force, "i", "1")])?;
    let alarm = ".1.3.6.1.4.1.4515.1.3.20";
    let begun = Instant::now();
    while !a
        .walk("snmpwalk", &[], alarm)?
        .contains("Key exchange failed")
    {
        expect(begun.elapsed() < DEADLINE, || {
            "unlike secrets raise no alarm".to_owned()
        })?;
        std::thread::sleep(Duration::from_millis(100));
    }
    expect(a.get(&status)?.value != "4", || {
        "unlike secrets became active".to_owned()
    })?;
    b.set(&[(&preshared, "s", SECOND_SECRET), (&force, "i", "1")])?;
    a.wait_for_value(&status, "4")?;
    b.wait_for_value(&status, "4")?;
    print_check(
        "packetlight: snmpset of secret and ForceInit in one PDU; like secrets become active, \
         unlike ones raise the alarm",
    );

    for peer in peers {
        let got = peer.get(&preshared)?;
        expect(got.kind == "\"\"" || got.value == "\"\"", || {
            format!("the secret reads as {} {}", got.kind, got.value)
        })?;
        peer.hides(&[SECRET, SECOND_SECRET])?;
    }
    print_check(
        "packetlight: the secret reads as empty, and no walk shows it as text, in hexadecimal or \
         in an index",
    );

    for (second, why) in [
        ((status.as_str(), "i", "4"), "notWritable"),
        ((encryption(2).as_str(), "i", "7"), "wrongValue"),
        ((preshared.as_str(), "i", "1"), "wrongType"),
        (
            (".1.3.6.1.4.1.4515.1.3.24.4.1.1.5.9", "s", "x"),
            "noCreation",
        ),
    ] {
        a.refuses_whole(second, why)?;
    }
    let error = a
        .set(&[(&preshared, "s", SECRET), (&force, "s", "1")])
        .err()
        .ok_or("ForceInit took a string")?;
    expect(error.contains(&format!("Failed object: {force}")), || {
        format!("a refused ForceInit: {error}")
    })?;
    // If the secret of the refused SET had been applied, this would not become active.
    a.set(&[(&force, "i", "1")])?;
    a.wait_for_value(&status, "4")?;
    print_check(
        "packetlight: a SET with a bad second varbind is refused by its name, and its first is not \
         applied",
    );
    a.guards()?;
    print_check(
        "packetlight: wrong passwords, an unknown user and authNoPriv are refused; a v2c community \
         reads and does not write",
    );
    Ok(())
}

/// Prefix of TIMETRA-MACSEC-MIB.
const MACSEC: &str = ".1.3.6.1.4.1.6527.3.1.2.114";
/// tmnxMacsecMkaStatsTable, column 6: its Unsigned32 counts messages.
const MKA_MESSAGES: &str = ".1.3.6.1.4.1.6527.3.1.2.114.3.2.1.6.";

/// tmnxMacsecPreSharedKeyTable, at CA `ca1`.
fn psk(column: u32, slot: u32) -> String {
    format!("{MACSEC}.2.4.1.{column}.3.99.97.49.{slot}")
}

fn nokia(peers: &[Peer]) -> Result<(), String> {
    let [a, b] = peers else {
        return Err("a pair has two ends".to_owned());
    };
    // Octets 00, 01, ...: in the index they are 0.1.2...
    let ckn = (0..32).map(|n| format!("{n:02x}")).collect::<String>();
    let instance = std::iter::once(32)
        .chain(0..32)
        .map(|n: u32| n.to_string())
        .collect::<Vec<_>>()
        .join(".");
    for peer in peers {
        peer.has_object_id(".1.3.6.1.4.1.6527")?;
        // Status destroy, which a row that is not there takes too (RFC 2579); then createAndGo,
        // aes256.
        peer.set(&[(&psk(3, 1), "i", "6")])?;
        peer.set(&[
            (&psk(3, 1), "i", "4"),
            (&psk(4, 1), "i", "2"),
            (&psk(5, 1), "s", SECRET),
            (&psk(6, 1), "s", &ckn),
        ])?;
    }
    for peer in peers {
        let port = peer.walk("snmpwalk", &[], ".1.3.6.1.2.1.2.2.1.1")?;
        let port = rows(&port)?
            .first()
            .map(|r| r.value.clone())
            .ok_or("no ifIndex")?;
        peer.wait_for_value(&format!("{MACSEC}.3.2.1.39.{port}.1.{instance}"), "2")?;
    }
    print_check(
        "nokia: snmpset of a row of the pre-shared keys on both ends, in one PDU each; MKA is in \
         service",
    );
    for peer in peers {
        let own = [2u32, 3, 4, 6, 11, 12, 13, 14]
            .iter()
            .map(|c| format!("{MACSEC}.2.2.1.{c}.3.99.97.49"));
        let own = own
            .chain((1..=4).map(|c| format!("{MACSEC}.2.3.1.{c}.3.99.97.49")))
            .chain((2..=6).map(|c| psk(c, 1)));
        let tables = [
            ".1.1.0",
            ".1.2.0",
            ".1.3.0",
            ".1.4.0",
            ".2.5.1.5",
            ".3.2.1.2",
            ".3.2.1.39",
        ]
        .iter()
        .map(|t| format!("{MACSEC}{t}"));
        let count = peer.complete(&standard().chain(own).chain(tables).collect::<Vec<_>>())?;
        print_check(&format!(
            "nokia {}: sysObjectID; {count} rows by snmpwalk, snmpbulkwalk and snmpget, strictly \
             increasing",
            peer.address
        ));
    }
    for peer in peers {
        let got = peer.get(&psk(5, 1))?;
        expect(got.kind == "\"\"" || got.value == "\"\"", || {
            format!("the CAK reads as {} {}", got.kind, got.value)
        })?;
        peer.hides(&[SECRET])?;
        // The name of the key is not secret; a search that finds it would find the key.
        expect(peer.hides(&[&ckn]).is_err(), || {
            "the CKN, which is shown, was not found".to_owned()
        })?;
    }
    print_check(
        "nokia: the CAK reads as empty, and no walk shows it as text, in hexadecimal or in an \
         index",
    );

    for (second, why) in [
        ((psk(2, 1).as_str(), "t", "1"), "notWritable"),
        ((psk(5, 1).as_str(), "s", "abcd"), "wrongLength"),
        ((psk(4, 1).as_str(), "i", "9"), "wrongValue"),
        ((psk(6, 2).as_str(), "s", "abcd"), "inconsistentName"),
        (
            (format!("{MACSEC}.2.3.1.3.3.99.97.49").as_str(), "u", "2"),
            "inconsistentValue",
        ),
    ] {
        a.refuses_whole(second, why)?;
    }
    let made = b.set(&[(&psk(3, 2), "i", "4"), (&psk(5, 2), "s", SECOND_SECRET)]);
    let error = made.err().ok_or("a CAK of 256 bit fitted aes128")?;
    expect(
        error.contains(&format!("Failed object: {}", psk(5, 2))),
        || format!("a refused row: {error}"),
    )?;
    let slots = b.walk("snmpwalk", &[], &format!("{MACSEC}.2.4.1.3"))?;
    expect(rows(&slots)?.len() == 1, || {
        format!("a refused SET made a row: {slots}")
    })?;
    print_check(
        "nokia: a SET with a bad second varbind is refused by its name, and its first is not \
         applied",
    );
    b.guards()?;
    print_check(
        "nokia: wrong passwords, an unknown user and authNoPriv are refused; a v2c community reads \
         and does not write",
    );
    Ok(())
}

pub(crate) fn run() -> Result<String, String> {
    type Checks = fn(&[Peer]) -> Result<(), String>;
    let pairs: [(&str, Checks); 2] = [
        ("packetlight-pair", packetlight),
        ("nokia-sros-macsec-pair", nokia),
    ];
    block_on(async {
        for (name, checks) in pairs {
            let running = profiles::start(name, &Options::default().with("community", COMMUNITY))
                .await
                .map_err(|e| e.to_string())?;
            let peers = Peer::all(&running)?;
            tokio::task::block_in_place(|| checks(&peers)).map_err(|e| format!("{name}: {e}"))?;
        }
        encryptors::all().await?;
        protection::all().await?;
        Ok(
            "PacketLight and Nokia pairs: whole walks, keys written and never read, a forced \
            exchange, refused SETs, guards of v3 and v2c; \
            ADVA, Ciena and Infinera pairs: whole walks, keys written with the officer's password and \
            used, wrong passwords refused; IEEE 802.1AE and atmedia: whole walks, nothing is written; \
            SCTE, FS.com, PacketLight and Polatis agents: whole walks, switched and set, refused \
            SETs, notifications of switch-overs"
                .to_owned(),
        )
    })
}
