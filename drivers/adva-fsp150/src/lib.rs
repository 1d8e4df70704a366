#![doc = include_str!("docs.md")]
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod device;
mod encryptor;
mod flow;
pub mod proto;
#[cfg(test)]
mod tests;

pub use device::Fsp150;

use async_trait::async_trait;
use proto::oid;
use qkd_driver_kit::{
    Driver, DriverInfo, OpenContext, OpenedDevice,
    driver_info::{Probe, Transport, UriParameter, Verification, VerificationScope},
    link::{snmp::Oid, snmp_client::SnmpClient},
    officer_password::OfficerPassword,
};
use qkd_hal::{
    Assumption, DeviceKind, DeviceUri, Error, Maturity, Operation, Result, event::EventHub,
};
use std::sync::Arc;

/// Protocol facts that this driver infers.
pub const ASSUMPTIONS: &[Assumption] = &[
    Assumption::declare(
        "adva-fsp150.key-as-hex-digits",
        "The device takes the hexadecimal digits of a key as the password of a key exchange \
            profile.",
    )
    .source("F3-CONNECTGUARD-MIB: a DisplayString; its length and characters are not said")
    .disproof("The agent refuses the SET.")
    .operations(&[Operation::Stage]),
    Assumption::declare(
        "adva-fsp150.error-status-is-the-result",
        "A SET with a wrong crypto password is refused with an error-status.",
    )
    .source("F3-CONNECTGUARD-MIB: the password shall be in every SET; it has no object for results")
    .disproof("A SET with a wrong password is accepted, and changes nothing.")
    .operations(&[Operation::Stage, Operation::Activate]),
    Assumption::declare(
        "adva-fsp150.key-at-restarted-exchange",
        "A new password is used at the key exchange that restartKeyXchg starts, at one end for \
            both.",
    )
    .source("F3-CONNECTGUARD-MIB: the password authenticates the exchange")
    .disproof("After a restart with different passwords on the two ends new SAs are created.")
    .operations(&[Operation::Stage, Operation::Activate]),
    Assumption::declare(
        "adva-fsp150.largest-counter-is-the-total",
        "Of the counters of one object for several intervals, the largest counts since the start.",
    )
    .source("F3-CONNECTGUARD-MIB: counters indexed by interval; their numbers are not said")
    .disproof("The largest counter falls at the end of an interval.")
    .operations(&[Operation::Counters]),
];

/// Facts about this driver that need no device.
pub static INFO: DriverInfo = DriverInfo {
    name: "adva-fsp150",
    version: env!("CARGO_PKG_VERSION"),
    family: "ADVA FSP 150 ConnectGuard (F3-CONNECTGUARD-MIB)",
    vendor: "ADVA",
    kinds: &[DeviceKind::Encryptor],
    transports: &[Transport {
        name: "snmp",
        example: "adva-fsp150+snmp://192.0.2.9?credentials=noc",
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
        "length and characters of the password of a profile, and of the crypto password",
        "how many wrong crypto passwords the device allows",
        "what traffic does while a key exchange is restarted",
        "which flow of the device a ConnectGuard flow belongs to: the failure mode is known only \
         if all of them block",
        "how the password of a profile is deleted",
        "severities of alarms other than critical and cleared: those are indeterminate",
    ],
    parameters: &[UriParameter {
        name: "shared-profile",
        help: "refuse (default) or change: whether a key may be staged in a key exchange profile \
            that several flows use, all of which get the key",
        required: false,
    }],
    probes: &[Probe::SysObjectId {
        prefix: "1.3.6.1.4.1.2544.1.12",
    }],
    resynchronises: "SNMP matches replies by request id; a late one is dropped, and a SET is never \
        sent twice.",
};

/// The driver for ADVA FSP 150 ConnectGuard.
#[derive(Debug, Clone, Copy, Default)]
pub struct Fsp150Driver;

/// The driver, for a registry.
#[must_use]
pub fn driver() -> Fsp150Driver {
    Fsp150Driver
}

#[async_trait]
impl Driver for Fsp150Driver {
    fn info(&self) -> &'static DriverInfo {
        &INFO
    }

    async fn open(&self, uri: &DeviceUri, context: &OpenContext) -> Result<OpenedDevice> {
        let changes_shared = match uri.parameter("shared-profile") {
            None | Some("refuse") => false,
            Some("change") => true,
            Some(_) => return Err(Error::invalid("shared-profile= takes refuse or change")),
        };
        let descriptor = context.descriptor(&INFO, uri)?;
        let events = EventHub::default();
        let link = context.snmp_link(uri, events.clone()).await?;
        let agent = SnmpClient::new(link, descriptor.deadline);
        let officer = OfficerPassword::new(context, uri, Oid::from(oid::CRYPTO_PASSWORD), None);
        let device = Fsp150::open(descriptor, agent, officer, changes_shared, events).await?;
        let device = Arc::new(device);
        Ok(OpenedDevice::from_encryptor(Arc::clone(&device)).with_identity(device.opened_as()))
    }
}
