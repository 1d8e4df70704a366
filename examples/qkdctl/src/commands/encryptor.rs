//! `qkdctl encryptor`

use super::{DRY_RUN, secret_file};
use crate::{
    cli::{EncryptorCommand, Output},
    exit,
    interrupt::{Guard, Work},
    journal::{self, Entry},
    output, progress,
    roll::{self, Company, CutRoll, End, Reached, Rolled},
    session::{Device, Session},
};
use qkd_driver_kit::program::lock::LockMode;
use qkd_hal::{
    DeviceUri, Error, ErrorKind, Key, KeyId, Operation, QkdModule, Result, Support,
    encryptor::{ChannelStatus, Confirmation, Staged, Staging, TrafficCounters},
    qkd::KeyRequest,
    units::Bits,
};
use serde::Serialize;
use serde_json::json;

pub(crate) async fn run(
    session: &Session,
    output: Output,
    command: EncryptorCommand,
) -> Result<u8> {
    match command {
        EncryptorCommand::Show { device, channel } => {
            show(session, output, &device, channel.as_deref()).await
        }
        EncryptorCommand::Stage {
            device,
            channel,
            key,
            id,
            yes,
        } => {
            let device = session
                .open(
                    &device,
                    if yes {
                        LockMode::Exclusive
                    } else {
                        LockMode::Shared
                    },
                )
                .await?;
            let encryptor = device.opened.as_encryptor()?;
            let channel = roll::channel(&*encryptor, Some(&channel)).await?;
            let key = secret_file::read_key(&key, id.as_ref())?;
            let overwrites = match encryptor.encryptor_capabilities().staging {
                Staging::Overwrite => {
                    "It overwrites the secret in use: the box exchanges with it at its next chance, and the other end must have the same by then.\n"
                }
                _ => "",
            };
            if !yes {
                output::print(
                    output,
                    &json!({"channel": channel, "key_id": key.id(), "applied": false}),
                    || {
                        format!(
                            "would stage key {} ({}) on channel {channel}\n{overwrites}{DRY_RUN}",
                            key.id(),
                            key.size()
                        )
                    },
                )?;
                return Ok(0);
            }
            let guard = session.interrupt.begin(Work::Change)?;
            let staged = Entry::new(&device.uri, "stage", format!("channel {channel}"))
                .with_keys([key.id()])
                .run(encryptor.stage(&channel, &key))
                .await?;
            output::print(output, &staged, || {
                let slot = staged
                    .slot
                    .map_or_else(String::new, |s| format!(" in slot {s}"));
                format!(
                    "key {} is staged on channel {}{slot}: {}\n{overwrites}",
                    staged.key_id, staged.channel, staged.proof
                )
                .trim_end()
                .to_owned()
            })?;
            encryptor.close().await?;
            Ok(guard.exit_code(0))
        }
        EncryptorCommand::Activate {
            device,
            channel,
            id,
            slot,
            yes,
        } => {
            let device = session
                .open(
                    &device,
                    if yes {
                        LockMode::Exclusive
                    } else {
                        LockMode::Shared
                    },
                )
                .await?;
            let encryptor = device.opened.as_encryptor()?;
            let channel = roll::channel(&*encryptor, Some(&channel)).await?;
            let staged = Staged::new(channel, id, slot, "named on the command line");
            let drops = !encryptor.encryptor_capabilities().hitless;
            if !yes {
                output::print(
                    output,
                    &json!({"staged": staged, "applied": false, "drops_traffic": drops}),
                    || {
                        let warning = if drops {
                            "Traffic drops while the box re-initialises.\n"
                        } else {
                            ""
                        };
                        format!(
                            "would activate key {} on channel {}\n{warning}{DRY_RUN}",
                            staged.key_id, staged.channel
                        )
                    },
                )?;
                return Ok(0);
            }
            let guard = session.interrupt.begin(Work::Change)?;
            let detail = format!("channel {}", staged.channel);
            Entry::new(&device.uri, "activate", detail)
                .with_keys([&staged.key_id])
                .run(encryptor.activate(&staged))
                .await?;
            let confirming = progress::during(
                output,
                "waiting until the key protects traffic",
                encryptor.confirm(&staged),
            )
            .await;
            let confirmation = confirming.map_err(|e| roll::after("the key was activated", e))?;
            output::print(
                output,
                &json!({"staged": staged, "applied": true, "confirmation": confirmation}),
                || {
                    format!(
                        "{}: {}",
                        if confirmation.is_confirmed() {
                            "the key protects traffic"
                        } else {
                            "NOT CONFIRMED"
                        },
                        confirmation.evidence()
                    )
                },
            )?;
            encryptor.close().await?;
            Ok(guard.exit_code(if confirmation.is_confirmed() {
                0
            } else {
                exit::CHANGED
            }))
        }
        EncryptorCommand::Roll {
            device,
            peer,
            channel,
            peer_channel,
            source,
            peer_source,
            size,
            yes,
        } => {
            roll_pair(
                session,
                output,
                [&device, &peer],
                [channel.as_deref(), peer_channel.as_deref()],
                [&source, &peer_source],
                size,
                yes,
            )
            .await
        }
    }
}

