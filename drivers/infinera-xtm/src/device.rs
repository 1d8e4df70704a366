//! The device: identity, health and telemetry.

use crate::{
    INFO,
    peer::{Peer, peers, planes},
    proto::{
        Mode, PSK_CHARACTERS, ProtoError, count, date_and_time, decode_mode, decode_peer_status,
        decode_rows, oid,
    },
};
use async_trait::async_trait;
use qkd_driver_kit::{
    change_lock::ChangeLock,
    link::{
        make::check_agent,
        snmp::Value,
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

/// Decodes an object into a value of telemetry.
type Decode = fn(&Value) -> Result<Option<Measure>, ProtoError>;

const NUMBER: Decode = |value| {
    let number = optional(value, |v| count(v, "LUM-CRYPTO-MIB number"))?;
    Ok(number.map(Measure::Count))
};

/// An item of telemetry: entry, column, subject, name, unit, decoder.
type Item = (
    &'static [u32],
    u32,
    &'static str,
    &'static str,
    &'static str,
    Decode,
);

const ITEMS: &[Item] = &[
    (oid::PEER, oid::PEER_STATUS, "peer", "status", "", |value| {
        let status = decode_peer_status(value)?;
        Ok(Some(Measure::Text(status.keyword().to_owned())))
    }),
    (
        oid::PEER,
        oid::PEER_LAST_REAUTH,
        "peer",
        "last-re-authentication",
        "",
        |value| {
            let time = date_and_time(value, "cryptoIKEPeerLastReAuthTime")?;
            Ok(time.map(|time| Measure::Text(time.to_string())))
        },
    ),
    (
        oid::PLANE,
        oid::PLANE_MODE,
        "plane",
        "encrypted",
        "",
        |value| Ok(Some(Measure::Flag(decode_mode(value)? == Mode::Gcm))),
    ),
    (
        oid::PLANE,
        oid::PLANE_REKEY_INTERVAL,
        "plane",
        "rekey-interval",
        "s",
        NUMBER,
    ),
    (
        oid::PLANE,
        oid::PLANE_KILL_OFFSET,
        "plane",
        "kill-delay",
        "s",
        NUMBER,
    ),
];

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
        let columns = ITEMS.iter().copied().chain(
            oid::COUNTERS
                .map(|(column, item)| (oid::PERFORMANCE, column, "performance", item, "", NUMBER)),
        );
        for (entry, column, of, item, unit, decode) in columns {
            let walk = self.agent.call().walk(&oid::column(entry, column)).await?;
            for (row, value) in decode_rows(walk)? {
                all.extend(reading(format!("{of}.{row}.{item}"), unit, decode(&value))?);
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
