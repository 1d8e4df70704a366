//! Emulators of the hardware of a quantum-secured network, at the level of the bytes on the wire.
//!
//! | module | content |
//! |---|---|
//! | [`model`] | devices and optics: states, physics, keys, traffic; they implement the contract's traits |
//! | [`vendor`] | one folder for each vendor: its protocols in front of the models, its profiles |
//! | [`wire`] | what the protocols of several vendors share, without sockets |
//! | [`fault`] | faults as data |
//! | [`server`] | TCP, Unix socket, PTY, UDP and HTTP servers around the wire front ends |
//! | [`profile`] | presets: their options, and what runs once they are started |
//! | [`profiles`] | the presets by name, for `qkd-emu`, tests, demos and benchmarks |
//! | [`testbed`] | several emulators, from one file |
//!
//! An emulator is written from public facts alone and shares no codec with the driver, so that the
//! two can disagree. Where the behaviour of a real device is unknown (error numbers, error texts),
//! this project chooses it, and the module documentation lists the choice.

#![cfg_attr(test, allow(clippy::unwrap_used))]
#![deny(clippy::print_stdout, clippy::print_stderr)]

mod ber;
pub mod clock;
pub mod fault;
pub mod model;
pub mod profile;
pub mod profiles;
pub mod server;
pub mod testbed;
pub mod vendor;
pub mod wire;

pub use clock::Clock;
pub use fault::{FaultInjector, FaultSpec};
