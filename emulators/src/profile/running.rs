//! A profile that runs.

use super::controls::Controls;
use serde::Serialize;
use std::future::Future;
use tokio::task::JoinSet;

/// Where one end of a wire is.
#[derive(Debug, Clone, Serialize)]
pub struct Endpoint {
    /// `tcp`, `unix`, `serial`, `snmp`, `usbip` or `http`.
    pub bus: &'static str,
    /// `127.0.0.1:40123`, or the path of a socket or a pseudo-terminal.
    pub address: String,
}

/// SNMPv3 credentials, made for testing.
#[derive(Debug, Clone, Serialize)]
pub struct Credentials {
    /// User name (USM).
    pub user: String,
    /// Authentication protocol of the user.
    pub auth_protocol: &'static str,
    /// Password for authentication.
    pub auth_password: String,
    /// Privacy protocol of the user.
    pub priv_protocol: &'static str,
    /// Password for privacy.
    pub priv_password: String,
    /// Password of the crypto officer; `None` if the device asks for none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub officer_password: Option<String>,
}

/// Paths of PEM files, made for testing.
#[derive(Debug, Clone, Serialize)]
pub struct Tls {
    /// The authority that both sides trust.
    pub ca: String,
    /// The master SAE's certificate.
    pub cert: String,
    /// Private key of the master.
    pub key: String,
    /// The slave SAE's certificate.
    pub slave_cert: String,
    /// Private key of the slave.
    pub slave_key: String,
}

/// Names of the two applications of a pair.
#[derive(Debug, Clone, Serialize)]
pub struct Sae {
    /// The one that takes new keys.
    pub master: String,
    /// ID of the slave SAE, which takes the same keys by ID.
    pub slave: String,
}

/// Information that a profile reports when it is ready: one JSON line of `qkd-emu run`.
#[derive(Debug, Clone, Serialize)]
pub struct StartupInfo {
    /// Name of the profile.
    pub profile: &'static str,
    /// The URI by which a driver opens it; of a pair, its first end.
    pub uri: String,
    /// All URIs: both ends of a pair, and every bus of a device, in order.
    pub uris: Vec<String>,
    /// All endpoints in order.
    pub endpoints: Vec<Endpoint>,
    /// SNMPv3 credentials; `None` if the profile has no agent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credentials: Option<Credentials>,
    /// Paths of the TLS files; `None` without TLS.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<Tls>,
    /// IDs of the SAEs; `None` without key delivery.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sae: Option<Sae>,
    /// A credentials file with the entries that the URIs name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credentials_file: Option<String>,
}

impl StartupInfo {
    pub(crate) fn new(profile: &'static str) -> Self {
        Self {
            profile,
            uri: String::new(),
            uris: Vec::new(),
            endpoints: Vec::new(),
            credentials: None,
            tls: None,
            sae: None,
            credentials_file: None,
        }
    }
    pub(crate) fn endpoint(
        &mut self,
        bus: &'static str,
        address: impl ToString,
        uri: Option<String>,
    ) {
        self.endpoints.push(Endpoint {
            bus,
            address: address.to_string(),
        });
        if let Some(uri) = uri {
            if self.uri.is_empty() {
                self.uri.clone_from(&uri);
            }
            self.uris.push(uri);
        }
    }
}

/// A running emulator; it ends when this is dropped.
pub struct RunningEmulator {
    ready: StartupInfo,
    controls: Controls,
    tasks: JoinSet<()>,
    /// Temporary files, deleted at the end.
    _files: Option<tempfile::TempDir>,
}

impl RunningEmulator {
    pub(crate) fn new(ready: StartupInfo, controls: Controls) -> Self {
        Self {
            ready,
            controls,
            tasks: JoinSet::new(),
            _files: None,
        }
    }
    pub(crate) fn serve(&mut self, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn(task);
    }
    pub(crate) fn keep(&mut self, files: tempfile::TempDir) {
        self._files = Some(files);
    }

    /// Returns the information that the profile reported when it was ready.
    #[must_use]
    pub fn ready(&self) -> &StartupInfo {
        &self.ready
    }

    /// Applies a fault now, or when its trigger is met. `1:` or `2:` before it selects the end of a
    /// pair; the default is the first end.
    ///
    /// # Errors
    /// Error text for the user.
    pub fn fault(&self, spec: &str) -> Result<(), String> {
        let (faults, fault) = self.controls.find(spec)?;
        faults.add(fault)
    }

    /// Returns the text fields that an end (1 or 2) has sent since `hostile-text` was applied
    /// there, in the order in which that fault counts them.
    #[must_use]
    pub fn text_fields(&self, end: usize) -> Vec<String> {
        end.checked_sub(1)
            .map_or_else(Vec::new, |end| self.controls.text_fields(end))
    }

    /// Changes a setting that can be changed while running.
    ///
    /// # Errors
    /// Error text for the user.
    pub fn set(&self, name: &str, value: &str) -> Result<(), String> {
        self.controls.set(name, value)
    }

    /// Returns the state of the devices that commands can change, as lines of text: connections,
    /// settings, keys taken or staged. If two texts are equal, nothing was changed in between.
    /// Effects of time and physics are not included, nor is any secret: a key is shown as its name
    /// or a fingerprint.
    #[must_use]
    pub fn state(&self) -> String {
        self.controls.state()
    }
}

impl std::fmt::Debug for RunningEmulator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Running({})", self.ready.uri)
    }
}
