//! Geometry: which ports there are, and which can meet.

use super::{CrossConnect, CrossConnects, Port};
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Ports of a switch, and the cross-connects that it can make. A port is "dark" (without a
/// cross-connect) only where the hardware supports it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
// The derived functions are associated ones, which the implementations below call.
#[serde(remote = "Self", rename_all = "kebab-case", tag = "shape")]
#[non_exhaustive]
pub enum Geometry {
    /// Ingress ports `1..=ingress`, egress ports `ingress+1..=ingress+egress`; each meets each of
    /// the other side, or none.
    Matrix {
        /// Number of ingress ports.
        ingress: u32,
        /// Number of egress ports.
        egress: u32,
    },
    /// One common port ([`Port::COMMON`]) and channels `1..=channels`; the common port meets
    /// exactly one channel, or none where `dark`. An A/B switch is one with two channels.
    OneByN {
        /// Number of channels.
        channels: u32,
        /// Whether the common port can meet none.
        dark: bool,
    },
    /// Two ingress ports 1 and 2, two egress ports 3 and 4: bar (1-3, 2-4) or cross (1-4, 2-3),
    /// never less.
    Crossbar,
}

impl Serialize for Geometry {
    fn serialize<S: serde::Serializer>(&self, s: S) -> std::result::Result<S::Ok, S::Error> {
        Self::serialize(self, s)
    }
}

impl<'de> Deserialize<'de> for Geometry {
    /// Accepts at most [`Geometry::MAX_PORTS`] ports, because loops over all ports must end soon.
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> std::result::Result<Self, D::Error> {
        let geometry = Self::deserialize(d)?;
        let ports = match geometry {
            Self::Matrix { ingress, egress } => ingress.saturating_add(egress),
            Self::OneByN { channels, .. } => channels,
            Self::Crossbar => 4,
        };
        if ports <= Self::MAX_PORTS {
            Ok(geometry)
        } else {
            Err(serde::de::Error::custom(format!(
                "a switch with {ports} ports; at most {} are supported",
                Self::MAX_PORTS
            )))
        }
    }
}

impl Geometry {
    /// The most ports of a geometry that is deserialised.
    pub const MAX_PORTS: u32 = 1 << 16;

    /// Creates the geometry of an N×M matrix.
    #[must_use]
    pub const fn matrix(ingress: u32, egress: u32) -> Self {
        Self::Matrix { ingress, egress }
    }
    /// A 1×N switch that always meets a channel.
    #[must_use]
    pub const fn one_by(channels: u32) -> Self {
        Self::OneByN {
            channels,
            dark: false,
        }
    }

    /// Whether a port can be without a path.
    #[must_use]
    pub const fn can_be_dark(&self) -> bool {
        match self {
            Self::Matrix { .. } => true,
            Self::OneByN { dark, .. } => *dark,
            Self::Crossbar => false,
        }
    }

    /// Returns all ports in ascending order.
    pub fn ports(&self) -> impl Iterator<Item = Port> + use<> {
        let (first, last) = match *self {
            Self::Matrix { ingress, egress } => (1, ingress.saturating_add(egress)),
            Self::OneByN { channels, .. } => (0, channels),
            Self::Crossbar => (1, 4),
        };
        (first..=last).map(Port)
    }

    /// Whether light enters there. Of a 1×N switch, the common port counts as ingress.
    #[must_use]
    pub fn is_ingress(&self, port: Port) -> bool {
        match *self {
            Self::Matrix { ingress, .. } => (1..=ingress).contains(&port.0),
            Self::OneByN { .. } => port == Port::COMMON,
            Self::Crossbar => matches!(port.0, 1 | 2),
        }
    }

    /// Whether light leaves there.
    #[must_use]
    pub fn is_egress(&self, port: Port) -> bool {
        self.has(port) && !self.is_ingress(port)
    }

    fn has(&self, port: Port) -> bool {
        match *self {
            Self::Matrix { ingress, egress } => {
                port.0 >= 1 && port.0 <= ingress.saturating_add(egress)
            }
            Self::OneByN { channels, .. } => port.0 <= channels,
            Self::Crossbar => (1..=4).contains(&port.0),
        }
    }

    /// Checks that there is such a port.
    ///
    /// # Errors
    /// `InvalidInput`, naming the ports that exist.
    pub fn check_port(&self, port: Port) -> Result<()> {
        if self.has(port) {
            Ok(())
        } else {
            Err(Error::invalid(format!("there is no port {port}: {self}")))
        }
    }

    /// Checks that the two ports can meet.
    ///
    /// # Errors
    /// `InvalidInput`, naming what would be right.
    pub fn check(&self, connection: CrossConnect) -> Result<()> {
        self.check_port(connection.ingress)?;
        self.check_port(connection.egress)?;
        if self.is_ingress(connection.ingress) && self.is_egress(connection.egress) {
            Ok(())
        } else {
            Err(Error::invalid(format!(
                "{connection} cannot be made: {self}"
            )))
        }
    }

    /// Checks that the hardware can show this state.
    ///
    /// # Errors
    /// `InvalidInput`, naming what it can show.
    pub fn check_state(&self, state: &CrossConnects) -> Result<()> {
        state.iter().try_for_each(|c| self.check(c))?;
        let possible = match *self {
            Self::Matrix { .. } => true,
            Self::OneByN { dark, .. } => state.len() == 1 || (dark && state.is_empty()),
            Self::Crossbar => state.len() == 2,
        };
        if possible {
            Ok(())
        } else {
            Err(Error::invalid(format!(
                "this switch cannot show `{state}`: {self}"
            )))
        }
    }

    /// Completes a state with the cross-connects that follow from the hardware: one half of a
    /// crossbar determines the other.
    pub(crate) fn normalised(&self, mut state: CrossConnects) -> CrossConnects {
        let half = state.iter().next();
        if let (Self::Crossbar, 1, Some(half)) = (self, state.len(), half) {
            let other = CrossConnect {
                ingress: Port(3 - half.ingress.0.min(2)),
                egress: Port(7 - half.egress.0.clamp(3, 4)),
            };
            let _ = state.insert(other);
        }
        state
    }
}

impl fmt::Display for Geometry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Matrix { ingress, egress } => {
                write!(
                    f,
                    "a {ingress}x{egress} matrix with ingress ports 1 to {ingress} and egress \
                     ports {} to {}",
                    ingress.saturating_add(1),
                    ingress.saturating_add(egress)
                )
            }
            Self::OneByN { channels, dark } => {
                write!(
                    f,
                    "a 1x{channels} switch: common-1 to common-{channels}, {}",
                    if dark { "or dark" } else { "never dark" }
                )
            }
            Self::Crossbar => f.write_str("a 2x2 crossbar: bar (1-3,2-4) or cross (1-4,2-3)"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_switch_types_are_represented_accurately() {
        let state = |text: &str| text.parse::<CrossConnects>().unwrap();
        let matrix = Geometry::matrix(2, 3);
        assert_eq!(matrix.ports().count(), 5);
        assert!(
            matrix.check_state(&state("dark")).is_ok() && matrix.check_state(&state("1-5")).is_ok()
        );
        assert!(
            matrix.check_state(&state("1-2")).is_err()
                && matrix.check_state(&state("1-6")).is_err()
        );
        let select = Geometry::one_by(4);
        assert!(select.check_state(&state("common-4")).is_ok());
        assert!(
            select
                .check_state(&state("dark"))
                .unwrap_err()
                .message()
                .contains("never dark")
        );
        assert!(
            Geometry::OneByN {
                channels: 4,
                dark: true
            }
            .check_state(&state("dark"))
            .is_ok()
        );
        assert!(select.check_port(Port(5)).is_err());
        assert!(Geometry::Crossbar.check_state(&state("1-3")).is_err());
        let cross = state("1-3,2-4")
            .with_changes(&Geometry::Crossbar, &[], &[CrossConnect::new(2, 3)])
            .unwrap();
        assert_eq!(cross.to_string(), "1-4,2-3");
    }
}
