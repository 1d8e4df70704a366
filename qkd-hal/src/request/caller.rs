//! The trait of devices that are called by requests.

use super::{Outcome, Request};
use crate::{EventStream, Result};
use async_trait::async_trait;

/// Makes the calls of one device that requests describe: an opened device does, and so does the
/// near side of a transport.
#[async_trait]
pub trait Caller: Send + Sync {
    /// Makes a call.
    ///
    /// # Errors
    /// Those of the operation; `Unsupported` if the device is not of the kind that has it.
    async fn call(&self, request: &Request<'_>) -> Result<Outcome>;

    /// Returns the events of the device from now on.
    fn events(&self) -> EventStream;

    /// Ends the device; see [`Device::close`](crate::Device::close).
    ///
    /// # Errors
    /// None that a caller must act on.
    async fn close(&self) -> Result<()>;
}
