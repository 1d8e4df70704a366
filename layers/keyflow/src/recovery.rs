//! The state that an interrupted roll has left, and how it is put in order.

use crate::{
    EncryptorPair, End, EndStatus, ExpectedOutage, Obstacle, PlannedStep, Readiness, RollObserver,
    RollOutcome, RollRecord, Step, StopPoint,
    readiness::{check, clear_traffic, obstacles, steps_text},
    record::{keys_of, open_records},
    roll::Steps,
};
use async_trait::async_trait;
use qkd_hal::{
    Key, KeyId, Result,
    encryptor::{ChannelState, ChannelStatus, Staged},
    units::Bits,
};
use serde::Serialize;
use std::fmt;

/// Source of the key of a recovery that needs a fresh one.
#[async_trait]
pub trait KeySource: Send {
    /// Takes one new key of this size from the QKD module at the near end, and the same key by its
    /// ID from the module at the far end.
    ///
    /// It is called at most once, after everything else was checked. Write the ID down as soon as
    /// the key was taken ([`RollRecord::Taken`]).
    ///
    /// # Errors
    /// Those of the modules. Nothing is sent to the encryptors then.
    async fn take(&mut self, size: Bits) -> Result<[Key; 2]>;
}

/// The state that an interrupted roll has left, as both devices and the records show it. It prints
/// in several lines.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct RollState {
    /// The near end.
    pub near: EndStatus,
    /// The far end.
    pub far: EndStatus,
    /// The way to put the pair in order.
    pub recovery: Recovery,
}

/// The way to put a pair in order after an interrupted roll.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case", tag = "action")]
#[must_use = "a recovery changes nothing until `finish`"]
pub enum Recovery {
    /// Nothing: no end holds a key of an interrupted roll in an unfinished state.
    Nothing {
        /// The key to which the interrupted roll was completed; `None` if the key before the roll
        /// is in use.
        in_use: Option<KeyId>,
        /// Keys that were taken and are not on any end. They are never used again.
        lost: Vec<KeyId>,
    },
    /// Both ends show the key of the interrupted roll: the roll is completed with it. No key is
    /// taken.
    Forward(Forward),
    /// The key of the interrupted roll is not at both ends, or does not protect traffic, or the
    /// devices cannot show it: a fresh key replaces it at both ends.
    FreshKey(Readiness),
}

/// The rest of an interrupted roll whose key both ends show.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct Forward {
    /// ID of the key of the interrupted roll.
    pub key_id: KeyId,
    /// Keys of other interrupted rolls. They are never used again.
    pub lost: Vec<KeyId>,
    /// Remaining steps, in their order.
    pub steps: Vec<PlannedStep>,
    /// Traffic that these steps lose.
    pub outage: ExpectedOutage,
    /// Reasons why the steps cannot be carried out; empty if they can.
    pub obstacles: Vec<Obstacle>,
    #[serde(skip)]
    pair: EncryptorPair,
    #[serde(skip)]
    staged: [Staged; 2],
}

/// Place of a key at one end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum KeyPlace {
    /// It is not there.
    Absent,
    /// It is in a slot that is not active.
    Staged(u8),
    /// It is in the active slot; or, on a device without slots, it was confirmed and traffic is
    /// encrypted.
    Active(Option<u8>),
    /// It may be there: the device does not show it.
    Unproven,
}

impl KeyPlace {
    fn is_shown(self) -> bool {
        matches!(self, Self::Staged(_) | Self::Active(_))
    }
}

/// Knowledge of a pair: its records and the status of both channels.
struct Knowledge<'a> {
    pair: &'a EncryptorPair,
    status: [&'a ChannelStatus; 2],
    /// Records of keys whose rolls are not complete.
    open: Vec<&'a RollRecord>,
}

