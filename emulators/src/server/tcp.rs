//! Byte protocols over TCP.

use super::bytes::serve_stream;
use crate::{clock::Clock, fault::FaultInjector, wire::ByteService};
use std::{sync::Arc, time::Duration};
use tokio::{net::TcpListener, task::JoinSet};

/// Serves until dropped; all connections end with it.
pub async fn serve(
    listener: TcpListener,
    service: Arc<dyn ByteService>,
    faults: FaultInjector,
    clock: Clock,
) {
    let mut connections = JoinSet::new();
    loop {
        let mut stream = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            },
            Some(_) = connections.join_next() => continue,
        };
        let _ = stream.set_nodelay(true);
        let (mut session, faults, clock) = (service.connect(), faults.clone(), clock.clone());
        connections.spawn(async move {
            tokio::select! {
                () = faults.restart() => {}
                ended = serve_stream(&mut stream, session.as_mut(), &faults, &clock) => if let Err(error) = ended {
                    tracing::debug!(%error, "a connection broke");
                },
            }
        });
    }
}
