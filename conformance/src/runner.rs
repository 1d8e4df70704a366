//! The runner: selects the cases, announces them, runs them, and checks their declared impact
//! against the exchanges.

use crate::{
    case::{Case, Precondition},
    case_context::{CaseContext, not_accepted},
    case_outcome::NotPassed,
    cases,
    declare::declare,
    estimate,
    journal::{Journal, KnownDevice, PreviousRun},
    observer::RunObserver,
    requirement::{Impact, Requirement},
    restore,
    result::{
        CaseResult, Deviation, DeviationUse, DeviceFacts, Outcome, RequirementResult, Run,
        TargetKind, Timing,
    },
    session::Session,
    threads::{blocking, run_parallel, virtual_runtime},
};
use futures::FutureExt;
use qkd_hal::{Error, ErrorKind, Operation, text::printable};
use std::{
    collections::BTreeMap,
    panic::AssertUnwindSafe,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

/// Beyond this, in wall time, a case has hung.
const CASE_TIMEOUT: Duration = Duration::from_secs(120);

/// Options of a run.
#[derive(Clone, Default)]
pub struct RunOptions {
    /// Only requirements or cases whose ID begins with one of these; all if empty.
    pub only: Vec<String>,
    /// Ends the run after the present case.
    pub stop: Arc<AtomicBool>,
    /// Journal in which the run is recorded.
    pub journal: Option<Journal>,
    /// Results of an earlier run that is resumed.
    pub past: PreviousRun,
    /// Set if a change of this run or an earlier one could not be restored: the journal with the
    /// previous state must be kept.
    pub left_changed: Arc<AtomicBool>,
}

impl RunOptions {
    fn selects(&self, case: &Case) -> bool {
        self.only.is_empty()
            || self
                .only
                .iter()
                .any(|prefix| case.id.starts_with(prefix.as_str()))
    }
    /// Returns the result of an earlier run. An undetermined case, or one that did not run for a
    /// missing precondition, is repeated.
    fn known(&self, dut: &str, case: &str) -> Option<&CaseResult> {
        let last = self
            .past
            .ended
            .get(dut)?
            .iter()
            .rev()
            .find(|r| r.id == case);
        last.filter(|r| !matches!(r.outcome, Outcome::Error | Outcome::Disabled))
    }
}

/// Why a case does not run here; `None` if it does.
fn hindrance(session: &Session, case: &Case) -> Option<(Outcome, String)> {
    let on = session.dut.target_kind();
    let is_commanded = session
        .declared()
        .and_then(|d| d.encryptor.as_ref())
        .is_none_or(|e| e.activation.is_commanded());
    let needs: Vec<Precondition> = case
        .needs
        .iter()
        .filter_map(|need| match need {
            Precondition::Activation => {
                is_commanded.then_some(Precondition::Op(Operation::Activate))
            }
            other => Some(*other),
        })
        .collect();
    for need in &needs {
        if let Precondition::Op(operation) = need
            && !session.can(*operation)
        {
            return Some((
                Outcome::NotApplicable,
                format!("the device does not declare {operation}"),
            ));
        }
    }
    let descriptor = session.declared().map(|d| &d.descriptor);
    let unaccepted = needs.iter().find_map(|need| match need {
        Precondition::Op(operation) if operation.is_mutating() => {
            descriptor?.blocking_assumption(*operation)
        }
        _ => None,
    });
    if let Some(assumption) = unaccepted {
        return Some((Outcome::Disabled, not_accepted(assumption)));
    }
    if case.impact > session.allowed {
        return Some((
            Outcome::Disabled,
            format!(
                "it is {}, and {} is what was allowed",
                case.impact, session.allowed
            ),
        ));
    }
    needs.iter().find_map(|need| {
        let why = match need {
            Precondition::Live if on == TargetKind::Recording => {
                "a recording cannot be used for this case"
            }
            Precondition::Emulator
                if !matches!(
                    on,
                    TargetKind::EmulatorInMemory | TargetKind::EmulatorOnWire
                ) =>
            {
                "it needs an emulator, whose device can be faulted"
            }
            Precondition::Memory if on != TargetKind::EmulatorInMemory => {
                "it needs an emulator in memory, where time is virtual"
            }
            Precondition::Wire if !on.has_wall_time() => "it needs a real wire",
            Precondition::Peer if on == TargetKind::Recording => {
                "a recording of two ends draws their secrets apart"
            }
            _ => return None,
        };
        Some((Outcome::Disabled, why.to_owned()))
    })
}

/// Returns the cases of a session's profile in order.
fn cases_of(session: &Session) -> Vec<&'static Case> {
    let wanted: Vec<&str> = session
        .profile
        .requirements()
        .map(|r| r.id.as_str())
        .collect();
    cases::all()
        .iter()
        .filter(|c| wanted.contains(&c.requirement()))
        .collect()
}

