//! Models of devices, independent of protocols: states, optics, keys, traffic. Models implement the
//! contract's traits and have synchronous methods for the wire front ends.

pub mod change_faults;
mod device_base;
pub mod encryptor;
pub mod light;
pub mod optics;
pub mod protection;
pub mod qkd;
pub mod random;
pub mod switch;

pub use device_base::DeviceBase;

use std::hash::{DefaultHasher, Hash, Hasher};

/// Returns a text that differs between secrets and does not reveal them.
pub(crate) fn fingerprint(secret: &[u8]) -> String {
    let mut hasher = DefaultHasher::new();
    secret.hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}
