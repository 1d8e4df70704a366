//! The command `qkdctl encryptor`.

mod change;
mod roll_history;
mod roll_journal;
mod roll_pair;
mod roll_report;

use super::{
    DRY_RUN,
    change::{ChangeResult, Target, check_ready, show_after_signal},
    secret_file,
};
use crate::{
    cli::{EncryptorCommand, StagedKey, Switched},
    exit,
    interrupt::{Guard, Work},
    journal::Entry,
    output::{self, Output},
    progress,
    session::Session,
};
use change::Channel;
use qkd_driver_kit::program::lock::LockMode;
use qkd_hal::{
    DeviceUri, Encryptor, Error, KeyId, Operation, Result, Support,
    encryptor::{
        Activation, ChannelId, ChannelStatus, Confirmation, Staged, Staging, TrafficCounters,
    },
    text::printable,
    units::Bits,
};
use qkd_keyflow::{describe, find_channel};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::{fs::File, io::Read, path::Path};

/// Bytes of the longest file of a staged key.
const MAX_STAGED_FILE: u64 = 64 * 1024;

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
        } => stage(session, output, &device, &channel, (&key, id.as_ref()), yes).await,
        EncryptorCommand::Activate {
            device,
            channel,
            key,
            yes,
        } => activate(session, output, &device, &channel, &key, yes).await,
        EncryptorCommand::Confirm {
            device,
            channel,
            key,
            longest,
        } => confirm(session, output, &device, &channel, &key, longest).await,
        EncryptorCommand::Retire {
            device,
            channel,
            key,
            yes,
        } => {
            let target = Target::open(session, output, &device, yes).await?;
            change::retire(Channel::open(target, &channel).await?, &key).await
        }
        EncryptorCommand::Zeroize {
            device,
            channel,
            yes,
        } => {
            let target = Target::open(session, output, &device, yes).await?;
            change::zeroize(Channel::open(target, &channel).await?).await
        }
        EncryptorCommand::Encryption {
            device,
            channel,
            state,
            yes,
        } => {
            let is_on = state == Switched::On;
            let target = Target::open(session, output, &device, yes).await?;
            change::encryption(Channel::open(target, &channel).await?, is_on).await
        }
        EncryptorCommand::Roll(arguments) => roll_pair::run(session, output, &arguments).await,
    }
}

#[derive(Serialize)]
struct StageReport<'a> {
    result: ChangeResult,
    device: &'a DeviceUri,
    channel: &'a ChannelId,
    key_id: &'a KeyId,
    size_bits: Bits,
    /// Whether it overwrites the secret in use.
    overwrites: bool,
    staged: Option<Staged>,
    /// The channel as it was read after a signal; `None` without one.
    now: Option<ChannelStatus>,
}

/// Reads the channel if a signal came during a change of it, with the line about it. `None` and an
/// empty line without a signal; a channel that cannot be read hides nothing of what was done.
async fn now(
    encryptor: &dyn Encryptor,
    channel: &ChannelId,
    guard: &Guard,
) -> (Option<ChannelStatus>, String) {
    if guard.signal().is_none() {
        return (None, String::new());
    }
    match encryptor.channel(channel).await {
        Ok(status) => {
            let text = now_text(&status);
            (Some(status), text)
        }
        Err(error) => (
            None,
            format!("now: the channel could not be read: {error}\n"),
        ),
    }
}

async fn read_text(encryptor: &dyn Encryptor, channel: &ChannelId) -> Result<String> {
    let status = encryptor.channel(channel).await?;
    Ok(now_text(&status))
}

fn now_text(status: &ChannelStatus) -> String {
    format!("now: channel {}: {}\n", status.channel, describe(status))
}

