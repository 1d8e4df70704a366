#![doc = include_str!("docs.md")]
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod device;
pub mod proto;
mod settings;
#[cfg(test)]
mod tests;
mod wire;

pub use device::Qline;

use async_trait::async_trait;
use proto::Side;
use qkd_driver_etsi014::Client;
use qkd_driver_kit::{
    Driver, DriverInfo, OpenContext, OpenedDevice,
    driver_info::{Transport, UriParameter, Verification, VerificationScope},
};
use qkd_hal::{
    Assumption, DeviceKind, DeviceUri, Error, Maturity, Operation, Result, event::EventHub,
};
use std::{sync::Arc, time::Duration};

/// Protocol facts that this driver infers.
pub const ASSUMPTIONS: &[Assumption] = &[
    Assumption::declare(
        "veriqloud-qline.online-is-generating",
        "`probably online` means that keys are generated.",
    )
    .source(
        "Veriqloud/kiwi_hw_control local/mon.py takes whatever is neither error nor \
                 calibrating for online",
    )
    .disproof("The link is `probably online` and no key comes.")
    .operations(&[Operation::ModuleStatus]),
    Assumption::declare(
        "veriqloud-qline.temperature-celsius",
        "The detector's temperature is in degrees Celsius.",
    )
    .source("Veriqloud/kiwi_hw_control local/mon.py shows values below 30 as good")
    .disproof("A reading near 300 at room temperature.")
    .operations(&[Operation::Telemetry]),
];

/// Facts about this driver that need no device.
pub static INFO: DriverInfo = DriverInfo {
    name: "veriqloud-qline",
    version: env!("CARGO_PKG_VERSION"),
    family: "Veriqloud Qline (KIWI), BB84 in time bins",
    vendor: "Veriqloud",
    kinds: &[DeviceKind::QkdModule],
    transports: &[Transport {
        name: "tcp",
        example: "veriqloud-qline+tcp://192.0.2.5:13002?role=alice\
            &kme=http://192.0.2.5:13003&peer=sae-bob",
    }],
    maturity: Maturity::Emulated,
    evidence: &[Verification {
        of: VerificationScope::Emulator,
        what: "this repository's emulator, over TCP",
    }],
    assumptions: ASSUMPTIONS,
    unknowns: &[
        "the secret key rate: only the length of the last key is reported",
        "the form of the parameter file: settings are write only",
        "what a key's id asked for twice gives",
        "stop: the raw key's start and stop run over a local socket only",
    ],
    parameters: &[
        UriParameter {
            name: "role",
            help: "alice or bob; no query reports it",
            required: true,
        },
        UriParameter {
            name: "hw-port",
            help: "port of hw; default 13000",
            required: false,
        },
        UriParameter {
            name: "hws-port",
            help: "port of hws; default 13001",
            required: false,
        },
        UriParameter {
            name: "calibration-deadline",
            help: "within which each command of hws ends; default 5m",
            required: false,
        },
        UriParameter {
            name: "kme",
            help: "the node's ETSI GS QKD 014 server, such as http://192.0.2.5:13003",
            required: false,
        },
        UriParameter {
            name: "peer",
            help: "id of the SAE with which the keys are shared; goes with kme",
            required: false,
        },
        UriParameter {
            name: "server-name",
            help: "name that the certificate of kme must cover; default: its host",
            required: false,
        },
        UriParameter {
            name: "pin-sha256",
            help: "SHA-256 of the SubjectPublicKeyInfo of the certificate of kme, in hexadecimal \
                   digits or Base64; replaces the check of issuer, name and dates",
            required: false,
        },
    ],
    probes: &[],
    resynchronises: "A new connection: the protocol has no request IDs, and what a server still sends \
        goes to the old one. hw and hws get a connection for each command.",
};

/// The driver for Veriqloud Qline.
#[derive(Debug, Clone, Copy, Default)]
pub struct QlineDriver;

/// The driver, for a registry.
#[must_use]
pub fn driver() -> QlineDriver {
    QlineDriver
}

#[async_trait]
impl Driver for QlineDriver {
    fn info(&self) -> &'static DriverInfo {
        &INFO
    }

    fn default_port(&self, _uri: &DeviceUri) -> Option<u16> {
        Some(proto::MON_PORT)
    }

    async fn open(&self, uri: &DeviceUri, context: &OpenContext) -> Result<OpenedDevice> {
        let side = match uri.parameter("role") {
            Some("alice") => Side::Alice,
            Some("bob") => Side::Bob,
            _ => return Err(Error::invalid("role= takes alice or bob")),
        };
        let calibration = match uri.parameter("calibration-deadline") {
            None => Duration::from_secs(300),
            Some(text) => text
                .strip_suffix('s')
                .map(|s| (s, 1))
                .or_else(|| text.strip_suffix('m').map(|m| (m, 60)))
                .and_then(|(n, unit)| n.parse::<u64>().ok().map(|n| n.saturating_mul(unit)))
                .filter(|s| (1..=3600).contains(s))
                .map(Duration::from_secs)
                .ok_or_else(|| {
                    Error::invalid("calibration-deadline=: expected a duration from 1s to 60m")
                })?,
        };
        let descriptor = context.descriptor(&INFO, uri)?;
        let events = EventHub::default();
        let keys = match (uri.parameter("kme"), uri.parameter("peer")) {
            (None, None) => None,
            (Some(kme), Some(peer)) => {
                let mut at: DeviceUri = format!("etsi014+{kme}").parse().map_err(|_| {
                    Error::invalid(format!(
                        "kme={kme}: it takes http://host:port or https://host:port"
                    ))
                })?;
                for name in ["credentials", "server-name", "pin-sha256"] {
                    if let Some(value) = uri.parameter(name) {
                        at = at.with_parameter(name, value);
                    }
                }
                let link = context.http_link(&at).await?;
                Some(Client::new(
                    link,
                    at.path(),
                    peer,
                    descriptor.deadline,
                    events.clone(),
                ))
            }
            _ => return Err(Error::invalid("kme= and peer= go together")),
        };
        let wire = wire::QlineTransport::open(
            uri,
            context,
            descriptor.deadline,
            calibration,
            events.clone(),
        )
        .await?;
        Ok(OpenedDevice::from_module(Arc::new(
            Qline::open(descriptor, side, wire, keys, events).await?,
        )))
    }
}
