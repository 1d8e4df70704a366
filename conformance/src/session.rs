//! A prepared device under test: what it declares, and how each case reaches it.

use crate::{
    dut::Dut,
    journal::{Journal, Snapshot},
    profile::Profile,
    requirement::Impact,
    result::{AssumptionFacts, DriverFacts, Results, Run, TargetKind},
};
use qkd_driver_kit::{
    OpenContext, Registry, credentials::Credentials, transcript::Record, transcript::Replay,
};
use qkd_emulators::{
    profile::{InMemory, Options, RunningEmulator},
    profiles,
};
use qkd_hal::{
    Capabilities, Descriptor, DeviceUri, Identity, Operation, Support,
    encryptor::EncryptorCapabilities, qkd::QkdCapabilities,
};
use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

/// Why a run is refused once the device was opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// The profile is of another kind of device.
    WrongKind(String),
    /// The file names a port, parameter, channel or group that the device has not, or its URI is
    /// wrong.
    WrongFile(String),
    /// Another device responds at the address, or a device of another vendor.
    OtherDevice(String),
}

/// Durations measured on the device.
#[derive(Debug, Clone)]
pub(crate) struct Measured {
    /// Of the opening.
    pub(crate) opening: Duration,
    /// Of a reading.
    pub(crate) reading: Duration,
    /// Number of exchanges of a reading, at least 1.
    pub(crate) exchanges: usize,
}

/// The device at the other end of the link.
pub(crate) enum Target {
    Memory(InMemory),
    Wire(Arc<RunningEmulator>),
    /// A real device or a recording, outside the suite's control.
    None,
}

/// Access of a case to the device.
pub(crate) struct Access {
    pub(crate) target: Target,
    /// The device, and its far end if it has one.
    pub(crate) uris: Vec<String>,
    pub(crate) context: OpenContext,
}

/// Declarations of the device.
#[derive(Clone)]
pub(crate) struct Declared {
    pub(crate) identity: Option<Identity>,
    pub(crate) descriptor: Descriptor,
    pub(crate) capabilities: Capabilities,
    pub(crate) encryptor: Option<EncryptorCapabilities>,
    pub(crate) module: Option<QkdCapabilities>,
    /// Exchanges of the opening.
    pub(crate) opening: Vec<Record>,
    /// Durations of its calls, if they take wall time.
    pub(crate) measured: Option<Measured>,
}

/// A device under test, made ready.
pub(crate) struct Session {
    pub(crate) dut: Dut,
    pub(crate) profile: &'static Profile,
    pub(crate) registry: Registry,
    pub(crate) allowed: Impact,
    credentials: Credentials,
    running: Option<Arc<RunningEmulator>>,
    recording: Option<Run>,
    declared: OnceLock<Declared>,
    refusal: OnceLock<Refusal>,
    journal: Option<Journal>,
}

impl Session {
    /// Starts its emulator, or reads its recording, if that is what it is.
    ///
    /// # Errors
    /// Error text that says what is wrong with the file.
    pub(crate) async fn prepare(
        registry: &Registry,
        credentials: &Credentials,
        dut: Dut,
        allowed: Impact,
        journal: Option<Journal>,
    ) -> Result<Self, String> {
        dut.check()?;
        let profile = dut.profile()?;
        if let Some(driver) = dut.uri.as_ref().and_then(|uri| {
            registry
                .driver(uri.parse::<DeviceUri>().ok()?.driver())
                .ok()
        }) {
            let info = driver.info();
            profile
                .check_kind(&dut.profile, info.kinds)
                .map_err(|why| format!("{}: driver {}: {why}", dut.name, info.name))?;
        }
        let mut credentials = credentials.clone();
        let (mut running, mut recording) = (None, None);
        match dut.target_kind() {
            TargetKind::EmulatorOnWire => {
                let started = start(&dut).await?;
                credentials = with_credentials_of(credentials, &started)?;
                running = Some(Arc::new(started));
            }
            TargetKind::Recording => {
                let path = dut.recording.clone().unwrap_or_default();
                let text = std::fs::read_to_string(&path)
                    .map_err(|e| format!("{}: {e}", path.display()))?;
                let results =
                    Results::parse(&text).map_err(|e| format!("{}: {e}", path.display()))?;
                let names: Vec<String> = results.runs.iter().map(|r| r.dut.clone()).collect();
                let one = names.len() == 1;
                let run = results.runs.into_iter().find(|r| one || r.dut == dut.name);
                recording = Some(run.ok_or_else(|| {
                    format!(
                        "{}: it has no run of `{}`; it has: {}",
                        path.display(),
                        dut.name,
                        names.join(", ")
                    )
                })?);
            }
            TargetKind::EmulatorInMemory | TargetKind::Device => {}
        }
        Ok(Self {
            dut,
            profile,
            registry: registry.clone(),
            allowed,
            credentials,
            running,
            recording,
            declared: OnceLock::new(),
            refusal: OnceLock::new(),
            journal,
        })
    }

