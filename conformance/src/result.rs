//! Results of a run: the one file from which every report is generated. Its schema is described in
//! `docs/results.md`.

use crate::requirement::Impact;
use qkd_driver_kit::transcript::Record;
use serde::{Deserialize, Serialize};

/// The version of the schema. It grows when a reader of the old one would misread the new one.
pub const SCHEMA_VERSION: u32 = 1;

/// The results of one or more devices under test.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Results {
    /// Version of the schema, [`SCHEMA_VERSION`].
    pub schema: u32,
    /// The suite that ran.
    pub suite: SuiteInfo,
    /// When it began, RFC 3339.
    pub begun: String,
    /// Duration in seconds of wall time.
    pub seconds: f64,
    /// One for each device under test.
    pub runs: Vec<Run>,
}

/// The suite that ran.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SuiteInfo {
    /// Name of the program.
    pub name: String,
    /// Version of the program.
    pub version: String,
    /// SHA-256 over the requirements, in hexadecimal.
    pub requirements: String,
}

/// Kind of the tested target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TargetKind {
    /// An emulator of this repository, in memory, under virtual time.
    EmulatorInMemory,
    /// An emulator of this repository, over a real wire.
    EmulatorOnWire,
    /// A recording of an earlier run.
    Recording,
    /// The device that the URI names, real or emulated.
    Device,
}

impl TargetKind {
    /// In words, for a report.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::EmulatorInMemory => "an emulator, in memory, under virtual time",
            Self::EmulatorOnWire => "an emulator, over a real wire",
            Self::Recording => "a recording of an earlier run",
            Self::Device => "the device at this address",
        }
    }
    /// Whether times were measured by a clock on the wall.
    #[must_use]
    pub fn has_wall_time(self) -> bool {
        matches!(self, Self::EmulatorOnWire | Self::Device)
    }
}

/// One device under test.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Run {
    /// Its name, from its file.
    pub dut: String,
    /// The profile that it was held against.
    pub profile: String,
    /// Kind of the tested target.
    pub on: TargetKind,
    /// URI of the device.
    pub uri: String,
    /// The URI of the far end of a pair.
    pub peer: Option<String>,
    /// The highest impact that was allowed.
    pub allowed: Impact,
    /// Allowed changes, if the file names any: ports, a channel, parameters, keys, key generation.
    pub scope: Option<String>,
    /// Faults that were set by hand, in the emulator's grammar.
    pub faults: Vec<String>,
    /// Identity and driver of the device; `None` if it could not be opened.
    pub device: Option<DeviceFacts>,
    /// The driver in between.
    pub driver: DriverFacts,
    /// Declared operations and whether each is supported.
    pub capabilities: Vec<(String, String)>,
    /// Exchanges of the opening.
    pub opening: Vec<Record>,
    /// Every requirement of the profile, in order.
    pub requirements: Vec<RequirementResult>,
    /// Durations of calls, by operation.
    pub timings: Vec<Timing>,
    /// Deviations declared in the file.
    pub deviations: Vec<Deviation>,
    /// Duration in seconds of wall time.
    pub seconds: f64,
    /// Whether it was ended before its end.
    pub interrupted: bool,
}

/// Identity and driver of the device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeviceFacts {
    /// Name of the vendor.
    pub vendor: String,
    /// Name of the model, if reported.
    pub model: Option<String>,
    /// Serial number, if reported.
    pub serial: Option<String>,
    /// Firmware version, if reported.
    pub firmware: Option<String>,
}

impl From<qkd_hal::Identity> for DeviceFacts {
    fn from(i: qkd_hal::Identity) -> Self {
        Self {
            vendor: i.vendor,
            model: i.model,
            serial: i.serial,
            firmware: i.firmware,
        }
    }
}

impl DeviceFacts {
    /// Whether both can be the same device: vendor, model and serial number agree. The firmware may
    /// have been updated.
    #[must_use]
    pub fn is_same_device(&self, other: &Self) -> bool {
        (&self.vendor, &self.model, &self.serial) == (&other.vendor, &other.model, &other.serial)
    }
}

