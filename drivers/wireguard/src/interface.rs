//! A WireGuard interface, reached over its configuration socket.

use crate::proto::{self, KEY_BYTES, Peer, ProtoError};
use qkd_driver_kit::link::{
    Disclosure,
    bytes::{ByteLink, Exchange},
    query::{QueryError, query},
};
use qkd_hal::{DeviceMisbehaved, Effect, Error, ErrorKind, Operation, Result};
use std::{sync::Arc, time::Duration};
use tokio::time::Instant;
use zeroize::Zeroizing;

/// An interface. Each request has its own deadline.
pub(crate) struct Interface {
    link: Arc<dyn ByteLink>,
    deadline: Duration,
}

fn refused(error: ProtoError) -> Error {
    match error {
        ProtoError::Errno(number) => Error::new(
            ErrorKind::Refused,
            "the interface refused the request; check that the peer is configured",
        )
        .with_vendor_code(number.to_string()),
        other => Error::misbehaved(DeviceMisbehaved::UnexpectedReply, other.to_string()),
    }
}

impl Interface {
    pub(crate) fn new(link: Arc<dyn ByteLink>, deadline: Duration) -> Self {
        Self { link, deadline }
    }

    pub(crate) fn link(&self) -> &dyn ByteLink {
        &*self.link
    }

    pub(crate) fn deadline(&self) -> Duration {
        self.deadline
    }

    /// Reads all peers with the request of this operation.
    pub(crate) async fn peers(&self, operation: Operation, until: Instant) -> Result<Vec<Peer>> {
        let exchange = Exchange::new(
            operation.name(),
            proto::GET,
            until.saturating_duration_since(Instant::now()),
        )
        .reply(proto::frame, Disclosure::Secret(proto::secrets))
        .read_only();
        match query(&*self.link, exchange, proto::decode_get).await {
            Ok(peers) => Ok(peers),
            Err(QueryError::Link(error)) => Err(error.into_read_error(operation.name())),
            Err(QueryError::Reply(error)) => Err(refused(error)),
        }
    }

    /// Reads one peer.
    ///
    /// # Errors
    /// `NotFound` if no peer has this public key.
    pub(crate) async fn peer(
        &self,
        operation: Operation,
        public_key: &[u8; KEY_BYTES],
        until: Instant,
    ) -> Result<Peer> {
        let peers = self.peers(operation, until).await?;
        peers
            .into_iter()
            .find(|peer| peer.public_key == *public_key)
            .ok_or_else(|| {
                Error::new(
                    ErrorKind::NotFound,
                    "the interface has no such peer; channels are public keys of peers, in base64",
                )
            })
    }

    /// Changes the interface. `refusal` is the effect of a request that was refused: lines before
    /// the one that was refused have been carried out.
    pub(crate) async fn set(
        &self,
        operation: Operation,
        mut request: Zeroizing<Vec<u8>>,
        refusal: Effect,
        until: Instant,
    ) -> Result<()> {
        let within = until.saturating_duration_since(Instant::now());
        // The exchange wipes its request when it is dropped.
        let exchange = Exchange::new(operation.name(), std::mem::take(&mut *request), within)
            .with_request_disclosure(Disclosure::Secret(proto::secrets))
            .reply(proto::frame, Disclosure::Secret(proto::secrets));
        match query(&*self.link, exchange, proto::decode_set).await {
            Ok(()) => Ok(()),
            Err(QueryError::Link(error)) => Err(error.into_change_error(operation.name())),
            Err(QueryError::Reply(error)) => {
                let effect = match error {
                    ProtoError::Errno(_) => refusal,
                    _ => Effect::Unknown,
                };
                Err(refused(error).with_effect(effect))
            }
        }
    }
}
