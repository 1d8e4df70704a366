//! What a command needs: the registry, the inventory, and how devices are opened.

use crate::{
    cli::Global,
    inventory::Inventory,
    journal::dirs,
    lock::{self, Lock, Use},
};
use etcetera::AppStrategy;
use qkd_driver_kit::{
    OpenContext, Opened, Registry, credentials::Credentials, transcript::Transcript,
};
use qkd_hal::{DeviceUri, Error, Result};
use std::path::PathBuf;

/// What a command needs.
pub(crate) struct Session {
    pub(crate) registry: Registry,
    pub(crate) inventory: Inventory,
    pub(crate) context: OpenContext,
    pub(crate) credentials: Credentials,
}

/// A device opened for a command, and its lock.
pub(crate) struct Device {
    pub(crate) uri: DeviceUri,
    pub(crate) opened: Opened,
    pub(crate) lock: Lock,
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
    pub(crate) fn new(global: &Global) -> Result<Self> {
        let credentials = match credentials_file(global) {
            Some(path) => Credentials::from_file(path)?,
            None => Credentials::from_environment(),
        };
        let inventory = match inventory_file(global) {
            Some(path) => Inventory::read(&path)?,
            None => Inventory::default(),
        };
        let registry = qkd_drivers_all::registry();
        let known: Vec<&str> = registry
            .drivers()
            .flat_map(|d| d.info().assumptions)
            .map(|a| a.id)
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
            .accepting(global.assume.iter().cloned());
        if let Some(path) = &global.transcript {
            let transcript = Transcript::to_file(path)
                .map_err(|e| Error::invalid(format!("transcript file {}: {e}", path.display())))?;
            context = context.recording(transcript);
        }
        Ok(Self {
            registry,
            inventory,
            context,
            credentials,
        })
    }

    pub(crate) async fn open(&self, device: &str, what: Use) -> Result<Device> {
        let uri = self.inventory.resolve(device)?;
        let lock = lock::take(&uri, what)?;
        let opened = self.registry.open_uri(&uri, &self.context).await?;
        Ok(Device { uri, opened, lock })
    }
}
