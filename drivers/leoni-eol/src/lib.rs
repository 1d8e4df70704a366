#![doc = include_str!("docs.md")]
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod device;
pub mod proto;
#[cfg(test)]
mod tests;

use async_trait::async_trait;
use qkd_driver_kit::driver_info::{Transport, UriParameter, Verification, VerificationScope};
use qkd_driver_kit::{
    Driver, DriverInfo, OpenContext, OpenedDevice, link::stream::Resync, switching::TransportConfig,
};
use qkd_hal::{DeviceKind, DeviceUri, Error, Maturity, Result};
use qkd_switch_hal::Geometry;
use std::time::Duration;

/// Facts about this driver that need no device.
pub static INFO: DriverInfo = DriverInfo {
    name: "leoni-eol",
    version: env!("CARGO_PKG_VERSION"),
    family: "LEONI eol 1x2, 1x4 and 2x2 switches",
    vendor: "LEONI",
    kinds: &[DeviceKind::OpticalSwitch],
    transports: &[Transport {
        name: "serial",
        example: "leoni-eol+serial:///dev/ttyUSB0?model=1x4",
    }],
    maturity: Maturity::Emulated,
    evidence: &[Verification {
        of: VerificationScope::Emulator,
        what: "this repository's emulator, in memory and on a PTY",
    }],
    assumptions: &[],
    unknowns: &[
        "the reply to an unknown command or channel; whether devices with firmware of the form \
         ver3.27 report their type: model= must be given",
        "which channel of a 2x2 is bar: ch1= must be given",
        "settling time; channel after power-up; whether paths survive a power failure",
    ],
    parameters: &[
        UriParameter {
            name: "model",
            help: "1x2, 1x4 or 2x2",
            required: true,
        },
        UriParameter {
            name: "ch1",
            help: "bar or cross: state of a 2x2 on its channel 1; required with model=2x2",
            required: false,
        },
    ],
    probes: &[],
    resynchronises: "`firmware?` until a line with exactly this device's version, then silence for \
        300 ms; a channel reply has digits only and cannot be mistaken for a version.",
};

/// The driver for LEONI eol switches.
#[derive(Debug, Clone, Copy, Default)]
pub struct LeoniEolDriver;

/// The driver, for a registry.
#[must_use]
pub fn driver() -> LeoniEolDriver {
    LeoniEolDriver
}

#[async_trait]
impl Driver for LeoniEolDriver {
    fn info(&self) -> &'static DriverInfo {
        &INFO
    }

    async fn open(&self, uri: &DeviceUri, context: &OpenContext) -> Result<OpenedDevice> {
        let (geometry, cross_first) = match (uri.parameter("model"), uri.parameter("ch1")) {
            (Some("1x2"), None) => (Geometry::one_by(2), false),
            (Some("1x4"), None) => (Geometry::one_by(4), false),
            (Some("2x2"), Some(first @ ("bar" | "cross"))) => {
                (Geometry::Crossbar, first == "cross")
            }
            _ => {
                return Err(Error::invalid(
                    "model= takes 1x2, 1x4, or 2x2 together with ch1=bar or ch1=cross",
                ));
            }
        };
        TransportConfig::new(Resync::Sentinel(Duration::from_millis(300)))
            .serial(proto::BAUD, false)
            .identity_probe(proto::FIRMWARE, |reply| {
                proto::decode_firmware(reply).ok().map(|f| f.version)
            })
            .open(&INFO, uri, context)
            .await?
            .switch(device::EolSwitch {
                geometry,
                model: uri.parameter("model").unwrap_or_default().to_owned(),
                cross_first,
            })
            .await
    }
}
