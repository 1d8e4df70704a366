//! Effects of events of the model: counters of each MKA instance, and the notifications
//! 1.3.6.1.4.1.6527.3.1.3.114.1.

use crate::{
    model::encryptor::mka::{MkaEvent, Sak},
    wire::snmp::node::Node,
};
use qkd_driver_kit::link::snmp::{Oid, Value, VarBind};
use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

const TRAPS: [u32; 12] = [1, 3, 6, 1, 4, 1, 6527, 3, 1, 3, 114, 1];
const OBJECTS: [u32; 11] = [1, 3, 6, 1, 4, 1, 6527, 3, 1, 2, 114];

/// Encodes octets as the last part of an index, after their number (RFC 2578, 7.7).
pub(super) fn length_prefixed(octets: &[u8]) -> Vec<u32> {
    std::iter::once(octets.len() as u32)
        .chain(octets.iter().map(|o| u32::from(*o)))
        .collect()
}

/// Counters of an MKA instance.
#[derive(Debug, Clone, Default)]
pub(super) struct Instance {
    pub(super) latest: Option<Sak>,
    pub(super) previous: Option<Sak>,
    pub(super) generated: u64,
    pub(super) tx: u64,
    pub(super) rx: u64,
}

#[derive(Default)]
struct SharedState {
    instances: BTreeMap<Vec<u8>, Instance>,
    /// Last key name of each slot.
    slots: [Vec<u8>; 2],
    sak: Option<Sak>,
}

pub(super) struct NotificationSource {
    pub(super) node: Node,
    /// The CA's name, as an index.
    pub(super) ca: Vec<u32>,
    name: String,
    pub(super) port: u32,
    end: usize,
    kept: Mutex<SharedState>,
}

impl NotificationSource {
    pub(super) fn new(node: Node, ca: &str, port: u32, end: usize) -> Self {
        let name: String = ca.chars().take(32).collect();
        Self {
            node,
            ca: length_prefixed(name.as_bytes()),
            name,
            port,
            end,
            kept: Mutex::default(),
        }
    }
    fn shared(&self) -> MutexGuard<'_, SharedState> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
    pub(super) fn instance(&self, ckn: &[u8]) -> Instance {
        self.shared()
            .instances
            .get(ckn)
            .cloned()
            .unwrap_or_default()
    }
    /// A slot gets this name.
    pub(super) fn name_slot(&self, slot: usize, ckn: &[u8]) {
        let mut kept = self.shared();
        if let Some(place) = kept.slots.get_mut(slot) {
            *place = ckn.to_vec();
        }
        // Instances of names that no slot has any more are over.
        let slots = kept.slots.clone();
        let sak = kept.sak.as_ref().map(|s| s.ckn.clone());
        kept.instances
            .retain(|ckn, _| slots.contains(ckn) || Some(ckn) == sak.as_ref());
    }
    /// SCI of an end: a locally administered MAC address, port 1.
    pub(super) fn sci(&self, end: usize) -> [u8; 8] {
        [0x02, 0, 0x5e, 0x10, 0, end as u8, 0, 1]
    }
    pub(super) fn member(&self) -> [u8; 12] {
        member(self.end)
    }
    pub(super) fn peer(&self) -> [u8; 12] {
        member(1 - (self.end & 1))
    }

    fn object(table: &[u32], index: &[u32], value: Value) -> VarBind {
        VarBind::new(Oid::from(OBJECTS).child(table).child(index), value)
    }
    fn notify(&self, number: u32, binds: Vec<VarBind>) {
        self.node.notify(Oid::from(TRAPS).child(&[number]), binds);
    }
    /// Returns the varbinds tmnxMacsecNotifyPortId and tmnxMacsecNotifyVlanId.
    fn place(&self) -> [VarBind; 2] {
        [
            Self::object(&[4, 1], &[0], Value::Gauge32(self.port)),
            Self::object(&[4, 2], &[0], Value::Integer(0)),
        ]
    }
    /// Sends SakCreate 12, SakInstalledRx 13, SakInstalledTx 14, SakDelete 17: association number,
    /// CakName, port.
    fn sak(&self, number: u32, sak: &Sak) {
        let slot = self
            .shared()
            .slots
            .iter()
            .position(|ckn| *ckn == sak.ckn)
            .map_or(1, |i| i as u32 + 1);
        let name = Self::object(
            &[2, 4, 1, 6],
            &[&self.ca[..], &[slot]].concat(),
            Value::text(hex::encode(&sak.ckn)),
        );
        let [port, vlan] = self.place();
        self.notify(
            number,
            vec![
                Self::object(&[4, 5], &[0], Value::Gauge32(sak.an.into())),
                name,
                port,
                vlan,
            ],
        );
    }
    /// tmnxMkaOperStateChanged: MkaStatsOperState of the instance, PortCaName.
    fn oper_state(&self, ckn: &[u8], state: i32) {
        let instance = [&[self.port, super::SUB][..], &length_prefixed(ckn)].concat();
        let name = Self::object(
            &[2, 5, 1, 5],
            &[self.port, super::SUB],
            Value::text(&self.name),
        );
        self.notify(
            9,
            vec![
                Self::object(&[3, 2, 1, 39], &instance, Value::Integer(state)),
                name,
            ],
        );
    }
    fn count(&self, sak: &Sak, count: impl FnOnce(&mut Instance)) {
        count(self.shared().instances.entry(sak.ckn.clone()).or_default());
    }

    pub(super) fn on_event(&self, event: &MkaEvent) {
        match event {
            MkaEvent::Rollover { slot } => {
                let [port, vlan] = self.place();
                self.notify(
                    7,
                    vec![
                        port,
                        vlan,
                        Self::object(&[2, 3, 1, 3], &self.ca, Value::Gauge32((*slot).into())),
                    ],
                );
            }
            MkaEvent::SakCreated(sak) => {
                self.count(sak, |i| i.generated += 1);
                self.sak(12, sak);
            }
            MkaEvent::SakRx(sak) => {
                self.count(sak, |i| {
                    i.rx += 1;
                    i.previous = i.latest.replace(sak.clone());
                });
                self.sak(13, sak);
            }
            MkaEvent::SakTx(sak) => {
                self.count(sak, |i| i.tx += 1);
                self.sak(14, sak);
                let old = self.shared().sak.replace(sak.clone());
                if old.as_ref().is_none_or(|o| o.ckn != sak.ckn) {
                    self.oper_state(&sak.ckn, 2);
                }
                if let Some(old) = old {
                    self.sak(17, &old);
                }
            }
            MkaEvent::Ended => {
                let old = self.shared().sak.take();
                if let Some(old) = old {
                    self.oper_state(&old.ckn, 4);
                    self.sak(17, &old);
                }
            }
            // The first SAK brings the instance into service; other alarms of this MIB are not
            // published.
            MkaEvent::Established | MkaEvent::Alarm(_) => {}
        }
    }
}

fn member(end: usize) -> [u8; 12] {
    let mut id = *b"emulator MI0";
    id[11] = b'0' + (end & 1) as u8;
    id
}
