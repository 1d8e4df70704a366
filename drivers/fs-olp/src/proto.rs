//! OAP-C1-OLP and its fifteen sisters: names and values. No I/O.
//!
//! Names, syntaxes and ranges are those of the MIB files, hence confirmed; they have no
//! descriptions, so what the objects do is known by their names.

pub use qkd_driver_kit::link::snmp_client::SnmpDecodeError;

use qkd_driver_kit::link::{
    snmp::{Oid, Value},
    snmp_client::{enumeration, integer, text},
};
use qkd_switch_hal::protection::SelectionMode;

/// Node of the slots; followed by the slot, 3 for an OLP card, the object, and the instance 0.
pub const SLOTS: &[u32] = &[1, 3, 6, 1, 4, 1, 40989, 10, 16];
/// The slots of a chassis.
pub const SLOT_NUMBERS: std::ops::RangeInclusive<u32> = 1..=16;

/// State, read-only: off(0), on(1).
pub const STATE: u32 = 1;
/// WorkMode, read-write: manualMode(0), autoMode(1).
pub const WORK_MODE: u32 = 8;
/// Channel, read-write: main(1), sub(2).
pub const CHANNEL: u32 = 9;
/// R1SwitchingPower, -9999..9999, read-write; R2SwitchingPower is the next one.
pub const SWITCHING_POWER: u32 = 11;
/// The least and the most of a switching power.
pub const POWERS: (i32, i32) = (-9999, 9999);
/// R1Power, -5000..2300, read-only; R2Power is the next one.
pub const POWER: u32 = 19;
/// TxPower, -5000..2300, read-only.
pub const TX_POWER: u32 = 21;
/// BackMode, read-write: manualBack(0), autoBack(1).
pub const BACK_MODE: u32 = 22;
/// BackDelay, Integer32, read-write.
pub const BACK_DELAY: u32 = 23;

/// The network management unit of the chassis (OAP-NMU): device type, version, serial number.
pub const CHASSIS: [&[u32]; 3] = [
    &[1, 3, 6, 1, 4, 1, 40989, 10, 16, 20, 1, 0],
    &[1, 3, 6, 1, 4, 1, 40989, 10, 16, 20, 13, 0],
    &[1, 3, 6, 1, 4, 1, 40989, 10, 16, 20, 15, 0],
];

/// An object of the card in a slot.
#[must_use]
pub fn name(slot: u32, object: u32) -> Oid {
    Oid::from(SLOTS).child(&[slot, 3, object, 0])
}

/// A path of a card.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i32)]
pub enum Channel {
    /// Main channel: main(1).
    Main = 1,
    /// Sub channel: sub(2).
    Sub = 2,
}

impl Channel {
    /// Main and sub channel, in this order.
    pub const ALL: [Self; 2] = [Self::Main, Self::Sub];
    /// Returns the name of the channel in the MIB.
    #[must_use]
    pub fn keyword(self) -> &'static str {
        match self {
            Self::Main => "main",
            Self::Sub => "sub",
        }
    }
    /// Returns the value for a SET.
    #[must_use]
    pub fn value(self) -> Value {
        Value::Integer(self as i32)
    }
}

/// Channel.
///
/// # Errors
/// [`SnmpDecodeError`]; so for all decoders.
pub fn decode_channel(value: &Value) -> Result<Channel, SnmpDecodeError> {
    enumeration(value, "Channel", &[(1, Channel::Main), (2, Channel::Sub)])
}

/// Decodes the object WorkMode.
pub fn decode_mode(value: &Value) -> Result<SelectionMode, SnmpDecodeError> {
    enumeration(
        value,
        "WorkMode",
        &[(0, SelectionMode::Manual), (1, SelectionMode::Automatic)],
    )
}

/// Encodes a value of WorkMode.
#[must_use]
pub fn mode(mode: SelectionMode) -> Value {
    Value::Integer(i32::from(mode == SelectionMode::Automatic))
}

/// State or BackMode: whether it is 1, not 0.
pub fn decode_on(value: &Value, object: &'static str) -> Result<bool, SnmpDecodeError> {
    enumeration(value, object, &[(0, false), (1, true)])
}

