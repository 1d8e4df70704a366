//! A proxied device is the same device: to the conformance suite, and to a caller.

use outside::{
    counting::Counting,
    proxy::{Client, Protection, connect, serve},
};
use qkd_conformance::{Dut, RunOptions, Suite};
use qkd_emulators::{
    profile::{InMemory, Options},
    profiles,
};
use qkd_hardware::{
    DeviceUri, Driver, DriverInfo, OpenContext, OpenedDevice, Registry, Result,
    driver_kit::wrap::fault::{FaultScript, LinkFault},
    drivers,
    hal::{
        Capabilities, Effect, ErrorKind, EventStream, Key, KeyId, Layer, Operation, Outcome,
        Request, StreamItem, TransportFault,
        event::EventKind,
        layer::Call,
        random::RandomCapabilities,
        request::{Caller, RandomBytes},
    },
};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{
    io::AsyncWriteExt,
    time::{Instant, timeout},
};

/// A driver whose devices are reached through a proxy.
struct Proxied<D>(D);

/// Number of devices that were opened through a proxy.
static PROXIED: AtomicUsize = AtomicUsize::new(0);

#[async_trait::async_trait]
impl<D: Driver> Driver for Proxied<D> {
    fn info(&self) -> &'static DriverInfo {
        self.0.info()
    }
    async fn open(&self, uri: &DeviceUri, context: &OpenContext) -> Result<OpenedDevice> {
        let device = self.0.open(uri, context).await?;
        PROXIED.fetch_add(1, Ordering::Relaxed);
        Ok(through_proxy(device, Protection::Memory).await.0)
    }
}

async fn through_proxy(
    device: OpenedDevice,
    protection: Protection,
) -> (OpenedDevice, Arc<Client>) {
    let (near, far) = tokio::io::duplex(1 << 16);
    tokio::spawn(serve(device, far, protection));
    connect(near, protection).await.unwrap()
}

fn registry() -> Registry {
    Registry::new()
        .with(drivers::polatis::driver())
        .with(drivers::nokia_sros_macsec::driver())
        .with(drivers::packetlight::driver())
}

/// Opens the first device of an emulator in memory.
async fn open(name: &str, context: OpenContext) -> (OpenedDevice, InMemory) {
    let memory = profiles::in_memory(name, &Options::default()).unwrap();
    let registry = registry();
    let assumptions = registry.drivers().flat_map(|d| d.info().assumptions);
    let accepted: Vec<String> = assumptions.map(|a| a.id.to_string()).collect();
    let context = memory.attach(context).with_accepted_assumptions(accepted);
    let opened = registry.open(&memory.uris()[0], &context).await.unwrap();
    (opened, memory)
}

