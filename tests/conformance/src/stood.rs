//! Putting back what a case changed.

use crate::{bench::Bench, case::Stop, case::Verdict, journal::Stood, runner::Watcher, session::Session};
use qkd_driver_kit::Opened;
use qkd_hal::Result;
use qkd_switch_hal::{CrossConnects, OpticalSwitch, Plan, Port, Scope};
use std::{future::Future, sync::Arc};

/// Plans from the present paths to others, and applies the plan.
pub(crate) async fn change_to(switch: &dyn OpticalSwitch, wanted: &CrossConnects) -> Result<()> {
    let present = switch.connections().await?.value;
    if present == *wanted {
        return Ok(());
    }
    switch.apply(&plan(switch, &present, wanted).await?).await.map(drop)
}

/// The plan from one state to another.
pub(crate) async fn plan(switch: &dyn OpticalSwitch, present: &CrossConnects, wanted: &CrossConnects) -> Result<Plan> {
    Plan::new(&identity(switch).await?, &switch.switch_capabilities().geometry, present, wanted, &Scope::Touched)
}

/// Who the switch says that it is, or its maker where it cannot say.
pub(crate) async fn identity(switch: &dyn OpticalSwitch) -> Result<qkd_hal::Identity> {
    match switch.identity().await {
        Err(e) if e.kind() == qkd_hal::ErrorKind::Unsupported => Ok(qkd_hal::Identity::default()),
        other => other,
    }
}

/// Puts one thing back as it stood.
async fn put_back(opened: &Opened, stood: &Stood) -> Result<()> {
    match stood {
        Stood::Connections(paths) => change_to(&*opened.as_switch()?, &paths.parse()?).await,
        Stood::Port(port, enabled) => opened.as_switch()?.set_port(Port(*port), *enabled).await,
        Stood::Parameter(name, value) => {
            let device = opened.device();
            let value = qkd_hal::parameter::find(device.parameters(), name)?.parse(value)?;
            device.set_parameter(name, &value).await
        }
        Stood::Other(_) => Ok(()),
    }
}

/// Lets a case change something, and puts it back whatever comes of it. It is written down before.
///
/// # Errors
/// The case's own; `Broken` if it could not be put back, which says how it stood.
pub(crate) async fn putting_back(bench: &Bench, opened: &Opened, stood: Stood, change: impl Future<Output = Verdict>) -> Verdict {
    bench.about_to_change(&stood);
    let verdict = change.await;
    bench.script().clear();
    let mut last = None;
    // The first try may meet what the case left on the wire.
    for _ in 0..2 {
        match put_back(opened, &stood).await {
            Ok(()) => {
                bench.put_back(stood.to_string());
                return verdict;
            }
            Err(error) => last = Some(error),
        }
    }
    let why = last.map_or_else(String::new, |e| e.to_string());
    let why = format!("COULD NOT BE PUT BACK: it stood at {stood}: {why}");
    Err(match verdict {
        Err(Stop::Fails(before)) => Stop::Fails(format!("{before}; and then: {why}")),
        _ => Stop::Broken(why),
    })
}

/// After an interruption: puts back what the journal says, as far as that is possible, and tells. Whether all was put back that can be.
pub(crate) async fn put_back_all(session: &Arc<Session>, all: &[Stood], watcher: &dyn Watcher) -> bool {
    let mut whole = true;
    for stood in all {
        if let Stood::Other(what) = stood {
            watcher.warn(&format!("  before it: {what}; that is not put back"));
            continue;
        }
        let result = async {
            let bench = session.bench(None).await?;
            let opened = bench.open().await.map_err(|e| e.to_string())?;
            let done = put_back(&opened, stood).await.map_err(|e| e.to_string());
            let _ = opened.device().close().await;
            done
        };
        match result.await {
            Ok(()) => watcher.tell(&format!("  put back: {stood}")),
            Err(why) => {
                whole = false;
                leave_all(std::slice::from_ref(stood), &why, watcher);
            }
        }
    }
    whole
}

/// Tells how things stood that are not put back.
pub(crate) fn leave_all(all: &[Stood], why: &str, watcher: &dyn Watcher) {
    for stood in all {
        watcher.warn(&format!("  COULD NOT BE PUT BACK: it stood at {stood}: {why}"));
    }
}
