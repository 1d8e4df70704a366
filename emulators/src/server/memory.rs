//! Byte protocols in memory, for drivers under paused time.

use super::bytes::serve_connection;
use crate::{clock::Clock, fault::FaultInjector, wire::ByteService};
use qkd_driver_kit::link::memory::{self, Endpoint};
use std::sync::Arc;
use tokio::io::DuplexStream;

/// Creates an endpoint whose connections are served by an emulator of bytes, with its faults.
/// Connections are made within a tokio runtime.
#[must_use]
pub fn attach(
    name: &str,
    service: Arc<dyn ByteService>,
    faults: FaultInjector,
    clock: Clock,
) -> Endpoint {
    Endpoint::Bytes(Arc::new(memory::MemoryConnector::new(
        name,
        move |stream: DuplexStream| {
            tokio::spawn(serve_connection(
                stream,
                service.connect(),
                faults.clone(),
                clock.clone(),
            ));
        },
    )))
}
