//! A profile in memory: for drivers under paused time, without sockets.

use super::controls::Controls;
use crate::{
    fault::{Fault, FaultInjector},
    server,
    wire::ByteService,
};
use qkd_driver_kit::{
    OpenContext,
    context::MEMORY_TRANSPORT,
    credentials::CredentialEntry,
    link::{memory::Endpoint, snmp::SnmpService},
};
use std::{future::Future, sync::Arc};
use tokio::task::JoinSet;

/// A profile whose ends are in-memory endpoints, at the level of their links.
pub struct InMemory {
    controls: Controls,
    uris: Vec<String>,
    endpoints: Vec<(String, Endpoint)>,
    /// Whether replies pass a shell that does faults of the wire: only bytes do.
    bytes: bool,
    tasks: JoinSet<()>,
    /// Credentials that the URIs name.
    credentials: Option<CredentialEntry>,
    /// Files that drivers need, which are deleted with this value.
    _files: Option<tempfile::TempDir>,
}

impl InMemory {
    pub(crate) fn new(controls: Controls) -> Self {
        Self {
            controls,
            uris: Vec::new(),
            endpoints: Vec::new(),
            bytes: false,
            tasks: JoinSet::new(),
            credentials: None,
            _files: None,
        }
    }
    /// Adds the URI of an end.
    pub(crate) fn uri(&mut self, driver: &str, name: &str, parameters: &str) {
        self.uris
            .push(format!("{driver}+{MEMORY_TRANSPORT}://{name}{parameters}"));
    }
    pub(crate) fn endpoint(&mut self, name: impl Into<String>, endpoint: Endpoint) {
        self.endpoints.push((name.into(), endpoint));
    }
    /// Adds an endpoint with a byte protocol.
    pub(crate) fn bytes(
        &mut self,
        name: &str,
        service: Arc<dyn ByteService>,
        faults: FaultInjector,
        clock: crate::Clock,
    ) {
        self.bytes = true;
        self.endpoint(name, server::memory::attach(name, service, faults, clock));
    }
    pub(crate) fn credentials(&mut self, entry: CredentialEntry) {
        self.credentials = Some(entry);
    }
    pub(crate) fn keep(&mut self, files: tempfile::TempDir) {
        self._files = Some(files);
    }
    pub(crate) fn run(&mut self, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn(task);
    }

    /// The URIs by which drivers open it, one for each end.
    #[must_use]
    pub fn uris(&self) -> &[String] {
        &self.uris
    }

    /// The endpoints with their names, in the order of the URIs.
    #[must_use]
    pub fn endpoints(&self) -> &[(String, Endpoint)] {
        &self.endpoints
    }

    /// Puts another service in front of each SNMP agent, such as one that damages answers.
    #[must_use]
    pub fn with_agents(
        mut self,
        front: impl Fn(Arc<dyn SnmpService>) -> Arc<dyn SnmpService>,
    ) -> Self {
        for (_, endpoint) in &mut self.endpoints {
            if let Endpoint::Snmp(service) = endpoint {
                *service = front(Arc::clone(service));
            }
        }
        self
    }

    /// Adds the endpoints to a context, and the credentials that their URIs name. They work as long as the context exists; unsolicited events
    /// end with this value.
    #[must_use]
    pub fn attach(&self, context: OpenContext) -> OpenContext {
        let context = match &self.credentials {
            Some(entry) => context.with_credentials_entry(entry.clone()),
            None => context,
        };
        self.endpoints
            .iter()
            .fold(context, |context, (name, endpoint)| {
                context.with_memory(name, endpoint.clone())
            })
    }

    /// Applies a fault, as [`RunningEmulator::fault`](super::RunningEmulator::fault). Faults of the
    /// wire, and those that count exchanges, exist for endpoints of bytes (not for the key delivery
    /// of a Qline).
    ///
    /// # Errors
    /// Error text for the user.
    pub fn fault(&self, spec: &str) -> Result<(), String> {
        let (faults, fault) = self.controls.find(spec)?;
        if !self.bytes && (!matches!(fault.fault, Fault::Device(_)) || fault.trigger.after > 0) {
            return Err(format!(
                "`{spec}` needs replies of bytes, and this endpoint has none; \
                 qkd_driver_kit::wrap::fault::FaultScript, given to OpenContext::with_faults, \
                 injects faults on any level"
            ));
        }
        faults.add(fault)
    }

    /// Changes a setting that can be changed while running.
    ///
    /// # Errors
    /// Error text for the user.
    pub fn set(&self, name: &str, value: &str) -> Result<(), String> {
        self.controls.set(name, value)
    }

    /// Returns the state, as [`RunningEmulator::state`](super::RunningEmulator::state).
    #[must_use]
    pub fn state(&self) -> String {
        self.controls.state()
    }
}

impl std::fmt::Debug for InMemory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "InMemory({})", self.uris.join(", "))
    }
}
