//! Names of ATMEDIA-MIB.

use qkd_driver_kit::link::snmp::Oid;

/// acProductID.0.
pub const PRODUCT: &[u32] = &[1, 3, 6, 1, 4, 1, 13458, 1, 1, 1, 0];
/// acSerialNumber.0.
pub const SERIAL: &[u32] = &[1, 3, 6, 1, 4, 1, 13458, 1, 1, 2, 0];
/// acSoftVersion.0.
pub const SOFTWARE: &[u32] = &[1, 3, 6, 1, 4, 1, 13458, 1, 2, 1, 0];

/// acInterfaceStatusState: up(1), down(2); indexed by interface.
pub const INTERFACE_STATE: &[u32] = &[1, 3, 6, 1, 4, 1, 13458, 1, 4, 1, 2, 1, 2];
/// acInterfaceStatusRxBytes.
pub const INTERFACE_RX: &[u32] = &[1, 3, 6, 1, 4, 1, 13458, 1, 4, 1, 2, 1, 7];
/// acInterfaceStatusTxBytes.
pub const INTERFACE_TX: &[u32] = &[1, 3, 6, 1, 4, 1, 13458, 1, 4, 1, 2, 1, 8];

/// acEncryptorStatusState: up(1), down(2), plain(3); indexed by engine.
pub const ENGINE_STATE: &[u32] = &[1, 3, 6, 1, 4, 1, 13458, 1, 4, 2, 2, 1, 2];
/// acEncryptorStatusLastChange, TimeTicks.
pub const ENGINE_LAST_CHANGE: &[u32] = &[1, 3, 6, 1, 4, 1, 13458, 1, 4, 2, 2, 1, 3];

/// acMaTemperature.0, hundredths of a degree Celsius.
pub const TEMPERATURE: &[u32] = &[1, 3, 6, 1, 4, 1, 13458, 1, 5, 4, 0];
/// acMaPowerState.0: unknown(0), up(1), down(2).
pub const POWER: &[u32] = &[1, 3, 6, 1, 4, 1, 13458, 1, 5, 11, 0];

/// An instance of a column of a table with one index.
#[must_use]
pub fn of(column: &[u32], row: u32) -> Oid {
    Oid::from(column).child(&[row])
}
