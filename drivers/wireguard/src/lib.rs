#![doc = include_str!("docs.md")]
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod device;
mod interface;
pub mod proto;
#[cfg(test)]
mod tests;

pub use device::{RollMethod, WireGuard};

use async_trait::async_trait;
use interface::Interface;
use qkd_driver_kit::{
    Driver, DriverInfo, OpenContext, OpenedDevice,
    driver_info::{Transport, UriParameter, Verification, VerificationScope},
    link::stream::{Resync, StreamOptions},
};
use qkd_hal::{Assumption, DeviceKind, DeviceUri, Error, Maturity, Result, event::EventHub};
use std::sync::Arc;

/// Protocol facts that this driver infers: none. The protocol and the handshake are published.
pub const ASSUMPTIONS: &[Assumption] = &[];

/// Facts about this driver that need no device.
pub static INFO: DriverInfo = DriverInfo {
    name: "wireguard",
    version: env!("CARGO_PKG_VERSION"),
    family: "WireGuard tunnels with preshared keys (userspace implementations)",
    vendor: "WireGuard",
    kinds: &[DeviceKind::Encryptor],
    transports: &[Transport {
        name: "unix",
        example: "wireguard+unix:///var/run/wireguard/wg0.sock?roll=wait",
    }],
    maturity: Maturity::CrossChecked,
    evidence: &[
        Verification {
            of: VerificationScope::Protocol,
            what: "wireguard-go 0.0.20220316 of Debian 12 over TUN, Linux 6.18: 50 rolls by replacement and \
                2 that wait for a handshake under traffic in each run of the gate, a restart in the \
                middle of a roll, a wrong key",
        },
        Verification {
            of: VerificationScope::Emulator,
            what: "this repository's emulator, which was written apart from the driver, in memory",
        },
    ],
    assumptions: ASSUMPTIONS,
    unknowns: &[
        "the id of a preshared key: the device stores none, and an interrupted roll is completed \
         with a fresh key",
        "packets: the protocol reports bytes only",
    ],
    parameters: &[UriParameter {
        name: "roll",
        help: "wait (default): a key is used at the next handshake; replace: activation removes \
               and adds the peer, which ends its session at once and drops packets",
        required: false,
    }],
    probes: &[],
    resynchronises: "A new connection: the protocol has no request ids, and what the device still \
        sends goes to the old one.",
};

/// The driver for WireGuard.
#[derive(Debug, Clone, Copy, Default)]
pub struct WireGuardDriver;

/// The driver, for a registry.
#[must_use]
pub fn driver() -> WireGuardDriver {
    WireGuardDriver
}

#[async_trait]
impl Driver for WireGuardDriver {
    fn info(&self) -> &'static DriverInfo {
        &INFO
    }

    async fn open(&self, uri: &DeviceUri, context: &OpenContext) -> Result<OpenedDevice> {
        let method = match uri.parameter("roll") {
            None | Some("wait") => RollMethod::Wait,
            Some("replace") => RollMethod::Replace,
            Some(_) => return Err(Error::invalid("roll= takes wait or replace")),
        };
        let descriptor = context.descriptor(&INFO, uri)?;
        let events = EventHub::default();
        let options =
            StreamOptions::new(Resync::Reconnect, events.clone()).reply_limit(proto::REPLY_LIMIT);
        let link = context.byte_link(uri, 0, None, options).await?;
        let interface = Interface::new(link, descriptor.deadline);
        let device = WireGuard::open(descriptor, interface, method, events).await?;
        Ok(OpenedDevice::from_encryptor(Arc::new(device)))
    }
}
