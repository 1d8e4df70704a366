//! Agents to try with any requests.

use super::{ENTERPRISE, Kind, agent};
use crate::{
    profile::protection::inputs,
    wire::snmp::{NodeOptions, SnmpAgent, fuzz::model},
};
use std::sync::Arc;

/// The SCTE agent of an A/B switch.
#[must_use]
pub fn ab() -> Arc<dyn SnmpAgent> {
    of(Kind::Ab)
}
/// The SCTE agent of a 2×2 switch.
#[must_use]
pub fn two_by_two() -> Arc<dyn SnmpAgent> {
    of(Kind::TwoByTwo)
}
fn of(kind: Kind) -> Arc<dyn SnmpAgent> {
    agent(
        model(kind.group(inputs()), "1"),
        kind,
        NodeOptions::named("fuzzed", ENTERPRISE),
    )
}
