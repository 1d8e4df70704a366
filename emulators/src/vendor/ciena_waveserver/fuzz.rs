//! An agent to try with any requests.

use super::{DROP, ENTERPRISE, RULES};
use crate::{
    Clock,
    model::encryptor::psk::{PskEndpoint, PskLink},
    wire::snmp::{NodeOptions, SnmpAgent},
};
use qkd_hal::Identity;
use std::{sync::Arc, time::Duration};

/// Creates the agent of an end of a pair.
#[must_use]
pub fn agent() -> Arc<dyn SnmpAgent> {
    let hour = Duration::from_secs(3600);
    let link = PskLink::new(Clock::manual(), b"fuzzed", RULES, hour, DROP);
    let end = PskEndpoint::new(link, 0, Identity::new("Ciena"));
    super::agent(end, NodeOptions::named("fuzzed", ENTERPRISE))
}
