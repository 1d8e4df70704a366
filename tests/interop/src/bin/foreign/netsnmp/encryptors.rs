//! The agents of encryptors: keys are written with the officer's password in the same PDU, used,
//! and never read; refused passwords change nothing. Agents that are only read refuse every SET.

use super::{COMMUNITY, Peer, SECRET, standard};
use crate::{expect, print_check};
use qkd_emulators::{profile::Options, profiles};
use std::time::Duration;

/// Rows whose values change with the time: remaining and elapsed seconds, next packet numbers,
/// message numbers, rekeys.
pub(super) const MOVING: [&str; 10] = [
    ".1.3.6.1.4.1.2544.1.11.5.1.3.13.1.6.",
    ".1.3.6.1.4.1.2544.1.11.5.1.4.",
    ".1.3.6.1.4.1.2544.1.12.36.1.5.1.3.",
    ".1.3.6.1.4.1.8708.2.73.2.3.1.1.12.",
    ".1.3.6.1.4.1.8708.2.73.2.4.1.1.13.",
    ".1.3.6.1.4.1.8708.2.73.2.4.1.1.14.",
    ".1.0.8802.1.1.3.1.1.3.1.3.",
    ".1.0.8802.1.1.3.1.1.5.1.3.",
    ".1.3.111.2.802.1.1.15.1.6.3.1.2.",
    ".1.3.6.1.4.1.13458.1.5.3.",
];

type Bind<'a> = (&'a str, &'a str, &'a str);

/// Objects with which a family is keyed.
struct Family {
    profile: &'static str,
    options: &'static [(&'static str, &'static str)],
    object_id: &'static str,
    /// Object of the officer's password.
    officer: Option<&'static str>,
    key: &'static str,
    /// Command that starts an exchange, if there is one.
    start: Option<Bind<'static>>,
    /// A number or a time that changes with an exchange that succeeds.
    done: &'static str,
    /// A state, its value without a fault, and its value after unlike keys.
    state: (&'static str, &'static str, &'static str),
    /// A bad change, and why.
    bad: (Bind<'static>, &'static str),
    with: &'static [&'static str],
}

