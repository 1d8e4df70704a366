//! Netlink messages and attributes (`linux/netlink.h`, `linux/genetlink.h`). Numbers have the byte
//! order of the machine.
//!
//! Messages are encoded here and not by a library, so that a key is in one buffer only, which is
//! wiped.

use super::{
    Disclosure,
    datagram::{DatagramExchange, DatagramLink, Datagrams, Received},
};
use std::{
    fmt,
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};
use tokio::time::Instant;
use zeroize::Zeroizing;

/// Length of `struct nlmsghdr`.
const HEADER: usize = 16;
/// Length of `struct nlattr`.
const ATTRIBUTE_HEADER: usize = 4;
/// `NLMSG_ERROR`: an acknowledgement, or an error.
const ERROR: u16 = 2;
/// `NLMSG_DONE`: the end of a dump.
const DONE: u16 = 3;
/// `NLM_F_MULTI`: further messages follow.
const MULTI: u16 = 2;
/// `NLM_F_DUMP_INTR`: the dump is not of one moment.
const DUMP_INTERRUPTED: u16 = 0x10;
/// Bits of the type of an attribute; the others are flags.
const ATTRIBUTE_TYPE: u16 = 0x3fff;
/// Room for a request without lists.
const REQUEST_CAPACITY: usize = 256;
/// Bytes of all datagrams of the longest answer that is received.
const MAX_ANSWER: usize = 512 * 1024;
/// Datagrams of the longest answer: the kernel puts some 4 KiB into each.
const MAX_DATAGRAMS: usize = 256;
/// Deepest attribute that is looked at for secrets.
const MAX_DEPTH: usize = 4;

/// Longest name of an interface in bytes (`IFNAMSIZ`, without its end).
pub const MAX_INTERFACE_NAME: usize = 15;
/// Flag of the type of an attribute that contains attributes (`NLA_F_NESTED`), which newer families
/// of the kernel require.
pub const NESTED: u16 = 0x8000;
/// Length of `struct genlmsghdr`.
pub const GENERIC_HEADER: usize = 4;

/// Family of the controller of generic netlink (`GENL_ID_CTRL`).
const CONTROLLER: u16 = 0x10;
/// `CTRL_CMD_GETFAMILY`, `CTRL_ATTR_FAMILY_ID`, `CTRL_ATTR_FAMILY_NAME`
const GET_FAMILY: u8 = 3;
const FAMILY_ID: u16 = 1;
const FAMILY_NAME: u16 = 2;

/// Why an answer cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NetlinkError {
    /// The kernel refused the request, with this number (`errno.h`).
    Errno(u32),
    /// The interface changed while it was read.
    Interrupted,
    /// The part of this name has another form.
    Malformed(&'static str),
    /// The part of this name is missing.
    Missing(&'static str),
}

impl fmt::Display for NetlinkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Errno(number) => write!(f, "the kernel refused the request: errno {number}"),
            Self::Interrupted => f.write_str("the interface changed while it was read"),
            Self::Malformed(what) => write!(f, "{what} of the answer is malformed"),
            Self::Missing(what) => write!(f, "the answer has no {what}"),
        }
    }
}

impl std::error::Error for NetlinkError {}

/// Effect of a request on the device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// It changes nothing.
    Read,
    /// It may change the device.
    Change,
}

/// A netlink socket, with the sequence numbers of its requests.
pub struct NetlinkSocket {
    link: Arc<dyn DatagramLink>,
    sequence: AtomicU32,
}

impl NetlinkSocket {
    /// A socket over this link.
    #[must_use]
    pub fn new(link: Arc<dyn DatagramLink>) -> Self {
        Self {
            link,
            sequence: AtomicU32::new(0),
        }
    }

