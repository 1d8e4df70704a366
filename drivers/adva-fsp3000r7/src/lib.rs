#![doc = include_str!("docs.md")]
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod device;
mod encryptor;
mod officer;
mod port;
pub mod proto;
#[cfg(test)]
mod tests;

pub use device::Fsp3000R7;

use async_trait::async_trait;
use proto::{PASSWORD_TRIES, oid};
use qkd_driver_kit::{
    Driver, DriverInfo, OpenContext, OpenedDevice,
    driver_info::{Probe, Transport, Verification, VerificationScope},
    link::{snmp::Oid, snmp_client::SnmpClient},
    officer_password::OfficerPassword,
};
use qkd_hal::{Assumption, DeviceKind, DeviceUri, Maturity, Operation, Result, event::EventHub};
use std::sync::Arc;

/// Protocol facts that this driver infers.
pub const ASSUMPTIONS: &[Assumption] = &[
    Assumption::declare(
        "adva-fsp3000r7.key-as-hex-digits",
        "The device takes the hexadecimal digits of a key as cryptoPortConfigAuthKey.",
    )
    .source(
        "ADVA-FSPR7-MODULE-ENCRYPTION-MIB: a password as SnmpAdminString; its length and \
            characters are not said, and passwdTooSimple exists",
    )
    .disproof("The device answers passwdTooSimple, or refuses the SET.")
    .operations(&[Operation::Stage]),
    Assumption::declare(
        "adva-fsp3000r7.key-at-forced-exchange",
        "A new AuthKey is used at the key exchange that ForceKeyExchange starts.",
    )
    .source("ADVA-FSPR7-MODULE-ENCRYPTION-MIB: the key authenticates the exchange")
    .disproof("After a forced exchange with different keys on the two ends no exchange failed.")
    .operations(&[Operation::Stage, Operation::Activate]),
    Assumption::declare(
        "adva-fsp3000r7.force-one-end",
        "ForceKeyExchange at one end makes both ends exchange a key.",
    )
    .source("ADVA-FSPR7-MODULE-ENCRYPTION-MIB: an exchange needs both ends")
    .disproof("The time of the last good exchange of the far end stays the same.")
    .operations(&[Operation::Activate]),
    Assumption::declare(
        "adva-fsp3000r7.result-by-request-id",
        "The result of a SET is valid when cryptoOfficerPasswordReqId is its request id.",
    )
    .source(
        "ADVA-FSPR7-MODULE-ENCRYPTION-MIB: the request id that the error value belongs to; when \
            it changes is not said",
    )
    .disproof("The request id is shown before the result is.")
    .operations(&[
        Operation::Stage,
        Operation::Activate,
        Operation::SetEncryption,
    ]),
];

/// Facts about this driver that need no device.
pub static INFO: DriverInfo = DriverInfo {
    name: "adva-fsp3000r7",
    version: env!("CARGO_PKG_VERSION"),
    family: "ADVA FSP 3000R7 encryption modules (ADVA-FSPR7-MODULE-ENCRYPTION-MIB)",
    vendor: "ADVA",
    kinds: &[DeviceKind::Encryptor],
    transports: &[Transport {
        name: "snmp",
        example: "adva-fsp3000r7+snmp://192.0.2.9?credentials=noc",
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
        "length and characters of the AuthKey, and of the officer's password",
        "for how long three wrong officer's passwords lock the input",
        "what traffic does during a forced key exchange",
        "how the keys of one port are destroyed: a reset of a module destroys its passwords, too",
        "unit of the time for which encryption is off: it is not used",
        "whether a notification is sent when a condition ends",
    ],
    parameters: &[],
    probes: &[Probe::SysObjectId {
        prefix: "1.3.6.1.4.1.2544.1.11",
    }],
    resynchronises: "SNMP matches replies by request id; a late one is dropped, and a SET is never \
        sent twice. The result of a SET is read by its request id.",
};

/// The driver for ADVA FSP 3000R7.
#[derive(Debug, Clone, Copy, Default)]
pub struct Fsp3000R7Driver;

/// The driver, for a registry.
#[must_use]
pub fn driver() -> Fsp3000R7Driver {
    Fsp3000R7Driver
}

#[async_trait]
impl Driver for Fsp3000R7Driver {
    fn info(&self) -> &'static DriverInfo {
        &INFO
    }

    async fn open(&self, uri: &DeviceUri, context: &OpenContext) -> Result<OpenedDevice> {
        let descriptor = context.descriptor(&INFO, uri)?;
        let events = EventHub::default();
        let link = context.snmp_link(uri, events.clone()).await?;
        let agent = SnmpClient::new(link, descriptor.deadline);
        let officer = OfficerPassword::new(
            context,
            uri,
            Oid::from(oid::OFFICER_PASSWORD),
            Some(PASSWORD_TRIES),
        );
        let device = Arc::new(Fsp3000R7::open(descriptor, agent, officer, events).await?);
        Ok(OpenedDevice::from_encryptor(Arc::clone(&device)).with_identity(device.opened_as()))
    }
}
