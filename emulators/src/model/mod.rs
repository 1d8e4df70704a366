//! What devices are, apart from how they speak: states, optics, keys, traffic. Models implement the contract's traits, and have synchronous methods that the
//! wire front-ends call.

pub mod encryptor;
mod face;
pub mod gate;
pub mod optics;
pub mod qkd;
pub mod random;
pub mod switch;

pub use face::Face;
