//! Rolling a pair of encryptors over to a fresh key.

use crate::{
    interrupt::Guard,
    journal::{self, Entry},
    output,
};
use qkd_hal::{
    DeviceUri, Effect, Encryptor, Error, ErrorKind, Key, KeyId, Operation, Result, Support,
    encryptor::{ChannelId, ChannelStatus, Confirmation, Confirmed, Staged, Staging},
    units::Bits,
};
use serde::Serialize;
use std::{collections::BTreeMap, fmt};

/// The operation of a roll as a whole in the journal.
pub(crate) const ROLL: &str = "roll";

/// One end of a pair.
#[derive(Clone, Copy)]
pub(crate) struct RollEnd<'a> {
    pub(crate) encryptor: &'a dyn Encryptor,
    pub(crate) channel: &'a ChannelId,
}

/// A roll on behalf of a person: its steps go into the journal, and a signal ends it between two
/// steps. A demonstration has no such company.
#[derive(Clone, Copy)]
pub(crate) struct Company<'a> {
    pub(crate) guard: &'a Guard,
    /// The addresses of both ends.
    pub(crate) uris: [&'a DeviceUri; 2],
}

/// Result of a roll.
#[derive(Debug)]
pub(crate) struct RollReport {
    pub(crate) key_id: KeyId,
    pub(crate) near: Confirmation,
    pub(crate) far: Confirmation,
    pub(crate) retired: bool,
}

/// Progress of a roll.
#[derive(Debug)]
pub(crate) enum Reached {
    /// No encryptor was touched.
    NothingStaged,
    /// The first end has the new key staged, and was not activated: the old one is active.
    NearStaged,
    /// The roll was completed.
    End(Box<RollReport>),
}

/// A roll that did not end: its program was killed.
#[derive(Debug, Serialize)]
pub(crate) struct CutRoll {
    /// When it began, RFC 3339.
    pub(crate) begun_at: String,
    /// The keys that it took.
    pub(crate) key_ids: Vec<String>,
    /// Steps of the roll in order.
    pub(crate) steps: Vec<CutStep>,
}

/// A step of a roll that did not end.
#[derive(Debug, Serialize)]
pub(crate) struct CutStep {
    pub(crate) operation: String,
    pub(crate) device: String,
    /// Result of the roll; `begun` if the journal contains none.
    pub(crate) outcome: String,
}

impl fmt::Display for CutStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}: {}", self.operation, self.device, self.outcome)
    }
}

/// The address of a device in the journal: its URI without parameters.
fn address(uri: &str) -> &str {
    uri.split('?').next().unwrap_or(uri)
}

