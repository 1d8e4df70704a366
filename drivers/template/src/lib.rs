#![doc = include_str!("docs.md")]
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod device;
pub mod proto;
#[cfg(test)]
mod tests;

pub use device::Template;

use async_trait::async_trait;
use qkd_driver_kit::{
    Driver, DriverInfo, OpenContext, Opened,
    driver::Transport,
    link::line::{LineOptions, Resync},
};
use qkd_hal::{DeviceKind, DeviceUri, Maturity, Result, event::EventHub};
use std::sync::Arc;

/// What is known of this driver without a device.
pub static INFO: DriverInfo = DriverInfo {
    name: "template",
    version: env!("CARGO_PKG_VERSION"),
    family: "none: a driver to copy",
    vendor: "nobody",
    kinds: &[DeviceKind::OpticalSwitch],
    transports: &[Transport { name: "tcp", example: "template+tcp://192.0.2.7:4000" }],
    maturity: Maturity::Emulated,
    evidence: &[],
    assumptions: &[],
    unknowns: &[],
    parameters: &[],
    probes: &[],
    resynchronises: "A new connection: what the device still sends goes to the old one.",
};

/// The driver.
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

    async fn open(&self, uri: &DeviceUri, context: &OpenContext) -> Result<Opened> {
        let descriptor = context.descriptor(&INFO, uri)?;
        let events = EventHub::default();
        let options = LineOptions::new(Resync::Reconnect, events.clone()).reply_limit(128);
        let link = context.byte_link(uri, 4000, None, options).await?;
        Ok(Opened::switch(Arc::new(Template::open(descriptor, link, events).await?)))
    }
}
