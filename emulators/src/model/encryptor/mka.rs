//! Two slots: MACsec Key Agreement (IEEE 802.1X-2020, clause 9) with two pre-shared keys at each
//! end.
//!
//! Keys of both slots are accepted inbound; the active slot protects sent traffic. The ends are
//! live peers of each other when each holds the key name and key with which the other sends. The
//! key server (lower priority; the first end on a tie) then generates a traffic key (SAK) after
//! each change of its own active key. A key name that an end does not hold counts as "CKN not
//! found" there, a known name with another key as a failed integrity check, once for each hello.

use super::{FrameMeter, Listeners, Traffic};
use crate::{
    clock::Clock,
    fault::{ApplyDeviceFault, DeviceFault},
    model::{
        DeviceBase,
        change_faults::{ChangeFaults, ChangeRefusal},
        device_base::impl_device,
        fingerprint,
    },
};
use async_trait::async_trait;
use qkd_hal::{
    Capabilities, DeviceKind, Encryptor, Error, ErrorKind, Health, Identity, Key, KeyId, Operation,
    Result,
    encryptor::{
        ChannelId, ChannelState, ChannelStatus, Confirmation, Confirmed, EncryptorCapabilities,
        FailureMode, KeyForm, KeyIdForm, KeyRole, KeySizes, Slot, Staged, TrafficCounters,
    },
    units::Bits,
};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha12Rng;
use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use zeroize::Zeroizing;

/// A pre-shared key: connectivity association key and its name.
#[derive(Clone)]
pub struct Psk {
    /// CKN, 1 to 32 bytes.
    pub ckn: Vec<u8>,
    /// CAK, 16 or 32 bytes.
    pub cak: Zeroizing<Vec<u8>>,
    /// When it was written.
    pub changed: Duration,
}

/// A traffic key (secure association key).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sak {
    /// Association number, 0 to 3.
    pub an: u8,
    /// Key identifier: member identifier and key number.
    pub ki: [u8; 16],
    /// Key number of the SAK.
    pub number: u32,
    /// The name of the key under which it was distributed.
    pub ckn: Vec<u8>,
}

/// Counters of one end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct MkaCounters {
    /// Key agreement messages with a name that the end does not hold.
    pub ckn_not_found: u64,
    /// Key agreement messages that failed their integrity check.
    pub icv_failed: u64,
    /// Number of generated SAKs.
    pub sak_generated: u64,
    /// SAKs installed for sending.
    pub sak_tx: u64,
    /// SAKs installed for receiving.
    pub sak_rx: u64,
    /// Number of times that the peer became live.
    pub new_live_peer: u64,
    /// Key agreement messages sent.
    pub messages: u64,
}

/// Event at one end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MkaEvent {
    /// Another slot is active.
    Rollover {
        /// Number of the slot, 1 or 2.
        slot: u8,
    },
    /// The peer became live (802.1X).
    Established,
    /// The peer is no longer live (802.1X).
    Ended,
    /// The end made a SAK as key server.
    SakCreated(Sak),
    /// A SAK was installed for receiving.
    SakRx(Sak),
    /// A SAK was installed for sending.
    SakTx(Sak),
    /// An alarm that was asked for.
    Alarm(String),
}

struct End {
    slots: [Option<Psk>; 2],
    active: u8,
    priority: u8,
    in_service: bool,
    counters: MkaCounters,
    mismatch: FrameMeter,
    hello: FrameMeter,
}

struct State {
    ends: [End; 2],
    sak: Option<Sak>,
    previous: Option<Sak>,
    traffic: [Traffic; 2],
    meters: [FrameMeter; 2],
    keys: u32,
    settled: Duration,
    cut: bool,
    random: ChaCha12Rng,
}

impl End {
    fn active_key(&self) -> Option<&Psk> {
        self.slots
            .get(usize::from(self.active) - 1)?
            .as_ref()
            .filter(|_| self.in_service)
    }
    fn holds(&self, key: &Psk) -> bool {
        self.in_service
            && self
                .slots
                .iter()
                .flatten()
                .any(|p| p.ckn == key.ckn && p.cak == key.cak)
    }
    fn knows(&self, key: &Psk) -> bool {
        self.slots.iter().flatten().any(|p| p.ckn == key.ckn)
    }
}

