//! The UDP socket under `async-snmp`.
//!
//! The library's own transport is not connected, so that a closed port looks like a silent agent.
//! This one connects its socket: the kernel then drops datagrams of other senders, and reports
//! a port at which nothing listens. Where replies may come from another address (an agent with
//! several, RFC 3414 proves who sent them), the socket is left unconnected.

use async_snmp::{
    Candidate, DecodeError, DecodeErrorKind, Error, RequestRegistration, Result, Transport,
    transport::{ResponseIdentity, alloc_request_id},
};
use bytes::{Bytes, BytesMut};
use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};
use tokio::{io::Interest, net::UdpSocket, sync::mpsc, task::JoinHandle};

/// Maximum length of a datagram, in bytes.
const MAX_DATAGRAM: usize = 65_535;
/// Datagrams that wait for one exchange to look at them; more are dropped, as the network would.
const MAX_WAITING: usize = 8;

/// Receiver of a datagram or of an error of the socket.
struct Waiting {
    id: u64,
    registration: RequestRegistration,
    replies: mpsc::Sender<io::Result<(Bytes, SocketAddr)>>,
}

struct Shared {
    socket: UdpSocket,
    peer: SocketAddr,
    local: SocketAddr,
    waiting: Mutex<Vec<Waiting>>,
    next: AtomicU64,
}

impl Shared {
    fn waiting(&self) -> MutexGuard<'_, Vec<Waiting>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands a datagram to the exchange that it names, if any does.
    fn deliver(&self, datagram: &Bytes, source: SocketAddr) {
        for one in self.waiting().iter() {
            let identity = one
                .registration
                .evaluate_response_identity(datagram, source == self.peer);
            if identity != ResponseIdentity::Reject {
                let _ = one.replies.try_send(Ok((datagram.clone(), source)));
                return;
            }
        }
    }

    /// The socket's error is that of every exchange on it: a closed port answers none of them.
    fn fail(&self, error: &io::Error) {
        for one in self.waiting().iter() {
            let _ = one
                .replies
                .try_send(Err(io::Error::new(error.kind(), error.to_string())));
        }
    }
}

/// Whether a message that has the id of a request was made by the agent, whatever it holds.
pub(super) type IsAuthentic = Arc<dyn Fn(&[u8]) -> bool + Send + Sync>;

/// A UDP socket to one agent, with many exchanges at a time.
#[derive(Clone)]
pub(super) struct Datagrams {
    shared: Arc<Shared>,
    is_authentic: IsAuthentic,
    _receiver: Arc<Receiver>,
    ids: Option<Arc<Mutex<Vec<i32>>>>,
}

struct Receiver(JoinHandle<()>);

impl Drop for Receiver {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Datagrams {
    /// A socket to this agent. `any_source`: replies from other addresses are accepted too.
    pub(super) async fn open(
        peer: SocketAddr,
        any_source: bool,
        is_authentic: IsAuthentic,
    ) -> io::Result<Self> {
        let any = match peer.ip() {
            IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        };
        let socket = UdpSocket::bind((any, 0)).await?;
        if !any_source {
            socket.connect(peer).await?;
        }
        let local = socket.local_addr()?;
        let shared = Arc::new(Shared {
            socket,
            peer,
            local,
            waiting: Mutex::default(),
            next: AtomicU64::new(0),
        });
        let receiver = tokio::spawn(receive(Arc::clone(&shared)));
        Ok(Self {
            shared,
            is_authentic,
            _receiver: Arc::new(Receiver(receiver)),
            ids: None,
        })
    }

    /// The same socket, which also remembers the ids that it gave to requests.
    pub(super) fn with_remembered_ids(&self) -> (Self, Arc<Mutex<Vec<i32>>>) {
        let ids = Arc::new(Mutex::new(Vec::new()));
        let mut same = self.clone();
        same.ids = Some(Arc::clone(&ids));
        (same, ids)
    }

