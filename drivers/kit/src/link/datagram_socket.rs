//! Datagram sockets of Linux: netlink and Unix, in any network namespace.
//!
//! A socket belongs to the network namespace of the thread that made it. A thread of its own moves
//! into the namespace, makes the socket and ends, so that no other thread leaves its namespace.

use super::{
    LinkError,
    datagram::{
        Answer, DatagramExchange, DatagramLink, DatagramPeer, Datagrams, MAX_DATAGRAM, late,
    },
    ticket::{Ticket, submit},
};
use async_trait::async_trait;
use qkd_hal::{ErrorKind, TransportFault};
use rustix::{
    io::Errno,
    net::{
        AddressFamily, RecvFlags, SendFlags, SocketAddrUnix, SocketFlags, SocketType, bind,
        connect, netlink, recvfrom, send, socket_with,
    },
    thread::{LinkNameSpaceType, move_into_link_name_space},
};
use std::{
    fs::File,
    io,
    os::fd::{AsFd, OwnedFd},
    path::{Path, PathBuf},
    sync::Arc,
    thread,
};
use tokio::{
    io::Interest,
    net::UnixDatagram,
    sync::{mpsc, oneshot, watch},
    time::{Instant, timeout_at},
};
use zeroize::Zeroizing;

/// Folder of the named network namespaces (ip-netns(8)).
const NAMESPACES: &str = "/run/netns";
/// Calls that wait for the socket.
const QUEUE: usize = 64;

/// Address of a datagram socket.
#[derive(Debug, Clone)]
pub struct DatagramAddress {
    peer: DatagramPeer,
    path: PathBuf,
    namespace: Option<String>,
}

impl DatagramAddress {
    /// The kernel, in this network namespace; `None` is that of the process.
    ///
    /// # Errors
    /// `InvalidInput` if the namespace is not the name of a file, or the peer is not the kernel.
    pub fn netlink(peer: DatagramPeer, namespace: Option<&str>) -> Result<Self, LinkError> {
        if peer == DatagramPeer::Unix {
            let why = "a netlink socket has the kernel as its peer";
            return Err(LinkError::new(ErrorKind::InvalidInput, why));
        }
        Self::new(peer, PathBuf::new(), namespace)
    }

    /// The process whose Unix socket is at this path. Our end has an abstract address that the
    /// system selects, and abstract addresses are valid in one network namespace only.
    ///
    /// # Errors
    /// `InvalidInput` if the namespace is not the name of a file.
    pub fn unix(path: impl Into<PathBuf>, namespace: Option<&str>) -> Result<Self, LinkError> {
        Self::new(DatagramPeer::Unix, path.into(), namespace)
    }

    fn new(peer: DatagramPeer, path: PathBuf, namespace: Option<&str>) -> Result<Self, LinkError> {
        let is_name =
            |name: &str| !name.is_empty() && name != "." && name != ".." && !name.contains('/');
        if let Some(name) = namespace.filter(|name| !is_name(name)) {
            return Err(LinkError::new(
                ErrorKind::InvalidInput,
                format!("netns={name}: expected the name of a network namespace in {NAMESPACES}"),
            ));
        }
        Ok(Self {
            peer,
            path,
            namespace: namespace.map(ToOwned::to_owned),
        })
    }

