//! Cases for key rolls: staging, activation, confirmation, and interruptions between them.

use super::{
    encryptor::{channel, open, size},
    made_up::synthetic_key,
};
use crate::{
    case::{Case, Precondition, Waits},
    case_context::CaseContext,
    case_outcome::{CaseOutcome, NotPassed, ensure, expect_error, fail, not_applicable},
    journal::Snapshot,
    reading,
    requirement::Impact,
    result::TargetKind,
};
use qkd_driver_kit::wrap::fault::LinkFault;
use qkd_hal::{
    Effect, Encryptor, Error, ErrorKind, Key, KeyId, Operation as Op,
    encryptor::{Activation, ChannelId, ChannelState, Confirmation, FailureMode, Staged, Staging},
};
use std::{sync::Arc, time::Duration};
use zeroize::Zeroizing;

const STAGE: &[Precondition] = &[Precondition::Op(Op::Stage), Precondition::Live];
const PAIR: &[Precondition] = &[
    Precondition::Op(Op::Stage),
    Precondition::Activation,
    Precondition::Op(Op::Confirm),
    Precondition::Peer,
];
const EMULATED: &[Precondition] = &[
    Precondition::Op(Op::Stage),
    Precondition::Activation,
    Precondition::Emulator,
];
const ACTIVATING: &[Precondition] = &[
    Precondition::Op(Op::Stage),
    Precondition::Op(Op::Activate),
    Precondition::Emulator,
];

pub(super) const CASES: &[Case] = &[
    Case::new(
        "ENC-09/idle",
        "stages a key, and looks at the one in use",
        STAGE,
        |b| Box::pin(agreeing(b, staged_in_idle_slot(b))),
    )
    .impact(Impact::Destructive),
    Case::new(
        "ENC-10/proof",
        "stages a key, and looks for it",
        STAGE,
        |b| Box::pin(agreeing(b, proof(b))),
    )
    .waits(Waits::Deadlines(2))
    .impact(Impact::Destructive),
    Case::new("ENC-11/rolled", "rolls a pair over, twice", PAIR, |b| {
        Box::pin(agreeing(b, rolled(b)))
    })
    .waits(Waits::Deadlines(4))
    .impact(Impact::Destructive),
    Case::new(
        "ENC-12/wrong-key",
        "gives the two ends different keys of one name",
        PAIR,
        |b| Box::pin(agreeing(b, wrong_key(b))),
    )
    .waits(Waits::Deadlines(4))
    .negative()
    .impact(Impact::Destructive),
    Case::new(
        "ENC-13/gap",
        "rolls a pair over, and looks at the gap and at clear traffic",
        PAIR,
        |b| Box::pin(agreeing(b, outage(b))),
    )
    .waits(Waits::Deadlines(4))
    .impact(Impact::Destructive),
    Case::new(
        "ENC-25/next-exchange",
        "stages a key that is used at the next exchange, and waits for it",
        &[
            Precondition::Op(Op::Stage),
            Precondition::Op(Op::Confirm),
            Precondition::Peer,
        ],
        |b| Box::pin(agreeing(b, next_exchange(b))),
    )
    .waits(Waits::Deadlines(4))
    .impact(Impact::Destructive),
    Case::new(
        "ENC-27/refused",
        "stages a key after another operator changed the crypto officer's password",
        EMULATED,
        |b| Box::pin(agreeing(b, password_refused(b))),
    )
    .negative()
    .impact(Impact::Destructive),
    Case::new(
        "ENC-14/in-use",
        "retires the key before while the one staged is not in use",
        &[
            Precondition::Op(Op::Retire),
            Precondition::Op(Op::Stage),
            Precondition::Peer,
        ],
        |b| Box::pin(agreeing(b, retire_in_use(b))),
    )
    .negative()
    .impact(Impact::Destructive),
    Case::new(
        "ENC-15/retired",
        "rolls a pair over and retires the key before",
        &[
            Precondition::Op(Op::Retire),
            Precondition::Op(Op::Stage),
            Precondition::Peer,
        ],
        |b| Box::pin(agreeing(b, retired(b))),
    )
    .impact(Impact::Destructive),
    Case::new(
        "ENC-16/zeroized",
        "destroys all keys of a channel",
        &[Precondition::Op(Op::Zeroize), Precondition::Peer],
        |b| Box::pin(agreeing(b, zeroized(b))),
    )
    .impact(Impact::Destructive),
    Case::new(
        "ENC-17/drop",
        "loses each reply of a staging, in turn",
        EMULATED,
        |b| Box::pin(agreeing(b, stage_lost(b))),
    )
    .waits(Waits::Deadlines(8))
    .negative()
    .impact(Impact::Destructive),
    Case::new(
        "ENC-18/drop",
        "loses each reply of an activation, in turn",
        ACTIVATING,
        |b| Box::pin(agreeing(b, activate_lost(b))),
    )
    .waits(Waits::Deadlines(12))
    .negative()
    .impact(Impact::Destructive),
    Case::new(
        "ENC-19/refused",
        "lets the device refuse a staging, then an activation",
        EMULATED,
        |b| Box::pin(agreeing(b, refuses(b))),
    )
    .waits(Waits::Deadlines(2))
    .negative()
    .impact(Impact::Destructive),
    Case::new(
        "ENC-20/full",
        "makes the device refuse every change for lack of capacity",
        EMULATED,
        |b| Box::pin(agreeing(b, full(b))),
    )
    .waits(Waits::Deadlines(2))
    .negative()
    .impact(Impact::Destructive),
    Case::new(
        "ENC-21/secret",
        "stages a key, and looks for it in all that was recorded and printed",
        STAGE,
        |b| Box::pin(agreeing(b, secret(b))),
    )
    .waits(Waits::Deadlines(2))
    .negative()
    .impact(Impact::Destructive),
    Case::new("ENC-22/again", "stages one key twice", STAGE, |b| {
        Box::pin(agreeing(b, again(b)))
    })
    .waits(Waits::Deadlines(2))
    .negative()
    .impact(Impact::Destructive),
    Case::new(
        "ENC-23/off-and-on",
        "switches encryption off and on",
        &[
            Precondition::Op(Op::SetEncryption),
            Precondition::Emulator,
            Precondition::Peer,
        ],
        |b| Box::pin(agreeing(b, off_and_on(b))),
    )
    .waits(Waits::Deadlines(4))
    .impact(Impact::Destructive),
    Case::new(
        "ENC-24/events",
        "rolls a pair over, and waits for an event of it",
        PAIR,
        |b| Box::pin(agreeing(b, events(b))),
    )
    .impact(Impact::Destructive),
];

