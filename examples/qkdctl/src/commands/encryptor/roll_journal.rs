//! The journal of a roll, and the signals that end it.

use crate::{interrupt::Guard, journal::Entry};
use async_trait::async_trait;
use qkd_hal::{DeviceUri, KeyId};
use qkd_keyflow::{EncryptorPair, End, RollObserver, RollRecord};

/// Writes the records of a roll into the journal, and asks it to stop after a signal.
pub(super) struct RollJournal<'a> {
    pub(super) guard: &'a Guard,
    pub(super) uris: [&'a DeviceUri; 2],
    pub(super) pair: &'a EncryptorPair,
    /// The record of the end of the roll, for the line of its end.
    pub(super) closing: Option<RollRecord>,
    /// Whether a record could not be written: the roll is to stop where it can.
    pub(super) is_broken: bool,
}

impl RollJournal<'_> {
    fn entry(&self, end: End, operation: &'static str, key_id: &KeyId) -> Entry {
        let detail = format!("channel {}", self.pair.end(end).channel());
        Entry::new(self.uris[end as usize], operation, detail).with_keys([key_id])
    }
}

#[async_trait]
impl RollObserver for RollJournal<'_> {
    async fn record(&mut self, record: &RollRecord) {
        let key_id = record.key_id();
        let Some((end, step)) = record.step() else {
            match record {
                RollRecord::Stopped { .. } | RollRecord::Finished { .. } => {
                    self.closing = Some(record.clone());
                }
                RollRecord::Void { .. } => {
                    let entry = self.entry(End::Near, "void-key", key_id);
                    let is_written = entry.begin() && entry.with_record(record).end_done();
                    self.is_broken |= !is_written;
                }
                // The line of the key's delivery names it. From now on the roll says how it ends.
                _ => self.closing = None,
            }
            return;
        };
        let entry = self
            .entry(end, step.operation().name(), key_id)
            .with_record(record);
        let is_written = match record {
            RollRecord::Begun { .. } => entry.begin(),
            RollRecord::Failed { error, .. } => entry.end(error.clone()),
            RollRecord::NotConfirmed { evidence, .. } => {
                entry.end(format!("not confirmed: {evidence}"))
            }
            _ => entry.end_done(),
        };
        self.is_broken |= !is_written;
    }

    fn is_stop_requested(&self) -> bool {
        self.is_broken || self.guard.signal().is_some()
    }
}
