//! One cell of the matrix: an operation under a fault, at each of its exchanges, each time on a new
//! emulator.

use super::{MatrixCell, MatrixFault};
use crate::{
    case_context::CaseContext, case_outcome::NotPassed, prepared_call::PreparedCall, reading,
    session::Session, threads::virtual_runtime,
};
use futures::FutureExt;
use qkd_driver_kit::wrap::fault::LinkFault;
use qkd_hal::{ErrorKind, Operation, Result};
use std::{collections::BTreeSet, panic::AssertUnwindSafe, sync::Arc, time::Duration};

/// More exchanges than this has no call.
const MAX_EXCHANGES: usize = 400;
/// For a long call, such as a calibration or a confirmation: the first exchanges have a fault, then
/// one in ten.
const EACH: usize = 12;

/// Result of a trial.
enum Ending {
    /// Result of the call, and whether its fault was injected.
    Ended(String, bool),
    /// The device has no such fault, or the operation needs what it does not have.
    None,
}

/// All trials of a cell.
pub(super) fn cell(session: &Arc<Session>, operation: Operation, fault: MatrixFault) -> MatrixCell {
    let mut cell = MatrixCell {
        dut: session.dut.name.clone(),
        operation,
        fault: fault.name(),
        endings: BTreeSet::new(),
        trials: 0,
        wrong: Vec::new(),
    };
    let mut exchange = 0;
    while exchange < MAX_EXCHANGES {
        let reported = |why: String| {
            format!(
                "{}, {operation}, {} at exchange {}: {why}",
                session.dut.name,
                fault.name(),
                exchange + 1
            )
        };
        let ending = match virtual_runtime() {
            Err(why) => Err(why),
            Ok(runtime) => runtime.block_on(async {
                let trial =
                    AssertUnwindSafe(trial(session, operation, fault, exchange)).catch_unwind();
                trial
                    .await
                    .unwrap_or_else(|_| Err("it panicked".to_owned()))
            }),
        };
        match ending {
            Ok(Ending::None) => break,
            Ok(Ending::Ended(word, injected)) => {
                // It has no such exchange.
                if !injected {
                    break;
                }
                cell.trials += 1;
                cell.endings.insert(word);
                if matches!(fault, MatrixFault::Device(_)) {
                    break;
                }
            }
            Err(why) => {
                cell.trials += 1;
                cell.wrong.push(reported(why));
                break;
            }
        }
        exchange += if exchange < EACH { 1 } else { 10 };
    }
    cell
}

async fn trial(
    session: &Arc<Session>,
    operation: Operation,
    fault: MatrixFault,
    exchange: usize,
) -> Result<Ending, String> {
    let bench = CaseContext::of(session, None).await?;
    let opened = bench
        .open()
        .await
        .map_err(|e| format!("it could not be opened: {e}"))?;
    let call = match PreparedCall::prepare(&bench, &opened, operation).await {
        Ok(call) => call,
        Err(NotPassed::NotApplicable(_) | NotPassed::Disabled(_)) => return Ok(Ending::None),
        Err(stop) => return Err(format!("it could not be prepared: {stop:?}")),
    };
    match fault {
        MatrixFault::Link(fault) => bench.script().inject(exchange, fault),
        MatrixFault::Device(spec) => match bench.fault(spec) {
            Err(NotPassed::NotApplicable(_)) => return Ok(Ending::None),
            other => other.map_err(|stop| format!("{stop:?}"))?,
        },
    }
    let before = bench.state();
    let begun = tokio::time::Instant::now();
    let result = tokio::time::timeout(Duration::from_secs(24 * 3600), call.invoke(&bench, &opened))
        .await
        .map_err(|_| "it did not end".to_owned())?;
    let took = begun.elapsed();
    let injected = bench.script().was_injected() || matches!(fault, MatrixFault::Device(_));
    let allowed = session.allowed(operation);
    if took > allowed {
        return Err(format!("it took {took:?}, and has {allowed:?}"));
    }
    let word = match &result {
        Ok(()) => "ok".to_owned(),
        Err(error) => {
            if error.kind() == ErrorKind::Internal {
                return Err(format!("its error has no type: {error}"));
            }
            // What is late arrives; what was denied must still not be.
            tokio::time::sleep(session.deadline() * 2).await;
            bench
                .check_reported_effect(&before, error)
                .map_err(|stop| format!("{stop:?}"))?;
            error.kind().name().to_owned()
        }
    };
    bench.script().clear();
    if matches!(fault, MatrixFault::Device(_)) {
        let _ = bench.fault("clear");
    }
    next_call_works(&bench, &opened, fault).await?;
    Ok(Ending::Ended(word, injected))
}

/// Checks that the device responds after the fault, within the time that devices need to recover. A
/// replaced device is refused instead.
async fn next_call_works(
    bench: &CaseContext,
    opened: &qkd_driver_kit::OpenedDevice,
    fault: MatrixFault,
) -> Result<(), String> {
    let mut last = String::new();
    // Pending input of a line that cannot be disconnected, or a restart, needs time; all others
    // respond immediately.
    let slow = matches!(
        fault,
        MatrixFault::Device(_) | MatrixFault::Link(LinkFault::Throttle(_) | LinkFault::Reorder(_))
    );
    for _ in 0..if slow { 40 } else { 1 } {
        match reading::try_steady(bench, opened).await {
            Err(NotPassed::NotApplicable(_)) | Ok(Ok(_)) => return Ok(()),
            Ok(Err(error))
                if error.kind() == ErrorKind::IdentityChanged
                    && fault.name().starts_with("identity") =>
            {
                return Ok(());
            }
            Ok(Err(error)) => last = error.to_string(),
            Err(stop) => last = format!("{stop:?}"),
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    Err(format!("the next call fails: {last}"))
}
