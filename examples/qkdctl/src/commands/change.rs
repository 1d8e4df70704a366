//! Changes that one call to one device makes, and the result that each command that changes prints.

use super::DRY_RUN;
use crate::{
    interrupt::{Guard, Work},
    journal::Entry,
    output::{self, Output},
    progress,
    session::{Device, Session},
};
use qkd_hal::{Descriptor, Error, ErrorKind, Operation, Result, Support};
use serde::Serialize;

/// Result of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum ChangeResult {
    /// The change was applied.
    Applied,
    /// Nothing was changed: `--yes` was not given.
    DryRun,
    /// Nothing was sent: the device is as wanted.
    Already,
    /// Some of it was made before a signal ended it.
    Partial,
    /// It was made, and the device does not confirm it.
    NotConfirmed,
    /// A signal ended it before the device was changed.
    NotApplied,
}

/// A device that is opened for one change, which is made with `yes` and only shown without.
pub(super) struct Target<'a> {
    pub(super) session: &'a Session,
    pub(super) output: Output,
    pub(super) device: Device,
    pub(super) yes: bool,
}

impl<'a> Target<'a> {
    pub(super) async fn open(
        session: &'a Session,
        output: Output,
        device: &str,
        yes: bool,
    ) -> Result<Self> {
        Ok(Self {
            session,
            output,
            device: session.open_for(device, yes).await?,
            yes,
        })
    }
}

/// A change that one call to one device makes.
pub(super) struct SingleChange {
    /// The command, such as `key/start`.
    command: &'static str,
    operation: Operation,
    /// Subject of the change, such as `channel ca1`; empty for the whole device.
    concerns: String,
    /// Intended change, as a phrase after "would".
    wanted: String,
    /// Effect on traffic or keys; empty if there is none.
    warning: String,
    /// Whether the device is as wanted before the change.
    is_already: bool,
}

/// State of a device, in both forms in which it is printed.
pub(super) struct State<T> {
    pub(super) value: T,
    pub(super) text: String,
}

#[derive(Serialize)]
struct Report<'a, T> {
    result: ChangeResult,
    device: &'a str,
    operation: Operation,
    target: &'a str,
    wanted: &'a str,
    before: T,
    /// State that was read back; `None` if nothing was changed.
    after: Option<T>,
}

impl SingleChange {
    /// A change of the device as a whole, which does nothing to traffic or keys.
    pub(super) fn new(command: &'static str, operation: Operation, wanted: String) -> Self {
        Self {
            command,
            operation,
            concerns: String::new(),
            wanted,
            warning: String::new(),
            is_already: false,
        }
    }

    /// Names what it concerns, such as `channel ca1`.
    pub(super) fn with_concerns(mut self, what: String) -> Self {
        self.concerns = what;
        self
    }

    /// Says what it does to traffic or keys.
    pub(super) fn with_warning(mut self, warning: &str) -> Self {
        self.warning = warning.to_owned();
        self
    }

    /// Whether the device is as wanted already, so that nothing is sent.
    pub(super) fn with_already(mut self, is_already: bool) -> Self {
        self.is_already = is_already;
        self
    }

    /// Applies the change; the state before and after is read by the same function.
    ///
    /// # Errors
    /// As [`Self::carry_out`].
    pub(super) async fn make<T: Serialize>(
        self,
        target: &Target<'_>,
        before: State<T>,
        call: impl Future<Output = Result<()>>,
        read: impl AsyncFn() -> Result<State<T>>,
    ) -> Result<u8> {
        self.carry_out(target, before, call, async |_| read().await)
            .await
    }

