//! The device as an `Encryptor`.

use crate::{
    device::Fsp3000R7,
    port::{Before, PortStatus},
    proto::{decode_choice, oid},
};
use async_trait::async_trait;
use qkd_driver_kit::{
    key_text::hex_digits,
    link::{snmp::Value, snmp_client::SnmpCall},
};
use qkd_hal::{
    DeviceMisbehaved, Effect, Encryptor, Error, ErrorKind, Key, Result,
    encryptor::{ChannelId, ChannelStatus, Confirmation, EncryptorCapabilities, Staged},
};
use std::time::Duration;
use tokio::time::Instant;

/// Interval at which a port is read during a roll.
const POLL: Duration = Duration::from_millis(250);
/// rls(1), oprCryptoOff(2) and oprKeyExchg(2), reset(2).
const RELEASE: Value = Value::Integer(1);
const OPERATE: Value = Value::Integer(2);
/// enable(1), disable(2) of EncryptionOffState.
const PERMIT: Value = Value::Integer(1);
const FORBID: Value = Value::Integer(2);

impl Fsp3000R7 {
    /// The row of a channel, which must be there.
    async fn row(&self, call: &SnmpCall<'_>, channel: &ChannelId) -> Result<u32> {
        let rows = self.rows(call).await?;
        let asked = channel.0.parse::<u32>().ok();
        if let Some(row) = asked.filter(|row| rows.contains(row)) {
            return Ok(row);
        }
        let known: Vec<String> = rows.iter().map(u32::to_string).collect();
        Err(Error::new(
            ErrorKind::NotFound,
            format!(
                "there is no encrypting port `{channel}`; there are: {}",
                known.join(", ")
            ),
        ))
    }

    /// Sets one object of a port with the officer's password.
    async fn set_port(
        &self,
        call: &SnmpCall<'_>,
        operation: &'static str,
        column: u32,
        row: u32,
        value: Value,
    ) -> Result<()> {
        let name = oid::of(oid::PORT_CONFIG, column, row);
        self.change(call, operation, |request| request.with(name, value))
            .await
    }
}

#[async_trait]
impl Encryptor for Fsp3000R7 {
    fn encryptor_capabilities(&self) -> &EncryptorCapabilities {
        &self.encryptor
    }

    async fn channels(&self) -> Result<Vec<ChannelId>> {
        let rows = self.rows(&self.agent.call()).await?;
        Ok(rows
            .into_iter()
            .map(|row| ChannelId(row.to_string()))
            .collect())
    }

    async fn channel(&self, channel: &ChannelId) -> Result<ChannelStatus> {
        let call = self.agent.call();
        let row = self.row(&call, channel).await?;
        let status = PortStatus::read(&call, row).await?;
        Ok(ChannelStatus::new(channel.clone(), status.state()).with_vendor_state(status.words()))
    }

    async fn stage(&self, channel: &ChannelId, key: &Key) -> Result<Staged> {
        self.agent.check_secrets_allowed()?;
        let call = self.agent.call();
        let row = self.row(&call, channel).await?;
        let _turn = self.turns.lock(call.deadline()).await?;
        let before = Before::of(&PortStatus::read(&call, row).await?);
        let digits = std::mem::take(&mut *hex_digits(key.expose()));
        let name = oid::of(oid::PORT_CONFIG, oid::AUTH_KEY, row);
        // The request wipes its values.
        let value = Value::OctetString(digits);
        self.exchanges.stage(channel, key.id(), before.clone());
        self.change(&call, "stage", |request| request.with_secret(name, value))
            .await?;
        Ok(Staged::new(
            channel.clone(),
            key.id().clone(),
            None,
            "the device accepted the officer's password and the SET (passwdOk); the key is never \
             read",
        )
        .with_baseline(before.write()))
    }

