//! Plans: from the present state of a switch to a wanted one.

mod builder;
mod encoding;
mod file;
mod fingerprint;

pub use builder::{PlanBuilder, StateSource, SwitchState};
pub use fingerprint::Fingerprint;

use super::{CrossConnect, CrossConnects, Geometry, Port};
use crate::{Error, ErrorKind, Identity, Result};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::{collections::BTreeSet, fmt};

/// Ports that a plan may change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Scope {
    /// Just those that the change needs.
    Touched,
    /// These; a change that needs another is refused.
    Ports(BTreeSet<Port>),
    /// Every port of the switch.
    All,
}

/// One command to the switch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "action")]
#[non_exhaustive]
pub enum Step {
    /// Takes a path away.
    Disconnect(CrossConnect),
    /// Makes a path between two free ports.
    Connect(CrossConnect),
    /// Moves from some paths to others in one motion, where the hardware knows nothing in between
    /// (1×N, crossbar).
    Move {
        /// Those that go; empty if the present state could not be read.
        from: Vec<CrossConnect>,
        /// Those that come; empty where the hardware goes dark.
        to: Vec<CrossConnect>,
    },
}

impl Step {
    /// Returns the cross-connects that the step removes.
    #[must_use]
    pub fn removed(&self) -> &[CrossConnect] {
        match self {
            Self::Disconnect(c) => std::slice::from_ref(c),
            Self::Connect(_) => &[],
            Self::Move { from, .. } => from,
        }
    }
    /// Returns the cross-connects that the step adds.
    #[must_use]
    pub fn added(&self) -> &[CrossConnect] {
        match self {
            Self::Connect(c) => std::slice::from_ref(c),
            Self::Disconnect(_) => &[],
            Self::Move { to, .. } => to,
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |all: &[CrossConnect]| {
            all.iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
                .join(",")
        };
        match self {
            Self::Disconnect(c) => write!(f, "disconnect {c}"),
            Self::Connect(c) => write!(f, "connect {c}"),
            Self::Move { from, to } if to.is_empty() => write!(f, "go dark from {}", list(from)),
            Self::Move { from, to } if from.is_empty() => write!(f, "move to {}", list(to)),
            Self::Move { from, to } => write!(f, "move from {} to {}", list(from), list(to)),
        }
    }
}

/// An ordered change of one switch: the ports that it may change, their state when the plan was
/// made, and the steps. A plan is pure data; `OpticalSwitch::apply` applies it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    device: Identity,
    ports: BTreeSet<Port>,
    covered: BTreeSet<Port>,
    fingerprint: Option<Fingerprint>,
    steps: Vec<Step>,
    /// Of all that is above.
    digest: [u8; 32],
}

impl Plan {
    /// Creates a plan for a switch whose state cannot be read: it leads to `wanted` from any state.
    /// A switch whose state can be read refuses it.
    ///
    /// # Errors
    /// `InvalidInput` if `wanted` is not possible in the geometry, or if the geometry is a matrix.
    pub fn unverified(
        device: &Identity,
        geometry: &Geometry,
        wanted: &CrossConnects,
    ) -> Result<Self> {
        geometry.check_state(wanted)?;
        if matches!(geometry, Geometry::Matrix { .. }) {
            return Err(Error::invalid(
                "a matrix is never planned blind: read its state first",
            ));
        }
        let ports: BTreeSet<Port> = geometry.ports().collect();
        let steps = vec![Step::Move {
            from: Vec::new(),
            to: wanted.iter().collect(),
        }];
        let device = builder::without_firmware(device.clone());
        Ok(Self::new(device, ports.clone(), ports, None, steps))
    }

    fn new(
        device: Identity,
        ports: BTreeSet<Port>,
        covered: BTreeSet<Port>,
        fingerprint: Option<Fingerprint>,
        steps: Vec<Step>,
    ) -> Self {
        let mut plan = Self {
            device,
            ports,
            covered,
            fingerprint,
            steps,
            digest: [0; 32],
        };
        plan.digest = Sha256::digest(plan.to_bytes()).into();
        plan
    }

