//! Reading a device of any kind.

use crate::{
    case_context::CaseContext,
    case_outcome::{NotPassed, not_applicable},
};
use qkd_driver_kit::OpenedDevice;
use qkd_hal::{
    Error, ErrorKind, Operation as Op, Outcome, Request, Result, Support,
    request::{Caller, RandomBytes},
};
use std::{borrow::Cow, time::Duration};
use tokio::time::Instant;

/// Reads the device once. Returns a text that stays the same while the device is not changed.
///
/// # Errors
/// `NotApplicable` for a device without a suitable reading.
pub(crate) async fn stable_reading(
    b: &CaseContext,
    opened: &OpenedDevice,
) -> Result<String, NotPassed> {
    try_steady(b, opened).await?.map_err(NotPassed::from)
}

/// As [`stable_reading`], but returns the error of a reading that failed.
pub(crate) async fn try_steady(
    b: &CaseContext,
    opened: &OpenedDevice,
) -> Result<Result<String>, NotPassed> {
    let can = |op| opened.device().capabilities().supports(op) == Support::Applied;
    if can(Op::Connections) {
        let switch = opened.switch()?;
        return Ok(b
            .call(Op::Connections, switch.connections())
            .await
            .map(|now| now.value.to_string()));
    }
    if can(Op::Channels) {
        let encryptor = opened.encryptor()?;
        return Ok(b
            .call(Op::Channels, encryptor.channels())
            .await
            .map(|all| format!("{all:?}")));
    }
    if can(Op::KeyStore) {
        let module = opened.module()?;
        let sizes = b.call(Op::KeyStore, module.key_store()).await;
        return Ok(sizes.map(|s| {
            format!(
                "{:?}",
                (
                    s.capacity,
                    s.key_size,
                    s.min_key_size,
                    s.max_key_size,
                    s.max_per_request
                )
            )
        }));
    }
    if can(Op::ModuleStatus) {
        let module = opened.module()?;
        return Ok(b
            .call(Op::ModuleStatus, module.status())
            .await
            .map(|s| format!("{s:?}")));
    }
    if can(Op::Health) {
        let device = opened.device();
        return Ok(b
            .call(Op::Health, device.health())
            .await
            .map(|h| format!("{h:?}")));
    }
    not_applicable("it cannot be asked anything")
}

/// Calls every declared read operation in order. The driver selects the transport.
pub(crate) async fn read_all(b: &CaseContext, opened: &OpenedDevice) -> Vec<(Op, Result<()>)> {
    let mut all = Vec::new();
    for op in Op::ALL.iter().copied().filter(|op| {
        !op.is_mutating() && opened.device().capabilities().supports(*op) != Support::Unsupported
    }) {
        if let Some(result) = read(b, opened, op).await {
            all.push((op, result));
        }
    }
    all
}

/// Calls one read operation; `None` for one that needs an earlier reading (`confirm`), or an item
/// that the device does not have.
pub(crate) async fn read(b: &CaseContext, opened: &OpenedDevice, op: Op) -> Option<Result<()>> {
    let request = request(opened, op).await?;
    Some(call(b, opened, &request).await)
}

/// Makes a call whose value is not needed; random bytes are handed to the search for secrets.
///
/// # Errors
/// Those of the call.
pub(crate) async fn call(
    b: &CaseContext,
    opened: &OpenedDevice,
    request: &Request<'_>,
) -> Result<()> {
    let outcome = b.call(request.operation(), opened.call(request)).await?;
    if let Outcome::Random(RandomBytes::Present(bytes)) = outcome {
        b.secret(&bytes);
    }
    Ok(())
}

