//! The checks around a handle, and whole calls over in-memory links.

use crate::tool::{current_thread, micros, per_round, row};
use async_trait::async_trait;
use qkd_driver_kit::{
    OpenContext,
    link::{
        Disclosure,
        bytes::{ByteLink, Exchange, line_framer},
        memory::{self, Endpoint},
        stream::{Resync, StreamLink, StreamOptions},
        usb::UsbService,
    },
};
use qkd_hal::{
    Capabilities, Descriptor, Device, EventStream, Health, Identity, Maturity, Operation, Result,
    checked::{CallGuard, Checked},
    event::EventHub,
};
use std::{hint::black_box, sync::Arc, time::Duration};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// A device whose call costs next to nothing.
struct Nothing(Descriptor, Capabilities);

#[async_trait]
impl Device for Nothing {
    fn descriptor(&self) -> &Descriptor {
        &self.0
    }
    fn capabilities(&self) -> &Capabilities {
        &self.1
    }
    async fn identity(&self) -> Result<Identity> {
        Ok(Identity::default())
    }
    async fn health(&self) -> Result<Health> {
        Ok(Health::ok())
    }
    fn events(&self) -> EventStream {
        EventStream::ended()
    }
    async fn close(&self) -> Result<()> {
        Ok(())
    }
}

pub(crate) fn run(scale: u32) {
    let cost = |checked| per_round(9, 1_000_000 / scale, handle_calls(checked));
    let (bare, with) = (cost(false), cost(true));
    row(
        "the checks around a handle",
        &micros(with.saturating_sub(bare)),
        &format!("{} without them", micros(bare)),
        None,
        "≤ 0.3 µs",
    );
    let usb = per_round(9, 100_000 / scale, usb_calls());
    row(
        "a whole call over an in-memory link: USB control transfers (Quantis health)",
        &micros(usb),
        "-",
        None,
        "≤ 2 µs",
    );
    let bytes = per_round(9, 100_000 / scale, line_exchanges());
    row(
        "one exchange of the line's owner over in-memory bytes, with the far end's own task",
        &micros(bytes),
        "-",
        None,
        "≤ 2 µs",
    );
}

/// Calls of a handle that does nothing, with the checks around it or without.
pub(crate) fn handle_calls(checked: bool) -> impl FnMut(u32) {
    let runtime = current_thread();
    let mut handle: Arc<dyn Device> = Arc::new(Nothing(
        Descriptor::new("n", "n+mem://n", Maturity::Emulated),
        Capabilities::none().with(&[Operation::Health]),
    ));
    if checked {
        let gate = Arc::new(CallGuard::new(handle.descriptor(), handle.capabilities()));
        handle = Arc::new(Checked::new(handle, gate));
    }
    move |n| {
        runtime.block_on(async {
            for _ in 0..n {
                let _ = black_box(black_box(&handle).health().await);
            }
        });
    }
}

/// Whole calls of a driver over an in-memory USB link, the emulator's part included.
pub(crate) fn usb_calls() -> impl FnMut(u32) {
    let runtime = current_thread();
    let random = Arc::new(qkd_emulators::model::random::RandomModel::new(
        1,
        "FFFFFFFFFF",
    ));
    let device: Arc<dyn UsbService> = Arc::new(qkd_emulators::wire::usb::Chapter9::new(
        qkd_emulators::vendor::idq_quantis::Quantis::new(random),
    ));
    let context = OpenContext::new().with_memory("q", Endpoint::Usb(device));
    let opened = runtime
        .block_on(qkd_hardware::registry().open("idq-quantis+mem://q", &context))
        .expect("the emulator opens");
    let handle = opened.device();
    move |n| {
        runtime.block_on(async {
            for _ in 0..n {
                let _ = black_box(handle.health().await);
            }
        });
    }
}

/// Exchanges through the owner of a line, over in-memory bytes.
pub(crate) fn line_exchanges() -> impl FnMut(u32) {
    let runtime = current_thread();
    let connector = Box::new(memory::MemoryConnector::new(
        "b",
        |mut stream: tokio::io::DuplexStream| {
            tokio::spawn(async move {
                let mut buffer = [0; 256];
                while let Ok(1..) = stream.read(&mut buffer).await {
                    if stream.write_all(b"(@1,2),(@17,18)\r\n").await.is_err() {
                        return;
                    }
                }
            });
        },
    ));
    let link = runtime
        .block_on(StreamLink::open(
            connector,
            StreamOptions::new(Resync::Reconnect, EventHub::default()),
            Duration::from_secs(1),
        ))
        .expect("memory opens");
    move |n| {
        runtime.block_on(async {
            for _ in 0..n {
                let exchange = Exchange::new(
                    "bench",
                    &b":oxc:swit:conn:stat?\n"[..],
                    Duration::from_secs(1),
                )
                .reply(line_framer(1000), Disclosure::Undeclared)
                .read_only();
                let _ = black_box(link.exchange(exchange).await);
            }
        });
    }
}