/// A fresh key, noted as a secret.
fn fresh(b: &CaseContext, encryptor: &dyn Encryptor) -> Key {
    let key = synthetic_key(size(encryptor));
    b.secret(key.expose());
    key
}

/// The same key a second time: a key cannot be cloned.
fn copy_of(key: &Key) -> Key {
    Key::new(key.id().clone(), Zeroizing::new(key.expose().to_vec()))
}

/// Waits until a channel no longer exchanges keys: a started device first runs an exchange
/// automatically.
pub(crate) async fn settled(
    b: &CaseContext,
    encryptor: &dyn Encryptor,
    channel: &ChannelId,
) -> Result<bool, NotPassed> {
    reading::until(b, || async {
        Ok(encryptor.channel(channel).await?.state != ChannelState::Exchanging)
    })
    .await
}

/// The two ends of a pair.
struct Pair {
    encryptors: [Arc<dyn Encryptor>; 2],
    channels: [ChannelId; 2],
}

impl Pair {
    async fn open(b: &CaseContext) -> Result<Self, NotPassed> {
        let near = open(b).await?;
        let far = b.open_peer().await?.encryptor()?;
        let here = channel(b, &*near).await?;
        let there = b.call(Op::Channels, far.channels()).await?;
        let wanted = b.session.dut.peer_channel.as_ref().unwrap_or(&here.0);
        let there = match there.iter().find(|c| c.0 == *wanted) {
            Some(named) => named.clone(),
            // The file names one channel: any other of a real far end may carry traffic of others.
            None if b.session.dut.target_kind() == TargetKind::Device => {
                return Err(NotPassed::Disabled(format!(
                    "the far end has no channel `{wanted}`; if it goes by another name, write \
                     peer_channel = \"..\""
                )));
            }
            None => there
                .first()
                .cloned()
                .ok_or_else(|| NotPassed::Broken("the far end has no channel".to_owned()))?,
        };
        b.record_snapshot(&Snapshot::Other(format!(
            "the active key of channel {here}, which the device does not report"
        )))?;
        let pair = Self {
            encryptors: [near, far],
            channels: [here, there],
        };
        // A new pair first agrees automatically; a pair with different keys never does.
        let _ = tokio::time::timeout(
            Duration::from_secs(10),
            settled(b, pair.near(), &pair.channels[0]),
        )
        .await;
        Ok(pair)
    }

