//! Decoding of the notification heCommonAlarmEvent.

use super::{SnmpDecodeError, oid};
use qkd_driver_kit::link::{
    snmp::{Notification, Oid, Value},
    snmp_client::{enumeration, text},
};
use qkd_hal::event::Severity;

/// An alarm that was raised or has gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alarm {
    /// heCommonLogOID: the object that is in alarm.
    pub object: Oid,
    /// heCommonLogState, by the MIB's name.
    pub state: &'static str,
    /// Severity; that HIHI and LOLO are more severe than HI and LO is inferred from their names.
    pub severity: Severity,
    /// Text of the log entry: heCommonLogText.
    pub text: String,
}

/// The states of heCommonLogState.
const STATES: [(i64, (&str, Severity)); 7] = [
    (1, ("nominal", Severity::Cleared)),
    (2, ("HIHI", Severity::Major)),
    (3, ("HI", Severity::Minor)),
    (4, ("LO", Severity::Minor)),
    (5, ("LOLO", Severity::Major)),
    (6, ("discreteMajor", Severity::Major)),
    (7, ("discreteMinor", Severity::Minor)),
];

/// Decodes the alarm in a notification; `None` for other notifications. Varbinds are found by name,
/// so that additional ones are ignored.
///
/// # Errors
/// [`SnmpDecodeError`] for a heCommonAlarmEvent without its object or state, or with values of
/// another type.
pub fn decode_trap(notification: &Notification) -> Result<Option<Alarm>, SnmpDecodeError> {
    if notification.trap.sub_identifiers() != oid::ALARM_EVENT {
        return Ok(None);
    }
    let find = |column| {
        notification
            .binds
            .iter()
            .find(|b| b.oid.suffix_of(&oid::log(column)).is_some())
            .map_or(&Value::NoSuchInstance, |b| &b.value)
    };
    let object = match find(oid::LOG_OID) {
        Value::ObjectId(object) => object.clone(),
        value if value.is_absent() => {
            return Err(SnmpDecodeError::Absent {
                object: "heCommonLogOID",
            });
        }
        _ => {
            return Err(SnmpDecodeError::Type {
                object: "heCommonLogOID",
            });
        }
    };
    let (state, severity) = enumeration(find(oid::LOG_STATE), "heCommonLogState", &STATES)?;
    Ok(Some(Alarm {
        object,
        state,
        severity,
        text: text(find(oid::LOG_TEXT), "heCommonLogText")?.unwrap_or_default(),
    }))
}
