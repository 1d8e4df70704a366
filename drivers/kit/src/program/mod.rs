//! Shared code of the programs of this workspace: the frame of `main`, output, files, device locks
//! and signals.
//!
//! A program acts before it prints. Output that cannot be written changes neither the operation on
//! the device nor the exit code, except that [`console::WRITE_FAILED`] replaces exit code 0.

pub mod console;
pub mod files;
pub mod lock;
pub mod log;
pub mod signals;

use std::{
    fs::File,
    panic::{AssertUnwindSafe, catch_unwind},
    process::ExitCode,
    sync::{Arc, atomic::AtomicBool},
};

/// Exit code of a defect of the program or of its machine (`EX_SOFTWARE` of BSD's sysexits).
pub const INTERNAL: u8 = 70;

/// The file descriptors that a program needs before it opens a device: those of its runtime, its
/// signals and its files.
const NEEDED_DESCRIPTORS: usize = 24;

/// Runs the body of `main` and returns its exit code.
///
/// A core dump is prevented, since it would hold keys. A file that exceeds `RLIMIT_FSIZE` is a
/// write error, not the end of the program. Too few file descriptors, and a panic, end the program
/// with [`INTERNAL`] and one line on standard error.
pub fn run(body: impl FnOnce() -> u8) -> ExitCode {
    let _ = nix::sys::resource::setrlimit(nix::sys::resource::Resource::RLIMIT_CORE, 0, 0);
    std::panic::set_hook(Box::new(|info| {
        console::error_line(&format!("error: a defect of this program: {info}"));
    }));
    let file_size_signal = signal_hook::consts::SIGXFSZ;
    let _ = signal_hook::flag::register(file_size_signal, Arc::new(AtomicBool::new(false)));
    if let Err(error) = check_descriptors() {
        console::error_line(&format!(
            "error: this program may not open {NEEDED_DESCRIPTORS} files: {error}; \
             raise the limit with `ulimit -n`"
        ));
        return ExitCode::from(INTERNAL);
    }
    let code = catch_unwind(AssertUnwindSafe(body)).unwrap_or(INTERNAL);
    ExitCode::from(console::exit_code(code))
}

/// A runtime panics where it cannot open its own descriptors, hence this check before it starts.
fn check_descriptors() -> std::io::Result<()> {
    (0..NEEDED_DESCRIPTORS)
        .map(|_| File::open("/dev/null"))
        .collect::<std::io::Result<Vec<_>>>()
        .map(drop)
}
