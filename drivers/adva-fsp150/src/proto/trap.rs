//! The notification f3ConnectGuardStateChangeTrap.

use super::{ProtoError, oid};
use qkd_driver_kit::link::{
    snmp::{Notification, Oid},
    snmp_client::enumeration,
};

/// A change of the secure state of a flow of the device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateChange {
    /// Index of the flow in the table of f3FlowSecureState, which is not that of a ConnectGuard
    /// flow.
    pub flow: String,
    /// Name of the state in the MIB.
    pub state: &'static str,
}

/// The change in a notification; `None` for other notifications.
///
/// # Errors
/// [`ProtoError`] if the notification has no secure state, or one that is not in the MIB.
pub fn decode_trap(notification: &Notification) -> Result<Option<StateChange>, ProtoError> {
    if notification.trap.sub_identifiers() != oid::STATE_CHANGE {
        return Ok(None);
    }
    let column = Oid::from(oid::SECURE_STATE);
    let found = notification.binds.iter().find_map(|bind| {
        let index = bind.oid.suffix_of(&column)?;
        Some((Oid::from(index), &bind.value))
    });
    let (index, value) = found.ok_or(ProtoError::Name)?;
    let known = [
        (1, "secureNormal"),
        (2, "secureBlocked"),
        (3, "unsecureNormal"),
        (4, "unsecureBlocked"),
    ];
    Ok(Some(StateChange {
        flow: index.to_string(),
        state: enumeration(value, "f3FlowSecureState", &known)?,
    }))
}
