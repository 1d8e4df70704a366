//! Ports, and the cross-connects between them.

use super::Geometry;
use crate::{Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    str::FromStr,
};

/// A port, by the number that the vendor gives it (1-based). The common port of a 1×N switch is
/// [`Port::COMMON`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Port(pub u32);

impl Port {
    /// The common port of a 1×N switch, which vendors do not number.
    pub const COMMON: Self = Self(0);
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::COMMON {
            f.write_str("common")
        } else {
            write!(f, "{}", self.0)
        }
    }
}

impl From<u32> for Port {
    fn from(number: u32) -> Self {
        Self(number)
    }
}

impl FromStr for Port {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        if text.eq_ignore_ascii_case("common") {
            return Ok(Self::COMMON);
        }
        text.parse()
            .map(Self)
            .map_err(|_| Error::invalid(format!("`{text}` is not a port: a number, or `common`")))
    }
}

/// A path through the switch, from an ingress port to an egress port. Light passes both ways.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct CrossConnect {
    /// Ingress port.
    pub ingress: Port,
    /// Egress port.
    pub egress: Port,
}

impl CrossConnect {
    /// From one port to the other.
    #[must_use]
    pub const fn new(ingress: u32, egress: u32) -> Self {
        Self {
            ingress: Port(ingress),
            egress: Port(egress),
        }
    }
    /// Returns ingress and egress port.
    #[must_use]
    pub const fn ports(self) -> [Port; 2] {
        [self.ingress, self.egress]
    }
}

impl fmt::Display for CrossConnect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.ingress, self.egress)
    }
}

impl FromStr for CrossConnect {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        let (ingress, egress) = text.split_once('-').ok_or_else(|| {
            Error::invalid(format!(
                "`{text}` is not a cross-connect: two ports with a dash, such as 1-17"
            ))
        })?;
        Ok(Self {
            ingress: ingress.trim().parse()?,
            egress: egress.trim().parse()?,
        })
    }
}

/// A set of cross-connects in which each port is in at most one cross-connect.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CrossConnects(BTreeMap<Port, CrossConnect>);

impl CrossConnects {
    /// The empty set: all dark.
    #[must_use]
    pub fn dark() -> Self {
        Self::default()
    }

    /// Adds a cross-connect.
    ///
    /// # Errors
    /// `InvalidInput` if one of its ports is taken by another, or both are the same.
    pub fn insert(&mut self, new: CrossConnect) -> Result<()> {
        if new.ingress == new.egress {
            return Err(Error::invalid(format!("{new} connects a port with itself")));
        }
        if let Some(old) = new
            .ports()
            .iter()
            .find_map(|p| self.connection_at(*p))
            .filter(|old| *old != new)
        {
            return Err(Error::invalid(format!(
                "{new} needs a port that {old} holds"
            )));
        }
        for port in new.ports() {
            self.0.insert(port, new);
        }
        Ok(())
    }

    /// Takes away the cross-connect at a port.
    pub fn remove(&mut self, port: Port) -> Option<CrossConnect> {
        let old = self.0.remove(&port)?;
        for port in old.ports() {
            self.0.remove(&port);
        }
        Some(old)
    }

    /// The cross-connect at a port.
    #[must_use]
    pub fn connection_at(&self, port: Port) -> Option<CrossConnect> {
        self.0.get(&port).copied()
    }

    /// The port at the other end.
    #[must_use]
    pub fn peer(&self, port: Port) -> Option<Port> {
        self.connection_at(port).map(|c| {
            if c.ingress == port {
                c.egress
            } else {
                c.ingress
            }
        })
    }

    /// Whether this very cross-connect is there.
    #[must_use]
    pub fn contains(&self, connection: CrossConnect) -> bool {
        self.connection_at(connection.ingress) == Some(connection)
    }

