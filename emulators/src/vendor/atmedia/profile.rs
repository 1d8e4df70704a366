//! Profile of an atmedia encryptor, read over SNMPv3.

use super::{ENTERPRISE, MAX_ENGINES};
use crate::{
    profile::{
        Options, Profile, Setting,
        agents::{self, Agents, COMMUNITY, TIME_FACTOR, TRAP_TARGET, clock},
        options::invalid,
    },
    wire::snmp::NodeOptions,
};
use qkd_hal::Identity;
use std::io;

/// The profiles of this vendor.
pub(crate) const PROFILES: &[Profile] = &[Profile {
    name: "atmedia",
    title: "An atmedia encryptor, read only, SNMPv3",
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
        name: "engines",
        help: "number of encryptor engines, 1 to 4; default 2",
        runtime: false,
    },
];

fn build(options: &Options) -> io::Result<Agents> {
    let number = options.text("engines", "2");
    let number = number
        .parse()
        .ok()
        .filter(|n| (1..=MAX_ENGINES).contains(n))
        .ok_or_else(|| invalid(format!("engines={number}: it is 1 to {MAX_ENGINES}")))?;
    let identity = Identity::new("atmedia")
        .with_model("10G Ethernet Encryptor")
        .with_serial("AT00801")
        .with_firmware("2.1.0");
    let agent = super::agent(
        super::links(&clock(options)?, number),
        identity,
        NodeOptions::named("atm", ENTERPRISE),
    );
    Ok(Agents::new(options, vec![agent], "atmedia", ""))
}