/// Returns the request of a read operation, with the first item that the device has as its
/// argument; `None` for one that needs an earlier reading (`confirm`), or an item that the device
/// does not have.
pub(crate) async fn request(opened: &OpenedDevice, op: Op) -> Option<Request<'static>> {
    let device = opened.device();
    // The channels of a closed or unresponsive device are unknown; an undeclared operation needs
    // none.
    let declared = device.capabilities().supports(op) != Support::Unsupported;
    let channel = async || {
        let encryptor = opened.encryptor().ok()?;
        let all = if declared {
            encryptor.channels().await.unwrap_or_default()
        } else {
            Vec::new()
        };
        let first = all.into_iter().next();
        Some(Cow::Owned(first.unwrap_or_else(|| "none".into())))
    };
    Some(match op {
        Op::Identity => Request::Identity,
        Op::Health => Request::Health,
        Op::Telemetry => Request::Telemetry,
        Op::GetParameter => {
            let spec = device.parameters().iter().find(|p| p.readable)?;
            Request::GetParameter {
                name: Cow::Owned(spec.name.to_string()),
            }
        }
        Op::ModuleStatus => opened.module().ok().map(|_| Request::ModuleStatus)?,
        Op::Performance => opened.module().ok().map(|_| Request::Performance)?,
        Op::KeyStore => opened.module().ok().map(|_| Request::KeyStore)?,
        Op::Channels => opened.encryptor().ok().map(|_| Request::Channels)?,
        Op::Channel => Request::Channel {
            channel: channel().await?,
        },
        Op::Counters => Request::Counters {
            channel: channel().await?,
        },
        Op::Connections => opened.switch().ok().map(|_| Request::Connections)?,
        Op::Ports => opened.switch().ok().map(|_| Request::Ports {
            ports: Cow::Borrowed(&[]),
        })?,
        Op::Power => {
            let meter = opened.power_meter().ok()?;
            let monitors = meter.meter_capabilities().monitors.iter().copied();
            Request::Power {
                ports: monitors.collect(),
            }
        }
        Op::Monitor => {
            let meter = opened.power_meter().ok()?;
            let port = *meter.meter_capabilities().monitors.iter().next()?;
            Request::Monitor { port }
        }
        Op::Attenuation => {
            let attenuator = opened.attenuator().ok()?;
            let port = *attenuator.attenuator_capabilities().ports.iter().next()?;
            Request::Attenuation { port }
        }
        Op::ProtectionGroups => opened
            .protection()
            .ok()
            .map(|_| Request::ProtectionGroups)?,
        Op::ProtectionStatus => {
            let protection = opened.protection().ok()?;
            let group = protection.groups().await.ok()?.into_iter().next()?;
            Request::ProtectionStatus {
                group: Cow::Owned(group),
            }
        }
        Op::Random => opened
            .random()
            .ok()
            .map(|_| Request::Random { length: 32 })?,
        _ => return None,
    })
}

/// The time that devices take for what takes time: ten minutes of virtual time, or one on the wall.
pub(crate) fn settle_timeout(b: &CaseContext) -> Duration {
    Duration::from_secs(if b.session.dut.target_kind().has_wall_time() {
        60
    } else {
        600
    })
}

/// Returns the interval between two polls.
pub(crate) fn pause(b: &CaseContext) -> Duration {
    Duration::from_millis(if b.session.dut.target_kind().has_wall_time() {
        50
    } else {
        500
    })
}

/// Whether something becomes so, within [`patience`].
///
/// # Errors
/// Those of the question.
pub(crate) async fn until<F: Future<Output = Result<bool>>>(
    b: &CaseContext,
    question: impl Fn() -> F,
) -> Result<bool, NotPassed> {
    let (end, pause) = (Instant::now() + settle_timeout(b), pause(b));
    loop {
        match question().await {
            Ok(true) => return Ok(true),
            Ok(false) => {}
            Err(error) if error.kind() == ErrorKind::NotReady => {}
            Err(error) => return Err(error.into()),
        }
        if Instant::now() >= end {
            return Ok(false);
        }
        tokio::time::sleep(pause).await;
    }
}

/// Whether an error has one of the kinds that a wire's fault may have: typed, and a reading's.
pub(crate) fn is_transport_error(error: &Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::Timeout
            | ErrorKind::Transport(_)
            | ErrorKind::Misbehaved(_)
            | ErrorKind::Unreachable
    )
}
