//! PyPI `autosweep` drives our GP600 emulator over TCP, through PyVISA. What it left is compared
//! with the model's state.

use crate::{block_on, expect, python};
use qkd_emulators::{profile::Options, profiles};

pub(crate) fn run() -> Result<String, String> {
    block_on(async {
        let running = profiles::start("dicon-gp600", &Options::default())
            .await
            .map_err(|e| e.to_string())?;
        let tcp = running
            .ready()
            .endpoints
            .iter()
            .find(|e| e.bus == "tcp")
            .ok_or("a GP600 is on TCP")?;
        let (host, port) = tcp.address.split_once(':').ok_or("no port")?;
        python("dicon.py", &[host, port])?;
        let state = running.state();
        for line in ["connections: 1-18,16-32", "boot: Auto", "wavelength: 1550"] {
            expect(state.lines().any(|l| l == line), || {
                format!("`{line}` is not in the model's state:\n{state}")
            })?;
        }
        Ok("autosweep 0.1.0 over PyVISA: identity, dimension, each input connected, asked for and \
            disconnected, reset, wavelength, automatic saving, errors; the model holds what it \
            left".to_owned())
    })
}
