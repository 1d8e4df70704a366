//! wpa_supplicant, reached over its control socket.

use crate::control::{self, ControlError, Participant, Status};
use qkd_driver_kit::link::{
    Disclosure,
    datagram::{DatagramExchange, DatagramLink},
};
use qkd_hal::{DeviceMisbehaved, Effect, Error, ErrorKind, Operation, Result};
use std::{sync::Arc, time::Duration};
use tokio::time::Instant;
use zeroize::Zeroizing;

/// Interval at which the daemon is asked whether it has started a participant.
const POLL_INTERVAL: Duration = Duration::from_millis(50);
/// State of an interface that is associated.
pub(crate) const ASSOCIATED: &str = "COMPLETED";

/// A daemon with one network. Each request has its own deadline.
pub(crate) struct Supplicant {
    link: Arc<dyn DatagramLink>,
    network: u32,
    deadline: Duration,
}

fn refused(error: ControlError) -> Error {
    let message = error.to_string();
    match error {
        ControlError::Refused(words) => {
            Error::new(ErrorKind::Refused, message).with_vendor_text(words)
        }
        _ => Error::misbehaved(DeviceMisbehaved::UnexpectedReply, message),
    }
}

fn unusable(what: impl Into<String>) -> Error {
    Error::unsupported("open", what.into())
}

impl Supplicant {
    /// Checks that the daemon has one network, which is keyed with a CAK.
    pub(crate) async fn open(link: Arc<dyn DatagramLink>, deadline: Duration) -> Result<Self> {
        let mut new = Self {
            link,
            network: 0,
            deadline,
        };
        let until = new.until();
        let operation = Operation::Channels;
        new.read(operation, control::PING, until, control::decode_ping)
            .await
            .map_err(|e| match e.kind() {
                ErrorKind::Misbehaved(_) | ErrorKind::Refused => unusable(
                    "the socket is not a control socket of wpa_supplicant: name the one of the \
                     port, such as linux-macsec+unixgram:///run/wpa_supplicant/eth0",
                ),
                _ => e,
            })?;
        let networks = control::decode_networks;
        let all = new
            .read(operation, control::LIST_NETWORKS, until, networks)
            .await?;
        new.network = match all.as_slice() {
            [one] => *one,
            all => {
                return Err(unusable(format!(
                    "wpa_supplicant has {} networks: leave exactly one in its configuration, so \
                     that it is known which one a key is for",
                    all.len()
                )));
            }
        };
        let policy = control::encode_get_policy(new.network);
        let policy = match new
            .read(operation, &policy, until, control::decode_value)
            .await
        {
            Ok(policy) => policy,
            Err(e) if e.kind() == ErrorKind::Refused => {
                return Err(unusable(
                    "wpa_supplicant was built without MACsec: use one that was built with \
                     CONFIG_MACSEC=y",
                ));
            }
            Err(e) => return Err(e),
        };
        if policy != "1" {
            return Err(unusable(format!(
                "the network of wpa_supplicant has macsec_policy={policy}: set it to 1, which \
                 secures the port by MACsec"
            )));
        }
        let status = new.status(operation, until).await?;
        // A daemon whose port is not associated yet, for example because it has just started, shows
        // no MKA either.
        if status.kay.is_none() && status.state == ASSOCIATED {
            return Err(unusable(
                "wpa_supplicant runs no MKA: start it with `-D macsec_linux` and a network with \
                 key_mgmt=NONE, mka_cak and mka_ckn",
            ));
        }
        match status.key_management {
            Some(other) if other != "NONE" => Err(unusable(format!(
                "the network of wpa_supplicant has key_mgmt={other}, with which EAP makes the CAK: \
                 set key_mgmt=NONE"
            ))),
            _ => Ok(new),
        }
    }

    pub(crate) fn until(&self) -> Instant {
        Instant::now() + self.deadline
    }

    pub(crate) async fn close(&self) {
        self.link.close().await;
    }

