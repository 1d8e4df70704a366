//! An agent to try with any requests.

use super::{ENTERPRISE, PATHS};
use crate::{
    model::protection::Group,
    profile::protection::inputs,
    wire::snmp::{NodeOptions, SnmpAgent, fuzz::model},
};
use std::{sync::Arc, time::Duration};

/// The agent of a chassis with one OLP card.
#[must_use]
pub fn agent() -> Arc<dyn SnmpAgent> {
    super::agent(
        model(Group::of(&PATHS, inputs()), "3"),
        Duration::from_secs(1),
        NodeOptions::named("fuzzed", ENTERPRISE),
    )
}
