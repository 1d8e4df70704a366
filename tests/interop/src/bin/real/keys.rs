//! Keys of an emulated QKD pair, and rolls with them.

use qkd_emulators::{profile::Options, profiles};
use qkd_hal::{
    Error, ErrorKind, Key, KeyId, QkdModule, Result, encryptor::ChannelState, qkd::KeyRequest,
    units::Bits,
};
use qkd_hardware::OpenContext;
use qkd_keyflow::{
    EncryptorPair, End, Recovery, Roll, RollEnd, RollOutcome, RollRecord, RollReport, Step,
};
use std::{sync::Arc, time::Duration};

/// The two key managers of an emulated QKD pair.
pub(crate) struct KeySource {
    modules: [Arc<dyn QkdModule>; 2],
    _emulated: qkd_emulators::profile::InMemory,
}

impl KeySource {
    pub(crate) async fn open() -> Result<Self> {
        let options = Options::default();
        let emulated = profiles::in_memory("etsi014-pair", &options)
            .map_err(|e| Error::new(ErrorKind::Internal, e.to_string()))?;
        let context = emulated.attach(OpenContext::new());
        let registry = qkd_hardware::registry();
        let mut modules = Vec::new();
        for uri in emulated.uris() {
            modules.push(registry.open(uri, &context).await?.module()?);
        }
        let modules = <[_; 2]>::try_from(modules)
            .map_err(|_| Error::new(ErrorKind::Internal, "the QKD pair has not two ends"))?;
        Ok(Self {
            modules,
            _emulated: emulated,
        })
    }

    /// Takes a key, and its twin at the other end.
    pub(crate) async fn take(&self, size: Bits) -> Result<[Key; 2]> {
        let none = || Error::new(ErrorKind::Exhausted, "no key came");
        let request = KeyRequest::new(1).with_size(size);
        let key = self.modules[0].take_keys(&request).await?.pop();
        let key = key.ok_or_else(none)?;
        let ids = [key.id().clone()];
        let twin = self.modules[1].take_keys_by_id(&ids).await?.pop();
        Ok([key, twin.ok_or_else(none)?])
    }
}

/// Opens the devices of both ends as a pair.
pub(crate) async fn open_pair(
    uris: &[String; 2],
    channels: [Option<&str>; 2],
) -> Result<EncryptorPair> {
    open_pair_with(uris, channels, &OpenContext::new()).await
}

/// Opens the devices of both ends in a context.
pub(crate) async fn open_pair_with(
    uris: &[String; 2],
    channels: [Option<&str>; 2],
    context: &OpenContext,
) -> Result<EncryptorPair> {
    let registry = qkd_hardware::registry();
    let mut ends = Vec::new();
    for (uri, channel) in uris.iter().zip(channels) {
        let opened = registry.open(uri, context).await?;
        ends.push(RollEnd::open(opened.encryptor()?, channel).await?);
    }
    let [near, far] = <[RollEnd; 2]>::try_from(ends)
        .map_err(|_| Error::new(ErrorKind::Internal, "a pair has two ends"))?;
    Ok(EncryptorPair::new(near, far))
}

/// Rolls once with a key of the source, and checks that both ends confirm.
pub(crate) async fn roll(pair: &EncryptorPair, source: &KeySource) -> Result<()> {
    let (roll, [key, twin]) = prepare(pair, source).await?;
    confirmed(roll.run([&key, &twin], &mut ()).await?)
}

/// Checks that a pair is ready, and takes a key for it.
pub(crate) async fn prepare(pair: &EncryptorPair, source: &KeySource) -> Result<(Roll, [Key; 2])> {
    let roll = pair.readiness().await?.ready()?;
    let keys = source.take(roll.key_size()).await?;
    Ok((roll, keys))
}

/// Checks that both ends confirmed.
pub(crate) fn confirmed(outcome: RollOutcome) -> Result<()> {
    match outcome {
        RollOutcome::Ended(report) => match why_unconfirmed(&report) {
            Some(why) => Err(Error::new(ErrorKind::NotReady, why)),
            None => Ok(()),
        },
        RollOutcome::Stopped(_) => Err(Error::new(ErrorKind::Internal, "a roll was stopped")),
    }
}

