//! The check of what a driver returned.

use super::seen::Seen;
use crate::{
    DeviceMisbehaved, Effect, Error, ErrorKind, Key, Outcome, Request, Result,
    optics::protection::ProtectionStatus,
    qkd::Performance,
    reading::{Measured, Reading},
    request::{Keys, RandomBytes},
};

/// Checks an outcome, and marks readings that are physically impossible.
///
/// # Errors
/// `IdentityChanged`; `Misbehaved` if the outcome cannot be that of the request.
pub(super) fn check(seen: &Seen, request: &Request<'_>, outcome: Outcome) -> Result<Outcome> {
    Ok(match outcome {
        Outcome::Identity(found) => {
            seen.check_identity(&found)?;
            Outcome::Identity(found)
        }
        Outcome::Telemetry(all) => {
            let all = all.into_iter().map(Reading::within_physical_range);
            Outcome::Telemetry(all.collect())
        }
        Outcome::Performance(performance) => {
            check_qber(&performance)?;
            Outcome::Performance(performance)
        }
        Outcome::Keys(Keys::Present(keys)) => {
            check_keys(seen, request, &keys)?;
            Outcome::Keys(Keys::Present(keys))
        }
        Outcome::Random(bytes) => {
            check_length(request, &bytes)?;
            Outcome::Random(bytes)
        }
        Outcome::Power(all) => {
            let all = all.into_iter().map(Measured::within_physical_range);
            Outcome::Power(all.collect())
        }
        Outcome::ProtectionStatus(mut status) => {
            check_paths(&mut status.value)?;
            Outcome::ProtectionStatus(status)
        }
        other => other,
    })
}

fn check_qber(performance: &Performance) -> Result<()> {
    match &performance.qber {
        Some(qber) if !(0.0..=1.0).contains(&qber.value.0) => Err(Error::misbehaved(
            DeviceMisbehaved::QberOutOfRange,
            format!(
                "the device reports a QBER of {}, which is not within 0 to 1",
                qber.value
            ),
        )),
        _ => Ok(()),
    }
}

fn void(what: DeviceMisbehaved, message: String) -> Error {
    Error::misbehaved(
        what,
        format!("{message}; the whole batch is void, and so are its twins"),
    )
    .with_effect(Effect::Unknown)
}

/// Checks that the keys are those that were requested, and that none was delivered before.
fn check_keys(seen: &Seen, request: &Request<'_>, keys: &[Key]) -> Result<()> {
    match request {
        Request::TakeKeys { request } => {
            if keys.len() as u64 != u64::from(request.count) {
                let what = format!(
                    "{} keys were asked for and {} came",
                    request.count,
                    keys.len()
                );
                return Err(void(DeviceMisbehaved::WrongKeyCount, what));
            }
            if let Some(size) = request.size
                && let Some(other) = keys.iter().find(|key| key.size() != size)
            {
                let what = format!(
                    "keys of {size} were asked for, and {} has {}",
                    other.id(),
                    other.size()
                );
                return Err(void(DeviceMisbehaved::WrongKeySize, what));
            }
        }
        Request::TakeKeysById { ids } if !keys.iter().map(Key::id).eq(ids.iter()) => {
            return Err(void(
                DeviceMisbehaved::WrongKeyCount,
                "the keys that came are not those asked for".to_owned(),
            ));
        }
        _ => {}
    }
    match seen.delivered_before(keys) {
        None => Ok(()),
        Some(again) => Err(void(
            DeviceMisbehaved::KeyIdReused,
            format!("key id {} had been delivered before", again.id()),
        )),
    }
}

fn check_length(request: &Request<'_>, bytes: &RandomBytes) -> Result<()> {
    match request {
        Request::Random { length } if bytes.len() != *length => Err(Error::new(
            ErrorKind::Internal,
            format!(
                "{length} bytes were asked for and the driver gave {}",
                bytes.len()
            ),
        )),
        _ => Ok(()),
    }
}

fn check_paths(status: &mut ProtectionStatus) -> Result<()> {
    for path in &mut status.paths {
        path.power = path.power.map(Measured::within_physical_range);
    }
    status
        .path(&status.active.path)
        .map(drop)
        .map_err(|e| Error::misbehaved(DeviceMisbehaved::ValueOutOfRange, e.message()))
}
