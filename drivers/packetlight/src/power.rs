//! The device as a `PowerMeter` (SL-OSW-MIB).

use crate::{
    device::PacketLight,
    proto::aps::{PORT_LOS, PORT_POWER, decode_power, of_port},
};
use async_trait::async_trait;
use qkd_driver_kit::link::{snmp::Oid, snmp_client::optional};
use qkd_hal::{Result, reading::Measured, units::DecibelMilliwatts};
use qkd_switch_hal::{MonitorStatus, Port, PowerMeter, PowerMeterCapabilities};

#[async_trait]
impl PowerMeter for PacketLight {
    fn meter_capabilities(&self) -> &PowerMeterCapabilities {
        &self.meter
    }

    async fn power(&self, ports: &[Port]) -> Result<Vec<Measured<DecibelMilliwatts>>> {
        ports.iter().try_for_each(|p| self.meter.check_port(*p))?;
        let names: Vec<Oid> = ports.iter().map(|p| of_port(PORT_POWER, p.0)).collect();
        let values = self.get(&names).await?;
        values
            .iter()
            .map(|v| Ok(Measured::now(decode_power(v, "InPowerLevel")?)))
            .collect()
    }

    async fn monitor(&self, port: Port) -> Result<MonitorStatus> {
        self.meter.check_port(port)?;
        let values = self.get(&[of_port(PORT_LOS, port.0)]).await?;
        let mut status = MonitorStatus::new(port);
        status.alarms.low = optional(&values[0], |v| decode_power(v, "LosThreshold"))?;
        Ok(status)
    }
}
