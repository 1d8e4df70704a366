//! Values of a SET: tests that objects of several vendors share.

use crate::model::change_faults::{ChangeFaults, ChangeRefusal};
use qkd_driver_kit::link::snmp::{ErrorStatus, Value};
use std::{
    ops::RangeInclusive,
    time::{Duration, UNIX_EPOCH},
};

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

/// Encodes a DateAndTime (RFC 2579) in UTC. The clock of an emulator begins with the epoch; what
/// has never happened reads as eight zero octets, as in the ENTITY-MIB (RFC 4133).
pub(crate) fn date_and_time(at: Option<Duration>) -> Value {
    // Far later than any test runs, and within the years that the encoding has.
    const LATEST: Duration = Duration::from_secs(200_000_000_000);
    let Some(at) = at else {
        return Value::OctetString(vec![0; 8]);
    };
    let text = humantime::format_rfc3339_millis(UNIX_EPOCH + at.min(LATEST)).to_string();
    let number = |part: RangeInclusive<usize>| {
        text.get(part)
            .and_then(|t| t.parse::<u16>().ok())
            .unwrap_or_default()
    };
    let mut octets = number(0..=3).to_be_bytes().to_vec();
    // 1970-01-01T00:00:00.000Z: month, day, hour, minute, second, tenth of a second.
    for part in [5..=6, 8..=9, 11..=12, 14..=15, 17..=18, 20..=20] {
        octets.push(number(part) as u8);
    }
    octets.extend_from_slice(b"+\0\0");
    Value::OctetString(octets)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_have_the_form_of_rfc_2579() {
        let date = |at| match date_and_time(at) {
            Value::OctetString(octets) => octets,
            other => panic!("{other:?}"),
        };
        assert_eq!(date(None), [0; 8]);
        assert_eq!(
            date(Some(Duration::ZERO)),
            [0x07, 0xb2, 1, 1, 0, 0, 0, 0, b'+', 0, 0]
        );
        // A day of 86400 s, and 3661.7 s.
        assert_eq!(
            date(Some(Duration::from_millis(90_061_700))),
            [0x07, 0xb2, 1, 2, 1, 1, 1, 7, b'+', 0, 0]
        );
        assert_eq!(date(Some(Duration::MAX)).len(), 11);
    }
}
