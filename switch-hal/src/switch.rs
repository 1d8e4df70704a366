//! The trait of optical switches.

use crate::{CrossConnects, Geometry, Plan, Port};
use async_trait::async_trait;
use qkd_hal::{
    Certainty, Device, Error, Operation, Result,
    reading::Measured,
    units::{DecibelMilliwatts, Decibels},
};
use serde::Serialize;
use std::{fmt, time::Duration};

/// What the paths do when the box loses its power. How well that is known says [`Certainty`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum PowerFailureBehaviour {
    /// They stay (latching).
    Holds,
    /// They are lost, and the box comes up dark.
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

/// Where the state that [`OpticalSwitch::connections`] tells comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Readback {
    /// The device tells it.
    #[default]
    Device,
    /// The device can't be asked: it is what the device last acknowledged to this handle, and
    /// always of quality `Stale`.
    LastAcknowledged,
}

/// What a switch can do beyond [`qkd_hal::Capabilities`].
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct SwitchCapabilities {
    /// Which ports there are and which can meet.
    pub geometry: Geometry,
    /// Where the state comes from.
    pub readback: Readback,
    /// The longest time that a path takes to settle, where known.
    #[serde(
        rename = "settling_ms",
        serialize_with = "qkd_hal::reading::serialize_optional_millis"
    )]
    pub settling: Option<Duration>,
    /// What the paths do when the box loses its power.
    pub power_loss: Certainty<PowerFailureBehaviour>,
}

impl SwitchCapabilities {
    /// Of this geometry.
    #[must_use]
    pub fn new(geometry: Geometry) -> Self {
        Self {
            geometry,
            readback: Readback::Device,
            settling: None,
            power_loss: Certainty::Unknown,
        }
    }
    /// With this readback.
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum PortState {
    /// In use, or usable.
    Enabled,
    /// Shut by an operator.
    Disabled,
    /// Broken.
    Failed,
    /// The device does not tell.
    Unknown,
}

/// What is known of a port.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct PortStatus {
    /// Which port.
    pub port: Port,
    /// Its state.
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
    /// With its power.
    #[must_use]
    pub fn with_power(mut self, power: Measured<DecibelMilliwatts>) -> Self {
        self.power = Some(power);
        self
    }
}

/// What applying a plan did.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ApplyReport {
    /// How many steps were carried out.
    pub steps: usize,
    /// Whether the state was read back and is what the plan wanted.
    pub verified: bool,
    /// How long it took, from the first reading to the last.
    #[serde(
        rename = "duration_ms",
        serialize_with = "qkd_hal::reading::serialize_millis"
    )]
    pub took: Duration,
}

impl ApplyReport {
    /// So many steps.
    #[must_use]
    pub fn new(steps: usize, verified: bool, took: Duration) -> Self {
        Self {
            steps,
            verified,
            took,
        }
    }
}

/// An optical switch.
#[async_trait]
pub trait OpticalSwitch: Device {
    /// What this switch can do. No I/O.
    fn switch_capabilities(&self) -> &SwitchCapabilities;

    /// The present cross-connects.
    ///
    /// # Errors
    /// `NotReady` if nothing is known yet of a switch that cannot be read
    /// ([`Readback::LastAcknowledged`]); `Misbehaved(ValueOutOfRange)` if the device names ports
    /// that it does not have; transport errors.
    async fn connections(&self) -> Result<Measured<CrossConnects>>;

    /// The status of some ports, in the order asked; of all, if none is named.
    ///
    /// # Errors
    /// `InvalidInput` for a port that is not there; transport errors.
    async fn ports(&self, _ports: &[Port]) -> Result<Vec<PortStatus>> {
        Err(Error::unsupported(
            Operation::Ports.name(),
            "this family does not tell the state of single ports",
        ))
    }

    /// Carries out a plan. **Moves light: traffic on the plan's ports is disturbed.**
    ///
    /// 1. Refuses a plan made for another device.
    /// 2. Reads the state again; if it is not the one for which the plan was made, refuses with
    ///    `StateChanged` and effect `None`.
    /// 3. Carries out the steps in order.
    /// 4. Reads back, and compares the ports of the plan.
    ///
    /// Check and apply are not atomic on the wire: a foreign change in between is reported as
    /// `StateChanged` with effect `Partial`.
    ///
    /// # Errors
    /// `IdentityChanged`, `StateChanged`, `Refused`, `Misbehaved(ChangeNotApplied)`, transport
    /// errors. If a step fails, the message says exactly which steps were done, and the effect is
    /// `Partial`, `Unknown`, or `None` if none was.
    async fn apply(&self, plan: &Plan) -> Result<ApplyReport>;

    /// Enables or shuts a port. Shutting it cuts its path.
    ///
    /// # Errors
    /// `InvalidInput`, `Refused`, `Misbehaved(ChangeNotApplied)`, transport errors.
    async fn set_port(&self, _port: Port, _enabled: bool) -> Result<()> {
        Err(Error::unsupported(
            Operation::SetPort.name(),
            "this family cannot shut ports",
        ))
    }
}
