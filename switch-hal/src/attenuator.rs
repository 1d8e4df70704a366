//! Variable optical attenuators.
//!
//! **Provisional**: one implementation so far.
//!
//! ```text
//! controller                     attenuator
//!     |--- set_attenuation(port) --->|   refused if not declared
//!     |                              |   set, then read back
//!     |<-- Ok -----------------------|   ChangeNotApplied if the value differs
//! ```
//!
//! # For controller authors
//!
//! An attenuator is set to a loss or, if it has a control loop, to an output power.
//! [`AttenuatorCapabilities`] lists the supported settings.
//!
//! # For driver authors
//!
//! A mode whose meaning is not published is reported as [`Attenuation::Other`] and never set.

use crate::{Attenuation, AttenuatorCapabilities, Port};
use async_trait::async_trait;
use qkd_hal::{Device, Result};

/// A variable optical attenuator.
#[async_trait]
pub trait Attenuator: Device {
    /// Returns the properties of this attenuator, without I/O.
    fn attenuator_capabilities(&self) -> &AttenuatorCapabilities;

    /// To what the attenuator of a port is set.
    ///
    /// # Errors
    /// `InvalidInput` for a port without one; transport errors.
    async fn attenuation(&self, port: Port) -> Result<Attenuation>;

    /// Sets it, and reads back. **Changes the light at that port.**
    ///
    /// # Errors
    /// `InvalidInput`, before anything is sent; `Refused`, `Misbehaved(ChangeNotApplied)`,
    /// transport errors.
    async fn set_attenuation(&self, port: Port, wanted: &Attenuation) -> Result<()>;
}
