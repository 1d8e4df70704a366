//! The device as an `Encryptor`.

use crate::{
    device::PacketLight,
    proto::{self, Status, decode_severity, decode_status, decode_truth_value, oid},
};
use async_trait::async_trait;
use qkd_driver_kit::link::{
    snmp::{SecurityLevel, SetRequest, Value},
    snmp_client::BackgroundTask,
};
use qkd_hal::{
    Effect, Encryptor, Error, ErrorKind, Key, KeyId, Result,
    encryptor::{
        ChannelId, ChannelState, ChannelStatus, Confirmation, EncryptorCapabilities, Staged,
    },
    event::Severity,
};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::time::Instant;
use zeroize::Zeroize;

/// Interval at which a row is polled during a roll.
const WATCH: Duration = Duration::from_millis(200);
/// Time for which a staged key is tracked.
const WATCHED_FOR: Duration = Duration::from_secs(600);

/// Observations of a row since a key was staged.
pub(crate) struct Roll {
    key: KeyId,
    /// Whether alarm 223 was active before the key was written: it then carries no information
    /// about this key until it is cleared.
    failed_before: bool,
    /// Whether leaving `active` is significant: the row was in `active` or `init` before, or its
    /// exchange had failed permanently, or this driver forced it. Otherwise it may be an earlier
    /// exchange in progress, which ends with the previous secret.
    armed: bool,
    /// When the row was first seen out of `active`.
    left: Option<Instant>,
    /// When it was seen there again.
    back: Option<Instant>,
    watcher: Option<BackgroundTask>,
}

/// Of a baseline: whether alarm 223 was raised before the key was written.
const FAILED_BEFORE: &str = "key-exchange-failed";

pub(crate) type RollTracker = Arc<Mutex<HashMap<u32, Roll>>>;

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

    /// Polls a row, so that the end that was not forced also detects that it left `active` and
    /// returned.
    fn watch(&self, row: u32) {
        let (agent, rolls) = (self.agent.clone(), Arc::clone(&self.rolls));
        let watcher = BackgroundTask::spawn(async move {
            let end = Instant::now() + WATCHED_FOR;
            while Instant::now() < end {
                if let Ok(values) = agent.call().get(&[oid::instance(oid::STATUS, row)]).await
                    && let Ok(Some(status)) = decode_status(&values[0])
                {
                    let mut rolls = rolls.lock().unwrap_or_else(PoisonError::into_inner);
                    let Some(roll) = rolls.get_mut(&row) else {
                        return;
                    };
                    // An exchange begins there: one that has not begun takes the secret that is
                    // written.
                    roll.armed |= status == Status::Init;
                    match (status, roll.left) {
                        (Status::Active, None) => roll.armed = true,
                        (Status::Active, Some(_)) => {
                            roll.back = Some(Instant::now());
                            return;
                        }
                        _ if roll.armed => drop(roll.left.get_or_insert_with(Instant::now)),
                        _ => {}
                    }
                }
                tokio::time::sleep(WATCH).await;
            }
        });
        self.with(|rolls| {
            if let Some(roll) = rolls.get_mut(&row) {
                roll.watcher = Some(watcher);
            }
        });
    }

    /// Takes up a key that another process staged. What the row did meanwhile was not seen.
    fn resume(&self, row: u32, staged: &Staged) {
        let Some(failed) = staged.baseline.get(FAILED_BEFORE) else {
            return;
        };
        let is_new = self.with(|rolls| {
            if rolls.contains_key(&row) {
                return false;
            }
            let roll = Roll {
                key: staged.key_id.clone(),
                failed_before: failed == "true",
                armed: false,
                left: None,
                back: None,
                watcher: None,
            };
            rolls.insert(row, roll);
            true
        });
        if is_new {
            self.watch(row);
        }
    }

    pub(crate) fn with<R>(&self, f: impl FnOnce(&mut HashMap<u32, Roll>) -> R) -> R {
        f(&mut self.rolls.lock().unwrap_or_else(PoisonError::into_inner))
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
        if self.agent.link().security() < SecurityLevel::AuthPriv {
            return Err(Error::new(
                ErrorKind::Authentication,
                "a key is written over SNMPv3 authPriv only; give credentials with both passwords",
            ));
        }
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
        let before = self.with(|rolls| rolls.remove(&row));
        if let Err(error) = self.agent.call().set("stage", request).await {
            if let (Effect::None, Some(before)) = (error.effect(), before) {
                self.with(|rolls| rolls.insert(row, before));
            }
            return Err(error);
        }
        let roll = Roll {
            key: key.id().clone(),
            failed_before,
            armed: failed_before || matches!(status, Status::Active | Status::Init),
            left: None,
            back: None,
            watcher: None,
        };
        self.with(|rolls| rolls.insert(row, roll));
        self.watch(row);
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
        let known = self.with(|rolls| {
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
        self.watch(row);
        Ok(())
    }

    async fn confirm(&self, staged: &Staged) -> Result<Confirmation> {
        let (row, _) = self.row(&staged.channel).await?;
        self.resume(row, staged);
        let end = Instant::now() + self.encryptor.confirm_timeout;
        let (left, back) = loop {
            let seen = self.with(|rolls| {
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
            tokio::time::sleep(WATCH).await;
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
