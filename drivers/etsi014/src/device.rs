//! Key delivery as a `QkdModule`.

use crate::{client::Client, proto::Status};
use async_trait::async_trait;
use qkd_hal::{
    Capabilities, Descriptor, Device, Error, ErrorKind, EventStream, Health, Identity, Key, KeyId,
    Operation, QkdModule, Result,
    event::EventHub,
    qkd::{KeyRequest, KeyStore, ModuleState, ModuleStatus, QkdCapabilities, Role},
    text::{MAX_TEXT, printable},
};

/// A KME, as one of its SAEs sees it.
pub struct Etsi014 {
    descriptor: Descriptor,
    capabilities: Capabilities,
    qkd: QkdCapabilities,
    client: Client,
    events: EventHub,
    identity: Identity,
}

/// The standard has no vendor, model or serial number: only the ID of the KME identifies it.
fn identity_of(status: &Status) -> Identity {
    let identity = Identity::new("ETSI GS QKD 014");
    match &status.source_kme {
        Some(kme) => identity.with_serial(printable(kme, MAX_TEXT)),
        None => identity,
    }
}

impl Etsi014 {
    /// Reads the identity of the KME and opens the device.
    pub(crate) async fn open(
        descriptor: Descriptor,
        client: Client,
        events: EventHub,
    ) -> Result<Self> {
        use Operation as Op;
        let identity = identity_of(&client.status().await?);
        let capabilities = Capabilities::none()
            .with(&[Op::KeyStore, Op::TakeKeys, Op::TakeKeysById])
            .with_emulated(&[Op::Identity, Op::Health, Op::ModuleStatus]);
        Ok(Self {
            descriptor,
            capabilities,
            qkd: QkdCapabilities::new(Role::KeyDelivery),
            client,
            events,
            identity,
        })
    }

    async fn status_of_same(&self) -> Result<Status> {
        let status = self.client.status().await?;
        let now = identity_of(&status);
        if now.is_same_device(&self.identity) {
            return Ok(status);
        }
        Err(Error::new(
            ErrorKind::IdentityChanged,
            format!("{} was opened, and {now} answers", self.identity),
        ))
    }
}

#[async_trait]
impl Device for Etsi014 {
    fn descriptor(&self) -> &Descriptor {
        &self.descriptor
    }
    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }
    async fn identity(&self) -> Result<Identity> {
        self.status_of_same().await.map(|s| identity_of(&s))
    }
    async fn health(&self) -> Result<Health> {
        self.status_of_same().await.map(|_| Health::ok())
    }
    fn events(&self) -> EventStream {
        self.events.subscribe()
    }
    async fn close(&self) -> Result<()> {
        self.client.close().await;
        self.events.close();
        Ok(())
    }
}

#[async_trait]
impl QkdModule for Etsi014 {
    fn qkd_capabilities(&self) -> &QkdCapabilities {
        &self.qkd
    }

    /// The standard does not report the state of the modules of a KME; only the peer and the fact
    /// of a reply are known.
    async fn status(&self) -> Result<ModuleStatus> {
        self.status_of_same().await?;
        Ok(
            ModuleStatus::new(ModuleState::Unknown, Role::KeyDelivery)
                .with_peer(self.client.peer()),
        )
    }

    async fn key_store(&self) -> Result<KeyStore> {
        self.status_of_same().await.map(|s| s.key_store())
    }

    async fn take_keys(&self, request: &KeyRequest) -> Result<Vec<Key>> {
        self.client.take(request).await
    }

    async fn take_keys_by_id(&self, ids: &[KeyId]) -> Result<Vec<Key>> {
        self.client.take_by_id(ids).await
    }
}
