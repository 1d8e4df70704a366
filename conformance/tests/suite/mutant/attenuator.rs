//! An attenuator that breaks a requirement.

use super::Broken;
use async_trait::async_trait;
use qkd_hal::{DeviceMisbehaved, ErrorKind, Result, units::Decibels};
use qkd_switch_hal::{Attenuation, Attenuator, AttenuatorCapabilities, Port};

#[async_trait]
impl Attenuator for Broken {
    fn attenuator_capabilities(&self) -> &AttenuatorCapabilities {
        self.attenuator.as_ref().unwrap()
    }

    async fn attenuation(&self, port: Port) -> Result<Attenuation> {
        match self.breaks {
            "VOA-01" => return Ok(Attenuation::Loss(Decibels(3.0))),
            "VOA-02" => return Ok(Attenuation::Transparent),
            _ => {}
        }
        let attenuator = self.opened.attenuator().unwrap();
        self.through(attenuator.attenuation(port)).await
    }

    async fn set_attenuation(&self, port: Port, wanted: &Attenuation) -> Result<()> {
        let attenuator = self.opened.attenuator().unwrap();
        match self.breaks {
            // It asks the device first.
            "VOA-03" => drop(attenuator.attenuation(port).await?),
            "VOA-04" if matches!(wanted, Attenuation::OutputPower(_)) => return Ok(()),
            _ => {}
        }
        match self.through(attenuator.set_attenuation(port, wanted)).await {
            Err(e)
                if self.is("VOA-05")
                    && e.kind() == ErrorKind::Misbehaved(DeviceMisbehaved::ChangeNotApplied) =>
            {
                Ok(())
            }
            result => result,
        }
    }
}