    /// All of them, by ingress port.
    pub fn iter(&self) -> impl Iterator<Item = CrossConnect> + '_ {
        self.0
            .iter()
            .filter(|(port, c)| **port == c.ingress)
            .map(|(_, c)| *c)
    }

    /// Returns the number of cross-connects.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len() / 2
    }

    /// Whether all is dark.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Those that hold one of the ports.
    #[must_use]
    pub fn using_ports(&self, ports: &BTreeSet<Port>) -> Self {
        Self(
            self.0
                .iter()
                .filter(|(_, c)| c.ports().iter().any(|p| ports.contains(p)))
                .map(|(p, c)| (*p, *c))
                .collect(),
        )
    }

    /// The state wanted when these ports are disconnected and then these cross-connects made, each
    /// of which takes its ports from whoever holds them now.
    ///
    /// # Errors
    /// `InvalidInput` for ports that the geometry lacks or that cannot meet, for two wishes that
    /// contradict each other, and for a result that the hardware cannot show; `NotFound` for a port
    /// to disconnect that is not connected.
    pub fn with_changes(
        &self,
        geometry: &Geometry,
        disconnect: &[Port],
        connect: &[CrossConnect],
    ) -> Result<Self> {
        let mut wanted = self.clone();
        for port in disconnect {
            geometry.check_port(*port)?;
            if self.connection_at(*port).is_none() {
                return Err(Error::new(
                    ErrorKind::NotFound,
                    format!("port {port} is not connected"),
                ));
            }
            wanted.remove(*port);
        }
        let mut asked = Self::dark();
        for new in connect {
            geometry.check(*new)?;
            asked.insert(*new)?;
            for port in new.ports() {
                wanted.remove(port);
            }
            wanted.insert(*new)?;
        }
        if let Some(lost) = asked.iter().find(|c| !wanted.contains(*c)) {
            return Err(Error::invalid(format!(
                "{lost} is asked for together with one that takes its port"
            )));
        }
        let wanted = geometry.normalised(wanted);
        geometry.check_state(&wanted)?;
        Ok(wanted)
    }
}

impl FromIterator<CrossConnect> for Result<CrossConnects> {
    fn from_iter<I: IntoIterator<Item = CrossConnect>>(iter: I) -> Self {
        let mut all = CrossConnects::dark();
        for c in iter {
            all.insert(c)?;
        }
        Ok(all)
    }
}

impl fmt::Display for CrossConnects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return f.write_str("dark");
        }
        for (i, c) in self.iter().enumerate() {
            write!(f, "{}{c}", if i == 0 { "" } else { "," })?;
        }
        Ok(())
    }
}

impl FromStr for CrossConnects {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        if text.trim() == "dark" {
            return Ok(Self::dark());
        }
        text.split(',')
            .map(|part| part.trim().parse())
            .collect::<Result<Vec<CrossConnect>>>()?
            .into_iter()
            .collect()
    }
}

impl Serialize for CrossConnects {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_seq(self.iter())
    }
}

impl<'de> Deserialize<'de> for CrossConnects {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let all: Result<Self> = Vec::<CrossConnect>::deserialize(d)?.into_iter().collect();
        all.map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn port_is_in_at_most_one_connection() {
        let mut all: CrossConnects = "1-17,2-18".parse().unwrap();
        assert!(all.insert(CrossConnect::new(1, 18)).is_err());
        assert!(all.insert(CrossConnect::new(3, 18)).is_err());
        assert!(all.insert(CrossConnect::new(3, 3)).is_err());
        all.insert(CrossConnect::new(1, 17)).unwrap();
        assert_eq!(
            (all.len(), all.peer(Port(18)), all.peer(Port(3))),
            (2, Some(Port(2)), None)
        );
        assert_eq!(all.remove(Port(17)), Some(CrossConnect::new(1, 17)));
        assert_eq!(all.to_string(), "2-18");
        assert!("1-17,1-18".parse::<CrossConnects>().is_err());
    }

    #[test]
    fn edits_take_ports_from_their_holders() {
        let geometry = Geometry::matrix(4, 4);
        let present: CrossConnects = "1-5,2-6".parse().unwrap();
        let edit = |disconnect: &[u32], connect: &[(u32, u32)]| {
            let connect: Vec<_> = connect
                .iter()
                .map(|(a, b)| CrossConnect::new(*a, *b))
                .collect();
            present.with_changes(
                &geometry,
                &disconnect.iter().map(|p| Port(*p)).collect::<Vec<_>>(),
                &connect,
            )
        };
        assert_eq!(edit(&[], &[(1, 6)]).unwrap().to_string(), "1-6");
        assert_eq!(edit(&[5], &[]).unwrap().to_string(), "2-6");
        assert_eq!(edit(&[3], &[]).unwrap_err().kind(), ErrorKind::NotFound);
        assert_eq!(edit(&[9], &[]).unwrap_err().kind(), ErrorKind::InvalidInput);
        assert_eq!(
            edit(&[], &[(1, 6), (2, 6)]).unwrap_err().kind(),
            ErrorKind::InvalidInput
        );
        assert_eq!(
            edit(&[], &[(5, 1)]).unwrap_err().kind(),
            ErrorKind::InvalidInput
        );
    }
}
