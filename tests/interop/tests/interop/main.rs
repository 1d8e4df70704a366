//! Tests of several crates together.

#![allow(clippy::unwrap_used, missing_docs)]

mod architecture;
mod encryptors;
mod hostile_requests;
mod in_memory;
mod invalid_objects;
mod layers;
mod macsec;
mod module_cycles;
mod other_makes;
mod packages;
mod probes;
mod protection;
mod qkd;
mod serial_switches;
mod snmp_conditions;
mod switches;
mod table;
mod three_interfaces;
mod usbip;
mod wires;
