//! Any device with MACsec and MKA: IEEE8021-SECY-MIB, 1.0.8802.1.1.3, and IEEE8021X-PAE-MIB,
//! 1.3.111.2.802.1.1.15, read only. At the other end of each interface is a peer without an agent.
//!
//! Chosen by this project, because the MIBs do not specify it (see also [`crate::wire::snmp`]):
//!
//! - the sysObjectID, which is for documentation (RFC 5612);
//! - interface N is port N of the PAE, and its controlled port has ifIndex 100 + N, as both MIBs
//!   have it, or N with `same_index`; its uncontrolled port is its common port;
//! - every SET is notWritable, as some objects may be read-only and none can hold a key;
//! - each interface has two participants, with two keys, of which one sends; an SA gets another
//!   association number and key number when the key server changes its key; the SA before remains,
//!   not in use; a participant that does not send is not active;
//! - ieee8021XKayMkaFailed is true 6 s (MKA Life Time) after the loss of the SAK;
//! - while an interface has no SAK, its controlled port is down (lowerLayerDown if its line is cut)
//!   and all its frames are dropped before they are counted; integrity-only, untagged, bad and late
//!   packets stay zero;
//! - the one network identifier allows no unsecured connectivity.
//!
//! Neither MIB has notifications; changes of ifOperStatus are notified by linkDown and linkUp
//! (IF-MIB).

mod columns;
pub mod fuzz;
pub(super) mod profile;
#[cfg(test)]
mod tests;

pub use columns::Object;

use crate::{
    clock::Clock,
    fault::{ApplyDeviceFault, DeviceFault},
    model::encryptor::{
        FRAME_BYTES,
        mka::{MkaEndpoint, MkaEvent, MkaLink, Sak},
    },
    wire::snmp::{
        agent::{Agent, Mib},
        node::{Interface, Node, NodeOptions},
        values::truth_value,
    },
};
use qkd_driver_kit::link::snmp::{ErrorStatus, Oid, Value, VarBind};
use qkd_hal::Identity;
use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use zeroize::Zeroizing;

/// Enterprise number for documentation (RFC 5612).
pub const ENTERPRISE: u32 = 32_473;
const PRODUCT: [u32; 9] = [1, 3, 6, 1, 4, 1, ENTERPRISE, 1, 14];
const SECY: [u32; 7] = [1, 0, 8802, 1, 1, 3, 1];
/// linkDown is 3, linkUp is 4.
const TRAPS: [u32; 9] = [1, 3, 6, 1, 6, 3, 1, 1, 5];
const IF_ENTRY: [u32; 9] = [1, 3, 6, 1, 2, 1, 2, 2, 1];
/// Most interfaces of a device.
pub const MAX_INTERFACES: u32 = 8;
/// IEEE 802.1X-2020, Table 9-3.
const MKA_LIFE_TIME: Duration = Duration::from_secs(6);
/// GCM-AES-256 (IEEE 802.1AE-2018, Table 14-1).
const CIPHER: [u8; 8] = [0, 0x80, 0xc2, 0, 1, 0, 0, 2];
const CIPHER_ROW: u32 = 1;
const NETWORK: &[u8] = b"qkd";

/// Options of an agent.
#[derive(Debug, Clone)]
pub struct Options {
    /// Names of the node.
    pub node: NodeOptions,
    /// Whether a controlled port has the ifIndex of its common port.
    pub same_index: bool,
}

impl Options {
    /// A node of this name.
    #[must_use]
    pub fn named(name: &str) -> Self {
        Self {
            node: NodeOptions::named(name, ENTERPRISE),
            same_index: false,
        }
    }
}

