//! Data of power meters and power monitors.

use super::Port;
use crate::{
    Error, Result,
    units::{DecibelMilliwatts, Nanometres},
};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeSet, fmt, ops::RangeInclusive, time::Duration};

/// Properties of a power meter in addition to [`crate::Capabilities`].
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PowerMeterCapabilities {
    /// Ports with a monitor.
    pub monitors: BTreeSet<Port>,
    /// The averaging times that it knows; empty if they cannot be set.
    #[serde(rename = "averaging_ns", with = "crate::serial::nanoseconds_list")]
    pub averaging: Vec<Duration>,
    /// The wavelengths to which it can be set, in nm.
    #[serde(
        rename = "wavelengths_nm",
        with = "crate::serial::optional_number_range"
    )]
    pub wavelengths: Option<RangeInclusive<f64>>,
    /// The powers at which an alarm can be set, in dBm.
    #[serde(rename = "alarms_dbm", with = "crate::serial::optional_number_range")]
    pub alarms: Option<RangeInclusive<f64>>,
}

impl PowerMeterCapabilities {
    /// With monitors at these ports.
    #[must_use]
    pub fn for_ports(ports: impl IntoIterator<Item = Port>) -> Self {
        Self {
            monitors: ports.into_iter().collect(),
            ..Self::default()
        }
    }
    /// With these averaging times.
    #[must_use]
    pub fn with_averaging(mut self, times: impl IntoIterator<Item = Duration>) -> Self {
        self.averaging = times.into_iter().collect();
        self
    }
    /// Sets the range of supported wavelengths.
    #[must_use]
    pub fn with_wavelengths(mut self, range: RangeInclusive<Nanometres>) -> Self {
        self.wavelengths = Some(range.start().0..=range.end().0);
        self
    }
    /// With alarms at these powers.
    #[must_use]
    pub fn with_alarms(mut self, range: RangeInclusive<DecibelMilliwatts>) -> Self {
        self.alarms = Some(range.start().0..=range.end().0);
        self
    }

    /// Checks that there is a monitor.
    ///
    /// # Errors
    /// `InvalidInput`.
    pub fn check_port(&self, port: Port) -> Result<()> {
        if self.monitors.contains(&port) {
            Ok(())
        } else {
            Err(Error::invalid(format!("port {port} has no power monitor")))
        }
    }

    /// Checks that a monitor can be set so.
    ///
    /// # Errors
    /// `InvalidInput`, naming what would be right.
    pub fn check(&self, change: &MonitorSetting) -> Result<()> {
        match change {
            MonitorSetting::Averaging(time) if !self.averaging.contains(time) => {
                let known: Vec<_> = self
                    .averaging
                    .iter()
                    .map(|t| format!("{} ms", t.as_millis()))
                    .collect();
                Err(Error::invalid(format!(
                    "it does not average over {} ms, but over one of: {}",
                    time.as_millis(),
                    known.join(", ")
                )))
            }
            MonitorSetting::Wavelength(nm) => {
                check_range(nm.0, self.wavelengths.as_ref(), "nm", "wavelength")
            }
            MonitorSetting::Alarms(AlarmLevels { low, high }) => {
                for level in [low, high].into_iter().flatten() {
                    check_range(level.0, self.alarms.as_ref(), "dBm", "alarm level")?;
                }
                match (low, high) {
                    (Some(low), Some(high)) if low >= high => Err(Error::invalid(format!(
                        "the low alarm level {low} lies not below the high one, {high}"
                    ))),
                    _ => Ok(()),
                }
            }
            MonitorSetting::Averaging(_) => Ok(()),
        }
    }
}

/// Checks that a value is within an available range.
pub(crate) fn check_range(
    value: f64,
    range: Option<&RangeInclusive<f64>>,
    unit: &str,
    what: &str,
) -> Result<()> {
    match range {
        None => Err(Error::invalid(format!("this device has no {what} to set"))),
        Some(range) if range.contains(&value) => Ok(()),
        Some(range) => Err(Error::invalid(format!(
            "the {what} {value} {unit} lies outside {} to {} {unit}",
            range.start(),
            range.end()
        ))),
    }
}

