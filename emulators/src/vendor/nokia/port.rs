//! Port IDs: TIMETRA-TC-MIB TmnxPortID.

use std::{fmt, str::FromStr};

/// tmnxChassisPortIdScheme: how a port id is laid out. Connectors and scheme D are not in the MIB;
/// their layout follows the comments of `nuage_topology_collector`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Scheme {
    /// 000, slot 4 bits, mda 4, port 6, 15 zero bits. It has no connectors.
    #[default]
    A,
    /// 0110, 5 zero bits, slot 5, mda 4, 4 zero bits, port 7, 3 zero bits. Of a connector, after
    /// the mda: 1, 0, connector 6, port 6.
    B,
    /// 000, slot 4 bits, high bits of the port 2, MDA 2, low bits of the port 6, 15 zero bits. With
    /// a connector: connector 6, 1, 8 zero bits, port 6 after the MDA.
    C,
    /// 0x4B, 2 zero bits, slot 3, mda 4, 7 zero bits, port 8. Of a connector, after the mda: 0, 1,
    /// 0, connector 6, port 6.
    D,
}

/// A port: slot, MDA, connector and port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Slot of the card.
    pub slot: u32,
    /// MDA on the card.
    pub mda: u32,
    /// Connector on the MDA; `None` if the port has none.
    pub connector: Option<u32>,
    /// Port of the MDA or connector.
    pub port: u32,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/", self.slot, self.mda)?;
        if let Some(connector) = self.connector {
            write!(f, "c{connector}/")?;
        }
        write!(f, "{}", self.port)
    }
}

impl FromStr for Place {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is not a port such as 1/1/1 or 1/1/c1/1");
        let number = |part: &str| part.parse::<u32>().map_err(|_| wrong());
        let parts: Vec<&str> = text.split('/').collect();
        let (slot, mda, connector, port) = match parts.as_slice() {
            [slot, mda, port] => (slot, mda, None, port),
            [slot, mda, connector, port] => {
                let connector = connector.strip_prefix('c').ok_or_else(wrong)?;
                (slot, mda, Some(number(connector)?), port)
            }
            _ => return Err(wrong()),
        };
        Ok(Self {
            slot: number(slot)?,
            mda: number(mda)?,
            connector,
            port: number(port)?,
        })
    }
}

impl FromStr for Scheme {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "a" => Ok(Self::A),
            "b" => Ok(Self::B),
            "c" => Ok(Self::C),
            "d" => Ok(Self::D),
            _ => Err(format!("`{text}` is not a scheme: it is a, b, c or d")),
        }
    }
}

impl Scheme {
    /// Returns the value of tmnxChassisPortIdScheme.
    #[must_use]
    pub fn number(self) -> i32 {
        match self {
            Self::A => 1,
            Self::B => 2,
            Self::C => 3,
            Self::D => 4,
        }
    }
    /// The port id; bits that the scheme has no room for are lost.
    #[must_use]
    pub fn port_id(self, place: Place) -> u32 {
        let Place {
            slot, mda, port, ..
        } = place;
        let on_connector = |connector: u32| (connector & 63) << 6 | (port & 63);
        match (self, place.connector) {
            (Self::A, _) => (slot & 15) << 25 | (mda & 15) << 21 | (port & 63) << 15,
            (Self::B, connector) => {
                let low = connector.map_or((port & 127) << 3, |c| 1 << 13 | on_connector(c));
                6 << 28 | (slot & 31) << 18 | (mda & 15) << 14 | low
            }
            (Self::C, None) => {
                (slot & 15) << 25 | (port >> 6 & 3) << 23 | (mda & 3) << 21 | (port & 63) << 15
            }
            (Self::C, Some(connector)) => {
                let low = (connector & 63) << 15 | 1 << 14 | (port & 63);
                (slot & 15) << 25 | (mda & 3) << 21 | low
            }
            (Self::D, connector) => {
                let low = connector.map_or(port & 255, |c| 1 << 13 | on_connector(c));
                0x4B << 24 | (slot & 7) << 19 | (mda & 15) << 15 | low
            }
        }
    }
}
