//! Profile of a device with IEEE 802.1AE and 802.1X on its interfaces, read over SNMPv3.

use super::{MAX_INTERFACES, Options as AgentOptions};
use crate::profile::{
    Options, Profile, Setting,
    agents::{self, Agents, COMMUNITY, TIME_FACTOR, TRAP_TARGET, clock},
    options::invalid,
};
use qkd_hal::Identity;
use std::io;

/// The profiles of these standards.
pub(crate) const PROFILES: &[Profile] = &[Profile {
    name: "ieee-macsec",
    title: "Any device with MACsec and MKA (IEEE 802.1AE, 802.1X), read only, SNMPv3",
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
        name: "interfaces",
        help: "number of interfaces, 1 to 8; default 2",
        runtime: false,
    },
    Setting {
        name: "same-index",
        help: "true: controlled ports have the ifIndex of their interface; default false",
        runtime: false,
    },
];

fn build(options: &Options) -> io::Result<Agents> {
    let number = options.text("interfaces", "2");
    let number = number
        .parse()
        .ok()
        .filter(|n| (1..=MAX_INTERFACES).contains(n))
        .ok_or_else(|| invalid(format!("interfaces={number}: it is 1 to {MAX_INTERFACES}")))?;
    let identity = Identity::new("IEEE")
        .with_model("802.1AE")
        .with_serial("IM00701")
        .with_firmware("1.0");
    let links = super::links(&clock(options)?, options.seed, number);
    let mut named = AgentOptions::named("macsec");
    named.same_index = options.flag("same-index", false)?;
    let agent = super::agent(links, &identity, named);
    Ok(Agents::new(options, vec![agent], "ieee-macsec", ""))
}
