//! Faults of agents in the field that `async-snmp`'s agent cannot produce: messages are changed
//! between agent and manager, and signed and encrypted again with the keys of the one user.

use crate::{
    ber::Tlv,
    fault::{AgentFault, FaultInjector, TextFormat},
};
use async_snmp::{
    MasterKeys,
    v3::{LocalizedKey, PrivKey, SaltCounter, UsmSecurityParams, auth::authenticate_message},
};
use std::{
    sync::{Mutex, PoisonError},
    time::Instant,
};

/// An error-status of RFC 3416.
const TOO_BIG: u32 = 1;
const GEN_ERR: u32 = 5;
/// Tag of the GetBulkRequest PDU.
const GET_BULK: u8 = 0xa5;
const RESPONSE: u8 = 0xa2;
/// The tag of an OCTET STRING.
const OCTET_STRING: u8 = 4;
/// Maximum number of bytes of text in a reply whose texts are hostile: a datagram has 65507.
const MAX_TEXTS: usize = 50_000;
/// The same of one text of a notification, of which an agent sends a few.
const MAX_NOTIFICATION_TEXT: usize = 4_000;

/// Changes messages as the agent's active faults say.
pub(super) struct Damage {
    keys: MasterKeys,
    salts: SaltCounter,
    clock: Mutex<Option<Clock>>,
}

/// The clock of the agent, as it was when the first message with it passed.
#[derive(Clone, Copy)]
struct Clock {
    boots: u32,
    time: u32,
    since: Instant,
}

/// Treatment of a request.
pub(super) enum Request {
    /// It goes to the agent.
    Pass(Vec<u8>),
    /// It is answered like this.
    Answer(Vec<u8>),
}

impl Damage {
    pub(super) fn new(keys: MasterKeys) -> Option<Self> {
        Some(Self {
            keys,
            salts: SaltCounter::new().ok()?,
            clock: Mutex::default(),
        })
    }

    /// A request on its way to the agent: its clock becomes the agent's own.
    pub(super) fn request(&self, datagram: &[u8], faults: &[AgentFault]) -> Request {
        let same = || Request::Pass(datagram.to_vec());
        let Some(mut message) = Message::parse(datagram, self) else {
            return same();
        };
        if faults.contains(&AgentFault::NoGetBulk) && message.pdu_tag() == Some(GET_BULK) {
            return message
                .into_answer(GEN_ERR, self)
                .map_or_else(same, Request::Answer);
        }
        let Some(clock) = self.clock() else {
            return same();
        };
        let (Some(shown), Some((boots, time))) = (shown_clock(faults, clock), message.clock())
        else {
            return same();
        };
        // The agent is to find the message as early or as late as the shown clock would.
        let now = clock.now();
        let late = i64::from(shown.1) - i64::from(time);
        let time = u32::try_from(i64::from(now.1) - late).unwrap_or(0);
        let boots = if boots == shown.0 {
            now.0
        } else {
            boots.wrapping_add(1_000_000)
        };
        message.set_clock(boots, time);
        message.encode(self).map_or_else(same, Request::Pass)
    }

    /// A reply on its way to the manager. `None`: it is lost.
    pub(super) fn reply(
        &self,
        datagram: &[u8],
        faults: &[AgentFault],
        texts: &FaultInjector,
    ) -> Option<Vec<u8>> {
        let Some(mut message) = Message::parse(datagram, self) else {
            return Some(datagram.to_vec());
        };
        if let Some((boots, time)) = message.clock() {
            self.note_clock(boots, time);
        }
        let mut is_changed = false;
        for fault in faults {
            is_changed |= match fault {
                AgentFault::MsgMaxSize(size) => message.set_max_size(*size),
                AgentFault::TooBig(limit) if datagram.len() > *limit => {
                    if message.pdu_tag() == Some(RESPONSE) {
                        return message.into_answer(TOO_BIG, self);
                    }
                    false
                }
                AgentFault::Mtu(limit) if datagram.len() > *limit => return None,
                AgentFault::OddValue(name, kind) => message.replace_value(name, &kind.encoding()),
                _ => false,
            };
        }
        is_changed |= message.insert_hostile_text(texts);
        if let Some((boots, time)) = self.clock().and_then(|c| shown_clock(faults, c))
            && message.clock().is_some()
        {
            message.set_clock(boots, time);
            is_changed = true;
        }
        if is_changed {
            message.encode(self).or_else(|| Some(datagram.to_vec()))
        } else {
            Some(datagram.to_vec())
        }
    }

