//! Requests and their parameters.

use super::reply::{Monitor, Threshold};
use std::fmt::Write;
use zeroize::Zeroizing;

/// MODE of an attenuator, of those that are set here.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum VoaMode {
    /// No attenuation: `NONE`.
    None,
    /// Maximum attenuation: `MAX`.
    Maximum,
    /// `ABS`: keeps this output power, dBm.
    Absolute(f64),
    /// `REL`: this far from the power of another port, dB.
    Relative(f64, u32),
}

/// A request with its parameters.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Command {
    /// `RTRV-NETYPE:::123:;`: vendor, model, type, version.
    NeType,
    /// `RTRV-INV::OCS:123:;`: returns the serial number (cloudshell-L1-polatis).
    Inventory,
    /// Query of the size: `RTRV-EQPT::SYSTEM:123:::PARAMETER=SIZE;` (cloudshell-L1-polatis).
    Size,
    /// `OPR-ARC-EQPT::REPMGR:123::IND;`: no more messages unasked in this session (id:36244911295).
    Silence,
    /// Query of the cross-connects: `RTRV-PATCH:::123:;` (id:35963381969).
    Connections,
    /// `ENT-PATCH::1&2,17&18:123:;`: element by element (id:35963381969)
    Connect(Vec<(u32, u32)>),
    /// `DLT-PATCH::1&2:123:;`: by either port (id:35963381969)
    Disconnect(Vec<u32>),
    /// `OPR-PORT-SHUTTER::5:123:;`, which closes, or `RLS-PORT-SHUTTER`, which opens.
    Shutter(u32, bool),
    /// Query of the shutters: `RTRV-PORT-SHUTTER::1&2:123:;` (cloudshell-L1-polatis).
    Shutters(Vec<u32>),
    /// Query of the powers: `RTRV-PORT-POWER::17&18:123:;` (id:9001667762, id:36062986685).
    Power(Vec<u32>),
    /// `RTRV-EQPT::PMON:123:::PARAMETER=CONFIG;`: where monitors are (id:9001667762).
    Monitors,
    /// Query of a monitor: `RTRV-PORT-PMON::17:123:;` (id:36062986685).
    Monitor(u32),
    /// Setting of a monitor: `SET-PORT-PMON::17:123:::WAVE=1550.0,OFFSET=0.0,ATIME=4;`
    /// (id:36062986685).
    SetMonitor(u32, Monitor),
    /// Query of an alarm threshold: `RTRV-TH-PMON::17:123:::TYPE=LOS;` (id:36062986685).
    Threshold(u32),
    /// Setting of an alarm threshold:
    /// `SET-TH-PMON::17:123:::TYPE=LOS,MODE=CONT,EDGE=LOW,LOW=(-30.0),HIGH=10.0;` (id:36062986685).
    SetThreshold(u32, Threshold),
    /// Query of an alarm: `RTRV-STATE-PMON::17:123:::TYPE=LOS;` (id:36062986685).
    Alarm(u32),
    /// Query of the attenuator modes: `RTRV-EQPT::ATTEN:123:::PARAMETER=CONFIG;` (id:36474704208,
    /// id:36444359468).
    VoaConfig,
    /// Query of an attenuator: `RTRV-PORT-ATTEN::33:123:;` (id:36444359468).
    Voa(u32),
    /// Setting of an attenuator: `SET-PORT-ATTEN::33:123:::MODE=ABS,LEVEL=(-10.0);`
    /// (id:36444359468, id:36474704208).
    SetVoa(u32, VoaMode),
}

fn list(ports: impl IntoIterator<Item = u32>) -> String {
    let mut out = String::new();
    for port in ports {
        let _ = write!(out, "{}{port}", if out.is_empty() { "" } else { "&" });
    }
    out
}

/// A number; below zero, in parentheses.
fn number(value: f64) -> String {
    if value < 0.0 {
        format!("({value:?})")
    } else {
        format!("{:?}", value.abs())
    }
}

/// Returns whether a request can contain this name or password: other characters have a meaning in
/// TL1.
#[must_use]
pub fn is_plain(word: &str) -> bool {
    !word.is_empty()
        && word
            .bytes()
            .all(|b| b.is_ascii_graphic() && !b";:,&\"\\=".contains(&b))
}

