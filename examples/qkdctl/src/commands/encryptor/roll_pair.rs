//! `qkdctl encryptor roll`: a pair of encryptors gets a fresh key of a QKD pair, or the key of a
//! roll that did not end.

use super::{
    roll_history::{self, InterruptedRoll, ROLL},
    roll_journal::RollJournal,
    roll_report::{Announced, RollDocument, rows},
};
use crate::{
    cli,
    commands::{DRY_RUN, change::ChangeResult},
    exit,
    interrupt::{Guard, Work},
    journal::{self, Entry},
    key_transport,
    output::{self, Output},
    progress,
    session::{Device, Session},
};
use qkd_driver_kit::program::signals::EndSignal;
use qkd_hal::{
    DeviceUri, Error, ErrorKind, Key, KeyId, QkdModule, Result, encryptor::ChannelStatus,
    qkd::KeyRequest, units::Bits,
};
use qkd_keyflow::{
    EncryptorPair, End, Forward, Readiness, Recovery, RollEnd, RollOutcome, RollRecord, RollState,
    StopPoint,
};
use std::sync::Arc;

/// The command, as its documents are named.
const COMMAND: &str = "encryptor/roll";

/// Rolls a pair over with `yes`; without it, prints what would be done.
pub(super) async fn run(session: &Session, output: Output, arguments: &cli::Roll) -> Result<u8> {
    let peer = arguments.peer.as_deref();
    let ends = session.inventory.ends(&arguments.device, peer, "--peer")?;
    let twin = arguments.peer_source.as_deref();
    let sources = session
        .inventory
        .ends(&arguments.source, twin, "--peer-source")?;
    let sources = session.resolve_ends(&sources)?;
    for source in &sources {
        key_transport::check(source, arguments.plain_http)?;
    }
    let uris = session.resolve_ends(&ends)?;
    let devices = session.open_ends(uris, arguments.yes).await?;
    let [channel, peer_channel] = &ends.channels;
    let peer_channel = arguments.peer_channel.as_ref().or(peer_channel.as_ref());
    let channel = arguments.channel.as_ref().or(channel.as_ref());
    let open = async |device: &Device, channel: Option<&String>| {
        RollEnd::open(device.opened.encryptor()?, channel.map(String::as_str)).await
    };
    let mut pair = EncryptorPair::new(
        open(&devices[0], channel).await?,
        open(&devices[1], peer_channel).await?,
    );
    if let Some(size) = arguments.size {
        pair = pair.with_key_size(Bits(size));
    }
    let uris = [&devices[0].uri, &devices[1].uri];
    let found = match roll_history::interrupted(uris, &pair) {
        Some(roll) => Some((pair.recovery(&roll.records).await?, roll)),
        None => None,
    };
    let plan = match found.as_ref().map(|(state, _)| &state.recovery) {
        Some(Recovery::Forward(forward)) => Plan::Forward(forward.clone()),
        Some(Recovery::FreshKey(readiness)) => Plan::Roll(readiness.clone()),
        Some(Recovery::Nothing { .. }) | None => Plan::Roll(pair.readiness().await?),
    };
    plan.check()?;
    // Without a key to take, the QKD modules need not be reachable.
    let sources = match &plan {
        Plan::Roll(_) => Some(session.open_ends(sources, arguments.yes).await?),
        Plan::Forward(_) => None,
    };
    let command = RollCommand {
        output,
        uris,
        pair: &pair,
        found: found.as_ref(),
        plan,
    };
    command.print_found();
    if !arguments.yes {
        return command.print_plan(sources.as_ref());
    }
    let guard = session.interrupt.begin(Work::Change)?;
    command.carry_out(sources.as_ref(), &guard).await
}

/// Plan for a pair.
enum Plan {
    /// A roll to a fresh key.
    Roll(Readiness),
    /// The rest of a roll whose key both ends have.
    Forward(Forward),
}

impl Plan {
    fn check(&self) -> Result<()> {
        match self {
            Self::Roll(readiness) => readiness.clone().ready().map(drop),
            Self::Forward(forward) => forward.check(),
        }
    }
}

/// A command on a pair whose ends are open.
struct RollCommand<'a> {
    output: Output,
    uris: [&'a DeviceUri; 2],
    pair: &'a EncryptorPair,
    found: Option<&'a (RollState, InterruptedRoll)>,
    plan: Plan,
}

/// The key of a roll, and the progress of the roll.
struct Attempt {
    /// The key that was taken, or that both ends have.
    key_id: Option<KeyId>,
    /// Whether the key was also taken at the peer.
    twin_taken: bool,
    outcome: RollOutcome,
}

