//! ADVA-FSPR7-MODULE-ENCRYPTION-MIB: names, values and notifications. No I/O.
//!
//! Names, syntaxes and the rule that a SET carries the officer's password are those of the vendor's
//! MIB file, hence confirmed.

pub mod oid;
mod trap;

pub use qkd_driver_kit::link::{
    date_and_time::{DateAndTime, date_and_time},
    snmp_client::{SnmpDecodeError as ProtoError, count, text as decode_text},
};
pub use trap::{Condition, decode_trap};

use qkd_driver_kit::link::{
    snmp::Value,
    snmp_client::{enumeration, optional},
};

/// Number of wrong passwords after which the device locks its input.
pub const PASSWORD_TRIES: u8 = 3;
/// The largest number of failed key exchanges that the device counts.
pub const MOST_FAILURES: u64 = 3;
/// The longest SnmpAdminString.
pub const TEXT_LIMIT: u64 = 255;
/// The value of a counter that the device does not have (range `0..3|4294967295`).
const UNDEFINED: u64 = u32::MAX as u64;

/// Result of a SET with the officer's password: cryptoOfficerPasswordError.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PasswordResult {
    /// undefined(0).
    Undefined,
    /// passwdOk(1): the SET was carried out.
    Ok,
    /// passwdInvalid(2): the password is wrong.
    Invalid,
    /// passwdRejected(3): the device takes no password at present.
    Rejected,
    /// passwdNotInit(4): the device has no officer's password yet.
    NotInitialised,
    /// passwdTooSimple(5): a password that was to be set is too simple.
    TooSimple,
    /// passwdValidationAborted(6): the device did not check the password.
    Aborted,
    /// none(7): no SET with a password so far.
    None,
}

impl PasswordResult {
    /// Returns the name of the result in the MIB.
    #[must_use]
    pub fn keyword(self) -> &'static str {
        match self {
            Self::Undefined => "undefined",
            Self::Ok => "passwdOk",
            Self::Invalid => "passwdInvalid",
            Self::Rejected => "passwdRejected",
            Self::NotInitialised => "passwdNotInit",
            Self::TooSimple => "passwdTooSimple",
            Self::Aborted => "passwdValidationAborted",
            Self::None => "none",
        }
    }
}

/// Decodes cryptoOfficerPasswordError.
///
/// # Errors
/// See [`ProtoError`]; so for all decoders.
pub fn decode_password_result(value: &Value) -> Result<PasswordResult, ProtoError> {
    use PasswordResult as P;
    let known = [
        (0, P::Undefined),
        (1, P::Ok),
        (2, P::Invalid),
        (3, P::Rejected),
        (4, P::NotInitialised),
        (5, P::TooSimple),
        (6, P::Aborted),
        (7, P::None),
    ];
    enumeration(value, "cryptoOfficerPasswordError", &known)
}

/// A count of the device; `None` where it has none.
pub fn decode_count(value: &Value, object: &'static str) -> Result<Option<u64>, ProtoError> {
    Ok(optional(value, |v| count(v, object))?.filter(|n| *n != UNDEFINED))
}

/// Decodes a value with the numbers undefined(0), `first`(1) and `second`(2): `Some(true)` for 1,
/// `Some(false)` for 2; `None` for undefined, or where the agent lacks the object.
pub fn decode_choice(value: &Value, object: &'static str) -> Result<Option<bool>, ProtoError> {
    let known = [(0, None), (1, Some(true)), (2, Some(false))];
    Ok(optional(value, |v| enumeration(v, object, &known))?.flatten())
}

/// Decodes the interval time of a counter, which is -2147483648 while it is not valid.
pub fn decode_elapsed(value: &Value) -> Result<Option<u64>, ProtoError> {
    match value {
        Value::Integer(i32::MIN) => Ok(None),
        value => optional(value, |v| count(v, "Pm15minElapsedTime")),
    }
}

/// Name of a life time: CryptoFspR7SessionKeyLifetime.
pub fn decode_life_time(value: &Value) -> Result<Option<&'static str>, ProtoError> {
    let known = [
        (0, "undefined"),
        (1, "30 min"),
        (2, "1 h"),
        (3, "2 h"),
        (4, "3 h"),
        (5, "6 h"),
        (6, "12 h"),
        (7, "1 d"),
        (8, "2 d"),
        (9, "3 d"),
        (10, "1 w"),
        (11, "2 w"),
        (12, "3 w"),
        (13, "max"),
    ];
    optional(value, |v| {
        enumeration(v, "cryptoPortConfigAuthKeyLifeTime", &known)
    })
}

/// The rows of a walk of a column of a table with one index.
pub fn decode_rows(walk: &[(Vec<u32>, Value)]) -> Result<Vec<u32>, ProtoError> {
    walk.iter()
        .map(|(index, _)| match index.as_slice() {
            [row] => Ok(*row),
            _ => Err(ProtoError::Index),
        })
        .collect()
}

/// Drives every decoder with arbitrary bytes.
pub fn fuzz(input: &[u8]) {
    use qkd_driver_kit::link::snmp::{Notification, Oid, VarBind};
    let number = input
        .iter()
        .fold(0u32, |n, b| n.rotate_left(5) ^ u32::from(*b));
    let ids: Vec<u32> = input.iter().map(|b| u32::from(*b)).collect();
    for value in [
        Value::Integer(i32::from_ne_bytes(number.to_ne_bytes())),
        Value::Integer(i32::from(input.first().copied().unwrap_or(0) % 16)),
        Value::OctetString(input.to_vec()),
        Value::Gauge32(number),
        Value::NoSuchInstance,
    ] {
        let _ = (
            decode_password_result(&value),
            decode_count(&value, "x"),
            decode_choice(&value, "x"),
            decode_elapsed(&value),
            decode_life_time(&value),
            date_and_time(&value, "x").map(|t| t.map(|t| t.to_string())),
            decode_rows(&[(ids.clone(), value.clone())]),
        );
        let _ = decode_trap(&Notification {
            trap: Oid::from(oid::TRAPS).child(&ids),
            uptime: number,
            binds: vec![VarBind::new(Oid::from(oid::EVENT_ENTITY), value)],
        });
    }
}

#[cfg(test)]
mod tests;
