//! MACsec with MKA by wpa_supplicant, as an `Encryptor` with one channel.

use crate::{
    control::{Kay, Participant, Status},
    supplicant::{ASSOCIATED, Supplicant, partial},
};
use async_trait::async_trait;
use qkd_driver_kit::change_lock::ChangeLock;
use qkd_hal::{
    Capabilities, Descriptor, Device, DeviceMisbehaved, Effect, Encryptor, Error, ErrorKind,
    EventStream, Health, Identity, Key, KeyId, Operation, Result,
    device::HealthState,
    encryptor::{
        ChannelId, ChannelState, ChannelStatus, Confirmation, ConfirmationBasis,
        EncryptorCapabilities, FailureMode, HalfDoneRoll, Hitless, KeyForm, KeyIdForm, KeyRole,
        KeySizes, PolicyOwner, Staged,
    },
    event::EventHub,
    reading::{Reading, ReadingValue as Measure},
    units::Bits,
};
use rand::Rng;
use std::{
    collections::BTreeMap,
    fmt::Write,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::time::Instant;
use zeroize::Zeroizing;

/// Number of octets of the id of a key.
const KEY_ID_BYTES: u8 = 16;
/// Interval at which the daemon is read while a roll is confirmed. wpa_supplicant 2.10 has no event of
/// MKA after `ATTACH`, only of the association of the port, which is before.
const POLL_INTERVAL: Duration = Duration::from_millis(250);
/// The outage of a roll: 3 s to 14 s were measured.
const OUTAGE: Duration = Duration::from_secs(14);
/// Usual longest wait for a confirmation: twice the outage that was measured.
const CONFIRM_TIMEOUT: Duration = Duration::from_secs(30);
/// States of an interface that does not associate of its own.
const STOPPED: [&str; 3] = ["DISCONNECTED", "INACTIVE", "INTERFACE_DISABLED"];
/// Of a baseline: member identifier and CKN of the participant that ran when the key was staged.
const PARTICIPANT: &str = "participant";
/// Of a baseline: there was no participant.
const NO_PARTICIPANT: &str = "none";

/// Changes of the key of the daemon by this handle: the key is not read back.
#[derive(Debug, Clone, Default)]
struct Held {
    /// The key that was set last.
    staged: Option<KeyId>,
    /// The key that was activated last.
    active: Option<KeyId>,
    /// Whether a key that was staged before was destroyed.
    is_zeroized: bool,
}

/// MACsec of a port with MKA by wpa_supplicant.
pub struct LinuxMka {
    descriptor: Descriptor,
    capabilities: Capabilities,
    encryptor: EncryptorCapabilities,
    supplicant: Supplicant,
    port: String,
    events: EventHub,
    turns: ChangeLock,
    held: Mutex<Held>,
}

fn encryptor() -> EncryptorCapabilities {
    let form = KeyForm::new(
        KeyRole::Cak,
        KeySizes::one_of(&[Bits(128), Bits(256)]),
        KeyIdForm::Bytes {
            least: KEY_ID_BYTES,
            most: KEY_ID_BYTES,
        },
    );
    EncryptorCapabilities::forced_reinitialisation(form, Some(OUTAGE))
        .with_activation_of_both()
        .with_hitless(Hitless::no(
            "wpa_supplicant deletes the MACsec interface and makes it again, so that its addresses \
             and routes are lost and must be set again; measured on Linux 6.1 with wpa_supplicant \
             2.10: 3 rolls of 3 s, 2,907 of 5,440 packets lost; 11 s to 14 s where one end was \
             activated later",
        ))
        .with_half_done_roll(HalfDoneRoll::StopsAtActivation)
        .with_evidence(ConfirmationBasis::KeyOnly)
        .with_confirm_timeout(CONFIRM_TIMEOUT)
        .with_policies(PolicyOwner::ByController, PolicyOwner::ByDevice)
}

/// The bytes in hexadecimal digits.
fn digits(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The name of a key that a participant uses.
fn name_of(participant: &Participant) -> String {
    match KeyId::from_bytes(&participant.ckn) {
        Some(id) => id.to_string(),
        None => "without a name".to_owned(),
    }
}

/// The participant as a staged key carries it. No secret is in it.
fn write_baseline(participant: Option<&Participant>) -> BTreeMap<String, String> {
    let text = participant.map_or_else(
        || NO_PARTICIPANT.to_owned(),
        |one| format!("{} {}", digits(&one.member), digits(&one.ckn)),
    );
    [(PARTICIPANT.to_owned(), text)].into()
}

/// Relation of the participant to a key that was staged.
enum Progress<'a> {
    /// It is the one that ran when the key was staged.
    Before,
    /// It is another one, which uses the key; or the key was staged by a process that did not pass
    /// on what it read.
    Uses(&'a Participant),
    /// It is another one, which does not use the key.
    Other(String),
}

fn progress<'a>(status: &'a Status, staged: &Staged) -> Progress<'a> {
    let now = status.participant();
    let before = staged.baseline.get(PARTICIPANT);
    if before.is_some() && write_baseline(now).get(PARTICIPANT) == before {
        return Progress::Before;
    }
    match now {
        Some(now) if now.ckn == staged.key_id.as_bytes() => Progress::Uses(now),
        Some(now) => Progress::Other(format!("the key in use is {}", name_of(now))),
        None => Progress::Other("no key is in use".to_owned()),
    }
}

