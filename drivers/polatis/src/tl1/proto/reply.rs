//! Meaning of the lines of a reply.

use super::TextDecodeError;

/// Reply to `RTRV-NETYPE`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Type {
    /// Name of the vendor.
    pub vendor: String,
    /// Product code of the switch.
    pub model: String,
    /// Version of the firmware.
    pub version: String,
}

/// Settings of a power monitor.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Monitor {
    /// Wavelength, in nm (`WAVE`).
    pub wavelength: f64,
    /// Offset of each reading, in dB (`OFFSET`).
    pub offset: f64,
    /// ATIME, a code from 1 to 8.
    pub averaging: u8,
}

/// MODE of an alarm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AlarmMode {
    /// The alarm is disabled: `OFF`.
    Off,
    /// The alarm is latched: `SINGLE`.
    Single,
    /// The alarm follows the power: `CONT`.
    Continuous,
}

impl AlarmMode {
    const ALL: [Self; 3] = [Self::Off, Self::Single, Self::Continuous];
    /// Returns the keyword of the mode.
    #[must_use]
    pub fn keyword(self) -> &'static str {
        match self {
            Self::Off => "OFF",
            Self::Single => "SINGLE",
            Self::Continuous => "CONT",
        }
    }
}

/// EDGE of an alarm: on which side it is raised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Edge {
    /// Low limit: `LOW`.
    Low,
    /// High limit: `HIGH`.
    High,
    /// Both limits: `BOTH`.
    Both,
}

impl Edge {
    const ALL: [Self; 3] = [Self::Low, Self::High, Self::Both];
    /// Returns the keyword of the limits.
    #[must_use]
    pub fn keyword(self) -> &'static str {
        match self {
            Self::Low => "LOW",
            Self::High => "HIGH",
            Self::Both => "BOTH",
        }
    }
}

/// An alarm threshold, in dBm.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Threshold {
    /// Mode of the alarm (`MODE`).
    pub mode: AlarmMode,
    /// Limits that the alarm uses (`EDGE`).
    pub edge: Edge,
    /// Low limit, in dBm (`LOW`).
    pub low: f64,
    /// High limit, in dBm (`HIGH`).
    pub high: f64,
}

/// Modes of the attenuators of a switch; if there are none, it has no attenuators.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct VoaConfig {
    /// Constant output power is supported: `ABSOLUTE`.
    pub absolute: bool,
    /// Constant relative power is supported: `RELATIVE`.
    pub relative: bool,
    /// Converged mode is supported: `CONVERGED`.
    pub converged: bool,
}

impl VoaConfig {
    /// Whether there are attenuators.
    #[must_use]
    pub fn any(self) -> bool {
        self.absolute || self.relative || self.converged
    }
}

/// Settings of an attenuator: mode, level and reference port.
#[derive(Debug, Clone, PartialEq)]
pub struct Voa {
    /// `NONE`, `FIX`, `MAX`, `ABS`, `CONV`, `REL`.
    pub mode: String,
    /// dB or dBm, by the mode.
    pub level: Option<f64>,
    /// Reference port; `None` if the mode has none.
    pub reference: Option<u32>,
}

fn port(digits: &str) -> Option<u32> {
    (digits.len() <= 6 && digits.bytes().all(|b| b.is_ascii_digit()))
        .then(|| digits.parse().ok())
        .flatten()
}

fn decimal(text: &str) -> Option<f64> {
    text.parse()
        .ok()
        .filter(|v: &f64| v.is_finite() && text.bytes().any(|b| b.is_ascii_digit()))
}

fn one<'a>(lines: &'a [String], expected: &'static str) -> Result<&'a str, TextDecodeError> {
    match lines {
        [line] => Ok(line),
        other => Err(TextDecodeError::unexpected(expected, &other.join("|"))),
    }
}

