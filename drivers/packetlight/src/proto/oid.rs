//! Names, with the MIB module that defines each.

use qkd_driver_kit::link::snmp::Oid;

/// slSecuEncryptionEntry (SL-SECU-MIB), one row for each encrypting uplink, indexed by ifIndex.
pub const ENTRY: &[u32] = &[1, 3, 6, 1, 4, 1, 4515, 1, 3, 24, 4, 1, 1];
/// Uplink of the row: slSecuEncryptionIfIndex, read-only.
pub const IF_INDEX: u32 = 1;
/// slSecuEncryptionEnable, TruthValue, read-write.
pub const ENABLE: u32 = 2;
/// State of the key exchange: slSecuEncryptionStatus, read-only.
pub const STATUS: u32 = 3;
/// slSecuEncryptionForceInit: writing it restarts the exchange; the value is not specified.
pub const FORCE_INIT: u32 = 4;
/// slSecuEncryptionPreShared: KEY MATERIAL, DisplayString. Never read: its MAX-ACCESS lets an agent
/// answer with the key.
pub const PRE_SHARED: u32 = 5;
/// slSecuEncryptionKeyExchangePeriod: minutes; 0 = only when the link comes up.
pub const PERIOD: u32 = 6;
/// slSecuEncryptionLock, TruthValue. OEM agents lack it.
pub const LOCK: u32 = 7;
/// slSecuEncryptionProtectedStatus, as [`STATUS`] for the protection port. OEM agents lack it.
pub const PROTECTED_STATUS: u32 = 8;

/// slAlarmConfigEntry (SL-ALARM-MIB): the active alarms, indexed by ifIndex and type.
pub const ALARM_ENTRY: &[u32] = &[1, 3, 6, 1, 4, 1, 4515, 1, 3, 20, 1, 1, 1];
/// Interface of an alarm: slAlarmIfIndex.
pub const ALARM_IF_INDEX: u32 = 1;
/// Type of an alarm: slAlarmType.
pub const ALARM_TYPE: u32 = 2;
/// Severity of an alarm: slAlarmSeverity.
pub const ALARM_SEVERITY: u32 = 3;
/// Effect of an alarm on service: slAlarmServiceAffect.
pub const ALARM_SERVICE: u32 = 4;
/// Time of an alarm: slAlarmTimeStamp.
pub const ALARM_TIME: u32 = 5;
/// Text of an alarm: slAlarmText.
pub const ALARM_TEXT: u32 = 8;
/// slAlarmActive, in the trap only; its instance suffix is unknown, so it is matched by prefix.
pub const ALARM_ACTIVE: &[u32] = &[1, 3, 6, 1, 4, 1, 4515, 1, 3, 20, 2, 1];
/// Notification of alarms: slAlarmTrap.
pub const TRAP: &[u32] = &[1, 3, 6, 1, 4, 1, 4515, 1, 3, 20, 2, 2];
/// slAlarmTrap as an RFC 3584 proxy rewrites it.
pub const TRAP_PROXY: &[u32] = &[1, 3, 6, 1, 4, 1, 4515, 1, 3, 20, 2, 0, 2];

/// slmSysEncryptionCapability.0 (SL-MAIN-MIB): 1 cannot encrypt, 2 can.
pub const CAPABILITY: &[u32] = &[1, 3, 6, 1, 4, 1, 4515, 1, 3, 1, 51, 0];
/// slmSysOperStatus.0: up(1), down(2), testing(3).
pub const OPER_STATUS: &[u32] = &[1, 3, 6, 1, 4, 1, 4515, 1, 3, 1, 7, 0];
/// Serial number: slEntPhysicalSerialNum.
pub const SERIAL: &[u32] = &[1, 3, 6, 1, 4, 1, 4515, 1, 3, 6, 1, 1, 1, 7];
/// Software version: slEntPhysicalSoftwareRev.
pub const SOFTWARE: &[u32] = &[1, 3, 6, 1, 4, 1, 4515, 1, 3, 6, 1, 1, 1, 6];

/// Firmware version: slEntPhysicalFirmwareRev.
pub const FIRMWARE: &[u32] = &[1, 3, 6, 1, 4, 1, 4515, 1, 3, 6, 1, 1, 1, 5];

/// Name of sysObjectID.0 (RFC 3418).
pub const SYS_OBJECT_ID: &[u32] = &[1, 3, 6, 1, 2, 1, 1, 2, 0];
/// Name of sysDescr.0 (RFC 3418).
pub const SYS_DESCR: &[u32] = &[1, 3, 6, 1, 2, 1, 1, 1, 0];
/// Column ifName (RFC 2863).
pub const IF_NAME: &[u32] = &[1, 3, 6, 1, 2, 1, 31, 1, 1, 1, 1];
/// Column ifDescr (RFC 2863).
pub const IF_DESCR: &[u32] = &[1, 3, 6, 1, 2, 1, 2, 2, 1, 2];
/// The vendor's number (IANA private enterprise 4515).
pub const ENTERPRISE: &[u32] = &[1, 3, 6, 1, 4, 1, 4515];

/// Models by sysObjectID (SL-MAIN-MIB nodes).
const MODELS: &[(&[u32], &str)] = &[
    (
        &[1, 3, 6, 1, 4, 1, 4515, 100, 1, 1000, 8],
        "PL-1000TE Crypto",
    ),
    (&[1, 3, 6, 1, 4, 1, 4515, 100, 1, 2500, 1], "PL-2000M"),
    (&[1, 3, 6, 1, 4, 1, 4515, 100, 1, 2800, 20], "PL-4000M"),
    (&[1, 3, 6, 1, 4, 1, 4515, 100, 1, 2800, 10], "PL-4000T"),
    (&[1, 3, 6, 1, 4, 1, 4515, 100, 1, 2400], "PL-2000AD"),
];

/// The model that a sysObjectID names.
#[must_use]
pub fn model(object_id: &Oid) -> Option<&'static str> {
    MODELS
        .iter()
        .find(|(prefix, _)| object_id.sub_identifiers().starts_with(prefix))
        .map(|(_, name)| *name)
}

/// A column of slSecuEncryptionEntry.
#[must_use]
pub fn column(column: u32) -> Oid {
    Oid::from(ENTRY).child(&[column])
}

/// An instance of slSecuEncryptionEntry.
#[must_use]
pub fn instance(column: u32, if_index: u32) -> Oid {
    Oid::from(ENTRY).child(&[column, if_index])
}

/// A column of slAlarmConfigEntry.
#[must_use]
pub fn alarm(column: u32) -> Oid {
    Oid::from(ALARM_ENTRY).child(&[column])
}
