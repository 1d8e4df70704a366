//! The inventory: names for devices.
//!
//! ```toml
//! [devices.sw1]
//! uri = "polatis+tcp://192.0.2.7"
//! assume = ["polatis.error-codes-scpi99"]
//!
//! [pair.backbone]
//! near = "enc-a"
//! far = "enc-b"
//! channel = "ca1"
//! assume = ["nokia-sros-macsec.cak-is-hex"]
//! ```

use qkd_hal::{DeviceUri, Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, path::Path};

/// A named device of the inventory.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Device {
    /// URI of the device.
    pub(crate) uri: String,
    /// Assumptions that hold for it.
    #[serde(default)]
    pub(crate) assume: Vec<String>,
}

/// A named pair: two encryptors with the same key, or two QKD modules of one link.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Pair {
    /// The first end: a name of a device, or a URI.
    pub(crate) near: String,
    /// Name or URI of the second end.
    pub(crate) far: String,
    /// The channel of the first end; `None`: its only one.
    pub(crate) channel: Option<String>,
    /// The channel of the second end; `None`: that of the first.
    pub(crate) far_channel: Option<String>,
    /// Assumptions that hold for both ends, each for the driver that has it.
    #[serde(default)]
    pub(crate) assume: Vec<String>,
}

/// Named devices and pairs.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Inventory {
    #[serde(default)]
    pub(crate) devices: BTreeMap<String, Device>,
    #[serde(default)]
    pub(crate) pair: BTreeMap<String, Pair>,
}

impl Inventory {
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let problem =
            |why: String| Error::invalid(format!("inventory file {}: {why}", path.display()));
        let text = std::fs::read_to_string(path).map_err(|e| problem(e.to_string()))?;
        let inventory: Self = toml::from_str(&text).map_err(|e| problem(e.message().to_owned()))?;
        for (name, device) in &inventory.devices {
            device
                .uri
                .parse::<DeviceUri>()
                .map_err(|e| problem(format!("device `{name}`: {}", e.message())))?;
        }
        for (name, pair) in &inventory.pair {
            if inventory.devices.contains_key(name) {
                return Err(problem(format!(
                    "`{name}` names a device and a pair; give each a name of its own"
                )));
            }
            for end in [&pair.near, &pair.far] {
                inventory
                    .resolve(end)
                    .map_err(|e| problem(format!("pair `{name}`: {}", e.message())))?;
            }
        }
        Ok(inventory)
    }

    /// The URI that a person means: a URI, or a name of the inventory.
    pub(crate) fn resolve(&self, device: &str) -> Result<DeviceUri> {
        if device.contains("://") {
            return device.parse();
        }
        if self.pair.contains_key(device) {
            return Err(Error::invalid(format!(
                "`{device}` names a pair, and this command takes one device; write one of its ends"
            )));
        }
        let found = self.devices.get(device).ok_or_else(|| {
            let names: Vec<_> = self.devices.keys().cloned().collect();
            let known = if names.is_empty() {
                "there is no inventory, or it is empty".to_owned()
            } else {
                format!("it names: {}", names.join(", "))
            };
            Error::new(
                ErrorKind::NotFound,
                format!(
                    "{} is neither a device URI (driver+transport://address) nor a name of the \
                    inventory; {known}",
                    quoted(device)
                ),
            )
        })?;
        let uri: DeviceUri = found.uri.parse()?;
        Ok(found
            .assume
            .iter()
            .fold(uri, |uri, id| uri.with_parameter("assume", id)))
    }
}

/// Two ends that a person names: by a pair of the inventory, or one by one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ends {
    /// Names or URIs of both ends.
    pub(crate) devices: [String; 2],
    /// Channels, where they are named.
    pub(crate) channels: [Option<String>; 2],
    /// Assumptions that the pair accepts.
    pub(crate) assume: Vec<String>,
}

impl Inventory {
    /// Returns the two ends: those of the pair `first`, or `first` and `second`. `option` names the
    /// option of the second end.
    ///
    /// # Errors
    /// `InvalidInput` if the second end is missing, or is given in addition to a pair.
    pub(crate) fn ends(&self, first: &str, second: Option<&str>, option: &str) -> Result<Ends> {
        match (self.pair.get(first), second) {
            (Some(pair), None) => Ok(Ends {
                devices: [pair.near.clone(), pair.far.clone()],
                channels: [
                    pair.channel.clone(),
                    pair.far_channel.clone().or_else(|| pair.channel.clone()),
                ],
                assume: pair.assume.clone(),
            }),
            (None, Some(second)) => Ok(Ends {
                devices: [first.to_owned(), second.to_owned()],
                channels: [None, None],
                assume: Vec::new(),
            }),
            (Some(_), Some(_)) => Err(Error::invalid(format!(
                "`{first}` names a pair, which has both ends; leave {option} out"
            ))),
            (None, None) => {
                let pairs: Vec<_> = self.pair.keys().map(String::as_str).collect();
                let known = if pairs.is_empty() {
                    "the inventory names no pairs".to_owned()
                } else {
                    format!("the inventory names the pairs: {}", pairs.join(", "))
                };
                Err(Error::invalid(format!(
                    "{} is not a pair of the inventory, so {option} must name the other end; \
                     {known}",
                    quoted(first)
                )))
            }
        }
    }
}

/// Returns user input as an error may repeat it: not if it may contain a secret.
pub(crate) fn quoted(text: &str) -> String {
    if text.contains(['?', '@', '=']) {
        "what was given".to_owned()
    } else {
        format!("`{text}`")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_uris_with_their_assumptions() {
        let inventory: Inventory =
            toml::from_str("[devices.sw1]\nuri = 'polatis+tcp://192.0.2.7'\nassume = ['a', 'b']\n")
                .unwrap();
        assert_eq!(
            inventory.resolve("sw1").unwrap().to_string(),
            "polatis+tcp://192.0.2.7?assume=a&assume=b"
        );
        assert_eq!(
            inventory.resolve("x+tcp://h").unwrap().to_string(),
            "x+tcp://h"
        );
        assert!(
            inventory
                .resolve("polatis+tcp:h?password=hunter22")
                .unwrap_err()
                .message()
                .starts_with("what was given is neither")
        );
        assert!(
            inventory
                .resolve("sw2")
                .unwrap_err()
                .message()
                .contains("it names: sw1")
        );
    }
}
