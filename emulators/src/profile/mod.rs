//! Emulator presets: their options, and what runs once they are started.
//!
//! A profile is one device or a linked pair. The profiles themselves are in
//! [`vendor`](crate::vendor), each with its vendor; [`profiles`](crate::profiles) has them by name.

pub(crate) mod agents;
pub(crate) mod controls;
mod in_memory;
pub(crate) mod line;
pub(crate) mod options;
pub(crate) mod protection;
mod running;
pub(crate) mod sockets;

pub use in_memory::InMemory;
pub use options::{Options, Setting};
pub use running::{Credentials, Endpoint, RunningEmulator, Sae, StartupInfo, Tls};

use futures::future::BoxFuture;
use std::{
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

/// A file that only its owner may read.
pub(crate) fn private(folder: &Path, name: &str, text: &str) -> io::Result<String> {
    let path = folder.join(name);
    std::fs::File::options()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&path)?
        .write_all(text.as_bytes())?;
    Ok(path.display().to_string())
}

type Start =
    for<'a> fn(&'static Profile, &'a Options) -> BoxFuture<'a, io::Result<RunningEmulator>>;
type Attach = fn(&'static Profile, &Options) -> io::Result<InMemory>;

/// A kind of emulator.
#[derive(Clone, Copy)]
pub struct Profile {
    /// Its name, which begins with its driver's folder name.
    pub name: &'static str,
    /// Description of the emulated device.
    pub title: &'static str,
    /// Settings that `--set` accepts.
    pub settings: &'static [Setting],
    /// Whether it can be started on a real transport; otherwise it exists in memory only.
    pub has_wire: bool,
    pub(crate) start: Start,
    pub(crate) in_memory: Attach,
}

impl std::fmt::Debug for Profile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}
