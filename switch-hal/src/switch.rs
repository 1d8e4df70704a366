//! Optical switches.
//!
//! An [`OpticalSwitch`] connects ingress ports to egress ports. A change is a
//! [`Plan`](crate::Plan): it is computed from the present cross-connects, shown to the operator,
//! and applied once.
//!
//! ```text
//! controller                handle                     switch
//!     |--- connections() ---->|--- query -------------->|
//!     |<-- CrossConnects -----|<-- reply ---------------|
//!     |   Plan::new(present, wanted)                    |
//!     |--- apply(plan) ------>|--- query -------------->|   refused if the state has changed
//!     |                       |<-- reply ---------------|
//!     |                       |--- one set per step --->|   light moves here
//!     |                       |--- query, polled ------>|   until settled
//!     |<-- ApplyReport -------|<-- reply ---------------|   verified if it equals the plan
//! ```
//!
//! # For controller authors
//!
//! - Traffic on the ports of a plan is disturbed; traffic on other ports is not.
//! - After an error with effect `Partial` or `Unknown`, read the cross-connects first.
//! - [`Readback::LastAcknowledged`] means that the switch cannot be read: its state is what it last
//!   acknowledged, and never of good quality.
//!
//! # For driver authors
//!
//! Removals precede additions. Report a set that the switch accepts and does not apply as
//! `Misbehaved(ChangeNotApplied)`.

use crate::{CrossConnects, Geometry, Plan, Port};
use async_trait::async_trait;
use qkd_hal::{
    Certainty, Device, Error, Operation, Result,
    reading::Measured,
    units::{DecibelMilliwatts, Decibels},
};
use serde::Serialize;
use std::{fmt, time::Duration};

/// Behaviour of the paths when the device loses power. [`Certainty`] gives the reliability of this
/// fact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
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

/// Source of the state that [`OpticalSwitch::connections`] returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
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

/// Properties of a switch in addition to [`qkd_hal::Capabilities`].
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct SwitchCapabilities {
    /// Ports of the switch, and the possible cross-connects.
    pub geometry: Geometry,
    /// Where the state comes from.
    pub readback: Readback,
    /// The longest time that a path takes to settle, where known.
    #[serde(
        rename = "settling_ms",
        serialize_with = "qkd_hal::reading::serialize_optional_millis"
    )]
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
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
#[derive(Debug, Clone, PartialEq, Serialize)]
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
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ApplyReport {
    /// Number of applied steps.
    pub steps: usize,
    /// Whether the state was read back and is what the plan wanted.
    pub verified: bool,
    /// Time from the first reading to the last.
    #[serde(
        rename = "duration_ms",
        serialize_with = "qkd_hal::reading::serialize_millis"
    )]
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

/// An optical switch.
#[async_trait]
pub trait OpticalSwitch: Device {
    /// Returns the properties of this switch, without I/O.
    fn switch_capabilities(&self) -> &SwitchCapabilities;

    /// The present cross-connects.
    ///
    /// # Errors
    /// `NotReady` if nothing is known yet of a switch that cannot be read
    /// ([`Readback::LastAcknowledged`]); `Misbehaved(ValueOutOfRange)` if the device names ports
    /// that it does not have; transport errors.
    async fn connections(&self) -> Result<Measured<CrossConnects>>;

    /// Reads the status of ports, in the requested order; of all ports if `ports` is empty.
    ///
    /// # Errors
    /// `InvalidInput` for a port that does not exist; transport errors.
    async fn ports(&self, _ports: &[Port]) -> Result<Vec<PortStatus>> {
        Err(Error::unsupported(
            Operation::Ports.name(),
            "this family does not report the state of single ports",
        ))
    }

    /// Applies a plan. **Disturbs traffic on the ports of the plan.**
    ///
    /// 1. Refuses a plan that was made for another device.
    /// 2. Reads the state again. If it is not the state for which the plan was made, refuses with
    ///    `StateChanged` and effect `None`.
    /// 3. Sends the steps in order.
    /// 4. Reads back and compares the ports of the plan.
    ///
    /// Check and change are not atomic on the wire: a change by another controller in between is
    /// reported as `StateChanged` with effect `Partial`.
    ///
    /// # Errors
    /// `IdentityChanged`, `StateChanged`, `Refused`, `Misbehaved(ChangeNotApplied)`, transport
    /// errors. If a step fails, the message lists the applied steps, and the effect is `Partial`,
    /// `Unknown`, or `None` if no step was applied.
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
