//! Plugged devices, opened devices, and their transfers.

use libc::c_int;
use qkd_driver_kit::link::usb::{Completion, SetupPacket, UsbService};
use std::{
    collections::{HashMap, VecDeque},
    fs, io,
    os::fd::{AsRawFd, FromRawFd, OwnedFd},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    thread,
    time::Duration,
};

/// `struct usbdevfs_urb` of `linux/usbdevice_fs.h`.
#[repr(C)]
pub(crate) struct Urb {
    kind: u8,
    endpoint: u8,
    status: c_int,
    flags: u32,
    buffer: *mut u8,
    length: c_int,
    actual: c_int,
    start_frame: c_int,
    packets: c_int,
    errors: c_int,
    signal: u32,
    context: *mut u8,
}

/// Value of `USBDEVFS_URB_TYPE_CONTROL`.
const CONTROL: u8 = 2;

/// The address of an [`Urb`] that libusb owns between SUBMITURB and REAPURB.
#[derive(Clone, Copy, PartialEq)]
pub(crate) struct UrbAt(pub(crate) usize);

impl UrbAt {
    /// # Safety
    /// The address must be that of an URB which libusb has submitted and not reaped yet.
    unsafe fn urb<'a>(self) -> &'a mut Urb {
        // SAFETY: by this function's contract; the lock around `Transfers` makes the access
        // exclusive.
        unsafe { &mut *(self.0 as *mut Urb) }
    }
}

#[derive(Default)]
struct Transfers {
    pending: Vec<UrbAt>,
    done: VecDeque<UrbAt>,
}

