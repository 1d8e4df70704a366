//! Advisory locks on devices, among the programs of one machine and all of its users: readers share
//! a device, a change has it alone.
//!
//! A lock is on the device and not on a spelling of its address: on each address that its host name
//! has, with the port that the driver takes by default; on a serial port by its device number; and,
//! once it is known, on the serial number of the device. A lock is an open file in one folder per
//! machine, which every user can lock and only its maker can remove.

use nix::fcntl::OFlag;
use qkd_hal::{DeviceUri, Error, ErrorKind, Identity, Result};
use std::{
    collections::{BTreeSet, HashMap},
    fs::{File, TryLockError},
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::{Arc, LazyLock, Mutex, PoisonError, Weak},
    time::Duration,
};

/// Names the folder of locks; for tests alone, whose emulators share serial numbers.
pub const FOLDER_VARIABLE: &str = "QKD_LOCK_FOLDER";

/// Folders that all users of a host can write to, in the order in which they are tried.
const FOLDERS: [&str; 3] = ["/run/lock", "/var/lock", "/tmp"];

/// Maximum number of addresses of one host name that are locked.
const MAX_ADDRESSES: usize = 16;

/// Number and interval of the attempts to take a lock that is held: a reader that ends holds its
/// lock exclusively for an instant while it removes the file.
const ATTEMPTS: u32 = 10;
const RETRY_INTERVAL: Duration = Duration::from_millis(20);

/// Maximum time for the resolution of a host name.
const RESOLVE_TIMEOUT: Duration = Duration::from_secs(5);

/// Access that a lock allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LockMode {
    /// Reading, together with other readers.
    Shared,
    /// Changing, exclusively.
    Exclusive,
}

/// The locks on one device, until dropped. Locks of one process in the same mode are one lock.
#[derive(Debug, Default)]
pub struct DeviceLock(Vec<Arc<Held>>);

/// Locks the device at this address. `default_port` is used if the URI has no port
/// ([`Driver::default_port`](crate::Driver::default_port)).
///
/// # Errors
/// `Busy` if another program holds the lock; `Unreachable` if the host name has no address;
/// `Internal` if the host has no folder for locks, or another file has the name of the lock.
pub async fn lock_address(
    uri: &DeviceUri,
    default_port: Option<u16>,
    mode: LockMode,
) -> Result<DeviceLock> {
    let mut lock = DeviceLock::default();
    for place in places(uri, default_port).await? {
        lock.add(&place, mode, uri).await?;
    }
    Ok(lock)
}

impl DeviceLock {
    /// Locks the device by its serial number too, if it has one.
    ///
    /// # Errors
    /// As [`lock_address`].
    pub async fn add_identity(
        &mut self,
        identity: &Identity,
        mode: LockMode,
        uri: &DeviceUri,
    ) -> Result<()> {
        let Some(serial) = identity.serial.as_deref().map(str::trim) else {
            return Ok(());
        };
        if serial.is_empty() {
            return Ok(());
        }
        let vendor = identity.vendor.trim().to_ascii_lowercase();
        let place = format!("serial number {vendor} {serial}");
        self.add(&place, mode, uri).await
    }

    async fn add(&mut self, place: &str, mode: LockMode, uri: &DeviceUri) -> Result<()> {
        let problem = |e: io::Error| {
            Error::new(
                ErrorKind::Internal,
                format!("the lock of this device cannot be had: {e}"),
            )
            .with_device(uri.to_string())
        };
        let path = lock_folder().map_err(problem)?.join(file_name(place));
        for attempt in 0..ATTEMPTS {
            if let Some(held) = try_lock(&path, mode).map_err(problem)? {
                self.0.push(held);
                return Ok(());
            }
            if attempt + 1 < ATTEMPTS {
                tokio::time::sleep(RETRY_INTERVAL).await;
            }
        }
        let wanted = match mode {
            LockMode::Shared => "is changing this device",
            LockMode::Exclusive => "is reading or changing this device",
        };
        Err(Error::new(
            ErrorKind::Busy,
            format!("another program (qkdctl or qkd-conform) {wanted}, by this address or another"),
        )
        .with_device(uri.to_string()))
    }
}

/// An open lock file.
#[derive(Debug)]
struct Held {
    file: File,
    path: PathBuf,
}

type OpenLocks = HashMap<(PathBuf, LockMode), Weak<Held>>;
static OPEN_LOCKS: LazyLock<Mutex<OpenLocks>> = LazyLock::new(Mutex::default);

