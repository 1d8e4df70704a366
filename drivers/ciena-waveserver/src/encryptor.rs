//! The device as an `Encryptor`.

use crate::{
    device::Waveserver,
    port::PortStatus,
    proto::{
        self, PeerAuthentication,
        oid::{self, Row},
    },
};
use async_trait::async_trait;
use qkd_driver_kit::{
    key_text::hex_digits,
    link::{
        snmp::{SetRequest, Value},
        snmp_client::SnmpCall,
    },
};
use qkd_hal::{
    DeviceMisbehaved, Effect, Encryptor, Error, ErrorKind, Key, Result,
    encryptor::{
        ChannelId, ChannelStatus, Confirmation, EncryptorCapabilities, FailureMode, Staged,
    },
};
use std::time::Duration;
use tokio::time::Instant;

/// Bounds of the interval at which a port is read while a roll is confirmed.
const POLL: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(60)];
/// Time in which an authentication that is due begins and ends.
const AUTHENTICATION: Duration = Duration::from_secs(20);
/// Names of the readings that a staged key carries.
const FINGERPRINT: &str = "fingerprint";
const UPTIME: &str = "sysUpTime";

/// Readings of the port when a key was staged.
struct Before {
    fingerprint: String,
    uptime: u32,
}

impl Before {
    fn read(staged: &Staged) -> Option<Self> {
        Some(Self {
            fingerprint: staged.baseline.get(FINGERPRINT)?.clone(),
            uptime: staged.baseline.get(UPTIME)?.parse().ok()?,
        })
    }

    /// Device time since then. After a restart of the device, which authenticates its peer anew,
    /// the difference wraps and is longer than any period.
    fn elapsed(&self, now: u32) -> Duration {
        Duration::from_millis(u64::from(now.wrapping_sub(self.uptime)) * 10)
    }
}

/// Meaning of a reading for a staged key.
enum Verdict {
    Confirmed(String),
    /// Waiting longer may confirm it: after this time at the earliest.
    NotYet(String, Duration),
    /// Waiting does not.
    Refuted(String),
}

fn judge(before: &Before, now: &PortStatus) -> Verdict {
    let fingerprint = now.fingerprint.as_deref().unwrap_or_default();
    if !now.has_key || fingerprint != before.fingerprint {
        return Verdict::Refuted("the device has another key, or none, since".to_owned());
    }
    let period = Duration::from_secs(now.period * 3600);
    let elapsed = before.elapsed(now.uptime);
    let peer = now.peer.keyword();
    let due = period + AUTHENTICATION;
    if elapsed <= due {
        return Verdict::NotYet(
            format!(
                "the peer is authenticated anew every {} h, and {} min have passed since the key \
                 was staged; peer authentication is {peer}",
                now.period,
                elapsed.as_secs() / 60
            ),
            due - elapsed,
        );
    }
    match now.peer {
        PeerAuthentication::Pass => Verdict::Confirmed(format!(
            "the key has fingerprint {fingerprint}; more than one re-authentication period of {} h \
             has passed since it was staged, and peer authentication is pass",
            now.period
        )),
        PeerAuthentication::Fail => Verdict::NotYet(
            "peer authentication is fail, as it is if the ends have different keys".to_owned(),
            period,
        ),
        PeerAuthentication::Unknown => {
            Verdict::NotYet("peer authentication is unknown".to_owned(), POLL[0])
        }
    }
}

/// The name of a channel: the port, with the second index where a port has several rows.
fn name(row: Row, all: &[Row]) -> ChannelId {
    let of_port = all.iter().filter(|other| other.port == row.port);
    ChannelId(match of_port.count() {
        1 => row.port.to_string(),
        _ => format!("{}.{}", row.port, row.key),
    })
}

impl Waveserver {
    /// The row of a channel, which must be there.
    async fn row(&self, call: &SnmpCall<'_>, channel: &ChannelId) -> Result<Row> {
        let rows = self.rows(call).await?;
        let found = rows.iter().find(|row| name(**row, &rows) == *channel);
        found.copied().ok_or_else(|| {
            let names: Vec<String> = rows.iter().map(|row| name(*row, &rows).0).collect();
            Error::new(
                ErrorKind::NotFound,
                format!(
                    "there is no encrypting port `{channel}`; there are: {}",
                    names.join(", ")
                ),
            )
        })
    }
}

#[async_trait]
impl Encryptor for Waveserver {
    fn encryptor_capabilities(&self) -> &EncryptorCapabilities {
        &self.encryptor
    }

