//! The router as an `Encryptor`.

use crate::{
    INFO,
    events::listen,
    proto::{
        self, AdminState, EncryptType, OperState, RowStatus, SLOTS, cak_text, ckn_from_text,
        ckn_text, count, decode_active_psk, decode_octets, decode_row_status, decode_sys_descr,
        decode_text, decode_truth_value,
        oid::{self, Port},
    },
    roll::{Baseline, RollVerdict, judge},
};
use async_trait::async_trait;
use qkd_driver_kit::link::{
    make::check_agent,
    snmp::{Oid, SetRequest, Value},
    snmp_client::{BackgroundTask, SnmpClient, optional},
};
use qkd_hal::{
    Capabilities, Descriptor, Device, DeviceMisbehaved, Effect, Encryptor, Error, ErrorKind,
    EventStream, Health, Identity, Key, KeyId, Operation, Result,
    device::HealthState,
    encryptor::{
        ChannelId, ChannelState, ChannelStatus, Confirmation, Confirmed, EncryptorCapabilities,
        FailureMode, KeyForm, KeyIdForm, KeyRole, KeySizes, PolicyOwner, Slot, Staged,
        TrafficCounters,
    },
    event::EventHub,
    reading::{Reading, ReadingValue as Measure},
    units::Bits,
};
use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};
use tokio::time::Instant;
use zeroize::Zeroize;

/// Interval at which the statistics are read while a roll is confirmed.
const POLL: Duration = Duration::from_millis(250);
/// Health fault of a router without channels.
const NO_ASSOCIATION: &str =
    "the router has no MACsec connectivity association, and so no channels: configure one on it";
/// Time for which encrypted traffic is awaited after MKA has finished.
const TRAFFIC: Duration = Duration::from_secs(2);

/// MACsec of a Nokia SR OS router.
pub struct SrosMacsec {
    /// The identity at opening.
    opened: Identity,
    descriptor: Descriptor,
    capabilities: Capabilities,
    encryptor: EncryptorCapabilities,
    agent: SnmpClient,
    events: EventHub,
    /// State of each port before the roll of its association, by association.
    baselines: Mutex<HashMap<String, (KeyId, Vec<Baseline>)>>,
    traps: BackgroundTask,
}

/// A CAK of 128 or 256 bit; its id is the CKN.
fn cak_form() -> KeyForm {
    let ckn = KeyIdForm::Bytes { least: 1, most: 32 };
    KeyForm::new(KeyRole::Cak, KeySizes::one_of(&[Bits(128), Bits(256)]), ckn)
}

/// The sum of what is there; `None` where nothing is.
fn sum(values: &[Value], object: &'static str) -> Result<Option<u64>> {
    let mut total = None;
    for value in values {
        if let Some(n) = optional(value, |v| count(v, object))? {
            total = Some(total.unwrap_or(0u64).saturating_add(n));
        }
    }
    Ok(total)
}

/// A slot, as the agent shows it.
struct SlotRow {
    exists: bool,
    changed: Option<u64>,
    ckn: Option<KeyId>,
}

impl SlotRow {
    /// Whether the slot holds the key of this id. The agent shows the bytes of its name only, and
    /// these may also be the characters of an id that is not a number.
    fn is_named(&self, id: &KeyId) -> bool {
        let ckn = self.ckn.as_ref();
        ckn.is_some_and(|ckn| ckn.as_bytes() == id.as_bytes())
    }
}

