#![doc = include_str!("docs.md")]
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod device;
pub mod proto;
#[cfg(test)]
mod tests;

pub use device::Polatis;

use async_trait::async_trait;
use device::{exchange, identity_of};
use proto::Command;
use qkd_driver_kit::{
    Driver, DriverInfo, OpenContext, Opened,
    context::Serial,
    driver::{Evidence, EvidenceOf, Probe, Transport, UriParameter},
    link::line::{LineOptions, Resync},
};
use qkd_hal::{Assumption, Device, DeviceKind, DeviceUri, Maturity, Result, event::EventHub};
use std::{sync::Arc, time::Duration};
use tokio::time::Instant;

/// What this driver infers.
pub const ASSUMPTIONS: &[Assumption] = &[
    Assumption {
        id: "polatis.error-codes-scpi99",
        statement: "Error numbers follow SCPI-99; any number but 0 means that the command was refused.",
        source: "PyPI cloudshell-cli 6.0.0 scpi_session.py takes 0 for no error and numbers below for errors; SCPI-99, 21.8.2",
        disproof: "A set command that took effect is answered by another number than 0.",
        operations: &[],
    },
    Assumption {
        id: "polatis.serial-38400",
        statement: "The serial console runs at 38400 8N1, takes CR LF and answers with CR.",
        source: "one third-party README (public archive id:63190900619); the vendor's manual was not seen",
        disproof: "The console does not answer `*idn?` at this speed; give baud=.",
        operations: &[],
    },
];

/// What is known of this driver without a device.
pub static INFO: DriverInfo = DriverInfo {
    name: "polatis",
    version: env!("CARGO_PKG_VERSION"),
    family: "Polatis / HUBER+SUHNER Series 1000, 6000, 7000, OST, VST",
    vendor: "HUBER+SUHNER Polatis",
    kinds: &[DeviceKind::OpticalSwitch, DeviceKind::PowerMeter],
    transports: &[
        Transport { name: "tcp", example: "polatis+tcp://192.0.2.7:5025" },
        Transport { name: "serial", example: "polatis+serial:///dev/ttyS0?baud=38400" },
    ],
    maturity: Maturity::Emulated,
    evidence: &[Evidence { of: EvidenceOf::Emulator, what: "this repository's emulator, over TCP and a PTY, which PyVISA with pyvisa-py also drives" }],
    assumptions: ASSUMPTIONS,
    unknowns: &[
        "what a switch does with an ADD on a port in use: plans remove first, so it is never asked",
        "the reply of any-to-any (cc) switches to the size query: they are refused",
        "attenuators and alarms over SCPI",
        "the longest line that a switch takes: at most 100 pairs go in one command",
        "the words of errors",
    ],
    parameters: &[UriParameter { name: "baud", help: "speed of the serial line; default 38400 (assumption polatis.serial-38400)", required: false }],
    probes: &[
        Probe::Bytes { transport: "tcp", at: 5025, send: b"*idn?\n", expect: "polatis" },
        Probe::Bytes { transport: "serial", at: 38_400, send: b"\r\n*idn?\r\n", expect: "polatis" },
    ],
    resynchronises: "TCP: a new connection. Serial: `*idn?` until its answer, then quiet for 300 ms; no other query is answered by four fields with this maker, product and serial.",
};

/// The driver.
#[derive(Debug, Clone, Copy, Default)]
pub struct PolatisDriver;

/// The driver, for a registry.
#[must_use]
pub fn driver() -> PolatisDriver {
    PolatisDriver
}

#[async_trait]
impl Driver for PolatisDriver {
    fn info(&self) -> &'static DriverInfo {
        &INFO
    }

    async fn open(&self, uri: &DeviceUri, context: &OpenContext) -> Result<Opened> {
        let descriptor = context.descriptor(&INFO, uri)?;
        let events = EventHub::default();
        let serial = uri.transport() == "serial";
        let line_end = if serial { "\r\n" } else { "\n" };
        let resync = if serial { Resync::Sentinel(Duration::from_millis(300)) } else { Resync::Reconnect };
        let deadline = descriptor.deadline;
        let options = LineOptions::new(resync, events.clone()).reply_limit(proto::LINE_LIMIT + 2).greeting(
            move || {
                let mut identify = exchange(&Command::Identify, line_end, Instant::now() + deadline);
                if serial {
                    // Ends whatever half a line stands in the console since somebody else spoke there, perhaps at another speed; a blank line means nothing (IEEE 488.2).
                    identify.request.splice(0..0, *b"\r\n");
                }
                identify
            },
            |reply| {
                let identity = identity_of(&proto::decode_identity(reply).ok()?)?;
                Some(format!("{} {}, serial {}", identity.vendor, identity.model?, identity.serial?))
            },
        );
        let serial_settings = Serial { baud: proto::SERIAL_BAUD, hardware_flow: false };
        let link = context.byte_link(uri, proto::TCP_PORT, Some(serial_settings), options).await?;
        let device = Arc::new(Polatis::open(descriptor, link, line_end, events).await?);
        let opened = Opened::switch(Arc::clone(&device));
        Ok(if device.descriptor().kinds.contains(&DeviceKind::PowerMeter) { opened.and_meter(device) } else { opened })
    }
}
