//! Fingerprint of a switch's state.

use super::{CrossConnects, Port};
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::{borrow::Cow, collections::BTreeSet, fmt};

/// SHA-256 over a part of a switch's state.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// Size of a fingerprint, in bytes.
    pub const SIZE: usize = 32;

    /// Creates the fingerprint of the cross-connects at `ports` in `state`.
    #[must_use]
    pub fn new(state: &CrossConnects, ports: &BTreeSet<Port>) -> Self {
        let mut hash = Sha256::new();
        hash.update(b"qkd-switch-state v1\n");
        for port in ports {
            hash.update(port.0.to_be_bytes());
            match state.connection_at(*port) {
                Some(c) => {
                    hash.update([1]);
                    hash.update(c.ingress.0.to_be_bytes());
                    hash.update(c.egress.0.to_be_bytes());
                }
                None => hash.update([0]),
            }
        }
        Self(hash.finalize().into())
    }
    /// Returns the fingerprint with these bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; Self::SIZE]) -> Self {
        Self(bytes)
    }
    /// Returns the bytes of the fingerprint.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; Self::SIZE] {
        &self.0
    }
}

/// Writes 32 bytes as hexadecimal digits, without an allocation.
///
/// # Panics
/// Never: the digits are text, and their number is twice that of the bytes.
pub(super) fn hex_digits<'a>(bytes: &[u8; 32], digits: &'a mut [u8; 64]) -> &'a str {
    hex::encode_to_slice(bytes, digits).expect("two digits a byte");
    std::str::from_utf8(digits).expect("hexadecimal digits are text")
}

impl std::str::FromStr for Fingerprint {
    type Err = Error;
    /// Accepts 64 hexadecimal digits.
    fn from_str(text: &str) -> Result<Self> {
        let mut bytes = [0; Self::SIZE];
        hex::decode_to_slice(text, &mut bytes)
            .map_err(|_| Error::invalid("a fingerprint has 64 hexadecimal digits"))?;
        Ok(Self(bytes))
    }
}

impl Serialize for Fingerprint {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(hex_digits(&self.0, &mut [0; 64]))
    }
}

impl<'de> Deserialize<'de> for Fingerprint {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = Cow::<str>::deserialize(d)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(hex_digits(&self.0, &mut [0; 64]))
    }
}
impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
