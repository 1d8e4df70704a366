//! Pre-shared secrets that authenticate a key exchange: at intervals, and on command.
//!
//! Each end holds one secret. An exchange compares them: if they agree, both ends get a new traffic
//! key; if not, each end does with its traffic what its policy says. Until then, traffic keeps its
//! key. The times of an exchange and of a new attempt are those of [`PskRules`], chosen by each
//! vendor's emulator.

use super::{FrameMeter, Listeners, Traffic};
use crate::{
    clock::Clock,
    fault::{ApplyDeviceFault, DeviceFault},
    model::{
        DeviceBase,
        change_faults::{ChangeFaults, ChangeRefusal},
        fingerprint,
    },
};
use qkd_hal::{Capabilities, DeviceKind, Identity};
use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use zeroize::Zeroizing;

/// Automatic steps in one call, after which a model whose clock is far ahead skips the rest.
const MAX_STEPS: usize = 200_000;
/// Length of a counting period of [`PskLink::encrypted_time`].
pub const QUARTER: Duration = Duration::from_secs(900);
/// Length of the long counting period.
pub const DAY: Duration = Duration::from_secs(86_400);

/// Times of the exchanges of a pair.
#[derive(Debug, Clone, Copy)]
pub struct PskRules {
    /// Duration of an exchange.
    pub duration: Duration,
    /// Time between a failure and the next attempt; `None`: the next attempt is at the interval.
    pub retry: Option<Duration>,
    /// Failures in succession after which only a command starts an exchange; `None`: no limit.
    pub attempts: Option<u32>,
}

/// Policy of an end for its traffic after a failed exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnFailure {
    /// It keeps its key.
    Keep,
    /// It keeps its key for this time after the interval since the last success.
    KeepForInterval(Duration),
    /// It is blocked after this time.
    BlockAfter(Duration),
    /// It is sent in clear after this time.
    ClearAfter(Duration),
}

/// Form of the traffic that an end sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sends {
    /// Encrypted frames.
    Encrypted,
    /// Frames in clear.
    Clear,
    /// No frames: it has no key.
    Nothing,
}

/// Event at one end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PskEvent {
    /// An exchange succeeded.
    Succeeded {
        /// Whether a command started it.
        forced: bool,
        /// Number of failures before it.
        failures: u32,
    },
    /// An exchange failed.
    Failed {
        /// Number of failures in succession, with this one.
        failures: u32,
        /// Whether no further attempt follows without a command.
        last: bool,
        /// The traffic that the end sends now.
        sends: Sends,
    },
    /// The form of the sent traffic changed.
    Sends(Sends),
    /// An alarm that was asked for.
    Alarm(String),
}

struct End {
    secret: Option<Zeroizing<Vec<u8>>>,
    interval: Duration,
    on_failure: OnFailure,
    enabled: bool,
    /// Encryption is off until then.
    off_until: Option<Duration>,
    sends: Sends,
    /// Time with encryption, in all and at the start of the present periods.
    encrypted: Duration,
    at_period: [Duration; 2],
}

/// A traffic key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Session {
    /// Number of the key, from 1.
    pub number: u32,
    /// Time of the exchange that made it.
    pub began: Duration,
    /// Frames that each end had encrypted before it.
    pub before: [u64; 2],
}

struct State {
    rules: PskRules,
    ends: [End; 2],
    session: Option<Session>,
    sessions: u32,
    /// Start of the exchange in progress, and whether a command started it.
    running: Option<(Duration, bool)>,
    /// Exchanges that a command started.
    commands: u32,
    /// End of the last exchange.
    last: Duration,
    last_failure: Option<Duration>,
    /// First failure since the last success.
    failed_since: Option<Duration>,
    failures: u32,
    failures_in_all: u64,
    settled: Duration,
    cut: bool,
    broken: bool,
    traffic: [Traffic; 2],
    meters: [FrameMeter; 2],
}