impl Drop for Held {
    /// Removes the file unless another process holds the lock. The lock is held exclusively
    /// meanwhile, so that a process that has opened the file detects that it is no longer the
    /// current one.
    fn drop(&mut self) {
        if self.file.try_lock().is_ok() && is_at(&self.file, &self.path) {
            // In a folder with the sticky bit only its maker can.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

fn try_lock(path: &Path, mode: LockMode) -> io::Result<Option<Arc<Held>>> {
    let mut open = OPEN_LOCKS.lock().unwrap_or_else(PoisonError::into_inner);
    let key = (path.to_owned(), mode);
    if let Some(held) = open.get(&key).and_then(Weak::upgrade) {
        return Ok(Some(held));
    }
    open.retain(|_, held| held.strong_count() > 0);
    let file = open_file(path)?;
    let locked = match mode {
        LockMode::Shared => file.try_lock_shared(),
        LockMode::Exclusive => file.try_lock(),
    };
    match locked {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Ok(None),
        Err(TryLockError::Error(error)) => return Err(error),
    }
    // It was removed between its opening and its locking: the next attempt makes another.
    if !is_at(&file, path) {
        return Ok(None);
    }
    let held = Arc::new(Held {
        file,
        path: path.to_owned(),
    });
    open.insert(key, Arc::downgrade(&held));
    Ok(Some(held))
}

fn is_at(file: &File, path: &Path) -> bool {
    match (file.metadata(), path.symlink_metadata()) {
        (Ok(open), Ok(named)) => (open.dev(), open.ino()) == (named.dev(), named.ino()),
        _ => false,
    }
}

/// Opens the file of a lock, or makes it. A link is not followed, and nothing is ever written.
fn open_file(path: &Path) -> io::Result<File> {
    let flags = (OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC).bits();
    // Opened for reading: that suffices for a lock, and the kernel refuses to open another user's
    // file in such a folder for creation (fs.protected_regular).
    let opened = File::options().read(true).custom_flags(flags).open(path);
    let file = match opened {
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            let made = File::options()
                .read(true)
                .write(true)
                .create_new(true)
                .mode(0o444)
                .custom_flags(flags)
                .open(path);
            match made {
                Ok(file) => {
                    // Whatever the umask, others must be able to lock it.
                    file.set_permissions(std::fs::Permissions::from_mode(0o444))?;
                    file
                }
                // Somebody was faster.
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
                    File::options().read(true).custom_flags(flags).open(path)?
                }
                Err(e) => return Err(with_path(&e, path)),
            }
        }
        other => other.map_err(|e| with_path(&e, path))?,
    };
    if !file.metadata()?.is_file() {
        return Err(io::Error::other(format!(
            "{} is not a regular file; remove it",
            path.display()
        )));
    }
    Ok(file)
}

fn with_path(error: &io::Error, path: &Path) -> io::Error {
    let place = path.display();
    io::Error::new(
        error.kind(),
        format!("{place}: {error}; it is not a lock that this user can open: remove it"),
    )
}

fn lock_folder() -> io::Result<PathBuf> {
    if let Some(folder) = std::env::var_os(FOLDER_VARIABLE) {
        let folder = PathBuf::from(folder);
        std::fs::create_dir_all(&folder)?;
        return Ok(folder);
    }
    // Writable by all and with the sticky bit, so that a user cannot remove the lock of another
    // user.
    let is_common = |path: &str| {
        std::fs::metadata(path).is_ok_and(|m| m.is_dir() && m.mode() & 0o1777 == 0o1777)
    };
    FOLDERS
        .iter()
        .find(|path| is_common(path))
        .map(PathBuf::from)
        .ok_or_else(|| {
            io::Error::new(
                io::ErrorKind::NotFound,
                format!(
                    "none of {} is a folder that all users share (mode 1777)",
                    FOLDERS.join(", ")
                ),
            )
        })
}

fn file_name(place: &str) -> String {
    // FNV-1a of 64 bits, twice: a name, not a secret; two devices with one name would wait for
    // each other, and no more.
    let hash = |seed: u64| {
        place.bytes().fold(seed, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        })
    };
    let (first, second) = (hash(0xcbf2_9ce4_8422_2325), hash(0x6c62_272e_07bb_0142));
    format!("qkd-device-{first:016x}{second:016x}.lock")
}

/// Where a device is, in words that do not depend on how its address is written.
async fn places(uri: &DeviceUri, default_port: Option<u16>) -> Result<BTreeSet<String>> {
    if uri.transport() == crate::context::MEMORY_TRANSPORT {
        return Ok(BTreeSet::new());
    }
    if uri.host().is_empty() {
        let serial = uri.parameter("serial").unwrap_or("any");
        let place = if uri.path().is_empty() {
            format!("{} {} {serial}", uri.transport(), uri.driver())
        } else {
            local_place(Path::new(uri.path()))
        };
        // Interfaces of two network namespaces may have one name.
        let place = match uri.parameter("netns") {
            Some(namespace) => format!("{place} in {namespace}"),
            None => place,
        };
        return Ok(BTreeSet::from([place]));
    }
    let port = uri.port().or(default_port).unwrap_or(0);
    let addresses = resolve(uri.host(), port, uri).await?;
    Ok(addresses
        .into_iter()
        .map(|address| format!("{address} {port} {}", uri.path()))
        .collect())
}

