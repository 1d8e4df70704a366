//! The five symbols that libusb binds to.

use crate::device::{UrbAt, forget, open_device, opened, root};
use libc::{c_char, c_int, c_ulong};
use qkd_driver_kit::link::usb::SetupPacket;
use std::{
    ffi::{CStr, CString},
    os::unix::ffi::OsStrExt,
    path::Path,
    sync::OnceLock,
};

/// Where usbfs is mounted.
const USBFS: &[u8] = b"/dev/bus/usb";

fn fail(error: c_int) -> c_int {
    // SAFETY: errno of this thread is always writable.
    unsafe { *libc::__errno_location() = error };
    -1
}

fn done(error: c_int) -> c_int {
    if error == 0 { 0 } else { fail(error) }
}

/// The path in our directory, for a path below `/dev/bus/usb`.
fn mapped(path: &CStr) -> Option<CString> {
    let rest = path.to_bytes().strip_prefix(USBFS)?;
    let rest = match rest {
        [] => rest,
        [b'/', rest @ ..] => rest,
        _ => return None,
    };
    CString::new(
        root()
            .join(Path::new(std::ffi::OsStr::from_bytes(rest)))
            .as_os_str()
            .as_bytes(),
    )
    .ok()
}

/// `statfs(2)`: hides sysfs, so that libusb lists devices by usbfs.
///
/// # Safety
/// As `statfs(2)`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn statfs(path: *const c_char, buffer: *mut libc::statfs) -> c_int {
    // SAFETY: the caller passes a C string, by the contract of statfs(2).
    if unsafe { CStr::from_ptr(path) } == c"/sys" {
        return fail(libc::ENOENT);
    }
    // SAFETY: the caller's arguments, unchanged.
    unsafe { libc::syscall(libc::SYS_statfs, path, buffer) as c_int }
}

/// `opendir(3)`: shows our directory for `/dev/bus/usb`.
///
/// # Safety
/// As `opendir(3)`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn opendir(path: *const c_char) -> *mut libc::DIR {
    type OpenDir = unsafe extern "C" fn(*const c_char) -> *mut libc::DIR;
    static REAL: OnceLock<Option<OpenDir>> = OnceLock::new();
    let real = REAL.get_or_init(|| {
        // SAFETY: dlsym with a C string; the symbol, if there is one, is libc's opendir.
        unsafe {
            std::mem::transmute::<*mut libc::c_void, Option<OpenDir>>(libc::dlsym(
                libc::RTLD_NEXT,
                c"opendir".as_ptr(),
            ))
        }
    });
    let Some(real) = real else {
        fail(libc::ENOSYS);
        return std::ptr::null_mut();
    };
    // SAFETY: the caller passes a C string, by the contract of opendir(3).
    let here = mapped(unsafe { CStr::from_ptr(path) });
    // SAFETY: both are C strings that outlive the call.
    unsafe { real(here.as_ref().map_or(path, |p| p.as_ptr())) }
}

/// `open(2)`: opens plugged devices.
///
/// # Safety
/// As `open(2)`. The third argument is passed on as given; it is read as an integer whether or not
/// the caller passed one, which the calling conventions of Linux on `x86_64` and `aarch64` allow.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn open(path: *const c_char, flags: c_int, mode: libc::mode_t) -> c_int {
    // SAFETY: the caller passes a C string, by the contract of open(2).
    let name = unsafe { CStr::from_ptr(path) };
    let here = mapped(name);
    if here.is_some() && flags & libc::O_ACCMODE == libc::O_RDWR {
        return open_device(&name.to_string_lossy()).unwrap_or_else(fail);
    }
    // SAFETY: a C string that lives through the call, and the caller's flags.
    unsafe {
        libc::syscall(
            libc::SYS_openat,
            libc::AT_FDCWD,
            here.as_ref().map_or(path, |p| p.as_ptr()),
            flags,
            mode as c_int,
        ) as c_int
    }
}

