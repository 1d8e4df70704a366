//! Nokia SR OS: TIMETRA-MACSEC-MIB, objects 1.3.6.1.4.1.6527.3.1.2.114 and notifications
//! 1.3.6.1.4.1.6527.3.1.3.114.1, at an end of a two-slot pair.
//!
//! Chosen by this project, because the MIB does not specify it (see also [`crate::wire::snmp`]):
//!
//! - the last arcs of the sysObjectID;
//! - ActivePsk to an empty slot is refused (inconsistentValue); CAK and CKN are hexadecimal text,
//!   and a CAK must have the length of the slot's EncryptType (wrongLength; wrongValue if it is not
//!   hexadecimal);
//! - a slot without CAK or CKN is notReady and holds no key; EncryptType alone empties the key; an
//!   active key may be overwritten and destroyed;
//! - the one CA and the one port can be neither created nor destroyed nor separated; the model
//!   always encrypts, so that "authenticate only" is refused; hellos stay at the model's 2 s,
//!   regardless of MkaHelloInt;
//! - each slot with a key has an MKA instance: inService if the SAK was made under it, else
//!   transition if it is the active one, else outOfService;
//! - CknNotFound and IcvCheckFailed belong to the port and appear in each instance; the counters of
//!   an SA start when it is first read after its key arrived.

mod columns;
mod events;
mod port;
pub(super) mod profile;
#[cfg(test)]
mod tests;
mod write;

pub use columns::Object;
pub use port::{Place, Scheme};
pub use write::Draft;

use crate::{
    fault::{ApplyDeviceFault, DeviceFault},
    model::encryptor::{
        FRAME_BYTES,
        mka::{MkaEndpoint, Sak},
    },
    wire::snmp::{
        agent::{Agent, Mib},
        node::{Interface, Node, NodeOptions},
        values::truth_value,
    },
};
use events::NotificationSource;
use qkd_driver_kit::link::snmp::{ErrorStatus, Oid, Value};
use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use zeroize::Zeroizing;

/// Enterprise number of the vendor.
pub const ENTERPRISE: u32 = 6527;
/// Under the enterprise number; the number of the model is our choice.
const PRODUCT: [u32; 11] = [1, 3, 6, 1, 4, 1, 6527, 1, 3, 17, 1];
/// tmnxHwIndex of the chassis.
const CHASSIS_HARDWARE: u32 = 50_331_649;
/// The only sub-port of release 16.0.
const SUB: u32 = 1;

/// Options of an agent.
#[derive(Debug, Clone)]
pub struct Options {
    /// Names of the node.
    pub node: NodeOptions,
    /// Layout of port IDs.
    pub scheme: Scheme,
    /// MACsec port of the end.
    pub port: Place,
    /// An old release, which still has tmnxMacsecPortRxTrafficEncrption.
    pub obsolete: bool,
}

impl Options {
    /// A node of this name, with port 1/1/1 in scheme A.
    #[must_use]
    pub fn named(name: &str) -> Self {
        Self {
            node: NodeOptions::named(name, ENTERPRISE),
            scheme: Scheme::A,
            port: Place {
                slot: 1,
                mda: 1,
                connector: None,
                port: 1,
            },
            obsolete: false,
        }
    }
}

/// A slot's row. The key is here only until the model gets it.
#[derive(Clone, Default)]
pub(crate) struct Slot {
    pub(crate) is_256: bool,
    pub(crate) ckn_text: Vec<u8>,
    pub(crate) cak: Option<Zeroizing<Vec<u8>>>,
    /// Whether the model holds the key.
    pub(crate) placed: bool,
    pub(crate) changed: Duration,
}

