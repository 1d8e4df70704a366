//! Linked pairs whose ends are controlled over Unix sockets: what their profiles share.

use super::{
    InMemory, Options, Profile, RunningEmulator, Setting, StartupInfo, controls::Controls,
    options::invalid,
};
use crate::{
    Clock, FaultInjector,
    fault::ApplyDeviceFault,
    server::unix::{self, UnixSocket},
    wire::ByteService,
};
use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

pub(crate) const SOCKETS: [Setting; 2] = [
    Setting {
        name: "socket-1",
        help: "path of the first end's socket; default: in a temporary folder",
        runtime: false,
    },
    Setting {
        name: "socket-2",
        help: "path of the second end's socket; default: in a temporary folder",
        runtime: false,
    },
];
pub(crate) const TRAFFIC: Setting = Setting {
    name: "packets-per-second",
    help: "packets that each end is offered; default 100",
    runtime: false,
};

/// Reads the packets that each end is offered, per second.
pub(crate) fn packets_per_second(options: &Options) -> io::Result<f64> {
    let rate: f64 = options.number("packets-per-second", 100.0)?;
    if (0.0..=1e6).contains(&rate) {
        Ok(rate)
    } else {
        Err(invalid(format!(
            "packets-per-second={rate}: it is 0 to 1000000"
        )))
    }
}

/// A file that a driver needs.
pub(crate) struct DriverFile {
    /// Other parameters of the URI, such as `connection=net`.
    pub(crate) parameters: &'static str,
    /// Parameter of the URI that has the path of the file.
    pub(crate) parameter: &'static str,
    /// Name of the file, without the number of the end.
    pub(crate) name: &'static str,
    /// Content of the file.
    pub(crate) content: String,
}

impl DriverFile {
    /// Writes the file of an end, and returns the parameters of its URI.
    fn write(&self, folder: &Path, end: usize) -> io::Result<String> {
        let path = folder.join(format!("{}-{}", end + 1, self.name));
        std::fs::write(&path, &self.content)?;
        let path = plain(&path)?;
        Ok(format!("?{}&{}={path}", self.parameters, self.parameter))
    }
}

/// A pair before it is on a wire.
pub(crate) struct SocketPair {
    /// Name of the driver.
    pub(crate) driver: &'static str,
    /// End of the names of its sockets, such as `vici`.
    pub(crate) suffix: &'static str,
    /// Parameters of the URIs, such as `?roll=replace`, where no file has some.
    pub(crate) parameters: String,
    /// Files that the driver of each end needs.
    pub(crate) files: [Option<DriverFile>; 2],
    pub(crate) controls: Controls,
    pub(crate) services: [Arc<dyn ByteService>; 2],
    pub(crate) clock: Clock,
}

/// Faults and state of both ends.
pub(crate) fn controls(
    options: &Options,
    ends: [Arc<dyn ApplyDeviceFault>; 2],
    state: impl Fn(usize) -> String + Send + Sync + 'static,
) -> Controls {
    let [first, second] = ends;
    let faults = [(0, first), (1, second)]
        .map(|(end, device)| FaultInjector::new(options.seed.wrapping_add(end), Some(device)));
    Controls::new(faults, move || {
        [0, 1]
            .map(|end| format!("end {}:\n{}", end + 1, state(end)))
            .join("\n")
    })
}

impl SocketPair {
    fn parameters(
        &self,
        file: Option<&DriverFile>,
        folder: &Path,
        end: usize,
    ) -> io::Result<String> {
        file.map_or_else(
            || Ok(self.parameters.clone()),
            |file| file.write(folder, end),
        )
    }

    /// On two Unix sockets.
    pub(crate) fn start(
        self,
        profile: &'static Profile,
        options: &Options,
    ) -> io::Result<RunningEmulator> {
        refuse_address(profile, options)?;
        let folder = folder()?;
        let mut ready = StartupInfo::new(profile.name);
        let mut sockets = Vec::new();
        for ((n, setting), file) in (1..).zip(&SOCKETS).zip(&self.files) {
            let path = path(options, setting, &folder, &format!("{n}.{}", self.suffix))?;
            let socket = UnixSocket::bind(&path)?;
            let parameters = self.parameters(file.as_ref(), folder.path(), n - 1)?;
            let uri = format!("{}+unix://{}{parameters}", self.driver, plain(&path)?);
            ready.endpoint("unix", path.display(), Some(uri));
            sockets.push(socket);
        }
        let faults = [self.controls.faults(0), self.controls.faults(1)];
        let mut running = RunningEmulator::new(ready, self.controls);
        for ((socket, service), faults) in sockets.into_iter().zip(self.services).zip(faults) {
            running.serve(unix::serve(socket, service, faults, self.clock.clone()));
        }
        running.keep(folder);
        Ok(running)
    }

    /// In memory.
    ///
    /// # Errors
    /// If files of the drivers cannot be written.
    pub(crate) fn in_memory(self, profile: &'static Profile) -> io::Result<InMemory> {
        let folder = folder()?;
        let mut parameters = Vec::new();
        for (end, file) in self.files.iter().enumerate() {
            parameters.push(self.parameters(file.as_ref(), folder.path(), end)?);
        }
        let faults = [self.controls.faults(0), self.controls.faults(1)];
        let mut memory = InMemory::new(self.controls);
        for ((n, service), faults) in (1..).zip(self.services).zip(faults) {
            let name = format!("{}-{n}", profile.name);
            memory.uri(self.driver, &name, &parameters[n - 1]);
            memory.bytes(&name, service, faults, self.clock.clone());
        }
        memory.keep(folder);
        Ok(memory)
    }
}

/// Refuses an address to listen at.
pub(crate) fn refuse_address(profile: &Profile, options: &Options) -> io::Result<()> {
    if options.listen.is_some() {
        return Err(invalid(format!(
            "profile {} has Unix sockets; set socket-1 and socket-2",
            profile.name
        )));
    }
    Ok(())
}

/// The path of a socket: that of the setting, or a name in the folder.
pub(crate) fn path(
    options: &Options,
    setting: &Setting,
    folder: &tempfile::TempDir,
    name: &str,
) -> io::Result<PathBuf> {
    match options.text(setting.name, "") {
        "" => Ok(folder.path().join(name)),
        text => std::path::absolute(text),
    }
}

pub(crate) fn folder() -> io::Result<tempfile::TempDir> {
    tempfile::Builder::new().prefix("qkd-emu-").tempdir()
}

/// The path of a socket or file in a URI. Characters that a path of a URI cannot have are refused,
/// as is a path that is not UTF-8.
pub(crate) fn plain(path: &Path) -> io::Result<String> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/-._~".contains(c);
    match path.to_str().filter(|text| text.chars().all(is_plain)) {
        Some(text) => Ok(text.to_owned()),
        None => Err(invalid(format!(
            "{}: a path of a socket has letters, digits and `/-._~` only",
            path.display()
        ))),
    }
}