/// Drives every decoder with arbitrary bytes.
pub fn fuzz(input: &[u8]) {
    let number = input
        .iter()
        .fold(0u32, |n, b| n.rotate_left(5) ^ u32::from(*b));
    let values = [
        Value::Integer(i32::from_ne_bytes(number.to_ne_bytes())),
        Value::Integer(i32::from(input.first().copied().unwrap_or(0) % 4)),
        Value::OctetString(input.to_vec()),
        Value::Gauge32(number),
        Value::NoSuchInstance,
    ];
    for value in values {
        let _ = (
            decode_channel(&value),
            decode_mode(&value),
            decode_on(&value, "x"),
            integer(&value, "x"),
            text(&value, "x"),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_and_values_are_those_of_the_mib() {
        let vectors: Vec<serde_json::Value> =
            serde_json::from_str(include_str!("../vectors/fs-olp.json")).unwrap();
        for v in &vectors {
            let (bind, m) = (&v["varbinds"][0], &v["meaning"]);
            let oid: Oid = bind["oid"].as_str().unwrap().parse().unwrap();
            let slot = u32::try_from(m["slot"].as_u64().unwrap()).unwrap();
            let value = match bind["type"].as_str().unwrap() {
                "INTEGER" => {
                    Value::Integer(i32::try_from(bind["value"].as_i64().unwrap()).unwrap())
                }
                "noSuchObject" => Value::NoSuchObject,
                _ => Value::text(bind["value"].as_str().unwrap()),
            };
            match (
                v["direction"].as_str().unwrap(),
                m["object"].as_str().unwrap(),
            ) {
                ("get", "serial") => assert_eq!(
                    (oid, text(&value, "x").unwrap().as_deref()),
                    (name(slot, 6), m["text"].as_str())
                ),
                ("get", chassis @ ("chassis-type" | "chassis-version" | "chassis-serial")) => {
                    let at = ["chassis-type", "chassis-version", "chassis-serial"]
                        .iter()
                        .position(|name| *name == chassis)
                        .unwrap();
                    assert_eq!(
                        (oid, text(&value, "x").unwrap().as_deref()),
                        (Oid::from(CHASSIS[at]), m["text"].as_str())
                    );
                }
                ("get", "state") => assert_eq!(
                    (oid, decode_on(&value, "x").ok()),
                    (name(slot, STATE), m["on"].as_bool())
                ),
                ("get", "work-mode") => {
                    assert_eq!(
                        (oid, decode_mode(&value).unwrap().to_string().as_str()),
                        (name(slot, WORK_MODE), m["mode"].as_str().unwrap())
                    )
                }
                ("set", "work-mode") => {
                    let wanted = if m["mode"] == "automatic" {
                        SelectionMode::Automatic
                    } else {
                        SelectionMode::Manual
                    };
                    assert_eq!((oid, value), (name(slot, WORK_MODE), mode(wanted)));
                }
                ("get", "channel") => assert_eq!(
                    (oid, decode_channel(&value).unwrap().keyword()),
                    (name(slot, CHANNEL), m["path"].as_str().unwrap())
                ),
                ("set", "channel") => {
                    let wanted = Channel::ALL
                        .into_iter()
                        .find(|c| m["path"] == c.keyword())
                        .unwrap();
                    assert_eq!((oid, value), (name(slot, CHANNEL), wanted.value()));
                }
                ("get", "r1-power") => assert_eq!(
                    (oid, integer(&value, "x").ok()),
                    (name(slot, POWER), m["raw"].as_i64())
                ),
                ("get", "r2-power") => assert_eq!(
                    (oid, integer(&value, "x").ok()),
                    (name(slot, POWER + 1), m["raw"].as_i64())
                ),
                ("get", "r2-switching-power") => assert_eq!(
                    (oid, integer(&value, "x").ok()),
                    (name(slot, SWITCHING_POWER + 1), m["raw"].as_i64())
                ),
                ("get", "back-mode") => assert_eq!(
                    (oid, decode_on(&value, "x").ok()),
                    (name(slot, BACK_MODE), m["on"].as_bool())
                ),
                ("get", "back-delay") => assert_eq!(
                    (oid, integer(&value, "x").ok()),
                    (name(slot, BACK_DELAY), m["raw"].as_i64())
                ),
                other => panic!("nothing reads {other:?}"),
            }
        }
        assert!(vectors.len() >= 11);
    }

    #[test]
    fn values_outside_the_mib_are_refused() {
        assert_eq!(
            decode_channel(&Value::Integer(0)),
            Err(SnmpDecodeError::Enumeration {
                object: "Channel",
                value: 0
            })
        );
        assert!(
            decode_mode(&Value::Integer(2)).is_err() && decode_on(&Value::text("1"), "x").is_err()
        );
    }

    proptest! {
        #[test]
        fn no_bytes_make_a_decoder_panic(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            fuzz(&bytes);
        }
    }
}
