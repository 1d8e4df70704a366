//! SL-SECU-MIB and its neighbours: names, values and the alarm trap. No I/O.
//!
//! Names and syntaxes are those of the vendor's MIB files (SL-SECU-MIB, SL-ALARM-MIB, SL-MAIN-MIB, SL-XPDR-MIB), hence confirmed; effects that the MIB does not state are
//! assumptions of the driver.

pub mod oid;
mod trap;

pub use trap::{Alarm, decode_trap};

use base64::Engine;
use qkd_driver_kit::link::snmp::{Value, VarBind};
use qkd_hal::event::Severity;
use zeroize::Zeroizing;

/// The longest DisplayString (SNMPv2-TC).
pub const PRE_SHARED_LIMIT: usize = 255;

/// Why a value is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProtoError {
    /// Another type than the MIB gives the object.
    #[error("{object} has another type than the MIB gives it")]
    Type {
        /// The object.
        object: &'static str,
    },
    /// A number that the MIB does not list.
    #[error("{object} is {value}, which the MIB does not list")]
    Enumeration {
        /// The object.
        object: &'static str,
        /// What came.
        value: i64,
    },
    /// A name that is not below the column asked for.
    #[error("a name came that is not below the column asked for")]
    Name,
}

/// slSecuEncryptionStatus.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// init(1): no exchange, or the link failed.
    Init,
    /// exchange(2)
    Exchange,
    /// kdf(3)
    Kdf,
    /// active(4): the traffic key is in use.
    Active,
}

impl Status {
    /// The MIB's word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Init => "init",
            Self::Exchange => "exchange",
            Self::Kdf => "kdf",
            Self::Active => "active",
        }
    }
}

/// How the bytes of a key become the DisplayString of slSecuEncryptionPreShared. The MIB does not say; so the operator must.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PskEncoding {
    /// Lower-case hexadecimal digits.
    Hex,
    /// Base64 (RFC 4648, with padding).
    Base64,
}

impl PskEncoding {
    /// By the word of the URI.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        match word {
            "hex" => Some(Self::Hex),
            "base64" => Some(Self::Base64),
            _ => None,
        }
    }

    /// The text of a key; `None` if it is longer than a DisplayString.
    #[must_use]
    pub fn encode(self, key: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let mut text = Zeroizing::new(vec![0; key.len().checked_mul(2)?.checked_add(4)?]);
        let length = match self {
            Self::Hex => hex::encode_to_slice(key, &mut text[..key.len() * 2]).ok().map(|()| key.len() * 2)?,
            Self::Base64 => base64::engine::general_purpose::STANDARD.encode_slice(key, &mut text).ok()?,
        };
        text.truncate(length);
        (length <= PRE_SHARED_LIMIT).then_some(text)
    }
}

pub(crate) fn integer(value: &Value, object: &'static str) -> Result<i64, ProtoError> {
    match value {
        Value::Integer(v) => Ok(i64::from(*v)),
        Value::Gauge32(v) | Value::Counter32(v) | Value::TimeTicks(v) => Ok(i64::from(*v)),
        _ => Err(ProtoError::Type { object }),
    }
}

pub(crate) fn text(value: &Value, object: &'static str) -> Result<String, ProtoError> {
    match value {
        Value::OctetString(bytes) => Ok(String::from_utf8_lossy(bytes).chars().filter(|c| !c.is_control()).take(255).collect()),
        _ => Err(ProtoError::Type { object }),
    }
}

/// slSecuEncryptionStatus, or slSecuEncryptionProtectedStatus; `None` where the agent lacks the column, as OEM agents do.
///
/// # Errors
/// See [`ProtoError`]; so for all decoders.
pub fn decode_status(value: &Value) -> Result<Option<Status>, ProtoError> {
    if value.is_absent() {
        return Ok(None);
    }
    const OBJECT: &str = "slSecuEncryptionStatus";
    Ok(Some(match integer(value, OBJECT)? {
        1 => Status::Init,
        2 => Status::Exchange,
        3 => Status::Kdf,
        4 => Status::Active,
        value => return Err(ProtoError::Enumeration { object: OBJECT, value }),
    }))
}

