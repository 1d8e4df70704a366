//! Names, with the MIB module that defines each.

use qkd_driver_kit::link::snmp::Oid;

/// heOpSwitchUnitEntry (SCTE-HMS-HE-OPTICAL-SWITCH-MIB), by entPhysicalIndex.
pub const UNIT: &[u32] = &[1, 3, 6, 1, 4, 1, 5591, 1, 11, 1, 4, 1, 1, 1, 1];
/// Selection mode: heOpSwitchMode, read-write.
pub const MODE: u32 = 1;
/// heOpSwitchControl, read-write: in automatic mode the preferred path, in manual mode the path.
pub const CONTROL: u32 = 2;
/// Reversion: heOpSwitchRevertEnable, read-write.
pub const REVERT: u32 = 3;
/// Present position: heOpSwitchState, read-only.
pub const STATE: u32 = 4;
/// heOpSwitchFailoverStatus, read-only: fault where the state differs from the preferred path.
pub const FAILOVER: u32 = 5;
/// Status of both inputs: heOpSwitchBothInputStatus, read-only, optional.
pub const BOTH_INPUTS: u32 = 6;
/// heOpSwitchSelectWavelength, 0.01 nm, read-write, optional.
pub const WAVELENGTH: u32 = 7;
/// heOpSwitchHysteresis, 0.1 dB, -20..20, read-write, optional.
pub const HYSTERESIS: u32 = 8;
/// heOpSwitchWaitToRestoreTime, seconds, read-write, optional.
pub const WAIT_TO_RESTORE: u32 = 9;

/// heOpSwitchInputEntry, by entPhysicalIndex and input.
pub const INPUT: &[u32] = &[1, 3, 6, 1, 4, 1, 5591, 1, 11, 1, 4, 1, 1, 2, 1];
/// heOpSwitchInputOpticalLevel, 0.1 dBm, read-only, optional.
pub const LEVEL: u32 = 2;
/// heOpSwitchSetInputPowerThreshold, 0.1 dBm, read-write, optional.
pub const THRESHOLD: u32 = 3;
/// Status of an input: heOpSwitchInputStatus, read-only.
pub const INPUT_STATUS: u32 = 4;

/// heOpSwitchOutputEntry, by entPhysicalIndex and output.
pub const OUTPUT: &[u32] = &[1, 3, 6, 1, 4, 1, 5591, 1, 11, 1, 4, 1, 1, 3, 1];
/// Description of an output: heOpSwitchOutputDescription, read-only.
pub const OUTPUT_DESCRIPTION: u32 = 2;

/// Notification of alarms: heCommonAlarmEvent (SCTE-HMS-HE-COMMON-MIB).
pub const ALARM_EVENT: &[u32] = &[1, 3, 6, 1, 4, 1, 5591, 1, 0, 5];
/// Entry of the log: heCommonLogEntry (SCTE-HMS-HE-COMMON-MIB).
pub const LOG: &[u32] = &[1, 3, 6, 1, 4, 1, 5591, 1, 11, 2, 1, 1, 1, 2, 3, 1];
/// heCommonLogOID: the object that is in alarm.
pub const LOG_OID: u32 = 2;
/// Value of the object: heCommonLogValue.
pub const LOG_VALUE: u32 = 3;
/// State of the alarm: heCommonLogState.
pub const LOG_STATE: u32 = 4;
/// Text of the log entry: heCommonLogText.
pub const LOG_TEXT: u32 = 6;

/// entPhysicalEntry (ENTITY-MIB, RFC 4133), by entPhysicalIndex.
pub const PHYSICAL: &[u32] = &[1, 3, 6, 1, 2, 1, 47, 1, 1, 1, 1];
/// Software version: entPhysicalSoftwareRev.
pub const SOFTWARE: u32 = 10;
/// Serial number: entPhysicalSerialNum.
pub const SERIAL: u32 = 11;
/// Name of the vendor: entPhysicalMfgName.
pub const MAKER: u32 = 12;
/// Name of the model: entPhysicalModelName.
pub const MODEL: u32 = 13;
/// Name of sysDescr.0 (RFC 3418).
pub const SYS_DESCR: &[u32] = &[1, 3, 6, 1, 2, 1, 1, 1, 0];

/// A column of an entry.
#[must_use]
pub fn column(entry: &[u32], column: u32) -> Oid {
    Oid::from(entry).child(&[column])
}
/// An object of a unit.
#[must_use]
pub fn unit(column: u32, unit: u32) -> Oid {
    Oid::from(UNIT).child(&[column, unit])
}
/// An object of an input.
#[must_use]
pub fn input(column: u32, unit: u32, input: u32) -> Oid {
    Oid::from(INPUT).child(&[column, unit, input])
}
/// A column of heCommonLogEntry.
#[must_use]
pub fn log(column: u32) -> Oid {
    Oid::from(LOG).child(&[column])
}
