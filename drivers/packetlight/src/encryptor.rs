//! The device as an `Encryptor`.

use crate::{
    device::PacketLight,
    proto::{self, Status, decode_severity, decode_status, decode_truth_value, oid},
    roll::{POLL_INTERVAL, Roll},
};
use async_trait::async_trait;
use qkd_driver_kit::link::snmp::{SetRequest, Value};
use qkd_hal::{
    Effect, Encryptor, Error, ErrorKind, Key, Result,
    encryptor::{
        ChannelId, ChannelState, ChannelStatus, Confirmation, EncryptorCapabilities, Staged,
    },
    event::Severity,
};
use std::time::Duration;
use tokio::time::Instant;
use zeroize::Zeroize;

/// Of a baseline: whether alarm 223 was raised before the key was written.
const FAILED_BEFORE: &str = "key-exchange-failed";

impl PacketLight {
    /// The row of a channel, which must be there.
    async fn row(&self, channel: &ChannelId) -> Result<(u32, Status)> {
        let missing = || {
            Error::new(
                ErrorKind::NotFound,
                format!(
                    "there is no channel `{channel}`; channels are ifIndex numbers of encrypting \
                     uplinks"
                ),
            )
        };
        let row: u32 = channel.0.parse().map_err(|_| missing())?;
        let status = self.get(&[oid::instance(oid::STATUS, row)]).await?;
        Ok((row, decode_status(&status[0])?.ok_or_else(missing)?))
    }

    async fn key_exchange_failed(&self, row: u32) -> Result<bool> {
        let severity = self
            .get(&[oid::alarm(oid::ALARM_SEVERITY).child(&[row, proto::KEY_EXCHANGE_FAILED])])
            .await?;
        if severity[0].is_absent() {
            Ok(false)
        } else {
            Ok(decode_severity(&severity[0])? != Severity::Cleared)
        }
    }

    /// Takes up a key that another process staged. What the row did meanwhile was not seen.
    fn resume(&self, row: u32, staged: &Staged) {
        let Some(failed) = staged.baseline.get(FAILED_BEFORE) else {
            return;
        };
        let is_new = self.rolls.with(|rolls| {
            if rolls.contains_key(&row) {
                return false;
            }
            let roll = Roll::new(staged.key_id.clone(), failed == "true", false);
            rolls.insert(row, roll);
            true
        });
        if is_new {
            self.rolls.watch(&self.agent, row);
        }
    }
}

#[async_trait]
impl Encryptor for PacketLight {
    fn encryptor_capabilities(&self) -> &EncryptorCapabilities {
        &self.encryptor
    }

    async fn channels(&self) -> Result<Vec<ChannelId>> {
        Ok(self
            .rows()
            .await?
            .into_iter()
            .map(|row| ChannelId(row.to_string()))
            .collect())
    }

    async fn channel(&self, channel: &ChannelId) -> Result<ChannelStatus> {
        let (row, status) = self.row(channel).await?;
        let enable = self.get(&[oid::instance(oid::ENABLE, row)]).await?;
        let enabled = decode_truth_value(&enable[0], "slSecuEncryptionEnable")?;
        let state = match status {
            _ if enabled == Some(false) => ChannelState::Disabled,
            _ if self.key_exchange_failed(row).await? => ChannelState::Failed,
            Status::Init => ChannelState::Initialising,
            Status::Exchange | Status::Kdf => ChannelState::Exchanging,
            Status::Active => ChannelState::Encrypting,
        };
        Ok(ChannelStatus::new(channel.clone(), state).with_vendor_state(status.keyword()))
    }