impl SrosMacsec {
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
                Op::Activate,
                Op::Confirm,
                Op::Retire,
                Op::Zeroize,
                Op::Counters,
            ])
            .with_events(agent.link().event_support());
        let traps = listen(agent.link(), events.clone());
        let encryptor = EncryptorCapabilities::two_slot(SLOTS, true, cak_form())
            .with_policies(PolicyOwner::ByController, PolicyOwner::ByDevice);
        let mut device = Self {
            opened: Identity::default(),
            descriptor,
            capabilities,
            encryptor,
            agent,
            events,
            baselines: Mutex::default(),
            traps,
        };
        device.opened = device.identity().await?;
        device.associations().await?;
        Ok(device)
    }

    /// The identity at opening.
    pub(crate) fn opened_as(&self) -> &Identity {
        &self.opened
    }

    async fn get(&self, oids: &[Oid]) -> Result<Vec<Value>> {
        self.agent.call().get(oids).await
    }

    async fn walk(&self, entry: &[u32], column: u32) -> Result<Vec<(Vec<u32>, Value)>> {
        self.agent.call().walk(&oid::column(entry, column)).await
    }

    async fn associations(&self) -> Result<Vec<String>> {
        let rows = self.walk(oid::ca::ENTRY, oid::ca::ROW_STATUS).await?;
        rows.iter()
            .map(|(index, _)| Ok(oid::decode_ca(index)?))
            .collect()
    }

    /// Index and active slot of an association, which must be there.
    async fn association(&self, channel: &ChannelId) -> Result<(Vec<u32>, u8)> {
        let missing = |all: &[String]| {
            let there = if all.is_empty() {
                NO_ASSOCIATION.to_owned()
            } else {
                format!("there are: {}", all.join(", "))
            };
            Error::new(
                ErrorKind::NotFound,
                format!("there is no connectivity association `{channel}`; {there}"),
            )
        };
        let Some(index) = oid::ca_index(&channel.0) else {
            return Err(missing(&self.associations().await?));
        };
        let active = self
            .get(&[oid::of_ca(
                oid::static_cak::ENTRY,
                oid::static_cak::ACTIVE_PSK,
                &index,
            )])
            .await?;
        if active[0].is_absent() {
            return Err(missing(&self.associations().await?));
        }
        Ok((index, decode_active_psk(&active[0])?))
    }

    async fn slot(&self, ca: &[u32], slot: u8) -> Result<SlotRow> {
        let columns = [
            oid::psk::ROW_STATUS,
            oid::psk::LAST_CHANGED,
            oid::psk::CAK_NAME,
        ];
        let values = self
            .get(&columns.map(|c| oid::of_slot(c, ca, slot)))
            .await?;
        Ok(SlotRow {
            exists: decode_row_status(&values[0])?.is_some(),
            changed: optional(&values[1], |v| count(v, "tmnxMacsecPreSharedKeyLastChangd"))?,
            ckn: decode_octets(&values[2], "tmnxMacsecPreSharedKeyCakName")?
                .and_then(ckn_from_text),
        })
    }

    /// The ports of an association.
    async fn ports(&self, ca: &str) -> Result<Vec<Port>> {
        let mut ports = Vec::new();
        for (index, value) in self.walk(oid::port::ENTRY, oid::port::CA_NAME).await? {
            if decode_text(&value, "tmnxMacsecPortCaName")?.as_deref() == Some(ca) {
                ports.push(oid::decode_port(&index)?);
            }
        }
        Ok(ports)
    }

    /// Reads the statistics of one port for one CKN.
    async fn read_baseline(&self, port: Port, ckn: &KeyId) -> Result<Baseline> {
        use oid::mka;
        let columns = [
            mka::OPER_STATE,
            mka::LATEST_SAK_KI,
            mka::SAK_INSTALLED_TX,
            mka::SAK_INSTALLED_RX,
            mka::CKN_NOT_FOUND,
            mka::ICV_CHECK_FAILED,
        ];
        let mut names = columns.map(|c| oid::of_mka(c, port, ckn)).to_vec();
        names.push(oid::of_port(oid::tx_sc::ENTRY, oid::tx_sc::ENCRYPTED, port));
        names.push(oid::of_port(
            oid::port_stats::ENTRY,
            oid::port_stats::TX_UNTAGGED,
            port,
        ));
        let v = self.get(&names).await?;
        let total = |value: &Value| {
            optional(value, |v| count(v, "tmnxMacsecMkaStats")).map(Option::unwrap_or_default)
        };
        Ok(Baseline {
            port,
            state: if v[0].is_absent() {
                None
            } else {
                Some(proto::decode_oper_state(&v[0])?)
            },
            sak: decode_octets(&v[1], "tmnxMacsecMkaStatsLatestSakKi")?
                .map(<[u8]>::to_vec)
                .unwrap_or_default(),
            installed_tx: total(&v[2])?,
            installed_rx: total(&v[3])?,
            unknown_ckn: total(&v[4])?,
            icv_failed: total(&v[5])?,
            encrypted: total(&v[6])?,
            clear: total(&v[7])?,
        })
    }

    async fn read_all_baselines(&self, ca: &str, ckn: &KeyId) -> Result<Vec<Baseline>> {
        let mut all = Vec::new();
        for port in self.ports(ca).await? {
            all.push(self.read_baseline(port, ckn).await?);
        }
        Ok(all)
    }
}

