//! The steps of a roll.

use crate::{EncryptorPair, End, RollObserver, RollRecord, Step};
use qkd_hal::{
    Error, ErrorKind, Key, KeyId, Result,
    encryptor::{Confirmation, Confirmed, Staged},
    units::Bits,
};
use serde::Serialize;
use std::time::Duration;

/// A roll that is ready: everything that can be known before a key is taken was checked. Only
/// [`Readiness::ready`](crate::Readiness::ready) gives it.
#[derive(Debug)]
#[must_use = "take a key at both ends and call `run`"]
pub struct Roll {
    pair: EncryptorPair,
    size: Bits,
    lost: Vec<KeyId>,
    to_void: Vec<KeyId>,
}

/// The point at which a roll ended at the request of its observer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum StopPoint {
    /// No encryptor was changed.
    NothingChanged,
    /// The near end has the new key staged; the key in use stays active there.
    NearStaged,
}

/// Outcome of a roll without an error.
#[derive(Debug, Clone, PartialEq)]
#[must_use = "a roll may have been stopped, and its key may not be confirmed"]
pub enum RollOutcome {
    /// The observer asked to stop before the key in use was replaced. A key that was taken for the
    /// roll is void.
    Stopped(StopPoint),
    /// All steps were carried out. Whether the key protects traffic is in the report.
    Ended(Box<RollReport>),
}

/// Report of a roll whose steps were carried out.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[must_use = "a key that was not confirmed does not protect traffic: see `is_confirmed`"]
#[non_exhaustive]
pub struct RollReport {
    /// ID of the new key.
    pub key_id: KeyId,
    /// Confirmation of the near end.
    pub near: Confirmation,
    /// Confirmation of the far end.
    pub far: Confirmation,
    /// Whether the key before was deleted at each end that has slots. `false` if neither has.
    pub retired: bool,
}

impl RollReport {
    /// Whether the new key protects traffic at both ends.
    #[must_use]
    pub fn is_confirmed(&self) -> bool {
        self.near.is_confirmed() && self.far.is_confirmed()
    }

    /// Returns the longest measured outage of both ends; `None` if neither measured one.
    #[must_use]
    pub fn outage(&self) -> Option<Duration> {
        let measured = [&self.near, &self.far].map(|c| c.outage().map(|gap| gap.value));
        measured.into_iter().flatten().max()
    }
}

/// Carries out steps and has them recorded.
pub(crate) struct Steps<'a> {
    pub(crate) pair: &'a EncryptorPair,
    pub(crate) key_id: &'a KeyId,
    pub(crate) observer: &'a mut dyn RollObserver,
}

impl Steps<'_> {
    pub(crate) async fn record(&mut self, record: RollRecord) {
        self.observer.record(&record).await;
    }

    async fn run<T>(
        &mut self,
        end: End,
        step: Step,
        call: impl Future<Output = Result<T>>,
        done: impl FnOnce(&T) -> RollRecord,
    ) -> Result<T> {
        let key_id = self.key_id.clone();
        self.record(RollRecord::Begun { key_id, end, step }).await;
        let result = call.await;
        let record = match &result {
            Ok(value) => done(value),
            Err(error) => RollRecord::failed(self.key_id, end, step, error),
        };
        self.record(record).await;
        result
    }

    fn done(&self, end: End, step: Step) -> RollRecord {
        RollRecord::Done {
            key_id: self.key_id.clone(),
            end,
            step,
        }
    }

    async fn stage(&mut self, end: End, key: &Key) -> Result<Staged> {
        let (at, key_id) = (self.pair.end(end), self.key_id.clone());
        let call = at.encryptor().stage(at.channel(), key);
        let staged = |staged: &Staged| RollRecord::Staged {
            key_id,
            end,
            staged: staged.clone(),
        };
        self.run(end, Step::Stage, call, staged).await
    }

    async fn activate(&mut self, end: End, staged: &Staged) -> Result<()> {
        let done = self.done(end, Step::Activate);
        let call = self.pair.end(end).encryptor().activate(staged);
        self.run(end, Step::Activate, call, |()| done).await
    }

    async fn confirm(&mut self, end: End, staged: &Staged) -> Result<Confirmation> {
        let (key_id, done) = (self.key_id.clone(), self.done(end, Step::Confirm));
        let at = self.pair.end(end);
        let longest = at.capabilities().confirm_timeout;
        let call = at.encryptor().confirm(staged, longest);
        let record = |confirmation: &Confirmation| {
            if confirmation.is_confirmed() {
                return done;
            }
            RollRecord::NotConfirmed {
                key_id,
                end,
                evidence: confirmation.evidence().to_owned(),
            }
        };
        self.run(end, Step::Confirm, call, record).await
    }

    async fn retire(&mut self, end: End, confirmed: &Confirmed) -> Result<()> {
        let done = self.done(end, Step::Retire);
        let call = self.pair.end(end).encryptor().retire(confirmed);
        self.run(end, Step::Retire, call, |()| done).await
    }

    /// Activates the staged key at these ends, confirms it at both, and deletes the key before at
    /// those.
    pub(crate) async fn complete(
        &mut self,
        staged: [&Staged; 2],
        to_activate: &[End],
        to_retire: &[End],
    ) -> Result<RollReport> {
        for end in to_activate {
            let so_far = match end {
                End::Far if to_activate.len() > 1 => {
                    "the first end was activated, the second was not"
                }
                End::Near if self.pair.ends_to_activate() != to_activate => {
                    "the second end was activated, the first was not"
                }
                End::Near | End::Far => {
                    "both ends have the new key staged, neither was activated before"
                }
            };
            self.activate(*end, staged[*end as usize])
                .await
                .map_err(|e| e.with_progress(so_far))?;
        }
        let so_far = if to_activate.is_empty() {
            "both ends have the new key"
        } else {
            "the new key was activated"
        };
        let mut confirmations = Vec::with_capacity(staged.len());
        for (end, staged) in End::BOTH.into_iter().zip(staged) {
            let confirmation = self
                .confirm(end, staged)
                .await
                .map_err(|e| e.with_progress(so_far))?;
            confirmations.push(confirmation);
        }
        let [near, far] = <[Confirmation; 2]>::try_from(confirmations)
            .map_err(|_| Error::new(ErrorKind::Internal, "a pair has two ends"))?;
        let proofs = (near.clone().confirmed(), far.clone().confirmed());
        let mut retired = false;
        // Keep the key before as fallback until both ends confirm the new one.
        if let (Ok(near), Ok(far)) = &proofs {
            for end in to_retire {
                let proof = [near, far][*end as usize];
                self.retire(*end, proof).await.map_err(|e| {
                    e.with_progress("the new key protects traffic; the one before was not retired")
                })?;
            }
            retired = self.pair.retires();
            let key_id = self.key_id.clone();
            self.record(RollRecord::Finished { key_id }).await;
        }
        Ok(RollReport {
            key_id: self.key_id.clone(),
            near,
            far,
            retired,
        })
    }
}

