//! Mutants of an encryptor.

use super::{Broken, with_effect};
use async_trait::async_trait;
use qkd_hal::{
    Effect, Encryptor, Error, ErrorKind, Key, Result,
    encryptor::{
        ChannelId, ChannelState, ChannelStatus, Confirmation, Confirmed, EncryptorCapabilities,
        Slot, Staged, TrafficCounters,
    },
};
use std::{sync::Arc, time::Duration};

impl Broken {
    fn honest_encryptor(&self) -> Arc<dyn Encryptor> {
        self.opened.encryptor().unwrap()
    }
}

#[async_trait]
impl Encryptor for Broken {
    fn encryptor_capabilities(&self) -> &EncryptorCapabilities {
        self.encryptor.as_ref().unwrap()
    }

    async fn channels(&self) -> Result<Vec<ChannelId>> {
        let encryptor = self.honest_encryptor();
        let mut all = self.through(encryptor.channels()).await?;
        if self.is("ENC-01") {
            all.push(all[0].clone());
        }
        Ok(all)
    }

    async fn channel(&self, channel: &ChannelId) -> Result<ChannelStatus> {
        let encryptor = self.honest_encryptor();
        let result = self.through(encryptor.channel(channel)).await;
        match (self.breaks, result) {
            ("ENC-02", Ok(status)) => {
                Ok(status.with_slots(vec![Slot::new(1, None, true), Slot::new(2, None, true)]))
            }
            ("ENC-03", Err(e)) if e.kind() == ErrorKind::NotFound => Ok(ChannelStatus::new(
                channel.clone(),
                ChannelState::Encrypting,
            )),
            (_, result) => result,
        }
    }

    async fn stage(&self, channel: &ChannelId, key: &Key) -> Result<Staged> {
        let encryptor = self.honest_encryptor();
        let pretended = || Staged::new(channel.clone(), key.id().clone(), Some(1), "it is there");
        if self.is("ENC-10") || self.is("ENC-05") {
            return Ok(pretended());
        }
        let result = self.through(encryptor.stage(channel, key)).await;
        match (self.breaks, result) {
            ("ENC-06", Err(_)) => Ok(pretended()),
            ("ENC-09", Ok(staged)) => encryptor.activate(&staged).await.map(|()| staged),
            ("ENC-17", Err(e)) => Err(with_effect(&e, Effect::None)),
            ("ENC-19", Err(e)) => Err(with_effect(&e, Effect::Unknown)),
            ("ENC-20", Err(e)) => Err(Error::new(e.kind(), "no")),
            ("ENC-21", Ok(staged)) => Ok(Staged::new(
                staged.channel.clone(),
                staged.key_id.clone(),
                staged.slot,
                hex::encode(key.expose()),
            )),
            ("ENC-22", Ok(staged)) => Ok(Staged::new(
                staged.channel.clone(),
                staged.key_id.clone(),
                Some(1 + (self.count() % 2) as u8),
                "there",
            )),
            (_, result) => result,
        }
    }

    async fn activate(&self, staged: &Staged) -> Result<()> {
        let encryptor = self.honest_encryptor();
        if self.is("ENC-11") {
            return Ok(());
        }
        let result = self.through(encryptor.activate(staged)).await;
        match (self.breaks, result) {
            ("ENC-07", Err(_)) => Ok(()),
            ("ENC-18", Err(e)) => Err(with_effect(&e, Effect::None)),
            (_, result) => result,
        }
    }

    async fn confirm(&self, staged: &Staged) -> Result<Confirmation> {
        let encryptor = self.honest_encryptor();
        let result = self.through(encryptor.confirm(staged)).await;
        match self.breaks {
            "ENC-08" | "ENC-12" => Ok(Confirmation::new(staged, true, "surely")),
            "ENC-13" => result.map(|c| {
                Confirmation::new(staged, c.is_confirmed(), c.evidence())
                    .with_outage(Duration::from_secs(1))
            }),
            _ => result,
        }
    }

    async fn retire(&self, confirmed: &Confirmed) -> Result<()> {
        let encryptor = self.honest_encryptor();
        match self.breaks {
            "ENC-14" | "ENC-15" => Ok(()),
            _ => self.through(encryptor.retire(confirmed)).await,
        }
    }

    async fn zeroize(&self, channel: &ChannelId) -> Result<()> {
        let encryptor = self.honest_encryptor();
        if self.is("ENC-16") {
            Ok(())
        } else {
            self.through(encryptor.zeroize(channel)).await
        }
    }

    async fn set_encryption(&self, channel: &ChannelId, on: bool) -> Result<()> {
        let encryptor = self.honest_encryptor();
        if self.is("ENC-23") {
            Ok(())
        } else {
            self.through(encryptor.set_encryption(channel, on)).await
        }
    }

    async fn counters(&self, channel: &ChannelId) -> Result<TrafficCounters> {
        let encryptor = self.honest_encryptor();
        let mut counters = self.through(encryptor.counters(channel)).await?;
        if self.is("ENC-04") {
            counters.encrypted = Some(1_000_u64.saturating_sub(self.count() as u64));
        }
        Ok(counters)
    }
}
