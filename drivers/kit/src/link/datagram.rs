//! Datagram links: netlink sockets of the Linux kernel, and Unix sockets of datagrams.

use super::{Disclosure, LinkError};
use async_trait::async_trait;
use qkd_hal::{ErrorKind, TransportFault};
use std::time::Duration;
use zeroize::Zeroizing;

/// Maximum number of bytes of one datagram. The kernel fills at most 32 KiB of a netlink dump at a
/// time.
pub const MAX_DATAGRAM: usize = 32 * 1024;
/// Default of the maximum number of datagrams of one exchange.
const MAX_DATAGRAMS: usize = 64;

/// The peer of a datagram socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DatagramPeer {
    /// The kernel, over a socket of `NETLINK_ROUTE`.
    NetlinkRoute,
    /// The kernel, over a socket of `NETLINK_GENERIC`.
    NetlinkGeneric,
    /// A process, over a Unix socket of datagrams (`SOCK_DGRAM`).
    Unix,
}

/// Result of the caller's decoder for one received datagram.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Received {
    /// It belongs to the answer, and more datagrams follow.
    Part,
    /// It ends the answer.
    Last,
    /// It does not belong to this exchange, for example because it answers an earlier one.
    Foreign,
    /// It cannot belong to an answer; why.
    Invalid(String),
}

/// Finds the end of an answer. Sees each datagram in its order; must not panic whatever it is.
pub type AnswerDecoder = Box<dyn FnMut(&[u8]) -> Received + Send>;

/// One datagram, and how its answer is recognised.
pub struct DatagramExchange {
    /// The operation, for transcripts and traces.
    pub name: &'static str,
    /// Datagram to send.
    pub request: Zeroizing<Vec<u8>>,
    /// Detects the end of the answer.
    pub decoder: AnswerDecoder,
    /// Maximum number of datagrams that are received, foreign ones included; 64 by default.
    pub max_datagrams: usize,
    /// Within which time the exchange ends.
    pub within: Duration,
    /// Whether it may change the device.
    pub changes: bool,
    /// Secrets in the request.
    pub request_disclosure: Disclosure,
    /// Secrets in each datagram of the answer.
    pub reply_disclosure: Disclosure,
}

impl DatagramExchange {
    /// An exchange that may change the device, whose request is public and whose answer is
    /// undeclared.
    pub fn new(
        name: &'static str,
        request: Zeroizing<Vec<u8>>,
        within: Duration,
        decoder: impl FnMut(&[u8]) -> Received + Send + 'static,
    ) -> Self {
        Self {
            name,
            request,
            decoder: Box::new(decoder),
            max_datagrams: MAX_DATAGRAMS,
            within,
            changes: true,
            request_disclosure: Disclosure::Public,
            reply_disclosure: Disclosure::Undeclared,
        }
    }

    /// Declares that it changes nothing in the device.
    #[must_use]
    pub fn read_only(mut self) -> Self {
        self.changes = false;
        self
    }

    /// Declares the secrets of request and answer.
    #[must_use]
    pub fn with_disclosures(mut self, request: Disclosure, reply: Disclosure) -> Self {
        (self.request_disclosure, self.reply_disclosure) = (request, reply);
        self
    }
}

/// Datagrams of an answer, in their order; zeroized on drop.
pub type Datagrams = Vec<Zeroizing<Vec<u8>>>;

/// One datagram and its answer at a time, owned by one task, shared by many callers.
#[async_trait]
pub trait DatagramLink: Send + Sync {
    /// Sends the datagram, and returns the datagrams of its answer.
    ///
    /// 1. Waits until earlier exchanges are complete; this time counts towards the deadline.
    /// 2. Opens a new socket if the last exchange failed: what still answers it goes to the old
    ///    one.
    /// 3. Sends the datagram, then receives until the decoder reports the end of the answer.
    ///
    /// # Errors
    /// `Timeout`, `Transport` (a datagram that is invalid or too long, too many of them, an error
    /// of the system), `Unreachable`, `Authentication` (this process may not), `Closed`.
    async fn exchange(&self, exchange: DatagramExchange) -> Result<Datagrams, LinkError>;
    /// The name of the far end.
    fn address(&self) -> String;
    /// Ends the link; later exchanges answer `Closed`.
    async fn close(&self);
}

