//! A WireGuard interface, reached over its configuration socket or over netlink.

use crate::proto::{
    self, Change, KEY_BYTES, Peer, ProtoError,
    kernel::{self, SetDevice},
};
use qkd_driver_kit::link::{
    Disclosure,
    bytes::{ByteLink, Exchange},
    datagram::DatagramLink,
    netlink::{self, Access, NetlinkError, NetlinkSocket, parts},
    query::{QueryError, query},
};
use qkd_hal::{DeviceMisbehaved, Effect, Error, ErrorKind, Operation, Result};
use std::{sync::Arc, time::Duration};
use tokio::time::Instant;

/// Attempts at a dump during which the interface does not change.
const DUMPS: usize = 5;
/// Numbers of errors (`errno.h`) of the kernel, which come before anything is changed.
mod errno {
    pub(super) const EPERM: u32 = 1;
    pub(super) const ENOENT: u32 = 2;
    pub(super) const ENODEV: u32 = 19;
    pub(super) const EOPNOTSUPP: u32 = 95;
}

/// Transport to an interface.
enum Transport {
    /// The configuration socket of a process.
    Socket(Arc<dyn ByteLink>),
    /// Generic netlink of the kernel.
    Kernel {
        socket: NetlinkSocket,
        name: String,
        /// Number of the family, which the kernel has while the module is loaded.
        family: u16,
    },
}

/// The program that encrypts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Implementation {
    Userspace,
    Kernel,
}

/// An interface. Each request has its own deadline.
pub(crate) struct Interface {
    transport: Transport,
    deadline: Duration,
}

fn refused(error: ProtoError) -> Error {
    let (kind, what) = match &error {
        ProtoError::Errno(_) => (
            ErrorKind::Refused,
            "the interface refused the request; check that the peer is configured",
        ),
        ProtoError::Kernel(NetlinkError::Errno(errno::EPERM)) => (
            ErrorKind::Authentication,
            "the kernel does not permit it: the process needs CAP_NET_ADMIN in the network \
             namespace of the interface",
        ),
        ProtoError::Kernel(NetlinkError::Errno(errno::ENODEV)) => {
            (ErrorKind::NotFound, "there is no interface of this name")
        }
        ProtoError::Kernel(NetlinkError::Errno(errno::EOPNOTSUPP)) => (
            ErrorKind::InvalidInput,
            "the interface is not of type wireguard: make one with `ip link add <name> type \
             wireguard`",
        ),
        ProtoError::Kernel(NetlinkError::Errno(_)) => {
            (ErrorKind::Refused, "the kernel refused the request")
        }
        ProtoError::Kernel(NetlinkError::Interrupted) => (
            ErrorKind::Busy,
            "the interface changes each time it is read: repeat",
        ),
        other => {
            return Error::misbehaved(DeviceMisbehaved::UnexpectedReply, other.to_string());
        }
    };
    let refusal = Error::new(kind, what);
    match error {
        ProtoError::Errno(number) => refusal.with_vendor_code(number.to_string()),
        ProtoError::Kernel(NetlinkError::Errno(number)) => {
            refusal.with_vendor_code(number.to_string())
        }
        _ => refusal,
    }
}

/// The effect of a change with this error, if that of a refusal by the interface is `refusal`.
fn effect(error: &ProtoError, refusal: Effect) -> Effect {
    match error {
        ProtoError::Kernel(NetlinkError::Errno(
            errno::EPERM | errno::ENODEV | errno::EOPNOTSUPP,
        )) => Effect::None,
        ProtoError::Errno(_) | ProtoError::Kernel(NetlinkError::Errno(_)) => refusal,
        _ => Effect::Unknown,
    }
}

impl Interface {
    /// An interface with a configuration socket.
    pub(crate) fn of_socket(link: Arc<dyn ByteLink>, deadline: Duration) -> Self {
        Self {
            transport: Transport::Socket(link),
            deadline,
        }
    }

