//! Records of a roll, which a caller writes down and a later process reads.

use crate::End;
use async_trait::async_trait;
use qkd_hal::{Effect, Error, KeyId, Operation, encryptor::Staged};
use serde::{Deserialize, Serialize};
use std::fmt;

/// A step of a roll: one call to one encryptor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Step {
    /// [`qkd_hal::Encryptor::stage`].
    Stage,
    /// [`qkd_hal::Encryptor::activate`].
    Activate,
    /// [`qkd_hal::Encryptor::confirm`].
    Confirm,
    /// [`qkd_hal::Encryptor::retire`].
    Retire,
}

impl Step {
    /// All steps, in the order of a roll.
    pub const ALL: [Self; 4] = [Self::Stage, Self::Activate, Self::Confirm, Self::Retire];

    /// Returns the operation of the contract.
    #[must_use]
    pub fn operation(self) -> Operation {
        match self {
            Self::Stage => Operation::Stage,
            Self::Activate => Operation::Activate,
            Self::Confirm => Operation::Confirm,
            Self::Retire => Operation::Retire,
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.operation(), f)
    }
}

/// A line of the journal of a pair. It holds no secret.
///
/// The records of a pair, in the order in which they were written, are what
/// [`EncryptorPair::recovery`](crate::EncryptorPair::recovery) takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum RollRecord {
    /// The key was taken from the QKD modules for a roll of this pair.
    Taken {
        /// ID of the key.
        key_id: KeyId,
    },
    /// The step is about to be sent.
    Begun {
        /// ID of the key.
        key_id: KeyId,
        /// End of the step.
        end: End,
        /// The step.
        step: Step,
    },
    /// `stage` is done.
    Staged {
        /// ID of the key.
        key_id: KeyId,
        /// End of the step.
        end: End,
        /// Value that `activate` and `confirm` take.
        staged: Staged,
    },
    /// The step is done; `confirm`: the key protects traffic.
    Done {
        /// ID of the key.
        key_id: KeyId,
        /// End of the step.
        end: End,
        /// The step.
        step: Step,
    },
    /// `confirm` has ended, and the key does not protect traffic.
    NotConfirmed {
        /// ID of the key.
        key_id: KeyId,
        /// End of the step.
        end: End,
        /// State that the device showed.
        evidence: String,
    },
    /// The step has failed.
    Failed {
        /// ID of the key.
        key_id: KeyId,
        /// End of the step.
        end: End,
        /// The step.
        step: Step,
        /// Whether the device may have changed all the same.
        may_have_changed: bool,
        /// Kind, message and effect of the error.
        error: String,
    },
    /// A recovery has given the key up: it is never used again. The state of the pair is still to
    /// be put in order.
    Void {
        /// ID of the key.
        key_id: KeyId,
    },
    /// The roll to this key ended before the key in use was replaced at either end. The new key is
    /// void.
    Stopped {
        /// ID of the key.
        key_id: KeyId,
    },
    /// The roll is complete: both ends use this key. Earlier records of the pair mean nothing any
    /// more.
    Finished {
        /// ID of the key.
        key_id: KeyId,
    },
}

impl RollRecord {
    /// Returns the ID of the key.
    #[must_use]
    pub fn key_id(&self) -> &KeyId {
        match self {
            Self::Taken { key_id }
            | Self::Begun { key_id, .. }
            | Self::Staged { key_id, .. }
            | Self::Done { key_id, .. }
            | Self::NotConfirmed { key_id, .. }
            | Self::Failed { key_id, .. }
            | Self::Void { key_id }
            | Self::Stopped { key_id }
            | Self::Finished { key_id } => key_id,
        }
    }

    /// Returns the end and the step; `None` for a record about the key as a whole.
    #[must_use]
    pub fn step(&self) -> Option<(End, Step)> {
        match self {
            Self::Begun { end, step, .. }
            | Self::Done { end, step, .. }
            | Self::Failed { end, step, .. } => Some((*end, *step)),
            Self::Staged { end, .. } => Some((*end, Step::Stage)),
            Self::NotConfirmed { end, .. } => Some((*end, Step::Confirm)),
            Self::Taken { .. }
            | Self::Void { .. }
            | Self::Stopped { .. }
            | Self::Finished { .. } => None,
        }
    }

    /// Returns the IDs of the keys whose rolls were neither completed nor stopped, in the order in
    /// which they were taken. Without one there is nothing to recover.
    #[must_use]
    pub fn open_keys(records: &[Self]) -> Vec<KeyId> {
        keys_of(&open_records(records))
            .into_iter()
            .cloned()
            .collect()
    }

