//! Shared code of drivers of optical switches.
//!
//! - [`Protocol`] and [`TransportConfig`]: for a family whose state can be queried and that takes
//!   one step per command. A driver implements three methods; the kit provides the device.
//! - [`apply`] over a [`SwitchBackend`]: only the sequence of
//!   [`OpticalSwitch::apply`](qkd_switch_hal::OpticalSwitch::apply), for other devices.

pub mod position;
mod settling;
mod switch;
mod transport;

pub use settling::Settling;
pub use switch::{Protocol, Switch};
pub use transport::{FLOW_PARAMETER, SwitchCall, SwitchConnection, TransportConfig, flow_control};

use crate::change_lock::ChangeLock;
use async_trait::async_trait;
use qkd_hal::{DeviceMisbehaved, Effect, Error, ErrorKind, Identity, Result};
use qkd_switch_hal::{ApplyReport, CrossConnects, Fingerprint, Plan, Step};
use settling::SettleResult;
use tokio::time::Instant;

/// Operations that a driver of a readable switch provides.
#[async_trait]
pub trait SwitchBackend: Send + Sync {
    /// The present state, read from the device.
    async fn read(&self) -> Result<CrossConnects>;
    /// Carries out some consecutive steps; returns how many it sent before it failed, if it failed.
    /// Steps that go in one command count together.
    async fn run(&self, steps: &[Step]) -> Result<(), (usize, Error)>;
    /// Returns how long after a step [`read`](Self::read) may still return the old state. No I/O.
    fn settling(&self) -> Settling {
        Settling::NONE
    }
}

/// Carries out a plan, when it is its turn: refuses another device's plan, reads again, runs the
/// steps, reads back until the device has settled, compares. Ends by `until`.
///
/// # Errors
/// As [`OpticalSwitch::apply`](qkd_switch_hal::OpticalSwitch::apply); `Timeout` with effect `None`
/// if its turn did not come.
pub async fn apply(
    backend: &dyn SwitchBackend,
    identity: &Identity,
    plan: &Plan,
    turns: &ChangeLock,
    until: Instant,
) -> Result<ApplyReport> {
    let begun = Instant::now();
    let _turn = turns.lock(until).await?;
    plan.check_device(identity)?;
    let before = backend.read().await?;
    plan.check(&before)?;
    let wanted = plan.expected_state(&before)?;
    if plan.is_empty() {
        return Ok(ApplyReport::new(0, true, begun.elapsed()));
    }
    let shows = |state: &CrossConnects| {
        Fingerprint::new(state, plan.fingerprinted_ports())
            == Fingerprint::new(&wanted, plan.fingerprinted_ports())
    };
    if let Err((sent, error)) = backend.run(plan.steps()).await {
        return Err(failed(backend, plan, &before, sent, error, until, shows).await);
    }
    let steps = plan.steps().len();
    let report = settling::read(backend, Some(Instant::now()), until, shows)
        .await
        .map_err(|e| {
            Error::new(
                e.kind(),
                format!(
                    "all {steps} steps were sent, but the state could not be read back: {}",
                    e.message()
                ),
            )
            .with_effect(Effect::Unknown)
            .with_source(e)
        })?;
    let after = match report {
        SettleResult::Wanted(_) => return Ok(ApplyReport::new(steps, true, begun.elapsed())),
        SettleResult::Other(after) => after,
        SettleResult::Unsettled(after) => {
            let (now, aim) = (
                after.using_ports(plan.fingerprinted_ports()),
                wanted.using_ports(plan.fingerprinted_ports()),
            );
            let why = format!(
                "all {steps} steps were sent; at the deadline the switch reported {now}, expected \
                 {aim}; it may still settle"
            );
            return Err(Error::new(ErrorKind::Timeout, why).with_effect(Effect::Unknown));
        }
    };
    let (now, aim) = (
        after.using_ports(plan.fingerprinted_ports()),
        wanted.using_ports(plan.fingerprinted_ports()),
    );
    // A new path outside this plan was made by another controller. Any other difference is a step
    // that the device did not perform.
    let foreign = now.iter().any(|c| !aim.contains(c) && !before.contains(c));
    Err(if foreign {
        Error::new(
            ErrorKind::StateChanged,
            format!(
                "all {steps} steps were sent, but another controller changed the switch meanwhile: \
                its ports are at {now}, expected {aim}"
            ),
        )
        .with_effect(Effect::Partial)
    } else {
        Error::misbehaved(
            DeviceMisbehaved::ChangeNotApplied,
            format!(
                "all {steps} steps were sent but not applied: connections are {now}, expected {aim}"
            ),
        )
        .with_effect(if now == before.using_ports(plan.fingerprinted_ports()) {
            Effect::Unknown
        } else {
            Effect::Partial
        })
    })
}

/// Says exactly what was done before a step failed, by reading the state.
async fn failed(
    backend: &dyn SwitchBackend,
    plan: &Plan,
    before: &CrossConnects,
    sent: usize,
    error: Error,
    until: Instant,
    wanted: impl Fn(&CrossConnects) -> bool,
) -> Error {
    let steps = plan.steps();
    let list = |steps: &[Step]| {
        steps
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join("; ")
    };
    let mut done = Vec::new();
    // What the device did not take has not to settle.
    let since = (sent > 0 || error.effect() != Effect::None).then(Instant::now);
    let (report, effect) = match settling::read(backend, since, until, wanted).await {
        Ok(SettleResult::Wanted(now) | SettleResult::Other(now) | SettleResult::Unsettled(now)) => {
            for step in steps {
                if step.removed().iter().all(|c| !now.contains(*c))
                    && step.added().iter().all(|c| now.contains(*c))
                {
                    done.push(step.clone());
                }
            }
            let present = now.using_ports(plan.fingerprinted_ports());
            let untouched = present == before.using_ports(plan.fingerprinted_ports());
            (
                format!(
                    "done: {}; the ports are at {present}",
                    if done.is_empty() {
                        "nothing".to_owned()
                    } else {
                        list(&done)
                    }
                ),
                // A step that was accepted before, or may yet be carried out, is not undone by not
                // being seen.
                match (untouched, sent) {
                    (true, 0) => error.effect(),
                    (true, _) => Effect::Unknown,
                    _ => Effect::Partial,
                },
            )
        }
        Err(_) => {
            let sure = list(&steps[..sent.min(steps.len())]);
            (
                format!(
                    "sent before: {}; the state could not be read",
                    if sure.is_empty() { "nothing" } else { &sure }
                ),
                Effect::Unknown,
            )
        }
    };
    let at = steps
        .get(sent)
        .map_or_else(String::new, |s| format!(" at `{s}`"));
    let mut new = Error::new(
        error.kind(),
        format!("the change stopped{at}: {}; {report}", error.message()),
    )
    .with_effect(effect);
    if let Some(code) = error.vendor_code() {
        new = new.with_vendor_code(code);
    }
    if let Some(words) = error.vendor_text() {
        new = new.with_vendor_text(words);
    }
    new.with_source(error)
}
