//! Links between a driver and a device, for bytes, varbinds, transfers, requests and datagrams.
//!
//! Each level is a trait with an in-memory implementation:
//!
//! | trait | unit | real transports | in-memory peer |
//! |---|---|---|---|
//! | [`bytes::ByteLink`] | one request, one reply | serial, TCP, Unix socket | any `AsyncRead + AsyncWrite` |
//! | [`snmp::SnmpLink`] | varbinds | UDP (SNMPv2c, SNMPv3) | an [`snmp::SnmpService`] |
//! | [`usb::UsbLink`] | transfers | libusb, USB/IP | a [`usb::UsbService`] |
//! | [`http::HttpLink`] | requests | HTTP, HTTPS | an [`http::HttpService`] |
//! | [`datagram::DatagramLink`] | datagrams | netlink, Unix socket | a [`datagram::DatagramService`] |
//!
//! # For driver authors
//!
//! - Every call has a time limit. No call waits without one.
//! - A [`LinkError`] records whether the request may have reached the device.
//!   [`LinkError::into_read_error`] and [`LinkError::into_change_error`] convert it to the
//!   contract's error with the right effect.
//! - Cancelling a call does not desynchronise the link: its exchange continues to its end.
//!
//! # For emulator authors
//!
//! Implement the `*Service` trait of the level, without sockets. The servers in front of it are
//! thin.

pub mod bytes;
pub mod datagram;
#[cfg(all(feature = "netlink", target_os = "linux"))]
pub mod datagram_socket;
#[cfg(feature = "date-and-time")]
pub mod date_and_time;
mod error;
pub mod http;
#[cfg(feature = "http")]
pub mod https;
pub mod make;
pub mod memory;
pub mod netlink;
pub mod query;
mod receive_buffer;
pub mod scripted;
pub mod scripted_agent;
#[cfg(feature = "serial")]
pub mod serial;
pub mod snmp;
pub mod snmp_client;
#[cfg(feature = "snmp")]
pub mod snmp_udp;
pub mod snmp_vectors;
pub mod stream;
#[cfg(feature = "tcp")]
pub mod tcp;
pub mod text;
mod ticket;
pub mod usb;
#[cfg(feature = "usb-system")]
pub mod usb_host;
#[cfg(feature = "tcp")]
pub mod usbip;

pub use error::LinkError;

use std::ops::Range;

/// Positions of secrets in a message, so that a transcript omits them.
#[derive(Clone, Copy, Default)]
#[non_exhaustive]
pub enum Disclosure {
    /// Nothing was declared: a transcript records the length only.
    #[default]
    Undeclared,
    /// The whole message may be recorded.
    Public,
    /// The function names the secret spans; the rest may be recorded.
    Secret(fn(&[u8]) -> Vec<Range<usize>>),
}

impl std::fmt::Debug for Disclosure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Undeclared => "Undeclared",
            Self::Public => "Public",
            Self::Secret(_) => "Secret",
        })
    }
}

/// The whole message is secret.
#[must_use]
pub fn all_secret(message: &[u8]) -> Vec<Range<usize>> {
    std::iter::once(0..message.len()).collect()
}
