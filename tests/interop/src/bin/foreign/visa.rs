//! PyVISA with pyvisa-py, a VISA that we did not write, on our Polatis emulator: over a TCP socket
//! and over the console's pseudo-terminal. Our driver then sees what it left.

use crate::{block_on, expect, python};
use qkd_driver_kit::OpenContext;
use qkd_emulators::{profile::Options, profiles};

pub(crate) fn run() -> Result<String, String> {
    block_on(async {
        let running = profiles::start("polatis-16x16", &Options::default())
            .await
            .map_err(|e| e.to_string())?;
        let [tcp, console, ..] = &running.ready().endpoints[..] else {
            return Err("a Polatis has SCPI over TCP and on its console".to_owned());
        };
        let (host, port) = tcp.address.split_once(':').ok_or("no port")?;
        python("visa.py", &[host, port, &console.address])?;
        // Over SCPI, on its console, and over TL1; SNMP would need credentials.
        for uri in running
            .ready()
            .uris
            .iter()
            .filter(|uri| !uri.contains("+snmp:"))
        {
            let opened = qkd_hardware::registry()
                .open(uri, &OpenContext::new())
                .await
                .map_err(|e| e.to_string())?;
            let seen = opened
                .switch()
                .map_err(|e| e.to_string())?
                .connections()
                .await
                .map_err(|e| e.to_string())?
                .value;
            expect(seen.to_string() == "1-17,2-30", || {
                format!("our driver sees {seen} over {uri}")
            })?;
        }
        Ok(
            "PyVISA 1.16.2 with pyvisa-py 0.8.1: a Polatis over TCP and over its console; our \
            driver sees what it left"
                .to_owned(),
        )
    })
}
