//! Facts about a driver that need no device.

use qkd_hal::{Assumption, DeviceKind, Maturity};
use serde::Serialize;

/// A parameter that a driver's URI takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct UriParameter {
    /// Name of the parameter in the URI.
    pub name: &'static str,
    /// Description of the parameter, with its values and its default.
    pub help: &'static str,
    /// Whether the parameter is required: an unpublished encoding has no default.
    pub required: bool,
}

/// Subject of a verification by third-party software.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum VerificationScope {
    /// The vendor's protocol: a third-party implementation of it, or a recording of a real device.
    Protocol,
    /// The transport only (net-snmp, PyVISA, libusb).
    Transport,
    /// Only the emulator of this project.
    Emulator,
}

/// A piece of evidence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Verification {
    /// Subject of the verification.
    pub of: VerificationScope,
    /// By whom, and what was seen.
    pub what: &'static str,
}

/// A transport that a driver opens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Transport {
    /// Its name in the URI.
    pub name: &'static str,
    /// Example URI of such a device.
    pub example: &'static str,
}

/// Method by which a device of this driver is recognised.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "by")]
pub enum Probe {
    /// Passive: vendor and product ID of USB.
    Usb {
        /// USB vendor ID (`idVendor`).
        vendor: u16,
        /// USB product ID (`idProduct`).
        product: u16,
    },
    /// Passive: sysObjectID is below this (read with an SNMP GET of the system group).
    SysObjectId {
        /// The prefix, in dotted form.
        prefix: &'static str,
    },
    /// Passive: an agent whose sysObjectID is not below its vendor's number. It has this sysDescr
    /// and this sysObjectID, and an object of the vendor's own.
    SysDescr {
        /// Complete value of `sysDescr`.
        descr: &'static str,
        /// sysObjectID, whole, in dotted form.
        object_id: &'static str,
        /// An instance that the agent has if it is of this make, in dotted form.
        confirm: &'static str,
    },
    /// Active: these bytes go down the line. On some devices every byte is a command, so they go
    /// only where the user said so.
    Bytes {
        /// The transport (`serial` or `tcp`).
        transport: &'static str,
        /// The line speed, or the TCP port.
        at: u32,
        /// Bytes that are sent to the device.
        send: &'static [u8],
        /// Expected start of the reply, case-insensitive.
        expect: &'static str,
    },
}

/// Facts about a driver that need no device. The table of drivers is generated from them.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct DriverInfo {
    /// Its name: the first part of the URI, and the name of its folder.
    pub name: &'static str,
    /// Its version: a report on a device names it.
    pub version: &'static str,
    /// The family of devices.
    pub family: &'static str,
    /// Name of the vendor.
    pub vendor: &'static str,
    /// The kinds of handle that it opens.
    pub kinds: &'static [DeviceKind],
    /// The transports that it opens.
    pub transports: &'static [Transport],
    /// Strongest evidence for the driver so far.
    pub maturity: Maturity,
    /// Verifications by third-party software.
    pub evidence: &'static [Verification],
    /// Inferred protocol facts, each of which a user must accept.
    pub assumptions: &'static [Assumption],
    /// Unpublished protocol facts. Operations that need them return `Unsupported` or require a URI
    /// parameter.
    pub unknowns: &'static [&'static str],
    /// URI parameters of this driver, in addition to those of every driver ([`COMMON_PARAMETERS`]).
    pub parameters: &'static [UriParameter],
    /// Methods by which its devices are recognised.
    pub probes: &'static [Probe],
    /// Method of resynchronisation after a lost or damaged reply.
    pub resynchronises: &'static str,
}

/// Parameters that every driver's URI takes.
pub const COMMON_PARAMETERS: &[UriParameter] = &[
    UriParameter {
        name: "credentials",
        help: "name of an entry in the credentials file",
        required: false,
    },
    UriParameter {
        name: "assume",
        help: "id of an assumption that holds for this device; may be repeated",
        required: false,
    },
    UriParameter {
        name: "deadline",
        help: "within which each call ends, such as 5s or 500ms; default 5s",
        required: false,
    },
];

/// Parameters that every URI with the transport `snmp` takes.
pub const SNMP_PARAMETERS: &[UriParameter] = &[
    UriParameter {
        name: "bulk",
        help: "rows of the first GETBULK, 1 to 1000; default 32; 1 selects GETNEXT",
        required: false,
    },
    UriParameter {
        name: "varbinds",
        help: "varbinds of the first GET, 1 to 1000; default 64",
        required: false,
    },
    UriParameter {
        name: "source",
        help: "any: accept SNMPv2c replies from another address than was asked; they are not \
               authenticated",
        required: false,
    },
    UriParameter {
        name: "client",
        help: "SNMP client library: async-snmp (default) or snmp2",
        required: false,
    },
];

/// Parameters that every URI with the transport `netlink` or `unixgram` takes.
pub const DATAGRAM_PARAMETERS: &[UriParameter] = &[UriParameter {
    name: "netns",
    help: "name of a network namespace in /run/netns (ip-netns(8)); default: that of the process",
    required: false,
}];

/// Parameters that every driver's URI takes with this transport.
pub fn common_parameters(transport: &str) -> impl Iterator<Item = &'static UriParameter> {
    let of_transport: &[UriParameter] = match transport {
        "snmp" => SNMP_PARAMETERS,
        "netlink" | "unixgram" => DATAGRAM_PARAMETERS,
        _ => &[],
    };
    COMMON_PARAMETERS.iter().chain(of_transport)
}
