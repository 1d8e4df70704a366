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

use crate::{
    profile::{Options, RunningEmulator, private},
    profiles,
};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, io, net::SocketAddr, path::PathBuf};

/// One emulator of a testbed.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Emulator {
    /// Name of the profile.
    pub profile: String,
    /// Where its first endpoint listens.
    pub listen: Option<SocketAddr>,
    /// Link to its pseudo-terminal.
    pub pty_link: Option<PathBuf>,
    /// Settings of the profile.
    #[serde(default)]
    pub set: BTreeMap<String, toml::Value>,
    /// Faults that are applied at the start.
    #[serde(default)]
    pub faults: Vec<String>,
}

/// Several emulators, from one file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Testbed {
    /// The seed; each emulator gets one that follows from it and from its place.
    #[serde(default)]
    pub seed: u64,
    /// Emulators by name.
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

    /// Starts all emulators in the order of their names.
    ///
    /// # Errors
    /// The error of the first emulator that cannot be started, with its name; those before it are
    /// stopped.
    pub async fn start(&self) -> io::Result<BTreeMap<String, RunningEmulator>> {
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
            let running = profiles::start(&emulator.profile, &options)
                .await
                .map_err(|e| io::Error::new(e.kind(), format!("{name}: {e}")))?;
            all.insert(name.clone(), running);
        }
        Ok(all)
    }
}

/// A credentials file and an inventory of all emulators of a testbed, for `qkdctl` and other
/// programs. They are removed when this is dropped.
#[derive(Debug)]
pub struct ClientFiles {
    folder: tempfile::TempDir,
}

/// The names of both files.
const CREDENTIALS: &str = "credentials.toml";
const INVENTORY: &str = "inventory.toml";

/// A credentials file: entries by name.
type Entries = BTreeMap<String, toml::Table>;

#[derive(Default, Serialize)]
struct Inventory {
    devices: BTreeMap<String, Device>,
    pair: BTreeMap<String, Pair>,
}

#[derive(Serialize)]
struct Device {
    uri: String,
}

#[derive(Serialize)]
struct Pair {
    near: String,
    far: String,
}

impl ClientFiles {
    /// Writes both files, readable by their owner alone. The device of an emulator has its `NAME`;
    /// its further wires are `NAME-2`, `NAME-3` and so on. Both ends of a pair are `NAME-1` and
    /// `NAME-2`, and `NAME` is the pair. Entries of the credentials file are `NAME-ENTRY`.
    ///
    /// # Errors
    /// Those of writing; `InvalidData` for a credentials file of an emulator that is not TOML;
    /// `InvalidInput` if two emulators give a device the same name.
    pub fn write(all: &BTreeMap<String, RunningEmulator>) -> io::Result<Self> {
        let (mut entries, mut inventory) = (Entries::new(), Inventory::default());
        for (name, running) in all {
            let ready = running.ready();
            if let Some(file) = &ready.credentials_file {
                let own: Entries = toml::from_str(&std::fs::read_to_string(file)?)
                    .map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e.to_string()))?;
                let named = own.into_iter();
                entries.extend(named.map(|(entry, values)| (format!("{name}-{entry}"), values)));
            }
            let is_pair = ready.profile.ends_with("-pair") && ready.uris.len() == 2;
            for (place, uri) in (1..).zip(&ready.uris) {
                let device = if place == 1 && !is_pair {
                    name.clone()
                } else {
                    format!("{name}-{place}")
                };
                let uri = with_own_entry(uri, name);
                if inventory
                    .devices
                    .insert(device.clone(), Device { uri })
                    .is_some()
                {
                    return Err(io::Error::new(
                        io::ErrorKind::InvalidInput,
                        format!("two emulators have a device `{device}`; rename one of them"),
                    ));
                }
            }
            if is_pair {
                let [near, far] = [1, 2].map(|place| format!("{name}-{place}"));
                inventory.pair.insert(name.clone(), Pair { near, far });
            }
        }
        let files = Self {
            folder: tempfile::Builder::new().prefix("qkd-emu-").tempdir()?,
        };
        private(files.folder.path(), CREDENTIALS, &text(&entries)?)?;
        private(files.folder.path(), INVENTORY, &text(&inventory)?)?;
        Ok(files)
    }

    /// The path of the credentials file.
    #[must_use]
    pub fn credentials(&self) -> PathBuf {
        self.folder.path().join(CREDENTIALS)
    }

    /// The path of the inventory.
    #[must_use]
    pub fn inventory(&self) -> PathBuf {
        self.folder.path().join(INVENTORY)
    }
}

/// A URI with the entry of its credentials as the common file names it.
fn with_own_entry(uri: &str, name: &str) -> String {
    uri.replacen(
        "credentials=",
        &format!("credentials={}-", encoded(name)),
        1,
    )
}

fn text(value: &impl Serialize) -> io::Result<String> {
    toml::to_string(value).map_err(io::Error::other)
}

/// A name as the value of a URI's parameter: other bytes than unreserved ones are percent-encoded.
fn encoded(name: &str) -> String {
    let one = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
            char::from(byte).to_string()
        }
        other => format!("%{other:02X}"),
    };
    name.bytes().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn client_files_name_every_device_and_keep_secrets_separate() {
        use std::os::unix::fs::PermissionsExt;
        let text = "[emulators.enc]\nprofile = 'nokia-sros-macsec-pair'\n[emulators.olp]\nprofile \
                    = 'fs-olp'\n";
        let all = Testbed::parse(text).unwrap().start().await.unwrap();
        let files = ClientFiles::write(&all).unwrap();
        for path in [files.credentials(), files.inventory()] {
            let mode = std::fs::metadata(&path).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{}", path.display());
        }
        let read = |path| std::fs::read_to_string(path).unwrap();
        let entries: Entries = toml::from_str(&read(files.credentials())).unwrap();
        assert_eq!(entries.keys().collect::<Vec<_>>(), ["enc-noc", "olp-noc"]);
        let inventory: toml::Table = toml::from_str(&read(files.inventory())).unwrap();
        let devices = inventory["devices"].as_table().unwrap();
        assert_eq!(
            devices.keys().collect::<Vec<_>>(),
            ["enc-1", "enc-2", "olp"]
        );
        let uri = devices["enc-2"]["uri"].as_str().unwrap();
        assert!(uri.contains("credentials=enc-noc"), "{uri}");
        assert_eq!(inventory["pair"]["enc"]["far"].as_str(), Some("enc-2"));
        let path = files.inventory();
        drop(files);
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn a_file_brings_up_many_and_names_what_is_wrong() {
        let good = "seed = 3\n[emulators.a]\nprofile = 'polatis-16x16'\nset = { size = '4x4', \
                    input = '1:-3' }\n[emulators.b]\nprofile = 'idq-quantis'\n";
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
