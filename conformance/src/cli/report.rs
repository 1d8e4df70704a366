//! The command `report`: writes reports from result files.

use super::Failure;
use crate::{
    report::{self, merge},
    result::Results,
};
use clap::Args;
use qkd_driver_kit::program::console::{self, MAX_LINE};
use qkd_hal::text::printable;
use std::path::{Path, PathBuf};

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Result files. One report covers the devices under test of all files.
    #[arg(required = true, value_name = "RESULTS")]
    results: Vec<PathBuf>,
    /// Folder for the reports. It is created if it does not exist.
    #[arg(long, value_name = "FOLDER")]
    out: PathBuf,
}

/// Reads a result file.
///
/// # Errors
/// Error text with the path, if the file cannot be read or is not a result file.
pub(super) fn read(path: &Path) -> Result<Results, String> {
    let text = std::fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?;
    Results::parse(&text).map_err(|e| format!("{}: {}", path.display(), printable(&e, MAX_LINE)))
}

/// Writes the reports, and prints the path of each.
///
/// # Errors
/// [`Failure`] with code 2 for an unreadable result file, a device in two files or a folder that
/// cannot be created; 74 for a report that could not be written.
pub(super) fn run(arguments: &Arguments) -> Result<u8, Failure> {
    let results = merge(
        arguments
            .results
            .iter()
            .map(|path| read(path))
            .collect::<Result<_, String>>()?,
    )
    .map_err(|e| printable(&e, MAX_LINE).into_owned())?;
    std::fs::create_dir_all(&arguments.out)
        .map_err(|e| format!("{}: {e}", arguments.out.display()))?;
    let written = report::write_all(&results, &arguments.out).map_err(Failure::not_written)?;
    for path in written {
        console::line(&path.display().to_string());
    }
    Ok(0)
}
