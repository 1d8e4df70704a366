//! A linked pair of QKD modules: one fibre, one rate, the same keys at both ends.
//!
//! Default durations of the phases after a start or a path change: 0.3 s of synchronisation, 60 s
//! of alignment, 180 s of calibration. No vendor publishes its durations. A scaled [`Clock`]
//! shortens them.

use super::{
    DeviceBase,
    change_faults::{ChangeFaults, ChangeRefusal},
    device_base::impl_device,
    optics::{Bb84, Fibre, Rates},
};
use crate::{
    clock::Clock,
    fault::{ApplyDeviceFault, DeviceFault},
};
use async_trait::async_trait;
use qkd_hal::{
    Capabilities, DeviceKind, Error, ErrorKind, EventKind, Health, Identity, Key, KeyId, Operation,
    QkdModule, Result,
    device::HealthState,
    event::Origin,
    qkd::{
        KeyRequest, KeyStore, ModuleState, ModuleStatus, Performance, QkdCapabilities, Redelivery,
        Role,
    },
    reading::{Measured, Reading, ReadingValue},
    units::{Bits, BitsPerSecond, DecibelMilliwatts, Decibels, Ratio},
};
use qkd_northbound_etsi014::{KeyAudience, KeyItem, KeyMaterial, KeyPool, KeySource, SourceError};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha12Rng;
use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use uuid::Uuid;

/// Current phase of a pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// The pair has not been started.
    Idle,
    /// The ends synchronise their clocks.
    Synchronising,
    /// The ends align their optics.
    Aligning,
    /// The ends calibrate their detectors.
    Calibrating,
    /// The pair generates keys.
    Generating,
    /// No light, or an error that was set.
    Error,
}

/// Durations of the phases.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Timings {
    /// Duration of the synchronisation.
    pub synchronise: Duration,
    /// Duration of the alignment.
    pub align: Duration,
    /// Duration of the calibration.
    pub calibrate: Duration,
}

impl Default for Timings {
    fn default() -> Self {
        Self {
            synchronise: Duration::from_millis(300),
            align: Duration::from_secs(60),
            calibrate: Duration::from_secs(180),
        }
    }
}

impl Timings {
    /// Returns the sum of the durations.
    #[must_use]
    pub fn total(&self) -> Duration {
        self.synchronise + self.align + self.calibrate
    }
}

/// Configuration of a pair.
#[derive(Debug, Clone)]
pub struct LinkConfig {
    /// The optics of both ends.
    pub system: Bb84,
    /// Fibre between the ends.
    pub fibre: Fibre,
    /// Durations of the phases.
    pub timings: Timings,
    /// The most that is stored, in bits.
    pub capacity: u64,
    /// Stored key material at the start, in bits.
    pub stored: u64,
    /// Whether it generates keys from the beginning, all phases done.
    pub running: bool,
}

impl Default for LinkConfig {
    /// Returns a running 1 GHz system over 25 km whose store holds 100,000 keys of 512 bit and is
    /// filled to one tenth.
    fn default() -> Self {
        Self {
            system: Bb84::GIGAHERTZ,
            fibre: Fibre::with_length(25.0),
            timings: Timings::default(),
            capacity: 51_200_000,
            stored: 5_120_000,
            running: true,
        }
    }
}

struct State {
    fibre: Fibre,
    extra_loss: f64,
    cut: bool,
    failed: bool,
    /// When the phases are over; `None`: idle.
    ready: Option<Duration>,
    settled: Duration,
    bits: f64,
    /// Starts, stops, calibrations, drains and reboots so far.
    commands: u64,
    random: ChaCha12Rng,
}

struct Core {
    clock: Clock,
    config: LinkConfig,
    state: Mutex<State>,
}

