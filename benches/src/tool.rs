//! Shared code of the measurements.

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use std::{
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};
use tokio::runtime::Runtime;

/// One thread, as a controller's own loop would be.
pub(crate) fn current_thread() -> Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime")
}

/// Emulators get a runtime of their own, on a thread of their own, as another process would.
pub(crate) fn spawn_runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime")
}

/// As many open files as the machine lets this process have.
pub(crate) fn raise_limit() {
    if let Ok((_, hard)) = getrlimit(Resource::RLIMIT_NOFILE) {
        let _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
    }
}

/// Memory of this process.
pub(crate) fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:"));
    line.and_then(|l| l.trim().trim_end_matches("kB").trim().parse().ok())
        .unwrap_or(0)
}

/// Returns the median duration.
pub(crate) fn median(mut took: Vec<Duration>) -> Duration {
    took.sort();
    took[took.len() / 2]
}

/// The median of some runs of `n` rounds each, per round: a run that was disturbed does not count.
pub(crate) fn per_round(runs: usize, n: u32, mut round: impl FnMut(u32)) -> Duration {
    median(
        (0..runs)
            .map(|_| {
                let begun = Instant::now();
                round(n);
                begun.elapsed() / n
            })
            .collect(),
    )
}

/// Formats one row of the table.
pub(crate) fn row(what: &str, ours: &str, reference: &str, ratio: Option<f64>, goal: &str) {
    let ratio = ratio.map_or_else(|| "-".to_owned(), |r| format!("{r:.2}"));
    println!("| {what} | {ours} | {reference} | {ratio} | {goal} |");
}

/// Compiles a reference written in C; `None`, with a word, if the machine cannot.
pub(crate) fn compile(name: &str, libraries: &[&str]) -> Option<(tempfile::TempDir, PathBuf)> {
    let folder = tempfile::tempdir().expect("a folder");
    let binary = folder.path().join(name);
    let source = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("c")
        .join(format!("{name}.c"));
    let output = Command::new("cc")
        .arg("-O2")
        .arg(source)
        .arg("-o")
        .arg(&binary)
        .args(libraries.iter().map(|l| format!("-l{l}")))
        .output()
        .ok()?;
    if output.status.success() {
        return Some((folder, binary));
    }
    eprintln!(
        "{name}.c does not compile here, so its rows are left out: {}",
        String::from_utf8_lossy(&output.stderr)
            .lines()
            .next()
            .unwrap_or_default()
    );
    None
}

/// Runs a reference and reads the number that it prints.
pub(crate) fn number(binary: &Path, arguments: &[&str]) -> Option<f64> {
    let output = Command::new(binary).args(arguments).output().ok()?;
    String::from_utf8_lossy(&output.stdout).trim().parse().ok()
}

/// Nanoseconds, as microseconds for people.
pub(crate) fn micros(time: Duration) -> String {
    format!("{:.2} µs", time.as_secs_f64() * 1e6)
}
