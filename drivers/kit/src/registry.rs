//! The registry: the drivers that a program knows, and the one way to open a device by URI.

use crate::{
    context::OpenContext, driver::Driver, driver_info::common_parameters,
    opened_device::OpenedDevice,
};
use qkd_hal::{DeviceUri, Error, ErrorKind, Layer, Result};
use std::sync::Arc;

/// The drivers that a program knows.
#[derive(Clone, Default)]
pub struct Registry {
    drivers: Vec<Arc<dyn Driver>>,
    /// Innermost first.
    layers: Vec<Arc<dyn Layer>>,
}

impl Registry {
    /// A registry without drivers.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a driver, from inside this repository or from anywhere else. One of the same name takes
    /// its place.
    #[must_use]
    pub fn with(mut self, driver: impl Driver + 'static) -> Self {
        self.drivers.retain(|d| d.info().name != driver.info().name);
        self.drivers.push(Arc::new(driver));
        self.drivers.sort_by_key(|d| d.info().name);
        self
    }

    /// Installs a layer on each device that is opened from now on, outside of those that were
    /// installed before; see [`qkd_hal::layer`].
    #[must_use]
    pub fn with_layer(mut self, layer: Arc<dyn Layer>) -> Self {
        self.layers.push(layer);
        self
    }

    /// The drivers, by name.
    pub fn drivers(&self) -> impl Iterator<Item = &dyn Driver> {
        self.drivers.iter().map(AsRef::as_ref)
    }

    /// The driver of this name.
    ///
    /// # Errors
    /// `NotFound`, naming those that exist.
    pub fn driver(&self, name: &str) -> Result<&dyn Driver> {
        self.drivers()
            .find(|d| d.info().name == name)
            .ok_or_else(|| {
                let names: Vec<_> = self.drivers().map(|d| d.info().name).collect();
                Error::new(
                    ErrorKind::NotFound,
                    format!(
                        "there is no driver `{name}`; there are: {}",
                        names.join(", ")
                    ),
                )
            })
    }

    /// Opens a device by URI.
    ///
    /// # Errors
    /// `InvalidInput` for a malformed URI, an unknown transport or parameter, a missing parameter,
    /// an unknown assumption; `NotFound` for an unknown driver; what the driver's own opening
    /// answers.
    pub async fn open(&self, uri: &str, context: &OpenContext) -> Result<OpenedDevice> {
        self.open_uri(&uri.parse()?, context).await
    }

    /// The same, of a parsed URI.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub async fn open_uri(&self, uri: &DeviceUri, context: &OpenContext) -> Result<OpenedDevice> {
        let driver = self.driver(uri.driver())?;
        let info = driver.info();
        let memory = uri.transport() == crate::context::MEMORY_TRANSPORT;
        if !memory && !info.transports.iter().any(|t| t.name == uri.transport()) {
            let known: Vec<_> = info.transports.iter().map(|t| t.example).collect();
            return Err(Error::invalid(format!(
                "driver {} has no transport `{}`; it opens: {}",
                info.name,
                uri.transport(),
                known.join(", ")
            )));
        }
        for (name, _) in uri.parameters() {
            if !info
                .parameters
                .iter()
                .chain(common_parameters(uri.transport()))
                .any(|p| p.name == name)
            {
                let known: Vec<_> = info
                    .parameters
                    .iter()
                    .chain(common_parameters(uri.transport()))
                    .map(|p| p.name)
                    .collect();
                return Err(Error::invalid(format!(
                    "driver {} has no parameter `{name}`; it takes: {}",
                    info.name,
                    known.join(", ")
                )));
            }
        }
        if let Some(missing) = info
            .parameters
            .iter()
            .find(|p| p.required && uri.parameter(p.name).is_none())
        {
            return Err(Error::invalid(format!(
                "parameter `{}` is missing: {}",
                missing.name, missing.help
            )));
        }
        if let Some((_, id)) = uri.parameters().iter().find(|(name, id)| {
            name == "assume" && !info.assumptions.iter().any(|a| a.id == id.as_str())
        }) {
            let known: Vec<_> = info.assumptions.iter().map(|a| &*a.id).collect();
            return Err(Error::invalid(format!(
                "driver {} makes no assumption `{id}`; it makes: {}",
                info.name,
                known.join(", ")
            )));
        }
        let begun = context.transcript_now();
        let opened = driver.open(uri, context).await.map_err(|e| {
            context.record_failed_open(uri, begun, &e);
            e.with_operation("open").with_device(uri.to_string())
        })?;
        Ok(self
            .layers
            .iter()
            .fold(opened, |opened, layer| opened.with_layer(Arc::clone(layer))))
    }
}

impl std::fmt::Debug for Registry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list()
            .entries(self.drivers().map(|d| d.info().name))
            .finish()
    }
}
