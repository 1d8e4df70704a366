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

/// A pair before it is on a wire.
pub(crate) struct SocketPair {
    /// Name of the driver.
    pub(crate) driver: &'static str,
    /// End of the names of its sockets, such as `vici`.
    pub(crate) suffix: &'static str,
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
    /// On two Unix sockets.
    pub(crate) fn start(
        self,
        profile: &'static Profile,
        options: &Options,
    ) -> io::Result<RunningEmulator> {
        if options.listen.is_some() {
            return Err(invalid(format!(
                "profile {} has Unix sockets; set socket-1 and socket-2",
                profile.name
            )));
        }
        let folder = tempfile::Builder::new().prefix("qkd-emu-").tempdir()?;
        let mut ready = StartupInfo::new(profile.name);
        let mut sockets = Vec::new();
        for (n, setting) in (1..).zip(&SOCKETS) {
            let path = match options.text(setting.name, "") {
                "" => folder.path().join(format!("{n}.{}", self.suffix)),
                text => absolute(text)?,
            };
            let socket = UnixSocket::bind(&path)?;
            let uri = uri(self.driver, &path)?;
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
    pub(crate) fn in_memory(self, profile: &'static Profile) -> InMemory {
        let faults = [self.controls.faults(0), self.controls.faults(1)];
        let mut memory = InMemory::new(self.controls);
        for ((n, service), faults) in (1..).zip(self.services).zip(faults) {
            let name = format!("{}-{n}", profile.name);
            memory.uri(self.driver, &name, "");
            memory.bytes(&name, service, faults, self.clock.clone());
        }
        memory
    }
}

fn absolute(text: &str) -> io::Result<PathBuf> {
    std::path::absolute(text)
}

/// The URI of a socket. Characters that a path of a URI cannot have are refused, as is a path that
/// is not UTF-8.
fn uri(driver: &str, path: &Path) -> io::Result<String> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/-._~".contains(c);
    match path.to_str().filter(|text| text.chars().all(is_plain)) {
        Some(text) => Ok(format!("{driver}+unix://{text}")),
        None => Err(invalid(format!(
            "{}: a path of a socket has letters, digits and `/-._~` only",
            path.display()
        ))),
    }
}
