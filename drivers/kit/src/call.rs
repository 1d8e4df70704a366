//! An opened device as what answers requests, and the other way round.

use crate::opened_device::{DeviceHandles, OpenedDevice};
use async_trait::async_trait;
use qkd_hal::{
    Declarations, Error, ErrorKind, EventStream, Outcome, Request, Result,
    request::{Answer, Caller, Proxy, ProxyDevice},
};
use std::{future::Future, sync::Arc};

/// Waits for a value and wraps it.
async fn outcome<T: Answer>(call: impl Future<Output = Result<T>>) -> Result<Outcome> {
    call.await.map(Answer::into_outcome)
}

#[async_trait]
impl Caller for OpenedDevice {
    async fn call(&self, request: &Request<'_>) -> Result<Outcome> {
        let device = self.device();
        match request {
            Request::Identity => outcome(device.identity()).await,
            Request::Health => outcome(device.health()).await,
            Request::Telemetry => outcome(device.telemetry()).await,
            Request::GetParameter { name } => outcome(device.parameter(name)).await,
            Request::SetParameter { name, value } => {
                outcome(device.set_parameter(name, value)).await
            }
            Request::ModuleStatus => outcome(self.module()?.status()).await,
            Request::Performance => outcome(self.module()?.performance()).await,
            Request::KeyStore => outcome(self.module()?.key_store()).await,
            Request::Start => outcome(self.module()?.start()).await,
            Request::Stop => outcome(self.module()?.stop()).await,
            Request::Calibrate => outcome(self.module()?.calibrate()).await,
            Request::TakeKeys { request } => outcome(self.module()?.take_keys(request)).await,
            Request::TakeKeysById { ids } => outcome(self.module()?.take_keys_by_id(ids)).await,
            Request::Channels => outcome(self.encryptor()?.channels()).await,
            Request::Channel { channel } => outcome(self.encryptor()?.channel(channel)).await,
            Request::Stage {
                channel,
                key: named,
            } => {
                let key = named.key().ok_or_else(|| {
                    Error::new(
                        ErrorKind::Unsupported,
                        format!(
                            "key {} did not travel with the request, because the transport does \
                             not protect it; nothing was sent",
                            named.id()
                        ),
                    )
                    .with_operation(request.operation().name())
                    .with_device(device.descriptor().uri.as_str())
                })?;
                outcome(self.encryptor()?.stage(channel, key)).await
            }
            Request::Activate { staged } => outcome(self.encryptor()?.activate(staged)).await,
            Request::Confirm { staged, longest } => {
                outcome(self.encryptor()?.confirm(staged, *longest)).await
            }
            Request::Retire { confirmed } => outcome(self.encryptor()?.retire(confirmed)).await,
            Request::Zeroize { channel } => outcome(self.encryptor()?.zeroize(channel)).await,
            Request::SetEncryption { channel, on } => {
                outcome(self.encryptor()?.set_encryption(channel, *on)).await
            }
            Request::Counters { channel } => outcome(self.encryptor()?.counters(channel)).await,
            Request::Random { length } => outcome(self.random()?.random(*length)).await,
            Request::Connections => outcome(self.switch()?.connections()).await,
            Request::Ports { ports } => outcome(self.switch()?.ports(ports)).await,
            Request::Apply { plan } => outcome(self.switch()?.apply(plan)).await,
            Request::SetPort { port, enabled } => {
                outcome(self.switch()?.set_port(*port, *enabled)).await
            }
            Request::Power { ports } => outcome(self.power_meter()?.power(ports)).await,
            Request::Monitor { port } => outcome(self.power_meter()?.monitor(*port)).await,
            Request::SetMonitor { port, change } => {
                outcome(self.power_meter()?.set_monitor(*port, change)).await
            }
            Request::Attenuation { port } => outcome(self.attenuator()?.attenuation(*port)).await,
            Request::SetAttenuation { port, wanted } => {
                outcome(self.attenuator()?.set_attenuation(*port, wanted)).await
            }
            Request::ProtectionGroups => outcome(self.protection()?.groups()).await,
            Request::ProtectionStatus { group } => {
                outcome(self.protection()?.protection(group)).await
            }
            Request::SetProtection { group, setting } => {
                outcome(self.protection()?.set_protection(group, setting)).await
            }
            Request::ProtectionCommand { group, command } => {
                outcome(self.protection()?.command(group, command)).await
            }
        }
    }

    fn events(&self) -> EventStream {
        self.device().events()
    }

    async fn close(&self) -> Result<()> {
        self.device().close().await
    }
}

/// Makes handles, one for each kind that the declarations have.
fn handles(declarations: &Declarations, device: &Arc<ProxyDevice>) -> DeviceHandles {
    fn proxy<D: Clone>(device: &Arc<ProxyDevice>, declared: &Option<D>) -> Option<Arc<Proxy<D>>> {
        let declared = declared.clone()?;
        Some(Arc::new(Proxy::new(Arc::clone(device), declared)))
    }
    DeviceHandles {
        module: proxy(device, &declarations.module).map(|h| h as _),
        encryptor: proxy(device, &declarations.encryptor).map(|h| h as _),
        switch: proxy(device, &declarations.switch).map(|h| h as _),
        random: proxy(device, &declarations.random).map(|h| h as _),
        protection: proxy(device, &declarations.protection).map(|h| h as _),
        meter: proxy(device, &declarations.meter).map(|h| h as _),
        attenuator: proxy(device, &declarations.attenuator).map(|h| h as _),
    }
}

impl OpenedDevice {
    /// Returns what the device declares, without I/O: a transport sends it once, when the device is
    /// opened.
    #[must_use]
    pub fn declarations(&self) -> Declarations {
        let mut all = Declarations::of(&*self.device());
        all.module = self.module().ok().map(|h| h.qkd_capabilities().clone());
        all.encryptor = self
            .encryptor()
            .ok()
            .map(|h| h.encryptor_capabilities().clone());
        all.random = self.random().ok().map(|h| h.random_capabilities().clone());
        all.switch = self.switch().ok().map(|h| h.switch_capabilities().clone());
        all.protection = self
            .protection()
            .ok()
            .map(|h| h.protection_capabilities().clone());
        all.meter = self
            .power_meter()
            .ok()
            .map(|h| h.meter_capabilities().clone());
        all.attenuator = self
            .attenuator()
            .ok()
            .map(|h| h.attenuator_capabilities().clone());
        all
    }

    /// Creates the device that declares these and whose requests `caller` answers, with its check:
    /// the near side of a transport.
    #[must_use]
    pub fn from_caller(declarations: &Declarations, caller: Arc<dyn Caller>) -> Self {
        let device = Arc::new(ProxyDevice::new(declarations, caller));
        let base = Arc::new(Proxy::new(Arc::clone(&device), ()));
        Self::new(base).with_handles(handles(declarations, &device))
    }
    /// As [`Self::from_caller`], without the check.
    #[cfg(feature = "unchecked")]
    #[must_use]
    pub fn unchecked_from_caller(declarations: &Declarations, caller: Arc<dyn Caller>) -> Self {
        let device = Arc::new(ProxyDevice::new(declarations, caller));
        let base = Arc::new(Proxy::new(Arc::clone(&device), ()));
        Self::unchecked(base, handles(declarations, &device))
    }
}
