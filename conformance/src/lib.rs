//! Says, with evidence, which device of a quantum-secured network does what.
//!
//! | module | what |
//! |---|---|
//! | [`requirement`] | requirements: data, each with its source and its impact |
//! | [`profile`] | which requirements a kind of device must meet: data |
//! | [`dut`] | devices under test: a TOML file each |
//! | [`cases`] | the cases that test requirements: code, computed from what a device declares |
//! | [`result`] | what a run found: the one file from which every report is made |
//! | [`report`] | a page, a matrix, JUnit XML |
//! | [`bundle`] | all of it in one signed file |
//!
//! # For a vendor with a driver of his own
//! ```no_run
//! fn main() -> std::process::ExitCode {
//!     qkd_conformance::main(qkd_driver_kit::Registry::new() /* .with(my_driver()) */)
//! }
//! ```

#![cfg_attr(test, allow(clippy::unwrap_used))]
#![deny(clippy::print_stdout, clippy::print_stderr)]

pub mod bundle;
pub mod case;
mod case_context;
pub mod case_outcome;
pub mod cases;
pub mod cli;
mod declare;
pub mod dut;
mod estimate;
pub mod faults;
pub mod journal;
mod lanes;
mod names;
mod observer;
mod prepared_call;
pub mod profile;
mod randomness;
mod reading;
pub mod report;
pub mod requirement;
mod restore;
pub mod result;
mod runner;
mod session;
pub mod suite;
mod threads;

pub use case_context::CaseContext;
pub use cli::main;
pub use dut::Dut;
pub use observer::RunObserver;
pub use result::{Results, Verdict};
pub use runner::RunOptions;
pub use session::Refusal;
pub use suite::Suite;
