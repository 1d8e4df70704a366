//! DateAndTime (RFC 2579): a local time of the agent, with or without its offset from UTC.

use super::{snmp::Value, snmp_client::SnmpDecodeError};
use jiff::{
    Timestamp,
    civil::DateTime,
    tz::{Offset, TimeZone},
};
use std::fmt;

/// A time that an agent reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DateAndTime {
    local: DateTime,
    offset: Option<Offset>,
}

impl DateAndTime {
    /// Whether this time is later than `other` of the same agent. A time without an offset is read
    /// as UTC: an agent reports all its times in one form.
    #[must_use]
    pub fn is_after(self, other: Self) -> bool {
        self.instant() > other.instant()
    }

    fn instant(self) -> Option<Timestamp> {
        let zone = TimeZone::fixed(self.offset.unwrap_or(Offset::UTC));
        zone.to_timestamp(self.local).ok()
    }
}

impl fmt::Display for DateAndTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.local)?;
        match self.offset {
            Some(offset) => write!(f, "{offset}"),
            None => Ok(()),
        }
    }
}

/// Decodes a DateAndTime of 8 or 11 octets; `None` if the agent lacks the object, or has no time
/// for it: an empty value, or one of zeros only.
///
/// # Errors
/// [`SnmpDecodeError::Type`] for another type, length, or a time that does not exist.
pub fn date_and_time(
    value: &Value,
    object: &'static str,
) -> Result<Option<DateAndTime>, SnmpDecodeError> {
    let octets = match value {
        Value::OctetString(octets) => octets.as_slice(),
        value if value.is_absent() => return Ok(None),
        _ => return Err(SnmpDecodeError::Type { object }),
    };
    if octets.iter().all(|octet| matches!(octet, 0 | b'+' | b'-')) {
        return Ok(None);
    }
    decode(octets)
        .map(Some)
        .ok_or(SnmpDecodeError::Type { object })
}

fn decode(octets: &[u8]) -> Option<DateAndTime> {
    let (&[y1, y2, month, day, hour, minute, second, tenth], zone) = octets.split_first_chunk()?;
    let small = |octet: u8| i8::try_from(octet).ok();
    let local = DateTime::new(
        i16::try_from(u16::from_be_bytes([y1, y2])).ok()?,
        small(month)?,
        small(day)?,
        small(hour)?,
        small(minute)?,
        // 60 is a leap second.
        small(second).filter(|s| *s <= 60)?.min(59),
        i32::from(Some(tenth).filter(|t| *t <= 9)?) * 100_000_000,
    )
    .ok()?;
    let offset = match *zone {
        [] => None,
        [direction, hours @ 0..=14, minutes @ 0..=59] => {
            let seconds = i32::from(hours) * 3600 + i32::from(minutes) * 60;
            let signed = match direction {
                b'+' => seconds,
                b'-' => -seconds,
                _ => return None,
            };
            Some(Offset::from_seconds(signed).ok()?)
        }
        _ => return None,
    };
    Some(DateAndTime { local, offset })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(octets: &[u8]) -> Result<Option<DateAndTime>, SnmpDecodeError> {
        date_and_time(&Value::OctetString(octets.to_vec()), "x")
    }

    #[test]
    fn the_example_of_the_rfc() {
        // RFC 2579: 1992-5-26,13:30:15.0,-4:0.
        let time = at(&[7, 200, 5, 26, 13, 30, 15, 0, b'-', 4, 0]);
        let time = time.unwrap().unwrap();
        assert_eq!(time.to_string(), "1992-05-26T13:30:15-04");
        let utc = at(&[7, 200, 5, 26, 17, 30, 15, 1]).unwrap().unwrap();
        assert_eq!(utc.to_string(), "1992-05-26T17:30:15.1");
        assert!(utc.is_after(time) && !time.is_after(utc));
    }

    #[test]
    fn no_time_and_times_that_do_not_exist() {
        assert_eq!(date_and_time(&Value::NoSuchInstance, "x"), Ok(None));
        for none in [&[][..], &[0; 8], &[0, 0, 0, 0, 0, 0, 0, 0, b'+', 0, 0]] {
            assert_eq!(at(none), Ok(None));
        }
        for wrong in [
            &[7, 200, 13, 26, 13, 30, 15, 0][..],
            &[7, 200, 2, 30, 13, 30, 15, 0],
            &[7, 200, 5, 26, 24, 30, 15, 0],
            &[7, 200, 5, 26, 13, 30, 61, 0],
            &[7, 200, 5, 26, 13, 30, 15, 10],
            &[7, 200, 5, 26, 13, 30, 15, 0, b'x', 0, 0],
            &[7, 200, 5, 26, 13, 30, 15, 0, b'+', 15, 0],
            &[255; 8],
            b"2026-11-",
            &[1],
            &[1; 12],
        ] {
            assert_eq!(at(wrong), Err(SnmpDecodeError::Type { object: "x" }));
        }
        let leap = at(&[7, 224, 12, 31, 23, 59, 60, 0]).unwrap();
        assert_eq!(leap.unwrap().to_string(), "2016-12-31T23:59:59");
    }
}