    fn near(&self) -> &dyn Encryptor {
        &*self.encryptors[0]
    }

    fn key(&self, b: &CaseContext) -> Key {
        fresh(b, self.near())
    }

    /// Stages at both ends.
    async fn stage(&self, b: &CaseContext, keys: [&Key; 2]) -> Result<[Staged; 2], Error> {
        let stage = |end: usize| {
            b.call(
                Op::Stage,
                self.encryptors[end].stage(&self.channels[end], keys[end]),
            )
        };
        Ok([stage(0).await?, stage(1).await?])
    }

    /// Activates at one end or both, where a command does it.
    async fn activate(&self, b: &CaseContext, staged: &[Staged; 2]) -> Result<(), Error> {
        let declared = self.near().encryptor_capabilities();
        if declared.activation.is_commanded() {
            b.call(Op::Activate, self.encryptors[0].activate(&staged[0]))
                .await?;
            if declared.activate_both {
                b.call(Op::Activate, self.encryptors[1].activate(&staged[1]))
                    .await?;
            }
        }
        Ok(())
    }

    /// Stages at both ends, activates.
    async fn place(&self, b: &CaseContext, keys: [&Key; 2]) -> Result<[Staged; 2], Error> {
        let staged = self.stage(b, keys).await?;
        self.activate(b, &staged).await?;
        Ok(staged)
    }

    async fn confirm(
        &self,
        b: &CaseContext,
        staged: &[Staged; 2],
    ) -> Result<[Confirmation; 2], NotPassed> {
        let confirm = |end: usize| {
            let encryptor = &self.encryptors[end];
            let longest = encryptor.encryptor_capabilities().confirm_timeout;
            let longest = longest.div_f64(b.session.dut.time_factor());
            b.call(Op::Confirm, encryptor.confirm(&staged[end], longest))
        };
        Ok([confirm(0).await?, confirm(1).await?])
    }

    /// A roll that must be confirmed at both ends.
    async fn roll(&self, b: &CaseContext) -> Result<[Staged; 2], NotPassed> {
        let key = self.key(b);
        let staged = self.place(b, [&key, &key]).await?;
        for (end, confirmation) in ["this", "the far"]
            .into_iter()
            .zip(self.confirm(b, &staged).await?)
        {
            ensure(confirmation.is_confirmed(), || {
                format!("{end} end does not confirm: {}", confirmation.evidence())
            })?;
        }
        Ok(staged)
    }
}

/// Runs a case that changes keys, and leaves the pair with one key at both ends whatever its
/// result: a device without slots uses a staged key at its next exchange, and a case that fails can
/// leave a staged key.
async fn agreeing(b: &CaseContext, case: impl Future<Output = CaseOutcome>) -> CaseOutcome {
    let alone = b.uris().len() < 2;
    if alone && slots(&*open(b).await?).is_err() {
        return Err(NotPassed::Disabled(
            "what is staged replaces the secret in use, so it needs the far end: name it with \
             peer ="
                .to_owned(),
        ));
    }
    let verdict = case.await;
    b.script().clear();
    if alone
        || matches!(
            verdict,
            Err(NotPassed::Disabled(_) | NotPassed::NotApplicable(_))
        )
    {
        return verdict;
    }
    let agreed = async { Pair::open(b).await?.roll(b).await }.await;
    verdict?;
    b.note_restored("a fresh key at both ends");
    agreed.map(drop)
}

/// Returns the slot of a key as reported by the device.
async fn slot_of(
    b: &CaseContext,
    encryptor: &dyn Encryptor,
    channel: &ChannelId,
    id: &KeyId,
) -> Result<Option<bool>, NotPassed> {
    let status = b.call(Op::Channel, encryptor.channel(channel)).await?;
    Ok(status
        .slots
        .iter()
        .find(|s| s.key_id.as_ref() == Some(id))
        .map(|s| s.active))
}