/// A serial port has several names, and one device number.
fn local_place(path: &Path) -> String {
    match std::fs::metadata(path) {
        Ok(meta) if meta.file_type().is_char_device() => format!("device {}", meta.rdev()),
        Ok(meta) => format!("file {} {}", meta.dev(), meta.ino()),
        Err(_) => format!("path {}", path.display()),
    }
}

async fn resolve(host: &str, port: u16, uri: &DeviceUri) -> Result<BTreeSet<IpAddr>> {
    if let Ok(address) = host.parse::<IpAddr>() {
        return Ok(BTreeSet::from([canonical(address)]));
    }
    let unreachable = |why: String| {
        Error::new(
            ErrorKind::Unreachable,
            format!("no address of `{host}`: {why}"),
        )
        .with_operation("open")
        .with_device(uri.to_string())
    };
    let found = tokio::time::timeout(RESOLVE_TIMEOUT, tokio::net::lookup_host((host, port)))
        .await
        .map_err(|_| unreachable("the resolver did not answer".to_owned()))?
        .map_err(|e| unreachable(e.to_string()))?;
    Ok(found
        .map(|address| canonical(address.ip()))
        .take(MAX_ADDRESSES)
        .collect())
}

/// One form of an address: an IPv4 address is never written as IPv6, and the unspecified address
/// leads to this machine, as the loopback address does.
fn canonical(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(v4) if v4.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(v6) if v6.is_unspecified() || v6 == Ipv6Addr::LOCALHOST => {
            Ipv4Addr::LOCALHOST.into()
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn where_is(uri: &str) -> BTreeSet<String> {
        places(&uri.parse().unwrap(), Some(5025)).await.unwrap()
    }

    #[tokio::test]
    async fn every_spelling_of_an_address_is_one_place() {
        let plain = where_is("locked+tcp://127.0.0.1").await;
        for other in [
            "locked+tcp://127.0.0.1:5025?deadline=1s",
            "locked+tcp://[::ffff:127.0.0.1]",
            "locked+tcp://[::1]:5025",
            "locked+tcp://0.0.0.0",
        ] {
            assert_eq!(where_is(other).await, plain, "{other}");
        }
        let by_name = where_is("locked+tcp://localhost").await;
        assert!(!by_name.is_disjoint(&plain), "{by_name:?} {plain:?}");
        assert_ne!(where_is("locked+tcp://127.0.0.1:5026").await, plain);
    }

    #[tokio::test]
    async fn every_name_of_a_local_port_is_one_place() {
        let folder = tempfile::tempdir().unwrap();
        let link = folder.path().join("port");
        std::os::unix::fs::symlink("/dev/null", &link).unwrap();
        assert_eq!(
            where_is(&format!("locked+serial://{}", link.display())).await,
            where_is("locked+serial:///dev/null").await
        );
    }

    #[tokio::test]
    async fn interfaces_of_two_network_namespaces_are_two_places() {
        let plain = where_is("locked+netlink:///macsec0").await;
        let other = where_is("locked+netlink:///macsec0?netns=far").await;
        assert!(plain.is_disjoint(&other), "{plain:?} {other:?}");
    }

    #[test]
    fn readers_share_and_a_change_is_exclusive_without_leftover_files() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.lock");
        let reader = try_lock(&path, LockMode::Shared).unwrap().unwrap();
        let other = try_lock(&path, LockMode::Shared).unwrap().unwrap();
        assert!(try_lock(&path, LockMode::Exclusive).unwrap().is_none());
        drop((reader, other));
        assert!(!path.exists(), "the last reader removes it");
        let alone = try_lock(&path, LockMode::Exclusive).unwrap().unwrap();
        let mode = path.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o444, "every user can lock it");
        assert!(try_lock(&path, LockMode::Shared).unwrap().is_none());
        drop(alone);
        assert!(!path.exists());
    }

    #[test]
    fn a_removed_lock_file_does_not_lock() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.lock");
        let old = open_file(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        let _new = open_file(&path).unwrap();
        assert!(!is_at(&old, &path));
    }

    #[test]
    fn links_and_other_things_are_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("target");
        let link = folder.path().join("x.lock");
        std::os::unix::fs::symlink(&target, &link).unwrap();
        assert!(try_lock(&link, LockMode::Exclusive).is_err());
        assert!(!target.exists(), "nothing is made through a link");
        assert!(try_lock(folder.path(), LockMode::Exclusive).is_err());
    }
}
