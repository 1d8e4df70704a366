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
//!     |   switch.plan().connect(..).build()              |
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

use crate::{ApplyReport, CrossConnects, Plan, Port, PortStatus, SwitchCapabilities};
use async_trait::async_trait;
use qkd_hal::{Device, Error, Operation, Result, reading::Measured};

/// An optical switch.
#[async_trait]
pub trait OpticalSwitch: Device {
    /// Returns the properties of this switch, without I/O.
    fn switch_capabilities(&self) -> &SwitchCapabilities;

    /// The present cross-connects.
    ///
    /// # Errors
    /// `NotReady` if nothing is known yet of a switch that cannot be read
    /// ([`Readback::LastAcknowledged`](crate::Readback::LastAcknowledged));
    /// `Misbehaved(ValueOutOfRange)` if the device names ports that it does not have; transport
    /// errors.
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