/// Creates interfaces whose both ends hold two keys, and use the first.
#[must_use]
pub fn links(clock: &Clock, seed: u64, number: u32) -> Vec<Arc<MkaLink>> {
    (1..=number)
        .map(|interface| {
            let link = MkaLink::new(clock.clone(), seed.wrapping_add(interface.into()));
            for (end, slot) in [(0, 1), (1, 1), (0, 2), (1, 2)] {
                let key = format!("emulated key {slot} of interface {interface:>5}");
                // A new pair refuses nothing.
                let _ = link.write_slot(
                    end,
                    slot,
                    format!("interface {interface} key {slot}").as_bytes(),
                    Zeroizing::new(key.into_bytes()),
                );
            }
            link
        })
        .collect()
}

/// A secure association of both directions.
#[derive(Debug, Clone)]
struct Association {
    sak: Sak,
    began: Duration,
    stopped: Option<Duration>,
    /// Frames that passed in each direction before it.
    before: [u64; 2],
    /// Frames that had passed when it stopped.
    after: Option<[u64; 2]>,
}

#[derive(Debug, Default)]
struct PortState {
    current: Option<Association>,
    previous: Option<Association>,
    began: Option<Duration>,
    stopped: Option<Duration>,
    lost: Duration,
    changed: Duration,
    cut: bool,
}

struct Port {
    /// Common port.
    index: u32,
    controlled: u32,
    link: Arc<MkaLink>,
    kept: Mutex<PortState>,
}

impl Port {
    fn shared(&self) -> MutexGuard<'_, PortState> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
    /// Frames that passed: sent, received.
    fn passed(&self) -> [u64; 2] {
        [
            self.link.traffic_from(0).encrypted,
            self.link.traffic_from(1).accepted,
        ]
    }
    /// Its SCI (0) or that of the peer (1): a locally administered MAC address, port 1.
    fn sci(&self, end: usize) -> [u8; 8] {
        [2, 0, 0x5e, 0x16, end as u8, self.index as u8, 0, 1]
    }
    fn peer_sci_index(&self) -> Vec<u32> {
        self.sci(1).map(u32::from).to_vec()
    }
    /// Member identifier of the peer, as an index.
    fn peer(&self) -> Vec<u32> {
        let mut member = *b"emulated MI0";
        member[11] = b'0' + (self.index as u8 & 15);
        member.map(u32::from).to_vec()
    }
    fn associations(&self) -> Vec<Association> {
        let kept = self.shared();
        let mut all: Vec<_> = kept.current.iter().chain(&kept.previous).cloned().collect();
        drop(kept);
        all.sort_by_key(|a| a.sak.an);
        all.dedup_by_key(|a| a.sak.an);
        all
    }
    /// Names of the participants, in the order of their index, and their slots.
    fn participants(&self) -> Vec<(Vec<u8>, u8)> {
        let mut all: Vec<_> = (1..=2)
            .filter_map(|slot| self.link.slot_of(0, slot).map(|(ckn, ..)| (ckn, slot)))
            .collect();
        all.sort_by(|(a, _), (b, _)| (a.len(), a).cmp(&(b.len(), b)));
        all
    }
    /// ifOperStatus of the common port and of the controlled port.
    fn status(kept: &PortState) -> [i32; 2] {
        match (kept.cut, kept.current.is_some()) {
            (true, _) => [2, 7],
            (false, true) => [1, 1],
            (false, false) => [1, 2],
        }
    }
}

struct Board {
    node: Node,
    ports: Vec<Port>,
}

