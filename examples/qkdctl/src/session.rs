//! Common state of all commands: the registry, the inventory, and the opening of devices.

use crate::{
    cli::Global,
    interrupt::Interrupt,
    inventory::{Ends, Inventory},
    journal::dirs,
};
use etcetera::AppStrategy;
use qkd_driver_kit::{
    OpenContext, OpenedDevice, Registry,
    credentials::Credentials,
    program::lock::{self, DeviceLock, LockMode},
    transcript::Transcript,
};
use qkd_hal::{DeviceUri, Error, Result};
use qkd_layers::RateLimit;
use std::{path::PathBuf, sync::Arc};

/// Common state of all commands.
pub(crate) struct Session {
    pub(crate) registry: Registry,
    pub(crate) inventory: Inventory,
    pub(crate) context: OpenContext,
    pub(crate) credentials: Credentials,
    pub(crate) interrupt: Interrupt,
}

/// A device opened for a command, and its lock.
pub(crate) struct Device {
    pub(crate) uri: DeviceUri,
    pub(crate) opened: OpenedDevice,
    pub(crate) lock: DeviceLock,
}

fn mode(yes: bool) -> LockMode {
    if yes {
        LockMode::Exclusive
    } else {
        LockMode::Shared
    }
}

fn default(name: &str) -> Option<PathBuf> {
    dirs().map(|d| d.in_config_dir(name)).filter(|p| p.exists())
}

/// The credentials file: the one named, or the one in the usual place.
pub(crate) fn credentials_file(global: &Global) -> Option<PathBuf> {
    global
        .credentials
        .clone()
        .or_else(|| default("credentials.toml"))
}

/// The inventory file: the one named, or the one in the usual place.
pub(crate) fn inventory_file(global: &Global) -> Option<PathBuf> {
    global
        .inventory
        .clone()
        .or_else(|| default("inventory.toml"))
}

impl Session {
    pub(crate) fn new(global: &Global, interrupt: Interrupt) -> Result<Self> {
        let credentials = match credentials_file(global) {
            Some(path) => Credentials::from_file(path)?,
            None => Credentials::from_environment(),
        };
        let inventory = match inventory_file(global) {
            Some(path) => Inventory::read(&path)?,
            None => Inventory::default(),
        };
        let registry = qkd_hardware::registry();
        let registry = match global.rate {
            Some(rate) => registry.with_layer(Arc::new(RateLimit::new(rate))),
            None => registry,
        };
        let known: Vec<&str> = registry
            .drivers()
            .flat_map(|d| d.info().assumptions)
            .map(|a| &*a.id)
            .collect();
        if let Some(unknown) = global
            .assume
            .iter()
            .find(|id| !known.contains(&id.as_str()))
        {
            return Err(Error::invalid(format!(
                "no driver has an assumption `{unknown}`; there are: {}",
                known.join(", ")
            )));
        }
        let mut context = OpenContext::new()
            .with_credentials(credentials.clone())
            .with_accepted_assumptions(global.assume.iter().cloned());
        if let Some(path) = &global.transcript {
            let transcript = Transcript::to_file(path).map_err(|e| {
                let hint = match e.kind() {
                    std::io::ErrorKind::AlreadyExists => {
                        "; a file that exists is never overwritten"
                    }
                    _ => "",
                };
                Error::invalid(format!("transcript file {}: {e}{hint}", path.display()))
            })?;
            context = context.with_transcript(transcript);
        }
        Ok(Self {
            registry,
            inventory,
            context,
            credentials,
            interrupt,
        })
    }

    /// Locks the device at this address.
    pub(crate) async fn lock(&self, uri: &DeviceUri, mode: LockMode) -> Result<DeviceLock> {
        let default_port = self.registry.driver(uri.driver())?.default_port(uri);
        lock::lock_address(uri, default_port, mode).await
    }

    /// Opens a device for a command that changes it with `yes`, and only reads without.
    pub(crate) async fn open_for(&self, device: &str, yes: bool) -> Result<Device> {
        self.open(device, mode(yes)).await
    }

    /// Returns the URIs of both ends of a pair, with the assumptions that the pair accepts.
    ///
    /// # Errors
    /// `InvalidInput` for an assumption that neither driver has; `NotFound` for a name that is not
    /// in the inventory.
    pub(crate) fn resolve_ends(&self, ends: &Ends) -> Result<[DeviceUri; 2]> {
        let mut uris = [
            self.inventory.resolve(&ends.devices[0])?,
            self.inventory.resolve(&ends.devices[1])?,
        ];
        for id in &ends.assume {
            let mut is_known = false;
            for uri in &mut uris {
                let info = self.registry.driver(uri.driver())?.info();
                if info.assumptions.iter().any(|a| a.id == id.as_str()) {
                    is_known = true;
                    *uri = uri.clone().with_parameter("assume", id);
                }
            }
            if !is_known {
                return Err(Error::invalid(format!(
                    "the pair accepts the assumption `{id}`, which the drivers of its ends do \
                     not have"
                )));
            }
        }
        Ok(uris)
    }

    /// Opens both ends of a pair.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub(crate) async fn open_ends(
        &self,
        [near, far]: [DeviceUri; 2],
        yes: bool,
    ) -> Result<[Device; 2]> {
        Ok([
            self.open_uri(near, mode(yes)).await?,
            self.open_uri(far, mode(yes)).await?,
        ])
    }

    /// Opens a device: a URI, or a name of the inventory.
    pub(crate) async fn open(&self, device: &str, mode: LockMode) -> Result<Device> {
        self.open_uri(self.inventory.resolve(device)?, mode).await
    }

    /// Locks a device, by its serial number too once it is known, and opens it.
    async fn open_uri(&self, uri: DeviceUri, mode: LockMode) -> Result<Device> {
        let mut lock = self.lock(&uri, mode).await?;
        let opened = self.registry.open_uri(&uri, &self.context).await?;
        // Before a change it is asked for; otherwise what the driver has read suffices.
        let identity = match (opened.opened_as(), mode) {
            (Some(known), _) => Some(known),
            (None, LockMode::Exclusive) => opened.device().identity().await.ok(),
            (None, LockMode::Shared) => None,
        };
        if let Some(identity) = identity {
            lock.add_identity(&identity, mode, &uri).await?;
        }
        Ok(Device { uri, opened, lock })
    }
}
