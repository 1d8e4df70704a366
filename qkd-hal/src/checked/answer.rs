//! The check of an answer, after the driver was called.

use super::seen::Seen;
use crate::{
    DeviceMisbehaved, Effect, Error, ErrorKind, Health, Identity, Key, Request, Result,
    encryptor::{ChannelId, ChannelStatus, Confirmation, Staged, TrafficCounters},
    optics::{
        ApplyReport, Attenuation, CrossConnects, MonitorStatus, PortStatus,
        protection::{GroupId, ProtectionStatus},
    },
    parameter::ParameterValue,
    qkd::{KeyStore, ModuleStatus, Performance},
    reading::{Measured, Reading},
    request::Answer,
    text::printable,
    units::DecibelMilliwatts,
};
use std::fmt;
use zeroize::Zeroizing;

/// An answer that the check examines, on its own type: only layers need it as an outcome.
pub trait CheckedAnswer: Answer {
    /// Checks the answer to `request`, and marks readings that are physically impossible.
    ///
    /// # Errors
    /// `IdentityChanged`; `Misbehaved` if it cannot be the answer to the request.
    fn check(self, _seen: &Seen, _request: &Request<'_>) -> Result<Self> {
        Ok(self)
    }
}

macro_rules! any_value_is_possible {
    ($($answer:ty),* $(,)?) => {
        $(impl CheckedAnswer for $answer {})*
    };
}

any_value_is_possible!(
    (),
    Health,
    ParameterValue,
    ModuleStatus,
    KeyStore,
    Vec<ChannelId>,
    TrafficCounters,
    Measured<CrossConnects>,
    ApplyReport,
    Attenuation,
    Vec<GroupId>,
);

impl CheckedAnswer for Identity {
    fn check(self, seen: &Seen, _: &Request<'_>) -> Result<Self> {
        seen.check_identity(&self)?;
        Ok(self)
    }
}

impl CheckedAnswer for Vec<Reading> {
    fn check(self, _: &Seen, _: &Request<'_>) -> Result<Self> {
        let all = self.into_iter().map(Reading::within_physical_range);
        Ok(all.collect())
    }
}

impl CheckedAnswer for Vec<Measured<DecibelMilliwatts>> {
    fn check(self, _: &Seen, request: &Request<'_>) -> Result<Self> {
        if let Request::Power { ports } = request
            && self.len() != ports.len()
        {
            let what = format!("{} powers of {} ports came", self.len(), ports.len());
            return Err(of_another_request(request, &what));
        }
        let all = self.into_iter().map(Measured::within_physical_range);
        Ok(all.collect())
    }
}

impl CheckedAnswer for Performance {
    fn check(self, _: &Seen, _: &Request<'_>) -> Result<Self> {
        check_qber(&self)?;
        Ok(self)
    }
}

impl CheckedAnswer for Vec<Key> {
    fn check(self, seen: &Seen, request: &Request<'_>) -> Result<Self> {
        check_keys(seen, request, &self)?;
        Ok(self)
    }
}

impl CheckedAnswer for Zeroizing<Vec<u8>> {
    fn check(self, _: &Seen, request: &Request<'_>) -> Result<Self> {
        check_length(request, &self)?;
        Ok(self)
    }
}

impl CheckedAnswer for Measured<ProtectionStatus> {
    fn check(mut self, _: &Seen, request: &Request<'_>) -> Result<Self> {
        if let Request::ProtectionStatus { group } = request {
            check_same(request, "group", &self.value.group, group)?;
        }
        check_paths(&mut self.value)?;
        Ok(self)
    }
}

impl CheckedAnswer for Vec<PortStatus> {
    fn check(self, _: &Seen, request: &Request<'_>) -> Result<Self> {
        match request {
            // No port means all ports.
            Request::Ports { ports }
                if !ports.is_empty() && !self.iter().map(|s| s.port).eq(ports.iter().copied()) =>
            {
                let what = "the ports are not those that were requested";
                Err(of_another_request(request, what))
            }
            _ => Ok(self),
        }
    }
}

impl CheckedAnswer for MonitorStatus {
    fn check(self, _: &Seen, request: &Request<'_>) -> Result<Self> {
        if let Request::Monitor { port } = request {
            check_same(request, "port", &self.port, port)?;
        }
        Ok(self)
    }
}

impl CheckedAnswer for ChannelStatus {
    fn check(self, _: &Seen, request: &Request<'_>) -> Result<Self> {
        if let Request::Channel { channel } = request {
            check_same(request, "channel", &self.channel, channel)?;
        }
        Ok(self)
    }
}

impl CheckedAnswer for Staged {
    fn check(self, _: &Seen, request: &Request<'_>) -> Result<Self> {
        if let Request::Stage { channel, key } = request {
            check_same(request, "channel", &self.channel, channel)?;
            check_same(request, "key", &self.key_id, key.id())?;
        }
        Ok(self)
    }
}

impl CheckedAnswer for Confirmation {
    /// Only a key that was confirmed has consequences: the one before it may be deleted.
    fn check(self, _: &Seen, request: &Request<'_>) -> Result<Self> {
        match (request, self.clone().confirmed()) {
            (Request::Confirm { staged, .. }, Ok(confirmed)) if confirmed.staged() != &**staged => {
                let what = "the confirmed key is not the staged one";
                Err(of_another_request(request, what))
            }
            _ => Ok(self),
        }
    }
}

/// The error of an answer that does not belong to its request.
fn of_another_request(request: &Request<'_>, what: &str) -> Error {
    Error::misbehaved(DeviceMisbehaved::ReplyForAnotherRequest, what)
        .with_effect(request.operation().effect_without_answer())
}

/// The most characters of a name that an error shows.
const LONGEST_NAME: usize = 80;

/// Checks that the answer is about what was asked.
fn check_same<T: PartialEq + fmt::Display>(
    request: &Request<'_>,
    what: &str,
    answered: &T,
    asked: &T,
) -> Result<()> {
    if answered == asked {
        return Ok(());
    }
    let answered = answered.to_string();
    let answered = printable(&answered, LONGEST_NAME);
    let what = format!("the answer is about {what} `{answered}` and not about `{asked}`");
    Err(of_another_request(request, &what))
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

fn check_length(request: &Request<'_>, bytes: &[u8]) -> Result<()> {
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
