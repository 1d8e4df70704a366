//! SNMP agents without sockets: a tree of objects over a model.
//!
//! | module | content |
//! |---|---|
//! | [`node`] | common to every agent: SNMPv2-MIB system group, interface names, engine, notifications |
//! | [`agent`] | GET, GETNEXT and SET over a table of objects |
//! | [`fuzz`] | bytes as requests to an agent |
//! | [`packetlight`] | PacketLight, at an end of a forced re-initialisation pair |
//! | [`polatis`] | Polatis matrices: paths, monitors, attenuators, protection |
//! | [`scte`] | ANSI/SCTE 85-4: an A/B or 2×2 switch with failover |
//! | [`olp`] | FS.com and Glsun OLP cards in a chassis |
//! | [`nokia`] | Nokia SR OS MACsec, at an end of a two-slot pair |
//!
//! The error-status that real agents return is not published for these families. This project chose
//! those that RFC 3416, 4.2.5 suggests. It also chose that the varbinds of a SET are tested in
//! order, each against the state that those before it would leave; then all are applied, or none.

pub mod agent;
pub mod fuzz;
pub mod node;
pub mod nokia;
pub mod olp;
pub mod packetlight;
pub mod polatis;
pub mod scte;
#[cfg(test)]
mod tests;

pub use agent::{Agent, Mib, SnmpAgent};
pub use node::{Interface, Node, NodeOptions};
