//! Profile of a linked pair of Ciena Waveservers with encryption, managed over SNMPv3.

use super::{DROP, ENTERPRISE, RULES};
use crate::{
    model::encryptor::psk::{PskEndpoint, PskLink},
    profile::{
        Options, Profile, Setting,
        agents::{self, Agents, COMMUNITY, TIME_FACTOR, TRAP_TARGET, clock},
    },
    wire::snmp::NodeOptions,
};
use qkd_hal::Identity;
use std::{io, sync::Arc, time::Duration};

/// The profiles of this vendor.
pub(crate) const PROFILES: &[Profile] = &[Profile {
    name: "ciena-waveserver-pair",
    title: "Two Ciena Waveservers, keys used at the next re-authentication, SNMPv3",
    settings: SETTINGS,
    has_wire: true,
    start: |p, o| Box::pin(agents::start(p, o, build(o))),
    in_memory: |p, o| agents::in_memory(p, build(o)),
}];

const SETTINGS: &[Setting] = &[TRAP_TARGET, COMMUNITY, TIME_FACTOR];

fn build(options: &Options) -> io::Result<Agents> {
    let hour = Duration::from_secs(3600);
    let link = PskLink::new(clock(options)?, b"emulated initial", RULES, hour, DROP);
    let agents = [0, 1].map(|end| {
        let identity = Identity::new("Ciena")
            .with_model("Waveserver")
            .with_serial(format!("CW{:05}", 401 + end))
            .with_firmware("1.6.0");
        let name = format!("ws-{}", ["a", "b"][end]);
        super::agent(
            PskEndpoint::new(Arc::clone(&link), end, identity),
            NodeOptions::named(&name, ENTERPRISE),
        )
    });
    Ok(Agents::new(options, agents.into(), "ciena-waveserver", ""))
}