/// Whether MKA has agreed: it says so before the first SAK exists, and that is not enough.
fn is_secured(kay: &Kay, participant: &Participant) -> bool {
    kay.is_secured && participant.live_peers > 0 && kay.keys > 0
}

/// The state of MKA and of its participant, as text.
fn describe(kay: &Kay, participant: &Participant) -> String {
    let secured = if kay.is_secured {
        "secured"
    } else {
        "not secured"
    };
    format!(
        "key {}: {secured}, live peers: {}, SAKs: {}",
        name_of(participant),
        participant.live_peers,
        kay.keys
    )
}

fn not_ready(why: String) -> Error {
    Error::new(ErrorKind::NotReady, why)
}

impl LinuxMka {
    pub(crate) fn new(
        descriptor: Descriptor,
        supplicant: Supplicant,
        port: String,
        events: EventHub,
    ) -> Self {
        use Operation as Op;
        Self {
            descriptor,
            capabilities: Capabilities::none()
                .with(&[
                    Op::Identity,
                    Op::Telemetry,
                    Op::Channels,
                    Op::Channel,
                    Op::Stage,
                    Op::Activate,
                    Op::Confirm,
                    Op::Zeroize,
                ])
                // The daemon has states, from which the driver infers it.
                .with_emulated(&[Op::Health]),
            encryptor: encryptor(),
            supplicant,
            port,
            events,
            turns: ChangeLock::default(),
            held: Mutex::default(),
        }
    }

    async fn status(&self, operation: Operation) -> Result<Status> {
        self.supplicant
            .status(operation, self.supplicant.until())
            .await
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn check_channel(&self, channel: &ChannelId) -> Result<()> {
        crate::check_channel(channel, &self.port)
    }

    /// The key that this handle activated and that the daemon does not use any more.
    fn lost_key(&self, status: &Status) -> Option<KeyId> {
        let active = self.held().active.clone()?;
        let now = status.participant();
        now.is_none_or(|now| now.ckn != active.as_bytes())
            .then_some(active)
    }

    /// Checks that no other key was staged since by this handle.
    fn check_staged(&self, staged: &Staged) -> Result<()> {
        let held = self.held();
        match &held.staged {
            Some(other) if *other != staged.key_id => Err(not_ready(format!(
                "key {other} was staged after key {}: stage the key again",
                staged.key_id
            ))),
            None if held.is_zeroized => Err(not_ready(format!(
                "the channel was zeroized after key {} was staged: stage a new key",
                staged.key_id
            ))),
            _ => Ok(()),
        }
    }
}

#[async_trait]
impl Device for LinuxMka {
    fn descriptor(&self) -> &Descriptor {
        &self.descriptor
    }
    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    /// The serial number is the identifier of the channel on which the port sends: its MAC address
    /// and port number.
    async fn identity(&self) -> Result<Identity> {
        let status = self.status(Operation::Identity).await?;
        let version = self.supplicant.version(Operation::Identity).await?;
        let identity = Identity::new("Linux")
            .with_model("MACsec by wpa_supplicant")
            .with_firmware(version);
        Ok(match status.kay.and_then(|kay| kay.sci) {
            Some(sci) => identity.with_serial(digits(&sci)),
            None => identity,
        })
    }