/// The cases that a run will run.
fn chosen(session: &Session, request: &RunOptions) -> Vec<&'static Case> {
    let runs = |case: &&Case| {
        request.selects(case) && session.was_recorded(case.id) && hindrance(session, case).is_none()
    };
    cases_of(session).into_iter().filter(runs).collect()
}

/// Returns the announcement of a run: what it will do to the device, and its estimated duration.
fn announcement(session: &Session, chosen: &[&Case], takes: Option<String>) -> String {
    let mut text = format!("{}: {} cases", session.dut.name, chosen.len());
    if let Some(takes) = takes {
        text.push_str(&format!("; the run {takes}"));
    }
    let changing: Vec<_> = chosen
        .iter()
        .filter(|c| c.impact > Impact::Observe)
        .collect();
    if changing.is_empty() {
        text.push_str("; they read only, or are refused before anything is sent");
    }
    for impact in Impact::ALL.into_iter().skip(1) {
        let of: Vec<_> = changing.iter().filter(|c| c.impact == impact).collect();
        if !of.is_empty() {
            text.push_str(&format!("\n  {impact} ({}):", impact.meaning()));
            of.iter()
                .for_each(|c| text.push_str(&format!("\n    {:32} {}", c.id, c.title)));
        }
    }
    if !changing.is_empty() {
        text.push_str(&format!(
            "\n  what may be touched: {}",
            session.dut.scope().unwrap_or_else(|| {
                if session.dut.target_kind() == TargetKind::Device {
                    "nothing, since the file names no ports, channel, parameters, keys or \
                     generation; what would touch them is not run"
                        .to_owned()
                } else {
                    "all of the emulator".to_owned()
                }
            })
        ));
    }
    text
}

/// Opens the device, and says what a run will do to it.
pub(crate) async fn announce(session: &Arc<Session>, request: &RunOptions) -> String {
    match declare(session).await {
        Ok(()) => {
            let chosen = chosen(session, request);
            let takes = estimate::estimate_text(session, &chosen);
            announcement(session, &chosen, takes)
        }
        Err(why) => format!("{}: it cannot be opened: {why}", session.dut.name),
    }
}

/// Durations that a case measured.
type Timings = Vec<(Operation, Duration)>;

/// A case that ended.
struct Done {
    result: CaseResult,
    timings: Timings,
    /// Whether it changed an item that could not be restored.
    left_changed: bool,
    /// Whether the device does not answer any more.
    gone: bool,
}

/// The result of a case that has ended so.
fn ended(case: &Case, outcome: Outcome, why: String) -> CaseResult {
    CaseResult {
        id: case.id.to_owned(),
        title: case.title.to_owned(),
        negative: case.negative,
        impact: case.impact,
        outcome,
        why,
        put_back: String::new(),
        seconds: 0.0,
        transcript: Vec::new(),
        failed_after: None,
    }
}

