//! Optical power meters and the power monitors of switches.
//!
//! **Provisional**: the trait has few implementations so far.
//!
//! ```text
//! controller                  power meter
//!     |--- power(ports) --------->|   refused for a port without a monitor
//!     |<-- one value per port ----|   each with its quality
//!     |--- set_monitor(port) ---->|   refused if not declared
//!     |                           |   set, then read back
//!     |<-- Ok --------------------|
//! ```
//!
//! # For controller authors
//!
//! [`PowerMeter::power`] reads powers. [`PowerMeter::monitor`] reads the settings of a monitor and
//! the state of its alarm.
//!
//! # For driver authors
//!
//! Declare only the monitors that are installed. A reading below the measurement range has quality
//! `OutOfRange`.

use crate::{MonitorSetting, MonitorStatus, Port, PowerMeterCapabilities};
use async_trait::async_trait;
use qkd_hal::{Device, Error, Operation, Result, reading::Measured, units::DecibelMilliwatts};

/// A power meter, or a switch with power monitors.
#[async_trait]
pub trait PowerMeter: Device {
    /// Returns the properties of this power meter, without I/O.
    fn meter_capabilities(&self) -> &PowerMeterCapabilities;

    /// Reads the optical power at ports with a monitor, in the requested order.
    ///
    /// # Errors
    /// `InvalidInput` for a port without a monitor; transport errors.
    async fn power(&self, ports: &[Port]) -> Result<Vec<Measured<DecibelMilliwatts>>>;

    /// Reads the settings of a monitor.
    ///
    /// # Errors
    /// `InvalidInput` for a port without a monitor; transport errors.
    async fn monitor(&self, _port: Port) -> Result<MonitorStatus> {
        Err(Error::unsupported(
            Operation::Monitor.name(),
            "this family does not report the settings of its monitors",
        ))
    }

    /// Sets a monitor, and reads back. An alarm may be the trigger of a protection group: a change
    /// of its levels can move light.
    ///
    /// # Errors
    /// `InvalidInput`, before anything is sent; `Refused`, `Misbehaved(ChangeNotApplied)`,
    /// transport errors.
    async fn set_monitor(&self, _port: Port, _change: &MonitorSetting) -> Result<()> {
        Err(Error::unsupported(
            Operation::SetMonitor.name(),
            "the monitors of this family cannot be set",
        ))
    }
}
