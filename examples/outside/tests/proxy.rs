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
    hal::{Effect, ErrorKind, Key, KeyId, Operation, StreamItem, TransportFault, event::EventKind},
};
use std::{
    collections::BTreeMap,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::time::Instant;

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
