//! Encryptors, as they are read, and what they refuse.

use super::made_up::{made_up_id, synthetic_key};
use crate::{
    case::{Case, Precondition},
    case_context::CaseContext,
    case_outcome::{CaseOutcome, NotPassed, ensure, expect_error, fail, not_applicable},
    requirement::Impact,
    result::TargetKind,
};
use qkd_hal::{
    Effect, Encryptor, ErrorKind, Key, KeyId, Operation as Op,
    encryptor::{
        Activation, ChannelId, ChannelState, Confirmation, KeyRole, KeySizes, Staged, Staging,
    },
    units::Bits,
};
use std::{collections::BTreeSet, sync::Arc, time::Duration};
use zeroize::Zeroizing;

pub(super) const CASES: &[Case] = &[
    Case::new(
        "ENC-01/channels",
        "asks for the channels twice",
        &[Precondition::Op(Op::Channels)],
        |b| Box::pin(channels(b)),
    ),
    Case::new(
        "ENC-02/status",
        "asks for the status of each channel",
        &[Precondition::Op(Op::Channel)],
        |b| Box::pin(status(b)),
    ),
    Case::new(
        "ENC-03/unknown",
        "asks for a channel that is not there",
        &[Precondition::Op(Op::Channel)],
        |b| Box::pin(unknown_channel(b)),
    )
    .negative(),
    Case::new(
        "ENC-04/counters",
        "reads the counters twice",
        &[Precondition::Op(Op::Counters)],
        |b| Box::pin(counters(b)),
    ),
    Case::new(
        "ENC-05/form",
        "stages keys of roles, sizes and ids that it does not take",
        &[Precondition::Op(Op::Stage)],
        |b| Box::pin(wrong_form(b)),
    )
    .negative(),
    Case::new(
        "ENC-26/status-only",
        "stages, activates and retires a key on a device that takes none",
        &[Precondition::Op(Op::Channels)],
        |b| Box::pin(status_only(b)),
    )
    .negative(),
    Case::new(
        "ENC-06/unknown",
        "stages a key on a channel that is not there",
        &[Precondition::Op(Op::Stage), Precondition::Live],
        |b| Box::pin(stage_nowhere(b)),
    )
    .negative()
    .impact(Impact::Reversible),
    Case::new(
        "ENC-07/unstaged",
        "activates a key that was never staged",
        &[Precondition::Op(Op::Activate), Precondition::Emulator],
        |b| Box::pin(unstaged(b)),
    )
    .negative()
    .impact(Impact::Disruptive),
    Case::new(
        "ENC-08/unstaged",
        "waits for the confirmation of a key that was never staged",
        &[Precondition::Op(Op::Confirm), Precondition::Live],
        |b| Box::pin(confirm_unstaged(b)),
    )
    .negative(),
];

pub(super) async fn open(b: &CaseContext) -> Result<Arc<dyn Encryptor>, NotPassed> {
    Ok(b.open().await?.encryptor()?)
}

/// The channel that may be touched: the one that the file names; of an emulator, the only one.
pub(super) async fn channel(
    b: &CaseContext,
    encryptor: &dyn Encryptor,
) -> Result<ChannelId, NotPassed> {
    let all = b.call(Op::Channels, encryptor.channels()).await?;
    match (&b.session.dut.channel, b.session.dut.target_kind()) {
        (Some(named), _) => all.into_iter().find(|c| c.0 == *named).ok_or_else(|| {
            NotPassed::Broken(format!(
                "the file names the channel `{named}`, which the device does not have"
            ))
        }),
        (None, TargetKind::Device) => Err(NotPassed::Disabled(
            "name the channel that may be touched with channel = \"..\"".to_owned(),
        )),
        (None, _) => all
            .into_iter()
            .next()
            .ok_or_else(|| NotPassed::Fails("it has no channel".to_owned())),
    }
}

/// The largest key size of at most 256 bits that it takes, in bytes.
pub(crate) fn size(encryptor: &dyn Encryptor) -> usize {
    let form = encryptor.encryptor_capabilities().key.as_ref();
    let largest = form.and_then(|f| f.sizes.largest_common(&KeySizes::Unknown, Bits(256)));
    largest.map_or(32, |bits| usize::try_from(bits.0 / 8).unwrap_or(32))
}

async fn channels(b: &CaseContext) -> CaseOutcome {
    let encryptor = open(b).await?;
    let (first, second) = (
        b.call(Op::Channels, encryptor.channels()).await?,
        b.call(Op::Channels, encryptor.channels()).await?,
    );
    ensure(!first.is_empty(), || "it has no channel".to_owned())?;
    ensure(first == second, || {
        format!("it has {first:?}, and then {second:?}")
    })?;
    let unique: BTreeSet<_> = first.iter().collect();
    ensure(unique.len() == first.len(), || {
        format!("a channel is named twice: {first:?}")
    })
}

