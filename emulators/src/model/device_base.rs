//! State and operations of `Device` that all models share.

use qkd_hal::{Capabilities, Descriptor, DeviceKind, Identity, Maturity, event::EventHub};
use std::sync::{Mutex, PoisonError};

/// Descriptor, capabilities, identity and events of a model.
pub struct DeviceBase {
    pub(crate) descriptor: Descriptor,
    pub(crate) capabilities: Capabilities,
    identity: Mutex<Identity>,
    pub(crate) events: EventHub,
}

impl DeviceBase {
    pub(crate) fn new(kind: DeviceKind, identity: Identity, capabilities: Capabilities) -> Self {
        Self {
            descriptor: Descriptor::new("model", "model:", Maturity::Emulated).with_kinds(&[kind]),
            capabilities,
            identity: Mutex::new(identity),
            events: EventHub::default(),
        }
    }
    /// Returns the identity that the device reports.
    pub fn identity(&self) -> Identity {
        self.identity
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
    /// Replaces the device: another one with this serial number responds from now on.
    pub fn replace_device(&self, serial: &str) {
        self.identity
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .serial = Some(serial.to_owned());
    }
}

/// Implements `Device`: what all models share, and the methods given. `$base` is the field.
macro_rules! impl_device {
    ($model:ty, $base:ident, $($methods:tt)*) => {
        #[async_trait::async_trait]
        impl qkd_hal::Device for $model {
            fn descriptor(&self) -> &qkd_hal::Descriptor {
                &self.$base.descriptor
            }
            fn capabilities(&self) -> &qkd_hal::Capabilities {
                &self.$base.capabilities
            }
            async fn identity(&self) -> qkd_hal::Result<qkd_hal::Identity> {
                Ok(self.$base.identity())
            }
            fn events(&self) -> qkd_hal::EventStream {
                self.$base.events.subscribe()
            }
            async fn close(&self) -> qkd_hal::Result<()> {
                self.$base.events.close();
                Ok(())
            }
            $($methods)*
        }
    };
}
pub(crate) use impl_device;
