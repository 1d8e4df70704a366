//! ATMEDIA-MIB: names and values. No I/O. The MIB has no object that can be written, and no
//! notification.

pub mod oid;

pub use qkd_driver_kit::link::snmp_client::{
    SnmpDecodeError as ProtoError, count, text as decode_text,
};

use qkd_driver_kit::link::{
    snmp::Value,
    snmp_client::{enumeration, optional},
};

/// State of an engine: acEncryptorStatusState.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EngineState {
    /// up(1): it encrypts.
    Up,
    /// down(2): it passes nothing.
    Down,
    /// plain(3): it passes traffic in clear (since revision 2.1 of the MIB).
    Plain,
}

impl EngineState {
    /// Returns the name of the state in the MIB.
    #[must_use]
    pub fn keyword(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Down => "down",
            Self::Plain => "plain",
        }
    }
}

/// Decodes the state of an engine.
///
/// # Errors
/// See [`ProtoError`]; so for all decoders.
pub fn decode_engine_state(value: &Value) -> Result<EngineState, ProtoError> {
    let known = [
        (1, EngineState::Up),
        (2, EngineState::Down),
        (3, EngineState::Plain),
    ];
    enumeration(value, "acEncryptorStatusState", &known)
}

/// Decodes whether an interface is up.
pub fn decode_interface_state(value: &Value) -> Result<bool, ProtoError> {
    enumeration(value, "acInterfaceStatusState", &[(1, true), (2, false)])
}

/// Decodes whether the power supply has failed; `None` if the agent does not know.
pub fn decode_power_failure(value: &Value) -> Result<Option<bool>, ProtoError> {
    let known = [(0, None), (1, Some(false)), (2, Some(true))];
    Ok(optional(value, |v| enumeration(v, "acMaPowerState", &known))?.flatten())
}

/// The rows of a walk of a column of a table with one index.
pub fn decode_rows(walk: Vec<(Vec<u32>, Value)>) -> Result<Vec<(u32, Value)>, ProtoError> {
    walk.into_iter()
        .map(|(index, value)| match index.as_slice() {
            [row] => Ok((*row, value)),
            _ => Err(ProtoError::Index),
        })
        .collect()
}

/// Drives every decoder with arbitrary bytes.
pub fn fuzz(input: &[u8]) {
    let number = input
        .iter()
        .fold(0u32, |n, b| n.rotate_left(5) ^ u32::from(*b));
    let ids: Vec<u32> = input.iter().map(|b| u32::from(*b)).collect();
    for value in [
        Value::Integer(i32::from_ne_bytes(number.to_ne_bytes())),
        Value::Integer(i32::from(input.first().copied().unwrap_or(0) % 8)),
        Value::OctetString(input.to_vec()),
        Value::Gauge32(number),
        Value::NoSuchInstance,
    ] {
        let _ = (
            decode_engine_state(&value),
            decode_interface_state(&value),
            decode_power_failure(&value),
            decode_text(&value, "x"),
            decode_rows(vec![(ids.clone(), value.clone())]),
        );
    }
}

#[cfg(test)]
mod tests;
