//! Decoding of the notification slAlarmTrap.

use super::{ProtoError, decode_severity, decode_text, decode_truth_value, oid};
use qkd_driver_kit::link::{
    snmp::{Notification, Oid, Value},
    snmp_client::integer,
};
use qkd_hal::event::Severity;

/// An alarm that was raised or cleared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alarm {
    /// slAlarmIfIndex; only its port part where slmSysTrapFormat is 2.
    pub if_index: u32,
    /// Type of the alarm: slAlarmType.
    pub kind: u32,
    /// slAlarmSeverity; cleared where slAlarmActive is false.
    pub severity: Severity,
    /// Effect on service: slAlarmServiceAffect; `None` if absent.
    pub service_affecting: Option<bool>,
    /// Text of the alarm: slAlarmText.
    pub text: String,
}

/// The alarm in a notification; `None` for other notifications. Varbinds are found by name, so that
/// further ones do no harm.
///
/// # Errors
/// [`ProtoError`] for a slAlarmTrap without type and interface, or with values of another type.
pub fn decode_trap(notification: &Notification) -> Result<Option<Alarm>, ProtoError> {
    if ![oid::TRAP, oid::TRAP_PROXY].contains(&notification.trap.sub_identifiers()) {
        return Ok(None);
    }
    let find = |prefix: &Oid| {
        notification
            .binds
            .iter()
            .find(|bind| bind.oid.suffix_of(prefix).is_some())
            .map(|bind| &bind.value)
    };
    let column = |c: u32| find(&oid::alarm(c));
    let number = |value: Option<&Value>, object| -> Result<u32, ProtoError> {
        let value = integer(value.ok_or(ProtoError::Name)?, object)?;
        u32::try_from(value).map_err(|_| ProtoError::Enumeration { object, value })
    };
    let active = find(&Oid::from(oid::ALARM_ACTIVE))
        .map(|v| decode_truth_value(v, "slAlarmActive"))
        .transpose()?
        .flatten();
    let severity = match active {
        Some(false) => Severity::Cleared,
        _ => column(oid::ALARM_SEVERITY).map_or(Ok(Severity::Indeterminate), decode_severity)?,
    };
    Ok(Some(Alarm {
        if_index: number(column(oid::ALARM_IF_INDEX), "slAlarmIfIndex")?,
        kind: number(column(oid::ALARM_TYPE), "slAlarmType")?,
        severity,
        service_affecting: column(oid::ALARM_SERVICE)
            .map(|v| decode_truth_value(v, "slAlarmServiceAffect"))
            .transpose()?
            .flatten(),
        text: column(oid::ALARM_TEXT)
            .map(|v| decode_text(v, "slAlarmText"))
            .transpose()?
            .flatten()
            .unwrap_or_default(),
    }))
}
