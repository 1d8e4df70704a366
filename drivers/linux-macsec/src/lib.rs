#![doc = include_str!("docs.md")]
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod device;
mod interface;
pub mod proto;
mod roll;
mod slots;

pub use device::LinuxMacsec;

use async_trait::async_trait;
use interface::Interface;
use qkd_driver_kit::{
    Driver, DriverInfo, OpenContext, OpenedDevice,
    context::MEMORY_TRANSPORT,
    driver_info::{Transport, Verification, VerificationScope},
    link::{datagram::DatagramPeer, netlink::is_interface_name},
};
use qkd_hal::{Assumption, DeviceKind, DeviceUri, Error, Maturity, Result, event::EventHub};
use std::sync::Arc;

/// Protocol facts that this driver infers: none. The interface of the kernel is published.
pub const ASSUMPTIONS: &[Assumption] = &[];

/// Name of the interface of an endpoint in memory, unless the path of the URI names another one.
const MEMORY_INTERFACE: &str = "macsec0";

/// Facts about this driver that need no device.
pub static INFO: DriverInfo = DriverInfo {
    name: "linux-macsec",
    version: env!("CARGO_PKG_VERSION"),
    family: "MACsec interfaces of the Linux kernel with static SAKs",
    vendor: "Linux",
    kinds: &[DeviceKind::Encryptor],
    transports: &[Transport {
        name: "netlink",
        example: "linux-macsec+netlink:///macsec0?netns=a",
    }],
    maturity: Maturity::Emulated,
    evidence: &[
        Verification {
            of: VerificationScope::Protocol,
            what: "requests and answers recorded from Linux 6.1.176 (Debian, User-Mode Linux)",
        },
        Verification {
            of: VerificationScope::Emulator,
            what: "this repository's emulator, which was written apart from the driver, in memory",
        },
    ],
    assumptions: ASSUMPTIONS,
    unknowns: &[
        "salt and SSCI of a QKD key: cipher suites with packet numbers of 64 bits are refused",
        "counters of interfaces whose MACsec is offloaded to hardware",
    ],
    parameters: &[],
    probes: &[],
    resynchronises: "Sequence numbers: an answer to an earlier request is ignored. After a failed \
        exchange the socket is replaced, and late answers go to the old one.",
};

/// The driver for MACsec of Linux.
#[derive(Debug, Clone, Copy, Default)]
pub struct LinuxMacsecDriver;

/// The driver, for a registry.
#[must_use]
pub fn driver() -> LinuxMacsecDriver {
    LinuxMacsecDriver
}

/// Returns the name of the interface.
fn interface_name(uri: &DeviceUri) -> Result<String> {
    let name = match (uri.transport(), uri.path().trim_start_matches('/')) {
        (MEMORY_TRANSPORT, "") => MEMORY_INTERFACE,
        (MEMORY_TRANSPORT, name) => name,
        (_, name) if uri.host().is_empty() => name,
        _ => "",
    };
    if !is_interface_name(name) {
        return Err(Error::invalid(format!(
            "{uri} names no interface; write linux-macsec+netlink:///macsec0"
        )));
    }
    Ok(name.to_owned())
}

#[async_trait]
impl Driver for LinuxMacsecDriver {
    fn info(&self) -> &'static DriverInfo {
        &INFO
    }

    async fn open(&self, uri: &DeviceUri, context: &OpenContext) -> Result<OpenedDevice> {
        let name = interface_name(uri)?;
        let descriptor = context.descriptor(&INFO, uri)?;
        let route = context
            .datagram_link(uri, DatagramPeer::NetlinkRoute)
            .await?;
        let generic = context
            .datagram_link(uri, DatagramPeer::NetlinkGeneric)
            .await?;
        let interface = Interface::open(route, generic, name, descriptor.deadline).await?;
        let device = LinuxMacsec::open(descriptor, interface, EventHub::default()).await?;
        Ok(OpenedDevice::from_encryptor(Arc::new(device)))
    }
}