/// Runs one case with a new case context, in the present runtime.
async fn run_case(session: &Arc<Session>, case: &Case) -> Done {
    let mut result = ended(case, Outcome::Pass, String::new());
    let bench = match CaseContext::of(session, Some(case.id)).await {
        Ok(bench) => bench,
        Err(why) => {
            (result.outcome, result.why) = (Outcome::Error, why);
            return Done {
                result,
                timings: Vec::new(),
                left_changed: false,
                gone: false,
            };
        }
    };
    let before = bench.state();
    let begun = tokio::time::Instant::now();
    let body = AssertUnwindSafe((case.body)(&bench)).catch_unwind();
    let patience = if session.dut.target_kind() == TargetKind::EmulatorInMemory {
        session.emulated_patience()
    } else {
        CASE_TIMEOUT
    };
    let verdict = match tokio::time::timeout(patience, body).await {
        Ok(Ok(verdict)) => verdict,
        Ok(Err(panic)) => Err(NotPassed::Fails(format!(
            "it panicked: {}",
            panic_text(&*panic)
        ))),
        Err(_) => Err(NotPassed::Fails(format!(
            "a call did not end within {patience:?}"
        ))),
    };
    result.seconds = begun.elapsed().as_secs_f64();
    // Behind these come those that restore the device.
    let exchanges = bench.records().len();
    bench.script().clear();
    let left = restore::restore_remaining(&bench).await;
    let after = bench.state();
    if session.dut.target_kind() == TargetKind::EmulatorOnWire {
        let _ = bench.fault("clear");
    }
    let unaccepted = bench.unaccepted();
    let notes = bench.close();
    (result.outcome, result.why) = match verdict {
        Ok(()) => (Outcome::Pass, String::new()),
        Err(NotPassed::Fails(why)) => (Outcome::Fail, why),
        Err(NotPassed::NotApplicable(why)) => (Outcome::NotApplicable, why),
        Err(NotPassed::Disabled(why)) => (Outcome::Disabled, why),
        Err(NotPassed::Broken(why)) => (Outcome::Error, why),
    };
    if let (Outcome::Fail, Some(why)) = (result.outcome, unaccepted) {
        (result.outcome, result.why) = (Outcome::Disabled, why);
    }
    if result.outcome == Outcome::Pass && !notes.wrong.is_empty() {
        (result.outcome, result.why) = (Outcome::Fail, notes.wrong.join("; "));
    }
    // The declared impact, against the wire and against the model.
    if !matches!(result.outcome, Outcome::Fail | Outcome::Error) {
        let moved = before != after;
        let sent = notes.records.iter().find(|r| r.changes);
        let broken = match case.impact {
            Impact::Observe => match (sent, moved) {
                (Some(record), _) => Some(format!(
                    "it is declared to observe, and `{}`, which may change the device, was sent",
                    record.name
                )),
                (None, true) => Some(
                    "it is declared to observe, nothing that changes was sent, and the device has \
                     changed"
                        .to_owned(),
                ),
                (None, false) => None,
            },
            Impact::Reversible | Impact::Disruptive
                if before.as_deref().map(lasting) != after.as_deref().map(lasting) =>
            {
                Some("what it changed was not restored".to_owned())
            }
            _ => None,
        };
        if let Some(why) = broken {
            (result.outcome, result.why) = (Outcome::Error, why);
        }
    }
    if !left.is_empty() {
        let reported: Vec<_> = left
            .iter()
            .map(|(previous, why)| restore::not_restored_text(previous, why))
            .collect();
        let before = if result.why.is_empty() {
            String::new()
        } else {
            format!("; and before that: {}", result.why)
        };
        (result.outcome, result.why) = (Outcome::Error, reported.join("; ") + &before);
    }
    // A disconnected device has not failed a requirement: the result is undetermined.
    let gone = session.dut.target_kind().has_wall_time()
        && matches!(result.outcome, Outcome::Fail | Outcome::Error)
        && !answers(session).await;
    if gone {
        (result.outcome, result.why) = (
            Outcome::Error,
            format!("the device does not answer any more: {}", result.why),
        );
    }
    result.put_back = notes.put_back;
    result.transcript = notes.records;
    if matches!(result.outcome, Outcome::Fail | Outcome::Error) && exchanges > 0 {
        result.failed_after = Some(exchanges);
    }
    Done {
        result,
        timings: notes.timings,
        left_changed: !left.is_empty(),
        gone,
    }
}

