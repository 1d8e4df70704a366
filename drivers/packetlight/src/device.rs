//! The encryptor behind the contract.

use crate::proto::{self, PskEncoding, Status, decode_number, decode_severity, decode_status, decode_text, decode_truth, oid};
use async_trait::async_trait;
use qkd_driver_kit::link::snmp::{Oid, SecurityLevel, SetRequest, SnmpLink, Value, VarBind};
use qkd_hal::{
    Capabilities, Descriptor, Device, DeviceMisbehaved, Effect, Encryptor, Error, ErrorKind, EventKind, EventStream, Health, Identity, Key, KeyId, Operation,
    Result,
    capability::EventSupport,
    device::HealthState,
    encryptor::{ChannelId, ChannelState, ChannelStatus, Confirmation, EncryptorCapabilities, Staged},
    event::{EventHub, Origin, Severity},
    reading::{Reading, Value as Measure},
};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{task::JoinHandle, time::Instant};
use zeroize::Zeroize;

/// How often a row is looked at while a key is being rolled.
const WATCH: Duration = Duration::from_millis(200);
/// How long a staged key is watched for.
const WATCHED_FOR: Duration = Duration::from_secs(600);

/// What was seen of a row since a key was staged.
struct Roll {
    key: KeyId,
    /// Whether alarm 223 stood before the key was written: then it says nothing about this key until it was cleared.
    failed_before: bool,
    /// Whether being out of `active` tells something: the row was seen there or in `init` before, or its exchange had failed for good, or was forced by us.
    /// Else it may be an earlier exchange, still under way, which ends with the secret before.
    armed: bool,
    /// When the row was first seen out of `active`.
    left: Option<Instant>,
    /// When it was seen there again.
    back: Option<Instant>,
    watcher: Option<JoinHandle<()>>,
}

impl Drop for Roll {
    fn drop(&mut self) {
        if let Some(watcher) = &self.watcher {
            watcher.abort();
        }
    }
}

type Rolls = Arc<Mutex<HashMap<u32, Roll>>>;

/// A PacketLight encryptor.
pub struct PacketLight {
    descriptor: Descriptor,
    capabilities: Capabilities,
    encryptor: EncryptorCapabilities,
    link: Arc<dyn SnmpLink>,
    encoding: PskEncoding,
    events: EventHub,
    rolls: Rolls,
    traps: JoinHandle<()>,
}

impl Drop for PacketLight {
    fn drop(&mut self) {
        self.traps.abort();
    }
}

fn wrong(error: proto::ProtoError) -> Error {
    let what = match error {
        proto::ProtoError::Enumeration { .. } => DeviceMisbehaved::ValueOutOfRange,
        _ => DeviceMisbehaved::UnexpectedReply,
    };
    Error::misbehaved(what, error.to_string())
}

/// Publishes alarm traps until the link ends.
fn listen(link: &dyn SnmpLink, events: EventHub) -> JoinHandle<()> {
    use tokio::sync::broadcast::error::RecvError;
    let mut traps = link.notifications();
    tokio::spawn(async move {
        loop {
            match traps.recv().await {
                Ok(trap) => {
                    if let Ok(Some(alarm)) = proto::decode_trap(&trap) {
                        let kind = EventKind::Alarm {
                            code: alarm.kind.to_string(),
                            text: format!("{}: {}", proto::alarm_name(alarm.kind), alarm.text),
                            subject: Some(alarm.if_index.to_string()),
                            severity: alarm.severity,
                        };
                        events.publish(Origin::Device, kind);
                    }
                }
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return,
            }
        }
    })
}

impl PacketLight {
    pub(crate) async fn open(descriptor: Descriptor, link: Arc<dyn SnmpLink>, encoding: PskEncoding, events: EventHub) -> Result<Self> {
        use Operation as Op;
        let capabilities = Capabilities::none()
            .with(&[Op::Identity, Op::Health, Op::Telemetry, Op::Channels, Op::Channel, Op::Stage, Op::Activate, Op::Confirm, Op::SetEncryption])
            .with_events(EventSupport::Native);
        let traps = listen(link.as_ref(), events.clone());
        // The MIB tells neither the length of a key nor how long an exchange takes.
        let encryptor = EncryptorCapabilities::forced(&[], None);
        let device = Self { descriptor, capabilities, encryptor, link, encoding, events, rolls: Rolls::default(), traps };
        let capability = device.get(&[Oid::from(oid::CAPABILITY)]).await?;
        if decode_number(&capability[0], "slmSysEncryptionCapability").map_err(wrong)? == Some(1) {
            return Err(Error::unsupported("open", "the box says that it cannot encrypt (slmSysEncryptionCapability is 1)"));
        }
        if device.rows().await?.is_empty() {
            return Err(Error::new(
                ErrorKind::NotReady,
                "the agent has no row in slSecuEncryptionTable: no PacketLight encryptor, or no encrypting uplink is set up",
            ));
        }
        Ok(device)
    }