async fn status(b: &CaseContext) -> CaseOutcome {
    let encryptor = open(b).await?;
    for id in b.call(Op::Channels, encryptor.channels()).await? {
        let status = b.call(Op::Channel, encryptor.channel(&id)).await?;
        ensure(status.channel == id, || {
            format!("{id} was requested, and {} was reported", status.channel)
        })?;
        let declared = encryptor.encryptor_capabilities().staging;
        let most = match declared {
            Staging::Slots { count, .. } => usize::from(count),
            // What is only read may have any number of them.
            Staging::Named | Staging::None => usize::from(u8::MAX),
            _ => 0,
        };
        ensure(status.slots.len() <= most, || {
            format!(
                "channel {id} shows {} slots, and {most} are declared",
                status.slots.len()
            )
        })?;
        let numbers: BTreeSet<_> = status.slots.iter().map(|s| s.number).collect();
        ensure(
            numbers.len() == status.slots.len() && !numbers.contains(&0),
            || format!("channel {id}: its slots are numbered {numbers:?}"),
        )?;
        let active = status.slots.iter().filter(|s| s.active).count();
        ensure(active <= 1, || {
            format!("channel {id} sends with {active} slots at once")
        })?;
        let has_slots = matches!(declared, Staging::Slots { .. });
        let keyless = status.state == ChannelState::Encrypting && has_slots && active == 0;
        ensure(!keyless, || {
            format!("channel {id} says that it encrypts, and sends with no slot")
        })?;
    }
    Ok(())
}

async fn unknown_channel(b: &CaseContext) -> CaseOutcome {
    let encryptor = open(b).await?;
    let nowhere = ChannelId::from("no-such-channel");
    let mut errors = vec![(
        "its status",
        expect_error(
            "a channel that is not there",
            b.call(Op::Channel, encryptor.channel(&nowhere)).await,
        )?,
    )];
    if b.session.can(Op::Counters) {
        errors.push((
            "its counters",
            expect_error(
                "counters of a channel that is not there",
                b.call(Op::Counters, encryptor.counters(&nowhere)).await,
            )?,
        ));
    }
    for (what, error) in errors {
        ensure(error.kind() == ErrorKind::NotFound, || {
            format!("{what}, of a channel that is not there: {error}")
        })?;
    }
    Ok(())
}

async fn counters(b: &CaseContext) -> CaseOutcome {
    let encryptor = open(b).await?;
    for id in b.call(Op::Channels, encryptor.channels()).await? {
        let first = b.call(Op::Counters, encryptor.counters(&id)).await?;
        if b.session.dut.target_kind() == TargetKind::EmulatorInMemory {
            tokio::time::sleep(Duration::from_secs(2)).await;
        }
        let second = b.call(Op::Counters, encryptor.counters(&id)).await?;
        let pairs = first.as_pairs().into_iter().zip(second.as_pairs());
        for ((name, before), (_, now)) in pairs {
            ensure(before.is_some() == now.is_some(), || {
                format!("channel {id}: the counter `{name}` comes and goes")
            })?;
            ensure(now >= before, || {
                format!("channel {id}: the counter `{name}` went from {before:?} to {now:?}")
            })?;
        }
        ensure(
            second.as_pairs().iter().any(|(_, now)| now.is_some()),
            || format!("channel {id} declares counters, and has none"),
        )?;
    }
    Ok(())
}

async fn wrong_form(b: &CaseContext) -> CaseOutcome {
    let encryptor = open(b).await?;
    let Some(form) = &encryptor.encryptor_capabilities().key else {
        return not_applicable("it takes no key");
    };
    let sent = b.records().len();
    let bytes = size(&*encryptor);
    let other = match form.role {
        KeyRole::Sak => KeyRole::Psk,
        _ => KeyRole::Sak,
    };
    let mut wrong = vec![(
        format!("a key that was assigned as {other}"),
        synthetic_key(bytes).with_role(other),
    )];
    let long: KeyId = "k".repeat(KeyId::MAX_TEXT).parse()?;
    if !form.id.allows(&long) {
        wrong.push((
            format!("a key with an id of {} characters", KeyId::MAX_TEXT),
            Key::new(long, Zeroizing::new(synthetic_key(bytes).expose().to_vec())),
        ));
    }
    for bytes in [1, 15, 17, 31, 33, 64, 4096] {
        if !form.sizes.allow(Bits(bytes as u64 * 8)) {
            wrong.push((format!("a key of {bytes} bytes"), synthetic_key(bytes)));
        }
    }
    for (what, key) in wrong {
        b.secret(key.expose());
        let error = expect_error(&what, encryptor.stage(&ChannelId::from("any"), &key).await)?;
        b.print(&error);
        ensure(
            error.kind() == ErrorKind::InvalidInput && error.effect() == Effect::None,
            || format!("{what}: {error}"),
        )?;
    }
    b.check_no_traffic_since(sent)
}

