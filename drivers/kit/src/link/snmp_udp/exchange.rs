//! One exchange with an agent: what every SNMP client library must do for this link.

use super::super::{
    LinkError,
    snmp::{Oid, SetRequest, VarBind},
};
use async_trait::async_trait;
use qkd_hal::{ErrorKind, TransportFault};

/// A request of one PDU.
#[derive(Debug, Clone, Copy)]
pub(super) enum Request<'a> {
    /// GetRequest (RFC 3416) of these names.
    Get(&'a [Oid]),
    /// GetNextRequest (RFC 3416) of this name.
    Next(&'a Oid),
    /// GetBulkRequest without non-repeaters: name and max-repetitions.
    Bulk(&'a Oid, u32),
    /// SetRequest (RFC 3416) with these varbinds.
    Set(&'a SetRequest),
}

/// The varbinds of a Response PDU with error-status 0.
#[derive(Debug)]
pub(super) struct Response {
    pub(super) binds: Vec<VarBind>,
    /// The request-id of the PDU that was answered; 0 where the library does not show it.
    pub(super) request_id: i32,
    /// At least one value was outside its type and was cut to fit. The library does not say which.
    pub(super) has_cut_values: bool,
}

/// Why an exchange gave no varbinds.
#[derive(Debug)]
pub(super) enum Failure {
    /// The agent answered with this error-status and error-index (RFC 3416).
    Refused(u32, usize),
    /// The request or its reply does not fit into one message.
    TooBig,
    /// A varbind of the reply cannot be decoded, and the library returns none after it.
    Undecodable(String),
    /// Another SNMP engine than the one that was discovered, or one that no longer knows itself.
    UnknownEngine,
    /// The agent restarted: the exchange may be repeated on its new clock.
    ClockMoved,
    /// The datagram belongs to another exchange or is not SNMP: a read may be repeated.
    Noise(LinkError),
    /// Any other error of the link.
    Link(LinkError),
}

impl Failure {
    /// The error for a caller.
    pub(super) fn into_error(self, address: &str) -> LinkError {
        let say = |kind, what: &str| LinkError::new(kind, format!("agent {address}: {what}"));
        match self {
            Self::Refused(status, index) => super::super::memory::refused(status, index, None),
            Self::TooBig => say(
                ErrorKind::InvalidInput,
                "the request, or its reply, does not fit into one message, however small",
            ),
            Self::Undecodable(why) => say(
                ErrorKind::Transport(TransportFault::Framing),
                &format!("the reply holds a varbind that cannot be decoded: {why}"),
            ),
            Self::UnknownEngine => say(
                ErrorKind::Authentication,
                "it reports that it is not the SNMP engine that was discovered \
                 (usmStatsUnknownEngineIDs); open the device again",
            ),
            Self::ClockMoved => say(
                ErrorKind::Authentication,
                "it refuses the estimate of its clock again and again \
                 (usmStatsNotInTimeWindows); check that its engineBoots and engineTime advance",
            ),
            Self::Noise(error) | Self::Link(error) => error,
        }
    }
}

/// A client library of the SNMP link. Each call sends a request at most once for each of the two
/// corrections that RFC 3414 allows: after discovery, and after a time-window Report.
#[async_trait]
pub(super) trait SnmpStack: Send + Sync {
    /// Discovers the agent's engine and clock again (SNMPv3), and returns the engine ID. Does
    /// nothing for SNMPv2c.
    async fn discover(&self) -> Result<Option<Vec<u8>>, Failure>;
    /// The id of the engine that answers now, without touching what is known; `None` for SNMPv2c.
    async fn present_engine(&self) -> Result<Option<Vec<u8>>, Failure>;
    /// Sends a request and waits for its response, as long as the caller does.
    async fn exchange(&self, request: Request<'_>) -> Result<Response, Failure>;
    /// Forgets everything that it keeps of the agent.
    fn forget(&self) {}
}
