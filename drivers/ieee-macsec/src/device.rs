//! The agent as a device and an `Encryptor` whose state is read.

use crate::{
    INFO,
    kay::{Kay, participants},
    proto::{decode_interface, decode_ports, decode_text, decode_truth_value, oid, sum},
};
use async_trait::async_trait;
use qkd_driver_kit::link::{
    make::{SystemGroup, another_make},
    snmp::{Oid, Value},
    snmp_client::{SnmpClient, reading},
};
use qkd_hal::{
    Capabilities, Descriptor, Device, Encryptor, Error, ErrorKind, EventStream, Health, Identity,
    Operation, Result,
    capability::EventSupport,
    device::HealthState,
    encryptor::{
        ChannelId, ChannelState, ChannelStatus, Confirmation, ConfirmationBasis,
        EncryptorCapabilities, Slot, Staged, TrafficCounters,
    },
    event::EventHub,
    reading::{Reading, ReadingValue as Measure},
};
use std::time::Duration;
use tokio::time::Instant;

/// Interval at which a port is read while a key is confirmed.
const POLL: Duration = Duration::from_millis(500);
/// Time within which MKA agrees on a key: MKA Life Time (IEEE 802.1X) is 6 s.
const AGREEMENT: Duration = Duration::from_secs(15);

/// An agent with the MIBs of IEEE 802.1 for MACsec.
pub struct IeeeMacsec {
    opened: Identity,
    descriptor: Descriptor,
    capabilities: Capabilities,
    encryptor: EncryptorCapabilities,
    agent: SnmpClient,
    events: EventHub,
}

/// The ports with MKA. A device without them is not one of this driver, whatever its make.
async fn ports(agent: &SnmpClient) -> Result<Vec<u32>> {
    let column = Oid::from(oid::KAY).child(&[oid::ACTIVE]);
    Ok(decode_ports(&agent.call().walk(&column).await?)?)
}

async fn read_identity(agent: &SnmpClient) -> Result<Identity> {
    let call = agent.call();
    let system = SystemGroup::read(&call).await?;
    if ports(agent).await?.is_empty() {
        return Err(another_make(INFO.family, &system));
    }
    let serial = &call.get(&[Oid::from(oid::SERIAL)]).await?[0];
    // The MIBs do not name the vendor: its number does.
    let vendor = system.object_id.as_ref().map(ToString::to_string);
    let mut identity = Identity::new(vendor.unwrap_or_else(|| "unknown".to_owned()));
    if let Some(model) = system.descr {
        identity = identity.with_model(model);
    }
    if let Some(serial) = decode_text(serial, "entPhysicalSerialNum").ok().flatten() {
        identity = identity.with_serial(serial);
    }
    Ok(identity)
}

impl IeeeMacsec {
    pub(crate) async fn open(
        descriptor: Descriptor,
        agent: SnmpClient,
        events: EventHub,
    ) -> Result<Self> {
        use Operation as Op;
        // The MIBs have no notification about MKA.
        let capabilities = Capabilities::none()
            .with(&[
                Op::Identity,
                Op::Health,
                Op::Telemetry,
                Op::Channels,
                Op::Channel,
                Op::Confirm,
                Op::Counters,
            ])
            .with_events(EventSupport::LinkOnly);
        Ok(Self {
            opened: read_identity(&agent).await?,
            descriptor,
            capabilities,
            encryptor: EncryptorCapabilities::status_only()
                .with_confirm_timeout(AGREEMENT)
                .with_evidence(ConfirmationBasis::KeyOnly),
            agent,
            events,
        })
    }

    /// The identity at opening.
    pub(crate) fn opened_as(&self) -> &Identity {
        &self.opened
    }

    /// The port of a channel, which must be there.
    async fn port(&self, channel: &ChannelId) -> Result<u32> {
        let ports = ports(&self.agent).await?;
        let found = ports.iter().find(|port| port.to_string() == channel.0);
        found.copied().ok_or_else(|| {
            let known: Vec<String> = ports.iter().map(u32::to_string).collect();
            Error::new(
                ErrorKind::NotFound,
                format!(
                    "there is no port `{channel}` with MKA; there are: {}",
                    known.join(", ")
                ),
            )
        })
    }
}

#[async_trait]
impl Device for IeeeMacsec {
    fn descriptor(&self) -> &Descriptor {
        &self.descriptor
    }
    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    async fn identity(&self) -> Result<Identity> {
        read_identity(&self.agent).await
    }

    async fn health(&self) -> Result<Health> {
        let mut faults = Vec::new();
        for port in ports(&self.agent).await? {
            let kay = Kay::read(&self.agent.call(), port).await?;
            if kay.active && kay.state() != ChannelState::Encrypting {
                faults.push(format!("port {port}: MKA is {}", kay.words()));
            }
        }
        Ok(Health::from_faults(HealthState::Degraded, faults))
    }