impl RollCommand<'_> {
    fn document(&self, result: ChangeResult) -> RollDocument<'_> {
        let (size, outage) = match &self.plan {
            Plan::Roll(readiness) => (readiness.size_bits, readiness.outage),
            Plan::Forward(forward) => (None, forward.outage),
        };
        let announced = Announced {
            uris: self.uris,
            pair: self.pair,
            size,
            outage,
            found: self.found.map(|(state, roll)| (roll, &state.recovery)),
        };
        RollDocument::new(result, &announced)
    }

    /// Prints what rolls that did not end have left, and what is done about it.
    fn print_found(&self) {
        let Some((state, roll)) = self.found else {
            return;
        };
        if self.output.is_json() {
            return;
        }
        let begun_at = &roll.begun_at;
        let mut all = vec![("found", format!("the roll of {begun_at} did not end"))];
        let keys = match roll.key_ids.as_slice() {
            [] => "none".to_owned(),
            all => all.join(", "),
        };
        all.push(("its keys", keys));
        all.extend(roll.steps.iter().map(|step| ("its step", step.to_string())));
        all.extend(rows([Some(&state.near.status), Some(&state.far.status)]));
        let next = match &state.recovery {
            Recovery::Forward(forward) => format!(
                "the roll is finished with its key {}, which both ends have; no key is taken. {}",
                forward.key_id, forward.outage
            ),
            Recovery::FreshKey(readiness) => format!(
                "a fresh key is staged at both ends; the keys above are void. {}",
                readiness.outage
            ),
            Recovery::Nothing {
                in_use: Some(key), ..
            } => format!("both ends use key {key}: that roll is complete, and another one begins"),
            Recovery::Nothing { in_use: None, .. } => {
                "no end has a key of that roll: its keys are void, and another roll begins"
                    .to_owned()
            }
        };
        all.push(("next", next));
        output::error_line(output::pairs(&all).trim_end());
    }

    fn print_plan(&self, sources: Option<&[Device; 2]>) -> Result<u8> {
        let document = self.document(ChangeResult::DryRun);
        output::print(self.output, COMMAND, &document, || {
            let [near, far] = End::BOTH.map(|end| self.pair.end(end).channel());
            match (&self.plan, sources) {
                (Plan::Roll(readiness), Some([source, twin])) => format!(
                    "would take one key of {} from {} and its twin from {}, and roll {near} and \
                     {far}\n{readiness}\n{DRY_RUN}",
                    readiness.size_bits.unwrap_or_default(),
                    source.uri,
                    twin.uri,
                ),
                (Plan::Roll(readiness), None) => format!("{readiness}\n{DRY_RUN}"),
                (Plan::Forward(forward), _) => format!(
                    "would finish the roll of {near} and {far} to key {}\n{forward}\n{DRY_RUN}",
                    forward.key_id
                ),
            }
        })?;
        Ok(0)
    }

    async fn carry_out(self, sources: Option<&[Device; 2]>, guard: &Guard) -> Result<u8> {
        let detail = roll_history::detail(self.uris, self.pair);
        let entry = Entry::new(self.uris[0], ROLL, detail);
        if !entry.begin() {
            return Err(Error::new(
                ErrorKind::Internal,
                "the journal could not be written, and a roll that is interrupted is recovered \
                 from it; nothing was sent",
            ));
        }
        let mut journal = RollJournal {
            guard,
            uris: self.uris,
            pair: self.pair,
            closing: None,
            is_broken: false,
        };
        let what = match self.plan {
            Plan::Roll(_) => "rolling over: stage, activate, confirm, retire",
            Plan::Forward(_) => "finishing the roll: activate, confirm, retire",
        };
        let attempt = self.attempt(sources, guard, &mut journal);
        let attempt = progress::during(self.output, what, attempt).await;
        let entry = entry.with_record(journal.closing.as_ref());
        let Attempt {
            key_id,
            twin_taken,
            outcome,
        } = match attempt {
            Ok(attempt) => attempt,
            Err(error) => {
                entry.end(journal::outcome(Some(&error)));
                let [near, far] = self.now().await;
                let state = rows([near.as_ref(), far.as_ref()]);
                output::error_line(output::pairs(&state).trim_end());
                return Err(error);
            }
        };
        let signal = guard.signal();
        let because = if journal.is_broken {
            "the journal could not be written: "
        } else {
            ""
        };
        let entry = entry.with_keys(&key_id);
        let is_forward = matches!(self.plan, Plan::Forward(_));
        // A key that was taken is spent; one that both ends have can still be rolled to.
        let is_changed = key_id.is_some() && !is_forward;
        let (rolled, words) = match outcome {
            RollOutcome::Ended(rolled) => (Some(*rolled), None),
            RollOutcome::Stopped(at) => {
                let words = self.stopped(key_id.as_ref(), twin_taken, at);
                (None, Some(format!("{because}{words}")))
            }
        };
        entry.end(match (&words, signal) {
            (Some(words), Some(signal)) => format!("{}: {words}", signal.name()),
            (None, Some(signal)) => format!("done, after {}", signal.name()),
            _ => journal::outcome(None),
        });
        let confirmed = rolled.as_ref().is_some_and(|r| r.is_confirmed());
        let mut report = self.document(match (&rolled, confirmed) {
            (Some(_), true) => ChangeResult::Applied,
            (Some(_), false) => ChangeResult::NotConfirmed,
            (None, _) if is_changed => ChangeResult::Partial,
            (None, _) => ChangeResult::NotApplied,
        });
        report.signal = signal.map(EndSignal::name);
        if let (None, false, Some(signal)) = (&rolled, is_changed, signal) {
            output::print(self.output, COMMAND, &report, || {
                format!(
                    "{}: ended before a key was taken; nothing was changed",
                    signal.name()
                )
            })?;
            return Ok(signal.exit_code());
        }
        if signal.is_some() || !confirmed {
            report.set_now(self.now().await);
        }
        match rolled {
            Some(rolled) => report.set_rolled(rolled),
            None => {
                report.void_key_ids.extend(key_id.clone());
                report.key_id = None;
            }
        }
        output::print(self.output, COMMAND, &report, || {
            report.text(words.as_deref())
        })?;
        Ok(guard.exit_code(if confirmed {
            0
        } else {
            exit::EXIT_STATE_CHANGED
        }))
    }

    async fn attempt(
        &self,
        sources: Option<&[Device; 2]>,
        guard: &Guard,
        journal: &mut RollJournal<'_>,
    ) -> Result<Attempt> {
        match (&self.plan, sources) {
            (Plan::Forward(forward), _) => Ok(Attempt {
                key_id: Some(forward.key_id.clone()),
                twin_taken: true,
                outcome: forward.clone().finish(journal).await?,
            }),
            (Plan::Roll(readiness), Some([source, twin])) => {
                let sources = [
                    (source, source.opened.module()?),
                    (twin, twin.opened.module()?),
                ];
                self.roll(readiness.clone(), sources, guard, journal).await
            }
            (Plan::Roll(_), None) => Err(Error::new(ErrorKind::Internal, "no source of keys")),
        }
    }

    /// Takes a key at both ends and rolls to it; a signal ends it between two steps.
    async fn roll(
        &self,
        readiness: Readiness,
        sources: [(&Device, Arc<dyn QkdModule>); 2],
        guard: &Guard,
        journal: &mut RollJournal<'_>,
    ) -> Result<Attempt> {
        let mut attempt = Attempt {
            key_id: None,
            twin_taken: false,
            outcome: RollOutcome::Stopped(StopPoint::NothingChanged),
        };
        let roll = readiness.ready()?;
        if guard.signal().is_some() {
            return Ok(attempt);
        }
        let one = |mut all: Vec<Key>| {
            all.pop()
                .ok_or_else(|| Error::new(ErrorKind::Internal, "no key came"))
        };
        let [(device, source), (twin_device, twin_source)] = sources;
        let request = KeyRequest::new(1).with_size(roll.key_size());
        let key = Entry::new(&device.uri, "take-keys", "one key for a roll")
            .run_taking(source.take_keys(&request))
            .await
            .and_then(one)?;
        attempt.key_id = Some(key.id().clone());
        // Unless the roll begins, this key ends with the command.
        journal.closing = Some(RollRecord::Stopped {
            key_id: key.id().clone(),
        });
        if guard.signal().is_some() {
            return Ok(attempt);
        }
        let lost = |which: &str, e: Error| {
            e.with_progress(&format!("key {} was taken from {which}", key.id()))
        };
        let twin = Entry::new(&twin_device.uri, "take-keys-by-id", "its twin for a roll")
            .run_taking(twin_source.take_keys_by_id(std::slice::from_ref(key.id())))
            .await
            .and_then(one)
            .map_err(|e| lost("the first module and is void now", e))?;
        attempt.twin_taken = true;
        attempt.outcome = roll
            .run([&key, &twin], journal)
            .await
            .map_err(|e| lost("both modules and is void unless both ends hold it", e))?;
        Ok(attempt)
    }

    /// Describes the key of a roll that was stopped, and the state that it left.
    fn stopped(&self, key: Option<&KeyId>, twin_taken: bool, at: StopPoint) -> String {
        let Some(key) = key else {
            return "nothing was taken or changed".to_owned();
        };
        if matches!(self.plan, Plan::Forward(_)) {
            return format!("nothing was changed; the roll to key {key} can still be finished");
        }
        let spent = if twin_taken {
            "was taken from both modules"
        } else {
            "was taken from the first module, its twin was not"
        };
        let left = match at {
            StopPoint::NearStaged => format!(
                "{} has it staged and sends with the old key, and so does {}",
                self.uris[0], self.uris[1]
            ),
            StopPoint::NothingChanged => "no encryptor was changed".to_owned(),
        };
        format!("key {key} {spent} and is void; {left}")
    }

    /// Reads both channels; `None` where that fails.
    async fn now(&self) -> [Option<ChannelStatus>; 2] {
        let read = async |end: End| {
            let end = self.pair.end(end);
            end.encryptor().channel(end.channel()).await.ok()
        };
        [read(End::Near).await, read(End::Far).await]
    }
}
