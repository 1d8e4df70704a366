#![doc = include_str!("docs.md")]
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod chassis;
mod device;
mod protection;
pub mod proto;
#[cfg(test)]
mod tests;

pub use device::FsOlp;

use async_trait::async_trait;
use chassis::Units;
use qkd_driver_kit::{
    Driver, DriverInfo, OpenContext, OpenedDevice,
    driver_info::{Probe, Transport, UriParameter, Verification, VerificationScope},
    link::snmp_client::SnmpClient,
};
use qkd_hal::{
    Assumption, DeviceKind, DeviceUri, Error, Maturity, Operation, Result, event::EventHub,
};
use std::{sync::Arc, time::Duration};

/// Protocol facts that this driver infers.
pub const ASSUMPTIONS: &[Assumption] = &[
    Assumption::declare(
        "fs-olp.main-is-r1",
        "R1 is the receiver of the main path, which is the preferred one, and R2 that \
            of the sub path; a path has failed while its power lies below its switching power.",
    )
    .source(
        "the names of OAP-C1-OLP, which has no descriptions: R1Power, R1SwitchingPower, \
            Channel main(1) and sub(2), BackMode",
    )
    .disproof(
        "In automatic mode the card goes to sub when the light of R2 is taken away, or \
            stays on main while R1Power is below R1SwitchingPower.",
    )
    .operations(&[Operation::ProtectionStatus, Operation::ProtectionCommand]),
    Assumption::declare(
        "fs-olp.power-hundredths",
        "Powers are in hundredths of a dBm, unless power-scale= says otherwise.",
    )
    .source("OAP-C1-OLP gives R1Power the range -5000..2300, which is -50 to 23 dBm so")
    .disproof("A power meter at the input shows another power.")
    .operations(&[Operation::ProtectionStatus, Operation::Telemetry]),
];

/// Facts about this driver that need no device.
pub static INFO: DriverInfo = DriverInfo {
    name: "fs-olp",
    version: env!("CARGO_PKG_VERSION"),
    family: "FS.com and Glsun OLP cards in OAP chassis (OAP-C1-OLP)",
    vendor: "FS.com",
    kinds: &[DeviceKind::ProtectionSwitch],
    transports: &[Transport {
        name: "snmp",
        example: "fs-olp+snmp://192.0.2.21?credentials=noc&delay-unit=s",
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
        "the unit of powers: thresholds can be set with power-scale= only",
        "the unit of BackDelay: the wait-to-restore time is available with delay-unit= only",
        "traps: the groups are polled",
        "what SwitchDelay and ReturnDelay do, and what workmodesave does",
        "what the path does without power, and how long a switch-over takes",
    ],
    parameters: &[
        UriParameter {
            name: "power-scale",
            help: "0.01, 0.1 or 1: how many dBm one unit of a power is; thresholds are set with it \
                only",
            required: false,
        },
        UriParameter {
            name: "delay-unit",
            help: "unit of BackDelay: s, ms or min; the wait-to-restore time is available \
                with it only",
            required: false,
        },
        UriParameter {
            name: "poll",
            help: "how often the groups are looked at for events, such as 1s, or off; default 1s",
            required: false,
        },
    ],
    probes: &[
        Probe::SysObjectId {
            prefix: "1.3.6.1.4.1.40989",
        },
        // As recorded chassis respond, confirmed by the device type of OAP-NMU.
        Probe::SysDescr {
            descr: "GLCY SNMP",
            object_id: "1.3.6.1.2.1.1.2",
            confirm: "1.3.6.1.4.1.40989.10.16.20.1.0",
        },
    ],
    resynchronises: "SNMP matches replies by request id; a late one is dropped, and a SET is never \
        sent twice.",
};

/// The driver for FS.com and Glsun OLP cards.
#[derive(Debug, Clone, Copy, Default)]
pub struct FsOlpDriver;

/// The driver, for a registry.
#[must_use]
pub fn driver() -> FsOlpDriver {
    FsOlpDriver
}

fn units(uri: &DeviceUri) -> Result<Units> {
    let power = match uri.parameter("power-scale") {
        None => None,
        Some("0.01") => Some(0.01),
        Some("0.1") => Some(0.1),
        Some("1") => Some(1.0),
        Some(other) => {
            return Err(Error::invalid(format!(
                "power-scale={other}: expected 0.01, 0.1 or 1"
            )));
        }
    };
    let delay = match uri.parameter("delay-unit") {
        None => None,
        Some("s") => Some(Duration::from_secs(1)),
        Some("ms") => Some(Duration::from_millis(1)),
        Some("min") => Some(Duration::from_secs(60)),
        Some(other) => {
            return Err(Error::invalid(format!(
                "delay-unit={other}: it takes s, ms or min"
            )));
        }
    };
    Ok(Units { power, delay })
}

fn poll(uri: &DeviceUri) -> Result<Option<Duration>> {
    match uri.parameter("poll") {
        None => Ok(Some(Duration::from_secs(1))),
        Some("off") => Ok(None),
        Some(text) => match humantime::parse_duration(text) {
            Ok(every) if every >= Duration::from_millis(10) => Ok(Some(every)),
            _ => Err(Error::invalid(format!(
                "poll={text}: expected a duration of at least 10ms, such as 1s, or off"
            ))),
        },
    }
}

#[async_trait]
impl Driver for FsOlpDriver {
    fn info(&self) -> &'static DriverInfo {
        &INFO
    }

    async fn open(&self, uri: &DeviceUri, context: &OpenContext) -> Result<OpenedDevice> {
        let (units, poll) = (units(uri)?, poll(uri)?);
        let descriptor = context.descriptor(&INFO, uri)?;
        let events = EventHub::default();
        let agent = SnmpClient::new(
            context.snmp_link(uri, events.clone()).await?,
            descriptor.deadline,
        );
        let device = Arc::new(FsOlp::open(descriptor, agent, units, poll, events).await?);
        Ok(OpenedDevice::from_protection(Arc::clone(&device)).with_identity(device.opened_as()))
    }
}