impl std::fmt::Display for DeviceFacts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.vendor)?;
        for (what, value) in [
            ("", &self.model),
            (", serial", &self.serial),
            (", firmware", &self.firmware),
        ] {
            if let Some(value) = value {
                write!(f, "{what} {value}")?;
            }
        }
        Ok(())
    }
}

/// The driver in between.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DriverFacts {
    /// Name of the driver.
    pub name: String,
    /// Version of the driver.
    pub version: String,
    /// The family of devices.
    pub family: String,
    /// Name of the vendor.
    pub vendor: String,
    /// Its maturity before this run, in words.
    pub maturity: String,
    /// The assumptions on which it rests.
    pub assumptions: Vec<AssumptionFacts>,
    /// Unpublished protocol facts.
    pub unknowns: Vec<String>,
}

/// An assumption of a driver.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AssumptionFacts {
    /// ID of the assumption.
    pub id: String,
    /// The assumption, as a sentence about the device.
    pub statement: String,
    /// Observation on a real device that would disprove it.
    pub disproved_by: String,
    /// Whether it was accepted for this run.
    pub accepted: bool,
}

/// Result of a case or a requirement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// It ran, and holds.
    Pass,
    /// The device declares nothing to which it applies.
    NotApplicable,
    /// It did not run: above the allowed impact, filtered out, or without what it needs.
    Disabled,
    /// It failed, and a deviation in force says why that is accepted.
    Waived,
    /// It ran, and does not hold.
    Fail,
    /// The suite could not determine the result: a defect of the suite, or a device that did not
    /// respond.
    Error,
}

impl Outcome {
    /// All outcomes, in the order of reports.
    pub const ALL: [Self; 6] = [
        Self::Pass,
        Self::Fail,
        Self::Error,
        Self::Waived,
        Self::Disabled,
        Self::NotApplicable,
    ];

    /// In words, for a report.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::NotApplicable => "not applicable",
            Self::Disabled => "not run",
            Self::Waived => "waived",
            Self::Fail => "fail",
            Self::Error => "error",
        }
    }
}

/// A requirement, and how it ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RequirementResult {
    /// ID of the requirement.
    pub id: String,
    /// The requirement, as one "shall" sentence.
    pub sentence: String,
    /// Where that is written.
    pub source: String,
    /// Highest impact of its cases on the device.
    pub impact: Impact,
    /// Worst outcome of its cases.
    pub outcome: Outcome,
    /// Cases of the requirement.
    pub cases: Vec<CaseResult>,
}

impl RequirementResult {
    /// Returns the outcome with which a case counts: a failure of a waived requirement is waived.
    #[must_use]
    pub fn effective_outcome(&self, case: &CaseResult) -> Outcome {
        if self.outcome == Outcome::Waived && case.outcome == Outcome::Fail {
            Outcome::Waived
        } else {
            case.outcome
        }
    }
}

/// A case, and how it ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CaseResult {
    /// Its id: the requirement's, and a name.
    pub id: String,
    /// Description of the test.
    pub title: String,
    /// Whether it does something wrong, or lets something go wrong.
    pub negative: bool,
    /// Its declared impact, which was checked against the wire.
    pub impact: Impact,
    /// Outcome of the case.
    pub outcome: Outcome,
    /// Why; empty for a pass.
    pub why: String,
    /// Items that were changed and restored; may be empty.
    pub put_back: String,
    /// Duration in seconds (of virtual time, in memory).
    pub seconds: f64,
    /// Exchanges of the link, without secrets.
    pub transcript: Vec<Record>,
    /// The number of exchanges in `transcript` when the case failed: the last of them is the one
    /// that failed it. `None` if it did not fail, or failed before any exchange.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed_after: Option<usize>,
}

/// Durations of the calls of one operation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Timing {
    /// Name of the operation.
    pub operation: String,
    /// Number of successful calls.
    pub calls: usize,
    /// Median duration, in seconds.
    pub p50: f64,
    /// 99th percentile, in seconds.
    pub p99: f64,
    /// The longest, in seconds.
    pub max: f64,
}

/// A departure that is known and accepted for a time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Deviation {
    /// ID of the requirement.
    pub requirement: String,
    /// Why it is accepted.
    pub reason: String,
    /// The last day on which it is in force, such as `2027-03-31`.
    pub expires: String,
    /// Use of the deviation in this run.
    #[serde(default)]
    pub used: DeviationUse,
}

