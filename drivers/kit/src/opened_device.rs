//! The opened device, and its handles.

use qkd_hal::{
    Device, DeviceKind, Encryptor, Error, Identity, Layer, QkdModule, RandomSource, Result,
    checked::{CallGuard, Checked},
};
use qkd_switch_hal::{Attenuator, OpticalSwitch, PowerMeter, Protection};
use std::sync::Arc;

/// An opened device: one checked handle for each kind of the device, over one link.
pub struct OpenedDevice {
    device: Arc<dyn Device>,
    call_guard: Arc<CallGuard>,
    handles: DeviceHandles,
}

/// Handles of a device; `None` for each kind that the device is not.
#[derive(Clone, Default)]
#[allow(missing_docs, reason = "each is the handle of its name")]
pub struct DeviceHandles {
    pub module: Option<Arc<dyn QkdModule>>,
    pub encryptor: Option<Arc<dyn Encryptor>>,
    pub switch: Option<Arc<dyn OpticalSwitch>>,
    pub random: Option<Arc<dyn RandomSource>>,
    pub protection: Option<Arc<dyn Protection>>,
    pub meter: Option<Arc<dyn PowerMeter>>,
    pub attenuator: Option<Arc<dyn Attenuator>>,
}

impl OpenedDevice {
    /// A device, whose handles are then added.
    pub fn new<T: Device + 'static>(device: Arc<T>) -> Self {
        let call_guard = Arc::new(CallGuard::new(device.descriptor(), device.capabilities()));
        Self {
            device: Arc::new(Checked::new(device, Arc::clone(&call_guard))),
            call_guard,
            handles: DeviceHandles::default(),
        }
    }

    /// Creates an opened device from a QKD module.
    pub fn from_module<T: QkdModule + 'static>(device: Arc<T>) -> Self {
        Self::new(Arc::clone(&device)).with_module(device)
    }
    /// Creates an opened device from an encryptor.
    pub fn from_encryptor<T: Encryptor + 'static>(device: Arc<T>) -> Self {
        Self::new(Arc::clone(&device)).with_encryptor(device)
    }
    /// Creates an opened device from an optical switch.
    pub fn from_switch<T: OpticalSwitch + 'static>(device: Arc<T>) -> Self {
        Self::new(Arc::clone(&device)).with_switch(device)
    }
    /// Creates an opened device from a random source.
    pub fn from_random<T: RandomSource + 'static>(device: Arc<T>) -> Self {
        Self::new(Arc::clone(&device)).with_random(device)
    }
    /// Creates an opened device from a protection switch.
    pub fn from_protection<T: Protection + 'static>(device: Arc<T>) -> Self {
        Self::new(Arc::clone(&device)).with_protection(device)
    }
    /// Adds the handle of a QKD module.
    #[must_use]
    pub fn with_module(mut self, device: Arc<dyn QkdModule>) -> Self {
        self.handles.module = Some(Arc::new(Checked::new(device, Arc::clone(&self.call_guard))));
        self
    }
    /// Adds the handle of an encryptor.
    #[must_use]
    pub fn with_encryptor(mut self, device: Arc<dyn Encryptor>) -> Self {
        self.handles.encryptor = Some(Arc::new(Checked::new(device, Arc::clone(&self.call_guard))));
        self
    }
    /// Adds the handle of an optical switch.
    #[must_use]
    pub fn with_switch(mut self, device: Arc<dyn OpticalSwitch>) -> Self {
        self.handles.switch = Some(Arc::new(Checked::new(device, Arc::clone(&self.call_guard))));
        self
    }
    /// Adds the handle of a random source.
    #[must_use]
    pub fn with_random(mut self, device: Arc<dyn RandomSource>) -> Self {
        self.handles.random = Some(Arc::new(Checked::new(device, Arc::clone(&self.call_guard))));
        self
    }

    /// Adds the handle of a protection switch.
    #[must_use]
    pub fn with_protection(mut self, device: Arc<dyn Protection>) -> Self {
        self.handles.protection =
            Some(Arc::new(Checked::new(device, Arc::clone(&self.call_guard))));
        self
    }
    /// Adds the handle of a power meter.
    #[must_use]
    pub fn with_power_meter(mut self, device: Arc<dyn PowerMeter>) -> Self {
        self.handles.meter = Some(Arc::new(Checked::new(device, Arc::clone(&self.call_guard))));
        self
    }
    /// Adds the handle of an attenuator.
    #[must_use]
    pub fn with_attenuator(mut self, device: Arc<dyn Attenuator>) -> Self {
        self.handles.attenuator =
            Some(Arc::new(Checked::new(device, Arc::clone(&self.call_guard))));
        self
    }

    /// Adds the handles of all kinds that are there.
    #[must_use]
    pub(crate) fn with_handles(mut self, handles: DeviceHandles) -> Self {
        let DeviceHandles {
            module,
            encryptor,
            switch,
            random,
            protection,
            meter,
            attenuator,
        } = handles;
        if let Some(handle) = module {
            self = self.with_module(handle);
        }
        if let Some(handle) = encryptor {
            self = self.with_encryptor(handle);
        }
        if let Some(handle) = switch {
            self = self.with_switch(handle);
        }
        if let Some(handle) = random {
            self = self.with_random(handle);
        }
        if let Some(handle) = protection {
            self = self.with_protection(handle);
        }
        if let Some(handle) = meter {
            self = self.with_power_meter(handle);
        }
        if let Some(handle) = attenuator {
            self = self.with_attenuator(handle);
        }
        self
    }

    /// Installs a layer, outside of those that are installed. It holds for all handles of this
    /// device, also for those that were taken before; see [`qkd_hal::layer`].
    #[must_use]
    pub fn with_layer(self, layer: Arc<dyn Layer>) -> Self {
        self.call_guard.install(layer);
        self
    }

    /// This is who was opened: if [`Device::identity`] finds another later, every handle is closed
    /// to everything.
    #[must_use]
    pub fn with_identity(self, identity: &Identity) -> Self {
        self.call_guard.expect_identity(identity.clone());
        self
    }

    /// Returns the identity of the device that was opened, as far as it is known without asking.
    #[must_use]
    pub fn opened_as(&self) -> Option<Identity> {
        self.call_guard.reference_identity()
    }

    /// Handles without their check, for suites that must notice where it is missing.
    #[cfg(feature = "unchecked")]
    #[must_use]
    pub fn unchecked(device: Arc<dyn Device>, handles: DeviceHandles) -> Self {
        let call_guard = Arc::new(CallGuard::new(device.descriptor(), device.capabilities()));
        Self {
            device,
            call_guard,
            handles,
        }
    }

    /// Returns the handle with the operations of every device.
    #[must_use]
    pub fn device(&self) -> Arc<dyn Device> {
        Arc::clone(&self.device)
    }
    /// As a QKD module.
    ///
    /// # Errors
    /// `Unsupported`, naming what it is.
    pub fn module(&self) -> Result<Arc<dyn QkdModule>> {
        self.kind(&self.handles.module, DeviceKind::QkdModule)
    }
    /// As an encryptor.
    ///
    /// # Errors
    /// `Unsupported`, naming what it is.
    pub fn encryptor(&self) -> Result<Arc<dyn Encryptor>> {
        self.kind(&self.handles.encryptor, DeviceKind::Encryptor)
    }
    /// As an optical switch.
    ///
    /// # Errors
    /// `Unsupported`, naming what it is.
    pub fn switch(&self) -> Result<Arc<dyn OpticalSwitch>> {
        self.kind(&self.handles.switch, DeviceKind::OpticalSwitch)
    }
    /// As a random source.
    ///
    /// # Errors
    /// `Unsupported`, naming what it is.
    pub fn random(&self) -> Result<Arc<dyn RandomSource>> {
        self.kind(&self.handles.random, DeviceKind::RandomSource)
    }

    /// As a protection switch.
    ///
    /// # Errors
    /// `Unsupported`, naming what it is.
    pub fn protection(&self) -> Result<Arc<dyn Protection>> {
        self.kind(&self.handles.protection, DeviceKind::ProtectionSwitch)
    }
    /// As a power meter.
    ///
    /// # Errors
    /// `Unsupported`, naming what it is.
    pub fn power_meter(&self) -> Result<Arc<dyn PowerMeter>> {
        self.kind(&self.handles.meter, DeviceKind::PowerMeter)
    }
    /// As an attenuator.
    ///
    /// # Errors
    /// `Unsupported`, naming what it is.
    pub fn attenuator(&self) -> Result<Arc<dyn Attenuator>> {
        self.kind(&self.handles.attenuator, DeviceKind::Attenuator)
    }

    /// The check around its handles.
    #[must_use]
    pub fn call_guard(&self) -> Arc<CallGuard> {
        Arc::clone(&self.call_guard)
    }

    /// Lets operations that the device does not declare, and that change nothing, go to the driver:
    /// see [`CallGuard::allow_undeclared_reads`].
    pub fn allow_undeclared_reads(&self) {
        self.call_guard.allow_undeclared_reads();
    }

    fn kind<T: ?Sized>(&self, handle: &Option<Arc<T>>, wanted: DeviceKind) -> Result<Arc<T>> {
        handle.clone().ok_or_else(|| {
            let descriptor = self.device.descriptor();
            let kinds: Vec<_> = descriptor.kinds.iter().map(ToString::to_string).collect();
            Error::unsupported(
                "open",
                format!(
                    "{} is no {wanted}; it is: {}",
                    descriptor.uri,
                    kinds.join(", ")
                ),
            )
            .with_device(descriptor.uri.as_str())
        })
    }
}

impl std::fmt::Debug for OpenedDevice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Opened({})", self.device.descriptor().uri)
    }
}
