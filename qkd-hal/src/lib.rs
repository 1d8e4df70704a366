//! The contract of the hardware of a quantum-secured network.
//!
//! This crate says what a device *is*; it holds no I/O and needs no async runtime.
//!
//! | trait | what it is | ITU-T Y.3800 term |
//! |---|---|---|
//! | [`Device`] | what every box has: identity, health, telemetry, parameters, events | |
//! | [`QkdModule`] | one end of a QKD link, or the key delivery in front of it | QKD module |
//! | [`Encryptor`] | a box that protects traffic with keys it is given | cryptographic application |
//! | [`RandomSource`] | a quantum random number generator (provisional) | |
//!
//! Optical switches have their contract in `qkd-switch-hal`.
//!
//! # For controller authors
//! - Open devices by URI through `qkd-hardware`; never name a vendor.
//! - Ask [`Device::capabilities`] before you call; an operation outside it answers
//!   [`ErrorKind::Unsupported`] without touching the wire.
//! - Decide about a retry from [`Error::kind`] and [`Error::with_effect`] alone.
//! - The `mock` feature has mocks of all traits for your unit tests; see
//!   `examples/mocked_controller.rs`.
//!
//! # For driver authors
//! - Implement what the vendor's public facts confirm; what rests on an inference is an
//!   [`Assumption`]; what is unknown stays unsupported.
//! - Hand out only checked handles ([`checked`]); the kit's `Opened` does it for you.

#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod assumption;
pub mod capability;
pub mod checked;
pub mod device;
pub mod encryptor;
mod error;
pub mod event;
pub mod key;
#[cfg(feature = "mock")]
pub mod mock;
pub mod parameter;
pub mod qkd;
pub mod random;
pub mod reading;
pub mod text;
pub mod units;
pub mod uri;

pub use assumption::{Assumption, Certainty};
pub use capability::{Capabilities, Operation, Support};
pub use device::{Descriptor, Device, DeviceKind, Health, Identity, Maturity};
pub use encryptor::Encryptor;
pub use error::{DeviceMisbehaved, Effect, Error, ErrorKind, Result, TransportFault};
pub use event::{Event, EventKind, EventStream};
pub use key::{Key, KeyId};
pub use qkd::QkdModule;
pub use random::RandomSource;
pub use uri::DeviceUri;