    /// Sends the request that `encode` makes for a sequence number, and returns the datagrams of
    /// its answer. `disclosure` holds for both.
    ///
    /// # Errors
    /// Those of the link. Effect: `None` for [`Access::Read`].
    pub async fn exchange(
        &self,
        operation: &'static str,
        encode: impl FnOnce(u32) -> Zeroizing<Vec<u8>> + Send,
        disclosure: Disclosure,
        access: Access,
        until: Instant,
    ) -> qkd_hal::Result<Datagrams> {
        let sequence = self
            .sequence
            .fetch_add(1, Ordering::Relaxed)
            .wrapping_add(1);
        let within = until.saturating_duration_since(Instant::now());
        let mut left = MAX_ANSWER;
        let decoder = move |seen: &[u8]| match left.checked_sub(seen.len()) {
            None => Received::Invalid(format!("the answer has more than {MAX_ANSWER} bytes")),
            Some(rest) => {
                left = rest;
                recognise(sequence, seen)
            }
        };
        let mut exchange = DatagramExchange::new(operation, encode(sequence), within, decoder)
            .with_disclosures(disclosure, disclosure);
        exchange.max_datagrams = MAX_DATAGRAMS;
        match access {
            Access::Read => {
                let answer = self.link.exchange(exchange.read_only()).await;
                answer.map_err(|e| e.into_read_error(operation))
            }
            Access::Change => {
                let answer = self.link.exchange(exchange).await;
                answer.map_err(|e| e.into_change_error(operation))
            }
        }
    }

    /// Ends the link.
    pub async fn close(&self) {
        self.link.close().await;
    }
}

/// The datagrams of an answer as bytes.
pub fn parts(answer: &Datagrams) -> impl Iterator<Item = &[u8]> {
    answer.iter().map(|one| one.as_slice())
}

/// Encodes the question for the number of a family of generic netlink.
#[must_use]
pub fn encode_get_family(sequence: u32, name: &str) -> Zeroizing<Vec<u8>> {
    Request::new(CONTROLLER, 0, sequence)
        .header(&[GET_FAMILY, 1, 0, 0])
        .with_text(FAMILY_NAME, name)
        .finish()
}

/// Reads the number of a family; a kernel without it answers [`NetlinkError::Errno`] 2.
///
/// # Errors
/// [`NetlinkError`].
pub fn decode_family<'a>(answer: impl IntoIterator<Item = &'a [u8]>) -> Result<u16, NetlinkError> {
    for message in replies(answer)? {
        for attribute in attributes(message.payload.get(GENERIC_HEADER..).unwrap_or_default()) {
            if let (FAMILY_ID, value) = attribute? {
                return u16_at(value, 0).ok_or(NetlinkError::Malformed("the family number"));
            }
        }
    }
    Err(NetlinkError::Missing("family number"))
}

/// Whether a name can be one of an interface.
#[must_use]
pub fn is_interface_name(name: &str) -> bool {
    let is_part = |c: char| c.is_ascii_graphic() && c != '/' && c != ':';
    (1..=MAX_INTERFACE_NAME).contains(&name.len()) && name.chars().all(is_part)
}

/// Flags of a request.
pub mod flag {
    /// `NLM_F_REQUEST`
    pub const REQUEST: u16 = 1;
    /// `NLM_F_ACK`
    pub const ACK: u16 = 4;
    /// `NLM_F_DUMP`
    pub const DUMP: u16 = 0x300;
}

fn aligned(length: usize) -> usize {
    length.div_ceil(4) * 4
}

/// The two octets at a position.
#[must_use]
pub fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    let bytes = bytes.get(at..at + 2)?;
    Some(u16::from_ne_bytes(bytes.try_into().ok()?))
}

/// The four octets at a position.
#[must_use]
pub fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    let bytes = bytes.get(at..at + 4)?;
    Some(u32::from_ne_bytes(bytes.try_into().ok()?))
}

/// A request that is built, in one buffer that is wiped.
pub struct Request(Zeroizing<Vec<u8>>);

impl Request {
    /// A request of this type, with these flags (`NLM_F_REQUEST` is added).
    #[must_use]
    pub fn new(kind: u16, flags: u16, sequence: u32) -> Self {
        let mut bytes = Zeroizing::new(Vec::with_capacity(REQUEST_CAPACITY));
        bytes.extend_from_slice(&[0; 4]);
        bytes.extend_from_slice(&kind.to_ne_bytes());
        bytes.extend_from_slice(&(flags | flag::REQUEST).to_ne_bytes());
        bytes.extend_from_slice(&sequence.to_ne_bytes());
        bytes.extend_from_slice(&[0; 4]);
        Self(bytes)
    }

