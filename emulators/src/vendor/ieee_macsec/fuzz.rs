//! An agent to try with any requests.

use super::Options;
use crate::{Clock, wire::snmp::SnmpAgent};
use qkd_hal::Identity;
use std::sync::Arc;

/// Creates the agent of a device with two interfaces.
#[must_use]
pub fn agent() -> Arc<dyn SnmpAgent> {
    let identity = Identity::new("fuzzed");
    super::agent(
        super::links(&Clock::manual(), 1, 2),
        &identity,
        Options::named("fuzzed"),
    )
}
