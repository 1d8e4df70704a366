//! The kit's links, in memory under paused time, and over real sockets and terminals where paused
//! time cannot go.

#![allow(clippy::unwrap_used, missing_docs)]

mod answers;
mod fault;
mod line;
mod replay;
mod serial;
mod snmp;
mod switching;
