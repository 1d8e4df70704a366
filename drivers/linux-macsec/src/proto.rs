//! Requests and answers of MACsec interfaces (`linux/if_macsec.h`, `linux/if_link.h`). Pure.

pub use qkd_driver_kit::link::netlink::NetlinkError as ProtoError;
use qkd_driver_kit::link::netlink::{
    self, Content, GENERIC_HEADER, Message, Request, attributes, flag, u32_at,
};
use std::ops::Range;
use zeroize::Zeroizing;

/// Octets of a key id (`MACSEC_KEYID_LEN`).
pub const KEY_ID_BYTES: u8 = 16;
/// Number of associations of a channel in one direction.
pub const ASSOCIATIONS: u8 = 4;
/// Receive channels that are read; a driven interface has one.
const MAX_CHANNELS: usize = 64;

/// Name of the family of generic netlink (`MACSEC_GENL_NAME`).
pub(crate) const FAMILY_NAME: &str = "macsec";

/// Attributes of a MACsec message (`enum macsec_attrs`).
mod attr {
    pub(super) const IFINDEX: u16 = 1;
    pub(super) const RXSC_CONFIG: u16 = 2;
    pub(super) const SA_CONFIG: u16 = 3;
    pub(super) const SECY: u16 = 4;
    pub(super) const TXSA_LIST: u16 = 5;
    pub(super) const RXSC_LIST: u16 = 6;
    pub(super) const TXSC_STATS: u16 = 7;
    pub(super) const SECY_STATS: u16 = 8;
}

/// Attributes of a security association (`enum macsec_sa_attrs`).
mod sa {
    pub(super) const AN: u16 = 1;
    pub(super) const ACTIVE: u16 = 2;
    pub(super) const PN: u16 = 3;
    pub(super) const KEY: u16 = 4;
    pub(super) const KEY_ID: u16 = 5;
    pub(super) const STATS: u16 = 6;
    pub(super) const SALT: u16 = 9;
}

/// Attributes of rtnetlink (`enum` of `IFLA_*`, `IFLA_INFO_*`, `IFLA_MACSEC_*`).
mod link {
    pub(super) const GET: u16 = 18;
    pub(super) const NEW: u16 = 16;
    /// Length of `struct ifinfomsg`.
    pub(super) const HEADER: usize = 16;
    pub(super) const NAME: u16 = 3;
    pub(super) const INFO: u16 = 18;
    pub(super) const INFO_KIND: u16 = 1;
    pub(super) const INFO_DATA: u16 = 2;
    pub(super) const ENCODING_SA: u16 = 6;
}

/// Kind of a MACsec interface.
const KIND: &[u8] = b"macsec\0";

/// Identifier of a secure channel: MAC address and port.
pub type Sci = [u8; 8];

/// Direction of a security association at this end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// Frames that are sent.
    Transmit,
    /// Frames that are received from the channel with this identifier.
    Receive(Sci),
}

/// A security association, as the kernel shows it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Association {
    /// Association number, 0 to 3.
    pub number: u8,
    /// Whether it is switched on.
    pub is_active: bool,
    /// Next packet number (of a receive association, the lowest one that is accepted).
    pub packet_number: u64,
    /// Id of its key.
    pub key_id: Vec<u8>,
    /// Frames received and accepted under it (`InPktsOK`).
    pub received: u64,
    /// Frames sent encrypted under it (`OutPktsEncrypted`).
    pub encrypted: u64,
}

/// A receive channel.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Channel {
    /// Its identifier.
    pub sci: Sci,
    /// Its associations, by number.
    pub associations: Vec<Association>,
    /// Frames accepted (`InPktsOK`).
    pub accepted: u64,
    /// Frames with a wrong check value (`InPktsNotValid`).
    pub not_valid: u64,
    /// Frames without an active association (`InPktsNotUsingSA`).
    pub without_association: u64,
    /// Frames outside of the replay window (`InPktsLate`).
    pub late: u64,
}

/// Treatment of received frames (`enum macsec_validation_type`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Validation {
    /// Frames are not checked.
    Disabled,
    /// Frames are checked, and accepted whatever the result.
    Check,
    /// Frames that are not valid are dropped.
    Strict,
    /// A value that this driver does not know.
    #[default]
    Unknown,
}

