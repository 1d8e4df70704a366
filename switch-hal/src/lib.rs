//! The contract of optical switches: geometry, cross-connects, plans; protection, power meters,
//! attenuators. No I/O, no async runtime.
//!
//! # For controller authors
//! A change is a [`Plan`]: computed from the present state to a wanted one, shown, checked, then
//! applied.
//! ```
//! use qkd_switch_hal::{CrossConnect, CrossConnects, Geometry, Plan, Port, Scope};
//! # use qkd_hal::Identity;
//! let geometry = Geometry::matrix(16, 16);
//! let present: CrossConnects = "1-17,2-18".parse()?;
//! let wanted = present.with_changes(&geometry, &[Port(2)], &[CrossConnect::new(1, 19)])?;
//! let plan = Plan::new(&Identity::new("Polatis"), &geometry, &present, &wanted, &Scope::Touched)?;
//! assert_eq!(plan.to_string(), "disconnect 1-17; disconnect 2-18; connect 1-19");
//! # Ok::<(), qkd_hal::Error>(())
//! ```
//!
//! # For driver authors
//! [`OpticalSwitch::apply`] reads the state again first; the kit's `switching::apply` does the
//! whole sequence over two small methods of yours.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod attenuator;
pub mod checked;
mod connection;
mod geometry;
#[cfg(feature = "mock")]
pub mod mock;
mod plan;
mod power_meter;
pub mod protection;
mod switch;

pub use attenuator::{Attenuation, Attenuator, AttenuatorCapabilities};
pub use connection::{CrossConnect, CrossConnects, Port};
pub use geometry::Geometry;
pub use plan::{Fingerprint, Plan, Scope, Step};
pub use power_meter::{
    AlarmLevels, MonitorSetting, MonitorStatus, PowerMeter, PowerMeterCapabilities,
};
pub use protection::Protection;
pub use switch::{
    ApplyReport, OpticalSwitch, PortState, PortStatus, PowerFailureBehaviour, Readback,
    SwitchCapabilities,
};
