//! Declarations of a device as one value, which travels once, when the device is opened.

use crate::{
    Capabilities, Descriptor, Device,
    encryptor::EncryptorCapabilities,
    optics::{
        AttenuatorCapabilities, PowerMeterCapabilities, SwitchCapabilities,
        protection::ProtectionCapabilities,
    },
    parameter::ParameterSpec,
    qkd::QkdCapabilities,
    random::RandomCapabilities,
};
use serde::{Deserialize, Serialize};

/// Declarations of a device: all that its handles return without I/O. A kind that the device is not
/// is `None`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Declarations {
    /// See [`Device::descriptor`].
    pub descriptor: Descriptor,
    /// See [`Device::capabilities`].
    pub capabilities: Capabilities,
    /// See [`Device::parameters`].
    pub parameters: Vec<ParameterSpec>,
    /// Of a QKD module.
    pub module: Option<QkdCapabilities>,
    /// Of an encryptor.
    pub encryptor: Option<EncryptorCapabilities>,
    /// Of a random source.
    pub random: Option<RandomCapabilities>,
    /// Of an optical switch.
    pub switch: Option<SwitchCapabilities>,
    /// Of a protection switch.
    pub protection: Option<ProtectionCapabilities>,
    /// Of a power meter.
    pub meter: Option<PowerMeterCapabilities>,
    /// Of an attenuator.
    pub attenuator: Option<AttenuatorCapabilities>,
}

impl Declarations {
    /// The declarations that every device has. Those of its kinds are `None`.
    #[must_use]
    pub fn of(device: &dyn Device) -> Self {
        Self {
            descriptor: device.descriptor().clone(),
            capabilities: device.capabilities().clone(),
            parameters: device.parameters().to_vec(),
            module: None,
            encryptor: None,
            random: None,
            switch: None,
            protection: None,
            meter: None,
            attenuator: None,
        }
    }
}
