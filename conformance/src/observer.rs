//! Observers of a run.

use crate::result::CaseResult;

/// Observer of a run.
pub trait RunObserver: Sync {
    /// So many cases are to come.
    fn total(&self, _cases: usize) {}
    /// A case on this device ended.
    fn ended(&self, _dut: &str, _result: &CaseResult) {}
    /// Something worth a line.
    fn log(&self, _line: &str) {}
    /// Something that a person must know and act upon.
    fn warn(&self, line: &str) {
        self.log(line);
    }
}

impl RunObserver for () {}
