//! IEEE8021X-PAE-MIB and IEEE8021-SECY-MIB: names and values. No I/O.

pub mod oid;

pub use qkd_driver_kit::link::snmp_client::{
    SnmpDecodeError as ProtoError, count, text as decode_text,
};

use qkd_driver_kit::link::{
    snmp::Value,
    snmp_client::{enumeration, optional},
};
use qkd_hal::KeyId;

/// The longest CKN, in bytes (ieee8021XKayMkaPartCKN).
pub const LONGEST_CKN: usize = 32;

/// Decodes a TruthValue; `None` if the agent lacks it.
///
/// # Errors
/// See [`ProtoError`]; so for all decoders.
pub fn decode_truth_value(value: &Value, object: &'static str) -> Result<Option<bool>, ProtoError> {
    optional(value, |v| enumeration(v, object, &[(1, true), (2, false)]))
}

/// Decodes an InterfaceIndex, which is positive; `None` if the agent lacks it.
pub fn decode_interface(value: &Value, object: &'static str) -> Result<Option<u32>, ProtoError> {
    let number = optional(value, |v| count(v, object))?;
    match number.map(u32::try_from) {
        None => Ok(None),
        Some(Ok(index)) if index > 0 => Ok(Some(index)),
        Some(_) => Err(ProtoError::Index),
    }
}

/// The ports of a walk of a column of ieee8021XKayMkaTable.
pub fn decode_ports(walk: &[(Vec<u32>, Value)]) -> Result<Vec<u32>, ProtoError> {
    walk.iter()
        .map(|(index, _)| match index.as_slice() {
            [port] => Ok(*port),
            _ => Err(ProtoError::Index),
        })
        .collect()
}

/// The CKN in the part of an index after the port: its length, then its bytes.
pub fn decode_ckn(index: &[u32]) -> Result<KeyId, ProtoError> {
    let (length, ids) = index.split_first().ok_or(ProtoError::Index)?;
    if usize::try_from(*length) != Ok(ids.len()) || !(1..=LONGEST_CKN).contains(&ids.len()) {
        return Err(ProtoError::Index);
    }
    let bytes: Result<Vec<u8>, _> = ids.iter().map(|id| u8::try_from(*id)).collect();
    let bytes = bytes.map_err(|_| ProtoError::Index)?;
    KeyId::from_bytes(&bytes).ok_or(ProtoError::Index)
}

/// The sum of counters; `None` if there are none.
pub fn sum(values: &[Value], object: &'static str) -> Result<Option<u64>, ProtoError> {
    let mut total = None;
    for value in values {
        if let Some(more) = optional(value, |v| count(v, object))? {
            total = Some(total.unwrap_or(0u64).saturating_add(more));
        }
    }
    Ok(total)
}

/// Drives every decoder with arbitrary bytes.
pub fn fuzz(input: &[u8]) {
    let number = input
        .iter()
        .fold(0u32, |n, b| n.rotate_left(5) ^ u32::from(*b));
    let ids: Vec<u32> = input.iter().map(|b| u32::from(*b)).collect();
    let _ = decode_ckn(&ids);
    for value in [
        Value::Integer(i32::from_ne_bytes(number.to_ne_bytes())),
        Value::Integer(i32::from(input.first().copied().unwrap_or(0) % 4)),
        Value::OctetString(input.to_vec()),
        Value::Counter64(u64::from(number) << 32),
        Value::NoSuchInstance,
    ] {
        let _ = (
            decode_truth_value(&value, "x"),
            decode_text(&value, "x"),
            decode_interface(&value, "x"),
            sum(&[value.clone(), value.clone()], "x"),
            decode_ports(&[(ids.clone(), value)]),
        );
    }
}

#[cfg(test)]
mod tests;