impl<'a> Knowledge<'a> {
    /// IDs of the keys of interrupted rolls, in the order in which they were taken.
    fn keys(&self) -> Vec<&'a KeyId> {
        keys_of(&self.open)
    }

    fn is_void(&self, key: &KeyId) -> bool {
        let is_void = |r: &&RollRecord| matches!(r, RollRecord::Void { key_id } if key_id == key);
        self.open.iter().any(is_void)
    }

    /// Whether a record says that the key may have reached an end.
    fn may_be_staged(&self, end: End, key: &KeyId) -> bool {
        let (mut is_begun, mut may_be) = (false, false);
        for record in self.open.iter().filter(|r| r.key_id() == key) {
            match record {
                _ if record.step() != Some((end, Step::Stage)) => {}
                RollRecord::Begun { .. } => {
                    // Of an attempt before, no outcome was written down.
                    may_be |= is_begun;
                    is_begun = true;
                }
                RollRecord::Failed {
                    may_have_changed: false,
                    ..
                } => is_begun = false,
                _ => may_be = true,
            }
        }
        may_be || is_begun
    }

    /// The last outcome of `confirm` at an end; `None` before the first one.
    fn confirmed(&self, end: End, key: &KeyId) -> Option<bool> {
        let outcome = |r: &&RollRecord| match r {
            _ if r.key_id() != key || r.step() != Some((end, Step::Confirm)) => None,
            RollRecord::Done { .. } => Some(true),
            RollRecord::NotConfirmed { .. } => Some(false),
            _ => None,
        };
        self.open.iter().rev().find_map(outcome)
    }

    fn is_confirmed_at_both(&self, key: &KeyId) -> bool {
        End::BOTH
            .iter()
            .all(|end| self.confirmed(*end, key) == Some(true))
    }

    fn encrypts_at_both(&self) -> bool {
        self.status
            .iter()
            .all(|s| s.state == ChannelState::Encrypting)
    }

    fn place(&self, end: End, key: &KeyId) -> KeyPlace {
        let status = self.status[end as usize];
        let may_be = self.may_be_staged(end, key);
        if !self.pair.end(end).keeps_previous() {
            let last = self
                .keys()
                .into_iter()
                .rev()
                .find(|k| self.may_be_staged(end, k));
            // The device shows no name. Its state proves that the key is in use only where the key
            // was confirmed and no later one can have replaced it.
            let is_proven =
                last == Some(key) && self.is_confirmed_at_both(key) && self.encrypts_at_both();
            return match may_be {
                false => KeyPlace::Absent,
                true if is_proven => KeyPlace::Active(None),
                true => KeyPlace::Unproven,
            };
        }
        // A device shows the bytes of a name only.
        let shows = |id: &KeyId| id.as_bytes() == key.as_bytes();
        let slot = status
            .slots
            .iter()
            .find(|s| s.key_id.as_ref().is_some_and(shows));
        match slot {
            Some(slot) if slot.active => KeyPlace::Active(Some(slot.number)),
            // The association that uses a key may not name it: it differs from those before only
            // by what `stage` returned.
            Some(_) if !self.pair.end(end).has_slots() && self.written(end, key).is_none() => {
                KeyPlace::Unproven
            }
            Some(slot) => KeyPlace::Staged(slot.number),
            // A slot that is not empty may have a name that the device does not report.
            None if may_be && status.slots.iter().any(|s| s.key_id.is_none()) => KeyPlace::Unproven,
            None => KeyPlace::Absent,
        }
    }

    fn places(&self, key: &KeyId) -> [KeyPlace; 2] {
        End::BOTH.map(|end| self.place(end, key))
    }

    /// Whether both ends show the key, and no confirmation of it has failed.
    fn is_usable(&self, key: &KeyId) -> bool {
        self.places(key).into_iter().all(KeyPlace::is_shown)
            && !self.is_void(key)
            && End::BOTH
                .iter()
                .all(|end| self.confirmed(*end, key) != Some(false))
    }

    /// Whether an end has another key than this one, which its roll deletes.
    fn has_key_to_retire(&self, end: End, place: KeyPlace) -> bool {
        let (KeyPlace::Staged(number) | KeyPlace::Active(Some(number))) = place else {
            return false;
        };
        // An end without slots cannot confirm again without another interruption of traffic, and
        // without both confirmations nothing is deleted: the next roll overwrites that slot.
        let confirms_again = !self.pair.any(|end| !end.keeps_previous());
        let mut slots = self.status[end as usize].slots.iter();
        confirms_again && self.pair.end(end).can_retire() && slots.any(|slot| slot.number != number)
    }

    /// The staged key, as `stage` returned it; `None` if that was not written down.
    fn written(&self, end: End, key: &KeyId) -> Option<&'a Staged> {
        self.open.iter().rev().find_map(|record| match record {
            RollRecord::Staged {
                key_id,
                end: at,
                staged,
            } if key_id == key && *at == end => Some(staged),
            _ => None,
        })
    }

    /// The staged key, as `stage` returned it, or as the device shows it.
    fn staged(&self, end: End, key: &KeyId, place: KeyPlace) -> Staged {
        let channel = self.pair.end(end).channel();
        let slot = match place {
            _ if !self.pair.end(end).has_slots() => None,
            KeyPlace::Staged(number) => Some(number),
            KeyPlace::Active(number) => number,
            KeyPlace::Absent | KeyPlace::Unproven => None,
        };
        match self.written(end, key) {
            Some(staged)
                if staged.slot == slot && staged.channel == *channel && staged.key_id == *key =>
            {
                staged.clone()
            }
            _ => Staged::new(channel.clone(), key.clone(), slot, "shown by the device"),
        }
    }

    fn forward(&self, key: &KeyId, lost: Vec<KeyId>) -> Recovery {
        let places = self.places(key);
        let is_active = |end: End| matches!(places[end as usize], KeyPlace::Active(_));
        let mut to_activate = self.pair.ends_to_activate();
        if self.pair.any(|end| end.capabilities().activate_both) {
            to_activate.retain(|end| !is_active(*end));
        } else if End::BOTH.into_iter().all(is_active) {
            to_activate.clear();
        }
        let to_retire = End::BOTH
            .into_iter()
            .filter(|end| self.has_key_to_retire(*end, places[*end as usize]));
        let planned = |step: Step| move |end: End| PlannedStep { end, step };
        let mut steps: Vec<PlannedStep> = Vec::new();
        let changes_traffic = !to_activate.is_empty();
        steps.extend(to_activate.into_iter().map(planned(Step::Activate)));
        let retiring: Vec<PlannedStep> = to_retire.map(planned(Step::Retire)).collect();
        if steps.is_empty()
            && retiring.is_empty()
            && self.is_confirmed_at_both(key)
            && self.encrypts_at_both()
        {
            return Recovery::Nothing {
                in_use: Some(key.clone()),
                lost,
            };
        }
        steps.extend(End::BOTH.map(planned(Step::Confirm)));
        steps.extend(retiring);
        // Each end still accepts the key with which the other sends.
        let is_interrupted = self.status.iter().any(|s| s.state == ChannelState::Failed);
        let outage = if changes_traffic {
            ExpectedOutage::declared_by(self.pair, is_interrupted)
        } else {
            ExpectedOutage::None
        };
        Recovery::Forward(Forward {
            key_id: key.clone(),
            lost,
            obstacles: obstacles(self.pair, self.status, &steps),
            steps,
            outage,
            pair: self.pair.clone(),
            staged: End::BOTH.map(|end| self.staged(end, key, places[end as usize])),
        })
    }
}

