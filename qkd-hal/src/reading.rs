//! Readings: a value with its unit, its time and its quality.

use crate::units::DecibelMilliwatts;
use serde::{Deserialize, Serialize};
use std::{borrow::Cow, fmt, time::SystemTime};

/// Reliability of a reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
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
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Measured<T> {
    /// The value, in the unit of its type.
    pub value: T,
    /// When it was taken.
    #[serde(with = "crate::serial::time")]
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
    /// The same measurement, with its value converted by `convert`.
    pub fn map<U>(self, convert: impl FnOnce(T) -> U) -> Measured<U> {
        Measured {
            value: convert(self.value),
            at: self.at,
            quality: self.quality,
        }
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
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
#[non_exhaustive]
pub enum ReadingValue {
    /// A non-negative integer.
    Count(u64),
    /// A floating-point number.
    Number(#[serde(with = "crate::serial::untagged_number")] f64),
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
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Reading {
    /// Its name, in lower case with dots, such as `detector.temperature`.
    pub name: Cow<'static, str>,
    /// Value of the reading.
    pub value: ReadingValue,
    /// The symbol of its unit; empty where it has none.
    pub unit: Cow<'static, str>,
    /// When it was taken.
    #[serde(with = "crate::serial::time")]
    pub at: SystemTime,
    /// Reliability of the value.
    pub quality: Quality,
}

impl Reading {
    /// A good reading taken now.
    pub fn now(
        name: impl Into<Cow<'static, str>>,
        value: ReadingValue,
        unit: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self {
            name: name.into(),
            value,
            unit: unit.into(),
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