    /// Applies the change with `yes` and reads back; without it, prints what would be done.
    ///
    /// # Errors
    /// As [`check_ready`], before anything is sent; errors of the call; errors of the read-back,
    /// with effect `Partial`.
    pub(super) async fn carry_out<T: Serialize>(
        self,
        target: &Target<'_>,
        before: State<T>,
        call: impl Future<Output = Result<()>>,
        read_back: impl AsyncFnOnce(&Guard) -> Result<State<T>>,
    ) -> Result<u8> {
        let Target {
            session,
            output,
            device,
            yes,
        } = target;
        let output = *output;
        let handle = device.opened.device();
        check_ready(handle.descriptor(), handle.capabilities(), self.operation)?;
        let uri = device.uri.to_string();
        let report = |result, before, after| Report {
            result,
            device: &uri,
            operation: self.operation,
            target: &self.concerns,
            wanted: &self.wanted,
            before,
            after,
        };
        if self.is_already {
            let text = format!("nothing to do: {}", before.text);
            let report = report(ChangeResult::Already, before.value, None);
            output::print(output, self.command, &report, || text)?;
            return Ok(0);
        }
        if !yes {
            let text = [
                before.text,
                format!("would {}", self.wanted),
                self.warning.clone(),
                DRY_RUN.to_owned(),
            ];
            let report = report(ChangeResult::DryRun, before.value, None);
            output::print(output, self.command, &report, || lines(&text))?;
            return Ok(0);
        }
        let guard = session.interrupt.begin(Work::Change)?;
        let made = Entry::new(&device.uri, self.operation.name(), self.detail())
            .run(progress::during(output, self.wanted.clone(), call))
            .await;
        if let Err(error) = made {
            show_after_signal(output, &guard, async || Ok(read_back(&guard).await?.text)).await;
            return Err(error);
        }
        let after = read_back(&guard)
            .await
            .map_err(|e| e.with_progress("the device accepted the change before"))?;
        let text = [format!("done: {}", self.wanted), after.text];
        let report = report(ChangeResult::Applied, before.value, Some(after.value));
        output::print(output, self.command, &report, || lines(&text))?;
        handle.close().await?;
        Ok(guard.exit_code(0))
    }

    fn detail(&self) -> String {
        if self.concerns.is_empty() {
            self.wanted.clone()
        } else {
            format!("{}: {}", self.concerns, self.wanted)
        }
    }
}

/// Reads the state of a device whose change failed after a signal, and prints it on standard error.
///
/// With `--output json` standard error has the error only.
pub(super) async fn show_after_signal(
    output: Output,
    guard: &Guard,
    read: impl AsyncFnOnce() -> Result<String>,
) {
    if guard.signal().is_none() || output.is_json() {
        return;
    }
    let state = read().await;
    let text = state.unwrap_or_else(|e| format!("the state could not be read: {e}"));
    output::error_line(text.trim_end());
}

fn lines(parts: &[String]) -> String {
    let parts: Vec<_> = parts
        .iter()
        .map(|part| part.trim_end())
        .filter(|part| !part.is_empty())
        .collect();
    parts.join("\n")
}

/// Checks that a device declares an operation, and that every assumption under it was accepted.
///
/// # Errors
/// `Unsupported`; `AssumptionNotAccepted`, naming the assumptions.
pub(super) fn check_ready(
    descriptor: &Descriptor,
    capabilities: &qkd_hal::Capabilities,
    operation: Operation,
) -> Result<()> {
    let failed = |kind, message: String| {
        Err(Error::new(kind, message)
            .with_device(descriptor.uri.as_str())
            .with_operation(operation.name()))
    };
    if capabilities.supports(operation) == Support::Unsupported {
        return failed(
            ErrorKind::Unsupported,
            format!("this device does not support `{operation}`"),
        );
    }
    let missing: Vec<_> = descriptor
        .assumptions
        .iter()
        .filter(|a| a.operations.contains(&operation) && !descriptor.accepted.contains(&*a.id))
        .map(|a| format!("`{}`: {}", a.id, a.statement))
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    failed(
        ErrorKind::AssumptionNotAccepted,
        format!(
            "`{operation}` rests on assumptions that were not accepted, and nothing was sent: {}",
            missing.join(" ")
        ),
    )
}