    /// Makes a socket, in the namespace.
    fn open(&self) -> Result<OwnedFd, LinkError> {
        let Some(name) = &self.namespace else {
            return self.socket().map_err(|e| self.fail(e));
        };
        let path = Path::new(NAMESPACES).join(name);
        let file = File::open(&path).map_err(|e| {
            let why = format!("no network namespace {}: {e}", path.display());
            LinkError::new(ErrorKind::Unreachable, why)
        })?;
        let made = thread::scope(|scope| {
            let made = scope.spawn(|| {
                move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network))?;
                self.socket()
            });
            made.join()
        });
        match made {
            Ok(made) => made.map_err(|e| self.fail(e)),
            Err(_) => Err(LinkError::new(ErrorKind::Internal, "the thread has ended")),
        }
    }

    fn socket(&self) -> Result<OwnedFd, Errno> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let (family, kind, protocol) = match self.peer {
            DatagramPeer::NetlinkRoute => (AddressFamily::NETLINK, SocketType::RAW, None),
            DatagramPeer::NetlinkGeneric => {
                let generic = Some(netlink::GENERIC);
                (AddressFamily::NETLINK, SocketType::RAW, generic)
            }
            DatagramPeer::Unix => (AddressFamily::UNIX, SocketType::DGRAM, None),
        };
        let socket = socket_with(family, kind, flags, protocol)?;
        if self.peer == DatagramPeer::Unix {
            bind(&socket, &SocketAddrUnix::new_unnamed())?;
            // From now on the socket receives from this peer only.
            connect(&socket, &SocketAddrUnix::new(&*self.path)?)?;
        } else {
            bind(&socket, &netlink::SocketAddrNetlink::new(0, 0))?;
            connect(&socket, &netlink::SocketAddrNetlink::new(0, 0))?;
        }
        Ok(socket)
    }

    fn fail(&self, error: Errno) -> LinkError {
        let kind = match error {
            Errno::PERM | Errno::ACCESS => ErrorKind::Authentication,
            Errno::NOENT | Errno::CONNREFUSED | Errno::CONNRESET | Errno::NOTCONN => {
                ErrorKind::Unreachable
            }
            // The kernel dropped answers because the buffer of the socket was full.
            Errno::NOBUFS => ErrorKind::Transport(TransportFault::Overrun),
            _ => ErrorKind::Transport(TransportFault::System),
        };
        LinkError::new(kind, format!("{}: {error}", self.name()))
    }

    fn name(&self) -> String {
        let of = match self.peer {
            DatagramPeer::NetlinkRoute => "netlink route".to_owned(),
            DatagramPeer::NetlinkGeneric => "netlink generic".to_owned(),
            DatagramPeer::Unix => self.path.display().to_string(),
        };
        match &self.namespace {
            Some(name) => format!("{of} in {name}"),
            None => of,
        }
    }
}

struct Job {
    exchange: DatagramExchange,
    deadline: Instant,
    ticket: Ticket,
    answer: oneshot::Sender<Result<Datagrams, LinkError>>,
}

/// A link over a datagram socket.
pub struct SocketDatagramLink {
    address: String,
    jobs: mpsc::Sender<Job>,
    closed: watch::Sender<bool>,
}

impl SocketDatagramLink {
    /// Opens a socket, and spawns the task that owns it.
    ///
    /// # Errors
    /// `Unreachable`, `Authentication`, `Transport(System)`.
    pub fn open(address: DatagramAddress) -> Result<Arc<Self>, LinkError> {
        let name = address.name();
        let socket = Some(register(address.open()?)?);
        let (jobs, queue) = mpsc::channel(QUEUE);
        let (closed, is_closed) = watch::channel(false);
        tokio::spawn(Owner { address, socket }.run(queue, is_closed));
        Ok(Arc::new(Self {
            address: name,
            jobs,
            closed,
        }))
    }
}

#[async_trait]
impl DatagramLink for SocketDatagramLink {
    async fn exchange(&self, exchange: DatagramExchange) -> Result<Datagrams, LinkError> {
        if *self.closed.borrow() {
            return Err(LinkError::closed());
        }
        let deadline = Instant::now() + exchange.within;
        submit(&self.jobs, deadline, |ticket, answer| Job {
            exchange,
            deadline,
            ticket,
            answer,
        })
        .await
    }
    fn address(&self) -> String {
        self.address.clone()
    }
    async fn close(&self) {
        self.closed.send_replace(true);
    }
}

/// A socket of the runtime, also for netlink: the runtime has no type for it, and registers this
/// one whatever its family is.
fn register(socket: OwnedFd) -> Result<UnixDatagram, LinkError> {
    UnixDatagram::from_std(socket.into())
        .map_err(|e| LinkError::new(ErrorKind::Transport(TransportFault::System), e.to_string()))
}

