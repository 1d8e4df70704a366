//! TmnxPortID: which port a number names.
//!
//! Schemes A to C and LAG are described in TIMETRA-TC-MIB. Connector ports (`1/1/c1/1`) and scheme
//! D are not: their layout is inferred from `nuage_topology_collector`, whose public test has the
//! pairs that `vectors/nokia-sros-macsec.json` lists. A number with a bit where the layout has none
//! is not read, since another layout may have made it.

/// Layout of port IDs: tmnxChassisPortIdScheme.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PortScheme {
    /// schemeA(1): `000 | slot 4 | mda 4 | port 6 | 0 (15)`
    A,
    /// schemeB(2): `0110 | 0 (5) | slot 5 | mda 4 | 0 (4) | port 7 | 0 (3)`; of a connector,
    /// inferred: `... | mda 4 | 1 | 0 | connector 6 | port 6`
    B,
    /// schemeC(3): `000 | slot 4 | port, high 2 | mda 2 | port, low 6 | 0 (15)`; of a connector,
    /// inferred: `000 | slot 4 | 0 (2) | mda 2 | connector 6 | 1 | 0 (8) | port 6`
    C,
    /// schemeD(4), inferred: `01001011 | 0 (2) | slot 3 | mda 4 | 0 (7) | port 8`; of a connector:
    /// `... | mda 4 | 0 | 1 | 0 | connector 6 | port 6`
    D,
}

impl PortScheme {
    /// Returns the layout with this number; `None` for an unknown one.
    #[must_use]
    pub fn from_number(number: u64) -> Option<Self> {
        match number {
            1 => Some(Self::A),
            2 => Some(Self::B),
            3 => Some(Self::C),
            4 => Some(Self::D),
            _ => None,
        }
    }
}

/// `slot/mda/port`, `slot/mda/c<connector>/port` or `lag-<id>`; the number itself if it does not
/// fit the scheme.
#[must_use]
pub fn port_name(id: u32, scheme: PortScheme) -> String {
    let bits = |low: u32, count: u32| (id >> low) & ((1 << count) - 1);
    // LAG: `0101 ... | id (10)`.
    if bits(28, 4) == 0b0101 {
        return format!("lag-{}", bits(0, 10));
    }
    let plain = |slot: u32, mda: u32, port: u32| format!("{slot}/{mda}/{port}");
    let connector = |slot: u32, mda: u32| format!("{slot}/{mda}/c{}/{}", bits(6, 6), bits(0, 6));
    match scheme {
        PortScheme::A if bits(29, 3) == 0 && bits(0, 15) == 0 => {
            plain(bits(25, 4), bits(21, 4), bits(15, 6))
        }
        PortScheme::B if bits(23, 9) == 0b0_1100_0000 => match bits(12, 2) {
            0b00 if bits(10, 2) == 0 && bits(0, 3) == 0 => {
                plain(bits(18, 5), bits(14, 4), bits(3, 7))
            }
            0b10 => connector(bits(18, 5), bits(14, 4)),
            _ => id.to_string(),
        },
        PortScheme::C if bits(29, 3) == 0 => match (bits(14, 1), bits(6, 8), bits(23, 2)) {
            (0, 0, high) if bits(0, 6) == 0 => {
                plain(bits(25, 4), bits(21, 2), high << 6 | bits(15, 6))
            }
            (1, 0, 0) => format!(
                "{}/{}/c{}/{}",
                bits(25, 4),
                bits(21, 2),
                bits(15, 6),
                bits(0, 6)
            ),
            _ => id.to_string(),
        },
        PortScheme::D if bits(24, 8) == 0b0100_1011 && bits(22, 2) == 0 => match bits(12, 3) {
            0b000 if bits(8, 4) == 0 => plain(bits(19, 3), bits(15, 4), bits(0, 8)),
            0b010 => connector(bits(19, 3), bits(15, 4)),
            _ => id.to_string(),
        },
        _ => id.to_string(),
    }
}
