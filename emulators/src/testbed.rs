//! Many emulators from one file.
//!
//! ```toml
//! seed = 7
//!
//! [emulators.switch]
//! profile = "polatis-16x16"
//! listen = "127.0.0.1:5025"
//! set = { serial = "000001" }
//! faults = ["delay=5ms"]
//!
//! [emulators.qkd]
//! profile = "etsi014-pair"
//! ```

use crate::profile::{self, Options, Running};
use serde::Deserialize;
use std::{collections::BTreeMap, io, net::SocketAddr, path::PathBuf};

/// One emulator of a testbed.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Emulator {
    /// Its profile.
    pub profile: String,
    /// Where its first endpoint listens.
    pub listen: Option<SocketAddr>,
    /// Link to its pseudo-terminal.
    pub pty_link: Option<PathBuf>,
    /// Settings.
    #[serde(default)]
    pub set: BTreeMap<String, toml::Value>,
    /// Faults.
    #[serde(default)]
    pub faults: Vec<String>,
}

/// A testbed.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Testbed {
    /// The seed; each emulator gets one that follows from it and from its place.
    #[serde(default)]
    pub seed: u64,
    /// By name.
    pub emulators: BTreeMap<String, Emulator>,
}

impl Testbed {
    /// Reads a testbed from its file's text.
    ///
    /// # Errors
    /// `InvalidInput`, naming the line.
    pub fn parse(text: &str) -> io::Result<Self> {
        toml::from_str(text).map_err(|e| io::Error::new(io::ErrorKind::InvalidInput, e.to_string()))
    }

    /// Starts all of them, in order of their names.
    ///
    /// # Errors
    /// The first that cannot be started, by name; those before it end again.
    pub async fn start(&self) -> io::Result<BTreeMap<String, Running>> {
        let mut all = BTreeMap::new();
        for (place, (name, emulator)) in self.emulators.iter().enumerate() {
            let text = |value: &toml::Value| {
                value
                    .as_str()
                    .map_or_else(|| value.to_string(), str::to_owned)
            };
            let options = Options {
                listen: emulator.listen,
                pty_link: emulator.pty_link.clone(),
                set: emulator
                    .set
                    .iter()
                    .map(|(n, v)| (n.clone(), text(v)))
                    .collect(),
                faults: emulator.faults.clone(),
                seed: self.seed.wrapping_mul(0x1000).wrapping_add(place as u64),
            };
            let running = profile::start(&emulator.profile, &options)
                .await
                .map_err(|e| io::Error::new(e.kind(), format!("{name}: {e}")))?;
            all.insert(name.clone(), running);
        }
        Ok(all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_file_brings_up_many_and_names_what_is_wrong() {
        let good = "seed = 3\n[emulators.a]\nprofile = 'polatis-16x16'\nset = { size = '4x4', input = '1:-3' }\n[emulators.b]\nprofile = 'idq-quantis'\n";
        let all = Testbed::parse(good).unwrap().start().await.unwrap();
        assert_eq!(all.keys().collect::<Vec<_>>(), ["a", "b"]);
        assert!(all["a"].ready().uri.starts_with("polatis+tcp://127.0.0.1:"));
        let wrong = Testbed::parse("[emulators.x]\nprofile = 'nothing'\n")
            .unwrap()
            .start()
            .await
            .unwrap_err();
        assert!(
            wrong
                .to_string()
                .contains("x: there is no profile `nothing`"),
            "{wrong}"
        );
        assert!(Testbed::parse("[emulators.x]\nprofil = 'y'\n").is_err());
    }
}
