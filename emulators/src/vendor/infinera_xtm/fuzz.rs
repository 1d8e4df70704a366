//! An agent to try with any requests.

use super::{ON_FAILURE, Options, RULES};
use crate::{
    Clock,
    model::encryptor::psk::{PskEndpoint, PskLink},
    wire::snmp::SnmpAgent,
};
use qkd_hal::Identity;
use std::{sync::Arc, time::Duration};

/// Creates the agent of an end of a pair, which takes commands.
#[must_use]
pub fn agent() -> Arc<dyn SnmpAgent> {
    let day = Duration::from_secs(86_400);
    let link = PskLink::new(Clock::manual(), b"fuzzed", RULES, day, ON_FAILURE);
    let end = PskEndpoint::new(link, 0, Identity::new("Infinera"));
    let mut options = Options::named("fuzzed");
    options.commands = true;
    super::agent(end, options)
}