    fn prepare(
        operation: Operation,
        command: Zeroizing<Vec<u8>>,
        until: Instant,
    ) -> DatagramExchange {
        let within = until.saturating_duration_since(Instant::now());
        DatagramExchange::new(operation.name(), command, within, control::recognise)
            .with_disclosures(Disclosure::Secret(control::secrets), Disclosure::Public)
    }

    async fn read<T>(
        &self,
        operation: Operation,
        command: &[u8],
        until: Instant,
        decode: fn(&[u8]) -> Result<T, ControlError>,
    ) -> Result<T> {
        let command = Zeroizing::new(command.to_vec());
        let exchange = Self::prepare(operation, command, until).read_only();
        let reply = self.link.exchange(exchange).await;
        let reply = reply.map_err(|e| e.into_read_error(operation.name()))?;
        let reply = reply.last().map_or(&[][..], |reply| reply.as_slice());
        decode(reply).map_err(refused)
    }

    pub(crate) async fn version(&self, operation: Operation) -> Result<String> {
        let decode = control::decode_value;
        self.read(operation, control::GET_VERSION, self.until(), decode)
            .await
    }

    pub(crate) async fn status(&self, operation: Operation, until: Instant) -> Result<Status> {
        self.read(operation, control::STATUS, until, control::decode_status)
            .await
    }

    async fn change(
        &self,
        operation: Operation,
        command: Zeroizing<Vec<u8>>,
        until: Instant,
    ) -> Result<()> {
        let reply = self
            .link
            .exchange(Self::prepare(operation, command, until))
            .await
            .map_err(|e| e.into_change_error(operation.name()))?;
        let reply = reply.last().map_or(&[][..], |reply| reply.as_slice());
        control::decode_done(reply).map_err(|error| {
            let effect = match error {
                ControlError::Refused(_) => Effect::None,
                _ => Effect::Unknown,
            };
            refused(error).with_effect(effect)
        })
    }

    /// Sets the key that the next participant uses.
    ///
    /// The CAK comes first. An interruption between both commands then leaves the old name on the
    /// new CAK: no participant shows the new name, and the key is not confirmed. In the other
    /// order, both ends could agree on the old CAK under the new name, which looks like success.
    pub(crate) async fn set_key(
        &self,
        operation: Operation,
        cak: &[u8],
        ckn: &[u8],
        until: Instant,
    ) -> Result<()> {
        let command = control::encode_set_cak(self.network, cak);
        self.change(operation, command, until).await?;
        let command = control::encode_set_ckn(self.network, ckn);
        self.change(operation, command, until)
            .await
            .map_err(partial)
    }

    /// Ends the participant, and waits for the one that is made with the key that was set.
    pub(crate) async fn reassociate(
        &self,
        operation: Operation,
        before: Option<&Participant>,
        until: Instant,
    ) -> Result<Participant> {
        let command = Zeroizing::new(control::REASSOCIATE.to_vec());
        self.change(operation, command, until).await?;
        loop {
            let status = self.status(operation, until).await;
            let status = status.map_err(|e| e.with_effect(Effect::Unknown))?;
            let is_new = |now: &&Participant| before.is_none_or(|old| !old.is_same(now));
            if let Some(now) = status.participant().filter(is_new) {
                return Ok(now.clone());
            }
            if Instant::now() >= until {
                let what = "wpa_supplicant accepted REASSOCIATE and started no MKA participant: \
                            check that the port has a carrier and that the network is enabled";
                return Err(Error::misbehaved(DeviceMisbehaved::ChangeNotApplied, what)
                    .with_effect(Effect::Unknown));
            }
            tokio::time::sleep_until((Instant::now() + POLL_INTERVAL).min(until)).await;
        }
    }
}

/// The error of a change after another one.
pub(crate) fn partial(error: Error) -> Error {
    match error.effect() {
        Effect::None => error.with_effect(Effect::Partial),
        _ => error,
    }
}
