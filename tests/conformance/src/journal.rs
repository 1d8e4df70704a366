//! The journal of a run: a line for each thing that happened, so that an interrupted run can be resumed, and what it left changed is known.

use crate::result::CaseResult;
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    fmt,
    fs::File,
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

/// How something stood before a case changed it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stood {
    /// The cross-connects of a switch.
    Connections(String),
    /// Whether a port was enabled.
    Port(u32, bool),
    /// A parameter and its value.
    Parameter(String, String),
    /// A protection group: its settings, in the order in which they are put back, and the path that was live.
    Protection {
        /// Which.
        group: String,
        /// As `qkd_switch_hal::protection::ProtectionSetting` writes them.
        settings: Vec<String>,
        /// Where the signal was.
        live: String,
    },
    /// A power monitor: its alarm levels in dBm, averaging time in seconds, wavelength in nm.
    Monitor {
        /// Where.
        port: u32,
        /// Alarm below this.
        low: Option<f64>,
        /// Alarm above this.
        high: Option<f64>,
        /// Averaging time.
        averaging: Option<f64>,
        /// Wavelength.
        wavelength: Option<f64>,
    },
    /// An attenuator: its mode, with the level and the other port where it has them.
    Attenuation {
        /// Where.
        port: u32,
        /// Its mode.
        mode: String,
        /// In dB or dBm.
        level: Option<f64>,
        /// The port to which it is relative.
        reference: Option<u32>,
    },
    /// Something that cannot be put back by hand-written state: keys of an encryptor, the run of a module.
    Other(String),
}

impl fmt::Display for Stood {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connections(paths) => write!(f, "connections {paths}"),
            Self::Port(port, enabled) => write!(
                f,
                "port {port} {}",
                if *enabled { "enabled" } else { "disabled" }
            ),
            Self::Parameter(name, value) => write!(f, "{name}={value}"),
            Self::Protection {
                group,
                settings,
                live,
            } => write!(f, "group {group}: {}, on {live}", settings.join(", ")),
            Self::Monitor {
                port,
                low,
                high,
                averaging,
                wavelength,
            } => {
                write!(
                    f,
                    "monitor {port}: alarms {low:?} to {high:?} dBm, averaging {averaging:?} s, {wavelength:?} nm"
                )
            }
            Self::Attenuation {
                port,
                mode,
                level,
                reference,
            } => write!(f, "attenuator {port}: {mode} {level:?} {reference:?}"),
            Self::Other(what) => f.write_str(what),
        }
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Line {
    /// A run of this suite, with these requirements, began.
    Suite(String),
    /// A case of a device began.
    Begin(String, String),
    /// How something stood before the case that began last changed it.
    Stood(String, Stood),
    /// A case of a device ended.
    End(String, Box<CaseResult>),
}

/// Where a run is written down.
#[derive(Debug, Clone)]
pub struct Journal(Arc<Mutex<File>>);

/// What a journal tells of an earlier run.
#[derive(Debug, Clone, Default)]
pub struct Past {
    /// Cases that ended, by device.
    pub ended: BTreeMap<String, Vec<CaseResult>>,
    /// The case that did not end, by device, and how things stood before it changed them.
    pub torn: BTreeMap<String, (String, Vec<Stood>)>,
}

