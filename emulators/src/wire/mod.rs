//! Code shared by the protocols of several vendors, without sockets: sessions of bytes, SNMP
//! agents, USB devices. The protocols themselves are in [`vendor`](crate::vendor).

pub(crate) mod lines;
pub(crate) mod position;
pub mod snmp;
pub mod usb;

use crate::fault::TextFormat;
use std::time::Duration;
use zeroize::Zeroizing;

/// Appends to a buffer that may hold keys; what it leaves when it grows is wiped.
pub(crate) fn extend_wiped(buffer: &mut Zeroizing<Vec<u8>>, bytes: &[u8]) {
    let length = buffer.len() + bytes.len();
    if buffer.capacity() < length {
        let mut larger = Zeroizing::new(Vec::with_capacity(length.next_power_of_two()));
        larger.extend_from_slice(buffer);
        *buffer = larger;
    }
    buffer.extend_from_slice(bytes);
}

/// A reply to one request.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Reply {
    /// Bytes to send; empty for a command without a reply.
    pub bytes: Vec<u8>,
    /// Processing time of the device, in the time of its model.
    pub after: Duration,
    /// Whether the device hangs up then.
    pub close: bool,
}

impl Reply {
    /// These bytes, at once.
    #[must_use]
    pub fn bytes(bytes: impl Into<Vec<u8>>) -> Self {
        Self {
            bytes: bytes.into(),
            ..Self::default()
        }
    }
    /// No bytes: the request was taken.
    #[must_use]
    pub fn silent() -> Self {
        Self::default()
    }
    /// Creates a reply that closes the connection.
    #[must_use]
    pub fn hang_up() -> Self {
        Self {
            close: true,
            ..Self::default()
        }
    }
    /// Sets the processing time.
    #[must_use]
    pub fn after(mut self, time: Duration) -> Self {
        self.after = time;
        self
    }
}

/// One connection to a device with a byte protocol: received bytes, and replies to them.
pub trait Session: Send {
    /// Takes bytes, in pieces of any size; gives one reply for each request that is complete.
    fn feed(&mut self, bytes: &[u8]) -> Vec<Reply>;
    /// Where its replies have text, for the fault `hostile-text`.
    fn text_format(&self) -> TextFormat {
        TextFormat::Lines
    }
    /// Called repeatedly while no process has the serial port open.
    fn closed(&mut self) {}
    /// Returns whether unsolicited output is due; if so, [`poll`](Self::poll) is called repeatedly.
    fn is_waiting(&self) -> bool {
        false
    }
    /// Replies that have become possible.
    fn poll(&mut self) -> Vec<Reply> {
        Vec::new()
    }
}

/// A device with a byte protocol.
pub trait ByteService: Send + Sync {
    /// Creates the session of a new connection.
    fn connect(&self) -> Box<dyn Session>;
}

impl<F: Fn() -> Box<dyn Session> + Send + Sync> ByteService for F {
    fn connect(&self) -> Box<dyn Session> {
        self()
    }
}
