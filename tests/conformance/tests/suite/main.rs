//! The suite's own test: each requirement fails its mutant, and passes the honest emulator.

#![allow(clippy::unwrap_used)]

mod bundle;
mod matrix;
mod mutant;
mod mutants;
mod resume;
