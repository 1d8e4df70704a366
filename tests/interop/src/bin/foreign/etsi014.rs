//! PyPI `etsi-qkd-014-client` (LIP6) and `qkdsec` (its `doctor`, and its client) against our ETSI GS QKD 014 server, over mutual TLS.

use crate::{block_on, python};
use qkd_emulators::profile::{self, Options};

/// Runs a script with the addresses, the PEM files and the SAE ids of a fresh pair.
fn on_a_pair(script: &str) -> Result<(), String> {
    block_on(async {
        let running = profile::start("etsi014-pair", &Options::default()).await.map_err(|e| e.to_string())?;
        let ready = running.ready();
        let (tls, sae) = (ready.tls.as_ref().ok_or("no TLS files")?, ready.sae.as_ref().ok_or("no SAE ids")?);
        let addresses = [&ready.endpoints[0].address, &ready.endpoints[1].address];
        let rest = [&tls.ca, &tls.cert, &tls.key, &tls.slave_cert, &tls.slave_key, &sae.master, &sae.slave];
        let arguments: Vec<&str> = addresses.into_iter().chain(rest).map(String::as_str).collect();
        python(script, &arguments).map(drop)
    })
}

pub(crate) fn client() -> Result<String, String> {
    on_a_pair("etsi014.py")?;
    Ok("etsi-qkd-014-client 0.9.0: status, keys and twins, second dec_keys, refusals".to_owned())
}

pub(crate) fn doctor() -> Result<String, String> {
    on_a_pair("qkdsec_doctor.py")?;
    Ok("qkdsec 0.3.0: eight of doctor's ten probes, the two others being its own reading; keys and twins by its client, second dec_keys".to_owned())
}
