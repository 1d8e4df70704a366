//! An agent to try with any requests.

use super::{Options, PATHS, Ports};
use crate::{
    Clock,
    model::{
        encryptor::forced::{ForcedRekeyEndpoint, ForcedRekeyLink},
        protection::Group,
    },
    profile::protection::inputs,
    wire::snmp::{SnmpAgent, fuzz::model},
};
use qkd_hal::Identity;
use std::sync::Arc;

/// Creates the agent of a PacketLight device with encryption and protection.
#[must_use]
pub fn agent() -> Arc<dyn SnmpAgent> {
    let link = ForcedRekeyLink::new(Clock::manual(), b"emulated initial secret");
    let end = Arc::new(ForcedRekeyEndpoint::new(
        link,
        0,
        "uplink-1",
        Identity::new("PacketLight"),
    ));
    let mut options = Options::named("fuzzed");
    let ports = Ports {
        user: [1, 2],
        net: [options.if_index, options.if_index + 1],
    };
    options.protection = Some((ports, model(Group::of(&PATHS, inputs()), "1")));
    super::agent(end, options)
}