impl State {
    /// The shorter interval of both ends; zero: none.
    fn interval(&self) -> Duration {
        self.ends
            .iter()
            .map(|e| e.interval)
            .filter(|i| !i.is_zero())
            .min()
            .unwrap_or_default()
    }
    fn secrets_agree(&self) -> bool {
        let [a, b] = &self.ends;
        let up = !self.cut && !self.broken && a.enabled && b.enabled;
        up && a.secret.is_some() && a.secret == b.secret
    }
    fn is_last(&self) -> bool {
        self.rules.attempts.is_some_and(|n| self.failures >= n)
    }
    /// Start of the next automatic exchange.
    fn due(&self) -> Option<Duration> {
        let interval = Some(self.interval()).filter(|i| !i.is_zero());
        let after = match self.failures {
            0 => interval,
            _ if self.is_last() => None,
            _ => self.rules.retry.or(interval),
        };
        after.map(|t| self.last.saturating_add(t))
    }
    fn start(&mut self, forced: bool) {
        self.running = Some((self.settled, forced));
        self.commands += u32::from(forced);
    }
    /// Time at which the traffic of an end changes without an exchange.
    fn deadline(&self, end: &End) -> Option<Duration> {
        match (end.on_failure, self.failed_since, &self.session) {
            (OnFailure::BlockAfter(time) | OnFailure::ClearAfter(time), Some(since), _) => {
                Some(since.saturating_add(time))
            }
            (OnFailure::KeepForInterval(time), Some(_), Some(s)) if !self.interval().is_zero() => {
                Some(s.began.saturating_add(self.interval()).saturating_add(time))
            }
            _ => None,
        }
    }
    fn sends(&self, end: &End) -> Sends {
        if !end.enabled {
            return Sends::Nothing;
        }
        if end.off_until.is_some() {
            return Sends::Clear;
        }
        let over = self.deadline(end).is_some_and(|at| self.settled >= at);
        match (end.on_failure, self.failed_since) {
            (OnFailure::ClearAfter(_), Some(_)) if over => Sends::Clear,
            _ if self.session.is_some() && !over => Sends::Encrypted,
            _ => Sends::Nothing,
        }
    }
    /// Returns the time of the next automatic change.
    fn next(&self) -> Duration {
        let exchange = match self.running {
            Some((begun, _)) => Some(begun.saturating_add(self.rules.duration)),
            None => self.due(),
        };
        let of_ends = self.ends.iter().flat_map(|e| {
            let deadline = self.deadline(e).filter(|at| *at > self.settled);
            [e.off_until, deadline]
        });
        let periods = QUARTER.as_secs().max(1);
        let quarter = Duration::from_secs((self.settled.as_secs() / periods + 1) * periods);
        of_ends
            .chain([exchange, Some(quarter)])
            .flatten()
            .min()
            .unwrap_or(Duration::MAX)
            .max(self.settled)
    }
    /// Does what is due now.
    fn act(&mut self, events: &mut Vec<(usize, PskEvent)>) {
        let now = self.settled;
        for end in &mut self.ends {
            if end.off_until.is_some_and(|at| at <= now) {
                end.off_until = None;
            }
            for (length, start) in [QUARTER, DAY].into_iter().zip(&mut end.at_period) {
                if now.as_nanos().is_multiple_of(length.as_nanos()) {
                    *start = end.encrypted;
                }
            }
        }
        match self.running {
            Some((begun, forced)) if begun.saturating_add(self.rules.duration) <= now => {
                self.running = None;
                self.finish(forced, events);
            }
            None if self.due().is_some_and(|at| at <= now) => self.start(false),
            _ => {}
        }
    }
    fn finish(&mut self, forced: bool, events: &mut Vec<(usize, PskEvent)>) {
        let now = self.settled;
        self.last = now;
        if self.secrets_agree() {
            self.sessions = self.sessions.wrapping_add(1).max(1);
            self.session = Some(Session {
                number: self.sessions,
                began: now,
                before: [0, 1].map(|end| self.traffic[end].encrypted),
            });
            self.failed_since = None;
            let event = PskEvent::Succeeded {
                forced,
                failures: std::mem::take(&mut self.failures),
            };
            events.extend((0..2).map(|end| (end, event.clone())));
        } else {
            self.failures = self.failures.saturating_add(1);
            self.failures_in_all += 1;
            self.failed_since.get_or_insert(now);
            self.last_failure = Some(now);
            events.extend([0, 1].map(|end| {
                let failed = PskEvent::Failed {
                    failures: self.failures,
                    last: self.is_last(),
                    sends: self.sends(&self.ends[end]),
                };
                (end, failed)
            }));
        }
    }
    fn publish(&mut self, events: &mut Vec<(usize, PskEvent)>) {
        for end in 0..2 {
            let sends = self.sends(&self.ends[end]);
            if std::mem::replace(&mut self.ends[end].sends, sends) != sends {
                events.push((end, PskEvent::Sends(sends)));
            }
        }
    }
    fn flow(&mut self, until: Duration, offered: f64) {
        let passed = until.saturating_sub(self.settled);
        let sends = [0, 1].map(|end| self.sends(&self.ends[end]));
        for from in 0..2 {
            let frames = self.meters[from].frames(passed.as_secs_f64(), offered);
            let traffic = &mut self.traffic[from];
            match sends[from] {
                Sends::Nothing => traffic.blocked += frames,
                Sends::Encrypted => {
                    self.ends[from].encrypted += passed;
                    traffic.encrypted += frames;
                    if !self.cut && sends[1 - from] == Sends::Encrypted {
                        traffic.accepted += frames;
                    } else {
                        traffic.refused += frames;
                    }
                }
                // An end that encrypts takes no frames in clear.
                Sends::Clear if !self.cut && sends[1 - from] == Sends::Clear => {
                    traffic.clear += frames;
                }
                Sends::Clear => traffic.refused += frames,
            }
        }
        self.settled = until;
    }
}

