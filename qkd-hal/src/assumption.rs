//! Assumptions: what a driver infers rather than knows, by name.

use crate::Operation;
use serde::Serialize;
use std::fmt;

/// A protocol fact that is inferred, not confirmed.
///
/// It shows in `info`, in the driver's table and in every report. A changing operation that rests
/// on one is refused unless the URI, the inventory or the DUT file accepts it by id
/// (`assume=<id>`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Assumption {
    /// Its id, unique over all drivers, beginning with the driver's name.
    pub id: &'static str,
    /// The assumption, as a sentence about the device.
    pub statement: &'static str,
    /// Where the inference comes from.
    pub source: &'static str,
    /// The observation on a real device that would disprove it.
    pub disproof: &'static str,
    /// The operations that rest on it; of those, the changing ones are refused until it is
    /// accepted.
    pub operations: &'static [Operation],
}

/// A property of a family, with how well it is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "kebab-case", tag = "certainty", content = "value")]
pub enum Certainty<T> {
    /// Stated by a vendor's document or by working code.
    Confirmed(T),
    /// Reasoned from such, and said by none.
    Inferred(T),
    /// No public source states the fact.
    #[default]
    Unknown,
}

impl<T> Certainty<T> {
    /// The property, however well it is known.
    pub fn value(self) -> Option<T> {
        match self {
            Self::Confirmed(value) | Self::Inferred(value) => Some(value),
            Self::Unknown => None,
        }
    }
}

impl<T: fmt::Display> fmt::Display for Certainty<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Confirmed(value) => write!(f, "{value} (confirmed)"),
            Self::Inferred(value) => write!(f, "{value} (inferred)"),
            Self::Unknown => f.write_str("unknown"),
        }
    }
}