    /// Returns the number of the end of the emulator that is under test, from 1.
    pub(crate) fn end(&self) -> usize {
        self.dut.end.unwrap_or(1)
    }

    /// Returns the context for every opening of the device: credentials, accepted assumptions,
    /// deadline.
    pub(crate) fn context(&self, accepting: bool) -> OpenContext {
        self.context_with(self.credentials.clone(), accepting)
    }

    fn context_with(&self, credentials: Credentials, accepting: bool) -> OpenContext {
        let mut context = OpenContext::new().with_credentials(credentials);
        if accepting {
            context = context.with_accepted_assumptions(self.dut.accept.iter().cloned());
        }
        match self.dut.deadline() {
            Ok(Some(deadline)) => context.with_deadline(deadline),
            _ => context,
        }
    }

    /// The device and its far end, out of all URIs of an emulator.
    fn ends(&self, uris: &[String]) -> Result<Vec<String>, String> {
        let emulator = self.dut.emulator.as_deref().unwrap_or_default();
        let near = uris
            .get(self.end() - 1)
            .ok_or_else(|| format!("end = {}: {emulator} has {}", self.end(), uris.len()))?;
        let far = if emulator.ends_with("-pair") {
            uris.iter().find(|u| *u != near)
        } else {
            None
        };
        Ok(std::iter::once(near).chain(far).cloned().collect())
    }

    /// Returns the access of a case; for an emulator in memory, to a new emulator in the present
    /// runtime. `case`: the case whose recording is replayed; `None`: that of the opening.
    pub(crate) async fn access(&self, case: Option<&str>) -> Result<Access, String> {
        let context = self.context(true);
        let (target, uris, context) = match self.dut.target_kind() {
            TargetKind::EmulatorInMemory => {
                let emulator = profiles::in_memory(
                    self.dut.emulator.as_deref().unwrap_or_default(),
                    &emulator_options(&self.dut),
                )
                .map_err(|e| e.to_string())?;
                let uris = self.ends(emulator.uris())?;
                let context = emulator.attach(context);
                (Target::Memory(emulator), uris, context)
            }
            TargetKind::EmulatorOnWire => {
                let running = self.running.clone().ok_or("the emulator does not run")?;
                (
                    Target::Wire(Arc::clone(&running)),
                    self.ends(&running.ready().uris)?,
                    context,
                )
            }
            TargetKind::Recording => {
                let run = self
                    .recording
                    .as_ref()
                    .ok_or("the recording was not read")?;
                let records = match case {
                    None => run.opening.clone(),
                    Some(id) => run
                        .cases()
                        .find(|c| c.id == id)
                        .map(|c| c.transcript.clone())
                        .unwrap_or_default(),
                };
                let uris = std::iter::once(&run.uri)
                    .chain(&run.peer)
                    .cloned()
                    .collect();
                (
                    Target::None,
                    uris,
                    context.with_replay(Replay::new(records, 1)),
                )
            }
            TargetKind::Device => (
                Target::None,
                self.dut.uri.iter().chain(&self.dut.peer).cloned().collect(),
                context,
            ),
        };
        Ok(Access {
            target,
            uris,
            context,
        })
    }

    /// Returns the access to a further emulator on a wire.
    pub(crate) async fn access_to_another_emulator(&self) -> Result<Access, String> {
        let started = start(&self.dut).await?;
        let credentials = with_credentials_of(self.credentials.clone(), &started)?;
        let uris = self.ends(&started.ready().uris)?;
        Ok(Access {
            target: Target::Wire(Arc::new(started)),
            uris,
            context: self.context_with(credentials, true),
        })
    }

    /// Records what the device declares.
    pub(crate) fn set_declared(&self, declared: Declared) {
        let _ = self.declared.set(declared);
    }

    /// Records why no case runs on it.
    pub(crate) fn refuse(&self, refusal: Refusal) {
        let _ = self.refusal.set(refusal);
    }

    /// Why no case runs on it, if opening it said so.
    pub(crate) fn refusal(&self) -> Option<&Refusal> {
        self.refusal.get()
    }

    /// Returns the declarations of the device after it was opened.
    pub(crate) fn declared(&self) -> Option<&Declared> {
        self.declared.get()
    }

    /// Whether it declares an operation.
    pub(crate) fn can(&self, operation: Operation) -> bool {
        self.declared()
            .is_some_and(|d| d.capabilities.supports(operation) != Support::Unsupported)
    }