    async fn telemetry(&self) -> Result<Vec<Reading>> {
        let mut all = Vec::new();
        for port in ports(&self.agent).await? {
            let v = Kay::values(&self.agent.call(), port).await?;
            let word = Kay::decode_state(&v).map(|kay| Some(Measure::Text(kay.words().to_owned())));
            all.extend(reading(format!("port.{port}.mka"), "", word)?);
            let [tx, rx] = Kay::decode_numbers(&v);
            for (name, number) in [("tx-key", tx), ("rx-key", rx)] {
                let name = format!("port.{port}.{name}-number");
                all.extend(reading(name, "", number.map(|n| n.map(Measure::Count)))?);
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

#[async_trait]
impl Encryptor for IeeeMacsec {
    fn encryptor_capabilities(&self) -> &EncryptorCapabilities {
        &self.encryptor
    }

    async fn channels(&self) -> Result<Vec<ChannelId>> {
        let ports = ports(&self.agent).await?;
        Ok(ports
            .into_iter()
            .map(|port| ChannelId(port.to_string()))
            .collect())
    }

    /// The slots are the participants in MKA, in the order of their names; the principal one is
    /// active.
    async fn channel(&self, channel: &ChannelId) -> Result<ChannelStatus> {
        let port = self.port(channel).await?;
        let call = self.agent.call();
        let kay = Kay::read(&call, port).await?;
        let slots = participants(&call, port)
            .await?
            .into_iter()
            .zip(1..=u8::MAX)
            .map(|(part, number)| Slot::new(number, Some(part.ckn), part.is_principal))
            .collect();
        Ok(ChannelStatus::new(channel.clone(), kay.state())
            .with_vendor_state(kay.words())
            .with_slots(slots))
    }

    /// Waits until the CAK with this name protects the port: its participant is the principal one,
    /// and the port is secured. How the key came to the device does not matter.
    async fn confirm(&self, staged: &Staged, longest: Duration) -> Result<Confirmation> {
        let port = self.port(&staged.channel).await?;
        let end = Instant::now() + longest;
        loop {
            let call = self.agent.call();
            let columns = [oid::PART_ACTIVE, oid::PART_PRINCIPAL];
            let names = columns.map(|c| oid::of_participant(c, port, &staged.key_id));
            let v = call.get(&names).await?;
            let active = decode_truth_value(&v[0], "ieee8021XKayMkaPartActive")?;
            let principal = decode_truth_value(&v[1], "ieee8021XKayMkaPartPrincipal")?;
            let kay = Kay::read(&call, port).await?;
            let evidence = match (active, principal) {
                (None, None) => "the port has no participant with this CKN".to_owned(),
                (_, Some(true)) if kay.secured => {
                    return Ok(Confirmation::new(
                        staged,
                        true,
                        format!(
                            "the participant with this CKN is the principal one, and the port is \
                             secured{}",
                            kay.tx_key
                                .map_or_else(String::new, |n| format!(" with transmit key {n}"))
                        ),
                    ));
                }
                (_, Some(true)) => format!(
                    "the participant with this CKN is the principal one, and MKA is {}",
                    kay.words()
                ),
                _ => format!(
                    "the participant with this CKN is not the principal one, and MKA is {}",
                    kay.words()
                ),
            };
            if Instant::now() >= end {
                return Ok(Confirmation::new(staged, false, evidence));
            }
            tokio::time::sleep_until(end.min(Instant::now() + POLL)).await;
        }
    }

    async fn counters(&self, channel: &ChannelId) -> Result<TrafficCounters> {
        let port = self.port(channel).await?;
        let call = self.agent.call();
        let controlled = Oid::from(oid::CONTROLLED_PORT).child(&[port]);
        let controlled = &call.get(&[controlled]).await?[0];
        let port =
            decode_interface(controlled, "ieee8021XPaeControlledPortNumber")?.unwrap_or(port);
        let names = [
            oid::TX_ENCRYPTED,
            oid::TX_UNTAGGED,
            oid::RX_NO_TAG,
            oid::RX_BAD_TAG,
        ];
        let mut v = call
            .get(&names.map(|column| Oid::from(column).child(&[port])))
            .await?;
        let below = async |column: &[u32]| -> Result<Vec<Value>> {
            let rows = call.walk(&Oid::from(column).child(&[port])).await?;
            Ok(rows.into_iter().map(|(_, value)| value).collect())
        };
        let mut counters = TrafficCounters::default();
        counters.encrypted = sum(&v[..1], "secyTxSCStatsEncryptedPkts")?;
        counters.clear = sum(&v[1..2], "secyStatsTxUntaggedPkts")?;
        counters.accepted = sum(&below(oid::RX_OK).await?, "secyRxSCStatsOKPkts")?;
        let mut refused = v.split_off(2);
        refused.extend(below(oid::RX_NOT_VALID).await?);
        counters.refused = sum(&refused, "secyStatsRx")?;
        Ok(counters)
    }
}
