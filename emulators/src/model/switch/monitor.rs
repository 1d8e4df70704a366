//! Power monitors and their alarms.

use std::fmt;

/// Whether an alarm is raised, and whether it stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AlarmMode {
    /// The alarm is never raised.
    Off,
    /// Raised once, and stays until it is cleared.
    Single,
    /// The alarm follows the power.
    Continuous,
}

/// Limits that an alarm uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Edge {
    /// Below the low one.
    Low,
    /// Above the high one.
    High,
    /// Low and high limit.
    Both,
}

/// Kind of an alarm of a monitor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum AlarmKind {
    /// Loss of signal.
    Los,
    /// Signal degrade (G.808.1).
    Degraded,
}

/// An alarm of a monitor. Limits are in thousandths of a dBm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Alarm {
    /// Whether it is raised, and whether it stays.
    pub mode: AlarmMode,
    /// Limits that the alarm uses.
    pub edge: Edge,
    /// Low limit, in thousandths of a dBm.
    pub low: i32,
    /// High limit, in thousandths of a dBm.
    pub high: i32,
    raised: bool,
}

impl Alarm {
    fn off() -> Self {
        Self {
            mode: AlarmMode::Off,
            edge: Edge::Low,
            low: -50_000,
            high: 25_000,
            raised: false,
        }
    }
    /// Returns whether the alarm is active.
    #[must_use]
    pub fn raised(&self) -> bool {
        self.raised
    }
    /// Clears the alarm; it is raised again if its cause persists.
    pub fn clear(&mut self) {
        self.raised = false;
    }
    /// Updates the alarm for this power, in dBm. Returns whether it is raised, if that changed.
    fn evaluate(&mut self, level: f64) -> Option<bool> {
        let low = level < f64::from(self.low) / 1000.0;
        let high = level > f64::from(self.high) / 1000.0;
        let cause = match self.edge {
            Edge::Low => low,
            Edge::High => high,
            Edge::Both => low || high,
        };
        let raised = match self.mode {
            AlarmMode::Off => false,
            AlarmMode::Single => self.raised || cause,
            AlarmMode::Continuous => cause,
        };
        let changed = raised != self.raised;
        self.raised = raised;
        changed.then_some(raised)
    }
}

/// Settings and alarms of a power monitor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Monitor {
    /// Wavelength of the calibration, in pm.
    pub wavelength: u32,
    /// Offset of each reading, in thousandths of a dB.
    pub offset: i32,
    /// Averaging time, as a code from 1 to 8.
    pub averaging: u8,
    /// Alarm for loss of signal.
    pub los: Alarm,
    /// Alarm for a degraded signal.
    pub degraded: Alarm,
}

/// The settings as text, without the limits of an alarm that is off.
impl fmt::Display for Monitor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} pm, offset {}, averaging {}",
            self.wavelength, self.offset, self.averaging
        )?;
        for (name, alarm) in [("LOS", &self.los), ("degraded", &self.degraded)] {
            if alarm.mode != AlarmMode::Off {
                write!(
                    f,
                    ", {name} {:?} {:?} {} to {}",
                    alarm.mode, alarm.edge, alarm.low, alarm.high
                )?;
            }
        }
        Ok(())
    }
}

impl Default for Monitor {
    fn default() -> Self {
        Self {
            wavelength: 1_550_000,
            offset: 0,
            averaging: 4,
            los: Alarm::off(),
            degraded: Alarm::off(),
        }
    }
}

