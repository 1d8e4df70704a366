//! Context of a case: the device and its peer, the faults of the link and of the emulator, and all
//! observations.

use crate::{
    case_outcome::{CaseOutcome, NotPassed},
    journal::Snapshot,
    result::TargetKind,
    session::{Access, Session, Target},
};
use base64::Engine;
use qkd_driver_kit::{
    OpenContext, OpenedDevice,
    transcript::{Record, Transcript},
    wrap::fault::{FaultScript, LinkFault},
};
use qkd_hal::{
    Assumption, DeviceUri, Effect, Error, ErrorKind, Operation, Result as Outcome,
    checked::CallGuard,
};
use qkd_switch_hal::Port;
use std::{
    fmt::Debug,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::time::Instant;
use zeroize::Zeroizing;

#[derive(Default)]
struct Observations {
    timings: Vec<(Operation, Duration)>,
    secrets: Vec<Zeroizing<Vec<u8>>>,
    /// Text that errors and handles printed.
    printed: String,
    overruns: Vec<String>,
    put_back: Vec<String>,
    /// Snapshots of what the case has changed and not yet restored.
    changed: Vec<Snapshot>,
    /// The checks of what was opened with the accepted assumptions.
    call_guards: Vec<Arc<CallGuard>>,
}

/// Why nothing that rests on this assumption is run.
pub(crate) fn not_accepted(assumption: &Assumption) -> String {
    format!(
        "it rests on the assumption `{id}`, which was not accepted: {} Accept it with \
         accept = [\"{id}\"] in the file, or assume={id} in the URI, if it holds for the device",
        assumption.statement,
        id = assumption.id,
    )
}

/// Context of one case: the device, its peer, faults, and observations.
pub struct CaseContext {
    pub(crate) session: Arc<Session>,
    target: Target,
    /// The device, and its far end if it has one.
    uris: Vec<String>,
    context: OpenContext,
    transcript: Transcript,
    script: FaultScript,
    seen: Mutex<Observations>,
}

/// Fields of an entry of the credentials file that are searched for.
const PASSWORD_FIELDS: [&str; 4] = [
    "password",
    "auth_password",
    "priv_password",
    "officer_password",
];

/// The passwords of the credentials that the URIs name: what is noted and printed is searched for
/// them.
fn passwords(context: &OpenContext, uris: &[String]) -> Vec<Zeroizing<Vec<u8>>> {
    let entries = uris
        .iter()
        .filter_map(|uri| context.credentials(&uri.parse().ok()?).ok());
    entries
        .flat_map(|entry| {
            PASSWORD_FIELDS.map(|field| {
                let password = entry.get(field).unwrap_or_default();
                Zeroizing::new(password.as_bytes().to_vec())
            })
        })
        .filter(|password| password.len() >= 8)
        .collect()
}

impl CaseContext {
    /// Creates the context of a case; `case`: as [`Session::access`].
    ///
    /// # Errors
    /// A sentence if its emulator does not start.
    pub(crate) async fn of(session: &Arc<Session>, case: Option<&str>) -> Result<Self, String> {
        Ok(Self::new(session, session.access(case).await?))
    }

    fn new(session: &Arc<Session>, access: Access) -> Self {
        let Access {
            target,
            uris,
            context,
        } = access;
        let (transcript, script) = (Transcript::in_memory(), FaultScript::new());
        let seen = Observations {
            secrets: passwords(&context, &uris),
            ..Observations::default()
        };
        Self {
            session: Arc::clone(session),
            target,
            uris,
            context: context.with_transcript(transcript.clone()),
            transcript,
            script,
            seen: Mutex::new(seen),
        }
    }

    /// Creates a case context of the same kind, with an emulator of its own on a wire.
    pub(crate) async fn with_another_emulator(&self) -> Result<Self, String> {
        let access = self.session.access_to_another_emulator().await?;
        Ok(Self::new(&self.session, access))
    }

    /// Merges the observations and records of another context.
    pub(crate) fn merge_notes(&self, other: &Self) {
        for record in other.records() {
            self.transcript.push(record);
        }
        let noted = std::mem::take(&mut *other.observations());
        let mut seen = self.observations();
        seen.timings.extend(noted.timings);
        seen.secrets.extend(noted.secrets);
        seen.printed.push_str(&noted.printed);
        seen.overruns.extend(noted.overruns);
        seen.put_back.extend(noted.put_back);
        seen.call_guards.extend(noted.call_guards);
    }

    fn observations(&self) -> MutexGuard<'_, Observations> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens the device, with the faults of [`script`](Self::script) on its wire.
    pub(crate) async fn open(&self) -> Outcome<OpenedDevice> {
        self.open_with(&[]).await
    }

    /// The same, with further parameters of the URI.
    pub(crate) async fn open_with(&self, parameters: &[(&str, &str)]) -> Outcome<OpenedDevice> {
        let mut uri: DeviceUri = self.uris[0].parse()?;
        for (name, value) in parameters {
            uri = uri.with_parameter(*name, *value);
        }
        let context = self.context.clone().with_faults(self.script.clone());
        let opened = self.open_uri(&uri, context).await?;
        self.observations().call_guards.push(opened.call_guard());
        Ok(opened)
    }

    /// Opens the device once more, with the faults of a script of its own on its wire.
    pub(crate) async fn open_another(&self, script: &FaultScript) -> Outcome<OpenedDevice> {
        let uri: DeviceUri = self.uris[0].parse()?;
        let context = self.context.clone().with_faults(script.clone());
        let opened = self.open_uri(&uri, context).await?;
        self.observations().call_guards.push(opened.call_guard());
        Ok(opened)
    }

    /// Opens the far end.
    pub(crate) async fn open_peer(&self) -> Result<OpenedDevice, NotPassed> {
        let uri = self.uris.get(1).ok_or_else(|| {
            NotPassed::Disabled("no peer is configured: name it with peer =".to_owned())
        })?;
        let uri = uri.parse().map_err(NotPassed::from)?;
        let opened = self.open_uri(&uri, self.context.clone()).await?;
        self.observations().call_guards.push(opened.call_guard());
        Ok(opened)
    }

    /// Opens the device without the assumptions that were accepted.
    pub(crate) async fn open_without_assumptions(&self) -> Outcome<OpenedDevice> {
        let uri = self.uris[0].parse()?;
        let context = self
            .session
            .context(false)
            .with_transcript(self.transcript.clone());
        let context = match &self.target {
            Target::Memory(emulator) => emulator.attach(context),
            _ => context,
        };
        self.open_uri(&uri, context).await
    }

    async fn open_uri(&self, uri: &DeviceUri, context: OpenContext) -> Outcome<OpenedDevice> {
        // The faults of the wire run in a task, which releases a port shortly after the handle was
        // closed.
        let patience = Instant::now() + Duration::from_millis(500);
        loop {
            match self.session.registry.open_uri(uri, &context).await {
                Err(error)
                    if error.kind() == ErrorKind::Busy
                        && self.session.dut.target_kind().has_wall_time()
                        && Instant::now() < patience =>
                {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                result => return result.inspect_err(|e| self.print(e)),
            }
        }
    }

    /// Why the case could not run, if an operation that it used rests on an assumption that was not
    /// accepted.
    pub(crate) fn unaccepted(&self) -> Option<String> {
        self.observations()
            .call_guards
            .iter()
            .find_map(|guard| guard.refused_for())
            .map(not_accepted)
    }

    /// The URIs of the device and of its far end.
    pub(crate) fn uris(&self) -> &[String] {
        &self.uris
    }

    /// Returns the ports that may be changed: those that the file names; for an emulator, all if it
    /// names none.
    pub(crate) fn allowed_ports(&self) -> Result<impl Fn(Port) -> bool + use<'_>, NotPassed> {
        let named = &self.session.dut.ports;
        if named.is_empty() && self.session.dut.target_kind() == TargetKind::Device {
            return Err(NotPassed::Disabled(
                "name the ports that may be touched with ports = [..]".to_owned(),
            ));
        }
        Ok(move |port: Port| named.is_empty() || named.contains(&port.0))
    }

    /// Calls an operation and records its duration, whether it ended within its time, and the text
    /// of its error.
    pub(crate) async fn call<T>(
        &self,
        operation: Operation,
        call: impl Future<Output = Outcome<T>>,
    ) -> Outcome<T> {
        let begun = Instant::now();
        let result = call.await;
        let took = begun.elapsed();
        let allowed = self.session.allowed(operation);
        if took > allowed {
            let ended = result
                .as_ref()
                .err()
                .map_or_else(|| "it succeeded".to_owned(), ToString::to_string);
            self.observations().overruns.push(format!(
                "{operation} took {took:?}, and has {allowed:?}: {ended}"
            ));
        }
        match &result {
            Ok(_) => self.observations().timings.push((operation, took)),
            Err(error) => self.print(error),
        }
        result
    }

    /// Notes what something prints, to look for secrets in it.
    pub(crate) fn print(&self, what: &impl Debug) {
        let text = format!("{what:?}\n");
        self.observations().printed.push_str(&text);
    }

    /// Notes a secret, to look for it in everything that was recorded or printed.
    pub(crate) fn secret(&self, bytes: &[u8]) {
        if bytes.len() >= 8 {
            self.observations()
                .secrets
                .push(Zeroizing::new(bytes.to_vec()));
        }
    }

    /// The faults of the wire to the device.
    pub(crate) fn script(&self) -> &FaultScript {
        &self.script
    }

    /// Injects a fault into the next exchange.
    pub(crate) fn inject(&self, fault: LinkFault) {
        self.script.inject(0, fault);
    }

    /// Calls an operation while the exchange after the next `skip` exchanges has a fault. Returns
    /// its result and whether that exchange was reached. The fault is cancelled afterwards.
    pub(crate) async fn with_fault<T>(
        &self,
        skip: usize,
        fault: LinkFault,
        call: impl Future<Output = T>,
    ) -> (T, bool) {
        self.script.inject(skip, fault);
        let result = call.await;
        let injected = self.script.was_injected();
        self.script.clear();
        (result, injected)
    }

    /// Returns the recorded exchanges so far.
    pub(crate) fn records(&self) -> Vec<Record> {
        self.transcript.records()
    }

    /// Checks that no exchange was made since there were `count` records.
    pub(crate) fn check_no_traffic_since(&self, count: usize) -> CaseOutcome {
        match self.records().get(count) {
            None => Ok(()),
            Some(record) => Err(NotPassed::Fails(format!(
                "`{}` was sent, where nothing may be",
                record.name
            ))),
        }
    }

    /// Lets something go wrong in the emulated device, its optics, or by a second operator.
    pub(crate) fn fault(&self, spec: &str) -> CaseOutcome {
        let spec = format!("{}:{spec}", self.session.end());
        let result = match &self.target {
            Target::Memory(emulator) => emulator.fault(&spec),
            Target::Wire(running) => running.fault(&spec),
            Target::None => {
                return Err(NotPassed::Disabled(
                    "it needs an emulator, whose device can be faulted".to_owned(),
                ));
            }
        };
        result.map_err(|why| {
            NotPassed::NotApplicable(format!("its emulator has no such fault: {why}"))
        })
    }

    /// Returns the state of the emulator's model; `None` if the target is not an emulator.
    pub(crate) fn state(&self) -> Option<String> {
        match &self.target {
            Target::Memory(emulator) => Some(emulator.state()),
            Target::Wire(running) => Some(running.state()),
            Target::None => None,
        }
    }

    /// Checks the effect of an error: if the model has changed, the effect must not be `None`.
    pub(crate) fn check_reported_effect(
        &self,
        before: &Option<String>,
        error: &Error,
    ) -> CaseOutcome {
        let changed = before.is_some() && *before != self.state();
        if changed && error.effect() == Effect::None {
            return Err(NotPassed::Fails(format!(
                "the device changed, and the error denies it: {error}"
            )));
        }
        Ok(())
    }

    /// Records a restored change.
    pub(crate) fn note_restored(&self, what: impl Into<String>) {
        self.observations().put_back.push(what.into());
    }

    /// Records a snapshot before a change, to be restored after an interruption.
    ///
    /// # Errors
    /// `Broken` if it could not be written: then nothing may be changed.
    pub(crate) fn record_snapshot(&self, snapshot: &Snapshot) -> CaseOutcome {
        self.session.journal(snapshot).map_err(NotPassed::Broken)
    }

    /// As [`Self::record_snapshot`], for an item that is restored when the case ends.
    ///
    /// # Errors
    /// As [`about_to_change`](Self::about_to_change).
    pub(crate) fn record_and_restore(&self, snapshot: &Snapshot) -> CaseOutcome {
        self.record_snapshot(snapshot)?;
        self.observations().changed.push(snapshot.clone());
        Ok(())
    }

    /// Records that the state of a snapshot was restored.
    pub(crate) fn mark_restored(&self, snapshot: &Snapshot) {
        let mut seen = self.observations();
        seen.changed.retain(|previous| previous != snapshot);
        seen.put_back.push(snapshot.to_string());
    }

    /// Returns the snapshots that were not restored, the last change first.
    pub(crate) fn unrestored(&self) -> Vec<Snapshot> {
        self.observations().changed.iter().rev().cloned().collect()
    }

    /// Returns the observations: durations, restored items, and errors independent of the result of
    /// the case.
    pub(crate) fn close(&self) -> Notes {
        let seen = std::mem::take(&mut *self.observations());
        let records = self.records();
        let mut wrong = seen.overruns;
        let recorded = serde_json::to_string(&records).unwrap_or_else(|e| {
            wrong.push(format!(
                "the transcript could not be searched for secrets: {e}"
            ));
            String::new()
        });
        for (place, text) in [
            ("the transcript", &recorded),
            ("what errors and handles print", &seen.printed),
        ] {
            if seen.secrets.iter().any(|secret| shows(text, secret)) {
                wrong.push(format!("a secret appears in {place}"));
            }
        }
        Notes {
            records,
            timings: seen.timings,
            put_back: seen.put_back.join("; "),
            wrong,
        }
    }
}

/// Observations of a case.
pub(crate) struct Notes {
    pub(crate) records: Vec<Record>,
    pub(crate) timings: Vec<(Operation, Duration)>,
    pub(crate) put_back: String,
    pub(crate) wrong: Vec<String>,
}

/// A part of a secret so long is enough to know it again, and never comes by chance.
const PART: usize = 12;

/// Returns whether a text contains a secret or its first, middle or last part: unchanged, in
/// hexadecimal, in base64 at any alignment, or as Rust prints bytes.
fn shows(text: &str, secret: &[u8]) -> bool {
    let parts = match secret.len() {
        0..=PART => vec![secret],
        // In base64, a part is visible at one of three alignments; one of three consecutive parts
        // is therefore found.
        n => [0, 1, 2, (n - PART) / 2, n - PART]
            .into_iter()
            .filter_map(|at| secret.get(at..at + PART))
            .collect(),
    };
    parts.into_iter().any(|part| {
        let hex = Zeroizing::new(hex::encode(part));
        let upper = Zeroizing::new(hex.to_uppercase());
        let base64 = Zeroizing::new(base64::engine::general_purpose::STANDARD_NO_PAD.encode(part));
        let printed = Zeroizing::new(
            part.iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
                .join(", "),
        );
        [&hex, &upper, &base64, &printed]
            .iter()
            .any(|form| text.contains(form.as_str()))
            || std::str::from_utf8(part).is_ok_and(|plain| text.contains(plain))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_found_in_each_of_its_forms() {
        let secret = *b"0123456789\xff\xfe";
        for text in [
            "30313233343536373839fffe",
            "30313233343536373839FFFE",
            "x MDEyMzQ1Njc4Of/+ y",
            "[48, 49, 50, 51, 52, 53, 54, 55, 56, 57, 255, 254]",
        ] {
            assert!(shows(text, &secret), "{text}");
        }
        assert!(!shows("nothing here", &secret));
        assert!(shows("say 0123456789abcdef", b"0123456789abcdef"));
    }
}
