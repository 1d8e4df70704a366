//! `qkdctl encryptor roll`: a pair of encryptors gets a fresh key of a QKD pair.

use crate::{
    cli::Roll,
    commands::{DRY_RUN, change::ChangeResult},
    exit,
    interrupt::{Guard, Work},
    journal::{self, Entry},
    key_transport,
    output::{self, Output},
    progress,
    roll::{self, Company, CutRoll, Reached, RollEnd, RollReport},
    session::{Device, Session},
};
use qkd_driver_kit::program::signals::EndSignal;
use qkd_hal::{
    DeviceUri, Error, ErrorKind, Key, KeyId, QkdModule, Result,
    encryptor::{ChannelId, ChannelStatus, Confirmation},
    qkd::KeyRequest,
    units::Bits,
};
use serde::Serialize;
use std::time::Duration;

/// Rolls a pair over with `yes`; without it, prints what would be done.
pub(super) async fn run(session: &Session, output: Output, arguments: &Roll) -> Result<u8> {
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
    let (near, far) = (
        devices[0].opened.encryptor()?,
        devices[1].opened.encryptor()?,
    );
    let [channel, peer_channel] = &ends.channels;
    let channels = [
        arguments.channel.as_deref().or(channel.as_deref()),
        arguments
            .peer_channel
            .as_deref()
            .or(peer_channel.as_deref()),
    ];
    let (near_channel, far_channel) = (
        roll::channel(&*near, channels[0]).await?,
        roll::channel(&*far, channels[1]).await?,
    );
    let size = match arguments.size {
        Some(size) => Bits(size),
        None => roll::common_size(&*near, &*far).ok_or_else(|| {
            Error::invalid("the two encryptors accept no common key size; name one with --size")
        })?,
    };
    roll::check_assumptions(&*near, &*far)?;
    let keys = session.open_ends(sources, arguments.yes).await?;
    let (source, twin_source) = (keys[0].opened.module()?, keys[1].opened.module()?);
    let pair = Pair {
        uris: [&devices[0].uri, &devices[1].uri],
        ends: [
            RollEnd {
                encryptor: &*near,
                channel: &near_channel,
            },
            RollEnd {
                encryptor: &*far,
                channel: &far_channel,
            },
        ],
        sources: [(&keys[0], &*source), (&keys[1], &*twin_source)],
        size,
    };
    if !arguments.yes {
        let report = pair.report(ChangeResult::DryRun);
        output::print(output, "encryptor/roll", &report, || {
            format!(
                "would take one key of {size} from {} and its twin from {}, and roll \
                 {near_channel} and {far_channel}\n{}\n{DRY_RUN}",
                keys[0].uri,
                keys[1].uri,
                pair.expected_outage()
            )
        })?;
        return Ok(0);
    }
    let guard = session.interrupt.begin(Work::Change)?;
    pair.carry_out(output, &guard).await
}

/// A pair of encryptors, and where its next key comes from.
struct Pair<'a> {
    uris: [&'a DeviceUri; 2],
    ends: [RollEnd<'a>; 2],
    sources: [(&'a Device, &'a dyn QkdModule); 2],
    size: Bits,
}

/// Keys that a roll consumed, and its progress.
struct Attempt {
    /// The key that was taken.
    key_id: Option<KeyId>,
    /// Whether the key was also taken at the peer.
    twin_taken: bool,
    reached: Reached,
}

/// One end of a roll.
#[derive(Serialize)]
struct EndReport<'a> {
    device: &'a DeviceUri,
    channel: &'a ChannelId,
    confirmation: Option<Confirmation>,
    /// As it was read at the end of a roll that was cut or not confirmed.
    now: Option<ChannelStatus>,
}

/// The result of a roll.
#[derive(Serialize)]
struct RollDocument<'a> {
    result: ChangeResult,
    near: EndReport<'a>,
    far: EndReport<'a>,
    size_bits: Bits,
    hitless: bool,
    key_id: Option<KeyId>,
    /// The longest measured outage of both ends; `None` if neither measured one.
    outage_ms: Option<f64>,
    /// The longest declared outage of both ends; `None` if unknown, or if the roll is hitless.
    declared_outage_ms: Option<f64>,
    /// Whether the key before was deleted.
    retired: bool,
    /// Keys that were taken and protect nothing.
    void_key_ids: Vec<KeyId>,
    /// The signal that came meanwhile.
    signal: Option<&'static str>,
    /// A roll before this one that did not end.
    found: Option<CutRoll>,
}

