//! `qkdctl key start`, `stop` and `calibrate`.

use crate::{
    commands::change::{SingleChange, State, Target},
    exit,
    interrupt::Guard,
    output::{self, Output},
    progress::Progress,
    session::Session,
};
use qkd_hal::{
    Operation, QkdModule, Result,
    qkd::{ModuleState, ModuleStatus},
};
use std::{cell::Cell, time::Duration};
use tokio::time::{Instant, sleep};

/// Interval at which the state is polled.
const POLL_INTERVAL: Duration = Duration::from_millis(500);

/// Action on a module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    Start,
    Stop,
    Calibrate,
}

impl Action {
    fn operation(self) -> Operation {
        match self {
            Self::Start => Operation::Start,
            Self::Stop => Operation::Stop,
            Self::Calibrate => Operation::Calibrate,
        }
    }

    fn command(self) -> &'static str {
        match self {
            Self::Start => "key/start",
            Self::Stop => "key/stop",
            Self::Calibrate => "key/calibrate",
        }
    }

    /// Whether a module in this state is as wanted.
    fn is_reached(self, state: ModuleState) -> bool {
        match self {
            Self::Start => state == ModuleState::Generating,
            Self::Stop => matches!(state, ModuleState::Standby | ModuleState::Off),
            Self::Calibrate => state != ModuleState::Calibrating,
        }
    }

    fn target_state(self, module: &dyn QkdModule) -> String {
        let declared = module.qkd_capabilities();
        let deadline = module.descriptor().deadline;
        let (what, time) = match self {
            Self::Start => ("start key generation", declared.start_stop_timeout),
            Self::Stop => ("stop key generation", declared.start_stop_timeout),
            Self::Calibrate => ("calibrate the link", declared.calibration_timeout),
        };
        let time = humantime::format_duration(time.unwrap_or(deadline));
        format!("{what} (the command ends within {time})")
    }

    fn warning(self) -> &'static str {
        match self {
            Self::Start => "",
            Self::Stop => "No new keys are generated afterwards; stored keys stay.",
            Self::Calibrate => "Calibration interrupts key generation.",
        }
    }
}

/// Carries out an action, and follows the state for at most `wait`.
pub(super) async fn run(
    session: &Session,
    output: Output,
    device: &str,
    action: Action,
    wait: Option<Duration>,
    yes: bool,
) -> Result<u8> {
    let target = Target::open(session, output, device, yes).await?;
    let module = target.device.opened.module()?;
    let before = module.status().await?;
    // A state that rests on an assumption is not a reason to send nothing.
    let is_already = action != Action::Calibrate
        && action.is_reached(before.state)
        && module
            .descriptor()
            .blocking_assumption(Operation::ModuleStatus)
            .is_none();
    let change = SingleChange::new(
        action.command(),
        action.operation(),
        action.target_state(&*module),
    )
    .with_warning(action.warning())
    .with_already(is_already);
    let call = async {
        match action {
            Action::Start => module.start().await,
            Action::Stop => module.stop().await,
            Action::Calibrate => module.calibrate().await,
        }
    };
    let is_reached = Cell::new(true);
    let code = change
        .carry_out(&target, state(before), call, async |guard| {
            let status = match wait {
                Some(time) => {
                    let status = follow(output, &*module, action, time, guard).await?;
                    is_reached.set(action.is_reached(status.state));
                    status
                }
                None => module.status().await?,
            };
            Ok(state(status))
        })
        .await?;
    if code == 0 && !is_reached.get() {
        output::note(
            output,
            "the wanted state was not reached in the time to wait; read it with `key status`",
        );
        return Ok(exit::NOT_READY);
    }
    Ok(code)
}

fn state(status: ModuleStatus) -> State<ModuleStatus> {
    State {
        text: format!("state: {}", super::state_text(&status)),
        value: status,
    }
}

/// Reads the state until it is as wanted, the time is over or a signal comes.
async fn follow(
    output: Output,
    module: &dyn QkdModule,
    action: Action,
    time: Duration,
    guard: &Guard,
) -> Result<ModuleStatus> {
    let progress = Progress::work(output, "waiting for the module");
    let end = Instant::now() + time;
    loop {
        let status = module.status().await?;
        progress.message(format!("state: {}", super::state_text(&status)));
        let is_over = Instant::now() >= end || guard.signal().is_some();
        if action.is_reached(status.state) || is_over {
            return Ok(status);
        }
        sleep(POLL_INTERVAL).await;
    }
}
