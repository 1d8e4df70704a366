//! The three management protocols of the Qline: `mon`, `hw` and `hws`. No I/O.
//!
//! All confirmed by the vendor's own open repository, `Veriqloud/kiwi_hw_control` (`remote/*.py`
//! are the servers, `local/*.py` the clients).
//!
//! Little-endian; no TLS, no login, no request id: strictly one after another. A text has a length
//! before it, u16 on `mon` and `hw`, u8 on `hws`. `mon` and `hw` do not answer unknown commands at
//! all. Python pickles are never read: what sends one is refused ([`HwCommand::Gates`]).

mod hw;
mod hws;
mod mon;

pub use hw::{Argument, HwCommand};
pub use hws::{HwsCommand, Outcome, decode_hws};
pub use mon::{Counts, Link, MonCommand, NodeStats};

use qkd_driver_kit::link::bytes::Frame;

/// Port of `hw` in the example configuration (`config/qline1/meta_config.json`).
pub const HW_PORT: u16 = 13_000;
/// Port of `hws`, at Alice only.
pub const HWS_PORT: u16 = 13_001;
/// TCP port of `mon` in the sample configuration.
pub const MON_PORT: u16 = 13_002;
/// Port of the ETSI GS QKD 014 server at Alice, plain HTTP.
pub const KMS_ALICE_PORT: u16 = 13_003;
/// Port of the ETSI GS QKD 014 server at Bob, plain HTTP.
pub const KMS_BOB_PORT: u16 = 13_004;

/// Maximum number of bytes of a `nai`: a histogram has 312 bins of 4 bytes.
pub const ARRAY_LIMIT: usize = 1 << 20;
/// Maximum number of bytes of a picture in an `hws` reply.
pub const PICTURE_LIMIT: usize = 1 << 23;

/// End of the QKD link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Alice: the transmitter.
    Alice,
    /// Bob: the receiver.
    Bob,
}

impl std::fmt::Display for Side {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Alice => "Alice",
            Self::Bob => "Bob",
        })
    }
}

/// Reason for which a reply is invalid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProtoError {
    /// Fewer bytes than its fields need.
    #[error("the reply ends early")]
    Short,
    /// More bytes than its fields need.
    #[error("{0} bytes too many came")]
    Trailing(usize),
    /// A text that is not UTF-8.
    #[error("a text in the reply is not UTF-8")]
    NotText,
    /// An array whose sizes contradict each other, or above the limit.
    #[error("an array in the reply has impossible sizes")]
    Array,
    /// A text that the vendor's client does not know.
    #[error("`{0}` is not a reply to this command")]
    Unexpected(String),
    /// An argument that does not fit onto the wire.
    #[error("the argument does not fit onto the wire")]
    Argument,
}

/// One item of a reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Field {
    /// Type `i`: 32-bit integer.
    Int,
    /// Type `q`: 64-bit integer.
    Long,
    /// Type `d`: 64-bit float.
    Double,
    /// u16 length and text.
    Text16,
    /// u8 length and text.
    Text8,
    /// `data`: i32 length and bytes. Only skipped.
    Data,
    /// `nai`: number of bytes that follow, rows, columns (0: one dimension), items; each a 32-bit
    /// integer.
    Array,
}

/// The end of a reply of these fields, for a link.
#[must_use]
pub fn frame(fields: &[Field], seen: &[u8]) -> Frame {
    let mut at = 0usize;
    for field in fields {
        let rest = seen.get(at..).unwrap_or_default();
        let need = match field {
            Field::Int => 4,
            Field::Long | Field::Double => 8,
            Field::Text16 => match rest {
                [a, b, ..] => 2 + usize::from(u16::from_le_bytes([*a, *b])),
                _ => return Frame::Incomplete,
            },
            Field::Text8 => match rest {
                [a, ..] => 1 + usize::from(*a),
                _ => return Frame::Incomplete,
            },
            Field::Data | Field::Array => {
                let Some(head) = rest.first_chunk::<4>() else {
                    return Frame::Incomplete;
                };
                let limit = if *field == Field::Data {
                    PICTURE_LIMIT
                } else {
                    ARRAY_LIMIT
                };
                match usize::try_from(i32::from_le_bytes(*head)) {
                    Ok(n) if n <= limit => 4 + n,
                    _ => {
                        return Frame::Garbled(format!(
                            "a block of {} bytes was announced",
                            i32::from_le_bytes(*head)
                        ));
                    }
                }
            }
        };
        if rest.len() < need {
            return Frame::Incomplete;
        }
        at += need;
    }
    Frame::Complete(at)
}