impl State {
    fn server(&self) -> usize {
        usize::from(self.ends[1].priority < self.ends[0].priority)
    }
    fn is_active(&self) -> bool {
        let [a, b] = &self.ends;
        !self.cut
            && a.active_key().is_some_and(|k| b.holds(k))
            && b.active_key().is_some_and(|k| a.holds(k))
    }
}

/// Why it was not done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MkaRefusal {
    /// The slot holds no key.
    EmptySlot,
    /// The slot does not exist.
    NoSuchSlot,
    /// A fault refused the change.
    Gate(ChangeRefusal),
}

/// A linked pair; ends are 0 and 1.
pub struct MkaLink {
    clock: Clock,
    /// Frames per second offered in each direction.
    offered: f64,
    hello: f64,
    gates: [ChangeFaults; 2],
    state: Mutex<State>,
    listeners: Listeners<MkaEvent>,
}

impl MkaLink {
    /// Creates a pair without keys, in service at both ends, to which 1000 frames per second are
    /// offered in each direction, with hellos every 2 s.
    #[must_use]
    pub fn new(clock: Clock, seed: u64) -> Arc<Self> {
        let end = |priority| End {
            slots: [None, None],
            active: 1,
            priority,
            in_service: true,
            counters: MkaCounters::default(),
            mismatch: FrameMeter::default(),
            hello: FrameMeter::default(),
        };
        let settled = clock.now();
        let state = State {
            ends: [end(16), end(16)],
            sak: None,
            previous: None,
            traffic: Default::default(),
            meters: Default::default(),
            keys: 0,
            settled,
            cut: false,
            random: ChaCha12Rng::seed_from_u64(seed),
        };
        Arc::new(Self {
            clock,
            offered: 1000.0,
            hello: 2.0,
            gates: Default::default(),
            state: Mutex::new(state),
            listeners: Listeners::default(),
        })
    }
    /// Tells what happens, with the number of the end.
    pub fn listen(&self, listener: impl Fn(usize, &MkaEvent) + Send + Sync + 'static) {
        self.listeners.add(listener);
    }
    /// Returns the clock of the pair.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.clock
    }
    /// Refused changes of an end.
    #[must_use]
    pub fn change_faults(&self, end: usize) -> &ChangeFaults {
        &self.gates[end & 1]
    }

    /// Lets time pass: traffic flows or is dropped, as the keys are.
    fn settle(&self) -> MutexGuard<'_, State> {
        let now = self.clock.now();
        let mut guard = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let state = &mut *guard;
        let seconds = now.saturating_sub(state.settled).as_secs_f64();
        state.settled = now;
        let passes = state.sak.is_some() && state.is_active();
        for from in 0..2 {
            let frames = state.meters[from].frames(seconds, self.offered);
            let key = state.ends[from].active_key().cloned();
            let traffic = &mut state.traffic[from];
            match &key {
                _ if passes => {
                    traffic.encrypted += frames;
                    traffic.accepted += frames;
                }
                Some(_) if state.cut => traffic.blocked += frames,
                // Without a live peer there is no SAK to send with.
                _ => traffic.blocked += frames,
            }
            let hellos = state.ends[from]
                .hello
                .frames(if key.is_some() { seconds } else { 0.0 }, 1.0 / self.hello);
            state.ends[from].counters.messages += hellos;
            if let (Some(key), false) = (key, state.cut) {
                let other = &mut state.ends[1 - from];
                if other.in_service && !other.holds(&key) {
                    let missed = other.mismatch.frames(seconds, 1.0 / self.hello);
                    if other.knows(&key) {
                        other.counters.icv_failed += missed
                    } else {
                        other.counters.ckn_not_found += missed
                    }
                }
            }
        }
        guard
    }

    fn change<T>(&self, edit: impl FnOnce(&mut State, &mut Vec<(usize, MkaEvent)>) -> T) -> T {
        let mut events = Vec::new();
        let mut guard = self.settle();
        let was_live = guard.sak.is_some();
        let result = edit(&mut guard, &mut events);
        let state = &mut *guard;
        let has_live_peer = state.is_active();
        let server = state.server();
        if has_live_peer {
            let ckn = state.ends[server]
                .active_key()
                .map(|k| k.ckn.clone())
                .unwrap_or_default();
            if !was_live {
                for end in 0..2 {
                    state.ends[end].counters.new_live_peer += 1;
                    events.push((end, MkaEvent::Established));
                }
            }
            if state.sak.as_ref().is_none_or(|s| s.ckn != ckn) {
                state.keys += 1;
                let mut ki = [0; 16];
                state.random.fill_bytes(&mut ki[..12]);
                ki[12..].copy_from_slice(&state.keys.to_be_bytes());
                let sak = Sak {
                    an: (state.keys & 3) as u8,
                    ki,
                    number: state.keys,
                    ckn,
                };
                state.previous = state.sak.replace(sak.clone());
                state.ends[server].counters.sak_generated += 1;
                events.push((server, MkaEvent::SakCreated(sak.clone())));
                for end in [1 - server, server] {
                    state.ends[end].counters.sak_rx += 1;
                    events.push((end, MkaEvent::SakRx(sak.clone())));
                }
                for end in [server, 1 - server] {
                    state.ends[end].counters.sak_tx += 1;
                    events.push((end, MkaEvent::SakTx(sak.clone())));
                }
            }
        } else if was_live {
            state.previous = state.sak.take();
            events.extend((0..2).map(|end| (end, MkaEvent::Ended)));
        }
        drop(guard);
        self.listeners.notify(events);
        result
    }

    fn slot(number: u8) -> std::result::Result<usize, MkaRefusal> {
        if (1..=2).contains(&number) {
            Ok(usize::from(number) - 1)
        } else {
            Err(MkaRefusal::NoSuchSlot)
        }
    }

    /// Writes a slot, 1 or 2.
    ///
    /// # Errors
    /// See [`MkaRefusal`].
    pub fn write_slot(
        &self,
        end: usize,
        number: u8,
        ckn: &[u8],
        cak: Zeroizing<Vec<u8>>,
    ) -> std::result::Result<(), MkaRefusal> {
        let slot = Self::slot(number)?;
        self.gates[end & 1].check().map_err(MkaRefusal::Gate)?;
        let changed = self.clock.now();
        self.change(|s, _| {
            s.ends[end & 1].slots[slot] = Some(Psk {
                ckn: ckn.to_vec(),
                cak,
                changed,
            })
        });
        Ok(())
    }
    /// Empties a slot.
    ///
    /// # Errors
    /// See [`MkaRefusal`].
    pub fn destroy_slot(&self, end: usize, number: u8) -> std::result::Result<(), MkaRefusal> {
        let slot = Self::slot(number)?;
        self.gates[end & 1].check().map_err(MkaRefusal::Gate)?;
        self.change(|s, _| s.ends[end & 1].slots[slot].take())
            .map(drop)
            .ok_or(MkaRefusal::EmptySlot)
    }
    /// Selects the slot that protects sent traffic.
    ///
    /// # Errors
    /// `EmptySlot` (chosen by this project: the behaviour of a real device is not published);
    /// others as in [`MkaRefusal`].
    pub fn set_active(&self, end: usize, number: u8) -> std::result::Result<(), MkaRefusal> {
        let slot = Self::slot(number)?;
        self.change(|s, events| {
            let it = &mut s.ends[end & 1];
            if it.slots[slot].is_none() {
                return Err(MkaRefusal::EmptySlot);
            }
            self.gates[end & 1].check().map_err(MkaRefusal::Gate)?;
            if it.active != number {
                it.active = number;
                events.push((end & 1, MkaEvent::Rollover { slot: number }));
            }
            Ok(())
        })
    }
    /// The key server priority of an end.
    pub fn set_priority(&self, end: usize, priority: u8) {
        self.change(|s, _| s.ends[end & 1].priority = priority);
    }
    /// Puts an end in service, or out of it.
    pub fn set_in_service(&self, end: usize, on: bool) {
        self.change(|s, _| s.ends[end & 1].in_service = on);
    }

    /// Returns the state of an end that commands can change, as text; keys are shown as names and
    /// fingerprints.
    #[must_use]
    pub fn state(&self, end: usize) -> String {
        let state = self.settle();
        let end = &state.ends[end & 1];
        let mut lines = vec![format!(
            "active: {}, priority: {}, in service: {}",
            end.active, end.priority, end.in_service
        )];
        for (slot, key) in (1..).zip(&end.slots) {
            lines.push(match key {
                Some(key) => format!(
                    "slot {slot}: {} ({}), written at {} ms",
                    hex::encode(&key.ckn),
                    fingerprint(&key.cak),
                    key.changed.as_millis()
                ),
                None => format!("slot {slot}: empty"),
            });
        }
        lines.join("\n")
    }
    /// Name and age of the key of a slot, and whether it has 256 bits.
    #[must_use]
    pub fn slot_of(&self, end: usize, number: u8) -> Option<(Vec<u8>, Duration, bool)> {
        let slot = Self::slot(number).ok()?;
        self.settle().ends[end & 1].slots[slot]
            .as_ref()
            .map(|p| (p.ckn.clone(), p.changed, p.cak.len() == 32))
    }
    /// Returns the active slot, 1 or 2.
    #[must_use]
    pub fn active(&self, end: usize) -> u8 {
        self.settle().ends[end & 1].active
    }
    /// The key server priority.
    #[must_use]
    pub fn priority(&self, end: usize) -> u8 {
        self.settle().ends[end & 1].priority
    }
    /// Whether an end is in service.
    #[must_use]
    pub fn is_in_service(&self, end: usize) -> bool {
        self.settle().ends[end & 1].in_service
    }
    /// Whether an end is the key server.
    #[must_use]
    pub fn is_server(&self, end: usize) -> bool {
        self.settle().server() == end & 1
    }
    /// The traffic keys now and before.
    #[must_use]
    pub fn saks(&self) -> (Option<Sak>, Option<Sak>) {
        let state = self.settle();
        (state.sak.clone(), state.previous.clone())
    }
    /// Returns the counters of an end.
    #[must_use]
    pub fn counters(&self, end: usize) -> MkaCounters {
        self.settle().ends[end & 1].counters
    }
    /// The traffic that an end sends.
    #[must_use]
    pub fn traffic_from(&self, end: usize) -> Traffic {
        self.settle().traffic[end & 1]
    }
}

