//! The notification wsAlarmNotification. The MIB has none that is about encryption only.

use super::{ProtoError, decode_text, oid};
use qkd_driver_kit::link::{
    snmp::{Notification, Oid, Value},
    snmp_client::{count, enumeration},
};
use qkd_hal::event::Severity;

/// An alarm that was raised or cleared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alarm {
    /// wsAlarmNotificationTableId; `None` if absent.
    pub table: Option<u64>,
    /// wsAlarmNotificationSeverity; cleared where wsAlarmNotificationActiveStatus is inactive.
    pub severity: Severity,
    /// wsAlarmNotificationInstance: what the alarm is about; `None` if absent or empty.
    pub instance: Option<String>,
    /// Text of the alarm: wsAlarmNotificationDescription.
    pub text: String,
}

fn decode_severity(value: &Value) -> Result<Severity, ProtoError> {
    // 2 and 7 are not in the MIB.
    let known = [
        (1, Severity::Cleared),
        (3, Severity::Critical),
        (4, Severity::Major),
        (5, Severity::Minor),
        (6, Severity::Warning),
        (8, Severity::Indeterminate),
    ];
    enumeration(value, "wsAlarmNotificationSeverity", &known)
}

/// The alarm in a notification; `None` for other notifications. Varbinds are found by name, so that
/// further ones do no harm.
///
/// # Errors
/// [`ProtoError`] for values of another type than the MIB gives.
pub fn decode_trap(notification: &Notification) -> Result<Option<Alarm>, ProtoError> {
    let alarm = Oid::from(oid::ALARM);
    if notification.trap != alarm {
        return Ok(None);
    }
    let find = |column: u32| {
        let name = alarm.child(&[column]);
        let bind = notification
            .binds
            .iter()
            .find(|bind| bind.oid.suffix_of(&name).is_some());
        bind.map(|bind| &bind.value)
    };
    let text = |column, object| find(column).map_or(Ok(None), |value| decode_text(value, object));
    // active(1), inactive(2), intermittent(3).
    let known = [(1, true), (2, false), (3, true)];
    let active = find(oid::ALARM_ACTIVE)
        .map(|v| enumeration(v, "wsAlarmNotificationActiveStatus", &known))
        .transpose()?;
    let severity = match active {
        Some(false) => Severity::Cleared,
        _ => find(oid::ALARM_SEVERITY).map_or(Ok(Severity::Indeterminate), decode_severity)?,
    };
    Ok(Some(Alarm {
        table: find(oid::ALARM_TABLE)
            .map(|v| count(v, "wsAlarmNotificationTableId"))
            .transpose()?,
        severity,
        instance: text(oid::ALARM_INSTANCE, "wsAlarmNotificationInstance")?,
        text: text(oid::ALARM_DESCRIPTION, "wsAlarmNotificationDescription")?.unwrap_or_default(),
    }))
}
