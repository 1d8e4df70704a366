//! Devices under test: one small TOML file each, so that the same cases run on an emulator, a
//! recording and a real device.
//!
//! ```toml
//! name = "Polatis in rack 3"
//! profile = "matrix-switch"
//! uri = "polatis+tcp://192.0.2.7"       # or: emulator = "polatis-16x16", or: recording = "earlier.json"
//! impact = "disruptive"                  # highest allowed impact; default: observe
//! ports = [1, 2, 17, 18]                 # ports that may be changed
//!
//! [[deviations]]
//! requirement = "SWI-16"
//! reason = "ports cannot be disabled with this licence; ticket 4711"
//! expires = "2027-03-31"
//! ```

use crate::{
    profile::{self, Profile},
    requirement::{self, Impact},
    result::{Deviation, TargetKind},
};
use qkd_hal::DeviceUri;
use serde::Deserialize;
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};

/// A device under test.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Dut {
    /// Its name in reports; default: the file's.
    pub name: String,
    /// The profile that it is held against.
    pub profile: String,
    /// The URI of the device.
    pub uri: Option<String>,
    /// The URI of the far end of a pair.
    pub peer: Option<String>,
    /// A profile of the emulators, instead of a URI.
    pub emulator: Option<String>,
    /// Settings of the emulator.
    pub settings: BTreeMap<String, toml::Value>,
    /// Whether the emulator is reached over its real transport (in wall time) instead of in memory
    /// (in virtual time).
    pub on_wire: bool,
    /// Index of the device among the emulator's URIs (of a pair, or of several buses), 1-based. The
    /// next one is the peer if the profile has pairs.
    pub end: Option<usize>,
    /// The seed of the emulator's random numbers; 7 without it.
    pub seed: Option<u64>,
    /// Faults of the emulator, from the beginning.
    pub faults: Vec<String>,
    /// A result file of an earlier run, instead of a URI: its transcripts answer.
    pub recording: Option<PathBuf>,
    /// The highest impact that may be asked for.
    pub impact: Impact,
    /// Assumptions that hold for this device, by id.
    pub accept: Vec<String>,
    /// Ports that may be changed. Without them, a real device is not changed.
    pub ports: Vec<u32>,
    /// Channel that may be changed. Without it, a real device is not changed.
    pub channel: Option<String>,
    /// The channel of the far end that goes with it, if its name is another.
    pub peer_channel: Option<String>,
    /// Protection group that may be changed. Without it, a real device is not changed.
    pub group: Option<String>,
    /// Parameters that may be written. Without them, the parameters of a real device are not
    /// written.
    pub parameters: Vec<String>,
    /// Whether keys, which are consumed, may be taken from a real device.
    pub keys: bool,
    /// Whether the key generation of a real device may be interrupted.
    pub generation: bool,
    /// The deadline of each call, such as `2s`.
    pub deadline: Option<String>,
    /// Departures that are known and accepted for a time.
    pub deviations: Vec<Deviation>,
}

impl Dut {
    /// Reads a file.
    ///
    /// # Errors
    /// Error text with the path and the invalid field.
    pub fn read(path: &Path) -> Result<Self, String> {
        let text = std::fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?;
        let mut dut = Self::parse(&text).map_err(|e| format!("{}: {e}", path.display()))?;
        if dut.name.is_empty() {
            dut.name = path
                .file_stem()
                .map(|s| s.to_string_lossy().into_owned())
                .unwrap_or_default();
        }
        // A recording is in the same folder as the file that names it.
        if let (Some(recording), Some(folder)) = (&mut dut.recording, path.parent()) {
            *recording = folder.join(&recording);
        }
        Ok(dut)
    }

    /// Parses and checks the text of a file.
    ///
    /// # Errors
    /// Error text with the invalid field and the values that it accepts.
    pub fn parse(text: &str) -> Result<Self, String> {
        let dut: Self = toml::from_str(text).map_err(|e| e.to_string())?;
        dut.check()?;
        Ok(dut)
    }

    /// Checks that the fields are valid and consistent.
    ///
    /// # Errors
    /// Error text with the invalid field and the values that it accepts.
    pub fn check(&self) -> Result<(), String> {
        if self.profile.is_empty() {
            return Err(format!(
                "profile is missing; there are: {}",
                profile::all()
                    .keys()
                    .cloned()
                    .collect::<Vec<_>>()
                    .join(", ")
            ));
        }
        self.profile()?;
        match [
            self.uri.is_some(),
            self.emulator.is_some(),
            self.recording.is_some(),
        ]
        .iter()
        .filter(|x| **x)
        .count()
        {
            1 => {}
            0 => {
                return Err(
                    "it names no device: write uri = …, emulator = … or recording = …".to_owned(),
                );
            }
            _ => {
                return Err(
                    "it names several devices: uri, emulator and recording exclude each other"
                        .to_owned(),
                );
            }
        }
        for uri in self.uri.iter().chain(&self.peer) {
            uri.parse::<DeviceUri>().map_err(|e| e.to_string())?;
        }
        if self.emulator.is_none()
            && (!self.settings.is_empty()
                || !self.faults.is_empty()
                || self.on_wire
                || self.seed.is_some()
                || self.end.is_some())
        {
            return Err("settings, seed, faults, on_wire and end belong to an emulator".to_owned());
        }
        if self.end == Some(0) {
            return Err("end = 0: ends are counted from 1".to_owned());
        }
        if self.recording.is_some() && self.impact != Impact::Observe {
            return Err("a recording is not changed: leave impact out".to_owned());
        }
        self.deadline()?;
        for deviation in &self.deviations {
            if requirement::find(&deviation.requirement).is_none() {
                return Err(format!(
                    "a deviation names the requirement `{}`, which does not exist",
                    deviation.requirement
                ));
            }
            if deviation.reason.trim().is_empty() {
                return Err(format!(
                    "the deviation from {} has no reason",
                    deviation.requirement
                ));
            }
            deviation
                .expires
                .parse::<jiff::civil::Date>()
                .map_err(|_| {
                    format!(
                        "the deviation from {} expires on `{}`, which is not a date such as \
                         2027-03-31",
                        deviation.requirement, deviation.expires
                    )
                })?;
        }
        Ok(())
    }