    async fn health(&self) -> Result<Health> {
        let status = self.status(Operation::Health).await?;
        let mut faults = Vec::new();
        if status.state != ASSOCIATED {
            faults.push(format!(
                "the port is not associated ({}): check its carrier, and that the network is \
                 enabled",
                status.state
            ));
        }
        match (&status.kay, status.participant()) {
            (Some(kay), _) if kay.has_failed => faults.push("MKA has failed".to_owned()),
            (Some(kay), Some(participant)) if is_secured(kay, participant) => {}
            (Some(kay), Some(participant)) => faults.push(format!(
                "MKA has not agreed ({}): the other end has another key or does not answer",
                describe(kay, participant)
            )),
            _ => faults.push("MKA does not run".to_owned()),
        }
        if let Some(key) = self.lost_key(&status) {
            faults.push(format!(
                "key {key} was activated and is not in use any more: wpa_supplicant has restarted \
                 with the key of its configuration file, or another program has changed the key; \
                 roll a new key to both ends"
            ));
        }
        Ok(Health::from_faults(HealthState::Degraded, faults))
    }

    async fn telemetry(&self) -> Result<Vec<Reading>> {
        let status = self.status(Operation::Telemetry).await?;
        let mut all = Vec::new();
        let mut count = |name: &str, value| {
            all.push(Reading::now(name.to_owned(), Measure::Count(value), ""));
        };
        if let Some(kay) = &status.kay {
            count("saks", kay.keys);
        }
        if let Some(participant) = status.participant() {
            count("live-peers", participant.live_peers);
            count("potential-peers", participant.potential_peers);
            count("mka-messages", participant.messages);
        }
        Ok(all)
    }

    fn events(&self) -> EventStream {
        self.events.subscribe()
    }

    async fn close(&self) -> Result<()> {
        self.supplicant.close().await;
        self.events.close();
        Ok(())
    }
}

#[async_trait]
impl Encryptor for LinuxMka {
    fn encryptor_capabilities(&self) -> &EncryptorCapabilities {
        &self.encryptor
    }

    async fn channels(&self) -> Result<Vec<ChannelId>> {
        self.status(Operation::Channels).await?;
        Ok(vec![ChannelId(self.port.clone())])
    }

    async fn channel(&self, channel: &ChannelId) -> Result<ChannelStatus> {
        self.check_channel(channel)?;
        let status = self.status(Operation::Channel).await?;
        let is_stopped = STOPPED.contains(&status.state.as_str());
        let (state, word) = match (&status.kay, status.participant()) {
            (Some(kay), Some(participant)) => {
                let state = match participant {
                    one if is_secured(kay, one) => ChannelState::Encrypting,
                    _ if is_stopped => ChannelState::Disabled,
                    _ if kay.has_failed || self.lost_key(&status).is_some() => ChannelState::Failed,
                    one if one.live_peers + one.potential_peers > 0 => ChannelState::Exchanging,
                    _ => ChannelState::Initialising,
                };
                (state, describe(kay, participant))
            }
            _ if is_stopped => (ChannelState::Disabled, "MKA does not run".to_owned()),
            _ => (ChannelState::Initialising, "MKA does not run".to_owned()),
        };
        // While the interface does not exist, packets take whatever route is left: that is a
        // setting of the host, which the control interface does not show.
        Ok(ChannelStatus::new(channel.clone(), state)
            .with_vendor_state(format!("{}, {word}", status.state))
            .with_failure_mode(FailureMode::Unknown))
    }

    async fn stage(&self, channel: &ChannelId, key: &Key) -> Result<Staged> {
        self.check_channel(channel)?;
        let form = self.encryptor.key.as_ref();
        form.map_or(Ok(()), |form| form.check(key))?;
        let until = self.supplicant.until();
        let _turn = self.turns.lock(until).await?;
        let status = self.supplicant.status(Operation::Stage, until).await?;
        // Unless the first command is refused, a key that was staged before is overwritten.
        let before = self.held().clone();
        self.held().staged = Some(key.id().clone());
        let (cak, ckn) = (key.expose(), key.id().as_bytes());
        let set = self
            .supplicant
            .set_key(Operation::Stage, cak, ckn, until)
            .await;
        if let Err(error) = set {
            if error.effect() == Effect::None {
                *self.held() = before;
            }
            return Err(error);
        }
        let evidence = "wpa_supplicant accepted the CAK and its name, which cannot be read back; \
                        they are used when the port reassociates";
        Ok(
            Staged::new(channel.clone(), key.id().clone(), None, evidence)
                .with_baseline(write_baseline(status.participant())),
        )
    }

