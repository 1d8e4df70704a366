//! Testbeds, differential and architecture tests, fuzzing, checks by other people's software.

pub mod guest;
mod scale;
pub mod snmpd;

pub use scale::scaled;