/// One end's view, for faults.
pub(crate) fn apply(
    link: &MkaLink,
    base: [&DeviceBase; 2],
    end: usize,
    fault: &DeviceFault,
) -> std::result::Result<(), String> {
    match fault {
        DeviceFault::Refuse(n) => link.change_faults(end).refuse(*n),
        DeviceFault::Full => link.change_faults(end).set_full(true),
        DeviceFault::Identity(serial) => base[end & 1].replace_device(serial),
        DeviceFault::Cut(_) => link.change(|s, _| s.cut = true),
        DeviceFault::Alarm(text) => link
            .listeners
            .notify(vec![(end, MkaEvent::Alarm(text.clone()))]),
        DeviceFault::Fail => link.set_in_service(end, false),
        DeviceFault::Operator(command) => {
            let done = match command.split_once(':') {
                Some(("activate", n)) => {
                    link.set_active(end, n.parse().map_err(|_| format!("invalid slot `{n}`"))?)
                }
                Some(("destroy", n)) => {
                    link.destroy_slot(end, n.parse().map_err(|_| format!("invalid slot `{n}`"))?)
                }
                _ => {
                    return Err(format!(
                        "invalid operator action `{command}`; expected one of: activate:N, \
                         destroy:N"
                    ));
                }
            };
            done.map_err(|r| format!("{r:?}"))?;
        }
        DeviceFault::Clear => {
            (0..2).for_each(|e| link.change_faults(e).clear());
            link.change(|s, _| {
                s.cut = false;
                s.ends.iter_mut().for_each(|e| e.in_service = true);
            });
        }
        other => return Err(format!("a MACsec pair has no fault {other:?}")),
    }
    Ok(())
}