impl Command {
    /// Returns verb, AID and the blocks after the CTAG.
    fn parts(&self) -> (&'static str, String, String) {
        let plain = || ":".to_owned();
        let los = || ":::TYPE=LOS".to_owned();
        let config = || ":::PARAMETER=CONFIG".to_owned();
        match self {
            Self::NeType => ("RTRV-NETYPE", String::new(), plain()),
            Self::Inventory => ("RTRV-INV", "OCS".to_owned(), plain()),
            Self::Size => (
                "RTRV-EQPT",
                "SYSTEM".to_owned(),
                ":::PARAMETER=SIZE".to_owned(),
            ),
            Self::Silence => ("OPR-ARC-EQPT", "REPMGR".to_owned(), "::IND".to_owned()),
            Self::Connections => ("RTRV-PATCH", String::new(), plain()),
            Self::Connect(pairs) => (
                "ENT-PATCH",
                format!(
                    "{},{}",
                    list(pairs.iter().map(|p| p.0)),
                    list(pairs.iter().map(|p| p.1))
                ),
                plain(),
            ),
            Self::Disconnect(ports) => ("DLT-PATCH", list(ports.iter().copied()), plain()),
            Self::Shutter(port, open) => (
                if *open {
                    "RLS-PORT-SHUTTER"
                } else {
                    "OPR-PORT-SHUTTER"
                },
                port.to_string(),
                plain(),
            ),
            Self::Shutters(ports) => ("RTRV-PORT-SHUTTER", list(ports.iter().copied()), plain()),
            Self::Power(ports) => ("RTRV-PORT-POWER", list(ports.iter().copied()), plain()),
            Self::Monitors => ("RTRV-EQPT", "PMON".to_owned(), config()),
            Self::Monitor(port) => ("RTRV-PORT-PMON", port.to_string(), plain()),
            Self::SetMonitor(port, m) => (
                "SET-PORT-PMON",
                port.to_string(),
                format!(
                    ":::WAVE={:?},OFFSET={},ATIME={}",
                    m.wavelength,
                    number(m.offset),
                    m.averaging
                ),
            ),
            Self::Threshold(port) => ("RTRV-TH-PMON", port.to_string(), los()),
            Self::SetThreshold(port, t) => {
                let payload = format!(
                    ":::TYPE=LOS,MODE={},EDGE={},LOW={},HIGH={}",
                    t.mode.keyword(),
                    t.edge.keyword(),
                    number(t.low),
                    number(t.high)
                );
                ("SET-TH-PMON", port.to_string(), payload)
            }
            Self::Alarm(port) => ("RTRV-STATE-PMON", port.to_string(), los()),
            Self::VoaConfig => ("RTRV-EQPT", "ATTEN".to_owned(), config()),
            Self::Voa(port) => ("RTRV-PORT-ATTEN", port.to_string(), plain()),
            Self::SetVoa(port, mode) => {
                let payload = match mode {
                    VoaMode::None => "MODE=NONE".to_owned(),
                    VoaMode::Maximum => "MODE=MAX".to_owned(),
                    VoaMode::Absolute(level) => format!("MODE=ABS,LEVEL={}", number(*level)),
                    VoaMode::Relative(level, reference) => {
                        format!("MODE=REL,LEVEL={},REFS={reference}", number(*level))
                    }
                };
                ("SET-PORT-ATTEN", port.to_string(), format!(":::{payload}"))
            }
        }
    }

    /// The verb, as errors and transcripts show it.
    #[must_use]
    pub fn verb(&self) -> &'static str {
        self.parts().0
    }

    /// Whether it changes what the contract shows of the switch.
    #[must_use]
    pub fn changes(&self) -> bool {
        !self.verb().starts_with("RTRV") && *self != Self::Silence
    }

    /// The request, to the network element without a name.
    #[must_use]
    pub fn request(&self, tag: u32) -> String {
        let (verb, aid, tail) = self.parts();
        format!("{verb}::{aid}:{tag}{tail};\n")
    }
}

/// The request that opens a session: `ACT-USER::root:123::root;`. [`password_of`] finds the secret
/// in it.
pub(crate) fn login(user: &str, password: &str, tag: u32) -> Zeroizing<Vec<u8>> {
    let head = format!("ACT-USER::{user}:{tag}::");
    let mut request = Zeroizing::new(Vec::with_capacity(head.len() + password.len() + 2));
    for part in [head.as_str(), password, ";\n"] {
        request.extend_from_slice(part.as_bytes());
    }
    request
}

/// Returns the position of the password in a login: after the last colon.
pub(crate) fn password_of(request: &[u8]) -> Vec<std::ops::Range<usize>> {
    let from = request
        .iter()
        .rposition(|b| *b == b':')
        .map_or(0, |at| at + 1);
    let to = request
        .iter()
        .rposition(|b| *b == b';')
        .unwrap_or(request.len());
    std::iter::once(from..to.max(from)).collect()
}
