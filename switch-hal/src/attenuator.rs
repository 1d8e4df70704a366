//! Variable optical attenuators.
//!
//! **Provisional**: one implementation so far.
//!
//! ```text
//! controller                     attenuator
//!     |--- set_attenuation(port) --->|   refused if not declared
//!     |                              |   set, then read back
//!     |<-- Ok -----------------------|   ChangeNotApplied if the value differs
//! ```
//!
//! # For controller authors
//!
//! An attenuator is set to a loss or, if it has a control loop, to an output power.
//! [`AttenuatorCapabilities`] lists the supported settings.
//!
//! # For driver authors
//!
//! A mode whose meaning is not published is reported as [`Attenuation::Other`] and never set.

use crate::{Port, power_meter::check_range};
use async_trait::async_trait;
use qkd_hal::{
    Device, Error, Result,
    units::{DecibelMilliwatts, Decibels},
};
use serde::Serialize;
use std::{collections::BTreeSet, fmt, ops::RangeInclusive};

/// To what an attenuator is set.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Attenuation {
    /// It lets all light pass that it can.
    Transparent,
    /// Attenuates by this loss.
    Loss(Decibels),
    /// To an output power, kept by the device.
    OutputPower(DecibelMilliwatts),
    /// To an output power relative to that of another port, kept by the device.
    Relative {
        /// So much below it.
        below: Decibels,
        /// Port whose power is the reference.
        reference: Port,
    },
    /// To the greatest loss that it has.
    Maximum,
    /// To something that the vendor names, and whose meaning is not public. Cannot be set.
    Other(String),
}

impl Attenuation {
    /// The word of its mode.
    #[must_use]
    pub fn mode(&self) -> &str {
        match self {
            Self::Transparent => "transparent",
            Self::Loss(_) => "loss",
            Self::OutputPower(_) => "output-power",
            Self::Relative { .. } => "relative",
            Self::Maximum => "maximum",
            Self::Other(word) => word,
        }
    }
}

impl fmt::Display for Attenuation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Loss(loss) => write!(f, "loss of {loss}"),
            Self::OutputPower(power) => write!(f, "output power of {power}"),
            Self::Relative { below, reference } => write!(f, "{below} below port {reference}"),
            other => f.write_str(other.mode()),
        }
    }
}

impl Serialize for Attenuation {
    fn serialize<S: serde::Serializer>(&self, s: S) -> std::result::Result<S::Ok, S::Error> {
        use serde::ser::SerializeMap;
        let mut out = s.serialize_map(None)?;
        out.serialize_entry("mode", self.mode())?;
        match self {
            Self::Loss(loss) => out.serialize_entry("loss_db", loss)?,
            Self::OutputPower(power) => out.serialize_entry("output_power_dbm", power)?,
            Self::Relative { below, reference } => {
                out.serialize_entry("below_db", below)?;
                out.serialize_entry("reference", reference)?;
            }
            Self::Transparent | Self::Maximum | Self::Other(_) => {}
        }
        out.end()
    }
}

/// Properties of an attenuator in addition to [`qkd_hal::Capabilities`].
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
#[non_exhaustive]
pub struct AttenuatorCapabilities {
    /// Ports with an attenuator.
    pub ports: BTreeSet<Port>,
    /// Whether it can be transparent, and at its maximum.
    pub ends: bool,
    /// The losses to which it can be set, in dB.
    #[serde(rename = "loss_db")]
    pub loss: Option<RangeInclusive<f64>>,
    /// The output powers to which it can be set, in dBm.
    #[serde(rename = "output_power_dbm")]
    pub output_power: Option<RangeInclusive<f64>>,
    /// The differences to another port to which it can be set, in dB.
    #[serde(rename = "relative_db")]
    pub relative: Option<RangeInclusive<f64>>,
}

