//! USB links: control, bulk and interrupt transfers, over libusb or USB/IP.
//!
//! A link that has lost its device searches for it again at each call, without back-off. It reports
//! the loss only by the error of that call and publishes no events.

use super::{Disclosure, LinkError};
use async_trait::async_trait;
use std::time::Duration;
use zeroize::Zeroizing;

/// A SETUP packet (USB 2.0, 9.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SetupPacket {
    /// Field bmRequestType (USB 2.0, 9.3).
    pub request_type: u8,
    /// Field bRequest (USB 2.0, 9.3).
    pub request: u8,
    /// Field wValue (USB 2.0, 9.3).
    pub value: u16,
    /// Field wIndex (USB 2.0, 9.3).
    pub index: u16,
    /// Field wLength, in bytes (USB 2.0, 9.3).
    pub length: u16,
}

impl SetupPacket {
    /// The eight bytes on the wire.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; 8] {
        let (v, i, l) = (
            self.value.to_le_bytes(),
            self.index.to_le_bytes(),
            self.length.to_le_bytes(),
        );
        [
            self.request_type,
            self.request,
            v[0],
            v[1],
            i[0],
            i[1],
            l[0],
            l[1],
        ]
    }
    /// From the eight bytes on the wire.
    #[must_use]
    pub fn from_bytes(b: [u8; 8]) -> Self {
        Self {
            request_type: b[0],
            request: b[1],
            value: u16::from_le_bytes([b[2], b[3]]),
            index: u16::from_le_bytes([b[4], b[5]]),
            length: u16::from_le_bytes([b[6], b[7]]),
        }
    }
    /// Whether the data stage goes to the host.
    #[must_use]
    pub fn is_in(&self) -> bool {
        self.request_type & 0x80 != 0
    }
}

/// Identity from the descriptors of an opened device.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct UsbIdentity {
    /// USB vendor ID (`idVendor`).
    pub vendor: u16,
    /// USB product ID (`idProduct`).
    pub product: u16,
    /// Release number in BCD (`bcdDevice`).
    pub release: u16,
    /// Manufacturer string (`iManufacturer`), if readable.
    pub manufacturer: Option<String>,
    /// Product string (`iProduct`), if readable.
    pub product_name: Option<String>,
    /// Serial number string (`iSerial`), if readable.
    pub serial: Option<String>,
}

/// A read of `count` chunks of `chunk` bytes each from one IN endpoint.
#[derive(Debug, Clone, Copy)]
pub struct BulkRead {
    /// Endpoint address, with the direction bit (0x80).
    pub endpoint: u8,
    /// Bytes of each transfer.
    pub chunk: usize,
    /// Number of transfers.
    pub count: usize,
    /// Within which time the whole read ends.
    pub within: Duration,
    /// Parts of the data that may be recorded.
    pub disclosure: Disclosure,
}

/// Transfers to one USB device, whose interface is claimed while the link is open. An endpoint that
/// stalled is cleared by the link (USB 2.0, CLEAR_FEATURE ENDPOINT_HALT): the transfer that met the
/// stall fails, and the next one starts from the beginning.
#[async_trait]
pub trait UsbLink: Send + Sync {
    /// A control transfer with a data stage to the host, or none.
    ///
    /// # Errors
    /// `Timeout`, `Transport` (stall, unplugged), `Unreachable`, `Closed`.
    async fn control_in(
        &self,
        setup: SetupPacket,
        within: Duration,
        disclosure: Disclosure,
    ) -> Result<Vec<u8>, LinkError>;
    /// A control transfer with a data stage to the device, or none.
    ///
    /// # Errors
    /// As [`control_in`](Self::control_in).
    async fn control_out(
        &self,
        setup: SetupPacket,
        data: &[u8],
        within: Duration,
        disclosure: Disclosure,
    ) -> Result<(), LinkError>;
    /// Reads from a bulk endpoint, until all chunks came or one was short, whose bytes end the
    /// result.
    ///
    /// # Errors
    /// As [`control_in`](Self::control_in).
    async fn bulk_in(&self, read: BulkRead) -> Result<Zeroizing<Vec<u8>>, LinkError>;
    /// Writes to a bulk endpoint; returns the bytes accepted.
    ///
    /// # Errors
    /// As [`control_in`](Self::control_in).
    async fn bulk_out(
        &self,
        endpoint: u8,
        data: &[u8],
        within: Duration,
        disclosure: Disclosure,
    ) -> Result<usize, LinkError>;
    /// Reads from an interrupt endpoint, as [`bulk_in`](Self::bulk_in).
    ///
    /// # Errors
    /// As [`control_in`](Self::control_in).
    async fn interrupt_in(&self, read: BulkRead) -> Result<Zeroizing<Vec<u8>>, LinkError>;
    /// Returns the identity from the descriptors.
    fn identity(&self) -> UsbIdentity;
    /// The name of the far end.
    fn address(&self) -> String;
    /// Releases the interface. Later calls fail with `Closed`.
    async fn close(&self);
}

impl SetupPacket {
    /// The standard request that ends the halt of an endpoint.
    #[must_use]
    pub const fn clear_halt(endpoint: u8) -> Self {
        Self {
            request_type: 0x02,
            request: 1,
            value: 0,
            index: endpoint as u16,
            length: 0,
        }
    }
}

/// Result of a transfer at the device.
#[derive(Debug, PartialEq, Eq)]
pub enum Completion {
    /// Data to the host.
    Data(Vec<u8>),
    /// So many bytes were taken.
    Accepted(usize),
    /// NAK: nothing yet; ask again after [`UsbService::changed`].
    Pending,
    /// The device halts the endpoint (STALL).
    Stall,
    /// The device was pulled out.
    Gone,
}

/// Logic of a USB device, without sockets: used by the in-memory link, the USB/IP server and the
/// usbfs emulation. These answer standard requests (chapter 9) themselves.
pub trait UsbService: Send + Sync {
    /// A control transfer, standard requests included.
    fn control(&self, setup: SetupPacket, data: &[u8]) -> Completion;
    /// An IN transfer of at most `length` bytes from `endpoint` (with the direction bit).
    fn read(&self, endpoint: u8, length: usize) -> Completion;
    /// Handles an OUT transfer.
    fn write(&self, endpoint: u8, data: &[u8]) -> Completion;
    /// Device descriptor and configuration descriptor, as on the wire.
    fn descriptors(&self) -> (Vec<u8>, Vec<u8>);
    /// A counter that grows whenever a pending transfer may have become possible.
    fn generation(&self) -> u64;
    /// Blocks the thread until [`generation`](Self::generation) differs from `seen`, at most so
    /// long.
    fn changed(&self, seen: u64, at_most: Duration);
}