async fn roll_pair(
    session: &Session,
    output: Output,
    boxes: [&str; 2],
    channels: [Option<&str>; 2],
    sources: [&str; 2],
    size: Option<u64>,
    yes: bool,
) -> Result<u8> {
    let how = if yes {
        LockMode::Exclusive
    } else {
        LockMode::Shared
    };
    let devices = [
        session.open(boxes[0], how).await?,
        session.open(boxes[1], how).await?,
    ];
    let (near, far) = (
        devices[0].opened.as_encryptor()?,
        devices[1].opened.as_encryptor()?,
    );
    let (near_channel, far_channel) = (
        roll::channel(&*near, channels[0]).await?,
        roll::channel(&*far, channels[1]).await?,
    );
    let size = match size {
        Some(size) => Bits(size),
        None => roll::common_size(&*near, &*far).ok_or_else(|| {
            Error::invalid("the two boxes take no common key size; name one with --size")
        })?,
    };
    roll::ready(&*near, &*far)?;
    let keys = [
        session.open(sources[0], how).await?,
        session.open(sources[1], how).await?,
    ];
    let (source, twin_source) = (keys[0].opened.as_module()?, keys[1].opened.as_module()?);
    let hitless = near.encryptor_capabilities().hitless && far.encryptor_capabilities().hitless;
    if !yes {
        output::print(
            output,
            &json!({"channels": [near_channel, far_channel], "bits": size, "hitless": hitless, "applied": false}),
            || {
                let gap = if hitless {
                    "No traffic should drop: both ends accept the new key before either sends with it."
                } else {
                    "Traffic drops while the boxes re-initialise."
                };
                format!(
                    "would take one key of {size} from {} and its twin from {}, and roll {near_channel} and {far_channel}\n{gap}\n{DRY_RUN}",
                    keys[0].uri, keys[1].uri
                )
            },
        )?;
        return Ok(0);
    }
    let guard = session.interrupt.begin(Work::Change)?;
    let pair = Pair {
        uris: [&devices[0].uri, &devices[1].uri],
        ends: [
            End {
                encryptor: &*near,
                channel: &near_channel,
            },
            End {
                encryptor: &*far,
                channel: &far_channel,
            },
        ],
        sources: [(&keys[0], &*source), (&keys[1], &*twin_source)],
        size,
    };
    pair.carry_out(output, &guard).await
}

