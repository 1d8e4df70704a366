//! Names below the enterprise 26592. Rows are indexed by the flat port number.

use qkd_driver_kit::link::snmp::Oid;

macro_rules! below_polatis {
    ($($(#[$doc:meta])* $name:ident = [$($id:literal),*];)*) => {
        $($(#[$doc])* pub const $name: &[u32] = &[1, 3, 6, 1, 4, 1, 26592, 2, $($id),*];)*
    };
}

below_polatis! {
    /// Product code: polatisSysInfoProductCode.0.
    PRODUCT_CODE = [1, 2, 2, 1, 0];
    /// Serial number: polatisSysInfoSerialNumber.0.
    SERIAL_NUMBER = [1, 2, 2, 2, 0];
    /// Firmware version: polatisSysInfoFirmwareVersion.0.
    FIRMWARE = [1, 2, 2, 3, 0];
    /// Size of the matrix: polatisOxcSize.0.
    SIZE = [2, 2, 1, 1, 0];
    /// Peer of a port: polatisOxcPortPatch, read-write.
    PATCH = [2, 2, 1, 2, 1, 2];
    /// State of a port: polatisOxcPortCurrentState, read-only.
    PORT_STATE = [2, 2, 1, 2, 1, 3];
    /// Desired state of a port: polatisOxcPortDesiredState, read-write.
    PORT_DESIRED = [2, 2, 1, 2, 1, 4];
    /// Wavelength of a monitor: polatisOpmWavelength, pm.
    OPM_WAVELENGTH = [3, 2, 1, 1, 1, 1];
    /// polatisOpmAtime, a code from 1 to 8.
    OPM_ATIME = [3, 2, 1, 1, 1, 3];
    /// Limits of an alarm: polatisOpmAlarmEdge.
    ALARM_EDGE = [3, 2, 1, 2, 1, 1];
    /// polatisOpmAlarmLowThresh, thousandths of a dBm.
    ALARM_LOW = [3, 2, 1, 2, 1, 2];
    /// polatisOpmAlarmHighThresh, thousandths of a dBm.
    ALARM_HIGH = [3, 2, 1, 2, 1, 3];
    /// Mode of an alarm: polatisOpmAlarmMode.
    ALARM_MODE = [3, 2, 1, 2, 1, 4];
    /// Measured power: polatisOpmPower.
    POWER = [3, 2, 2, 2, 1, 1];
    /// polatisVoaLevel, thousandths of a dB or dBm.
    VOA_LEVEL = [4, 2, 1, 1, 1, 1];
    /// Reference port of an attenuator: polatisVoaRefport.
    VOA_REFERENCE = [4, 2, 1, 1, 1, 2];
    /// State of an attenuator: polatisVoaCurrentState.
    VOA_STATE = [4, 2, 1, 1, 1, 3];
    /// Desired state of an attenuator: polatisVoaDesiredState.
    VOA_DESIRED = [4, 2, 1, 1, 1, 4];
    /// Mode of a group: polatisApsPortDesiredState.
    APS_DESIRED = [5, 2, 1, 1, 1, 2];
    /// Condition of a group: polatisApsPortCurrentCond.
    APS_CONDITION = [5, 2, 1, 1, 1, 3];
    /// Desired condition of a group: polatisApsPortDesiredCond.
    APS_DESIRED_CONDITION = [5, 2, 1, 1, 1, 4];
    /// polatisApsProtGroupPriority, by working and protecting port.
    APS_PRIORITY = [5, 2, 1, 2, 1, 2];
    /// Notifications of the matrix.
    OXC_TRAPS = [2, 3];
    /// Varbinds of the OXC notifications.
    OXC_BINDS = [2, 3, 1];
    /// Notifications of the monitors.
    OPM_TRAPS = [3, 3];
    /// Varbinds of the OPM notifications.
    OPM_BINDS = [3, 3, 1];
    /// Notifications of the attenuators.
    VOA_TRAPS = [4, 3];
    /// Notifications of protection switching.
    APS_TRAPS = [5, 3];
    /// Varbinds of the APS notifications.
    APS_BINDS = [5, 3, 1];
    /// Notifications of the system.
    SYSTEM_TRAPS = [1, 3];
    /// polatisEventMsg, AlarmId, AlarmStatus, AlarmUser, EventSubSwitch.
    EVENT_BINDS = [6, 2, 3];
}

/// Notification coldStart (RFC 3418).
pub const COLD_START: &[u32] = &[1, 3, 6, 1, 6, 3, 1, 1, 5, 1];

/// An object of a port.
#[must_use]
pub fn of(column: &[u32], port: u32) -> Oid {
    Oid::from(column).child(&[port])
}