    /// Returns the conformance profile of the device.
    ///
    /// # Errors
    /// Error text with the existing profiles.
    pub fn profile(&self) -> Result<&'static Profile, String> {
        profile::find(&self.profile)
    }

    /// Returns the deadline of each call.
    ///
    /// # Errors
    /// If it is not a duration, or is outside the range of the URI parameter.
    pub fn deadline(&self) -> Result<Option<Duration>, String> {
        let Some(text) = self.deadline.as_deref() else {
            return Ok(None);
        };
        let time = humantime::parse_duration(text)
            .map_err(|e| format!("deadline = {text}: {e}; write a time such as 2s"))?;
        if (Duration::from_millis(1)..=Duration::from_secs(600)).contains(&time) {
            Ok(Some(time))
        } else {
            Err(format!(
                "deadline = {text}: expected a duration from 1ms to 10m, such as 2s"
            ))
        }
    }

    /// Returns the factor by which the clock of an emulator on its wire is faster than that of the
    /// driver; 1 by default.
    #[must_use]
    pub fn time_factor(&self) -> f64 {
        let factor = match self.settings.get("time-factor") {
            Some(toml::Value::Integer(factor)) => f64::from(i32::try_from(*factor).unwrap_or(1)),
            Some(toml::Value::Float(factor)) => *factor,
            _ => 1.0,
        };
        if self.on_wire { factor.max(1.0) } else { 1.0 }
    }

    /// Returns the name in the journal: the configured name and the target. Another device with the
    /// same name has another key.
    #[must_use]
    pub fn key(&self) -> String {
        let recording = self.recording.as_ref().map(|p| p.display().to_string());
        let what = self
            .uri
            .as_ref()
            .or(self.emulator.as_ref())
            .or(recording.as_ref());
        format!(
            "{} at {}",
            self.name,
            what.map_or("nothing", String::as_str)
        )
    }

    /// Returns the kind of target.
    #[must_use]
    pub fn target_kind(&self) -> TargetKind {
        match (&self.emulator, &self.recording, self.on_wire) {
            (Some(_), _, true) => TargetKind::EmulatorOnWire,
            (Some(_), _, false) => TargetKind::EmulatorInMemory,
            (None, Some(_), _) => TargetKind::Recording,
            (None, None, _) => TargetKind::Device,
        }
    }

    /// Returns the allowed changes as text.
    #[must_use]
    pub fn scope(&self) -> Option<String> {
        let list = |what: &str, all: Vec<String>| {
            (!all.is_empty()).then(|| format!("{what} {}", all.join(", ")))
        };
        let parts: Vec<String> = [
            list(
                "ports",
                self.ports.iter().map(ToString::to_string).collect(),
            ),
            list("channel", self.channel.iter().cloned().collect()),
            list(
                "the far end's channel",
                self.peer_channel.iter().cloned().collect(),
            ),
            list("parameters", self.parameters.clone()),
            self.keys.then(|| "keys".to_owned()),
            self.generation.then(|| "key generation".to_owned()),
        ]
        .into_iter()
        .flatten()
        .collect();
        (!parts.is_empty()).then(|| parts.join("; "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invalid_input_is_reported() {
        for (text, says) in [
            ("", "profile is missing"),
            (
                "profile = 'nonsense'\nuri = 'a+b://c'",
                "no profile `nonsense`",
            ),
            ("profile = 'matrix-switch'", "names no device"),
            (
                "profile = 'matrix-switch'\nuri = 'a+b://c'\nemulator = 'x'",
                "several devices",
            ),
            ("profile = 'matrix-switch'\nuri = 'x'", "x"),
            (
                "profile = 'matrix-switch'\nuri = 'a+b://c'\nfaults = ['loss']",
                "belong to an emulator",
            ),
            (
                "profile = 'matrix-switch'\nuri = 'a+b://c'\nimpact = 'huge'",
                "huge",
            ),
            (
                "profile = 'matrix-switch'\nuri = 'a+b://c'\ndeadline = 'soon'",
                "write a time such as 2s",
            ),
            (
                "profile = 'matrix-switch'\nuri = 'a+b://c'\ndeadline = '0s'",
                "from 1ms to 10m",
            ),
            (
                "profile = 'matrix-switch'\nuri = 'a+b://c'\ndeadline = '1000000000y'",
                "from 1ms to 10m",
            ),
            (
                "profile = 'matrix-switch'\nuri = 'a+b://c'\ncolour = 'red'",
                "colour",
            ),
            (
                "profile = 'matrix-switch'\nuri = 'a+b://c'\n[[deviations]]\nrequirement = \
                 'XXX-1'\nreason = 'r'\nexpires = '2027-01-01'",
                "XXX-1",
            ),
            (
                "profile = 'matrix-switch'\nuri = 'a+b://c'\n[[deviations]]\nrequirement = \
                 'DEV-01'\nreason = ' '\nexpires = '2027-01-01'",
                "no reason",
            ),
            (
                "profile = 'matrix-switch'\nuri = 'a+b://c'\n[[deviations]]\nrequirement = \
                 'DEV-01'\nreason = 'r'\nexpires = 'never'",
                "not a date",
            ),
        ] {
            let error = Dut::parse(text).unwrap_err();
            assert!(error.contains(says), "{text}: {error}");
        }
    }
}
