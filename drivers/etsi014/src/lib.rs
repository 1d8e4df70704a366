#![doc = include_str!("docs.md")]
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod call;
mod client;
mod device;
pub mod proto;
mod spans;
#[cfg(test)]
mod tests;

pub use client::Client;
pub use device::Etsi014;

use async_trait::async_trait;
use qkd_driver_kit::{
    Driver, DriverInfo, OpenContext, OpenedDevice,
    driver_info::{Transport, UriParameter, Verification, VerificationScope},
};
use qkd_hal::{DeviceKind, DeviceUri, Error, Maturity, Result, event::EventHub};
use std::sync::Arc;

/// Facts about this driver that need no device.
pub static INFO: DriverInfo = DriverInfo {
    name: "etsi014",
    version: env!("CARGO_PKG_VERSION"),
    family: "any KME with ETSI GS QKD 014 V1.1.1",
    vendor: "any",
    kinds: &[DeviceKind::QkdModule],
    transports: &[
        Transport {
            name: "https",
            example: "etsi014+https://192.0.2.3/?peer=sae-bob&credentials=sae-alice",
        },
        Transport {
            name: "http",
            example: "etsi014+http://192.0.2.3:13003/?peer=sae-bob",
        },
    ],
    maturity: Maturity::Emulated,
    evidence: &[Verification {
        of: VerificationScope::Emulator,
        what: "this repository's own 014 server, which etsi-qkd-014-client 0.9.0, qkdsec 0.3.0 and \
            the crate etsi014 0.4.1 also take keys from",
    }],
    assumptions: &[],
    unknowns: &[
        "the modules of a KME: the standard reports no state, QBER or rate",
        "what a KME does with an id asked for twice: the standard has it refuse, some give the key \
         again; the handle refuses it",
    ],
    parameters: &[
        UriParameter {
            name: "peer",
            help: "id of the SAE with which the keys are shared",
            required: true,
        },
        UriParameter {
            name: "server-name",
            help: "name that the server's certificate must cover; default: the host",
            required: false,
        },
        UriParameter {
            name: "pin-sha256",
            help: "SHA-256 of the SubjectPublicKeyInfo of the server's certificate, in hexadecimal \
                   digits or Base64; replaces the check of issuer, name and dates",
            required: false,
        },
    ],
    probes: &[],
    resynchronises: "HTTP frames each exchange; a connection whose exchange did not end well is \
        not used again.",
};

/// The driver for ETSI GS QKD 014.
#[derive(Debug, Clone, Copy, Default)]
pub struct Etsi014Driver;

/// The driver, for a registry.
#[must_use]
pub fn driver() -> Etsi014Driver {
    Etsi014Driver
}

#[async_trait]
impl Driver for Etsi014Driver {
    fn info(&self) -> &'static DriverInfo {
        &INFO
    }

    async fn open(&self, uri: &DeviceUri, context: &OpenContext) -> Result<OpenedDevice> {
        let descriptor = context.descriptor(&INFO, uri)?;
        let peer = uri
            .parameter("peer")
            .ok_or_else(|| Error::invalid("peer= names the SAE with which the keys are shared"))?;
        let events = EventHub::default();
        let link = context.http_link(uri).await?;
        let client = Client::new(link, uri.path(), peer, descriptor.deadline, events.clone());
        Ok(OpenedDevice::from_module(Arc::new(
            Etsi014::open(descriptor, client, events).await?,
        )))
    }
}
