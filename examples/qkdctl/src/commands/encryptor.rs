//! `qkdctl encryptor`

use super::{DRY_RUN, secret_file};
use crate::{
    cli::{EncryptorCommand, Output},
    exit, journal,
    lock::Use,
    output, progress,
    roll::{self, End},
    session::Session,
};
use qkd_hal::{
    Error, ErrorKind, Operation, Result, Support,
    encryptor::{ChannelStatus, Staged, Staging, TrafficCounters},
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
                .open(&device, if yes { Use::Change } else { Use::Read })
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
            let detail = format!("channel {channel}, key {}", key.id());
            let staged = journal::changing(
                &device.uri.to_string(),
                "stage",
                &detail,
                encryptor.stage(&channel, &key),
            )
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
            Ok(0)
        }
        EncryptorCommand::Activate {
            device,
            channel,
            id,
            slot,
            yes,
        } => {
            let device = session
                .open(&device, if yes { Use::Change } else { Use::Read })
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
            let detail = format!("channel {}, key {}", staged.channel, staged.key_id);
            journal::changing(
                &device.uri.to_string(),
                "activate",
                &detail,
                encryptor.activate(&staged),
            )
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
                        if confirmation.confirmed {
                            "the key protects traffic"
                        } else {
                            "NOT CONFIRMED"
                        },
                        confirmation.evidence
                    )
                },
            )?;
            encryptor.close().await?;
            Ok(if confirmation.confirmed {
                0
            } else {
                exit::CHANGED
            })
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
    let how = if yes { Use::Change } else { Use::Read };
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
    let detail = format!(
        "with {}, channels {near_channel} and {far_channel}",
        devices[1].uri
    );
    let rolling = async {
        let one = |mut all: Vec<qkd_hal::Key>| {
            all.pop()
                .ok_or_else(|| Error::new(ErrorKind::Internal, "no key came"))
        };
        let key = one(source
            .take_keys(&KeyRequest::new(1).with_size(size))
            .await?)?;
        let lost = |e| {
            roll::after(
                &format!(
                    "key {} was taken from the first module and is void now",
                    key.id()
                ),
                e,
            )
        };
        let twin = twin_source
            .take_keys_by_id(std::slice::from_ref(key.id()))
            .await
            .and_then(one)
            .map_err(lost)?;
        roll::roll(
            End {
                encryptor: &*near,
                channel: &near_channel,
            },
            End {
                encryptor: &*far,
                channel: &far_channel,
            },
            &key,
            &twin,
        )
        .await
        .map_err(|e| {
            roll::after(
                &format!(
                    "key {} was taken from both modules and is void unless both ends hold it",
                    key.id()
                ),
                e,
            )
        })
    };
    let shown = progress::during(
        output,
        "rolling over: stage, activate, confirm, retire",
        rolling,
    );
    let rolled = journal::changing(&devices[0].uri.to_string(), "roll", &detail, shown).await?;
    let confirmed = rolled.near.confirmed && rolled.far.confirmed;
    output::print(output, &rolled, || {
        output::pairs(&[
            ("key", rolled.key_id.to_string()),
            ("hitless", rolled.hitless.to_string()),
            (
                "this end",
                format!(
                    "{}: {}",
                    if rolled.near.confirmed {
                        "confirmed"
                    } else {
                        "NOT CONFIRMED"
                    },
                    rolled.near.evidence
                ),
            ),
            (
                "far end",
                format!(
                    "{}: {}",
                    if rolled.far.confirmed {
                        "confirmed"
                    } else {
                        "NOT CONFIRMED"
                    },
                    rolled.far.evidence
                ),
            ),
            (
                "key before",
                if rolled.retired {
                    "retired".to_owned()
                } else {
                    "kept, or overwritten by the box".to_owned()
                },
            ),
        ])
    })?;
    Ok(if confirmed { 0 } else { exit::CHANGED })
}

#[derive(Serialize)]
struct Shown {
    status: ChannelStatus,
    counters: Option<TrafficCounters>,
}

async fn show(session: &Session, output: Output, device: &str, only: Option<&str>) -> Result<u8> {
    let device = session.open(device, Use::Read).await?;
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
