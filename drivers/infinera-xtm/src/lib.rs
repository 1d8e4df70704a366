#![doc = include_str!("docs.md")]
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod device;
mod encryptor;
mod peer;
pub mod proto;
#[cfg(test)]
mod tests;

pub use device::Xtm;

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
        "infinera-xtm.psk-as-hex-digits",
        "The device takes the hexadecimal digits of a key as cryptoIKEPeerPSK.",
    )
    .source("LUM-CRYPTO-MIB: a text of 64 to 128 characters; which ones is not said")
    .disproof("The agent refuses a text of 64 hexadecimal digits.")
    .operations(&[Operation::Stage]),
    Assumption::declare(
        "infinera-xtm.psk-at-next-authentication",
        "A new PSK is used at the next authentication of the IKE peer, whose time is \
            cryptoIKEPeerLastReAuthTime.",
    )
    .source("LUM-CRYPTO-MIB: the PSK authenticates the peers of IKEv2")
    .disproof("After an authentication with different keys on the two ends there is no fault.")
    .operations(&[Operation::Stage, Operation::Confirm]),
    Assumption::declare(
        "infinera-xtm.interval-in-hours",
        "cryptoAuthReAuthInterval is in hours.",
    )
    .source("LUM-CRYPTO-MIB: 1..1000 with default 24, without a unit")
    .disproof("The time of the last authentication changes at another interval.")
    .operations(&[Operation::Stage, Operation::Confirm]),
    Assumption::declare(
        "infinera-xtm.peer-by-place-and-number",
        "A data plane uses the IKE peer of its own board whose name ends in the number of \
            cryptoDataplaneEncryptionIKEPeerIdentity.",
    )
    .source("LUM-CRYPTO-MIB: names ikePeer:subrack:slot:id and dpEncr:subrack:slot:port")
    .disproof("Traffic of a data plane stops when another peer is given a wrong key.")
    .operations(&[Operation::Confirm, Operation::SetEncryption]),
];

/// Facts about this driver that need no device.
pub static INFO: DriverInfo = DriverInfo {
    name: "infinera-xtm",
    version: env!("CARGO_PKG_VERSION"),
    family: "Infinera XTM (Transmode) encryption boards (LUM-CRYPTO-MIB)",
    vendor: "Infinera",
    kinds: &[DeviceKind::Encryptor],
    transports: &[Transport {
        name: "snmp",
        example: "infinera-xtm+snmp://192.0.2.9?credentials=noc",
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
                pysnmp 7.1.30 walk and set that emulator",
        },
    ],
    assumptions: ASSUMPTIONS,
    unknowns: &[
        "whether commands of the MIB can be written, which declares them read-only: they are not",
        "what passes where the failure policy is continueop",
        "to which data plane a row of the counters belongs: they are telemetry",
        "how a PSK is deleted",
        "notifications of the encryption boards",
    ],
    parameters: &[],
    probes: &[Probe::SysObjectId {
        prefix: "1.3.6.1.4.1.8708",
    }],
    resynchronises: "SNMP matches replies by request id; a late one is dropped, and a SET is never \
        sent twice.",
};

/// The driver for Infinera XTM.
#[derive(Debug, Clone, Copy, Default)]
pub struct XtmDriver;

/// The driver, for a registry.
#[must_use]
pub fn driver() -> XtmDriver {
    XtmDriver
}

#[async_trait]
impl Driver for XtmDriver {
    fn info(&self) -> &'static DriverInfo {
        &INFO
    }

    async fn open(&self, uri: &DeviceUri, context: &OpenContext) -> Result<OpenedDevice> {
        let descriptor = context.descriptor(&INFO, uri)?;
        let events = EventHub::default();
        let link = context.snmp_link(uri, events.clone()).await?;
        let agent = SnmpClient::new(link, descriptor.deadline);
        let device = Xtm::open(descriptor, agent, events).await?;
        Ok(OpenedDevice::from_encryptor(Arc::new(device)))
    }
}
