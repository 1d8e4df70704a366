//! Waveserver MIBs of Ciena: names, values and the alarm notification. No I/O.
//!
//! Names and syntaxes are those of CIENA-WS-ENCRYPTION-MIB, CIENA-WS-PORT-MIB and
//! CIENA-WS-NOTIFICATION-MIB, hence confirmed.

pub mod oid;
mod trap;

pub use qkd_driver_kit::link::snmp_client::{
    SnmpDecodeError as ProtoError, count, text as decode_text,
};
pub use trap::{Alarm, decode_trap};

use oid::Row;
use qkd_driver_kit::link::{
    snmp::Value,
    snmp_client::{enumeration, optional},
};

/// Longest description of a key, in characters.
pub const DESCRIPTION_LIMIT: u8 = 60;
/// Smallest and largest number of hexadecimal digits of a key.
pub const KEY_DIGITS: std::ops::RangeInclusive<u64> = 32..=512;
/// The longest re-authentication period, in hours.
pub const LONGEST_PERIOD: u64 = 24;

/// State of the peer's authentication: cwsEncryptionPortEncryptionPeerAuthenticationStatus.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PeerAuthentication {
    /// unknown(0).
    Unknown,
    /// pass(1): the last authentication succeeded.
    Pass,
    /// fail(2): it failed.
    Fail,
}

impl PeerAuthentication {
    /// Returns the name of the state in the MIB.
    #[must_use]
    pub fn keyword(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Pass => "pass",
            Self::Fail => "fail",
        }
    }
}

/// Treatment of traffic after a failed re-authentication:
/// cwsEncryptionReAuthenticationFailureMode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureMode {
    /// unknown(0).
    Unknown,
    /// drop(1).
    Drop,
    /// allow(2).
    Allow,
}

/// State of the encryption feature: cwsEncryptionEncryptionStateFeatureState.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Feature {
    /// notSupported(0).
    NotSupported,
    /// notReady(1).
    NotReady,
    /// ready(2).
    Ready,
    /// na(3).
    NotApplicable,
}

/// Decodes the state of the peer's authentication; `None` if the agent lacks it.
///
/// # Errors
/// See [`ProtoError`]; so for all decoders.
pub fn decode_authentication(value: &Value) -> Result<Option<PeerAuthentication>, ProtoError> {
    use PeerAuthentication as P;
    let known = [(0, P::Unknown), (1, P::Pass), (2, P::Fail)];
    optional(value, |v| {
        enumeration(
            v,
            "cwsEncryptionPortEncryptionPeerAuthenticationStatus",
            &known,
        )
    })
}

/// Decodes the failure mode; `None` if the agent lacks it.
pub fn decode_failure_mode(value: &Value) -> Result<Option<FailureMode>, ProtoError> {
    use FailureMode as F;
    let known = [(0, F::Unknown), (1, F::Drop), (2, F::Allow)];
    optional(value, |v| {
        enumeration(v, "cwsEncryptionReAuthenticationFailureMode", &known)
    })
}

/// Decodes the state of the encryption feature.
pub fn decode_feature(value: &Value) -> Result<Feature, ProtoError> {
    let known = [
        (0, Feature::NotSupported),
        (1, Feature::NotReady),
        (2, Feature::Ready),
        (3, Feature::NotApplicable),
    ];
    enumeration(value, "cwsEncryptionEncryptionStateFeatureState", &known)
}

/// Decodes the state of the licence: its name in the MIB.
pub fn decode_license(value: &Value) -> Result<&'static str, ProtoError> {
    let known = [(0, "missing"), (1, "available"), (2, "held"), (3, "na")];
    enumeration(value, "cwsEncryptionEncryptionStateLicenseState", &known)
}

/// Decodes whether a key is set (TruthValue); `None` if the agent lacks it.
pub fn decode_key_status(value: &Value) -> Result<Option<bool>, ProtoError> {
    let known = [(1, true), (2, false)];
    optional(value, |v| {
        enumeration(v, "cwsEncryptionPreSharedKeyStatus", &known)
    })
}

/// Decodes the re-authentication period, in hours.
pub fn decode_period(value: &Value) -> Result<u64, ProtoError> {
    let object = "cwsEncryptionReAuthenticationPeriod";
    let hours = count(value, object)?;
    if (1..=LONGEST_PERIOD).contains(&hours) {
        Ok(hours)
    } else {
        let value = i64::try_from(hours).unwrap_or(i64::MAX);
        Err(ProtoError::Enumeration { object, value })
    }
}

/// Name of an operational state of a port: PortOperationalState.
pub fn decode_port_state(value: &Value) -> Result<Option<&'static str>, ProtoError> {
    let known = [
        (-1, "unknown"),
        (0, "invalid"),
        (1, "up"),
        (2, "down"),
        (3, NOT_AUTHENTICATED),
        (4, "loopbacktx"),
        (5, "loopbackrx"),
        (6, "unequipped"),
    ];
    optional(value, |v| {
        enumeration(v, "cwsPortStateOperationalState", &known)
    })
}

/// notauthenticated(3): the encryption of a port has failed.
pub const NOT_AUTHENTICATED: &str = "notauthenticated";

/// The rows of a walk of a column with the indexes port and SnmpKey.
pub fn decode_rows(walk: &[(Vec<u32>, Value)]) -> Result<Vec<Row>, ProtoError> {
    walk.iter()
        .map(|(index, _)| match *index.as_slice() {
            [port, key] => Ok(Row { port, key }),
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
        Value::Integer(i32::from(input.first().copied().unwrap_or(0) % 8) - 1),
        Value::OctetString(input.to_vec()),
        Value::Gauge32(number),
        Value::NoSuchInstance,
    ] {
        let _ = (
            decode_authentication(&value),
            decode_failure_mode(&value),
            decode_feature(&value),
            decode_license(&value),
            decode_key_status(&value),
            decode_period(&value),
            decode_port_state(&value),
            decode_rows(&[(ids.clone(), value.clone())]),
        );
        let binds = (1..=11)
            .map(|column| VarBind::new(Oid::from(oid::ALARM).child(&[column, 0]), value.clone()));
        let _ = decode_trap(&Notification {
            trap: Oid::from(oid::ALARM),
            uptime: number,
            binds: binds.collect(),
        });
    }
}

#[cfg(test)]
mod tests;
