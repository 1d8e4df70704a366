//! Emulator presets by name: for `qkd-emu`, tests, demos and benchmarks.
//!
//! [`start`] starts a profile on its real transports and reports the addresses; it runs until
//! [`RunningEmulator`] is dropped. [`in_memory`] creates in-memory endpoints instead, which drivers
//! open under paused time.

use crate::{
    profile::{InMemory, Options, Profile, RunningEmulator, options::invalid},
    vendor,
};
use std::{io, sync::LazyLock};

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
        return Err(invalid(format!(
            "profile {name} has no pseudo-terminal to link to"
        )));
    }
    options
        .faults
        .iter()
        .try_for_each(|spec| running.fault(spec))
        .map_err(invalid)?;
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
        return Err(invalid(format!("profile {name} has no address in memory")));
    }
    let memory = (profile.in_memory)(profile, options)?;
    options
        .faults
        .iter()
        .try_for_each(|spec| memory.fault(spec))
        .map_err(invalid)?;
    Ok(memory)
}