impl Core {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
    fn rates_of(&self, state: &State) -> Rates {
        if state.cut {
            return self.config.system.rates(0.0, 0.0);
        }
        let mut fibre = state.fibre.clone();
        fibre.excess = Decibels(fibre.excess.0 + state.extra_loss);
        self.config.system.rates(
            fibre.loss().transmittance().0,
            fibre.noise() * self.config.system.gate,
        )
    }
    fn key_rate(&self, state: &State) -> f64 {
        self.rates_of(state).per_pulse * self.config.system.clock
    }
    /// Adds what was generated since the last time, with what held then.
    fn settle(&self) -> MutexGuard<'_, State> {
        let now = self.clock.now();
        let mut state = self.lock();
        if let Some(ready) = state.ready
            && !state.cut
            && !state.failed
        {
            let begin = ready.max(state.settled);
            state.bits = (state.bits
                + self.key_rate(&state) * now.saturating_sub(begin).as_secs_f64())
            .min(self.config.capacity as f64);
        }
        state.settled = now;
        state
    }
}

/// The store's tap: draws bits that were generated.
struct Tap(Arc<Core>);

impl KeyMaterial for Tap {
    fn available(&mut self) -> u64 {
        (self.0.settle().bits / 8.0) as u64
    }
    fn capacity(&self) -> u64 {
        self.0.config.capacity / 8
    }
    fn draw(&mut self, out: &mut [u8]) {
        let mut state = self.0.lock();
        state.bits = (state.bits - out.len() as f64 * 8.0).max(0.0);
        state.random.fill_bytes(out);
    }
    fn id(&mut self) -> Uuid {
        let mut bytes = [0; 16];
        self.0.lock().random.fill_bytes(&mut bytes);
        uuid::Builder::from_random_bytes(bytes).into_uuid()
    }
}

/// A linked pair of QKD modules.
pub struct QkdLink {
    core: Arc<Core>,
    pool: Arc<KeyPool>,
    change_faults: ChangeFaults,
}

