//! Emulation of the kernel's usbfs inside the test process: real `rusb` and real libusb, without
//! kernel USB and without root.
//!
//! This crate defines the symbols `open`, `close`, `ioctl`, `opendir` and `statfs`. The statically
//! linked (vendored) libusb binds to them; calls outside `/dev/bus/usb` are forwarded to the kernel
//! or to libc. Linux only, for tests only.
//!
//! # Operation
//!
//! - `/dev/bus/usb` is a directory of this process, removed with the last device: [`plug`] writes
//!   the descriptors into it, as usbfs would show them.
//! - `open` for reading and writing returns the write end of a full pipe. libusb polls it for
//!   `POLLOUT`, which is signalled when a transfer can be reaped; a closed read end gives
//!   `POLLERR`, which libusb interprets as an unplugged device.
//! - The requests of usbfs (`linux/usbdevice_fs.h`) that libusb makes are answered by a
//!   [`UsbService`].
//!
//! # Limits
//!
//! - libusb reads the device list when a `Context` is created: hot-plug events are not sent. Create
//!   a new context to see a new device.
//! - The bus speed is not reported (`Speed::Unknown`), since sysfs is hidden: `statfs("/sys")`
//!   fails, so that libusb lists devices by usbfs.
//! - No isochronous transfers.

#![cfg(target_os = "linux")]
#![allow(unsafe_code)]

mod device;
#[allow(unreachable_pub, reason = "the linker reaches them")]
mod symbols;

pub use device::{Plugged, plug};
pub use qkd_driver_kit::link::usb::UsbService;