/// A MACsec interface (a SecY), as the kernel shows it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Secy {
    /// Index of the interface.
    pub index: u32,
    /// Whether it is up.
    pub is_up: bool,
    /// Whether the port below has a carrier.
    pub has_carrier: bool,
    /// Identifier of its transmit channel.
    pub sci: Sci,
    /// Number of the association that sends.
    pub encoding: u8,
    /// Cipher suite (IEEE 802.1AE, table 14-1).
    pub cipher: u64,
    /// Whether frames are protected at all.
    pub protects: bool,
    /// Whether protected frames are encrypted.
    pub encrypts: bool,
    /// Whether the association that sends exists and is switched on.
    pub is_operational: bool,
    /// Treatment of received frames.
    pub validation: Validation,
    /// Transmit associations, by number.
    pub transmit: Vec<Association>,
    /// Receive channels.
    pub channels: Vec<Channel>,
    /// Frames sent encrypted (`OutPktsEncrypted`).
    pub encrypted: u64,
    /// Frames sent in clear (`OutPktsUntagged`).
    pub clear: u64,
    /// Frames dropped because they have no tag (`InPktsNoTag`).
    pub without_tag: u64,
    /// Frames dropped because of a malformed tag (`InPktsBadTag`).
    pub bad_tag: u64,
    /// Frames dropped because they name no channel that exists (`InPktsNoSCI`).
    pub without_channel: u64,
}

/// A cipher suite of the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cipher {
    /// Its name in IEEE 802.1AE.
    pub name: &'static str,
    /// Octets of a key.
    pub key_bytes: usize,
    /// Whether packet numbers have 64 bits, which needs a salt and an SSCI.
    pub is_extended: bool,
}

impl Cipher {
    /// The cipher suite with this identifier; `None` if it is not known.
    #[must_use]
    pub fn from_id(id: u64) -> Option<Self> {
        let (name, key_bytes, is_extended) = match id {
            // The second is the identifier that kernels before 802.1AE-2018 show for it.
            0x0080_C200_0100_0001 | 0x0080_0200_0100_0001 => ("GCM-AES-128", 16, false),
            0x0080_C200_0100_0002 => ("GCM-AES-256", 32, false),
            0x0080_C200_0100_0003 => ("GCM-AES-XPN-128", 16, true),
            0x0080_C200_0100_0004 => ("GCM-AES-XPN-256", 32, true),
            _ => return None,
        };
        Some(Self {
            name,
            key_bytes,
            is_extended,
        })
    }
}

/// Encodes the question for all MACsec interfaces (`MACSEC_CMD_GET_TXSC`).
pub(crate) fn encode_dump(family: u16, sequence: u32) -> Zeroizing<Vec<u8>> {
    Request::new(family, flag::DUMP, sequence)
        .header(&[0, 1, 0, 0])
        .finish()
}

/// A change of a security association.
pub(crate) enum Change<'a> {
    /// Makes it, with packet number 1.
    Add {
        key: &'a [u8],
        key_id: &'a [u8],
        is_active: bool,
    },
    /// Switches it on or off.
    Switch(bool),
    /// Deletes it. The kernel refuses this while it is on.
    Delete,
}

/// Encodes a change of the association of this number and direction.
pub(crate) fn encode_change(
    family: u16,
    sequence: u32,
    index: u32,
    direction: Direction,
    number: u8,
    change: &Change<'_>,
) -> Zeroizing<Vec<u8>> {
    // `enum macsec_nl_commands`
    let command = match (change, direction) {
        (Change::Add { .. }, Direction::Transmit) => 4,
        (Change::Delete, Direction::Transmit) => 5,
        (Change::Switch(_), Direction::Transmit) => 6,
        (Change::Add { .. }, Direction::Receive(_)) => 7,
        (Change::Delete, Direction::Receive(_)) => 8,
        (Change::Switch(_), Direction::Receive(_)) => 9,
    };
    let mut request = Request::new(family, flag::ACK, sequence)
        .header(&[command, 1, 0, 0])
        .with(attr::IFINDEX, &index.to_ne_bytes());
    if let Direction::Receive(sci) = direction {
        // MACSEC_RXSC_ATTR_SCI
        request = request.with_nested(attr::RXSC_CONFIG, |r| r.with(1, &sci));
    }
    let filled = request.with_nested(attr::SA_CONFIG, |r| {
        let r = r.with(sa::AN, &[number]);
        match change {
            Change::Add {
                key,
                key_id,
                is_active,
            } => r
                .with(sa::PN, &1_u32.to_ne_bytes())
                .with(sa::KEY_ID, key_id)
                .with(sa::KEY, key)
                .with(sa::ACTIVE, &[u8::from(*is_active)]),
            Change::Switch(on) => r.with(sa::ACTIVE, &[u8::from(*on)]),
            Change::Delete => r,
        }
    });
    filled.finish()
}

/// Header of a request for a link (`struct ifinfomsg`).
fn link_header(index: u32) -> [u8; link::HEADER] {
    let mut header = [0; link::HEADER];
    header[4..8].copy_from_slice(&index.to_ne_bytes());
    header
}