impl QkdLink {
    /// A pair; its keys follow from the seed.
    #[must_use]
    pub fn new(config: LinkConfig, clock: Clock, seed: u64) -> Arc<Self> {
        let now = clock.now();
        let state = State {
            fibre: config.fibre.clone(),
            extra_loss: 0.0,
            cut: false,
            failed: false,
            ready: config.running.then_some(now),
            settled: now,
            bits: config.stored.min(config.capacity) as f64,
            commands: 0,
            random: ChaCha12Rng::seed_from_u64(seed),
        };
        let core = Arc::new(Core {
            clock,
            config,
            state: Mutex::new(state),
        });
        Arc::new(Self {
            pool: Arc::new(KeyPool::new(Tap(core.clone()))),
            core,
            change_faults: ChangeFaults::default(),
        })
    }
    /// The keys, as a source for key delivery.
    #[must_use]
    pub fn keys(&self) -> Arc<KeyPool> {
        self.pool.clone()
    }
    /// Returns the scheduled refusals of changes.
    #[must_use]
    pub fn change_faults(&self) -> &ChangeFaults {
        &self.change_faults
    }
    /// Returns the clock of the pair.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.core.clock
    }
    /// Returns the durations of the phases.
    #[must_use]
    pub fn timings(&self) -> Timings {
        self.core.config.timings
    }
    /// Returns the QKD system of the pair.
    #[must_use]
    pub fn system(&self) -> Bb84 {
        self.core.config.system
    }
    /// Returns the current phase.
    #[must_use]
    pub fn phase(&self) -> Phase {
        let state = self.core.settle();
        if state.failed || state.cut {
            return Phase::Error;
        }
        let Some(ready) = state.ready else {
            return Phase::Idle;
        };
        let (left, times) = (
            ready.saturating_sub(state.settled),
            self.core.config.timings,
        );
        match left {
            Duration::ZERO => Phase::Generating,
            left if left <= times.calibrate => Phase::Calibrating,
            left if left <= times.calibrate + times.align => Phase::Aligning,
            _ => Phase::Synchronising,
        }
    }
    /// Returns the current rates of the optics.
    #[must_use]
    pub fn rates(&self) -> Rates {
        let state = self.core.settle();
        self.core.rates_of(&state)
    }
    /// Secret key rate now, in bit/s.
    #[must_use]
    pub fn key_rate(&self) -> f64 {
        if self.phase() == Phase::Generating {
            self.core.key_rate(&self.core.lock())
        } else {
            0.0
        }
    }
    /// Returns the state that commands can change, as text, without the generated keys.
    #[must_use]
    pub fn state(&self) -> String {
        let (keys, twins) = self.pool.delivered_counts();
        let (waiting, expired) = (self.pool.undelivered(), self.pool.expired());
        let state = self.core.lock();
        let module = if state.ready.is_some() {
            "started"
        } else {
            "stopped"
        };
        format!(
            "module: {module}\ncommands: {}\nfailed: {}\nkeys taken: {keys}, fetched by the peer: \
             {twins}, waiting for the peer: {waiting}, twins that expired: {expired}",
            state.commands, state.failed
        )
    }
    /// Sets how long a key waits for the slave.
    pub fn set_twin_lifetime(&self, lifetime: Duration) {
        self.pool.set_peer_key_lifetime(lifetime);
    }
    /// Starts from the first phase.
    ///
    /// # Errors
    /// If it is refused.
    pub fn start(&self) -> std::result::Result<(), ChangeRefusal> {
        self.change_faults.check()?;
        let mut state = self.core.settle();
        state.commands += 1;
        state.ready = Some(state.settled + self.timings().total());
        Ok(())
    }
    /// Stops; stored keys stay.
    ///
    /// # Errors
    /// If it is refused.
    pub fn stop(&self) -> std::result::Result<(), ChangeRefusal> {
        self.change_faults.check()?;
        let mut state = self.core.settle();
        state.commands += 1;
        state.ready = None;
        Ok(())
    }
    /// Calibrates again, without the earlier phases.
    ///
    /// # Errors
    /// If it is refused.
    pub fn calibrate(&self) -> std::result::Result<(), ChangeRefusal> {
        self.change_faults.check()?;
        let mut state = self.core.settle();
        state.commands += 1;
        state.ready = Some(state.settled + self.timings().calibrate);
        Ok(())
    }
    /// Sets or clears an error.
    pub fn set_failed(&self, failed: bool) {
        self.core.settle().failed = failed;
    }
    /// Whether an error is set.
    #[must_use]
    pub fn is_failed(&self) -> bool {
        self.core.lock().failed
    }
    /// Changes the path: the phases begin again.
    pub fn set_fibre(&self, edit: impl FnOnce(&mut Fibre)) {
        self.path(|state| edit(&mut state.fibre));
    }
    fn path(&self, edit: impl FnOnce(&mut State)) {
        let mut state = self.core.settle();
        edit(&mut state);
        if state.ready.is_some() {
            state.ready = Some(state.settled + self.timings().total());
        }
    }
    /// Loses power: keys are gone, the phases begin again.
    pub fn reboot(&self) {
        self.path(|state| {
            state.commands += 1;
            state.bits = 0.0;
        });
        self.pool.discard();
    }
}

impl ApplyDeviceFault for QkdLink {
    fn apply(&self, fault: &DeviceFault) -> std::result::Result<(), String> {
        match fault {
            DeviceFault::Cut(_) => self.path(|s| s.cut = true),
            // More loss does no harm to the alignment: no new phases.
            DeviceFault::LossDb(db) => self.core.settle().extra_loss = *db,
            DeviceFault::Leak(dbm) => {
                self.core.settle().fibre.stray = Some(DecibelMilliwatts(*dbm))
            }
            DeviceFault::Reboot => self.reboot(),
            DeviceFault::Fail => self.set_failed(true),
            DeviceFault::Refuse(n) => self.change_faults.refuse(*n),
            DeviceFault::Full => self.change_faults.set_full(true),
            DeviceFault::Operator(command) => {
                let done = match command.as_str() {
                    "start" => self.start(),
                    "stop" => self.stop(),
                    "calibrate" => self.calibrate(),
                    "drain" => {
                        let mut state = self.core.settle();
                        state.commands += 1;
                        state.bits = 0.0;
                        Ok(())
                    }
                    _ => {
                        return Err(format!(
                            "invalid operator action `{command}`; expected one of: start, stop, \
                             calibrate, drain"
                        ));
                    }
                };
                done.map_err(|r| format!("{r:?}"))?;
            }
            DeviceFault::Clear => {
                self.change_faults.clear();
                if self.core.lock().cut {
                    self.path(|s| s.cut = false);
                }
                let mut state = self.core.settle();
                (state.failed, state.extra_loss, state.fibre.stray) = (false, 0.0, None);
            }
            other => return Err(format!("a QKD link has no fault {other:?}")),
        }
        Ok(())
    }
}

