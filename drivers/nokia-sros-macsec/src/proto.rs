//! TIMETRA-MACSEC-MIB: names, indexes, values and notifications. No I/O.
//!
//! Names and syntaxes are those of the vendor's MIB file, hence confirmed. That CAK and CKN are
//! hexadecimal text is inferred from their sizes (CAK 0..64 characters; CKN 1..32 bytes as an index
//! and 0..64 characters as CakName).

pub mod oid;
mod port;
mod system;
mod trap;

pub use port::{PortScheme, port_name};
pub use system::{SysDescr, decode_sys_descr};
pub use trap::{Trap, TrapKind, decode_trap};

pub use qkd_driver_kit::link::snmp_client::{
    SnmpDecodeError as ProtoError, count, text as decode_text,
};

use qkd_driver_kit::{
    key_text::hex_digits,
    link::{
        snmp::Value,
        snmp_client::{enumeration, optional},
    },
};
use qkd_hal::KeyId;
use zeroize::Zeroizing;

/// Number of pre-shared keys of a connectivity association (tmnxMacsecPreSharedKeyIndex 1..2).
pub const SLOTS: u8 = 2;

/// State of a row: RowStatus (SNMPv2-TC).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i32)]
pub enum RowStatus {
    /// The row is in use: active(1).
    Active = 1,
    /// The row is not in use: notInService(2).
    NotInService = 2,
    /// The row is incomplete: notReady(3).
    NotReady = 3,
    /// createAndGo(4), to be written only.
    CreateAndGo = 4,
    /// createAndWait(5), to be written only.
    CreateAndWait = 5,
    /// destroy(6), to be written only.
    Destroy = 6,
}

impl From<RowStatus> for Value {
    fn from(status: RowStatus) -> Self {
        Self::Integer(status as i32)
    }
}

/// Administrative state: TmnxAdminState (TIMETRA-TC-MIB).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AdminState {
    /// No administrative state: noop(1).
    Noop,
    /// Enabled by the operator: inService(2).
    InService,
    /// Disabled by the operator: outOfService(3).
    OutOfService,
}

/// Operational state: TmnxOperState (TIMETRA-TC-MIB).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OperState {
    /// State not known: unknown(1).
    Unknown,
    /// Operational: inService(2).
    InService,
    /// Not operational: outOfService(3).
    OutOfService,
    /// Changing between states: transition(4).
    Transition,
}

impl OperState {
    /// All states, in the order of their numbers.
    pub const ALL: [Self; 4] = [
        Self::Unknown,
        Self::InService,
        Self::OutOfService,
        Self::Transition,
    ];

    /// Returns the name of the state in the MIB.
    #[must_use]
    pub fn keyword(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::InService => "inService",
            Self::OutOfService => "outOfService",
            Self::Transition => "transition",
        }
    }
}

/// Cipher of a pre-shared key: tmnxMacsecPreSharedKeyEncrypType.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i32)]
pub enum EncryptType {
    /// 16-byte key: aes-128-cmac(1).
    Aes128Cmac = 1,
    /// 32-byte key: aes-256-cmac(2).
    Aes256Cmac = 2,
}

impl EncryptType {
    /// Returns the cipher for a CAK of this number of bytes; `None` if there is none.
    #[must_use]
    pub fn for_key(bytes: usize) -> Option<Self> {
        match bytes {
            16 => Some(Self::Aes128Cmac),
            32 => Some(Self::Aes256Cmac),
            _ => None,
        }
    }
}

/// Decodes a RowStatus; `None` if the row does not exist.
///
/// # Errors
/// See [`ProtoError`]; so for all decoders.
pub fn decode_row_status(value: &Value) -> Result<Option<RowStatus>, ProtoError> {
    let known = [
        (1, RowStatus::Active),
        (2, RowStatus::NotInService),
        (3, RowStatus::NotReady),
    ];
    optional(value, |v| enumeration(v, "RowStatus", &known))
}

/// Decodes a value of TmnxAdminState.
pub fn decode_admin_state(value: &Value) -> Result<AdminState, ProtoError> {
    enumeration(
        value,
        "TmnxAdminState",
        &[
            (1, AdminState::Noop),
            (2, AdminState::InService),
            (3, AdminState::OutOfService),
        ],
    )
}

