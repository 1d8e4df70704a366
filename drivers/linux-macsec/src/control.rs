//! Commands and replies of the control interface of wpa_supplicant. Pure.
//!
//! A command is one datagram of text, and its reply is another one. Sources: hostapd,
//! `wpa_supplicant/ctrl_iface.c`, `src/common/wpa_ctrl.h`, `src/pae/ieee802_1x_kay.c`
//! (`ieee802_1x_kay_get_status`), and replies recorded from wpa_supplicant 2.10.

use crate::proto::Sci;
use qkd_driver_kit::link::datagram::Received;
use qkd_hal::text::printable_bytes;
use std::{fmt, ops::Range};
use zeroize::Zeroizing;

/// Maximum number of bytes of a reply (`reply_size` in `ctrl_iface.c`).
pub const MAX_REPLY: usize = 4096;
/// Maximum number of bytes of a CKN (IEEE 802.1X).
pub const MAX_CKN: usize = 32;
/// Number of bytes of a member identifier (IEEE 802.1X).
pub const MEMBER_BYTES: usize = 12;
/// Number of characters of a reply that an error quotes.
const QUOTED: usize = 60;

/// Whether the daemon answers: `PONG`.
pub const PING: &[u8] = b"PING";
/// Version of the daemon.
pub const GET_VERSION: &[u8] = b"GET version";
/// Networks of the configuration.
pub const LIST_NETWORKS: &[u8] = b"LIST_NETWORKS";
/// State of the interface and of its MKA entity (KaY).
pub const STATUS: &[u8] = b"STATUS";
/// Ends the participant that runs, and starts one with the configured key.
pub const REASSOCIATE: &[u8] = b"REASSOCIATE";
/// Start of the command that sets a value of a network.
const SET_NETWORK: &[u8] = b"SET_NETWORK ";
/// Name of the value that is a key, with the spaces around it.
const CAK: &[u8] = b" mka_cak ";
/// Name of the value that names a key, with the spaces around it.
const CKN: &[u8] = b" mka_ckn ";

/// Why a reply cannot be used. Texts of the daemon in it are safe to show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ControlError {
    /// The daemon refused the command, with these words.
    Refused(String),
    /// The reply has another form; its start.
    Unexpected(String),
    /// The part of this name has another form.
    Malformed(&'static str),
    /// The daemon runs more than one MKA participant.
    ManyParticipants,
}

impl fmt::Display for ControlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(words) => write!(f, "wpa_supplicant refused the command: {words}"),
            Self::Unexpected(start) => write!(f, "the reply has another form: `{start}`"),
            Self::Malformed(what) => write!(f, "{what} of the reply is malformed"),
            Self::ManyParticipants => f.write_str("the reply shows several MKA participants"),
        }
    }
}

fn unexpected(reply: &[u8]) -> ControlError {
    ControlError::Unexpected(printable_bytes(reply.trim_ascii(), QUOTED))
}

/// The key agreement that runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Participant {
    /// Name of the CAK that it uses.
    pub ckn: Vec<u8>,
    /// Member identifier: random, and another one for each participant that is made.
    pub member: [u8; MEMBER_BYTES],
    /// Number of MKA messages that it has sent.
    pub messages: u64,
    /// Peers that have proven that they have the CAK.
    pub live_peers: u64,
    /// Peers of which messages have come.
    pub potential_peers: u64,
}

impl Participant {
    /// Whether this is an earlier or later state of the same participant, which keeps its member
    /// identifier and its key.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        self.member == other.member && self.ckn == other.ckn
    }
}

/// The MKA entity (KaY) of the interface.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Kay {
    /// Whether MKA says that traffic is secured.
    pub is_secured: bool,
    /// Whether key agreement has failed.
    pub has_failed: bool,
    /// SAKs that it has distributed, or received from the key server.
    pub keys: u64,
    /// Identifier of the channel on which the interface sends; `None` if it is not shown.
    pub sci: Option<Sci>,
    /// `None`: there is none.
    pub participant: Option<Participant>,
}

/// Reply to `STATUS`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Status {
    /// State of the interface, such as `COMPLETED`; safe to show.
    pub state: String,
    /// Key management, such as `NONE`; `None` unless the interface is associated. Safe to show.
    pub key_management: Option<String>,
    /// `None`: the daemon was built without MACsec, or no network of its configuration uses it.
    pub kay: Option<Kay>,
}

impl Status {
    /// The participant that runs.
    #[must_use]
    pub fn participant(&self) -> Option<&Participant> {
        self.kay.as_ref()?.participant.as_ref()
    }
}

