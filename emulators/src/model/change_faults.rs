//! Changes that are refused, or ignored.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

/// Why a change was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChangeRefusal {
    /// The device just refuses.
    Refused,
    /// It has no room.
    Full,
}

/// Refuses a number of changes, or all of them.
#[derive(Debug, Default)]
pub struct ChangeFaults {
    next: AtomicU32,
    ignored: AtomicU32,
    full: AtomicBool,
}

impl ChangeFaults {
    /// Refuses the next `n` changes.
    pub fn refuse(&self, n: u32) {
        self.next.store(n, Ordering::Relaxed);
    }
    /// Takes the next `n` changes, and does nothing.
    pub fn ignore(&self, n: u32) {
        self.ignored.store(n, Ordering::Relaxed);
    }
    /// Sets whether all changes are refused for lack of capacity.
    pub fn set_full(&self, full: bool) {
        self.full.store(full, Ordering::Relaxed);
    }
    /// Lets all changes pass.
    pub fn clear(&self) {
        self.refuse(0);
        self.ignore(0);
        self.set_full(false);
    }
    /// Asks for one change.
    ///
    /// # Errors
    /// If it is refused.
    pub fn check(&self) -> Result<(), ChangeRefusal> {
        if self.full.load(Ordering::Relaxed) {
            return Err(ChangeRefusal::Full);
        }
        match self
            .next
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1))
        {
            Ok(_) => Err(ChangeRefusal::Refused),
            Err(_) => Ok(()),
        }
    }
    /// Asks for one change; `false`: it is taken, and must not be done.
    ///
    /// # Errors
    /// If it is refused.
    pub fn should_apply(&self) -> Result<bool, ChangeRefusal> {
        self.check()?;
        Ok(self
            .ignored
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1))
            .is_err())
    }
    /// Whether the next change would be refused, without counting it.
    ///
    /// # Errors
    /// If it would.
    pub fn check_next(&self) -> Result<(), ChangeRefusal> {
        if self.full.load(Ordering::Relaxed) {
            Err(ChangeRefusal::Full)
        } else if self.next.load(Ordering::Relaxed) > 0 {
            Err(ChangeRefusal::Refused)
        } else {
            Ok(())
        }
    }
}
