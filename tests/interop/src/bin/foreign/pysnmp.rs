//! PyPI `pysnmp`, a third SNMP stack, against our agents: GET, whole walks by GETNEXT and GETBULK,
//! SETs of several varbinds, refusals, wrong passwords.

use crate::{block_on, print_check, python};
use qkd_emulators::{profile::Options, profiles};

/// Profiles, and what `agents.py` calls their family.
const AGENTS: [(&str, &str); 6] = [
    ("packetlight-pair", "packetlight"),
    ("nokia-sros-macsec-pair", "nokia"),
    ("scte-hms-ab", "scte-ab"),
    ("scte-hms-2x2", "scte-2x2"),
    ("fs-olp", "fs-olp"),
    ("polatis-16x16", "polatis"),
];

pub(crate) fn run() -> Result<String, String> {
    block_on(async {
        for (profile, family) in AGENTS {
            let running = profiles::start(profile, &Options::default())
                .await
                .map_err(|e| e.to_string())?;
            let user = running
                .ready()
                .credentials
                .clone()
                .ok_or("no credentials")?;
            let mut arguments = vec![family, &user.user, &user.auth_password, &user.priv_password];
            arguments.extend(
                running
                    .ready()
                    .endpoints
                    .iter()
                    .filter(|e| e.bus == "snmp")
                    .map(|e| e.address.as_str()),
            );
            for line in python("agents.py", &arguments)?.lines() {
                print_check(&format!("{family} {line}: walked, read and set by pysnmp"));
            }
        }
        Ok(
            "pysnmp 7.1.30 on PacketLight and Nokia pairs, SCTE, FS.com and Polatis agents, v3 \
            authPriv: GET, walks, SETs, keys written and never read, refusals, wrong passwords"
                .to_owned(),
        )
    })
}
