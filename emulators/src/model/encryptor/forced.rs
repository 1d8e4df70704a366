//! Forced re-initialisation: one secret at each end, and a state machine that a command restarts.
//!
//! The states are init, exchange, key derivation, active. The exchange compares the secrets; if
//! they differ, it fails, raises an alarm and is repeated. Traffic passes only in the active state.
//! This project chose the durations (0.5, 1 and 0.5 s; a new attempt after 10 s), because no vendor
//! publishes them.

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
    Capabilities, DeviceKind, Encryptor, Error, ErrorKind, Health, Identity, Key, Operation,
    Result,
    encryptor::{
        ChannelId, ChannelState, ChannelStatus, Confirmation, EncryptorCapabilities, KeyForm,
        KeyIdForm, KeyRole, KeySizes, Staged,
    },
    units::Bits,
};
use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use zeroize::Zeroizing;

/// State of the key exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExchangeState {
    /// The exchange has not started.
    Init,
    /// The exchange is in progress.
    Exchange,
    /// Deriving the traffic key.
    Derivation,
    /// The traffic key is in use.
    Active,
}

/// When each state is over.
const INIT: Duration = Duration::from_millis(500);
const EXCHANGE: Duration = Duration::from_millis(1500);
const DERIVATION: Duration = Duration::from_secs(2);
const RETRY: Duration = Duration::from_secs(10);
/// The gap of a restart.
pub const REKEY_OUTAGE: Duration = DERIVATION;

/// Event at one end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ForcedEvent {
    /// The exchange changed to this state.
    Stage(ExchangeState),
    /// The exchange failed (`true`), or does so no more.
    ExchangeFailed(bool),
    /// An alarm that was asked for.
    Alarm(String),
}

struct End {
    secret: Option<Zeroizing<Vec<u8>>>,
    enabled: bool,
    locked: bool,
    period: Duration,
    /// Number of restarts that were forced at this end.
    forced: u64,
    failed: bool,
    stage: ExchangeState,
}

struct State {
    ends: [End; 2],
    /// When the present try began.
    began: Duration,
    /// Whether the secrets agreed in it; `None` before the exchange.
    agreed: Option<bool>,
    settled: Duration,
    cut: bool,
    traffic: [Traffic; 2],
    meters: [FrameMeter; 2],
}

impl State {
    fn secrets_agree(&self) -> bool {
        let [a, b] = &self.ends;
        !self.cut && a.enabled && b.enabled && a.secret.is_some() && a.secret == b.secret
    }
    fn restart(&mut self, at: Duration) {
        (self.began, self.agreed) = (at, None);
    }
    fn stage(&self) -> ExchangeState {
        match self.settled.saturating_sub(self.began) {
            _ if !self.ends.iter().all(|e| e.enabled) => ExchangeState::Init,
            t if t < INIT => ExchangeState::Init,
            _ if self.agreed == Some(false) => ExchangeState::Exchange,
            t if t < EXCHANGE => ExchangeState::Exchange,
            t if t < DERIVATION => ExchangeState::Derivation,
            _ => ExchangeState::Active,
        }
    }
    /// Returns the time of the next automatic state change.
    fn next(&self) -> Duration {
        let in_try = self.settled.saturating_sub(self.began);
        let period = self
            .ends
            .iter()
            .map(|e| e.period)
            .filter(|p| !p.is_zero())
            .min();
        let step = [INIT, EXCHANGE, DERIVATION]
            .into_iter()
            .find(|t| *t > in_try);
        self.began
            + match (self.agreed, step) {
                (Some(false), _) => RETRY,
                (_, Some(step)) => step,
                (_, None) => period.unwrap_or(Duration::MAX / 2).max(DERIVATION),
            }
    }
    fn publish(&mut self, events: &mut Vec<(usize, ForcedEvent)>) {
        let stage = self.stage();
        let failed = self.agreed == Some(false);
        for (i, end) in self.ends.iter_mut().enumerate() {
            if end.stage != stage {
                end.stage = stage;
                events.push((i, ForcedEvent::Stage(stage)));
            }
            // An alarm stays active during a new attempt and is cleared when the attempt succeeds.
            let alarm = failed || (end.failed && self.agreed.is_none());
            if end.failed != alarm {
                end.failed = alarm;
                events.push((i, ForcedEvent::ExchangeFailed(alarm)));
            }
        }
    }
    fn flow(&mut self, until: Duration, offered: f64) {
        let seconds = until.saturating_sub(self.settled).as_secs_f64();
        let (stage, off) = (self.stage(), self.ends.iter().all(|e| !e.enabled));
        for (traffic, meter) in self.traffic.iter_mut().zip(&mut self.meters) {
            let frames = meter.frames(seconds, offered);
            match stage {
                ExchangeState::Active if !self.cut => {
                    traffic.encrypted += frames;
                    traffic.accepted += frames;
                }
                _ if off && !self.cut => traffic.clear += frames,
                _ => traffic.blocked += frames,
            }
        }
        self.settled = until;
    }
}

