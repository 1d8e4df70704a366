//! PyPI `etsi-qkd-014-client` (LIP6) and `qkdsec` (its `doctor`, and its client) and the crate
//! `etsi014` (QOJena) against our ETSI GS QKD 014 server, over mutual TLS.

use crate::{block_on, python, tool};
use qkd_emulators::{profile::Options, profiles};

/// Runs a client with the addresses, the PEM files and the SAE ids of a fresh pair.
fn on_a_pair(client: impl FnOnce(&[&str]) -> Result<String, String>) -> Result<(), String> {
    block_on(async {
        let running = profiles::start("etsi014-pair", &Options::default())
            .await
            .map_err(|e| e.to_string())?;
        let ready = running.ready();
        let (tls, sae) = (
            ready.tls.as_ref().ok_or("no TLS files")?,
            ready.sae.as_ref().ok_or("no SAE ids")?,
        );
        let addresses = [&ready.endpoints[0].address, &ready.endpoints[1].address];
        let rest = [
            &tls.ca,
            &tls.cert,
            &tls.key,
            &tls.slave_cert,
            &tls.slave_key,
            &sae.master,
            &sae.slave,
        ];
        let arguments: Vec<&str> = addresses
            .into_iter()
            .chain(rest)
            .map(String::as_str)
            .collect();
        tokio::task::block_in_place(|| client(&arguments)).map(drop)
    })
}

pub(crate) fn client() -> Result<String, String> {
    on_a_pair(|arguments| python("etsi014.py", arguments))?;
    Ok("etsi-qkd-014-client 0.9.0: status, keys and twins, second dec_keys, refusals".to_owned())
}

pub(crate) fn doctor() -> Result<String, String> {
    on_a_pair(|arguments| python("qkdsec_doctor.py", arguments))?;
    Ok("qkdsec 0.3.0: eight of doctor's ten probes, the two others being its own reading; keys and \
        twins by its client, second dec_keys".to_owned())
}

pub(crate) fn crate_client() -> Result<String, String> {
    const CLIENT_MANIFEST: &str =
        concat!(env!("CARGO_MANIFEST_DIR"), "/rust-014-client/Cargo.toml");
    const TARGET: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/rust-014-client");
    let cargo = [
        "run",
        "--quiet",
        "--locked",
        "--manifest-path",
        CLIENT_MANIFEST,
        "--target-dir",
        TARGET,
        "--",
    ];
    on_a_pair(|arguments| tool("cargo", &[&cargo, arguments].concat()))?;
    Ok(
        "the crate etsi014 0.4.1: status, keys at both ends, second dec_keys, an invalid size"
            .to_owned(),
    )
}
