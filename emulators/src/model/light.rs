//! Values of power monitors.

use qkd_hal::{
    reading::{Measured, Quality},
    units::DecibelMilliwatts,
};

/// Value of a power monitor without light, in dBm.
pub const NO_LIGHT_DBM: f64 = -60.0;

/// Returns the reading of a monitor; without light, it is out of range.
pub(super) fn measured(dbm: f64) -> Measured<DecibelMilliwatts> {
    Measured::now(DecibelMilliwatts(dbm)).with_quality(if dbm <= NO_LIGHT_DBM {
        Quality::OutOfRange
    } else {
        Quality::Good
    })
}