/// A linked pair; ends are 0 and 1.
pub struct ForcedRekeyLink {
    clock: Clock,
    offered: f64,
    gates: [ChangeFaults; 2],
    state: Mutex<State>,
    listeners: Listeners<ForcedEvent>,
}

impl ForcedRekeyLink {
    /// Creates an encrypting pair with the same first secret at both ends, to which 1000 frames per
    /// second are offered in each direction.
    #[must_use]
    pub fn new(clock: Clock, secret: &[u8]) -> Arc<Self> {
        let end = || End {
            secret: Some(Zeroizing::new(secret.to_vec())),
            enabled: true,
            locked: false,
            period: Duration::ZERO,
            forced: 0,
            failed: false,
            stage: ExchangeState::Init,
        };
        let settled = clock.now();
        let state = State {
            ends: [end(), end()],
            began: settled,
            agreed: None,
            settled,
            cut: false,
            traffic: Default::default(),
            meters: Default::default(),
        };
        Arc::new(Self {
            clock,
            offered: 1000.0,
            gates: Default::default(),
            state: Mutex::new(state),
            listeners: Listeners::default(),
        })
    }
    /// Adds a listener for events, called with the number of the end. Automatic events are
    /// published at the next call of any method, such as [`tick`](Self::tick).
    pub fn listen(&self, listener: impl Fn(usize, &ForcedEvent) + Send + Sync + 'static) {
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
    /// Advances the model to the current time.
    pub fn tick(&self) {
        self.with(|_| ());
    }

    fn with<T>(&self, run: impl FnOnce(&mut State) -> T) -> T {
        let now = self.clock.now();
        let mut events = Vec::new();
        let mut guard: MutexGuard<'_, State> =
            self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let state = &mut *guard;
        while state.next() <= now {
            let at = state.next();
            state.flow(at, self.offered);
            let in_try = at.saturating_sub(state.began);
            if state.agreed.is_none() && in_try >= EXCHANGE {
                state.agreed = Some(state.secrets_agree());
            } else if (state.agreed == Some(false) && in_try >= RETRY)
                || (state.agreed == Some(true) && in_try > DERIVATION)
            {
                state.restart(at);
            }
            state.publish(&mut events);
        }
        state.flow(now, self.offered);
        let result = run(state);
        state.publish(&mut events);
        drop(guard);
        self.listeners.notify(events);
        result
    }

    fn change(
        &self,
        end: usize,
        edit: impl FnOnce(&mut State, &mut usize),
    ) -> std::result::Result<(), ChangeRefusal> {
        self.gates[end & 1].check()?;
        self.with(|s| edit(s, &mut (end & 1)));
        Ok(())
    }
    /// Writes the secret that the next exchange uses; what is under way keeps its traffic key.
    ///
    /// # Errors
    /// If it is refused.
    pub fn set_secret(&self, end: usize, secret: &[u8]) -> std::result::Result<(), ChangeRefusal> {
        self.change(end, |s, e| {
            s.ends[*e].secret = Some(Zeroizing::new(secret.to_vec()))
        })
    }
    /// Restarts the state machine of both ends.
    ///
    /// # Errors
    /// If it is refused.
    pub fn force_init(&self, end: usize) -> std::result::Result<(), ChangeRefusal> {
        self.change(end, |s, e| {
            s.ends[*e].forced += 1;
            s.restart(s.settled);
        })
    }
    /// Enables or disables encryption at one end. If it is disabled at both ends, clear traffic
    /// passes; if it is disabled at one end, nothing passes.
    ///
    /// # Errors
    /// If the change is refused.
    pub fn set_enabled(&self, end: usize, on: bool) -> std::result::Result<(), ChangeRefusal> {
        self.change(end, |s, e| {
            if s.ends[*e].enabled != on {
                s.ends[*e].enabled = on;
                s.restart(s.settled);
            }
        })
    }
    /// Locks the service. The lock has no effect on the model, because the effect on a real device
    /// is not published.
    ///
    /// # Errors
    /// If the change is refused.
    pub fn set_locked(&self, end: usize, locked: bool) -> std::result::Result<(), ChangeRefusal> {
        self.change(end, |s, e| s.ends[*e].locked = locked)
    }
    /// Time between exchanges; zero: only when the link comes up.
    ///
    /// # Errors
    /// If it is refused.
    pub fn set_period(
        &self,
        end: usize,
        period: Duration,
    ) -> std::result::Result<(), ChangeRefusal> {
        self.change(end, |s, e| s.ends[*e].period = period)
    }

    /// Returns the state of an end that commands can change, as text; a secret is shown as a
    /// fingerprint.
    #[must_use]
    pub fn state(&self, end: usize) -> String {
        self.with(|s| {
            let End {
                secret,
                enabled,
                locked,
                period,
                forced,
                ..
            } = &s.ends[end & 1];
            let secret = secret
                .as_ref()
                .map_or_else(|| "none".to_owned(), |s| fingerprint(s));
            format!(
                "secret: {secret}\nenabled: {enabled}, locked: {locked}, period: {period:?}, \
                 forced restarts: {forced}"
            )
        })
    }
    /// Returns the state of the key exchange.
    #[must_use]
    pub fn stage(&self) -> ExchangeState {
        self.with(|s| s.stage())
    }
    /// Whether encryption is on at an end.
    #[must_use]
    pub fn is_enabled(&self, end: usize) -> bool {
        self.with(|s| s.ends[end & 1].enabled)
    }
    /// Whether the service is locked.
    #[must_use]
    pub fn is_locked(&self, end: usize) -> bool {
        self.with(|s| s.ends[end & 1].locked)
    }
    /// Returns the interval between exchanges.
    #[must_use]
    pub fn period(&self, end: usize) -> Duration {
        self.with(|s| s.ends[end & 1].period)
    }
    /// Whether the exchange has failed.
    #[must_use]
    pub fn has_failed(&self, end: usize) -> bool {
        self.with(|s| s.ends[end & 1].failed)
    }
    /// The traffic that an end sends.
    #[must_use]
    pub fn traffic_from(&self, end: usize) -> Traffic {
        self.with(|s| s.traffic[end & 1])
    }
    fn alarm(&self, end: usize, text: &str) {
        self.listeners
            .notify(vec![(end & 1, ForcedEvent::Alarm(text.to_owned()))]);
    }
}

/// One end of a pair, as the contract sees it.
pub struct ForcedRekeyEndpoint {
    base: DeviceBase,
    link: Arc<ForcedRekeyLink>,
    end: usize,
    channel: ChannelId,
    limits: EncryptorCapabilities,
}

impl ForcedRekeyEndpoint {
    /// End 0 or 1, with one channel of this name.
    #[must_use]
    pub fn new(link: Arc<ForcedRekeyLink>, end: usize, channel: &str, identity: Identity) -> Self {
        use Operation as O;
        let operations = [
            O::Identity,
            O::Health,
            O::Channels,
            O::Channel,
            O::Stage,
            O::Activate,
            O::Confirm,
            O::SetEncryption,
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
            limits: EncryptorCapabilities::forced_reinitialisation(
                KeyForm::new(
                    KeyRole::Psk,
                    KeySizes::one_of(&[Bits(128), Bits(256)]),
                    KeyIdForm::None,
                ),
                Some(REKEY_OUTAGE),
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
    pub fn link(&self) -> &Arc<ForcedRekeyLink> {
        &self.link
    }
    /// Returns the number of the end, 0 or 1.
    #[must_use]
    pub fn end(&self) -> usize {
        self.end
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

fn refused(operation: Operation) -> impl Fn(ChangeRefusal) -> Error {
    move |r| {
        Error::new(ErrorKind::Refused, format!("the encryptor refused: {r:?}"))
            .with_operation(operation.name())
    }
}

impl ApplyDeviceFault for ForcedRekeyEndpoint {
    fn apply(&self, fault: &DeviceFault) -> std::result::Result<(), String> {
        match fault {
            DeviceFault::Refuse(n) => self.link.change_faults(self.end).refuse(*n),
            DeviceFault::Full => self.link.change_faults(self.end).set_full(true),
            DeviceFault::Identity(serial) => self.base.replace_device(serial),
            DeviceFault::Cut(_) => self.link.with(|s| {
                s.cut = true;
                s.restart(s.settled);
            }),
            DeviceFault::Reboot => self.link.with(|s| s.restart(s.settled)),
            DeviceFault::Alarm(text) => self.link.alarm(self.end, text),
            DeviceFault::Operator(command) => {
                let done = match command.as_str() {
                    "force-init" => self.link.force_init(self.end),
                    "disable" => self.link.set_enabled(self.end, false),
                    "enable" => self.link.set_enabled(self.end, true),
                    _ => {
                        return Err(format!(
                            "invalid operator action `{command}`; expected one of: force-init, \
                             disable, enable"
                        ));
                    }
                };
                done.map_err(|r| format!("{r:?}"))?;
            }
            DeviceFault::Clear => {
                (0..2).for_each(|e| self.link.change_faults(e).clear());
                self.link.with(|s| {
                    if s.cut {
                        s.cut = false;
                        s.restart(s.settled);
                    }
                });
            }
            other => return Err(format!("this encryptor has no fault {other:?}")),
        }
        Ok(())
    }
}

impl_device! { ForcedRekeyEndpoint, base,
    async fn health(&self) -> Result<Health> {
        let faults = if self.link.has_failed(self.end) { vec!["the key exchange failed".to_owned()] } else { Vec::new() };
        Ok(Health::from_faults(qkd_hal::device::HealthState::Failed, faults))
    }
}

#[async_trait]
impl Encryptor for ForcedRekeyEndpoint {
    fn encryptor_capabilities(&self) -> &EncryptorCapabilities {
        &self.limits
    }
    async fn channels(&self) -> Result<Vec<ChannelId>> {
        Ok(vec![self.channel.clone()])
    }
    async fn channel(&self, channel: &ChannelId) -> Result<ChannelStatus> {
        self.known(channel)?;
        let stage = self.link.stage();
        let state = match stage {
            _ if !self.link.is_enabled(self.end) => ChannelState::Disabled,
            _ if self.link.has_failed(self.end) => ChannelState::Failed,
            ExchangeState::Init => ChannelState::Initialising,
            ExchangeState::Exchange | ExchangeState::Derivation => ChannelState::Exchanging,
            ExchangeState::Active => ChannelState::Encrypting,
        };
        Ok(ChannelStatus::new(channel.clone(), state).with_vendor_state(format!("{stage:?}")))
    }
    async fn stage(&self, channel: &ChannelId, key: &Key) -> Result<Staged> {
        self.known(channel)?;
        if let Some(form) = &self.limits.key {
            form.check(key)?;
        }
        let text = Zeroizing::new(hex::encode(key.expose()));
        self.link
            .set_secret(self.end, text.as_bytes())
            .map_err(refused(Operation::Stage))?;
        Ok(Staged::new(
            channel.clone(),
            key.id().clone(),
            None,
            "accepted",
        ))
    }
    async fn activate(&self, staged: &Staged) -> Result<()> {
        self.known(&staged.channel)?;
        self.link
            .force_init(self.end)
            .map_err(refused(Operation::Activate))
    }
    async fn confirm(&self, staged: &Staged, longest: Duration) -> Result<Confirmation> {
        self.known(&staged.channel)?;
        let outage = self.link.clock().to_wall_time(REKEY_OUTAGE);
        tokio::time::sleep(outage.min(longest)).await;
        let active = self.link.stage() == ExchangeState::Active;
        Ok(Confirmation::new(
            staged,
            active,
            format!("{:?}", self.link.stage()),
        ))
    }
    async fn set_encryption(&self, channel: &ChannelId, on: bool) -> Result<()> {
        self.known(channel)?;
        self.link
            .set_enabled(self.end, on)
            .map_err(refused(Operation::SetEncryption))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair() -> (Arc<ForcedRekeyLink>, Clock) {
        let clock = Clock::manual();
        let link = ForcedRekeyLink::new(clock.clone(), b"first");
        clock.advance(REKEY_OUTAGE);
        assert_eq!(link.stage(), ExchangeState::Active);
        (link, clock)
    }

    #[test]
    fn a_forced_roll_drops_traffic_during_the_outage() {
        let (link, clock) = pair();
        let dropped = link.traffic_from(0).dropped();
        (0..2).for_each(|end| link.set_secret(end, b"second").unwrap());
        clock.advance(Duration::from_secs(5));
        assert_eq!(
            link.traffic_from(0).dropped(),
            dropped,
            "staging drops nothing"
        );
        link.force_init(0).unwrap();
        let mut seen = Vec::new();
        for _ in 0..40 {
            clock.advance(Duration::from_millis(100));
            let stage = link.stage();
            if seen.last() != Some(&stage) {
                seen.push(stage);
            }
        }
        assert_eq!(
            seen,
            [
                ExchangeState::Init,
                ExchangeState::Exchange,
                ExchangeState::Derivation,
                ExchangeState::Active
            ]
        );
        assert_eq!(link.traffic_from(0).dropped() - dropped, 2000);
    }

    #[test]
    fn different_secrets_fail_with_an_alarm_until_they_agree() {
        let (link, clock) = pair();
        let events = Arc::new(Mutex::new(Vec::new()));
        let log = events.clone();
        link.listen(move |end, e| {
            if let ForcedEvent::ExchangeFailed(on) = e {
                log.lock().unwrap().push((end, *on))
            }
        });
        link.set_secret(0, b"mine").unwrap();
        link.force_init(1).unwrap();
        clock.advance(Duration::from_secs(3));
        assert_eq!(
            (link.stage(), link.has_failed(0)),
            (ExchangeState::Exchange, true)
        );
        clock.advance(Duration::from_secs(30));
        let accepted = link.traffic_from(0).accepted;
        clock.advance(Duration::from_secs(3));
        assert_eq!(link.traffic_from(0).accepted, accepted);
        link.set_secret(1, b"mine").unwrap();
        clock.advance(RETRY + REKEY_OUTAGE);
        assert_eq!(
            (link.stage(), link.has_failed(0)),
            (ExchangeState::Active, false)
        );
        assert_eq!(
            *events.lock().unwrap(),
            [(0, true), (1, true), (0, false), (1, false)]
        );
    }

    #[test]
    fn periodic_exchanges_and_a_cut() {
        let (link, clock) = pair();
        link.set_period(0, Duration::from_secs(60)).unwrap();
        clock.advance(Duration::from_secs(58));
        assert_eq!(link.stage(), ExchangeState::Init);
        clock.advance(Duration::from_secs(10));
        assert_eq!(link.stage(), ExchangeState::Active);
        let end = ForcedRekeyEndpoint::new(link.clone(), 0, "1", Identity::new("x"));
        end.apply(&DeviceFault::Cut(None)).unwrap();
        clock.advance(Duration::from_secs(10));
        assert_ne!(link.stage(), ExchangeState::Active);
        end.apply(&DeviceFault::Clear).unwrap();
        clock.advance(REKEY_OUTAGE);
        assert_eq!(link.stage(), ExchangeState::Active);
    }

    #[test]
    fn clear_traffic_passes_only_if_both_ends_are_off() {
        let (link, clock) = pair();
        link.set_enabled(0, false).unwrap();
        clock.advance(Duration::from_secs(1));
        assert_eq!(link.traffic_from(1).clear, 0);
        link.set_enabled(1, false).unwrap();
        clock.advance(Duration::from_secs(1));
        assert_eq!(link.traffic_from(1).clear, 1000);
    }
}