    fn clock(&self) -> Option<Clock> {
        *self.clock.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note_clock(&self, boots: u32, time: u32) {
        let mut clock = self.clock.lock().unwrap_or_else(PoisonError::into_inner);
        // A discovery Report of an agent that is not known yet contains 0 and 0.
        if boots > 0 && clock.is_none_or(|c| c.boots != boots) {
            *clock = Some(Clock {
                boots,
                time,
                since: Instant::now(),
            });
        }
    }
}

impl Clock {
    fn now(self) -> (u32, u32) {
        (
            self.boots,
            self.time + self.since.elapsed().as_secs() as u32,
        )
    }
}

/// The clock that the faults show in place of the agent's.
fn shown_clock(faults: &[AgentFault], clock: Clock) -> Option<(u32, u32)> {
    let (mut boots, mut time) = clock.now();
    let mut is_other = false;
    for fault in faults {
        match fault {
            AgentFault::EngineBoots(n) => (boots, is_other) = (*n, true),
            AgentFault::ClockRate(rate) => {
                let run = clock.since.elapsed().as_secs_f64() * rate;
                (time, is_other) = (clock.time + run as u32, true);
            }
            _ => {}
        }
    }
    is_other.then_some((boots, time))
}

/// A message, taken apart and decrypted.
struct Message {
    tree: Tlv,
    /// msgSecurityParameters: engine id, boots, time, user, authentication, privacy.
    security: Option<Vec<Tlv>>,
    /// contextEngineID, contextName, PDU; of SNMPv2c, the PDU is in the tree.
    scoped: Option<Tlv>,
}

impl Message {
    fn parse(datagram: &[u8], damage: &Damage) -> Option<Self> {
        let (mut tree, _) = Tlv::parse(datagram)?;
        let parts = tree.inside()?;
        if parts.first()?.as_number()? != 3 {
            return Some(Self {
                tree,
                security: None,
                scoped: None,
            });
        }
        let (mut security, _) = Tlv::parse(parts.get(2)?.octets()?)?;
        let security = std::mem::take(security.inside()?);
        if security.len() != 6 {
            return None;
        }
        let data = parts.get(3)?;
        let scoped = match data.octets() {
            None => data.clone(),
            Some(encrypted) => {
                let (_, privacy) = keys(damage, &security)?;
                let plain = privacy?
                    .decrypt(
                        encrypted,
                        security[1].as_number()?,
                        security[2].as_number()?,
                        security[5].octets()?,
                    )
                    .ok()?;
                Tlv::parse(&plain)?.0
            }
        };
        Some(Self {
            tree,
            security: Some(security),
            scoped: Some(scoped),
        })
    }

    fn pdu(&mut self) -> Option<&mut Tlv> {
        match &mut self.scoped {
            Some(scoped) => scoped.inside()?.get_mut(2),
            None => self.tree.inside()?.get_mut(2),
        }
    }

    fn pdu_tag(&mut self) -> Option<u8> {
        self.pdu().map(|pdu| pdu.tag())
    }

    /// engineBoots and engineTime of an SNMPv3 message that names an engine.
    fn clock(&self) -> Option<(u32, u32)> {
        let security = self.security.as_ref()?;
        if security[0].octets()?.is_empty() {
            return None;
        }
        Some((security[1].as_number()?, security[2].as_number()?))
    }

    fn set_clock(&mut self, boots: u32, time: u32) {
        if let Some(security) = &mut self.security {
            security[1] = Tlv::number(boots);
            security[2] = Tlv::number(time);
        }
    }

    fn set_max_size(&mut self, size: u32) -> bool {
        let Some(global) = self.tree.inside().and_then(|t| t.get_mut(1)?.inside()) else {
            return false;
        };
        if let Some(announced) = global.get_mut(1) {
            *announced = Tlv::number(size);
        }
        true
    }

    /// Puts another encoding in the place of a value; whether the message has that name.
    fn replace_value(&mut self, name: &[u8], value: &Tlv) -> bool {
        let binds = self
            .pdu()
            .and_then(|pdu| pdu.inside()?.get_mut(3)?.inside());
        let mut is_changed = false;
        for bind in binds.into_iter().flatten().filter_map(Tlv::inside) {
            if bind.len() == 2 && bind[0].octets() == Some(name) {
                bind[1] = value.clone();
                is_changed = true;
            }
        }
        is_changed
    }