/// Takes the next datagram, into memory of its size. Of one that is too long, the start.
fn receive(socket: &UnixDatagram) -> io::Result<Zeroizing<Vec<u8>>> {
    let peek = RecvFlags::PEEK | RecvFlags::TRUNC;
    let nothing: &mut [u8] = &mut [];
    let (_, length, _) = recvfrom(socket, nothing, peek)?;
    let mut datagram = Zeroizing::new(vec![0; length.min(MAX_DATAGRAM + 1)]);
    let (_, length, _) = recvfrom(socket, datagram.as_mut_slice(), RecvFlags::empty())?;
    datagram.truncate(length);
    Ok(datagram)
}

struct Owner {
    address: DatagramAddress,
    socket: Option<UnixDatagram>,
}

impl Owner {
    async fn run(mut self, mut queue: mpsc::Receiver<Job>, mut closed: watch::Receiver<bool>) {
        loop {
            let job = tokio::select! {
                biased;
                _ = closed.wait_for(|is_closed| *is_closed) => return,
                job = queue.recv() => job,
            };
            let Some(job) = job else { return };
            if !job.ticket.claim() {
                continue;
            }
            let outcome = tokio::select! {
                biased;
                _ = closed.wait_for(|is_closed| *is_closed) => Err(LinkError::closed().mark_sent()),
                outcome = self.exchange(job.exchange, job.deadline) => outcome,
            };
            if outcome.is_err() {
                // Answers that are late go to the socket that is closed here.
                self.socket = None;
            }
            let _ = job.answer.send(outcome);
        }
    }