impl Roll {
    pub(crate) fn new(
        pair: EncryptorPair,
        size: Bits,
        lost: Vec<KeyId>,
        to_void: Vec<KeyId>,
    ) -> Self {
        Self {
            pair,
            size,
            lost,
            to_void,
        }
    }

    /// Returns the size of the key to take.
    #[must_use]
    pub fn key_size(&self) -> Bits {
        self.size
    }

    /// Checks that the keys are one, that both ends accept it, and that it is not a lost one.
    fn check_keys(&self, [near, far]: [&Key; 2]) -> Result<()> {
        if near != far {
            return Err(Error::invalid(format!(
                "the keys {} and {} are not the same: the QKD modules are not a pair, or one \
                 misbehaved",
                near.id(),
                far.id()
            )));
        }
        for (end, key) in [(End::Near, near), (End::Far, far)] {
            if let Some(form) = &self.pair.end(end).capabilities().key {
                let named = |e: Error| Error::invalid(format!("the {end}: {}", e.message()));
                form.check(key).map_err(named)?;
            }
        }
        if self.lost.contains(near.id()) {
            return Err(Error::invalid(format!(
                "key {} was lost in an interrupted roll and must not be used again: take a new one",
                near.id()
            )));
        }
        Ok(())
    }

    /// Stages the key at both ends, activates it, confirms it at both, and deletes the key before
    /// where the device has slots. Ends at the first error.
    ///
    /// The keys are those of the near and the far end, in this order. They are borrowed: keep them
    /// until the roll has ended, since they are needed to repeat a step whose reply was lost.
    ///
    /// # Errors
    /// `InvalidInput` if the keys are not equal, do not fit or were lost in an earlier roll, before
    /// anything is sent. The error of the first failed step, with the progress in its message and
    /// at least the effect `Partial` once an end was changed. After it,
    /// [`EncryptorPair::recovery`] finds out how to go on.
    pub async fn run(
        self,
        [near_key, far_key]: [&Key; 2],
        observer: &mut dyn RollObserver,
    ) -> Result<RollOutcome> {
        self.check_keys([near_key, far_key])?;
        let pair = &self.pair;
        for lost in &self.to_void {
            let key_id = lost.clone();
            observer.record(&RollRecord::Void { key_id }).await;
        }
        let key_id = near_key.id().clone();
        let mut steps = Steps {
            pair,
            key_id: &key_id,
            observer,
        };
        let (taken, stopped) = (
            RollRecord::Taken {
                key_id: key_id.clone(),
            },
            RollRecord::Stopped {
                key_id: key_id.clone(),
            },
        );
        steps.record(taken).await;
        if steps.observer.is_stop_requested() {
            steps.record(stopped).await;
            return Ok(RollOutcome::Stopped(StopPoint::NothingChanged));
        }
        let near = steps.stage(End::Near, near_key).await?;
        // A secret that was overwritten cannot be restored: the far end must get the same one.
        if steps.observer.is_stop_requested() && pair.end(End::Near).keeps_previous() {
            steps.record(stopped).await;
            return Ok(RollOutcome::Stopped(StopPoint::NearStaged));
        }
        let far = steps
            .stage(End::Far, far_key)
            .await
            .map_err(|e| e.with_progress("the first end has the new key staged"))?;
        let to_retire: Vec<End> = End::BOTH
            .into_iter()
            .filter(|end| pair.end(*end).can_retire())
            .collect();
        let report = steps
            .complete([&near, &far], &pair.ends_to_activate(), &to_retire)
            .await?;
        Ok(RollOutcome::Ended(Box::new(report)))
    }
}
