#![doc = include_str!("docs.md")]
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod connection;
mod counts;
mod daemon;
mod device;
mod encryptor;
pub mod proto;
#[cfg(test)]
mod tests;

pub use device::StrongSwan;

use async_trait::async_trait;
use connection::Connection;
use daemon::Daemon;
use qkd_driver_kit::{
    Driver, DriverInfo, OpenContext, OpenedDevice,
    driver_info::{Transport, UriParameter, Verification, VerificationScope},
};
use qkd_hal::{Assumption, DeviceKind, DeviceUri, Error, Maturity, Result, event::EventHub};
use std::{path::Path, sync::Arc};

/// Protocol facts that this driver infers: none. VICI and RFC 8784 are published.
pub const ASSUMPTIONS: &[Assumption] = &[];

/// Facts about this driver that need no device.
pub static INFO: DriverInfo = DriverInfo {
    name: "strongswan",
    version: env!("CARGO_PKG_VERSION"),
    family: "strongSwan, with post-quantum preshared keys of IKEv2 (RFC 8784)",
    vendor: "strongSwan",
    kinds: &[DeviceKind::Encryptor],
    transports: &[Transport {
        name: "unix",
        example: "strongswan+unix:///var/run/charon.vici?connection=net\
            &connections=/etc/qkd/connections.toml",
    }],
    maturity: Maturity::CrossChecked,
    evidence: &[
        Verification {
            of: VerificationScope::Protocol,
            what: "charon-systemd 5.9.8 of Debian 12 with kernel-libipsec, Linux 6.18: 50 rolls under \
                traffic in each run of the gate, a restart in the middle of a roll, a wrong key",
        },
        Verification {
            of: VerificationScope::Emulator,
            what: "this repository's emulator, which was written apart from the driver, in memory",
        },
    ],
    assumptions: ASSUMPTIONS,
    unknowns: &[
        "the key of an association that the other end has initiated, if the daemon holds several: \
         the daemon reports only that there is one",
        "whether an association that the other end makes between stage and confirm has the key \
         before: if that end starts its old one again, or rekeys a child and then the association",
        "what passes without an association: it depends on policies and firewall of the host",
    ],
    parameters: &[
        UriParameter {
            name: "connection",
            help: "name of the connection in the file, which is the channel",
            required: true,
        },
        UriParameter {
            name: "connections",
            help: "path of a TOML file with the connection, as in swanctl.conf",
            required: true,
        },
    ],
    probes: &[],
    resynchronises: "A new connection: the protocol has no request ids, and what the daemon still \
        sends goes to the old one.",
};

/// The driver for strongSwan.
#[derive(Debug, Clone, Copy, Default)]
pub struct StrongSwanDriver;

/// The driver, for a registry.
#[must_use]
pub fn driver() -> StrongSwanDriver {
    StrongSwanDriver
}

#[async_trait]
impl Driver for StrongSwanDriver {
    fn info(&self) -> &'static DriverInfo {
        &INFO
    }

    async fn open(&self, uri: &DeviceUri, context: &OpenContext) -> Result<OpenedDevice> {
        let needed = |name: &str| {
            uri.parameter(name)
                .ok_or_else(|| Error::invalid(format!("{name}= is missing in {uri}")))
        };
        let (path, name) = (Path::new(needed("connections")?), needed("connection")?);
        let connection = match Connection::read(path, name) {
            // A recording may be replayed on another machine.
            Err(_) if context.is_replay() && !path.exists() => Connection::of_recording(name),
            read => read?,
        };
        let descriptor = context.descriptor(&INFO, uri)?;
        let events = EventHub::default();
        let link = context
            .byte_link(uri, 0, None, daemon::options(events.clone()))
            .await?;
        let daemon = Daemon::new(link, descriptor.deadline);
        let device = StrongSwan::open(descriptor, daemon, connection, events).await?;
        Ok(OpenedDevice::from_encryptor(Arc::new(device)))
    }
}