fn slots(encryptor: &dyn Encryptor) -> CaseOutcome {
    match encryptor.encryptor_capabilities().staging {
        Staging::Slots { .. } => Ok(()),
        _ => not_applicable(
            "it has no slots: a staged key replaces the one before at the next exchange",
        ),
    }
}

async fn staged_in_idle_slot(b: &CaseContext) -> CaseOutcome {
    let encryptor = open(b).await?;
    slots(&*encryptor)?;
    let id = channel(b, &*encryptor).await?;
    b.record_snapshot(&Snapshot::Other(format!(
        "the previous content of the idle slot of channel {id}"
    )))?;
    let active = |status: &qkd_hal::encryptor::ChannelStatus| {
        status.slots.iter().find(|s| s.active).cloned()
    };
    let before = active(&b.call(Op::Channel, encryptor.channel(&id)).await?);
    let staged = b
        .call(Op::Stage, encryptor.stage(&id, &fresh(b, &*encryptor)))
        .await?;
    let after = active(&b.call(Op::Channel, encryptor.channel(&id)).await?);
    ensure(before == after, || {
        format!("a key was staged, and the slot in use went from {before:?} to {after:?}")
    })?;
    ensure(
        staged.slot.is_some() && staged.slot != before.map(|s| s.number),
        || {
            format!(
                "the key was staged into slot {:?}, which is in use",
                staged.slot
            )
        },
    )
}

async fn proof(b: &CaseContext) -> CaseOutcome {
    let encryptor = open(b).await?;
    let id = channel(b, &*encryptor).await?;
    b.record_snapshot(&Snapshot::Other(format!(
        "the previous content of the idle slot, or the secret, of channel {id}"
    )))?;
    let key = fresh(b, &*encryptor);
    let before = b.state();
    let staged = b.call(Op::Stage, encryptor.stage(&id, &key)).await?;
    ensure(before.is_none() || before != b.state(), || {
        "it says that the key is staged, and the device has not changed".to_owned()
    })?;
    ensure(staged.key_id == *key.id() && staged.channel == id, || {
        format!(
            "key {} was staged on {id}, and {} on {} was reported",
            key.id(),
            staged.key_id,
            staged.channel
        )
    })?;
    ensure(!staged.evidence.trim().is_empty(), || {
        "no evidence was reported that the key arrived".to_owned()
    })?;
    if slots(&*encryptor).is_ok() {
        let there = slot_of(b, &*encryptor, &id, key.id()).await?;
        ensure(there == Some(false), || {
            format!(
                "key {} was staged, and its slot is {there:?} (true: in use)",
                key.id()
            )
        })?;
    }
    Ok(())
}

async fn rolled(b: &CaseContext) -> CaseOutcome {
    let pair = Pair::open(b).await?;
    for _ in 0..2 {
        let staged = pair.roll(b).await?;
        for (end, ((encryptor, channel), staged)) in
            (1..).zip(pair.encryptors.iter().zip(&pair.channels).zip(&staged))
        {
            let status = b.call(Op::Channel, encryptor.channel(channel)).await?;
            ensure(status.state == ChannelState::Encrypting, || {
                format!("both ends confirm, and end {end} is {:?}", status.state)
            })?;
            if slots(&**encryptor).is_ok() {
                let active = slot_of(b, &**encryptor, channel, &staged.key_id).await?;
                ensure(active == Some(true), || {
                    format!("both ends confirm, and end {end} does not send with the new key")
                })?;
            }
        }
    }
    Ok(())
}

