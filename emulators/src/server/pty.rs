//! Byte protocols on a pseudo-terminal, which a program opens as a serial port.
//!
//! The emulator reads the speed that the program has set through the master side. If it is not the
//! speed of the device, bytes are noise in both directions, as on a real line.

use super::bytes::serve_stream;
use crate::{clock::Clock, fault::FaultInjector, wire::ByteService};
use futures::FutureExt;
use nix::{
    errno::Errno,
    fcntl::OFlag,
    pty::{grantpt, posix_openpt, ptsname_r, unlockpt},
};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    termios::tcgetattr,
};
use std::{
    io,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, Interest, ReadBuf},
    net::unix::pipe::{Receiver, Sender},
    time::sleep,
};

/// Polling interval of a port that no process has open.
const IDLE_POLL_INTERVAL: Duration = Duration::from_millis(2);

/// A port: the master of a PTY, and where its slave is found.
pub struct Pty {
    /// The master, which tokio drives as the two ends of a pipe.
    reader: Receiver,
    writer: Sender,
    master: OwnedFd,
    path: PathBuf,
    link: Option<PathBuf>,
    baud: u32,
    noise: FaultInjector,
}

fn os(error: Errno) -> io::Error {
    io::Error::from_raw_os_error(error as i32)
}

impl Pty {
    /// Creates a port of this speed; `link` becomes a symbolic link to it. Must be called within a
    /// tokio runtime.
    ///
    /// # Errors
    /// If no PTY is available, or the link cannot be created. An existing link is replaced; a file
    /// is not.
    pub fn open(baud: u32, link: Option<&Path>, noise: FaultInjector) -> io::Result<Self> {
        let master =
            posix_openpt(OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC)
                .map_err(os)?;
        grantpt(&master).map_err(os)?;
        unlockpt(&master).map_err(os)?;
        let path = PathBuf::from(ptsname_r(&master).map_err(os)?);
        // Linux reports that no process has the port open only after it was open once.
        drop(
            nix::fcntl::open(
                &path,
                OFlag::O_RDWR | OFlag::O_NOCTTY,
                nix::sys::stat::Mode::empty(),
            )
            .map_err(os)?,
        );
        if let Some(link) = link {
            if link.is_symlink() {
                std::fs::remove_file(link)?;
            }
            std::os::unix::fs::symlink(&path, link)?;
        }
        let master: OwnedFd = master.into();
        let reader = Receiver::from_owned_fd_unchecked(master.try_clone()?)?;
        let writer = Sender::from_owned_fd_unchecked(master.try_clone()?)?;
        Ok(Self {
            reader,
            writer,
            master,
            path,
            link: link.map(Path::to_owned),
            baud,
            noise,
        })
    }

    /// The path by which programs open it: the link, if there is one.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.link.as_deref().unwrap_or(&self.path)
    }

    /// Returns whether no process has the port open.
    fn is_closed(&self) -> bool {
        let mut polled = [PollFd::new(&self.master, PollFlags::IN)];
        poll(
            &mut polled,
            Some(&Timespec {
                tv_sec: 0,
                tv_nsec: 0,
            }),
        )
        .is_ok()
            && polled[0].revents().contains(PollFlags::HUP)
    }

    /// Registers the master side with tokio again. Tokio never forgets that a stream was closed, so
    /// a port that is opened again would be polled continuously.
    fn renew(&mut self) -> io::Result<()> {
        self.reader = Receiver::from_owned_fd_unchecked(self.master.try_clone()?)?;
        self.writer = Sender::from_owned_fd_unchecked(self.master.try_clone()?)?;
        Ok(())
    }

    fn spoil(&self, bytes: &mut [u8]) {
        if tcgetattr(&self.master).is_ok_and(|t| t.output_speed() != self.baud) {
            self.noise.corrupt_input(bytes);
        }
    }
}

impl Drop for Pty {
    fn drop(&mut self) {
        if let Some(link) = &self.link
            && std::fs::read_link(link).is_ok_and(|target| target == self.path)
        {
            let _ = std::fs::remove_file(link);
        }
    }
}

impl AsyncRead for Pty {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let known = self.reader.ready(Interest::READABLE).now_or_never();
        // One process closed the port, and another opened it.
        if matches!(known, Some(Ok(ready)) if ready.is_read_closed()) && !self.is_closed() {
            return Poll::Ready(Err(io::ErrorKind::NotConnected.into()));
        }
        let before = out.filled().len();
        let read = Pin::new(&mut self.reader).poll_read(context, out);
        self.spoil(&mut out.filled_mut()[before..]);
        read
    }
}

