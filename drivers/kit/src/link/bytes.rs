//! Byte links: one request and its reply at a time, over a serial line, a TCP connection, a Unix
//! socket or memory.

use super::{Disclosure, LinkError};
use async_trait::async_trait;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use zeroize::Zeroizing;

/// A duplex stream of bytes.
pub trait ByteStream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> ByteStream for T {}

/// Makes the stream, at first and after each loss.
#[async_trait]
pub trait Connector: Send + Sync {
    /// A new stream to the same device, within the time given.
    async fn connect(&self, within: Duration) -> Result<Box<dyn ByteStream>, LinkError>;
    /// The name of the far end, for errors and transcripts.
    fn address(&self) -> String;
    /// Returns the name of the physical port that only one process may hold; `None` if there is
    /// none.
    fn exclusive(&self) -> Option<String> {
        None
    }
}

/// Result of a framer for the bytes received so far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame {
    /// More bytes are needed.
    Incomplete,
    /// The reply ends after this number of bytes.
    Complete(usize),
    /// This cannot become a reply; why.
    Garbled(String),
}

/// Finds the end of a reply. Sees all bytes since the request was written; must not panic whatever
/// they are.
pub type Framer = Box<dyn FnMut(&[u8]) -> Frame + Send>;

/// One request, and how its reply is recognised.
pub struct Exchange {
    /// The operation, for transcripts and traces.
    pub name: &'static str,
    /// Bytes to write.
    pub request: Zeroizing<Vec<u8>>,
    /// Detects the end of the reply; `None` if no reply is expected.
    pub framer: Option<Framer>,
    /// Within which time the exchange ends.
    pub within: Duration,
    /// Whether it may change the device.
    pub changes: bool,
    /// Secrets in the request.
    pub request_disclosure: Disclosure,
    /// Secrets in the reply.
    pub reply_disclosure: Disclosure,
}

impl Exchange {
    /// An exchange that may change the device, whose request is public and whose reply is
    /// undeclared.
    pub fn new(name: &'static str, request: impl Into<Vec<u8>>, within: Duration) -> Self {
        Self {
            name,
            request: Zeroizing::new(request.into()),
            framer: None,
            within,
            changes: true,
            request_disclosure: Disclosure::Public,
            reply_disclosure: Disclosure::Undeclared,
        }
    }

    /// Sets how the reply is recognised, and what of it may be recorded.
    #[must_use]
    pub fn reply(
        mut self,
        framer: impl FnMut(&[u8]) -> Frame + Send + 'static,
        disclosure: Disclosure,
    ) -> Self {
        self.framer = Some(Box::new(framer));
        self.reply_disclosure = disclosure;
        self
    }

    /// Declares that it changes nothing in the device.
    #[must_use]
    pub fn read_only(mut self) -> Self {
        self.changes = false;
        self
    }

    /// Declares the secrets of the request.
    #[must_use]
    pub fn with_request_disclosure(mut self, disclosure: Disclosure) -> Self {
        self.request_disclosure = disclosure;
        self
    }
}

/// One request and its reply at a time, owned by one task, shared by many callers.
#[async_trait]
pub trait ByteLink: Send + Sync {
    /// Writes the request and returns the bytes of the reply; empty if no reply is expected.
    ///
    /// 1. Waits until earlier exchanges are complete; this time counts towards the deadline.
    /// 2. Connects, or resynchronises if the last exchange left the link desynchronised.
    /// 3. Writes the request, then reads until the framer reports a complete reply.
    ///
    /// # Errors
    /// `Timeout`, `Transport` (framing, overrun, closed connection), `Unreachable`, `Busy`,
    /// `IdentityChanged`, `Closed`.
    async fn exchange(&self, exchange: Exchange) -> Result<Zeroizing<Vec<u8>>, LinkError>;
    /// The name of the far end.
    fn address(&self) -> String;
    /// Ends the link; later exchanges answer `Closed`.
    async fn close(&self);
}

/// A reply of exactly `length` bytes.
pub fn fixed_framer(length: usize) -> impl FnMut(&[u8]) -> Frame + Send {
    move |seen| {
        if seen.len() >= length {
            Frame::Complete(length)
        } else {
            Frame::Incomplete
        }
    }
}

/// A line that ends in CR, LF or CR LF, of at most `limit` bytes. Empty lines before it are skipped
/// by the caller's decoder.
pub fn line_framer(limit: usize) -> impl FnMut(&[u8]) -> Frame + Send {
    move |seen| {
        let start = seen
            .iter()
            .take_while(|b| matches!(b, b'\r' | b'\n'))
            .count();
        match seen[start..]
            .iter()
            .position(|b| matches!(b, b'\r' | b'\n'))
        {
            Some(end) => {
                let mut n = start + end + 1;
                if seen[n - 1] == b'\r' && seen.get(n) == Some(&b'\n') {
                    n += 1;
                }
                Frame::Complete(n)
            }
            None if seen.len() > limit => {
                Frame::Garbled(format!("no end of line within {limit} bytes"))
            }
            None => Frame::Incomplete,
        }
    }
}
