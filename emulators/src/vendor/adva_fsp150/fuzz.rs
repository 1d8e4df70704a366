//! An agent to try with any requests.

use super::{FLOWS, ON_FAILURE, Options, RULES};
use crate::{
    Clock,
    model::encryptor::psk::{PskEndpoint, PskLink},
    wire::snmp::SnmpAgent,
};
use qkd_hal::Identity;
use std::{sync::Arc, time::Duration};

/// Creates the agent of an end of a pair, which needs the password `fuzzed`.
#[must_use]
pub fn agent() -> Arc<dyn SnmpAgent> {
    let (clock, hour) = (Clock::manual(), Duration::from_secs(3600));
    let ends = [(); FLOWS].map(|()| {
        let link = PskLink::new(clock.clone(), b"fuzzed", RULES, hour, ON_FAILURE);
        PskEndpoint::new(link, 0, Identity::new("ADVA"))
    });
    super::agent(ends, b"fuzzed", Options::named("fuzzed", "fuzzed"))
}
