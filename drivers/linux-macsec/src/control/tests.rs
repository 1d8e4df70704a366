use super::*;
use qkd_driver_kit::link::datagram::MAX_DATAGRAM;

/// Replies recorded from wpa_supplicant 2.10 to a command.
fn recorded(command: &str) -> Vec<Vec<u8>> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/vectors/wpa-supplicant.json");
    let all: Vec<serde_json::Value> =
        serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    all.iter()
        .filter(|one| one["send"].as_str().unwrap().starts_with(command))
        .map(|one| one["receive"].as_str().unwrap().as_bytes().to_vec())
        .collect()
}

const ACTIVE: &str = "wpa_state=COMPLETED\nPAE KaY status=Active\nSecured=Yes\nFailed=No\n\
    Number of Keys Distributed=1\nNumber of Keys Received=0\nactor_sci=02:00:00:00:00:0a@1\n\
    participant_idx=0\nckn=0102\nmi=000102030405060708090a0b\nmn=7\nlive_peers=1\n\
    potential_peers=0\n";

#[test]
fn recorded_states_are_decoded() {
    let all: Vec<Status> = recorded("STATUS")
        .iter()
        .filter(|reply| !reply.starts_with(b"ifname"))
        .map(|reply| decode_status(reply).unwrap())
        .collect();
    assert_eq!(all.len(), 11);
    let first = &all[0];
    assert_eq!(first.state, "COMPLETED");
    assert_eq!(first.key_management.as_deref(), Some("NONE"));
    let kay = first.kay.as_ref().unwrap();
    assert!(kay.is_secured && !kay.has_failed && kay.keys == 1);
    assert_eq!(kay.sci, Some([0x2e, 0xd1, 0xc2, 0xe8, 0x3a, 0x98, 0, 1]));
    let participant = first.participant().unwrap();
    assert_eq!(participant.ckn, [0x11; 32]);
    assert_eq!(participant.member[..3], [0x1f, 0xd4, 0xff]);
    assert_eq!((participant.live_peers, participant.messages), (1, 8));
    // Directly after REASSOCIATE another participant runs, with the new name.
    let next = all[1].participant().unwrap();
    assert!(!next.is_same(participant));
    assert_eq!(next.ckn[..2], [0x6f, 0xa4]);
    // One end says that it is secured before a SAK exists.
    let early = all
        .iter()
        .any(|s| s.kay.as_ref().is_some_and(|k| k.is_secured && k.keys == 0));
    assert!(early);
    let stopped = all.last().unwrap();
    assert_eq!(stopped.state, "DISCONNECTED");
    assert_eq!(stopped.key_management, None);
}

#[test]
fn a_daemon_without_macsec_shows_no_mka() {
    let status = decode_status(b"wpa_state=COMPLETED\nkey_mgmt=WPA2-PSK\nckn=zz\n").unwrap();
    assert_eq!(status.kay, None);
    assert_eq!(status.key_management.as_deref(), Some("WPA2-PSK"));
}

#[test]
fn recorded_answers_to_changes_are_decoded() {
    let [refused, accepted] = ["FAIL\n", "OK\n"].map(|text| decode_done(text.as_bytes()));
    assert_eq!(refused, Err(ControlError::Refused("FAIL".to_owned())));
    assert_eq!(accepted, Ok(()));
    let all = recorded("SET_NETWORK");
    let refusals = all.iter().filter(|reply| decode_done(reply).is_err());
    assert_eq!((all.len(), refusals.count()), (7, 4));
    assert_eq!(decode_ping(&recorded("PING")[0]), Ok(()));
    assert_eq!(decode_networks(&recorded("LIST_NETWORKS")[0]), Ok(vec![0]));
    assert_eq!(decode_value(&recorded("GET version")[0]).unwrap(), "2.10");
    let unknown = recorded("NONSENSE");
    let words = "UNKNOWN COMMAND".to_owned();
    assert_eq!(decode_done(&unknown[0]), Err(ControlError::Refused(words)));
}

#[test]
fn the_commands_are_those_that_were_recorded() {
    let cak: Vec<u8> = [0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef].repeat(2);
    let command = encode_set_cak(0, &cak);
    assert!(!recorded(std::str::from_utf8(&command).unwrap()).is_empty());
    assert_eq!(command.capacity(), command.len(), "no copy is left");
    let ckn = hex::decode("6fa459eaee8a4ca4894edb77e160355e").unwrap();
    let command = encode_set_ckn(0, &ckn);
    assert!(!recorded(std::str::from_utf8(&command).unwrap()).is_empty());
    assert_eq!(encode_get_policy(0), b"GET_NETWORK 0 macsec_policy");
}

#[test]
fn the_cak_of_a_command_is_a_secret_and_its_name_is_not() {
    let command = encode_set_cak(12, &[0xa7; 16]);
    let spans = secrets(&command);
    assert_eq!(spans.len(), 1);
    assert_eq!(command[spans[0].clone()], *"a7".repeat(16).as_bytes());
    assert!(secrets(&encode_set_ckn(12, &[0xa7; 16])).is_empty());
    assert!(secrets(STATUS).is_empty());
}

#[test]
fn events_and_replies_that_are_too_long_are_no_replies() {
    assert_eq!(recognise(b"<3>CTRL-EVENT-CONNECTED"), Received::Foreign);
    assert_eq!(recognise(b"OK\n"), Received::Last);
    let long = vec![b'a'; MAX_REPLY + 1];
    const { assert!(MAX_REPLY < MAX_DATAGRAM) };
    assert!(matches!(recognise(&long), Received::Invalid(_)));
}

#[test]
fn replies_of_another_form_are_refused() {
    let changed = |from: &str, to: &str| {
        assert!(ACTIVE.contains(from));
        decode_status(ACTIVE.replace(from, to).as_bytes())
    };
    assert!(decode_status(ACTIVE.as_bytes()).is_ok());
    for (from, to) in [
        ("Secured=Yes", "Secured=Maybe"),
        ("Distributed=1", "Distributed=-1"),
        ("ckn=0102", "ckn=010"),
        ("ckn=0102", "ckn=01+2"),
        ("ckn=0102", &format!("ckn={}", "01".repeat(33))),
        ("mi=0001", "mi=01"),
        ("live_peers=1", "live_peers=99999999999999999999"),
    ] {
        let result = changed(from, to);
        assert!(matches!(result, Err(ControlError::Malformed(_))), "{to}");
    }
    let second = changed("mn=7", "participant_idx=1");
    assert_eq!(second, Err(ControlError::ManyParticipants));
    let other = decode_status(b"\x1b[31mred\n");
    assert_eq!(
        other,
        Err(ControlError::Unexpected("\\x1b[31mred".to_owned()))
    );
    assert!(decode_networks(b"0\tany\n").is_err());
    assert!(decode_networks(b"network id / ssid\nx\tany\n").is_err());
}
