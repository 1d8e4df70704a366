//! Readings: a value with its unit, its time and its quality.

use crate::units::DecibelMilliwatts;
use serde::Serialize;
use std::{
    borrow::Cow,
    fmt,
    time::{Duration, SystemTime},
};

/// Reliability of a reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Quality {
    /// The value was measured by this reading.
    Good,
    /// The device's last value, from before now.
    Stale,
    /// The instrument is outside its range; the value is a bound.
    OutOfRange,
    /// The device says that it has no valid value.
    Invalid,
}

/// A measured value with its quality and time.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Measured<T> {
    /// The value, in the unit of its type.
    pub value: T,
    /// When it was taken.
    #[serde(serialize_with = "serialize_time")]
    pub at: SystemTime,
    /// Reliability of the value.
    pub quality: Quality,
}

impl<T> Measured<T> {
    /// A good measurement taken now.
    pub fn now(value: T) -> Self {
        Self {
            value,
            at: SystemTime::now(),
            quality: Quality::Good,
        }
    }
    /// The same with another quality.
    #[must_use]
    pub fn with_quality(mut self, quality: Quality) -> Self {
        self.quality = quality;
        self
    }
    /// The same, taken at another time.
    #[must_use]
    pub fn taken_at(mut self, at: SystemTime) -> Self {
        self.at = at;
        self
    }
}

/// The optical powers that an instrument can show, in dBm: from below the noise of any receiver
/// to above the damage threshold of any fibre.
pub const POWER_RANGE: std::ops::RangeInclusive<f64> = -120.0..=60.0;

/// Returns the quality of an optical power that a device reports as good. A value outside
/// [`POWER_RANGE`] is not a possible power but a wrapped or wrongly scaled encoding.
fn power_quality(dbm: f64, reported: Quality) -> Quality {
    match reported {
        Quality::Invalid => Quality::Invalid,
        _ if dbm.is_nan() => Quality::Invalid,
        _ if !POWER_RANGE.contains(&dbm) => Quality::OutOfRange,
        reported => reported,
    }
}

impl Measured<DecibelMilliwatts> {
    /// The same, out of range if the value is not an optical power ([`POWER_RANGE`]).
    #[must_use]
    pub fn within_physical_range(mut self) -> Self {
        self.quality = power_quality(self.value.0, self.quality);
        self
    }
}

impl Reading {
    /// The same; a reading in dBm is out of range if it is not an optical power
    /// ([`POWER_RANGE`]).
    #[must_use]
    pub fn within_physical_range(mut self) -> Self {
        if let ReadingValue::Number(number) = self.value
            && self.unit == DecibelMilliwatts::SYMBOL
        {
            self.quality = power_quality(number, self.quality);
        }
        self
    }
}

/// The value of a [`Reading`].
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
#[non_exhaustive]
pub enum ReadingValue {
    /// A floating-point number.
    Number(f64),
    /// A non-negative integer.
    Count(u64),
    /// A Boolean.
    Flag(bool),
    /// A text from the device, cleaned with [`printable`](crate::text::printable).
    Text(String),
}

impl fmt::Display for ReadingValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(v) => write!(f, "{v}"),
            Self::Count(v) => write!(f, "{v}"),
            Self::Flag(v) => write!(f, "{v}"),
            Self::Text(v) => f.write_str(v),
        }
    }
}

/// One named item of a device's telemetry.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Reading {
    /// Its name, in lower case with dots, such as `detector.temperature`.
    pub name: Cow<'static, str>,
    /// Value of the reading.
    pub value: ReadingValue,
    /// The symbol of its unit; empty where it has none.
    pub unit: &'static str,
    /// When it was taken.
    #[serde(serialize_with = "serialize_time")]
    pub at: SystemTime,
    /// Reliability of the value.
    pub quality: Quality,
}

impl Reading {
    /// A good reading taken now.
    pub fn now(
        name: impl Into<Cow<'static, str>>,
        value: ReadingValue,
        unit: &'static str,
    ) -> Self {
        Self {
            name: name.into(),
            value,
            unit,
            at: SystemTime::now(),
            quality: Quality::Good,
        }
    }
    /// The same with another quality.
    #[must_use]
    pub fn with_quality(mut self, quality: Quality) -> Self {
        self.quality = quality;
        self
    }
    /// The same, taken at another time.
    #[must_use]
    pub fn taken_at(mut self, at: SystemTime) -> Self {
        self.at = at;
        self
    }
}

/// Serialises a time of day as RFC 3339 in UTC with milliseconds, such as
/// `2026-01-31T12:00:00.000Z`.
pub fn serialize_time<S: serde::Serializer>(at: &SystemTime, s: S) -> Result<S::Ok, S::Error> {
    s.collect_str(&humantime::format_rfc3339_millis(*at))
}

/// Returns a duration in milliseconds, to the microsecond.
fn milliseconds(time: Duration) -> f64 {
    #[expect(
        clippy::cast_precision_loss,
        reason = "exact up to 285 years of microseconds"
    )]
    let microseconds = time.as_micros() as f64;
    microseconds / 1000.0
}

/// Serialises a duration as a number of milliseconds, to the microsecond.
pub fn serialize_millis<S: serde::Serializer>(time: &Duration, s: S) -> Result<S::Ok, S::Error> {
    s.serialize_f64(milliseconds(*time))
}

/// Serialises a duration as a number of milliseconds, to the microsecond, or null.
pub fn serialize_optional_millis<S: serde::Serializer>(
    time: &Option<Duration>,
    s: S,
) -> Result<S::Ok, S::Error> {
    time.map(milliseconds).serialize(s)
}

/// Serialises a measured number of seconds as milliseconds, or null.
pub fn serialize_measured_millis<S: serde::Serializer>(
    seconds: &Option<Measured<f64>>,
    s: S,
) -> Result<S::Ok, S::Error> {
    seconds
        .map(|m| Measured {
            value: m.value * 1000.0,
            ..m
        })
        .serialize(s)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_impossible_optical_power_is_out_of_range() {
        for (dbm, quality) in [
            (-30.0, Quality::Good),
            (429_496_724.6, Quality::OutOfRange),
            (-32_768.0, Quality::OutOfRange),
            (f64::INFINITY, Quality::OutOfRange),
            (f64::NAN, Quality::Invalid),
        ] {
            let measured = Measured::now(DecibelMilliwatts(dbm)).within_physical_range();
            assert_eq!(measured.quality, quality, "{dbm}");
            let reading = Reading::now("power", ReadingValue::Number(dbm), "dBm");
            assert_eq!(reading.within_physical_range().quality, quality, "{dbm}");
        }
        let count = Reading::now("count", ReadingValue::Number(1e9), "1");
        assert_eq!(count.within_physical_range().quality, Quality::Good);
    }
}