/// An opened device: the write end of its pipe is libusb's file descriptor.
pub(crate) struct Opened {
    service: Arc<dyn UsbService>,
    /// The read end; taken when the device is unplugged or closed.
    reader: Mutex<Option<OwnedFd>>,
    writer: c_int,
    transfers: Mutex<Transfers>,
    gone: AtomicBool,
    closed: AtomicBool,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The pipe holds one page, so that one write fills it and one read empties it.
const PIPE: usize = 4096;

impl Opened {
    /// Opens: makes the pipe, and the thread that completes pending transfers.
    fn new(service: Arc<dyn UsbService>) -> io::Result<Arc<Self>> {
        let mut ends = [0; 2];
        // SAFETY: `ends` has room for two descriptors.
        if unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC | libc::O_NONBLOCK) } != 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the pipe was just created; no other owner of its ends exists. The write end
        // belongs to the caller of `open`.
        let reader = unsafe { OwnedFd::from_raw_fd(ends[0]) };
        // SAFETY: a plain fcntl on a descriptor that is open.
        unsafe { libc::fcntl(ends[1], libc::F_SETPIPE_SZ, PIPE) };
        let opened = Arc::new(Self {
            service,
            reader: Mutex::new(Some(reader)),
            writer: ends[1],
            transfers: Mutex::default(),
            gone: AtomicBool::new(false),
            closed: AtomicBool::new(false),
        });
        opened.nothing_to_reap();
        let worker = opened.clone();
        thread::spawn(move || worker.complete_pending());
        Ok(opened)
    }

    fn nothing_to_reap(&self) {
        // SAFETY: the buffer is valid; the descriptor is libusb's and open until `closed`, whose
        // race costs one failed write.
        unsafe { libc::write(self.writer, [0u8; PIPE].as_ptr().cast(), PIPE) };
    }

    fn something_to_reap(&self) {
        if let Some(reader) = &*lock(&self.reader) {
            // SAFETY: the buffer is valid and the descriptor is open while the lock is held.
            unsafe { libc::read(reader.as_raw_fd(), [0u8; PIPE].as_mut_ptr().cast(), PIPE) };
        }
    }

    pub(crate) fn is_unplugged(&self) -> bool {
        self.gone.load(Ordering::SeqCst)
    }

    fn unplug(&self) {
        self.gone.store(true, Ordering::SeqCst);
        lock(&self.reader).take();
    }

    fn complete_pending(&self) {
        while !self.closed.load(Ordering::SeqCst) && !self.is_unplugged() {
            let generation = self.service.generation();
            {
                let mut transfers = lock(&self.transfers);
                let pending = std::mem::take(&mut transfers.pending);
                for urb in pending {
                    if self.run(urb) {
                        self.done(&mut transfers, urb)
                    } else {
                        transfers.pending.push(urb)
                    }
                }
            }
            self.service.changed(generation, Duration::from_millis(20));
        }
    }

    /// Runs a transfer; `false` if it must wait. Called with the lock on the transfers held.
    fn run(&self, at: UrbAt) -> bool {
        // SAFETY: callers pass URBs between submission and reaping only.
        let urb = unsafe { at.urb() };
        let Ok(length) = usize::try_from(urb.length) else {
            (urb.status, urb.actual) = (-libc::EINVAL, 0);
            return true;
        };
        // SAFETY: libusb gives a buffer of `length` bytes that lives until the URB is reaped.
        let data: &mut [u8] = if length == 0 {
            &mut []
        } else {
            unsafe { std::slice::from_raw_parts_mut(urb.buffer, length) }
        };
        let (completion, room): (_, &mut [u8]) = if urb.kind == CONTROL {
            let Some((head, stage)) = data.split_first_chunk_mut::<8>() else {
                (urb.status, urb.actual) = (-libc::EINVAL, 0);
                return true;
            };
            let setup = SetupPacket::from_bytes(*head);
            (
                self.service
                    .control(setup, if setup.is_in() { &[] } else { stage }),
                stage,
            )
        } else if urb.endpoint & 0x80 != 0 {
            (self.service.read(urb.endpoint, length), data)
        } else {
            (self.service.write(urb.endpoint, data), data)
        };
        (urb.status, urb.actual) = match completion {
            Completion::Pending => return false,
            Completion::Stall => (-libc::EPIPE, 0),
            Completion::Accepted(n) => (0, c_int::try_from(n).unwrap_or(c_int::MAX)),
            Completion::Data(bytes) => {
                let n = bytes.len().min(room.len());
                room[..n].copy_from_slice(&bytes[..n]);
                // More than asked for is babble.
                (
                    if bytes.len() > n { -libc::EOVERFLOW } else { 0 },
                    c_int::try_from(n).unwrap_or(c_int::MAX),
                )
            }
            Completion::Gone => {
                self.unplug();
                (-libc::ESHUTDOWN, 0)
            }
        };
        true
    }

    fn done(&self, transfers: &mut Transfers, urb: UrbAt) {
        if transfers.done.is_empty() {
            self.something_to_reap();
        }
        transfers.done.push_back(urb);
    }

    /// Handles the request `USBDEVFS_SUBMITURB`.
    pub(crate) fn submit(&self, urb: UrbAt) {
        let mut transfers = lock(&self.transfers);
        if self.run(urb) {
            self.done(&mut transfers, urb)
        } else {
            transfers.pending.push(urb)
        }
    }

    /// `USBDEVFS_DISCARDURB`; `false` if it is not pending.
    pub(crate) fn discard(&self, urb: UrbAt) -> bool {
        let mut transfers = lock(&self.transfers);
        let Some(i) = transfers.pending.iter().position(|p| *p == urb) else {
            return false;
        };
        transfers.pending.remove(i);
        // SAFETY: it was pending, so it is submitted and not reaped.
        let it = unsafe { urb.urb() };
        (it.status, it.actual) = (-libc::ENOENT, 0);
        self.done(&mut transfers, urb);
        true
    }

    /// `USBDEVFS_REAPURBNDELAY`, or the error number.
    pub(crate) fn reap(&self) -> Result<UrbAt, c_int> {
        let mut transfers = lock(&self.transfers);
        if let Some(urb) = transfers.done.pop_front() {
            if transfers.done.is_empty() && !self.is_unplugged() {
                self.nothing_to_reap();
            }
            return Ok(urb);
        }
        if !self.is_unplugged() {
            return Err(libc::EAGAIN);
        }
        let urb = transfers.pending.pop().ok_or(libc::ENODEV)?;
        // SAFETY: it was pending, so it is submitted and not reaped.
        unsafe { urb.urb() }.status = -libc::ESHUTDOWN;
        Ok(urb)
    }

    /// A standard request that the kernel makes on libusb's behalf.
    pub(crate) fn standard(&self, request_type: u8, request: u8, value: u16, index: u16) -> c_int {
        match self.service.control(
            SetupPacket {
                request_type,
                request,
                value,
                index,
                length: 0,
            },
            &[],
        ) {
            Completion::Gone => libc::ENODEV,
            Completion::Stall => libc::EPIPE,
            _ => 0,
        }
    }

    /// `USBDEVFS_CONTROL`: bytes moved, or the error number.
    pub(crate) fn control(&self, setup: SetupPacket, data: &mut [u8]) -> Result<usize, c_int> {
        match self
            .service
            .control(setup, if setup.is_in() { &[] } else { data })
        {
            Completion::Data(bytes) => {
                let n = bytes.len().min(data.len());
                data[..n].copy_from_slice(&bytes[..n]);
                Ok(n)
            }
            Completion::Accepted(n) => Ok(n),
            Completion::Gone => Err(libc::ENODEV),
            Completion::Stall | Completion::Pending => Err(libc::EPIPE),
        }
    }
}

/// Plugged and opened devices.
#[derive(Default)]
pub(crate) struct Registry {
    plugged: HashMap<String, Arc<dyn UsbService>>,
    opened: HashMap<c_int, Arc<Opened>>,
}