/// The powers at which a monitor raises its alarm; `None`: not on that side.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct AlarmLevels {
    /// Alarm below this power; `None`: no lower limit.
    #[serde(rename = "low_dbm")]
    pub low: Option<DecibelMilliwatts>,
    /// Alarm above this power; `None`: no upper limit.
    #[serde(rename = "high_dbm")]
    pub high: Option<DecibelMilliwatts>,
}

impl fmt::Display for AlarmLevels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.low, self.high) {
            (None, None) => f.write_str("no alarms"),
            (Some(low), None) => write!(f, "alarm below {low}"),
            (None, Some(high)) => write!(f, "alarm above {high}"),
            (Some(low), Some(high)) => write!(f, "alarms below {low} and above {high}"),
        }
    }
}

/// One change of a monitor.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "setting", content = "value")]
#[non_exhaustive]
pub enum MonitorSetting {
    /// The wavelength for which it is calibrated.
    Wavelength(Nanometres),
    /// The time over which it averages.
    Averaging(#[serde(with = "crate::serial::nanoseconds")] Duration),
    /// When it raises its alarm of lost light.
    Alarms(AlarmLevels),
}

impl fmt::Display for MonitorSetting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Wavelength(wavelength) => write!(f, "wavelength {wavelength}"),
            Self::Averaging(time) => write!(f, "averaging over {time:?}"),
            Self::Alarms(levels) => levels.fmt(f),
        }
    }
}

/// Settings of a power monitor and the state of its alarm.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct MonitorStatus {
    /// Port of the monitor.
    pub port: Port,
    /// Wavelength for which the monitor is calibrated; `None` if the device does not report it.
    #[serde(rename = "wavelength_nm")]
    pub wavelength: Option<Nanometres>,
    /// Averaging time; `None` if the device does not report it.
    #[serde(rename = "averaging_ns", with = "crate::serial::optional_nanoseconds")]
    pub averaging: Option<Duration>,
    /// When it raises its alarm.
    pub alarms: AlarmLevels,
    /// Whether the alarm is active; `None` if the device does not report it.
    pub alarmed: Option<bool>,
}

impl MonitorStatus {
    /// A monitor of which nothing more is known.
    #[must_use]
    pub fn new(port: Port) -> Self {
        Self {
            port,
            wavelength: None,
            averaging: None,
            alarms: AlarmLevels::default(),
            alarmed: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_monitor_accepts_only_declared_settings() {
        let meter = PowerMeterCapabilities::for_ports([Port(17)])
            .with_averaging([Duration::from_millis(10), Duration::from_millis(20)])
            .with_alarms(DecibelMilliwatts(-50.0)..=DecibelMilliwatts(20.0));
        assert!(
            meter
                .check_port(Port(1))
                .unwrap_err()
                .message()
                .contains("no power monitor")
        );
        assert!(
            meter
                .check(&MonitorSetting::Averaging(Duration::from_millis(20)))
                .is_ok()
        );
        assert!(
            meter
                .check(&MonitorSetting::Averaging(Duration::from_millis(15)))
                .unwrap_err()
                .message()
                .contains("10 ms, 20 ms")
        );
        assert!(
            meter
                .check(&MonitorSetting::Wavelength(Nanometres(1550.0)))
                .unwrap_err()
                .message()
                .contains("no wavelength")
        );
        let alarms = |low, high| {
            MonitorSetting::Alarms(AlarmLevels {
                low: Some(DecibelMilliwatts(low)),
                high: Some(DecibelMilliwatts(high)),
            })
        };
        assert!(meter.check(&alarms(-30.0, 10.0)).is_ok());
        assert!(
            meter
                .check(&alarms(-60.0, 10.0))
                .unwrap_err()
                .message()
                .contains("-50 to 20 dBm")
        );
        assert!(meter.check(&alarms(10.0, -30.0)).is_err());
        assert!(meter.check(&alarms(f64::NAN, 10.0)).is_err());
    }
}
