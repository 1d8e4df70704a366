//! Shared code of all drivers: links, transcripts, the [`Driver`] trait and the [`Registry`].
//!
//! # For driver authors
//!
//! A driver is one folder: `proto.rs` (encodes and decodes messages, without I/O), `device.rs`
//! (implements the traits), `lib.rs` and `docs.md`. It gets its link from the [`OpenContext`] and
//! returns its device in [`OpenedDevice`].
//!
//! # Drivers outside this repository
//!
//! ```no_run
//! # async fn example(my_driver: impl qkd_driver_kit::Driver + 'static) -> qkd_hal::Result<()> {
//! let registry = qkd_driver_kit::Registry::new().with(my_driver);
//! let context = qkd_driver_kit::OpenContext::new();
//! let opened = registry.open("mine+tcp://192.0.2.7:4000", &context).await?;
//! println!("{}", opened.device().identity().await?);
//! # Ok(())
//! # }
//! ```

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod backoff;
mod call;
pub mod change_lock;
pub mod context;
pub mod credentials;
pub mod driver;
pub mod driver_info;
pub mod forced_exchanges;
pub mod key_text;
pub mod link;
pub mod officer_password;
pub mod opened_device;
#[cfg(feature = "program")]
pub mod program;
pub mod protection;
pub mod registry;
pub mod switching;
pub mod transcript;
pub mod wrap;

pub use context::OpenContext;
pub use driver::Driver;
pub use driver_info::DriverInfo;
pub use opened_device::OpenedDevice;
pub use registry::Registry;