async fn wrong_key(b: &CaseContext) -> CaseOutcome {
    let pair = Pair::open(b).await?;
    let one = pair.key(b);
    let other = synthetic_key(size(pair.near()));
    b.secret(other.expose());
    let false_twin = Key::new(one.id().clone(), Zeroizing::new(other.expose().to_vec()));
    let clear = async || match b.session.can(Op::Counters) {
        true => Ok::<_, NotPassed>(
            b.call(Op::Counters, pair.near().counters(&pair.channels[0]))
                .await?
                .clear
                .unwrap_or(0),
        ),
        false => Ok(0),
    };
    let before = clear().await?;
    let staged = pair.stage(b, [&one, &false_twin]).await?;
    match pair.activate(b, &staged).await {
        // An association that is made in addition fails when it is activated.
        Err(error)
            if pair.near().encryptor_capabilities().activation == Activation::MakeBeforeBreak
                && error.kind() == ErrorKind::Refused => {}
        other => other?,
    }
    for (end, confirmation) in ["this", "the far"]
        .into_iter()
        .zip(pair.confirm(b, &staged).await?)
    {
        ensure(!confirmation.is_confirmed(), || {
            format!(
                "the two ends have different keys, and {end} end confirms: {}",
                confirmation.evidence()
            )
        })?;
    }
    // Nothing passes in clear meanwhile, and the next right key ends it.
    let sent = clear().await?.saturating_sub(before);
    ensure(sent == 0, || format!("{sent} packets were sent in clear"))?;
    pair.roll(b).await.map(drop)
}

async fn outage(b: &CaseContext) -> CaseOutcome {
    let pair = Pair::open(b).await?;
    pair.roll(b).await?;
    let counters = async || match b.session.can(Op::Counters) {
        true => Ok::<_, NotPassed>(Some(
            b.call(Op::Counters, pair.near().counters(&pair.channels[0]))
                .await?,
        )),
        false => Ok(None),
    };
    let before = counters().await?;
    let key = pair.key(b);
    let staged = pair.place(b, [&key, &key]).await?;
    let [near, far] = pair.confirm(b, &staged).await?;
    for (end, reported) in [("this", &near), ("the far", &far)] {
        ensure(reported.is_confirmed(), || {
            format!("{end} end does not confirm: {}", reported.evidence())
        })?;
    }
    let declared = pair.near().encryptor_capabilities();
    let hitless = pair
        .encryptors
        .iter()
        .all(|end| end.encryptor_capabilities().hitless.is_hitless());
    match (hitless, near.outage()) {
        (true, Some(gap)) if !gap.value.is_zero() => {
            return fail(format!(
                "both ends are called hitless, and traffic was down for {} s",
                gap.value.as_secs_f64()
            ));
        }
        (false, None)
            if declared.activation == Activation::ForcedReinitialisation
                && declared.outage.is_none() =>
        {
            return fail("it is not declared hitless, and reports and declares no outage");
        }
        _ => {}
    }
    let status = b
        .call(Op::Channel, pair.near().channel(&pair.channels[0]))
        .await?;
    ensure(status.failure_mode != FailureMode::AllowClear, || {
        "after a roll, clear traffic may pass".to_owned()
    })?;
    if let (Some(before), Some(after)) = (before, counters().await?) {
        ensure(after.clear <= before.clear, || {
            format!(
                "packets in clear: {:?} before, {:?} after",
                before.clear, after.clear
            )
        })?;
        let refused = after
            .refused
            .unwrap_or(0)
            .saturating_sub(before.refused.unwrap_or(0));
        ensure(!hitless || refused == 0, || {
            format!("both ends are called hitless, and {refused} packets were refused")
        })?;
    }
    Ok(())
}

async fn retire_in_use(b: &CaseContext) -> CaseOutcome {
    let pair = Pair::open(b).await?;
    pair.roll(b).await?;
    let key = pair.key(b);
    let staged = b
        .call(Op::Stage, pair.near().stage(&pair.channels[0], &key))
        .await?;
    let before = b.state();
    // The key before this one is still the one that protects traffic: the proof is made up.
    let claimed = Confirmation::new(&staged, true, "made up").confirmed()?;
    let error = expect_error(
        "retiring the key in use",
        b.call(Op::Retire, pair.near().retire(&claimed)).await,
    )?;
    ensure(
        matches!(error.kind(), ErrorKind::NotReady | ErrorKind::Refused),
        || format!("retiring the key in use: {error}"),
    )?;
    ensure(b.state() == before, || {
        "it was refused, and the device has changed".to_owned()
    })
}

