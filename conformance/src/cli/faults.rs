//! The command `faults`: the fault matrix of emulators.

use crate::{dut::Dut, faults};
use clap::Args;
use qkd_driver_kit::{Registry, program::console};
use std::path::PathBuf;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Files of devices under test: emulators in memory.
    #[arg(required = true, value_name = "FILE")]
    duts: Vec<PathBuf>,
}

/// Prints the matrix. Returns exit code 1 if a cell has a violation.
///
/// # Errors
/// Error text, if a file is invalid or an emulator cannot be opened.
pub(super) fn run(registry: &Registry, arguments: &Arguments) -> Result<u8, String> {
    let duts = arguments
        .duts
        .iter()
        .map(|path| Dut::read(path))
        .collect::<Result<_, _>>()?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|e| format!("the async runtime could not be started: {e}"))?;
    let cells = runtime.block_on(faults::run(registry, duts))?;
    console::line(&faults::markdown(&cells));
    Ok(u8::from(cells.iter().any(|c| !c.wrong.is_empty())))
}
