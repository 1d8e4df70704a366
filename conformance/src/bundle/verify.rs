//! Verification of a bundle: its signature, its files, and the reports that its results give.

use super::{
    KEY_FILE, MANIFEST_FILE, MANIFEST_VERSION, Manifest, ManifestEntry, SIGNATURE_FILE,
    archive::{self, File},
    derived, key,
};
use crate::{report, result::Results, suite};
use ed25519_dalek::{Signature, VerifyingKey, pkcs8::DecodePublicKey};

/// A bundle that was verified.
#[derive(Debug, Clone)]
pub struct Verified {
    /// The signed content.
    pub manifest: Manifest,
    /// Results in the bundle.
    pub results: Results,
    /// Fingerprint of the key that signed, as of [`key::fingerprint`].
    pub fingerprint: String,
    /// Whether the reports were generated again from the results, and are equal. `false`: they were
    /// not compared, because another version of the suite generated them and may format them
    /// differently.
    pub made_again: bool,
}

/// Verifies a bundle in memory. `trusted`: the key that must have signed it; if `None`, the key in
/// the bundle, whose owner is not verified.
///
/// # Errors
/// One sentence for each reason why the bundle is invalid.
pub fn verify(bundle: &[u8], trusted: Option<&VerifyingKey>) -> Result<Verified, Vec<String>> {
    let files = archive::read(bundle).map_err(|e| vec![e])?;
    let find = |name: &str| {
        files
            .iter()
            .find(|f| f.path == name)
            .ok_or_else(|| vec![format!("{name} is missing")])
    };
    let text = |name: &str| {
        std::str::from_utf8(&find(name)?.content).map_err(|_| vec![format!("{name} is not text")])
    };
    let bundled_key = VerifyingKey::from_public_key_pem(text(KEY_FILE)?)
        .map_err(|_| vec![format!("{KEY_FILE} is not an Ed25519 public key")])?;
    let signer = trusted.unwrap_or(&bundled_key);
    let fingerprint = key::fingerprint(signer).map_err(|e| vec![e])?;

    let signature = Signature::from_slice(&find(SIGNATURE_FILE)?.content)
        .map_err(|_| vec![format!("{SIGNATURE_FILE} is not an Ed25519 signature")])?;
    if signer
        .verify_strict(&find(MANIFEST_FILE)?.content, &signature)
        .is_err()
    {
        let other_key = if *signer == bundled_key {
            String::new()
        } else {
            format!(
                "; the bundle contains another key, {}",
                key::fingerprint(&bundled_key).unwrap_or_default()
            )
        };
        return Err(vec![format!(
            "the signature is invalid: {MANIFEST_FILE} or {SIGNATURE_FILE} was changed, or the \
             key {fingerprint} did not sign it{other_key}"
        )]);
    }

    let manifest: Manifest = serde_json::from_str(text(MANIFEST_FILE)?).map_err(|e| {
        vec![format!(
            "{MANIFEST_FILE} is signed, but is not a manifest: {e}"
        )]
    })?;
    if manifest.manifest != MANIFEST_VERSION {
        return Err(vec![format!(
            "{MANIFEST_FILE} has format version {}; this program reads version {MANIFEST_VERSION}",
            manifest.manifest
        )]);
    }
    check_empty(signed_differences(&manifest, &files))?;
    if *signer != bundled_key {
        return Err(vec![format!("{KEY_FILE} is not the key that signed")]);
    }

    let results = Results::parse(text(report::RESULTS)?)
        .map_err(|e| vec![format!("{}: {e}", report::RESULTS)])?;
    let listed: Vec<File<'_>> = files
        .iter()
        .filter(|f| !matches!(f.path.as_str(), MANIFEST_FILE | SIGNATURE_FILE))
        .cloned()
        .collect();
    if manifest != Manifest::of(&results, &manifest.signed, &listed) {
        return Err(vec![format!(
            "{MANIFEST_FILE} contradicts {}",
            report::RESULTS
        )]);
    }
    // Another version of the suite may generate other reports from the same results.
    let made_again = results.suite.version == suite::about().version;
    if made_again {
        let expected = derived(&results).map_err(|e| vec![e])?;
        check_empty(derived_differences(&listed, &expected))?;
    }
    Ok(Verified {
        manifest,
        results,
        fingerprint,
        made_again,
    })
}

/// Returns the differences as an error, if there are any.
fn check_empty(differences: Vec<String>) -> Result<(), Vec<String>> {
    if differences.is_empty() {
        Ok(())
    } else {
        Err(differences)
    }
}

/// Returns the differences between the files that the manifest lists and those in the bundle.
fn signed_differences(manifest: &Manifest, files: &[File<'_>]) -> Vec<String> {
    let mut differences = Vec::new();
    for listed in &manifest.files {
        match files
            .iter()
            .find(|f| f.path == listed.path)
            .map(ManifestEntry::of)
        {
            None => differences.push(format!("{} was signed, and is missing", listed.path)),
            Some(found) if found.size != listed.size => differences.push(format!(
                "{} was changed: it has {} bytes, and {} were signed",
                found.path, found.size, listed.size
            )),
            Some(found) if found != *listed => differences.push(format!(
                "{} was changed: its SHA-256 is {}, and {} was signed",
                found.path, found.sha256, listed.sha256
            )),
            Some(_) => {}
        }
    }
    for file in files
        .iter()
        .filter(|f| !matches!(f.path.as_str(), MANIFEST_FILE | SIGNATURE_FILE))
    {
        if !manifest.files.iter().any(|listed| listed.path == file.path) {
            differences.push(format!(
                "{} is in the bundle, and was not signed",
                file.path
            ));
        }
    }
    differences
}

/// Returns the differences between the files in the bundle and those generated from the results.
fn derived_differences(files: &[File<'_>], expected: &[File<'_>]) -> Vec<String> {
    let mut differences = Vec::new();
    for file in expected {
        match files.iter().find(|f| f.path == file.path) {
            None => differences.push(format!(
                "{} is missing, but {} gives such a file",
                file.path,
                report::RESULTS
            )),
            Some(found) if found.content != file.content => differences.push(format!(
                "{} is signed, but differs from the file that {} gives",
                file.path,
                report::RESULTS
            )),
            Some(_) => {}
        }
    }
    for file in files
        .iter()
        .filter(|f| !matches!(f.path.as_str(), report::RESULTS | KEY_FILE))
    {
        if !expected.iter().any(|e| e.path == file.path) {
            differences.push(format!(
                "{} is signed, but {} does not give such a file",
                file.path,
                report::RESULTS
            ));
        }
    }
    differences
}
