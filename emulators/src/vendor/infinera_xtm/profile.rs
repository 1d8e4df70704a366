//! Profile of a linked pair of Infinera XTM nodes with encrypting boards, managed over SNMPv3.

use super::{ON_FAILURE, Options as AgentOptions, RULES};
use crate::{
    model::encryptor::psk::{PskEndpoint, PskLink},
    profile::{
        Options, Profile, Setting,
        agents::{self, Agents, COMMUNITY, TIME_FACTOR, TRAP_TARGET, clock},
    },
};
use qkd_hal::Identity;
use std::{io, sync::Arc, time::Duration};

/// The profiles of this vendor.
pub(crate) const PROFILES: &[Profile] = &[Profile {
    name: "infinera-xtm-pair",
    title: "Two Infinera XTM nodes with encrypting boards and IKE peers, SNMPv3",
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
        name: "commands",
        help: "true: agents that take the MIB's read-only commands; default false",
        runtime: false,
    },
];

fn build(options: &Options) -> io::Result<Agents> {
    let commands = options.flag("commands", false)?;
    let secret = "emulated initial key ".repeat(4);
    let day = Duration::from_secs(86_400);
    let link = PskLink::new(clock(options)?, secret.as_bytes(), RULES, day, ON_FAILURE);
    let agents = [0, 1].map(|end| {
        let identity = Identity::new("Infinera")
            .with_model("XTM")
            .with_serial(format!("IX{:05}", 501 + end))
            .with_firmware("29.1");
        let mut named = AgentOptions::named(&format!("xtm-{}", ["a", "b"][end]));
        named.commands = commands;
        super::agent(PskEndpoint::new(Arc::clone(&link), end, identity), named)
    });
    Ok(Agents::new(options, agents.into(), "infinera-xtm", ""))
}
