//! Whether a bundle is what its signer made.

use super::{
    KEY_FILE, MANIFEST_FILE, MANIFEST_VERSION, Manifest, ManifestEntry, SIGNATURE_FILE,
    archive::{self, File},
    derived, key,
};
use crate::{report, result::Results, suite};
use ed25519_dalek::{Signature, VerifyingKey, pkcs8::DecodePublicKey};

/// A bundle that is what its signer made.
#[derive(Debug, Clone)]
pub struct Verified {
    /// The signed content.
    pub manifest: Manifest,
    /// Results in the bundle.
    pub results: Results,
    /// The fingerprint of the key that signed: [`key::fingerprint`].
    pub fingerprint: String,
    /// Whether the reports were generated again from the results and are equal. `false`: another
    /// version of the suite made them, so they may differ legitimately.
    pub made_again: bool,
}

/// Verifies a bundle in memory. `trusted`: the key that must have signed it; if `None`, the key in
/// the bundle, whose owner is not verified.
///
/// # Errors
/// Sentences that describe the changes.
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
    let inside = VerifyingKey::from_public_key_pem(text(KEY_FILE)?)
        .map_err(|_| vec![format!("{KEY_FILE} is no Ed25519 public key")])?;
    let signer = trusted.unwrap_or(&inside);
    let fingerprint = key::fingerprint(signer).map_err(|e| vec![e])?;

    let signature = Signature::from_slice(&find(SIGNATURE_FILE)?.content)
        .map_err(|_| vec![format!("{SIGNATURE_FILE} is no Ed25519 signature")])?;
    if signer
        .verify_strict(&find(MANIFEST_FILE)?.content, &signature)
        .is_err()
    {
        let whose = if *signer == inside {
            String::new()
        } else {
            format!(
                "; the key in the bundle is another, {}",
                key::fingerprint(&inside).unwrap_or_default()
            )
        };
        return Err(vec![format!(
            "the signature does not fit: {MANIFEST_FILE} or {SIGNATURE_FILE} was changed, or the \
             key {fingerprint} did not sign it{whose}"
        )]);
    }

    let manifest: Manifest = serde_json::from_str(text(MANIFEST_FILE)?).map_err(|e| {
        vec![format!(
            "{MANIFEST_FILE} is signed, and cannot be read: {e}"
        )]
    })?;
    if manifest.manifest != MANIFEST_VERSION {
        return Err(vec![format!(
            "{MANIFEST_FILE} is of form {}; this program reads {MANIFEST_VERSION}",
            manifest.manifest
        )]);
    }
    none(compare(&manifest, &files))?;
    if *signer != inside {
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
            "{MANIFEST_FILE} says something else of the run than {}",
            report::RESULTS
        )]);
    }
    // Another version may make other reports of the same results.
    let made_again = results.suite.version == suite::about().version;
    if made_again {
        let expected = derived(&results).map_err(|e| vec![e])?;
        none(remade(&listed, &expected))?;
    }
    Ok(Verified {
        manifest,
        results,
        fingerprint,
        made_again,
    })
}

fn none(wrong: Vec<String>) -> Result<(), Vec<String>> {
    if wrong.is_empty() { Ok(()) } else { Err(wrong) }
}

/// Returns the differences between the signed and the present files.
fn compare(manifest: &Manifest, files: &[File<'_>]) -> Vec<String> {
    let mut wrong = Vec::new();
    for listed in &manifest.files {
        match files
            .iter()
            .find(|f| f.path == listed.path)
            .map(ManifestEntry::of)
        {
            None => wrong.push(format!("{} was signed, and is missing", listed.path)),
            Some(found) if found.size != listed.size => wrong.push(format!(
                "{} was changed: it has {} bytes, and {} were signed",
                found.path, found.size, listed.size
            )),
            Some(found) if found != *listed => wrong.push(format!(
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
            wrong.push(format!(
                "{} is in the bundle, and was not signed",
                file.path
            ));
        }
    }
    wrong
}

/// Returns the differences between the present files and those that follow from the results.
fn remade(files: &[File<'_>], expected: &[File<'_>]) -> Vec<String> {
    let mut wrong = Vec::new();
    for file in expected {
        match files.iter().find(|f| f.path == file.path) {
            None => wrong.push(format!(
                "{} follows from the results, and is missing",
                file.path
            )),
            Some(found) if found.content != file.content => wrong.push(format!(
                "{} is signed, and is not what {} gives",
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
            wrong.push(format!(
                "{} is signed, and does not follow from the results",
                file.path
            ));
        }
    }
    wrong
}
