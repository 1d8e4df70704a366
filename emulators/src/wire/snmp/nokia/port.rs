//! TIMETRA-TC-MIB TmnxPortID.

/// tmnxChassisPortIdScheme: how a port id is laid out. Scheme D is named in the MIB without its layout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Scheme {
    /// 000, slot 4 bits, mda 4, port 6, 15 zero bits.
    #[default]
    A,
    /// 0110, 5 zero bits, slot 5, mda 4, 4 zero bits, port 7, 3 zero bits.
    B,
    /// 000, slot 4 bits, high bits of the port 2, mda 2, low bits of the port 6, 15 zero bits.
    C,
}

impl Scheme {
    /// tmnxChassisPortIdScheme.
    #[must_use]
    pub fn number(self) -> i32 {
        match self {
            Self::A => 1,
            Self::B => 2,
            Self::C => 3,
        }
    }
    /// The port id; bits that the scheme has no room for are lost.
    #[must_use]
    pub fn port_id(self, slot: u32, mda: u32, port: u32) -> u32 {
        match self {
            Self::A => (slot & 15) << 25 | (mda & 15) << 21 | (port & 63) << 15,
            Self::B => 6 << 28 | (slot & 31) << 18 | (mda & 15) << 14 | (port & 127) << 3,
            Self::C => {
                (slot & 15) << 25 | (port >> 6 & 3) << 23 | (mda & 3) << 21 | (port & 63) << 15
            }
        }
    }
}
