//! The pair against what was recorded of wpa_supplicant 2.10.

use super::*;
use rand::SeedableRng;
use std::collections::BTreeSet;

const OLD: &str = "11111111111111111111111111111111";
const NEW: &str = "6fa459eaee8a4ca4894edb77e160355e";
const CAK: &str = "0123456789abcdef0123456789abcdef";

struct Lab {
    clock: Clock,
    ends: [SupplicantEnd; 2],
}

impl Lab {
    fn new() -> Self {
        let clock = Clock::manual();
        let network = Network {
            cak: vec![7; 16].into(),
            ckn: hex::decode(OLD).unwrap().into(),
        };
        let random = ChaCha12Rng::seed_from_u64(7);
        let networks = [network.clone(), network];
        let pair = SupplicantPair::new(clock.clone(), 100.0, networks, random);
        let ends = [0, 1].map(|end| SupplicantEnd::new(Arc::clone(&pair), end));
        Self { clock, ends }
    }
    fn ask(&self, end: usize, command: &str) -> String {
        let answers = self.ends[end].answer(DatagramPeer::Unix, command.as_bytes());
        let [answer] = &answers[..] else {
            panic!("one answer")
        };
        String::from_utf8(answer.to_vec()).unwrap()
    }
    fn field(&self, end: usize, name: &str) -> String {
        let status = self.ask(end, "STATUS");
        let mut lines = status.lines();
        let value = lines.find_map(|line| line.split_once('=').filter(|(key, _)| *key == name));
        value.map(|(_, value)| value.to_owned()).unwrap_or_default()
    }
    fn wait(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }
    fn stage(&self, end: usize) {
        assert_eq!(
            self.ask(end, &format!("SET_NETWORK 0 mka_cak {CAK}")),
            "OK\n"
        );
        assert_eq!(
            self.ask(end, &format!("SET_NETWORK 0 mka_ckn {NEW}")),
            "OK\n"
        );
    }
    fn shown(&self, end: usize) -> [String; 3] {
        ["Secured", "live_peers", "ckn"].map(|name| self.field(end, name))
    }
}

#[test]
fn member_identifiers_follow_from_the_seed_and_differ_for_each_start() {
    let lab = Lab::new();
    let first = [0, 1].map(|end| lab.field(end, "mi"));
    lab.wait(1);
    assert_eq!(lab.ask(0, "REASSOCIATE"), "OK\n");
    let all = BTreeSet::from([lab.field(0, "mi"), first[0].clone(), first[1].clone()]);
    assert_eq!(all.len(), 3, "{all:?}");
    assert!(all.iter().all(|id| id.len() == 24));
    let other = Lab::new();
    other.wait(2);
    assert_eq!([0, 1].map(|end| other.field(end, "mi")), first);
}

#[test]
fn answers_are_those_that_were_recorded() {
    let lab = Lab::new();
    for (command, answer) in [
        ("PING", "PONG\n"),
        (
            "LIST_NETWORKS",
            "network id / ssid / bssid / flags\n0\t\tany\t[CURRENT]\n",
        ),
        ("GET_NETWORK 0 mka_ckn", "*"),
        ("GET_NETWORK 0 mka_cak", "*"),
        ("GET_NETWORK 0 macsec_policy", "1"),
        ("GET_NETWORK 1 mka_ckn", "FAIL\n"),
        ("SET_NETWORK 0 mka_ckn zz", "FAIL\n"),
        ("SET_NETWORK 0 mka_ckn 1", "FAIL\n"),
        ("SET_NETWORK 0 mka_cak 00", "FAIL\n"),
        (
            "SET_NETWORK 7 mka_cak 00112233445566778899aabbccddeeff",
            "FAIL\n",
        ),
        ("NONSENSE", "UNKNOWN COMMAND\n"),
        (
            "STATUS-DRIVER",
            "ifname=ea\nifi=3\nparent_ifname=macsec0\nparent_ifi=2\n",
        ),
        ("GET version", "2.10"),
        ("INTERFACES", "ea\n"),
        ("ATTACH", "OK\n"),
        ("DETACH", "OK\n"),
        ("REMOVE_NETWORK 3", "FAIL\n"),
    ] {
        assert_eq!(lab.ask(0, command), answer, "{command}");
    }
    lab.wait(10);
    let names: Vec<String> = lab
        .ask(0, "STATUS")
        .lines()
        .filter_map(|line| Some(line.split_once('=')?.0.to_owned()))
        .collect();
    let recorded = "bssid,freq,ssid,id,mode,pairwise_cipher,group_cipher,key_mgmt,wpa_state,\
                    address,PAE KaY status,Authenticated,Secured,Failed,Actor Priority,\
                    Key Server Priority,Is Key Server,Number of Keys Distributed,\
                    Number of Keys Received,MKA Hello Time,actor_sci,key_server_sci,\
                    participant_idx,ckn,mi,mn,active,participant,retain,live_peers,\
                    potential_peers,is_key_server,is_elected,uuid";
    assert_eq!(names.join(","), recorded);
}

#[test]
fn a_stored_key_is_used_after_reassociation_only() {
    let lab = Lab::new();
    lab.wait(10);
    lab.stage(0);
    assert_eq!(lab.shown(0), ["Yes", "1", OLD]);
    assert_eq!(lab.ask(0, "REASSOCIATE"), "OK\n");
    assert_eq!(lab.field(0, "PAE KaY status"), "Not-Active");
    assert_eq!(lab.shown(0), ["No", "0", NEW]);
    lab.wait(4);
    assert_eq!(
        lab.shown(1),
        ["Yes", "1", OLD],
        "the peer counts as live for 6 s"
    );
    lab.wait(3);
    assert_eq!(lab.shown(1), ["No", "0", OLD]);
    lab.stage(1);
    lab.ask(1, "REASSOCIATE");
    let before = lab.ends[0].pair.traffic_from(0);
    lab.wait(2);
    // The key server is secured before it has distributed a key.
    assert_eq!(lab.shown(0), ["Yes", "1", NEW]);
    assert_eq!(lab.field(0, "Number of Keys Distributed"), "0");
    assert_eq!(lab.shown(1), ["No", "0", NEW]);
    assert_eq!(lab.ends[0].pair.traffic_from(0).accepted, before.accepted);
    lab.wait(2);
    assert_eq!(lab.field(0, "Number of Keys Distributed"), "1");
    assert_eq!(lab.shown(1), ["Yes", "1", NEW]);
    assert_eq!(
        lab.ends[0].pair.traffic_from(0).accepted,
        before.accepted + 100
    );
}

#[test]
fn another_key_at_one_end_passes_nothing() {
    let lab = Lab::new();
    lab.wait(10);
    lab.stage(0);
    lab.ask(1, &format!("SET_NETWORK 0 mka_ckn {NEW}"));
    lab.ask(0, "REASSOCIATE");
    lab.ask(1, "REASSOCIATE");
    let before = lab.ends[0].pair.traffic_from(0).accepted;
    lab.wait(60);
    for end in 0..2 {
        assert_eq!(lab.shown(end), ["No", "0", NEW]);
    }
    assert_eq!(lab.ends[0].pair.traffic_from(0).accepted, before);
}

#[test]
fn a_restart_loses_what_was_set() {
    let lab = Lab::new();
    lab.stage(0);
    lab.ends[0].apply(&DeviceFault::Reboot).unwrap();
    lab.wait(4);
    assert_eq!(lab.shown(0), ["Yes", "1", OLD]);
    lab.ask(0, "REASSOCIATE");
    lab.wait(4);
    assert_eq!(lab.shown(0), ["Yes", "1", OLD]);
}