    /// Adds bytes, and the padding after them. A buffer that is too small is wiped once its content
    /// has moved.
    fn push(&mut self, bytes: &[u8]) {
        let length = aligned(self.0.len() + bytes.len());
        if length > self.0.capacity() {
            let mut larger = Zeroizing::new(Vec::with_capacity(2 * length));
            larger.extend_from_slice(&self.0);
            self.0 = larger;
        }
        self.0.extend_from_slice(bytes);
        self.0.resize(length, 0);
    }

    /// Adds the fixed header of a family.
    #[must_use]
    pub fn header(mut self, bytes: &[u8]) -> Self {
        self.push(bytes);
        self
    }

    /// Adds an attribute.
    #[must_use]
    pub fn with(mut self, kind: u16, value: &[u8]) -> Self {
        let at = self.0.len();
        self.push(&[0; ATTRIBUTE_HEADER]);
        self.0[at + 2..at + 4].copy_from_slice(&kind.to_ne_bytes());
        self.push(value);
        self.set_length(at, ATTRIBUTE_HEADER + value.len());
        self
    }

    /// Adds an attribute whose value is a text with an end (`NLA_NUL_STRING`).
    #[must_use]
    pub fn with_text(mut self, kind: u16, text: &str) -> Self {
        let at = self.0.len();
        self = self.with(kind, text.as_bytes());
        if text.len().is_multiple_of(4) {
            // There is no padding that could be its end.
            self.push(&[0]);
        }
        self.set_length(at, ATTRIBUTE_HEADER + text.len() + 1);
        self
    }

    /// Longer values than fit are not encoded by any caller: lists have bounds.
    fn set_length(&mut self, at: usize, length: usize) {
        let length = u16::try_from(length).unwrap_or(u16::MAX);
        self.0[at..at + 2].copy_from_slice(&length.to_ne_bytes());
    }

    /// Adds an attribute that contains those which `fill` adds.
    #[must_use]
    pub fn with_nested(self, kind: u16, fill: impl FnOnce(Self) -> Self) -> Self {
        let at = self.0.len();
        let mut filled = fill(self.with(kind, &[]));
        let length = filled.0.len() - at;
        filled.set_length(at, length);
        filled
    }

    /// The request, with its length.
    #[must_use]
    pub fn finish(mut self) -> Zeroizing<Vec<u8>> {
        let length = u32::try_from(self.0.len()).unwrap_or(u32::MAX);
        self.0[..4].copy_from_slice(&length.to_ne_bytes());
        self.0
    }
}

/// A message of a datagram.
#[derive(Clone, Copy)]
pub struct Message<'a> {
    /// Its type: one of rtnetlink, or the number of a family of generic netlink.
    pub kind: u16,
    flags: u16,
    sequence: u32,
    /// Content after its header.
    pub payload: &'a [u8],
    /// Position of the payload in the datagram.
    at: usize,
}

/// The messages of a datagram.
pub fn messages(datagram: &[u8]) -> impl Iterator<Item = Result<Message<'_>, NetlinkError>> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let rest = datagram.get(at..).filter(|rest| !rest.is_empty())?;
        let message = message(rest, at);
        at = match &message {
            Ok((_, length)) => at + aligned(*length),
            Err(_) => datagram.len(),
        };
        Some(message.map(|(message, _)| message))
    })
}

fn message(rest: &[u8], at: usize) -> Result<(Message<'_>, usize), NetlinkError> {
    let malformed = NetlinkError::Malformed("a message");
    let length = u32_at(rest, 0).and_then(|length| usize::try_from(length).ok());
    let length = length.filter(|length| *length >= HEADER).ok_or(malformed)?;
    let payload = rest.get(HEADER..length).ok_or(malformed)?;
    let (kind, flags, sequence) = (u16_at(rest, 4), u16_at(rest, 6), u32_at(rest, 8));
    let message = Message {
        kind: kind.ok_or(malformed)?,
        flags: flags.ok_or(malformed)?,
        sequence: sequence.ok_or(malformed)?,
        payload,
        at: at + HEADER,
    };
    Ok((message, length))
}