async fn status_only(b: &CaseContext) -> CaseOutcome {
    let encryptor = open(b).await?;
    let declared = encryptor.encryptor_capabilities();
    if declared.staging != Staging::None {
        return not_applicable("it takes keys");
    }
    ensure(
        declared.key.is_none() && declared.activation == Activation::None,
        || "it takes no keys, and declares their form, or how they are activated".to_owned(),
    )?;
    let Some(id) = b
        .call(Op::Channels, encryptor.channels())
        .await?
        .into_iter()
        .next()
    else {
        return fail("it has no channel");
    };
    let sent = b.records().len();
    let key = synthetic_key(32);
    b.secret(key.expose());
    let staged = Staged::new(id.clone(), key.id().clone(), None, "made up");
    let confirmed = Confirmation::new(&staged, true, "made up").confirmed()?;
    for (what, result) in [
        ("staging", encryptor.stage(&id, &key).await.map(drop)),
        ("activation", encryptor.activate(&staged).await),
        ("retirement", encryptor.retire(&confirmed).await),
    ] {
        let error = expect_error(what, result)?;
        b.print(&error);
        ensure(
            error.kind() == ErrorKind::Unsupported && error.effect() == Effect::None,
            || format!("{what} on a device that takes no keys: {error}"),
        )?;
    }
    b.check_no_traffic_since(sent)
}

async fn stage_nowhere(b: &CaseContext) -> CaseOutcome {
    let encryptor = open(b).await?;
    // If the key is staged nevertheless, then only on a device that may be changed.
    channel(b, &*encryptor).await?;
    let before = b.state();
    let key = synthetic_key(size(&*encryptor));
    b.secret(key.expose());
    let error = expect_error(
        "a key for a channel that is not there",
        b.call(
            Op::Stage,
            encryptor.stage(&ChannelId::from("no-such-channel"), &key),
        )
        .await,
    )?;
    ensure(error.kind() == ErrorKind::NotFound, || {
        format!("a key for a channel that is not there: {error}")
    })?;
    ensure(b.state() == before, || {
        "the channel is not there, and the device has changed".to_owned()
    })
}

async fn unstaged(b: &CaseContext) -> CaseOutcome {
    let encryptor = open(b).await?;
    let id = channel(b, &*encryptor).await?;
    let before = b.state();
    let slot = matches!(
        encryptor.encryptor_capabilities().staging,
        Staging::Slots { .. }
    )
    .then_some(1);
    let never = Staged::new(id, made_up_id(), slot, "made up");
    let error = expect_error(
        "activating a key that was never staged",
        b.call(Op::Activate, encryptor.activate(&never)).await,
    )?;
    let right = matches!(
        error.kind(),
        ErrorKind::NotReady
            | ErrorKind::NotFound
            | ErrorKind::InvalidInput
            | ErrorKind::Refused
            | ErrorKind::StateChanged
    );
    ensure(right, || {
        format!("activating a key that was never staged: {error}")
    })?;
    ensure(b.state() == before, || {
        "it was refused, and the device has changed".to_owned()
    })
}

async fn confirm_unstaged(b: &CaseContext) -> CaseOutcome {
    let encryptor = open(b).await?;
    let Some(id) = b
        .call(Op::Channels, encryptor.channels())
        .await?
        .into_iter()
        .next()
    else {
        return fail("it has no channel");
    };
    match b
        .call(
            Op::Confirm,
            encryptor.confirm(
                &Staged::new(id, made_up_id(), None, "made up"),
                encryptor.encryptor_capabilities().confirm_timeout,
            ),
        )
        .await
    {
        Ok(confirmation) => {
            ensure(!confirmation.is_confirmed(), || {
                format!(
                    "it confirms a key that was never staged: {}",
                    confirmation.evidence()
                )
            })?;
            ensure(!confirmation.evidence().trim().is_empty(), || {
                "it does not confirm the key, and gives no evidence".to_owned()
            })
        }
        Err(error) => ensure(
            matches!(error.kind(), ErrorKind::NotReady | ErrorKind::NotFound),
            || format!("{error}"),
        ),
    }
}