    /// Returns the same record for the pair whose near end is the far end of this one.
    #[must_use]
    pub fn with_ends_swapped(mut self) -> Self {
        if let Self::Begun { end, .. }
        | Self::Staged { end, .. }
        | Self::Done { end, .. }
        | Self::NotConfirmed { end, .. }
        | Self::Failed { end, .. } = &mut self
        {
            *end = end.other();
        }
        self
    }

    pub(crate) fn failed(key_id: &KeyId, end: End, step: Step, error: &Error) -> Self {
        Self::Failed {
            key_id: key_id.clone(),
            end,
            step,
            may_have_changed: error.effect() != Effect::None,
            error: format!(
                "{}: {}; {}",
                error.kind().name(),
                error.message(),
                error.effect()
            ),
        }
    }
}

/// Receives the records of a roll, and can end it. `()` writes nothing down and never stops a roll.
///
/// A process that wants to finish interrupted rolls must write each record to durable storage
/// before [`record`](Self::record) returns: the step is sent afterwards.
#[async_trait]
pub trait RollObserver: Send {
    /// Writes a record down. An observer that cannot write asks to stop.
    async fn record(&mut self, record: &RollRecord);

    /// Whether the roll is to end. It ends before the first end is changed, or after the first end
    /// was staged if the key in use stays active there; later, it is completed.
    fn is_stop_requested(&self) -> bool {
        false
    }
}

#[async_trait]
impl RollObserver for () {
    async fn record(&mut self, _record: &RollRecord) {}
}

/// Records of the keys whose rolls are not complete.
pub(crate) fn open_records(records: &[RollRecord]) -> Vec<&RollRecord> {
    let mut open: Vec<&RollRecord> = Vec::new();
    for record in records {
        match record {
            RollRecord::Finished { .. } => open.clear(),
            RollRecord::Stopped { key_id } => open.retain(|r| r.key_id() != key_id),
            _ => open.push(record),
        }
    }
    open
}

/// IDs of the keys of these records, in the order in which they appear.
pub(crate) fn keys_of<'a>(records: &[&'a RollRecord]) -> Vec<&'a KeyId> {
    let mut all: Vec<&KeyId> = Vec::new();
    for record in records {
        if !all.contains(&record.key_id()) {
            all.push(record.key_id());
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: u8) -> KeyId {
        KeyId::from_bytes(&[n; 16]).unwrap()
    }

    #[test]
    fn records_are_json_objects_that_read_back() {
        let staged = Staged::new("ca1".into(), id(1), Some(2), "shown")
            .with_baseline([("port 1".to_owned(), "3".to_owned())].into());
        let error = Error::invalid("too long").with_effect(Effect::Unknown);
        let (key_id, end) = (id(1), End::Far);
        for record in [
            RollRecord::Taken { key_id: id(1) },
            RollRecord::Begun {
                key_id: id(1),
                end,
                step: Step::Stage,
            },
            RollRecord::Staged {
                key_id: id(1),
                end,
                staged,
            },
            RollRecord::NotConfirmed {
                key_id: id(1),
                end,
                evidence: "no new SAK".to_owned(),
            },
            RollRecord::failed(&key_id, end, Step::Retire, &error),
            RollRecord::Void { key_id: id(1) },
        ] {
            let text = serde_json::to_string(&record).unwrap();
            assert_eq!(
                serde_json::from_str::<RollRecord>(&text).unwrap(),
                record,
                "{text}"
            );
            let swapped = record.clone().with_ends_swapped();
            assert_eq!(
                swapped.step().map(|(end, _)| end),
                record.step().map(|_| End::Near)
            );
        }
        let begun = RollRecord::Begun {
            key_id,
            end,
            step: Step::Activate,
        };
        assert_eq!(
            serde_json::to_value(&begun).unwrap(),
            serde_json::json!({
                "event": "begun", "key_id": id(1), "end": "far", "step": "activate",
            })
        );
    }

    #[test]
    fn a_finished_roll_closes_all_and_a_stopped_one_itself() {
        let taken = |n| RollRecord::Taken { key_id: id(n) };
        let stopped = RollRecord::Stopped { key_id: id(2) };
        let finished = RollRecord::Finished { key_id: id(2) };
        assert_eq!(open_records(&[taken(1), taken(2), stopped]), [&taken(1)]);
        let all = [taken(1), taken(2), finished, taken(3), taken(4), taken(3)];
        assert_eq!(RollRecord::open_keys(&all), [id(3), id(4)]);
        assert_eq!(RollRecord::open_keys(&all[..3]), []);
    }
}
