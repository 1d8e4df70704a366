//! Tests of the check, with a fake module.

use super::{delivered::Delivered, *};
use crate::{
    Assumption, DeviceKind, DeviceMisbehaved, Effect, ErrorKind, Maturity, Operation,
    qkd::{ModuleState, Role},
    reading::Measured,
    units::{Bits, Ratio},
};
use futures::executor::block_on;
use std::sync::atomic::{AtomicUsize, Ordering};

const ASSUMED: &[Assumption] = &[Assumption::declare("fake.start", "Start starts.")
    .source("none")
    .disproof("it does not")
    .operations(&[Operation::Start, Operation::Stop])];

/// A module that returns prepared results and counts the calls that reach it.
struct Fake {
    descriptor: Descriptor,
    capabilities: Capabilities,
    qkd: QkdCapabilities,
    ids: Vec<u8>,
    size: usize,
    qber: f64,
    reached: AtomicUsize,
}

impl Fake {
    fn new(accepted: &[&str]) -> Self {
        Self {
            descriptor: Descriptor::new("fake", "fake+mem://x", Maturity::Emulated)
                .with_kinds(&[DeviceKind::QkdModule])
                .with_assumptions(ASSUMED, accepted.iter().map(|s| (*s).to_owned())),
            capabilities: Capabilities::none().with(&[
                Operation::Start,
                Operation::TakeKeys,
                Operation::TakeKeysById,
                Operation::Performance,
            ]),
            qkd: QkdCapabilities::new(Role::Transmitter),
            ids: vec![1, 2],
            size: 32,
            qber: 0.02,
            reached: AtomicUsize::new(0),
        }
    }
    fn checked(self) -> Checked<Self> {
        let call_guard = Arc::new(CallGuard::new(&self.descriptor, &self.capabilities));
        Checked::new(Arc::new(self), call_guard)
    }
    fn keys(&self) -> Vec<Key> {
        self.reached.fetch_add(1, Ordering::Relaxed);
        self.ids
            .iter()
            .map(|id| {
                Key::new(
                    KeyId::from_bytes(&[*id]).unwrap(),
                    Zeroizing::new(vec![*id; self.size]),
                )
            })
            .collect()
    }
}

#[async_trait]
impl Device for Fake {
    fn descriptor(&self) -> &Descriptor {
        &self.descriptor
    }
    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }
    async fn identity(&self) -> Result<Identity> {
        self.reached.fetch_add(1, Ordering::Relaxed);
        Ok(Identity::new("fake"))
    }
    async fn health(&self) -> Result<Health> {
        Ok(Health::ok())
    }
    fn events(&self) -> EventStream {
        EventStream::ended()
    }
    async fn close(&self) -> Result<()> {
        self.reached.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}

