//! PyPI `pysnmp`, a third SNMP stack, against our agents: GET, whole walks by GETNEXT and GETBULK,
//! SETs of several varbinds, refusals, wrong passwords.

use crate::{block_on, print_check, python};
use qkd_emulators::{profile::Options, profiles};

/// Profiles, and what `agents.py` calls their family.
const AGENTS: [(&str, &str); 12] = [
    ("packetlight-pair", "packetlight"),
    ("nokia-sros-macsec-pair", "nokia"),
    ("adva-fsp3000r7-pair", "adva-r7"),
    ("adva-fsp150-pair", "adva-fsp150"),
    ("ciena-waveserver-pair", "ciena"),
    ("infinera-xtm-pair", "infinera"),
    ("ieee-macsec", "ieee"),
    ("atmedia", "atmedia"),
    ("scte-hms-ab", "scte-ab"),
    ("scte-hms-2x2", "scte-2x2"),
    ("fs-olp", "fs-olp"),
    ("polatis-16x16", "polatis"),
];

/// Families of which the first end is enough, as both ends have one agent.
const FIRST_ENDS: [&str; 4] = ["adva-r7", "adva-fsp150", "ciena", "infinera"];

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
            let officer = user.officer_password.as_deref().unwrap_or_default();
            let mut arguments = vec![
                family,
                &user.user,
                &user.auth_password,
                &user.priv_password,
                officer,
            ];
            arguments.extend(
                running
                    .ready()
                    .endpoints
                    .iter()
                    .filter(|e| e.bus == "snmp")
                    .take(if FIRST_ENDS.contains(&family) { 1 } else { 2 })
                    .map(|e| e.address.as_str()),
            );
            for line in python("agents.py", &arguments)?.lines() {
                print_check(&format!("{family} {line}: walked, read and set by pysnmp"));
            }
        }
        Ok(
            "pysnmp 7.1.30 on PacketLight, Nokia, ADVA, Ciena and Infinera pairs, IEEE 802.1AE, \
            atmedia, SCTE, FS.com and Polatis agents, v3 authPriv: GET, walks, SETs, keys written and never read, refusals, wrong passwords"
                .to_owned(),
        )
    })
}
