//! SNMP of the Polatis switches: names, values and notifications. No I/O.
//!
//! The MIB is not public. Names, numbers and enumerations are those of three independent users of
//! it, hence confirmed: `br.ufabc.polatis.PolatisOXC` (public archive id:52513912784), a
//! vendor-style test suite (id:48536120552, id:36743106339) and the ONOS driver
//! `drivers/polatis/snmp`.

pub mod oid;
#[cfg(test)]
mod tests;
mod trap;

pub use qkd_driver_kit::link::snmp_client::SnmpDecodeError;
pub use trap::{TrapEvent, decode_trap};

use qkd_driver_kit::link::{
    snmp::{Notification, Oid, Value, VarBind},
    snmp_client::{enumeration, integer, text},
};
use qkd_switch_hal::{PortState, protection::SelectionMode};

/// polatisOxcSize: `16x16`, ingress and egress ports.
///
/// # Errors
/// [`SnmpDecodeError`]; so for all decoders.
pub fn decode_size(value: &Value) -> Result<(u32, u32), SnmpDecodeError> {
    let size = text(value, "polatisOxcSize")?.ok_or(SnmpDecodeError::Absent {
        object: "polatisOxcSize",
    })?;
    let number = |t: &str| {
        (t.len() <= 6 && t.bytes().all(|b| b.is_ascii_digit()))
            .then(|| t.parse().ok())
            .flatten()
    };
    size.split_once('x')
        .and_then(|(n, m)| Some((number(n)?, number(m)?)))
        .ok_or(SnmpDecodeError::Type {
            object: "polatisOxcSize",
        })
}

/// polatisOxcPortPatch: the other port; 0 for none.
pub fn decode_patch(value: &Value) -> Result<Option<u32>, SnmpDecodeError> {
    let n = integer(value, "polatisOxcPortPatch")?;
    let port = u32::try_from(n).map_err(|_| SnmpDecodeError::Enumeration {
        object: "polatisOxcPortPatch",
        value: n,
    })?;
    Ok(Some(port).filter(|p| *p != 0))
}

/// polatisOxcPortCurrentState: enabled(1), disabled(2), failed(3).
pub fn decode_port_state(value: &Value) -> Result<PortState, SnmpDecodeError> {
    enumeration(
        value,
        "polatisOxcPortCurrentState",
        &[
            (1, PortState::Enabled),
            (2, PortState::Disabled),
            (3, PortState::Failed),
        ],
    )
}

/// polatisOxcPortDesiredState to write: enable(1), disable(2).
#[must_use]
pub fn desired(enabled: bool) -> Value {
    Value::Integer(if enabled { 1 } else { 2 })
}

/// Thousandths, of dBm or of nm.
pub fn decode_milli(value: &Value, object: &'static str) -> Result<f64, SnmpDecodeError> {
    #[allow(clippy::cast_precision_loss, reason = "32 bits")]
    integer(value, object).map(|n| n as f64 / 1000.0)
}

/// Limits of an alarm: polatisOpmAlarmEdge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i32)]
pub enum Edge {
    /// Low limit: low(1).
    Low = 1,
    /// High limit: high(2).
    High = 2,
    /// Both limits: both(3).
    Both = 3,
}

/// Decodes a value of polatisOpmAlarmEdge.
pub fn decode_edge(value: &Value) -> Result<Edge, SnmpDecodeError> {
    enumeration(
        value,
        "polatisOpmAlarmEdge",
        &[(1, Edge::Low), (2, Edge::High), (3, Edge::Both)],
    )
}

/// polatisOpmAlarmMode: whether it is on, in off(1), single(2), continuous(3).
pub fn decode_alarm_on(value: &Value) -> Result<bool, SnmpDecodeError> {
    enumeration(
        value,
        "polatisOpmAlarmMode",
        &[(1, false), (2, true), (3, true)],
    )
}