/// Returns whether the device can be opened within 10 s, in which a device may restart.
async fn answers(session: &Arc<Session>) -> bool {
    let Ok(bench) = CaseContext::of(session, None).await else {
        return false;
    };
    let end = Instant::now() + Duration::from_secs(10);
    let datagrams = bench.uris()[0].contains("+snmp://");
    loop {
        match bench.open().await {
            Ok(opened) => {
                let _ = opened.device().close().await;
                return true;
            }
            // Over a datagram, silence is all that a device which is gone leaves.
            Err(error) => match error.kind() {
                ErrorKind::Unreachable | ErrorKind::NotFound => {}
                ErrorKind::Timeout if datagrams => {}
                _ => return true,
            },
        }
        if Instant::now() >= end {
            return false;
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

/// Returns a model's state without its counts of commands, which cannot be restored.
fn lasting(state: &str) -> Vec<&str> {
    state
        .lines()
        .filter(|line| !line.trim_start().starts_with("commands: "))
        .collect()
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    panic
        .downcast_ref::<String>()
        .cloned()
        .or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string))
        .unwrap_or_default()
}

/// Runs all cases of a session. The present runtime serves a session that is not in memory; an
/// in-memory session has a runtime for each case, on two threads.
pub(crate) async fn run(
    session: &Arc<Session>,
    request: &RunOptions,
    watcher: &dyn RunObserver,
) -> Run {
    let begun = Instant::now();
    let (dut, key) = (session.dut.name.clone(), session.dut.key());
    let chosen = cases_of(session);
    let in_memory = session.dut.target_kind() == TargetKind::EmulatorInMemory;
    let opened = match declare(session).await {
        Ok(()) => wait_for_earlier(session, request, watcher).await,
        Err(why) => {
            if let Some((_, previous)) = request.past.interrupted.get(&key).filter(|_| !in_memory) {
                restore::warn_not_restored(previous, &why, watcher);
                request.left_changed.store(true, Ordering::Relaxed);
            }
            Err(format!("the device could not be opened: {why}"))
        }
    };
    let mut results: BTreeMap<&'static str, CaseResult> = BTreeMap::new();
    let mut timings: Timings = Vec::new();
    let mut put_aside = |case: &'static Case, outcome, why: String| {
        results.insert(case.id, ended(case, outcome, why));
    };
    let mut to_run = Vec::new();
    for case in chosen.iter().copied() {
        if let Err(why) = &opened {
            put_aside(case, Outcome::Error, why.clone());
        } else if !request.selects(case) {
            put_aside(case, Outcome::Disabled, "it was filtered out".to_owned());
        } else if !session.was_recorded(case.id) {
            put_aside(
                case,
                Outcome::Disabled,
                "the recording has no pass of it".to_owned(),
            );
        } else if let Some((outcome, why)) = hindrance(session, case) {
            put_aside(case, outcome, why);
        } else {
            to_run.push(case);
        }
    }
    let (old, new): (Vec<&'static Case>, Vec<_>) = to_run
        .into_iter()
        .partition(|c| request.known(&key, c.id).is_some());
    for case in old {
        if let Some(result) = request.known(&key, case.id) {
            results.insert(case.id, result.clone());
        }
    }
    watcher.total(new.len());
    let mut never_begun = "the run was ended before it".to_owned();
    let done = if in_memory {
        all_in_memory(session, request, &new, watcher)
    } else {
        let mut done = Vec::new();
        for case in new {
            if request.stop.load(Ordering::Relaxed) {
                break;
            }
            let case_done = one(session, request, case, watcher).await;
            let left_changed =
                case_done.left_changed && session.dut.target_kind() == TargetKind::Device;
            let gone = case_done.gone;
            done.push(case_done);
            if gone {
                never_begun = format!("the device went away during {}", case.id);
                watcher.warn(&format!(
                    "{dut}: {never_begun}; nothing more is asked of it"
                ));
                break;
            }
            if left_changed {
                request.left_changed.store(true, Ordering::Relaxed);
                never_begun = format!(
                    "what {} changed COULD NOT BE RESTORED, so that nothing more was done to the \
                     device",
                    case.id
                );
                watcher.warn(&format!("{dut}: {never_begun}"));
                break;
            }
        }
        done
    };
    for Done {
        result,
        timings: mut times,
        ..
    } in done
    {
        timings.append(&mut times);
        if let Some(case) = chosen.iter().find(|c| c.id == result.id) {
            results.insert(case.id, result);
        }
    }
    let interrupted = request.stop.load(Ordering::Relaxed);
    for case in &chosen {
        results
            .entry(case.id)
            .or_insert_with(|| ended(case, Outcome::Disabled, never_begun.clone()));
    }
    let mut requirements: Vec<_> = session
        .profile
        .requirements()
        .map(|r| gather(r, &results))
        .collect();
    let deviations = waive(&mut requirements, &session.dut.deviations);
    let declared = session.declared();
    let uris = uris(session).await;
    Run {
        dut,
        profile: session.dut.profile.clone(),
        on: session.dut.target_kind(),
        driver: session.driver_facts(&uris[0]),
        uri: uris[0].clone(),
        peer: uris.get(1).cloned(),
        allowed: session.allowed,
        scope: session.dut.scope(),
        faults: session.dut.faults.clone(),
        device: declared.and_then(|d| d.identity.clone()).map(Into::into),
        capabilities: declared.map_or_else(Vec::new, |d| {
            let words = serde_json::to_value(&d.capabilities).unwrap_or_default();
            words.as_object().map_or_else(Vec::new, |m| {
                m.iter()
                    .map(|(k, v)| (k.clone(), v.as_str().unwrap_or_default().to_owned()))
                    .collect()
            })
        }),
        opening: declared.map_or_else(Vec::new, |d| d.opening.clone()),
        requirements,
        timings: percentiles(timings),
        deviations,
        seconds: begun.elapsed().as_secs_f64(),
        interrupted,
    }
}

/// Checks that the device is the one of the earlier run. Without an earlier run, every device is.
pub(crate) fn check_same_device(session: &Session, past: &PreviousRun) -> qkd_hal::Result<()> {
    let key = session.dut.key();
    let interrupted = past.interrupted.get(&key);
    let now = session
        .declared()
        .map(|d| d.identity.clone().map(DeviceFacts::from));
    let why = match (past.devices.get(&key), now) {
        (_, None) => return Ok(()),
        (None, Some(_)) if interrupted.is_none() => return Ok(()),
        (None, Some(_)) => {
            "the journal does not hold the identity of the device that was changed".to_owned()
        }
        (Some(known), Some(now)) => match (&known.identity, &now) {
            (None, None) => return Ok(()),
            (Some(then), Some(now)) if then.is_same_device(now) => return Ok(()),
            (then, now) => {
                let shown = |facts: &Option<DeviceFacts>| {
                    facts.as_ref().map_or_else(
                        || "a device that reports no identity".to_owned(),
                        |facts| printable(&facts.to_string(), 200).into_owned(),
                    )
                };
                format!(
                    "the earlier run was on {}, and {} responds now",
                    shown(then),
                    shown(now)
                )
            }
        },
    };
    let mut why = format!("{why}; nothing was restored, and nothing is done to this device");
    for previous in interrupted.map_or(&[][..], |(_, all)| all) {
        why.push_str(&format!(
            "\n  not restored; previous state: {}\n    {}",
            printable(&previous.to_string(), 400),
            printable(&previous.by_hand(), 400)
        ));
    }
    Err(Error::new(ErrorKind::IdentityChanged, why).with_device(session.dut.name.as_str()))
}

/// Restores what the case changed during which an earlier run was interrupted, and records the
/// identity of the device in the journal. If that fails, nothing more is done to the device.
async fn wait_for_earlier(
    session: &Arc<Session>,
    request: &RunOptions,
    watcher: &dyn RunObserver,
) -> Result<(), String> {
    let key = session.dut.key();
    if let Err(error) = check_same_device(session, &request.past) {
        request.left_changed.store(true, Ordering::Relaxed);
        watcher.warn(&error.to_string());
        return Err(error.to_string());
    }
    let known = request.past.devices.get(&key);
    if let Some((case, previous)) = request.past.interrupted.get(&key) {
        watcher.log(&format!(
            "{}: the earlier run was interrupted during {}",
            session.dut.name,
            printable(case, 100)
        ));
        let known = known.cloned().unwrap_or_default();
        if session.dut.target_kind() != TargetKind::EmulatorInMemory
            && !restore::restore_all(session, &known, previous, watcher).await
        {
            request.left_changed.store(true, Ordering::Relaxed);
            return Err(format!(
                "what {} changed in an earlier run COULD NOT BE RESTORED, so that nothing more \
                 was done to the device",
                printable(case, 100)
            ));
        }
    }
    if let (Some(journal), Some(declared)) = (&request.journal, session.declared()) {
        let now = KnownDevice {
            identity: declared.identity.clone().map(DeviceFacts::from),
            ports: session.dut.ports.clone(),
        };
        if known != Some(&now) {
            journal.device(&key, &now)?;
        }
    }
    Ok(())
}

async fn uris(session: &Arc<Session>) -> Vec<String> {
    let access = if session.dut.target_kind() == TargetKind::EmulatorInMemory {
        let session = Arc::clone(session);
        blocking(move || {
            virtual_runtime()?.block_on(async { session.access(None).await.map(|a| a.uris) })
        })
        .await
    } else {
        session.access(None).await.map(|a| a.uris)
    };
    access.unwrap_or_else(|_| vec![session.dut.uri.clone().unwrap_or_default()])
}

async fn one(
    session: &Arc<Session>,
    request: &RunOptions,
    case: &'static Case,
    watcher: &dyn RunObserver,
) -> Done {
    let journal = request.journal.as_ref();
    if let Some(journal) = journal {
        journal.begin_case(&session.dut.key(), case.id);
    }
    let done = run_case(session, case).await;
    // A case that left something changed has no end in the journal, so that `--resume` restores
    // it.
    if let Some(journal) =
        journal.filter(|_| !done.left_changed || session.dut.target_kind() != TargetKind::Device)
    {
        journal.end_case(&session.dut.key(), &done.result);
    }
    watcher.ended(&session.dut.name, &done.result);
    done
}

/// Each case has a runtime of virtual time of its own.
fn all_in_memory(
    session: &Arc<Session>,
    request: &RunOptions,
    cases: &[&'static Case],
    watcher: &dyn RunObserver,
) -> Vec<Done> {
    run_parallel(cases.len(), |n| {
        let case = cases
            .get(n)
            .filter(|_| !request.stop.load(Ordering::Relaxed))?;
        Some(match virtual_runtime() {
            Ok(runtime) => runtime.block_on(one(session, request, case, watcher)),
            Err(why) => Done {
                result: ended(case, Outcome::Error, why),
                timings: Vec::new(),
                left_changed: false,
                gone: false,
            },
        })
    })
}

/// A requirement ends as the worst of its cases that ran.
fn gather(
    requirement: &Requirement,
    results: &BTreeMap<&'static str, CaseResult>,
) -> RequirementResult {
    let cases: Vec<CaseResult> = cases::all()
        .iter()
        .filter(|c| c.requirement() == requirement.id)
        .filter_map(|c| results.get(c.id).cloned())
        .collect();
    let any = |outcome| cases.iter().any(|c| c.outcome == outcome);
    let outcome = [
        Outcome::Fail,
        Outcome::Error,
        Outcome::Pass,
        Outcome::Disabled,
    ]
    .into_iter()
    .find(|o| any(*o))
    .unwrap_or(Outcome::NotApplicable);
    RequirementResult {
        id: requirement.id.clone(),
        sentence: requirement.sentence.clone(),
        source: requirement.source.clone(),
        impact: requirement.impact,
        outcome,
        cases,
    }
}

/// Applies the deviations that are in force.
fn waive(requirements: &mut [RequirementResult], deviations: &[Deviation]) -> Vec<Deviation> {
    let today = jiff::tz::TimeZone::UTC
        .to_datetime(jiff::Timestamp::now())
        .date();
    deviations
        .iter()
        .map(|deviation| {
            let mut deviation = deviation.clone();
            if let Some(requirement) = requirements
                .iter_mut()
                .find(|r| r.id == deviation.requirement && r.outcome == Outcome::Fail)
            {
                let in_force = deviation
                    .expires
                    .parse::<jiff::civil::Date>()
                    .is_ok_and(|last| last >= today);
                deviation.used = if in_force {
                    DeviationUse::Waived
                } else {
                    DeviationUse::Expired
                };
                if in_force {
                    requirement.outcome = Outcome::Waived;
                }
            }
            deviation
        })
        .collect()
}

fn percentiles(timings: Timings) -> Vec<Timing> {
    let mut by: BTreeMap<Operation, Vec<f64>> = BTreeMap::new();
    timings
        .into_iter()
        .for_each(|(operation, took)| by.entry(operation).or_default().push(took.as_secs_f64()));
    by.into_iter()
        .map(|(operation, mut all)| {
            all.sort_by(f64::total_cmp);
            // The nearest rank.
            let at = |p: f64| all[((p * all.len() as f64).ceil() as usize).clamp(1, all.len()) - 1];
            Timing {
                operation: operation.name().to_owned(),
                calls: all.len(),
                p50: at(0.5),
                p99: at(0.99),
                max: at(1.0),
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_the_nearest_rank() {
        let all = (1..=100)
            .map(|ms| (Operation::Identity, Duration::from_millis(ms)))
            .collect();
        let of = percentiles(all);
        assert_eq!(
            (of[0].calls, of[0].p50, of[0].p99, of[0].max),
            (100, 0.05, 0.099, 0.1)
        );
        assert_eq!(
            percentiles(vec![(Operation::Health, Duration::from_secs(1))])[0].p99,
            1.0
        );
    }
}