/// One end of a pair.
pub struct QkdEndpoint {
    base: DeviceBase,
    link: Arc<QkdLink>,
    name: String,
    peer: String,
    limits: QkdCapabilities,
}

/// Key sizes of the in-process ends.
const SIZES: (u64, u64, u64) = (256, 64, 1024);

impl QkdEndpoint {
    /// The end that is called `name`, in front of the one that is called `peer`.
    #[must_use]
    pub fn new(link: Arc<QkdLink>, role: Role, name: &str, peer: &str) -> Self {
        use Operation as O;
        let operations = [
            O::Identity,
            O::Health,
            O::Telemetry,
            O::ModuleStatus,
            O::Performance,
            O::KeyStore,
            O::Start,
            O::Stop,
            O::Calibrate,
            O::TakeKeys,
            O::TakeKeysById,
        ];
        let limits = QkdCapabilities::new(role)
            .with_redelivery(Redelivery::Refused)
            .with_reinitialisation(link.timings().total());
        let identity = Identity::new("model")
            .with_model("decoy BB84")
            .with_serial(name);
        let base = DeviceBase::new(
            DeviceKind::QkdModule,
            identity,
            Capabilities::none().with(&operations),
        );
        Self {
            base,
            link,
            name: name.to_owned(),
            peer: peer.to_owned(),
            limits,
        }
    }
    /// Returns the state that all models share.
    #[must_use]
    pub fn base(&self) -> &DeviceBase {
        &self.base
    }
    fn changed(&self, state: &str) {
        self.base.events.publish(
            Origin::Device,
            EventKind::StateChanged {
                subject: "module".into(),
                state: state.into(),
            },
        );
    }
}

fn refused(operation: Operation, refusal: ChangeRefusal) -> Error {
    Error::new(
        ErrorKind::Refused,
        format!("the module refused: {refusal:?}"),
    )
    .with_operation(operation.name())
}

fn no_keys(error: SourceError) -> Error {
    match error {
        SourceError::NotEnough => Error::new(ErrorKind::Exhausted, "not enough keys are stored"),
        SourceError::Undelivered => Error::new(
            ErrorKind::NotReady,
            "too many keys wait for their slave SAE to fetch them",
        ),
        SourceError::NotFound => Error::new(
            ErrorKind::NotFound,
            "an id is unknown, or was delivered before",
        ),
        SourceError::NotAllowed => Error::new(
            ErrorKind::Authentication,
            "this end was not named when the key was taken",
        ),
        SourceError::Failed(why) => Error::new(ErrorKind::Internal, why),
    }
}

fn handed_over(items: Vec<KeyItem>) -> Vec<Key> {
    items
        .into_iter()
        .map(|item| Key::new(item.id.into(), item.bytes))
        .collect()
}

impl_device! { QkdEndpoint, base,
    async fn health(&self) -> Result<Health> {
        Ok(match self.link.phase() {
            Phase::Error => Health::with_faults(HealthState::Failed, vec!["no light, or an error".into()]),
            _ => Health::ok(),
        })
    }
    async fn telemetry(&self) -> Result<Vec<Reading>> {
        let rates = self.link.rates();
        Ok(vec![
            Reading::now("clicks", ReadingValue::Number(rates.gain * self.link.system().clock), "Hz"),
            Reading::now("qber", ReadingValue::Number(rates.qber), ""),
        ])
    }
}