/// The attributes of a message, or of an attribute that contains some.
pub fn attributes(bytes: &[u8]) -> impl Iterator<Item = Result<(u16, &[u8]), NetlinkError>> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        if rest.len() < ATTRIBUTE_HEADER {
            return None;
        }
        let length = u16_at(rest, 0).map_or(0, usize::from);
        let kind = u16_at(rest, 2).unwrap_or(0) & ATTRIBUTE_TYPE;
        let Some(value) = rest.get(ATTRIBUTE_HEADER..length) else {
            rest = &[];
            return Some(Err(NetlinkError::Malformed("an attribute")));
        };
        rest = rest.get(aligned(length)..).unwrap_or_default();
        Some(Ok((kind, value)))
    })
}

/// Recognises the datagrams of the answer to the request with this sequence number.
#[must_use]
pub fn recognise(sequence: u32, datagram: &[u8]) -> Received {
    let mut is_last = false;
    for (n, message) in messages(datagram).enumerate() {
        match message {
            Err(error) => return Received::Invalid(error.to_string()),
            Ok(message) if message.sequence != sequence && n == 0 => return Received::Foreign,
            Ok(message) if message.sequence != sequence => {
                return Received::Invalid("a datagram has answers to two requests".to_owned());
            }
            Ok(message) => {
                is_last |= matches!(message.kind, ERROR | DONE) || message.flags & MULTI == 0;
            }
        }
    }
    match (datagram.is_empty(), is_last) {
        (true, _) => Received::Invalid("an empty datagram".to_owned()),
        (false, true) => Received::Last,
        (false, false) => Received::Part,
    }
}

/// The messages of a complete answer, without acknowledgements and ends of dumps.
///
/// # Errors
/// [`NetlinkError`].
pub fn replies<'a>(
    datagrams: impl IntoIterator<Item = &'a [u8]>,
) -> Result<Vec<Message<'a>>, NetlinkError> {
    let mut all = Vec::new();
    for datagram in datagrams {
        for message in messages(datagram) {
            let message = message?;
            if message.flags & DUMP_INTERRUPTED != 0 {
                return Err(NetlinkError::Interrupted);
            }
            match message.kind {
                ERROR | DONE => {
                    // The number of a dump is absent on kernels that never report one.
                    let number = u32_at(message.payload, 0).unwrap_or(0).cast_signed();
                    if number < 0 {
                        return Err(NetlinkError::Errno(number.unsigned_abs()));
                    }
                }
                _ => all.push(message),
            }
        }
    }
    Ok(all)
}

/// Content of an attribute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    /// A value that is not secret.
    Public,
    /// A secret value.
    Secret,
    /// Attributes, some of which are secret.
    Attributes,
}

/// Positions of secrets in a datagram, and of requests that an error returns. `content` classifies
/// an attribute by the types of those around it and its own.
pub fn secrets(
    datagram: &[u8],
    header: usize,
    content: impl Fn(&[u16]) -> Content,
) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    for message in messages(datagram) {
        let Ok(message) = message else {
            return std::iter::once(0..datagram.len()).collect();
        };
        let end = message.at + message.payload.len();
        if message.kind == ERROR {
            // After the number and the header of the request.
            found.push((message.at + 4 + HEADER).min(end)..end);
            continue;
        }
        let start = (message.at + header).min(end);
        find_secrets(datagram, start..end, &mut Vec::new(), &content, &mut found);
    }
    found
}

fn find_secrets(
    datagram: &[u8],
    range: Range<usize>,
    path: &mut Vec<u16>,
    content: &impl Fn(&[u16]) -> Content,
    found: &mut Vec<Range<usize>>,
) {
    let outer = range.clone();
    for attribute in attributes(&datagram[range]) {
        let Ok((kind, value)) = attribute else {
            // The attributes are malformed: all of it may be secret.
            found.push(outer);
            return;
        };
        let start = value.as_ptr() as usize - datagram.as_ptr() as usize;
        let value = start..start + value.len();
        path.push(kind);
        match content(path) {
            Content::Public => {}
            Content::Attributes if path.len() < MAX_DEPTH => {
                find_secrets(datagram, value, path, content, found);
            }
            Content::Secret | Content::Attributes => found.push(value),
        }
        path.pop();
    }
}
