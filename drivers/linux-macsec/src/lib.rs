#![doc = include_str!("docs.md")]
#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod control;
mod device;
mod interface;
mod mka;
pub mod proto;
mod roll;
mod slots;
mod supplicant;
#[cfg(test)]
mod tests;

pub use device::LinuxMacsec;
pub use mka::LinuxMka;

use async_trait::async_trait;
use interface::Interface;
use qkd_driver_kit::{
    Driver, DriverInfo, OpenContext, OpenedDevice,
    context::MEMORY_TRANSPORT,
    driver_info::{Transport, UriParameter, Verification, VerificationScope},
    link::{datagram::DatagramPeer, netlink::is_interface_name},
};
use qkd_hal::{
    Assumption, DeviceKind, DeviceUri, Error, ErrorKind, Maturity, Result, encryptor::ChannelId,
    event::EventHub,
};
use std::sync::Arc;
use supplicant::Supplicant;

/// Protocol facts that this driver infers: none. The interface of the kernel is published.
pub const ASSUMPTIONS: &[Assumption] = &[];

/// Name of the interface of an endpoint in memory, unless the path of the URI names another one.
const MEMORY_INTERFACE: &str = "macsec0";
/// Name of the port of a daemon in memory, unless the path of the URI names another one.
const MEMORY_PORT: &str = "eth0";
/// Transport of the control socket of wpa_supplicant.
const UNIX_TRANSPORT: &str = "unixgram";

/// Facts about this driver that need no device.
pub static INFO: DriverInfo = DriverInfo {
    name: "linux-macsec",
    version: env!("CARGO_PKG_VERSION"),
    family: "MACsec of the Linux kernel: static SAKs, or MKA by wpa_supplicant",
    vendor: "Linux",
    kinds: &[DeviceKind::Encryptor],
    transports: &[
        Transport {
            name: "netlink",
            example: "linux-macsec+netlink:///macsec0?netns=a",
        },
        Transport {
            name: UNIX_TRANSPORT,
            example: "linux-macsec+unixgram:///run/wpa_supplicant/eth0",
        },
    ],
    maturity: Maturity::CrossChecked,
    evidence: &[
        Verification {
            of: VerificationScope::Protocol,
            what: "static SAKs: Linux 6.1.176 of Debian 12 in User-Mode Linux: 50 rolls under traffic \
                without a lost packet in each run of the gate, a process that is killed and an end \
                that restarts in the middle of a roll, a wrong key",
        },
        Verification {
            of: VerificationScope::Protocol,
            what: "MKA: wpa_supplicant 2.10 of Debian 12 on the same kernel: 3 rolls under traffic in \
                each run of the gate, a restart in the middle of a roll, a wrong key",
        },
        Verification {
            of: VerificationScope::Protocol,
            what: "requests and answers recorded from Linux 6.1.176 (Debian, User-Mode Linux) and \
                wpa_supplicant 2.10",
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
        "the key that is staged in wpa_supplicant: it is never read back, and an interrupted roll \
         is completed with a fresh key",
        "traffic counters of MKA: the control interface of wpa_supplicant has none",
    ],
    parameters: &[UriParameter {
        name: "peer",
        help: "in memory only: kernel (default, static SAKs over netlink) or wpa_supplicant (MKA)",
        required: false,
    }],
    probes: &[],
    resynchronises: "After a failed exchange the socket is replaced, and late answers go to the \
        old one. Netlink also has sequence numbers: an answer to an earlier request is ignored.",
};

/// The driver for MACsec of Linux.
#[derive(Debug, Clone, Copy, Default)]
pub struct LinuxMacsecDriver;

/// The driver, for a registry.
#[must_use]
pub fn driver() -> LinuxMacsecDriver {
    LinuxMacsecDriver
}

/// The party that sets the traffic keys of an interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// This driver sets SAKs in the kernel.
    StaticSak,
    /// wpa_supplicant agrees on SAKs, with CAKs of this driver.
    Mka,
}

impl Mode {
    /// A socket belongs to one mode; in memory the URI names it.
    fn of(uri: &DeviceUri) -> Result<Self> {
        match (uri.transport(), uri.parameter("peer")) {
            (MEMORY_TRANSPORT, Some("wpa_supplicant")) | (UNIX_TRANSPORT, None) => Ok(Self::Mka),
            (MEMORY_TRANSPORT, None | Some("kernel")) => Ok(Self::StaticSak),
            (MEMORY_TRANSPORT, Some(_)) => {
                Err(Error::invalid("peer= takes kernel or wpa_supplicant"))
            }
            (_, Some(_)) => Err(Error::invalid(
                "peer= is for URIs in memory: the transport selects the peer of a socket",
            )),
            (_, None) => Ok(Self::StaticSak),
        }
    }
}

/// Returns the name of the port: wpa_supplicant gives its control socket the name of the interface.
fn port_name(uri: &DeviceUri) -> Result<String> {
    let name = match (uri.transport(), uri.path().rsplit('/').next()) {
        (MEMORY_TRANSPORT, None | Some("")) => MEMORY_PORT,
        (_, Some(name)) => name,
        (_, None) => "",
    };
    check_name(
        uri,
        name,
        "linux-macsec+unixgram:///run/wpa_supplicant/eth0",
    )
}

/// Checks that a device with one channel is asked for this one.
fn check_channel(channel: &ChannelId, name: &str) -> Result<()> {
    if channel.0 == name {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::NotFound,
        format!(
            "there is no channel `{}`; there is: {name}",
            qkd_hal::text::printable(&channel.0, 60)
        ),
    ))
}

fn check_name(uri: &DeviceUri, name: &str, example: &str) -> Result<String> {
    if !is_interface_name(name) {
        return Err(Error::invalid(format!(
            "{uri} names no interface; write {example}"
        )));
    }
    Ok(name.to_owned())
}

/// Returns the name of the MACsec interface.
fn interface_name(uri: &DeviceUri) -> Result<String> {
    let name = match (uri.transport(), uri.path().trim_start_matches('/')) {
        (MEMORY_TRANSPORT, "") => MEMORY_INTERFACE,
        (MEMORY_TRANSPORT, name) => name,
        (_, name) if uri.host().is_empty() => name,
        _ => "",
    };
    check_name(uri, name, "linux-macsec+netlink:///macsec0")
}

#[async_trait]
impl Driver for LinuxMacsecDriver {
    fn info(&self) -> &'static DriverInfo {
        &INFO
    }

    async fn open(&self, uri: &DeviceUri, context: &OpenContext) -> Result<OpenedDevice> {
        let descriptor = context.descriptor(&INFO, uri)?;
        if Mode::of(uri)? == Mode::Mka {
            let port = port_name(uri)?;
            let link = context.datagram_link(uri, DatagramPeer::Unix).await?;
            let supplicant = Supplicant::open(link, descriptor.deadline).await?;
            let device = LinuxMka::new(descriptor, supplicant, port, EventHub::default());
            return Ok(OpenedDevice::from_encryptor(Arc::new(device)));
        }
        let name = interface_name(uri)?;
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
