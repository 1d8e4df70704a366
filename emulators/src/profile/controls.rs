//! Controls of a running profile, independent of its transports.

use crate::fault::{FaultInjector, FaultSpec};
use std::collections::BTreeMap;

/// Sets a value of a running emulator.
type RuntimeSetter = Box<dyn Fn(&str) -> Result<(), String> + Send + Sync>;

/// Faults, settings and state of the emulated devices.
pub(crate) struct Controls {
    /// One for each end.
    faults: Vec<FaultInjector>,
    setters: BTreeMap<&'static str, RuntimeSetter>,
    state: Box<dyn Fn() -> String + Send + Sync>,
}

impl Controls {
    pub(crate) fn new(
        faults: impl Into<Vec<FaultInjector>>,
        state: impl Fn() -> String + Send + Sync + 'static,
    ) -> Self {
        Self {
            faults: faults.into(),
            setters: BTreeMap::new(),
            state: Box::new(state),
        }
    }
    pub(crate) fn add_runtime_setting(
        &mut self,
        name: &'static str,
        set: impl Fn(&str) -> Result<(), String> + Send + Sync + 'static,
    ) {
        self.setters.insert(name, Box::new(set));
    }
    /// The faults of an end, from 0.
    pub(crate) fn faults(&self, end: usize) -> FaultInjector {
        self.faults[end].clone()
    }
    /// Parses the end and the fault. `1:` or `2:` before the fault selects the end; the default is
    /// the first end.
    pub(crate) fn find(&self, spec: &str) -> Result<(&FaultInjector, FaultSpec), String> {
        let (end, spec) = match spec.split_once(':') {
            Some((n, rest)) if n.chars().all(|c| c.is_ascii_digit()) && !n.is_empty() => {
                (n.parse::<usize>().unwrap_or(0), rest)
            }
            _ => (1, spec),
        };
        let faults = end
            .checked_sub(1)
            .and_then(|i| self.faults.get(i))
            .ok_or_else(|| format!("there is no end {end}; there are {}", self.faults.len()))?;
        Ok((faults, spec.parse()?))
    }
    /// The text fields of an end, from 0.
    pub(crate) fn text_fields(&self, end: usize) -> Vec<String> {
        self.faults
            .get(end)
            .map_or_else(Vec::new, FaultInjector::text_fields)
    }
    pub(crate) fn set(&self, name: &str, value: &str) -> Result<(), String> {
        let set = self.setters.get(name).ok_or_else(|| {
            let names: Vec<_> = self.setters.keys().copied().collect();
            format!(
                "`{name}` cannot be set while running; what can: {}",
                if names.is_empty() {
                    "nothing".to_owned()
                } else {
                    names.join(", ")
                }
            )
        })?;
        set(value)
    }
    pub(crate) fn state(&self) -> String {
        (self.state)()
    }
}