    /// Checks a plan that was made elsewhere: its steps stay within its declared ports, which the
    /// fingerprint covers.
    fn check_steps(&self) -> Result<()> {
        let of_steps = self.steps.iter().flat_map(|step| {
            let connections = step.removed().iter().chain(step.added());
            connections.flat_map(|c| c.ports())
        });
        for port in of_steps {
            if !self.ports.contains(&port) {
                return Err(Error::invalid(format!(
                    "the plan changes port {port}, which is not among its declared ports"
                )));
            }
        }
        match self.ports.difference(&self.covered).next() {
            None => Ok(()),
            Some(port) => Err(Error::invalid(format!(
                "the fingerprint of the plan does not cover port {port}"
            ))),
        }
    }

    /// The device for which it was made.
    #[must_use]
    pub fn device(&self) -> &Identity {
        &self.device
    }
    /// The ports that it may touch.
    #[must_use]
    pub fn ports(&self) -> &BTreeSet<Port> {
        &self.ports
    }
    /// The ports whose state the fingerprint covers: those declared, and their peers as they were.
    #[must_use]
    pub fn fingerprinted_ports(&self) -> &BTreeSet<Port> {
        &self.covered
    }
    /// The state for which it was made; `None` for a blind plan.
    #[must_use]
    pub fn fingerprint(&self) -> Option<Fingerprint> {
        self.fingerprint
    }
    /// Returns the steps in order.
    #[must_use]
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }
    /// Whether there is nothing to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// Checks that `identity` is that of the device for which it was made.
    ///
    /// # Errors
    /// `IdentityChanged`.
    pub fn check_device(&self, identity: &Identity) -> Result<()> {
        if self.device.is_same_device(identity) {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::IdentityChanged,
            format!(
                "the plan was made for {}, and this is {identity}",
                self.device
            ),
        ))
    }

    /// Checks that `now` still is the state for which it was made.
    ///
    /// # Errors
    /// `StateChanged`; `InvalidInput` for a blind plan.
    pub fn check(&self, now: &CrossConnects) -> Result<()> {
        let Some(made_for) = self.fingerprint else {
            return Err(Error::invalid(
                "a blind plan is for a switch that cannot be read; read the state and plan from it",
            ));
        };
        if Fingerprint::new(now, &self.covered) == made_for {
            return Ok(());
        }
        let present = now.using_ports(&self.covered);
        Err(Error::new(
            ErrorKind::StateChanged,
            format!(
                "the switch has changed since the plan was made; its ports are now at {present}"
            ),
        ))
    }

    /// The state after all steps, from `present`.
    ///
    /// # Errors
    /// `InvalidInput` if a step does not fit the state.
    pub fn expected_state(&self, present: &CrossConnects) -> Result<CrossConnects> {
        self.steps
            .iter()
            .try_fold(present.clone(), |mut state, step| {
                for gone in step.removed() {
                    if !state.contains(*gone) {
                        return Err(Error::invalid(format!(
                            "`{step}` does not fit: {gone} is not there"
                        )));
                    }
                    state.remove(gone.ingress);
                }
                for new in step.added() {
                    state.insert(*new)?;
                }
                Ok(state)
            })
    }

    /// Returns the digest to which a permit is bound: SHA-256 over the
    /// [canonical encoding](Self::to_bytes).
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        self.digest
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return f.write_str("nothing to do");
        }
        for (i, step) in self.steps.iter().enumerate() {
            write!(f, "{}{step}", if i == 0 { "" } else { "; " })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn builder(
        geometry: Geometry,
        present: &CrossConnects,
        wanted: &CrossConnects,
    ) -> PlanBuilder<SwitchState> {
        let state = SwitchState {
            device: Identity::new("x"),
            geometry,
            connections: present.clone(),
        };
        state.plan().to(wanted.clone())
    }

    fn state(geometry: Geometry, seed: &[(u32, u32)]) -> CrossConnects {
        let mut all = CrossConnects::dark();
        let Geometry::Matrix { ingress, egress } = geometry else {
            panic!("a matrix")
        };
        for (a, b) in seed {
            let _ = all.insert(CrossConnect::new(1 + a % ingress, 1 + ingress + b % egress));
        }
        all
    }

    fn seed() -> impl Strategy<Value = Vec<(u32, u32)>> {
        proptest::collection::vec((0u32..64, 0u32..64), 0..40)
    }

    proptest! {
        #[test]
        fn a_plan_leads_exactly_to_the_requested_state(a in seed(), b in seed(), n in 1u32..20,
            m in 1u32..20) {
            let geometry = Geometry::matrix(n, m);
            let (present, wanted) = (state(geometry, &a), state(geometry, &b));
            let plan = builder(geometry, &present, &wanted).build().unwrap();
            prop_assert_eq!(&plan.expected_state(&present).unwrap(), &wanted);
            prop_assert_eq!(plan.is_empty(), present == wanted);
            prop_assert!(plan.check(&present).is_ok());
            let first_add = plan.steps().iter().position(|s| !s.added().is_empty());
            let first_add = first_add.unwrap_or(plan.steps().len());
            for (i, step) in plan.steps().iter().enumerate() {
                prop_assert!(step.removed().is_empty() || i < first_add,
                    "removes come before adds");
                for c in step.removed().iter().chain(step.added()) {
                    prop_assert!(c.ports().iter().all(|p| plan.ports().contains(p)), "no step \
                        leaves the declared ports");
                }
            }
        }

        #[test]
        fn a_change_is_detected_on_fingerprinted_ports_only(a in seed(), b in seed(),
            port in 0u32..16) {
            let geometry = Geometry::matrix(8, 8);
            let (present, wanted) = (state(geometry, &a), state(geometry, &b));
            let plan = builder(geometry, &present, &wanted).build().unwrap();
            let mut moved = present.clone();
            let port = Port(port + 1);
            let Some(gone) = moved.remove(port) else { return Ok(()) };
            let covered = gone.ports().iter().any(|p| plan.fingerprinted_ports().contains(p));
            prop_assert_eq!(plan.check(&moved).is_err(), covered);
        }

        #[test]
        fn the_declared_ports_bind(a in seed(), b in seed(),
            declared in proptest::collection::btree_set(1u32..17, 0..16)) {
            let geometry = Geometry::matrix(8, 8);
            let (present, wanted) = (state(geometry, &a), state(geometry, &b));
            let declared: BTreeSet<Port> = declared.into_iter().map(Port).collect();
            let scope = Scope::Ports(declared.clone());
            match builder(geometry, &present, &wanted).scope(scope).build() {
                Ok(plan) => prop_assert_eq!(plan.ports(), &declared),
                Err(e) => prop_assert_eq!(e.kind(), ErrorKind::InvalidInput),
            }
        }
    }

    #[test]
    fn a_switch_that_cannot_be_dark_moves_in_one_step() {
        let geometry = Geometry::one_by(4);
        let (one, three) = ("common-1".parse().unwrap(), "common-3".parse().unwrap());
        let plan = builder(geometry, &one, &three).build().unwrap();
        assert_eq!(plan.to_string(), "move from common-1 to common-3");
        let blind = Plan::unverified(&Identity::new("x"), &geometry, &three).unwrap();
        assert_eq!(blind.to_string(), "move to common-3");
        assert!(blind.check(&one).is_err() && blind.fingerprint().is_none());
        assert!(
            Plan::unverified(
                &Identity::new("x"),
                &Geometry::matrix(2, 2),
                &CrossConnects::dark()
            )
            .is_err()
        );
    }

    #[test]
    fn the_digest_binds_device_state_and_steps() {
        let geometry = Geometry::matrix(4, 4);
        let (a, b): (CrossConnects, CrossConnects) =
            ("1-5".parse().unwrap(), "1-6".parse().unwrap());
        let plan = |serial: &str, from: &CrossConnects, to: &CrossConnects, scope| {
            let state = SwitchState {
                device: Identity::new("x").with_serial(serial),
                geometry,
                connections: from.clone(),
            };
            state
                .plan()
                .to(to.clone())
                .scope(scope)
                .build()
                .unwrap()
                .digest()
        };
        let base = plan("1", &a, &b, Scope::Touched);
        assert_eq!(base, plan("1", &a, &b, Scope::Touched));
        assert_ne!(base, plan("2", &a, &b, Scope::Touched));
        assert_ne!(base, plan("1", &b, &a, Scope::Touched));
        assert_ne!(base, plan("1", &a, &b, Scope::All));
    }
}