impl Board {
    /// Notifies the ports whose ifOperStatus an action changes.
    fn change(&self, port: &Port, action: impl FnOnce(&mut PortState)) {
        let now = self.node.clock().now();
        let (before, after) = {
            let mut kept = port.shared();
            let before = Port::status(&kept);
            action(&mut kept);
            let after = Port::status(&kept);
            if before != after {
                kept.changed = now;
            }
            (before, after)
        };
        let indices = [port.index, port.controlled];
        // With one ifIndex for both, the controlled port is notified.
        let first = usize::from(port.index == port.controlled);
        for place in first..2 {
            let (index, status) = (indices[place], after[place]);
            if (before[place] == 1) == (status == 1) {
                continue;
            }
            let bind = |column, value| {
                VarBind::new(
                    Oid::from(IF_ENTRY).child(&[column, index]),
                    Value::Integer(value),
                )
            };
            self.node.notify(
                Oid::from(TRAPS).child(&[if status == 1 { 4 } else { 3 }]),
                vec![bind(1, index as i32), bind(7, 1), bind(8, status)],
            );
        }
    }
    fn on_event(&self, port: &Port, event: &MkaEvent) {
        let now = self.node.clock().now();
        match event {
            MkaEvent::SakTx(sak) => {
                let passed = port.passed();
                self.change(port, |kept| {
                    if let Some(mut old) = kept.current.take() {
                        (old.stopped, old.after) = (Some(now), Some(passed));
                        kept.previous = Some(old);
                    } else {
                        kept.began = Some(now);
                    }
                    kept.current = Some(Association {
                        sak: sak.clone(),
                        began: now,
                        stopped: None,
                        before: passed,
                        after: None,
                    });
                });
            }
            MkaEvent::Ended => {
                let passed = port.passed();
                self.change(port, |kept| {
                    if let Some(mut old) = kept.current.take() {
                        (old.stopped, old.after) = (Some(now), Some(passed));
                        kept.previous = Some(old);
                    }
                    (kept.stopped, kept.lost) = (Some(now), now);
                });
            }
            _ => {}
        }
    }
}

/// The objects of the device.
pub struct MacsecDevice {
    board: Arc<Board>,
    ends: Arc<Vec<MkaEndpoint>>,
}

/// Creates the agent of a device with these interfaces. Times are those of the clock of the first.
#[must_use]
pub fn agent(
    links: Vec<Arc<MkaLink>>,
    identity: &Identity,
    options: Options,
) -> Arc<Agent<MacsecDevice>> {
    let clock = links
        .first()
        .map_or_else(Clock::manual, |link| link.clock().clone());
    let now = clock.now();
    let ends: Arc<Vec<_>> = Arc::new(
        (1..)
            .zip(&links)
            .map(|(n, link)| {
                let name = format!("eth{n}");
                MkaEndpoint::new(Arc::clone(link), 0, &name, identity.clone())
            })
            .collect(),
    );
    let ports: Vec<_> = (1..)
        .zip(links)
        .map(|(index, link)| {
            let current = link.saks().0.map(|sak| Association {
                sak,
                began: now,
                stopped: None,
                before: [0; 2],
                after: None,
            });
            let kept = PortState {
                began: current.as_ref().map(|_| now),
                current,
                lost: now,
                changed: now,
                ..PortState::default()
            };
            Port {
                index,
                controlled: if options.same_index {
                    index
                } else {
                    100 + index
                },
                link,
                kept: Mutex::new(kept),
            }
        })
        .collect();
    let common = ports.iter().map(|port| Interface {
        index: port.index,
        descr: format!("Ethernet {}", port.index),
        name: format!("eth{}", port.index),
    });
    let controlled = ports
        .iter()
        .filter(|port| port.controlled != port.index)
        .map(|port| Interface {
            index: port.controlled,
            descr: format!("MACsec controlled port of Ethernet {}", port.index),
            name: format!("macsec{}", port.index),
        });
    let interfaces = common.chain(controlled).collect();
    let chassis = Arc::clone(&ends);
    let vendor = identity.clone();
    let descr = format!(
        "{} {}",
        vendor.vendor,
        vendor.model.clone().unwrap_or_default()
    );
    let node = Node::new(
        clock,
        descr.trim_end().to_owned(),
        Oid::from(PRODUCT),
        options.node,
        interfaces,
    )
    .with_chassis(move || {
        chassis
            .first()
            .map_or_else(|| vendor.clone(), |end| end.base().identity())
    });
    let board = Arc::new(Board { node, ports });
    for (place, port) in board.ports.iter().enumerate() {
        let ear = Arc::downgrade(&board);
        port.link.listen(move |end, event| {
            if end == 0
                && let Some(board) = ear.upgrade()
                && let Some(port) = board.ports.get(place)
            {
                board.on_event(port, event);
            }
        });
    }
    Arc::new(Agent::new(MacsecDevice { board, ends }))
}

