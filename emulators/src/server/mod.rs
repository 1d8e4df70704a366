//! Servers around the wire front ends: TCP, Unix sockets, PTY, SNMP over UDP, memory. The HTTP
//! server is that of `northbound/etsi014`. Faults of the wire are applied here.

pub mod bytes;
pub mod datagram;
pub mod memory;
pub mod pty;
pub mod snmp;
pub mod tcp;
pub mod unix;
