#![doc = include_str!("docs.md")]
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod device;
pub mod proto;
#[cfg(test)]
mod tests;

use async_trait::async_trait;
use qkd_driver_kit::{
    Driver, DriverInfo, OpenContext, OpenedDevice,
    driver_info::{Transport, UriParameter, Verification, VerificationScope},
    link::stream::Resync,
    switching::{FLOW_PARAMETER, TransportConfig, flow_control},
};
use qkd_hal::{DeviceKind, DeviceUri, Error, Maturity, Result};
use qkd_switch_hal::Geometry;
use std::time::Duration;

/// Facts about this driver that need no device.
pub static INFO: DriverInfo = DriverInfo {
    name: "thorlabs-osw",
    version: env!("CARGO_PKG_VERSION"),
    family: "Thorlabs OSW12 1x2 and OSW22 2x2 MEMS switches",
    vendor: "Thorlabs",
    kinds: &[DeviceKind::OpticalSwitch],
    transports: &[Transport {
        name: "serial",
        example: "thorlabs-osw+serial:///dev/ttyUSB0?model=osw22",
    }],
    maturity: Maturity::Emulated,
    evidence: &[Verification {
        of: VerificationScope::Emulator,
        what: "this repository's emulator, in memory and on PTYs; PyVISA with pyvisa-py runs \
               PnPQ's wait loop on that emulator",
    }],
    assumptions: &[],
    unknowns: &[
        "the reply to a command that the switch does not know",
        "the texts of `T?` and `I?`, and whether they distinguish a 1x2 from a 2x2: model= is \
         required",
        "position after power-up, and whether the paths hold without power",
        "how long a path takes to settle",
    ],
    parameters: &[
        UriParameter {
            name: "model",
            help: "osw12 (1x2) or osw22 (2x2 crossbar)",
            required: true,
        },
        FLOW_PARAMETER,
    ],
    // What the answer begins with is not public.
    probes: &[],
    resynchronises: "`I?` until this board's very name, then quiet for 300 ms; a position is one \
                     digit, which is never taken for a name.",
};

/// The driver for Thorlabs OSW switches.
#[derive(Debug, Clone, Copy, Default)]
pub struct ThorlabsOswDriver;

/// The driver, for a registry.
#[must_use]
pub fn driver() -> ThorlabsOswDriver {
    ThorlabsOswDriver
}

#[async_trait]
impl Driver for ThorlabsOswDriver {
    fn info(&self) -> &'static DriverInfo {
        &INFO
    }

    async fn open(&self, uri: &DeviceUri, context: &OpenContext) -> Result<OpenedDevice> {
        let geometry = match uri.parameter("model") {
            Some("osw12") => Geometry::one_by(2),
            Some("osw22") => Geometry::Crossbar,
            _ => return Err(Error::invalid("model= takes osw12 or osw22")),
        };
        TransportConfig::new(Resync::Sentinel(Duration::from_millis(300)))
            // With flow control, as in PnPQ, which was tested on a real device; qudi uses none.
            .serial(proto::BAUD, flow_control(uri)?)
            // Both clients wait for about 1 s after opening.
            .startup_delay(Duration::from_secs(1))
            .identity_probe(proto::IDENTIFY, |reply| proto::decode_identify(reply).ok())
            .open(&INFO, uri, context)
            .await?
            .switch(device::OswSwitch { geometry })
            .await
    }
}