impl Journal {
    /// A new journal.
    ///
    /// # Errors
    /// If there is one already: an interrupted run is resumed, or its folder is another's.
    pub fn begin(path: &Path, suite: &str) -> Result<Self, String> {
        let file = File::options()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)
            .map_err(|e| match e.kind() {
                std::io::ErrorKind::AlreadyExists => format!(
                    "{} is of a run that did not end: go on with --resume, or remove it",
                    path.display()
                ),
                _ => format!("{}: {e}", path.display()),
            })?;
        let journal = Self(Arc::new(Mutex::new(file)));
        journal.write(&Line::Suite(suite.to_owned()))?;
        Ok(journal)
    }

    /// Goes on with a journal, and tells what it says.
    ///
    /// # Errors
    /// If there is none, or it is of another version of the suite.
    pub fn resume(path: &Path, suite: &str) -> Result<(Self, Past), String> {
        let text = std::fs::read_to_string(path)
            .map_err(|e| format!("{}: {e}; there is nothing to resume", path.display()))?;
        let past = Past::read(&text, suite).map_err(|e| format!("{}: {e}", path.display()))?;
        let mut file = File::options()
            .append(true)
            .open(path)
            .map_err(|e| format!("{}: {e}", path.display()))?;
        if !text.ends_with('\n') {
            file.write_all(b"\n")
                .map_err(|e| format!("{}: {e}", path.display()))?;
        }
        Ok((Self(Arc::new(Mutex::new(file))), past))
    }

    fn write(&self, line: &Line) -> Result<(), String> {
        let mut file = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let written = serde_json::to_string(line)
            .map_err(std::io::Error::from)
            .and_then(|text| writeln!(file, "{text}"))
            .and_then(|()| file.sync_data());
        written.map_err(|e| format!("the journal could not be written: {e}"))
    }

    /// What is lost here costs a case that is run again.
    fn note(&self, line: &Line) {
        if let Err(error) = self.write(line) {
            tracing::error!(error);
        }
    }

    /// A case begins.
    pub(crate) fn begin_case(&self, dut: &str, case: &str) {
        self.note(&Line::Begin(dut.to_owned(), case.to_owned()));
    }
    /// How something stands before the case changes it. On disk before the change is sent.
    ///
    /// # Errors
    /// If it could not be written.
    pub(crate) fn about_to_change(&self, dut: &str, stood: &Stood) -> Result<(), String> {
        self.write(&Line::Stood(dut.to_owned(), stood.clone()))
    }
    /// A case ended.
    pub(crate) fn end_case(&self, dut: &str, result: &CaseResult) {
        self.note(&Line::End(dut.to_owned(), Box::new(result.clone())));
    }
}

impl Past {
    /// Whether it tells of nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ended.is_empty() && self.torn.is_empty()
    }

    fn read(text: &str, suite: &str) -> Result<Self, String> {
        let mut past = Self::default();
        let lines: Vec<&str> = text.lines().filter(|l| !l.trim().is_empty()).collect();
        for (n, line) in lines.iter().enumerate() {
            let line: Line = match serde_json::from_str(line) {
                Ok(line) => line,
                // The last line may have been cut by whatever ended the run; so may one that an earlier resumption went on from.
                Err(_) if n > 0 => continue,
                Err(e) => return Err(format!("this is no journal: {e}")),
            };
            match line {
                Line::Suite(of) if of != suite => {
                    return Err(format!("it is of {of}, and this is {suite}: begin anew"));
                }
                Line::Suite(_) => {}
                Line::Begin(dut, case) => {
                    past.torn.insert(dut, (case, Vec::new()));
                }
                Line::Stood(dut, stood) => {
                    if let Some((_, all)) = past.torn.get_mut(&dut) {
                        all.push(stood);
                    }
                }
                Line::End(dut, result) => {
                    if past
                        .torn
                        .get(&dut)
                        .is_some_and(|(case, _)| *case == result.id)
                    {
                        past.torn.remove(&dut);
                    }
                    past.ended.entry(dut).or_default().push(*result);
                }
            }
        }
        Ok(past)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_torn_case_is_known_with_what_it_changed() {
        let text = r#"{"suite":"qkd-conform 1"}
{"begin":["a","SWI-08/x"]}
{"stood":["a",{"connections":"1-17"}]}
{"end":["a",{"id":"SWI-0"#;
        let past = Past::read(text, "qkd-conform 1").unwrap();
        assert_eq!(
            past.torn["a"],
            (
                "SWI-08/x".to_owned(),
                vec![Stood::Connections("1-17".to_owned())]
            )
        );
        assert!(
            Past::read(text, "qkd-conform 2")
                .unwrap_err()
                .contains("begin anew")
        );
        assert!(Past::read("hello", "x").is_err());
    }
}
