//! The device as an `Encryptor`.

use crate::{
    device::Fsp150,
    flow::{Before, FlowStatus, read_counters},
    proto::{
        ProfileMode, decode_profile, decode_profile_mode, decode_truth_value,
        oid::{self, Flow},
    },
};
use async_trait::async_trait;
use qkd_driver_kit::{
    key_text::hex_digits,
    link::{
        snmp::{Oid, Value},
        snmp_client::SnmpCall,
    },
};
use qkd_hal::{
    Encryptor, Error, ErrorKind, Key, Result,
    encryptor::{
        ChannelId, ChannelStatus, Confirmation, EncryptorCapabilities, FailureMode, Staged,
        TrafficCounters,
    },
};
use std::time::Duration;
use tokio::time::Instant;

/// Interval at which a flow is read during a roll.
const POLL: Duration = Duration::from_millis(250);
/// restartKeyXchg(2).
const RESTART: Value = Value::Integer(2);

impl Fsp150 {
    /// The flow of a channel, which must be there.
    async fn flow(&self, call: &SnmpCall<'_>, channel: &ChannelId) -> Result<Flow> {
        let flows = self.flows(call).await?;
        let found = flows.iter().find(|flow| flow.to_string() == channel.0);
        found.copied().ok_or_else(|| {
            Error::new(
                ErrorKind::NotFound,
                format!(
                    "there is no ConnectGuard flow `{channel}`; there are: {}",
                    names(&flows)
                ),
            )
        })
    }

    /// All flows that use a profile.
    async fn flows_of(&self, call: &SnmpCall<'_>, profile: u32) -> Result<Vec<Flow>> {
        let mut users = Vec::new();
        for (index, pointer) in call
            .walk(&oid::column(oid::FLOW, oid::FLOW_PROFILE))
            .await?
        {
            if let ([ne, number], true) =
                (index.as_slice(), decode_profile(&pointer)? == Some(profile))
            {
                users.push(Flow {
                    ne: *ne,
                    number: *number,
                });
            }
        }
        Ok(users)
    }

    /// The profile of a flow, which must take a password, and the flows that use it.
    async fn profile(&self, call: &SnmpCall<'_>, flow: Flow) -> Result<(u32, Vec<Flow>)> {
        let not_ready = |why: String| Error::new(ErrorKind::NotReady, why);
        let status = FlowStatus::read(call, flow).await?;
        let profile = status
            .profile
            .ok_or_else(|| not_ready(format!("flow {flow} has no key exchange profile")))?;
        let mode = oid::of_profile(oid::PROFILE_MODE, profile);
        let mode = decode_profile_mode(&call.get(&[mode]).await?[0])?;
        if mode != ProfileMode::Password {
            return Err(not_ready(format!(
                "key exchange profile {profile} of flow {flow} takes no password: set its mode to \
                 authPasswordBasedDiffieHellman"
            )));
        }
        let users = self.flows_of(call, profile).await?;
        if users.len() > 1 && !self.changes_shared {
            return Err(not_ready(format!(
                "key exchange profile {profile} is used by the flows {}, all of which would get \
                 the key: give flow {flow} a profile of its own, or open the device with \
                 shared-profile=change",
                names(&users)
            )));
        }
        Ok((profile, users))
    }
}

fn names(flows: &[Flow]) -> String {
    let names: Vec<String> = flows.iter().map(Flow::to_string).collect();
    names.join(", ")
}

#[async_trait]
impl Encryptor for Fsp150 {
    fn encryptor_capabilities(&self) -> &EncryptorCapabilities {
        &self.encryptor
    }

    async fn channels(&self) -> Result<Vec<ChannelId>> {
        let flows = self.flows(&self.agent.call()).await?;
        Ok(flows
            .iter()
            .map(|flow| ChannelId(flow.to_string()))
            .collect())
    }