impl AttenuatorCapabilities {
    /// With attenuators at these ports.
    #[must_use]
    pub fn for_ports(ports: impl IntoIterator<Item = Port>) -> Self {
        Self {
            ports: ports.into_iter().collect(),
            ..Self::default()
        }
    }
    /// That can be transparent, and at its maximum.
    #[must_use]
    pub fn with_extremes(mut self) -> Self {
        self.ends = true;
        self
    }
    /// Sets the range of supported losses.
    #[must_use]
    pub fn with_loss(mut self, range: RangeInclusive<Decibels>) -> Self {
        self.loss = Some(range.start().0..=range.end().0);
        self
    }
    /// With these output powers.
    #[must_use]
    pub fn with_output_power(mut self, range: RangeInclusive<DecibelMilliwatts>) -> Self {
        self.output_power = Some(range.start().0..=range.end().0);
        self
    }
    /// With these differences to another port.
    #[must_use]
    pub fn with_relative(mut self, range: RangeInclusive<Decibels>) -> Self {
        self.relative = Some(range.start().0..=range.end().0);
        self
    }

    /// Checks that there is an attenuator.
    ///
    /// # Errors
    /// `InvalidInput`.
    pub fn check_port(&self, port: Port) -> Result<()> {
        if self.ports.contains(&port) {
            Ok(())
        } else {
            Err(Error::invalid(format!("port {port} has no attenuator")))
        }
    }

    /// Checks that an attenuator can be set so.
    ///
    /// # Errors
    /// `InvalidInput`, naming what would be right.
    pub fn check(&self, port: Port, wanted: &Attenuation) -> Result<()> {
        self.check_port(port)?;
        match wanted {
            Attenuation::Transparent | Attenuation::Maximum if self.ends => Ok(()),
            Attenuation::Loss(loss) => check_range(loss.0, self.loss.as_ref(), "dB", "loss"),
            Attenuation::OutputPower(power) => {
                check_range(power.0, self.output_power.as_ref(), "dBm", "output power")
            }
            Attenuation::Relative { reference, .. } if *reference == port => Err(Error::invalid(
                format!("port {port} cannot be its own reference"),
            )),
            Attenuation::Relative { below, .. } => check_range(
                below.0,
                self.relative.as_ref(),
                "dB",
                "difference to another port",
            ),
            other => Err(Error::invalid(format!(
                "this attenuator cannot be set to `{other}`"
            ))),
        }
    }
}

/// A variable optical attenuator.
#[async_trait]
pub trait Attenuator: Device {
    /// Returns the properties of this attenuator, without I/O.
    fn attenuator_capabilities(&self) -> &AttenuatorCapabilities;

    /// To what the attenuator of a port is set.
    ///
    /// # Errors
    /// `InvalidInput` for a port without one; transport errors.
    async fn attenuation(&self, port: Port) -> Result<Attenuation>;

    /// Sets it, and reads back. **Changes the light at that port.**
    ///
    /// # Errors
    /// `InvalidInput`, before anything is sent; `Refused`, `Misbehaved(ChangeNotApplied)`,
    /// transport errors.
    async fn set_attenuation(&self, port: Port, wanted: &Attenuation) -> Result<()>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attenuator_accepts_only_declared_settings() {
        let voa = AttenuatorCapabilities::for_ports([Port(17), Port(18)])
            .with_extremes()
            .with_relative(Decibels(0.0)..=Decibels(20.0));
        let relative = |below, reference| Attenuation::Relative {
            below: Decibels(below),
            reference: Port(reference),
        };
        assert!(voa.check(Port(17), &Attenuation::Maximum).is_ok());
        assert!(voa.check(Port(1), &Attenuation::Maximum).is_err());
        assert!(voa.check(Port(17), &relative(3.0, 18)).is_ok());
        assert!(
            voa.check(Port(17), &relative(3.0, 17))
                .unwrap_err()
                .message()
                .contains("own reference")
        );
        assert!(
            voa.check(Port(17), &Attenuation::Loss(Decibels(3.0)))
                .unwrap_err()
                .message()
                .contains("no loss")
        );
        assert!(
            voa.check(Port(17), &Attenuation::Other("CONV".to_owned()))
                .is_err()
        );
    }
}
