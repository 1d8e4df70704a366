//! Byte protocols over TCP.

use super::bytes::{Listener, serve_listener};
use crate::{clock::Clock, fault::FaultInjector, wire::ByteService};
use std::{io, sync::Arc};
use tokio::net::{TcpListener, TcpStream};

impl Listener for TcpListener {
    type Stream = TcpStream;
    async fn accept_stream(&self) -> io::Result<TcpStream> {
        let (stream, _) = self.accept().await?;
        let _ = stream.set_nodelay(true);
        Ok(stream)
    }
}

/// Serves until dropped; all connections end with it.
pub async fn serve(
    listener: TcpListener,
    service: Arc<dyn ByteService>,
    faults: FaultInjector,
    clock: Clock,
) {
    serve_listener(&listener, service, faults, clock).await;
}
