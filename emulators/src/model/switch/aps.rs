//! Automatic protection switching between ports: the path of a working port goes over to a protecting port when a trigger's alarm is raised.
//!
//! Only names and numbers of it are public. Our choices: of several protecting ports, the one with the least priority number is taken, if it is free and in service; a
//! port without triggers never goes over; nothing goes back by itself; `inhswpr` (inhibit switch to protection) brings the path back to its working port and
//! keeps it there; `inhswwkg` keeps it where it is; whoever disconnects or moves the path of a group ends its being switched.

use std::collections::{BTreeMap, BTreeSet};

/// Whether a port takes part, and what is inhibited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Condition {
    /// Nothing.
    #[default]
    None,
    /// To go over to protection.
    ToProtection,
    /// To go back to working.
    ToWorking,
}

/// The groups.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Aps {
    /// By working port, the protecting ports with their priorities.
    pub groups: BTreeMap<u32, BTreeMap<u32, u32>>,
    /// By working port, the ports whose loss of signal makes it go over.
    pub triggers: BTreeMap<u32, BTreeSet<u32>>,
    /// Ports that are out of service.
    pub out_of_service: BTreeSet<u32>,
    /// What is inhibited.
    pub conditions: BTreeMap<u32, Condition>,
    /// By working port that has gone over: where its path is, and the port at the other end.
    pub(super) over: BTreeMap<u32, (u32, u32)>,
}

impl Aps {
    /// What is inhibited at a port.
    #[must_use]
    pub fn condition(&self, port: u32) -> Condition {
        self.conditions.get(&port).copied().unwrap_or_default()
    }
    /// Where the path of a working port is, if it has gone over.
    #[must_use]
    pub fn protecting(&self, working: u32) -> Option<u32> {
        self.over.get(&working).map(|(protecting, _)| *protecting)
    }
    /// The working ports that go over when this port loses its signal.
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