/// Decodes `<port>:<value>` for exactly these ports, in the requested order.
fn by_port<T: Copy>(
    lines: &[String],
    ports: &[u32],
    expected: &'static str,
    what: impl Fn(&str) -> Option<T>,
) -> Result<Vec<T>, TextDecodeError> {
    let read = |line: &String| {
        line.split_once(':')
            .and_then(|(p, rest)| Some((port(p)?, what(rest)?)))
            .ok_or_else(|| TextDecodeError::unexpected(expected, line))
    };
    let reported: Vec<(u32, T)> = lines.iter().map(read).collect::<Result<_, _>>()?;
    let of = |p: &u32| reported.iter().find(|(q, _)| q == p).map(|(_, t)| *t);
    match ports.iter().map(of).collect::<Option<Vec<T>>>() {
        Some(all) if reported.iter().all(|(p, _)| ports.contains(p)) => Ok(all),
        _ => Err(TextDecodeError::unexpected(
            "one line for each port asked",
            &lines.join("|"),
        )),
    }
}

/// `vendor,model,type,version`.
///
/// # Errors
/// [`TextDecodeError`]; so for all decoders.
pub fn decode_type(lines: &[String]) -> Result<Type, TextDecodeError> {
    const SHAPE: &str = "vendor,model,type,version";
    let line = one(lines, SHAPE)?;
    match line.split(',').map(str::trim).collect::<Vec<_>>()[..] {
        [vendor, model, _, version] if !vendor.is_empty() && !model.is_empty() => Ok(Type {
            vendor: vendor.to_owned(),
            model: model.to_owned(),
            version: version.to_owned(),
        }),
        _ => Err(TextDecodeError::unexpected(SHAPE, line)),
    }
}

/// Decodes the serial number after `SN=`; the rest of the line is not published.
pub fn decode_serial(lines: &[String]) -> Result<String, TextDecodeError> {
    let serial = lines
        .iter()
        .find_map(|l| {
            l.split([',', ':', ';', ' '])
                .find_map(|field| field.strip_prefix("SN="))
        })
        .map(|s| s.trim_matches(['"', '\\']));
    serial
        .filter(|s| !s.is_empty())
        .map(str::to_owned)
        .ok_or_else(|| TextDecodeError::unexpected("SN=serial number", &lines.join("|")))
}

/// `SYSTEM:SIZE=24x24`: ingress and egress ports.
pub fn decode_size(lines: &[String]) -> Result<(u32, u32), TextDecodeError> {
    let size = lines
        .iter()
        .find_map(|l| l.split_once("SYSTEM:SIZE="))
        .and_then(|(_, rest)| rest.split([',', ':']).next()?.split_once('x'));
    size.and_then(|(n, m)| Some((port(n)?, port(m)?)))
        .ok_or_else(|| TextDecodeError::unexpected("SYSTEM:SIZE=NxM", &lines.join("|")))
}

/// `1,17` for each path.
pub fn decode_connections(lines: &[String]) -> Result<Vec<(u32, u32)>, TextDecodeError> {
    let pair = |line: &String| {
        let (ingress, egress) = line.split_once(',')?;
        Some((port(ingress.trim())?, port(egress.trim())?))
    };
    lines
        .iter()
        .map(|l| pair(l).ok_or_else(|| TextDecodeError::unexpected("ingress,egress", l)))
        .collect()
}

/// `1:OPEN` for each port: whether the shutter is open. The word for closed is not public: any
/// other is taken for it.
pub fn decode_open(lines: &[String], ports: &[u32]) -> Result<Vec<bool>, TextDecodeError> {
    by_port(lines, ports, "port:OPEN or another word", |word| {
        word.bytes()
            .all(|b| b.is_ascii_alphabetic())
            .then(|| word.eq_ignore_ascii_case("open"))
    })
}

/// `17:-12.34` for each port, in dBm.
pub fn decode_power(lines: &[String], ports: &[u32]) -> Result<Vec<f64>, TextDecodeError> {
    by_port(lines, ports, "port:dBm", decimal)
}

/// `PMON::PORT=17,MODE=OUTPUT` for each monitor: where it is. The words of MODE are not public.
pub fn decode_monitors(lines: &[String]) -> Result<Vec<u32>, TextDecodeError> {
    let at = |line: &String| {
        line.strip_prefix("PMON::PORT=")
            .and_then(|rest| port(rest.split(',').next()?))
    };
    lines
        .iter()
        .map(|l| at(l).ok_or_else(|| TextDecodeError::unexpected("PMON::PORT=port", l)))
        .collect()
}