/// A TruthValue; `None` where the agent lacks the column.
pub fn decode_truth(value: &Value, object: &'static str) -> Result<Option<bool>, ProtoError> {
    if value.is_absent() {
        return Ok(None);
    }
    match integer(value, object)? {
        1 => Ok(Some(true)),
        2 => Ok(Some(false)),
        value => Err(ProtoError::Enumeration { object, value }),
    }
}

/// A TruthValue to write.
#[must_use]
pub fn truth(on: bool) -> Value {
    Value::Integer(if on { 1 } else { 2 })
}

/// A number without enumeration; `None` where the agent lacks it.
pub fn decode_number(value: &Value, object: &'static str) -> Result<Option<i64>, ProtoError> {
    if value.is_absent() { Ok(None) } else { integer(value, object).map(Some) }
}

/// A text; `None` where the agent lacks it or it is empty.
pub fn decode_text(value: &Value, object: &'static str) -> Result<Option<String>, ProtoError> {
    if value.is_absent() {
        return Ok(None);
    }
    text(value, object).map(|t| Some(t.trim().to_owned()).filter(|t| !t.is_empty()))
}

/// slAlarmSeverity, as ITU-T X.733 names them.
pub fn decode_severity(value: &Value) -> Result<Severity, ProtoError> {
    const OBJECT: &str = "slAlarmSeverity";
    Ok(match integer(value, OBJECT)? {
        0 | 4 => Severity::Cleared,
        1 => Severity::Critical,
        2 => Severity::Major,
        3 => Severity::Minor,
        5 => Severity::Indeterminate,
        value => return Err(ProtoError::Enumeration { object: OBJECT, value }),
    })
}

/// The rows of a walk of slSecuEncryptionIfIndex: ifIndex is both the index and the value.
pub fn decode_rows(walk: &[VarBind]) -> Result<Vec<u32>, ProtoError> {
    let column = oid::column(oid::IF_INDEX);
    walk.iter()
        .map(|bind| match bind.oid.below(&column) {
            Some([index]) if integer(&bind.value, "slSecuEncryptionIfIndex")? == i64::from(*index) => Ok(*index),
            _ => Err(ProtoError::Name),
        })
        .collect()
}

/// The MIB's name of an alarm type; of those that concern encryption and its link.
#[must_use]
pub fn alarm_name(kind: u32) -> &'static str {
    match kind {
        221 => "encAisFault",
        222 => "encRdiFault",
        KEY_EXCHANGE_FAILED => "encKeyExchangeFailed",
        754 => "otnLos",
        755 => "otnLof",
        202 => "ethConfigLossOfSignal",
        702 => "sfpRemoved",
        707 => "sfpLossOfLight",
        _ => "alarm",
    }
}

/// encKeyExchangeFailed of SlAlarmType.
pub const KEY_EXCHANGE_FAILED: u32 = 223;

/// Drives every decoder with arbitrary bytes.
pub fn fuzz(input: &[u8]) {
    use qkd_driver_kit::link::snmp::{Notification, Oid};
    let number = input.iter().fold(0u32, |n, b| n.rotate_left(5) ^ u32::from(*b));
    let values = [
        Value::Integer(i32::from_ne_bytes(number.to_ne_bytes())),
        Value::Integer(i32::from(input.first().copied().unwrap_or(0) % 8)),
        Value::OctetString(input.to_vec()),
        Value::Gauge32(number),
        Value::NoSuchInstance,
    ];
    let ids: Vec<u32> = input.iter().map(|b| u32::from(*b)).collect();
    for value in values {
        let _ = (decode_status(&value), decode_truth(&value, "x"), decode_severity(&value), decode_text(&value, "x"), decode_number(&value, "x"));
        let below = Oid::new(oid::TRAP.to_vec());
        let bind = |name: Oid| VarBind::new(name, value.clone());
        let _ = decode_rows(&[bind(oid::column(oid::IF_INDEX).child(&ids))]);
        let binds = (1..=8).map(|c| bind(oid::alarm(c).child(&ids))).chain([bind(Oid::new(oid::ALARM_ACTIVE.to_vec()))]).collect();
        let _ = decode_trap(&Notification { trap: below, uptime: number, binds });
    }
    for encoding in [PskEncoding::Hex, PskEncoding::Base64] {
        let _ = encoding.encode(input);
    }
}

#[cfg(test)]
mod tests;
