//! `keygen`, `bundle` and `verify`: signed bundles.

use super::Failure;
use crate::{
    bundle::{self, key},
    result::{Outcome, Run},
};
use clap::Args;
use qkd_driver_kit::program::{
    console::{MAX_LINE, line, one_line},
    files,
};
use qkd_hal::text::{MAX_TEXT, printable};
use std::{fs::File, io::Read, path::PathBuf};

#[derive(Debug, Args)]
pub(super) struct Keygen {
    /// Folder for the new files lab.key (private: keep it secret) and lab.pub (public: distribute
    /// it).
    #[arg(long, value_name = "FOLDER")]
    out: PathBuf,
}

#[derive(Debug, Args)]
pub(super) struct Bundle {
    /// The result file of a run.
    results: PathBuf,
    /// The private key: Ed25519, PKCS#8, PEM, readable by you alone.
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// The bundle to write, such as lab.qkdreport.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

#[derive(Debug, Args)]
pub(super) struct Verify {
    /// Bundle to read.
    bundle: PathBuf,
    /// The public key of the lab, from the lab itself and not from the bundle.
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
}

pub(super) fn keygen(arguments: &Keygen) -> Result<u8, Failure> {
    std::fs::create_dir_all(&arguments.out)
        .map_err(|e| format!("{}: {e}", arguments.out.display()))?;
    let (private, public) = (arguments.out.join("lab.key"), arguments.out.join("lab.pub"));
    // Both are checked before either is written, so that a failure leaves neither file.
    if let Some(existing) = [&private, &public].into_iter().find(|path| path.exists()) {
        return Err(format!("{} exists, and is not overwritten", existing.display()).into());
    }
    let key = key::generate()?;
    key::save_private(&key, &private).map_err(Failure::not_written)?;
    key::save_public(&key.verifying_key(), &public).map_err(|why| {
        // A private key without its public key is of no use.
        let _ = std::fs::remove_file(&private);
        Failure::not_written(why)
    })?;
    line(&format!("{}  private: keep it secret", private.display()));
    line(&format!(
        "{}  public: give it to those who verify",
        public.display()
    ));
    line(&format!(
        "fingerprint {}  verify it over another channel, such as the telephone",
        key::fingerprint(&key.verifying_key())?
    ));
    Ok(0)
}

pub(super) fn bundle(arguments: &Bundle) -> Result<u8, Failure> {
    let key = key::read_private(&arguments.key)?;
    let results = std::fs::read_to_string(&arguments.results)
        .map_err(|e| format!("{}: {e}", arguments.results.display()))?;
    let signed = format!("{:.0}", jiff::Timestamp::now());
    let made = bundle::write(&results, &key, &signed).map_err(|e| {
        format!(
            "{}: {}",
            arguments.results.display(),
            printable(&e, MAX_LINE)
        )
    })?;
    files::write_new(&arguments.out, 0o644, &made).map_err(|e| {
        let message = format!("{}: {e}", arguments.out.display());
        match e.kind() {
            std::io::ErrorKind::AlreadyExists | std::io::ErrorKind::NotFound => message.into(),
            _ => Failure::not_written(message),
        }
    })?;
    line(&format!(
        "{}  {} bytes, signed {signed} with the key {}",
        arguments.out.display(),
        made.len(),
        key::fingerprint(&key.verifying_key())?
    ));
    Ok(0)
}

pub(super) fn verify(arguments: &Verify) -> Result<u8, String> {
    let trusted = arguments.key.as_deref().map(key::read_public).transpose()?;
    let name = arguments.bundle.display();
    let mut bytes = Vec::new();
    // One byte more than is accepted, so that a larger file is reported as too large.
    let read = File::open(&arguments.bundle).and_then(|file| {
        file.take(bundle::MAX_ARCHIVE_BYTES as u64 + 1)
            .read_to_end(&mut bytes)
    });
    read.map_err(|e| format!("{name}: {e}"))?;
    let verified = match bundle::verify(&bytes, trusted.as_ref()) {
        Ok(verified) => verified,
        Err(wrong) => {
            one_line(&format!("{name}: INVALID"));
            wrong.iter().for_each(|what| one_line(&format!("  {what}")));
            return Ok(1);
        }
    };
    let manifest = &verified.manifest;
    one_line(&format!(
        "{name}: {}",
        if trusted.is_some() {
            "valid"
        } else {
            "complete, but its signer is NOT VERIFIED"
        }
    ));
    one_line(&format!(
        "  signed    {} with the key {}",
        manifest.signed, verified.fingerprint
    ));
    one_line(&format!(
        "  run       begun {}, {} {}, requirements {}",
        manifest.begun, manifest.suite.name, manifest.suite.version, manifest.suite.requirements
    ));
    let drivers: Vec<_> = manifest
        .drivers
        .iter()
        .map(|d| format!("{} {}", d.name, d.version))
        .collect();
    one_line(&format!("  drivers   {}", drivers.join(", ")));
    one_line(&format!(
        "  files     {}, unchanged since they were signed",
        manifest.files.len()
    ));
    if verified.made_again {
        one_line("  reports   equal to those generated again from the results");
    } else {
        one_line(&format!(
            "  reports   of suite {}; not generated again, because this is another version",
            manifest.suite.version
        ));
    }
    verified
        .results
        .runs
        .iter()
        .for_each(|run| one_line(&format!("  {}", verdict(run))));
    if trusted.is_some() {
        return Ok(0);
    }
    one_line(
        "The signature matches the key inside the bundle, which anyone could have put there: give \
         --key with the key that you have from the lab.",
    );
    Ok(3)
}

/// Returns a run as one line. The signer chose the name of the device, so it is made printable.
fn verdict(run: &Run) -> String {
    let counts: Vec<String> = Outcome::ALL
        .iter()
        .map(|o| (*o, run.count(*o)))
        .filter(|(_, n)| *n > 0)
        .map(|(o, n)| format!("{n} {}", o.label()))
        .collect();
    format!(
        "verdict   {}: {} ({}); on {}",
        printable(&run.dut, MAX_TEXT),
        run.headline(),
        counts.join(", "),
        run.on.label()
    )
}
