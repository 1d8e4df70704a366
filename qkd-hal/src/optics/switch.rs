//! Data of optical switches: declared properties, status of ports, result of a change.

use super::{Geometry, Port};
use crate::{
    Certainty,
    reading::Measured,
    units::{DecibelMilliwatts, Decibels},
};
use serde::{Deserialize, Serialize};
use std::{fmt, time::Duration};

/// Behaviour of the paths when the device loses power. [`Certainty`] gives the reliability of this
/// fact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum PowerFailureBehaviour {
    /// The paths stay (latching switch).
    Holds,
    /// The paths are lost; after power-up, no port is connected.
    GoesDark,
    /// They are lost, and come back as the boot mode says.
    BootMode,
}

impl fmt::Display for PowerFailureBehaviour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Holds => "the paths stay",
            Self::GoesDark => "the paths are lost, and it comes up dark",
            Self::BootMode => "the paths are lost, and come back as the boot mode says",
        })
    }
}

/// Source of the state that `OpticalSwitch::connections` returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Readback {
    /// The device reports its state.
    #[default]
    Device,
    /// The device can't be asked: it is what the device last acknowledged to this handle, and
    /// always of quality `Stale`.
    LastAcknowledged,
}

/// Properties of a switch in addition to [`crate::Capabilities`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SwitchCapabilities {
    /// Ports of the switch, and the possible cross-connects.
    pub geometry: Geometry,
    /// Where the state comes from.
    pub readback: Readback,
    /// The longest time that a path takes to settle, where known.
    #[serde(rename = "settling_ns", with = "crate::serial::optional_nanoseconds")]
    pub settling: Option<Duration>,
    /// Behaviour of the paths when the device loses power.
    pub power_loss: Certainty<PowerFailureBehaviour>,
}

impl SwitchCapabilities {
    /// Creates the properties of a switch with this geometry.
    #[must_use]
    pub fn new(geometry: Geometry) -> Self {
        Self {
            geometry,
            readback: Readback::Device,
            settling: None,
            power_loss: Certainty::Unknown,
        }
    }
    /// Sets the source of the state.
    #[must_use]
    pub fn with_readback(mut self, readback: Readback) -> Self {
        self.readback = readback;
        self
    }
    /// With this settling time.
    #[must_use]
    pub fn with_settling(mut self, time: Duration) -> Self {
        self.settling = Some(time);
        self
    }
    /// With this behaviour on loss of power.
    #[must_use]
    pub fn with_power_failure(mut self, what: Certainty<PowerFailureBehaviour>) -> Self {
        self.power_loss = what;
        self
    }
}

/// The state of a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum PortState {
    /// In use, or usable.
    Enabled,
    /// Shut by an operator.
    Disabled,
    /// The device reports a defect of the port.
    Failed,
    /// The device does not report it.
    Unknown,
}

impl fmt::Display for PortState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Enabled => "enabled",
            Self::Disabled => "disabled",
            Self::Failed => "failed",
            Self::Unknown => "unknown",
        })
    }
}

/// Status of a port.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PortStatus {
    /// Port number.
    pub port: Port,
    /// Administrative and fault state.
    pub state: PortState,
    /// The port at the other end of its path.
    pub peer: Option<Port>,
    /// The optical power there, where it has a monitor.
    #[serde(rename = "power_dbm")]
    pub power: Option<Measured<DecibelMilliwatts>>,
    /// The attenuation set there, where it has an attenuator.
    #[serde(rename = "attenuation_db")]
    pub attenuation: Option<Measured<Decibels>>,
}

impl PortStatus {
    /// A port in a state.
    #[must_use]
    pub fn new(port: Port, state: PortState, peer: Option<Port>) -> Self {
        Self {
            port,
            state,
            peer,
            power: None,
            attenuation: None,
        }
    }
    /// Sets the optical power at the port.
    #[must_use]
    pub fn with_power(mut self, power: Measured<DecibelMilliwatts>) -> Self {
        self.power = Some(power);
        self
    }
}

/// Result of applying a plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ApplyReport {
    /// Number of applied steps.
    pub steps: usize,
    /// Whether the state was read back and is what the plan wanted.
    pub verified: bool,
    /// Time from the first reading to the last.
    #[serde(rename = "duration_ns", with = "crate::serial::nanoseconds")]
    pub took: Duration,
}

impl ApplyReport {
    /// Creates a report of this number of steps.
    #[must_use]
    pub fn new(steps: usize, verified: bool, took: Duration) -> Self {
        Self {
            steps,
            verified,
            took,
        }
    }
}
