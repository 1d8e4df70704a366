//! Checks in front of every handle.
//!
//! The check is the innermost [layer](crate::layer) of a device, and cannot be taken away. Before
//! the driver sends anything, it refuses:
//!
//! - an operation outside the declared capabilities (`Unsupported`);
//! - a changing operation that rests on an assumption that was not accepted
//!   (`AssumptionNotAccepted`);
//! - a call after [`Device::close`] (`Closed`) or after another device has responded
//!   (`IdentityChanged`);
//! - arguments outside the declared ranges (`InvalidInput`).
//!
//! It also checks results. A key ID that was delivered before, a key of another size, a QBER
//! outside 0 to 1 and an answer about another port, channel, key or group than the requested one
//! are reported as misbehaviour of the device. Each operation runs in a `tracing` span with device,
//! operation and outcome.

mod answer;
mod arguments;
mod delivered;
mod guard;
mod seen;
#[cfg(test)]
mod tests;

pub use guard::CallGuard;

use crate::{
    Capabilities, Descriptor, Device, Encryptor, EventStream, Health, Identity, Key, KeyId,
    QkdModule, RandomSource, Request, Result,
    encryptor::{
        ChannelId, ChannelStatus, Confirmation, Confirmed, EncryptorCapabilities, Staged,
        TrafficCounters,
    },
    parameter::{ParameterSpec, ParameterValue},
    qkd::{KeyRequest, KeyStore, ModuleStatus, Performance, QkdCapabilities},
    random::RandomCapabilities,
    reading::Reading,
};
use async_trait::async_trait;
use std::{borrow::Cow, sync::Arc, time::Duration};
use zeroize::Zeroizing;

/// A handle with its check and its layers.
pub struct Checked<T: ?Sized> {
    /// The unchecked handle.
    inner: Arc<T>,
    call_guard: Arc<CallGuard>,
}