    async fn stage(&self, channel: &ChannelId, key: &Key) -> Result<Staged> {
        self.agent.check_secrets_allowed()?;
        let (row, status) = self.row(channel).await?;
        let mut text = self.encoding.encode(key.expose()).ok_or_else(|| {
            Error::invalid(format!(
                "a key of {} is longer than the {} characters of slSecuEncryptionPreShared",
                key.size(),
                proto::PRE_SHARED_LIMIT
            ))
        })?;
        // The request zeroizes its values when it is dropped.
        let value = Value::OctetString(std::mem::take(&mut *text));
        let request = SetRequest::new().with_secret(oid::instance(oid::PRE_SHARED, row), value);
        text.zeroize();
        let failed_before = self.key_exchange_failed(row).await?;
        // Unless this one is refused, no key that was staged before can be confirmed any more.
        let before = self.rolls.with(|rolls| rolls.remove(&row));
        if let Err(error) = self.agent.call().set("stage", request).await {
            if let (Effect::None, Some(before)) = (error.effect(), before) {
                self.rolls.with(|rolls| rolls.insert(row, before));
            }
            return Err(error);
        }
        let roll = Roll::new(
            key.id().clone(),
            failed_before,
            failed_before || matches!(status, Status::Active | Status::Init),
        );
        self.rolls.with(|rolls| rolls.insert(row, roll));
        self.rolls.watch(&self.agent, row);
        let alarm = (FAILED_BEFORE.to_owned(), failed_before.to_string());
        Ok(Staged::new(
            channel.clone(),
            key.id().clone(),
            None,
            "the agent accepted the SET; the object is never read, since it may answer with the \
             key",
        )
        .with_baseline([alarm].into()))
    }

    async fn activate(&self, staged: &Staged) -> Result<()> {
        let (row, _) = self.row(&staged.channel).await?;
        self.resume(row, staged);
        // Changes of the row before the exchange is forced carry no information about this key.
        let known = self.rolls.with(|rolls| {
            let roll = rolls
                .get_mut(&row)
                .filter(|roll| roll.key == staged.key_id)?;
            (roll.armed, roll.left, roll.back) = (true, None, None);
            roll.watcher = None;
            Some(())
        });
        if known.is_none() {
            return Err(Error::new(
                ErrorKind::NotReady,
                format!(
                    "key {} is not the one last staged on channel {row}, as far as this handle \
                     knows: stage it again",
                    staged.key_id
                ),
            ));
        }
        // The value is not specified: any write restarts the exchange.
        let request =
            SetRequest::new().with(oid::instance(oid::FORCE_INIT, row), Value::Integer(1));
        self.agent.call().set("activate", request).await?;
        self.rolls.watch(&self.agent, row);
        Ok(())
    }

    async fn confirm(&self, staged: &Staged, longest: Duration) -> Result<Confirmation> {
        let (row, _) = self.row(&staged.channel).await?;
        self.resume(row, staged);
        let end = Instant::now() + longest;
        let (left, back) = loop {
            let seen = self.rolls.with(|rolls| {
                rolls
                    .get(&row)
                    .filter(|roll| roll.key == staged.key_id)
                    .map(|roll| (roll.left, roll.back, roll.failed_before))
            });
            let Some((left, back, failed_before)) = seen else {
                return Ok(Confirmation::new(
                    staged,
                    false,
                    format!(
                        "key {} is not the one last staged on channel {row} through this handle",
                        staged.key_id
                    ),
                ));
            };
            if back.is_some()
                || Instant::now() >= end
                || (!failed_before && self.key_exchange_failed(row).await?)
            {
                break (left, back);
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        };
        let (_, now) = self.row(&staged.channel).await?;
        let failed = self.key_exchange_failed(row).await?;
        let alarm = if failed {
            "alarm encKeyExchangeFailed (223) is raised"
        } else {
            "no alarm 223"
        };
        Ok(match (left, back) {
            (Some(left), Some(back)) if now == Status::Active && !failed => Confirmation::new(
                staged,
                true,
                format!("status left active and is active again; {alarm}"),
            )
            .with_outage(back.duration_since(left)),
            (None, _) => Confirmation::new(
                staged,
                false,
                format!(
                    "status never left active since this handle knows of the key; \
                     {alarm}; activate forces an exchange that can be confirmed"
                ),
            ),
            _ => Confirmation::new(
                staged,
                false,
                format!("status left active and is {}; {alarm}", now.keyword()),
            ),
        })
    }

    async fn set_encryption(&self, channel: &ChannelId, on: bool) -> Result<()> {
        let (row, _) = self.row(channel).await?;
        let name = oid::instance(oid::ENABLE, row);
        self.agent
            .call()
            .change(
                "set-encryption",
                "slSecuEncryptionEnable",
                name,
                proto::truth_value(on),
            )
            .await
    }
}
