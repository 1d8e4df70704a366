//! Checks in front of every handle.
//!
//! Before the driver sends anything, the check refuses:
//!
//! - an operation outside the declared capabilities (`Unsupported`);
//! - a changing operation that rests on an assumption that was not accepted
//!   (`AssumptionNotAccepted`);
//! - a call after [`Device::close`] (`Closed`) or after another device has responded
//!   (`IdentityChanged`);
//! - arguments outside the declared ranges (`InvalidInput`).
//!
//! It also checks results. A key ID that was delivered before, a key of another size and a QBER
//! outside 0 to 1 are reported as misbehaviour of the device. Each operation runs in a `tracing`
//! span with device, operation and outcome.

use crate::{
    Assumption, Capabilities, Descriptor, Device, DeviceMisbehaved, Effect, Encryptor, Error,
    ErrorKind, EventStream, Health, Identity, Key, KeyId, Operation, QkdModule, RandomSource,
    Result, Support,
    encryptor::{
        ChannelId, ChannelStatus, Confirmation, Confirmed, EncryptorCapabilities, Staged,
        TrafficCounters,
    },
    parameter::{self, ParameterSpec, ParameterValue},
    qkd::{KeyRequest, KeyStore, ModuleStatus, Performance, QkdCapabilities},
    random::RandomCapabilities,
    reading::Reading,
};
use async_trait::async_trait;
use std::{
    collections::{HashSet, VecDeque, hash_map::RandomState},
    future::Future,
    hash::BuildHasher,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};
use tracing::Instrument;
use zeroize::Zeroizing;

#[derive(Debug, Clone, Copy)]
enum Admission {
    Open,
    Unsupported,
    Unaccepted(&'static Assumption),
}

#[derive(Debug, Default)]
struct Known {
    first: Option<Identity>,
    replaced: Option<String>,
}

/// Decides which operations of a device may run. All handles of one opened device share it.
#[derive(Debug)]
pub struct CallGuard {
    device: String,
    verdicts: [Admission; Operation::ALL.len()],
    closed: AtomicBool,
    /// The identity that responded first and, after another device has responded, the error for
    /// every later call.
    known: Mutex<Known>,
    undeclared_reads: AtomicBool,
    delivered: Mutex<Delivered>,
    /// The first assumption for which an operation was refused.
    refused_for: OnceLock<&'static Assumption>,
}

impl CallGuard {
    /// Creates the guard of a device that declares these.
    #[must_use]
    pub fn new(descriptor: &Descriptor, capabilities: &Capabilities) -> Self {
        let mut verdicts = [Admission::Unsupported; Operation::ALL.len()];
        for op in Operation::ALL {
            verdicts[*op as usize] = match (
                capabilities.supports(*op),
                descriptor.blocking_assumption(*op),
            ) {
                (Support::Unsupported, _) => Admission::Unsupported,
                (_, Some(assumption)) if op.is_mutating() => Admission::Unaccepted(assumption),
                _ => Admission::Open,
            };
        }
        Self {
            device: descriptor.uri.clone(),
            verdicts,
            closed: AtomicBool::new(false),
            known: Mutex::default(),
            undeclared_reads: AtomicBool::new(false),
            refused_for: OnceLock::new(),
            delivered: Mutex::default(),
        }
    }

    /// Sets the reference identity for later identity checks. Without it, the first identity that
    /// responds is the reference.
    pub fn expect_identity(&self, opened: Identity) {
        self.known().first.get_or_insert(opened);
    }

    /// The identity with which later ones are compared; `None` before it is known.
    #[must_use]
    pub fn reference_identity(&self) -> Option<Identity> {
        self.known().first.clone()
    }

    /// From now on, an operation that the device does not declare and that changes nothing goes to
    /// the driver. For conformance suites, which find out whether a driver does more than it
    /// declares. An operation that changes the device never passes undeclared.
    pub fn allow_undeclared_reads(&self) {
        self.undeclared_reads.store(true, Ordering::Release);
    }

