//! `mockall` mocks of the traits, for the unit tests of those who link them. See
//! `examples/mocked_controller.rs`.

#![allow(missing_docs, reason = "made by a macro")]

use crate::{
    Encryptor, Key, KeyId, QkdModule, RandomSource, Result,
    encryptor::{
        ChannelId, ChannelStatus, Confirmation, Confirmed, EncryptorCapabilities, Staged,
        TrafficCounters,
    },
    qkd::{KeyRequest, KeyStore, ModuleStatus, Performance, QkdCapabilities},
    random::RandomCapabilities,
};
use async_trait::async_trait;
use std::time::Duration;
use zeroize::Zeroizing;

/// Mocks of traits that extend [`crate::Device`]: their own methods are given, those of `Device`
/// are the same for all.
///
/// The macro writes every `self` itself, because `mockall` writes functions that use that `self`.
#[doc(hidden)]
#[macro_export]
macro_rules! mock_devices {
    ($($trait:ident {
        fn $declarations:ident(&self) -> &$declared:ident;
        $(async fn $method:ident(&self $($arguments:tt)*) -> Result<$value:ty>;)*
    })*) => {
        use $crate::{
            Capabilities, Descriptor, Device, EventStream, Health, Identity,
            parameter::{ParameterSpec, ParameterValue},
            reading::Reading,
        };
        $(mockall::mock! {
            pub $trait {}
            #[async_trait]
            impl Device for $trait {
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
            impl $trait for $trait {
                fn $declarations(&self) -> &$declared;
                $(async fn $method(&self $($arguments)*) -> Result<$value>;)*
            }
        })*
    };
}

mock_devices! {
    QkdModule {
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
    Encryptor {
        fn encryptor_capabilities(&self) -> &EncryptorCapabilities;
        async fn channels(&self) -> Result<Vec<ChannelId>>;
        async fn channel(&self, channel: &ChannelId) -> Result<ChannelStatus>;
        async fn stage(&self, channel: &ChannelId, key: &Key) -> Result<Staged>;
        async fn activate(&self, staged: &Staged) -> Result<()>;
        async fn confirm(&self, staged: &Staged, longest: Duration) -> Result<Confirmation>;
        async fn retire(&self, confirmed: &Confirmed) -> Result<()>;
        async fn zeroize(&self, channel: &ChannelId) -> Result<()>;
        async fn set_encryption(&self, channel: &ChannelId, on: bool) -> Result<()>;
        async fn counters(&self, channel: &ChannelId) -> Result<TrafficCounters>;
    }
    RandomSource {
        fn random_capabilities(&self) -> &RandomCapabilities;
        async fn random(&self, length: usize) -> Result<Zeroizing<Vec<u8>>>;
    }
}
