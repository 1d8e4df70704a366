//! TmnxPortID: which port a number names.

/// tmnxChassisPortIdScheme.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PortScheme {
    /// schemeA(1): `000 | slot 4 | mda 4 | port 6 | 0 (15)`
    A,
    /// schemeB(2): `0110 | 0 (5) | slot 5 | mda 4 | 0 (4) | port 7 | 0 (3)`
    B,
    /// schemeC(3): `000 | slot 4 | port, high 2 | mda 2 | port, low 6 | 0 (15)`
    C,
    /// schemeD(4): named in the MIB, its layout is not public.
    D,
}

impl PortScheme {
    /// By its number.
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

/// `slot/mda/port` or `lag-<id>`, and just the number where its layout is not known.
#[must_use]
pub fn port_name(id: u32, scheme: PortScheme) -> String {
    let bits = |low: u32, count: u32| (id >> low) & ((1 << count) - 1);
    // LAG: `0101 ... | id (10)`.
    if bits(28, 4) == 0b0101 {
        return format!("lag-{}", bits(0, 10));
    }
    match scheme {
        PortScheme::A if bits(29, 3) == 0 => {
            format!("{}/{}/{}", bits(25, 4), bits(21, 4), bits(15, 6))
        }
        PortScheme::B if bits(28, 4) == 0b0110 => {
            format!("{}/{}/{}", bits(18, 5), bits(14, 4), bits(3, 7))
        }
        PortScheme::C if bits(29, 3) == 0 => format!(
            "{}/{}/{}",
            bits(25, 4),
            bits(21, 2),
            bits(23, 2) << 6 | bits(15, 6)
        ),
        _ => id.to_string(),
    }
}
