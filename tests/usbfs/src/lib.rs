//! A stand-in for the kernel's usbfs, inside the test process: real `rusb` and real libusb, no
//! kernel USB, no root.
//!
//! This crate defines the symbols `open`, `close`, `ioctl`, `opendir` and `statfs`. The statically
//! linked (vendored) libusb binds to them; whatever is not below `/dev/bus/usb` goes on to the
//! kernel or to libc. Linux only, for tests only.
//!
//! # How it answers
//! - `/dev/bus/usb` is a directory of this process, removed with the last device: [`plug`] writes
//!   the descriptors into it, as usbfs would show them.
//! - `open` for reading and writing returns the write end of a full pipe. libusb polls it for
//!   `POLLOUT`, which comes when a transfer can be reaped; a closed read end gives `POLLERR`, which
//!   libusb takes as an unplugged device.
//! - The requests of usbfs (`linux/usbdevice_fs.h`) that libusb makes are answered by a
//!   [`UsbService`].
//!
//! # Limits
//! - libusb learns of devices when a `Context` is made: hot-plug events are not given. Make a new
//!   context to see a new device.
//! - The bus speed is not told (`Speed::Unknown`), since sysfs is hidden: `statfs("/sys")` fails,
//!   so that libusb lists devices by usbfs.
//! - No isochronous transfers.

#![cfg(target_os = "linux")]
#![allow(unsafe_code)]

mod device;
#[allow(unreachable_pub, reason = "the linker reaches them")]
mod symbols;

pub use device::{Plugged, plug};
pub use qkd_driver_kit::link::usb::UsbService;