/// The journal's detail of a roll of this pair.
pub(crate) fn detail(uris: [&DeviceUri; 2], [near, far]: [RollEnd<'_>; 2]) -> String {
    let peer = uris[1].to_string();
    format!(
        "with {}, channels {} and {}",
        address(&peer),
        near.channel,
        far.channel
    )
}

/// Returns the last roll of this pair, if it did not end.
pub(crate) fn cut_before(uris: [&DeviceUri; 2], ends: [RollEnd<'_>; 2]) -> Option<CutRoll> {
    let lines = journal::read();
    let (device, detail) = (uris[0].to_string(), detail(uris, ends));
    let last = lines.iter().rposition(|line| {
        line.operation == ROLL && address(&line.device) == address(&device) && line.detail == detail
    })?;
    let begun = &lines[last];
    if !begun.is_begun() {
        return None;
    }
    let mut steps: Vec<CutStep> = Vec::new();
    let mut key_ids = BTreeMap::new();
    for line in lines[last + 1..]
        .iter()
        .filter(|line| line.invocation == begun.invocation)
    {
        key_ids.extend(line.key_ids.iter().map(|id| (id.clone(), ())));
        let device = address(&line.device);
        match steps.last_mut() {
            Some(step) if step.operation == line.operation && step.device == device => {
                step.outcome.clone_from(&line.outcome);
            }
            _ => steps.push(CutStep {
                operation: line.operation.clone(),
                device: device.to_owned(),
                outcome: line.outcome.clone(),
            }),
        }
    }
    Some(CutRoll {
        begun_at: begun.at.clone(),
        key_ids: key_ids.into_keys().collect(),
        steps,
    })
}

/// Returns the status of a channel in one line.
pub(crate) fn describe(status: &ChannelStatus) -> String {
    let slots: Vec<String> = status
        .slots
        .iter()
        .map(|slot| {
            let key = slot
                .key_id
                .as_ref()
                .map_or_else(|| "empty".to_owned(), |id| format!("key {id}"));
            let active = if slot.active { ", active" } else { "" };
            format!("slot {}: {key}{active}", slot.number)
        })
        .collect();
    let state = output::serde_name(status.state);
    let all: Vec<String> = std::iter::once(state).chain(slots).collect();
    all.join("; ")
}

/// The only channel of an encryptor, or the one named.
pub(crate) async fn channel(encryptor: &dyn Encryptor, named: Option<&str>) -> Result<ChannelId> {
    let channels = encryptor.channels().await?;
    let known = || {
        channels
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join(", ")
    };
    match (named, channels.as_slice()) {
        (Some(name), all) => all.iter().find(|c| c.0 == name).cloned().ok_or_else(|| {
            Error::new(
                ErrorKind::NotFound,
                format!("there is no channel `{name}`; there are: {}", known()),
            )
        }),
        (None, [one]) => Ok(one.clone()),
        (None, _) => Err(Error::invalid(format!(
            "the encryptor has several channels; name one of: {}",
            known()
        ))),
    }
}

/// The largest key that a roll asks for where an encryptor takes larger ones: what AES and MACsec
/// use.
const LARGEST_KEY: Bits = Bits(256);

/// The largest key size that both encryptors take, at most 256 bits.
pub(crate) fn common_size(near: &dyn Encryptor, far: &dyn Encryptor) -> Option<Bits> {
    let far = &far.encryptor_capabilities().key_sizes;
    let near = &near.encryptor_capabilities().key_sizes;
    near.largest_common(far, LARGEST_KEY)
}

/// Checks that both encryptors can perform every step of the roll, before a key is consumed.
///
/// # Errors
/// `AssumptionNotAccepted`, with all assumptions that would stop the roll.
pub(crate) fn check_assumptions(near: &dyn Encryptor, far: &dyn Encryptor) -> Result<()> {
    let both = near.encryptor_capabilities().activate_both;
    for (end, activates) in [(near, true), (far, both)] {
        let descriptor = end.descriptor();
        let needed = |op: &Operation| {
            let part = matches!(
                op,
                Operation::Stage | Operation::Confirm | Operation::Retire
            ) || *op == Operation::Activate && activates;
            part && end.capabilities().supports(*op) != Support::Unsupported
        };
        let missing: Vec<_> = descriptor
            .assumptions
            .iter()
            .filter(|a| a.operations.iter().any(needed) && !descriptor.accepted.contains(&*a.id))
            .collect();
        if !missing.is_empty() {
            let reported: Vec<_> = missing
                .iter()
                .map(|a| format!("`{}`: {}", a.id, a.statement))
                .collect();
            let what = format!(
                "a roll rests on assumptions that were not accepted, and no key was taken: {}",
                reported.join(" ")
            );
            return Err(Error::new(ErrorKind::AssumptionNotAccepted, what)
                .with_device(descriptor.uri.as_str())
                .with_operation("roll"));
        }
    }
    Ok(())
}

/// Makes the steps of a roll, with their lines in the journal.
struct Steps<'a> {
    company: Option<Company<'a>>,
    ends: [RollEnd<'a>; 2],
    key: &'a KeyId,
}

impl Steps<'_> {
    fn is_interrupted(&self) -> bool {
        self.company.is_some_and(|c| c.guard.signal().is_some())
    }

    /// A step at the end of this place.
    async fn run<T>(
        &self,
        place: usize,
        operation: Operation,
        call: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        let Some(company) = self.company else {
            return call.await;
        };
        let detail = format!("channel {}", self.ends[place].channel);
        Entry::new(company.uris[place], operation.name(), detail)
            .with_keys([self.key])
            .run(call)
            .await
    }
}

/// Stages on both ends, activates, confirms on both, retires. Ends at the first error.
///
/// A signal ends the roll before the first end is changed, and after the staging of the first end
/// if the old key stays active. Later, the roll is completed: both ends hold the new key.
///
/// # Errors
/// The error of the first failed step; `InvalidInput` if the two keys are not equal, before
/// anything is sent to the encryptors.
pub(crate) async fn roll(
    ends: [RollEnd<'_>; 2],
    [near_key, far_key]: [&Key; 2],
    company: Option<Company<'_>>,
) -> Result<Reached> {
    let [near, far] = ends;
    if near_key != far_key {
        return Err(Error::invalid(format!(
            "the keys {} and {} are not the same: the QKD modules are not a pair, or one \
             misbehaved",
            near_key.id(),
            far_key.id()
        )));
    }
    let steps = Steps {
        company,
        ends,
        key: near_key.id(),
    };
    if steps.is_interrupted() {
        return Ok(Reached::NothingStaged);
    }
    let staging = near.encryptor.stage(near.channel, near_key);
    let near_staged: Staged = steps.run(0, Operation::Stage, staging).await?;
    // The active secret was overwritten and cannot be restored: the far end must get the same one.
    let overwrites = near.encryptor.encryptor_capabilities().staging == Staging::Overwrite;
    if steps.is_interrupted() && !overwrites {
        return Ok(Reached::NearStaged);
    }
    let staging = far.encryptor.stage(far.channel, far_key);
    let far_staged = steps
        .run(1, Operation::Stage, staging)
        .await
        .map_err(|e| with_progress("the first end has the new key staged", e))?;
    let activating = near.encryptor.activate(&near_staged);
    steps
        .run(0, Operation::Activate, activating)
        .await
        .map_err(|e| {
            with_progress(
                "both ends have the new key staged, neither was activated before",
                e,
            )
        })?;
    if near.encryptor.encryptor_capabilities().activate_both {
        let activating = far.encryptor.activate(&far_staged);
        steps
            .run(1, Operation::Activate, activating)
            .await
            .map_err(|e| with_progress("the first end was activated, the second was not", e))?;
    }
    let both = [(near, near_staged), (far, far_staged)];
    let mut confirmations = Vec::with_capacity(both.len());
    for (place, (end, staged)) in both.iter().enumerate() {
        let confirming = end.encryptor.confirm(staged);
        let confirmation = steps
            .run(place, Operation::Confirm, confirming)
            .await
            .map_err(|e| with_progress("the new key was activated", e))?;
        confirmations.push(confirmation);
    }
    let proofs: Vec<Confirmed> = confirmations
        .iter()
        .filter_map(|c| c.clone().confirmed().ok())
        .collect();
    let mut retired = false;
    // Keep the old key as fallback until both ends confirm the new one.
    if proofs.len() == both.len() {
        for (place, ((end, _), confirmed)) in both.iter().zip(&proofs).enumerate() {
            let retiring = end.encryptor.retire(confirmed);
            match steps.run(place, Operation::Retire, retiring).await {
                Ok(()) => retired = true,
                Err(e) if e.kind() == ErrorKind::Unsupported => {}
                Err(e) => {
                    return Err(with_progress(
                        "the new key protects traffic; the one before was not retired",
                        e,
                    ));
                }
            }
        }
    }
    let [near, far] = <[Confirmation; 2]>::try_from(confirmations)
        .map_err(|_| Error::new(ErrorKind::Internal, "a pair has two ends"))?;
    Ok(Reached::End(Box::new(RollReport {
        key_id: near_key.id().clone(),
        near,
        far,
        retired,
    })))
}

/// Adds the progress of a change to an error: completed steps are not reverted, so the effect is
/// partial even if the failed step had none.
pub(crate) fn with_progress(so_far: &str, error: Error) -> Error {
    let effect = match error.effect() {
        Effect::None => Effect::Partial,
        more => more,
    };
    let mut new =
        Error::new(error.kind(), format!("{} ({so_far})", error.message())).with_effect(effect);
    if let Some(device) = error.device() {
        new = new.with_device(device);
    }
    if let Some(operation) = error.operation() {
        new = new.with_operation(operation.to_owned());
    }
    new.with_source(error)
}