/// Encodes the question for the link of this name.
pub(crate) fn encode_get_link(sequence: u32, name: &str) -> Zeroizing<Vec<u8>> {
    Request::new(link::GET, 0, sequence)
        .header(&link_header(0))
        .with_text(link::NAME, name)
        .finish()
}

/// Encodes the selection of the association that sends.
pub(crate) fn encode_set_encoding(sequence: u32, index: u32, number: u8) -> Zeroizing<Vec<u8>> {
    Request::new(link::NEW, flag::ACK, sequence)
        .header(&link_header(index))
        .with_nested(link::INFO, |r| {
            r.with(link::INFO_KIND, KIND)
                .with_nested(link::INFO_DATA, |r| r.with(link::ENCODING_SA, &[number]))
        })
        .finish()
}

/// Positions of keys in a request to the family `macsec` or in an answer.
pub(crate) fn secrets(message: &[u8]) -> Vec<Range<usize>> {
    netlink::secrets(message, GENERIC_HEADER, |path| match path {
        [attr::SA_CONFIG] => Content::Attributes,
        [attr::SA_CONFIG, sa::KEY | sa::SALT] => Content::Secret,
        _ => Content::Public,
    })
}

/// Checks that a change was acknowledged.
pub(crate) fn decode_change<'a>(
    answer: impl IntoIterator<Item = &'a [u8]>,
) -> Result<(), ProtoError> {
    netlink::replies(answer).map(|_| ())
}

/// A link, as rtnetlink shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Link {
    pub(crate) index: u32,
    /// `IFF_UP`
    pub(crate) is_up: bool,
    /// `IFF_LOWER_UP`
    pub(crate) has_carrier: bool,
}

/// Reads a link; `None` if it is not one of MACsec.
pub(crate) fn decode_link<'a>(
    answer: impl IntoIterator<Item = &'a [u8]>,
) -> Result<Option<Link>, ProtoError> {
    let replies = netlink::replies(answer)?;
    let is_link = |message: &&Message<'_>| message.kind == link::NEW;
    let payload = replies.iter().find(is_link);
    let payload = payload.ok_or(ProtoError::Missing("link"))?.payload;
    let at = |at| u32_at(payload, at).ok_or(ProtoError::Malformed("the link"));
    let (index, flags) = (at(4)?, at(8)?);
    let mut is_macsec = false;
    for attribute in attributes(payload.get(link::HEADER..).unwrap_or_default()) {
        if let (link::INFO, value) = attribute? {
            for attribute in attributes(value) {
                if let (link::INFO_KIND, kind) = attribute? {
                    is_macsec = kind == KIND;
                }
            }
        }
    }
    Ok(is_macsec.then_some(Link {
        index,
        is_up: flags & 1 != 0,
        has_carrier: flags & 0x1_0000 != 0,
    }))
}

/// Reads the interface of this link out of a dump; `None` if it is not there.
pub(crate) fn decode_dump<'a>(
    answer: impl IntoIterator<Item = &'a [u8]>,
    link: Link,
) -> Result<Option<Secy>, ProtoError> {
    for message in netlink::replies(answer)? {
        let body = message.payload.get(GENERIC_HEADER..).unwrap_or_default();
        let mut is_wanted = false;
        for attribute in attributes(body) {
            if let (attr::IFINDEX, value) = attribute? {
                is_wanted = u32_at(value, 0) == Some(link.index);
            }
        }
        if is_wanted {
            return secy(body, link).map(Some);
        }
    }
    Ok(None)
}

fn secy(body: &[u8], link: Link) -> Result<Secy, ProtoError> {
    let mut all = Secy {
        index: link.index,
        is_up: link.is_up,
        has_carrier: link.has_carrier,
        ..Secy::default()
    };
    let mut is_shown = false;
    for attribute in attributes(body) {
        let (kind, value) = attribute?;
        match kind {
            attr::SECY => {
                is_shown = true;
                settings(value, &mut all)?;
            }
            attr::TXSA_LIST => all.transmit = associations(value)?,
            attr::RXSC_LIST => {
                for channel_value in attributes(value) {
                    if all.channels.len() == MAX_CHANNELS {
                        return Err(ProtoError::Malformed("the list of channels"));
                    }
                    all.channels.push(channel(channel_value?.1)?);
                }
            }
            attr::TXSC_STATS => all.encrypted = counter(value, 2)?,
            attr::SECY_STATS => {
                all.clear = counter(value, 1)?;
                all.without_tag = counter(value, 4)?;
                all.bad_tag = counter(value, 5)?;
                all.without_channel = counter(value, 7)?;
            }
            _ => {}
        }
    }
    match is_shown {
        true => Ok(all),
        false => Err(ProtoError::Missing("interface settings")),
    }
}