/// Finds the end of a reply: it is one datagram. Events (`<3>...`) go to clients that have attached
/// themselves; one that comes nevertheless is not a reply.
#[must_use]
pub fn recognise(datagram: &[u8]) -> Received {
    match datagram {
        [b'<', level, b'>', ..] if level.is_ascii_digit() => Received::Foreign,
        long if long.len() > MAX_REPLY => {
            Received::Invalid(format!("a reply has more than {MAX_REPLY} bytes"))
        }
        _ => Received::Last,
    }
}

/// Positions of the secret value of a command.
#[must_use]
pub fn secrets(command: &[u8]) -> Vec<Range<usize>> {
    let name = command.windows(CAK.len()).position(|part| part == CAK);
    let is_set = command.starts_with(SET_NETWORK);
    let start = name.filter(|_| is_set).map(|at| at + CAK.len());
    start
        .map(|start| start..command.len())
        .into_iter()
        .collect()
}

/// Reads `macsec_policy` of a network.
#[must_use]
pub fn encode_get_policy(network: u32) -> Vec<u8> {
    format!("GET_NETWORK {network} macsec_policy").into_bytes()
}

/// Sets the CAK of a network, which the participant that runs does not use.
#[must_use]
pub fn encode_set_cak(network: u32, cak: &[u8]) -> Zeroizing<Vec<u8>> {
    encode_set(network, CAK, cak)
}

/// Sets the name of the CAK of a network, which the participant that runs does not use.
#[must_use]
pub fn encode_set_ckn(network: u32, ckn: &[u8]) -> Zeroizing<Vec<u8>> {
    encode_set(network, CKN, ckn)
}

fn encode_set(network: u32, name: &[u8], value: &[u8]) -> Zeroizing<Vec<u8>> {
    let network = network.to_string();
    let start = [SET_NETWORK, network.as_bytes(), name];
    let length: usize = start.iter().map(|part| part.len()).sum();
    // Of its final size: a buffer that grows leaves a copy of the key.
    let mut command = Zeroizing::new(Vec::with_capacity(length + 2 * value.len()));
    start
        .iter()
        .for_each(|part| command.extend_from_slice(part));
    for octet in value {
        for half in [octet >> 4, octet & 0xf] {
            command.push(if half < 10 {
                b'0' + half
            } else {
                b'a' + half - 10
            });
        }
    }
    command
}

/// The words of a refusal; `None` if the daemon did not refuse.
fn refusal(reply: &[u8]) -> Option<ControlError> {
    let words = reply.trim_ascii();
    let is_refusal = words.starts_with(b"FAIL") || words == b"UNKNOWN COMMAND";
    is_refusal.then(|| ControlError::Refused(printable_bytes(words, QUOTED)))
}

/// Decodes the reply to a command that changes something.
///
/// # Errors
/// [`ControlError`]; `Refused` if the daemon refused the command.
pub fn decode_done(reply: &[u8]) -> Result<(), ControlError> {
    expect_word(reply, b"OK")
}

/// Decodes the reply to [`PING`].
///
/// # Errors
/// [`ControlError`].
pub fn decode_ping(reply: &[u8]) -> Result<(), ControlError> {
    expect_word(reply, b"PONG")
}

fn expect_word(reply: &[u8], word: &[u8]) -> Result<(), ControlError> {
    if reply.trim_ascii() == word {
        return Ok(());
    }
    Err(refusal(reply).unwrap_or_else(|| unexpected(reply)))
}

/// Decodes the reply to a command that reads one value. The value is safe to show.
///
/// # Errors
/// [`ControlError`]; `Refused` if there is no such value.
pub fn decode_value(reply: &[u8]) -> Result<String, ControlError> {
    match refusal(reply) {
        Some(error) => Err(error),
        None => Ok(printable_bytes(reply.trim_ascii(), QUOTED)),
    }
}

/// Decodes the reply to [`LIST_NETWORKS`]: the numbers of the networks.
///
/// # Errors
/// [`ControlError`].
pub fn decode_networks(reply: &[u8]) -> Result<Vec<u32>, ControlError> {
    let text = std::str::from_utf8(reply).map_err(|_| unexpected(reply))?;
    let mut lines = text.lines();
    if !lines.next().is_some_and(|l| l.starts_with("network id")) {
        return Err(refusal(reply).unwrap_or_else(|| unexpected(reply)));
    }
    lines
        .map(|line| line.split('\t').next().and_then(|id| id.parse().ok()))
        .collect::<Option<_>>()
        .ok_or(ControlError::Malformed("the number of a network"))
}

