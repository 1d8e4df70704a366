//! Bytes as requests to an agent: GET, GETNEXT and SET of whatever names and values they spell.

use super::SnmpAgent;
use crate::{
    Clock,
    model::protection::{Group, ProtectionSwitch},
};
use qkd_driver_kit::link::snmp::{Oid, Value, VarBind};
use qkd_hal::Identity;
use qkd_switch_hal::protection::ProtectionCapabilities;
use std::sync::Arc;

/// Maximum number of varbinds of one request, and the longest name.
const MAX_VARBINDS: usize = 16;
const MAX_NAME_LENGTH: usize = 64;

/// A model with one protection group, for the agent of a vendor.
pub(crate) fn model(group: Group, id: &str) -> Arc<ProtectionSwitch> {
    Arc::new(ProtectionSwitch::new(
        Identity::new("fuzzed"),
        ProtectionCapabilities::new(&[], &[]),
        vec![(id.into(), group)],
        Clock::manual(),
    ))
}

/// Encodes a varbind as the bytes that [`run`] reads: number of sub-identifiers, these as base-128
/// numbers; type; length; value.
#[must_use]
pub fn encoded(bind: &VarBind) -> Vec<u8> {
    let mut bytes = vec![bind.oid.sub_identifiers().len() as u8];
    for id in bind.oid.sub_identifiers() {
        for shift in [28, 21, 14, 7] {
            if id >> shift != 0 {
                bytes.push(0x80 | (id >> shift & 0x7f) as u8);
            }
        }
        bytes.push((id & 0x7f) as u8);
    }
    let (kind, value) = match &bind.value {
        Value::Integer(v) => (0, v.to_be_bytes().to_vec()),
        Value::OctetString(v) => (1, v.clone()),
        Value::Gauge32(v) => (2, v.to_be_bytes().to_vec()),
        Value::TimeTicks(v) => (3, v.to_be_bytes().to_vec()),
        Value::Counter32(v) => (4, v.to_be_bytes().to_vec()),
        _ => (5, Vec::new()),
    };
    bytes.push(kind);
    bytes.push(value.len() as u8);
    bytes.extend_from_slice(&value);
    bytes
}

fn decoded(bytes: &mut impl Iterator<Item = u8>) -> Option<VarBind> {
    let length = usize::from(bytes.next()?).min(MAX_NAME_LENGTH);
    let mut name = Vec::with_capacity(length);
    while name.len() < length {
        let mut id = 0_u32;
        loop {
            let byte = bytes.next()?;
            id = id << 7 | u32::from(byte & 0x7f);
            if byte & 0x80 == 0 {
                break;
            }
        }
        name.push(id);
    }
    let (kind, length) = (bytes.next()?, bytes.next()?);
    let value: Vec<u8> = bytes.take(usize::from(length)).collect();
    let number = || {
        value
            .iter()
            .take(4)
            .fold(0_u32, |n, b| n << 8 | u32::from(*b))
    };
    let value = match kind % 7 {
        0 => Value::Integer(number().cast_signed()),
        1 => Value::OctetString(value),
        2 => Value::Gauge32(number()),
        3 => Value::TimeTicks(number()),
        4 => Value::Counter32(number()),
        5 => Value::Null,
        _ => Value::ObjectId(Oid::from(name.as_slice())),
    };
    Some(VarBind::new(Oid::from(name.as_slice()), value))
}

/// Requests each name and the one after it from an agent; then sets all of them in one PDU, and
/// each in its own PDU.
///
/// # Panics
/// If the name after another is not greater, or a reported instance does not exist: this is an
/// error of the agent.
pub fn run(agent: &dyn SnmpAgent, input: &[u8]) {
    let mut bytes = input.iter().copied();
    let binds: Vec<VarBind> = std::iter::from_fn(|| decoded(&mut bytes))
        .take(MAX_VARBINDS)
        .collect();
    let ask = || {
        for bind in &binds {
            let _ = agent.get(&bind.oid);
            if let Some(next) = agent.next(&bind.oid) {
                assert!(
                    next.oid > bind.oid,
                    "{:?} comes after {:?}",
                    next.oid,
                    bind.oid
                );
                assert!(
                    !agent.get(&next.oid).is_absent(),
                    "{:?} is walked and cannot be had",
                    next.oid
                );
            }
        }
    };
    ask();
    let _ = agent.set(1, &binds);
    for bind in &binds {
        let _ = agent.set(2, std::slice::from_ref(bind));
    }
    agent.tick();
    ask();
}