/// The evidence of both ends, if one of them did not confirm.
fn why_unconfirmed(report: &RollReport) -> Option<String> {
    let (near, far) = (report.near.evidence(), report.far.evidence());
    (!report.is_confirmed()).then(|| format!("near end: {near}; far end: {far}"))
}

/// Stages a key at both ends that is not the same, activates it where a command does that, and
/// returns what the near end says: the error of the activation, or why it does not confirm.
pub(crate) async fn roll_with_wrong_key(
    pair: &EncryptorPair,
    source: &KeySource,
) -> Result<std::result::Result<String, String>> {
    let size = pair.readiness().await?.ready()?.key_size();
    let [key, _] = source.take(size).await?;
    let [other, _] = source.take(size).await?;
    let false_twin = Key::new(key.id().clone(), other.expose().to_vec().into());
    let (near, far) = (pair.end(End::Near), pair.end(End::Far));
    let staged = near.encryptor().stage(near.channel(), &key).await?;
    let far_staged = far.encryptor().stage(far.channel(), &false_twin).await?;
    let declared = near.encryptor().encryptor_capabilities();
    if declared.activation.is_commanded()
        && let Err(error) = near.encryptor().activate(&staged).await
    {
        return Ok(Ok(format!("activation: {error}")));
    }
    if far
        .encryptor()
        .encryptor_capabilities()
        .activation
        .is_commanded()
    {
        far.encryptor().activate(&far_staged).await?;
    }
    let wait = Duration::from_secs(3);
    let confirmation = near.encryptor().confirm(&staged, wait).await?;
    Ok(if confirmation.is_confirmed() {
        Err(confirmation.evidence().to_owned())
    } else {
        Ok(confirmation.evidence().to_owned())
    })
}

/// Whether both ends say that they encrypt.
pub(crate) async fn encrypts(pair: &EncryptorPair) -> Result<bool> {
    let status = pair.read().await?;
    Ok(status.iter().all(|s| s.state == ChannelState::Encrypting))
}

/// Stages a key at the near end only, and returns the records of the roll that was interrupted
/// there.
pub(crate) async fn stage_near_only(
    pair: &EncryptorPair,
    source: &KeySource,
) -> Result<Vec<RollRecord>> {
    let near = pair.end(End::Near);
    let (_, [key, _]) = prepare(pair, source).await?;
    let staged = near.encryptor().stage(near.channel(), &key).await?;
    let mut records = begun_near(key.id());
    records.push(RollRecord::Staged {
        key_id: key.id().clone(),
        end: End::Near,
        staged,
    });
    Ok(records)
}

/// The records of a roll whose process ended before it wrote down that the near end has the key.
pub(crate) fn begun_near(key_id: &KeyId) -> Vec<RollRecord> {
    vec![
        RollRecord::Taken {
            key_id: key_id.clone(),
        },
        RollRecord::Begun {
            key_id: key_id.clone(),
            end: End::Near,
            step: Step::Stage,
        },
    ]
}

/// Finds what an interrupted roll left, finishes it, and returns what was done.
pub(crate) async fn recover(
    pair: &EncryptorPair,
    source: &KeySource,
    records: &[RollRecord],
) -> Result<String> {
    struct Source<'a>(&'a KeySource);
    #[async_trait::async_trait]
    impl qkd_keyflow::KeySource for Source<'_> {
        async fn take(&mut self, size: Bits) -> Result<[Key; 2]> {
            self.0.take(size).await
        }
    }
    let state = pair.recovery(records).await?;
    let done = match &state.recovery {
        Recovery::Nothing { .. } => "nothing to do",
        Recovery::Forward(_) => "completed with the key of the roll",
        _ => "a fresh key at both ends",
    };
    let outcome = state.recovery.finish(&mut Source(source), &mut ()).await?;
    match outcome {
        Some(RollOutcome::Ended(report)) => match why_unconfirmed(&report) {
            Some(why) => Err(Error::new(ErrorKind::NotReady, format!("{done}: {why}"))),
            None => Ok(done.to_owned()),
        },
        _ => Ok(done.to_owned()),
    }
}
