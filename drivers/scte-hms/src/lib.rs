#![doc = include_str!("docs.md")]
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod device;
mod optics;
mod protection;
pub mod proto;
#[cfg(test)]
mod tests;
mod unit;

pub use device::ScteHms;

use async_trait::async_trait;
use qkd_driver_kit::{
    Driver, DriverInfo, OpenContext, OpenedDevice,
    driver_info::{Transport, UriParameter, Verification, VerificationScope},
    link::snmp_client::SnmpClient,
};
use qkd_hal::{Assumption, DeviceKind, DeviceUri, Maturity, Operation, Result, event::EventHub};
use std::sync::Arc;

/// Protocol facts that this driver infers.
pub const ASSUMPTIONS: &[Assumption] = &[Assumption::declare(
    "scte-hms.outputs-tell-the-shape",
    "A unit with one row in heOpSwitchOutputTable is an A/B switch, one with two rows a \
        2x2 crossbar.",
)
.source(
    "SCTE-HMS-HE-OPTICAL-SWITCH-MIB has an A-B switch (two inputs, one output) and a \
        crossbar (two, two), and no object that reports which of them a unit is",
)
.disproof(
    "heOpSwitchState has a value of the other one, or a SET of heOpSwitchControl is \
        refused with inconsistentValue.",
)
.operations(&[
    Operation::Apply,
    Operation::SetProtection,
    Operation::ProtectionCommand,
])];

/// Facts about this driver that need no device.
pub static INFO: DriverInfo = DriverInfo {
    name: "scte-hms",
    version: env!("CARGO_PKG_VERSION"),
    family: "A/B and 2x2 protection switches of ANSI/SCTE 85-4 (SCTE-HMS-HE-OPTICAL-SWITCH-MIB)",
    vendor: "any (ANSI/SCTE standard)",
    kinds: &[
        DeviceKind::OpticalSwitch,
        DeviceKind::ProtectionSwitch,
        DeviceKind::PowerMeter,
    ],
    transports: &[Transport {
        name: "snmp",
        example: "scte-hms+snmp://192.0.2.20?credentials=noc",
    }],
    maturity: Maturity::Emulated,
    evidence: &[
        Verification {
            of: VerificationScope::Transport,
            what: "the driver on PyPI snmpsim 1.2.2, which serves a walk of the emulator",
        },
        Verification {
            of: VerificationScope::Emulator,
            what: "this repository's emulator, in memory and over SNMPv3 on another stack; \
                net-snmp's tools and pysnmp 7.1.30 walk and set that emulator",
        },
    ],
    assumptions: ASSUMPTIONS,
    unknowns: &[
        "which products serve this MIB",
        "how long a switch-over takes, and what the path does without power",
        "the bounds of thresholds and of the time to wait: the MIB sets none beyond an Integer32",
        "how a 2x2 chooses in automatic mode which input is due: its paths name their inputs only",
    ],
    parameters: &[UriParameter {
        name: "unit",
        help: "entPhysicalIndex of the switch; needed where the agent has several",
        required: false,
    }],
    // The standard gives no sysObjectID: each vendor has its own.
    probes: &[],
    resynchronises: "SNMP matches replies by request id; a late one is dropped, and a SET is never \
        sent twice.",
};

/// The driver for ANSI/SCTE 85-4 switches.
#[derive(Debug, Clone, Copy, Default)]
pub struct ScteHmsDriver;

/// The driver, for a registry.
#[must_use]
pub fn driver() -> ScteHmsDriver {
    ScteHmsDriver
}

#[async_trait]
impl Driver for ScteHmsDriver {
    fn info(&self) -> &'static DriverInfo {
        &INFO
    }

    async fn open(&self, uri: &DeviceUri, context: &OpenContext) -> Result<OpenedDevice> {
        let unit = uri.parse_parameter("unit", "an entPhysicalIndex")?;
        let descriptor = context.descriptor(&INFO, uri)?;
        let events = EventHub::default();
        let agent = SnmpClient::new(
            context.snmp_link(uri, events.clone()).await?,
            descriptor.deadline,
        );
        let device = Arc::new(ScteHms::open(descriptor, agent, unit, events).await?);
        let opened = OpenedDevice::from_protection(Arc::clone(&device))
            .with_identity(device.opened_as())
            .with_switch(Arc::clone(&device) as _);
        Ok(if device.measures() {
            opened.with_power_meter(device)
        } else {
            opened
        })
    }
}
