//! `run`: the suite on devices under test.

use crate::{
    dut::Dut,
    journal::{Journal, Past},
    report,
    requirement::Impact,
    result::{CaseResult, Outcome, Results, Run, Verdict},
    suite::{Refusal, Request, Suite, Watcher, about},
};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use qkd_driver_kit::{Registry, credentials::Credentials};
use std::{
    io::IsTerminal,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering},
};

/// Exit code: another device responds at the address. The same as that of `qkdctl`.
const OTHER_DEVICE: u8 = 7;

/// What `run` takes.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Files of devices under test.
    #[arg(required_unless_present = "uri", value_name = "FILE")]
    pub duts: Vec<PathBuf>,
    /// A device by its URI, without a file: it is observed only.
    #[arg(long, value_name = "URI", requires = "profile")]
    pub uri: Option<String>,
    /// What the device of --uri is held against, such as matrix-switch.
    #[arg(long, value_name = "PROFILE", requires = "uri")]
    pub profile: Option<String>,
    /// The most that may be done to a device: observe, reversible, disruptive or destructive. A device's file must allow it. Default: observe; of an emulator, what its
    /// file allows.
    #[arg(long, value_name = "IMPACT")]
    impact: Option<Impact>,
    /// Only requirements or cases whose id begins so; may be repeated.
    #[arg(long, value_name = "ID")]
    only: Vec<String>,
    /// A folder for results and reports.
    #[arg(long, value_name = "FOLDER", default_value = "conformance")]
    out: PathBuf,
    /// Goes on with a run that was ended before its end.
    #[arg(long)]
    resume: bool,
    /// Says what would be done, and does not do it.
    #[arg(long)]
    list: bool,
    /// Lets something go wrong in the emulator, in the grammar of docs/emulators.md; may be repeated.
    #[arg(long, value_name = "SPEC")]
    fault: Vec<String>,
    /// Credentials file (TOML, yours alone: mode 600).
    #[arg(long, value_name = "FILE", env = "QKDCTL_CREDENTIALS")]
    pub credentials: Option<PathBuf>,
    /// Prints no case, only the verdict.
    #[arg(short, long)]
    quiet: bool,
}

/// Tells a person how far it is.
struct Screen {
    bar: ProgressBar,
    quiet: bool,
    failed: AtomicU32,
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
        Self {
            bar,
            quiet,
            failed: AtomicU32::new(0),
        }
    }
    fn line(&self, text: &str) {
        if self.bar.is_hidden() {
            eprintln!("{text}")
        } else {
            self.bar.println(text)
        }
    }
}

impl Watcher for Screen {
    fn total(&self, cases: usize) {
        self.bar.inc_length(cases as u64);
    }
    fn ended(&self, result: &CaseResult) {
        self.bar.inc(1);
        self.bar.set_message(result.id.clone());
        if matches!(result.outcome, Outcome::Fail | Outcome::Error) {
            self.failed.fetch_add(1, Ordering::Relaxed);
            self.line(&format!(
                "  {:5} {}: {}",
                result.outcome.words(),
                result.id,
                result.why
            ));
        }
    }
    fn tell(&self, line: &str) {
        if !self.quiet {
            self.line(line);
        }
    }
    fn warn(&self, line: &str) {
        self.line(line);
    }
}

fn credentials(file: Option<&Path>) -> Result<Credentials, String> {
    match file {
        Some(path) => Credentials::from_file(path).map_err(|e| e.to_string()),
        None => Ok(Credentials::from_environment()),
    }
}

/// Runs the suite as the arguments say; the exit code.
///
/// # Errors
/// A sentence, if an argument or a file is wrong.
pub fn run(registry: Registry, arguments: &Arguments) -> Result<u8, String> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|e| format!("no runtime: {e}"))?;
    runtime.block_on(on_runtime(registry, arguments))
}

