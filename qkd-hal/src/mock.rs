//! `mockall` mocks of the traits, for the unit tests of those who link them. See
//! `examples/mocked_controller.rs`.

#![allow(missing_docs, reason = "made by a macro")]

use crate::{
    Capabilities, Descriptor, Device, Encryptor, EventStream, Health, Identity, Key, KeyId,
    QkdModule, RandomSource, Result,
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
use mockall::mock;
use zeroize::Zeroizing;

mock! {
    pub QkdModule {}
    #[async_trait]
    impl Device for QkdModule {
        fn descriptor(&self) -> &Descriptor;
        fn capabilities(&self) -> &Capabilities;
        async fn identity(&self) -> Result<Identity>;
        async fn health(&self) -> Result<Health>;
        async fn telemetry(&self) -> Result<Vec<Reading>>;
        fn parameters(&self) -> &[ParameterSpec];
        async fn parameter(&self, name: &str) -> Result<ParameterValue>;
        async fn set_parameter(&self, name: &str, value: &ParameterValue) -> Result<()>;
        fn events(&self) -> EventStream;
        async fn close(&self) -> Result<()>;
    }
    #[async_trait]
    impl QkdModule for QkdModule {
        fn qkd_capabilities(&self) -> &QkdCapabilities;
        async fn status(&self) -> Result<ModuleStatus>;
        async fn performance(&self) -> Result<Performance>;
        async fn key_store(&self) -> Result<KeyStore>;
        async fn start(&self) -> Result<()>;
        async fn stop(&self) -> Result<()>;
        async fn calibrate(&self) -> Result<()>;
        async fn take_keys(&self, request: &KeyRequest) -> Result<Vec<Key>>;
        async fn take_keys_by_id(&self, ids: &[KeyId]) -> Result<Vec<Key>>;
    }
}

mock! {
    pub Encryptor {}
    #[async_trait]
    impl Device for Encryptor {
        fn descriptor(&self) -> &Descriptor;
        fn capabilities(&self) -> &Capabilities;
        async fn identity(&self) -> Result<Identity>;
        async fn health(&self) -> Result<Health>;
        async fn telemetry(&self) -> Result<Vec<Reading>>;
        fn parameters(&self) -> &[ParameterSpec];
        async fn parameter(&self, name: &str) -> Result<ParameterValue>;
        async fn set_parameter(&self, name: &str, value: &ParameterValue) -> Result<()>;
        fn events(&self) -> EventStream;
        async fn close(&self) -> Result<()>;
    }
    #[async_trait]
    impl Encryptor for Encryptor {
        fn encryptor_capabilities(&self) -> &EncryptorCapabilities;
        async fn channels(&self) -> Result<Vec<ChannelId>>;
        async fn channel(&self, channel: &ChannelId) -> Result<ChannelStatus>;
        async fn stage(&self, channel: &ChannelId, key: &Key) -> Result<Staged>;
        async fn activate(&self, staged: &Staged) -> Result<()>;
        async fn confirm(&self, staged: &Staged) -> Result<Confirmation>;
        async fn retire(&self, confirmed: &Confirmed) -> Result<()>;
        async fn zeroize(&self, channel: &ChannelId) -> Result<()>;
        async fn set_encryption(&self, channel: &ChannelId, on: bool) -> Result<()>;
        async fn counters(&self, channel: &ChannelId) -> Result<TrafficCounters>;
    }
}

mock! {
    pub RandomSource {}
    #[async_trait]
    impl Device for RandomSource {
        fn descriptor(&self) -> &Descriptor;
        fn capabilities(&self) -> &Capabilities;
        async fn identity(&self) -> Result<Identity>;
        async fn health(&self) -> Result<Health>;
        async fn telemetry(&self) -> Result<Vec<Reading>>;
        fn parameters(&self) -> &[ParameterSpec];
        async fn parameter(&self, name: &str) -> Result<ParameterValue>;
        async fn set_parameter(&self, name: &str, value: &ParameterValue) -> Result<()>;
        fn events(&self) -> EventStream;
        async fn close(&self) -> Result<()>;
    }
    #[async_trait]
    impl RandomSource for RandomSource {
        fn random_capabilities(&self) -> &RandomCapabilities;
        async fn random(&self, length: usize) -> Result<Zeroizing<Vec<u8>>>;
    }
}
