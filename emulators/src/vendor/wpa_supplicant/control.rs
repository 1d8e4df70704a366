//! Commands of the control interface: one datagram each, one datagram as answer.

use super::{
    ADDRESSES, INTERFACES, PRIORITIES,
    session::{HELLO, Progress, Session},
};
use std::{fmt::Write, time::Duration};
use zeroize::Zeroizing;

const OK: &str = "OK\n";
const FAIL: &str = "FAIL\n";

/// Longest command (`CTRL_IFACE_MAX_LEN`).
const LONGEST: usize = 4096;

/// Answers one command. `may_change`: whether a change is done; `Err`: it is refused.
pub(super) fn answer(
    session: &mut Session,
    end: usize,
    now: Duration,
    datagram: &[u8],
    may_change: &dyn Fn() -> Result<bool, ()>,
) -> Zeroizing<Vec<u8>> {
    let text = std::str::from_utf8(datagram).ok();
    let text = text.filter(|text| text.len() <= LONGEST);
    let answer = match text.and_then(|text| text.split_once(' ').or(Some((text, "")))) {
        Some(("PING", "")) => "PONG\n".to_owned(),
        Some(("STATUS" | "STATUS-VERBOSE", "")) => status(session, end, now),
        Some(("STATUS-DRIVER", "")) => format!(
            "ifname={}\nifi=3\nparent_ifname=macsec0\nparent_ifi=2\n",
            INTERFACES[end]
        ),
        Some(("INTERFACES", "")) => format!("{}\n", INTERFACES[end]),
        Some(("GET", "version")) => "2.10".to_owned(),
        Some(("LIST_NETWORKS", "")) => {
            let flags = if session.ends[end].is_connected {
                "[CURRENT]"
            } else {
                "[DISABLED]"
            };
            format!("network id / ssid / bssid / flags\n0\t\tany\t{flags}\n")
        }
        Some(("GET_NETWORK", variable)) => match variable {
            "0 mka_cak" | "0 mka_ckn" => "*".to_owned(),
            "0 macsec_policy" => "1".to_owned(),
            "0 mka_priority" => PRIORITIES[end].to_string(),
            _ => FAIL.to_owned(),
        },
        Some(("ATTACH" | "DETACH", "")) => OK.to_owned(),
        Some(("SET_NETWORK", assignment)) => {
            let set = |apply| set_network(session, end, assignment, apply);
            changed(may_change, set).to_owned()
        }
        Some(("REASSOCIATE" | "RECONNECT", "")) | Some(("ENABLE_NETWORK", "0")) => {
            let associate = |apply| {
                if apply {
                    session.associate(end, now);
                }
                Some(())
            };
            changed(may_change, associate).to_owned()
        }
        Some(("DISCONNECT", "")) | Some(("DISABLE_NETWORK", "0")) => {
            let disconnect = |apply| {
                if apply {
                    session.ends[end].is_connected = false;
                }
                Some(())
            };
            changed(may_change, disconnect).to_owned()
        }
        Some(("ENABLE_NETWORK" | "DISABLE_NETWORK" | "REMOVE_NETWORK", _)) => FAIL.to_owned(),
        _ => "UNKNOWN COMMAND\n".to_owned(),
    };
    Zeroizing::new(answer.into_bytes())
}

fn changed(
    may_change: &dyn Fn() -> Result<bool, ()>,
    change: impl FnOnce(bool) -> Option<()>,
) -> &'static str {
    match may_change().ok().and_then(change) {
        Some(()) => OK,
        None => FAIL,
    }
}

/// Stores a CAK or a CKN, if it has one of the lengths that the daemon takes.
fn set_network(session: &mut Session, end: usize, assignment: &str, apply: bool) -> Option<()> {
    let (variable, digits) = assignment.strip_prefix("0 ")?.split_once(' ')?;
    let value = Zeroizing::new(hex::decode(digits).ok()?);
    let stored = &mut session.ends[end].stored;
    let (place, fits) = match variable {
        "mka_cak" => (&mut stored.cak, matches!(value.len(), 16 | 32)),
        "mka_ckn" => (&mut stored.ckn, matches!(value.len(), 1..=32)),
        _ => return None,
    };
    if fits && apply {
        *place = value;
    }
    fits.then_some(())
}

fn status(session: &Session, end: usize, now: Duration) -> String {
    let this = &session.ends[end];
    let mut text = String::new();
    let state = if this.is_connected {
        text += "bssid=01:80:c2:00:00:03\nfreq=0\nssid=\nid=0\nmode=station\n";
        text += "pairwise_cipher=NONE\ngroup_cipher=NONE\nkey_mgmt=NONE\n";
        "COMPLETED"
    } else {
        "DISCONNECTED"
    };
    let yes = |value: bool| if value { "Yes" } else { "No" };
    let progress = session.progress(end, now);
    let (is_live, is_keyed) = match progress {
        Progress::Live { keyed } => (true, keyed),
        _ => (false, false),
    };
    let is_active = progress != Progress::NotActive;
    let participant = &this.participant;
    let keys = u32::from(is_keyed).max(participant.keys);
    let (distributed, received) = if end == 0 { (keys, 0) } else { (0, keys) };
    // The peer's priority and SCI stay known after it has gone.
    let knows_server = is_live || keys > 0;
    let (priority, server) = if knows_server {
        (PRIORITIES[0], format!("{}@1", ADDRESSES[0]))
    } else {
        (0, "00:00:00:00:00:00@0".to_owned())
    };
    let heard = progress == Progress::Alone { heard: true };
    let _ = write!(
        text,
        "wpa_state={state}\naddress={address}\nPAE KaY status={active}\nAuthenticated=No\n\
         Secured={secured}\nFailed=No\nActor Priority={own}\nKey Server Priority={priority}\n\
         Is Key Server=No\nNumber of Keys Distributed={distributed}\n\
         Number of Keys Received={received}\nMKA Hello Time={hello}\nactor_sci={address}@1\n\
         key_server_sci={server}\nparticipant_idx=0\nckn={ckn}\nmi={mi}\nmn={mn}\n\
         active={is_active}\nparticipant=No\nretain=No\nlive_peers={live}\n\
         potential_peers={potential}\nis_key_server={is_server}\nis_elected={elected}\n\
         uuid=0d520d64-ff51-5c11-b1dc-72ea7de0159{end}\n",
        address = ADDRESSES[end],
        active = if is_active { "Active" } else { "Not-Active" },
        secured = yes(is_live),
        own = PRIORITIES[end],
        hello = HELLO.as_millis(),
        ckn = hex::encode(&*participant.network.ckn),
        mi = hex::encode(participant.member_id),
        mn = participant.message_number(now),
        is_active = yes(is_active),
        live = u8::from(is_live),
        potential = u8::from(heard),
        is_server = yes(end == 0 || !knows_server),
        elected = yes(is_live),
    );
    text
}
