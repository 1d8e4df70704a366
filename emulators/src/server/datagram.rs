//! Datagrams over Unix sockets (`SOCK_DGRAM`).

use super::unix::SocketFile;
use qkd_driver_kit::link::datagram::{DatagramPeer, DatagramService, MAX_DATAGRAM};
use std::{io, os::unix::net::UnixDatagram, path::Path, sync::Arc};
use tokio::io::Interest;
use zeroize::Zeroizing;

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

    /// Answers each datagram to the address from which it came, until the socket fails. A client
    /// without an address gets no answer.
    pub async fn serve(self, service: Arc<dyn DatagramService>) {
        let mut buffer = Zeroizing::new(vec![0; MAX_DATAGRAM]);
        loop {
            let receive = || self.socket.recv_from(&mut buffer);
            let received = self.readiness.async_io(Interest::READABLE, receive);
            let Ok((length, from)) = received.await else {
                return;
            };
            for answer in service.answer(DatagramPeer::Unix, &buffer[..length]) {
                // A client that has gone, or does not read, loses its answer.
                let _ = self.socket.send_to_addr(&answer, &from);
            }
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
        let serving = tokio::spawn(DatagramSocket::bind(&path).unwrap().serve(Arc::new(Echo)));
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
}
