#![doc = include_str!("docs.md")]
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod device;
pub mod proto;
#[cfg(test)]
mod tests;

use async_trait::async_trait;
use qkd_driver_kit::{
    Driver, DriverInfo, OpenContext, OpenedDevice,
    driver_info::{Transport, Verification, VerificationScope},
    link::stream::Resync,
    switching::{FLOW_PARAMETER, TransportConfig, flow_control},
};
use qkd_hal::{Assumption, DeviceKind, DeviceMisbehaved, DeviceUri, Error, Maturity, Result};
use std::time::Duration;

/// Protocol facts that this driver infers.
pub const ASSUMPTIONS: &[Assumption] = &[Assumption::declare(
    "jdsu-sb.replies-end-in-a-line-end",
    "Replies end in CR, LF or CR LF.",
)
.source(
    "the manual's examples read whole lines; it does not print the end of a reply on \
        RS-232",
)
.disproof("Every query ends in a time-out.")
.operations(&[])];

/// Facts about this driver that need no device.
pub static INFO: DriverInfo = DriverInfo {
    name: "jdsu-sb",
    version: env!("CARGO_PKG_VERSION"),
    family: "JDS Uniphase (HP) SB series 1xN switches",
    vendor: "JDS Uniphase",
    kinds: &[DeviceKind::OpticalSwitch],
    transports: &[Transport {
        name: "serial",
        example: "jdsu-sb+serial:///dev/ttyS0",
    }],
    maturity: Maturity::Emulated,
    evidence: &[Verification {
        of: VerificationScope::Emulator,
        what: "this repository's emulator, in memory and on a PTY; PyVISA with pyvisa-py runs the \
            manual's exchanges on that emulator",
    }],
    assumptions: ASSUMPTIONS,
    unknowns: &[
        "error codes other than 000 and 330: they are reported unchanged",
        "whether a refused command is in the error queue, the status byte, or both: both are \
         asked",
    ],
    parameters: &[FLOW_PARAMETER],
    // The device does not recognise `IDN?` after an incomplete line of another client, and the
    // effect of an empty message before it is not published.
    probes: &[],
    resynchronises: "`IDN?` until its answer, then quiet for 600 ms; no other query is answered by \
        a maker, a model and a version.",
};

/// The driver for JDS Uniphase SB switches.
#[derive(Debug, Clone, Copy, Default)]
pub struct JdsuSbDriver;

/// The driver, for a registry.
#[must_use]
pub fn driver() -> JdsuSbDriver {
    JdsuSbDriver
}

#[async_trait]
impl Driver for JdsuSbDriver {
    fn info(&self) -> &'static DriverInfo {
        &INFO
    }

    async fn open(&self, uri: &DeviceUri, context: &OpenContext) -> Result<OpenedDevice> {
        // 600 ms is twice the time that a whole second answer to `IDN?` takes at 1200 baud.
        let line = TransportConfig::new(Resync::Sentinel(Duration::from_millis(600)))
            .serial(proto::BAUD, flow_control(uri)?)
            .identity_probe(proto::IDENTIFY, |reply| {
                let identity = device::identity_of(proto::decode_identify(reply).ok()?)?;
                Some(format!("{} {}", identity.vendor, identity.model?))
            })
            .open(&INFO, uri, context)
            .await?;
        let channels = line
            .call()
            .query("size", proto::SIZE, proto::decode_channel)
            .await?;
        if !(1..=proto::MOST_CHANNELS).contains(&channels) {
            return Err(Error::misbehaved(
                DeviceMisbehaved::ValueOutOfRange,
                format!("the switch says that it has {channels} channels"),
            ));
        }
        line.switch(device::SbSwitch { channels }).await
    }
}