/// One end of a pair, as the contract sees it.
pub struct MkaEndpoint {
    base: DeviceBase,
    link: Arc<MkaLink>,
    end: usize,
    channel: ChannelId,
    limits: EncryptorCapabilities,
}

impl MkaEndpoint {
    /// End 0 or 1, with one channel of this name.
    #[must_use]
    pub fn new(link: Arc<MkaLink>, end: usize, channel: &str, identity: Identity) -> Self {
        use Operation as O;
        let operations = [
            O::Identity,
            O::Health,
            O::Channels,
            O::Channel,
            O::Stage,
            O::Activate,
            O::Confirm,
            O::Retire,
            O::Zeroize,
            O::Counters,
        ];
        Self {
            base: DeviceBase::new(
                DeviceKind::Encryptor,
                identity,
                Capabilities::none().with(&operations),
            ),
            link,
            end,
            channel: channel.into(),
            limits: EncryptorCapabilities::two_slot(
                2,
                true,
                KeyForm::new(
                    KeyRole::Cak,
                    KeySizes::one_of(&[Bits(128), Bits(256)]),
                    KeyIdForm::Bytes { least: 1, most: 32 },
                ),
            ),
        }
    }
    /// Returns the state that all models share.
    #[must_use]
    pub fn base(&self) -> &DeviceBase {
        &self.base
    }
    /// Returns the pair to which the end belongs.
    #[must_use]
    pub fn link(&self) -> &Arc<MkaLink> {
        &self.link
    }
    /// Returns the number of the end, 0 or 1.
    #[must_use]
    pub fn end(&self) -> usize {
        self.end
    }
    /// Returns the name of the channel.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.channel.0
    }
    fn known(&self, channel: &ChannelId) -> Result<()> {
        if *channel == self.channel {
            Ok(())
        } else {
            Err(Error::new(
                ErrorKind::NotFound,
                format!("there is no channel {channel}; there is {}", self.channel),
            ))
        }
    }
}