impl EncryptorPair {
    /// Finds the state that an interrupted roll has left, and what puts the pair in order: reads
    /// both channels, and changes nothing.
    ///
    /// `records` are those of the pair, in the order in which they were written; records of rolls
    /// that were completed may be among them. The process that wrote them must have ended. Without
    /// records of an interrupted roll the result is [`Recovery::Nothing`].
    ///
    /// # Errors
    /// Those of [`qkd_hal::Encryptor::channel`].
    pub async fn recovery(&self, records: &[RollRecord]) -> Result<RollState> {
        let status = self.read().await?;
        let [near, far] = &status;
        let known = Knowledge {
            pair: self,
            status: [near, far],
            open: open_records(records),
        };
        let keys = known.keys();
        let all_but = |one: Option<&KeyId>| {
            let others = keys.iter().filter(|key| Some(**key) != one);
            others.map(|key| (*key).clone()).collect::<Vec<_>>()
        };
        let is_nowhere = |key: &&KeyId| known.places(key) == [KeyPlace::Absent; 2];
        let recovery = if keys.iter().all(is_nowhere) {
            Recovery::Nothing {
                in_use: None,
                lost: all_but(None),
            }
        } else if let Some(key) = keys.iter().rev().find(|key| known.is_usable(key)) {
            known.forward(key, all_but(Some(key)))
        } else {
            let lost = all_but(None);
            let to_void = lost.iter().filter(|key| !known.is_void(key)).cloned();
            let to_void = to_void.collect();
            Recovery::FreshKey(Readiness::of(self, status.clone(), [lost, to_void]))
        };
        let [near, far] = EndStatus::both(self, status);
        Ok(RollState {
            near,
            far,
            recovery,
        })
    }
}