    async fn channels(&self) -> Result<Vec<ChannelId>> {
        let rows = self.rows(&self.agent.call()).await?;
        Ok(rows.iter().map(|row| name(*row, &rows)).collect())
    }

    async fn channel(&self, channel: &ChannelId) -> Result<ChannelStatus> {
        let call = self.agent.call();
        let row = self.row(&call, channel).await?;
        let status = PortStatus::read(&call, row).await?;
        Ok(ChannelStatus::new(channel.clone(), status.state())
            .with_vendor_state(status.words())
            .with_failure_mode(match status.failure_mode {
                proto::FailureMode::Drop => FailureMode::Block,
                proto::FailureMode::Allow => FailureMode::AllowClear,
                proto::FailureMode::Unknown => FailureMode::Unknown,
            }))
    }

    async fn stage(&self, channel: &ChannelId, key: &Key) -> Result<Staged> {
        self.agent.check_secrets_allowed()?;
        let call = self.agent.call();
        let row = self.row(&call, channel).await?;
        let _turn = self.turns.lock(call.deadline()).await?;
        let before = PortStatus::read(&call, row).await?;
        let id = key.id().to_string();
        // The request wipes its values.
        let digits = std::mem::take(&mut *hex_digits(key.expose()));
        let request = SetRequest::new()
            .with_secret(
                oid::of(oid::KEY, oid::KEY_VALUE, row),
                Value::OctetString(digits),
            )
            .with(
                oid::of(oid::KEY, oid::KEY_DESCRIPTION, row),
                Value::text(&id),
            );
        call.set("stage", request).await?;
        let after = PortStatus::read(&call, row)
            .await
            .map_err(|e| e.with_effect(Effect::Unknown))?;
        // A key that is staged again, after a lost reply, has the fingerprint that it had.
        let is_again = before.description.as_deref() == Some(id.as_str());
        let fingerprint = after.fingerprint.clone().unwrap_or_default();
        let has_changed = is_again || after.fingerprint != before.fingerprint;
        let is_labelled = after.description.as_deref() == Some(id.as_str());
        if !after.has_key || fingerprint.is_empty() || !has_changed || !is_labelled {
            let why = "the device accepted the key, and its status, fingerprint or description \
                       does not show it";
            return Err(Error::misbehaved(DeviceMisbehaved::ChangeNotApplied, why)
                .with_effect(Effect::Unknown));
        }
        let baseline = [
            (FINGERPRINT.to_owned(), fingerprint.clone()),
            (UPTIME.to_owned(), after.uptime.to_string()),
        ];
        Ok(Staged::new(
            channel.clone(),
            key.id().clone(),
            None,
            format!("the device shows fingerprint {fingerprint} and this id as its description"),
        )
        .with_baseline(baseline.into()))
    }

    async fn confirm(&self, staged: &Staged, longest: Duration) -> Result<Confirmation> {
        let row = self.row(&self.agent.call(), &staged.channel).await?;
        let Some(before) = Before::read(staged) else {
            return Ok(Confirmation::new(
                staged,
                false,
                "the staged key carries no readings of this device",
            ));
        };
        let end = Instant::now() + longest;
        loop {
            let now = PortStatus::read(&self.agent.call(), row).await?;
            let (evidence, wait) = match judge(&before, &now) {
                Verdict::Confirmed(evidence) => {
                    return Ok(Confirmation::new(staged, true, evidence));
                }
                Verdict::Refuted(evidence) => {
                    return Ok(Confirmation::new(staged, false, evidence));
                }
                Verdict::NotYet(evidence, wait) => (evidence, wait),
            };
            if Instant::now() >= end {
                return Ok(Confirmation::new(staged, false, evidence));
            }
            let pause = (wait / 16).clamp(POLL[0], POLL[1]);
            tokio::time::sleep_until(end.min(Instant::now() + pause)).await;
        }
    }

    /// Clears the key of the port.
    async fn zeroize(&self, channel: &ChannelId) -> Result<()> {
        let call = self.agent.call();
        let row = self.row(&call, channel).await?;
        let _turn = self.turns.lock(call.deadline()).await?;
        let name = oid::of(oid::KEY, oid::KEY_VALUE, row);
        let request = SetRequest::new().with(name, Value::text(""));
        call.set("zeroize", request).await?;
        let after = PortStatus::read(&call, row)
            .await
            .map_err(|e| e.with_effect(Effect::Unknown))?;
        if after.has_key {
            let why = "the device accepted that its key be cleared, and still shows one";
            return Err(Error::misbehaved(DeviceMisbehaved::ChangeNotApplied, why)
                .with_effect(Effect::Unknown));
        }
        Ok(())
    }
}