/// A pair of encryptors, and where its next key comes from.
struct Pair<'a> {
    uris: [&'a DeviceUri; 2],
    ends: [End<'a>; 2],
    sources: [(&'a Device, &'a dyn QkdModule); 2],
    size: Bits,
}

/// What a roll spent and how far it came.
struct Attempt {
    /// The key that was taken.
    key_id: Option<KeyId>,
    /// Whether its twin was taken too.
    twin_taken: bool,
    reached: Reached,
}

/// The result of a roll, for programs.
#[derive(Serialize)]
struct RollReport {
    /// A roll before this one that did not end.
    found: Option<CutRoll>,
    #[serde(flatten)]
    rolled: Option<Rolled>,
    /// Keys that were taken and protect nothing.
    void: Vec<KeyId>,
    /// The signal that came meanwhile.
    interrupted: Option<&'static str>,
    /// The channels as they were read at the end of a roll that was not an ordinary one.
    now: Vec<Option<ChannelStatus>>,
}

impl Pair<'_> {
    async fn carry_out(&self, output: Output, guard: &Guard) -> Result<u8> {
        let found = roll::cut_before(self.uris, self.ends);
        if let Some(cut) = &found {
            self.tell_found(output, cut).await;
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
                self.tell_now().await;
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
        let (rolled, words) = match reached {
            Reached::End(rolled) => (Some(rolled), None),
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
        if let (None, Some(signal)) = (&key_id, signal) {
            output::error_line(&format!(
                "{}: ended before a key was taken; nothing was changed",
                signal.name()
            ));
            return Ok(signal.exit_code());
        }
        let confirmed = rolled
            .as_ref()
            .is_some_and(|r| r.near.is_confirmed() && r.far.is_confirmed());
        let now = if signal.is_some() || !confirmed {
            self.now().await
        } else {
            Vec::new()
        };
        let report = RollReport {
            found,
            void: if rolled.is_none() {
                key_id.into_iter().collect()
            } else {
                Vec::new()
            },
            rolled,
            interrupted: signal.map(qkd_driver_kit::program::signals::EndSignal::name),
            now,
        };
        output::print(output, &report, || self.text(&report, words.as_deref()))?;
        Ok(guard.exit_code(if confirmed { 0 } else { exit::CHANGED }))
    }

    /// Takes a key and its twin, and rolls over to it; a signal ends it between two steps.
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
        let lost =
            |which: &str, e| roll::after(&format!("key {} was taken from {which}", key.id()), e);
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

    /// What a roll that a signal ended has spent and left.
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
    async fn now(&self) -> Vec<Option<ChannelStatus>> {
        let mut all = Vec::with_capacity(self.ends.len());
        for end in self.ends {
            all.push(end.encryptor.channel(end.channel).await.ok());
        }
        all
    }

    fn rows(&self, now: &[Option<ChannelStatus>]) -> Vec<(&'static str, String)> {
        ["this end now", "far end now"]
            .into_iter()
            .zip(now)
            .map(|(name, status)| {
                let text = status.as_ref().map_or_else(
                    || "could not be read: read it before anything else".to_owned(),
                    roll::describe,
                );
                (name, text)
            })
            .collect()
    }

    /// Says on standard error what both ends are, behind a roll that failed.
    async fn tell_now(&self) {
        let now = self.now().await;
        output::error_line(output::pairs(&self.rows(&now)).trim_end());
    }

    /// Says what a roll that did not end has left.
    async fn tell_found(&self, output: Output, cut: &CutRoll) {
        if output == Output::Json {
            return;
        }
        let mut rows = vec![("found", format!("the roll of {} did not end", cut.begun))];
        let none = || "none".to_owned();
        let keys = cut.key_ids.join(", ");
        rows.push(("its keys", if keys.is_empty() { none() } else { keys }));
        rows.extend(cut.steps.iter().map(|step| ("its step", step.clone())));
        rows.extend(self.rows(&self.now().await));
        rows.push((
            "next",
            "a fresh key is staged at both ends; the keys above are void".to_owned(),
        ));
        output::error_line(output::pairs(&rows).trim_end());
    }

    fn text(&self, report: &RollReport, stopped: Option<&str>) -> String {
        let word = |confirmed| {
            if confirmed {
                "confirmed"
            } else {
                "NOT CONFIRMED"
            }
        };
        let mut rows = Vec::new();
        if let Some(rolled) = &report.rolled {
            let end = |c: &Confirmation| format!("{}: {}", word(c.is_confirmed()), c.evidence());
            rows.extend([
                ("key", rolled.key_id.to_string()),
                ("hitless", rolled.hitless.to_string()),
                ("this end", end(&rolled.near)),
                ("far end", end(&rolled.far)),
                (
                    "key before",
                    if rolled.retired {
                        "retired".to_owned()
                    } else {
                        "kept, or overwritten by the box".to_owned()
                    },
                ),
            ]);
        }
        rows.extend(stopped.map(|words| ("NOT ROLLED", words.to_owned())));
        rows.extend(self.rows(&report.now));
        output::pairs(&rows)
    }
}

#[derive(Serialize)]
struct Shown {
    status: ChannelStatus,
    counters: Option<TrafficCounters>,
}

async fn show(session: &Session, output: Output, device: &str, only: Option<&str>) -> Result<u8> {
    let device = session.open(device, LockMode::Shared).await?;
    let encryptor = device.opened.as_encryptor()?;
    let channels = match only {
        Some(name) => vec![roll::channel(&*encryptor, Some(name)).await?],
        None => encryptor.channels().await?,
    };
    let has_counters =
        encryptor.capabilities().supports(Operation::Counters) != Support::Unsupported;
    let mut all = Vec::new();
    for channel in &channels {
        let counters = if has_counters {
            Some(encryptor.counters(channel).await?)
        } else {
            None
        };
        all.push(Shown {
            status: encryptor.channel(channel).await?,
            counters,
        });
    }
    output::print(output, &all, || {
        all.iter().map(one).collect::<Vec<_>>().join("\n")
    })?;
    encryptor.close().await?;
    Ok(0)
}

fn one(shown: &Shown) -> String {
    let s = &shown.status;
    let word = s
        .vendor_state
        .as_ref()
        .map_or_else(String::new, |w| format!(" (the device says `{w}`)"));
    let mut rows = vec![
        ("channel", s.channel.to_string()),
        ("state", format!("{:?}{word}", s.state)),
        ("failure mode", format!("{:?}", s.failure_mode)),
    ];
    rows.extend(s.cipher.clone().map(|c| ("cipher", c)));
    for slot in &s.slots {
        let key = slot
            .key_id
            .as_ref()
            .map_or_else(|| "empty".to_owned(), |id| format!("key {id}"));
        rows.push((
            "slot",
            format!(
                "{}: {key}{}",
                slot.number,
                if slot.active { ", active" } else { "" }
            ),
        ));
    }
    if let Some(c) = &shown.counters {
        for (name, value) in c.named() {
            rows.extend(value.map(|v| (name, v.to_string())));
        }
    }
    output::pairs(&rows)
}
