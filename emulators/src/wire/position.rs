//! Switches that always have a position: the channel of a 1×N switch; 1 (bar) or 2 (cross) of a
//! crossbar.

use crate::model::switch::{Switch, SwitchRejection};
use qkd_switch_hal::{Geometry, Port};

/// Returns the position of the switch.
pub(crate) fn position(switch: &Switch) -> u32 {
    match switch.geometry() {
        Geometry::Crossbar => switch.peer(1).map_or(0, |egress| egress - 2),
        _ => switch.peer(Port::COMMON.0).unwrap_or(0),
    }
}

/// Sets the position of the switch.
///
/// # Errors
/// If the position does not exist, or a fault refuses the change.
pub(crate) fn set_position(switch: &Switch, position: u32) -> Result<(), SwitchRejection> {
    match (switch.geometry(), position) {
        // Of a 1×N, 0 is the common port's own number in the model, and no position.
        (_, 0) => Err(SwitchRejection::NoSuchPort(0)),
        (Geometry::Crossbar, 1 | 2) => switch.add(&[(1, position + 2)]),
        (Geometry::Crossbar, _) => Err(SwitchRejection::NoSuchPort(position)),
        _ => switch.add(&[(Port::COMMON.0, position)]),
    }
}