fn registry() -> MutexGuard<'static, Registry> {
    static REGISTRY: OnceLock<Mutex<Registry>> = OnceLock::new();
    lock(REGISTRY.get_or_init(Mutex::default))
}

/// Returns the opened device of a descriptor. Takes one lock briefly; must not be called while
/// holding it.
pub(crate) fn opened(fd: c_int) -> Option<Arc<Opened>> {
    registry().opened.get(&fd).cloned()
}

/// Opens what is plugged at `path`: the descriptor, or the error number.
pub(crate) fn open_device(path: &str) -> Result<c_int, c_int> {
    let service = registry().plugged.get(path).cloned().ok_or(libc::ENODEV)?;
    let opened = Opened::new(service).map_err(|e| e.raw_os_error().unwrap_or(libc::EIO))?;
    let fd = opened.writer;
    registry().opened.insert(fd, opened);
    Ok(fd)
}

/// Removes a descriptor that is about to be closed, if it is one of this crate.
pub(crate) fn forget(fd: c_int) {
    let opened = registry().opened.remove(&fd);
    if let Some(opened) = opened {
        opened.closed.store(true, Ordering::SeqCst);
        lock(&opened.reader).take();
    }
}

/// Returns the directory that replaces `/dev/bus/usb`: one for each process, so that parallel test
/// programs do not collide.
pub(crate) fn root() -> &'static Path {
    static ROOT: OnceLock<PathBuf> = OnceLock::new();
    ROOT.get_or_init(|| {
        let root = std::env::temp_dir().join(format!("qkd-usbfs-{}", std::process::id()));
        let _ = fs::create_dir_all(&root);
        // SAFETY: a function without arguments that does not unwind.
        unsafe { libc::atexit(remove_root) };
        root
    })
}

extern "C" fn remove_root() {
    let _ = fs::remove_dir_all(root());
}

/// Writes a file in one step: libusb's scan must never see half of it.
fn put(path: &Path, bytes: &[u8]) -> io::Result<()> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let draft = root().with_extension(format!("draft{}", NEXT.fetch_add(1, Ordering::Relaxed)));
    fs::write(&draft, bytes)?;
    fs::rename(draft, path)
}

/// A root hub (1d6b:0002). Every bus keeps one: libusb refuses to start on a bus without a readable
/// device.
const HUB: [u8; 43] = [
    18, 1, 0, 2, 9, 0, 1, 64, 0x6b, 0x1d, 2, 0, 0, 6, 0, 0, 0, 1, 9, 2, 25, 0, 1, 1, 0, 0xe0, 0, 9,
    4, 0, 0, 1, 9, 0, 0, 0, 7, 5, 0x81, 3, 4, 0, 12,
];

fn write_bus(directory: &Path) -> io::Result<()> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    if directory.exists() {
        return Ok(());
    }
    let draft = root().with_extension(format!("bus{}", NEXT.fetch_add(1, Ordering::Relaxed)));
    fs::create_dir(&draft)?;
    put(&draft.join("001"), &HUB)?;
    if fs::rename(&draft, directory).is_err() {
        // Another thread was first.
        let _ = fs::remove_dir_all(draft);
    }
    Ok(())
}

/// A plugged device; dropping it pulls it out.
pub struct Plugged {
    path: String,
    file: PathBuf,
    service: Arc<dyn UsbService>,
}

/// Plugs a device in as `bus` and `address` (2 to 127; 1 is the root hub). Programs see it in
/// contexts that they create from now on.
///
/// # Errors
/// If that address is in use, or the directory cannot be written.
pub fn plug(bus: u8, address: u8, service: Arc<dyn UsbService>) -> io::Result<Plugged> {
    if !(2..=127).contains(&address) {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "a device's address is from 2 to 127",
        ));
    }
    let path = format!("/dev/bus/usb/{bus:03}/{address:03}");
    let directory = root().join(format!("{bus:03}"));
    let file = directory.join(format!("{address:03}"));
    let (mut descriptors, configuration) = service.descriptors();
    descriptors.extend(configuration);
    {
        let mut registry = registry();
        if registry.plugged.contains_key(&path) {
            return Err(io::Error::new(
                io::ErrorKind::AddrInUse,
                format!("{path} is plugged already"),
            ));
        }
        registry.plugged.insert(path.clone(), service.clone());
    }
    let plugged = Plugged {
        path,
        file,
        service,
    };
    write_bus(&directory)?;
    put(&plugged.file, &descriptors)?;
    Ok(plugged)
}

impl Drop for Plugged {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.file);
        let opened: Vec<_> = {
            let mut registry = registry();
            registry.plugged.remove(&self.path);
            registry
                .opened
                .values()
                .filter(|o| Arc::ptr_eq(&o.service, &self.service))
                .cloned()
                .collect()
        };
        opened.iter().for_each(|o| o.unplug());
    }
}
