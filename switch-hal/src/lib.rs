//! Contract of optical switches: geometry, cross-connects, plans; protection, power meters,
//! attenuators. This crate contains no I/O and needs no async runtime.
//!
//! # For controller authors
//!
//! A change is a [`Plan`]: computed from the present and the wanted cross-connects, shown, checked,
//! then applied.
//!
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
//!
//! [`OpticalSwitch::apply`] first reads the state again; the kit's `switching::apply` performs the
//! whole sequence over two methods of the driver.

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
