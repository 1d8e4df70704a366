//! The device as an `Encryptor`.

use crate::{
    device::Xtm,
    peer::{Peer, PeerRow, Plane, peers, planes_of, state},
    proto::{FailurePolicy, Mode, oid},
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

/// Bounds of the interval at which a peer is read while a roll is confirmed. Between them it is a
/// sixteenth of the time that has passed.
const POLL: [Duration; 2] = [Duration::from_millis(500), Duration::from_secs(600)];
/// Name of the reading that a staged key carries.
const LAST_REAUTH: &str = "last re-authentication";
const NEVER: &str = "never";

fn last_reauth(peer: &Peer) -> String {
    peer.last_reauth
        .map_or_else(|| NEVER.to_owned(), |time| time.to_string())
}

/// Whether a staged key protects traffic, with the reason. `before`: the last re-authentication
/// when the key was staged.
fn judge(before: &str, peer: &Peer, planes: &[Plane]) -> (bool, String) {
    let no = |why: String| (false, why);
    let Some(time) = peer.last_reauth.filter(|_| last_reauth(peer) != before) else {
        return no(if peer.has_auth_failure {
            "authentication of the peer fails, as it does if the ends have different keys"
                .to_owned()
        } else {
            format!("the peer was not authenticated anew since the key was staged ({before})")
        });
    };
    if let Some(fault) = peer.faults.first() {
        return no(format!(
            "the peer was authenticated at {time}, and has fault {fault}"
        ));
    }
    if planes.is_empty() {
        return no("no data plane uses this IKE peer".to_owned());
    }
    for plane in planes {
        if plane.mode == Mode::Bypass {
            return no(format!(
                "{} is in mode bypass: its traffic is in clear",
                plane.name
            ));
        }
        if let Some(fault) = plane.faults.first() {
            return no(format!("{} has fault {fault}", plane.name));
        }
        if !plane.has_rekeyed_since(time) {
            return no(format!(
                "{} has no traffic keys since the authentication at {time}",
                plane.name
            ));
        }
    }
    (
        true,
        format!(
            "the peer was authenticated at {time}, and {} has new traffic keys in both directions \
             since",
            names(planes)
        ),
    )
}

fn names(planes: &[Plane]) -> String {
    let names: Vec<&str> = planes.iter().map(|plane| plane.name.as_str()).collect();
    names.join(", ")
}

impl Xtm {
    /// The row of a channel, which must be there.
    async fn peer(&self, call: &SnmpCall<'_>, channel: &ChannelId) -> Result<PeerRow> {
        let peers = peers(call).await?;
        let known: Vec<&str> = peers.iter().map(|peer| peer.name.as_str()).collect();
        let missing = Error::new(
            ErrorKind::NotFound,
            format!(
                "there is no IKE peer `{channel}`; there are: {}",
                known.join(", ")
            ),
        );
        let mut found = peers.into_iter().filter(|peer| peer.name == channel.0);
        match (found.next(), found.next()) {
            (Some(peer), None) => Ok(peer),
            (Some(_), Some(_)) => Err(Error::misbehaved(
                DeviceMisbehaved::UnexpectedReply,
                format!("the device has more than one IKE peer `{channel}`"),
            )),
            (None, _) => Err(missing),
        }
    }
}

#[async_trait]
impl Encryptor for Xtm {
    fn encryptor_capabilities(&self) -> &EncryptorCapabilities {
        &self.encryptor
    }

    async fn channels(&self) -> Result<Vec<ChannelId>> {
        let peers = peers(&self.agent.call()).await?;
        Ok(peers.into_iter().map(|peer| ChannelId(peer.name)).collect())
    }

    async fn channel(&self, channel: &ChannelId) -> Result<ChannelStatus> {
        let call = self.agent.call();
        let row = self.peer(&call, channel).await?;
        let peer = Peer::read(&call, row.row).await?;
        let planes = planes_of(&call, &row.name).await?;
        let kills = |plane: &Plane| plane.policy == FailurePolicy::Kill;
        // What passes where traffic continues is not public.
        let mode = if !planes.is_empty() && planes.iter().all(kills) {
            FailureMode::Block
        } else {
            FailureMode::Unknown
        };
        let status = ChannelStatus::new(channel.clone(), state(&peer, &planes))
            .with_vendor_state(format!(
                "IKE peer {}, last authenticated {}; data planes: {}",
                peer.status.keyword(),
                last_reauth(&peer),
                if planes.is_empty() {
                    "none".to_owned()
                } else {
                    names(&planes)
                }
            ))
            .with_failure_mode(mode);
        Ok(if planes.iter().any(|plane| plane.mode == Mode::Gcm) {
            status.with_cipher("AES-GCM")
        } else {
            status
        })
    }

    async fn stage(&self, channel: &ChannelId, key: &Key) -> Result<Staged> {
        self.agent.check_secrets_allowed()?;
        let call = self.agent.call();
        let row = self.peer(&call, channel).await?.row;
        let _turn = self.turns.lock(call.deadline()).await?;
        let before = last_reauth(&Peer::read(&call, row).await?);
        // The request wipes its values.
        let digits = std::mem::take(&mut *hex_digits(key.expose()));
        let request = SetRequest::new().with_secret(
            oid::of(oid::PEER, oid::PEER_PSK, row),
            Value::OctetString(digits),
        );
        call.set("stage", request).await?;
        Ok(Staged::new(
            channel.clone(),
            key.id().clone(),
            None,
            "the agent accepted the SET; the object is never read, since it may answer with the \
             key",
        )
        .with_baseline([(LAST_REAUTH.to_owned(), before)].into()))
    }

    async fn confirm(&self, staged: &Staged, longest: Duration) -> Result<Confirmation> {
        let row = self.peer(&self.agent.call(), &staged.channel).await?;
        let Some(before) = staged.baseline.get(LAST_REAUTH) else {
            return Ok(Confirmation::new(
                staged,
                false,
                "the staged key carries no readings of this device",
            ));
        };
        let begun = Instant::now();
        let end = begun + longest;
        loop {
            let call = self.agent.call();
            let peer = Peer::read(&call, row.row).await?;
            let planes = planes_of(&call, &row.name).await?;
            let (is_confirmed, evidence) = judge(before, &peer, &planes);
            if is_confirmed || Instant::now() >= end {
                return Ok(Confirmation::new(staged, is_confirmed, evidence));
            }
            let pause = (begun.elapsed() / 16).clamp(POLL[0], POLL[1]);
            tokio::time::sleep_until(end.min(Instant::now() + pause)).await;
        }
    }

    /// Switches encryption of all data planes of the peer, in one PDU.
    async fn set_encryption(&self, channel: &ChannelId, on: bool) -> Result<()> {
        let call = self.agent.call();
        let row = self.peer(&call, channel).await?;
        let _turn = self.turns.lock(call.deadline()).await?;
        let planes = planes_of(&call, &row.name).await?;
        if planes.is_empty() {
            return Err(Error::new(
                ErrorKind::NotReady,
                format!("no data plane uses IKE peer `{channel}`"),
            ));
        }
        let mode = if on { Mode::Gcm } else { Mode::Bypass };
        let request = planes.iter().fold(SetRequest::new(), |request, plane| {
            let name = oid::of(oid::PLANE, oid::PLANE_MODE, plane.row);
            request.with(name, Value::Integer(mode as i32))
        });
        call.set("set-encryption", request).await?;
        let now = planes_of(&call, &row.name)
            .await
            .map_err(|e| e.with_effect(Effect::Unknown))?;
        if let Some(plane) = now.iter().find(|plane| plane.mode != mode) {
            let why = format!(
                "the device accepted the mode of {}, and shows another",
                plane.name
            );
            return Err(Error::misbehaved(DeviceMisbehaved::ChangeNotApplied, why)
                .with_effect(Effect::Unknown));
        }
        Ok(())
    }
}
