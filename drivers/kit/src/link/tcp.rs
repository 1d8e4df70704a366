//! TCP and Unix sockets.

use super::{
    LinkError,
    bytes::{ByteStream, Connector},
};
use async_trait::async_trait;
use qkd_hal::ErrorKind;
use std::{path::PathBuf, time::Duration};
use tokio::{
    net::{TcpStream, UnixStream},
    time::timeout,
};

/// A TCP connection, without Nagle's delay.
pub struct TcpConnector(String);

impl TcpConnector {
    /// Creates a connector to `host:port`.
    pub fn new(address: impl Into<String>) -> Self {
        Self(address.into())
    }
}

pub(crate) async fn connect(address: &str, within: Duration) -> Result<TcpStream, LinkError> {
    let fail = |why: String| {
        LinkError::new(
            ErrorKind::Unreachable,
            format!("no connection to {address}: {why}"),
        )
    };
    let stream = timeout(within, TcpStream::connect(address))
        .await
        .map_err(|_| fail(format!("nothing answered within {} ms", within.as_millis())))?
        .map_err(|e| fail(e.to_string()))?;
    stream.set_nodelay(true).map_err(|e| fail(e.to_string()))?;
    Ok(stream)
}

#[async_trait]
impl Connector for TcpConnector {
    async fn connect(&self, within: Duration) -> Result<Box<dyn ByteStream>, LinkError> {
        Ok(Box::new(connect(&self.0, within).await?))
    }
    fn address(&self) -> String {
        self.0.clone()
    }
}

/// Connects to a Unix socket.
pub struct UnixConnector(PathBuf);

impl UnixConnector {
    /// Creates a connector to the socket at this path.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }
}

#[async_trait]
impl Connector for UnixConnector {
    async fn connect(&self, within: Duration) -> Result<Box<dyn ByteStream>, LinkError> {
        let fail = |why: String| {
            LinkError::new(
                ErrorKind::Unreachable,
                format!("no connection to {}: {why}", self.0.display()),
            )
        };
        let stream = timeout(within, UnixStream::connect(&self.0))
            .await
            .map_err(|_| fail("nothing answered in time".to_owned()))?
            .map_err(|e| fail(e.to_string()))?;
        Ok(Box::new(stream))
    }
    fn address(&self) -> String {
        self.0.display().to_string()
    }
}