    /// Appends hostile text to the texts among the values of a Response, as far as a datagram has
    /// room; whether there are such texts.
    fn insert_hostile_text(&mut self, faults: &FaultInjector) -> bool {
        if self.pdu_tag() != Some(RESPONSE) {
            return false;
        }
        let binds = self
            .pdu()
            .and_then(|pdu| pdu.inside()?.get_mut(3)?.inside());
        let texts: Vec<_> = binds
            .into_iter()
            .flatten()
            .filter_map(|bind| bind.inside()?.get_mut(1))
            .filter_map(|value| match value {
                Tlv::Primitive(OCTET_STRING, bytes) if is_text(bytes) => Some(bytes),
                _ => None,
            })
            .collect();
        let room = MAX_TEXTS / texts.len().max(1);
        let mut is_changed = false;
        for text in texts {
            let mut changed = faults.insert_hostile_text(text.clone(), TextFormat::Whole);
            changed.truncate(room.max(text.len()));
            is_changed |= changed != *text;
            *text = changed;
        }
        is_changed
    }

    /// The Response to this message with an error-status and no varbinds.
    fn into_answer(mut self, status: u32, damage: &Damage) -> Option<Vec<u8>> {
        let pdu = self.pdu()?;
        let id = pdu.inside()?.first()?.clone();
        *pdu = Tlv::Constructed(
            RESPONSE,
            vec![
                id,
                Tlv::number(status),
                Tlv::number(0),
                Tlv::Constructed(0x30, Vec::new()),
            ],
        );
        // A Response is not reportable.
        if self.security.is_some()
            && let Some(Tlv::Primitive(_, flags)) =
                self.tree.inside()?.get_mut(1)?.inside()?.get_mut(2)
        {
            flags[0] &= !4;
        }
        self.encode(damage)
    }

    fn encode(self, damage: &Damage) -> Option<Vec<u8>> {
        let Self {
            mut tree,
            security,
            scoped,
        } = self;
        let (Some(mut security), Some(scoped)) = (security, scoped) else {
            return Some(tree.encode());
        };
        let keys = keys(damage, &security);
        let is_encrypted = tree.inside()?.get(3)?.octets().is_some();
        let data = if is_encrypted {
            let (encrypted, salt) = keys
                .as_ref()?
                .1
                .as_ref()?
                .encrypt_aes(
                    &scoped.encode(),
                    security[1].as_number()?,
                    security[2].as_number()?,
                    &damage.salts,
                )
                .ok()?;
            security[5] = Tlv::Primitive(4, salt.to_vec());
            Tlv::Primitive(4, encrypted.to_vec())
        } else {
            scoped
        };
        let is_signed = !security[4].octets()?.is_empty();
        if is_signed {
            let length = keys.as_ref()?.0.mac_len();
            security[4] = Tlv::Primitive(4, vec![0; length]);
        }
        let parts = tree.inside()?;
        parts[2] = Tlv::Primitive(4, Tlv::Constructed(0x30, security).encode());
        parts[3] = data;
        let mut bytes = tree.encode();
        if is_signed {
            let (offset, length) = UsmSecurityParams::find_auth_params_offset(&bytes)?;
            authenticate_message(&keys?.0, &mut bytes, offset, length).ok()?;
        }
        Some(bytes)
    }
}

/// The text of a notification with the hostile text that the active faults append.
pub(super) fn hostile(text: &[u8], faults: &FaultInjector) -> Vec<u8> {
    if !is_text(text) {
        return text.to_vec();
    }
    let mut changed = faults.insert_hostile_text(text.to_vec(), TextFormat::Whole);
    changed.truncate(MAX_NOTIFICATION_TEXT.max(text.len()));
    changed
}

/// Whether an OCTET STRING may be meant as text. An agent may put text where it has none yet.
fn is_text(bytes: &[u8]) -> bool {
    let is_graphic = |text: &str| !text.chars().any(char::is_control);
    let has_words = bytes.iter().any(u8::is_ascii_alphanumeric);
    bytes.is_empty() || (has_words && std::str::from_utf8(bytes).is_ok_and(is_graphic))
}

/// The user's keys for the engine that a message names.
fn keys(damage: &Damage, security: &[Tlv]) -> Option<(LocalizedKey, Option<PrivKey>)> {
    damage.keys.localize(security[0].octets()?).ok()
}