    /// Returns the first assumption for which an operation was refused; `None` if none was. A
    /// conformance suite uses it to distinguish a device that fails from one whose assumptions were
    /// not accepted.
    pub fn refused_for(&self) -> Option<&'static Assumption> {
        self.refused_for.get().copied()
    }

    /// Whether an operation may pass now.
    ///
    /// # Errors
    /// `Closed`, `Unsupported`, `AssumptionNotAccepted`.
    pub fn check(&self, operation: Operation) -> Result<()> {
        if self.closed.load(Ordering::Acquire) {
            return Err(self.refuse(
                operation,
                Error::new(ErrorKind::Closed, "the handle was closed"),
            ));
        }
        if let Some(why) = &self.known().replaced {
            return Err(self.refuse(
                operation,
                Error::new(ErrorKind::IdentityChanged, why.as_str()),
            ));
        }
        match self.verdicts[operation as usize] {
            Admission::Open => Ok(()),
            Admission::Unsupported
                if !operation.is_mutating() && self.undeclared_reads.load(Ordering::Acquire) =>
            {
                Ok(())
            }
            Admission::Unsupported => Err(self.refuse(
                operation,
                Error::new(
                    ErrorKind::Unsupported,
                    "this device does not declare the operation; nothing was sent",
                ),
            )),
            Admission::Unaccepted(a) => {
                let _ = self.refused_for.set(a);
                Err(self.refuse(
                    operation,
                    Error::new(
                        ErrorKind::AssumptionNotAccepted,
                        format!(
                            "it rests on the assumption `{}`: {} Accept it with assume={}",
                            a.id, a.statement, a.id
                        ),
                    ),
                ))
            }
        }
    }

    fn refuse(&self, operation: Operation, error: Error) -> Error {
        error
            .with_outer_operation(operation.name())
            .with_device(self.device.as_str())
    }

