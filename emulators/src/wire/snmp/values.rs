//! Values of a SET: tests that objects of several vendors share.

use crate::model::change_faults::{ChangeFaults, ChangeRefusal};
use qkd_driver_kit::link::snmp::{ErrorStatus, Value};
use std::ops::RangeInclusive;

/// A DisplayString (RFC 2579): NVT ASCII, at most `most` octets.
pub(crate) fn display(text: &[u8], most: usize) -> Result<&[u8], ErrorStatus> {
    match text {
        _ if text.len() > most => Err(ErrorStatus::WrongLength),
        _ if !text.is_ascii() => Err(ErrorStatus::WrongValue),
        _ => Ok(text),
    }
}

/// An INTEGER out of a few.
pub(crate) fn one_of(value: &Value, of: &[i32]) -> Result<i32, ErrorStatus> {
    match value {
        Value::Integer(v) if of.contains(v) => Ok(*v),
        Value::Integer(_) => Err(ErrorStatus::WrongValue),
        _ => Err(ErrorStatus::WrongType),
    }
}

/// An INTEGER within a range.
pub(crate) fn integer(value: &Value, range: RangeInclusive<i32>) -> Result<i32, ErrorStatus> {
    match value {
        Value::Integer(v) if range.contains(v) => Ok(*v),
        Value::Integer(_) => Err(ErrorStatus::WrongValue),
        _ => Err(ErrorStatus::WrongType),
    }
}

/// An Unsigned32 that `fits`.
pub(crate) fn unsigned(value: &Value, fits: impl Fn(u32) -> bool) -> Result<u32, ErrorStatus> {
    match value {
        Value::Gauge32(v) if fits(*v) => Ok(*v),
        Value::Gauge32(_) => Err(ErrorStatus::WrongValue),
        _ => Err(ErrorStatus::WrongType),
    }
}

/// Decodes an OCTET STRING.
pub(crate) fn octets(value: &Value) -> Result<&[u8], ErrorStatus> {
    if let Value::OctetString(bytes) = value {
        Ok(bytes)
    } else {
        Err(ErrorStatus::WrongType)
    }
}

/// Tenths of a unit, as an INTEGER.
pub(crate) fn tenths(value: f64) -> Value {
    Value::Integer((value * 10.0).round() as i32)
}

/// Encodes a TruthValue (RFC 2579).
pub(crate) fn truth_value(yes: bool) -> Value {
    Value::Integer(if yes { 1 } else { 2 })
}

/// Whether the device refuses the next change; if so, that counts as refused.
pub(crate) fn check_change(faults: &ChangeFaults) -> Result<(), ErrorStatus> {
    faults.check_next().map_err(|refusal| {
        let _ = faults.check();
        match refusal {
            ChangeRefusal::Refused => ErrorStatus::GenErr,
            ChangeRefusal::Full => ErrorStatus::ResourceUnavailable,
        }
    })
}