/// Use of a deviation in a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DeviationUse {
    /// Its requirement did not fail: it is not needed (any more).
    #[default]
    NotNeeded,
    /// It waived a failure.
    Waived,
    /// The deviation has expired, so the failure counts.
    Expired,
}

/// The verdict on a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Everything that its profile asks for was tested, and holds.
    Conforms,
    /// All tested requirements are met; applicable ones were not tested.
    ConformsAsTested,
    /// The suite could not determine the result, or was interrupted.
    Inconclusive,
    /// Something does not hold.
    DoesNotConform,
}

impl Verdict {
    /// In words, for a report.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Conforms => "Conforms",
            Self::ConformsAsTested => "Not fully tested",
            Self::Inconclusive => "Inconclusive",
            Self::DoesNotConform => "Does not conform",
        }
    }
}

impl Run {
    /// Returns the number of requirements with this outcome.
    #[must_use]
    pub fn count(&self, outcome: Outcome) -> usize {
        self.requirements
            .iter()
            .filter(|r| r.outcome == outcome)
            .count()
    }
    /// Returns all cases in order.
    pub fn cases(&self) -> impl Iterator<Item = &CaseResult> {
        self.requirements.iter().flat_map(|r| &r.cases)
    }
    /// Returns the verdict, with the number of tested requirements, such as `Conforms: 52 of 52
    /// requirements`.
    ///
    /// Requirements that do not apply are not counted. A requirement is tested if all its
    /// applicable cases were completed.
    #[must_use]
    pub fn headline(&self) -> String {
        let total = self.requirements.len() - self.count(Outcome::NotApplicable);
        let with = |outcome: Outcome| {
            self.requirements
                .iter()
                .filter(|r| r.outcome == outcome || r.cases.iter().any(|c| c.outcome == outcome))
                .count()
        };
        let noun = if total == 1 {
            "requirement"
        } else {
            "requirements"
        };
        let (untested, undecided) = (with(Outcome::Disabled), with(Outcome::Error));
        let not_tested = match untested {
            0 => String::new(),
            n => format!(", {n} not tested"),
        };
        match self.verdict() {
            Verdict::Conforms => format!("Conforms: {total} of {total} {noun}"),
            Verdict::ConformsAsTested => {
                format!("Not tested: {untested} of {total} {noun}; what was tested holds")
            }
            Verdict::Inconclusive if self.interrupted => {
                format!("Inconclusive: interrupted; {untested} of {total} {noun} not tested")
            }
            Verdict::Inconclusive => {
                format!("Inconclusive: {undecided} of {total} {noun}{not_tested}")
            }
            Verdict::DoesNotConform => {
                let failed = self.count(Outcome::Fail);
                format!("Does not conform: {failed} of {total} {noun} failed{not_tested}")
            }
        }
    }
    /// Returns the verdict of the run.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        let any = |outcome| self.count(outcome) > 0;
        if any(Outcome::Fail) {
            Verdict::DoesNotConform
        // An undetermined case is not waived together with the failed ones.
        } else if self.cases().any(|c| c.outcome == Outcome::Error)
            || self.interrupted
            || !any(Outcome::Pass)
        {
            Verdict::Inconclusive
        } else if any(Outcome::Disabled) || self.cases().any(|c| c.outcome == Outcome::Disabled) {
            Verdict::ConformsAsTested
        } else {
            Verdict::Conforms
        }
    }
}

impl Results {
    /// The worst verdict of all.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        self.runs
            .iter()
            .map(Run::verdict)
            .max()
            .unwrap_or(Verdict::Inconclusive)
    }

    /// Reads a result file.
    ///
    /// # Errors
    /// Error text that says what is wrong: another schema, or no result file.
    pub fn parse(text: &str) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct Head {
            schema: u32,
        }
        let head: Head =
            serde_json::from_str(text).map_err(|e| format!("not a result file: {e}"))?;
        if head.schema != SCHEMA_VERSION {
            return Err(format!(
                "this result file has schema {}; this program reads {SCHEMA_VERSION}",
                head.schema
            ));
        }
        serde_json::from_str(text).map_err(|e| format!("this result file is damaged: {e}"))
    }
}