const FAMILIES: [Family; 4] = [
    Family {
        profile: "adva-fsp3000r7-pair",
        options: &[("time-factor", "20")],
        object_id: ".1.3.6.1.4.1.2544.1.11.1.1",
        officer: Some(".1.3.6.1.4.1.2544.1.11.5.1.2.1.0"),
        key: ".1.3.6.1.4.1.2544.1.11.5.1.3.12.1.2.268503362",
        start: Some((".1.3.6.1.4.1.2544.1.11.5.1.3.12.1.6.268503362", "i", "2")),
        done: ".1.3.6.1.4.1.2544.1.11.5.1.3.13.1.4.268503362",
        // Failed exchanges.
        state: (".1.3.6.1.4.1.2544.1.11.5.1.3.13.1.3.268503362", "0", "3"),
        bad: (
            (".1.3.6.1.4.1.2544.1.11.5.1.3.12.1.3.268503362", "i", "14"),
            "wrongValue",
        ),
        with: &[
            ".1.3.6.1.4.1.2544.1.11.5.1.2.2",
            ".1.3.6.1.4.1.2544.1.11.5.1.3.13.1.5",
            ".1.3.6.1.4.1.2544.1.11.5.1.4.3.1.1",
        ],
    },
    Family {
        profile: "adva-fsp150-pair",
        options: &[("time-factor", "20")],
        object_id: ".1.3.6.1.4.1.2544.1.12.1.1.9",
        officer: Some(".1.3.6.1.4.1.2544.1.12.36.1.9.1.0"),
        key: ".1.3.6.1.4.1.2544.1.12.36.1.2.1.5.1",
        start: Some((".1.3.6.1.4.1.2544.1.12.36.1.1.1.23.1.2", "i", "2")),
        done: ".1.3.6.1.4.1.2544.1.12.36.1.3.1.4.1.2.1",
        // cmFlowSecureStateList: secureNormal, unsecureBlocked.
        state: (
            ".1.3.6.1.4.1.2544.1.12.4.1.4.1.70.1.1.1.1.2",
            "\"1\"",
            "\"4\"",
        ),
        bad: (
            (".1.3.6.1.4.1.2544.1.12.36.1.1.1.18.1.1", "i", "0"),
            "wrongValue",
        ),
        with: &[
            ".1.3.6.1.4.1.2544.1.12.36.1.1.1.22",
            ".1.3.6.1.4.1.2544.1.12.36.2.4.1.6",
            ".1.3.6.1.4.1.2544.1.12.10.1.5.1.5",
        ],
    },
    Family {
        profile: "ciena-waveserver-pair",
        // A period of an hour takes a second.
        options: &[("time-factor", "3600")],
        object_id: ".1.3.6.1.4.1.1271.3",
        officer: None,
        key: ".1.3.6.1.4.1.1271.3.4.23.4.1.2.48.0",
        start: None,
        done: ".1.3.6.1.4.1.1271.3.4.23.4.1.3.48.0",
        state: (".1.3.6.1.4.1.1271.3.4.23.3.1.2.48.0", "1", "2"),
        bad: (
            (".1.3.6.1.4.1.1271.3.4.23.5.1.2.48.0", "u", "25"),
            "wrongValue",
        ),
        with: &[
            ".1.3.6.1.4.1.1271.3.4.23.4.1.4",
            ".1.3.6.1.4.1.1271.3.4.23.6.1",
            ".1.3.6.1.4.1.1271.3.4.24",
        ],
    },
    Family {
        profile: "infinera-xtm-pair",
        options: &[("time-factor", "20"), ("commands", "true")],
        object_id: ".1.3.6.1.4.1.8708",
        officer: None,
        key: ".1.3.6.1.4.1.8708.2.73.2.3.1.1.7.1",
        start: Some((".1.3.6.1.4.1.8708.2.73.2.2.1.1.6.1", "s", "1")),
        done: ".1.3.6.1.4.1.8708.2.73.2.3.1.1.10.1",
        // Authentication failure: ok, alarm.
        state: (".1.3.6.1.4.1.8708.2.73.2.3.1.1.16.1", "1", "2"),
        bad: (
            (".1.3.6.1.4.1.8708.2.73.2.3.1.1.11.1", "u", "599"),
            "wrongValue",
        ),
        with: &[
            ".1.3.6.1.4.1.8708.2.73.2.3.1.1.9",
            ".1.3.6.1.4.1.8708.2.73.2.4.1.1.13",
            ".1.3.6.1.4.1.8708.2.73.2.6.1.1.13",
        ],
    },
];