async fn retired(b: &CaseContext) -> CaseOutcome {
    let pair = Pair::open(b).await?;
    let first = pair.roll(b).await?;
    let second = pair.roll(b).await?;
    let confirmed = b
        .call(
            Op::Confirm,
            pair.near().confirm(
                &second[0],
                pair.near().encryptor_capabilities().confirm_timeout,
            ),
        )
        .await?
        .confirmed()?;
    b.call(Op::Retire, pair.near().retire(&confirmed)).await?;
    let gone = slot_of(b, pair.near(), &pair.channels[0], &first[0].key_id).await?;
    ensure(gone.is_none(), || {
        format!("key {} was retired, and is still there", first[0].key_id)
    })?;
    let active = slot_of(b, pair.near(), &pair.channels[0], &second[0].key_id).await?;
    ensure(active == Some(true), || {
        "the key before was retired, and the one in use is not in use any more".to_owned()
    })
}

async fn zeroized(b: &CaseContext) -> CaseOutcome {
    let pair = Pair::open(b).await?;
    pair.roll(b).await?;
    b.call(Op::Zeroize, pair.near().zeroize(&pair.channels[0]))
        .await?;
    let status = b
        .call(Op::Channel, pair.near().channel(&pair.channels[0]))
        .await?;
    let left: Vec<_> = status.slots.iter().filter(|s| s.key_id.is_some()).collect();
    ensure(left.is_empty(), || {
        format!("all keys were destroyed, and it shows {left:?}")
    })?;
    ensure(status.failure_mode != FailureMode::AllowClear, || {
        "its keys are destroyed, and clear traffic may pass".to_owned()
    })?;
    pair.roll(b).await.map(drop)
}

/// More exchanges than this has no call of a case.
const MAX_EXCHANGES: usize = 64;

async fn stage_lost(b: &CaseContext) -> CaseOutcome {
    let encryptor = open(b).await?;
    let id = channel(b, &*encryptor).await?;
    settled(b, &*encryptor, &id).await?;
    for exchange in 0..MAX_EXCHANGES {
        let key = fresh(b, &*encryptor);
        let before = b.state();
        let (result, injected) = b
            .with_fault(
                exchange,
                LinkFault::Drop,
                b.call(Op::Stage, encryptor.stage(&id, &key)),
            )
            .await;
        if let Err(error) = result {
            b.check_reported_effect(&before, &error)?;
            // "Stage again with the same key": that works whether or not it had landed.
            let staged = b.call(Op::Stage, encryptor.stage(&id, &key)).await?;
            ensure(staged.key_id == *key.id(), || {
                format!("staged again, and it reports {}", staged.key_id)
            })?;
        }
        if !injected {
            return Ok(());
        }
    }
    fail(format!(
        "a staging takes more than {MAX_EXCHANGES} exchanges"
    ))
}

async fn activate_lost(b: &CaseContext) -> CaseOutcome {
    let encryptor = open(b).await?;
    let id = channel(b, &*encryptor).await?;
    settled(b, &*encryptor, &id).await?;
    for exchange in 0..MAX_EXCHANGES {
        let staged = b
            .call(Op::Stage, encryptor.stage(&id, &fresh(b, &*encryptor)))
            .await?;
        let before = b.state();
        let (result, injected) = b
            .with_fault(
                exchange,
                LinkFault::Drop,
                b.call(Op::Activate, encryptor.activate(&staged)),
            )
            .await;
        if let Err(error) = result {
            b.check_reported_effect(&before, &error)?;
        }
        // "Read the channel": that works.
        b.call(Op::Channel, encryptor.channel(&id)).await?;
        if !injected {
            return Ok(());
        }
    }
    fail(format!(
        "an activation takes more than {MAX_EXCHANGES} exchanges"
    ))
}