/// Reads `enum macsec_secy_attrs`.
fn settings(body: &[u8], all: &mut Secy) -> Result<(), ProtoError> {
    for attribute in attributes(body) {
        let (kind, value) = attribute?;
        match kind {
            1 => all.sci = sci(value)?,
            2 => all.encoding = association_number(value)?,
            4 => all.cipher = number(value)?,
            6 => all.protects = is_on(value)?,
            8 => all.is_operational = is_on(value)?,
            9 => {
                all.validation = match number(value)? {
                    0 => Validation::Disabled,
                    1 => Validation::Check,
                    2 => Validation::Strict,
                    _ => Validation::Unknown,
                };
            }
            10 => all.encrypts = is_on(value)?,
            _ => {}
        }
    }
    Ok(())
}

/// Reads `enum macsec_rxsc_attrs`.
fn channel(body: &[u8]) -> Result<Channel, ProtoError> {
    let mut all = Channel::default();
    for attribute in attributes(body) {
        let (kind, value) = attribute?;
        match kind {
            1 => all.sci = sci(value)?,
            3 => all.associations = associations(value)?,
            4 => {
                all.accepted = counter(value, 5)?;
                all.late = counter(value, 7)?;
                all.not_valid = counter(value, 8)?;
                all.without_association = counter(value, 9)?;
            }
            _ => {}
        }
    }
    Ok(all)
}

fn associations(body: &[u8]) -> Result<Vec<Association>, ProtoError> {
    let mut all: Vec<Association> = Vec::new();
    for attribute in attributes(body) {
        let one = association(attribute?.1)?;
        if all.iter().any(|other| other.number == one.number) {
            return Err(ProtoError::Malformed("the list of associations"));
        }
        all.push(one);
    }
    all.sort_by_key(|one| one.number);
    Ok(all)
}

fn association(body: &[u8]) -> Result<Association, ProtoError> {
    let mut all = Association::default();
    let mut is_numbered = false;
    for attribute in attributes(body) {
        let (kind, value) = attribute?;
        match kind {
            sa::AN => {
                all.number = association_number(value)?;
                is_numbered = true;
            }
            sa::ACTIVE => all.is_active = is_on(value)?,
            sa::PN => all.packet_number = number(value)?,
            sa::KEY_ID if value.len() == usize::from(KEY_ID_BYTES) => all.key_id = value.to_vec(),
            sa::KEY_ID => return Err(ProtoError::Malformed("a key id")),
            sa::STATS => {
                all.received = counter(value, 1)?;
                all.encrypted = counter(value, 7)?;
            }
            _ => {}
        }
    }
    match is_numbered {
        true => Ok(all),
        false => Err(ProtoError::Missing("association number")),
    }
}

/// Reads one counter of a list; an absent one is 0.
fn counter(body: &[u8], wanted: u16) -> Result<u64, ProtoError> {
    for attribute in attributes(body) {
        let (kind, value) = attribute?;
        if kind == wanted {
            return number(value);
        }
    }
    Ok(0)
}

/// A number of 1, 4 or 8 octets.
fn number(value: &[u8]) -> Result<u64, ProtoError> {
    match *value {
        [one] => Ok(one.into()),
        [a, b, c, d] => Ok(u32::from_ne_bytes([a, b, c, d]).into()),
        [a, b, c, d, e, f, g, h] => Ok(u64::from_ne_bytes([a, b, c, d, e, f, g, h])),
        _ => Err(ProtoError::Malformed("a number")),
    }
}

fn is_on(value: &[u8]) -> Result<bool, ProtoError> {
    match value {
        [0] => Ok(false),
        [1] => Ok(true),
        _ => Err(ProtoError::Malformed("a setting")),
    }
}

fn association_number(value: &[u8]) -> Result<u8, ProtoError> {
    match value {
        [number @ 0..ASSOCIATIONS] => Ok(*number),
        _ => Err(ProtoError::Malformed("an association number")),
    }
}

fn sci(value: &[u8]) -> Result<Sci, ProtoError> {
    let malformed = |_| ProtoError::Malformed("a channel identifier");
    value.try_into().map_err(malformed)
}

/// Feeds every decoder with bytes from outside, for fuzzing.
pub fn fuzz(input: &[u8]) {
    let _ = netlink::recognise(101, input);
    for span in secrets(input) {
        assert!(span.start <= span.end && span.end <= input.len());
    }
    let answer = || std::iter::once(input);
    let _ = decode_change(answer());
    let _ = netlink::decode_family(answer());
    let _ = decode_link(answer());
    let link = Link {
        index: 3,
        is_up: true,
        has_carrier: true,
    };
    let _ = decode_dump(answer(), link);
}

#[cfg(test)]
mod tests;
