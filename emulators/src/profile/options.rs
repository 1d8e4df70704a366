//! Options with which a profile is started.

use super::Profile;
use crate::model::switch::BootMode;
use std::{
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::PathBuf,
    str::FromStr,
};

/// A setting of a profile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct Setting {
    /// Name of the setting.
    pub name: &'static str,
    /// Description of the setting, with its default.
    pub help: &'static str,
    /// Whether it can be set while running.
    pub runtime: bool,
}

/// Options with which a profile is started.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Address of the first endpoint; the others use the ports after it, or any if this is port 0.
    /// Default: 127.0.0.1, any port.
    pub listen: Option<SocketAddr>,
    /// Symbolic link to the pseudo-terminal.
    pub pty_link: Option<PathBuf>,
    /// Settings in the order of the command line.
    pub set: Vec<(String, String)>,
    /// Faults, in the grammar of `docs/emulators.md`; `1:` or `2:` before one selects the end of a
    /// pair.
    pub faults: Vec<String>,
    /// The seed of everything random.
    pub seed: u64,
}

pub(crate) fn invalid(what: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, what.into())
}

impl Options {
    /// Adds a setting.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl ToString) -> Self {
        self.set.push((name.to_owned(), value.to_string()));
        self
    }
    /// Sets the seed.
    #[must_use]
    pub fn seeded(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    pub(crate) fn check(&self, profile: &Profile) -> io::Result<()> {
        match self
            .set
            .iter()
            .find(|(name, _)| !profile.settings.iter().any(|s| s.name == name))
        {
            None => Ok(()),
            Some((name, _)) => {
                let names: Vec<_> = profile.settings.iter().map(|s| s.name).collect();
                Err(invalid(format!(
                    "profile {} has no setting `{name}`; it takes: {}",
                    profile.name,
                    names.join(", ")
                )))
            }
        }
    }

    /// The address of the n-th endpoint, counted from 0.
    pub(crate) fn address(&self, n: u16) -> SocketAddr {
        match self.listen {
            None => SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0),
            Some(first) if first.port() == 0 => first,
            Some(first) => SocketAddr::new(first.ip(), first.port().saturating_add(n)),
        }
    }

    pub(crate) fn text<'a>(&'a self, name: &str, default: &'a str) -> &'a str {
        self.set
            .iter()
            .rev()
            .find(|(n, _)| n == name)
            .map_or(default, |(_, v)| v)
    }

    /// The number of channels of a 1×N switch.
    /// Returns the value of a setting that is true or false.
    pub(crate) fn flag(&self, name: &str, default: bool) -> io::Result<bool> {
        match self.text(name, if default { "true" } else { "false" }) {
            "true" => Ok(true),
            "false" => Ok(false),
            other => Err(invalid(format!("{name}={other}: it is true or false"))),
        }
    }
    pub(crate) fn channels(&self, default: u32, most: u32) -> io::Result<u32> {
        let channels = self.number("channels", default)?;
        if (2..=most).contains(&channels) {
            Ok(channels)
        } else {
            Err(invalid(format!(
                "channels={channels}: there are 2 to {most}"
            )))
        }
    }

    /// The size of a matrix, such as 16x16.
    pub(crate) fn size(&self, default: &str) -> io::Result<(u32, u32)> {
        let size = self.text("size", default);
        size.split_once('x')
            .and_then(|(n, m)| Some((n.parse().ok()?, m.parse().ok()?)))
            .filter(|(n, m)| (1..=1024).contains(n) && (1..=1024).contains(m))
            .ok_or_else(|| {
                invalid(format!(
                    "size={size}: it is such as 16x16, with 1 to 1024 ports on each side"
                ))
            })
    }
    /// Returns whether a connection to a port in use takes it over: `busy-port=reroute` or
    /// `refuse`.
    pub(crate) fn reroutes(&self) -> io::Result<bool> {
        match self.text("busy-port", "reroute") {
            "reroute" => Ok(true),
            "refuse" => Ok(false),
            other => Err(invalid(format!(
                "busy-port={other}: it is reroute or refuse"
            ))),
        }
    }
    /// Returns the state after power-up of a switch that cannot be dark: `power-up=first` (the
    /// first channel, or bar) or `keep`.
    pub(crate) fn boot_mode(&self) -> io::Result<BootMode> {
        match self.text("power-up", "first") {
            "first" => Ok(BootMode::Dark),
            "keep" => Ok(BootMode::Auto),
            other => Err(invalid(format!("power-up={other}: it is first or keep"))),
        }
    }

    pub(crate) fn number<T: FromStr>(&self, name: &str, default: T) -> io::Result<T> {
        match self.set.iter().rev().find(|(n, _)| n == name) {
            None => Ok(default),
            Some((_, text)) => text
                .parse()
                .map_err(|_| invalid(format!("{name}={text}: not a valid number"))),
        }
    }
}
