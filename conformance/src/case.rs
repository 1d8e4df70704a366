//! Cases: the code that tests a requirement.

use crate::{case_context::CaseContext, case_outcome::CaseOutcome, requirement::Impact};
use futures::future::BoxFuture;
use qkd_hal::Operation;

/// Precondition of a case, in addition to the device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Precondition {
    /// The device declares this operation.
    Op(Operation),
    /// The device declares `activate`, or an activation that no command starts.
    Activation,
    /// The far end of the pair.
    Peer,
    /// A real or emulated device, not a recording.
    Live,
    /// An emulator, whose device can be faulted and whose state can be read.
    Emulator,
    /// An emulator in memory, where time is virtual.
    Memory,
    /// A real transport.
    Wire,
}

/// Waiting times of a case on a real transport, in addition to answered calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Waits {
    /// The case does not wait.
    Nothing,
    /// The case waits for this number of deadlines.
    Deadlines(u32),
    /// The case waits for one deadline for each exchange of a call. These waits overlap if the
    /// device serves several handles.
    EachExchange,
}

/// Body of a case, called when its preconditions are met.
pub type CaseFn = for<'a> fn(&'a CaseContext) -> BoxFuture<'a, CaseOutcome>;

/// A test of one requirement.
#[derive(Clone, Copy)]
pub struct Case {
    /// The requirement's id, a slash, and a name.
    pub id: &'static str,
    /// Description of the test.
    pub title: &'static str,
    /// Whether it does something wrong, or lets something go wrong.
    pub negative: bool,
    /// Highest impact of the case on the device.
    pub impact: Impact,
    /// Preconditions of the case.
    pub needs: &'static [Precondition],
    /// Waiting times on a real transport.
    pub waits: Waits,
    /// Body of the case.
    pub body: CaseFn,
}

impl Case {
    /// A positive case that observes.
    pub(crate) const fn new(
        id: &'static str,
        title: &'static str,
        needs: &'static [Precondition],
        body: CaseFn,
    ) -> Self {
        Self {
            id,
            title,
            negative: false,
            impact: Impact::Observe,
            needs,
            waits: Waits::Nothing,
            body,
        }
    }
    /// It does something wrong, or lets something go wrong.
    pub(crate) const fn negative(mut self) -> Self {
        self.negative = true;
        self
    }
    /// It does more than observe.
    pub(crate) const fn impact(mut self, impact: Impact) -> Self {
        self.impact = impact;
        self
    }
    /// It waits for deadlines on a real wire.
    pub(crate) const fn waits(mut self, waits: Waits) -> Self {
        self.waits = waits;
        self
    }
    /// Returns the ID of the requirement.
    #[must_use]
    pub fn requirement(&self) -> &'static str {
        self.id.split_once('/').map_or(self.id, |(id, _)| id)
    }
}

impl std::fmt::Debug for Case {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.id)
    }
}
