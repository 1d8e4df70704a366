//! Journal of a run: one line for each event, so that an interrupted run can be resumed and its
//! unrestored changes are known.
//!
//! Each line is a JSON object with an entry and a SHA-256 digest over all entries up to it. The
//! first entry names the suite. A journal that was edited, or whose first lines are missing, is not
//! resumed.

mod chain;
mod previous_run;

pub use previous_run::{KnownDevice, PreviousRun};

use crate::result::CaseResult;
use chain::Chain;
use qkd_hal::text::json_text;
use serde::{Deserialize, Serialize};
use std::{
    fmt,
    fs::File,
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

/// State of one item before a case changed it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Snapshot {
    /// The cross-connects of a switch.
    Connections(String),
    /// Whether a port was enabled.
    Port(u32, bool),
    /// A parameter and its value.
    Parameter(String, String),
    /// A protection group: its settings, in the order in which they are restored, and the path that
    /// was active.
    Protection {
        /// ID of the protection group.
        group: String,
        /// Settings, in the text form of `qkd_switch_hal::protection::ProtectionSetting`.
        settings: Vec<String>,
        /// ID of the active path.
        active: String,
    },
    /// Settings of a power monitor; `None` for a setting that the monitor does not report.
    Monitor {
        /// Port of the monitor.
        port: u32,
        /// Alarm below this power, in dBm.
        low: Option<f64>,
        /// Alarm above this power, in dBm.
        high: Option<f64>,
        /// Averaging time, in seconds.
        averaging: Option<f64>,
        /// Wavelength, in nanometres.
        wavelength: Option<f64>,
    },
    /// An attenuator: its mode; level and reference port, `None` if the mode has none.
    Attenuation {
        /// Port of the attenuator.
        port: u32,
        /// Mode of the attenuator.
        mode: String,
        /// Level, in dB or dBm depending on the mode.
        level: Option<f64>,
        /// Port whose power the level is relative to.
        reference: Option<u32>,
    },
    /// State that cannot be restored from text: keys of an encryptor, key generation of a module.
    Other(String),
}

impl fmt::Display for Snapshot {
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
                active,
            } => write!(f, "group {group}: {}, on {active}", settings.join(", ")),
            Self::Monitor {
                port,
                low,
                high,
                averaging,
                wavelength,
            } => {
                write!(
                    f,
                    "monitor {port}: alarms {low:?} to {high:?} dBm, averaging {averaging:?} s, \
                     {wavelength:?} nm"
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
    /// A run began. Name and version of the suite, and digest of its requirements.
    Suite(String),
    /// A device was opened. [`crate::Dut::key`]; identity and ports. Written before its first case.
    Device(String, KnownDevice),
    /// A case began. [`crate::Dut::key`]; ID of the case.
    Begin(String, String),
    /// The case that began last is about to change an item. [`crate::Dut::key`]; present state.
    Snapshot(String, Snapshot),
    /// A case ended. [`crate::Dut::key`]; result.
    End(String, Box<CaseResult>),
}

/// Append-only log file of a run.
#[derive(Debug, Clone)]
pub struct Journal(Arc<Mutex<Writer>>);

#[derive(Debug)]
struct Writer {
    file: File,
    chain: Chain,
}

impl Journal {
    /// Creates a journal, readable by its owner only.
    ///
    /// # Errors
    /// If the file exists or cannot be written.
    pub fn begin(path: &Path, suite: &str) -> Result<Self, String> {
        let file = File::options()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)
            .map_err(|e| match e.kind() {
                std::io::ErrorKind::AlreadyExists => format!(
                    "{} belongs to an interrupted run: continue it with --resume, or remove it",
                    path.display()
                ),
                _ => format!("{}: {e}", path.display()),
            })?;
        let journal = Self::from_parts(file, Chain::new());
        journal.write(&Line::Suite(suite.to_owned()))?;
        Ok(journal)
    }

    /// Continues a journal. Returns it with the state of the earlier run. A last line that the
    /// interruption truncated is removed.
    ///
    /// # Errors
    /// If there is no journal, if it was edited or lacks its first line, or if another version of
    /// the suite wrote it. In the last case, the error lists the state in the journal, and how to
    /// restore it manually.
    pub fn resume(path: &Path, suite: &str) -> Result<(Self, PreviousRun), String> {
        let with_path = |e: &dyn fmt::Display| format!("{}: {e}", path.display());
        let bytes = std::fs::read(path)
            .map_err(|e| format!("{}; there is nothing to resume", with_path(&e)))?;
        // The interruption may have truncated the last line, even within a UTF-8 character.
        let complete = bytes.iter().rposition(|b| *b == b'\n').map_or(0, |n| n + 1);
        let text = std::str::from_utf8(&bytes[..complete]).map_err(|e| with_path(&e))?;
        let (past, chain) = PreviousRun::read(text, suite).map_err(|e| with_path(&e))?;
        let file = File::options()
            .append(true)
            .open(path)
            .and_then(|file| file.set_len(complete as u64).map(|()| file))
            .map_err(|e| with_path(&e))?;
        Ok((Self::from_parts(file, chain), past))
    }

    fn from_parts(file: File, chain: Chain) -> Self {
        Self(Arc::new(Mutex::new(Writer { file, chain })))
    }

    fn write(&self, line: &Line) -> Result<(), String> {
        let mut writer = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Writer { file, chain } = &mut *writer;
        let written = serde_json::to_string(line)
            .map_err(std::io::Error::from)
            .and_then(|entry| {
                let (line, next) = chain.append(&json_text(&entry));
                file.write_all(line.as_bytes())?;
                file.sync_data()?;
                *chain = next;
                Ok(())
            });
        written.map_err(|e| format!("the journal could not be written: {e}"))
    }

    /// Writes a line. A failure is only logged, because its only effect is that a resumed run
    /// repeats the case.
    fn write_or_log(&self, line: &Line) {
        if let Err(error) = self.write(line) {
            tracing::error!(error);
        }
    }

    /// Records the opened device. The record is on disk before its first case.
    ///
    /// # Errors
    /// If it could not be written.
    pub(crate) fn device(&self, dut: &str, device: &KnownDevice) -> Result<(), String> {
        self.write(&Line::Device(dut.to_owned(), device.clone()))
    }
    /// Records the start of a case.
    pub(crate) fn begin_case(&self, dut: &str, case: &str) {
        self.write_or_log(&Line::Begin(dut.to_owned(), case.to_owned()));
    }
    /// Records the state of an item before the case changes it. It is on disk before the change is
    /// sent.
    ///
    /// # Errors
    /// If it could not be written.
    pub(crate) fn record_snapshot(&self, dut: &str, previous: &Snapshot) -> Result<(), String> {
        self.write(&Line::Snapshot(dut.to_owned(), previous.clone()))
    }
    /// Records the end of a case.
    pub(crate) fn end_case(&self, dut: &str, result: &CaseResult) {
        self.write_or_log(&Line::End(dut.to_owned(), Box::new(result.clone())));
    }
}