fn decode_flag(text: &str, name: &'static str) -> Result<bool, ControlError> {
    match text {
        "Yes" => Ok(true),
        "No" => Ok(false),
        _ => Err(ControlError::Malformed(name)),
    }
}

fn decode_number(text: &str, name: &'static str) -> Result<u64, ControlError> {
    text.parse().map_err(|_| ControlError::Malformed(name))
}

/// Decodes `02:00:00:00:00:0a@1`.
fn decode_sci(text: &str) -> Option<Sci> {
    let (address, port) = text.split_once('@')?;
    let mut sci = Sci::default();
    let mut octets = address.split(':');
    for octet in &mut sci[..6] {
        *octet = u8::from_str_radix(octets.next()?, 16).ok()?;
    }
    sci[6..].copy_from_slice(&port.parse::<u16>().ok()?.to_be_bytes());
    octets.next().is_none().then_some(sci)
}

/// Decodes hexadecimal digits, at most `most` bytes.
fn decode_hex(text: &str, most: usize, name: &'static str) -> Result<Vec<u8>, ControlError> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let pair = |pair: &[u8]| match pair {
        [high, low] => u8::try_from(digit(*high)? << 4 | digit(*low)?).ok(),
        _ => None,
    };
    let octets: Option<Vec<u8>> = match text.len() <= 2 * most {
        true => text.as_bytes().chunks(2).map(pair).collect(),
        false => None,
    };
    octets.ok_or(ControlError::Malformed(name))
}

/// Decodes the reply to [`STATUS`]. Lines that are not known are left out.
///
/// # Errors
/// [`ControlError`].
pub fn decode_status(reply: &[u8]) -> Result<Status, ControlError> {
    let text = std::str::from_utf8(reply).map_err(|_| unexpected(reply))?;
    let mut status = Status::default();
    let mut has_state = false;
    for (name, value) in text.lines().filter_map(|line| line.split_once('=')) {
        let shown = || printable_bytes(value.as_bytes(), QUOTED);
        match name {
            "wpa_state" => {
                status.state = shown();
                has_state = true;
            }
            "key_mgmt" => status.key_management = Some(shown()),
            "PAE KaY status" => status.kay = Some(Kay::default()),
            _ => {
                if let Some(kay) = &mut status.kay {
                    decode_kay_line(kay, name, value)?;
                }
            }
        }
    }
    match has_state {
        true => Ok(status),
        false => Err(refusal(reply).unwrap_or_else(|| unexpected(reply))),
    }
}

/// A line after that of the KaY. Lines of a participant follow its number.
fn decode_kay_line(kay: &mut Kay, name: &str, value: &str) -> Result<(), ControlError> {
    let keys = |kay: &mut Kay, name| {
        kay.keys = kay.keys.saturating_add(decode_number(value, name)?);
        Ok(())
    };
    match (name, &mut kay.participant) {
        ("Secured", _) => kay.is_secured = decode_flag(value, "`Secured`")?,
        ("Failed", _) => kay.has_failed = decode_flag(value, "`Failed`")?,
        ("Number of Keys Distributed", _) => return keys(kay, "the number of distributed keys"),
        ("Number of Keys Received", _) => return keys(kay, "the number of received keys"),
        ("actor_sci", _) => kay.sci = decode_sci(value),
        ("participant_idx", none @ None) => {
            *none = Some(Participant {
                ckn: Vec::new(),
                member: [0; MEMBER_BYTES],
                messages: 0,
                live_peers: 0,
                potential_peers: 0,
            });
        }
        ("participant_idx", Some(_)) => return Err(ControlError::ManyParticipants),
        ("ckn", Some(of)) => of.ckn = decode_hex(value, MAX_CKN, "the CKN")?,
        ("mi", Some(of)) => {
            let name = "the member identifier";
            of.member = decode_hex(value, MEMBER_BYTES, name)?
                .try_into()
                .map_err(|_| ControlError::Malformed(name))?;
        }
        ("mn", Some(of)) => of.messages = decode_number(value, "the message number")?,
        ("live_peers", Some(of)) => {
            of.live_peers = decode_number(value, "the number of live peers")?;
        }
        ("potential_peers", Some(of)) => {
            of.potential_peers = decode_number(value, "the number of potential peers")?;
        }
        _ => {}
    }
    Ok(())
}

/// Feeds every decoder with bytes from outside, for fuzzing.
pub fn fuzz(input: &[u8]) {
    let _ = recognise(input);
    let _ = secrets(input);
    let _ = decode_done(input);
    let _ = decode_ping(input);
    let _ = decode_value(input);
    let _ = decode_networks(input);
    let _ = decode_status(input);
}

#[cfg(test)]
mod tests;
