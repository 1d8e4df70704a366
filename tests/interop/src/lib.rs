//! Testbeds, differential and architecture tests, fuzzing, checks by other people's software.

pub mod snmpd;
