//! Profile of a linked pair of ADVA FSP 150 with ConnectGuard, managed over SNMPv3.

use super::{FLOWS, ON_FAILURE, Options as AgentOptions, RULES};
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
    name: "adva-fsp150-pair",
    title: "Two ADVA FSP 150 with ConnectGuard, two flows with one key exchange profile, crypto \
            password, SNMPv3",
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
        name: "blocking",
        help: "false: a flow that is not secure sends in clear; default true",
        runtime: false,
    },
    Setting {
        name: "own-profiles",
        help: "true: each flow has a key exchange profile of its own; default false",
        runtime: false,
    },
];

const SECRET: &[u8] = b"emulated initial password";

fn build(options: &Options) -> io::Result<Agents> {
    let blocking = options.flag("blocking", true)?;
    let own_profiles = options.flag("own-profiles", false)?;
    let clock = clock(options)?;
    let links = [(); FLOWS].map(|()| {
        let hour = Duration::from_secs(3600);
        PskLink::new(clock.clone(), SECRET, RULES, hour, ON_FAILURE)
    });
    let agents = [0, 1].map(|end| {
        let ends = links.each_ref().map(|link| {
            let identity = Identity::new("ADVA")
                .with_model("FSP150CC-GE114")
                .with_serial(format!("LBADVA{:05}", 601 + end))
                .with_firmware("8.1.1");
            PskEndpoint::new(Arc::clone(link), end, identity)
        });
        let mut named = AgentOptions::named(&format!("ge-{}", ["a", "b"][end]), OFFICER_PASSWORD);
        named.blocking = blocking;
        named.own_profiles = own_profiles;
        super::agent(ends, SECRET, named)
    });
    Ok(Agents::new(options, agents.into(), "adva-fsp150", "").with_officer())
}