/// Decodes a value of TmnxOperState.
pub fn decode_oper_state(value: &Value) -> Result<OperState, ProtoError> {
    let known = [
        (1, OperState::Unknown),
        (2, OperState::InService),
        (3, OperState::OutOfService),
        (4, OperState::Transition),
    ];
    enumeration(value, "TmnxOperState", &known)
}

/// TruthValue; `None` where the agent lacks it.
pub fn decode_truth_value(value: &Value, object: &'static str) -> Result<Option<bool>, ProtoError> {
    optional(value, |v| enumeration(v, object, &[(1, true), (2, false)]))
}

/// The MIB's word for a data cipher suite.
pub fn decode_cipher(value: &Value) -> Result<&'static str, ProtoError> {
    enumeration(
        value,
        "CipherSuite",
        &[
            (1, "gcm-aes-128"),
            (2, "gcm-aes-256"),
            (3, "gcm-aes-xpn-128"),
            (4, "gcm-aes-xpn-256"),
        ],
    )
}

/// tmnxMacsecStaticCakActivePsk, 1 or 2.
pub fn decode_active_psk(value: &Value) -> Result<u8, ProtoError> {
    enumeration(value, "tmnxMacsecStaticCakActivePsk", &[(1, 1), (2, 2)])
}

/// Octets, at most 255 of them; `None` where the agent lacks them.
pub fn decode_octets<'a>(
    value: &'a Value,
    object: &'static str,
) -> Result<Option<&'a [u8]>, ProtoError> {
    match value {
        Value::OctetString(bytes) if bytes.len() <= 255 => Ok(Some(bytes)),
        value if value.is_absent() => Ok(None),
        _ => Err(ProtoError::Type { object }),
    }
}

/// Returns the CKN in a CakName text; `None` for text that is not a hexadecimal number of 1 to 32
/// bytes.
#[must_use]
pub fn ckn_from_text(text: &[u8]) -> Option<KeyId> {
    if text.len() > 2 * KeyId::MAX {
        return None;
    }
    hex::decode(text)
        .ok()
        .and_then(|bytes| KeyId::from_bytes(&bytes))
}

/// The CakName text of a key id.
#[must_use]
pub fn ckn_text(id: &KeyId) -> String {
    hex::encode(id.as_bytes())
}

/// The Cak text of a key of 16 or 32 bytes; `None` for other sizes.
#[must_use]
pub fn cak_text(key: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    EncryptType::for_key(key.len())?;
    Some(hex_digits(key))
}

/// Drives every decoder with arbitrary bytes.
pub fn fuzz(input: &[u8]) {
    use qkd_driver_kit::link::snmp::{Notification, Oid, VarBind};
    let n = input
        .iter()
        .fold(0u32, |n, b| n.rotate_left(5) ^ u32::from(*b));
    let small = input.first().copied().unwrap_or(0) % 8;
    let values = [
        Value::Integer(i32::from_ne_bytes(n.to_ne_bytes())),
        Value::Integer(i32::from(small)),
        Value::OctetString(input.to_vec()),
        Value::Counter64(u64::from(n) << 32),
        Value::NoSuchInstance,
    ];
    let ids: Vec<u32> = input.iter().map(|b| u32::from(*b)).collect();
    let _ = (
        oid::decode_ca(&ids),
        oid::decode_ca_slot(&ids),
        oid::decode_port(&ids),
        oid::decode_mka(&ids),
    );
    let _ = (ckn_from_text(input), cak_text(input));
    let _ = decode_sys_descr(&String::from_utf8_lossy(input));
    for scheme in [PortScheme::A, PortScheme::B, PortScheme::C, PortScheme::D] {
        let _ = port_name(n, scheme);
    }
    for value in values {
        let _ = (
            decode_row_status(&value),
            decode_admin_state(&value),
            decode_oper_state(&value),
            decode_truth_value(&value, "x"),
            decode_cipher(&value),
        );
        let _ = (
            decode_active_psk(&value),
            decode_octets(&value, "x"),
            decode_text(&value, "x"),
            count(&value, "x"),
        );
        let binds = trap::CARRIED
            .iter()
            .map(|prefix| VarBind::new(Oid::from(*prefix).child(&ids), value.clone()))
            .collect();
        let _ = decode_trap(&Notification {
            trap: Oid::from(oid::NOTIFICATIONS).child(&[u32::from(small)]),
            uptime: n,
            binds,
        });
    }
}

#[cfg(test)]
mod tests;
