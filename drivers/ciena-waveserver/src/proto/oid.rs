//! Names of the Waveserver MIBs of Ciena.

use qkd_driver_kit::link::snmp::Oid;

/// cwsEncryptionPortEncryptionEntry (CIENA-WS-ENCRYPTION-MIB), indexed by port and SnmpKey.
pub const PORT: &[u32] = &[1, 3, 6, 1, 4, 1, 1271, 3, 4, 23, 3, 1];
/// cwsEncryptionPortEncryptionPeerAuthenticationStatus.
pub const PEER_AUTHENTICATION: u32 = 2;

/// cwsEncryptionPreSharedKeyEntry, with the same index.
pub const KEY: &[u32] = &[1, 3, 6, 1, 4, 1, 1271, 3, 4, 23, 4, 1];
/// cwsEncryptionPreSharedKeyValue: KEY MATERIAL, hexadecimal digits. Never read.
pub const KEY_VALUE: u32 = 2;
/// cwsEncryptionPreSharedKeyFingerprint: a hash of the key by the device.
pub const KEY_FINGERPRINT: u32 = 3;
/// cwsEncryptionPreSharedKeyStatus, TruthValue: whether a key is set.
pub const KEY_STATUS: u32 = 4;
/// cwsEncryptionPreSharedKeyDescription, 0..60 characters.
pub const KEY_DESCRIPTION: u32 = 5;

/// cwsEncryptionReAuthenticationEntry, with the same index.
pub const REAUTHENTICATION: &[u32] = &[1, 3, 6, 1, 4, 1, 1271, 3, 4, 23, 5, 1];
/// cwsEncryptionReAuthenticationPeriod, hours.
pub const PERIOD: u32 = 2;
/// cwsEncryptionReAuthenticationFailureMode: drop(1), allow(2). Never written.
pub const FAILURE_MODE: u32 = 3;

/// cwsEncryptionEncryptionStateEntry, indexed by SnmpKey.
pub const CHASSIS: &[u32] = &[1, 3, 6, 1, 4, 1, 1271, 3, 4, 23, 6, 1];
/// cwsEncryptionEncryptionStateLicenseState.
pub const LICENSE: u32 = 2;
/// cwsEncryptionEncryptionStateFeatureState.
pub const FEATURE: u32 = 3;

/// cwsPortIdName (CIENA-WS-PORT-MIB), indexed by port.
pub const PORT_NAME: &[u32] = &[1, 3, 6, 1, 4, 1, 1271, 3, 4, 7, 4, 1, 2];
/// cwsPortStateOperationalState.
pub const PORT_STATE: &[u32] = &[1, 3, 6, 1, 4, 1, 1271, 3, 4, 7, 5, 1, 3];

/// Notification wsAlarmNotification (CIENA-WS-NOTIFICATION-MIB); its varbinds are below it.
pub const ALARM: &[u32] = &[1, 3, 6, 1, 4, 1, 1271, 3, 2, 11];
/// wsAlarmNotificationTableId.
pub const ALARM_TABLE: u32 = 6;
/// wsAlarmNotificationSeverity.
pub const ALARM_SEVERITY: u32 = 7;
/// wsAlarmNotificationInstance.
pub const ALARM_INSTANCE: u32 = 8;
/// wsAlarmNotificationDescription.
pub const ALARM_DESCRIPTION: u32 = 9;
/// wsAlarmNotificationActiveStatus.
pub const ALARM_ACTIVE: u32 = 10;

/// sysUpTime.0 (RFC 3418): the device's own clock, hundredths of a second.
pub const UPTIME: &[u32] = &[1, 3, 6, 1, 2, 1, 1, 3, 0];
/// entPhysicalSerialNum.1 (RFC 6933).
pub const SERIAL: &[u32] = &[1, 3, 6, 1, 2, 1, 47, 1, 1, 1, 1, 11, 1];
/// Model of the chassis (CIENA-WS-CHASSIS-MIB), as LibreNMS reads it.
pub const MODEL: &[u32] = &[1, 3, 6, 1, 4, 1, 1271, 3, 4, 6, 3, 1, 3, 0];
/// Active software (CIENA-WS-SOFTWARE-MIB), as LibreNMS reads it.
pub const SOFTWARE: &[u32] = &[1, 3, 6, 1, 4, 1, 1271, 3, 4, 14, 3, 1, 5, 0];

/// Index of a row: the port, and a number that the MIB does not define.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    /// Port (cwsPortPortsPortId).
    pub port: u32,
    /// Second index (SnmpKey).
    pub key: u32,
}

/// An instance of a column.
#[must_use]
pub fn of(entry: &[u32], column: u32, row: Row) -> Oid {
    Oid::from(entry).child(&[column, row.port, row.key])
}
