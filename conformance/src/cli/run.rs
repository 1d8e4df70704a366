//! The command `run`: runs the suite on devices under test.

use super::Failure;
use crate::{
    dut::Dut,
    journal::{Journal, PreviousRun},
    observer::RunObserver,
    report,
    requirement::Impact,
    result::{CaseResult, Outcome, Results, Run, Verdict},
    runner::RunOptions,
    session::Refusal,
    suite::{Suite, about},
};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};

use qkd_driver_kit::{
    Registry,
    credentials::Credentials,
    program::{
        self, console,
        lock::{self, DeviceLock, LockMode},
        signals::{EndSignal, EndSignals},
    },
};
use qkd_hal::{
    DeviceUri, ErrorKind,
    text::{MAX_TEXT, printable},
};
use std::{
    io::IsTerminal,
    path::{Path, PathBuf},
    sync::{Arc, OnceLock, atomic::Ordering},
};

/// Exit code: another device responds at the address. `qkdctl` has the same code.
const OTHER_DEVICE: u8 = 7;

/// Arguments of the command `run`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Files of devices under test.
    #[arg(required_unless_present = "uri", value_name = "FILE")]
    pub duts: Vec<PathBuf>,
    /// URI of a device without a file. The device is only read.
    #[arg(long, value_name = "URI", requires = "profile")]
    pub uri: Option<String>,
    /// Profile for the device of --uri, such as matrix-switch.
    #[arg(long, value_name = "PROFILE", requires = "uri")]
    pub profile: Option<String>,
    /// Highest impact on a device: observe, reversible, disruptive or destructive. The file of a
    /// device must allow it. Default: observe; for an emulator, the impact that its file allows.
    #[arg(long, value_name = "IMPACT")]
    impact: Option<Impact>,
    /// Runs only requirements or cases whose ID begins with this text; may be repeated.
    #[arg(long, value_name = "ID")]
    only: Vec<String>,
    /// Folder for results and reports.
    #[arg(long, value_name = "FOLDER", default_value = "conformance-report")]
    out: PathBuf,
    /// Continues an interrupted run.
    #[arg(long)]
    resume: bool,
    /// Lists the cases of the run, and does not run them.
    #[arg(long)]
    list: bool,
    /// Fault to inject into the emulator, in the grammar of docs/emulators.md; may be repeated.
    #[arg(long, value_name = "SPEC")]
    fault: Vec<String>,
    /// Seed of the random numbers of every emulator. Default: the seed in its file, or 7.
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Credentials file (TOML, with mode 600).
    #[arg(long, value_name = "FILE", env = "QKDCTL_CREDENTIALS")]
    pub credentials: Option<PathBuf>,
    /// Prints only failed cases, warnings and the verdict.
    #[arg(short, long)]
    quiet: bool,
}

/// Progress bar and messages of a run, on standard error.
struct Screen {
    bar: ProgressBar,
    quiet: bool,
}

impl Screen {
    fn new(quiet: bool) -> Self {
        let bar = if quiet || !std::io::stderr().is_terminal() {
            ProgressBar::hidden()
        } else {
            ProgressBar::new(0)
        };
        if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos}/{len} {msg}") {
            bar.set_style(style);
        }
        Self { bar, quiet }
    }
    /// Prints a line, above the progress bar if there is one.
    fn line(&self, text: &str) {
        if self.bar.is_hidden() {
            console::one_error_line(text);
        } else {
            self.bar.println(printable(text, console::MAX_LINE));
        }
    }
}

impl RunObserver for Screen {
    fn total(&self, cases: usize) {
        self.bar.inc_length(cases as u64);
    }
    fn ended(&self, dut: &str, result: &CaseResult) {
        self.bar.inc(1);
        self.bar
            .set_message(printable(&result.id, MAX_TEXT).into_owned());
        if matches!(result.outcome, Outcome::Fail | Outcome::Error) {
            self.line(&format!(
                "  {:5} {dut}: {}: {}",
                result.outcome.label(),
                result.id,
                result.why
            ));
        }
    }
    fn log(&self, line: &str) {
        if !self.quiet {
            self.line(line);
        }
    }
    fn warn(&self, line: &str) {
        self.line(line);
    }
}

/// Reads the credentials file; without one, only the environment supplies credentials.
fn credentials(file: Option<&Path>) -> Result<Credentials, String> {
    match file {
        Some(path) => Credentials::from_file(path).map_err(|e| e.to_string()),
        None => Ok(Credentials::from_environment()),
    }
}