/// State of the agent in addition to the model.
#[derive(Clone)]
pub(crate) struct Rows {
    pub(crate) slots: [Option<Slot>; 2],
    pub(crate) ca_changed: Duration,
    pub(crate) static_changed: Duration,
    pub(crate) port_changed: Duration,
    pub(crate) psk_changed: Duration,
    pub(crate) ca_up: bool,
    pub(crate) port_up: bool,
    pub(crate) description: Vec<u8>,
    /// Columns 7, 10 to 14 of the CA; MkaHelloInt; columns 4, 7, 12, 14, 15 of the port.
    pub(crate) clear_tag: i32,
    pub(crate) window: u32,
    pub(crate) replay: bool,
    pub(crate) cipher: i32,
    pub(crate) offset: u32,
    pub(crate) delay: bool,
    pub(crate) hello: u32,
    pub(crate) eapol: Vec<u8>,
    pub(crate) max_peers: u32,
    pub(crate) drop_clear: bool,
    pub(crate) encap: i32,
    pub(crate) encap_value: u32,
}

impl Rows {
    fn new(now: Duration) -> Self {
        Self {
            slots: [None, None],
            ca_changed: now,
            static_changed: now,
            port_changed: now,
            psk_changed: now,
            ca_up: true,
            port_up: true,
            description: Vec::new(),
            clear_tag: 0,
            window: 0,
            replay: false,
            cipher: 4,
            offset: 0,
            delay: false,
            hello: 2,
            eapol: vec![0; 6],
            max_peers: 0,
            drop_clear: true,
            encap: 1,
            encap_value: 0,
        }
    }
}

/// The packets of one direction when the present SAK was first seen.
#[derive(Default)]
struct Since {
    ki: [u8; 16],
    sent: u64,
    received: u64,
}

/// The objects of one end.
pub struct Nokia {
    end: Arc<MkaEndpoint>,
    board: Arc<NotificationSource>,
    rows: Mutex<Rows>,
    since: Mutex<Since>,
    scheme: Scheme,
    obsolete: bool,
}

/// Creates the agent of an end of a pair. The CA has the name of the channel of the end. Times are
/// those of the clock of the pair.
#[must_use]
pub fn agent(end: Arc<MkaEndpoint>, options: Options) -> Arc<Agent<Nokia>> {
    let identity = end.base().identity();
    let descr = format!(
        "{} cpm/hops64 {} {} Copyright (c) 2000-2018 Nokia.",
        identity.firmware.unwrap_or_default(),
        identity.vendor,
        identity.model.unwrap_or_default()
    );
    let port_id = options.scheme.port_id(options.port);
    let name = options.port.to_string();
    let interfaces = vec![Interface {
        index: port_id,
        descr: format!("{name}, 100-Gig Ethernet"),
        name,
    }];
    let clock = end.link().clock().clone();
    let now = clock.now();
    let node = Node::new(
        clock,
        descr.trim().to_owned(),
        Oid::from(PRODUCT),
        options.node,
        interfaces,
    );
    let board = Arc::new(NotificationSource::new(
        node,
        end.name(),
        port_id,
        end.end(),
    ));
    let (ear, number) = (Arc::downgrade(&board), end.end());
    end.link().listen(move |at, event| {
        if at == number
            && let Some(board) = ear.upgrade()
        {
            board.on_event(event);
        }
    });
    let nokia = Nokia {
        end,
        board,
        rows: Mutex::new(Rows::new(now)),
        since: Mutex::default(),
        scheme: options.scheme,
        obsolete: options.obsolete,
    };
    Arc::new(Agent::new(nokia))
}

/// An instance of the traffic key's table.
struct Instance {
    slot: u8,
    ckn: Vec<u8>,
}

