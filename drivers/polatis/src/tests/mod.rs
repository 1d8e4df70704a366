//! The driver against scripted far ends, in memory and under paused time.

mod scpi;
mod snmp;
mod tl1;
