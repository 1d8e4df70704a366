//! What power monitors show.

use qkd_hal::{
    reading::{Measured, Quality},
    units::DecibelMilliwatts,
};

/// What a power monitor shows without light, in dBm.
pub const NO_LIGHT_DBM: f64 = -60.0;

/// What a monitor reads: without light, it is out of its range.
pub(super) fn measured(dbm: f64) -> Measured<DecibelMilliwatts> {
    Measured::now(DecibelMilliwatts(dbm)).with_quality(if dbm <= NO_LIGHT_DBM {
        Quality::OutOfRange
    } else {
        Quality::Good
    })
}