#[async_trait]
impl Device for SrosMacsec {
    fn descriptor(&self) -> &Descriptor {
        &self.descriptor
    }
    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    async fn identity(&self) -> Result<Identity> {
        let call = self.agent.call();
        let system = check_agent(&INFO, &call).await?;
        let serial = call.get(&[Oid::from(oid::CHASSIS_SERIAL)]).await?;
        let mut identity = Identity::new("Nokia");
        // The version is apart from the model: an upgrade does not make another device.
        let described = system.descr.as_deref().map(decode_sys_descr);
        if let Some(model) = described.as_ref().and_then(|d| d.model.as_deref()) {
            identity = identity.with_model(model);
        }
        if let Some(version) = described.as_ref().and_then(|d| d.version.as_deref()) {
            identity = identity.with_firmware(version);
        }
        if let Some(serial) = decode_text(&serial[0], "tmnxHwSerialNumber")? {
            identity = identity.with_serial(serial);
        }
        Ok(identity)
    }

    async fn health(&self) -> Result<Health> {
        let mut faults = Vec::new();
        let associations = self.associations().await?;
        if associations.is_empty() {
            faults.push(NO_ASSOCIATION.to_owned());
        }
        for ca in associations {
            let status = self.channel(&ChannelId(ca.clone())).await?;
            if matches!(status.state, ChannelState::Failed) {
                faults.push(format!(
                    "{ca}: MKA is {}",
                    status.vendor_state.unwrap_or_default()
                ));
            }
        }
        Ok(Health::from_faults(HealthState::Degraded, faults))
    }