impl Forward {
    /// Checks that the steps can be carried out.
    ///
    /// # Errors
    /// The kind of the first obstacle. The message names all.
    pub fn check(&self) -> Result<()> {
        check(&self.obstacles)
    }

    /// Carries out the remaining steps. Ends at the first error.
    ///
    /// An observer that asks to stop ends it before the first step only, and the next recovery
    /// finds the same state.
    ///
    /// # Errors
    /// As [`check`](Self::check), before anything is sent; the error of the first failed step, with
    /// the progress in its message.
    pub async fn finish(self, observer: &mut dyn RollObserver) -> Result<RollOutcome> {
        self.check()?;
        if observer.is_stop_requested() {
            return Ok(RollOutcome::Stopped(StopPoint::NothingChanged));
        }
        let of = |step: Step| {
            let steps = self.steps.iter().filter(|s| s.step == step);
            steps.map(|s| s.end).collect::<Vec<_>>()
        };
        let [near, far] = &self.staged;
        let mut steps = Steps {
            pair: &self.pair,
            key_id: &self.key_id,
            observer,
        };
        let report = steps
            .complete([near, far], &of(Step::Activate), &of(Step::Retire))
            .await?;
        Ok(RollOutcome::Ended(Box::new(report)))
    }
}

impl Recovery {
    /// Returns the IDs of the keys that were taken and are never used again.
    #[must_use]
    pub fn lost(&self) -> &[KeyId] {
        match self {
            Self::Nothing { lost, .. } => lost,
            Self::Forward(forward) => &forward.lost,
            Self::FreshKey(readiness) => &readiness.lost,
        }
    }

    /// Puts the pair in order. `None` if there was nothing to do.
    ///
    /// Only [`FreshKey`](Self::FreshKey) takes a key.
    ///
    /// # Errors
    /// Those of [`Forward::finish`], of [`Readiness::ready`] and [`Roll::run`](crate::Roll::run),
    /// and of the source.
    pub async fn finish(
        self,
        source: &mut dyn KeySource,
        observer: &mut dyn RollObserver,
    ) -> Result<Option<RollOutcome>> {
        match self {
            Self::Nothing { in_use, lost } => {
                for key_id in lost {
                    observer.record(&RollRecord::Stopped { key_id }).await;
                }
                if let Some(key_id) = in_use {
                    observer.record(&RollRecord::Finished { key_id }).await;
                }
                Ok(None)
            }
            Self::Forward(forward) => forward.finish(observer).await.map(Some),
            Self::FreshKey(readiness) => {
                let roll = readiness.ready()?;
                if observer.is_stop_requested() {
                    return Ok(Some(RollOutcome::Stopped(StopPoint::NothingChanged)));
                }
                let [near, far] = source.take(roll.key_size()).await?;
                roll.run([&near, &far], observer).await.map(Some)
            }
        }
    }
}

impl fmt::Display for RollState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.recovery {
            // It prints both ends.
            Recovery::FreshKey(readiness) => {
                writeln!(f, "a fresh key replaces that of the interrupted roll")?;
                return write!(f, "{readiness}");
            }
            Recovery::Nothing { in_use, .. } => {
                let key = in_use.as_ref().map_or_else(
                    || "the key before the roll is in use".to_owned(),
                    |id| format!("the roll to key {id} is complete"),
                );
                writeln!(f, "nothing to do: {key}")?;
            }
            Recovery::Forward(forward) => {
                writeln!(f, "the roll is completed with its key {}", forward.key_id)?;
            }
        }
        writeln!(f, "near end: {}", self.near)?;
        write!(f, "far end: {}", self.far)?;
        for id in self.recovery.lost() {
            write!(f, "\nkey {id} is lost and is never used again")?;
        }
        if let Recovery::Forward(forward) = &self.recovery {
            write!(f, "\n{forward}")?;
            if let Some(warning) = clear_traffic([&self.near.status, &self.far.status]) {
                write!(f, "\n{warning}")?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for Forward {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "steps: {}\n{}", steps_text(&self.steps), self.outage)?;
        for obstacle in &self.obstacles {
            write!(f, "\ncannot start: {obstacle}")?;
        }
        Ok(())
    }
}