    async fn channel(&self, channel: &ChannelId) -> Result<ChannelStatus> {
        let call = self.agent.call();
        let flow = self.flow(&call, channel).await?;
        let status = FlowStatus::read(&call, flow).await?;
        // Which flow of the device a ConnectGuard flow belongs to is text of an unknown form. Only
        // if all of them block, this one does.
        let mut blocks = Vec::new();
        for (_, value) in call.walk(&Oid::from(oid::SECURE_BLOCKING)).await? {
            blocks.push(decode_truth_value(&value, "cmFlowSecureBlockingEnabled")? == Some(true));
        }
        let mode = if !blocks.is_empty() && blocks.iter().all(|blocks| *blocks) {
            FailureMode::Block
        } else {
            FailureMode::Unknown
        };
        let new = ChannelStatus::new(channel.clone(), status.state())
            .with_vendor_state(status.words())
            .with_failure_mode(mode);
        Ok(match status.cipher {
            Some(cipher) => new.with_cipher(cipher),
            None => new,
        })
    }

    async fn stage(&self, channel: &ChannelId, key: &Key) -> Result<Staged> {
        self.agent.check_secrets_allowed()?;
        let call = self.agent.call();
        let flow = self.flow(&call, channel).await?;
        let _turn = self.turns.lock(call.deadline()).await?;
        let (profile, users) = self.profile(&call, flow).await?;
        let before = Before::of(&FlowStatus::read(&call, flow).await?);
        // The request wipes its values.
        let digits = std::mem::take(&mut *hex_digits(key.expose()));
        let name = oid::of_profile(oid::PROFILE_PASSWORD, profile);
        let value = Value::OctetString(digits);
        // All users of the profile get the key.
        for user in &users {
            let before = Before::of(&FlowStatus::read(&call, *user).await?);
            let user = ChannelId(user.to_string());
            self.exchanges.stage(&user, key.id(), before);
        }
        self.change(&call, "stage", |request| request.with_secret(name, value))
            .await?;
        Ok(Staged::new(
            channel.clone(),
            key.id().clone(),
            None,
            format!(
                "the agent accepted the password of key exchange profile {profile}, which is that \
                 of flows {}; it is never read",
                names(&users)
            ),
        )
        .with_baseline(before.write()))
    }

    async fn activate(&self, staged: &Staged) -> Result<()> {
        let call = self.agent.call();
        let flow = self.flow(&call, &staged.channel).await?;
        self.exchanges.resume(staged, Before::read(staged))?;
        let _turn = self.turns.lock(call.deadline()).await?;
        // An exchange since the key was staged may have used the key before.
        let before = Before::of(&FlowStatus::read(&call, flow).await?);
        self.exchanges.force(&staged.channel, before);
        let name = oid::of_flow(oid::ACTION, flow);
        self.change(&call, "activate", |request| request.with(name, RESTART))
            .await
    }

    async fn confirm(&self, staged: &Staged, longest: Duration) -> Result<Confirmation> {
        let flow = self.flow(&self.agent.call(), &staged.channel).await?;
        let known = self.exchanges.before(staged);
        let Some(before) = known.or_else(|| Before::read(staged)) else {
            return Ok(Confirmation::new(
                staged,
                false,
                "the staged key carries no readings of this device, and this handle has not staged \
                 it",
            ));
        };
        let end = Instant::now() + longest;
        loop {
            let now = FlowStatus::read(&self.agent.call(), flow).await?;
            let words = now.words();
            if before.is_followed_by_exchange(&now) && now.is_normal {
                self.exchanges.end(staged);
                let confirmation = Confirmation::new(
                    staged,
                    true,
                    format!(
                        "the flow has new SAs in both directions since the key was staged: \
                         {words}; traffic was interrupted for at most the time of the exchange"
                    ),
                );
                return Ok(match self.exchanges.duration(staged) {
                    Some(longest) => confirmation.with_outage(longest),
                    None => confirmation,
                });
            }
            if Instant::now() >= end {
                let why = if before.is_followed_by_failure(&now) {
                    "the key exchange failed, as it does if the ends have different keys"
                } else {
                    "no key exchange has given the flow new SAs in both directions since the key \
                     was staged"
                };
                return Ok(Confirmation::new(staged, false, format!("{why}: {words}")));
            }
            tokio::time::sleep_until(end.min(Instant::now() + POLL)).await;
        }
    }

    async fn counters(&self, channel: &ChannelId) -> Result<TrafficCounters> {
        let call = self.agent.call();
        let flow = self.flow(&call, channel).await?;
        read_counters(&call, flow).await
    }
}