impl Nokia {
    fn rows(&self) -> MutexGuard<'_, Rows> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }
    /// Returns the rows, updated from the model: an operator may have destroyed or written a key
    /// without the agent.
    fn refreshed_rows(&self) -> Rows {
        let (link, end) = (self.end.link(), self.end.end());
        let held = [1, 2].map(|n| link.slot_of(end, n));
        let mut rows = self.rows();
        for (row, held) in rows.slots.iter_mut().zip(held) {
            match held {
                None if row.as_ref().is_some_and(|r| r.placed) => *row = None,
                Some((ckn, changed, is_256)) if row.as_ref().is_none_or(|r| !r.placed) => {
                    *row = Some(Slot {
                        is_256,
                        ckn_text: hex::encode(ckn).into_bytes(),
                        cak: None,
                        placed: true,
                        changed,
                    });
                }
                _ => {}
            }
        }
        rows.clone()
    }
    fn instances_of_mka(&self) -> Vec<Instance> {
        let (link, end) = (self.end.link(), self.end.end());
        let mut all: Vec<_> = (1..=2)
            .filter_map(|slot| {
                link.slot_of(end, slot)
                    .map(|(ckn, ..)| Instance { slot, ckn })
            })
            .collect();
        // In the order of the index, where the length is first.
        all.sort_by(|a, b| (a.ckn.len(), &a.ckn).cmp(&(b.ckn.len(), &b.ckn)));
        all.dedup_by(|a, b| a.ckn == b.ckn);
        all
    }
    fn ticks(&self, at: Duration) -> Value {
        Value::TimeTicks(self.board.node.ticks(at))
    }
    fn ca(&self, column: u32, rows: &Rows) -> Option<Value> {
        Some(match column {
            2 => self.ticks(rows.ca_changed),
            3 => Value::Integer(1),
            4 => Value::Integer(if rows.ca_up { 2 } else { 3 }),
            5 => Value::text(&rows.description),
            6 => truth_value(true),
            7 => Value::Integer(rows.clear_tag),
            10 => Value::Gauge32(rows.window),
            11 => truth_value(rows.replay),
            12 => Value::Integer(rows.cipher),
            13 => Value::Gauge32(rows.offset),
            14 => truth_value(rows.delay),
            _ => return None,
        })
    }
    fn static_cak(&self, column: u32, rows: &Rows) -> Option<Value> {
        let (link, end) = (self.end.link(), self.end.end());
        Some(match column {
            1 => self.ticks(rows.static_changed),
            2 => Value::Gauge32(link.priority(end).into()),
            3 => Value::Gauge32(link.active(end).into()),
            4 => Value::Gauge32(rows.hello),
            _ => return None,
        })
    }
    fn psk(&self, column: u32, slot: &Slot) -> Option<Value> {
        Some(match column {
            2 => self.ticks(slot.changed),
            3 => Value::Integer(if slot.placed { 1 } else { 3 }),
            4 => Value::Integer(if slot.is_256 { 2 } else { 1 }),
            5 => Value::text(""),
            6 => Value::text(&slot.ckn_text),
            _ => return None,
        })
    }
    fn port(&self, column: u32, rows: &Rows) -> Option<Value> {
        Some(match column {
            3 => self.ticks(rows.port_changed),
            4 => Value::text(&rows.eapol),
            5 => Value::text(self.end.name()),
            6 => Value::Integer(if rows.port_up { 2 } else { 3 }),
            7 => Value::Gauge32(rows.max_peers),
            12 => truth_value(rows.drop_clear),
            13 => Value::Integer(1),
            14 => Value::Integer(rows.encap),
            15 => Value::Gauge32(rows.encap_value),
            _ => return None,
        })
    }
    fn mka(&self, column: u32, instance: &Instance, rows: &Rows) -> Option<Value> {
        let (link, end) = (self.end.link(), self.end.end());
        let counters = link.counters(end);
        let kept = self.board.instance(&instance.ckn);
        let an = |sak: &Option<Sak>| Value::Gauge32(sak.as_ref().map_or(0, |s| s.an.into()));
        let ki = |sak: &Option<Sak>| {
            Value::OctetString(sak.as_ref().map_or(vec![0; 16], |s| s.ki.to_vec()))
        };
        Some(match column {
            2 => Value::text(self.board.member()),
            3 => Value::text(hex::encode(&instance.ckn)),
            5 => Value::text(self.board.sci(end)),
            6 => Value::Gauge32(counters.messages as u32),
            7 => Value::Gauge32(kept.latest.as_ref().map_or(0, |s| s.number)),
            8 => truth_value(link.is_server(end)),
            9 => Value::Gauge32(
                link.priority(if link.is_server(end) { end } else { 1 - end })
                    .into(),
            ),
            10 => an(&kept.latest),
            11 => ki(&kept.latest),
            12 => an(&kept.previous),
            13 => ki(&kept.previous),
            15 => Value::Counter64(counters.ckn_not_found),
            16 => Value::Counter64(counters.new_live_peer),
            17 => Value::Counter64(kept.generated),
            18 => Value::Counter64(kept.tx),
            19 => Value::Counter64(kept.rx),
            29 => Value::Counter64(counters.icv_failed),
            33 | 36 | 37 => Value::Counter64(0),
            39 => Value::Integer(match link.saks().0 {
                _ if !link.is_in_service(end) => 3,
                Some(sak) if sak.ckn == instance.ckn => 2,
                _ if link.active(end) == instance.slot => 4,
                _ => 3,
            }),
            41 => Value::Integer(rows.cipher),
            _ => return None,
        })
    }
    /// Packets sent and received since the present SAK came.
    fn since(&self, sak: &Sak) -> (u64, u64) {
        let (sent, received) = (self.sent(), self.received());
        let mut since = self.since.lock().unwrap_or_else(PoisonError::into_inner);
        if since.ki != sak.ki {
            *since = Since {
                ki: sak.ki,
                sent,
                received,
            };
        }
        (
            sent.saturating_sub(since.sent),
            received.saturating_sub(since.received),
        )
    }
    fn sent(&self) -> u64 {
        self.end.link().traffic_from(self.end.end()).encrypted
    }
    fn received(&self) -> u64 {
        self.end.link().traffic_from(1 - self.end.end()).accepted
    }
}

