#![doc = include_str!("docs.md")]
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod aps_groups;
mod device;
mod encryptor;
mod power;
mod protection;
pub mod proto;
mod roll;
#[cfg(test)]
mod tests;

pub use device::PacketLight;

use async_trait::async_trait;
use proto::{PskEncoding, aps::LosEncoding};
use qkd_driver_kit::{
    Driver, DriverInfo, OpenContext, OpenedDevice,
    driver_info::{Probe, Transport, UriParameter, Verification, VerificationScope},
    link::snmp_client::SnmpClient,
};
use qkd_hal::{
    Assumption, DeviceKind, DeviceUri, Error, Maturity, Operation, Result, event::EventHub,
};
use std::sync::Arc;

/// Protocol facts that this driver infers.
pub const ASSUMPTIONS: &[Assumption] = &[
    Assumption::declare(
        "packetlight.preshared-at-next-exchange",
        "A new slSecuEncryptionPreShared is used at the next key exchange, or at the \
            one that slSecuEncryptionForceInit forces.",
    )
    .source(
        "SL-SECU-MIB: the object is the pre-shared key or authenticates the exchange; when \
            it is read is not said",
    )
    .disproof(
        "After ForceInit with different secrets on the two ends the status is active \
            again.",
    )
    .operations(&[Operation::Stage, Operation::Activate]),
    Assumption::declare(
        "packetlight.force-init-one-end",
        "slSecuEncryptionForceInit at one end restarts the exchange of both.",
    )
    .source(
        "SL-SECU-MIB: writing forces the initialisation of the state machine; init is \
            for a link failure, which both ends see",
    )
    .disproof("The far end's status stays active.")
    .operations(&[Operation::Activate]),
    Assumption::declare(
        "packetlight.switch-of-moves-away",
        "forcedSwitchOfWorking and manualSwitchOfWorking move the traffic off the \
            working line, to protection; those of protection, to working.",
    )
    .source(
        "the names of optApsConfigSwitchCommand, read as ITU-T G.808.1 does; \
            SL-OPT-APS-MIB does not say",
    )
    .disproof("After forcedSwitchOfWorking optApsConfigActiveConnectionRx is working.")
    .operations(&[Operation::ProtectionCommand]),
    Assumption::declare(
        "packetlight.los-sixteen-bits",
        "A power above 32767 tenths of a dBm is the two's complement of a negative one.",
    )
    .source(
        "optApsConfigLosThreshold has the range 0..65535 and a text that begins at -50.0 \
            dBm",
    )
    .disproof("A threshold that was set to -30.0 dBm on the device is read as another value.")
    .operations(&[
        Operation::ProtectionStatus,
        Operation::Power,
        Operation::Monitor,
    ]),
];

/// Facts about this driver that need no device.
pub static INFO: DriverInfo = DriverInfo {
    name: "packetlight",
    version: env!("CARGO_PKG_VERSION"),
    family: "PacketLight encrypting transponders and their OEM variants (SL-SECU-MIB)",
    vendor: "PacketLight Networks",
    kinds: &[
        DeviceKind::Encryptor,
        DeviceKind::ProtectionSwitch,
        DeviceKind::PowerMeter,
    ],
    transports: &[Transport {
        name: "snmp",
        example: "packetlight+snmp://192.0.2.9?credentials=noc&psk-encoding=hex",
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
                pysnmp 7.1.30 walk and set that emulator, its encryption and its protection",
        },
    ],
    assumptions: ASSUMPTIONS,
    unknowns: &[
        "length and encoding of the pre-shared secret: psk-encoding= must be given",
        "which ifIndex of a port is the row's: rows are walked",
        "effect of slSecuEncryptionLock; what passes while no key can be agreed",
        "how long an exchange takes: the gap is measured",
        "counters of encrypted traffic: not in the MIBs",
        "how a negative threshold of optical protection is written: thresholds are set with \
         los-encoding= only",
        "whether an active row of optical protection takes each change; what its path does without \
         power",
    ],
    parameters: &[
        UriParameter {
            name: "psk-encoding",
            help: "hex or base64: how a key becomes the text of slSecuEncryptionPreShared; not \
                public",
            required: true,
        },
        UriParameter {
            name: "los-encoding",
            help: "signed or twos-complement: how a negative threshold is written; not public, and \
                thresholds are set with it only",
            required: false,
        },
    ],
    probes: &[Probe::SysObjectId {
        prefix: "1.3.6.1.4.1.4515",
    }],
    resynchronises: "SNMP matches replies by request id; a late one is dropped, and a SET is never \
        sent twice.",
};

/// The driver for PacketLight devices.
#[derive(Debug, Clone, Copy, Default)]
pub struct PacketLightDriver;

/// The driver, for a registry.
#[must_use]
pub fn driver() -> PacketLightDriver {
    PacketLightDriver
}

#[async_trait]
impl Driver for PacketLightDriver {
    fn info(&self) -> &'static DriverInfo {
        &INFO
    }

    async fn open(&self, uri: &DeviceUri, context: &OpenContext) -> Result<OpenedDevice> {
        let encoding = uri
            .parameter("psk-encoding")
            .and_then(PskEncoding::from_keyword)
            .ok_or_else(|| Error::invalid("psk-encoding= takes hex or base64"))?;
        let los = uri.parameter("los-encoding");
        let los = los
            .map(|word| {
                LosEncoding::from_keyword(word)
                    .ok_or_else(|| Error::invalid("los-encoding= takes signed or twos-complement"))
            })
            .transpose()?;
        let descriptor = context.descriptor(&INFO, uri)?;
        let events = EventHub::default();
        let agent = SnmpClient::new(
            context.snmp_link(uri, events.clone()).await?,
            descriptor.deadline,
        );
        let device = Arc::new(PacketLight::open(descriptor, agent, encoding, los, events).await?);
        let mut opened = OpenedDevice::from_encryptor(Arc::clone(&device));
        if device.is(DeviceKind::ProtectionSwitch) {
            opened = opened.with_protection(Arc::clone(&device) as _);
        }
        Ok(if device.is(DeviceKind::PowerMeter) {
            opened.with_power_meter(device)
        } else {
            opened
        })
    }
}
