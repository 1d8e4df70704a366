//! Builds a plan from the state of a switch and the wanted changes.

use super::{Plan, Scope, Step};
use crate::{
    Error, Identity, Result,
    optics::{CrossConnect, CrossConnects, Fingerprint, Geometry, Port},
};
use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// State of a switch, from which a change is planned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SwitchState {
    /// The switch.
    pub device: Identity,
    /// Its ports, and the cross-connects that it can make.
    pub geometry: Geometry,
    /// Its cross-connects.
    pub connections: CrossConnects,
}

impl SwitchState {
    /// Begins a plan that leads from this state to another one.
    pub fn plan(self) -> PlanBuilder<Self> {
        PlanBuilder::from_source(self)
    }
}

/// Where the state of a switch can be read: the switch itself.
#[async_trait]
pub trait StateSource {
    /// Reads the state.
    ///
    /// # Errors
    /// Those of the reading.
    async fn state(self) -> Result<SwitchState>;
}

/// Builds a [`Plan`] from the state of a switch.
///
/// ```
/// use qkd_hal::{Identity, optics::{Geometry, SwitchState}};
/// let state = SwitchState {
///     device: Identity::new("Polatis").with_serial("42"),
///     geometry: Geometry::matrix(16, 16),
///     connections: "1-17,2-18".parse()?,
/// };
/// let plan = state.plan().disconnect(2).connect(1, 19).build()?;
/// assert_eq!(plan.to_string(), "disconnect 1-17; disconnect 2-18; connect 1-19");
/// # Ok::<(), qkd_hal::Error>(())
/// ```
///
/// `S` is where the state comes from: a [`SwitchState`], or a [`StateSource`] that is read when the
/// plan is built.
#[derive(Debug, Clone)]
#[must_use = "`build()` makes the plan"]
pub struct PlanBuilder<S> {
    source: S,
    wanted: Option<CrossConnects>,
    disconnect: Vec<Port>,
    connect: Vec<CrossConnect>,
    scope: Scope,
}

impl<S: StateSource> PlanBuilder<S> {
    /// Reads the state and makes the plan.
    ///
    /// # Errors
    /// Those of the reading, and those of `build` with a [`SwitchState`].
    pub async fn build(self) -> Result<Plan> {
        PlanBuilder {
            source: self.source.state().await?,
            wanted: self.wanted,
            disconnect: self.disconnect,
            connect: self.connect,
            scope: self.scope,
        }
        .build()
    }
}

impl<S> PlanBuilder<S> {
    /// Begins a plan from the state that `source` has or reads.
    pub fn from_source(source: S) -> Self {
        Self {
            source,
            wanted: None,
            disconnect: Vec::new(),
            connect: Vec::new(),
            scope: Scope::Touched,
        }
    }
    /// Adds a cross-connect. It takes its ports from the cross-connects that hold them.
    pub fn connect(self, ingress: impl Into<Port>, egress: impl Into<Port>) -> Self {
        self.connect_all([CrossConnect {
            ingress: ingress.into(),
            egress: egress.into(),
        }])
    }
    /// Adds cross-connects; see [`connect`](Self::connect).
    pub fn connect_all(mut self, connections: impl IntoIterator<Item = CrossConnect>) -> Self {
        self.connect.extend(connections);
        self
    }
    /// Removes the cross-connect at a port.
    pub fn disconnect(self, port: impl Into<Port>) -> Self {
        self.disconnect_all([port.into()])
    }
    /// Removes the cross-connects at these ports.
    pub fn disconnect_all(mut self, ports: impl IntoIterator<Item = Port>) -> Self {
        self.disconnect.extend(ports);
        self
    }
    /// Sets the complete state to which the plan leads, instead of single changes.
    pub fn to(mut self, wanted: CrossConnects) -> Self {
        self.wanted = Some(wanted);
        self
    }
    /// Sets the ports that the plan may change; the default is [`Scope::Touched`].
    pub fn scope(mut self, scope: Scope) -> Self {
        self.scope = scope;
        self
    }
}

impl PlanBuilder<SwitchState> {
    /// Makes the plan. Removals come before additions; equal states give the empty plan.
    ///
    /// # Errors
    /// `InvalidInput` if the geometry cannot show one of the states, if the change needs a port
    /// outside the scope, if two changes contradict each other, or if both single changes and a
    /// complete state were given; `NotFound` for a port to disconnect that is not connected.
    pub fn build(self) -> Result<Plan> {
        let Self {
            source:
                SwitchState {
                    device,
                    geometry,
                    connections: present,
                },
            wanted,
            disconnect,
            connect,
            scope,
        } = self;
        let wanted = match wanted {
            None => present.with_changes(&geometry, &disconnect, &connect)?,
            Some(wanted) if disconnect.is_empty() && connect.is_empty() => wanted,
            Some(_) => {
                return Err(Error::invalid(
                    "a plan has either a complete wanted state or single changes, not both",
                ));
            }
        };
        geometry.check_state(&present)?;
        geometry.check_state(&wanted)?;
        let gone: Vec<_> = present.iter().filter(|c| !wanted.contains(*c)).collect();
        let new: Vec<_> = wanted.iter().filter(|c| !present.contains(*c)).collect();
        let touched = gone.iter().chain(&new).flat_map(|c| c.ports()).collect();
        let ports = ports_of(scope, &geometry, touched)?;
        let covered: BTreeSet<Port> = ports
            .iter()
            .flat_map(|p| [Some(*p), present.peer(*p)])
            .flatten()
            .collect();
        let fingerprint = Some(Fingerprint::new(&present, &covered));
        let steps = steps(&geometry, gone, new);
        let device = without_firmware(device);
        Ok(Plan::new(device, ports, covered, fingerprint, steps))
    }
}

/// A plan is for a device and not for a version of its firmware.
pub(super) fn without_firmware(mut device: Identity) -> Identity {
    device.firmware = None;
    device
}

/// The ports of a scope.
fn ports_of(scope: Scope, geometry: &Geometry, touched: BTreeSet<Port>) -> Result<BTreeSet<Port>> {
    match scope {
        Scope::Touched => Ok(touched),
        Scope::All => Ok(geometry.ports().collect()),
        Scope::Ports(declared) => {
            declared.iter().try_for_each(|p| geometry.check_port(*p))?;
            match touched.iter().find(|p| !declared.contains(p)) {
                None => Ok(declared),
                Some(outside) => Err(Error::invalid(format!(
                    "the change needs port {outside}, which is not among the declared ports"
                ))),
            }
        }
    }
}

/// The steps that remove `gone` and add `new`.
fn steps(geometry: &Geometry, gone: Vec<CrossConnect>, new: Vec<CrossConnect>) -> Vec<Step> {
    match geometry {
        Geometry::Matrix { .. } => gone
            .into_iter()
            .map(Step::Disconnect)
            .chain(new.into_iter().map(Step::Connect))
            .collect(),
        _ if gone.is_empty() && new.is_empty() => Vec::new(),
        _ => vec![Step::Move {
            from: gone,
            to: new,
        }],
    }
}
