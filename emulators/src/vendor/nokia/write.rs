//! Handling of SET requests.

use super::{Nokia, Object, Rows, Slot};
use crate::{
    model::encryptor::mka::MkaRefusal,
    wire::snmp::{
        agent::Mib,
        values::{check_change, display, octets, one_of, unsigned},
    },
};
use qkd_driver_kit::link::snmp::{ErrorStatus, Value};
use zeroize::Zeroizing;

/// Tested changes of a SET: the rows after it, and the commands to the model.
pub struct Draft {
    rows: Rows,
    /// Slots that were written; those that were destroyed first.
    written: [bool; 2],
    destroyed: [bool; 2],
    active: Option<u8>,
    priority: Option<u8>,
    ca: bool,
    statics: bool,
    port: bool,
}

/// Decodes hexadecimal text of the length that the EncryptType requires.
fn key(text: &[u8], is_256: bool) -> Result<Zeroizing<Vec<u8>>, ErrorStatus> {
    let text = display(text, 64)?;
    if text.len() != if is_256 { 64 } else { 32 } {
        return Err(ErrorStatus::WrongLength);
    }
    hex::decode(text)
        .map(Zeroizing::new)
        .map_err(|_| ErrorStatus::WrongValue)
}

fn name(text: &[u8]) -> Result<(), ErrorStatus> {
    let text = display(text, 64)?;
    hex::decode(text)
        .map(drop)
        .map_err(|_| ErrorStatus::WrongValue)
}

impl Slot {
    fn is_ready(&self) -> bool {
        self.placed || (self.cak.is_some() && !self.ckn_text.is_empty())
    }
}

impl Object {
    /// Whether a SET may change it: in these tables, all columns but the time of the last change.
    pub(super) fn is_writable(self) -> bool {
        match self {
            Self::Ca(column) | Self::Psk(column) => column != 2,
            Self::StaticCak(column) => column != 1,
            Self::Port(column) => column != 3,
            _ => false,
        }
    }
}

impl Nokia {
    pub(super) fn new_draft(&self) -> Draft {
        Draft {
            rows: self.refreshed_rows(),
            written: [false; 2],
            destroyed: [false; 2],
            active: None,
            priority: None,
            ca: false,
            statics: false,
            port: false,
        }
    }

    pub(super) fn write_object(
        &self,
        draft: &mut Draft,
        object: Object,
        index: &[u32],
        value: &Value,
    ) -> Result<(), ErrorStatus> {
        if !object.is_writable() {
            return Err(ErrorStatus::NotWritable);
        }
        check_change(self.end.link().change_faults(self.end.end()))?;
        if let Object::Psk(column) = object {
            let number = match index.split_last() {
                Some((number @ 1..=2, ca)) if ca == self.board.ca => *number as usize - 1,
                _ => return Err(ErrorStatus::NoCreation),
            };
            draft.written[number] = true;
            return write_psk(draft, number, column, value);
        }
        if self.read(object, index).is_none() {
            return Err(ErrorStatus::NoCreation);
        }
        match object {
            Object::Ca(column) => write_ca(draft, column, value),
            Object::StaticCak(column) => write_static(draft, column, value),
            Object::Port(column) => write_port(draft, column, value, self.end.name()),
            _ => Err(ErrorStatus::NotWritable),
        }
    }

    pub(super) fn commit_draft(&self, mut draft: Draft) -> Result<(), ErrorStatus> {
        let (link, end, now) = (
            self.end.link(),
            self.end.end(),
            self.board.node.clock().now(),
        );
        let failed = |_: MkaRefusal| ErrorStatus::CommitFailed;
        // The rows are written first: the model publishes events, and their key names are looked up
        // in the rows.
        let mut keys = [None, None];
        for (number, to_place) in keys.iter_mut().enumerate() {
            if !draft.written[number] {
                continue;
            }
            draft.rows.psk_changed = now;
            if let Some(slot) = draft.rows.slots[number].as_mut() {
                slot.changed = now;
                if slot.is_ready()
                    && let Some(cak) = slot.cak.take()
                {
                    let ckn = hex::decode(&slot.ckn_text).map_err(|_| ErrorStatus::CommitFailed)?;
                    slot.placed = true;
                    self.board.name_slot(number, &ckn);
                    *to_place = Some((ckn, cak));
                }
            }
        }
        for (touched, at) in [
            (draft.ca, &mut draft.rows.ca_changed),
            (draft.statics, &mut draft.rows.static_changed),
            (draft.port, &mut draft.rows.port_changed),
        ] {
            if touched {
                *at = now;
            }
        }
        let up = draft.rows.ca_up && draft.rows.port_up;
        let (written, destroyed, admin) = (draft.written, draft.destroyed, draft.ca || draft.port);
        let mut before = Some(std::mem::replace(&mut *self.rows(), draft.rows));
        // Then keys before the switch to them, so that no traffic is lost, and what goes last.
        for (number, key) in keys.into_iter().enumerate() {
            if let Some((ckn, cak)) = key {
                if let Err(refusal) = link.write_slot(end, number as u8 + 1, &ckn, cak) {
                    // Where nothing was placed yet, nothing has changed.
                    if let Some(before) = before.take() {
                        *self.rows() = before;
                    }
                    return Err(failed(refusal));
                }
                before = None;
            }
        }
        if let Some(priority) = draft.priority {
            link.set_priority(end, priority);
        }
        if let Some(active) = draft.active {
            link.set_active(end, active).map_err(failed)?;
        }
        for number in 0..2 {
            let held = self.rows().slots[number].as_ref().is_some_and(|s| s.placed);
            if destroyed[number] && written[number] && !held {
                match link.destroy_slot(end, number as u8 + 1) {
                    Ok(()) | Err(MkaRefusal::EmptySlot) => self.board.name_slot(number, &[]),
                    Err(refusal) => return Err(failed(refusal)),
                }
            }
        }
        if admin && link.is_in_service(end) != up {
            link.set_in_service(end, up);
        }
        Ok(())
    }
}