impl Monitor {
    /// One of its alarms.
    #[must_use]
    pub fn alarm(&self, kind: AlarmKind) -> &Alarm {
        if kind == AlarmKind::Los {
            &self.los
        } else {
            &self.degraded
        }
    }
    /// One of its alarms, to set it.
    pub fn alarm_mut(&mut self, kind: AlarmKind) -> &mut Alarm {
        if kind == AlarmKind::Los {
            &mut self.los
        } else {
            &mut self.degraded
        }
    }
    /// Lets a level, in dBm, act on its alarms; those that were raised (`true`) or cleared by that.
    pub(super) fn evaluate(&mut self, level: f64) -> Vec<(AlarmKind, bool)> {
        [AlarmKind::Los, AlarmKind::Degraded]
            .into_iter()
            .filter_map(|kind| Some((kind, self.alarm_mut(kind).evaluate(level)?)))
            .collect()
    }
}

/// Quantity that a variable attenuator keeps constant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VoaMode {
    /// It lets all light pass.
    None,
    /// A constant loss.
    Fixed,
    /// The maximum loss of the device.
    Maximum,
    /// A constant output power.
    Absolute,
    /// An output power below that of another port.
    Relative,
    /// Known by name only; here it lets all light pass.
    Converged,
}

/// A variable attenuator. The level is in thousandths of a dB or dBm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Voa {
    /// Quantity that is kept constant.
    pub mode: VoaMode,
    /// The level of that.
    pub level: i32,
    /// Reference port; `None` if the mode has none.
    pub reference: Option<u32>,
}

impl Default for Voa {
    fn default() -> Self {
        Self {
            mode: VoaMode::None,
            level: 0,
            reference: None,
        }
    }
}

/// The greatest loss of an attenuator, in dB: our choice.
pub(super) const MAX_ATTENUATION_DB: f64 = 40.0;

impl Voa {
    /// Returns the output power in dBm for this input power. An attenuator only reduces power.
    pub(super) fn passes(&self, light: f64, reference: Option<f64>) -> f64 {
        let level = f64::from(self.level) / 1000.0;
        match self.mode {
            VoaMode::None | VoaMode::Converged => light,
            VoaMode::Fixed => light - level.clamp(0.0, MAX_ATTENUATION_DB),
            VoaMode::Maximum => light - MAX_ATTENUATION_DB,
            VoaMode::Absolute => light.min(level).max(light - MAX_ATTENUATION_DB),
            VoaMode::Relative => light
                .min(reference.unwrap_or(light) - level)
                .max(light - MAX_ATTENUATION_DB),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alarms_are_latched_or_follow_the_power() {
        let mut monitor = Monitor::default();
        assert!(monitor.evaluate(-60.0).is_empty(), "off");
        monitor.los = Alarm {
            mode: AlarmMode::Continuous,
            low: -30_000,
            ..Alarm::off()
        };
        monitor.degraded = Alarm {
            mode: AlarmMode::Single,
            edge: Edge::Both,
            low: -20_000,
            high: 5_000,
            raised: false,
        };
        assert_eq!(
            monitor.evaluate(-40.0),
            [(AlarmKind::Los, true), (AlarmKind::Degraded, true)]
        );
        assert_eq!(monitor.evaluate(-40.0), []);
        assert_eq!(
            monitor.evaluate(-10.0),
            [(AlarmKind::Los, false)],
            "a single alarm stays"
        );
        monitor.degraded.clear();
        assert_eq!(monitor.evaluate(-10.0), []);
        assert_eq!(monitor.evaluate(6.0), [(AlarmKind::Degraded, true)]);
    }

    #[test]
    fn an_attenuator_only_reduces_power() {
        let voa = |mode, level| Voa {
            mode,
            level,
            reference: Some(1),
        };
        assert_eq!(voa(VoaMode::Absolute, -10_000).passes(-3.0, None), -10.0);
        assert_eq!(voa(VoaMode::Absolute, 0).passes(-3.0, None), -3.0);
        assert_eq!(voa(VoaMode::Relative, 5_000).passes(-3.0, Some(-4.0)), -9.0);
        assert_eq!(voa(VoaMode::Fixed, 5_000).passes(-3.0, None), -8.0);
        assert_eq!(voa(VoaMode::Maximum, 0).passes(-3.0, None), -43.0);
    }
}
