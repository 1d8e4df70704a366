//! Emulator presets by name: for `qkd-emu`, tests, demos and benchmarks.
//!
//! A profile is one device or a linked pair. [`start`] starts it on its real transports and reports
//! the addresses; it runs until [`RunningEmulator`] is dropped. [`in_memory`] creates in-memory
//! endpoints instead, which drivers open under paused time.

mod agents;
mod agiltron;
mod controls;
mod dicon;
mod encryptors;
mod in_memory;
mod jdsu_sb;
mod leoni_eol;
mod line;
mod options;
mod polatis;
mod protection;
mod qkd;
mod quantis;
mod running;
mod thorlabs_osw;

pub use in_memory::InMemory;
pub use options::{Options, Setting};
pub use running::{Credentials, Endpoint, RunningEmulator, Sae, StartupInfo, Tls};

use crate::wire::snmp::scte::Kind;
use futures::future::BoxFuture;
use std::{
    future::ready,
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
pub struct Profile {
    /// Its name, which begins with its driver's folder name.
    pub name: &'static str,
    /// Description of the emulated device.
    pub title: &'static str,
    /// Settings that `--set` accepts.
    pub settings: &'static [Setting],
    start: Start,
    in_memory: Attach,
}

impl std::fmt::Debug for Profile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

/// All profiles, by name.
#[must_use]
pub fn all() -> &'static [Profile] {
    &PROFILES
}

