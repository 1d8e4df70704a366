//! Results of cases, and the functions by which a case ends.

use qkd_hal::Error;
use std::fmt::Display;

/// Why a case did not end well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotPassed {
    /// The requirement does not hold.
    Fails(String),
    /// There is nothing here to which it applies.
    NotApplicable(String),
    /// It cannot be tested here.
    Disabled(String),
    /// The suite could not determine the result.
    Broken(String),
}

/// Result of a case.
pub type CaseOutcome = Result<(), NotPassed>;

impl From<Error> for NotPassed {
    /// An error where none was due.
    fn from(error: Error) -> Self {
        Self::Fails(format!("unexpected error: {error}"))
    }
}

/// It fails, for this reason.
pub(crate) fn fail<T>(why: impl Into<String>) -> Result<T, NotPassed> {
    Err(NotPassed::Fails(why.into()))
}

/// Ends a case that does not apply to the device, for this reason.
pub(crate) fn not_applicable<T>(why: impl Into<String>) -> Result<T, NotPassed> {
    Err(NotPassed::NotApplicable(why.into()))
}

/// Ends a case as not applicable, for this reason, unless the condition is true.
pub(crate) fn applicable(condition: bool, why: &str) -> CaseOutcome {
    if condition {
        Ok(())
    } else {
        not_applicable(why)
    }
}

/// It fails unless this holds.
pub(crate) fn ensure(condition: bool, otherwise: impl FnOnce() -> String) -> CaseOutcome {
    if condition {
        Ok(())
    } else {
        Err(NotPassed::Fails(otherwise()))
    }
}

/// Returns the error of a call that must fail.
pub(crate) fn expect_error<T>(
    what: impl Display,
    result: Result<T, Error>,
) -> Result<Error, NotPassed> {
    match result {
        Ok(_) => fail(format!("{what}: it succeeded, and had to be refused")),
        Err(error) => Ok(error),
    }
}
