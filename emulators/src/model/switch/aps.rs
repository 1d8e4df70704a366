//! Automatic protection switching between ports: the path of a working port switches over to a
//! protection port if the alarm of a trigger is raised.
//!
//! Only names and numbers of this function are public. Chosen by this project: of several
//! protection ports, the free one in service with the lowest priority number is used; a port
//! without triggers never switches over; nothing reverts automatically; `inhswpr` (inhibit switch
//! to protection) returns the path to its working port and keeps it there; `inhswwkg` keeps it on
//! the active port; disconnecting or moving the path of a group ends the protection switching.

use std::collections::{BTreeMap, BTreeSet};

/// Whether a port takes part, and what is inhibited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Condition {
    /// Nothing is inhibited.
    #[default]
    None,
    /// Switching to the protection port is inhibited.
    ToProtection,
    /// To go back to working.
    ToWorking,
}

/// The protection groups.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Aps {
    /// By working port, the protecting ports with their priorities.
    pub groups: BTreeMap<u32, BTreeMap<u32, u32>>,
    /// For each working port, the ports whose loss of signal triggers a switch-over.
    pub triggers: BTreeMap<u32, BTreeSet<u32>>,
    /// Ports that are out of service.
    pub out_of_service: BTreeSet<u32>,
    /// For each port, the inhibited operation.
    pub conditions: BTreeMap<u32, Condition>,
    /// By working port that has gone over: where its path is, and the port at the other end.
    pub(super) over: BTreeMap<u32, (u32, u32)>,
}

impl Aps {
    /// Returns the inhibited operation of a port.
    #[must_use]
    pub fn condition(&self, port: u32) -> Condition {
        self.conditions.get(&port).copied().unwrap_or_default()
    }
    /// Where the path of a working port is, if it has gone over.
    #[must_use]
    pub fn protecting(&self, working: u32) -> Option<u32> {
        self.over.get(&working).map(|(protecting, _)| *protecting)
    }
    /// Returns the working ports that switch over if this port loses its signal.
    pub(super) fn triggered_by(&self, port: u32) -> Vec<u32> {
        let of =
            |(working, ports): (&u32, &BTreeSet<u32>)| ports.contains(&port).then_some(*working);
        self.triggers
            .iter()
            .filter_map(of)
            .filter(|w| {
                !self.out_of_service.contains(w)
                    && !self.over.contains_key(w)
                    && self.condition(*w) != Condition::ToProtection
            })
            .collect()
    }
    /// The protecting ports of a working port, the first choice first.
    pub(super) fn protecting_ports(&self, working: u32) -> Vec<u32> {
        let mut all: Vec<(u32, u32)> = self
            .groups
            .get(&working)
            .into_iter()
            .flatten()
            .map(|(port, priority)| (*priority, *port))
            .collect();
        all.sort_unstable();
        all.into_iter()
            .map(|(_, port)| port)
            .filter(|p| !self.out_of_service.contains(p))
            .collect()
    }
}
