//! Profile of a linked pair of ADVA FSP 3000R7 nodes with encrypting channel modules, managed over
//! SNMPv3.

use super::{ON_FAILURE, Options as AgentOptions, RULES};
use crate::{
    model::encryptor::psk::{PskEndpoint, PskLink},
    profile::{
        Options, Profile, Setting,
        agents::{self, Agents, COMMUNITY, OFFICER_PASSWORD, TIME_FACTOR, TRAP_TARGET, clock},
    },
};
use qkd_hal::Identity;
use std::{io, sync::Arc, time::Duration};

/// The profiles of this vendor.
pub(crate) const PROFILES: &[Profile] = &[Profile {
    name: "adva-fsp3000r7-pair",
    title: "Two ADVA FSP 3000R7 nodes with encrypting channel modules, officer's password, SNMPv3",
    settings: SETTINGS,
    has_wire: true,
    start: |p, o| Box::pin(agents::start(p, o, build(o))),
    in_memory: |p, o| agents::in_memory(p, build(o)),
}];

const SETTINGS: &[Setting] = &[
    TRAP_TARGET,
    COMMUNITY,
    TIME_FACTOR,
    Setting {
        name: "reset",
        help: "false: no capability for ResetToFactory; default true",
        runtime: false,
    },
];

fn build(options: &Options) -> io::Result<Agents> {
    let reset = options.flag("reset", true)?;
    let link = PskLink::new(
        clock(options)?,
        b"emulated initial key",
        RULES,
        Duration::from_secs(86_400),
        ON_FAILURE,
    );
    let agents = [0, 1].map(|end| {
        let identity = Identity::new("ADVA")
            .with_model("FSP 3000R7")
            .with_serial(format!("AD{:05}", 301 + end))
            .with_firmware("13.1.1");
        let mut named = AgentOptions::named(&format!("fsp-{}", ["a", "b"][end]), OFFICER_PASSWORD);
        named.reset = reset;
        super::agent(PskEndpoint::new(Arc::clone(&link), end, identity), named)
    });
    Ok(Agents::new(options, agents.into(), "adva-fsp3000r7", "").with_officer())
}
