//! Names below the enterprise 26592. Rows are indexed by the flat port number.

use qkd_driver_kit::link::snmp::Oid;

macro_rules! below_polatis {
    ($($(#[$doc:meta])* $name:ident = [$($id:literal),*];)*) => {
        $($(#[$doc])* pub const $name: &[u32] = &[1, 3, 6, 1, 4, 1, 26592, 2, $($id),*];)*
    };
}

below_polatis! {
    /// polatisSysInfoProductCode.0
    PRODUCT_CODE = [1, 2, 2, 1, 0];
    /// polatisSysInfoSerialNumber.0
    SERIAL_NUMBER = [1, 2, 2, 2, 0];
    /// polatisSysInfoFirmwareVersion.0
    FIRMWARE = [1, 2, 2, 3, 0];
    /// polatisOxcSize.0
    SIZE = [2, 2, 1, 1, 0];
    /// polatisOxcPortPatch, read-write.
    PATCH = [2, 2, 1, 2, 1, 2];
    /// polatisOxcPortCurrentState, read-only.
    PORT_STATE = [2, 2, 1, 2, 1, 3];
    /// polatisOxcPortDesiredState, read-write.
    PORT_DESIRED = [2, 2, 1, 2, 1, 4];
    /// polatisOpmWavelength, pm.
    OPM_WAVELENGTH = [3, 2, 1, 1, 1, 1];
    /// polatisOpmAtime, a code from 1 to 8.
    OPM_ATIME = [3, 2, 1, 1, 1, 3];
    /// polatisOpmAlarmEdge
    ALARM_EDGE = [3, 2, 1, 2, 1, 1];
    /// polatisOpmAlarmLowThresh, thousandths of a dBm.
    ALARM_LOW = [3, 2, 1, 2, 1, 2];
    /// polatisOpmAlarmHighThresh, thousandths of a dBm.
    ALARM_HIGH = [3, 2, 1, 2, 1, 3];
    /// polatisOpmAlarmMode
    ALARM_MODE = [3, 2, 1, 2, 1, 4];
    /// polatisOpmPower
    POWER = [3, 2, 2, 2, 1, 1];
    /// polatisVoaLevel, thousandths of a dB or dBm.
    VOA_LEVEL = [4, 2, 1, 1, 1, 1];
    /// polatisVoaRefport
    VOA_REFERENCE = [4, 2, 1, 1, 1, 2];
    /// polatisVoaCurrentState
    VOA_STATE = [4, 2, 1, 1, 1, 3];
    /// polatisVoaDesiredState
    VOA_DESIRED = [4, 2, 1, 1, 1, 4];
    /// polatisApsPortDesiredState
    APS_DESIRED = [5, 2, 1, 1, 1, 2];
    /// polatisApsPortCurrentCond
    APS_CONDITION = [5, 2, 1, 1, 1, 3];
    /// polatisApsPortDesiredCond
    APS_DESIRED_CONDITION = [5, 2, 1, 1, 1, 4];
    /// polatisApsProtGroupPriority, by working and protecting port.
    APS_PRIORITY = [5, 2, 1, 2, 1, 2];
    /// Notifications of the matrix.
    OXC_TRAPS = [2, 3];
    /// Their varbinds.
    OXC_BINDS = [2, 3, 1];
    /// Notifications of the monitors.
    OPM_TRAPS = [3, 3];
    /// Their varbinds.
    OPM_BINDS = [3, 3, 1];
    /// Notifications of the attenuators.
    VOA_TRAPS = [4, 3];
    /// Notifications of protection.
    APS_TRAPS = [5, 3];
    /// Their varbinds.
    APS_BINDS = [5, 3, 1];
    /// Notifications of the system.
    SYSTEM_TRAPS = [1, 3];
    /// polatisEventMsg, AlarmId, AlarmStatus, AlarmUser, EventSubSwitch.
    EVENT_BINDS = [6, 2, 3];
}

/// coldStart (RFC 3418).
pub const COLD_START: &[u32] = &[1, 3, 6, 1, 6, 3, 1, 1, 5, 1];

/// An object of a port.
#[must_use]
pub fn of(column: &[u32], port: u32) -> Oid {
    Oid::from(column).child(&[port])
}
