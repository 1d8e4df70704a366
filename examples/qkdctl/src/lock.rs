//! An advisory lock per device, among the programs of this machine that use it: readers share it, a change has it alone.

use qkd_hal::{DeviceUri, Error, ErrorKind, Result};
use sha2::{Digest, Sha256};
use std::{
    collections::HashMap,
    fs::{File, TryLockError},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt},
    path::PathBuf,
    sync::{Arc, LazyLock, Mutex, PoisonError, Weak},
};

/// Held until dropped; one command that opens a device twice for the same use has one lock.
pub(crate) struct Lock(#[expect(dead_code, reason = "the lock ends with the file")] Arc<File>);

type Held = HashMap<(String, Use), Weak<File>>;
static HELD: LazyLock<Mutex<Held>> = LazyLock::new(Mutex::default);

/// What is to be done with the device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Use {
    Read,
    Change,
}

fn folder() -> PathBuf {
    std::env::var_os("XDG_RUNTIME_DIR").map_or_else(
        || std::env::temp_dir().join(format!("qkdctl-{}", nix::unistd::getuid())),
        |d| PathBuf::from(d).join("qkdctl"),
    )
}

/// Takes the lock of the device at this address, whatever the URI's parameters.
pub(crate) fn take(uri: &DeviceUri, what: Use) -> Result<Lock> {
    let problem = |e: std::io::Error| {
        Error::new(
            ErrorKind::Internal,
            format!("the lock of {uri} cannot be had: {e}"),
        )
    };
    let folder = folder();
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&folder)
        .map_err(problem)?;
    // The folder in a common place may have been somebody else's first.
    let owner = std::fs::metadata(&folder).map_err(problem)?;
    if owner.uid() != nix::unistd::getuid().as_raw() || owner.mode() & 0o022 != 0 {
        return Err(Error::new(
            ErrorKind::Internal,
            format!(
                "the folder of locks, {}, is not yours alone: remove it, or set XDG_RUNTIME_DIR",
                folder.display()
            ),
        ));
    }
    // A serial port has several names.
    let path = std::fs::canonicalize(uri.path())
        .map_or_else(|_| uri.path().to_owned(), |p| p.display().to_string());
    // The ports that the transports stand for; over plain TCP each driver has its own, so that there a port that is written out and one that is not are two locks.
    let port = uri.port().or(match uri.transport() {
        "snmp" => Some(161),
        "usbip" => Some(3240),
        "https" => Some(443),
        "http" => Some(80),
        _ => None,
    });
    let address = format!("{}|{}|{port:?}|{path}", uri.transport(), uri.host());
    let name = hex::encode(&Sha256::digest(address)[..12]);
    let mut held = HELD.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(file) = held.get(&(name.clone(), what)).and_then(Weak::upgrade) {
        return Ok(Lock(file));
    }
    let file = File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(folder.join(&name))
        .map_err(problem)?;
    let taken = if what == Use::Change {
        file.try_lock()
    } else {
        file.try_lock_shared()
    };
    match taken {
        Ok(()) => {
            let file = Arc::new(file);
            held.insert((name, what), Arc::downgrade(&file));
            Ok(Lock(file))
        }
        Err(TryLockError::Error(e)) => Err(problem(e)),
        Err(TryLockError::WouldBlock) => Err(Error::new(
            ErrorKind::Busy,
            "another qkdctl is changing, or reading, this device right now",
        )
        .on(uri.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readers_share_and_a_change_is_alone() {
        let uri: DeviceUri = format!("x+tcp://lock-test-{}", std::process::id())
            .parse()
            .unwrap();
        let first = take(&uri, Use::Read).unwrap();
        let second = take(&uri.clone().with_parameter("a", "b"), Use::Read).unwrap();
        assert_eq!(
            take(&uri, Use::Change).err().unwrap().kind(),
            ErrorKind::Busy
        );
        drop((first, second));
        let _alone = take(&uri, Use::Change).unwrap();
        assert_eq!(take(&uri, Use::Read).err().unwrap().kind(), ErrorKind::Busy);
    }
}
