//! Byte protocols over TCP.

pub use super::bytes::serve;

use super::bytes::Listener;
use std::io;
use tokio::net::{TcpListener, TcpStream};

impl Listener for TcpListener {
    type Stream = TcpStream;
    async fn accept_stream(&self) -> io::Result<TcpStream> {
        let (stream, _) = self.accept().await?;
        let _ = stream.set_nodelay(true);
        Ok(stream)
    }
}