/// Reads the fields of a reply in order.
#[derive(Debug)]
pub(crate) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) fn new(reply: &'a [u8]) -> Self {
        Self(reply)
    }
    fn take(&mut self, count: usize) -> Result<&'a [u8], ProtoError> {
        let (head, rest) = self.0.split_at_checked(count).ok_or(ProtoError::Short)?;
        self.0 = rest;
        Ok(head)
    }
    fn array<const N: usize>(&mut self) -> Result<[u8; N], ProtoError> {
        self.take(N)?.try_into().map_err(|_| ProtoError::Short)
    }
    pub(crate) fn int(&mut self) -> Result<i32, ProtoError> {
        Ok(i32::from_le_bytes(self.array()?))
    }
    pub(crate) fn long(&mut self) -> Result<i64, ProtoError> {
        Ok(i64::from_le_bytes(self.array()?))
    }
    pub(crate) fn double(&mut self) -> Result<f64, ProtoError> {
        Ok(f64::from_le_bytes(self.array()?))
    }
    pub(crate) fn text16(&mut self) -> Result<&'a str, ProtoError> {
        let length = usize::from(u16::from_le_bytes(self.array()?));
        std::str::from_utf8(self.take(length)?).map_err(|_| ProtoError::NotText)
    }
    pub(crate) fn text8(&mut self) -> Result<&'a str, ProtoError> {
        let [length] = self.array()?;
        std::str::from_utf8(self.take(usize::from(length))?).map_err(|_| ProtoError::NotText)
    }
    pub(crate) fn skip_data(&mut self) -> Result<(), ProtoError> {
        let length = usize::try_from(self.int()?).map_err(|_| ProtoError::Array)?;
        self.take(length).map(drop)
    }
    /// Rows, columns (0: one dimension) and items.
    pub(crate) fn nai(&mut self) -> Result<(usize, usize, Vec<i32>), ProtoError> {
        let size = |n: i32| usize::try_from(n).map_err(|_| ProtoError::Array);
        let total = size(self.int()?)?;
        if total > ARRAY_LIMIT {
            return Err(ProtoError::Array);
        }
        let mut block = Reader(self.take(total)?);
        let (rows, columns) = (size(block.int()?)?, size(block.int()?)?);
        let items = rows.checked_mul(columns.max(1)).ok_or(ProtoError::Array)?;
        if items.checked_mul(4) != Some(block.0.len()) {
            return Err(ProtoError::Array);
        }
        let all = block
            .0
            .chunks_exact(4)
            .map(|c| i32::from_le_bytes([c[0], c[1], c[2], c[3]]))
            .collect();
        Ok((rows, columns, all))
    }
    pub(crate) fn end(self) -> Result<(), ProtoError> {
        if self.0.is_empty() {
            Ok(())
        } else {
            Err(ProtoError::Trailing(self.0.len()))
        }
    }
}

/// A text with a u16 length before it.
///
/// # Errors
/// [`ProtoError::Argument`] if it is too long.
pub(crate) fn text16(out: &mut Vec<u8>, text: &str) -> Result<(), ProtoError> {
    let length = u16::try_from(text.len()).map_err(|_| ProtoError::Argument)?;
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(text.as_bytes());
    Ok(())
}

/// Text without terminal colours (`ESC [ ... m`), control characters and surrounding space; at most
/// 200 characters.
pub(crate) fn plain(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        if c == '\u{1b}' {
            rest.by_ref().find(|c| c.is_ascii_alphabetic());
        } else if !c.is_control() {
            out.push(c);
        }
    }
    out.trim().chars().take(200).collect()
}

/// Drives every decoder with arbitrary bytes.
pub fn fuzz(input: &[u8]) {
    for command in MonCommand::ALL {
        let _ = frame(command.reply(), input);
    }
    let _ = (
        MonCommand::decode_link(input),
        MonCommand::decode_counts(input),
        MonCommand::decode_gates(input),
        MonCommand::decode_figures(input),
        MonCommand::decode_int(input),
    );
    let _ = (
        MonCommand::decode_double(input),
        MonCommand::decode_text(input),
        MonCommand::decode_servers(input),
        MonCommand::decode_fifos(input),
        MonCommand::decode_node_stats(input),
    );
    let _ = (
        HwCommand::decode_info(input),
        HwCommand::decode_counter(input),
        HwCommand::decode_counts(input),
    );
    for command in [
        HwsCommand::Init,
        HwsCommand::LoopFindGates,
        HwsCommand::Load("x".to_owned()),
    ] {
        let _ = command.frame(input);
        let _ = decode_hws(&command, input);
    }
}

#[cfg(test)]
mod tests;
