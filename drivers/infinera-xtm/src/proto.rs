//! LUM-CRYPTO-MIB: names and values. No I/O.
//!
//! Names and syntaxes are those of the vendor's MIB file, hence confirmed.

pub mod oid;

pub use qkd_driver_kit::link::{
    date_and_time::{DateAndTime, date_and_time},
    snmp_client::{SnmpDecodeError as ProtoError, count, text as decode_text},
};

use qkd_driver_kit::link::{
    snmp::Value,
    snmp_client::{enumeration, optional},
};

/// Number of characters of a PSK.
pub const PSK_CHARACTERS: std::ops::RangeInclusive<u64> = 64..=128;
/// The number of an enumeration for what does not apply.
const NOT_APPLICABLE: i64 = i32::MAX as i64;

/// State of an IKE peer: cryptoIKEPeerOperStatus.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PeerStatus {
    /// notPresent(1).
    NotPresent,
    /// down(2).
    Down,
    /// up(3).
    Up,
    /// notApplicable(2147483647).
    NotApplicable,
}

impl PeerStatus {
    /// Returns the name of the state in the MIB.
    #[must_use]
    pub fn keyword(self) -> &'static str {
        match self {
            Self::NotPresent => "notPresent",
            Self::Down => "down",
            Self::Up => "up",
            Self::NotApplicable => "notApplicable",
        }
    }
}

/// Treatment of traffic after keys could not be agreed: cryptoDataplaneEncryptionFailurePolicy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailurePolicy {
    /// continueop(1): traffic continues.
    Continue,
    /// killtraffic(2): traffic is stopped after a delay.
    Kill,
}

/// Mode of a data plane: cryptoDataplaneEncryptionEncryptionMode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i32)]
pub enum Mode {
    /// bypass(1): traffic is in clear.
    Bypass = 1,
    /// gcm(2): AES-GCM.
    Gcm = 2,
}

/// Decodes the state of a peer.
///
/// # Errors
/// See [`ProtoError`]; so for all decoders.
pub fn decode_peer_status(value: &Value) -> Result<PeerStatus, ProtoError> {
    let known = [
        (1, PeerStatus::NotPresent),
        (2, PeerStatus::Down),
        (3, PeerStatus::Up),
        (NOT_APPLICABLE, PeerStatus::NotApplicable),
    ];
    enumeration(value, "cryptoIKEPeerOperStatus", &known)
}

/// Decodes a failure policy.
pub fn decode_failure_policy(value: &Value) -> Result<FailurePolicy, ProtoError> {
    let known = [(1, FailurePolicy::Continue), (2, FailurePolicy::Kill)];
    enumeration(value, "cryptoDataplaneEncryptionFailurePolicy", &known)
}

/// Decodes the mode of a data plane.
pub fn decode_mode(value: &Value) -> Result<Mode, ProtoError> {
    let known = [(1, Mode::Bypass), (2, Mode::Gcm)];
    enumeration(value, "cryptoDataplaneEncryptionEncryptionMode", &known)
}

/// Decodes a FaultStatusWithNA: whether there is a fault. An agent that lacks the object reports
/// none.
pub fn decode_fault(value: &Value, object: &'static str) -> Result<bool, ProtoError> {
    let known = [(1, false), (2, true), (NOT_APPLICABLE, false)];
    Ok(optional(value, |v| enumeration(v, object, &known))?.unwrap_or_default())
}

/// Decodes the number of the IKE peer of a data plane; `None` if it has none.
pub fn decode_peer_number(value: &Value) -> Result<Option<u8>, ProtoError> {
    let object = "cryptoDataplaneEncryptionIKEPeerIdentity";
    let number = count(value, object)?;
    match u8::try_from(number) {
        Ok(0) => Ok(None),
        Ok(number @ 1..=16) => Ok(Some(number)),
        _ if number == NOT_APPLICABLE.unsigned_abs() => Ok(None),
        _ => Err(ProtoError::Enumeration {
            object,
            value: i64::try_from(number).unwrap_or(i64::MAX),
        }),
    }
}

/// The rows of a walk of a column of a table with one index.
pub fn decode_rows(walk: Vec<(Vec<u32>, Value)>) -> Result<Vec<(u32, Value)>, ProtoError> {
    walk.into_iter()
        .map(|(index, value)| match index.as_slice() {
            [row] => Ok((*row, value)),
            _ => Err(ProtoError::Index),
        })
        .collect()
}

/// Place of a board and of an item on it: the last three parts of a name such as
/// `ikePeer:subrack:slot:id`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Number of the subrack.
    pub subrack: u16,
    /// Number of the slot.
    pub slot: u16,
    /// Number of the peer or port on the board.
    pub item: u16,
}

impl Place {
    /// The place in a name; `None` if the name has another form.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        let mut parts = name.split(':').skip(1).map(|part| part.parse().ok());
        let (subrack, slot, item) = (parts.next()??, parts.next()??, parts.next()??);
        parts.next().is_none().then_some(Self {
            subrack,
            slot,
            item,
        })
    }

    /// Whether both are on one board.
    #[must_use]
    pub fn is_on_board_of(self, other: Self) -> bool {
        (self.subrack, self.slot) == (other.subrack, other.slot)
    }
}

/// Drives every decoder with arbitrary bytes.
pub fn fuzz(input: &[u8]) {
    let number = input
        .iter()
        .fold(0u32, |n, b| n.rotate_left(5) ^ u32::from(*b));
    let ids: Vec<u32> = input.iter().map(|b| u32::from(*b)).collect();
    for value in [
        Value::Integer(i32::from_ne_bytes(number.to_ne_bytes())),
        Value::Integer(i32::from(input.first().copied().unwrap_or(0) % 20)),
        Value::OctetString(input.to_vec()),
        Value::Gauge32(number),
        Value::NoSuchInstance,
    ] {
        let _ = (
            decode_peer_status(&value),
            decode_failure_policy(&value),
            decode_mode(&value),
            decode_fault(&value, "x"),
            decode_peer_number(&value),
            decode_text(&value, "x"),
            date_and_time(&value, "x").map(|t| t.map(|t| t.to_string())),
            decode_rows(vec![(ids.clone(), value.clone())]),
        );
    }
    let _ = Place::parse(&String::from_utf8_lossy(input));
}

#[cfg(test)]
mod tests;