async fn on_runtime(registry: Registry, arguments: &Arguments) -> Result<u8, String> {
    let mut duts = Vec::new();
    if let (Some(uri), Some(profile)) = (&arguments.uri, &arguments.profile) {
        // Its parameters belong to the connection, not to the name.
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
        dut.check()
            .map_err(|e| format!("{}: {e}", path.display()))?;
        if duts.iter().any(|other: &Dut| other.name == dut.name) {
            return Err(format!(
                "{}: there is another device under test of the name `{}`",
                path.display(),
                dut.name
            ));
        }
        duts.push(dut);
    }
    let suite =
        Suite::new(registry).with_credentials(credentials(arguments.credentials.as_deref())?);
    let mut request = Request {
        only: arguments.only.clone(),
        ..Request::default()
    };
    let journal = arguments.out.join("journal.jsonl");
    if !arguments.list {
        std::fs::create_dir_all(&arguments.out)
            .map_err(|e| format!("{}: {e}", arguments.out.display()))?;
        let of = about();
        let of = format!("{} {} {}", of.name, of.version, of.requirements);
        let (begun, past) = if arguments.resume {
            Journal::resume(&journal, &of)?
        } else {
            (Journal::begin(&journal, &of)?, Past::default())
        };
        let missing = past.torn.iter().find(|(name, (_, stood))| {
            !stood.is_empty() && !duts.iter().any(|dut| dut.key() == **name)
        });
        if let Some((name, (case, _))) = missing {
            return Err(format!(
                "the earlier run was ended in the middle of {case} of `{name}`: name its file too, with the same address, so that what was changed is put back"
            ));
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
                // Nothing was begun: there is nothing to resume.
                if request.past.is_empty() {
                    let _ = std::fs::remove_file(&journal);
                }
                return Err(why);
            }
        }
    }
    for one in &ready {
        let text = one.announcement(&request).await;
        if arguments.list {
            println!("{text}");
        } else if !arguments.quiet {
            eprintln!("{text}");
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
            Refusal::WrongKind(why) => (why, 2),
            Refusal::OtherDevice(why) => (why, OTHER_DEVICE),
        };
        eprintln!("error: {why}");
        return Ok(code);
    }
    if arguments.list {
        return Ok(0);
    }
    let stop = request.stop.clone();
    tokio::spawn(async move {
        // The case that runs goes to its end, and puts back what it changed.
        while asked_to_end().await {
            eprintln!("ending after the case that runs");
            stop.store(true, Ordering::Relaxed);
        }
    });
    let screen = Screen::new(arguments.quiet);
    let results = suite.run(&ready, &request, &screen).await;
    screen.bar.finish_and_clear();
    let interrupted = request.stop.load(Ordering::Relaxed);
    let written = report::write_all(&results, &arguments.out)?;
    if request.left_changed.load(Ordering::Relaxed) {
        eprintln!(
            "{} stays: it says how things stood; put them back with --resume, or by hand",
            journal.display()
        );
    } else if !interrupted {
        std::fs::remove_file(&journal).map_err(|e| format!("{}: {e}", journal.display()))?;
    }
    results
        .runs
        .iter()
        .for_each(|run| println!("{}", line(run)));
    written
        .iter()
        .for_each(|path| println!("  {}", path.display()));
    Ok(if interrupted {
        130
    } else {
        exit_code(&results)
    })
}

/// Waits until somebody asks this program to end: with Ctrl-C, by ending it, or by hanging up its terminal.
async fn asked_to_end() -> bool {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut end), Ok(mut hang_up)) = (
        signal(SignalKind::terminate()),
        signal(SignalKind::hangup()),
    ) else {
        return false;
    };
    tokio::select! {
        asked = tokio::signal::ctrl_c() => asked.is_ok(),
        asked = end.recv() => asked.is_some(),
        asked = hang_up.recv() => asked.is_some(),
    }
}

/// A run in a line.
fn line(run: &Run) -> String {
    let counts: Vec<String> = Outcome::ALL
        .iter()
        .map(|o| (*o, run.count(*o)))
        .filter(|(_, n)| *n > 0)
        .map(|(o, n)| format!("{n} {}", o.words()))
        .collect();
    format!(
        "{}: {}: {} ({}; {:.1} s)",
        run.dut,
        run.verdict().words(),
        counts.join(", "),
        run.on.words(),
        run.seconds
    )
}

/// The exit code of results.
#[must_use]
pub fn exit_code(results: &Results) -> u8 {
    match results.verdict() {
        Verdict::Conforms | Verdict::ConformsAsTested => 0,
        Verdict::DoesNotConform => 1,
        Verdict::Inconclusive => 3,
    }
}
