//! An agent to try with any requests.

use crate::{
    Clock,
    wire::snmp::{NodeOptions, SnmpAgent},
};
use qkd_hal::Identity;
use std::sync::Arc;

/// Creates the agent of an encryptor with two engines.
#[must_use]
pub fn agent() -> Arc<dyn SnmpAgent> {
    let links = super::links(&Clock::manual(), 2);
    let identity = Identity::new("atmedia");
    super::agent(
        links,
        identity,
        NodeOptions::named("fuzzed", super::ENTERPRISE),
    )
}
