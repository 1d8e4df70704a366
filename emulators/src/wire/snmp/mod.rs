//! SNMP agents without sockets: a tree of objects over a model.
//!
//! | module | content |
//! |---|---|
//! | [`node`] | objects of every agent: system group, interface names, engine, notifications |
//! | [`agent`] | GET, GETNEXT and SET over a table of objects |
//! | `values` | tests of the values of a SET |
//! | [`fuzz`] | bytes as requests to an agent |
//!
//! The error-status that real agents return is not published for the emulated families. This
//! project chose those that RFC 3416, 4.2.5 suggests. It also chose that the varbinds of a SET are
//! tested in order, each against the state that those before it would leave; then all are applied,
//! or none.

pub mod agent;
pub mod fuzz;
pub mod node;
#[cfg(test)]
pub(crate) mod testing;
pub(crate) mod values;

pub use agent::{Agent, Mib, SnmpAgent};
pub use node::{Interface, Node, NodeOptions};
