//! F3-CONNECTGUARD-MIB: names, values and the notification. No I/O.
//!
//! Names, syntaxes and the rule that a SET carries the crypto password are those of the vendor's
//! MIB files, hence confirmed.

pub mod oid;
mod trap;

pub use qkd_driver_kit::link::{
    date_and_time::{DateAndTime, date_and_time},
    snmp_client::{SnmpDecodeError as ProtoError, count, text as decode_text},
};
pub use trap::{Alarm, Report, decode_trap};

use oid::Flow;
use qkd_driver_kit::link::{
    snmp::{Oid, Value},
    snmp_client::{enumeration, optional},
};

/// The longest DisplayString (SNMPv2-TC).
pub const TEXT_LIMIT: u64 = 255;

/// Mode of a key exchange profile: f3ConnectGuardKeyExchangeProfileMode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProfileMode {
    /// authPasswordBasedDiffieHellman(1): a password authenticates the exchange.
    Password,
    /// caBasedDiffieHellman(2): certificates do.
    Certificates,
    /// ieee8021x(3).
    Ieee8021X,
}

/// Administrative state of a flow: f3ConnectGuardFlowAdminState.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AdminState {
    /// in-service(1), management(2), maintenance(3) or monitored(6).
    Enabled,
    /// disabled(4) or unassigned(5).
    Disabled,
}

/// Decodes the mode of a profile.
///
/// # Errors
/// See [`ProtoError`]; so for all decoders.
pub fn decode_profile_mode(value: &Value) -> Result<ProfileMode, ProtoError> {
    let known = [
        (1, ProfileMode::Password),
        (2, ProfileMode::Certificates),
        (3, ProfileMode::Ieee8021X),
    ];
    enumeration(value, "f3ConnectGuardKeyExchangeProfileMode", &known)
}

/// Decodes the administrative state of a flow.
pub fn decode_admin_state(value: &Value) -> Result<AdminState, ProtoError> {
    let known = [
        (1, AdminState::Enabled),
        (2, AdminState::Enabled),
        (3, AdminState::Enabled),
        (4, AdminState::Disabled),
        (5, AdminState::Disabled),
        (6, AdminState::Enabled),
    ];
    enumeration(value, "f3ConnectGuardFlowAdminState", &known)
}

/// Decodes the operational state of a flow: whether it is normal.
pub fn decode_operational_state(value: &Value) -> Result<bool, ProtoError> {
    let known = [(1, true), (2, false)];
    enumeration(value, "f3ConnectGuardFlowOperationalState", &known)
}

/// Decodes the cipher of a flow: its name.
pub fn decode_cipher(value: &Value) -> Result<Option<&'static str>, ProtoError> {
    let known = [(1, "AES-256-GCM"), (2, "AES-128-GCM")];
    optional(value, |v| {
        enumeration(v, "f3ConnectGuardFlowCipherSuite", &known)
    })
}

/// Decodes a TruthValue; `None` if the agent lacks it.
pub fn decode_truth_value(value: &Value, object: &'static str) -> Result<Option<bool>, ProtoError> {
    optional(value, |v| enumeration(v, object, &[(1, true), (2, false)]))
}

/// Decodes whether an SA is in use.
pub fn decode_in_use(value: &Value) -> Result<bool, ProtoError> {
    enumeration(value, "ScSaState", &[(1, true), (2, false)])
}

/// Decodes the pointer of a flow to its profile; `None` if it points to none (0.0, an absent
/// object). A VariablePointer names an instance in the row: its last number is the profile.
pub fn decode_profile(value: &Value) -> Result<Option<u32>, ProtoError> {
    let object = "f3ConnectGuardFlowKeyExchangeProfile";
    match value {
        Value::ObjectId(id) if id.sub_identifiers() == [0, 0] => Ok(None),
        Value::ObjectId(id) => match id.suffix_of(&Oid::from(oid::PROFILE)) {
            Some(&[_, profile]) => Ok(Some(profile)),
            _ => Err(ProtoError::Index),
        },
        value if value.is_absent() => Ok(None),
        _ => Err(ProtoError::Type { object }),
    }
}

/// The flows of a walk of a column.
pub fn decode_flows(walk: &[(Vec<u32>, Value)]) -> Result<Vec<Flow>, ProtoError> {
    walk.iter()
        .map(|(index, _)| match *index.as_slice() {
            [ne, number] => Ok(Flow { ne, number }),
            _ => Err(ProtoError::Index),
        })
        .collect()
}

/// Drives every decoder with arbitrary bytes.
pub fn fuzz(input: &[u8]) {
    use qkd_driver_kit::link::snmp::{Notification, VarBind};
    let number = input
        .iter()
        .fold(0u32, |n, b| n.rotate_left(5) ^ u32::from(*b));
    let ids: Vec<u32> = input.iter().map(|b| u32::from(*b)).collect();
    for value in [
        Value::Integer(i32::from_ne_bytes(number.to_ne_bytes())),
        Value::Integer(i32::from(input.first().copied().unwrap_or(0) % 8)),
        Value::OctetString(input.to_vec()),
        Value::ObjectId(Oid::from(oid::PROFILE).child(&ids)),
        Value::Gauge32(number),
        Value::NoSuchInstance,
    ] {
        let _ = (
            decode_profile_mode(&value),
            decode_admin_state(&value),
            decode_operational_state(&value),
            decode_cipher(&value),
            decode_truth_value(&value, "x"),
            decode_in_use(&value),
            decode_profile(&value),
            decode_flows(&[(ids.clone(), value.clone())]),
            date_and_time(&value, "x").map(|t| t.map(|t| t.to_string())),
        );
        let alarm = |column| {
            let name = oid::column(oid::ALARM, column).child(&ids);
            VarBind::new(name, value.clone())
        };
        let _ = decode_trap(&Notification {
            trap: Oid::from(oid::ALARM_TRAP),
            uptime: number,
            binds: vec![
                VarBind::new(
                    oid::column(oid::ALARM, oid::ALARM_CONDITION),
                    Value::Integer(347),
                ),
                alarm(oid::ALARM_SEVERITY),
                alarm(oid::ALARM_ENTITY),
            ],
        });
        let _ = decode_trap(&Notification {
            trap: Oid::from(oid::STATE_CHANGE),
            uptime: number,
            binds: vec![VarBind::new(
                Oid::from(oid::SECURE_STATE).child(&ids),
                value,
            )],
        });
    }
}

#[cfg(test)]
mod tests;
