//! The device: identity, health, telemetry and notifications.

use crate::{
    INFO,
    port::PortStatus,
    proto::{
        Alarm, DESCRIPTION_LIMIT, Feature, KEY_DIGITS, decode_authentication, decode_feature,
        decode_key_status, decode_license, decode_period, decode_port_state, decode_rows,
        decode_text, decode_trap,
        oid::{self, Row},
    },
};
use async_trait::async_trait;
use qkd_driver_kit::{
    change_lock::ChangeLock,
    link::{
        make::check_agent,
        snmp::{Oid, SnmpLink},
        snmp_client::{BackgroundTask, SnmpCall, SnmpClient, optional, reading},
    },
};
use qkd_hal::{
    Capabilities, Descriptor, Device, Error, ErrorKind, EventKind, EventStream, Health, Identity,
    Operation, Result,
    device::HealthState,
    encryptor::{
        ChannelState, EncryptorCapabilities, Hitless, KeyForm, KeyIdForm, KeyRole, KeySizes,
        PolicyOwner,
    },
    event::{EventHub, Origin},
    reading::{Reading, ReadingValue as Measure},
    units::Bits,
};
use std::time::Duration;

/// A Ciena Waveserver with encryption.
pub struct Waveserver {
    opened: Identity,
    descriptor: Descriptor,
    capabilities: Capabilities,
    pub(crate) encryptor: EncryptorCapabilities,
    pub(crate) agent: SnmpClient,
    pub(crate) turns: ChangeLock,
    events: EventHub,
    traps: BackgroundTask,
}

fn listen(link: &dyn SnmpLink, events: EventHub) -> BackgroundTask {
    BackgroundTask::for_each_notification(link, move |notification| {
        if let Some(message) = notification
            && let Ok(Some(alarm)) = decode_trap(&message)
        {
            events.publish(Origin::Device, event(alarm));
        }
        std::future::ready(())
    })
}

fn event(alarm: Alarm) -> EventKind {
    EventKind::Alarm {
        code: alarm.table.map_or_else(
            || "wsAlarmNotification".to_owned(),
            |table| table.to_string(),
        ),
        text: alarm.text,
        subject: alarm.instance,
        severity: alarm.severity,
    }
}

fn declare(longest: Duration) -> EncryptorCapabilities {
    let bits = |digits: &u64| Bits(digits * 4);
    let form = KeyForm::new(
        KeyRole::Psk,
        KeySizes::Within {
            least: bits(KEY_DIGITS.start()),
            most: bits(KEY_DIGITS.end()),
        },
        KeyIdForm::Text {
            most: DESCRIPTION_LIMIT,
        },
    );
    let hitless = Hitless::no(
        "a re-authentication after one end has the new key and before the other has it drops \
         traffic",
    );
    EncryptorCapabilities::next_exchange(form, Some(longest), hitless)
        .with_policies(PolicyOwner::ByController, PolicyOwner::ByDevice)
}

async fn rows(call: &SnmpCall<'_>) -> Result<Vec<Row>> {
    let column = Oid::from(oid::KEY).child(&[oid::KEY_STATUS]);
    Ok(decode_rows(&call.walk(&column).await?)?)
}

async fn read_identity(agent: &SnmpClient) -> Result<Identity> {
    let call = agent.call();
    let system = check_agent(&INFO, &call).await?;
    let values = call
        .get(&[oid::MODEL, oid::SERIAL, oid::SOFTWARE].map(Oid::from))
        .await?;
    let text = |i: usize| decode_text(&values[i], "identity").ok().flatten();
    let mut identity = Identity::new("Ciena");
    if let Some(model) = text(0).or(system.descr) {
        identity = identity.with_model(model);
    }
    if let Some(serial) = text(1) {
        identity = identity.with_serial(serial);
    }
    if let Some(version) = text(2) {
        identity = identity.with_firmware(version);
    }
    Ok(identity)
}

