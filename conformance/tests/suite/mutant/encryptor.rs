//! Mutants of an encryptor.

use super::{Broken, with_effect};
use qkd_hal::{
    Effect, Error, ErrorKind, KeyId, Outcome, Request, Result,
    encryptor::{
        Activation, ChannelId, ChannelState, ChannelStatus, Confirmation, EncryptorCapabilities,
        Hitless, KeyIdForm, KeySizes, Slot, Staged, Staging,
    },
};
use std::time::Duration;

/// A key that was not staged.
fn pretended(channel: &ChannelId, key: &KeyId) -> Outcome {
    let (channel, key) = (channel.clone(), key.clone());
    Outcome::Staged(Staged::new(channel, key, Some(1), "it is there"))
}

/// Has one declaration of an encryptor contradict the others.
pub(super) fn contradict(declared: &mut EncryptorCapabilities, breaks: &str) {
    match breaks {
        "DEV-20/no-staging" => declared.staging = Staging::None,
        "DEV-20/no-form" => declared.key = None,
        "DEV-20/staging" => declared.staging = Staging::Named,
        "DEV-20/activation" => declared.activation = Activation::ForcedReinitialisation,
        "DEV-20/next-exchange" => declared.activation = Activation::NextExchange { longest: None },
        "DEV-20/hitless" => declared.hitless = Hitless::yes("the vendor says so"),
        "DEV-20/evidence" => declared.hitless = Hitless::no(" "),
        "DEV-20/sizes" => declared.key.as_mut().unwrap().sizes = KeySizes::OneOf(Vec::new()),
        "DEV-20/ids" => {
            declared.key.as_mut().unwrap().id = KeyIdForm::Bytes { least: 9, most: 8 };
        }
        other => panic!("there is no mutant {other}"),
    }
}

impl Broken {
    pub(super) async fn encryptor_call(&self, request: &Request<'_>) -> Result<Outcome> {
        match (self.breaks, request) {
            ("ENC-05" | "ENC-10" | "ENC-26", Request::Stage { channel, key }) => {
                return Ok(pretended(channel, key.id()));
            }
            ("ENC-05/role", Request::Stage { channel, key })
                if key.key().is_some_and(|key| key.role().is_some()) =>
            {
                return Ok(pretended(channel, key.id()));
            }
            ("ENC-05/id", Request::Stage { channel, key })
                if key.id().as_bytes().len() == KeyId::MAX_TEXT =>
            {
                return Ok(pretended(channel, key.id()));
            }
            ("ENC-11" | "ENC-25/commanded", Request::Activate { .. })
            | ("ENC-14" | "ENC-15", Request::Retire { .. })
            | ("ENC-16", Request::Zeroize { .. })
            | ("ENC-23", Request::SetEncryption { .. }) => return Ok(Outcome::Done),
            _ => {}
        }
        let mut result = self.honest(request).await;
        match (self.breaks, request, &mut result) {
            ("ENC-01", _, Ok(Outcome::Channels(all))) => all.push(all[0].clone()),
            ("ENC-02", _, Ok(Outcome::Channel(status))) => {
                status.slots = vec![Slot::new(1, None, true), Slot::new(2, None, true)];
            }
            ("ENC-03", Request::Channel { channel }, Err(e)) if e.kind() == ErrorKind::NotFound => {
                let channel = channel.clone().into_owned();
                let status = ChannelStatus::new(channel, ChannelState::Encrypting);
                result = Ok(Outcome::Channel(status));
            }
            ("ENC-04", _, Ok(Outcome::Counters(counters))) => {
                counters.encrypted = Some(1_000_u64.saturating_sub(self.count() as u64));
            }
            ("ENC-06", Request::Stage { channel, key }, Err(_)) => {
                result = Ok(pretended(channel, key.id()));
            }
            ("ENC-07", Request::Activate { .. }, Err(_)) => result = Ok(Outcome::Done),
            ("ENC-25/late", Request::Confirm { staged, .. }, _) => {
                let confirmation = Confirmation::new(staged, false, "not yet");
                result = Ok(Outcome::Confirmation(confirmation));
            }
            ("ENC-27", Request::Stage { .. }, Err(e)) if e.kind() == ErrorKind::Authentication => {
                *e = Error::new(e.kind(), "no");
            }
            ("ENC-08" | "ENC-12" | "ENC-25", Request::Confirm { staged, .. }, _) => {
                let confirmation = Confirmation::new(staged, true, "surely");
                result = Ok(Outcome::Confirmation(confirmation));
            }
            ("ENC-09", _, Ok(Outcome::Staged(staged))) => {
                self.opened.encryptor()?.activate(staged).await?;
            }
            ("ENC-13", Request::Confirm { staged, .. }, Ok(Outcome::Confirmation(c))) => {
                *c = Confirmation::new(staged, c.is_confirmed(), c.evidence())
                    .with_outage(Duration::from_secs(1));
            }
            ("ENC-17", Request::Stage { .. }, Err(e))
            | ("ENC-18", Request::Activate { .. }, Err(e)) => {
                *e = with_effect(e, Effect::None);
            }
            ("ENC-19", Request::Stage { .. }, Err(e)) => *e = with_effect(e, Effect::Unknown),
            ("ENC-20", Request::Stage { .. }, Err(e)) => *e = Error::new(e.kind(), "no"),
            ("ENC-21", Request::Stage { key, .. }, Ok(Outcome::Staged(staged))) => {
                staged.evidence = key.key().map(|key| hex::encode(key.expose())).unwrap();
            }
            ("ENC-22", _, Ok(Outcome::Staged(staged))) => {
                staged.slot = Some(1 + (self.count() % 2) as u8);
            }
            _ => {}
        }
        result
    }
}
