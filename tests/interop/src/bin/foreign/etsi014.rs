//! PyPI `etsi-qkd-014-client` (LIP6) against our ETSI GS QKD 014 server, over mutual TLS.

use crate::{block_on, expect};
use qkd_emulators::profile::{self, Options};
use std::process::Command;

const SCRIPT: &str = r#"
import sys
from etsi_qkd_014_client import QKD014Client
a, b, ca, cert, key, slave_cert, slave_key, master, slave = sys.argv[1:]
alice, bob = QKD014Client(a, cert, key, ca), QKD014Client(b, slave_cert, slave_key, ca)
code, status = alice.get_status(slave)
assert code == 200, ("status", code)
assert status.key_size == 256 and status.master_sae_id == master and status.slave_sae_id == slave, vars(status)
code, taken = alice.get_key(slave, 3, 512)
assert code == 200 and len(taken.keys) == 3, ("enc_keys", code)
ids = [k.key_id for k in taken.keys]
code, twins = bob.get_key_with_key_IDs(master, ids)
assert code == 200, ("dec_keys", code)
assert [(k.key_id, k.key) for k in twins.keys] == [(k.key_id, k.key) for k in taken.keys], "the twins differ"
code, again = bob.get_key_with_key_IDs(master, ids)
assert code == 400, ("second dec_keys", code)
code, one = alice.get_key(slave)
assert code == 200 and len(one.keys) == 1, ("enc_keys by GET", code)
try:
    code, _ = alice.get_key_with_key_IDs(master, [one.keys[0].key_id])
except ValueError:
    code = 401  # the standard gives 401 no body, and this client wants to read one
assert code in (400, 401), ("dec_keys by the master itself", code)
code, bad = alice.get_key(slave, 1, 129)
assert code == 400, ("a size of 129 bits", code)
print("ok")
"#;

pub(crate) fn run() -> Result<String, String> {
    let python = std::env::var("QKD_CI_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    block_on(async {
        let running = profile::start("etsi014-pair", &Options::default()).await.map_err(|e| e.to_string())?;
        let ready = running.ready();
        let (tls, sae) = (ready.tls.as_ref().ok_or("no TLS files")?, ready.sae.as_ref().ok_or("no SAE ids")?);
        let output = tokio::task::block_in_place(|| {
            Command::new(&python)
                .arg("-c")
                .arg(SCRIPT)
                .args([
                    &ready.endpoints[0].address,
                    &ready.endpoints[1].address,
                    &tls.ca,
                    &tls.cert,
                    &tls.key,
                    &tls.slave_cert,
                    &tls.slave_key,
                    &sae.master,
                    &sae.slave,
                ])
                .output()
        })
        .map_err(|e| format!("{python} cannot be run: {e}"))?;
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        expect(output.status.success(), || format!("etsi-qkd-014-client: {errors}"))?;
        Ok("etsi-qkd-014-client 0.9.0: status, keys and twins, second dec_keys, refusals".to_owned())
    })
}
