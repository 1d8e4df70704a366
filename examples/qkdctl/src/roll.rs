//! Rolling a pair of encryptors over to a fresh key.

use qkd_hal::{
    Effect, Encryptor, Error, ErrorKind, Key, Operation, Result, Support,
    encryptor::{ChannelId, Confirmation, Staged},
    units::Bits,
};
use serde::Serialize;

/// One end of a pair.
#[derive(Clone, Copy)]
pub(crate) struct End<'a> {
    pub(crate) encryptor: &'a dyn Encryptor,
    pub(crate) channel: &'a ChannelId,
}

/// How a roll ended.
#[derive(Debug, Serialize)]
pub(crate) struct Rolled {
    pub(crate) key_id: qkd_hal::KeyId,
    pub(crate) hitless: bool,
    pub(crate) near: Confirmation,
    pub(crate) far: Confirmation,
    pub(crate) retired: bool,
}

/// The only channel of a box, or the one named.
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
            "the box has several channels; name one of: {}",
            known()
        ))),
    }
}

/// The greatest key size that both boxes take.
pub(crate) fn common_size(near: &dyn Encryptor, far: &dyn Encryptor) -> Option<Bits> {
    let far = &far.encryptor_capabilities().key_sizes;
    near.encryptor_capabilities()
        .key_sizes
        .iter()
        .filter(|s| far.contains(s))
        .max_by_key(|s| s.0)
        .copied()
}

/// Whether both boxes may go all the way, before a key is spent on it.
///
/// # Errors
/// `AssumptionNotAccepted`, naming all that would stop the roll in the middle.
pub(crate) fn ready(near: &dyn Encryptor, far: &dyn Encryptor) -> Result<()> {
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
            .filter(|a| a.operations.iter().any(needed) && !descriptor.accepted.contains(a.id))
            .collect();
        if !missing.is_empty() {
            let told: Vec<_> = missing
                .iter()
                .map(|a| format!("`{}`: {}", a.id, a.statement))
                .collect();
            let what = format!(
                "a roll rests on assumptions that were not accepted, and no key was taken: {}",
                told.join(" ")
            );
            return Err(Error::new(ErrorKind::AssumptionNotAccepted, what)
                .on(descriptor.uri.as_str())
                .during("roll"));
        }
    }
    Ok(())
}

/// Stage on both ends, activate, confirm on both, retire. Stops at the first error.
///
/// # Errors
/// The first step's that failed; `InvalidInput` if the keys are no twins, before anything is sent to the boxes.
pub(crate) async fn roll(
    near: End<'_>,
    far: End<'_>,
    near_key: &Key,
    far_key: &Key,
) -> Result<Rolled> {
    if near_key != far_key {
        return Err(Error::invalid(format!(
            "the keys {} and {} are not the same: the QKD modules are not a pair, or one misbehaved",
            near_key.id(),
            far_key.id()
        )));
    }
    let staged: [Staged; 2] = [
        near.encryptor.stage(near.channel, near_key).await?,
        far.encryptor
            .stage(far.channel, far_key)
            .await
            .map_err(|e| after("the first end has the new key staged", e))?,
    ];
    near.encryptor.activate(&staged[0]).await.map_err(|e| {
        after(
            "both ends have the new key staged, neither was activated before",
            e,
        )
    })?;
    if near.encryptor.encryptor_capabilities().activate_both {
        far.encryptor
            .activate(&staged[1])
            .await
            .map_err(|e| after("the first end was activated, the second was not", e))?;
    }
    let confirmations = [
        near.encryptor
            .confirm(&staged[0])
            .await
            .map_err(|e| after("the new key was activated", e))?,
        far.encryptor
            .confirm(&staged[1])
            .await
            .map_err(|e| after("the new key was activated", e))?,
    ];
    let confirmed = confirmations.iter().all(|c| c.confirmed);
    let mut retired = false;
    // The key before is the way back: it goes only once the new one protects traffic on both ends.
    if confirmed {
        for (end, staged) in [near, far].into_iter().zip(&staged) {
            match end.encryptor.retire(staged).await {
                Ok(()) => retired = true,
                Err(e) if e.kind() == ErrorKind::Unsupported => {}
                Err(e) => {
                    return Err(after(
                        "the new key protects traffic; the one before was not retired",
                        e,
                    ));
                }
            }
        }
    }
    let hitless = near.encryptor.encryptor_capabilities().hitless
        && far.encryptor.encryptor_capabilities().hitless;
    let [near, far] = confirmations;
    Ok(Rolled {
        key_id: near_key.id().clone(),
        hitless,
        near,
        far,
        retired,
    })
}

/// Says how far a change had come: what was done before stands, so that it was made in part even where the failed step did nothing.
pub(crate) fn after(so_far: &str, error: Error) -> Error {
    let effect = match error.effect_on_device() {
        Effect::None => Effect::Partial,
        more => more,
    };
    let mut new =
        Error::new(error.kind(), format!("{} ({so_far})", error.message())).effect(effect);
    if let Some(device) = error.device() {
        new = new.on(device);
    }
    if let Some(operation) = error.operation() {
        new = new.during(operation);
    }
    new.caused_by(error)
}
