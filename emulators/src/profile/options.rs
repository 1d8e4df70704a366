//! What a profile is started with.

use super::Profile;
use std::{
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::PathBuf,
    str::FromStr,
};

/// A setting of a profile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct Setting {
    /// Its name.
    pub name: &'static str,
    /// What it is, and its default.
    pub help: &'static str,
    /// Whether it can be set while running.
    pub live: bool,
}

/// What a profile is started with.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Where the first endpoint listens; others take the ports behind it, or any if this is port 0. Default: 127.0.0.1, any port.
    pub listen: Option<SocketAddr>,
    /// Symbolic link to the pseudo-terminal.
    pub pty_link: Option<PathBuf>,
    /// Settings, in order.
    pub set: Vec<(String, String)>,
    /// Faults, in the grammar of `docs/emulators.md`; `1:` or `2:` before one picks the end of a pair.
    pub faults: Vec<String>,
    /// The seed of everything random.
    pub seed: u64,
}

pub(super) fn invalid(what: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, what.into())
}

impl Options {
    /// With a setting.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl ToString) -> Self {
        self.set.push((name.to_owned(), value.to_string()));
        self
    }
    /// With a seed.
    #[must_use]
    pub fn seeded(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    pub(super) fn check(&self, profile: &Profile) -> io::Result<()> {
        match self.set.iter().find(|(name, _)| !profile.settings.iter().any(|s| s.name == name)) {
            None => Ok(()),
            Some((name, _)) => {
                let names: Vec<_> = profile.settings.iter().map(|s| s.name).collect();
                Err(invalid(format!("profile {} has no setting `{name}`; it takes: {}", profile.name, names.join(", "))))
            }
        }
    }

    /// The address of the n-th endpoint, counted from 0.
    pub(super) fn address(&self, n: u16) -> SocketAddr {
        match self.listen {
            None => SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0),
            Some(first) if first.port() == 0 => first,
            Some(first) => SocketAddr::new(first.ip(), first.port().saturating_add(n)),
        }
    }

    pub(super) fn text<'a>(&'a self, name: &str, default: &'a str) -> &'a str {
        self.set.iter().rev().find(|(n, _)| n == name).map_or(default, |(_, v)| v)
    }

    pub(super) fn number<T: FromStr>(&self, name: &str, default: T) -> io::Result<T> {
        match self.set.iter().rev().find(|(n, _)| n == name) {
            None => Ok(default),
            Some((_, text)) => text.parse().map_err(|_| invalid(format!("{name}={text}: that is no number for it"))),
        }
    }
}