    async fn get(&self, oids: &[Oid]) -> Result<Vec<Value>> {
        get(self.link.as_ref(), oids, self.descriptor.deadline).await
    }

    async fn walk(&self, root: Oid) -> Result<Vec<VarBind>> {
        self.link.walk(&root, self.descriptor.deadline).await.map_err(|e| e.reading("walk"))
    }

    async fn rows(&self) -> Result<Vec<u32>> {
        proto::decode_rows(&self.walk(oid::column(oid::IF_INDEX)).await?).map_err(wrong)
    }

    /// The row of a channel, which must be there.
    async fn row(&self, channel: &ChannelId) -> Result<(u32, Status)> {
        let missing = || Error::new(ErrorKind::NotFound, format!("there is no channel `{channel}`; channels are ifIndex numbers of encrypting uplinks"));
        let row: u32 = channel.0.parse().map_err(|_| missing())?;
        let status = self.get(&[oid::instance(oid::STATUS, row)]).await?;
        Ok((row, decode_status(&status[0]).map_err(wrong)?.ok_or_else(missing)?))
    }

    async fn key_exchange_failed(&self, row: u32) -> Result<bool> {
        let severity = self.get(&[oid::alarm(oid::ALARM_SEVERITY).child(&[row, proto::KEY_EXCHANGE_FAILED])]).await?;
        if severity[0].is_absent() { Ok(false) } else { Ok(decode_severity(&severity[0]).map_err(wrong)? != Severity::Cleared) }
    }

