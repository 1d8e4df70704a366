#![doc = include_str!("docs.md")]
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod device;
mod encryptor;
mod port;
pub mod proto;
#[cfg(test)]
mod tests;

pub use device::Waveserver;

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
        "ciena-waveserver.key-at-re-authentication",
        "A new pre-shared key is used at the next re-authentication, and the key before until then.",
    )
    .source(
        "CIENA-WS-ENCRYPTION-MIB: the period and the failure mode of re-authentication; no object \
            starts one",
    )
    .disproof("Peer authentication changes at once when the ends are given different keys.")
    .operations(&[Operation::Stage, Operation::Confirm]),
    Assumption::declare(
        "ciena-waveserver.pass-is-of-the-last-authentication",
        "Peer authentication shows the result of the last one: 20 s after one period it is that of \
            an authentication with the new key.",
    )
    .source("CIENA-WS-ENCRYPTION-MIB: unknown(0), pass(1), fail(2); when it changes is not said")
    .disproof(
        "It is pass more than one period and 20 s after the ends were given different keys.",
    )
    .operations(&[Operation::Confirm]),
];

/// Facts about this driver that need no device.
pub static INFO: DriverInfo = DriverInfo {
    name: "ciena-waveserver",
    version: env!("CARGO_PKG_VERSION"),
    family: "Ciena Waveserver, wire-speed encryption (CIENA-WS-ENCRYPTION-MIB)",
    vendor: "Ciena",
    kinds: &[DeviceKind::Encryptor],
    transports: &[Transport {
        name: "snmp",
        example: "ciena-waveserver+snmp://192.0.2.9?credentials=noc",
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
        "the hash of which a fingerprint is made: those of two ends are not compared",
        "the second index of the encryption tables: rows are walked",
        "index of the commands that clear all keys and enable encryption: they are not sent",
        "whether clear traffic passes in failure mode allow: it is reported as if it did",
    ],
    parameters: &[],
    probes: &[Probe::SysObjectId {
        prefix: "1.3.6.1.4.1.1271.3",
    }],
    resynchronises: "SNMP matches replies by request id; a late one is dropped, and a SET is never \
        sent twice.",
};

/// The driver for Ciena Waveserver.
#[derive(Debug, Clone, Copy, Default)]
pub struct WaveserverDriver;

/// The driver, for a registry.
#[must_use]
pub fn driver() -> WaveserverDriver {
    WaveserverDriver
}

#[async_trait]
impl Driver for WaveserverDriver {
    fn info(&self) -> &'static DriverInfo {
        &INFO
    }

    async fn open(&self, uri: &DeviceUri, context: &OpenContext) -> Result<OpenedDevice> {
        let descriptor = context.descriptor(&INFO, uri)?;
        let events = EventHub::default();
        let link = context.snmp_link(uri, events.clone()).await?;
        let agent = SnmpClient::new(link, descriptor.deadline);
        let device = Arc::new(Waveserver::open(descriptor, agent, events).await?);
        Ok(OpenedDevice::from_encryptor(Arc::clone(&device)).with_identity(device.opened_as()))
    }
}