fn write_psk(
    draft: &mut Draft,
    number: usize,
    column: u32,
    value: &Value,
) -> Result<(), ErrorStatus> {
    let slot = &mut draft.rows.slots[number];
    if column == 3 {
        match (one_of(value, &[1, 2, 4, 5, 6])?, &slot) {
            (1, Some(row)) if row.is_ready() => {}
            // RFC 2579 RowStatus.
            (1 | 2, _) => return Err(ErrorStatus::InconsistentValue),
            (4 | 5, Some(_)) => return Err(ErrorStatus::InconsistentValue),
            (4 | 5, None) => *slot = Some(Slot::default()),
            // Destroying a missing row is not an error.
            _ => {
                *slot = None;
                draft.destroyed[number] = true;
            }
        }
        return Ok(());
    }
    let slot = slot.as_mut().ok_or(ErrorStatus::InconsistentName)?;
    match column {
        4 => {
            let is_256 = one_of(value, &[1, 2])? == 2;
            if slot.is_256 != is_256 {
                // A key of another length cannot stay.
                *slot = Slot {
                    is_256,
                    ckn_text: std::mem::take(&mut slot.ckn_text),
                    ..Slot::default()
                };
                draft.destroyed[number] = true;
            }
        }
        5 => slot.cak = Some(key(octets(value)?, slot.is_256)?),
        6 => {
            let text = octets(value)?;
            name(text)?;
            // The model holds a key under one name; another name needs the key again.
            if slot.placed && slot.cak.is_none() && slot.ckn_text != text {
                slot.placed = false;
                draft.destroyed[number] = true;
            }
            slot.ckn_text = text.to_vec();
        }
        _ => return Err(ErrorStatus::NotWritable),
    }
    Ok(())
}

fn write_ca(draft: &mut Draft, column: u32, value: &Value) -> Result<(), ErrorStatus> {
    let rows = &mut draft.rows;
    match column {
        3 => match one_of(value, &[1, 2, 4, 5, 6])? {
            1 => {}
            _ => return Err(ErrorStatus::InconsistentValue),
        },
        4 => rows.ca_up = one_of(value, &[2, 3])? == 2,
        5 => rows.description = display(octets(value)?, 80)?.to_vec(),
        6 => one_of(value, &[1]).map(drop)?,
        7 => rows.clear_tag = one_of(value, &[0, 1, 2])?,
        10 => rows.window = unsigned(value, |v| v < u32::MAX)?,
        11 => rows.replay = one_of(value, &[1, 2])? == 1,
        12 => rows.cipher = one_of(value, &[1, 2, 3, 4])?,
        13 => rows.offset = unsigned(value, |v| [0, 30, 50].contains(&v))?,
        14 => rows.delay = one_of(value, &[1, 2])? == 1,
        _ => return Err(ErrorStatus::NotWritable),
    }
    draft.ca = true;
    Ok(())
}

fn write_static(draft: &mut Draft, column: u32, value: &Value) -> Result<(), ErrorStatus> {
    match column {
        2 => draft.priority = u8::try_from(unsigned(value, |v| v <= 255)?).ok(),
        3 => {
            let active = unsigned(value, |v| v == 1 || v == 2)?;
            let slot = draft.rows.slots[active as usize - 1].as_ref();
            if !slot.is_some_and(Slot::is_ready) {
                return Err(ErrorStatus::InconsistentValue);
            }
            draft.active = Some(active as u8);
        }
        4 => draft.rows.hello = unsigned(value, |v| (1..=6).contains(&v) || v == 500)?,
        _ => return Err(ErrorStatus::NotWritable),
    }
    draft.statics = true;
    Ok(())
}

fn write_port(draft: &mut Draft, column: u32, value: &Value, ca: &str) -> Result<(), ErrorStatus> {
    let rows = &mut draft.rows;
    match column {
        4 => match octets(value)? {
            mac if mac.len() == 6 => rows.eapol = mac.to_vec(),
            _ => return Err(ErrorStatus::WrongLength),
        },
        5 if display(octets(value)?, 32)? == ca.as_bytes() => {}
        5 => return Err(ErrorStatus::InconsistentValue),
        6 => rows.port_up = one_of(value, &[2, 3])? == 2,
        7 => rows.max_peers = unsigned(value, |v| v <= 32)?,
        12 => rows.drop_clear = one_of(value, &[1, 2])? == 1,
        13 => match one_of(value, &[1, 2, 4, 5, 6])? {
            1 => {}
            _ => return Err(ErrorStatus::InconsistentValue),
        },
        14 => rows.encap = one_of(value, &[1, 2, 3, 4])?,
        15 => rows.encap_value = unsigned(value, |_| true)?,
        _ => return Err(ErrorStatus::NotWritable),
    }
    draft.port = true;
    Ok(())
}