    /// A key that is in use already is not activated again: that would interrupt traffic.
    async fn activate(&self, staged: &Staged) -> Result<()> {
        self.check_channel(&staged.channel)?;
        let until = self.supplicant.until();
        let _turn = self.turns.lock(until).await?;
        self.check_staged(staged)?;
        let status = self.supplicant.status(Operation::Activate, until).await?;
        let id = &staged.key_id;
        match progress(&status, staged) {
            Progress::Uses(_) => {}
            Progress::Other(what) => {
                return Err(not_ready(format!(
                    "key {id} is not known to be staged, and {what}: wpa_supplicant has restarted \
                     or reassociated since, or the key was never staged; stage the key again"
                )));
            }
            Progress::Before => {
                let now = self
                    .supplicant
                    .reassociate(Operation::Activate, status.participant(), until)
                    .await?;
                if now.ckn != id.as_bytes() {
                    let what = format!(
                        "wpa_supplicant has reassociated with key {} instead of key {id}: another \
                         program has set it, or wpa_supplicant has restarted; stage the key \
                         again at both ends",
                        name_of(&now)
                    );
                    return Err(Error::misbehaved(DeviceMisbehaved::ChangeNotApplied, what)
                        .with_effect(Effect::Partial));
                }
            }
        }
        self.held().active = Some(id.clone());
        Ok(())
    }

    async fn confirm(&self, staged: &Staged, longest: Duration) -> Result<Confirmation> {
        self.check_channel(&staged.channel)?;
        let end = Instant::now() + longest;
        loop {
            if let Err(e) = self.check_staged(staged) {
                return Ok(Confirmation::new(staged, false, e.message()));
            }
            let status = self.status(Operation::Confirm).await?;
            let (is_confirmed, evidence) = match (progress(&status, staged), &status.kay) {
                (Progress::Uses(participant), Some(kay)) => {
                    let shown = describe(kay, participant);
                    match is_secured(kay, participant) {
                        true => (true, shown),
                        false => (
                            false,
                            format!(
                                "{shown}: the other end was not activated, does not answer, or \
                                 has another key"
                            ),
                        ),
                    }
                }
                (Progress::Other(what), _) => {
                    let evidence = format!(
                        "{what}: wpa_supplicant has restarted with the key of its configuration \
                         file, or another program has changed the key; stage the key again"
                    );
                    return Ok(Confirmation::new(staged, false, evidence));
                }
                (Progress::Before, _) | (Progress::Uses(_), None) => (
                    false,
                    "MKA still runs as before the key was staged: activate it".to_owned(),
                ),
            };
            if is_confirmed || Instant::now() >= end {
                return Ok(Confirmation::new(staged, is_confirmed, evidence));
            }
            tokio::time::sleep_until((Instant::now() + POLL_INTERVAL).min(end)).await;
        }
    }

    /// Sets a random key that no other device has, and reassociates: the participant of the key
    /// before ends, and none agrees until a key is rolled to both ends. A key in the configuration
    /// file stays there.
    async fn zeroize(&self, channel: &ChannelId) -> Result<()> {
        self.check_channel(channel)?;
        let until = self.supplicant.until();
        let _turn = self.turns.lock(until).await?;
        let operation = Operation::Zeroize;
        let status = self.supplicant.status(operation, until).await?;
        let mut cak = Zeroizing::new([0; 16]);
        let mut ckn = [0; KEY_ID_BYTES as usize];
        rand::rng().fill_bytes(cak.as_mut_slice());
        rand::rng().fill_bytes(&mut ckn);
        let before = self.held().clone();
        *self.held() = Held {
            is_zeroized: true,
            ..Held::default()
        };
        let set = self
            .supplicant
            .set_key(operation, cak.as_slice(), &ckn, until)
            .await;
        if let Err(error) = set {
            if error.effect() == Effect::None {
                *self.held() = before;
            }
            return Err(error);
        }
        let now = self
            .supplicant
            .reassociate(operation, status.participant(), until)
            .await
            .map_err(partial)?;
        if now.ckn == ckn {
            return Ok(());
        }
        let what = "wpa_supplicant accepted a random key and reassociated with another one";
        Err(Error::misbehaved(DeviceMisbehaved::ChangeNotApplied, what)
            .with_effect(Effect::Partial))
    }
}
