//! SL-SECU-MIB and its neighbours: names, values and the alarm trap. No I/O.
//!
//! Names and syntaxes are those of the vendor's MIB files (SL-SECU-MIB, SL-ALARM-MIB, SL-MAIN-MIB,
//! SL-XPDR-MIB, SL-OPT-APS-MIB, SL-OSW-MIB), hence confirmed; effects that the MIB does not state
//! are assumptions of the driver.

pub mod aps;
pub mod oid;
mod trap;

pub use qkd_driver_kit::link::snmp_client::{SnmpDecodeError as ProtoError, text as decode_text};
pub use trap::{Alarm, decode_trap};

use base64::Engine;
use qkd_driver_kit::{
    key_text::hex_digits,
    link::{
        snmp::Value,
        snmp_client::{enumeration, integer, optional},
    },
};
use qkd_hal::{event::Severity, units::Bits};
use zeroize::Zeroizing;

/// The longest DisplayString (SNMPv2-TC).
pub const PRE_SHARED_LIMIT: usize = 255;

/// State of the key exchange: slSecuEncryptionStatus.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// init(1): no exchange, or the link failed.
    Init,
    /// Key exchange in progress: exchange(2).
    Exchange,
    /// Key derivation in progress: kdf(3).
    Kdf,
    /// active(4): the traffic key is in use.
    Active,
}

impl Status {
    /// Returns the name of the state in the MIB.
    #[must_use]
    pub fn keyword(self) -> &'static str {
        match self {
            Self::Init => "init",
            Self::Exchange => "exchange",
            Self::Kdf => "kdf",
            Self::Active => "active",
        }
    }
}

/// Encoding of key bytes in the DisplayString of slSecuEncryptionPreShared. The MIB does not
/// specify it, so the operator must configure it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PskEncoding {
    /// Hexadecimal digits in lower case.
    Hex,
    /// Base64 (RFC 4648, with padding).
    Base64,
}

impl PskEncoding {
    /// By the word of the URI.
    #[must_use]
    pub fn from_keyword(word: &str) -> Option<Self> {
        match word {
            "hex" => Some(Self::Hex),
            "base64" => Some(Self::Base64),
            _ => None,
        }
    }

    /// The text of a key; `None` if it is longer than a DisplayString.
    #[must_use]
    pub fn encode(self, key: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        if key.len() > PRE_SHARED_LIMIT {
            return None;
        }
        let text = match self {
            Self::Hex => hex_digits(key),
            Self::Base64 => {
                let mut text = Zeroizing::new(vec![0; key.len() * 2 + 4]);
                let length = base64::engine::general_purpose::STANDARD
                    .encode_slice(key, &mut text)
                    .ok()?;
                text.truncate(length);
                text
            }
        };
        (text.len() <= PRE_SHARED_LIMIT).then_some(text)
    }

    /// The largest key whose text fits into a DisplayString.
    #[must_use]
    pub fn largest_key(self) -> Bits {
        let bytes = match self {
            Self::Hex => PRE_SHARED_LIMIT / 2,
            Self::Base64 => PRE_SHARED_LIMIT / 4 * 3,
        };
        Bits(bytes as u64 * 8)
    }
}

/// slSecuEncryptionStatus, or slSecuEncryptionProtectedStatus; `None` where the agent lacks the
/// column, as OEM agents do.
///
/// # Errors
/// See [`ProtoError`]; so for all decoders.
pub fn decode_status(value: &Value) -> Result<Option<Status>, ProtoError> {
    let known = [
        (1, Status::Init),
        (2, Status::Exchange),
        (3, Status::Kdf),
        (4, Status::Active),
    ];
    optional(value, |v| enumeration(v, "slSecuEncryptionStatus", &known))
}

/// A TruthValue; `None` where the agent lacks the column.
pub fn decode_truth_value(value: &Value, object: &'static str) -> Result<Option<bool>, ProtoError> {
    optional(value, |v| enumeration(v, object, &[(1, true), (2, false)]))
}

/// A TruthValue to write.
#[must_use]
pub fn truth_value(on: bool) -> Value {
    Value::Integer(if on { 1 } else { 2 })
}

/// A number without enumeration; `None` where the agent lacks it.
pub fn decode_number(value: &Value, object: &'static str) -> Result<Option<i64>, ProtoError> {
    optional(value, |v| integer(v, object))
}

/// slAlarmSeverity, as ITU-T X.733 names them.
pub fn decode_severity(value: &Value) -> Result<Severity, ProtoError> {
    use Severity::{Cleared, Critical, Indeterminate, Major, Minor};
    enumeration(
        value,
        "slAlarmSeverity",
        &[
            (0, Cleared),
            (1, Critical),
            (2, Major),
            (3, Minor),
            (4, Cleared),
            (5, Indeterminate),
        ],
    )
}

/// The rows of a walk of slSecuEncryptionIfIndex: ifIndex is both the index and the value.
pub fn decode_rows(walk: &[(Vec<u32>, Value)]) -> Result<Vec<u32>, ProtoError> {
    walk.iter()
        .map(|(rest, value)| match rest.as_slice() {
            [index] if integer(value, "slSecuEncryptionIfIndex")? == i64::from(*index) => {
                Ok(*index)
            }
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

/// Alarm type encKeyExchangeFailed of SlAlarmType.
pub const KEY_EXCHANGE_FAILED: u32 = 223;

/// Drives every decoder with arbitrary bytes.
pub fn fuzz(input: &[u8]) {
    use qkd_driver_kit::link::snmp::{Notification, Oid, VarBind};
    let number = input
        .iter()
        .fold(0u32, |n, b| n.rotate_left(5) ^ u32::from(*b));
    let values = [
        Value::Integer(i32::from_ne_bytes(number.to_ne_bytes())),
        Value::Integer(i32::from(input.first().copied().unwrap_or(0) % 8)),
        Value::OctetString(input.to_vec()),
        Value::Gauge32(number),
        Value::NoSuchInstance,
    ];
    let ids: Vec<u32> = input.iter().map(|b| u32::from(*b)).collect();
    for value in values {
        let _ = (
            decode_status(&value),
            decode_truth_value(&value, "x"),
            decode_severity(&value),
            decode_text(&value, "x"),
            decode_number(&value, "x"),
        );
        aps::fuzz(&value, &ids);
        let below = Oid::new(oid::TRAP.to_vec());
        let bind = |name: Oid| VarBind::new(name, value.clone());
        let _ = decode_rows(&[(ids.clone(), value.clone())]);
        let binds = (1..=8)
            .map(|c| bind(oid::alarm(c).child(&ids)))
            .chain([bind(Oid::new(oid::ALARM_ACTIVE.to_vec()))])
            .collect();
        let _ = decode_trap(&Notification {
            trap: below,
            uptime: number,
            binds,
        });
    }
    for encoding in [PskEncoding::Hex, PskEncoding::Base64] {
        let _ = encoding.encode(input);
    }
}

#[cfg(test)]
mod tests;
