//! An attenuator that breaks a requirement.

use super::Broken;
use async_trait::async_trait;
use qkd_hal::Result;
use qkd_switch_hal::{Attenuation, Attenuator, AttenuatorCapabilities, Port};

#[async_trait]
impl Attenuator for Broken {
    fn attenuator_capabilities(&self) -> &AttenuatorCapabilities {
        self.attenuator.as_ref().unwrap()
    }

    async fn attenuation(&self, port: Port) -> Result<Attenuation> {
        let attenuator = self.opened.as_attenuator().unwrap();
        self.through(attenuator.attenuation(port)).await
    }

    async fn set_attenuation(&self, port: Port, wanted: &Attenuation) -> Result<()> {
        let attenuator = self.opened.as_attenuator().unwrap();
        self.through(attenuator.set_attenuation(port, wanted)).await
    }
}