/// Logic of a peer of datagram sockets, without sockets: used by the in-memory link.
pub trait DatagramService: Send + Sync {
    /// Handles a datagram that came over the socket of this peer; returns the datagrams of the
    /// answer.
    fn answer(&self, peer: DatagramPeer, datagram: &[u8]) -> Datagrams;
}

/// The datagrams of an answer so far.
pub(super) struct Answer {
    decoder: AnswerDecoder,
    left: usize,
    datagrams: Datagrams,
}

impl Answer {
    pub(super) fn new(decoder: AnswerDecoder, max_datagrams: usize) -> Self {
        Self {
            decoder,
            left: max_datagrams,
            datagrams: Vec::new(),
        }
    }

    /// Takes one datagram; returns whether the answer is complete.
    pub(super) fn take(&mut self, datagram: Zeroizing<Vec<u8>>) -> Result<bool, LinkError> {
        let fault =
            |fault, why: String| Err(LinkError::new(ErrorKind::Transport(fault), why).mark_sent());
        if datagram.len() > MAX_DATAGRAM {
            let why = format!("a datagram has more than {MAX_DATAGRAM} bytes");
            return fault(TransportFault::Overrun, why);
        }
        self.left = match self.left.checked_sub(1) {
            Some(left) => left,
            None => {
                return fault(
                    TransportFault::Overrun,
                    "the answer has too many datagrams".to_owned(),
                );
            }
        };
        let is_last = match (self.decoder)(&datagram) {
            Received::Part => false,
            Received::Last => true,
            Received::Foreign => return Ok(false),
            Received::Invalid(why) => return fault(TransportFault::Framing, why),
        };
        self.datagrams.push(datagram);
        Ok(is_last)
    }

    pub(super) fn into_datagrams(self) -> Datagrams {
        self.datagrams
    }
}

/// The error of an answer that did not end in time.
pub(super) fn late() -> LinkError {
    LinkError::new(ErrorKind::Timeout, "no complete answer within the deadline").mark_sent()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn datagram(bytes: &[u8]) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(bytes.to_vec())
    }

    #[test]
    fn an_answer_has_bounds_and_no_foreign_datagrams() {
        let decoder = || {
            Box::new(|seen: &[u8]| match seen {
                b"part" => Received::Part,
                b"last" => Received::Last,
                b"bad" => Received::Invalid("bad".to_owned()),
                _ => Received::Foreign,
            })
        };
        let mut answer = Answer::new(decoder(), 4);
        assert!(!answer.take(datagram(b"late")).unwrap());
        assert!(!answer.take(datagram(b"part")).unwrap());
        assert!(answer.take(datagram(b"last")).unwrap());
        let kept = answer.into_datagrams();
        assert_eq!(kept.len(), 2);
        assert_eq!((&**kept[0], &**kept[1]), (&b"part"[..], &b"last"[..]));
        let mut answer = Answer::new(decoder(), 2);
        answer.take(datagram(b"late")).unwrap();
        answer.take(datagram(b"part")).unwrap();
        let kind = |e: LinkError| e.kind;
        let overrun = ErrorKind::Transport(TransportFault::Overrun);
        assert_eq!(kind(answer.take(datagram(b"last")).unwrap_err()), overrun);
        let mut answer = Answer::new(decoder(), 4);
        assert_eq!(
            kind(answer.take(datagram(&[0; MAX_DATAGRAM + 1])).unwrap_err()),
            overrun
        );
        let framing = ErrorKind::Transport(TransportFault::Framing);
        assert_eq!(kind(answer.take(datagram(b"bad")).unwrap_err()), framing);
    }
}