static PROFILES: [Profile; 18] = [
    Profile {
        name: "agiltron-ff",
        title: "Agiltron FF 1×N switch on a serial line",
        settings: agiltron::FF.settings,
        start: |p, o| Box::pin(ready(agiltron::start(p, o, &agiltron::FF))),
        in_memory: |p, o| agiltron::in_memory(p, o, &agiltron::FF),
    },
    Profile {
        name: "agiltron-selfalign",
        title: "Agiltron SelfAlign 1×N switch on a serial line",
        settings: agiltron::SELF_ALIGN.settings,
        start: |p, o| Box::pin(ready(agiltron::start(p, o, &agiltron::SELF_ALIGN))),
        in_memory: |p, o| agiltron::in_memory(p, o, &agiltron::SELF_ALIGN),
    },
    Profile {
        name: "dicon-gp600",
        title: "DiCon GP600 matrix switch, ASCII over TCP and on a serial line",
        settings: dicon::GP600,
        start: |p, o| Box::pin(dicon::gp600(p, o)),
        in_memory: dicon::gp600_in_memory,
    },
    Profile {
        name: "dicon-mems",
        title: "DiCon MEMS 1×N module on a serial line",
        settings: dicon::MEMS,
        start: |p, o| Box::pin(ready(dicon::mems(p, o))),
        in_memory: dicon::mems_in_memory,
    },
    Profile {
        name: "etsi014-pair",
        title: "Two key management entities of a QKD link, ETSI GS QKD 014 over mutual TLS",
        settings: qkd::SETTINGS,
        start: |p, o| Box::pin(qkd::etsi014(p, o)),
        in_memory: qkd::etsi014_in_memory,
    },
    Profile {
        name: "fs-olp",
        title: "Optical line protection cards in a chassis, FS.com or Glsun, SNMPv3",
        settings: protection::OLP,
        start: |p, o| Box::pin(agents::start(p, o, protection::olp(o))),
        in_memory: |p, o| agents::in_memory(p, protection::olp(o)),
    },
    Profile {
        name: "idq-quantis",
        title: "ID Quantique Quantis USB, exported over USB/IP",
        settings: quantis::SETTINGS,
        start: |p, o| Box::pin(quantis::start(p, o)),
        in_memory: quantis::in_memory,
    },
    Profile {
        name: "jdsu-sb",
        title: "JDS Uniphase SB 1×N switch on RS-232",
        settings: jdsu_sb::SETTINGS,
        start: |p, o| Box::pin(ready(jdsu_sb::start(p, o))),
        in_memory: jdsu_sb::in_memory,
    },
    Profile {
        name: "leoni-eol",
        title: "LEONI eol 1×2, 1×4 or 2×2 switch on RS-232",
        settings: leoni_eol::SETTINGS,
        start: |p, o| Box::pin(ready(leoni_eol::start(p, o))),
        in_memory: leoni_eol::in_memory,
    },
    Profile {
        name: "nokia-sros-macsec-pair",
        title: "Two Nokia SR OS routers with MACsec on the line between them, two key slots each, SNMPv3",
        settings: encryptors::NOKIA,
        start: |p, o| Box::pin(agents::start(p, o, encryptors::nokia(o))),
        in_memory: |p, o| agents::in_memory(p, encryptors::nokia(o)),
    },
    Profile {
        name: "packetlight-pair",
        title: "Two PacketLight encrypting transponders, forced re-initialisation, SNMPv3",
        settings: encryptors::PACKETLIGHT,
        start: |p, o| Box::pin(agents::start(p, o, encryptors::packetlight(o))),
        in_memory: |p, o| agents::in_memory(p, encryptors::packetlight(o)),
    },
    Profile {
        name: "polatis-16x16",
        title: "Polatis 16×16 matrix with power monitors, SCPI over TCP and over a serial console",
        settings: polatis::SETTINGS,
        start: |p, o| Box::pin(polatis::start(p, o, polatis::MATRIX)),
        in_memory: |p, o| polatis::in_memory(p, o, polatis::MATRIX),
    },
    Profile {
        name: "polatis-ost-24x24",
        title: "Polatis I-OST 24×24 matrix, which has no power monitors",
        settings: polatis::SETTINGS,
        start: |p, o| Box::pin(polatis::start(p, o, polatis::OST)),
        in_memory: |p, o| polatis::in_memory(p, o, polatis::OST),
    },
    Profile {
        name: "scte-hms-2x2",
        title: "Optical 2×2 switch with failover, ANSI/SCTE 85-4, SNMPv3",
        settings: protection::SCTE,
        start: |p, o| Box::pin(agents::start(p, o, protection::scte(o, Kind::TwoByTwo))),
        in_memory: |p, o| agents::in_memory(p, protection::scte(o, Kind::TwoByTwo)),
    },
    Profile {
        name: "scte-hms-ab",
        title: "Optical A/B switch with failover, ANSI/SCTE 85-4, SNMPv3",
        settings: protection::SCTE,
        start: |p, o| Box::pin(agents::start(p, o, protection::scte(o, Kind::Ab))),
        in_memory: |p, o| agents::in_memory(p, protection::scte(o, Kind::Ab)),
    },
    Profile {
        name: "thorlabs-osw12",
        title: "Thorlabs OSW12 1×2 MEMS switch on its USB serial port",
        settings: thorlabs_osw::SETTINGS,
        start: |p, o| Box::pin(ready(thorlabs_osw::start(p, o, &thorlabs_osw::OSW12))),
        in_memory: |p, o| thorlabs_osw::in_memory(p, o, &thorlabs_osw::OSW12),
    },
    Profile {
        name: "thorlabs-osw22",
        title: "Thorlabs OSW22 2×2 MEMS switch on its USB serial port",
        settings: thorlabs_osw::SETTINGS,
        start: |p, o| Box::pin(ready(thorlabs_osw::start(p, o, &thorlabs_osw::OSW22))),
        in_memory: |p, o| thorlabs_osw::in_memory(p, o, &thorlabs_osw::OSW22),
    },
    Profile {
        name: "veriqloud-qline-pair",
        title: "Alice and Bob of a Veriqloud Qline: mon, hw, hws and key delivery",
        settings: qkd::SETTINGS,
        start: |p, o| Box::pin(qkd::qline(p, o)),
        in_memory: qkd::qline_in_memory,
    },
];

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
