//! A prepared device under test: what it declares, and a new case context for each case.

use crate::{
    case_context::{CaseContext, Target},
    dut::Dut,
    estimate::Measured,
    journal::{Journal, Snapshot},
    names,
    profile::Profile,
    requirement::Impact,
    result::{AssumptionFacts, DriverFacts, Results, Run, TargetKind},
    suite::Refusal,
};
use qkd_driver_kit::{
    OpenContext, Registry, credentials::Credentials, transcript::Record, transcript::Replay,
};
use qkd_emulators::profile::{self as emulators, Options, RunningEmulator};
use qkd_hal::{
    Capabilities, Descriptor, DeviceUri, ErrorKind, Identity, Operation, Support,
    encryptor::EncryptorCapabilities, qkd::QkdCapabilities,
};
use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};
use tokio::time::Instant;

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

    /// Creates a case context; for an emulator in memory, with a new emulator in the present
    /// runtime. `case`: the case whose recording is replayed; `None`: that of the opening.
    pub(crate) async fn bench(self: &Arc<Self>, case: Option<&str>) -> Result<CaseContext, String> {
        let context = self.context(true);
        let (target, uris, context) = match self.dut.target_kind() {
            TargetKind::EmulatorInMemory => {
                let emulator = emulators::in_memory(
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
        Ok(CaseContext::new(Arc::clone(self), target, uris, context))
    }

    /// Creates a case context on a wire, with an emulator of its own.
    pub(crate) async fn bench_with_another_emulator(
        self: &Arc<Self>,
    ) -> Result<CaseContext, String> {
        let started = start(&self.dut).await?;
        let credentials = with_credentials_of(self.credentials.clone(), &started)?;
        let uris = self.ends(&started.ready().uris)?;
        Ok(CaseContext::new(
            Arc::clone(self),
            Target::Wire(Arc::new(started)),
            uris,
            self.context_with(credentials, true),
        ))
    }

    /// Opens the device once, and keeps what it declares.
    pub(crate) async fn declare(self: &Arc<Self>) -> Result<(), String> {
        let bench = self.bench(None).await.map_err(|why| {
            let why = format!("{}: {why}", self.dut.name);
            let _ = self.refusal.set(Refusal::WrongFile(why.clone()));
            why
        })?;
        let begun = Instant::now();
        let opened = bench.open().await.map_err(|e| {
            if e.kind() == ErrorKind::IdentityChanged {
                let _ = self.refusal.set(Refusal::OtherDevice(e.to_string()));
            }
            if e.kind() == ErrorKind::InvalidInput {
                let _ = self
                    .refusal
                    .set(Refusal::WrongFile(format!("{}: {e}", self.dut.name)));
            }
            e.to_string()
        })?;
        let opening_time = begun.elapsed();
        let device = opened.device();
        // What a driver's family is may depend on the device.
        if let Err(why) = self
            .profile
            .check_kind(&self.dut.profile, &device.descriptor().kinds)
        {
            let why = format!("{}: {why}", self.dut.name);
            let _ = device.close().await;
            let _ = self.refusal.set(Refusal::WrongKind(why.clone()));
            return Err(why);
        }
        if let Err(why) = names::check(&self.dut, &opened).await {
            let why = format!("{}: {why}", self.dut.name);
            let _ = device.close().await;
            let _ = self.refusal.set(Refusal::WrongFile(why.clone()));
            return Err(why);
        }
        let identity = match device.capabilities().supports(Operation::Identity) {
            Support::Unsupported => None,
            _ => Some(device.identity().await.map_err(|e| e.to_string())?),
        };
        let encryptor = opened
            .encryptor()
            .ok()
            .map(|e| e.encryptor_capabilities().clone());
        let module = opened.module().ok().map(|m| m.qkd_capabilities().clone());
        let (descriptor, capabilities) =
            (device.descriptor().clone(), device.capabilities().clone());
        let opening = bench.records();
        let measured = match self.dut.target_kind().has_wall_time() {
            true => Some(Measured::reading(&bench, &opened, opening_time).await),
            false => None,
        };
        let _ = device.close().await;
        let _ = self.declared.set(Declared {
            identity,
            descriptor,
            capabilities,
            encryptor,
            module,
            opening,
            measured,
        });
        Ok(())
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
                            id: a.id.to_owned(),
                            statement: a.statement.to_owned(),
                            disproved_by: a.disproof.to_owned(),
                            accepted: accepted(a.id),
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
    emulators::start(profile, &emulator_options(dut))
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

/// A device under test, opened, for tests of what uses it.
#[cfg(test)]
pub(crate) async fn prepared(dut: &str) -> Arc<Session> {
    let registry = qkd_hardware::registry();
    let credentials = Credentials::default();
    let dut = Dut::parse(dut).unwrap();
    let session = Session::prepare(&registry, &credentials, dut, Impact::Destructive, None);
    let session = Arc::new(session.await.unwrap());
    session.declare().await.unwrap();
    session
}
