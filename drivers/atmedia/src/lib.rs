#![doc = include_str!("docs.md")]
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod device;
pub mod proto;
#[cfg(test)]
mod tests;

pub use device::AtMedia;

use async_trait::async_trait;
use qkd_driver_kit::{
    Driver, DriverInfo, OpenContext, OpenedDevice,
    driver_info::{Probe, Transport, Verification, VerificationScope},
    link::snmp_client::SnmpClient,
};
use qkd_hal::{DeviceKind, DeviceUri, Maturity, Result, event::EventHub};
use std::sync::Arc;

/// Facts about this driver that need no device.
pub static INFO: DriverInfo = DriverInfo {
    name: "atmedia",
    version: env!("CARGO_PKG_VERSION"),
    family: "ATMedia encryptors, status only (ATMEDIA-MIB)",
    vendor: "ATMedia",
    kinds: &[DeviceKind::Encryptor],
    transports: &[Transport {
        name: "snmp",
        example: "atmedia+snmp://192.0.2.9?credentials=noc",
    }],
    maturity: Maturity::Emulated,
    evidence: &[
        Verification {
            of: VerificationScope::Transport,
            what: "the SNMP link on net-snmp's snmpd",
        },
        Verification {
            of: VerificationScope::Transport,
            what: "the driver on PyPI snmpsim 1.2.2, which serves a walk of the emulator",
        },
        Verification {
            of: VerificationScope::Emulator,
            what: "this repository's emulator, over SNMPv3 on another stack; net-snmp's tools and \
                pysnmp 7.1.30 walk that emulator",
        },
    ],
    assumptions: &[],
    unknowns: &[
        "how a key is given to the device: its MIB has no object that can be written",
        "what passes while an engine is down",
    ],
    parameters: &[],
    probes: &[Probe::SysObjectId {
        prefix: "1.3.6.1.4.1.13458",
    }],
    resynchronises: "SNMP matches replies by request id; a late one is dropped.",
};

/// The driver for ATMedia encryptors.
#[derive(Debug, Clone, Copy, Default)]
pub struct AtMediaDriver;

/// The driver, for a registry.
#[must_use]
pub fn driver() -> AtMediaDriver {
    AtMediaDriver
}

#[async_trait]
impl Driver for AtMediaDriver {
    fn info(&self) -> &'static DriverInfo {
        &INFO
    }

    async fn open(&self, uri: &DeviceUri, context: &OpenContext) -> Result<OpenedDevice> {
        let descriptor = context.descriptor(&INFO, uri)?;
        let events = EventHub::default();
        let link = context.snmp_link(uri, events.clone()).await?;
        let agent = SnmpClient::new(link, descriptor.deadline);
        let device = Arc::new(AtMedia::open(descriptor, agent, events).await?);
        Ok(OpenedDevice::from_encryptor(Arc::clone(&device)).with_identity(device.opened_as()))
    }
}
