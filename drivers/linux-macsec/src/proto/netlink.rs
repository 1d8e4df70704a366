//! Netlink messages and attributes (`linux/netlink.h`, `linux/genetlink.h`). Numbers have the byte
//! order of the machine. Pure.

use super::ProtoError;
use qkd_driver_kit::link::datagram::Received;
use std::ops::Range;
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
/// Room for the longest request, which therefore never moves: a copy would not be wiped.
const MAX_REQUEST: usize = 256;

/// Flags of a request.
pub(crate) mod flag {
    /// `NLM_F_REQUEST`
    pub(crate) const REQUEST: u16 = 1;
    /// `NLM_F_ACK`
    pub(crate) const ACK: u16 = 4;
    /// `NLM_F_DUMP`
    pub(crate) const DUMP: u16 = 0x300;
}

fn aligned(length: usize) -> usize {
    length.div_ceil(4) * 4
}

/// The two octets at a position.
pub(crate) fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    let bytes = bytes.get(at..at + 2)?;
    Some(u16::from_ne_bytes(bytes.try_into().ok()?))
}

/// The four octets at a position.
pub(crate) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    let bytes = bytes.get(at..at + 4)?;
    Some(u32::from_ne_bytes(bytes.try_into().ok()?))
}

/// A request that is built, in one buffer that is wiped.
pub(crate) struct Request(Zeroizing<Vec<u8>>);

impl Request {
    pub(crate) fn new(kind: u16, flags: u16, sequence: u32) -> Self {
        let mut bytes = Zeroizing::new(Vec::with_capacity(MAX_REQUEST));
        bytes.extend_from_slice(&[0; 4]);
        bytes.extend_from_slice(&kind.to_ne_bytes());
        bytes.extend_from_slice(&(flags | flag::REQUEST).to_ne_bytes());
        bytes.extend_from_slice(&sequence.to_ne_bytes());
        bytes.extend_from_slice(&[0; 4]);
        Self(bytes)
    }

    /// Adds the fixed header of a family.
    pub(crate) fn header(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }

    /// Adds an attribute.
    pub(crate) fn with(mut self, kind: u16, value: &[u8]) -> Self {
        let length = u16::try_from(ATTRIBUTE_HEADER + value.len()).unwrap_or(u16::MAX);
        self.0.extend_from_slice(&length.to_ne_bytes());
        self.0.extend_from_slice(&kind.to_ne_bytes());
        self.0.extend_from_slice(value);
        let end = aligned(self.0.len());
        self.0.resize(end, 0);
        self
    }

    /// Adds an attribute that contains those which `fill` adds.
    pub(crate) fn with_nested(self, kind: u16, fill: impl FnOnce(Self) -> Self) -> Self {
        let at = self.0.len();
        let mut filled = fill(self.with(kind, &[]));
        let length = u16::try_from(filled.0.len() - at).unwrap_or(u16::MAX);
        filled.0[at..at + 2].copy_from_slice(&length.to_ne_bytes());
        filled
    }

    pub(crate) fn finish(mut self) -> Zeroizing<Vec<u8>> {
        let length = u32::try_from(self.0.len()).unwrap_or(u32::MAX);
        self.0[..4].copy_from_slice(&length.to_ne_bytes());
        self.0
    }
}

/// A message of a datagram.
#[derive(Clone, Copy)]
pub(crate) struct Message<'a> {
    pub(crate) kind: u16,
    flags: u16,
    sequence: u32,
    pub(crate) payload: &'a [u8],
    /// Position of the payload in the datagram.
    at: usize,
}

/// The messages of a datagram.
pub(crate) fn messages(datagram: &[u8]) -> impl Iterator<Item = Result<Message<'_>, ProtoError>> {
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

fn message(rest: &[u8], at: usize) -> Result<(Message<'_>, usize), ProtoError> {
    let malformed = ProtoError::Malformed("a message");
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
pub(crate) fn attributes(bytes: &[u8]) -> impl Iterator<Item = Result<(u16, &[u8]), ProtoError>> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        if rest.len() < ATTRIBUTE_HEADER {
            return None;
        }
        let length = u16_at(rest, 0).map_or(0, usize::from);
        let kind = u16_at(rest, 2).unwrap_or(0) & ATTRIBUTE_TYPE;
        let Some(value) = rest.get(ATTRIBUTE_HEADER..length) else {
            rest = &[];
            return Some(Err(ProtoError::Malformed("an attribute")));
        };
        rest = rest.get(aligned(length)..).unwrap_or_default();
        Some(Ok((kind, value)))
    })
}

/// Recognises the datagrams of the answer to the request with this sequence number.
pub(crate) fn recognise(sequence: u32, datagram: &[u8]) -> Received {
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
pub(crate) fn replies<'a>(
    datagrams: impl IntoIterator<Item = &'a [u8]>,
) -> Result<Vec<Message<'a>>, ProtoError> {
    let mut all = Vec::new();
    for datagram in datagrams {
        for message in messages(datagram) {
            let message = message?;
            if message.flags & DUMP_INTERRUPTED != 0 {
                return Err(ProtoError::Interrupted);
            }
            match message.kind {
                ERROR | DONE => {
                    // The number of a dump is absent on kernels that never report one.
                    let number = u32_at(message.payload, 0).unwrap_or(0).cast_signed();
                    if number < 0 {
                        return Err(ProtoError::Errno(number.unsigned_abs()));
                    }
                }
                _ => all.push(message),
            }
        }
    }
    Ok(all)
}

/// Positions of secrets in a datagram: of values for which `is_secret` holds, given the types of
/// the attributes around it and its own; and of requests that an error returns.
pub(crate) fn secrets(
    datagram: &[u8],
    header: usize,
    is_secret: impl Fn(u16, u16) -> bool,
) -> Vec<Range<usize>> {
    let whole = || std::iter::once(0..datagram.len()).collect();
    let mut found = Vec::new();
    for message in messages(datagram) {
        let Ok(message) = message else {
            return whole();
        };
        let end = message.at + message.payload.len();
        if message.kind == ERROR {
            // After the number and the header of the request.
            found.push((message.at + 4 + HEADER).min(end)..end);
            continue;
        }
        let position = |value: &[u8]| {
            let start = value.as_ptr() as usize - datagram.as_ptr() as usize;
            start..start + value.len()
        };
        let outer = message.payload.get(header..).unwrap_or_default();
        for attribute in attributes(outer) {
            let Ok((kind, value)) = attribute else {
                return whole();
            };
            for inner in attributes(value) {
                // A value that contains no attributes has no secret ones.
                let Ok((inner, value)) = inner else { break };
                if is_secret(kind, inner) {
                    found.push(position(value));
                }
            }
        }
    }
    found
}