    fn error(&self, source: io::Error) -> Box<Error> {
        Box::new(Error::Network {
            target: self.shared.peer,
            source,
        })
    }
}

/// Reads the socket until the last handle is dropped.
async fn receive(shared: Arc<Shared>) {
    loop {
        let ready = match shared
            .socket
            .ready(Interest::READABLE | Interest::ERROR)
            .await
        {
            Ok(ready) => ready,
            Err(error) => {
                shared.fail(&error);
                return;
            }
        };
        if ready.is_error() {
            // A closed port makes the socket ready for its error alone. `WouldBlock` clears the
            // readiness once there is no more error.
            let taken = shared.socket.try_io(Interest::ERROR, || {
                Err::<(), _>(match shared.socket.take_error()? {
                    Some(error) => error,
                    None => io::ErrorKind::WouldBlock.into(),
                })
            });
            match taken {
                Err(error) if error.kind() != io::ErrorKind::WouldBlock => shared.fail(&error),
                _ => {}
            }
        }
        if !ready.is_readable() {
            continue;
        }
        // Allocated only while there is something to read: an idle link is to be small.
        let mut buffer = BytesMut::with_capacity(MAX_DATAGRAM);
        loop {
            buffer.clear();
            match shared.socket.try_recv_buf_from(&mut buffer) {
                Ok((_, source)) => shared.deliver(&Bytes::copy_from_slice(&buffer), source),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => shared.fail(&error),
            }
        }
    }
}

/// Takes its exchange off the list when the exchange ends, in whatever way.
struct Registered<'a>(&'a Shared, u64);

impl Drop for Registered<'_> {
    fn drop(&mut self) {
        self.0.waiting().retain(|one| one.id != self.1);
    }
}

impl Transport for Datagrams {
    async fn send(&self, data: &[u8]) -> Result<()> {
        let shared = &self.shared;
        let send = || async {
            match shared.socket.peer_addr() {
                Ok(_) => shared.socket.send(data).await,
                Err(_) => shared.socket.send_to(data, shared.peer).await,
            }
        };
        let sent = match send().await {
            // ICMP reply to an earlier datagram: the port was closed then, and may be open now.
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => send().await,
            sent => sent,
        };
        sent.map(drop).map_err(|e| self.error(e))
    }

    async fn request_with<T, F>(
        &self,
        data: &[u8],
        registration: RequestRegistration,
        mut validate: F,
    ) -> Result<T>
    where
        T: Send,
        F: FnMut(Bytes, SocketAddr) -> Result<Candidate<T>> + Send,
    {
        let shared = &self.shared;
        let deadline = registration.deadline();
        let (replies, mut received) = mpsc::channel(MAX_WAITING);
        let id = shared.next.fetch_add(1, Ordering::Relaxed);
        shared.waiting().push(Waiting {
            id,
            registration,
            replies,
        });
        let _registered = Registered(shared, id);
        self.send(data).await?;
        let started = tokio::time::Instant::now();
        loop {
            let Ok(reply) = tokio::time::timeout_at(deadline, received.recv()).await else {
                return Err(Box::new(Error::Timeout {
                    target: shared.peer,
                    elapsed: started.elapsed(),
                    retries: 0,
                }));
            };
            let closed = || io::Error::from(io::ErrorKind::BrokenPipe);
            let (datagram, source) = reply
                .unwrap_or_else(|| Err(closed()))
                .map_err(|e| self.error(e))?;
            if let Candidate::Accept(accepted) = validate(datagram.clone(), source)? {
                return Ok(accepted);
            }
            // The library passes over what it cannot decode. If the agent sent it, it is the
            // answer: no other will come.
            if (self.is_authentic)(&datagram) {
                return Err(Box::new(Error::Decode(
                    DecodeError::new(0, DecodeErrorKind::InvalidValue).with_peer(source),
                )));
            }
        }
    }

    fn peer_addr(&self) -> SocketAddr {
        self.shared.peer
    }

    fn local_addr(&self) -> SocketAddr {
        self.shared.local
    }

    fn alloc_request_id(&self) -> i32 {
        let id = alloc_request_id();
        if let Some(ids) = &self.ids {
            ids.lock().unwrap_or_else(PoisonError::into_inner).push(id);
        }
        id
    }

    fn is_reliable(&self) -> bool {
        false
    }
}