async fn stage(
    session: &Session,
    output: Output,
    device: &str,
    channel: &str,
    (file, id): (&Path, Option<&KeyId>),
    yes: bool,
) -> Result<u8> {
    let device = session.open_for(device, yes).await?;
    let encryptor = device.opened.encryptor()?;
    check_ready(
        encryptor.descriptor(),
        encryptor.capabilities(),
        Operation::Stage,
    )?;
    let channel = find_channel(&*encryptor, Some(channel)).await?;
    let key = secret_file::read_key(file, id)?;
    let overwrites = encryptor.encryptor_capabilities().staging == Staging::Overwrite;
    let warning = if overwrites {
        "It overwrites the secret in use: the next key exchange uses it, and the other end must \
         have the same one by then.\n"
    } else {
        ""
    };
    let waits = match encryptor.encryptor_capabilities().activation {
        Activation::NextExchange { .. } => {
            "No command starts that exchange: wait with `qkdctl encryptor confirm`.\n"
        }
        _ => "",
    };
    let report = |result, staged, now| StageReport {
        result,
        device: &device.uri,
        channel: &channel,
        key_id: key.id(),
        size_bits: key.size(),
        overwrites,
        staged,
        now,
    };
    if !yes {
        let report = report(ChangeResult::DryRun, None, None);
        output::print(output, "encryptor/stage", &report, || {
            format!(
                "would stage key {} ({}) on channel {channel}\n{warning}{waits}{DRY_RUN}",
                key.id(),
                key.size()
            )
        })?;
        return Ok(0);
    }
    let guard = session.interrupt.begin(Work::Change)?;
    let read_text = async || read_text(&*encryptor, &channel).await;
    let staged = Entry::new(&device.uri, "stage", format!("channel {channel}"))
        .with_keys([key.id()])
        .run(encryptor.stage(&channel, &key))
        .await;
    let staged = match staged {
        Ok(staged) => staged,
        Err(error) => {
            show_after_signal(output, &guard, read_text).await;
            return Err(error);
        }
    };
    let (now, now_text) = now(&*encryptor, &channel, &guard).await;
    let slot = staged
        .slot
        .map_or_else(String::new, |s| format!(" in slot {s}"));
    let text = format!(
        "key {} is staged on channel {channel}{slot}: {}\n{warning}{waits}{now_text}",
        staged.key_id, staged.evidence
    );
    let report = report(ChangeResult::Applied, Some(staged), now);
    output::print(output, "encryptor/stage", &report, || text)?;
    encryptor.close().await?;
    Ok(guard.exit_code(0))
}

#[derive(Serialize)]
struct ActivateReport<'a> {
    result: ChangeResult,
    device: &'a DeviceUri,
    channel: &'a ChannelId,
    key_id: &'a KeyId,
    /// Whether traffic drops meanwhile.
    drops_traffic: bool,
    confirmation: Option<Confirmation>,
    /// The channel as it was read after a signal; `None` without one.
    now: Option<ChannelStatus>,
}

async fn activate(
    session: &Session,
    output: Output,
    device: &str,
    channel: &str,
    key: &StagedKey,
    yes: bool,
) -> Result<u8> {
    let device = session.open_for(device, yes).await?;
    let encryptor = device.opened.encryptor()?;
    let declared = encryptor.encryptor_capabilities();
    if let Activation::NextExchange { longest } = declared.activation {
        let within = longest.map_or_else(
            || "no longest time is declared".to_owned(),
            |time| format!("within {}", humantime::format_duration(time)),
        );
        return Err(Error::unsupported(
            Operation::Activate.name(),
            format!(
                "the device uses a staged key at its next key exchange ({within}), which no \
                 command starts; stage the key at both ends, then wait with `qkdctl encryptor \
                 confirm`"
            ),
        )
        .with_device(encryptor.descriptor().uri.as_str()));
    }
    check_ready(
        encryptor.descriptor(),
        encryptor.capabilities(),
        Operation::Activate,
    )?;
    let channel = find_channel(&*encryptor, Some(channel)).await?;
    let staged = staged_key(&channel, key)?;
    let drops_traffic = !declared.hitless.is_hitless();
    let report = |result, confirmation, now| ActivateReport {
        result,
        device: &device.uri,
        channel: &channel,
        key_id: &staged.key_id,
        drops_traffic,
        confirmation,
        now,
    };
    if !yes {
        let report = report(ChangeResult::DryRun, None, None);
        output::print(output, "encryptor/activate", &report, || {
            let warning = match declared.activation {
                _ if !drops_traffic => String::new(),
                Activation::ForcedReinitialisation => format!(
                    "Traffic drops while the device re-initialises: {}.\n",
                    declared.hitless.evidence()
                ),
                _ => format!("Traffic may drop: {}.\n", declared.hitless.evidence()),
            };
            format!(
                "would activate key {} on channel {channel}\n{warning}{DRY_RUN}",
                staged.key_id
            )
        })?;
        return Ok(0);
    }
    let guard = session.interrupt.begin(Work::Change)?;
    let read_text = async || read_text(&*encryptor, &channel).await;
    let activated = Entry::new(&device.uri, "activate", format!("channel {channel}"))
        .with_keys([&staged.key_id])
        .run(encryptor.activate(&staged))
        .await;
    if let Err(error) = activated {
        show_after_signal(output, &guard, read_text).await;
        return Err(error);
    }
    let confirming = progress::during(
        output,
        "waiting until the key protects traffic",
        encryptor.confirm(&staged, declared.confirm_timeout),
    )
    .await;
    let confirmation = confirming.map_err(|e| e.with_progress("the key was activated"))?;
    let result = match confirmation.is_confirmed() {
        true => ChangeResult::Applied,
        false => ChangeResult::NotConfirmed,
    };
    let (code, words) = confirmed_words(&confirmation);
    let (now, now_text) = now(&*encryptor, &channel, &guard).await;
    let text = format!("{words}: {}\n{now_text}", confirmation.evidence());
    let report = report(result, Some(confirmation), now);
    output::print(output, "encryptor/activate", &report, || text)?;
    encryptor.close().await?;
    Ok(guard.exit_code(code))
}