impl Pair<'_> {
    fn is_hitless(&self) -> bool {
        self.ends
            .iter()
            .all(|end| end.encryptor.encryptor_capabilities().hitless)
    }

    /// The longest declared outage of both ends.
    fn declared_outage(&self) -> Option<Duration> {
        if self.is_hitless() {
            return None;
        }
        let declared = self.ends.iter();
        declared
            .filter_map(|end| end.encryptor.encryptor_capabilities().outage)
            .max()
    }

    fn expected_outage(&self) -> String {
        if self.is_hitless() {
            return "No outage expected: both ends accept the new key before either sends with it."
                .to_owned();
        }
        let how_long = self.declared_outage().map_or_else(
            || "for a time that is not declared".to_owned(),
            |time| format!("for up to {} (declared)", humantime::format_duration(time)),
        );
        format!("Traffic drops while the encryptors re-initialise, {how_long}.")
    }

    /// A report in which nothing has happened yet.
    fn report(&self, result: ChangeResult) -> RollDocument<'_> {
        let end = |place: usize| EndReport {
            device: self.uris[place],
            channel: self.ends[place].channel,
            confirmation: None,
            now: None,
        };
        RollDocument {
            result,
            near: end(0),
            far: end(1),
            size_bits: self.size,
            hitless: self.is_hitless(),
            key_id: None,
            outage_ms: None,
            declared_outage_ms: self.declared_outage().map(|t| t.as_secs_f64() * 1000.0),
            retired: false,
            void_key_ids: Vec::new(),
            signal: None,
            found: None,
        }
    }

    async fn carry_out(&self, output: Output, guard: &Guard) -> Result<u8> {
        let found = roll::cut_before(self.uris, self.ends);
        if let Some(cut) = &found {
            self.print_interrupted_roll(output, cut).await;
        }
        let detail = roll::detail(self.uris, self.ends);
        let entry = Entry::new(self.uris[0], roll::ROLL, detail);
        entry.begin();
        let rolling = self.attempt(guard);
        let what = "rolling over: stage, activate, confirm, retire";
        let result = progress::during(output, what, rolling).await;
        let attempt = match result {
            Ok(attempt) => attempt,
            Err(error) => {
                entry.end(journal::outcome(Some(&error)));
                self.print_state().await;
                return Err(error);
            }
        };
        let Attempt {
            key_id,
            twin_taken,
            reached,
        } = attempt;
        let signal = guard.signal();
        let entry = entry.with_keys(&key_id);
        let is_changed = key_id.is_some();
        let (rolled, words) = match reached {
            Reached::End(rolled) => (Some(*rolled), None),
            stopped => (
                None,
                Some(self.stopped(key_id.as_ref(), twin_taken, &stopped)),
            ),
        };
        entry.end(match (&words, signal) {
            (Some(words), Some(signal)) => format!("{}: {words}", signal.name()),
            (None, Some(signal)) => format!("done, after {}", signal.name()),
            _ => journal::outcome(None),
        });
        let confirmed = rolled
            .as_ref()
            .is_some_and(|r| r.near.is_confirmed() && r.far.is_confirmed());
        let mut report = self.report(match (&rolled, confirmed) {
            (Some(_), true) => ChangeResult::Applied,
            (Some(_), false) => ChangeResult::NotConfirmed,
            (None, _) if is_changed => ChangeResult::Partial,
            (None, _) => ChangeResult::NotApplied,
        });
        report.signal = signal.map(EndSignal::name);
        if let (None, Some(signal)) = (&key_id, signal) {
            output::print(output, "encryptor/roll", &report, || {
                format!(
                    "{}: ended before a key was taken; nothing was changed",
                    signal.name()
                )
            })?;
            return Ok(signal.exit_code());
        }
        if signal.is_some() || !confirmed {
            [report.near.now, report.far.now] = self.now().await;
        }
        report.found = found;
        match rolled {
            Some(rolled) => report.set_rolled(rolled),
            None => report.void_key_ids.extend(key_id),
        }
        output::print(output, "encryptor/roll", &report, || {
            self.text(&report, words.as_deref())
        })?;
        Ok(guard.exit_code(if confirmed {
            0
        } else {
            exit::EXIT_STATE_CHANGED
        }))
    }

    /// Takes a key at both ends and rolls to it; a signal ends it between two steps.
    async fn attempt(&self, guard: &Guard) -> Result<Attempt> {
        let mut attempt = Attempt {
            key_id: None,
            twin_taken: false,
            reached: Reached::NothingStaged,
        };
        if guard.signal().is_some() {
            return Ok(attempt);
        }
        let one = |mut all: Vec<Key>| {
            all.pop()
                .ok_or_else(|| Error::new(ErrorKind::Internal, "no key came"))
        };
        let [(device, source), (twin_device, twin_source)] = self.sources;
        let request = KeyRequest::new(1).with_size(self.size);
        let key = Entry::new(&device.uri, "take-keys", "one key for a roll")
            .run_taking(source.take_keys(&request))
            .await
            .and_then(one)?;
        attempt.key_id = Some(key.id().clone());
        if guard.signal().is_some() {
            return Ok(attempt);
        }
        let lost = |which: &str, e| {
            roll::with_progress(&format!("key {} was taken from {which}", key.id()), e)
        };
        let twin = Entry::new(&twin_device.uri, "take-keys-by-id", "its twin for a roll")
            .run_taking(twin_source.take_keys_by_id(std::slice::from_ref(key.id())))
            .await
            .and_then(one)
            .map_err(|e| lost("the first module and is void now", e))?;
        attempt.twin_taken = true;
        let company = Company {
            guard,
            uris: self.uris,
        };
        attempt.reached = roll::roll(self.ends, [&key, &twin], Some(company))
            .await
            .map_err(|e| lost("both modules and is void unless both ends hold it", e))?;
        Ok(attempt)
    }

    /// Describes the keys that an interrupted roll consumed, and the state that it left.
    fn stopped(&self, key: Option<&KeyId>, twin_taken: bool, reached: &Reached) -> String {
        let Some(key) = key else {
            return "nothing was taken or changed".to_owned();
        };
        let spent = if twin_taken {
            "was taken from both modules"
        } else {
            "was taken from the first module, its twin was not"
        };
        let left = match reached {
            Reached::NearStaged => format!(
                "{} has it staged and sends with the old key, and so does {}",
                self.uris[0], self.uris[1]
            ),
            _ => "no encryptor was changed".to_owned(),
        };
        format!("key {key} {spent} and is void; {left}")
    }

    /// Reads both channels; `None` where that fails.
    async fn now(&self) -> [Option<ChannelStatus>; 2] {
        let [near, far] = self.ends;
        [
            near.encryptor.channel(near.channel).await.ok(),
            far.encryptor.channel(far.channel).await.ok(),
        ]
    }

    /// Prints the state of both ends on standard error, after a failed roll.
    async fn print_state(&self) {
        let [near, far] = self.now().await;
        output::error_line(output::pairs(&rows(&near, &far)).trim_end());
    }

    /// Prints what a roll that did not end has left.
    async fn print_interrupted_roll(&self, output: Output, cut: &CutRoll) {
        if output.is_json() {
            return;
        }
        let mut all = vec![("found", format!("the roll of {} did not end", cut.begun_at))];
        let keys = cut.key_ids.join(", ");
        let keys = if keys.is_empty() {
            "none".to_owned()
        } else {
            keys
        };
        all.push(("its keys", keys));
        all.extend(cut.steps.iter().map(|step| ("its step", step.to_string())));
        let [near, far] = self.now().await;
        all.extend(rows(&near, &far));
        all.push((
            "next",
            "a fresh key is staged at both ends; the keys above are void".to_owned(),
        ));
        output::error_line(output::pairs(&all).trim_end());
    }

    fn text(&self, report: &RollDocument<'_>, stopped: Option<&str>) -> String {
        let mut all = Vec::new();
        all.extend(report.key_id.as_ref().map(|id| ("key", id.to_string())));
        if let (Some(near), Some(far)) = (&report.near.confirmation, &report.far.confirmation) {
            let end = |c: &Confirmation| {
                let word = if c.is_confirmed() {
                    "confirmed"
                } else {
                    "NOT CONFIRMED"
                };
                format!("{word}: {}", c.evidence())
            };
            all.extend([
                ("outage", self.outage(report)),
                ("near end", end(near)),
                ("far end", end(far)),
                (
                    "key before",
                    if report.retired {
                        "retired".to_owned()
                    } else {
                        "kept, or overwritten by the encryptor".to_owned()
                    },
                ),
            ]);
        }
        all.extend(stopped.map(|words| ("NOT ROLLED", words.to_owned())));
        if report.signal.is_some() || report.result != ChangeResult::Applied {
            all.extend(rows(&report.near.now, &report.far.now));
        }
        output::pairs(&all)
    }

    fn outage(&self, report: &RollDocument<'_>) -> String {
        match (report.outage_ms, self.declared_outage()) {
            (Some(outage), _) => format!("{outage:.0} ms (measured)"),
            (None, _) if report.hitless => "none: hitless at both ends".to_owned(),
            (None, Some(time)) => format!(
                "up to {} (declared; not measured)",
                humantime::format_duration(time)
            ),
            (None, None) => "neither measured nor declared".to_owned(),
        }
    }
}

impl RollDocument<'_> {
    fn set_rolled(&mut self, rolled: RollReport) {
        let both = [&rolled.near, &rolled.far];
        let measured = both.iter().filter_map(|c| c.outage()).map(|gap| gap.value);
        self.outage_ms = measured.max().map(|outage| outage.as_secs_f64() * 1000.0);
        self.key_id = Some(rolled.key_id);
        self.retired = rolled.retired;
        self.near.confirmation = Some(rolled.near);
        self.far.confirmation = Some(rolled.far);
    }
}

fn rows(near: &Option<ChannelStatus>, far: &Option<ChannelStatus>) -> [(&'static str, String); 2] {
    let text = |status: &Option<ChannelStatus>| {
        status.as_ref().map_or_else(
            || "could not be read: read it before anything else".to_owned(),
            roll::describe,
        )
    };
    [("near end now", text(near)), ("far end now", text(far))]
}
