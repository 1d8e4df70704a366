//! Data of optical devices: ports, geometry, cross-connects, plans, power monitors, attenuations,
//! protection groups.
//!
//! The traits that use them are in `qkd-switch-hal`, which re-exports all of this. The data are
//! here because a [`Request`](crate::Request) is one type for the operations of all devices, with
//! their arguments.

pub mod protection;

mod attenuator;
mod connection;
mod geometry;
mod plan;
mod power_meter;
mod switch;

pub use attenuator::{Attenuation, AttenuatorCapabilities};
pub use connection::{CrossConnect, CrossConnects, Port};
pub use geometry::Geometry;
pub use plan::{Fingerprint, Plan, PlanBuilder, Scope, StateSource, Step, SwitchState};
pub use power_meter::{AlarmLevels, MonitorSetting, MonitorStatus, PowerMeterCapabilities};
pub use switch::{
    ApplyReport, PortState, PortStatus, PowerFailureBehaviour, Readback, SwitchCapabilities,
};
