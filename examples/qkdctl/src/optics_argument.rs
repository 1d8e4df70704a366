//! Settings of attenuators and power monitors, as they are written on the command line.

use qkd_hal::{
    Error, Result,
    units::{DecibelMilliwatts, Decibels, Nanometres},
};
use qkd_switch_hal::{AlarmLevels, Attenuation, MonitorSetting};
use std::str::FromStr;

/// A setting of an attenuator, as it is written on the command line.
#[derive(Debug, Clone)]
pub(crate) struct AttenuationArgument(pub(crate) Attenuation);

impl FromStr for AttenuationArgument {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        let wrong = || {
            Error::invalid(format!(
                "invalid attenuation `{text}`; expected one of: transparent, maximum, loss=DB, \
                 output-power=DBM, relative=DB:PORT"
            ))
        };
        let number = |text: &str| text.parse::<f64>().map_err(|_| wrong());
        Ok(Self(match text.split_once('=') {
            None if text == "transparent" => Attenuation::Transparent,
            None if text == "maximum" => Attenuation::Maximum,
            Some(("loss", value)) => Attenuation::Loss(Decibels(number(value)?)),
            Some(("output-power", value)) => {
                Attenuation::OutputPower(DecibelMilliwatts(number(value)?))
            }
            Some(("relative", value)) => {
                let (below, reference) = value.split_once(':').ok_or_else(wrong)?;
                Attenuation::Relative {
                    below: Decibels(number(below)?),
                    reference: reference.parse()?,
                }
            }
            _ => return Err(wrong()),
        }))
    }
}

/// A setting of a power monitor, as it is written on the command line.
#[derive(Debug, Clone, Copy)]
pub(crate) struct MonitorArgument(pub(crate) MonitorSetting);

impl FromStr for MonitorArgument {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        let wrong = || {
            Error::invalid(format!(
                "invalid monitor setting `{text}`; expected one of: wavelength=NM, \
                 averaging=TIME (such as 50ms), alarms=LOW..HIGH (dBm, each side may be left \
                 out), alarms=off"
            ))
        };
        let (name, value) = text.split_once('=').ok_or_else(wrong)?;
        Ok(Self(match name {
            "wavelength" => {
                MonitorSetting::Wavelength(Nanometres(value.parse().map_err(|_| wrong())?))
            }
            "averaging" => {
                MonitorSetting::Averaging(humantime::parse_duration(value).map_err(|_| wrong())?)
            }
            "alarms" if value == "off" => MonitorSetting::Alarms(AlarmLevels::default()),
            "alarms" => {
                let (low, high) = value.split_once("..").ok_or_else(wrong)?;
                let level = |text: &str| match text {
                    "" => Ok(None),
                    text => text
                        .parse()
                        .map(|power| Some(DecibelMilliwatts(power)))
                        .map_err(|_| wrong()),
                };
                MonitorSetting::Alarms(AlarmLevels {
                    low: level(low)?,
                    high: level(high)?,
                })
            }
            _ => return Err(wrong()),
        }))
    }
}
