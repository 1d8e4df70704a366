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
    Capabilities, Descriptor, Device, EventStream, Health, Identity, Key, Layer, Maturity,
    Operation, Request, Result,
    checked::{CallGuard, Checked},
    event::EventHub,
    optics::{Geometry, SwitchState},
};
use std::{borrow::Cow, hint::black_box, sync::Arc, time::Duration};
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

/// Wrappers of the device.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Around {
    Nothing,
    Check,
    /// The check, and a layer that does nothing.
    CheckAndLayer,
}

/// A layer that does nothing.
struct EmptyLayer;

impl Layer for EmptyLayer {}

pub(crate) fn run(scale: u32) {
    let cost = |around| per_round(9, 1_000_000 / scale, handle_calls(around));
    let (bare, checked) = (cost(Around::Nothing), cost(Around::Check));
    let layered = cost(Around::CheckAndLayer);
    row(
        "the checks around a handle",
        &micros(checked.saturating_sub(bare)),
        &format!("{} without them", micros(bare)),
        None,
        "≤ 0.3 µs",
    );
    row(
        "one empty layer on a device",
        &micros(layered.saturating_sub(checked)),
        &format!("{} without it", micros(checked)),
        None,
        "≤ 0.1 µs",
    );
    for (what, request) in [("`stage`", stage()), ("`apply` of two steps", apply())] {
        let trip = per_round(9, 100_000 / scale, serialised(request));
        row(
            &format!("a request to JSON and back: {what}"),
            &micros(trip),
            "-",
            None,
            "≤ 5 µs",
        );
    }
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

pub(crate) fn stage() -> Request<'static> {
    let key = Key::new(
        "6fa459ea-ee8a-4ca4-894e-db77e160355e"
            .parse()
            .expect("a key id"),
        vec![7; 32].into(),
    );
    let channel = Cow::Owned("ca1".into());
    let key = (&key).into();
    Request::Stage { channel, key }.into_owned()
}

pub(crate) fn apply() -> Request<'static> {
    let state = SwitchState {
        device: Identity::new("Polatis").with_serial("002414"),
        geometry: Geometry::matrix(16, 16),
        connections: "1-17,2-18".parse().expect("a state"),
    };
    let plan = state.plan().connect(1, 19).disconnect(2).build();
    let plan = Cow::Owned(plan.expect("a plan"));
    Request::Apply { plan }
}

/// Round trips of a request through JSON. That of a plan computes its digest twice.
pub(crate) fn serialised(request: Request<'static>) -> impl FnMut(u32) {
    move |n| {
        for _ in 0..n {
            let json = serde_json::to_vec(black_box(&request)).expect("serialises");
            let back: Request<'_> = serde_json::from_slice(&json).expect("deserialises");
            black_box(back);
        }
    }
}

/// Calls of a handle that does nothing, with what is around it.
pub(crate) fn handle_calls(around: Around) -> impl FnMut(u32) {
    let runtime = current_thread();
    let mut handle: Arc<dyn Device> = Arc::new(Nothing(
        Descriptor::new("n", "n+mem://n", Maturity::Emulated),
        Capabilities::none().with(&[Operation::Health]),
    ));
    if around != Around::Nothing {
        let guard = Arc::new(CallGuard::new(handle.descriptor(), handle.capabilities()));
        if around == Around::CheckAndLayer {
            guard.install(Arc::new(EmptyLayer));
        }
        handle = Arc::new(Checked::new(handle, guard));
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