/// Runs the suite on an emulator in memory; returns the outcome of each case with its message.
async fn outcomes(registry: Registry, file: &str) -> BTreeMap<String, String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../conformance/duts");
    let dut = Dut::read(&folder.join(file)).unwrap();
    let suite = Suite::new(registry);
    let prepared = suite.ready(dut, None, None).await.unwrap();
    let results = suite.run(&[prepared], &RunOptions::default(), &()).await;
    let [run] = results.runs.as_slice() else {
        panic!("{} runs", results.runs.len());
    };
    run.requirements
        .iter()
        .flat_map(|requirement| &requirement.cases)
        .map(|case| (case.id.clone(), format!("{:?}", case.outcome)))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_suite_has_the_same_result_on_a_proxied_device() {
    let proxied = || {
        Registry::new()
            .with(Proxied(drivers::polatis::driver()))
            .with(Proxied(drivers::nokia_sros_macsec::driver()))
            .with(Proxied(drivers::packetlight::driver()))
    };
    for file in [
        "polatis-16x16.toml",
        "nokia-sros-macsec.toml",
        "packetlight.toml",
    ] {
        let direct = outcomes(registry(), file).await;
        assert!(direct.len() > 50, "{file}: {} cases", direct.len());
        assert_eq!(direct, outcomes(proxied(), file).await, "{file}");
        assert!(PROXIED.swap(0, Ordering::Relaxed) > 50, "{file}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_change_and_its_events_pass_with_their_numbers() {
    let script = FaultScript::new();
    let context = OpenContext::new().with_faults(script.clone());
    let (device, _memory) = open("polatis-16x16", context).await;
    let mut near = device.device().events();
    let (proxied, _) = through_proxy(device, Protection::None).await;
    let mut far = proxied.device().events();
    let switch = proxied.switch().unwrap();
    let plan = switch.plan().connect(1, 17).build().await.unwrap();
    assert!(switch.apply(&plan).await.unwrap().verified);
    let stale = switch.apply(&plan).await.unwrap_err();
    assert_eq!(
        (stale.kind(), stale.effect()),
        (ErrorKind::StateChanged, Effect::None)
    );
    script.inject(0, LinkFault::Reset);
    let error = switch.connections().await.unwrap_err();
    assert!(error.kind().is_transient(), "{error}");
    let there = near.next().await.unwrap();
    assert!(matches!(&there, StreamItem::Event(e) if matches!(e.kind, EventKind::LinkLost { .. })));
    assert_eq!(far.next().await.unwrap(), there);
}

#[tokio::test(start_paused = true)]
async fn keys_need_a_protected_stream() {
    let key = || Key::new(KeyId::from_bytes(&[7; 16]).unwrap(), vec![0xab; 32].into());
    for (protection, allowed) in [(Protection::None, false), (Protection::Memory, true)] {
        let script = FaultScript::new();
        let context = OpenContext::new().with_faults(script.clone());
        let (device, _memory) = open("nokia-sros-macsec-pair", context).await;
        let (proxied, client) = through_proxy(device, protection).await;
        let encryptor = proxied.encryptor().unwrap();
        let channel = encryptor.channels().await.unwrap().remove(0);
        let sent = script.count();
        let staged = encryptor.stage(&channel, &key()).await;
        if allowed {
            assert_eq!(staged.unwrap().key_id, *key().id());
        } else {
            let error = staged.unwrap_err();
            assert_eq!(
                (error.kind(), error.effect()),
                (ErrorKind::Unsupported, Effect::None),
                "{error}"
            );
            assert_eq!(script.count(), sent, "nothing was sent to the device");
        }
        assert_eq!(client.lost_keys(), []);
    }
}

#[tokio::test(start_paused = true)]
async fn every_call_ends_in_time_and_says_what_may_have_changed() {
    let script = FaultScript::new();
    let context = OpenContext::new().with_faults(script.clone());
    let (device, _memory) = open("polatis-16x16", context).await;
    let deadline = device.device().descriptor().deadline;
    let (near, far) = tokio::io::duplex(1 << 16);
    let server = tokio::spawn(serve(device, far, Protection::None));
    let (proxied, _client) = connect(near, Protection::None).await.unwrap();
    let switch = proxied.switch().unwrap();
    let plan = switch.plan().connect(1, 17).build().await.unwrap();
    // The device does not reply: its own error comes over the stream.
    script.inject(0, LinkFault::Drop);
    let begun = Instant::now();
    assert_eq!(
        switch.connections().await.unwrap_err().kind(),
        ErrorKind::Timeout
    );
    assert!(begun.elapsed() <= deadline + Duration::from_millis(100));
    // The stream ends in the middle of a change.
    script.inject(0, LinkFault::Delay(deadline / 2));
    let cut = async {
        tokio::time::sleep(deadline / 4).await;
        server.abort();
    };
    let (error, ()) = tokio::join!(switch.apply(&plan), cut);
    let error = error.unwrap_err();
    assert_eq!(
        (error.kind(), error.effect()),
        (
            ErrorKind::Transport(TransportFault::HungUp),
            Effect::Unknown
        ),
        "{error}"
    );
    let later = switch.connections().await.unwrap_err();
    assert_eq!(later.kind(), ErrorKind::Transport(TransportFault::HungUp));
}

#[tokio::test(start_paused = true)]
async fn a_layer_counts_each_call_of_every_handle() {
    let counting = Arc::new(Counting::default());
    let (device, _memory) = open("polatis-16x16", OpenContext::new()).await;
    let (before, switch) = (device.device(), device.switch().unwrap());
    let device = device.with_layer(counting.clone());
    before.health().await.unwrap();
    switch.connections().await.unwrap();
    device.switch().unwrap().connections().await.unwrap();
    let expected = [(Operation::Health, 1), (Operation::Connections, 2)];
    assert_eq!(counting.calls(), expected.into());
    let lines = include_str!("../src/counting.rs").lines().count();
    assert!(lines < 30, "{lines} lines");
}

/// A frame with secret parts that are empty.
fn frame(message: &Value, secrets: u32) -> Vec<u8> {
    let json = message.to_string();
    let length = u32::try_from(json.len()).unwrap();
    let mut frame = length.to_be_bytes().to_vec();
    frame.extend(json.as_bytes());
    frame.extend(secrets.to_be_bytes());
    (0..secrets).for_each(|_| frame.extend([0; 4]));
    frame
}

/// Lets no call pass, and counts them.
#[derive(Default)]
struct Closed(AtomicUsize);

#[async_trait::async_trait]
impl Layer for Closed {
    async fn before(&self, _: &Call<'_>) -> Result<()> {
        self.0.fetch_add(1, Ordering::Relaxed);
        std::future::pending().await
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_repeats_an_id_and_does_not_read_has_few_calls() {
    let closed = Arc::new(Closed::default());
    let (device, _memory) = open("polatis-16x16", OpenContext::new()).await;
    let device = device.with_layer(Arc::clone(&closed) as _);
    let (mut near, far) = tokio::io::duplex(1 << 16);
    tokio::spawn(serve(device, far, Protection::None));
    let call = json!({"Call": {"id": 1, "request": {"operation": "health"}}});
    let call = frame(&call, 0);
    let flood = async {
        for _ in 0..10_000 {
            near.write_all(&call).await.unwrap();
        }
    };
    let sent = timeout(Duration::from_secs(60), flood).await;
    assert!(sent.is_err(), "the server has read all calls");
    assert_eq!(closed.0.load(Ordering::Relaxed), 64);
}

/// A random source that gives as much as it is asked for.
struct Endless;

#[async_trait::async_trait]
impl Caller for Endless {
    async fn call(&self, request: &Request<'_>) -> Result<Outcome> {
        let Request::Random { length } = request else {
            panic!("{request}");
        };
        let bytes = vec![7; *length].into();
        Ok(Outcome::Random(RandomBytes::Present(bytes)))
    }
    fn events(&self) -> EventStream {
        EventStream::ended()
    }
    async fn close(&self) -> Result<()> {
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn an_outcome_that_no_frame_can_hold_is_an_error_at_once() {
    let (switch, _memory) = open("polatis-16x16", OpenContext::new()).await;
    let mut declarations = switch.declarations();
    declarations.capabilities = Capabilities::none().with(&[Operation::Random]);
    declarations.random = Some(RandomCapabilities::default().with_max_request(4 << 20));
    let device = OpenedDevice::from_caller(&declarations, Arc::new(Endless));
    let (proxied, _client) = through_proxy(device, Protection::Memory).await;
    let source = proxied.random().unwrap();
    assert_eq!(source.random(1 << 20).await.unwrap().len(), 1 << 20);
    let begun = Instant::now();
    let error = source.random(2 << 20).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.effect()),
        (
            ErrorKind::Transport(TransportFault::Overrun),
            Effect::Unknown
        ),
        "{error}"
    );
    assert!(begun.elapsed() < Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn a_server_that_lies_stops_no_reader_and_fills_no_memory() {
    let (device, _memory) = open("polatis-16x16", OpenContext::new()).await;
    let (near, mut far) = tokio::io::duplex(1 << 16);
    let hello = json!({"Hello": {
        "declarations": device.declarations(), "identity": null, "next_event": u64::MAX - 1,
    }});
    let event = |sequence: u64| {
        let at = "2026-01-31T12:00:00Z";
        json!({"Event": {"sequence": sequence, "at": at, "origin": "device", "what": "restarted"}})
    };
    let keys: Vec<Value> = (0..1000)
        .map(|n| json!({"id": format!("{n:04x}"), "size_bits": 0}))
        .collect();
    let keys = json!({"Return": {"id": 7, "result": {"Ok": {"outcome": "keys", "value": keys}}}});
    tokio::spawn(async move {
        far.write_all(&frame(&hello, 0)).await.unwrap();
        for sequence in [u64::MAX, u64::MAX - 1, u64::MAX] {
            far.write_all(&frame(&event(sequence), 0)).await.unwrap();
        }
        // Keys without a request.
        let keys = frame(&keys, 1000);
        for _ in 0..100 {
            let _ = far.write_all(&keys).await;
        }
    });
    let (proxied, client) = connect(near, Protection::Memory).await.unwrap();
    let mut events = proxied.device().events();
    let mut next = async || {
        timeout(Duration::from_secs(60), events.next())
            .await
            .unwrap()
    };
    assert!(matches!(next().await, Some(StreamItem::Event(e)) if e.sequence == u64::MAX - 1));
    assert_eq!(next().await, None, "the client ends the stream");
    assert!(client.lost_keys().len() < 20_000);
    let error = proxied.device().health().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Transport(TransportFault::HungUp));
}
