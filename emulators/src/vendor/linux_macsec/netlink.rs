//! Netlink messages: headers, attributes, acknowledgements (`linux/netlink.h`).

use zeroize::Zeroizing;

/// A datagram. An error returns the request, which may hold a key.
pub type Datagram = Zeroizing<Vec<u8>>;

/// Octets of `struct nlmsghdr` and `struct nlattr`.
pub(super) const HEADER: usize = 16;
const ATTRIBUTE: usize = 4;
/// `NLA_TYPE_MASK`: without the flags for nesting and byte order.
const TYPE_MASK: u16 = 0x3fff;
/// `NLA_F_NESTED`.
const NESTED: u16 = 0x8000;

/// `nlmsg_flags`.
pub(super) mod flag {
    pub(crate) const REQUEST: u16 = 1;
    pub(crate) const MULTI: u16 = 2;
    pub(crate) const ACK: u16 = 4;
    /// Both bits of a dump.
    pub(crate) const DUMP: u16 = 0x300;
    pub(crate) const REPLACE: u16 = 0x100;
    pub(crate) const EXCL: u16 = 0x200;
    pub(crate) const CREATE: u16 = 0x400;
    /// In an acknowledgement.
    pub(crate) const CAPPED: u16 = 0x100;
    pub(crate) const ACK_TLVS: u16 = 0x200;
}

/// `nlmsg_type` below the families.
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
/// The first type that is not one of control.
pub(super) const FIRST_TYPE: u16 = 16;

/// `enum nlmsgerr_attrs`.
mod ack_attribute {
    pub(super) const MSG: u16 = 1;
    pub(super) const OFFS: u16 = 2;
    pub(super) const POLICY: u16 = 4;
}
/// `enum netlink_policy_type_attr`.
mod policy_attribute {
    pub(super) const TYPE: u16 = 1;
    pub(super) const MIN_VALUE_U: u16 = 4;
    pub(super) const MAX_VALUE_U: u16 = 5;
    pub(super) const PAD: u16 = 11;
}

/// Error numbers of Linux, as netlink has them.
pub(super) mod errno {
    pub(crate) const EPERM: i32 = -1;
    pub(crate) const ENOENT: i32 = -2;
    pub(crate) const ENOMEM: i32 = -12;
    pub(crate) const EBUSY: i32 = -16;
    pub(crate) const EEXIST: i32 = -17;
    pub(crate) const ENODEV: i32 = -19;
    pub(crate) const EINVAL: i32 = -22;
    pub(crate) const ERANGE: i32 = -34;
    pub(crate) const EOPNOTSUPP: i32 = -95;
}

/// A number that an attribute holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Number {
    U8,
    U32,
    U64,
}

impl Number {
    fn octets(self) -> usize {
        match self {
            Self::U8 => 1,
            Self::U32 => 4,
            Self::U64 => 8,
        }
    }
    /// `enum netlink_attribute_type`.
    fn kind(self) -> u32 {
        match self {
            Self::U8 => 2,
            Self::U32 => 4,
            Self::U64 => 5,
        }
    }
    fn max(self) -> u64 {
        match self {
            Self::U8 => u8::MAX.into(),
            Self::U32 => u32::MAX.into(),
            Self::U64 => u64::MAX,
        }
    }
}

/// Content of an acknowledgement in addition to the error, if it was asked for.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Extended {
    pub(super) message: Option<&'static str>,
    /// Place of the attribute that was refused, and what it should have been.
    pub(super) attribute: Option<(usize, Number)>,
}

/// A header.
#[derive(Debug, Clone, Copy)]
pub(super) struct Header {
    pub(super) kind: u16,
    pub(super) flags: u16,
    pub(super) sequence: u32,
}

/// Splits the first message off a datagram: its header, the whole message, and the rest. `None` if
/// the kernel reads no further.
pub(super) fn split(datagram: &[u8]) -> Option<(Header, &[u8], &[u8])> {
    let header = datagram.get(..HEADER)?;
    let half = |at: usize| u16::from_le_bytes([header[at], header[at + 1]]);
    let word = |at: usize| u32::from(half(at)) | u32::from(half(at + 2)) << 16;
    let length = word(0) as usize;
    if length < HEADER {
        return None;
    }
    let message = datagram.get(..length)?;
    let rest = datagram.get(aligned(length)..).unwrap_or_default();
    let header = Header {
        kind: half(4),
        flags: half(6),
        sequence: word(8),
    };
    Some((header, message, rest))
}