/// State of an attenuator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i32)]
pub enum VoaState {
    /// No attenuation: disabled(1).
    Disabled = 1,
    /// Constant output power: absolute(2).
    Absolute = 2,
    /// Constant power relative to another port: relative(3).
    Relative = 3,
    /// Maximum attenuation: maximum(5).
    Maximum = 5,
    /// Constant loss: fixed(6).
    Fixed = 6,
    /// Change in progress: pending(7).
    Pending = 7,
}

/// Decodes polatisVoaCurrentState or polatisVoaDesiredState.
pub fn decode_voa_state(value: &Value, object: &'static str) -> Result<VoaState, SnmpDecodeError> {
    use VoaState as S;
    let known = [
        S::Disabled,
        S::Absolute,
        S::Relative,
        S::Maximum,
        S::Fixed,
        S::Pending,
    ]
    .map(|s| (s as i64, s));
    enumeration(value, object, &known)
}

/// Decodes polatisApsPortDesiredState: is(1) switches over automatically, oos(2) does not.
pub fn decode_mode(value: &Value) -> Result<SelectionMode, SnmpDecodeError> {
    enumeration(
        value,
        "polatisApsPortDesiredState",
        &[(1, SelectionMode::Automatic), (2, SelectionMode::Manual)],
    )
}

/// Encodes a value of polatisApsPortDesiredState.
#[must_use]
pub fn mode(mode: SelectionMode) -> Value {
    Value::Integer(if mode == SelectionMode::Automatic {
        1
    } else {
        2
    })
}

/// Inhibited switching: polatisApsPortCurrentCond and polatisApsPortDesiredCond.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i32)]
pub enum Condition {
    /// Nothing is inhibited: none(1).
    None = 1,
    /// inhswpr(2): switching to the protecting port is inhibited, by its name.
    InhibitProtection = 2,
    /// inhswwkg(3): switching to the working port is inhibited, by its name.
    InhibitWorking = 3,
}

/// Decodes a value of polatisApsPortCurrentCond.
pub fn decode_condition(value: &Value) -> Result<Condition, SnmpDecodeError> {
    use Condition as C;
    enumeration(
        value,
        "polatisApsPortCurrentCond",
        &[
            (1, C::None),
            (2, C::InhibitProtection),
            (3, C::InhibitWorking),
        ],
    )
}

/// Drives every decoder with arbitrary bytes.
pub fn fuzz(input: &[u8]) {
    let number = input
        .iter()
        .fold(0u32, |n, b| n.rotate_left(5) ^ u32::from(*b));
    let small = u32::from(input.first().copied().unwrap_or(0) % 24);
    let values = [
        Value::Integer(i32::from_ne_bytes(number.to_ne_bytes())),
        Value::Integer(i32::from(input.first().copied().unwrap_or(0) % 8)),
        Value::OctetString(input.to_vec()),
        Value::Gauge32(number),
        Value::NoSuchInstance,
    ];
    for value in values {
        let _ = (
            decode_size(&value),
            decode_patch(&value),
            decode_port_state(&value),
            decode_milli(&value, "x"),
            decode_edge(&value),
        );
        let _ = (
            decode_alarm_on(&value),
            decode_voa_state(&value, "x"),
            decode_mode(&value),
            decode_condition(&value),
        );
        let names = [
            oid::OXC_BINDS,
            oid::OPM_BINDS,
            oid::APS_BINDS,
            oid::EVENT_BINDS,
        ];
        let binds = names
            .iter()
            .flat_map(|n| (1..=8).map(|c| VarBind::new(Oid::from(*n).child(&[c]), value.clone())))
            .collect();
        // Made once and not for each family: most of the time of a million inputs went there.
        let mut notification = Notification {
            trap: Oid::from(oid::OXC_TRAPS),
            uptime: number,
            binds,
        };
        for family in [
            oid::OXC_TRAPS,
            oid::OPM_TRAPS,
            oid::VOA_TRAPS,
            oid::APS_TRAPS,
            oid::SYSTEM_TRAPS,
        ] {
            notification.trap = Oid::from(family).child(&[0, small]);
            let _ = decode_trap(&notification);
        }
    }
}
