//! The `Driver` trait.

use crate::{context::OpenContext, driver_info::DriverInfo, opened_device::OpenedDevice};
use async_trait::async_trait;
use qkd_hal::{DeviceUri, Result};

/// A driver of one device family.
#[async_trait]
pub trait Driver: Send + Sync {
    /// Returns the facts about this driver, without I/O.
    fn info(&self) -> &'static DriverInfo;

    /// Returns the port at which it reaches the device if the URI names none; `None` where its
    /// transport has no ports. Locks on devices compare addresses by it.
    fn default_port(&self, uri: &DeviceUri) -> Option<u16> {
        match uri.transport() {
            "snmp" => Some(161),
            "usbip" => Some(3240),
            "https" => Some(443),
            "http" => Some(80),
            _ => None,
        }
    }

    /// Opens the device that the URI names, reads who it is, and returns its handles.
    ///
    /// The registry has checked driver, transport and the names of the parameters before.
    ///
    /// # Errors
    /// `InvalidInput` for a parameter's value; `Authentication`, `Unreachable`, `Busy`;
    /// `IdentityChanged` if a device of another make answers.
    async fn open(&self, uri: &DeviceUri, context: &OpenContext) -> Result<OpenedDevice>;
}