pub(super) fn aligned(length: usize) -> usize {
    length.next_multiple_of(4)
}

/// The attributes of a message, or of a nest. Of two with a type, the last counts.
#[derive(Debug, Clone, Default)]
pub(super) struct Attributes<'a> {
    /// Type, place in the message, value.
    all: Vec<(u16, usize, &'a [u8])>,
    /// Whether octets are left over.
    pub(super) is_ragged: bool,
}

impl<'a> Attributes<'a> {
    /// Reads what begins at a place of a message.
    pub(super) fn read(message: &'a [u8], mut at: usize) -> Self {
        let mut attributes = Self::default();
        while let Some(head) = message.get(at..at + ATTRIBUTE) {
            let length = usize::from(u16::from_le_bytes([head[0], head[1]]));
            let kind = u16::from_le_bytes([head[2], head[3]]) & TYPE_MASK;
            let value = message.get(at + ATTRIBUTE..at + length);
            let Some(value) = value.filter(|_| length >= ATTRIBUTE) else {
                break;
            };
            attributes.all.push((kind, at, value));
            at += aligned(length);
        }
        attributes.is_ragged = at < message.len();
        attributes
    }
    pub(super) fn get(&self, kind: u16) -> Option<&'a [u8]> {
        let mut all = self.all.iter().rev();
        all.find(|(known, ..)| *known == kind).map(|(.., v)| *v)
    }
    pub(super) fn has(&self, kind: u16) -> bool {
        self.get(kind).is_some()
    }
    /// The attributes within one; `None` without it.
    pub(super) fn nest(&self, kind: u16, message: &'a [u8]) -> Option<Self> {
        let (_, at, value) = self.all.iter().rev().find(|(known, ..)| *known == kind)?;
        let end = at + ATTRIBUTE + value.len();
        Some(Self::read(message.get(..end)?, at + ATTRIBUTE))
    }
    /// Checks numbers: an attribute that is too short is refused, one that is too long is not.
    ///
    /// # Errors
    /// Content of the acknowledgement.
    pub(super) fn check(&self, numbers: &[(u16, Number)]) -> Result<(), Extended> {
        for (kind, at, value) in &self.all {
            let number = numbers.iter().find(|(known, _)| known == kind);
            if let Some((_, number)) = number.filter(|(_, n)| value.len() < n.octets()) {
                return Err(Extended {
                    message: Some("Attribute failed policy validation"),
                    attribute: Some((*at, *number)),
                });
            }
        }
        Ok(())
    }
    pub(super) fn u8(&self, kind: u16) -> Option<u8> {
        self.get(kind)?.first().copied()
    }
    pub(super) fn u16(&self, kind: u16) -> Option<u16> {
        self.get(kind)?
            .first_chunk()
            .map(|b| u16::from_le_bytes(*b))
    }
    pub(super) fn u32(&self, kind: u16) -> Option<u32> {
        self.get(kind)?
            .first_chunk()
            .map(|b| u32::from_le_bytes(*b))
    }
    /// A text without its NUL.
    pub(super) fn text(&self, kind: u16) -> Option<&'a str> {
        let value = self.get(kind)?;
        let end = value.iter().position(|b| *b == 0).unwrap_or(value.len());
        std::str::from_utf8(&value[..end]).ok()
    }
}

/// Writes messages of one datagram.
pub(super) struct Writer {
    bytes: Datagram,
    port: u32,
    /// Whether numbers of 64 bits are aligned, as on machines that cannot read them otherwise.
    pads: bool,
}