    async fn activate(&self, staged: &Staged) -> Result<()> {
        let call = self.agent.call();
        let row = self.row(&call, &staged.channel).await?;
        self.exchanges.resume(staged, Before::read(staged))?;
        let _turn = self.turns.lock(call.deadline()).await?;
        let before = Before::of(&PortStatus::read(&call, row).await?);
        self.exchanges.force(&staged.channel, before.clone());
        self.set_port(&call, "activate", oid::FORCE_EXCHANGE, row, OPERATE)
            .await?;
        // The condition that a forced exchange raises is cleared once the exchange has ended. An
        // exchange that takes longer than this call leaves it for the next activation.
        while Instant::now() + POLL < call.deadline() {
            let now = PortStatus::read(&call, row).await;
            let now = now.map_err(|e| e.with_effect(Effect::Partial))?;
            if now.has_succeeded_since(&before) || now.has_failed_since(&before) {
                self.exchanges.end(staged);
                return self
                    .set_port(&call, "activate", oid::CLEAR_FORCED, row, OPERATE)
                    .await
                    .map_err(|e| e.with_progress("the key exchange was forced and has ended"));
            }
            tokio::time::sleep_until(call.deadline().min(Instant::now() + POLL)).await;
        }
        Ok(())
    }

    async fn confirm(&self, staged: &Staged, longest: Duration) -> Result<Confirmation> {
        let row = self.row(&self.agent.call(), &staged.channel).await?;
        let known = self.exchanges.before(staged);
        let Some(before) = known.or_else(|| Before::read(staged)) else {
            return Ok(Confirmation::new(
                staged,
                false,
                "the staged key carries no readings of this device, and this handle has not \
                 staged it",
            ));
        };
        let end = Instant::now() + longest;
        loop {
            let now = PortStatus::read(&self.agent.call(), row).await?;
            let words = now.words();
            if now.has_succeeded_since(&before) && now.failures == Some(0) && !now.off {
                self.exchanges.end(staged);
                let confirmation = Confirmation::new(
                    staged,
                    true,
                    format!(
                        "a key exchange has succeeded since the key was staged: {words}; traffic \
                         was interrupted for at most the time of the exchange"
                    ),
                );
                return Ok(match self.exchanges.duration(staged) {
                    Some(longest) => confirmation.with_outage(longest),
                    None => confirmation,
                });
            }
            if Instant::now() >= end {
                let why = if now.off {
                    "encryption is off"
                } else if now.failures != Some(0) && now.has_failed_since(&before) {
                    "the key exchange failed, as it does if the ends have different keys"
                } else {
                    "no key exchange has succeeded since the key was staged"
                };
                return Ok(Confirmation::new(staged, false, format!("{why}: {words}")));
            }
            tokio::time::sleep_until(end.min(Instant::now() + POLL)).await;
        }
    }

    async fn set_encryption(&self, channel: &ChannelId, on: bool) -> Result<()> {
        let call = self.agent.call();
        let row = self.row(&call, channel).await?;
        let _turn = self.turns.lock(call.deadline()).await?;
        let steps = if on {
            [(oid::ENCRYPTION_OFF, RELEASE), (oid::OFF_STATE, FORBID)]
        } else {
            let capability = oid::of(oid::PORT_STATUS, oid::OFF_CAPABILITY, row);
            let capability = &call.get(&[capability]).await?[0];
            let name = "cryptoPortStatusEncryptionOffCapability";
            if decode_choice(capability, name)? == Some(false) {
                return Err(Error::new(
                    ErrorKind::NotReady,
                    format!("the device does not permit to switch encryption off ({name})"),
                ));
            }
            [(oid::OFF_STATE, PERMIT), (oid::ENCRYPTION_OFF, OPERATE)]
        };
        let [(first, value), (second, last)] = steps;
        self.set_port(&call, "set-encryption", first, row, value)
            .await?;
        self.set_port(&call, "set-encryption", second, row, last)
            .await
            .map_err(|e| {
                e.with_progress(if on {
                    "encryption is on, and switching it off is still permitted"
                } else {
                    "switching encryption off is permitted, and encryption is on"
                })
            })?;
        let now = PortStatus::read(&call, row)
            .await
            .map_err(|e| e.with_effect(Effect::Unknown))?;
        if now.off == on {
            let why = format!("the device accepted the change, and shows: {}", now.words());
            return Err(Error::misbehaved(DeviceMisbehaved::ChangeNotApplied, why)
                .with_effect(Effect::Unknown));
        }
        Ok(())
    }
}
