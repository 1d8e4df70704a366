//! Signed bundles: results, reports and transcripts in one file. Any change is detected.
//!
//! A bundle (`*.qkdreport`) is a tar archive:
//!
//! | file | content |
//! |---|---|
//! | `manifest.json` | suite, drivers, times; name, size, SHA-256 of all files but the first two |
//! | `manifest.sig` | Ed25519 signature (RFC 8032, 64 bytes) over the bytes of `manifest.json` |
//! | `signer.pub` | public key of the signer (PEM); the reader decides whether to trust it |
//! | `results.json`, `report.html`, `matrix.md`, `junit.xml` | as written by a run |
//! | `transcripts/<number>-<device>/<case>.jsonl` | exchanges of the link, one per line |
//!
//! The results, the key and the time of the signature determine every byte of the archive, and
//! [`verify`] accepts no other bytes.

mod archive;
pub mod key;
mod verify;

pub use archive::MAX_ARCHIVE_BYTES;
pub use verify::{Verified, verify};

use crate::{
    report,
    result::{Results, SuiteInfo},
};
use archive::File;
use ed25519_dalek::{Signer, SigningKey};
use qkd_hal::text::json_text;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;

/// Version of the format of the manifest.
pub const MANIFEST_VERSION: u32 = 1;

const MANIFEST_FILE: &str = "manifest.json";
const SIGNATURE_FILE: &str = "manifest.sig";
const KEY_FILE: &str = "signer.pub";

/// The signed content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Version of the format, [`MANIFEST_VERSION`].
    pub manifest: u32,
    /// The schema of the results.
    pub schema: u32,
    /// The suite that ran.
    pub suite: SuiteInfo,
    /// When the run began, RFC 3339.
    pub begun: String,
    /// When it was signed, RFC 3339.
    pub signed: String,
    /// The drivers that were tested.
    pub drivers: Vec<DriverVersion>,
    /// Every file except the manifest and its signature, in the order of the archive.
    pub files: Vec<ManifestEntry>,
}

/// Driver, and version of its crate.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DriverVersion {
    /// Name of the driver.
    pub name: String,
    /// Version of its crate.
    pub version: String,
}

/// A file of a bundle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ManifestEntry {
    /// Its name in the archive.
    pub path: String,
    /// Its size, in bytes.
    pub size: u64,
    /// SHA-256 of the file, in hexadecimal.
    pub sha256: String,
}

impl ManifestEntry {
    fn of(file: &File<'_>) -> Self {
        Self {
            path: file.path.clone(),
            size: file.content.len() as u64,
            sha256: hex::encode(Sha256::digest(&file.content)),
        }
    }
}

impl Manifest {
    fn of(results: &Results, signed: &str, files: &[File<'_>]) -> Self {
        let drivers: BTreeSet<_> = results
            .runs
            .iter()
            .map(|r| DriverVersion {
                name: r.driver.name.clone(),
                version: r.driver.version.clone(),
            })
            .collect();
        Self {
            manifest: MANIFEST_VERSION,
            schema: results.schema,
            suite: results.suite.clone(),
            begun: results.begun.clone(),
            signed: signed.to_owned(),
            drivers: drivers.into_iter().collect(),
            files: files.iter().map(ManifestEntry::of).collect(),
        }
    }
}

/// Creates a bundle from the text of a result file. `key` signs it; `signed` is the time of the
/// signature (RFC 3339).
///
/// # Errors
/// Error text, if `results` is not a result file or the bundle would be too large.
pub fn write(results: &str, key: &SigningKey, signed: &str) -> Result<Vec<u8>, String> {
    let parsed = Results::parse(results)?;
    let mut files = vec![
        File::new(report::RESULTS, results.as_bytes()),
        File::new(
            KEY_FILE,
            key::public_pem(&key.verifying_key())?.into_bytes(),
        ),
    ];
    files.extend(derived(&parsed)?);
    let manifest = serde_json::to_string_pretty(&Manifest::of(&parsed, signed, &files))
        .map_err(|e| e.to_string())?;
    let manifest = json_text(&manifest).into_owned() + "\n";
    let signature = key.sign(manifest.as_bytes()).to_bytes();
    files.insert(0, File::new(SIGNATURE_FILE, signature.to_vec()));
    files.insert(0, File::new(MANIFEST_FILE, manifest.into_bytes()));
    let mut bundle = Vec::new();
    archive::write(&files, &mut bundle)?;
    if bundle.len() > MAX_ARCHIVE_BYTES {
        return Err(format!(
            "the bundle would have {} bytes; the maximum is {}",
            bundle.len(),
            MAX_ARCHIVE_BYTES
        ));
    }
    Ok(bundle)
}

/// Generates the files that the results determine: the reports, and a transcript of each case.
fn derived(results: &Results) -> Result<Vec<File<'static>>, String> {
    let mut files: Vec<_> = report::render(results)?
        .into_iter()
        .map(|(name, text)| File::new(name, text.into_bytes()))
        .collect();
    for (i, run) in results.runs.iter().enumerate() {
        let folder = format!("{}-{}", i + 1, plain(&run.dut));
        let cases = run.cases().map(|case| (plain(&case.id), &case.transcript));
        for (name, records) in std::iter::once(("opening".to_owned(), &run.opening))
            .chain(cases)
            .filter(|(_, records)| !records.is_empty())
        {
            let mut text = String::new();
            for record in records {
                text.push_str(&record.to_line().map_err(|e| e.to_string())?);
                text.push('\n');
            }
            files.push(File::new(
                format!("transcripts/{folder}/{name}.jsonl"),
                text.into_bytes(),
            ));
        }
    }
    Ok(files)
}

/// Converts a text to a part of a file name: at most 40 letters, digits and hyphens.
fn plain(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        if out.len() >= 40 {
            break;
        }
        if c.is_ascii_alphanumeric() {
            out.push(c);
        } else if !out.ends_with('-') && !out.is_empty() {
            out.push('-');
        }
    }
    out.trim_end_matches('-').to_owned()
}

#[cfg(test)]
mod tests;