/// A linked pair; ends are 0 and 1.
pub struct PskLink {
    clock: Clock,
    offered: f64,
    gates: [ChangeFaults; 2],
    state: Mutex<State>,
    listeners: Listeners<PskEvent>,
}

impl PskLink {
    /// Creates an encrypting pair with the same secret at both ends, to which 1000 frames per
    /// second are offered in each direction. `interval`: time between exchanges.
    #[must_use]
    pub fn new(
        clock: Clock,
        secret: &[u8],
        rules: PskRules,
        interval: Duration,
        on_failure: OnFailure,
    ) -> Arc<Self> {
        let settled = clock.now();
        let end = || End {
            secret: Some(Zeroizing::new(secret.to_vec())),
            interval,
            on_failure,
            enabled: true,
            off_until: None,
            sends: Sends::Encrypted,
            encrypted: Duration::ZERO,
            at_period: [Duration::ZERO; 2],
        };
        let session = Session {
            number: 1,
            began: settled,
            before: [0; 2],
        };
        Arc::new(Self {
            clock,
            offered: 1000.0,
            gates: Default::default(),
            state: Mutex::new(State {
                rules,
                ends: [end(), end()],
                session: Some(session),
                sessions: 1,
                running: None,
                commands: 0,
                last: settled,
                last_failure: None,
                failed_since: None,
                failures: 0,
                failures_in_all: 0,
                settled,
                cut: false,
                broken: false,
                traffic: Default::default(),
                meters: Default::default(),
            }),
            listeners: Listeners::default(),
        })
    }
    /// Adds a listener for events, called with the number of the end. Automatic events are
    /// published at the next call of any method, such as [`tick`](Self::tick).
    pub fn listen(&self, listener: impl Fn(usize, &PskEvent) + Send + Sync + 'static) {
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

    /// Wall time until the next change that is due.
    pub fn quiet_for(&self) -> Duration {
        let next = self.with(|state| state.next().saturating_sub(state.settled));
        self.clock.to_wall_time(next)
    }

    fn with<T>(&self, run: impl FnOnce(&mut State) -> T) -> T {
        self.with_events(|state, _| run(state))
    }
    fn with_events<T>(&self, run: impl FnOnce(&mut State, &mut Vec<(usize, PskEvent)>) -> T) -> T {
        let now = self.clock.now();
        let mut events = Vec::new();
        let mut guard: MutexGuard<'_, State> =
            self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let state = &mut *guard;
        for _ in 0..MAX_STEPS {
            let at = state.next();
            if at > now {
                break;
            }
            state.flow(at, self.offered);
            state.act(&mut events);
            state.publish(&mut events);
        }
        state.flow(now, self.offered);
        let result = run(state, &mut events);
        state.publish(&mut events);
        drop(guard);
        self.listeners.notify(events);
        result
    }
    fn change(
        &self,
        end: usize,
        edit: impl FnOnce(&mut State, usize),
    ) -> Result<(), ChangeRefusal> {
        self.gates[end & 1].check()?;
        self.with(|s| edit(s, end & 1));
        Ok(())
    }

    /// Writes the secret that the next exchange uses; `None`: there is none.
    ///
    /// # Errors
    /// If it is refused.
    pub fn set_secret(&self, end: usize, secret: Option<&[u8]>) -> Result<(), ChangeRefusal> {
        self.change(end, |s, end| {
            s.ends[end].secret = secret.map(|s| Zeroizing::new(s.to_vec()));
        })
    }
    /// Starts an exchange.
    ///
    /// # Errors
    /// If it is refused.
    pub fn force(&self, end: usize) -> Result<(), ChangeRefusal> {
        self.change(end, |s, _| s.start(true))
    }
    /// Starts an exchange without a command: the ends lost each other, or found each other again.
    pub fn restart(&self) {
        self.with(|s| s.start(false));
    }
    /// Sets the time between exchanges of an end.
    ///
    /// # Errors
    /// If it is refused.
    pub fn set_interval(&self, end: usize, interval: Duration) -> Result<(), ChangeRefusal> {
        self.change(end, |s, end| s.ends[end].interval = interval)
    }
    /// Sets the policy of an end.
    ///
    /// # Errors
    /// If it is refused.
    pub fn set_on_failure(&self, end: usize, policy: OnFailure) -> Result<(), ChangeRefusal> {
        self.change(end, |s, end| s.ends[end].on_failure = policy)
    }
    /// Turns encryption off at an end for this time; `None`: turns it on.
    ///
    /// # Errors
    /// If it is refused.
    pub fn set_off(&self, end: usize, time: Option<Duration>) -> Result<(), ChangeRefusal> {
        self.change(end, |s, end| {
            s.ends[end].off_until = time.map(|t| s.settled.saturating_add(t));
        })
    }
    /// Enables or disables the port of an end. An exchange begins when it is enabled.
    ///
    /// # Errors
    /// If it is refused.
    pub fn set_enabled(&self, end: usize, enabled: bool) -> Result<(), ChangeRefusal> {
        self.change(end, |s, end| {
            if std::mem::replace(&mut s.ends[end].enabled, enabled) != enabled && enabled {
                s.start(false);
            }
        })
    }
    /// Deletes the secret of an end and the traffic key.
    ///
    /// # Errors
    /// If it is refused.
    pub fn zeroize(&self, end: usize) -> Result<(), ChangeRefusal> {
        self.change(end, |s, end| {
            s.ends[end].secret = None;
            s.session = None;
        })
    }

    /// Whether an end has a secret.
    #[must_use]
    pub fn has_secret(&self, end: usize) -> bool {
        self.with(|s| s.ends[end & 1].secret.is_some())
    }
    /// Passes the secret of an end to a function, which makes something of it that is not secret.
    pub fn with_secret<T>(&self, end: usize, make: impl FnOnce(Option<&[u8]>) -> T) -> T {
        self.with(|s| make(s.ends[end & 1].secret.as_ref().map(|s| s.as_slice())))
    }
    /// Returns the form of the traffic that an end sends.
    #[must_use]
    pub fn sends(&self, end: usize) -> Sends {
        self.with(|s| s.ends[end & 1].sends)
    }
    /// Returns the traffic key in use; `None` if there is none.
    #[must_use]
    pub fn session(&self) -> Option<Session> {
        self.with(|s| s.session)
    }
    /// Returns the number of failures in succession, and in all.
    #[must_use]
    pub fn failures(&self) -> (u32, u64) {
        self.with(|s| (s.failures, s.failures_in_all))
    }
    /// Returns the times of the first failure since the last success, and of the last failure.
    #[must_use]
    pub fn failed(&self) -> (Option<Duration>, Option<Duration>) {
        self.with(|s| (s.failed_since, s.last_failure))
    }
    /// Whether the port of an end is enabled.
    #[must_use]
    pub fn is_enabled(&self, end: usize) -> bool {
        self.with(|s| s.ends[end & 1].enabled)
    }
    /// Whether the line is cut.
    #[must_use]
    pub fn is_cut(&self) -> bool {
        self.with(|s| s.cut)
    }
    /// Returns the time for which encryption remains off; `None` if it is on.
    #[must_use]
    pub fn off_for(&self, end: usize) -> Option<Duration> {
        self.with(|s| {
            s.ends[end & 1]
                .off_until
                .map(|at| at.saturating_sub(s.settled))
        })
    }
    /// Returns the time between exchanges of an end.
    #[must_use]
    pub fn interval(&self, end: usize) -> Duration {
        self.with(|s| s.ends[end & 1].interval)
    }
    /// Returns the time with encryption in the present quarter of an hour and on the present day,
    /// and the time since each began.
    #[must_use]
    pub fn encrypted_time(&self, end: usize) -> [(Duration, Duration); 2] {
        self.with(|s| {
            let end = &s.ends[end & 1];
            [0, 1].map(|n| {
                let length = [QUARTER, DAY][n].as_nanos();
                let since = u64::try_from(s.settled.as_nanos() % length).unwrap_or_default();
                (
                    end.encrypted.saturating_sub(end.at_period[n]),
                    Duration::from_nanos(since),
                )
            })
        })
    }
    /// The traffic that an end sends.
    #[must_use]
    pub fn traffic_from(&self, end: usize) -> Traffic {
        self.with(|s| s.traffic[end & 1])
    }
    /// Returns the state of an end that commands can change, as text; a secret is shown as a
    /// fingerprint.
    #[must_use]
    pub fn state(&self, end: usize) -> String {
        self.with(|s| {
            let End {
                secret,
                interval,
                on_failure,
                enabled,
                off_until,
                ..
            } = &s.ends[end & 1];
            let secret = secret
                .as_ref()
                .map_or_else(|| "none".to_owned(), |s| fingerprint(s));
            let off = off_until.is_some();
            format!(
                "secret: {secret}\ninterval: {interval:?}, on failure: {on_failure:?}, enabled: \
                 {enabled}, encryption off: {off}, forced exchanges: {}",
                s.commands
            )
        })
    }

    /// Applies a fault at an end.
    ///
    /// # Errors
    /// Error text for the user.
    pub fn apply(&self, end: usize, fault: &DeviceFault) -> Result<(), String> {
        match fault {
            DeviceFault::Refuse(n) => self.change_faults(end).refuse(*n),
            DeviceFault::Full => self.change_faults(end).set_full(true),
            DeviceFault::Cut(_) => self.with(|s| s.cut = true),
            // An exchange fails now, and every one until the fault is cleared.
            DeviceFault::Fail => self.with_events(|s, events| {
                s.broken = true;
                s.running = None;
                s.finish(false, events);
            }),
            DeviceFault::Reboot => self.with(|s| {
                s.session = None;
                s.start(false);
            }),
            DeviceFault::Alarm(text) => self
                .listeners
                .notify(vec![(end & 1, PskEvent::Alarm(text.clone()))]),
            DeviceFault::Operator(action) if action == "exchange" => {
                self.force(end).map_err(|r| format!("{r:?}"))?;
            }
            DeviceFault::Operator(action) if action == "alter-secret" => {
                self.set_secret(
                    end,
                    Some(b"a secret of another operator, with enough characters"),
                )
                .map_err(|r| format!("{r:?}"))?;
            }
            DeviceFault::Operator(action) => {
                return Err(format!(
                    "invalid operator action `{action}`; expected one of: exchange, alter-secret"
                ));
            }
            DeviceFault::Clear => {
                (0..2).for_each(|e| self.change_faults(e).clear());
                self.with(|s| {
                    // The ends find each other again.
                    if std::mem::take(&mut s.broken) | std::mem::take(&mut s.cut) {
                        s.start(false);
                    }
                });
            }
            other => return Err(format!("this encryptor has no fault {other:?}")),
        }
        Ok(())
    }
}

/// One end of a pair, with the identity of its device.
pub struct PskEndpoint {
    base: DeviceBase,
    link: Arc<PskLink>,
    end: usize,
}

impl PskEndpoint {
    /// End 0 or 1 of a pair.
    #[must_use]
    pub fn new(link: Arc<PskLink>, end: usize, identity: Identity) -> Self {
        Self {
            base: DeviceBase::new(DeviceKind::Encryptor, identity, Capabilities::none()),
            link,
            end: end & 1,
        }
    }
    /// Returns the identity that the device reports.
    #[must_use]
    pub fn identity(&self) -> Identity {
        self.base.identity()
    }
    /// Returns the pair to which the end belongs.
    #[must_use]
    pub fn link(&self) -> &Arc<PskLink> {
        &self.link
    }
    /// Returns the number of the end, 0 or 1.
    #[must_use]
    pub fn end(&self) -> usize {
        self.end
    }
    /// Passes the events of this end to `ear`, as long as that exists. It must not call the pair.
    pub(crate) fn listen<E: Send + Sync + 'static>(
        &self,
        ear: &Arc<E>,
        hear: impl Fn(&E, &PskEvent) + Send + Sync + 'static,
    ) {
        let (ear, end) = (Arc::downgrade(ear), self.end);
        self.link.listen(move |at, event| {
            if at == end
                && let Some(ear) = ear.upgrade()
            {
                hear(&ear, event);
            }
        });
    }
    /// Returns the refused changes of the end.
    #[must_use]
    pub fn change_faults(&self) -> &ChangeFaults {
        self.link.change_faults(self.end)
    }
}