    /// Watches a row, so that also the end that was not forced can tell that it left `active` and came back.
    fn watch(&self, row: u32) {
        let (link, rolls, within) = (Arc::clone(&self.link), Arc::clone(&self.rolls), self.descriptor.deadline);
        let watcher = tokio::spawn(async move {
            let end = Instant::now() + WATCHED_FOR;
            while Instant::now() < end {
                if let Ok(values) = get(link.as_ref(), &[oid::instance(oid::STATUS, row)], within).await
                    && let Ok(Some(status)) = decode_status(&values[0])
                {
                    let mut rolls = rolls.lock().unwrap_or_else(PoisonError::into_inner);
                    let Some(roll) = rolls.get_mut(&row) else { return };
                    // An exchange begins there: one that has not begun takes the secret that is written.
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
        let before = self.with(|rolls| rolls.get_mut(&row).and_then(|roll| roll.watcher.replace(watcher)));
        if let Some(before) = before {
            before.abort();
        }
    }

    fn with<R>(&self, f: impl FnOnce(&mut HashMap<u32, Roll>) -> R) -> R {
        f(&mut self.rolls.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

async fn get(link: &dyn SnmpLink, oids: &[Oid], within: Duration) -> Result<Vec<Value>> {
    let binds = link.get(oids, within).await.map_err(|e| e.reading("get"))?;
    if binds.len() != oids.len() || binds.iter().zip(oids).any(|(b, o)| b.oid != *o) {
        return Err(Error::misbehaved(DeviceMisbehaved::ReplyForAnotherRequest, "the agent answered for other names than were asked for"));
    }
    Ok(binds.into_iter().map(|b| b.value).collect())
}

#[async_trait]
impl Device for PacketLight {
    fn descriptor(&self) -> &Descriptor {
        &self.descriptor
    }
    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    async fn identity(&self) -> Result<Identity> {
        let system = self.get(&[Oid::from(oid::SYS_OBJECT_ID), Oid::from(oid::SYS_DESCR)]).await?;
        let known = match &system[0] {
            Value::ObjectId(id) => oid::model(id).map(str::to_owned),
            _ => None,
        };
        let mut identity = Identity::of("PacketLight");
        if let Some(model) = known.or(decode_text(&system[1], "sysDescr").map_err(wrong)?) {
            identity = identity.with_model(model);
        }
        let first = |binds: Vec<VarBind>| binds.iter().find_map(|b| decode_text(&b.value, "slEntPhysical").ok().flatten());
        if let Some(serial) = first(self.walk(Oid::from(oid::SERIAL)).await?) {
            identity = identity.with_serial(serial);
        }
        if let Some(software) = first(self.walk(Oid::from(oid::SOFTWARE)).await?) {
            identity = identity.with_firmware(software);
        }
        Ok(identity)
    }

    async fn health(&self) -> Result<Health> {
        let oper = self.get(&[Oid::from(oid::OPER_STATUS)]).await?;
        let oper = decode_number(&oper[0], "slmSysOperStatus").map_err(wrong)?;
        let mut faults = Vec::new();
        let column = oid::alarm(oid::ALARM_SEVERITY);
        for bind in self.walk(column.clone()).await? {
            let severity = decode_severity(&bind.value).map_err(wrong)?;
            if let (Some([row, kind]), true) = (bind.oid.below(&column), severity != Severity::Cleared) {
                faults.push(format!("{} ({kind}) at {row}, {severity:?}", proto::alarm_name(*kind)));
            }
        }
        Ok(match oper {
            Some(2) => Health::with_faults(HealthState::Failed, [vec!["the node says that it is down".to_owned()], faults].concat()),
            _ if faults.is_empty() => Health::ok(),
            _ => Health::with_faults(HealthState::Degraded, faults),
        })
    }

    async fn telemetry(&self) -> Result<Vec<Reading>> {
        let mut all = Vec::new();
        for row in self.rows().await? {
            let columns = [oid::STATUS, oid::PROTECTED_STATUS, oid::PERIOD, oid::LOCK];
            let values = self.get(&columns.map(|c| oid::instance(c, row))).await?;
            for (name, value) in [("status", &values[0]), ("protected-status", &values[1])] {
                if let Some(status) = decode_status(value).map_err(wrong)? {
                    all.push(Reading::now(format!("channel.{row}.{name}"), Measure::Text(status.word().to_owned()), ""));
                }
            }
            if let Some(minutes) = decode_number(&values[2], "slSecuEncryptionKeyExchangePeriod").map_err(wrong)? {
                all.push(Reading::now(format!("channel.{row}.key-exchange-period"), Measure::Count(minutes.unsigned_abs()), "min"));
            }
            if let Some(lock) = decode_truth(&values[3], "slSecuEncryptionLock").map_err(wrong)? {
                all.push(Reading::now(format!("channel.{row}.lock"), Measure::Flag(lock), ""));
            }
        }
        Ok(all)
    }

    fn events(&self) -> EventStream {
        self.events.subscribe()
    }

    async fn close(&self) -> Result<()> {
        self.traps.abort();
        self.with(HashMap::clear);
        self.link.close().await;
        self.events.close();
        Ok(())
    }
}

#[async_trait]
impl Encryptor for PacketLight {
    fn encryptor_capabilities(&self) -> &EncryptorCapabilities {
        &self.encryptor
    }

    async fn channels(&self) -> Result<Vec<ChannelId>> {
        Ok(self.rows().await?.into_iter().map(|row| ChannelId(row.to_string())).collect())
    }

    async fn channel(&self, channel: &ChannelId) -> Result<ChannelStatus> {
        let (row, status) = self.row(channel).await?;
        let enable = self.get(&[oid::instance(oid::ENABLE, row)]).await?;
        let enabled = decode_truth(&enable[0], "slSecuEncryptionEnable").map_err(wrong)?;
        let state = match status {
            _ if enabled == Some(false) => ChannelState::Disabled,
            _ if self.key_exchange_failed(row).await? => ChannelState::Failed,
            Status::Init => ChannelState::Initialising,
            Status::Exchange | Status::Kdf => ChannelState::Exchanging,
            Status::Active => ChannelState::Encrypting,
        };
        Ok(ChannelStatus::new(channel.clone(), state).with_vendor_state(status.word()))
    }

    async fn stage(&self, channel: &ChannelId, key: &Key) -> Result<Staged> {
        if self.link.security() < SecurityLevel::AuthPriv {
            return Err(Error::new(ErrorKind::Authentication, "a key is written over SNMPv3 authPriv only; give credentials with both passwords"));
        }
        let (row, status) = self.row(channel).await?;
        let mut text = self.encoding.encode(key.expose()).ok_or_else(|| {
            Error::invalid(format!("a key of {} is longer than the {} characters of slSecuEncryptionPreShared", key.size(), proto::PRE_SHARED_LIMIT))
        })?;
        // The request zeroizes its values when it is dropped.
        let value = Value::OctetString(std::mem::take(&mut *text));
        let request = SetRequest::new().with_secret(oid::instance(oid::PRE_SHARED, row), value);
        text.zeroize();
        let failed_before = self.key_exchange_failed(row).await?;
        // Unless this one is refused, no key that was staged before can be confirmed any more.
        let before = self.with(|rolls| rolls.remove(&row));
        if let Err(error) = self.link.set(request, self.descriptor.deadline).await {
            let error = error.changing("stage");
            if let (Effect::None, Some(before)) = (error.effect_on_device(), before) {
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
        Ok(Staged::new(channel.clone(), key.id().clone(), None, "the agent accepted the SET; the object is never read, since it may answer with the key"))
    }

    async fn activate(&self, staged: &Staged) -> Result<()> {
        let (row, _) = self.row(&staged.channel).await?;
        // What the row did before the exchange is forced tells nothing of this key.
        let known = self.with(|rolls| {
            let roll = rolls.get_mut(&row).filter(|roll| roll.key == staged.key_id)?;
            (roll.armed, roll.left, roll.back) = (true, None, None);
            if let Some(watcher) = roll.watcher.take() {
                watcher.abort();
            }
            Some(())
        });
        if known.is_none() {
            return Err(Error::new(
                ErrorKind::NotReady,
                format!(
                    "key {} is not the one last staged on channel {row} through this handle: stage, activate and confirm through one handle",
                    staged.key_id
                ),
            ));
        }
        // The value is not specified: any write restarts the exchange.
        let request = SetRequest::new().with(oid::instance(oid::FORCE_INIT, row), Value::Integer(1));
        self.link.set(request, self.descriptor.deadline).await.map_err(|e| e.changing("activate"))?;
        self.watch(row);
        Ok(())
    }

    async fn confirm(&self, staged: &Staged) -> Result<Confirmation> {
        let (row, _) = self.row(&staged.channel).await?;
        let end = Instant::now() + self.encryptor.confirmation;
        let (left, back) = loop {
            let seen = self.with(|rolls| rolls.get(&row).filter(|roll| roll.key == staged.key_id).map(|roll| (roll.left, roll.back, roll.failed_before)));
            let Some((left, back, failed_before)) = seen else {
                return Ok(Confirmation::new(false, format!("key {} is not the one last staged on channel {row} through this handle", staged.key_id)));
            };
            if back.is_some() || Instant::now() >= end || (!failed_before && self.key_exchange_failed(row).await?) {
                break (left, back);
            }
            tokio::time::sleep(WATCH).await;
        };
        let (_, now) = self.row(&staged.channel).await?;
        let failed = self.key_exchange_failed(row).await?;
        let alarm = if failed { "alarm encKeyExchangeFailed (223) is raised" } else { "no alarm 223" };
        Ok(match (left, back) {
            (Some(left), Some(back)) if now == Status::Active && !failed => {
                Confirmation::new(true, format!("status left active and is active again; {alarm}")).with_gap(back.duration_since(left))
            }
            (None, _) => Confirmation::new(false, format!("status never left active since the key was staged; {alarm}")),
            _ => Confirmation::new(false, format!("status left active and is {}; {alarm}", now.word())),
        })
    }

    async fn set_encryption(&self, channel: &ChannelId, on: bool) -> Result<()> {
        let (row, _) = self.row(channel).await?;
        let name = oid::instance(oid::ENABLE, row);
        let request = SetRequest::new().with(name.clone(), proto::truth(on));
        self.link.set(request, self.descriptor.deadline).await.map_err(|e| e.changing("set-encryption"))?;
        let now = self.get(&[name]).await.map_err(|e| e.effect(Effect::Unknown))?;
        if decode_truth(&now[0], "slSecuEncryptionEnable").map_err(|e| wrong(e).effect(Effect::Unknown))? == Some(on) {
            return Ok(());
        }
        let why = format!("the agent accepted slSecuEncryptionEnable={on} and shows another value");
        Err(Error::misbehaved(DeviceMisbehaved::ChangeNotApplied, why).effect(Effect::Unknown))
    }
}