    /// An interface of the kernel.
    pub(crate) async fn of_kernel(
        link: Arc<dyn DatagramLink>,
        name: String,
        deadline: Duration,
    ) -> Result<Self> {
        let socket = NetlinkSocket::new(link);
        let answer = socket
            .exchange(
                Operation::Channels.name(),
                |sequence| netlink::encode_get_family(sequence, kernel::FAMILY_NAME),
                Disclosure::Public,
                Access::Read,
                Instant::now() + deadline,
            )
            .await?;
        let family = netlink::decode_family(parts(&answer)).map_err(|error| match error {
            NetlinkError::Errno(errno::ENOENT) => Error::unsupported(
                "open",
                "the kernel has no WireGuard: load its module (`modprobe wireguard`)",
            ),
            other => refused(other.into()),
        })?;
        Ok(Self {
            transport: Transport::Kernel {
                socket,
                name,
                family,
            },
            deadline,
        })
    }

    pub(crate) fn implementation(&self) -> Implementation {
        match self.transport {
            Transport::Socket(_) => Implementation::Userspace,
            Transport::Kernel { .. } => Implementation::Kernel,
        }
    }

    pub(crate) async fn close(&self) {
        match &self.transport {
            Transport::Socket(link) => link.close().await,
            Transport::Kernel { socket, .. } => socket.close().await,
        }
    }

    pub(crate) fn deadline(&self) -> Duration {
        self.deadline
    }

    /// Reads all peers with the request of this operation.
    pub(crate) async fn peers(&self, operation: Operation, until: Instant) -> Result<Vec<Peer>> {
        let operation = operation.name();
        match &self.transport {
            Transport::Socket(link) => {
                let within = until.saturating_duration_since(Instant::now());
                let exchange = Exchange::new(operation, proto::GET, within)
                    .reply(proto::frame, Disclosure::Secret(proto::secrets))
                    .read_only();
                match query(&**link, exchange, proto::decode_get).await {
                    Ok(peers) => Ok(peers),
                    Err(QueryError::Link(error)) => Err(error.into_read_error(operation)),
                    Err(QueryError::Reply(error)) => Err(refused(error)),
                }
            }
            Transport::Kernel {
                socket,
                name,
                family,
            } => {
                let mut attempts = DUMPS;
                loop {
                    attempts -= 1;
                    let answer = socket
                        .exchange(
                            operation,
                            |sequence| kernel::encode_get(*family, sequence, name),
                            Disclosure::Secret(kernel::secrets),
                            Access::Read,
                            until,
                        )
                        .await?;
                    match kernel::decode_get(parts(&answer)) {
                        Err(ProtoError::Kernel(NetlinkError::Interrupted)) if attempts > 0 => {}
                        result => return result.map_err(refused),
                    }
                }
            }
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

    /// Changes the interface. `refusal` is the effect of a request that was refused: parts before
    /// the one that was refused have been carried out.
    pub(crate) async fn set(
        &self,
        operation: Operation,
        change: &Change<'_>,
        refusal: Effect,
        until: Instant,
    ) -> Result<()> {
        let operation = operation.name();
        let result = match &self.transport {
            Transport::Socket(link) => {
                let within = until.saturating_duration_since(Instant::now());
                // The exchange wipes its request when it is dropped.
                let request = std::mem::take(&mut *proto::encode_set(change));
                let exchange = Exchange::new(operation, request, within)
                    .with_request_disclosure(Disclosure::Secret(proto::secrets))
                    .reply(proto::frame, Disclosure::Secret(proto::secrets));
                match query(&**link, exchange, proto::decode_set).await {
                    Ok(()) => Ok(()),
                    Err(QueryError::Link(error)) => return Err(error.into_change_error(operation)),
                    Err(QueryError::Reply(error)) => Err(error),
                }
            }
            Transport::Kernel {
                socket,
                name,
                family,
            } => {
                let request = SetDevice::new(change).map_err(refused)?;
                let answer = socket
                    .exchange(
                        operation,
                        |sequence| request.encode(*family, sequence, name),
                        Disclosure::Secret(kernel::secrets),
                        Access::Change,
                        until,
                    )
                    .await?;
                kernel::decode_set(parts(&answer))
            }
        };
        result.map_err(|error| {
            let effect = effect(&error, refusal);
            refused(error).with_effect(effect)
        })
    }
}