impl Waveserver {
    pub(crate) async fn open(
        descriptor: Descriptor,
        agent: SnmpClient,
        events: EventHub,
    ) -> Result<Self> {
        use Operation as Op;
        let capabilities = Capabilities::none()
            .with(&[
                Op::Identity,
                Op::Health,
                Op::Telemetry,
                Op::Channels,
                Op::Channel,
                Op::Stage,
                Op::Confirm,
                Op::Zeroize,
            ])
            .with_events(agent.link().event_support());
        let traps = listen(agent.link(), events.clone());
        let opened = read_identity(&agent).await?;
        let mut longest = None;
        for row in rows(&agent.call()).await? {
            longest = longest.max(Some(PortStatus::read(&agent.call(), row).await?.period));
        }
        let hours = longest.ok_or_else(|| {
            Error::new(
                ErrorKind::NotReady,
                "the device has no row in its table of pre-shared keys: it needs an encrypting \
                 port, and the classic Waveserver MIB (newer platforms can only be read)",
            )
        })?;
        Ok(Self {
            opened,
            descriptor,
            capabilities,
            encryptor: declare(Duration::from_secs(hours * 3600)),
            agent,
            turns: ChangeLock::default(),
            events,
            traps,
        })
    }

    /// The identity at opening.
    pub(crate) fn opened_as(&self) -> &Identity {
        &self.opened
    }

    pub(crate) async fn rows(&self, call: &SnmpCall<'_>) -> Result<Vec<Row>> {
        rows(call).await
    }
}

#[async_trait]
impl Device for Waveserver {
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
        let features = Oid::from(oid::CHASSIS).child(&[oid::FEATURE]);
        for (_, value) in self.agent.call().walk(&features).await? {
            if matches!(
                decode_feature(&value)?,
                Feature::NotReady | Feature::NotSupported
            ) {
                faults.push("encryption is not ready on this chassis".to_owned());
            }
        }
        let licenses = Oid::from(oid::CHASSIS).child(&[oid::LICENSE]);
        for (_, value) in self.agent.call().walk(&licenses).await? {
            if decode_license(&value)? == "missing" {
                faults.push("the licence for encryption is missing".to_owned());
            }
        }
        for row in self.rows(&self.agent.call()).await? {
            let status = PortStatus::read(&self.agent.call(), row).await?;
            if status.state() != ChannelState::Encrypting {
                faults.push(format!("port {}: {}", row.port, status.words()));
            }
        }
        Ok(Health::from_faults(HealthState::Degraded, faults))
    }

    async fn telemetry(&self) -> Result<Vec<Reading>> {
        let mut all = Vec::new();
        for row in self.rows(&self.agent.call()).await? {
            let names = [
                oid::of(oid::PORT, oid::PEER_AUTHENTICATION, row),
                oid::of(oid::REAUTHENTICATION, oid::PERIOD, row),
                oid::of(oid::KEY, oid::KEY_STATUS, row),
                oid::of(oid::KEY, oid::KEY_FINGERPRINT, row),
                Oid::from(oid::PORT_STATE).child(&[row.port]),
            ];
            let v = self.agent.call().get(&names).await?;
            let text = |text: &str| Measure::Text(text.to_owned());
            let peer = decode_authentication(&v[0]).map(|p| p.map(|p| text(p.keyword())));
            let hours = optional(&v[1], decode_period);
            let has_key = decode_key_status(&v[2]).map(|k| k.map(Measure::Flag));
            let fingerprint = decode_text(&v[3], "cwsEncryptionPreSharedKeyFingerprint");
            let state = decode_port_state(&v[4]).map(|s| s.map(text));
            for (name, unit, value) in [
                ("peer-authentication", "", peer),
                (
                    "re-authentication-period",
                    "min",
                    hours.map(|h| h.map(|h| Measure::Count(h.saturating_mul(60)))),
                ),
                ("key-set", "", has_key),
                (
                    "key-fingerprint",
                    "",
                    fingerprint.map(|f| f.map(Measure::Text)),
                ),
                ("port-state", "", state),
            ] {
                let name = format!("channel.{}.{name}", row.port);
                all.extend(reading(name, unit, value)?);
            }
        }
        Ok(all)
    }

    fn events(&self) -> EventStream {
        self.events.subscribe()
    }

    async fn close(&self) -> Result<()> {
        self.traps.stop();
        self.agent.link().close().await;
        self.events.close();
        Ok(())
    }
}