fn length_prefixed(octets: &[u8]) -> Vec<u32> {
    std::iter::once(octets.len() as u32)
        .chain(octets.iter().map(|o| u32::from(*o)))
        .collect()
}

fn gauge(number: u64) -> Value {
    Value::Gauge32(u32::try_from(number).unwrap_or(u32::MAX))
}

/// zeroDotZero, or this row.
fn row_pointer(row: Option<Oid>) -> Value {
    Value::ObjectId(row.unwrap_or_else(|| Oid::from([0, 0])))
}

impl MacsecDevice {
    /// A TimeStamp; zero if it has not happened.
    fn time(&self, at: Option<Duration>) -> Value {
        Value::TimeTicks(at.map_or(0, |at| self.board.node.ticks(at)))
    }
    fn sent_row(port: &Port, sak: &Association) -> Oid {
        Oid::from(SECY).child(&[1, 3, 1, 2, port.controlled, sak.sak.an.into()])
    }
    fn received_row(port: &Port, sak: &Association) -> Oid {
        Oid::from(SECY)
            .child(&[1, 5, 1, 2, port.controlled])
            .child(&port.peer_sci_index())
            .child(&[sak.sak.an.into()])
    }
    fn secy(&self, column: u32, port: &Port) -> Option<Value> {
        Some(match column {
            2..=4 => Value::Gauge32(2),
            5 => truth_value(true),
            // strict.
            6 => Value::Integer(3),
            7 => truth_value(true),
            8 => Value::Gauge32(0),
            9 => Value::Gauge32(CIPHER_ROW),
            11 | 12 => truth_value(true),
            15 => Value::text(port.sci(0)),
            _ => return None,
        })
    }
    /// A column of the transmitting or receiving SC, by its number in secyTxSCTable.
    fn channel(&self, column: u32, port: &Port, is_sent: bool) -> Option<Value> {
        let kept = port.shared();
        let row = if is_sent {
            Self::sent_row
        } else {
            Self::received_row
        };
        Some(match column {
            1 => Value::text(port.sci(0)),
            2 => Value::Integer(if kept.current.is_some() { 1 } else { 2 }),
            3 => row_pointer(kept.current.as_ref().map(|a| row(port, a))),
            4 => row_pointer(kept.previous.as_ref().map(|a| row(port, a))),
            5 | 6 => self.time(kept.began),
            7 => self.time(kept.stopped),
            _ => return None,
        })
    }
    /// A column of a transmitting or receiving SA, by its number in secyTxSATable.
    fn association(
        &self,
        column: u32,
        port: &Port,
        sa: &Association,
        is_sent: bool,
    ) -> Option<Value> {
        Some(match column {
            2 => Value::Integer(if sa.stopped.is_none() { 1 } else { 2 }),
            3 => gauge(Self::frames(port, sa)[usize::from(!is_sent)] + 1),
            4 | 5 => truth_value(true),
            6 | 7 => self.time(Some(sa.began)),
            8 => self.time(sa.stopped),
            _ => return None,
        })
    }
    /// Frames under an SA: sent, received.
    fn frames(port: &Port, sa: &Association) -> [u64; 2] {
        let now = sa.after.unwrap_or_else(|| port.passed());
        [0, 1].map(|n| now[n].saturating_sub(sa.before[n]))
    }
    fn interface(&self, column: u32, index: u32) -> Option<Value> {
        let ports = &self.board.ports;
        let port = ports
            .iter()
            .find(|p| p.index == index || p.controlled == index)?;
        let is_controlled = port.controlled == index;
        let kept = port.shared();
        let status = Port::status(&kept)[usize::from(is_controlled)];
        Some(match column {
            // macSecControlledIF, ethernetCsmacd.
            3 => Value::Integer(if port.controlled == port.index || !is_controlled {
                6
            } else {
                231
            }),
            7 => Value::Integer(1),
            8 => Value::Integer(status),
            9 => self.time(Some(kept.changed)),
            _ => return None,
        })
    }
    fn kay(&self, column: u32, port: &Port) -> Option<Value> {
        let link = &port.link;
        let now = self.board.node.clock().now();
        let (is_secured, failed, number, rows) = {
            let kept = port.shared();
            let current = kept.current.as_ref();
            (
                current.is_some(),
                current.is_none() && now >= kept.lost.saturating_add(MKA_LIFE_TIME),
                current.map_or(0, |a| a.sak.number),
                [Self::sent_row, Self::received_row]
                    .map(|row| row_pointer(current.map(|a| row(port, a)))),
            )
        };
        let server = usize::from(!link.is_server(0));
        let [sent, received] = rows;
        Some(match column {
            1 => truth_value(link.is_in_service(0)),
            2 => truth_value(false),
            3 => truth_value(is_secured),
            4 => truth_value(failed),
            5 => Value::text(port.sci(0)),
            6 => Value::Gauge32(link.priority(0).into()),
            7 => Value::Gauge32(link.priority(server).into()),
            8 if is_secured => Value::text(port.sci(server)),
            8 => Value::text(""),
            // Confidentiality with any offset.
            12 => Value::Integer(3),
            13..=16 => truth_value(true),
            17 => Value::Integer(0),
            18 | 20 => Value::Gauge32(number),
            19 => sent,
            21 => received,
            _ => return None,
        })
    }
    fn participant(&self, column: u32, port: &Port, ckn: &[u8], slot: u8) -> Option<Value> {
        let link = &port.link;
        let is_principal = port
            .shared()
            .current
            .as_ref()
            .is_some_and(|a| a.sak.ckn == ckn);
        Some(match column {
            4 | 6 => truth_value(false),
            5 => truth_value(link.is_in_service(0) && link.active(0) == slot),
            // always.
            7 => Value::Integer(4),
            8 => truth_value(is_principal),
            9 => Value::text(""),
            10 => Value::Integer(1),
            _ => return None,
        })
    }
    fn counter(&self, object: Object, port: &Port) -> Option<Value> {
        let [sent, received] = port.passed();
        Some(Value::Counter64(match object {
            Object::TxScCounter(4) => sent,
            Object::TxScCounter(11) | Object::SecyCounter(12) => sent * FRAME_BYTES,
            Object::RxScCounter(8) => received,
            Object::RxScCounter(10) | Object::SecyCounter(14) => received * FRAME_BYTES,
            Object::TxScCounter(_) | Object::RxScCounter(_) | Object::SecyCounter(_) => 0,
            _ => return None,
        }))
    }
    fn port(&self, object: Object, index: &[u32]) -> Option<&Port> {
        let first = index.first()?;
        self.board.ports.iter().find(|port| {
            *first
                == match object {
                    Object::Port(_)
                    | Object::Logon(_)
                    | Object::Kay(_)
                    | Object::Participant(_)
                    | Object::Peer(_) => port.index,
                    _ => port.controlled,
                }
        })
    }
    fn chosen(&self, name: Option<&str>) -> Result<Vec<usize>, String> {
        let all = 0..self.ends.len();
        let Some(name) = name else {
            return Ok(all.collect());
        };
        let number = name.strip_prefix("eth").unwrap_or(name);
        let place = number.parse::<usize>().ok().and_then(|n| n.checked_sub(1));
        place
            .filter(|place| all.contains(place))
            .map(|place| vec![place])
            .ok_or_else(|| format!("there is no interface `{name}`"))
    }
    /// An action at an interface: of the model, or `other-key`, another CAK of the peer.
    fn operate(&self, command: &str) -> Result<(), String> {
        let (name, action) = command.split_once('/').unwrap_or(("1", command));
        for place in self.chosen(Some(name))? {
            let end = &self.ends[place];
            if action == "other-key" {
                let link = end.link();
                let slot = link.active(1);
                let (ckn, ..) = link.slot_of(1, slot).ok_or("the peer has no key")?;
                link.write_slot(1, slot, &ckn, Zeroizing::new(vec![0x5a; 32]))
                    .map_err(|r| format!("{r:?}"))?;
            } else {
                end.apply(&DeviceFault::Operator(action.to_owned()))?;
            }
        }
        Ok(())
    }
}