/// `close(2)`: forgets opened devices.
///
/// # Safety
/// As `close(2)`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn close(fd: c_int) -> c_int {
    forget(fd);
    // SAFETY: the caller's descriptor.
    unsafe { libc::syscall(libc::SYS_close, fd) as c_int }
}

/// The structure `struct usbdevfs_ctrltransfer`.
#[repr(C)]
struct ControlTransfer {
    setup: [u8; 8],
    timeout: u32,
    data: *mut u8,
}

/// `USBDEVFS_CAP_ZERO_PACKET | USBDEVFS_CAP_NO_PACKET_SIZE_LIM |
/// USBDEVFS_CAP_REAP_AFTER_DISCONNECT`
const CAPABILITIES: u32 = 0x01 | 0x04 | 0x10;

/// `ioctl(2)`: answers the requests of usbfs (`linux/usbdevice_fs.h`, type `U`).
///
/// # Safety
/// As `ioctl(2)`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ioctl(fd: c_int, request: c_ulong, argument: usize) -> c_int {
    let device = if (request >> 8) & 0xff == c_ulong::from(b'U') {
        opened(fd)
    } else {
        None
    };
    let Some(device) = device else {
        // SAFETY: the caller's arguments, unchanged.
        return unsafe { libc::syscall(libc::SYS_ioctl, fd, request, argument) as c_int };
    };
    let number = request & 0xff;
    if device.is_unplugged() && !matches!(number, 12 | 13) {
        return fail(libc::ENODEV);
    }
    match number {
        // CONTROL
        0 => {
            // SAFETY: libusb passes a ControlTransfer.
            let transfer = unsafe { &mut *(argument as *mut ControlTransfer) };
            let setup = SetupPacket::from_bytes(transfer.setup);
            let length = usize::from(setup.length);
            // SAFETY: its data has wLength bytes.
            let data: &mut [u8] = if length == 0 {
                &mut []
            } else {
                unsafe { std::slice::from_raw_parts_mut(transfer.data, length) }
            };
            device
                .control(setup, data)
                .map_or_else(fail, |n| c_int::try_from(n).unwrap_or(c_int::MAX))
        }
        // GETDRIVER: no kernel driver is bound.
        8 => fail(libc::ENODATA),
        // SUBMITURB
        10 => {
            device.submit(UrbAt(argument));
            0
        }
        // DISCARDURB
        11 if device.discard(UrbAt(argument)) => 0,
        11 => fail(libc::EINVAL),
        // REAPURB, REAPURBNDELAY: libusb uses the latter only.
        12 | 13 => match device.reap() {
            Ok(urb) => {
                // SAFETY: libusb passes room for one pointer.
                unsafe { *(argument as *mut usize) = urb.0 };
                0
            }
            Err(error) => fail(error),
        },
        // GET_CAPABILITIES
        0x1a => {
            // SAFETY: libusb passes room for one u32.
            unsafe { *(argument as *mut u32) = CAPABILITIES };
            0
        }
        // SETINTERFACE: interface and alternate setting, two u32
        4 => {
            // SAFETY: libusb passes a `struct usbdevfs_setinterface`.
            let [interface, setting] = unsafe { *(argument as *const [u32; 2]) };
            done(device.standard(0x01, 11, setting as u16, interface as u16))
        }
        // SETCONFIGURATION: an int
        5 => {
            // SAFETY: libusb passes an int.
            let configuration = unsafe { *(argument as *const u32) };
            done(device.standard(0x00, 9, configuration as u16, 0))
        }
        // CLEAR_HALT: an endpoint
        21 => {
            // SAFETY: libusb passes an unsigned int.
            let endpoint = unsafe { *(argument as *const u32) };
            done(device.standard(0x02, 1, 0, endpoint as u16))
        }
        // CLAIMINTERFACE, RELEASEINTERFACE, RESET, DISCONNECT_CLAIM
        15 | 16 | 20 | 27 => 0,
        _ => fail(libc::ENOTTY),
    }
}
