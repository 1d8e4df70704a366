//! Thin shells around the wire front-ends: TCP, PTY, SNMP over UDP, memory; HTTP is that of `northbound/etsi014`. Faults of the wire are done here.

pub mod bytes;
pub mod memory;
pub mod pty;
pub mod snmp;
pub mod tcp;
