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

/// Maximum number of exchanges of a call that are tested.
const MAX_EXCHANGES: usize = 400;
/// Number of first exchanges that are each tested. Of the later exchanges of a long call, such as a
/// calibration, every tenth is tested.
const FIRST_EXCHANGES: usize = 12;

/// Result of a trial without a violation.
enum TrialResult {
    /// `ok` or the kind of the error, and whether the fault was injected.
    Completed(String, bool),
    /// The device has no such fault, or lacks something that the operation needs.
    NotApplicable,
}

/// Runs all trials of a cell.
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
        let violation = |why: String| {
            format!(
                "{}, {operation}, {} at exchange {}: {why}",
                session.dut.name,
                fault.name(),
                exchange + 1
            )
        };
        let result = match virtual_runtime() {
            Err(why) => Err(why),
            Ok(runtime) => runtime.block_on(async {
                let trial =
                    AssertUnwindSafe(trial(session, operation, fault, exchange)).catch_unwind();
                trial
                    .await
                    .unwrap_or_else(|_| Err("the call panicked".to_owned()))
            }),
        };
        match result {
            Ok(TrialResult::NotApplicable) => break,
            Ok(TrialResult::Completed(outcome, injected)) => {
                // The call has fewer exchanges.
                if !injected {
                    break;
                }
                cell.trials += 1;
                cell.endings.insert(outcome);
                if matches!(fault, MatrixFault::Device(_)) {
                    break;
                }
            }
            Err(why) => {
                cell.trials += 1;
                cell.wrong.push(violation(why));
                break;
            }
        }
        exchange += if exchange < FIRST_EXCHANGES { 1 } else { 10 };
    }
    cell
}

/// Runs an operation on a new emulator, with a fault at one exchange.
///
/// # Errors
/// The violation.
async fn trial(
    session: &Arc<Session>,
    operation: Operation,
    fault: MatrixFault,
    exchange: usize,
) -> Result<TrialResult, String> {
    let bench = CaseContext::of(session, None).await?;
    let opened = bench
        .open()
        .await
        .map_err(|e| format!("the device could not be opened: {e}"))?;
    let call = match PreparedCall::prepare(&bench, &opened, operation).await {
        Ok(call) => call,
        Err(NotPassed::NotApplicable(_) | NotPassed::Disabled(_)) => {
            return Ok(TrialResult::NotApplicable);
        }
        Err(stop) => return Err(format!("the call could not be prepared: {stop:?}")),
    };
    match fault {
        MatrixFault::Link(fault) => bench.script().inject(exchange, fault),
        MatrixFault::Device(spec) => match bench.fault(spec) {
            Err(NotPassed::NotApplicable(_)) => return Ok(TrialResult::NotApplicable),
            other => other.map_err(|stop| format!("{stop:?}"))?,
        },
    }
    let before = bench.state();
    let begun = tokio::time::Instant::now();
    let result = tokio::time::timeout(session.emulated_patience(), call.invoke(&bench, &opened))
        .await
        .map_err(|_| "the call did not end".to_owned())?;
    let took = begun.elapsed();
    let injected = bench.script().was_injected() || matches!(fault, MatrixFault::Device(_));
    let allowed = session.allowed(operation);
    if took > allowed {
        return Err(format!(
            "the call took {took:?}; its time limit is {allowed:?}"
        ));
    }
    let outcome = match &result {
        Ok(()) => "ok".to_owned(),
        Err(error) => {
            if error.kind() == ErrorKind::Internal {
                return Err(format!("the kind of its error is Internal: {error}"));
            }
            // Late messages arrive meanwhile. A change that the error denies must not follow.
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
    Ok(TrialResult::Completed(outcome, injected))
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