impl ApplyDeviceFault for MkaEndpoint {
    fn apply(&self, fault: &DeviceFault) -> std::result::Result<(), String> {
        apply(&self.link, [&self.base, &self.base], self.end, fault)
    }
}

fn refused(operation: Operation, refusal: MkaRefusal) -> Error {
    let kind = if refusal == MkaRefusal::EmptySlot {
        ErrorKind::NotReady
    } else {
        ErrorKind::Refused
    };
    Error::new(kind, format!("the encryptor refused: {refusal:?}")).with_operation(operation.name())
}

impl_device! { MkaEndpoint, base,
    async fn health(&self) -> Result<Health> {
        Ok(Health::ok())
    }
}

#[async_trait]
impl Encryptor for MkaEndpoint {
    fn encryptor_capabilities(&self) -> &EncryptorCapabilities {
        &self.limits
    }
    async fn channels(&self) -> Result<Vec<ChannelId>> {
        Ok(vec![self.channel.clone()])
    }
    async fn channel(&self, channel: &ChannelId) -> Result<ChannelStatus> {
        self.known(channel)?;
        let active = self.link.active(self.end);
        let slots = (1..=2)
            .filter_map(|n| {
                self.link
                    .slot_of(self.end, n)
                    .map(|(ckn, ..)| Slot::new(n, KeyId::from_bytes(&ckn), n == active))
            })
            .collect();
        let state = match () {
            () if !self.link.is_in_service(self.end) => ChannelState::Disabled,
            () if self.link.saks().0.is_some() => ChannelState::Encrypting,
            () => ChannelState::Initialising,
        };
        Ok(ChannelStatus::new(self.channel.clone(), state)
            .with_slots(slots)
            .with_failure_mode(FailureMode::Block))
    }
    async fn stage(&self, channel: &ChannelId, key: &Key) -> Result<Staged> {
        self.known(channel)?;
        if let Some(form) = &self.limits.key {
            form.check(key)?;
        }
        let slot = 3 - self.link.active(self.end);
        let cak = Zeroizing::new(key.expose().to_vec());
        self.link
            .write_slot(self.end, slot, key.id().as_bytes(), cak)
            .map_err(|r| refused(Operation::Stage, r))?;
        Ok(Staged::new(
            channel.clone(),
            key.id().clone(),
            Some(slot),
            "written",
        ))
    }
    async fn activate(&self, staged: &Staged) -> Result<()> {
        self.known(&staged.channel)?;
        self.link
            .set_active(self.end, staged.slot.unwrap_or_default())
            .map_err(|r| refused(Operation::Activate, r))
    }
    async fn confirm(&self, staged: &Staged, _longest: Duration) -> Result<Confirmation> {
        self.known(&staged.channel)?;
        let protects = self
            .link
            .saks()
            .0
            .is_some_and(|s| s.ckn == staged.key_id.as_bytes());
        Ok(Confirmation::new(
            staged,
            protects,
            if protects {
                "the SAK was distributed under this key"
            } else {
                "no SAK under this key"
            },
        ))
    }
    async fn retire(&self, confirmed: &Confirmed) -> Result<()> {
        let staged = confirmed.staged();
        self.known(&staged.channel)?;
        let slot = staged.slot.filter(|s| *s == self.link.active(self.end));
        let Some(slot) = slot else {
            return Err(Error::new(
                ErrorKind::NotReady,
                "the key before this one is still in use",
            ));
        };
        self.link
            .destroy_slot(self.end, 3 - slot)
            .map_err(|r| refused(Operation::Retire, r))
    }
    async fn zeroize(&self, channel: &ChannelId) -> Result<()> {
        self.known(channel)?;
        for slot in 1..=2 {
            match self.link.destroy_slot(self.end, slot) {
                Ok(()) | Err(MkaRefusal::EmptySlot) => {}
                Err(r) => return Err(refused(Operation::Zeroize, r)),
            }
        }
        Ok(())
    }
    async fn counters(&self, channel: &ChannelId) -> Result<TrafficCounters> {
        self.known(channel)?;
        let (sent, received, mka) = (
            self.link.traffic_from(self.end),
            self.link.traffic_from(1 - self.end),
            self.link.counters(self.end),
        );
        let mut counters = TrafficCounters::default();
        counters.encrypted = Some(sent.encrypted);
        counters.accepted = Some(received.accepted);
        counters.refused = Some(received.refused);
        counters.clear = Some(sent.clear);
        counters.unknown_key = Some(mka.ckn_not_found);
        counters.integrity_failures = Some(mka.icv_failed);
        Ok(counters)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair() -> (Arc<MkaLink>, Clock) {
        let clock = Clock::manual();
        (MkaLink::new(clock.clone(), 1), clock)
    }
    fn write(link: &MkaLink, end: usize, slot: u8, name: u8, key: u8) {
        link.write_slot(end, slot, &[name; 16], Zeroizing::new(vec![key; 32]))
            .unwrap();
    }

    #[test]
    fn traffic_needs_the_same_key_at_both_ends() {
        let (link, clock) = pair();
        clock.advance(Duration::from_secs(1));
        assert_eq!(
            link.traffic_from(0),
            Traffic {
                blocked: 1000,
                ..Traffic::default()
            }
        );
        write(&link, 0, 1, 1, 1);
        clock.advance(Duration::from_secs(1));
        assert_eq!(link.traffic_from(0).dropped(), 2000);
        write(&link, 1, 1, 1, 1);
        clock.advance(Duration::from_secs(1));
        let sent = link.traffic_from(0);
        assert_eq!(
            (sent.encrypted, sent.accepted, sent.dropped()),
            (1000, 1000, 2000)
        );
    }

    #[test]
    fn a_roll_over_two_slots_drops_nothing() {
        let (link, clock) = pair();
        for end in 0..2 {
            write(&link, end, 1, 1, 1);
        }
        let before = link.saks().0.unwrap();
        let step = || clock.advance(Duration::from_millis(700));
        for end in 0..2 {
            write(&link, end, 2, 2, 2);
            step();
        }
        for end in [1, 0] {
            link.set_active(end, 2).unwrap();
            step();
        }
        for end in 0..2 {
            link.destroy_slot(end, 1).unwrap();
            step();
        }
        assert_eq!(
            link.traffic_from(0).dropped() + link.traffic_from(1).dropped(),
            0
        );
        assert_eq!(link.traffic_from(0).accepted, 4200);
        let after = link.saks().0.unwrap();
        assert!(after.number == before.number + 1 && after.ki != before.ki && after.ckn == [2; 16]);
        assert_eq!(
            (link.counters(0).ckn_not_found, link.counters(0).icv_failed),
            (0, 0)
        );
    }

    #[test]
    fn different_names_and_different_keys_are_distinguished() {
        let (link, clock) = pair();
        write(&link, 0, 1, 1, 1);
        write(&link, 1, 1, 2, 1);
        clock.advance(Duration::from_secs(10));
        assert_eq!(
            (link.counters(1).ckn_not_found, link.counters(1).icv_failed),
            (5, 0)
        );
        write(&link, 1, 1, 1, 9);
        clock.advance(Duration::from_secs(10));
        assert_eq!(
            (link.counters(1).ckn_not_found, link.counters(1).icv_failed),
            (5, 5)
        );
        assert_eq!(link.set_active(0, 2), Err(MkaRefusal::EmptySlot));
        assert_eq!(link.traffic_from(0).accepted, 0);
    }

    #[test]
    fn a_removed_active_key_ends_the_session() {
        let (link, _) = pair();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let log = seen.clone();
        link.listen(move |end, event| log.lock().unwrap().push((end, event.clone())));
        (0..2).for_each(|end| write(&link, end, 1, 1, 1));
        link.destroy_slot(0, 1).unwrap();
        let seen = seen.lock().unwrap();
        assert!(
            seen.contains(&(0, MkaEvent::Established)) && seen.contains(&(1, MkaEvent::Ended)),
            "{seen:?}"
        );
        assert_eq!(link.saks().0, None);
    }
}
