//! Files that are written completely or not at all: written under a temporary name, synchronised,
//! renamed.

use std::{
    fs::{File, Permissions},
    io::{self, Write},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};
use tempfile::NamedTempFile;

/// A file that is written under a temporary name. If it is dropped before [`finish`](Self::finish),
/// nothing remains.
#[derive(Debug)]
pub struct NewFile {
    temporary: NamedTempFile,
    path: PathBuf,
}

impl NewFile {
    /// Begins a file of these permission bits, as far as the umask allows them.
    ///
    /// # Errors
    /// `AlreadyExists` if there is something at `path`; what making a file in its folder answers.
    pub fn create(path: &Path, mode: u32) -> io::Result<Self> {
        if path.symlink_metadata().is_ok() {
            return Err(already_exists());
        }
        Self::create_temporary(path, mode)
    }

    fn create_temporary(path: &Path, mode: u32) -> io::Result<Self> {
        let temporary = tempfile::Builder::new()
            .prefix(".qkd-unfinished-")
            .permissions(Permissions::from_mode(mode))
            .tempfile_in(folder(path))
            .map_err(without_name)?;
        Ok(Self {
            temporary,
            path: path.to_owned(),
        })
    }

    /// Reserves `bytes` on the disk, so that [`finish`](Self::finish) does not run out of space.
    ///
    /// # Errors
    /// Errors of the file system, such as `StorageFull`. It is not an error if the file system
    /// cannot reserve space.
    pub fn reserve(&self, bytes: u64) -> io::Result<()> {
        use nix::errno::Errno;
        let length = i64::try_from(bytes).unwrap_or(i64::MAX);
        match nix::fcntl::posix_fallocate(self.temporary.as_file(), 0, length) {
            Ok(()) | Err(Errno::EOPNOTSUPP | Errno::EINVAL) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn write(&mut self, content: &[u8]) -> io::Result<()> {
        let file = self.temporary.as_file_mut();
        file.write_all(content)?;
        file.set_len(content.len() as u64)?;
        file.sync_all()
    }

    /// Writes the content, down to the disk, and gives the file its name.
    ///
    /// # Errors
    /// `AlreadyExists` if something has taken the name meanwhile; what writing answers. There is no
    /// file then.
    pub fn finish(mut self, content: &[u8]) -> io::Result<()> {
        self.write(content)?;
        self.temporary
            .persist_noclobber(&self.path)
            .map_err(|e| match e.error.kind() {
                io::ErrorKind::AlreadyExists => already_exists(),
                _ => e.error,
            })?;
        sync_folder(&self.path)
    }
}

/// Writes a new file; never over another one.
///
/// # Errors
/// As [`NewFile::create`] and [`NewFile::finish`].
pub fn write_new(path: &Path, mode: u32, content: &[u8]) -> io::Result<()> {
    NewFile::create(path, mode)?.finish(content)
}

/// Writes a file, in the place of one that may be there and that stays until the new one is whole.
///
/// # Errors
/// Errors of the file system. The old file is then unchanged.
pub fn replace(path: &Path, mode: u32, content: &[u8]) -> io::Result<()> {
    let mut new = NewFile::create_temporary(path, mode)?;
    new.write(content)?;
    new.temporary.persist(path).map_err(|e| e.error)?;
    sync_folder(path)
}

fn already_exists() -> io::Error {
    io::Error::new(
        io::ErrorKind::AlreadyExists,
        "it exists already, and a file that exists is never overwritten",
    )
}

/// Removes the temporary name from an error, because it means nothing to the user.
fn without_name(error: io::Error) -> io::Error {
    let inner = error
        .get_ref()
        .and_then(|e| std::error::Error::source(e))
        .map(ToString::to_string);
    inner.map_or_else(
        || io::Error::from(error.kind()),
        |text| io::Error::new(error.kind(), text),
    )
}

fn folder(path: &Path) -> &Path {
    path.parent()
        .filter(|p| !p.as_os_str().is_empty())
        .unwrap_or(Path::new("."))
}

/// Synchronises the folder, because a new name is durable only then. A failure is ignored: the file
/// exists by now.
fn sync_folder(path: &Path) -> io::Result<()> {
    let _ = File::open(folder(path)).and_then(|f| f.sync_all());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let mut all: Vec<_> = std::fs::read_dir(folder)
            .unwrap()
            .map(|e| e.unwrap().file_name().into_string().unwrap())
            .collect();
        all.sort();
        all
    }

    #[test]
    fn an_unfinished_file_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys.json");
        let begun = NewFile::create(&path, 0o600).unwrap();
        begun.reserve(4096).unwrap();
        assert!(!path.exists());
        drop(begun);
        assert_eq!(names(folder.path()), Vec::<String>::new());
    }

    #[test]
    fn a_finished_file_has_its_content_and_mode_and_leaves_no_temporary_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys.json");
        let begun = NewFile::create(&path, 0o600).unwrap();
        begun.reserve(4096).unwrap();
        begun.finish(b"[]").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"[]");
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(names(folder.path()), ["keys.json"]);
    }

    #[test]
    fn an_existing_name_is_never_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        let late = NewFile::create(&path, 0o600).unwrap();
        std::os::unix::fs::symlink("nowhere", &path).unwrap();
        for refused in [write_new(&path, 0o600, b"x"), late.finish(b"x")] {
            assert_eq!(refused.unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        }
        assert_eq!(names(folder.path()), ["a"]);
    }

    #[test]
    fn a_replaced_file_stays_until_the_new_file_is_complete() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("results.json");
        replace(&path, 0o644, b"one").unwrap();
        replace(&path, 0o644, b"two").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"two");
        assert!(replace(&folder.path().join("none/x"), 0o644, b"x").is_err());
        assert_eq!(names(folder.path()), ["results.json"]);
    }
}
