#![doc = include_str!("docs.md")]
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod device;
pub mod proto;
#[cfg(test)]
mod tests;

use async_trait::async_trait;
use qkd_driver_kit::{
    Driver, DriverInfo, OpenContext, OpenedDevice, driver_info::Transport, link::stream::Resync,
    switching::TransportConfig,
};
use qkd_hal::{DeviceKind, DeviceUri, Maturity, Result};

/// Facts about this driver that need no device.
pub static INFO: DriverInfo = DriverInfo {
    name: "template",
    version: env!("CARGO_PKG_VERSION"),
    family: "none: a driver to copy",
    vendor: "nobody",
    kinds: &[DeviceKind::OpticalSwitch],
    transports: &[Transport {
        name: "tcp",
        example: "template+tcp://192.0.2.7:4000",
    }],
    maturity: Maturity::Emulated,
    evidence: &[],
    assumptions: &[],
    unknowns: &[],
    parameters: &[],
    probes: &[],
    resynchronises: "A new connection: what the device still sends goes to the old one.",
};

/// The driver of the template.
#[derive(Debug, Clone, Copy, Default)]
pub struct TemplateDriver;

/// The driver, for a registry.
#[must_use]
pub fn driver() -> TemplateDriver {
    TemplateDriver
}

#[async_trait]
impl Driver for TemplateDriver {
    fn info(&self) -> &'static DriverInfo {
        &INFO
    }

    async fn open(&self, uri: &DeviceUri, context: &OpenContext) -> Result<OpenedDevice> {
        TransportConfig::new(Resync::Reconnect)
            .tcp(4000)
            .open(&INFO, uri, context)
            .await?
            .switch(device::Template)
            .await
    }
}
