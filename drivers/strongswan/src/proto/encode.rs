//! Requests.

use super::{LENGTH, MAX_PACKET, ProtoError, element, packet};
use zeroize::Zeroizing;

/// An element of a message that is sent.
#[derive(Clone)]
pub enum Element<'a> {
    /// A section with its elements.
    Section(&'a str, Vec<Element<'a>>),
    /// A value.
    Value(&'a str, &'a [u8]),
    /// A list of values.
    List(&'a str, Vec<&'a [u8]>),
}

impl Element<'_> {
    fn size(&self) -> usize {
        match self {
            Self::Section(name, all) => 3 + name.len() + all.iter().map(Self::size).sum::<usize>(),
            Self::Value(name, value) => 4 + name.len() + value.len(),
            Self::List(name, all) => {
                3 + name.len() + all.iter().map(|value| 3 + value.len()).sum::<usize>()
            }
        }
    }

    fn write(&self, out: &mut Vec<u8>) -> Result<(), ProtoError> {
        match self {
            Self::Section(name, all) => {
                out.push(element::SECTION_START);
                write_name(out, name)?;
                for one in all {
                    one.write(out)?;
                }
                out.push(element::SECTION_END);
            }
            Self::Value(name, value) => {
                out.push(element::VALUE);
                write_name(out, name)?;
                write_value(out, value)?;
            }
            Self::List(name, all) => {
                out.push(element::LIST_START);
                write_name(out, name)?;
                for value in all {
                    out.push(element::LIST_ITEM);
                    write_value(out, value)?;
                }
                out.push(element::LIST_END);
            }
        }
        Ok(())
    }
}

fn write_name(out: &mut Vec<u8>, name: &str) -> Result<(), ProtoError> {
    out.push(u8::try_from(name.len()).map_err(|_| ProtoError::TooLong)?);
    out.extend_from_slice(name.as_bytes());
    Ok(())
}

fn write_value(out: &mut Vec<u8>, value: &[u8]) -> Result<(), ProtoError> {
    let length = u16::try_from(value.len()).map_err(|_| ProtoError::TooLong)?;
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(value);
    Ok(())
}

/// A packet, in one allocation of its size: a vector that grows would leave copies of a key.
fn packet(kind: u8, name: &str, message: &[Element<'_>]) -> Result<Zeroizing<Vec<u8>>, ProtoError> {
    let size = 2 + name.len() + message.iter().map(Element::size).sum::<usize>();
    let length = u32::try_from(size).map_err(|_| ProtoError::TooLong)?;
    if size > MAX_PACKET {
        return Err(ProtoError::TooLong);
    }
    let mut out = Zeroizing::new(Vec::with_capacity(LENGTH + size));
    out.extend_from_slice(&length.to_be_bytes());
    out.push(kind);
    write_name(&mut out, name)?;
    for one in message {
        one.write(&mut out)?;
    }
    Ok(out)
}

/// The request of a command.
///
/// # Errors
/// `TooLong`.
pub fn command(name: &str, message: &[Element<'_>]) -> Result<Zeroizing<Vec<u8>>, ProtoError> {
    packet(packet::COMMAND, name, message)
}

/// The request to send events of this name.
///
/// # Errors
/// `TooLong`.
pub fn register(event: &str) -> Result<Zeroizing<Vec<u8>>, ProtoError> {
    packet(packet::REGISTER, event, &[])
}