    /// The deadline of each call.
    pub(crate) fn deadline(&self) -> Duration {
        self.declared()
            .map_or(Duration::from_secs(5), |d| d.descriptor.deadline)
    }

    /// Emulated time after which a case, or a call with a fault, is taken to have no end. A device may
    /// use a new key hours after it was staged.
    pub(crate) fn emulated_patience(&self) -> Duration {
        self.allowed(Operation::Confirm).saturating_mul(50) + Duration::from_secs(24 * 3600)
    }

    /// The time within which a call of an operation ends.
    pub(crate) fn allowed(&self, operation: Operation) -> Duration {
        let deadline = self.deadline();
        let module = self.declared().and_then(|d| d.module.as_ref());
        let base = match operation {
            Operation::Start | Operation::Stop => module
                .and_then(|m| m.start_stop_timeout)
                .map_or(deadline, |longer| longer.max(deadline)),
            Operation::Calibrate => module
                .and_then(|m| m.calibration_timeout)
                .map_or(deadline, |longer| longer.max(deadline)),
            Operation::Confirm => {
                deadline
                    + self
                        .declared()
                        .and_then(|d| d.encryptor.as_ref())
                        .map_or(Duration::ZERO, |e| e.confirm_timeout)
            }
            _ => deadline,
        };
        // A clock has its grain, and a machine other work to do.
        base + Duration::from_millis(if self.dut.target_kind().has_wall_time() {
            500
        } else {
            20
        })
    }

    /// Returns whether a recording contains this case.
    pub(crate) fn was_recorded(&self, case: &str) -> bool {
        self.recording.as_ref().is_none_or(|run| {
            run.cases()
                .any(|c| c.id == case && c.outcome == crate::result::Outcome::Pass)
        })
    }

    /// Records a snapshot before a change.
    ///
    /// # Errors
    /// If it could not be written: then nothing may be changed.
    pub(crate) fn journal(&self, snapshot: &Snapshot) -> Result<(), String> {
        self.journal.as_ref().map_or(Ok(()), |journal| {
            journal.record_snapshot(&self.dut.key(), snapshot)
        })
    }

    /// Returns the facts about the driver.
    pub(crate) fn driver_facts(&self, uri: &str) -> DriverFacts {
        let name = uri.split('+').next().unwrap_or_default();
        let accepted = |id: &str| match self.declared() {
            Some(d) => d.descriptor.accepted.contains(id),
            None => self.dut.accept.iter().any(|a| a == id),
        };
        match self.registry.driver(name) {
            Ok(driver) => {
                let info = driver.info();
                DriverFacts {
                    name: info.name.to_owned(),
                    version: info.version.to_owned(),
                    family: info.family.to_owned(),
                    vendor: info.vendor.to_owned(),
                    maturity: info.maturity.to_string(),
                    assumptions: info
                        .assumptions
                        .iter()
                        .map(|a| AssumptionFacts {
                            id: a.id.to_string(),
                            statement: a.statement.to_string(),
                            disproved_by: a.disproof.to_string(),
                            accepted: accepted(&a.id),
                        })
                        .collect(),
                    unknowns: info.unknowns.iter().map(ToString::to_string).collect(),
                }
            }
            Err(_) => DriverFacts {
                name: name.to_owned(),
                version: String::new(),
                family: String::new(),
                vendor: String::new(),
                maturity: String::new(),
                assumptions: Vec::new(),
                unknowns: Vec::new(),
            },
        }
    }
}

/// Starts the emulator of a file on its wire.
async fn start(dut: &Dut) -> Result<RunningEmulator, String> {
    let profile = dut.emulator.as_deref().unwrap_or_default();
    profiles::start(profile, &emulator_options(dut))
        .await
        .map_err(|e| e.to_string())
}

/// Adds the credentials that an emulator has written for its clients.
fn with_credentials_of(
    mut credentials: Credentials,
    started: &RunningEmulator,
) -> Result<Credentials, String> {
    let Some(file) = &started.ready().credentials_file else {
        return Ok(credentials);
    };
    let own = Credentials::from_file(file).map_err(|e| e.to_string())?;
    for uri in &started.ready().uris {
        let Ok(uri) = uri.parse::<DeviceUri>() else {
            continue;
        };
        if let Some(name) = uri.parameter("credentials") {
            credentials = credentials.with(own.entry(name).map_err(|e| e.to_string())?);
        }
    }
    Ok(credentials)
}

fn emulator_options(dut: &Dut) -> Options {
    let mut options = Options {
        faults: dut.faults.clone(),
        ..Options::default().seeded(dut.seed.unwrap_or(7))
    };
    for (name, value) in &dut.settings {
        options = options.with(
            name,
            value
                .as_str()
                .map_or_else(|| value.to_string(), str::to_owned),
        );
    }
    options
}
