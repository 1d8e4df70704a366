//! Assumptions: what a driver infers rather than knows, by name.

use crate::Operation;

/// A protocol fact that is inferred, not confirmed.
///
/// It shows in `info`, in the driver's table and in every report. A changing operation that rests on one is refused unless the URI, the
/// inventory or the DUT file accepts it by id (`assume=<id>`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct Assumption {
    /// Its id, unique over all drivers, beginning with the driver's name.
    pub id: &'static str,
    /// What is assumed.
    pub statement: &'static str,
    /// Where the inference comes from.
    pub source: &'static str,
    /// How a real box would disprove it.
    pub disproof: &'static str,
    /// The operations that rest on it; of those, the changing ones are refused until it is accepted.
    pub operations: &'static [Operation],
}
