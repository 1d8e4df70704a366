//! Forms in which values travel that serde or JSON alone would not carry: durations as integer
//! nanoseconds, times as RFC 3339, floating-point numbers that are not finite as words.
//!
//! Each module is for `#[serde(with = "...")]`.

use crate::reading::Measured;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use std::time::{Duration, SystemTime};

/// The number of nanoseconds; longer than `u64` holds (584 years) counts as that.
fn to_nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// A duration as an integer number of nanoseconds.
pub mod nanoseconds {
    use super::*;
    /// Serialises the number.
    ///
    /// # Errors
    /// Those of the serialiser.
    pub fn serialize<S: Serializer>(time: &Duration, s: S) -> Result<S::Ok, S::Error> {
        to_nanoseconds(*time).serialize(s)
    }
    /// Deserialises the number.
    ///
    /// # Errors
    /// Those of the deserialiser.
    pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Duration, D::Error> {
        u64::deserialize(d).map(Duration::from_nanos)
    }
}

/// A duration as an integer number of nanoseconds, or null.
pub mod optional_nanoseconds {
    use super::*;
    /// Serialises the number, or null.
    ///
    /// # Errors
    /// Those of the serialiser.
    pub fn serialize<S: Serializer>(time: &Option<Duration>, s: S) -> Result<S::Ok, S::Error> {
        time.map(to_nanoseconds).serialize(s)
    }
    /// Deserialises the number or null.
    ///
    /// # Errors
    /// Those of the deserialiser.
    pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Option<Duration>, D::Error> {
        Ok(Option::<u64>::deserialize(d)?.map(Duration::from_nanos))
    }
}

/// A list of durations, each as an integer number of nanoseconds.
pub(crate) mod nanoseconds_list {
    use super::*;
    pub(crate) fn serialize<S: Serializer>(times: &[Duration], s: S) -> Result<S::Ok, S::Error> {
        s.collect_seq(times.iter().map(|time| to_nanoseconds(*time)))
    }
    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Vec<Duration>, D::Error> {
        let times = Vec::<u64>::deserialize(d)?;
        Ok(times.into_iter().map(Duration::from_nanos).collect())
    }
}

/// A range of durations, with both ends as integer numbers of nanoseconds, or null.
pub(crate) mod optional_nanoseconds_range {
    use super::*;
    use std::ops::RangeInclusive;
    pub(crate) fn serialize<S: Serializer>(
        range: &Option<RangeInclusive<Duration>>,
        s: S,
    ) -> Result<S::Ok, S::Error> {
        range
            .as_ref()
            .map(|r| to_nanoseconds(*r.start())..=to_nanoseconds(*r.end()))
            .serialize(s)
    }
    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        d: D,
    ) -> Result<Option<RangeInclusive<Duration>>, D::Error> {
        let range = Option::<RangeInclusive<u64>>::deserialize(d)?;
        Ok(range.map(|r| Duration::from_nanos(*r.start())..=Duration::from_nanos(*r.end())))
    }
}

/// A measured duration as a measured integer number of nanoseconds, or null.
pub(crate) mod optional_measured_nanoseconds {
    use super::*;
    pub(crate) fn serialize<S: Serializer>(
        measured: &Option<Measured<Duration>>,
        s: S,
    ) -> Result<S::Ok, S::Error> {
        measured.map(|m| m.map(to_nanoseconds)).serialize(s)
    }
    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        d: D,
    ) -> Result<Option<Measured<Duration>>, D::Error> {
        let measured = Option::<Measured<u64>>::deserialize(d)?;
        Ok(measured.map(|m| m.map(Duration::from_nanos)))
    }
}

/// A time of day as RFC 3339 in UTC with nanoseconds, such as `2026-01-31T12:00:00.000000000Z`.
pub(crate) mod time {
    use super::*;
    /// 9999-12-31T23:59:59Z, in seconds since the epoch: the last second that RFC 3339 writes.
    const LAST: Duration = Duration::from_secs(253_402_300_799);

    pub(crate) fn serialize<S: Serializer>(at: &SystemTime, s: S) -> Result<S::Ok, S::Error> {
        // `humantime` panics on times outside 1970 to 9999, and a device's clock may show any.
        let since = at
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default();
        let at = SystemTime::UNIX_EPOCH + since.min(LAST);
        s.collect_str(&humantime::format_rfc3339_nanos(at))
    }
    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<SystemTime, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(d)?;
        humantime::parse_rfc3339(&text).map_err(D::Error::custom)
    }
}

/// The word of a number that JSON has no number for.
fn word(number: f64) -> String {
    number.to_string()
}

fn from_word<E: serde::de::Error>(word: &str) -> Result<f64, E> {
    match word {
        "inf" => Ok(f64::INFINITY),
        "-inf" => Ok(f64::NEG_INFINITY),
        "NaN" => Ok(f64::NAN),
        _ => Err(E::custom("a number, `inf`, `-inf` or `NaN` is expected")),
    }
}

/// A floating-point number as a number, or as one of the words `inf`, `-inf` and `NaN`, which JSON
/// has no numbers for.
pub(crate) mod number {
    use super::*;

    #[derive(Deserialize)]
    #[serde(untagged)]
    enum NumberOrWord {
        Number(f64),
        Word(String),
    }

    pub(crate) fn serialize<S: Serializer>(number: &f64, s: S) -> Result<S::Ok, S::Error> {
        if number.is_finite() {
            s.serialize_f64(*number)
        } else {
            s.serialize_str(&word(*number))
        }
    }
    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<f64, D::Error> {
        match NumberOrWord::deserialize(d)? {
            NumberOrWord::Number(number) => Ok(number),
            NumberOrWord::Word(word) => from_word(&word),
        }
    }
}

/// A range of floating-point numbers, with both ends as [`number`] writes them, or null.
pub(crate) mod optional_number_range {
    use super::*;
    use std::ops::RangeInclusive;

    #[derive(Serialize, Deserialize)]
    struct Form {
        #[serde(with = "super::number")]
        start: f64,
        #[serde(with = "super::number")]
        end: f64,
    }

    pub(crate) fn serialize<S: Serializer>(
        range: &Option<RangeInclusive<f64>>,
        s: S,
    ) -> Result<S::Ok, S::Error> {
        let form = |range: &RangeInclusive<f64>| Form {
            start: *range.start(),
            end: *range.end(),
        };
        range.as_ref().map(form).serialize(s)
    }
    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        d: D,
    ) -> Result<Option<RangeInclusive<f64>>, D::Error> {
        let form = Option::<Form>::deserialize(d)?;
        Ok(form.map(|form| form.start..=form.end))
    }
}

/// A floating-point number in a place where texts are possible: as a number, or as an object such
/// as `{"number": "inf"}`.
pub(crate) mod untagged_number {
    use super::*;

    #[derive(Serialize, Deserialize)]
    #[serde(untagged)]
    enum NumberOrObject {
        Number(f64),
        Object { number: String },
    }

    pub(crate) fn serialize<S: Serializer>(number: &f64, s: S) -> Result<S::Ok, S::Error> {
        if number.is_finite() {
            NumberOrObject::Number(*number)
        } else {
            NumberOrObject::Object {
                number: word(*number),
            }
        }
        .serialize(s)
    }
    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<f64, D::Error> {
        match NumberOrObject::deserialize(d)? {
            NumberOrObject::Number(number) => Ok(number),
            NumberOrObject::Object { number } => from_word(&number),
        }
    }
}
