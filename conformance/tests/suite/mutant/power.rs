//! A power meter that breaks a requirement.

use super::Broken;
use async_trait::async_trait;
use qkd_hal::{Result, reading::Measured, units::DecibelMilliwatts};
use qkd_switch_hal::{MonitorSetting, MonitorStatus, Port, PowerMeter, PowerMeterCapabilities};

#[async_trait]
impl PowerMeter for Broken {
    fn meter_capabilities(&self) -> &PowerMeterCapabilities {
        self.meter.as_ref().unwrap()
    }

    async fn power(&self, ports: &[Port]) -> Result<Vec<Measured<DecibelMilliwatts>>> {
        match self.breaks {
            "PWR-01" => {
                return Ok(ports
                    .iter()
                    .map(|_| Measured::now(DecibelMilliwatts(300.0)))
                    .collect());
            }
            "PWR-02" | "PWR-03" => {
                return Ok(ports
                    .iter()
                    .map(|_| Measured::now(DecibelMilliwatts(-3.0)))
                    .collect());
            }
            _ => {}
        }
        let meter = self.opened.power_meter().unwrap();
        let mut sorted = ports.to_vec();
        if self.breaks == "PWR-04" {
            sorted.sort();
        }
        self.through(meter.power(&sorted)).await
    }

    async fn monitor(&self, port: Port) -> Result<MonitorStatus> {
        let meter = self.opened.power_meter().unwrap();
        let mut now = self.through(meter.monitor(port)).await?;
        if self.is("PWR-07") {
            now.alarmed = Some(false);
        }
        Ok(now)
    }

    async fn set_monitor(&self, port: Port, change: &MonitorSetting) -> Result<()> {
        let meter = self.opened.power_meter().unwrap();
        match self.breaks {
            "PWR-05" if matches!(change, MonitorSetting::Averaging(_)) => return Ok(()),
            // It asks the device first.
            "PWR-06" => drop(meter.power(&[port]).await?),
            _ => {}
        }
        self.through(meter.set_monitor(port, change)).await
    }
}
