//! Byte protocols over Unix stream sockets.

pub use super::bytes::serve;

use super::bytes::Listener;
use std::{
    fs::Permissions,
    io,
    os::unix::{
        fs::{FileTypeExt, MetadataExt, PermissionsExt},
        net::UnixStream as BlockingStream,
    },
    path::{Path, PathBuf},
};
use tokio::net::{UnixListener, UnixStream};

/// The file of a socket, which is removed at the end.
#[derive(Debug)]
pub(crate) struct SocketFile {
    path: PathBuf,
    /// Device and inode of the file, so that the file of another process is never removed.
    file: (u64, u64),
}

impl SocketFile {
    /// Creates a socket at this path, with mode 0600. The socket file of a process that no longer
    /// serves it, as `connect` finds out, is replaced.
    pub(crate) fn create<T>(
        path: &Path,
        connect: impl FnOnce(&Path) -> io::Result<()>,
        bind: impl FnOnce(&Path) -> io::Result<T>,
    ) -> io::Result<(T, Self)> {
        check_replaceable(path, connect)?;
        let folder = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        // A socket gets the mode of the umask. It is made in a private folder, so that no other
        // user can connect before the mode is set.
        let private = tempfile::Builder::new()
            .prefix(".q")
            .rand_bytes(4)
            .tempdir_in(folder)?;
        let made = private.path().join("s");
        let socket = bind(&made)?;
        std::fs::set_permissions(&made, Permissions::from_mode(0o600))?;
        let metadata = std::fs::symlink_metadata(&made)?;
        std::fs::rename(&made, path)?;
        let file = Self {
            path: path.to_owned(),
            file: (metadata.dev(), metadata.ino()),
        };
        Ok((socket, file))
    }
}

/// A listening socket and its file, which is removed at the end.
#[derive(Debug)]
pub struct UnixSocket {
    listener: UnixListener,
    file: SocketFile,
}

impl UnixSocket {
    /// Listens at this path, with mode 0600. The socket file of a process that no longer listens is
    /// replaced. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// `AddrInUse` if a process listens there; `AlreadyExists` for a file of another kind; errors
    /// of the file system.
    pub fn bind(path: &Path) -> io::Result<Self> {
        let connect = |path: &Path| BlockingStream::connect(path).map(drop);
        let (listener, file) = SocketFile::create(path, connect, |path| UnixListener::bind(path))?;
        Ok(Self { listener, file })
    }

    /// Path of the socket.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.file.path
    }
}

fn check_replaceable(path: &Path, connect: impl FnOnce(&Path) -> io::Result<()>) -> io::Result<()> {
    let metadata = match std::fs::symlink_metadata(path) {
        Ok(metadata) => metadata,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(e),
    };
    let refused =
        |kind, what: &str| Err(io::Error::new(kind, format!("{} {what}", path.display())));
    if !metadata.file_type().is_socket() {
        return refused(
            io::ErrorKind::AlreadyExists,
            "exists and is not a socket; remove it or choose another path",
        );
    }
    match connect(path) {
        Err(e) if e.kind() == io::ErrorKind::ConnectionRefused => Ok(()),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(e) if e.kind() == io::ErrorKind::PermissionDenied => Err(e),
        _ => refused(
            io::ErrorKind::AddrInUse,
            "is in use by another process; choose another path",
        ),
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let own = std::fs::symlink_metadata(&self.path)
            .is_ok_and(|metadata| (metadata.dev(), metadata.ino()) == self.file);
        if own {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

impl Listener for UnixSocket {
    type Stream = UnixStream;
    async fn accept_stream(&self) -> io::Result<UnixStream> {
        Ok(self.listener.accept().await?.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        clock::Clock,
        fault::FaultInjector,
        wire::{ByteService, Reply, Session},
    };
    use std::sync::Arc;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    struct Echo;
    impl Session for Echo {
        fn feed(&mut self, bytes: &[u8]) -> Vec<Reply> {
            vec![Reply::bytes(bytes)]
        }
    }

    #[tokio::test]
    async fn a_private_socket_serves_and_is_removed_at_the_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("device.sock");
        let socket = UnixSocket::bind(&path).unwrap();
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let service: Arc<dyn ByteService> = Arc::new(|| Box::new(Echo) as Box<dyn Session>);
        let server = tokio::spawn(serve(
            socket,
            service,
            FaultInjector::new(1, None),
            Clock::default(),
        ));
        let mut streams = [
            UnixStream::connect(&path).await.unwrap(),
            UnixStream::connect(&path).await.unwrap(),
        ];
        for stream in &mut streams {
            stream.write_all(b"ab").await.unwrap();
            let mut reply = [0; 2];
            stream.read_exact(&mut reply).await.unwrap();
            assert_eq!(&reply, b"ab");
        }
        server.abort();
        let _ = server.await;
        let names = std::fs::read_dir(folder.path()).unwrap().count();
        assert_eq!(
            names, 0,
            "neither the socket nor a temporary folder is left"
        );
    }

    #[tokio::test]
    async fn a_stale_socket_is_replaced_and_one_in_use_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("device.sock");
        // The standard library leaves the file when the listener ends.
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        assert!(path.exists());
        let first = UnixSocket::bind(&path).unwrap();
        let second = UnixSocket::bind(&path).unwrap_err();
        assert_eq!(second.kind(), io::ErrorKind::AddrInUse);
        assert!(
            UnixStream::connect(&path).await.is_ok(),
            "the first listens"
        );
        // A file that took its place is not removed with it.
        std::fs::remove_file(&path).unwrap();
        std::fs::write(&path, "precious").unwrap();
        drop(first);
        assert_eq!(std::fs::read(&path).unwrap(), b"precious");
        let other = UnixSocket::bind(&path).unwrap_err();
        assert_eq!(other.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(std::fs::read(&path).unwrap(), b"precious");
    }
}