async fn refuses(b: &CaseContext) -> CaseOutcome {
    let encryptor = open(b).await?;
    let id = channel(b, &*encryptor).await?;
    settled(b, &*encryptor, &id).await?;
    let key = fresh(b, &*encryptor);
    let before = b.state();
    b.fault("refuse=1")?;
    let error = expect_error(
        "staging, while the device refuses",
        b.call(Op::Stage, encryptor.stage(&id, &key)).await,
    )?;
    let right = error.kind() == ErrorKind::Refused && error.effect() == Effect::None;
    ensure(right, || {
        format!("staging, while the device refuses: {error}")
    })?;
    ensure(b.state() == before, || {
        "it was refused, and the device has changed".to_owned()
    })?;
    // The key was borrowed: it can be staged again.
    let staged = b.call(Op::Stage, encryptor.stage(&id, &key)).await?;
    if !encryptor.encryptor_capabilities().activation.is_commanded() {
        return Ok(());
    }
    let before = b.state();
    b.fault("refuse=1")?;
    let error = expect_error(
        "activating, while the device refuses",
        b.call(Op::Activate, encryptor.activate(&staged)).await,
    )?;
    b.fault("clear")?;
    let right = error.kind() == ErrorKind::Refused && error.effect() == Effect::None;
    ensure(right, || {
        format!("activating, while the device refuses: {error}")
    })?;
    ensure(b.state() == before, || {
        "it was refused, and the device has changed".to_owned()
    })
}

async fn full(b: &CaseContext) -> CaseOutcome {
    let encryptor = open(b).await?;
    let id = channel(b, &*encryptor).await?;
    let before = b.state();
    b.fault("full")?;
    let error = expect_error(
        "staging, where there is no room",
        b.call(Op::Stage, encryptor.stage(&id, &fresh(b, &*encryptor)))
            .await,
    )?;
    b.fault("clear")?;
    ensure(
        error.kind() == ErrorKind::Refused && error.effect() == Effect::None,
        || format!("staging, where there is no room: {error}"),
    )?;
    ensure(
        error.vendor_code().is_some() || error.vendor_text().is_some(),
        || format!("the device's own code or words are not passed on: {error}"),
    )?;
    ensure(b.state() == before, || {
        "there was no room, and the device has changed".to_owned()
    })
}

async fn secret(b: &CaseContext) -> CaseOutcome {
    let opened = b.open().await?;
    let encryptor = opened.encryptor()?;
    let id = channel(b, &*encryptor).await?;
    b.record_snapshot(&Snapshot::Other(format!(
        "the previous content of the idle slot, or the secret, of channel {id}"
    )))?;
    let key = fresh(b, &*encryptor);
    b.print(&key);
    b.print(&b.call(Op::Stage, encryptor.stage(&id, &key)).await?);
    b.print(&b.call(Op::Channel, encryptor.channel(&id)).await?);
    if b.session.can(Op::Telemetry) {
        b.print(&b.call(Op::Telemetry, opened.device().telemetry()).await?);
    }
    b.print(&opened);
    // What was noted here is searched when the case ends.
    Ok(())
}

async fn again(b: &CaseContext) -> CaseOutcome {
    let encryptor = open(b).await?;
    let id = channel(b, &*encryptor).await?;
    b.record_snapshot(&Snapshot::Other(format!(
        "the previous content of the idle slot, or the secret, of channel {id}"
    )))?;
    settled(b, &*encryptor, &id).await?;
    let key = fresh(b, &*encryptor);
    let first = b.call(Op::Stage, encryptor.stage(&id, &key)).await?;
    // Boxes stamp a change with a clock of a hundredth of a second (SNMP TimeTicks).
    tokio::time::sleep(Duration::from_millis(50)).await;
    let second = b
        .call(Op::Stage, encryptor.stage(&id, &copy_of(&key)))
        .await?;
    ensure(
        first.slot == second.slot && first.key_id == second.key_id,
        || {
            format!(
                "the same key was staged twice, into {:?} and {:?}",
                first.slot, second.slot
            )
        },
    )?;
    let places = b
        .call(Op::Channel, encryptor.channel(&id))
        .await?
        .slots
        .iter()
        .filter(|s| s.key_id.as_ref() == Some(key.id()))
        .count();
    ensure(places <= 1, || {
        format!("the same key was staged twice, and is in {places} slots")
    })
}

