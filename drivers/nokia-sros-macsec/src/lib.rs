#![doc = include_str!("docs.md")]
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod device;
mod events;
pub mod proto;
mod roll;
#[cfg(test)]
mod tests;

pub use device::SrosMacsec;

use async_trait::async_trait;
use qkd_driver_kit::{
    Driver, DriverInfo, OpenContext, OpenedDevice,
    driver_info::{Probe, Transport, Verification, VerificationScope},
    link::snmp_client::SnmpClient,
};
use qkd_hal::{Assumption, DeviceKind, DeviceUri, Maturity, Operation, Result, event::EventHub};
use std::sync::Arc;

/// Protocol facts that this driver infers.
pub const ASSUMPTIONS: &[Assumption] = &[
    Assumption::declare(
        "nokia-sros-macsec.cak-is-hex",
        "CAK and CAK name are hexadecimal text: 32 or 64 digits, and the name's bytes.",
    )
    .source("TIMETRA-MACSEC-MIB: Cak and CakName 0..64 characters against CKN 1..32 bytes")
    .disproof(
        "The agent refuses the text, or the index of the MKA statistics is not the \
            name's bytes.",
    )
    .operations(&[Operation::Stage]),
    Assumption::declare(
        "nokia-sros-macsec.slot-in-one-pdu",
        "An idle slot is written by one PDU: with createAndGo where it is absent, in \
            place where it exists.",
    )
    .source("TIMETRA-MACSEC-MIB: RowStatus and read-create columns")
    .disproof("The agent answers inconsistentValue.")
    .operations(&[Operation::Stage]),
    Assumption::declare(
        "nokia-sros-macsec.idle-slot-receives",
        "MKA PDUs under the key of the idle slot are accepted, so that a roll drops no \
            traffic.",
    )
    .source("TIMETRA-MACSEC-MIB: ActivePsk is for outgoing MKA PDUs")
    .disproof("CknNotFound grows between the activations of the two ends.")
    .operations(&[Operation::Activate]),
    Assumption::declare(
        "nokia-sros-macsec.destroy-zeroizes",
        "Destroying a slot's row destroys the key in it.",
    )
    .source("TIMETRA-MACSEC-MIB: RowStatus destroy")
    .disproof("The key still protects MKA after both slots were destroyed.")
    .operations(&[Operation::Retire, Operation::Zeroize]),
];

/// Facts about this driver that need no device.
pub static INFO: DriverInfo = DriverInfo {
    name: "nokia-sros-macsec",
    version: env!("CARGO_PKG_VERSION"),
    family: "Nokia SR OS, MACsec with static CAKs (TIMETRA-MACSEC-MIB)",
    vendor: "Nokia",
    kinds: &[DeviceKind::Encryptor],
    transports: &[Transport {
        name: "snmp",
        example: "nokia-sros-macsec+snmp://192.0.2.9?credentials=noc",
    }],
    maturity: Maturity::Emulated,
    evidence: &[
        Verification {
            of: VerificationScope::Transport,
            what: "the SNMP link on net-snmp's snmpd; net-snmp's traps and informs into its \
                receiver",
        },
        Verification {
            of: VerificationScope::Transport,
            what: "the driver on PyPI snmpsim 1.2.2, which serves a walk of the emulator",
        },
        Verification {
            of: VerificationScope::Emulator,
            what: "this repository's emulator, over SNMPv3 on another stack; net-snmp's tools and \
                pysnmp 7.1.30 walk and set that emulator",
        },
    ],
    assumptions: ASSUMPTIONS,
    unknowns: &[
        "what newer releases do with clear traffic that is received: the object is obsolete and \
         has no public successor",
        "whether a key in use can be changed in place: only the idle slot is written",
        "whether SNMP may write in model-driven mode",
        "port numbers of scheme D",
    ],
    parameters: &[],
    probes: &[Probe::SysObjectId {
        prefix: "1.3.6.1.4.1.6527",
    }],
    resynchronises: "SNMP matches replies by request id; a late one is dropped, and a SET is never \
        sent twice.",
};

/// The driver for Nokia SR OS MACsec.
#[derive(Debug, Clone, Copy, Default)]
pub struct SrosMacsecDriver;

/// The driver, for a registry.
#[must_use]
pub fn driver() -> SrosMacsecDriver {
    SrosMacsecDriver
}

#[async_trait]
impl Driver for SrosMacsecDriver {
    fn info(&self) -> &'static DriverInfo {
        &INFO
    }

    async fn open(&self, uri: &DeviceUri, context: &OpenContext) -> Result<OpenedDevice> {
        let descriptor = context.descriptor(&INFO, uri)?;
        let events = EventHub::default();
        let link = context.snmp_link(uri, events.clone()).await?;
        let agent = SnmpClient::new(link, descriptor.deadline);
        let device = Arc::new(SrosMacsec::open(descriptor, agent, events).await?);
        Ok(OpenedDevice::from_encryptor(Arc::clone(&device)).with_identity(device.opened_as()))
    }
}
