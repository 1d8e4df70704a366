//! The inventory: names for devices.
//!
//! ```toml
//! [devices.sw1]
//! uri = "polatis+tcp://192.0.2.7"
//! assume = ["polatis.error-codes-scpi99"]
//! ```

use qkd_hal::{DeviceUri, Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, path::Path};

/// A named device.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Device {
    /// Its URI.
    pub(crate) uri: String,
    /// Assumptions that hold for it.
    #[serde(default)]
    pub(crate) assume: Vec<String>,
}

/// Named devices.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Inventory {
    #[serde(default)]
    pub(crate) devices: BTreeMap<String, Device>,
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
        Ok(inventory)
    }

    /// The URI that a person means: a URI, or a name of the inventory.
    pub(crate) fn resolve(&self, device: &str) -> Result<DeviceUri> {
        if device.contains("://") {
            return device.parse();
        }
        let found = self.devices.get(device).ok_or_else(|| {
            let names: Vec<_> = self.devices.keys().cloned().collect();
            let known = if names.is_empty() { "there is no inventory, or it is empty".to_owned() } else { format!("it names: {}", names.join(", ")) };
            Error::new(
                ErrorKind::NotFound,
                format!("{} is neither a device URI (driver+transport://address) nor a name of the inventory; {known}", quoted(device)),
            )
        })?;
        let uri: DeviceUri = found.uri.parse()?;
        Ok(found
            .assume
            .iter()
            .fold(uri, |uri, id| uri.with_parameter("assume", id)))
    }
}

/// What a person wrote, as an error may repeat it: not where there may be a secret in it.
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