/// `17:1550.0,0.0,4`: WAVE, OFFSET, ATIME.
pub fn decode_monitor(lines: &[String], at: u32) -> Result<Monitor, TextDecodeError> {
    let read = |rest: &str| {
        let [wavelength, offset, code] = rest.split(',').collect::<Vec<_>>()[..] else {
            return None;
        };
        Some(Monitor {
            wavelength: decimal(wavelength)?,
            offset: decimal(offset)?,
            averaging: port(code)?
                .try_into()
                .ok()
                .filter(|c| (1..=8).contains(c))?,
        })
    };
    by_port(lines, &[at], "port:WAVE,OFFSET,ATIME", read).map(|all| all[0])
}

/// Decodes `17:MODE,EDGE,HIGH,LOW`, in dBm.
pub fn decode_threshold(lines: &[String], at: u32) -> Result<Threshold, TextDecodeError> {
    let read = |rest: &str| {
        let [mode, edge, high, low] = rest.split(',').collect::<Vec<_>>()[..] else {
            return None;
        };
        let mode = AlarmMode::ALL.into_iter().find(|m| m.keyword() == mode)?;
        let edge = Edge::ALL.into_iter().find(|e| e.keyword() == edge)?;
        Some(Threshold {
            mode,
            edge,
            low: decimal(low)?,
            high: decimal(high)?,
        })
    };
    by_port(lines, &[at], "port:MODE,EDGE,HIGH,LOW", read).map(|all| all[0])
}

/// Decodes `17:CONT`, or `17:CONT&TRIGGERED`: whether the alarm is active. The separator of the two
/// is not published.
pub fn decode_alarmed(lines: &[String], at: u32) -> Result<bool, TextDecodeError> {
    let read = |rest: &str| {
        let mut words = rest.split(|c: char| !c.is_ascii_alphanumeric());
        let mode = words.next()?;
        AlarmMode::ALL
            .iter()
            .any(|m| m.keyword() == mode)
            .then(|| words.any(|w| w == "TRIGGERED"))
    };
    by_port(lines, &[at], "port:MODE, perhaps TRIGGERED", read).map(|all| all[0])
}

/// Decodes the text after the `=`: of `NONE`, `ABSOLUTE`, `RELATIVE` and `CONVERGED`, one, or
/// several separated by bars.
pub fn decode_voa_config(lines: &[String]) -> Result<VoaConfig, TextDecodeError> {
    const SHAPE: &str = "=NONE|ABSOLUTE|RELATIVE|CONVERGED, or one of them";
    let line = one(lines, SHAPE)?;
    let (_, words) = line
        .rsplit_once('=')
        .ok_or_else(|| TextDecodeError::unexpected(SHAPE, line))?;
    let mut config = VoaConfig::default();
    for word in words.split('|') {
        match word {
            "NONE" => {}
            "ABSOLUTE" => config.absolute = true,
            "RELATIVE" => config.relative = true,
            "CONVERGED" => config.converged = true,
            _ => return Err(TextDecodeError::unexpected(SHAPE, line)),
        }
    }
    Ok(config)
}

/// Decodes `33:ABS,-10.0,`: mode, level, reference; an empty field if there is no value.
pub fn decode_voa(lines: &[String], at: u32) -> Result<Voa, TextDecodeError> {
    const SHAPE: &str = "port:mode,level,reference";
    let line = one(lines, SHAPE)?;
    let read = || {
        let (reported, rest) = line.split_once(':')?;
        let [mode, level, reference] = rest.split(',').collect::<Vec<_>>()[..] else {
            return None;
        };
        let level = if level.is_empty() {
            None
        } else {
            Some(decimal(level)?)
        };
        let reference = if reference.is_empty() {
            None
        } else {
            Some(port(reference)?)
        };
        let mode =
            Some(mode).filter(|m| !m.is_empty() && m.bytes().all(|b| b.is_ascii_alphabetic()))?;
        (port(reported)? == at).then(|| Voa {
            mode: mode.to_owned(),
            level,
            reference,
        })
    };
    read().ok_or_else(|| TextDecodeError::unexpected(SHAPE, line))
}
