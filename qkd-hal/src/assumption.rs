//! Assumptions: what a driver infers rather than knows, by name.

use crate::Operation;
use serde::{Deserialize, Serialize};
use std::{borrow::Cow, fmt};

/// A protocol fact that is inferred, not confirmed.
///
/// It shows in `info`, in the driver's table and in every report. A changing operation that rests
/// on one is refused unless the URI, the inventory or the DUT file accepts it by id
/// (`assume=<id>`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Assumption {
    /// Its id, unique over all drivers, beginning with the driver's name.
    pub id: Cow<'static, str>,
    /// The assumption, as a sentence about the device.
    pub statement: Cow<'static, str>,
    /// Where the inference comes from.
    pub source: Cow<'static, str>,
    /// The observation on a real device that would disprove it.
    pub disproof: Cow<'static, str>,
    /// The operations that rest on it; of those, the changing ones are refused until it is
    /// accepted.
    pub operations: Cow<'static, [Operation]>,
}

impl Assumption {
    /// Begins the declaration of an assumption:
    ///
    /// ```
    /// use qkd_hal::{Assumption, Operation};
    /// const ASSUMPTION: Assumption = Assumption::declare("acme.start", "`START` starts.")
    ///     .source("a third-party README; the vendor's manual was not seen")
    ///     .disproof("The device reports the state `IDLE` after `START`.")
    ///     .operations(&[Operation::Start]);
    /// # assert_eq!(ASSUMPTION.id, "acme.start");
    /// ```
    pub const fn declare(id: &'static str, statement: &'static str) -> AssumptionDeclaration {
        AssumptionDeclaration {
            id,
            statement,
            source: "",
            disproof: "",
        }
    }
}

/// The declaration of an [`Assumption`]; [`operations`](Self::operations) completes it.
#[derive(Debug, Clone, Copy)]
#[must_use]
pub struct AssumptionDeclaration {
    id: &'static str,
    statement: &'static str,
    source: &'static str,
    disproof: &'static str,
}

impl AssumptionDeclaration {
    /// Sets where the inference comes from.
    pub const fn source(mut self, source: &'static str) -> Self {
        self.source = source;
        self
    }
    /// Sets the observation on a real device that would disprove it.
    pub const fn disproof(mut self, observation: &'static str) -> Self {
        self.disproof = observation;
        self
    }
    /// Completes the declaration with the operations that rest on the assumption.
    #[must_use]
    pub const fn operations(self, operations: &'static [Operation]) -> Assumption {
        Assumption {
            id: Cow::Borrowed(self.id),
            statement: Cow::Borrowed(self.statement),
            source: Cow::Borrowed(self.source),
            disproof: Cow::Borrowed(self.disproof),
            operations: Cow::Borrowed(operations),
        }
    }
}

/// A property of a family, with how well it is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
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
