//! Units as types. Standards disagree on bits and bytes, seconds and milliseconds; these types end
//! that.
//!
//! ETSI GS QKD 014 counts key sizes in bits, GS QKD 004 in bytes, GS QKD 015 rates in bit/s, SKIP
//! sizes in bits.

use serde::Serialize;
use std::fmt;

macro_rules! unit {
    ($(#[$doc:meta])* $name:ident(f64), $symbol:literal) => {
        unit!($(#[$doc])* $name(#[serde(with = "crate::serial::number")] f64), $symbol);
    };
    ($(#[$doc:meta])* $name:ident($(#[$form:meta])* $inner:ty), $symbol:literal) => {
        $(#[$doc])*
        #[derive(
            Debug, Clone, Copy, PartialEq, PartialOrd, Default, Serialize, serde::Deserialize,
        )]
        #[serde(transparent)]
        pub struct $name($(#[$form])* pub $inner);
        impl $name {
            /// Symbol of the unit, as printed after a value.
            pub const SYMBOL: &'static str = $symbol;
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)?;
                if Self::SYMBOL.is_empty() { Ok(()) } else { write!(f, " {}", Self::SYMBOL) }
            }
        }
    };
}

unit!(/// A number of bits.
    Bits(u64), "bit");
unit!(/// A number of bytes (octets).
    Bytes(u64), "B");
unit!(/// A rate, in bit/s.
    BitsPerSecond(f64), "bit/s");
unit!(/// A ratio of powers, in dB. Loss is positive.
    Decibels(f64), "dB");
unit!(/// An absolute optical power, in dBm.
    DecibelMilliwatts(f64), "dBm");
unit!(/// A vacuum wavelength, in nm.
    Nanometres(f64), "nm");
unit!(/// A dimensionless ratio; a QBER of 0.021 is 2.1 %.
    Ratio(f64), "");
unit!(/// A temperature, in degrees Celsius.
    Celsius(f64), "°C");
unit!(/// A frequency or count rate, in 1/s.
    Hertz(f64), "Hz");
unit!(/// Excess noise of a CV-QKD link, in shot-noise units.
    ShotNoiseUnits(f64), "SNU");

impl Eq for Bits {}
impl Eq for Bytes {}

impl Bytes {
    /// The same amount in bits.
    #[must_use]
    pub fn to_bits(self) -> Bits {
        Bits(self.0.saturating_mul(8))
    }
}

impl Bits {
    /// The same amount in bytes, if it is whole.
    #[must_use]
    pub fn to_bytes(self) -> Option<Bytes> {
        self.0.is_multiple_of(8).then_some(Bytes(self.0 / 8))
    }
}

impl Decibels {
    /// Returns the transmittance of this loss, 0 to 1.
    #[must_use]
    pub fn transmittance(self) -> Ratio {
        Ratio(10f64.powf(-self.0 / 10.0))
    }
}

impl DecibelMilliwatts {
    /// Converts to watts.
    #[must_use]
    pub fn to_watts(self) -> f64 {
        1e-3 * 10f64.powf(self.0 / 10.0)
    }
    /// Converts from watts.
    #[must_use]
    pub fn from_watts(watts: f64) -> Self {
        Self(10.0 * (watts / 1e-3).log10())
    }
}

impl std::ops::Sub<Decibels> for DecibelMilliwatts {
    type Output = Self;
    fn sub(self, loss: Decibels) -> Self {
        Self(self.0 - loss.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_sizes_in_bits_are_not_bytes() {
        assert_eq!(Bytes(32).to_bits(), Bits(256));
        assert_eq!(Bits(256).to_bytes(), Some(Bytes(32)));
        assert_eq!(Bits(257).to_bytes(), None);
        assert_eq!(Bits(256).to_string(), "256 bit");
    }

    #[test]
    fn ten_decibels_are_a_tenth() {
        assert!((Decibels(10.0).transmittance().0 - 0.1).abs() < 1e-12);
        assert!((DecibelMilliwatts(0.0).to_watts() - 1e-3).abs() < 1e-15);
        assert!((DecibelMilliwatts::from_watts(1e-6).0 + 30.0).abs() < 1e-9);
    }
}
