#![doc = include_str!("docs.md")]
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod device;
mod kay;
pub mod proto;
#[cfg(test)]
mod tests;

pub use device::IeeeMacsec;

use async_trait::async_trait;
use qkd_driver_kit::{
    Driver, DriverInfo, OpenContext, OpenedDevice,
    driver_info::{Transport, Verification, VerificationScope},
    link::snmp_client::SnmpClient,
};
use qkd_hal::{Assumption, DeviceKind, DeviceUri, Maturity, Operation, Result, event::EventHub};
use std::sync::Arc;

/// Protocol facts that this driver infers.
pub const ASSUMPTIONS: &[Assumption] = &[Assumption::declare(
    "ieee-macsec.secy-has-port-number",
    "Where the agent does not report the controlled port of a PAE port, its SecY has the number of \
        the PAE port as its ifIndex.",
)
.source(
    "IEEE8021X-PAE-MIB: ieee8021XPaePortNumber is an InterfaceIndex; the SecY may be at \
            another interface of the same port",
)
.disproof("The counters stay the same while the port carries traffic.")
.operations(&[Operation::Counters])];

/// Facts about this driver that need no device.
pub static INFO: DriverInfo = DriverInfo {
    name: "ieee-macsec",
    version: env!("CARGO_PKG_VERSION"),
    family: "MACsec and MKA of any make, status only (IEEE8021X-PAE-MIB, IEEE8021-SECY-MIB)",
    vendor: "any",
    kinds: &[DeviceKind::Encryptor],
    transports: &[Transport {
        name: "snmp",
        example: "ieee-macsec+snmp://192.0.2.9?credentials=noc",
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
    assumptions: ASSUMPTIONS,
    unknowns: &[
        "how a key is given to the device: the MIBs have no object for a CAK",
        "what passes while no key is agreed: the objects are at the SecY and at the network \
         identity, whose relation to a port the vendor defines",
    ],
    parameters: &[],
    // Any vendor's agent may have the MIBs, in addition to those of the vendor.
    probes: &[],
    resynchronises: "SNMP matches replies by request id; a late one is dropped.",
};

/// The driver for MACsec of any make.
#[derive(Debug, Clone, Copy, Default)]
pub struct IeeeMacsecDriver;

/// The driver, for a registry.
#[must_use]
pub fn driver() -> IeeeMacsecDriver {
    IeeeMacsecDriver
}

#[async_trait]
impl Driver for IeeeMacsecDriver {
    fn info(&self) -> &'static DriverInfo {
        &INFO
    }

    async fn open(&self, uri: &DeviceUri, context: &OpenContext) -> Result<OpenedDevice> {
        let descriptor = context.descriptor(&INFO, uri)?;
        let events = EventHub::default();
        let link = context.snmp_link(uri, events.clone()).await?;
        let agent = SnmpClient::new(link, descriptor.deadline);
        let device = Arc::new(IeeeMacsec::open(descriptor, agent, events).await?);
        Ok(OpenedDevice::from_encryptor(Arc::clone(&device)).with_identity(device.opened_as()))
    }
}
