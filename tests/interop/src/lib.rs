//! Testbeds, differential and architecture tests, fuzzing, checks by other people's software.
//!
//! [`attach`] puts an emulator behind an in-memory link, so that a driver meets it byte for byte under paused time.

pub mod snmpd;

use qkd_driver_kit::{context::Endpoint, link::memory};
use qkd_emulators::{Clock, Faults, shell::bytes::drive, wire::ByteService};
use std::sync::Arc;
use tokio::io::DuplexStream;

/// An endpoint whose connections are served by an emulator that speaks bytes, with its faults.
pub fn attach(name: &str, service: Arc<dyn ByteService>, faults: Faults, clock: Clock) -> Endpoint {
    Endpoint::Bytes(Arc::new(memory::Bytes::new(name, move |mut stream: DuplexStream| {
        let (mut session, faults, clock) = (service.connect(), faults.clone(), clock.clone());
        tokio::spawn(async move {
            if let Err(error) = drive(&mut stream, session.as_mut(), &faults, &clock).await {
                eprintln!("the emulated line ended: {error}");
            }
        });
    })))
}
