#![doc = include_str!("docs.md")]
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod device;
pub mod proto;
#[cfg(test)]
mod tests;

use async_trait::async_trait;
use device::{ff, self_align};
use qkd_driver_kit::{
    Driver, DriverInfo, OpenContext, OpenedDevice,
    driver_info::{Transport, UriParameter, Verification, VerificationScope},
    link::stream::Resync,
    switching::TransportConfig,
};
use qkd_hal::{Assumption, DeviceKind, DeviceUri, Error, Maturity, Result};
use std::{sync::Arc, time::Duration};

/// Protocol facts that this driver infers.
pub const ASSUMPTIONS: &[Assumption] = &[Assumption::declare(
    "agiltron.acknowledged-is-moved",
    "The switch has moved when it acknowledges a set.",
)
.source("PyPI qmi 0.54.2 and agiltron-selfalign 0.2.0 wait for nothing else")
.disproof("Light still comes from the old channel after the acknowledgement.")
.operations(&[])];

/// Facts about this driver that need no device.
pub static INFO: DriverInfo = DriverInfo {
    name: "agiltron",
    version: env!("CARGO_PKG_VERSION"),
    family: "Agiltron FF 1x4 and 1x8 (CL/LB driver board), SelfAlign 1xN",
    vendor: "Agiltron",
    kinds: &[DeviceKind::OpticalSwitch],
    transports: &[Transport {
        name: "serial",
        example: "agiltron+serial:///dev/ttyUSB0?model=ff&channels=8",
    }],
    maturity: Maturity::Emulated,
    evidence: &[
        Verification {
            of: VerificationScope::Protocol,
            what: "PyPI qmi 0.54.2 (FF 1x4, 1x8) and agiltron-selfalign 0.2.0 (1x16) write the \
                very frames that the driver writes, and read the answers alike; both were answered \
                by the emulator",
        },
        Verification {
            of: VerificationScope::Emulator,
            what: "this repository's emulator, on a PTY",
        },
    ],
    assumptions: ASSUMPTIONS,
    unknowns: &[
        "error replies, identification and the number of channels: model= and channels= must be \
         given",
        "whether the paths hold without power",
        "SelfAlign: any query; its position is unknown until it has acknowledged a channel",
    ],
    parameters: &[
        UriParameter {
            name: "model",
            help: "ff or selfalign; the device does not report it",
            required: true,
        },
        UriParameter {
            name: "channels",
            help: "number of channels; the device does not report it",
            required: true,
        },
    ],
    // Every four bytes are a command on one of the two products, so nothing is sent to find out.
    probes: &[],
    resynchronises: "Silence for longer than the vendor's clients wait for a reply (FF 1.1 s, \
        SelfAlign 2.2 s): frames carry nothing that identifies a late reply.",
};

/// The driver for Agiltron switches.
#[derive(Debug, Clone, Copy, Default)]
pub struct AgiltronDriver;

/// The driver, for a registry.
#[must_use]
pub fn driver() -> AgiltronDriver {
    AgiltronDriver
}

#[async_trait]
impl Driver for AgiltronDriver {
    fn info(&self) -> &'static DriverInfo {
        &INFO
    }

    async fn open(&self, uri: &DeviceUri, context: &OpenContext) -> Result<OpenedDevice> {
        // Quiet is longer than any gap within a reply: bytes of an old one that trickle in are not
        // taken for a new one.
        let (self_align, most, quiet) = match uri.parameter("model") {
            Some("ff") => (false, 255, Duration::from_millis(1_100)),
            Some("selfalign") => (true, 256, Duration::from_millis(2_200)),
            _ => return Err(Error::invalid("model= takes ff or selfalign")),
        };
        let channels = uri
            .parse_parameter("channels", "a number of channels")?
            .filter(|n| (2..=most).contains(n))
            .ok_or_else(|| Error::invalid(format!("channels= takes a number from 2 to {most}")))?;
        let line = TransportConfig::new(Resync::Quiet(quiet))
            .serial(proto::BAUD, false)
            .frames(4)
            .open(&INFO, uri, context)
            .await?;
        if self_align {
            Ok(OpenedDevice::from_switch(Arc::new(
                self_align::SelfAlign::new(line, channels),
            )))
        } else {
            line.switch(ff::FfSwitch { channels }).await
        }
    }
}
