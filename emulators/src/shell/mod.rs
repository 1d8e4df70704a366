//! Thin shells around the wire front-ends: TCP, PTY, SNMP over UDP, HTTP. Faults of the wire are done here.

pub mod bytes;
pub mod http;
pub mod pty;
pub mod snmp;
pub mod tcp;
