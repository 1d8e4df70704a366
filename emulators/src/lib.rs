//! Emulators of the hardware of a quantum-secured network, down to the bytes on the wire.
//!
//! | module | what it is |
//! |---|---|
//! | [`model`] | devices and optics: states, physics, keys, traffic; they implement the contract's traits |
//! | [`wire`] | the vendors' protocols in front of the models, without sockets |
//! | [`fault`] | faults as data |
//! | [`server`] | TCP, PTY, UDP, HTTP around the wire front-ends |
//! | [`profile`] | ready emulators by name, for `qkd-emu`, tests, demos and benches |
//! | [`testbed`] | many of them, from one file |
//!
//! An emulator is written from public facts alone; it never shares a codec with the driver, so that the two can disagree. Where a real box's behaviour is
//! unknown (error numbers, error texts), the emulator chooses, and the module's page says so.

#![cfg_attr(test, allow(clippy::unwrap_used))]
#![deny(clippy::print_stdout, clippy::print_stderr)]

pub mod clock;
pub mod fault;
pub mod model;
pub mod profile;
pub mod server;
pub mod testbed;
pub mod wire;

pub use clock::Clock;
pub use fault::{FaultInjector, FaultSpec};