#[async_trait]
impl QkdModule for QkdEndpoint {
    fn qkd_capabilities(&self) -> &QkdCapabilities {
        &self.limits
    }
    async fn status(&self) -> Result<ModuleStatus> {
        let phase = self.link.phase();
        let state = match phase {
            Phase::Idle => ModuleState::Standby,
            Phase::Synchronising | Phase::Aligning => ModuleState::Initialising,
            Phase::Calibrating => ModuleState::Calibrating,
            Phase::Generating => ModuleState::Generating,
            Phase::Error => ModuleState::Error,
        };
        Ok(ModuleStatus::new(state, self.limits.role)
            .with_vendor_state(format!("{phase:?}"))
            .with_peer(&self.peer))
    }
    async fn performance(&self) -> Result<Performance> {
        let mut performance = Performance::default();
        performance.secret_key_rate = Some(Measured::now(BitsPerSecond(self.link.key_rate())));
        if self.link.phase() == Phase::Generating {
            performance.qber = Some(Measured::now(Ratio(self.link.rates().qber)));
        }
        Ok(performance)
    }
    async fn key_store(&self) -> Result<KeyStore> {
        let (stored, capacity) = self.link.pool.count(SIZES.0);
        Ok(KeyStore::default()
            .with_stored(stored, capacity)
            .with_sizes(Bits(SIZES.0), Bits(SIZES.1), Bits(SIZES.2))
            .with_limits(4096, 16))
    }
    async fn start(&self) -> Result<()> {
        self.link
            .start()
            .map_err(|r| refused(Operation::Start, r))?;
        self.changed("starting");
        Ok(())
    }
    async fn stop(&self) -> Result<()> {
        self.link.stop().map_err(|r| refused(Operation::Stop, r))?;
        self.changed("stopped");
        Ok(())
    }
    async fn calibrate(&self) -> Result<()> {
        self.link
            .calibrate()
            .map_err(|r| refused(Operation::Calibrate, r))?;
        self.changed("calibrating");
        let clock = self.link.clock();
        tokio::time::sleep(clock.to_wall_time(self.link.timings().calibrate)).await;
        Ok(())
    }
    async fn take_keys(&self, request: &KeyRequest) -> Result<Vec<Key>> {
        let size = request.size.map_or(SIZES.0, |s| s.0);
        if request.count == 0
            || request.count > 4096
            || !size.is_multiple_of(8)
            || !(SIZES.1..=SIZES.2).contains(&size)
        {
            return Err(Error::invalid(
                "1 to 4096 keys of 64 to 1024 bit, a multiple of 8",
            ));
        }
        if !request.extensions.iter().all(|e| !e.mandatory) {
            return Err(Error::invalid("no extension is supported"));
        }
        let mut slaves = vec![self.peer.clone()];
        slaves.extend(request.additional_receivers.iter().cloned());
        let grant = KeyAudience {
            master: self.name.clone(),
            slaves,
        };
        self.link
            .pool
            .take(&grant, request.count as usize, size)
            .map(handed_over)
            .map_err(no_keys)
    }
    async fn take_keys_by_id(&self, ids: &[KeyId]) -> Result<Vec<Key>> {
        if ids.is_empty() || (1..ids.len()).any(|i| ids[..i].contains(&ids[i])) {
            return Err(Error::invalid("at least one id, each once"));
        }
        // The ids of this link are UUIDs: no other one is known here.
        let ids: Vec<_> = ids
            .iter()
            .map(|id| Uuid::from_slice(id.as_bytes()))
            .collect::<Result<_, _>>()
            .map_err(|_| no_keys(SourceError::NotFound))?;
        self.link
            .pool
            .take_by_id(&self.peer, &self.name, &ids)
            .map(handed_over)
            .map_err(no_keys)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(config: LinkConfig) -> (Arc<QkdLink>, Clock) {
        let clock = Clock::manual();
        (QkdLink::new(config, clock.clone(), 5), clock)
    }
    fn ends(link: &Arc<QkdLink>) -> (QkdEndpoint, QkdEndpoint) {
        (
            QkdEndpoint::new(link.clone(), Role::Transmitter, "a", "b"),
            QkdEndpoint::new(link.clone(), Role::Receiver, "b", "a"),
        )
    }

    #[tokio::test]
    async fn both_ends_deliver_the_same_keys_once() {
        let (link, _) = link(LinkConfig::default());
        let (a, b) = ends(&link);
        let keys = a.take_keys(&KeyRequest::new(5)).await.unwrap();
        let ids: Vec<_> = keys.iter().map(|k| k.id().clone()).collect();
        assert_eq!(b.take_keys_by_id(&ids).await.unwrap(), keys);
        assert_eq!(
            b.take_keys_by_id(&ids).await.unwrap_err().kind(),
            ErrorKind::NotFound
        );
        assert_eq!(
            a.take_keys_by_id(&ids).await.unwrap_err().kind(),
            ErrorKind::NotFound
        );
        assert_eq!(
            b.take_keys_by_id(&[ids[0].clone(), ids[0].clone()])
                .await
                .unwrap_err()
                .kind(),
            ErrorKind::InvalidInput
        );
    }

    #[tokio::test]
    async fn the_store_fills_by_the_rate_after_the_phases() {
        let (link, clock) = link(LinkConfig {
            running: false,
            stored: 0,
            capacity: u64::MAX / 2,
            ..LinkConfig::default()
        });
        assert_eq!(link.phase(), Phase::Idle);
        link.start().unwrap();
        clock.advance(Duration::from_millis(400));
        assert_eq!(link.phase(), Phase::Aligning);
        clock.advance(Duration::from_secs(61));
        assert_eq!(link.phase(), Phase::Calibrating);
        let (a, _) = ends(&link);
        assert_eq!(
            a.take_keys(&KeyRequest::new(1)).await.unwrap_err().kind(),
            ErrorKind::Exhausted
        );
        clock.advance(link.timings().total());
        assert_eq!(link.phase(), Phase::Generating);
        let before = link.pool.count(8).0;
        clock.advance(Duration::from_secs(10));
        let bits = (link.pool.count(8).0 - before) as f64 * 8.0;
        assert!(
            (bits / (link.key_rate() * 10.0) - 1.0).abs() < 1e-3,
            "{bits}"
        );
        link.stop().unwrap();
        let stored = link.pool.count(8).0;
        clock.advance(Duration::from_secs(10));
        assert_eq!(link.pool.count(8).0, stored);
    }

    #[test]
    fn a_cut_stops_key_generation_and_a_repair_restarts_it() {
        let (link, clock) = link(LinkConfig::default());
        assert_eq!(link.phase(), Phase::Generating);
        link.apply(&DeviceFault::Cut(None)).unwrap();
        assert_eq!((link.phase(), link.key_rate()), (Phase::Error, 0.0));
        clock.advance(Duration::from_secs(1000));
        link.apply(&DeviceFault::Clear).unwrap();
        assert_eq!(link.phase(), Phase::Synchronising);
        clock.advance(link.timings().total());
        assert_eq!(link.phase(), Phase::Generating);
    }

    #[test]
    fn loss_and_light_cost_key() {
        let (link, _) = link(LinkConfig::default());
        let rate = link.key_rate();
        assert!(rate > 1e5, "{rate}");
        link.apply(&DeviceFault::LossDb(3.0)).unwrap();
        assert!(link.key_rate() < rate * 0.6 && link.key_rate() > 0.0);
        link.apply(&DeviceFault::Leak(-90.0)).unwrap();
        assert!(link.rates().qber > 0.011);
        link.apply(&DeviceFault::Leak(-60.0)).unwrap();
        assert_eq!(link.key_rate(), 0.0);
    }

    #[test]
    fn seeds_repeat_keys() {
        let keys = |seed| {
            let link = QkdLink::new(LinkConfig::default(), Clock::manual(), seed);
            let grant = KeyAudience {
                master: "a".into(),
                slaves: vec!["b".into()],
            };
            link.keys()
                .take(&grant, 3, 256)
                .unwrap()
                .into_iter()
                .map(|k| (k.id, k.bytes.to_vec()))
                .collect::<Vec<_>>()
        };
        assert_eq!(keys(1), keys(1));
        assert_ne!(keys(1), keys(2));
    }
}
