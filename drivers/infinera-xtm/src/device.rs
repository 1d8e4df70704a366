//! The device: identity, health and telemetry.

use crate::{
    INFO,
    peer::{Peer, peers, planes},
    proto::{Mode, PSK_CHARACTERS, count, decode_rows, oid},
};
use async_trait::async_trait;
use qkd_driver_kit::{
    change_lock::ChangeLock,
    link::{
        make::check_agent,
        snmp_client::{SnmpClient, optional, reading},
    },
};
use qkd_hal::{
    Capabilities, Descriptor, Device, Error, ErrorKind, EventStream, Health, Identity, Operation,
    Result,
    capability::EventSupport,
    device::HealthState,
    encryptor::{
        EncryptorCapabilities, Hitless, KeyForm, KeyIdForm, KeyRole, KeySizes, PolicyOwner,
    },
    event::EventHub,
    reading::{Reading, ReadingValue as Measure},
    units::Bits,
};
use std::time::Duration;

/// An Infinera XTM with encryption boards.
pub struct Xtm {
    descriptor: Descriptor,
    capabilities: Capabilities,
    pub(crate) encryptor: EncryptorCapabilities,
    pub(crate) agent: SnmpClient,
    pub(crate) turns: ChangeLock,
    events: EventHub,
}

fn declare(longest: Option<Duration>) -> EncryptorCapabilities {
    // Two characters for each byte.
    let bits = |characters: &u64| Bits(characters * 4);
    let form = KeyForm::new(
        KeyRole::Psk,
        KeySizes::Within {
            least: bits(PSK_CHARACTERS.start()),
            most: bits(PSK_CHARACTERS.end()),
        },
        KeyIdForm::None,
    );
    let hitless = Hitless::no(
        "a re-authentication after one end has the new key and before the other has it fails; \
         traffic then follows the failure policy of the data plane",
    );
    EncryptorCapabilities::next_exchange(form, longest, hitless)
        .with_policies(PolicyOwner::ByDevice, PolicyOwner::ByDevice)
}

/// The longest time until a new key protects traffic: the next authentication, then the next
/// traffic key.
async fn longest_wait(agent: &SnmpClient) -> Result<Option<Duration>> {
    let column = oid::column(oid::AUTH, oid::REAUTH_INTERVAL);
    let mut hours = None;
    for (_, value) in decode_rows(agent.call().walk(&column).await?)? {
        hours = hours.max(Some(count(&value, "cryptoAuthReAuthInterval")?));
    }
    let planes = planes(&agent.call()).await?;
    let rekey = planes.iter().map(|plane| plane.rekey_interval).max();
    Ok(hours.map(|hours| {
        let seconds = hours.saturating_mul(3600);
        Duration::from_secs(seconds.saturating_add(rekey.unwrap_or_default()))
    }))
}

impl Xtm {
    pub(crate) async fn open(
        descriptor: Descriptor,
        agent: SnmpClient,
        events: EventHub,
    ) -> Result<Self> {
        use Operation as Op;
        // Notifications of this module are not public.
        let capabilities = Capabilities::none()
            .with(&[
                Op::Identity,
                Op::Health,
                Op::Telemetry,
                Op::Channels,
                Op::Channel,
                Op::Stage,
                Op::Confirm,
                Op::SetEncryption,
            ])
            .with_events(EventSupport::LinkOnly);
        check_agent(&INFO, &agent.call()).await?;
        if peers(&agent.call()).await?.is_empty() {
            return Err(Error::new(
                ErrorKind::NotReady,
                "the device has no IKE peer: create one on its encryption board",
            ));
        }
        let longest = longest_wait(&agent).await?;
        Ok(Self {
            descriptor,
            capabilities,
            encryptor: declare(longest),
            agent,
            turns: ChangeLock::default(),
            events,
        })
    }
}

#[async_trait]
impl Device for Xtm {
    fn descriptor(&self) -> &Descriptor {
        &self.descriptor
    }
    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    async fn identity(&self) -> Result<Identity> {
        let system = check_agent(&INFO, &self.agent.call()).await?;
        let identity = Identity::new("Infinera");
        Ok(match system.descr {
            Some(descr) => identity.with_model(descr),
            None => identity,
        })
    }

    async fn health(&self) -> Result<Health> {
        let call = self.agent.call();
        let mut faults = Vec::new();
        for peer in peers(&call).await? {
            for fault in Peer::read(&call, peer.row).await?.faults {
                faults.push(format!("{}: {fault}", peer.name));
            }
        }
        for plane in planes(&call).await? {
            for fault in plane.faults {
                faults.push(format!("{}: {fault}", plane.name));
            }
        }
        Ok(Health::from_faults(HealthState::Degraded, faults))
    }

    async fn telemetry(&self) -> Result<Vec<Reading>> {
        let mut all = Vec::new();
        let text = |text: &str| Measure::Text(text.to_owned());
        for row in peers(&self.agent.call()).await? {
            let peer = Peer::read(&self.agent.call(), row.row).await?;
            let name = format!("peer.{}.status", row.row);
            all.push(Reading::now(name, text(peer.status.keyword()), ""));
            if let Some(time) = peer.last_reauth {
                let name = format!("peer.{}.last-re-authentication", row.row);
                all.push(Reading::now(name, text(&time.to_string()), ""));
            }
        }
        for plane in planes(&self.agent.call()).await? {
            let is_encrypted = Measure::Flag(plane.mode == Mode::Gcm);
            all.push(Reading::now(
                format!("plane.{}.encrypted", plane.row),
                is_encrypted,
                "",
            ));
            for (item, seconds) in [
                ("rekey-interval", plane.rekey_interval),
                ("kill-delay", plane.kill_offset),
            ] {
                let name = format!("plane.{}.{item}", plane.row);
                all.push(Reading::now(name, Measure::Count(seconds), "s"));
            }
        }
        for (column, item) in oid::COUNTERS {
            let column = oid::column(oid::PERFORMANCE, column);
            for (row, value) in decode_rows(self.agent.call().walk(&column).await?)? {
                let number = optional(&value, |v| count(v, "cryptoPerformanceCounter"));
                let number = number.map(|n| n.map(Measure::Count));
                all.extend(reading(format!("performance.{row}.{item}"), "", number)?);
            }
        }
        Ok(all)
    }

    fn events(&self) -> EventStream {
        self.events.subscribe()
    }

    async fn close(&self) -> Result<()> {
        self.agent.link().close().await;
        self.events.close();
        Ok(())
    }
}
