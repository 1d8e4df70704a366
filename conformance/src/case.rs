//! Cases: the code that tests a requirement.

use crate::{bench::Bench, requirement::Impact};
use futures::future::BoxFuture;
use qkd_hal::{Error, Operation};
use std::fmt::Display;

/// Why a case did not end well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stop {
    /// The requirement does not hold.
    Fails(String),
    /// There is nothing here to which it applies.
    NotApplicable(String),
    /// It cannot be tested here.
    Disabled(String),
    /// The suite could not tell.
    Broken(String),
}

/// How a case ends.
pub type Verdict = Result<(), Stop>;

impl From<Error> for Stop {
    /// An error where none was due.
    fn from(error: Error) -> Self {
        Self::Fails(format!("unexpected error: {error}"))
    }
}

/// It fails, for this reason.
pub(crate) fn fails<T>(why: impl Into<String>) -> Result<T, Stop> {
    Err(Stop::Fails(why.into()))
}

/// It fails unless this holds.
pub(crate) fn holds(condition: bool, otherwise: impl FnOnce() -> String) -> Verdict {
    if condition {
        Ok(())
    } else {
        Err(Stop::Fails(otherwise()))
    }
}

/// What must end in an error; gives it on.
pub(crate) fn refused<T>(what: impl Display, result: Result<T, Error>) -> Result<Error, Stop> {
    match result {
        Ok(_) => fails(format!("{what}: it succeeded, and had to be refused")),
        Err(error) => Ok(error),
    }
}

/// What a case needs beside the device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// The device declares this operation.
    Op(Operation),
    /// The far end of the pair.
    Peer,
    /// A device that answers by itself, not a recording.
    Live,
    /// An emulator, whose device can be faulted and whose state can be read.
    Emulator,
    /// An emulator in memory, where time is virtual.
    Memory,
    /// A real wire.
    Wire,
}

/// What a case waits for on a real wire, beside the calls that are answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Waits {
    /// Nothing.
    Nothing,
    /// So many deadlines.
    Deadlines(u32),
    /// A deadline for each exchange of a call; side by side, if the device serves several handles.
    EachExchange,
}

/// What a case does, once what it needs is there.
pub type Body = for<'a> fn(&'a Bench) -> BoxFuture<'a, Verdict>;

/// A case.
#[derive(Clone, Copy)]
pub struct Case {
    /// The requirement's id, a slash, and a name.
    pub id: &'static str,
    /// What it does.
    pub title: &'static str,
    /// Whether it does something wrong, or lets something go wrong.
    pub negative: bool,
    /// The worst that it does.
    pub impact: Impact,
    /// What it needs.
    pub needs: &'static [Need],
    /// What it waits for on a real wire.
    pub waits: Waits,
    /// What it does.
    pub body: Body,
}

impl Case {
    /// A positive case that observes.
    pub(crate) const fn new(
        id: &'static str,
        title: &'static str,
        needs: &'static [Need],
        body: Body,
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
    /// The requirement's id.
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
