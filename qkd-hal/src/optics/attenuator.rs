//! Data of variable optical attenuators.

use super::{Port, power_meter::check_range};
use crate::{
    Error, Result,
    units::{DecibelMilliwatts, Decibels},
};
use serde::{Deserialize, Serialize};
use std::{borrow::Cow, collections::BTreeSet, fmt, ops::RangeInclusive};

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

/// Form in which an [`Attenuation`] travels: the word of its mode, with the values of that mode.
#[derive(Serialize, Deserialize)]
struct AttenuationForm<'a> {
    mode: Cow<'a, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    loss_db: Option<Decibels>,
    #[serde(skip_serializing_if = "Option::is_none")]
    output_power_dbm: Option<DecibelMilliwatts>,
    #[serde(skip_serializing_if = "Option::is_none")]
    below_db: Option<Decibels>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reference: Option<Port>,
}

impl Serialize for Attenuation {
    fn serialize<S: serde::Serializer>(&self, s: S) -> std::result::Result<S::Ok, S::Error> {
        let mut form = AttenuationForm {
            mode: self.mode().into(),
            loss_db: None,
            output_power_dbm: None,
            below_db: None,
            reference: None,
        };
        match *self {
            Self::Loss(loss) => form.loss_db = Some(loss),
            Self::OutputPower(power) => form.output_power_dbm = Some(power),
            Self::Relative { below, reference } => {
                (form.below_db, form.reference) = (Some(below), Some(reference));
            }
            Self::Transparent | Self::Maximum | Self::Other(_) => {}
        }
        form.serialize(s)
    }
}

impl<'de> Deserialize<'de> for Attenuation {
    /// A mode without the values that it needs is one of [`Attenuation::Other`], which cannot be
    /// set.
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> std::result::Result<Self, D::Error> {
        let form = AttenuationForm::deserialize(d)?;
        let relative = form.below_db.zip(form.reference);
        Ok(
            match (&*form.mode, form.loss_db, form.output_power_dbm, relative) {
                ("transparent", ..) => Self::Transparent,
                ("maximum", ..) => Self::Maximum,
                ("loss", Some(loss), ..) => Self::Loss(loss),
                ("output-power", _, Some(power), _) => Self::OutputPower(power),
                ("relative", .., Some((below, reference))) => Self::Relative { below, reference },
                _ => Self::Other(form.mode.into_owned()),
            },
        )
    }
}

/// Properties of an attenuator in addition to [`crate::Capabilities`].
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct AttenuatorCapabilities {
    /// Ports with an attenuator.
    pub ports: BTreeSet<Port>,
    /// Whether it can be transparent, and at its maximum.
    pub ends: bool,
    /// The losses to which it can be set, in dB.
    #[serde(rename = "loss_db", with = "crate::serial::optional_number_range")]
    pub loss: Option<RangeInclusive<f64>>,
    /// The output powers to which it can be set, in dBm.
    #[serde(
        rename = "output_power_dbm",
        with = "crate::serial::optional_number_range"
    )]
    pub output_power: Option<RangeInclusive<f64>>,
    /// The differences to another port to which it can be set, in dB.
    #[serde(rename = "relative_db", with = "crate::serial::optional_number_range")]
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
