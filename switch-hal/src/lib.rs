//! Contract of optical switches, protection switches, power meters and attenuators. This crate
//! contains no I/O and needs no async runtime.
//!
//! The traits are here. Their data (ports, cross-connects, plans, settings) are those of
//! [`qkd_hal::optics`], which this crate re-exports.
//!
//! # For controller authors
//!
//! A change is a [`Plan`]: computed from the present and the wanted cross-connects, shown, checked,
//! then applied.
//!
//! ```
//! use qkd_switch_hal::OpticalSwitch;
//! async fn change(switch: &dyn OpticalSwitch) -> qkd_hal::Result<()> {
//!     let plan = switch.plan().disconnect(2).connect(1, 19).build().await?;
//!     println!("{plan}");
//!     switch.apply(&plan).await?;
//!     Ok(())
//! }
//! ```
//!
//! # For driver authors
//!
//! [`OpticalSwitch::apply`] first reads the state again; the kit's `switching::apply` performs the
//! whole sequence over two methods of the driver.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod attenuator;
pub mod checked;
#[cfg(feature = "mock")]
pub mod mock;
mod plan;
mod power_meter;
pub mod protection;
mod proxy;
mod switch;

pub use attenuator::Attenuator;
pub use power_meter::PowerMeter;
pub use protection::Protection;
pub use qkd_hal::optics::{
    AlarmLevels, ApplyReport, Attenuation, AttenuatorCapabilities, CrossConnect, CrossConnects,
    Fingerprint, Geometry, MonitorSetting, MonitorStatus, Plan, PlanBuilder, Port, PortState,
    PortStatus, PowerFailureBehaviour, PowerMeterCapabilities, Readback, Scope, StateSource, Step,
    SwitchCapabilities, SwitchState,
};
pub use switch::OpticalSwitch;
