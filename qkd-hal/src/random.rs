//! Random sources.
//!
//! **Provisional**: one device family implements this trait so far.
//!
//! ```text
//! controller              handle                     source
//!     |--- random(n) ------>|--- read, whole packets -->|
//!     |                     |<-- bytes -----------------|
//!     |                     |   health tests of the bytes (NIST SP 800-90B, 4.4)
//!     |<-- n bytes ---------|   bytes that were not requested are zeroized
//! ```
//!
//! # For controller authors
//!
//! A failed source returns an error and no bytes. Bytes are never returned twice.
//!
//! # For driver authors
//!
//! Never pad a short read from another source. Zeroize all bytes that are not returned.

use crate::{Device, Result, units::BitsPerSecond};
use async_trait::async_trait;
use zeroize::Zeroizing;

/// Properties of a random source.
#[derive(Debug, Clone, PartialEq, Default, serde::Serialize, serde::Deserialize)]
#[non_exhaustive]
pub struct RandomCapabilities {
    /// Maximum number of bytes of one call.
    #[serde(rename = "max_request_bytes")]
    pub max_request: usize,
    /// The nominal rate, where the device states it.
    #[serde(rename = "rate_bps")]
    pub rate: Option<BitsPerSecond>,
}

impl RandomCapabilities {
    /// At most `bytes` in one call.
    #[must_use]
    pub fn with_max_request(mut self, bytes: usize) -> Self {
        self.max_request = bytes;
        self
    }
    /// Sets the nominal rate.
    #[must_use]
    pub fn with_rate(mut self, rate: BitsPerSecond) -> Self {
        self.rate = Some(rate);
        self
    }
}

/// A quantum random number generator.
///
/// # For controller authors
/// The bytes are secrets: they come in a buffer that zeroizes, and no transcript records them.
///
/// # For driver authors
/// Never fill a short read from another source; answer with the error.
#[async_trait]
pub trait RandomSource: Device {
    /// Returns the properties of this source, without I/O.
    fn random_capabilities(&self) -> &RandomCapabilities;

    /// Returns exactly `length` new random bytes.
    ///
    /// 1. Checks that the device reports that it works, if it can report that.
    /// 2. Reads; bytes beyond `length` are zeroized.
    ///
    /// # Errors
    /// `InvalidInput` if `length` is 0 or above [`RandomCapabilities::max_request`]; `NotReady` if
    /// the device says that it does not work; transport errors.
    async fn random(&self, length: usize) -> Result<Zeroizing<Vec<u8>>>;
}
