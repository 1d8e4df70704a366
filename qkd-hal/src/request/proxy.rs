//! Handles of a device that is reached by requests.

use super::{Answer, Caller, Request};
use crate::{
    Capabilities, Declarations, Descriptor, Device, Effect, Encryptor, EventStream, Health,
    Identity, Key, KeyId, QkdModule, RandomSource, Result,
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

/// A device that is reached by requests: what it declares, and what answers them. All its handles
/// share one.
pub struct ProxyDevice {
    descriptor: Descriptor,
    capabilities: Capabilities,
    parameters: Vec<ParameterSpec>,
    caller: Arc<dyn Caller>,
}

impl ProxyDevice {
    /// Creates the device that declares these and whose requests `caller` answers.
    #[must_use]
    pub fn new(declarations: &Declarations, caller: Arc<dyn Caller>) -> Self {
        Self {
            descriptor: declarations.descriptor.clone(),
            capabilities: declarations.capabilities.clone(),
            parameters: declarations.parameters.clone(),
            caller,
        }
    }
}

/// A handle whose methods are requests.
///
/// `D` is what a device of one kind declares: a `Proxy<EncryptorCapabilities>` is an [`Encryptor`],
/// a `Proxy<SwitchCapabilities>` is an `OpticalSwitch`, a `Proxy<()>` is a [`Device`] and no more.
pub struct Proxy<D> {
    device: Arc<ProxyDevice>,
    declared: D,
}

impl<D> Proxy<D> {
    /// Creates the handle of one kind.
    #[must_use]
    pub fn new(device: Arc<ProxyDevice>, declared: D) -> Self {
        Self { device, declared }
    }
    /// Returns what the device declares as one of this kind.
    #[must_use]
    pub fn declared(&self) -> &D {
        &self.declared
    }
    /// Makes a call and takes its value out of the outcome.
    ///
    /// # Errors
    /// Those of [`Caller::call`] and [`Answer::from_outcome`]. If the request changes the device,
    /// an outcome of another operation has effect `Unknown`.
    pub async fn ask<T: Answer>(&self, request: Request<'_>) -> Result<T> {
        let effect = request.operation().effect_without_answer();
        let outcome = self.device.caller.call(&request).await?;
        T::from_outcome(outcome).map_err(|error| match error.effect() {
            Effect::None => error.with_effect(effect),
            _ => error,
        })
    }
}

#[async_trait]
impl<D: Send + Sync> Device for Proxy<D> {
    fn descriptor(&self) -> &Descriptor {
        &self.device.descriptor
    }
    fn capabilities(&self) -> &Capabilities {
        &self.device.capabilities
    }
    async fn identity(&self) -> Result<Identity> {
        self.ask(Request::Identity).await
    }
    async fn health(&self) -> Result<Health> {
        self.ask(Request::Health).await
    }
    async fn telemetry(&self) -> Result<Vec<Reading>> {
        self.ask(Request::Telemetry).await
    }
    fn parameters(&self) -> &[ParameterSpec] {
        &self.device.parameters
    }
    async fn parameter(&self, name: &str) -> Result<ParameterValue> {
        let name = Cow::Borrowed(name);
        self.ask(Request::GetParameter { name }).await
    }
    async fn set_parameter(&self, name: &str, value: &ParameterValue) -> Result<()> {
        let (name, value) = (Cow::Borrowed(name), Cow::Borrowed(value));
        self.ask(Request::SetParameter { name, value }).await
    }
    fn events(&self) -> EventStream {
        self.device.caller.events()
    }
    async fn close(&self) -> Result<()> {
        self.device.caller.close().await
    }
}

#[async_trait]
impl QkdModule for Proxy<QkdCapabilities> {
    fn qkd_capabilities(&self) -> &QkdCapabilities {
        &self.declared
    }
    async fn status(&self) -> Result<ModuleStatus> {
        self.ask(Request::ModuleStatus).await
    }
    async fn performance(&self) -> Result<Performance> {
        self.ask(Request::Performance).await
    }
    async fn key_store(&self) -> Result<KeyStore> {
        self.ask(Request::KeyStore).await
    }
    async fn start(&self) -> Result<()> {
        self.ask(Request::Start).await
    }
    async fn stop(&self) -> Result<()> {
        self.ask(Request::Stop).await
    }
    async fn calibrate(&self) -> Result<()> {
        self.ask(Request::Calibrate).await
    }
    async fn take_keys(&self, request: &KeyRequest) -> Result<Vec<Key>> {
        let request = Cow::Borrowed(request);
        self.ask(Request::TakeKeys { request }).await
    }
    async fn take_keys_by_id(&self, ids: &[KeyId]) -> Result<Vec<Key>> {
        let ids = Cow::Borrowed(ids);
        self.ask(Request::TakeKeysById { ids }).await
    }
}

#[async_trait]
impl Encryptor for Proxy<EncryptorCapabilities> {
    fn encryptor_capabilities(&self) -> &EncryptorCapabilities {
        &self.declared
    }
    async fn channels(&self) -> Result<Vec<ChannelId>> {
        self.ask(Request::Channels).await
    }
    async fn channel(&self, channel: &ChannelId) -> Result<ChannelStatus> {
        let channel = Cow::Borrowed(channel);
        self.ask(Request::Channel { channel }).await
    }
    async fn stage(&self, channel: &ChannelId, key: &Key) -> Result<Staged> {
        let (channel, key) = (Cow::Borrowed(channel), key.into());
        self.ask(Request::Stage { channel, key }).await
    }
    async fn activate(&self, staged: &Staged) -> Result<()> {
        let staged = Cow::Borrowed(staged);
        self.ask(Request::Activate { staged }).await
    }
    async fn confirm(&self, staged: &Staged, longest: Duration) -> Result<Confirmation> {
        let staged = Cow::Borrowed(staged);
        self.ask(Request::Confirm { staged, longest }).await
    }
    async fn retire(&self, confirmed: &Confirmed) -> Result<()> {
        let confirmed = Cow::Borrowed(confirmed);
        self.ask(Request::Retire { confirmed }).await
    }
    async fn zeroize(&self, channel: &ChannelId) -> Result<()> {
        let channel = Cow::Borrowed(channel);
        self.ask(Request::Zeroize { channel }).await
    }
    async fn set_encryption(&self, channel: &ChannelId, on: bool) -> Result<()> {
        let channel = Cow::Borrowed(channel);
        self.ask(Request::SetEncryption { channel, on }).await
    }
    async fn counters(&self, channel: &ChannelId) -> Result<TrafficCounters> {
        let channel = Cow::Borrowed(channel);
        self.ask(Request::Counters { channel }).await
    }
}

#[async_trait]
impl RandomSource for Proxy<RandomCapabilities> {
    fn random_capabilities(&self) -> &RandomCapabilities {
        &self.declared
    }
    async fn random(&self, length: usize) -> Result<Zeroizing<Vec<u8>>> {
        self.ask(Request::Random { length }).await
    }
}
