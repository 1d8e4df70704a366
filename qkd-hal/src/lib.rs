//! Contract of the hardware of a quantum-secured network.
//!
//! This crate defines what devices do. It contains no I/O and needs no async runtime.
//!
//! | trait | meaning | ITU-T Y.3800 term |
//! |---|---|---|
//! | [`Device`] | operations of every device: identity, health, telemetry, parameters, events | |
//! | [`QkdModule`] | one end of a QKD link, or its key delivery | QKD module |
//! | [`Encryptor`] | an encryptor that uses externally supplied keys | cryptographic application |
//! | [`RandomSource`] | a quantum random number generator (provisional) | |
//!
//! The traits of optical switches, protection switches, power meters and attenuators are in
//! `qkd-switch-hal`; their data is in [`optics`].
//!
//! Each call is also a value, a [`Request`] with its [`Outcome`]. Layers see it ([`layer`]), and
//! transports carry it ([`request`]).
//!
//! # For controller authors
//!
//! - Open devices by URI through `qkd-hardware`; do not depend on a vendor.
//! - Check [`Device::capabilities`] before a call. An undeclared operation returns
//!   [`ErrorKind::Unsupported`] and sends nothing.
//! - Decide on a retry from [`Error::kind`] and [`Error::effect`] alone.
//! - Install a [`Layer`] to observe, delay or refuse the calls of all handles of a device.
//! - The feature `mock` provides mocks of all traits for unit tests; see
//!   `examples/mocked_controller.rs`.
//!
//! # For driver authors
//!
//! - Implement what the vendor's public facts confirm. An inferred fact is an [`Assumption`]. An
//!   unknown fact makes the operation unsupported.
//! - Return only checked handles ([`checked`]); the kit's `OpenedDevice` does this.

#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod assumption;
pub mod capability;
pub mod checked;
mod declarations;
pub mod device;
pub mod encryptor;
mod error;
pub mod event;
pub mod key;
pub mod layer;
#[cfg(feature = "mock")]
pub mod mock;
pub mod optics;
pub mod parameter;
pub mod qkd;
pub mod random;
pub mod reading;
pub mod request;
pub mod serial;
pub mod text;
#[cfg(test)]
mod travel;
pub mod units;
pub mod uri;

pub use assumption::{Assumption, Certainty};
pub use capability::{Capabilities, Operation, Support};
pub use declarations::Declarations;
pub use device::{Descriptor, Device, DeviceKind, Health, Identity, Maturity};
pub use encryptor::Encryptor;
pub use error::{DeviceMisbehaved, Effect, Error, ErrorKind, Result, TransportFault};
pub use event::{Event, EventKind, EventStream, StreamItem};
pub use key::{Key, KeyId};
pub use layer::Layer;
pub use qkd::QkdModule;
pub use random::RandomSource;
pub use request::{Outcome, Request};
pub use uri::DeviceUri;