impl Family {
    fn set(&self, peer: &Peer, changes: &[Bind<'_>]) -> Result<String, String> {
        let password = peer.user.officer_password.as_deref().unwrap_or_default();
        let password = self.officer.map(|name| (name, "s", password));
        peer.set(
            &password
                .into_iter()
                .chain(changes.iter().copied())
                .collect::<Vec<_>>(),
        )
    }
    /// Writes a key, and starts the exchange.
    fn write(&self, peer: &Peer, key: &str, start: bool) -> Result<(), String> {
        let mut changes = vec![(self.key, "s", key)];
        changes.extend(self.start.filter(|_| start));
        self.set(peer, &changes).map(drop)
    }
    fn check(&self, peers: &[Peer]) -> Result<(), String> {
        let [a, b] = peers else {
            return Err("a pair has two ends".to_owned());
        };
        let (state, well, failed) = self.state;
        for peer in peers {
            peer.has_object_id(self.object_id)?;
            let with = self.with.iter().map(|w| (*w).to_owned());
            let count = peer.complete(&standard().chain(with).collect::<Vec<_>>())?;
            print_check(&format!("{} {}: {count} rows", self.profile, peer.address));
            peer.wait_for_value(state, well)?;
        }
        // A key on one end alone fails.
        let before = a.get(self.done)?.value;
        self.write(a, SECRET, true)?;
        for peer in peers {
            peer.wait_for_value(state, failed)?;
        }
        self.write(b, SECRET, true)?;
        for peer in peers {
            peer.wait_for_value(state, well)?;
            peer.hides(&[SECRET])?;
        }
        expect(a.get(self.done)?.value != before, || {
            format!("{} did not change", self.done)
        })?;
        print_check(&format!(
            "{}: a key on one end fails, on both ends is used, and no walk shows it",
            self.profile
        ));
        let (bad, why) = self.bad;
        a.refuses_whole(bad, why)?;
        match self.officer {
            Some(officer) => self.refuses_passwords(b, officer),
            None => Ok(()),
        }
    }
    /// A SET with a wrong password, and one without, change nothing.
    fn refuses_passwords(&self, peer: &Peer, officer: &str) -> Result<(), String> {
        let ((object, kind, _), _) = self.bad;
        let before = peer.get(object)?;
        let change = (object, kind, "2");
        let results = [
            peer.set(&[(officer, "s", "not this one"), change]),
            peer.set(&[change]),
        ];
        // One family has the result to read, the other refuses.
        if self.profile == "adva-fsp3000r7-pair" {
            let result = peer.get(".1.3.6.1.4.1.2544.1.11.5.1.2.2.0")?.value;
            let answered = results.iter().all(Result::is_ok);
            expect(answered && result == "6", || {
                format!("a missing password has the result {result}")
            })?;
        } else {
            for (result, why) in results.into_iter().zip(["noAccess", "commitFailed"]) {
                let error = result.err().ok_or("a wrong password was accepted")?;
                expect(error.contains(why), || format!("not {why}: {error}"))?;
            }
            let count = peer.get(".1.3.6.1.4.1.2544.1.12.10.1.5.1.5.3.110.111.99.2")?;
            expect(count.value == "2", || {
                format!("{} refused passwords, not 2", count.value)
            })?;
        }
        expect(peer.get(object)? == before, || {
            "a refused password changed an object".to_owned()
        })?;
        print_check(&format!(
            "{}: SETs with a wrong password and without one change nothing",
            self.profile
        ));
        Ok(())
    }
}

/// An agent that is only read: its tree, some of its objects, and one that a SET does not change.
fn reads(peer: &Peer, roots: &[&str], read_only: &str) -> Result<(), String> {
    for root in roots {
        let count = peer.complete_below(root, &[])?;
        expect(count > 20, || format!("{count} rows below {root}"))?;
    }
    peer.refuses_whole((read_only, "i", "2"), "notWritable")
}

pub(super) async fn all() -> Result<(), String> {
    for family in &FAMILIES {
        let mut options = Options::default().with("community", COMMUNITY);
        for (name, value) in family.options {
            options = options.with(name, *value);
        }
        let running = profiles::start(family.profile, &options)
            .await
            .map_err(|e| e.to_string())?;
        let peers = Peer::all(&running)?;
        tokio::task::block_in_place(|| family.check(&peers))
            .map_err(|e| format!("{}: {e}", family.profile))?;
    }
    for (profile, roots, read_only, counter) in [
        (
            "ieee-macsec",
            &[".1.0.8802.1.1.3", ".1.3.6.1", ".1.3.111"][..],
            ".1.0.8802.1.1.3.1.1.1.1.5.101",
            ".1.0.8802.1.1.3.1.2.2.1.4.102",
        ),
        (
            "atmedia",
            &[".1.3.6.1"][..],
            ".1.3.6.1.4.1.13458.1.4.2.2.1.2.1",
            ".1.3.6.1.4.1.13458.1.4.1.2.1.8.2",
        ),
    ] {
        let options = Options::default().with("community", COMMUNITY);
        let running = profiles::start(profile, &options)
            .await
            .map_err(|e| e.to_string())?;
        let peers = Peer::all(&running)?;
        tokio::task::block_in_place(|| {
            let peer = peers.first().ok_or("no agent")?;
            let before = peer.get(counter)?;
            std::thread::sleep(Duration::from_millis(50));
            let after = peer.get(counter)?;
            expect(
                before.kind == "Counter64" && before.value != after.value,
                || format!("{counter} stays at {}", after.value),
            )?;
            reads(peer, roots, read_only)
        })
        .map_err(|e: String| format!("{profile}: {e}"))?;
        print_check(&format!(
            "{profile}: whole walks, moving counters, nothing is written"
        ));
    }
    Ok(())
}
