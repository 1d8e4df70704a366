//! SCTE-HMS-HE-OPTICAL-SWITCH-MIB (ANSI/SCTE 85-4): names, values and the alarm trap. No I/O.
//!
//! Names, syntaxes and the meaning of the values are the MIB's own, hence confirmed.

pub mod oid;
#[cfg(test)]
mod tests;
mod trap;

pub use qkd_driver_kit::link::snmp_client::SnmpDecodeError;
pub use trap::{Alarm, decode_trap};

use qkd_driver_kit::link::{
    snmp::{Notification, Oid, Value, VarBind},
    snmp_client::{self, enumeration},
};
use qkd_hal::units::DecibelMilliwatts;
use qkd_switch_hal::protection::{PathId, SelectionMode};

/// Kind of a unit: one of the two switches of the MIB.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SwitchType {
    /// Two inputs, one output.
    Ab,
    /// Two inputs, two outputs.
    Crossbar,
}

impl std::fmt::Display for SwitchType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Ab => "an A/B switch",
            Self::Crossbar => "a 2×2 switch",
        })
    }
}

impl SwitchType {
    /// By the number of outputs.
    #[must_use]
    pub fn of_outputs(outputs: usize) -> Option<Self> {
        match outputs {
            1 => Some(Self::Ab),
            2 => Some(Self::Crossbar),
            _ => None,
        }
    }
    /// Returns the possible positions.
    #[must_use]
    pub fn positions(self) -> &'static [Position] {
        match self {
            Self::Ab => &[Position::PathA, Position::PathB],
            Self::Crossbar => &[
                Position::Bar,
                Position::Cross,
                Position::BothA,
                Position::BothB,
            ],
        }
    }
    /// The position of this name.
    #[must_use]
    pub fn position(self, path: &PathId) -> Option<Position> {
        self.positions()
            .iter()
            .copied()
            .find(|p| p.name() == path.0)
    }
}

/// Position of a switch: heOpSwitchControl and heOpSwitchState.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i32)]
pub enum Position {
    /// pathA(1): input A to the output.
    PathA = 1,
    /// pathB(2): input B to the output.
    PathB = 2,
    /// Cross position: cross(3).
    Cross = 3,
    /// Bar position: bar(4).
    Bar = 4,
    /// bothA(5): input A to both outputs.
    BothA = 5,
    /// bothB(6): input B to both outputs.
    BothB = 6,
}

impl Position {
    /// The name of the path.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::PathA => "a",
            Self::PathB => "b",
            Self::Cross => "cross",
            Self::Bar => "bar",
            Self::BothA => "both-a",
            Self::BothB => "both-b",
        }
    }
    /// The inputs that it needs, 0 is A.
    #[must_use]
    pub fn inputs(self) -> &'static [usize] {
        match self {
            Self::PathA | Self::BothA => &[0],
            Self::PathB | Self::BothB => &[1],
            Self::Cross | Self::Bar => &[0, 1],
        }
    }
    /// Returns the value for a SET.
    #[must_use]
    pub fn value(self) -> Value {
        Value::Integer(self as i32)
    }
}

/// heOpSwitchControl or heOpSwitchState.
///
/// # Errors
/// [`SnmpDecodeError`]; so for all decoders.
pub fn decode_position(value: &Value, object: &'static str) -> Result<Position, SnmpDecodeError> {
    use Position as P;
    let known = [P::PathA, P::PathB, P::Cross, P::Bar, P::BothA, P::BothB].map(|p| (p as i64, p));
    enumeration(value, object, &known)
}

/// Decodes heOpSwitchMode: automatic(1), manual(2).
pub fn decode_mode(value: &Value) -> Result<SelectionMode, SnmpDecodeError> {
    enumeration(
        value,
        "heOpSwitchMode",
        &[(1, SelectionMode::Automatic), (2, SelectionMode::Manual)],
    )
}

/// Encodes a value of heOpSwitchMode.
#[must_use]
pub fn mode(mode: SelectionMode) -> Value {
    Value::Integer(if mode == SelectionMode::Automatic {
        1
    } else {
        2
    })
}

/// Decodes heOpSwitchRevertEnable: off(1), on(2).
pub fn decode_revert(value: &Value) -> Result<bool, SnmpDecodeError> {
    enumeration(value, "heOpSwitchRevertEnable", &[(1, false), (2, true)])
}

/// Encodes a value of heOpSwitchRevertEnable.
#[must_use]
pub fn revert(on: bool) -> Value {
    Value::Integer(if on { 2 } else { 1 })
}

/// HeFaultStatus: whether it is fault(2), not normal(1).
pub fn decode_fault(value: &Value, object: &'static str) -> Result<bool, SnmpDecodeError> {
    enumeration(value, object, &[(1, false), (2, true)])
}

/// Decodes a power of type HeTenthdBm.
pub fn decode_power(
    value: &Value,
    object: &'static str,
) -> Result<DecibelMilliwatts, SnmpDecodeError> {
    #[allow(clippy::cast_precision_loss, reason = "an Integer32")]
    snmp_client::power(value, object, |n| n as f64 / 10.0)
}

/// Drives every decoder with arbitrary bytes.
pub fn fuzz(input: &[u8]) {
    let number = input
        .iter()
        .fold(0u32, |n, b| n.rotate_left(5) ^ u32::from(*b));
    let ids: Vec<u32> = input.iter().map(|b| u32::from(*b)).collect();
    let values = [
        Value::Integer(i32::from_ne_bytes(number.to_ne_bytes())),
        Value::Integer(i32::from(input.first().copied().unwrap_or(0) % 8)),
        Value::OctetString(input.to_vec()),
        Value::ObjectId(Oid::new(ids.clone())),
        Value::Gauge32(number),
        Value::NoSuchInstance,
    ];
    for value in values {
        let _ = (
            decode_position(&value, "x"),
            decode_mode(&value),
            decode_revert(&value),
            decode_fault(&value, "x"),
            decode_power(&value, "x"),
        );
        let binds = (2..=6)
            .map(|c| VarBind::new(oid::log(c).child(&ids), value.clone()))
            .collect();
        let _ = decode_trap(&Notification {
            trap: Oid::from(oid::ALARM_EVENT),
            uptime: number,
            binds,
        });
    }
    let _ = SwitchType::of_outputs(input.len())
        .map(|s| s.position(&PathId(String::from_utf8_lossy(input).into_owned())));
}
