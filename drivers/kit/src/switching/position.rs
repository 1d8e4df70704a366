//! Switches with one of several positions, and the paths of each position.
//!
//! The position of a 1×N switch is its channel; 0 is dark. The positions of a crossbar are 1 (bar)
//! and 2 (cross).

use qkd_hal::{DeviceMisbehaved, Error, Result};
use qkd_switch_hal::{CrossConnect, CrossConnects, Geometry, Port, Step};

/// The paths at a position.
///
/// # Errors
/// `Misbehaved(ValueOutOfRange)` for a position that the switch does not have.
pub fn paths(geometry: &Geometry, position: u32) -> Result<CrossConnects> {
    let pairs: &[(u32, u32)] = match (geometry, position) {
        (Geometry::OneByN { dark: true, .. }, 0) => &[],
        (Geometry::OneByN { channels, .. }, n) if (1..=*channels).contains(&n) => {
            &[(Port::COMMON.0, n)]
        }
        (Geometry::Crossbar, 1) => &[(1, 3), (2, 4)],
        (Geometry::Crossbar, 2) => &[(1, 4), (2, 3)],
        _ => {
            return Err(Error::misbehaved(
                DeviceMisbehaved::ValueOutOfRange,
                format!("the switch reports position {position}: {geometry}"),
            ));
        }
    };
    pairs
        .iter()
        .map(|(ingress, egress)| CrossConnect::new(*ingress, *egress))
        .collect()
}

/// The position to which a step leads.
///
/// # Errors
/// `InvalidInput` for a step that leads to none.
pub fn target(geometry: &Geometry, step: &Step) -> Result<u32> {
    match (geometry, step.added()) {
        (Geometry::OneByN { dark: true, .. }, []) => Ok(0),
        (Geometry::OneByN { .. }, [path]) => Ok(path.egress.0),
        (Geometry::Crossbar, [path, ..]) => Ok(if path.egress.0 - path.ingress.0 == 2 {
            1
        } else {
            2
        }),
        _ => Err(Error::invalid(format!(
            "`{step}` leads to no position: {geometry}"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_position_is_reached_by_the_step_to_its_paths() {
        let dark = Geometry::OneByN {
            channels: 3,
            dark: true,
        };
        for (geometry, positions) in [
            (dark, 0..=3),
            (Geometry::one_by(3), 1..=3),
            (Geometry::Crossbar, 1..=2),
        ] {
            for position in positions.clone() {
                let to = paths(&geometry, position).unwrap();
                geometry.check_state(&to).unwrap();
                let step = Step::Move {
                    from: Vec::new(),
                    to: to.iter().collect(),
                };
                assert_eq!(target(&geometry, &step).unwrap(), position);
            }
            assert!(paths(&geometry, positions.end() + 1).is_err());
            assert!(positions.contains(&0) || paths(&geometry, 0).is_err());
        }
        assert!(
            target(
                &Geometry::one_by(3),
                &Step::Move {
                    from: Vec::new(),
                    to: Vec::new()
                }
            )
            .is_err()
        );
    }
}
