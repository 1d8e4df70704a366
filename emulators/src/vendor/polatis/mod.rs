//! Polatis (HUBER+SUHNER) optical matrix switches.
//!
//! | module | content |
//! |---|---|
//! | [`scpi`] | SCPI over TCP and over the serial console |
//! | [`tl1`] | TL1 over TCP and over USB serial |
//! | [`snmp`] | paths, monitors, attenuators, protection |
//! | [`fuzz`] | an SNMP agent to try with any requests |

pub mod fuzz;
mod notify;
pub(super) mod profile;
pub mod scpi;
pub mod snmp;
pub mod tl1;

/// Enterprise number of the vendor.
pub const ENTERPRISE: u32 = 26_592;
