#![doc = include_str!("docs.md")]
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod device;
mod interface;
pub mod proto;
#[cfg(test)]
mod tests;

pub use device::{RollMethod, WireGuard};

use async_trait::async_trait;
use interface::{Implementation, Interface};
use qkd_driver_kit::{
    Driver, DriverInfo, OpenContext, OpenedDevice,
    context::MEMORY_TRANSPORT,
    driver_info::{Transport, UriParameter, Verification, VerificationScope},
    link::{
        datagram::DatagramPeer,
        netlink::is_interface_name,
        stream::{Resync, StreamOptions},
    },
};
use qkd_hal::{Assumption, DeviceKind, DeviceUri, Error, Maturity, Result, event::EventHub};
use std::sync::Arc;

/// Protocol facts that this driver infers: none. The protocol and the handshake are published.
pub const ASSUMPTIONS: &[Assumption] = &[];

/// Transport of interfaces of the kernel.
const NETLINK_TRANSPORT: &str = "netlink";
/// Name of the interface of a kernel in memory, unless the path of the URI names another one.
const MEMORY_INTERFACE: &str = "wg0";

/// Facts about this driver that need no device.
pub static INFO: DriverInfo = DriverInfo {
    name: "wireguard",
    version: env!("CARGO_PKG_VERSION"),
    family: "WireGuard tunnels with preshared keys (userspace implementations, Linux kernel)",
    vendor: "WireGuard",
    kinds: &[DeviceKind::Encryptor],
    transports: &[
        Transport {
            name: "unix",
            example: "wireguard+unix:///var/run/wireguard/wg0.sock?roll=wait",
        },
        Transport {
            name: NETLINK_TRANSPORT,
            example: "wireguard+netlink:///wg0?netns=a&roll=wait",
        },
    ],
    maturity: Maturity::CrossChecked,
    evidence: &[
        Verification {
            of: VerificationScope::Protocol,
            what: "wireguard-go 0.0.20220316 of Debian 12 over TUN, Linux 6.18: 50 rolls by replacement and \
                2 that wait for a handshake under traffic in each run of the gate, a restart in the \
                middle of a roll, a wrong key",
        },
        Verification {
            of: VerificationScope::Protocol,
            what: "kernel of Debian 12, Linux 6.1.0-57-amd64, in QEMU: 3 rolls by replacement under \
                traffic and a wrong key in each run of the gate; requests and answers recorded from \
                `wg` of wireguard-tools 1.0.20210914",
        },
        Verification {
            of: VerificationScope::Emulator,
            what: "this repository's emulator, which was written apart from the driver, in memory \
                (configuration socket only)",
        },
    ],
    assumptions: ASSUMPTIONS,
    unknowns: &[
        "the id of a preshared key: the device stores none, and an interrupted roll is completed \
         with a fresh key",
        "packets: the protocol reports bytes only",
    ],
    parameters: &[
        UriParameter {
            name: "roll",
            help: "wait (default): a key is used at the next handshake; replace: activation \
                   removes and adds the peer, which ends its session at once and drops packets",
            required: false,
        },
        UriParameter {
            name: "peer",
            help: "in memory only: userspace (default, the configuration socket) or kernel \
                   (netlink)",
            required: false,
        },
    ],
    probes: &[],
    resynchronises: "After a failed exchange the socket is replaced, and what the device still \
        sends goes to the old one. Netlink also has sequence numbers: an answer to an earlier \
        request is ignored.",
};

/// The driver for WireGuard.
#[derive(Debug, Clone, Copy, Default)]
pub struct WireGuardDriver;

/// The driver, for a registry.
#[must_use]
pub fn driver() -> WireGuardDriver {
    WireGuardDriver
}

/// Returns the implementation that a URI leads to.
fn implementation(uri: &DeviceUri) -> Result<Implementation> {
    match (uri.transport(), uri.parameter("peer")) {
        (MEMORY_TRANSPORT, Some("kernel")) | (NETLINK_TRANSPORT, None) => {
            Ok(Implementation::Kernel)
        }
        (MEMORY_TRANSPORT, Some("userspace")) | (_, None) => Ok(Implementation::Userspace),
        (MEMORY_TRANSPORT, Some(_)) => Err(Error::invalid("peer= takes userspace or kernel")),
        (_, Some(_)) => Err(Error::invalid(
            "peer= is for URIs in memory: the transport selects the peer of a socket",
        )),
    }
}

/// Returns the name of the interface of the kernel.
fn interface_name(uri: &DeviceUri) -> Result<String> {
    let name = uri.path().trim_start_matches('/');
    let is_in_memory = uri.transport() == MEMORY_TRANSPORT;
    let name = match name {
        "" if is_in_memory => MEMORY_INTERFACE,
        name => name,
    };
    if is_interface_name(name) && (is_in_memory || uri.host().is_empty()) {
        return Ok(name.to_owned());
    }
    Err(Error::invalid(format!(
        "{uri} names no interface; write wireguard+netlink:///wg0"
    )))
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
        let interface = match implementation(uri)? {
            Implementation::Userspace => {
                let options = StreamOptions::new(Resync::Reconnect, events.clone())
                    .reply_limit(proto::REPLY_LIMIT);
                let link = context.byte_link(uri, 0, None, options).await?;
                Interface::of_socket(link, descriptor.deadline)
            }
            Implementation::Kernel => {
                let name = interface_name(uri)?;
                let peer = DatagramPeer::NetlinkGeneric;
                let link = context.datagram_link(uri, peer).await?;
                Interface::of_kernel(link, name, descriptor.deadline).await?
            }
        };
        let device = WireGuard::open(descriptor, interface, method, events).await?;
        Ok(OpenedDevice::from_encryptor(Arc::new(device)))
    }
}