async fn next_exchange(b: &CaseContext) -> CaseOutcome {
    let pair = Pair::open(b).await?;
    let declared = pair.near().encryptor_capabilities();
    let Activation::NextExchange { longest } = declared.activation else {
        return not_applicable("a command activates its keys");
    };
    let key = pair.key(b);
    let staged = pair.stage(b, [&key, &key]).await?;
    let error = expect_error(
        "the activation of a key that is used at the next exchange",
        pair.near().activate(&staged[0]).await,
    )?;
    ensure(error.kind() == ErrorKind::Unsupported, || {
        format!("the activation of a key that is used at the next exchange: {error}")
    })?;
    // In real time, an exchange may have come between.
    if b.session.dut.target_kind() == TargetKind::EmulatorInMemory {
        let early = pair.near().confirm(&staged[0], Duration::ZERO);
        let early = b.call(Op::Confirm, early).await?;
        ensure(!early.is_confirmed(), || {
            format!(
                "the key was staged just now, and is confirmed: {}",
                early.evidence()
            )
        })?;
    }
    if longest.is_none() {
        return not_applicable("it declares no longest wait");
    }
    for confirmation in pair.confirm(b, &staged).await? {
        ensure(confirmation.is_confirmed(), || {
            format!(
                "within {longest:?} it does not confirm: {}",
                confirmation.evidence()
            )
        })?;
    }
    Ok(())
}

async fn password_refused(b: &CaseContext) -> CaseOutcome {
    let encryptor = open(b).await?;
    let id = channel(b, &*encryptor).await?;
    b.fault("operator=new-password")?;
    for time in ["first", "second"] {
        let sent = b.records().len();
        let key = fresh(b, &*encryptor);
        let error = expect_error(
            "a staging with a password that is wrong",
            b.call(Op::Stage, encryptor.stage(&id, &key)).await,
        )?;
        b.print(&error);
        ensure(
            error.kind() == ErrorKind::Authentication && error.effect() == Effect::None,
            || format!("the password is wrong, the {time} time: {error}"),
        )?;
        let text = error.message();
        let says_limit =
            text.contains(|c: char| c.is_ascii_digit()) || text.contains("not published");
        ensure(text.contains("officer_password") && says_limit, || {
            format!("the error names neither the password nor how many tries there are: {error}")
        })?;
        let again = b.records().into_iter().skip(sent).any(|r| r.changes);
        ensure(time == "first" || !again, || {
            "a password that was refused was sent again".to_owned()
        })?;
    }
    b.fault("clear")
}

async fn off_and_on(b: &CaseContext) -> CaseOutcome {
    let pair = Pair::open(b).await?;
    pair.roll(b).await?;
    let (encryptor, id) = (pair.near(), &pair.channels[0]);
    b.call(Op::SetEncryption, encryptor.set_encryption(id, false))
        .await?;
    let off = b.call(Op::Channel, encryptor.channel(id)).await?.state;
    ensure(off == ChannelState::Disabled, || {
        format!("encryption was switched off, and the channel is {off:?}")
    })?;
    b.call(Op::SetEncryption, encryptor.set_encryption(id, true))
        .await?;
    let on = reading::until(b, || async {
        Ok(encryptor.channel(id).await?.state == ChannelState::Encrypting)
    })
    .await?;
    ensure(on, || {
        "encryption was switched on again, and the channel does not encrypt".to_owned()
    })
}

async fn events(b: &CaseContext) -> CaseOutcome {
    let pair = Pair::open(b).await?;
    if pair.near().capabilities().events == qkd_hal::capability::EventSupport::LinkOnly {
        return not_applicable("it has no events of its own");
    }
    if b.session.dut.target_kind().has_wall_time() {
        return Err(NotPassed::Disabled(
            "no receiver of notifications was set up".to_owned(),
        ));
    }
    let mut events = pair.near().events();
    // Every device reports a failed roll; only some report a successful one.
    let (one, other) = (pair.key(b), pair.key(b));
    let false_twin = Key::new(one.id().clone(), Zeroizing::new(other.expose().to_vec()));
    let staged = pair.stage(b, [&one, &false_twin]).await?;
    // Where the activation itself fails, there is nothing to wait for.
    if pair.activate(b, &staged).await.is_ok() {
        drop(pair.confirm(b, &staged).await?);
    }
    let reported = tokio::time::timeout(Duration::from_secs(120), async {
        while let Some(delivery) = events.next().await {
            if let qkd_hal::event::StreamItem::Event(event) = delivery
                && event.origin != qkd_hal::event::Origin::Driver
            {
                return true;
            }
        }
        false
    })
    .await;
    ensure(reported.unwrap_or(false), || {
        "two ends with different keys could not agree, and no event reported it".to_owned()
    })?;
    pair.roll(b).await.map(drop)
}