/// Runs the suite with these arguments. Returns the exit code.
///
/// # Errors
/// A [`Failure`], if an argument or a file is wrong, a device is busy, or something could not be
/// written.
pub fn run(registry: Registry, arguments: &Arguments) -> Result<u8, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|e| Failure {
            code: program::INTERNAL,
            message: format!("the async runtime could not be started: {e}"),
        })?;
    runtime.block_on(on_runtime(registry, arguments))
}

/// Locks the device and its peer by their addresses. Emulators and recordings have no URI, so
/// nothing is locked for them.
async fn locked(
    registry: &Registry,
    dut: &Dut,
    mode: LockMode,
) -> Result<Vec<(DeviceUri, DeviceLock)>, Failure> {
    let mut locks = Vec::new();
    for uri in dut.uri.iter().chain(&dut.peer) {
        // An invalid URI is reported when it is opened.
        let Ok(uri) = uri.parse::<DeviceUri>() else {
            continue;
        };
        let default_port = registry
            .driver(uri.driver())
            .ok()
            .and_then(|driver| driver.default_port(&uri));
        match lock::lock_address(&uri, default_port, mode).await {
            Ok(lock) => locks.push((uri, lock)),
            // A host name without an address: opening the device reports it.
            Err(e) if e.kind() == ErrorKind::Unreachable => {}
            Err(e) => return Err(busy(&e)),
        }
    }
    Ok(locks)
}

fn busy(error: &qkd_hal::Error) -> Failure {
    Failure {
        code: match error.kind() {
            ErrorKind::Busy => 4,
            _ => program::INTERNAL,
        },
        message: error.to_string(),
    }
}

async fn on_runtime(registry: Registry, arguments: &Arguments) -> Result<u8, Failure> {
    let mut duts = Vec::new();
    if let (Some(uri), Some(profile)) = (&arguments.uri, &arguments.profile) {
        // The name has no URI parameters, because they describe the connection and not the device.
        let name = uri.split('?').next().unwrap_or(uri).to_owned();
        let dut = Dut {
            name,
            profile: profile.clone(),
            uri: Some(uri.clone()),
            faults: arguments.fault.clone(),
            ..Dut::default()
        };
        dut.check()?;
        duts.push(dut);
    }
    for path in &arguments.duts {
        let mut dut = Dut::read(path)?;
        dut.faults.extend(arguments.fault.iter().cloned());
        if dut.emulator.is_some() {
            dut.seed = arguments.seed.or(dut.seed);
        }
        dut.check()
            .map_err(|e| format!("{}: {e}", path.display()))?;
        if duts.iter().any(|other: &Dut| other.name == dut.name) {
            return Err(format!(
                "{}: another device under test has the name `{}`",
                path.display(),
                dut.name
            )
            .into());
        }
        duts.push(dut);
    }
    let changes = arguments.resume || arguments.impact.is_some_and(|i| i > Impact::Observe);
    let mode = if changes {
        LockMode::Exclusive
    } else {
        LockMode::Shared
    };
    let mut locks = Vec::new();
    for dut in &duts {
        locks.push(locked(&registry, dut, mode).await?);
    }
    let suite =
        Suite::new(registry).with_credentials(credentials(arguments.credentials.as_deref())?);
    let mut request = RunOptions {
        only: arguments.only.clone(),
        ..RunOptions::default()
    };
    let ended_by = listen(&request)?;
    let journal = arguments.out.join("journal.jsonl");
    if !arguments.list {
        std::fs::create_dir_all(&arguments.out)
            .map_err(|e| format!("{}: {e}", arguments.out.display()))?;
        let about = about();
        let suite_id = format!("{} {} {}", about.name, about.version, about.requirements);
        let (begun, past) = if arguments.resume {
            Journal::resume(&journal, &suite_id)?
        } else {
            (Journal::begin(&journal, &suite_id)?, PreviousRun::default())
        };
        let missing = past.interrupted.iter().find(|(name, (_, previous))| {
            !previous.is_empty() && !duts.iter().any(|dut| dut.key() == **name)
        });
        if let Some((name, (case, _))) = missing {
            return Err(format!(
                "the earlier run was interrupted during {case} of `{name}`: name its file too, \
                 with the same address, so that what was changed is restored"
            )
            .into());
        }
        (request.journal, request.past) = (Some(begun), past);
    }
    let mut ready = Vec::new();
    for dut in duts {
        match suite
            .ready(dut, arguments.impact, request.journal.clone())
            .await
        {
            Ok(one) => ready.push(one),
            Err(why) => {
                // No case began, so there is nothing to resume.
                if request.past.is_empty() {
                    let _ = std::fs::remove_file(&journal);
                }
                return Err(why.into());
            }
        }
    }
    for (one, locks) in ready.iter().zip(&mut locks) {
        let text = one.announcement(&request).await;
        if let (Some(identity), Some((uri, lock))) = (one.identity(), locks.first_mut())
            && let Err(error) = lock.add_identity(&identity, mode, uri).await
        {
            if request.past.is_empty() {
                let _ = std::fs::remove_file(&journal);
            }
            return Err(busy(&error));
        }
        if arguments.list {
            console::line(&text);
        } else if !arguments.quiet {
            console::error_line(&text);
        }
    }
    for one in &ready {
        let Err(refusal) = one.check(&request) else {
            continue;
        };
        if request.past.is_empty() && !arguments.list {
            let _ = std::fs::remove_file(&journal);
        }
        let (why, code) = match refusal {
            Refusal::WrongKind(why) | Refusal::WrongFile(why) => (why, 2),
            Refusal::OtherDevice(why) => (why, OTHER_DEVICE),
        };
        console::one_error_line(&format!("error: {why}"));
        return Ok(code);
    }
    if arguments.list {
        return Ok(ended_by.get().map_or(0, |signal| signal.exit_code()));
    }
    let screen = Screen::new(arguments.quiet);
    let results = suite.run(&ready, &request, &screen).await;
    screen.bar.finish_and_clear();
    let interrupted = ended_by.get().copied();
    results
        .runs
        .iter()
        .for_each(|run| console::one_line(&line(run)));
    if results.runs.len() > 1 {
        console::line(&format!("all devices: {:.1} s", results.seconds));
    }
    // The journal is removed only after the results are written, because until then it is the only
    // record of the run.
    let written = report::write_all(&results, &arguments.out).map_err(|why| {
        Failure::not_written(format!(
            "{why}; {} is kept: it records the results of the cases and the previous state",
            journal.display()
        ))
    })?;
    if request.left_changed.load(Ordering::Relaxed) {
        console::error_line(&format!(
            "{} is kept: it records the previous state; restore it with --resume, or manually",
            journal.display()
        ));
    } else if interrupted.is_none() {
        std::fs::remove_file(&journal)
            .map_err(|e| Failure::not_written(format!("{}: {e}", journal.display())))?;
    }
    written
        .iter()
        .for_each(|path| console::line(&format!("  {}", path.display())));
    Ok(interrupted.map_or_else(|| exit_code(&results), EndSignal::exit_code))
}