impl AsyncWrite for Pty {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let mut out = bytes.to_vec();
        self.spoil(&mut out);
        Pin::new(&mut self.writer).poll_write(context, &out)
    }
    fn poll_flush(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
    fn poll_shutdown(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// Serves until dropped. A port that was closed by a fault becomes a new PTY, to which the link
/// then points.
pub async fn serve(
    mut port: Pty,
    baud: u32,
    service: Arc<dyn ByteService>,
    faults: FaultInjector,
    clock: Clock,
) {
    let mut session = service.connect();
    loop {
        match serve_stream(&mut port, session.as_mut(), &faults, &clock).await {
            // Nobody has it open (EIO).
            Ok(false) | Err(_) => {
                session.closed();
                // Until a process opens the port.
                while port.is_closed() {
                    session.closed();
                    sleep(IDLE_POLL_INTERVAL).await;
                }
                if let Err(error) = port.renew() {
                    tracing::warn!(%error, "the port cannot be served");
                    return;
                }
            }
            Ok(true) => {
                let link = port.link.clone();
                drop(port);
                port = loop {
                    match Pty::open(baud, link.as_deref(), faults.clone()) {
                        Ok(port) => break port,
                        Err(error) => tracing::warn!(%error, "the port does not come back"),
                    }
                    sleep(Duration::from_secs(1)).await;
                };
                session = service.connect();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        fault::FaultSpec,
        wire::{Reply, Session},
    };
    use rustix::termios::{OptionalActions, tcsetattr};
    use std::{fs::File, io::Read, io::Write, os::unix::fs::OpenOptionsExt};

    /// Answers each byte with its successor.
    struct Next;
    impl Session for Next {
        fn feed(&mut self, bytes: &[u8]) -> Vec<Reply> {
            bytes
                .iter()
                .map(|b| Reply::bytes([b.wrapping_add(1)]))
                .collect()
        }
    }

    fn open(path: &Path, speed: u32) -> File {
        let file = File::options()
            .read(true)
            .write(true)
            .custom_flags(OFlag::O_NOCTTY.bits())
            .open(path)
            .unwrap();
        let mut settings = tcgetattr(&file).unwrap();
        settings.make_raw();
        settings.set_speed(speed).unwrap();
        tcsetattr(&file, OptionalActions::Now, &settings).unwrap();
        file
    }
    fn ask(file: &mut File, bytes: &[u8]) -> Vec<u8> {
        file.write_all(bytes).unwrap();
        let mut reply = vec![0; bytes.len()];
        file.read_exact(&mut reply).unwrap();
        reply
    }

    #[tokio::test]
    async fn a_wrong_line_speed_produces_noise() {
        let directory = tempfile::tempdir().unwrap();
        let link = directory.path().join("port");
        let faults = FaultInjector::new(1, None);
        let port = Pty::open(9600, Some(&link), faults.clone()).unwrap();
        let service: Arc<dyn ByteService> = Arc::new(|| Box::new(Next) as Box<dyn Session>);
        let server = tokio::spawn(serve(port, 9600, service, faults.clone(), Clock::default()));
        let path = link.clone();
        let (right, wrong) = tokio::task::spawn_blocking(move || {
            let right = ask(&mut open(&path, 9600), b"abcdefgh");
            let wrong = ask(&mut open(&path, 115_200), b"abcdefgh");
            // After it is opened again, it works.
            assert_eq!(ask(&mut open(&path, 9600), b"a"), b"b");
            (right, wrong)
        })
        .await
        .unwrap();
        assert_eq!(right, b"bcdefghi");
        assert_ne!(wrong, b"bcdefghi");

        // A hang-up ends the open file; the link leads to a new port.
        faults
            .add("reset@once".parse::<FaultSpec>().unwrap())
            .unwrap();
        let path = link.clone();
        tokio::task::spawn_blocking(move || {
            let old = std::fs::read_link(&path).unwrap();
            let mut file = open(&path, 9600);
            file.write_all(b"x").unwrap();
            assert!(file.read(&mut [0; 1]).map_or(true, |n| n == 0), "hung up");
            let deadline = std::time::Instant::now() + Duration::from_secs(5);
            while std::fs::read_link(&path).map_or(true, |now| now == old && !now.exists())
                && std::time::Instant::now() < deadline
            {
                std::thread::sleep(Duration::from_millis(5));
            }
            drop(file);
            assert_eq!(ask(&mut open(&path, 9600), b"a"), b"b");
        })
        .await
        .unwrap();
        server.abort();
        let _ = server.await;
        assert!(!link.is_symlink(), "the link goes with the port");
    }

    /// Answers 1 if no process had the port open since the last answer, else 0.
    #[derive(Default)]
    struct Closed(bool);
    impl Session for Closed {
        fn feed(&mut self, bytes: &[u8]) -> Vec<Reply> {
            bytes
                .iter()
                .map(|_| Reply::bytes([u8::from(std::mem::take(&mut self.0))]))
                .collect()
        }
        fn closed(&mut self) {
            self.0 = true;
        }
    }

    #[tokio::test]
    async fn a_session_receives_no_input_while_the_port_is_not_open() {
        let faults = FaultInjector::new(1, None);
        let port = Pty::open(9600, None, faults.clone()).unwrap();
        let path = port.path().to_owned();
        let service: Arc<dyn ByteService> =
            Arc::new(|| Box::new(Closed::default()) as Box<dyn Session>);
        let server = tokio::spawn(serve(port, 9600, service, faults, Clock::default()));
        // A process that opens the port between two polls can stay undetected, so each waits for
        // longer than the interval.
        for _ in 0..2 {
            sleep(IDLE_POLL_INTERVAL * 50).await;
            let path = path.clone();
            let reported = tokio::task::spawn_blocking(move || {
                let mut file = open(&path, 9600);
                [ask(&mut file, b"a"), ask(&mut file, b"b")].concat()
            });
            assert_eq!(
                reported.await.unwrap(),
                [1, 0],
                "before it was opened, not since"
            );
        }
        server.abort();
    }

    #[tokio::test]
    async fn an_existing_file_is_not_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("precious");
        std::fs::write(&path, "x").unwrap();
        assert!(Pty::open(9600, Some(&path), FaultInjector::new(1, None)).is_err());
        assert_eq!(std::fs::read(&path).unwrap(), b"x");
    }
}
