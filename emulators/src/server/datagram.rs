//! Datagrams over Unix sockets (`SOCK_DGRAM`).

use super::unix::SocketFile;
use crate::fault::{FaultInjector, TextFormat};
use qkd_driver_kit::link::datagram::{DatagramPeer, DatagramService, MAX_DATAGRAM};
use std::{
    io,
    os::unix::net::{SocketAddr, UnixDatagram},
    path::Path,
    sync::Arc,
    time::Duration,
};
use tokio::{
    io::Interest,
    time::{Instant, sleep, sleep_until},
};
use zeroize::Zeroizing;

/// Time between two datagrams of a flood.
const FLOOD_INTERVAL: Duration = Duration::from_millis(1);
/// Datagram that a flood repeats.
const FLOOD_DATAGRAM: [u8; 64] = [b'U'; 64];

/// An answer that goes out late, out of turn.
struct Late {
    at: Instant,
    datagram: Zeroizing<Vec<u8>>,
    to: SocketAddr,
}

async fn next_late(late: &[Late]) {
    match late.iter().map(|answer| answer.at).min() {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// A socket and its file, which is removed at the end.
#[derive(Debug)]
pub struct DatagramSocket {
    socket: UnixDatagram,
    /// The same socket, for waiting. Its addresses do not show abstract names, which clients have.
    readiness: tokio::net::UnixDatagram,
    _file: SocketFile,
}

impl DatagramSocket {
    /// Receives at this path, with mode 0600. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// As [`UnixSocket::bind`](super::unix::UnixSocket::bind).
    pub fn bind(path: &Path) -> io::Result<Self> {
        let is_served = |path: &Path| UnixDatagram::unbound()?.connect(path);
        let (socket, file) = SocketFile::create(path, is_served, |path| {
            let socket = UnixDatagram::bind(path)?;
            socket.set_nonblocking(true)?;
            Ok(socket)
        })?;
        let readiness = tokio::net::UnixDatagram::from_std(socket.try_clone()?)?;
        Ok(Self {
            socket,
            readiness,
            _file: file,
        })
    }

    /// Answers each datagram to the address from which it came, as the faults want it, until the
    /// socket fails. A client without an address gets no answer. There is no connection to end:
    /// `reset` loses an answer, and a client of a device that restarts gets its next answer from
    /// that.
    pub async fn serve(
        self,
        service: Arc<dyn DatagramService>,
        faults: FaultInjector,
        format: TextFormat,
    ) {
        let mut buffer = Zeroizing::new(vec![0; MAX_DATAGRAM]);
        let mut late: Vec<Late> = Vec::new();
        loop {
            let receive = || self.socket.recv_from(&mut buffer);
            let (length, from) = tokio::select! {
                biased;
                () = next_late(&late) => {
                    let now = Instant::now();
                    for answer in late.extract_if(.., |answer| answer.at <= now) {
                        let _ = self.socket.send_to_addr(&answer.datagram, &answer.to);
                    }
                    continue;
                }
                received = self.readiness.async_io(Interest::READABLE, receive) => match received {
                    Ok(received) => received,
                    Err(_) => return,
                },
            };
            for answer in service.answer(DatagramPeer::Unix, &buffer[..length]) {
                if faults.is_quiet() {
                    // A client that has gone, or does not read, loses its answer.
                    let _ = self.socket.send_to_addr(&answer, &from);
                } else {
                    let answer = faults.insert_hostile_text(answer.to_vec(), format);
                    self.deliver(answer, &from, &faults, &mut late).await;
                }
            }
        }
    }

    /// Sends one answer as the faults want it.
    async fn deliver(
        &self,
        answer: Vec<u8>,
        to: &SocketAddr,
        faults: &FaultInjector,
        late: &mut Vec<Late>,
    ) {
        let delivery = faults.deliver(answer);
        let length = delivery.now.first().map_or(0, Vec::len);
        let pace = delivery.pace * u32::try_from(length).unwrap_or(u32::MAX);
        if !(delivery.delay + pace).is_zero() {
            sleep(delivery.delay + pace).await;
        }
        if let Some((after, datagram)) = delivery.reordered {
            late.push(Late {
                at: Instant::now() + after,
                datagram: Zeroizing::new(datagram),
                to: to.clone(),
            });
        }
        for datagram in delivery.now.into_iter().map(Zeroizing::new) {
            let _ = self.socket.send_to_addr(&datagram, to);
        }
        while delivery.flood && !faults.is_quiet() {
            let _ = self.socket.send_to_addr(&FLOOD_DATAGRAM, to);
            sleep(FLOOD_INTERVAL).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use qkd_driver_kit::link::datagram::Datagrams;
    use std::time::Duration;

    struct Echo;
    impl DatagramService for Echo {
        fn answer(&self, _: DatagramPeer, datagram: &[u8]) -> Datagrams {
            vec![Zeroizing::new(datagram.to_vec())]
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn clients_with_a_path_get_their_answers_and_the_file_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s");
        let faults = FaultInjector::new(1, None);
        let socket = DatagramSocket::bind(&path).unwrap();
        let serving = tokio::spawn(socket.serve(Arc::new(Echo), faults, TextFormat::Whole));
        assert!(DatagramSocket::bind(&path).is_err(), "it is in use");
        let (client, server) = (folder.path().join("c"), path.clone());
        let answer = tokio::task::spawn_blocking(move || {
            let unnamed = UnixDatagram::unbound().unwrap();
            unnamed.send_to(b"lost", &server).unwrap();
            let socket = UnixDatagram::bind(client).unwrap();
            socket
                .set_read_timeout(Some(Duration::from_secs(20)))
                .unwrap();
            socket.send_to(b"hello", &server).unwrap();
            let mut buffer = [0; 16];
            let length = socket.recv(&mut buffer).unwrap();
            buffer[..length].to_vec()
        });
        assert_eq!(answer.await.unwrap(), b"hello");
        serving.abort();
        assert!(serving.await.unwrap_err().is_cancelled());
        assert!(!path.exists());
    }

    /// Sends `ok` with this fault, and returns the datagrams that come back, up to the answer to
    /// another one without faults.
    async fn answers(fault: &str) -> Vec<Vec<u8>> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s");
        let faults = FaultInjector::new(1, None);
        faults
            .add(format!("{fault}@once").parse().unwrap())
            .unwrap();
        let socket = DatagramSocket::bind(&path).unwrap();
        let serving = tokio::spawn(socket.serve(Arc::new(Echo), faults.clone(), TextFormat::Whole));
        let client = tokio::net::UnixDatagram::bind(folder.path().join("c")).unwrap();
        client.connect(&path).unwrap();
        client.send(b"ok").await.unwrap();
        let mut all = Vec::new();
        let mut buffer = [0; 64 * 1024];
        client.send(b"end").await.unwrap();
        while all.last().is_none_or(|last| last != b"end") {
            let length = client.recv(&mut buffer).await.unwrap();
            all.push(buffer[..length].to_vec());
        }
        serving.abort();
        all
    }

    #[tokio::test(start_paused = true)]
    async fn answers_go_out_as_the_faults_want_it() {
        let text = |all: Vec<Vec<u8>>| -> Vec<String> {
            let all = all
                .iter()
                .map(|one| String::from_utf8_lossy(one).into_owned());
            all.collect()
        };
        assert_eq!(text(answers("drop").await), ["end"]);
        assert_eq!(text(answers("reset").await), ["end"]);
        assert_eq!(text(answers("duplicate").await), ["ok", "ok", "end"]);
        assert_eq!(text(answers("truncate").await), ["o", "end"]);
        assert_eq!(text(answers("delay=1h").await), ["ok", "end"]);
        assert_eq!(text(answers("throttle").await), ["ok", "end"]);
        let damaged = answers("corrupt").await;
        assert_eq!((damaged.len(), damaged[0].len()), (2, 2));
        assert_ne!(damaged[0], b"ok");
    }

    #[tokio::test(start_paused = true)]
    async fn a_late_answer_comes_after_others_and_a_flood_ends_with_its_fault() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s");
        let faults = FaultInjector::new(1, None);
        let add = |spec: &str| faults.add(spec.parse().unwrap());
        let socket = DatagramSocket::bind(&path).unwrap();
        let serving = tokio::spawn(socket.serve(Arc::new(Echo), faults.clone(), TextFormat::Whole));
        let client = tokio::net::UnixDatagram::bind(folder.path().join("c")).unwrap();
        client.connect(&path).unwrap();
        let mut buffer = [0; 64 * 1024];
        let mut receive = async || {
            let length = client.recv(&mut buffer).await.unwrap();
            buffer[..length].to_vec()
        };
        add("reorder=1s@once").unwrap();
        client.send(b"late").await.unwrap();
        client.send(b"first").await.unwrap();
        assert_eq!(receive().await, b"first");
        assert_eq!(receive().await, b"late");
        add("hostile-text=control").unwrap();
        client.send(b"text").await.unwrap();
        let text = receive().await;
        assert!(text.starts_with(b"text\x1b"), "{text:?}");
        add("flood").unwrap();
        client.send(b"flood").await.unwrap();
        assert!(receive().await.starts_with(b"flood\x1b"));
        for _ in 0..5 {
            assert_eq!(receive().await, FLOOD_DATAGRAM);
        }
        serving.abort();
    }
}
