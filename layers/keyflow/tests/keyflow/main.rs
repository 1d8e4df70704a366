//! Rolls of emulated pairs, and the recovery of rolls that were interrupted.

#![allow(clippy::unwrap_used, missing_docs)]

mod bench;
mod cuts;
mod decisions;
mod mocks;
mod readiness;
mod shapes;