#[derive(Serialize)]
struct ConfirmReport<'a> {
    device: &'a DeviceUri,
    channel: &'a ChannelId,
    key_id: &'a KeyId,
    confirmation: Confirmation,
}

async fn confirm(
    session: &Session,
    output: Output,
    device: &str,
    channel: &str,
    key: &StagedKey,
    longest: Option<humantime::Duration>,
) -> Result<u8> {
    let device = session.open(device, LockMode::Shared).await?;
    let encryptor = device.opened.encryptor()?;
    check_ready(
        encryptor.descriptor(),
        encryptor.capabilities(),
        Operation::Confirm,
    )?;
    let channel = find_channel(&*encryptor, Some(channel)).await?;
    let staged = staged_key(&channel, key)?;
    let longest = match longest {
        Some(time) => time.into(),
        None => encryptor.encryptor_capabilities().confirm_timeout,
    };
    let confirmation = progress::during(
        output,
        "waiting until the key protects traffic",
        encryptor.confirm(&staged, longest),
    )
    .await?;
    let (code, words) = confirmed_words(&confirmation);
    let text = format!("{words}: {}\n", confirmation.evidence());
    let report = ConfirmReport {
        device: &device.uri,
        channel: &channel,
        key_id: &staged.key_id,
        confirmation,
    };
    output::print(output, "encryptor/confirm", &report, || text)?;
    encryptor.close().await?;
    Ok(code)
}

/// Exit code and words of a confirmation.
fn confirmed_words(confirmation: &Confirmation) -> (u8, &'static str) {
    match confirmation.is_confirmed() {
        true => (0, "the key protects traffic"),
        false => (exit::EXIT_STATE_CHANGED, "NOT CONFIRMED"),
    }
}

/// The staged key that the command line names: by its ID, or as `stage` printed it.
fn staged_key(channel: &ChannelId, key: &StagedKey) -> Result<Staged> {
    let problem = |path: &Path, why: &str| {
        Error::invalid(format!("the staged key in {}: {why}", path.display()))
    };
    match (&key.id, &key.staged) {
        (Some(id), _) => Ok(Staged::new(
            channel.clone(),
            id.clone(),
            key.slot,
            "named on the command line",
        )),
        (None, Some(path)) => {
            let mut text = Vec::new();
            let file = File::open(path).map_err(|e| problem(path, &e.to_string()))?;
            file.take(MAX_STAGED_FILE)
                .read_to_end(&mut text)
                .map_err(|e| problem(path, &e.to_string()))?;
            let report: StagedFile = serde_json::from_slice(&text).map_err(|_| {
                problem(
                    path,
                    "it was not made by `qkdctl encryptor stage -o json --yes`",
                )
            })?;
            if report.staged.channel != *channel {
                let other = printable(&report.staged.channel.0, 60).into_owned();
                return Err(problem(path, &format!("it is of channel {other}")));
            }
            Ok(report.staged)
        }
        (None, None) => Err(Error::invalid("name the staged key with --id or --staged")),
    }
}

/// The part of the output of `stage` that is needed later.
#[derive(Deserialize)]
struct StagedFile {
    staged: Staged,
}

#[derive(Serialize)]
struct Shown {
    status: ChannelStatus,
    counters: Option<TrafficCounters>,
}

async fn show(session: &Session, output: Output, device: &str, only: Option<&str>) -> Result<u8> {
    let device = session.open(device, LockMode::Shared).await?;
    let encryptor = device.opened.encryptor()?;
    let channels = match only {
        Some(name) => vec![find_channel(&*encryptor, Some(name)).await?],
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
    output::print(output, "encryptor/show", &json!({"channels": all}), || {
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
        ("state", format!("{}{word}", output::serde_name(s.state))),
        ("failure mode", output::serde_name(s.failure_mode)),
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
        for (name, value) in c.as_pairs() {
            rows.extend(value.map(|v| (name, v.to_string())));
        }
    }
    output::pairs(&rows)
}
