//! Notifications.

use super::{decode_text, oid};
use qkd_driver_kit::link::snmp::{Notification, Oid};
use qkd_hal::event::Severity;

/// A condition that a notification reports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    /// Number of the notification.
    pub number: u32,
    /// Name of the notification in the MIB, without its prefix.
    pub name: &'static str,
    /// The MIB gives no severity: that of a condition in which encryption or the device's
    /// integrity has failed is critical.
    pub severity: Severity,
    /// neEventLogIdentityTranslation: the entity, in the device's own words; `None` if absent.
    pub entity: Option<String>,
}

/// Number, name and severity of the notifications about encryption.
const CONDITIONS: &[(u32, &str, Severity)] = &[
    (90, "AuthPasswdMissing", Severity::Major),
    (91, "AuthPasswdChanged", Severity::Indeterminate),
    (102, "AuthPasswdInvalid", Severity::Major),
    (103, "EncryptionSwitchOffEnabled", Severity::Warning),
    (104, "CryPasswdMissing", Severity::Major),
    (105, "CryptoPasswdChanged", Severity::Indeterminate),
    (106, "CryptoRtf", Severity::Critical),
    (107, "SelfTestStarted", Severity::Indeterminate),
    (108, "EncryptionSwitchedOff", Severity::Critical),
    (131, "FwpUpdateEnabled", Severity::Warning),
    (146, "SingleKeyExchgFailed", Severity::Minor),
    (147, "KeyExchgFailCondClr", Severity::Cleared),
    (148, "KeyInitExchgMissed", Severity::Major),
    (149, "MaxKeyExchgFailuresReachedIs", Severity::Major),
    (150, "MaxKeyExchgFailuresReachedOos", Severity::Critical),
    (151, "KeyExchangedForced", Severity::Indeterminate),
    (222, "CryPasswdError", Severity::Major),
    (255, "SelfTestFail", Severity::Major),
    (256, "SelfTestFailCritical", Severity::Critical),
    (262, "SessKeyLifetimeChanged", Severity::Indeterminate),
    (385, "TamperDetected", Severity::Critical),
];

/// The condition in a notification; `None` for other notifications. The revision of the MIB lists
/// no varbinds, and ADVA-MIB says that each notification has an event time and an entity: varbinds
/// are found by name, and none is required.
#[must_use]
pub fn decode_trap(notification: &Notification) -> Option<Condition> {
    let &[asked] = notification.trap.suffix_of(&Oid::from(oid::TRAPS))? else {
        return None;
    };
    let &(number, name, severity) = CONDITIONS.iter().find(|(number, ..)| *number == asked)?;
    let entity = Oid::from(oid::EVENT_ENTITY);
    Some(Condition {
        number,
        name,
        severity,
        entity: notification
            .binds
            .iter()
            .find(|bind| bind.oid.suffix_of(&entity).is_some())
            .and_then(|bind| decode_text(&bind.value, "neEventLogIdentityTranslation").ok())
            .flatten(),
    })
}
