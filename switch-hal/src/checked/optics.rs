//! Power meters and attenuators.

use crate::{
    Attenuation, Attenuator, AttenuatorCapabilities, MonitorSetting, MonitorStatus, Port,
    PowerMeter, PowerMeterCapabilities,
};
use async_trait::async_trait;
use qkd_hal::{Operation, Result, checked::Checked, reading::Measured, units::DecibelMilliwatts};

#[async_trait]
impl PowerMeter for Checked<dyn PowerMeter> {
    fn meter_capabilities(&self) -> &PowerMeterCapabilities {
        self.inner().meter_capabilities()
    }
    async fn power(&self, ports: &[Port]) -> Result<Vec<Measured<DecibelMilliwatts>>> {
        self.call_guard()
            .run(Operation::Power, async {
                let capabilities = self.inner().meter_capabilities();
                ports.iter().try_for_each(|p| capabilities.check_port(*p))?;
                let measured = self.inner().power(ports).await?;
                Ok(measured
                    .into_iter()
                    .map(Measured::within_physical_range)
                    .collect())
            })
            .await
    }
    async fn monitor(&self, port: Port) -> Result<MonitorStatus> {
        self.call_guard()
            .run(Operation::Monitor, async {
                self.inner().meter_capabilities().check_port(port)?;
                self.inner().monitor(port).await
            })
            .await
    }
    async fn set_monitor(&self, port: Port, change: &MonitorSetting) -> Result<()> {
        self.call_guard()
            .run(Operation::SetMonitor, async {
                let capabilities = self.inner().meter_capabilities();
                capabilities.check_port(port)?;
                capabilities.check(change)?;
                self.inner().set_monitor(port, change).await
            })
            .await
    }
}

#[async_trait]
impl Attenuator for Checked<dyn Attenuator> {
    fn attenuator_capabilities(&self) -> &AttenuatorCapabilities {
        self.inner().attenuator_capabilities()
    }
    async fn attenuation(&self, port: Port) -> Result<Attenuation> {
        self.call_guard()
            .run(Operation::Attenuation, async {
                self.inner().attenuator_capabilities().check_port(port)?;
                self.inner().attenuation(port).await
            })
            .await
    }
    async fn set_attenuation(&self, port: Port, wanted: &Attenuation) -> Result<()> {
        self.call_guard()
            .run(Operation::SetAttenuation, async {
                self.inner().attenuator_capabilities().check(port, wanted)?;
                self.inner().set_attenuation(port, wanted).await
            })
            .await
    }
}
