//! VICI, the Versatile IKE Control Interface of strongSwan: packets over a Unix socket.
//!
//! A packet is its length (32 bit, big-endian), a type, for some types a name, and a message. A
//! message is a tree of sections, values and lists (strongSwan,
//! `src/libcharon/plugins/vici/README.md`).

mod decode;
mod encode;

pub use decode::{Reply, Section, Value, decode_registration, decode_reply};
pub use encode::{Element, command, register};

use qkd_driver_kit::link::bytes::Frame;
use std::fmt;

/// Bytes of the longest packet, without its length: the daemon refuses longer ones.
pub const MAX_PACKET: usize = 512 * 1024;
/// Bytes of the longest reply with all its events.
pub const MAX_REPLY: usize = 4 * 1024 * 1024;
/// Events of the longest reply.
const MAX_EVENTS: usize = 4096;
/// Sections within sections. Replies of strongSwan have five.
const MAX_DEPTH: usize = 16;
/// Bytes of the length of a packet.
const LENGTH: usize = 4;

mod packet {
    pub(super) const COMMAND: u8 = 0;
    pub(super) const RESPONSE: u8 = 1;
    pub(super) const UNKNOWN_COMMAND: u8 = 2;
    pub(super) const REGISTER: u8 = 3;
    pub(super) const CONFIRM: u8 = 5;
    pub(super) const UNKNOWN_EVENT: u8 = 6;
    pub(super) const EVENT: u8 = 7;
}

mod element {
    pub(super) const SECTION_START: u8 = 1;
    pub(super) const SECTION_END: u8 = 2;
    pub(super) const VALUE: u8 = 3;
    pub(super) const LIST_START: u8 = 4;
    pub(super) const LIST_ITEM: u8 = 5;
    pub(super) const LIST_END: u8 = 6;
}

/// A packet or message that is not one of VICI, or that the daemon did not understand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProtoError {
    /// A packet or message ends in the middle of an element.
    Short,
    /// A name is not UTF-8.
    Name,
    /// An element is of another type than may follow.
    Element,
    /// Sections are nested too deeply, or there are too many events.
    TooMuch,
    /// A name, a value or the message is longer than VICI allows.
    TooLong,
    /// A packet is of another type than a reply may have.
    PacketType(u8),
    /// The daemon does not know the command.
    UnknownCommand,
    /// The daemon does not know the event.
    UnknownEvent,
}

impl fmt::Display for ProtoError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Short => f.write_str("the message ends in the middle of an element"),
            Self::Name => f.write_str("a name is not UTF-8"),
            Self::Element => f.write_str("an element is of an unexpected type"),
            Self::TooMuch => f.write_str("sections are nested too deeply, or events are too many"),
            Self::TooLong => f.write_str("a name, value or message is too long for VICI"),
            Self::PacketType(kind) => write!(f, "a packet is of the unexpected type {kind}"),
            Self::UnknownCommand => f.write_str("the daemon does not know the command"),
            Self::UnknownEvent => f.write_str("the daemon does not know the event"),
        }
    }
}

impl std::error::Error for ProtoError {}

/// The packets of a reply, without their lengths; the last one may be incomplete and is left out.
fn packets(mut bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let (length, rest) = bytes.split_first_chunk::<LENGTH>()?;
        let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
        let (packet, rest) = rest.split_at_checked(length)?;
        bytes = rest;
        Some(packet)
    })
}

/// Finds the end of a reply: the first packet that is not an event.
pub fn frame(seen: &[u8]) -> Frame {
    let mut at = 0;
    while let Some((length, _)) = seen[at..].split_first_chunk::<LENGTH>() {
        let length = u32::from_be_bytes(*length) as usize;
        if !(1..=MAX_PACKET).contains(&length) {
            return Frame::Garbled(format!("a packet of {length} bytes"));
        }
        let end = at + LENGTH + length;
        let Some(packet) = seen.get(at + LENGTH..end) else {
            break;
        };
        at = end;
        if packet.first() != Some(&packet::EVENT) {
            return Frame::Complete(at);
        }
    }
    if seen.len() > MAX_REPLY {
        return Frame::Garbled(format!("no response within {MAX_REPLY} bytes"));
    }
    Frame::Incomplete
}

/// Feeds every decoder with bytes from outside, for fuzzing.
pub fn fuzz(input: &[u8]) {
    let _ = frame(input);
    let _ = decode_registration(input);
    if let Ok(reply) = decode_reply(input) {
        for (_, section) in reply.events {
            let _ = section.sections().count();
            let _ = section.text("state");
        }
    }
}

#[cfg(test)]
mod tests;