    /// Runs an operation that may pass, in its span; names operation and device in its error.
    ///
    /// # Errors
    /// As [`check`](Self::check), and the operation's own.
    pub async fn run<T>(
        &self,
        operation: Operation,
        call: impl Future<Output = Result<T>> + Send,
    ) -> Result<T> {
        self.check(operation)?;
        let span = tracing::info_span!(
            "device",
            device = self.device.as_str(),
            operation = operation.name(),
            outcome = tracing::field::Empty
        );
        let result = call.instrument(span.clone()).await;
        match result {
            Ok(value) => {
                span.record("outcome", "ok");
                Ok(value)
            }
            Err(error) => {
                span.record("outcome", error.kind().name());
                Err(self.refuse(operation, error))
            }
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Compares the responding identity with the reference identity. A different identity closes
    /// the handle for all operations.
    fn same(&self, found: Identity) -> Result<Identity> {
        let mut known = self.known();
        let first = known.first.get_or_insert_with(|| found.clone());
        if first.is_same_device(&found) {
            return Ok(found);
        }
        let why = format!("{first} was opened, and {found} answers now; the handle is closed");
        known.replaced = Some(why.clone());
        Err(Error::new(ErrorKind::IdentityChanged, why))
    }

    /// Closes the handle to everything if the driver itself found another device.
    fn note(&self, error: Error) -> Error {
        if error.kind() == ErrorKind::IdentityChanged {
            let why = format!("{}; the handle is closed", error.message());
            self.known().replaced.get_or_insert(why);
        }
        error
    }

    fn close(&self) -> bool {
        !self.closed.swap(true, Ordering::AcqRel)
    }
}

/// The ids of the last keys that went through, as 128-bit hashes under a random key.
#[derive(Debug, Default)]
struct Delivered {
    state: [RandomState; 2],
    seen: HashSet<u128>,
    order: VecDeque<u128>,
}

impl Delivered {
    /// Number of key IDs that are remembered to detect repeated delivery.
    const WINDOW: usize = 1 << 17;

    fn is_new(&mut self, id: &KeyId) -> bool {
        let hash =
            u128::from(self.state[0].hash_one(id)) << 64 | u128::from(self.state[1].hash_one(id));
        if !self.seen.insert(hash) {
            return false;
        }
        if self.order.len() == Self::WINDOW
            && let Some(oldest) = self.order.pop_front()
        {
            self.seen.remove(&oldest);
        }
        self.order.push_back(hash);
        true
    }
}

/// A handle with its check.
pub struct Checked<T: ?Sized> {
    /// The unchecked handle.
    inner: Arc<T>,
    call_guard: Arc<CallGuard>,
}

impl<T: ?Sized> Checked<T> {
    /// Wraps `inner` in the checks of `call_guard`.
    #[must_use]
    pub fn new(inner: Arc<T>, call_guard: Arc<CallGuard>) -> Self {
        Self { inner, call_guard }
    }
    /// The call_guard, for the checked handles of other contracts.
    #[must_use]
    pub fn call_guard(&self) -> &CallGuard {
        &self.call_guard
    }
    /// Returns the unchecked handle, for the checked handles of other contracts.
    #[must_use]
    pub fn inner(&self) -> &T {
        &self.inner
    }
}

#[async_trait]
impl<T: Device + ?Sized> Device for Checked<T> {
    fn descriptor(&self) -> &Descriptor {
        self.inner.descriptor()
    }
    fn capabilities(&self) -> &Capabilities {
        self.inner.capabilities()
    }
    async fn identity(&self) -> Result<Identity> {
        self.call_guard
            .run(Operation::Identity, async {
                match self.inner.identity().await {
                    Ok(found) => self.call_guard.same(found),
                    Err(error) => Err(self.call_guard.note(error)),
                }
            })
            .await
    }
    async fn health(&self) -> Result<Health> {
        self.call_guard
            .run(Operation::Health, self.inner.health())
            .await
    }
    async fn telemetry(&self) -> Result<Vec<Reading>> {
        let all = self
            .call_guard
            .run(Operation::Telemetry, self.inner.telemetry())
            .await?;
        Ok(all
            .into_iter()
            .map(Reading::within_physical_range)
            .collect())
    }
    fn parameters(&self) -> &[ParameterSpec] {
        self.inner.parameters()
    }
    async fn parameter(&self, name: &str) -> Result<ParameterValue> {
        self.call_guard
            .run(Operation::GetParameter, async {
                let spec = parameter::find(self.inner.parameters(), name)?;
                if !spec.readable {
                    return Err(Error::new(
                        ErrorKind::Unsupported,
                        format!("`{name}` can only be written"),
                    ));
                }
                self.inner.parameter(name).await
            })
            .await
    }
    async fn set_parameter(&self, name: &str, value: &ParameterValue) -> Result<()> {
        self.call_guard
            .run(Operation::SetParameter, async {
                let spec = parameter::find(self.inner.parameters(), name)?;
                if !spec.writable {
                    return Err(Error::new(
                        ErrorKind::Unsupported,
                        format!("`{name}` can only be read"),
                    ));
                }
                spec.check(value)?;
                self.inner.set_parameter(name, value).await
            })
            .await
    }
    fn events(&self) -> EventStream {
        self.inner.events()
    }
    async fn close(&self) -> Result<()> {
        if self.call_guard.close() {
            self.inner.close().await
        } else {
            Ok(())
        }
    }
}

fn void(what: DeviceMisbehaved, message: String) -> Error {
    Error::misbehaved(
        what,
        format!("{message}; the whole batch is void, and so are its twins"),
    )
    .with_effect(Effect::Unknown)
}

impl CallGuard {
    fn check_new_ids(&self, keys: &[Key]) -> Result<()> {
        let mut delivered = self
            .delivered
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        match keys.iter().find(|key| !delivered.is_new(key.id())) {
            None => Ok(()),
            Some(again) => Err(void(
                DeviceMisbehaved::KeyIdReused,
                format!("key id {} had been delivered before", again.id()),
            )),
        }
    }
}

#[async_trait]
impl<T: QkdModule + ?Sized> QkdModule for Checked<T> {
    fn qkd_capabilities(&self) -> &QkdCapabilities {
        self.inner.qkd_capabilities()
    }
    async fn status(&self) -> Result<ModuleStatus> {
        self.call_guard
            .run(Operation::ModuleStatus, self.inner.status())
            .await
    }
    async fn performance(&self) -> Result<Performance> {
        self.call_guard
            .run(Operation::Performance, async {
                let performance = self.inner.performance().await?;
                match &performance.qber {
                    Some(qber) if !(0.0..=1.0).contains(&qber.value.0) => Err(Error::misbehaved(
                        DeviceMisbehaved::QberOutOfRange,
                        format!(
                            "the device reports a QBER of {}, which is not within 0 to 1",
                            qber.value
                        ),
                    )),
                    _ => Ok(performance),
                }
            })
            .await
    }
    async fn key_store(&self) -> Result<KeyStore> {
        self.call_guard
            .run(Operation::KeyStore, self.inner.key_store())
            .await
    }
    async fn start(&self) -> Result<()> {
        self.call_guard
            .run(Operation::Start, self.inner.start())
            .await
    }
    async fn stop(&self) -> Result<()> {
        self.call_guard
            .run(Operation::Stop, self.inner.stop())
            .await
    }
    async fn calibrate(&self) -> Result<()> {
        self.call_guard
            .run(Operation::Calibrate, self.inner.calibrate())
            .await
    }
    async fn take_keys(&self, request: &KeyRequest) -> Result<Vec<Key>> {
        self.call_guard
            .run(Operation::TakeKeys, async {
                if request.count == 0 {
                    return Err(Error::invalid("0 keys were asked for; ask for at least 1"));
                }
                if let Some(size) = request.size
                    && (size.0 == 0 || size.to_bytes().is_none())
                {
                    return Err(Error::invalid(format!(
                        "a key of {size} was asked for; the size shall be a multiple of 8"
                    )));
                }
                let keys = self.inner.take_keys(request).await?;
                if keys.len() as u64 != u64::from(request.count) {
                    return Err(void(
                        DeviceMisbehaved::WrongKeyCount,
                        format!(
                            "{} keys were asked for and {} came",
                            request.count,
                            keys.len()
                        ),
                    ));
                }
                if let Some(size) = request.size
                    && let Some(other) = keys.iter().find(|key| key.size() != size)
                {
                    return Err(void(
                        DeviceMisbehaved::WrongKeySize,
                        format!(
                            "keys of {size} were asked for, and {} has {}",
                            other.id(),
                            other.size()
                        ),
                    ));
                }
                self.call_guard.check_new_ids(&keys)?;
                Ok(keys)
            })
            .await
    }
    async fn take_keys_by_id(&self, ids: &[KeyId]) -> Result<Vec<Key>> {
        self.call_guard
            .run(Operation::TakeKeysById, async {
                if ids.is_empty() {
                    return Err(Error::invalid("no key id was given"));
                }
                let mut asked = HashSet::with_capacity(ids.len());
                if let Some(twice) = ids.iter().find(|id| !asked.insert(*id)) {
                    return Err(Error::invalid(format!("key id {twice} is given twice")));
                }
                let keys = self.inner.take_keys_by_id(ids).await?;
                if !keys.iter().map(Key::id).eq(ids) {
                    return Err(void(
                        DeviceMisbehaved::WrongKeyCount,
                        "the keys that came are not those asked for".to_owned(),
                    ));
                }
                self.call_guard.check_new_ids(&keys)?;
                Ok(keys)
            })
            .await
    }
}

#[async_trait]
impl<T: Encryptor + ?Sized> Encryptor for Checked<T> {
    fn encryptor_capabilities(&self) -> &EncryptorCapabilities {
        self.inner.encryptor_capabilities()
    }
    async fn channels(&self) -> Result<Vec<ChannelId>> {
        self.call_guard
            .run(Operation::Channels, self.inner.channels())
            .await
    }
    async fn channel(&self, channel: &ChannelId) -> Result<ChannelStatus> {
        self.call_guard
            .run(Operation::Channel, self.inner.channel(channel))
            .await
    }
    async fn stage(&self, channel: &ChannelId, key: &Key) -> Result<Staged> {
        self.call_guard
            .run(Operation::Stage, async {
                let sizes = &self.inner.encryptor_capabilities().key_sizes;
                if !sizes.allow(key.size()) {
                    return Err(Error::invalid(format!(
                        "unsupported key size {}; this device accepts {sizes}",
                        key.size()
                    )));
                }
                // The name of a key in an encryptor is a CKN. Of a KME's id, longer tokens exist.
                if key.id().as_bytes().len() > KeyId::MAX {
                    return Err(Error::invalid(format!(
                        "key id `{}` has more than {} bytes, which no encryptor can store as the \
                         key's name; use a key with a shorter id",
                        key.id(),
                        KeyId::MAX
                    )));
                }
                self.inner.stage(channel, key).await
            })
            .await
    }
    async fn activate(&self, staged: &Staged) -> Result<()> {
        self.call_guard
            .run(Operation::Activate, self.inner.activate(staged))
            .await
    }
    async fn confirm(&self, staged: &Staged) -> Result<Confirmation> {
        self.call_guard
            .run(Operation::Confirm, self.inner.confirm(staged))
            .await
    }
    async fn retire(&self, confirmed: &Confirmed) -> Result<()> {
        self.call_guard
            .run(Operation::Retire, self.inner.retire(confirmed))
            .await
    }
    async fn zeroize(&self, channel: &ChannelId) -> Result<()> {
        self.call_guard
            .run(Operation::Zeroize, self.inner.zeroize(channel))
            .await
    }
    async fn set_encryption(&self, channel: &ChannelId, on: bool) -> Result<()> {
        self.call_guard
            .run(
                Operation::SetEncryption,
                self.inner.set_encryption(channel, on),
            )
            .await
    }
    async fn counters(&self, channel: &ChannelId) -> Result<TrafficCounters> {
        self.call_guard
            .run(Operation::Counters, self.inner.counters(channel))
            .await
    }
}

#[async_trait]
impl<T: RandomSource + ?Sized> RandomSource for Checked<T> {
    fn random_capabilities(&self) -> &RandomCapabilities {
        self.inner.random_capabilities()
    }
    async fn random(&self, length: usize) -> Result<Zeroizing<Vec<u8>>> {
        self.call_guard
            .run(Operation::Random, async {
                let most = self.inner.random_capabilities().max_request;
                if length == 0 || length > most {
                    return Err(Error::invalid(format!(
                        "{length} bytes were asked for; ask for 1 to {most}"
                    )));
                }
                let bytes = self.inner.random(length).await?;
                if bytes.len() == length {
                    Ok(bytes)
                } else {
                    Err(Error::new(
                        ErrorKind::Internal,
                        format!(
                            "{length} bytes were asked for and the driver gave {}",
                            bytes.len()
                        ),
                    ))
                }
            })
            .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        DeviceKind, Maturity,
        qkd::{ModuleState, Role},
        reading::Measured,
        units::{Bits, Ratio},
    };
    use futures::executor::block_on;
    use std::sync::atomic::AtomicUsize;

    const ASSUMED: &[Assumption] = &[Assumption {
        id: "fake.start",
        statement: "Start starts.",
        source: "none",
        disproof: "it does not",
        operations: &[Operation::Start, Operation::Stop],
    }];

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
        let kind = |handle: &Checked<Fake>, request| {
            block_on(handle.take_keys(&request)).unwrap_err().kind()
        };
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
}