impl Mib for Nokia {
    type Object = Object;
    type Draft = Draft;

    const OBJECTS: &'static [(&'static [u32], Object)] = columns::OBJECTS;

    fn node(&self) -> &Node {
        &self.board.node
    }
    fn has(&self, object: Object) -> bool {
        self.obsolete || object != Object::Port(12)
    }
    fn instances(&self, object: Object) -> Vec<Vec<u32>> {
        let sub = || vec![self.board.port, SUB];
        let with = |rest: &[u32]| [&sub()[..], rest].concat();
        let sak = || self.end.link().saks().0;
        let sci = || self.board.sci(1 - self.end.end()).map(u32::from);
        match object {
            Object::Changed(_) => vec![vec![0]],
            // The one chassis, and its index in tmnxHwTable.
            Object::PortIdScheme => vec![vec![1]],
            Object::ChassisSerial => vec![vec![1, CHASSIS_HARDWARE]],
            Object::Ca(_) | Object::StaticCak(_) => vec![self.board.ca.clone()],
            Object::Psk(_) => {
                let rows = self.refreshed_rows();
                (0..2u32)
                    .filter(|i| rows.slots[*i as usize].is_some())
                    .map(|i| [&self.board.ca[..], &[i + 1]].concat())
                    .collect()
            }
            Object::Port(_) | Object::PortStats(_) | Object::TxSc(_) => vec![sub()],
            Object::Mka(_) => self
                .instances_of_mka()
                .iter()
                .map(|i| with(&events::length_prefixed(&i.ckn)))
                .collect(),
            Object::Peer(_) => match sak() {
                Some(sak) => vec![with(
                    &[
                        events::length_prefixed(&sak.ckn),
                        self.board.peer().map(u32::from).to_vec(),
                    ]
                    .concat(),
                )],
                None => Vec::new(),
            },
            Object::TxSa(_) => sak().iter().map(|s| with(&[s.an.into()])).collect(),
            Object::RxSa(_) => sak()
                .iter()
                .map(|s| with(&[&sci()[..], &[s.an.into()]].concat()))
                .collect(),
            Object::RxSc(_) => sak().iter().map(|_| with(&sci())).collect(),
        }
    }
    fn read(&self, object: Object, index: &[u32]) -> Option<Value> {
        if let Object::Mka(column) = object {
            let [port, SUB, ckn @ ..] = index else {
                return None;
            };
            let instance = self
                .instances_of_mka()
                .into_iter()
                .find(|i| events::length_prefixed(&i.ckn) == ckn)?;
            return if *port == self.board.port {
                self.mka(column, &instance, &self.refreshed_rows())
            } else {
                None
            };
        }
        if !self.instances(object).iter().any(|i| i == index) {
            return None;
        }
        let rows = self.refreshed_rows();
        let (link, end) = (self.end.link(), self.end.end());
        match object {
            Object::Changed(n) => {
                let all = [
                    rows.ca_changed,
                    rows.static_changed,
                    rows.psk_changed,
                    rows.port_changed,
                ];
                all.get(n).map(|at| self.ticks(*at))
            }
            Object::PortIdScheme => Some(Value::Integer(self.scheme.number())),
            Object::ChassisSerial => {
                let serial = self.end.base().identity().serial;
                Some(Value::text(serial.unwrap_or_default()))
            }
            Object::Ca(column) => self.ca(column, &rows),
            Object::StaticCak(column) => self.static_cak(column, &rows),
            Object::Psk(column) => {
                let slot = (*index.last()? as usize).checked_sub(1)?;
                self.psk(column, rows.slots.get(slot)?.as_ref()?)
            }
            Object::Port(column) => self.port(column, &rows),
            Object::Mka(_) => None,
            Object::Peer(3) => Some(Value::Integer(1)),
            Object::Peer(_) => Some(Value::text(self.board.sci(1 - end))),
            Object::PortStats(1) => Some(Value::Counter64(link.traffic_from(end).clear)),
            Object::PortStats(_) => Some(Value::Counter64(0)),
            Object::TxSa(3) => Some(Value::Counter32(self.since(&link.saks().0?).0 as u32)),
            Object::TxSa(_) => Some(Value::Counter32(0)),
            Object::TxSc(4) => Some(Value::Counter64(self.sent())),
            Object::TxSc(6) => Some(Value::Counter64(self.sent().wrapping_mul(FRAME_BYTES))),
            Object::TxSc(_) => Some(Value::Counter64(0)),
            Object::RxSa(_) => Some(Value::Counter32(self.since(&link.saks().0?).1 as u32)),
            Object::RxSc(3) => Some(Value::Counter64(link.traffic_from(1 - end).refused)),
            Object::RxSc(6) => Some(Value::Counter64(self.received())),
            Object::RxSc(8) => Some(Value::Counter64(self.received().wrapping_mul(FRAME_BYTES))),
            Object::RxSc(_) => Some(Value::Counter64(0)),
        }
    }
    fn draft(&self) -> Draft {
        self.new_draft()
    }
    fn write(
        &self,
        draft: &mut Draft,
        object: Object,
        index: &[u32],
        value: &Value,
    ) -> Result<(), ErrorStatus> {
        self.write_object(draft, object, index, value)
    }
    fn commit(&self, draft: Draft) -> Result<(), ErrorStatus> {
        self.commit_draft(draft)
    }
    fn state(&self) -> String {
        let mut lines = vec![self.end.link().state(self.end.end())];
        for (prefix, object) in Self::OBJECTS
            .iter()
            .filter(|(_, o)| self.has(*o) && o.is_writable())
        {
            for index in self.instances(*object) {
                let value = match self.read(*object, &index).unwrap_or(Value::NoSuchInstance) {
                    Value::OctetString(octets) => octets.escape_ascii().to_string(),
                    other => format!("{other:?}"),
                };
                lines.push(format!("{}: {value}", Oid::from(*prefix).child(&index)));
            }
        }
        lines.join("\n")
    }
    fn tick(&self) {
        let _ = self.end.link().active(self.end.end());
    }
    fn fault(&self, fault: &DeviceFault) -> Result<(), String> {
        match fault {
            // The keys are configuration; the agent starts again.
            DeviceFault::Reboot => Ok(()),
            other => self.end.apply(other),
        }
    }
}