impl Writer {
    pub(super) fn new(port: u32, pads: bool) -> Self {
        Self {
            bytes: Zeroizing::new(Vec::with_capacity(1024)),
            port,
            pads,
        }
    }
    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }
    pub(super) fn finish(self) -> Datagram {
        self.bytes
    }
    /// Writes a message.
    pub(super) fn message(
        &mut self,
        kind: u16,
        flags: u16,
        sequence: u32,
        write: impl FnOnce(&mut Self),
    ) {
        let start = self.bytes.len();
        self.raw(&[0; 4]);
        self.raw(&kind.to_le_bytes());
        self.raw(&flags.to_le_bytes());
        self.raw(&sequence.to_le_bytes());
        self.raw(&self.port.to_le_bytes());
        write(self);
        let length = (self.bytes.len() - start) as u32;
        self.bytes[start..start + 4].copy_from_slice(&length.to_le_bytes());
        self.align();
    }
    pub(super) fn raw(&mut self, bytes: &[u8]) {
        crate::wire::extend_wiped(&mut self.bytes, bytes);
    }
    fn align(&mut self) {
        let missing = aligned(self.bytes.len()) - self.bytes.len();
        self.raw(&[0; 3][..missing]);
    }
    pub(super) fn attribute(&mut self, kind: u16, value: &[u8]) {
        let length = (ATTRIBUTE + value.len()) as u16;
        self.raw(&length.to_le_bytes());
        self.raw(&kind.to_le_bytes());
        self.raw(value);
        self.align();
    }
    pub(super) fn u8(&mut self, kind: u16, value: u8) {
        self.attribute(kind, &[value]);
    }
    pub(super) fn u16(&mut self, kind: u16, value: u16) {
        self.attribute(kind, &value.to_le_bytes());
    }
    pub(super) fn u32(&mut self, kind: u16, value: u32) {
        self.attribute(kind, &value.to_le_bytes());
    }
    /// A value of 64 bits; before it, padding of this type where it is needed.
    pub(super) fn wide(&mut self, kind: u16, value: &[u8; 8], padding: u16) {
        if self.pads && self.bytes.len().is_multiple_of(8) {
            self.attribute(padding, &[]);
        }
        self.attribute(kind, value);
    }
    pub(super) fn text(&mut self, kind: u16, text: &str) {
        let mut bytes = text.as_bytes().to_vec();
        bytes.push(0);
        self.attribute(kind, &bytes);
    }
    pub(super) fn nest(&mut self, kind: u16, write: impl FnOnce(&mut Self)) {
        let start = self.bytes.len();
        self.attribute(kind, &[]);
        write(self);
        let length = (self.bytes.len() - start) as u16;
        self.bytes[start..start + 2].copy_from_slice(&length.to_le_bytes());
    }
    /// The end of a dump.
    pub(super) fn done(&mut self, sequence: u32) {
        self.message(NLMSG_DONE, flag::MULTI, sequence, |w| w.raw(&[0; 4]));
    }

    /// The acknowledgement of a request, or its error.
    pub(super) fn acknowledge(
        &mut self,
        header: Header,
        request: &[u8],
        error: i32,
        extended: Extended,
        options: Options,
    ) {
        let is_capped = error == 0 || options.cap;
        let attribute = extended.attribute.filter(|_| error != 0);
        let has_more = options.extended && (extended.message.is_some() || attribute.is_some());
        let mut flags = 0;
        if is_capped {
            flags |= flag::CAPPED;
        }
        if has_more {
            flags |= flag::ACK_TLVS;
        }
        self.message(NLMSG_ERROR, flags, header.sequence, |w| {
            w.raw(&error.to_le_bytes());
            w.raw(if is_capped {
                &request[..HEADER]
            } else {
                request
            });
            if !has_more {
                return;
            }
            w.align();
            if let Some(message) = extended.message {
                w.text(ack_attribute::MSG, message);
            }
            if let Some((at, number)) = attribute {
                w.u32(ack_attribute::OFFS, at as u32);
                w.nest(ack_attribute::POLICY | NESTED, |w| {
                    use policy_attribute as p;
                    w.wide(p::MIN_VALUE_U, &0u64.to_le_bytes(), p::PAD);
                    w.wide(p::MAX_VALUE_U, &number.max().to_le_bytes(), p::PAD);
                    w.u32(p::TYPE, number.kind());
                });
            }
        });
    }
}

/// Options of a socket: `NETLINK_EXT_ACK` and `NETLINK_CAP_ACK`.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Options {
    pub(super) extended: bool,
    pub(super) cap: bool,
}