impl ApplyDeviceFault for PskEndpoint {
    fn apply(&self, fault: &DeviceFault) -> Result<(), String> {
        match fault {
            DeviceFault::Identity(serial) => {
                self.base.replace_device(serial);
                Ok(())
            }
            other => self.link.apply(self.end, other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: PskRules = PskRules {
        duration: Duration::from_secs(1),
        retry: Some(Duration::from_secs(10)),
        attempts: Some(3),
    };

    fn pair(on_failure: OnFailure) -> (Arc<PskLink>, Clock) {
        let clock = Clock::manual();
        let hour = Duration::from_secs(3600);
        let link = PskLink::new(clock.clone(), b"first", RULES, hour, on_failure);
        (link, clock)
    }
    fn disagree(link: &PskLink, clock: &Clock) {
        link.set_secret(0, Some(b"second")).unwrap();
        link.force(1).unwrap();
        clock.advance(Duration::from_secs(1));
        assert_eq!(link.failures(), (1, 1));
    }

    #[test]
    fn a_new_secret_waits_for_the_next_exchange_and_loses_no_frame() {
        let (link, clock) = pair(OnFailure::BlockAfter(Duration::ZERO));
        (0..2).for_each(|end| link.set_secret(end, Some(b"second")).unwrap());
        clock.advance(Duration::from_secs(3599));
        assert_eq!(link.session().map(|s| s.number), Some(1));
        clock.advance(Duration::from_secs(2));
        assert_eq!(
            link.session(),
            Some(Session {
                number: 2,
                began: Duration::from_secs(3601),
                before: [3_601_000; 2]
            })
        );
        link.force(0).unwrap();
        clock.advance(Duration::from_secs(1));
        assert_eq!(link.session().map(|s| s.number), Some(3));
        assert_eq!(link.traffic_from(0).accepted, 3_602_000);
    }

    #[test]
    fn failed_exchanges_are_repeated_until_the_last_attempt() {
        let (link, clock) = pair(OnFailure::Keep);
        disagree(&link, &clock);
        clock.advance(Duration::from_secs(3600));
        assert_eq!(link.failures(), (3, 3));
        assert_eq!(link.traffic_from(0).dropped(), 0, "the key is kept");
        link.set_secret(1, Some(b"second")).unwrap();
        clock.advance(Duration::from_secs(7200));
        assert_eq!(link.session().map(|s| s.number), Some(1));
        link.force(0).unwrap();
        clock.advance(Duration::from_secs(1));
        assert_eq!(
            (link.session().map(|s| s.number), link.failures()),
            (Some(2), (0, 3))
        );
    }

    #[test]
    fn each_policy_has_its_traffic() {
        let minute = Duration::from_secs(60);
        for (policy, now, later) in [
            (OnFailure::Keep, Sends::Encrypted, Sends::Encrypted),
            (
                OnFailure::KeepForInterval(minute),
                Sends::Encrypted,
                Sends::Nothing,
            ),
            (
                OnFailure::BlockAfter(minute),
                Sends::Encrypted,
                Sends::Nothing,
            ),
            (
                OnFailure::BlockAfter(Duration::ZERO),
                Sends::Nothing,
                Sends::Nothing,
            ),
            (
                OnFailure::ClearAfter(Duration::ZERO),
                Sends::Clear,
                Sends::Clear,
            ),
            (
                OnFailure::ClearAfter(minute),
                Sends::Encrypted,
                Sends::Clear,
            ),
        ] {
            let (link, clock) = pair(policy);
            disagree(&link, &clock);
            assert_eq!(link.sends(0), now, "{policy:?}");
            clock.advance(Duration::from_secs(4000));
            assert_eq!(link.sends(1), later, "{policy:?}");
        }
        let (link, clock) = pair(OnFailure::BlockAfter(minute));
        disagree(&link, &clock);
        clock.advance(Duration::from_secs(100));
        assert_eq!(link.traffic_from(0).blocked, 40_000);
    }

    #[test]
    fn clear_and_encrypted_frames_do_not_meet() {
        let (link, clock) = pair(OnFailure::Keep);
        link.set_off(0, Some(Duration::from_secs(30))).unwrap();
        clock.advance(Duration::from_secs(10));
        assert_eq!(link.traffic_from(0).refused, 10_000);
        assert_eq!(link.traffic_from(1).refused, 10_000);
        link.set_off(1, Some(Duration::from_secs(10))).unwrap();
        clock.advance(Duration::from_secs(40));
        assert_eq!(link.traffic_from(0).clear, 10_000);
        assert_eq!(link.traffic_from(0).accepted, 20_000);
        assert_eq!(link.off_for(0), None, "it returned without a command");
        let [quarter, day] = link.encrypted_time(0);
        assert_eq!(
            (quarter, day),
            (
                (Duration::from_secs(20), Duration::from_secs(50)),
                (Duration::from_secs(20), Duration::from_secs(50))
            )
        );
        clock.advance(QUARTER);
        let [quarter, day] = link.encrypted_time(0);
        assert_eq!(quarter.0, Duration::from_secs(50));
        assert_eq!(day.0, Duration::from_secs(920));
    }

    #[test]
    fn a_cut_line_fails_the_exchange_and_a_mended_one_starts_another() {
        let (link, clock) = pair(OnFailure::BlockAfter(Duration::ZERO));
        link.apply(0, &DeviceFault::Cut(None)).unwrap();
        clock.advance(Duration::from_secs(3601));
        assert_eq!(link.sends(0), Sends::Nothing);
        link.apply(0, &DeviceFault::Clear).unwrap();
        clock.advance(Duration::from_secs(1));
        assert_eq!(link.sends(0), Sends::Encrypted);
        let heard = Arc::new(Mutex::new(Vec::new()));
        let ear = Arc::clone(&heard);
        link.listen(move |end, event| ear.lock().unwrap().push((end, event.clone())));
        link.apply(0, &DeviceFault::Fail).unwrap();
        assert_eq!(link.failures().0, 1, "at once, although the secrets agree");
        assert_eq!(link.sends(0), Sends::Nothing);
        assert_eq!(
            heard.lock().unwrap().len(),
            4,
            "each end failed, and stopped"
        );
        link.force(0).unwrap();
        clock.advance(Duration::from_secs(1));
        assert_eq!(link.failures().0, 2);
        link.apply(0, &DeviceFault::Clear).unwrap();
        assert_eq!(link.failures().0, 2, "until an exchange succeeds");
        clock.advance(RULES.retry.unwrap() + RULES.duration);
        assert_eq!(link.failures().0, 0);
        link.zeroize(0).unwrap();
        assert_eq!((link.has_secret(0), link.session()), (false, None));
    }
}