impl Mib for MacsecDevice {
    type Object = Object;
    type Draft = ();

    const OBJECTS: &'static [(&'static [u32], Object)] = columns::OBJECTS;

    fn node(&self) -> &Node {
        &self.board.node
    }
    fn instances(&self, object: Object) -> Vec<Vec<u32>> {
        let each = |make: &dyn Fn(&Port) -> Vec<Vec<u32>>| -> Vec<Vec<u32>> {
            self.board.ports.iter().flat_map(make).collect()
        };
        match object {
            Object::SecyIf(_)
            | Object::TxSc(_)
            | Object::TxScCounter(_)
            | Object::SecyCounter(_) => each(&|p| vec![vec![p.controlled]]),
            Object::RxSc(_) | Object::RxScCounter(_) => {
                each(&|p| vec![[&[p.controlled][..], &p.peer_sci_index()].concat()])
            }
            Object::TxSa(_) | Object::TxSaCounter(_) => each(&|p| {
                p.associations()
                    .iter()
                    .map(|a| vec![p.controlled, a.sak.an.into()])
                    .collect()
            }),
            Object::RxSa(_) | Object::RxSaCounter(_) => each(&|p| {
                p.associations()
                    .iter()
                    .map(|a| {
                        [&[p.controlled][..], &p.peer_sci_index(), &[a.sak.an.into()]].concat()
                    })
                    .collect()
            }),
            Object::Cipher(_) => vec![vec![CIPHER_ROW]],
            Object::If(_) => {
                let mut all = each(&|p| vec![vec![p.index], vec![p.controlled]]);
                all.sort();
                all.dedup();
                all
            }
            Object::Port(_) | Object::Logon(_) | Object::Kay(_) => each(&|p| vec![vec![p.index]]),
            Object::Participant(_) => each(&|p| {
                p.participants()
                    .iter()
                    .map(|(ckn, _)| [&[p.index][..], &length_prefixed(ckn)].concat())
                    .collect()
            }),
            // The peer is live under the name of the SAK.
            Object::Peer(_) => each(&|p| {
                let kept = p.shared();
                kept.current
                    .iter()
                    .map(|a| [&[p.index][..], &length_prefixed(&a.sak.ckn), &p.peer()].concat())
                    .collect()
            }),
            // IMPLIED: without its length.
            Object::Network(_) => vec![NETWORK.iter().map(|c| u32::from(*c)).collect()],
        }
    }
    fn read(&self, object: Object, index: &[u32]) -> Option<Value> {
        if !self.instances(object).iter().any(|i| i == index) {
            return None;
        }
        match object {
            Object::If(column) => return self.interface(column, *index.first()?),
            Object::Cipher(column) => {
                return Some(match column {
                    2 => Value::text(CIPHER),
                    3 => Value::text("GCM-AES-256"),
                    7 => truth_value(false),
                    8 => Value::Gauge32(16),
                    _ => Value::Integer(1),
                });
            }
            // never.
            Object::Network(_) => return Some(Value::Integer(1)),
            _ => {}
        }
        let port = self.port(object, index)?;
        let sa = || {
            let an = *index.last()?;
            let mut all = port.associations().into_iter();
            all.find(|a| u32::from(a.sak.an) == an)
        };
        let packets = |sent: usize| {
            let frames = Self::frames(port, &sa()?);
            // Counter32 wraps.
            Some(Value::Counter32(frames[sent] as u32))
        };
        match object {
            Object::SecyIf(column) => self.secy(column, port),
            Object::TxSc(column) => self.channel(column, port, true),
            // State, current SA, created, started, stopped.
            Object::RxSc(column) => {
                let same = [2, 3, 5, 6, 7].get(column as usize - 2)?;
                self.channel(*same, port, false)
            }
            Object::TxSa(column) => self.association(column, port, &sa()?, true),
            // State, next PN, SAK unchanged, created, started, stopped.
            Object::RxSa(column) => {
                let same = [2, 3, 5, 6, 7, 8].get(column as usize - 2)?;
                self.association(*same, port, &sa()?, false)
            }
            Object::TxSaCounter(2) => packets(0),
            Object::RxSaCounter(25) => packets(1),
            Object::TxSaCounter(_) | Object::RxSaCounter(_) => Some(Value::Counter32(0)),
            Object::TxScCounter(_) | Object::RxScCounter(_) | Object::SecyCounter(_) => {
                self.counter(object, port)
            }
            Object::Port(column) => Some(match column {
                // realPort.
                2 => Value::Integer(1),
                3 => Value::Integer(port.controlled as i32),
                4 | 5 => Value::Integer(port.index as i32),
                // mkaImplemented(2), macsecImplemented(3).
                7 => Value::text([0x30]),
                _ => truth_value(port.link.is_in_service(0)),
            }),
            // secure, pending.
            Object::Logon(_) => Some(Value::Integer(if port.shared().current.is_some() {
                4
            } else {
                1
            })),
            Object::Kay(column) => self.kay(column, port),
            Object::Participant(column) => {
                let all = port.participants();
                let (ckn, slot) = all
                    .iter()
                    .find(|(ckn, _)| index.get(1..) == Some(&length_prefixed(ckn)[..]))?;
                self.participant(column, port, ckn, *slot)
            }
            Object::Peer(column) => Some(match column {
                2 => gauge(port.link.counters(1).messages + 1),
                // livePeerList.
                3 => Value::Integer(1),
                _ => Value::text(port.sci(1)),
            }),
            _ => None,
        }
    }
    fn draft(&self) {}
    fn write(
        &self,
        _draft: &mut (),
        _object: Object,
        _index: &[u32],
        _value: &Value,
    ) -> Result<(), ErrorStatus> {
        Err(ErrorStatus::NotWritable)
    }
    fn commit(&self, _draft: ()) -> Result<(), ErrorStatus> {
        Ok(())
    }
    fn state(&self) -> String {
        let ports = self.board.ports.iter();
        ports
            .map(|port| format!("interface {}: {}", port.index, port.link.state(0)))
            .collect::<Vec<_>>()
            .join("\n")
    }
    fn fault(&self, fault: &DeviceFault) -> Result<(), String> {
        let places = match fault {
            DeviceFault::Cut(name) => self.chosen(name.as_deref())?,
            DeviceFault::PortFails(n) => self.chosen(Some(&n.to_string()))?,
            DeviceFault::Operator(command) => return self.operate(command),
            DeviceFault::Reboot | DeviceFault::Fail | DeviceFault::Clear => self.chosen(None)?,
            DeviceFault::Identity(_) => vec![0],
            other => {
                return Err(format!(
                    "a MACsec device that is only read has no {other:?}"
                ));
            }
        };
        for place in places {
            let (end, port) = (&self.ends[place], &self.board.ports[place]);
            match fault {
                // Of a port that fails, the other end sees what it sees of a line that is cut.
                DeviceFault::Cut(_) | DeviceFault::PortFails(_) | DeviceFault::Fail => {
                    self.board.change(port, |kept| kept.cut = true);
                    end.apply(&DeviceFault::Cut(None))?;
                }
                DeviceFault::Reboot => {
                    end.link().set_in_service(0, false);
                    end.link().set_in_service(0, true);
                }
                DeviceFault::Clear => {
                    self.board.change(port, |kept| kept.cut = false);
                    end.apply(fault)?;
                }
                other => end.apply(other)?,
            }
        }
        Ok(())
    }
}