    async fn exchange(
        &mut self,
        exchange: DatagramExchange,
        deadline: Instant,
    ) -> Result<Datagrams, LinkError> {
        let socket: &UnixDatagram = match &mut self.socket {
            Some(socket) => socket,
            none => none.insert(register(self.address.open()?)?),
        };
        let address = &self.address;
        let request = exchange.request;
        let sent = socket.async_io(Interest::WRITABLE, || {
            send(&*socket, &request, SendFlags::NOSIGNAL).map_err(Into::into)
        });
        timeout_at(deadline, sent)
            .await
            .map_err(|_| LinkError::new(ErrorKind::Timeout, "the peer takes no datagrams"))?
            .map_err(|e| address.fail(Errno::from_io_error(&e).unwrap_or(Errno::IO)))?;
        drop(request);
        let mut answer = Answer::new(exchange.decoder, exchange.max_datagrams);
        loop {
            let received = socket.async_io(Interest::READABLE, || receive(socket));
            let datagram = timeout_at(deadline, received)
                .await
                .map_err(|_| late())?
                .map_err(|e| {
                    address
                        .fail(Errno::from_io_error(&e).unwrap_or(Errno::IO))
                        .mark_sent()
                })?;
            if answer.take(datagram)? {
                return Ok(answer.into_datagrams());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::link::datagram::Received;
    use std::time::Duration;

    const WITHIN: Duration = Duration::from_secs(5);

    /// A dump of the links (`RTM_GETLINK`) with this sequence number.
    fn dump(number: u8) -> Zeroizing<Vec<u8>> {
        let mut request = vec![0; 32];
        request[0] = 32;
        request[4] = 18;
        // NLM_F_REQUEST | NLM_F_DUMP
        request[6..8].copy_from_slice(&0x301_u16.to_le_bytes());
        request[8] = number;
        Zeroizing::new(request)
    }

    /// Sees the first message of each datagram: `NLMSG_DONE` ends a dump.
    fn until_done(number: u8) -> impl FnMut(&[u8]) -> Received + Send {
        move |seen| match (seen.get(4), seen.get(8)) {
            (_, Some(n)) if *n != number => Received::Foreign,
            (Some(3), _) => Received::Last,
            (Some(16), _) => Received::Part,
            other => Received::Invalid(format!("{other:?}")),
        }
    }

    #[cfg(target_endian = "little")]
    #[tokio::test]
    async fn the_kernel_answers_a_dump_in_several_datagrams() {
        let address = DatagramAddress::netlink(DatagramPeer::NetlinkRoute, None).unwrap();
        let link = SocketDatagramLink::open(address).unwrap();
        for number in 1..=2 {
            let exchange = DatagramExchange::new("test", dump(number), WITHIN, until_done(number));
            let answer = link.exchange(exchange).await.unwrap();
            assert!(answer.len() >= 2, "links, then the end");
            let shown = answer
                .iter()
                .any(|part| part.windows(3).any(|w| w == b"lo\0"));
            assert!(shown, "the loopback interface");
        }
        // The decoder refuses the answer to the third: it does not disturb the fourth.
        let refuse = |_: &[u8]| Received::Invalid("refused".to_owned());
        let exchange = DatagramExchange::new("test", dump(3), WITHIN, refuse);
        let error = link.exchange(exchange).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Transport(TransportFault::Framing));
        let exchange = DatagramExchange::new("test", dump(4), WITHIN, until_done(4));
        assert!(link.exchange(exchange).await.unwrap().len() >= 2);
        link.close().await;
        let exchange = DatagramExchange::new("test", dump(5), WITHIN, until_done(5));
        assert_eq!(
            link.exchange(exchange).await.unwrap_err().kind,
            ErrorKind::Closed
        );
    }

    #[tokio::test]
    async fn a_process_answers_over_a_unix_socket() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("control");
        let server = tokio::net::UnixDatagram::bind(&path).unwrap();
        let link = SocketDatagramLink::open(DatagramAddress::unix(&path, None).unwrap()).unwrap();
        let exchange = |within| {
            let decoder = |seen: &[u8]| match seen {
                b"PONG\n" => Received::Last,
                _ => Received::Foreign,
            };
            DatagramExchange::new("test", Zeroizing::new(b"PING".to_vec()), within, decoder)
        };
        let serve = async {
            let mut buffer = [0; 16];
            let (length, from) = server.recv_from(&mut buffer).await.unwrap();
            assert_eq!(&buffer[..length], b"PING");
            // The runtime sends to paths only.
            let address = std::os::unix::net::SocketAddr::from(from);
            for answer in [&b"<3>an event"[..], b"PONG\n"] {
                rustix::net::sendto(
                    &server,
                    answer,
                    SendFlags::empty(),
                    &SocketAddrUnix::new_abstract_name(
                        std::os::linux::net::SocketAddrExt::as_abstract_name(&address).unwrap(),
                    )
                    .unwrap(),
                )
                .unwrap();
            }
        };
        let (answer, ()) = tokio::join!(link.exchange(exchange(WITHIN)), serve);
        assert_eq!(&**answer.unwrap()[0], b"PONG\n");
        // Nothing answers the second one.
        let late = link.exchange(exchange(Duration::from_millis(1))).await;
        assert_eq!(late.unwrap_err().kind, ErrorKind::Timeout);
        drop(server);
        std::fs::remove_file(&path).unwrap();
        let error = link.exchange(exchange(WITHIN)).await.unwrap_err();
        assert_eq!((error.kind, error.sent), (ErrorKind::Unreachable, false));
    }

    #[test]
    fn a_namespace_is_a_name() {
        for name in ["", ".", "..", "../../proc/1/ns/net"] {
            let error = DatagramAddress::netlink(DatagramPeer::NetlinkRoute, Some(name));
            assert_eq!(error.unwrap_err().kind, ErrorKind::InvalidInput);
        }
        let absent = DatagramAddress::netlink(DatagramPeer::NetlinkRoute, Some("qkd-absent"));
        assert_eq!(
            absent.unwrap().open().unwrap_err().kind,
            ErrorKind::Unreachable
        );
    }
}
