//! PyVISA with pyvisa-py on pseudo-terminals: the exchanges of the JDSU SB's manual, and the wait
//! loop of PnPQ for a Thorlabs OSW22. What it left is compared with the models' states.

use crate::{block_on, expect, python};
use qkd_emulators::{profile::Options, profiles};

pub(crate) fn run() -> Result<String, String> {
    block_on(async {
        let start = async |name| {
            profiles::start(name, &Options::default())
                .await
                .map_err(|e| e.to_string())
        };
        let (jdsu, osw) = (start("jdsu-sb").await?, start("thorlabs-osw22").await?);
        python(
            "serial_switches.py",
            &[
                &jdsu.ready().endpoints[0].address,
                &osw.ready().endpoints[0].address,
            ],
        )?;
        for (running, lines) in [
            (
                &jdsu,
                &[
                    "connections: common-7",
                    "drivers: 5",
                    "service request mask: 4",
                ][..],
            ),
            (&osw, &["connections: 1-4,2-3"]),
        ] {
            let state = running.state();
            for line in lines {
                expect(state.lines().any(|l| l == *line), || {
                    format!("`{line}` is not in the model's state:\n{state}")
                })?;
            }
        }
        Ok("PyVISA 1.16.2 with pyvisa-py 0.8.1: the JDSU SB's manual, exchange by exchange, and a \
            Thorlabs OSW22 as PnPQ waits for it; the models hold what it left".to_owned())
    })
}
