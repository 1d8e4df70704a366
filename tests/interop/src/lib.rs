//! Testbeds, differential and architecture tests, fuzzing, checks by other people's software.

mod scale;
pub mod snmpd;

pub use scale::scaled;
