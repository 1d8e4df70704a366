//! An agent to try with any requests.

use super::snmp;
use crate::{
    Clock,
    model::switch::Switch,
    wire::snmp::{NodeOptions, SnmpAgent},
};
use qkd_hal::Identity;
use qkd_switch_hal::Geometry;
use std::sync::Arc;

/// The agent of a Polatis matrix.
#[must_use]
pub fn agent() -> Arc<dyn SnmpAgent> {
    let identity = Identity::new("Polatis").with_model("N-OST-4x4-LA1-DMHNS");
    let switch = Switch::new(identity, Geometry::matrix(4, 4), Clock::manual());
    snmp::agent(
        Arc::new(switch),
        NodeOptions::named("fuzzed", super::ENTERPRISE),
    )
}
