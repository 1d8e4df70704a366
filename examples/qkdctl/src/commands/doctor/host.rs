//! The examined host: its files, from a root that tests choose, and what this user may
//! open.

use nix::unistd::{AccessFlags, access};
use std::{
    fs,
    path::{Path, PathBuf},
};

pub(super) struct Host {
    root: PathBuf,
    may_use: fn(&Path) -> bool,
}

/// A process of the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Process {
    pub(super) id: u32,
    pub(super) name: String,
}

impl Host {
    /// The one on which this program runs.
    pub(super) fn this() -> Self {
        // Asks the kernel, which knows of access lists too; nothing is opened.
        Self {
            root: PathBuf::from("/"),
            may_use: |path| access(path, AccessFlags::R_OK | AccessFlags::W_OK).is_ok(),
        }
    }

    #[cfg(test)]
    pub(super) fn at(root: &Path, may_use: fn(&Path) -> bool) -> Self {
        Self {
            root: root.to_owned(),
            may_use,
        }
    }

    /// Where a file of the machine is.
    pub(super) fn path(&self, absolute: &str) -> PathBuf {
        self.root.join(absolute.trim_start_matches('/'))
    }
    pub(super) fn read(&self, absolute: &str) -> Option<String> {
        fs::read_to_string(self.path(absolute)).ok()
    }
    /// Whether this user may read and write it.
    pub(super) fn may_use(&self, absolute: &str) -> bool {
        (self.may_use)(&self.path(absolute))
    }
    /// Returns the sorted names in a folder; empty if it does not exist.
    pub(super) fn names(&self, folder: &str) -> Vec<String> {
        let entries = fs::read_dir(self.path(folder))
            .into_iter()
            .flatten()
            .flatten();
        let mut names: Vec<String> = entries
            .map(|e| e.file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }

    fn processes(&self) -> Vec<Process> {
        let name = |id: u32| {
            self.read(&format!("/proc/{id}/comm"))
                .unwrap_or_default()
                .trim()
                .to_owned()
        };
        self.names("/proc")
            .iter()
            .filter_map(|n| n.parse().ok())
            .map(|id| Process { id, name: name(id) })
            .collect()
    }

    /// A process of this name.
    pub(super) fn running(&self, name: &str) -> Option<Process> {
        self.processes().into_iter().find(|p| p.name == name)
    }

    /// Returns the process that has this file open: a path, or `socket:[inode]`. Only root can see
    /// processes of other users.
    pub(super) fn holder(&self, what: &str) -> Option<Process> {
        self.processes().into_iter().find(|p| {
            let folder = format!("/proc/{}/fd", p.id);
            self.names(&folder).iter().any(|fd| {
                fs::read_link(self.path(&format!("{folder}/{fd}")))
                    .is_ok_and(|target| target == Path::new(what))
            })
        })
    }
}

#[cfg(test)]
pub(super) mod fake {
    //! A machine of a few files.

    use super::Host;
    use std::{
        fs,
        os::unix::fs::{PermissionsExt, symlink},
        path::Path,
    };

    pub(in super::super) struct Fake(pub(in super::super) tempfile::TempDir);

    impl Fake {
        pub(in super::super) fn new() -> Self {
            Self(tempfile::tempdir().unwrap())
        }
        /// As the tests may run as root, whom nothing stops, others' bits of the mode decide.
        pub(in super::super) fn machine(&self) -> Host {
            Host::at(self.0.path(), |path: &Path| {
                fs::metadata(path).is_ok_and(|m| m.permissions().mode() & 0o006 == 0o006)
            })
        }
        pub(in super::super) fn file(&self, path: &str, text: &str, mode: u32) -> &Self {
            let path = self.0.path().join(path.trim_start_matches('/'));
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            self
        }
        /// A process, with something open.
        pub(in super::super) fn process(&self, id: u32, name: &str, open: &str) -> &Self {
            self.file(&format!("/proc/{id}/comm"), &format!("{name}\n"), 0o644);
            let folder = self.0.path().join(format!("proc/{id}/fd"));
            fs::create_dir_all(&folder).unwrap();
            symlink(open, folder.join("3")).unwrap();
            self
        }
    }
}