    async fn telemetry(&self) -> Result<Vec<Reading>> {
        let mut all = Vec::new();
        for ca in self.associations().await? {
            let (index, active) = self.association(&ChannelId(ca.clone())).await?;
            all.push(Reading::now(
                format!("{ca}.active-psk"),
                Measure::Count(u64::from(active)),
                "",
            ));
            let Some(ckn) = self.slot(&index, active).await?.ckn else {
                continue;
            };
            for seen in self.read_all_baselines(&ca, &ckn).await? {
                let port = seen.port.id;
                let count = |name: &str, value: u64| {
                    Reading::now(format!("{ca}.{port}.{name}"), Measure::Count(value), "")
                };
                let word = seen.state.map_or("absent", OperState::keyword);
                all.push(Reading::now(
                    format!("{ca}.{port}.mka-state"),
                    Measure::Text(word.to_owned()),
                    "",
                ));
                all.push(count("sak-installed-tx", seen.installed_tx));
                all.push(count("sak-installed-rx", seen.installed_rx));
                all.push(count("encrypted", seen.encrypted));
                all.push(count("clear", seen.clear));
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

impl SrosMacsec {
    fn remember(&self, channel: &ChannelId, key: &KeyId, baselines: Vec<Baseline>) {
        self.baselines
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(channel.0.clone(), (key.clone(), baselines));
    }

    /// Returns the state of the ports before the roll to this key.
    fn remembered(&self, staged: &Staged) -> Option<Vec<Baseline>> {
        let all = self
            .baselines
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        all.get(&staged.channel.0)
            .filter(|(key, _)| *key == staged.key_id)
            .map(|(_, baselines)| baselines.clone())
    }
}

#[async_trait]
impl Encryptor for SrosMacsec {
    fn encryptor_capabilities(&self) -> &EncryptorCapabilities {
        &self.encryptor
    }

    async fn channels(&self) -> Result<Vec<ChannelId>> {
        Ok(self
            .associations()
            .await?
            .into_iter()
            .map(ChannelId)
            .collect())
    }

    async fn channel(&self, channel: &ChannelId) -> Result<ChannelStatus> {
        let (index, active) = self.association(channel).await?;
        let columns = [
            oid::ca::ADMIN_STATE,
            oid::ca::ENCRYPT,
            oid::ca::CIPHER_SUITE,
        ];
        let v = self
            .get(&columns.map(|c| oid::of_ca(oid::ca::ENTRY, c, &index)))
            .await?;
        let in_service = proto::decode_admin_state(&v[0])? == AdminState::InService;
        let encrypts = decode_truth_value(&v[1], "tmnxMacsecConnAssocMacsecEncrypt")?;
        let mut slots = Vec::new();
        for number in 1..=SLOTS {
            let row = self.slot(&index, number).await?;
            if row.exists {
                slots.push(Slot::new(number, row.ckn, number == active));
            }
        }
        let ports = self.ports(&channel.0).await?;
        let ckn = slots
            .iter()
            .find(|s| s.active)
            .and_then(|s| s.key_id.clone());
        let mut states = Vec::new();
        if let Some(ckn) = &ckn {
            for port in &ports {
                states.push(self.read_baseline(*port, ckn).await?.state);
            }
        }
        let worst = |wanted: OperState| states.contains(&Some(wanted));
        let state = if !in_service || encrypts == Some(false) {
            ChannelState::Disabled
        } else if states.is_empty() || states.contains(&None) {
            ChannelState::Initialising
        } else if worst(OperState::OutOfService) {
            ChannelState::Failed
        } else if worst(OperState::Transition) {
            ChannelState::Exchanging
        } else if worst(OperState::Unknown) {
            ChannelState::Unknown
        } else {
            ChannelState::Encrypting
        };
        // Obsolete, and absent in newer releases; there is no published successor.
        let mut modes = Vec::new();
        for port in &ports {
            let v = self
                .get(&[oid::of_port(
                    oid::port::ENTRY,
                    oid::port::RX_TRAFFIC_ENCRYPTION,
                    *port,
                )])
                .await?;
            modes.push(decode_truth_value(
                &v[0],
                "tmnxMacsecPortRxTrafficEncrption",
            )?);
        }
        let mode = if modes.contains(&Some(false)) {
            FailureMode::AllowClear
        } else if !modes.is_empty() && modes.iter().all(|m| *m == Some(true)) {
            FailureMode::Block
        } else {
            FailureMode::Unknown
        };
        let words: Vec<&str> = states
            .iter()
            .map(|s| s.map_or("absent", OperState::keyword))
            .collect();
        let mut status = ChannelStatus::new(channel.clone(), state)
            .with_slots(slots)
            .with_failure_mode(mode)
            .with_vendor_state(words.join(","));
        if !v[2].is_absent() {
            status = status.with_cipher(proto::decode_cipher(&v[2])?);
        }
        Ok(status)
    }

    async fn stage(&self, channel: &ChannelId, key: &Key) -> Result<Staged> {
        self.agent.check_secrets_allowed()?;
        let (Some(kind), Some(mut cak)) = (
            EncryptType::for_key(key.expose().len()),
            cak_text(key.expose()),
        ) else {
            return Err(Error::invalid(format!(
                "a CAK has 128 or 256 bit; a key of {} was given",
                key.size()
            )));
        };
        let (index, active) = self.association(channel).await?;
        if self.slot(&index, active).await?.is_named(key.id()) {
            return Err(Error::invalid(format!(
                "key {} is the one in use",
                key.id()
            )));
        }
        let idle = SLOTS + 1 - active;
        let before = self.slot(&index, idle).await?;
        let name = |column| oid::of_slot(column, &index, idle);
        let mut request = SetRequest::new();
        if !before.exists {
            request = request.with(name(oid::psk::ROW_STATUS), RowStatus::CreateAndGo.into());
        }
        let request = request
            .with(name(oid::psk::ENCRYPT_TYPE), Value::Integer(kind as i32))
            .with_secret(
                name(oid::psk::CAK),
                Value::OctetString(std::mem::take(&mut *cak)),
            )
            .with(name(oid::psk::CAK_NAME), Value::text(ckn_text(key.id())));
        cak.zeroize();
        // Looked at before the far end can act: whichever end moves first makes the key server roll
        // for both.
        let mut baselines = self.read_all_baselines(&channel.0, key.id()).await?;
        self.agent.call().set("stage", request).await?;
        // The name's instance may come with the slot, and need not count failures from zero.
        for old in baselines.iter_mut().filter(|old| old.state.is_none()) {
            let new = self
                .read_baseline(old.port, key.id())
                .await
                .map_err(|e| e.with_effect(Effect::Unknown))?;
            (old.unknown_ckn, old.icv_failed) = (new.unknown_ckn, new.icv_failed);
        }
        let baseline = Baseline::write_all(&baselines);
        self.remember(channel, key.id(), baselines);
        let after = self
            .slot(&index, idle)
            .await
            .map_err(|e| e.with_effect(Effect::Unknown))?;
        if !after.is_named(key.id())
            || (before.exists && after.ckn == before.ckn && after.changed == before.changed)
        {
            let why = format!(
                "the agent accepted slot {idle}, but its name or its time of change does not show \
                 it"
            );
            return Err(Error::misbehaved(DeviceMisbehaved::ChangeNotApplied, why)
                .with_effect(Effect::Unknown));
        }
        let proof = format!(
            "slot {idle} shows this name, last changed at {} (sysUpTime, 1/100 s)",
            after.changed.unwrap_or_default()
        );
        Ok(
            Staged::new(channel.clone(), key.id().clone(), Some(idle), proof)
                .with_baseline(baseline),
        )
    }

    async fn activate(&self, staged: &Staged) -> Result<()> {
        let (index, active) = self.association(&staged.channel).await?;
        let slot = staged
            .slot
            .filter(|s| (1..=SLOTS).contains(s))
            .ok_or_else(|| Error::invalid("the staged key names no slot of this device"))?;
        if !self.slot(&index, slot).await?.is_named(&staged.key_id) {
            return Err(Error::new(
                ErrorKind::NotReady,
                format!("slot {slot} does not hold key {}", staged.key_id),
            ));
        }
        if active == slot {
            return Ok(());
        }
        if self.remembered(staged).is_none() {
            let mut baselines = self
                .read_all_baselines(&staged.channel.0, &staged.key_id)
                .await?;
            // If the far end was activated before, MKA may have agreed under this name already, and
            // the key server distributes no further SAK.
            for port in &mut baselines {
                if port.state == Some(OperState::InService) {
                    port.forget_sak();
                }
            }
            self.remember(&staged.channel, &staged.key_id, baselines);
        }
        let name = oid::of_ca(oid::static_cak::ENTRY, oid::static_cak::ACTIVE_PSK, &index);
        let request = SetRequest::new().with(name, Value::Gauge32(u32::from(slot)));
        self.agent.call().set("activate", request).await?;
        let (_, now) = self
            .association(&staged.channel)
            .await
            .map_err(|e| e.with_effect(Effect::Unknown))?;
        if now == slot {
            return Ok(());
        }
        let why = format!("the agent accepted slot {slot} as the active one, and shows {now}");
        Err(Error::misbehaved(DeviceMisbehaved::ChangeNotApplied, why).with_effect(Effect::Unknown))
    }

    async fn confirm(&self, staged: &Staged, longest: Duration) -> Result<Confirmation> {
        let (_, active) = self.association(&staged.channel).await?;
        if Some(active) != staged.slot {
            return Ok(Confirmation::new(
                staged,
                false,
                format!("slot {active} is active, not the staged one"),
            ));
        }
        let before = match Baseline::read_all(&staged.baseline) {
            Some(before) => Some(before),
            None => self.remembered(staged),
        };
        let before = match before {
            Some(before) => before,
            // Nothing was noted when the key was staged. That MKA has agreed under its name, and
            // that packets are encrypted from now on, is proof enough.
            None => {
                let mut now = self
                    .read_all_baselines(&staged.channel.0, &staged.key_id)
                    .await?;
                now.iter_mut().for_each(Baseline::forget_sak);
                now
            }
        };
        if before.is_empty() {
            return Ok(Confirmation::new(
                staged,
                false,
                "the connectivity association is bound to no port",
            ));
        }
        let end = Instant::now() + longest;
        let mut agreed: Option<Instant> = None;
        loop {
            let mut now = Vec::with_capacity(before.len());
            for port in &before {
                now.push(self.read_baseline(port.port, &staged.key_id).await?);
            }
            match judge(&before, &now) {
                RollVerdict::Protects(evidence) => {
                    return Ok(Confirmation::new(staged, true, evidence));
                }
                RollVerdict::Mismatch(evidence) => {
                    return Ok(Confirmation::new(staged, false, evidence));
                }
                RollVerdict::AgreedWithoutTraffic(evidence) => {
                    if agreed.get_or_insert_with(Instant::now).elapsed() >= TRAFFIC {
                        return Ok(Confirmation::new(staged, true, evidence));
                    }
                    if Instant::now() >= end {
                        let evidence = format!("{evidence}; wait longer to see traffic");
                        return Ok(Confirmation::new(staged, false, evidence));
                    }
                }
                RollVerdict::NotYet(evidence) => {
                    agreed = None;
                    if Instant::now() >= end {
                        return Ok(Confirmation::new(staged, false, evidence));
                    }
                }
            }
            tokio::time::sleep(POLL).await;
        }
    }

    async fn retire(&self, confirmed: &Confirmed) -> Result<()> {
        let staged = confirmed.staged();
        let (index, active) = self.association(&staged.channel).await?;
        if staged.slot != Some(active) {
            return Err(Error::new(
                ErrorKind::NotReady,
                format!(
                    "slot {active} is still the active one: activate and confirm before the old \
                     key is destroyed"
                ),
            ));
        }
        let old = SLOTS + 1 - active;
        if !self.slot(&index, old).await?.exists {
            return Ok(());
        }
        let name = oid::of_slot(oid::psk::ROW_STATUS, &index, old);
        let request = SetRequest::new().with(name, RowStatus::Destroy.into());
        self.agent.call().set("retire", request).await?;
        if self
            .slot(&index, old)
            .await
            .map_err(|e| e.with_effect(Effect::Unknown))?
            .exists
        {
            let why =
                format!("the agent accepted the destruction of slot {old}, and still shows it");
            return Err(Error::misbehaved(DeviceMisbehaved::ChangeNotApplied, why)
                .with_effect(Effect::Unknown));
        }
        Ok(())
    }

    async fn zeroize(&self, channel: &ChannelId) -> Result<()> {
        let (index, _) = self.association(channel).await?;
        let mut request = SetRequest::new();
        for number in 1..=SLOTS {
            if self.slot(&index, number).await?.exists {
                request = request.with(
                    oid::of_slot(oid::psk::ROW_STATUS, &index, number),
                    RowStatus::Destroy.into(),
                );
            }
        }
        if request.binds().is_empty() {
            return Ok(());
        }
        self.agent.call().set("zeroize", request).await?;
        for number in 1..=SLOTS {
            if self
                .slot(&index, number)
                .await
                .map_err(|e| e.with_effect(Effect::Unknown))?
                .exists
            {
                let why = format!(
                    "the agent accepted the destruction of slot {number}, and still shows it"
                );
                return Err(Error::misbehaved(DeviceMisbehaved::ChangeNotApplied, why)
                    .with_effect(Effect::Partial));
            }
        }
        Ok(())
    }

    async fn counters(&self, channel: &ChannelId) -> Result<TrafficCounters> {
        self.association(channel).await?;
        let ports = self.ports(&channel.0).await?;
        let of = |entry: &[u32], column: u32| {
            ports
                .iter()
                .map(|p| oid::of_port(entry, column, *p))
                .collect::<Vec<_>>()
        };
        let tagged = |rows: Vec<(Vec<u32>, Value)>| -> Vec<Value> {
            rows.into_iter()
                .filter(|(index, _)| ports.iter().any(|p| index.starts_with(&[p.id, p.sub])))
                .map(|(_, v)| v)
                .collect()
        };
        let mut counters = TrafficCounters::default();
        if ports.is_empty() {
            return Ok(counters);
        }
        counters.encrypted = sum(
            &self
                .get(&of(oid::tx_sc::ENTRY, oid::tx_sc::ENCRYPTED))
                .await?,
            "tmnxMacsecTxSCStatsEncryptedPkts",
        )?;
        counters.clear = sum(
            &self
                .get(&of(oid::port_stats::ENTRY, oid::port_stats::TX_UNTAGGED))
                .await?,
            "tmnxMacsecPortStatsTxUntaggdPkts",
        )?;
        let mut refused = of(oid::port_stats::ENTRY, oid::port_stats::RX_NO_TAG);
        refused.extend(of(oid::port_stats::ENTRY, oid::port_stats::RX_BAD_TAG));
        counters.refused = sum(&self.get(&refused).await?, "tmnxMacsecPortStatsRx")?;
        counters.accepted = sum(
            &tagged(self.walk(oid::rx_sc::ENTRY, oid::rx_sc::OK).await?),
            "tmnxMacsecRxSCStatsOKPkts",
        )?;
        counters.unknown_key = sum(
            &tagged(self.walk(oid::mka::ENTRY, oid::mka::CKN_NOT_FOUND).await?),
            "tmnxMacsecMkaStatsCknNotFound",
        )?;
        counters.integrity_failures = sum(
            &tagged(
                self.walk(oid::mka::ENTRY, oid::mka::ICV_CHECK_FAILED)
                    .await?,
            ),
            "tmnxMacsecMkaStatsIcvCheckFailed",
        )?;
        Ok(counters)
    }
}
