//! Notifications: f3ConnectGuardStateChangeTrap, and the alarms of ConnectGuard.

use super::{ProtoError, count, decode_text, oid};
use qkd_driver_kit::link::{
    snmp::{Notification, Oid, Value},
    snmp_client::enumeration,
};
use qkd_hal::event::Severity;

/// Content of a notification.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Report {
    /// A change of the secure state of a flow of the device.
    StateChange {
        /// Index of the flow in the table of f3FlowSecureState, which is not that of a ConnectGuard
        /// flow.
        flow: String,
        /// Name of the state in the MIB.
        state: &'static str,
    },
    /// An alarm about ConnectGuard.
    Alarm(Alarm),
}

/// An alarm: cmNetworkElementAlmTrap (CM-ALARM-MIB).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alarm {
    /// Number of the condition: CmConditionType.
    pub number: u64,
    /// Name of the condition in the MIB.
    pub name: &'static str,
    /// Severity; indeterminate for those whose numbers are not confirmed.
    pub severity: Severity,
    /// The entity, in the device's own words.
    pub subject: Option<String>,
}

/// Conditions about ConnectGuard: CmConditionType.
const CONDITIONS: [(u64, &str); 2] = [(347, "keyExchangeFail"), (390, "keyExchangeStopped")];

/// Decodes a notification; `None` for other notifications, and for other alarms.
///
/// # Errors
/// [`ProtoError`] if an object is absent, or has a value that is not in the MIB.
pub fn decode_trap(notification: &Notification) -> Result<Option<Report>, ProtoError> {
    let trap = notification.trap.sub_identifiers();
    if trap == oid::ALARM_TRAP {
        return Ok(decode_alarm(notification)?.map(Report::Alarm));
    }
    if trap != oid::STATE_CHANGE {
        return Ok(None);
    }
    let (index, value) =
        find(notification, Oid::from(oid::SECURE_STATE)).ok_or(ProtoError::Name)?;
    let known = [
        (1, "secureNormal"),
        (2, "secureBlocked"),
        (3, "unsecureNormal"),
        (4, "unsecureBlocked"),
    ];
    Ok(Some(Report::StateChange {
        flow: index.to_string(),
        state: enumeration(value, "f3FlowSecureState", &known)?,
    }))
}

fn decode_alarm(notification: &Notification) -> Result<Option<Alarm>, ProtoError> {
    let column = |column| find(notification, oid::column(oid::ALARM, column));
    let (_, condition) = column(oid::ALARM_CONDITION).ok_or(ProtoError::Name)?;
    let condition = count(condition, "cmNetworkElementAlmType")?;
    let Some(&(number, name)) = CONDITIONS.iter().find(|(number, _)| *number == condition) else {
        return Ok(None);
    };
    let (_, severity) = column(oid::ALARM_SEVERITY).ok_or(ProtoError::Name)?;
    let severity = match count(severity, "cmNetworkElementAlmSeverity")? {
        2 => Severity::Critical,
        6 => Severity::Cleared,
        _ => Severity::Indeterminate,
    };
    let subject = column(oid::ALARM_ENTITY);
    Ok(Some(Alarm {
        number,
        name,
        severity,
        subject: match subject {
            Some((_, text)) => decode_text(text, "cmNetworkElementAlmEntity")?,
            None => None,
        },
    }))
}

/// The index and the value of the first instance of a column.
fn find(notification: &Notification, column: Oid) -> Option<(Oid, &Value)> {
    notification.binds.iter().find_map(|bind| {
        let index = bind.oid.suffix_of(&column)?;
        Some((Oid::from(index), &bind.value))
    })
}