/// Listens for signals. The first ends the run after the present case, which restores what it
/// changed; the second ends the program immediately. Returns the first signal, once it has arrived.
fn listen(request: &RunOptions) -> Result<Arc<OnceLock<EndSignal>>, Failure> {
    let mut signals = EndSignals::listen().map_err(|e| Failure {
        code: program::INTERNAL,
        message: format!("signal handlers could not be installed: {e}"),
    })?;
    let (stop, first) = (request.stop.clone(), Arc::new(OnceLock::new()));
    let reported = Arc::clone(&first);
    tokio::spawn(async move {
        loop {
            let signal = signals.next().await;
            stop.store(true, Ordering::Relaxed);
            if reported.set(signal).is_err() {
                console::error_line(&format!(
                    "{} again: the run ends immediately; --resume restores what was changed",
                    signal.name()
                ));
                std::process::exit(signal.exit_code().into());
            }
            console::error_line(&format!(
                "{}: the run ends after the present case",
                signal.name()
            ));
        }
    });
    Ok(first)
}

/// Returns the result of a run as one line.
fn line(run: &Run) -> String {
    let counts: Vec<String> = Outcome::ALL
        .iter()
        .map(|o| (*o, run.count(*o)))
        .filter(|(_, n)| *n > 0)
        .map(|(o, n)| format!("{n} {}", o.label()))
        .collect();
    let faults = match run.faults.is_empty() {
        true => String::new(),
        false => format!("; with injected faults: {}", run.faults.join(", ")),
    };
    format!(
        "{}: {} ({}; {}{faults}; {:.1} s)",
        run.dut,
        run.headline(),
        counts.join(", "),
        run.on.label(),
        run.seconds
    )
}

/// Returns the exit code of these results, as in [`EXIT_HELP`](super::EXIT_HELP).
#[must_use]
pub fn exit_code(results: &Results) -> u8 {
    match results.verdict() {
        Verdict::Conforms | Verdict::ConformsAsTested => 0,
        Verdict::DoesNotConform => 1,
        Verdict::Inconclusive => 3,
    }
}