impl<T: ?Sized> Checked<T> {
    /// Wraps `inner` in the checks and the layers of `call_guard`.
    #[must_use]
    pub fn new(inner: Arc<T>, call_guard: Arc<CallGuard>) -> Self {
        Self { inner, call_guard }
    }
    /// Returns the guard, for the checked handles of other contracts.
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

/// The check of a request whose arguments only the driver can check.
///
/// # Errors
/// None.
pub fn no_arguments(_: &Request<'_>) -> Result<()> {
    Ok(())
}

#[async_trait]
impl<T: Device + ?Sized> Device for Checked<T> {
    fn descriptor(&self) -> &Descriptor {
        self.inner.descriptor()
    }
    fn capabilities(&self) -> &Capabilities {
        self.inner.capabilities()
    }
    fn parameters(&self) -> &[ParameterSpec] {
        self.inner.parameters()
    }
    fn events(&self) -> EventStream {
        self.inner.events()
    }
    async fn identity(&self) -> Result<Identity> {
        let call = self.inner.identity();
        self.call_guard
            .run(&Request::Identity, no_arguments, call)
            .await
    }
    async fn health(&self) -> Result<Health> {
        let call = self.inner.health();
        self.call_guard
            .run(&Request::Health, no_arguments, call)
            .await
    }
    async fn telemetry(&self) -> Result<Vec<Reading>> {
        let call = self.inner.telemetry();
        self.call_guard
            .run(&Request::Telemetry, no_arguments, call)
            .await
    }
    async fn parameter(&self, name: &str) -> Result<ParameterValue> {
        let call = self.inner.parameter(name);
        let request = Request::GetParameter { name: name.into() };
        self.call_guard
            .run(&request, |r| arguments::of_device(&*self.inner, r), call)
            .await
    }
    async fn set_parameter(&self, name: &str, value: &ParameterValue) -> Result<()> {
        let call = self.inner.set_parameter(name, value);
        let request = Request::SetParameter {
            name: name.into(),
            value: Cow::Borrowed(value),
        };
        self.call_guard
            .run(&request, |r| arguments::of_device(&*self.inner, r), call)
            .await
    }
    async fn close(&self) -> Result<()> {
        if self.call_guard.close() {
            return Ok(());
        }
        let closed = self.inner.close().await;
        self.call_guard.note_ended();
        closed
    }
}

#[async_trait]
impl<T: QkdModule + ?Sized> QkdModule for Checked<T> {
    fn qkd_capabilities(&self) -> &QkdCapabilities {
        self.inner.qkd_capabilities()
    }
    async fn status(&self) -> Result<ModuleStatus> {
        let call = self.inner.status();
        self.call_guard
            .run(&Request::ModuleStatus, no_arguments, call)
            .await
    }
    async fn performance(&self) -> Result<Performance> {
        let call = self.inner.performance();
        self.call_guard
            .run(&Request::Performance, no_arguments, call)
            .await
    }
    async fn key_store(&self) -> Result<KeyStore> {
        let call = self.inner.key_store();
        self.call_guard
            .run(&Request::KeyStore, no_arguments, call)
            .await
    }
    async fn start(&self) -> Result<()> {
        let call = self.inner.start();
        self.call_guard
            .run(&Request::Start, no_arguments, call)
            .await
    }
    async fn stop(&self) -> Result<()> {
        let call = self.inner.stop();
        self.call_guard
            .run(&Request::Stop, no_arguments, call)
            .await
    }
    async fn calibrate(&self) -> Result<()> {
        let call = self.inner.calibrate();
        self.call_guard
            .run(&Request::Calibrate, no_arguments, call)
            .await
    }
    async fn take_keys(&self, request: &KeyRequest) -> Result<Vec<Key>> {
        let call = self.inner.take_keys(request);
        let request = Request::TakeKeys {
            request: Cow::Borrowed(request),
        };
        self.call_guard
            .run(&request, arguments::of_module, call)
            .await
    }
    async fn take_keys_by_id(&self, ids: &[KeyId]) -> Result<Vec<Key>> {
        let call = self.inner.take_keys_by_id(ids);
        let request = Request::TakeKeysById { ids: ids.into() };
        self.call_guard
            .run(&request, arguments::of_module, call)
            .await
    }
}

#[async_trait]
impl<T: Encryptor + ?Sized> Encryptor for Checked<T> {
    fn encryptor_capabilities(&self) -> &EncryptorCapabilities {
        self.inner.encryptor_capabilities()
    }
    async fn channels(&self) -> Result<Vec<ChannelId>> {
        let call = self.inner.channels();
        self.call_guard
            .run(&Request::Channels, no_arguments, call)
            .await
    }
    async fn channel(&self, channel: &ChannelId) -> Result<ChannelStatus> {
        let call = self.inner.channel(channel);
        let request = Request::Channel {
            channel: Cow::Borrowed(channel),
        };
        self.call_guard.run(&request, no_arguments, call).await
    }
    async fn stage(&self, channel: &ChannelId, key: &Key) -> Result<Staged> {
        let call = self.inner.stage(channel, key);
        let request = Request::Stage {
            channel: Cow::Borrowed(channel),
            key: key.into(),
        };
        self.call_guard
            .run(&request, |r| arguments::of_encryptor(&*self.inner, r), call)
            .await
    }
    async fn activate(&self, staged: &Staged) -> Result<()> {
        let call = self.inner.activate(staged);
        let request = Request::Activate {
            staged: Cow::Borrowed(staged),
        };
        self.call_guard.run(&request, no_arguments, call).await
    }
    async fn confirm(&self, staged: &Staged, longest: Duration) -> Result<Confirmation> {
        let call = self.inner.confirm(staged, longest);
        let request = Request::Confirm {
            staged: Cow::Borrowed(staged),
            longest,
        };
        self.call_guard.run(&request, no_arguments, call).await
    }
    async fn retire(&self, confirmed: &Confirmed) -> Result<()> {
        let call = self.inner.retire(confirmed);
        let request = Request::Retire {
            confirmed: Cow::Borrowed(confirmed),
        };
        self.call_guard.run(&request, no_arguments, call).await
    }
    async fn zeroize(&self, channel: &ChannelId) -> Result<()> {
        let call = self.inner.zeroize(channel);
        let request = Request::Zeroize {
            channel: Cow::Borrowed(channel),
        };
        self.call_guard.run(&request, no_arguments, call).await
    }
    async fn set_encryption(&self, channel: &ChannelId, on: bool) -> Result<()> {
        let call = self.inner.set_encryption(channel, on);
        let request = Request::SetEncryption {
            channel: Cow::Borrowed(channel),
            on,
        };
        self.call_guard.run(&request, no_arguments, call).await
    }
    async fn counters(&self, channel: &ChannelId) -> Result<TrafficCounters> {
        let call = self.inner.counters(channel);
        let request = Request::Counters {
            channel: Cow::Borrowed(channel),
        };
        self.call_guard.run(&request, no_arguments, call).await
    }
}

#[async_trait]
impl<T: RandomSource + ?Sized> RandomSource for Checked<T> {
    fn random_capabilities(&self) -> &RandomCapabilities {
        self.inner.random_capabilities()
    }
    async fn random(&self, length: usize) -> Result<Zeroizing<Vec<u8>>> {
        let call = self.inner.random(length);
        let request = Request::Random { length };
        self.call_guard
            .run(&request, |r| arguments::of_random(&*self.inner, r), call)
            .await
    }
}
