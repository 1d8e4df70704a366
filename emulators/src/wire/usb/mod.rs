//! USB devices: standard requests in front of a model, and the USB/IP server.

mod chapter9;
pub mod usbip;

pub use chapter9::{Chapter9, UsbModel};
