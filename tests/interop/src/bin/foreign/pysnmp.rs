//! PyPI `pysnmp`, a third SNMP stack, against our agents: GET, whole walks by GETNEXT and GETBULK, SETs of several varbinds, refusals, wrong passwords.

use crate::{block_on, python, told};
use qkd_emulators::profile::{self, Options};

pub(crate) fn run() -> Result<String, String> {
    block_on(async {
        for (profile, family) in [("packetlight-pair", "packetlight"), ("nokia-sros-macsec-pair", "nokia")] {
            let running = profile::start(profile, &Options::default()).await.map_err(|e| e.to_string())?;
            let user = running.ready().credentials.clone().ok_or("no credentials")?;
            let mut arguments = vec![family, &user.user, &user.auth_password, &user.priv_password];
            arguments.extend(running.ready().endpoints.iter().map(|e| e.address.as_str()));
            for line in python("agents.py", &arguments)?.lines() {
                told(&format!("{family} {line}: walked, read and set by pysnmp"));
            }
        }
        Ok("pysnmp 7.1.30 on PacketLight and Nokia pairs, v3 authPriv: GET, walks, keys written and never read, refused SETs, wrong passwords".to_owned())
    })
}
