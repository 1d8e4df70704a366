//! Emulator presets by name: for `qkd-emu`, tests, demos and benchmarks.
//!
//! A profile is one device or a linked pair. [`start`] starts it on its real transports and reports
//! the addresses; it runs until [`RunningEmulator`] is dropped. [`in_memory`] creates in-memory
//! endpoints instead, which drivers open under paused time. The profiles themselves are in
//! [`vendor`], each with its vendor.

pub(crate) mod agents;
pub(crate) mod controls;
mod in_memory;
pub(crate) mod line;
pub(crate) mod options;
pub(crate) mod protection;
mod running;

pub use in_memory::InMemory;
pub use options::{Options, Setting};
pub use running::{Credentials, Endpoint, RunningEmulator, Sae, StartupInfo, Tls};

use crate::vendor;
use futures::future::BoxFuture;
use std::{
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
    sync::LazyLock,
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
    pub(crate) start: Start,
    pub(crate) in_memory: Attach,
}

impl std::fmt::Debug for Profile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

/// All profiles, by name.
#[must_use]
pub fn all() -> &'static [Profile] {
    static ALL: LazyLock<Vec<Profile>> = LazyLock::new(|| {
        let mut all = vendor::PROFILES.concat();
        all.sort_by_key(|profile| profile.name);
        all
    });
    &ALL
}

fn find(name: &str, options: &Options) -> io::Result<&'static Profile> {
    let profile = all().iter().find(|p| p.name == name).ok_or_else(|| {
        let names: Vec<_> = all().iter().map(|p| p.name).collect();
        io::Error::new(
            io::ErrorKind::NotFound,
            format!(
                "there is no profile `{name}`; there are: {}",
                names.join(", ")
            ),
        )
    })?;
    options.check(profile)?;
    Ok(profile)
}

/// Starts the profile of this name. Must be called within a tokio runtime.
///
/// # Errors
/// `NotFound`, with the names of the profiles; `InvalidInput` for an invalid setting or fault;
/// errors of the transports.
pub async fn start(name: &str, options: &Options) -> io::Result<RunningEmulator> {
    let profile = find(name, options)?;
    let running = (profile.start)(profile, options).await?;
    if options.pty_link.is_some() && !running.ready().endpoints.iter().any(|e| e.bus == "serial") {
        return Err(options::invalid(format!(
            "profile {name} has no pseudo-terminal to link to"
        )));
    }
    options
        .faults
        .iter()
        .try_for_each(|spec| running.fault(spec))
        .map_err(options::invalid)?;
    Ok(running)
}

/// Creates the profile of this name in memory. Must be called within a tokio runtime; the models
/// follow its time, even if it is paused. Settings of the real transports have no effect.
///
/// # Errors
/// `NotFound`, with the names of the profiles; `InvalidInput` for an invalid setting or fault, and
/// for an address.
pub fn in_memory(name: &str, options: &Options) -> io::Result<InMemory> {
    let profile = find(name, options)?;
    if options.listen.is_some() || options.pty_link.is_some() {
        return Err(options::invalid(format!(
            "profile {name} has no address in memory"
        )));
    }
    let memory = (profile.in_memory)(profile, options)?;
    options
        .faults
        .iter()
        .try_for_each(|spec| memory.fault(spec))
        .map_err(options::invalid)?;
    Ok(memory)
}
