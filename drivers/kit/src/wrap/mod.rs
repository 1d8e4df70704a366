//! Wrappers that make any link traced, faulty or slow.

pub mod fault;
pub mod traced;
