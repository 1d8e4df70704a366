#![doc = include_str!("docs.md")]
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod device;
mod health_test;
pub mod proto;
#[cfg(test)]
mod tests;

pub use device::Quantis;

use async_trait::async_trait;
use qkd_driver_kit::{
    Driver, DriverInfo, OpenContext, OpenedDevice,
    driver_info::{Probe, Transport, UriParameter, Verification, VerificationScope},
};
use qkd_hal::{DeviceKind, DeviceUri, Maturity, Result, event::EventHub};
use std::sync::Arc;

/// Facts about this driver that need no device.
pub static INFO: DriverInfo = DriverInfo {
    name: "idq-quantis",
    version: env!("CARGO_PKG_VERSION"),
    family: "ID Quantique Quantis USB",
    vendor: "ID Quantique",
    kinds: &[DeviceKind::RandomSource],
    transports: &[
        Transport {
            name: "usb",
            example: "idq-quantis+usb://",
        },
        Transport {
            name: "usbip",
            example: "idq-quantis+usbip://192.0.2.4/1-1",
        },
    ],
    maturity: Maturity::Emulated,
    evidence: &[
        Verification {
            of: VerificationScope::Transport,
            what: "libusb, usbfs and vhci_hcd of Debian's kernel, connected to this repository's \
                emulator",
        },
        Verification {
            of: VerificationScope::Emulator,
            what: "this repository's emulator, over USB/IP",
        },
    ],
    assumptions: &[],
    unknowns: &[
        "how the board version is to be read",
        "whether a disabled module shows in the modules' status: `enabled` can only be written",
    ],
    parameters: &[UriParameter {
        name: "serial",
        help: "serial number, where several are plugged in",
        required: false,
    }],
    probes: &[Probe::Usb {
        vendor: proto::VENDOR,
        product: proto::PRODUCT,
    }],
    resynchronises: "USB frames each transfer: a reply cannot be taken for another's, and a \
        transfer that timed out is cancelled before the next one.",
};

/// The driver for ID Quantique Quantis USB.
#[derive(Debug, Clone, Copy, Default)]
pub struct QuantisDriver;

/// The driver, for a registry.
#[must_use]
pub fn driver() -> QuantisDriver {
    QuantisDriver
}

#[async_trait]
impl Driver for QuantisDriver {
    fn info(&self) -> &'static DriverInfo {
        &INFO
    }

    async fn open(&self, uri: &DeviceUri, context: &OpenContext) -> Result<OpenedDevice> {
        let descriptor = context.descriptor(&INFO, uri)?;
        let link = context
            .usb_link(uri, proto::VENDOR, proto::PRODUCT, 0)
            .await?;
        Ok(OpenedDevice::from_random(Arc::new(
            Quantis::open(descriptor, link, EventHub::default()).await?,
        )))
    }
}
