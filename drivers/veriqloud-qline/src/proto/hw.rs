//! `hw`: settings of the hardware (`remote/hw_alice.py`, `remote/hw_bob.py`, `local/hw_alice.py`,
//! `local/hw_bob.py`). Settings are not answered.

use super::{Counts, Field, MonCommand, ProtoError, Reader, plain, text16};

/// An argument that follows the command.
#[derive(Debug, Clone, PartialEq)]
pub enum Argument {
    /// A 32-bit integer (`i`).
    Int(i32),
    /// A 64-bit float (`d`).
    Double(f64),
    /// u16 length and text
    Text(String),
}

/// A command of `hw`.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum HwCommand {
    /// A setting: `set_vca`, `set_am_bias`, `set_qdistance`, `set_pm_mode`, `set_pm_shift`,
    /// `set_insert_zeros`, `set_spd_mode`, ... with its arguments.
    Set(&'static str, Vec<Argument>),
    /// `get_info`: the parameter file, as text.
    Info,
    /// `get_gc`: the global counter.
    GlobalCounter,
    /// Query of the counts: `get_counts`, Bob.
    Counts,
    /// `get_gates`, Bob: answered by a Python pickle, which this driver never reads. It can
    /// therefore not be encoded.
    Gates,
}

impl HwCommand {
    /// The fields of its reply; none where it is not answered.
    #[must_use]
    pub fn reply(&self) -> &'static [Field] {
        match self {
            Self::Set(..) | Self::Gates => &[],
            Self::Info => &[Field::Text16],
            Self::GlobalCounter => &[Field::Long],
            Self::Counts => &[Field::Int, Field::Int, Field::Int],
        }
    }

    /// Encodes the command.
    ///
    /// # Errors
    /// [`ProtoError::Argument`] for texts that are too long, for numbers that are not finite, and
    /// for [`HwCommand::Gates`].
    pub fn encode(&self) -> Result<Vec<u8>, ProtoError> {
        let mut out = Vec::new();
        match self {
            Self::Info => text16(&mut out, "get_info")?,
            Self::GlobalCounter => text16(&mut out, "get_gc")?,
            Self::Counts => text16(&mut out, "get_counts")?,
            Self::Gates => return Err(ProtoError::Argument),
            Self::Set(word, arguments) => {
                text16(&mut out, word)?;
                for argument in arguments {
                    match argument {
                        Argument::Int(v) => out.extend_from_slice(&v.to_le_bytes()),
                        Argument::Double(v) if v.is_finite() => {
                            out.extend_from_slice(&v.to_le_bytes())
                        }
                        Argument::Double(_) => return Err(ProtoError::Argument),
                        Argument::Text(text) => text16(&mut out, text)?,
                    }
                }
            }
        }
        Ok(out)
    }

    /// Of [`HwCommand::Info`].
    ///
    /// # Errors
    /// See [`ProtoError`]; so for all decoders.
    pub fn decode_info(reply: &[u8]) -> Result<String, ProtoError> {
        let mut reader = Reader::new(reply);
        let text = reader
            .text16()?
            .lines()
            .map(plain)
            .collect::<Vec<_>>()
            .join("\n");
        reader.end()?;
        Ok(text)
    }

    /// Decodes the reply to [`HwCommand::GlobalCounter`].
    pub fn decode_counter(reply: &[u8]) -> Result<i64, ProtoError> {
        let mut reader = Reader::new(reply);
        let value = reader.long()?;
        reader.end()?;
        Ok(value)
    }

    /// Decodes the reply to [`HwCommand::Counts`].
    pub fn decode_counts(reply: &[u8]) -> Result<Counts, ProtoError> {
        MonCommand::decode_counts(reply)
    }
}