#[async_trait]
impl QkdModule for Fake {
    fn qkd_capabilities(&self) -> &QkdCapabilities {
        &self.qkd
    }
    async fn status(&self) -> Result<ModuleStatus> {
        Ok(ModuleStatus::new(
            ModuleState::Generating,
            Role::Transmitter,
        ))
    }
    async fn performance(&self) -> Result<Performance> {
        Ok(Performance {
            qber: Some(Measured::now(Ratio(self.qber))),
            ..Performance::default()
        })
    }
    async fn start(&self) -> Result<()> {
        self.reached.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
    async fn take_keys(&self, _: &KeyRequest) -> Result<Vec<Key>> {
        Ok(self.keys())
    }
    async fn take_keys_by_id(&self, _: &[KeyId]) -> Result<Vec<Key>> {
        Ok(self.keys())
    }
}

fn reached(handle: &Checked<Fake>) -> usize {
    handle.inner().reached.load(Ordering::Relaxed)
}

#[test]
fn undeclared_unaccepted_and_closed_never_reach_the_driver() {
    let handle = Fake::new(&[]).checked();
    assert_eq!(
        block_on(handle.identity()).unwrap_err().kind(),
        ErrorKind::Unsupported
    );
    let error = block_on(handle.start()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AssumptionNotAccepted);
    assert!(error.message().contains("assume=fake.start"));
    assert_eq!(reached(&handle), 0);
    block_on(handle.close()).unwrap();
    block_on(handle.close()).unwrap();
    assert_eq!(
        block_on(handle.take_keys(&KeyRequest::new(2)))
            .unwrap_err()
            .kind(),
        ErrorKind::Closed
    );
    assert_eq!(reached(&handle), 1);
    let handle = Fake::new(&["fake.start"]).checked();
    block_on(handle.start()).unwrap();
    assert_eq!(reached(&handle), 1);
}

#[test]
fn undeclared_reads_can_be_allowed_and_undeclared_changes_cannot() {
    let mut fake = Fake::new(&["fake.start"]);
    fake.capabilities = Capabilities::none();
    let handle = fake.checked();
    assert_eq!(
        block_on(handle.identity()).unwrap_err().kind(),
        ErrorKind::Unsupported
    );
    handle.call_guard().allow_undeclared_reads();
    block_on(handle.identity()).unwrap();
    assert_eq!(reached(&handle), 1);
    assert_eq!(
        block_on(handle.start()).unwrap_err().kind(),
        ErrorKind::Unsupported
    );
    assert_eq!(
        block_on(handle.take_keys(&KeyRequest::new(2)))
            .unwrap_err()
            .kind(),
        ErrorKind::Unsupported
    );
    block_on(handle.close()).unwrap();
    assert_eq!(
        block_on(handle.identity()).unwrap_err().kind(),
        ErrorKind::Closed
    );
    assert_eq!(reached(&handle), 2);
}

#[test]
fn no_key_is_delivered_twice() {
    let handle = Fake::new(&[]).checked();
    assert_eq!(
        block_on(handle.take_keys(&KeyRequest::new(2).with_size(Bits(256))))
            .unwrap()
            .len(),
        2
    );
    let error = block_on(handle.take_keys(&KeyRequest::new(2))).unwrap_err();
    assert_eq!(
        error.kind(),
        ErrorKind::Misbehaved(DeviceMisbehaved::KeyIdReused)
    );
    assert_eq!(error.effect(), Effect::Unknown);
    let id = |b: u8| KeyId::from_bytes(&[b]).unwrap();
    assert_eq!(
        block_on(handle.take_keys_by_id(&[id(1), id(2)]))
            .unwrap_err()
            .kind(),
        ErrorKind::Misbehaved(DeviceMisbehaved::KeyIdReused)
    );
}

#[test]
fn a_reply_must_match_its_request() {
    let mut short = Fake::new(&[]);
    short.size = 16;
    let kind =
        |handle: &Checked<Fake>, request| block_on(handle.take_keys(&request)).unwrap_err().kind();
    assert_eq!(
        kind(&short.checked(), KeyRequest::new(2).with_size(Bits(256))),
        ErrorKind::Misbehaved(DeviceMisbehaved::WrongKeySize)
    );
    let handle = Fake::new(&[]).checked();
    assert_eq!(
        kind(&handle, KeyRequest::new(3)),
        ErrorKind::Misbehaved(DeviceMisbehaved::WrongKeyCount)
    );
    assert_eq!(kind(&handle, KeyRequest::new(0)), ErrorKind::InvalidInput);
    assert_eq!(
        kind(&handle, KeyRequest::new(1).with_size(Bits(129))),
        ErrorKind::InvalidInput
    );
    let id = |b: u8| KeyId::from_bytes(&[b]).unwrap();
    assert_eq!(
        block_on(handle.take_keys_by_id(&[id(7), id(7)]))
            .unwrap_err()
            .kind(),
        ErrorKind::InvalidInput
    );
    assert_eq!(
        block_on(handle.take_keys_by_id(&[id(2), id(1)]))
            .unwrap_err()
            .kind(),
        ErrorKind::Misbehaved(DeviceMisbehaved::WrongKeyCount)
    );
    let mut wild = Fake::new(&[]);
    wild.qber = 1.5;
    assert_eq!(
        block_on(wild.checked().performance()).unwrap_err().kind(),
        ErrorKind::Misbehaved(DeviceMisbehaved::QberOutOfRange)
    );
}

#[test]
fn the_window_of_ids_moves() {
    let mut delivered = Delivered::default();
    let id = |n: u32| KeyId::from_bytes(&n.to_be_bytes()).unwrap();
    #[expect(clippy::cast_possible_truncation)]
    let window = Delivered::WINDOW as u32;
    for n in 0..=window {
        assert!(delivered.is_new(&id(n)));
    }
    assert!(!delivered.is_new(&id(1)) && delivered.is_new(&id(0)));
    assert_eq!(delivered.seen.len(), Delivered::WINDOW);
}
