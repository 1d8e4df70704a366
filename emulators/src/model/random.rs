//! A quantum random number generator.

use super::{DeviceBase, device_base::impl_device};
use async_trait::async_trait;
use qkd_hal::{
    Capabilities, DeviceKind, Error, ErrorKind, Health, Identity, Operation, RandomSource, Result,
    device::HealthState, random::RandomCapabilities, units::BitsPerSecond,
};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha12Rng;
use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicBool, Ordering},
};
use zeroize::Zeroizing;

/// Model of a random source. Its bytes follow from the seed, so that runs repeat; they are not
/// secret.
pub struct RandomModel {
    base: DeviceBase,
    limits: RandomCapabilities,
    generator: Mutex<ChaCha12Rng>,
    enabled: AtomicBool,
    failed: AtomicBool,
    tests_requested: AtomicBool,
    /// The value of all bytes, once it has stopped to be random.
    constant: Mutex<Option<u8>>,
    board_version: u32,
    rate_kbit: u32,
}

impl RandomModel {
    /// A generator of 4 Mbit/s, as a Quantis USB has, with this serial number.
    #[must_use]
    pub fn new(seed: u64, serial: &str) -> Self {
        let identity = Identity::new("id Quantique")
            .with_model("Quantis USB")
            .with_serial(serial);
        let rate_kbit = 4000;
        Self {
            base: DeviceBase::new(
                DeviceKind::RandomSource,
                identity,
                Capabilities::none().with(&[
                    Operation::Identity,
                    Operation::Health,
                    Operation::Random,
                ]),
            ),
            limits: RandomCapabilities::default()
                .with_max_request(16 << 20)
                .with_rate(BitsPerSecond(f64::from(rate_kbit) * 1e3)),
            generator: Mutex::new(ChaCha12Rng::seed_from_u64(seed)),
            enabled: AtomicBool::new(true),
            failed: AtomicBool::new(false),
            tests_requested: AtomicBool::new(false),
            constant: Mutex::default(),
            board_version: 2,
            rate_kbit,
        }
    }
    /// Returns the state that all models share.
    #[must_use]
    pub fn base(&self) -> &DeviceBase {
        &self.base
    }
    /// Returns the serial number.
    #[must_use]
    pub fn serial(&self) -> String {
        self.base.identity().serial.unwrap_or_default()
    }
    /// Returns the version of the board.
    #[must_use]
    pub fn board_version(&self) -> u32 {
        self.board_version
    }
    /// The nominal rate, in kbit/s.
    #[must_use]
    pub fn rate_kbit(&self) -> u32 {
        self.rate_kbit
    }
    /// Switches the module on or off.
    pub fn set_enabled(&self, on: bool) {
        self.enabled.store(on, Ordering::Relaxed);
    }
    /// Whether the module is on.
    #[must_use]
    pub fn is_enabled(&self) -> bool {
        self.enabled.load(Ordering::Relaxed)
    }
    /// Breaks the module, or mends it.
    pub fn set_failed(&self, failed: bool) {
        self.failed.store(failed, Ordering::Relaxed);
    }
    /// Whether the module works.
    #[must_use]
    pub fn is_working(&self) -> bool {
        self.is_enabled() && !self.failed.load(Ordering::Relaxed)
    }
    /// Asks for the start-up tests of AIS 31.
    pub fn request_tests(&self) {
        self.tests_requested.store(true, Ordering::Relaxed);
    }
    /// Whether those tests are asked for.
    #[must_use]
    pub fn tests_requested(&self) -> bool {
        self.tests_requested.load(Ordering::Relaxed)
    }
    /// Takes that request back.
    pub fn clear_tests_request(&self) {
        self.tests_requested.store(false, Ordering::Relaxed);
    }
    /// Makes all bytes of one value, or random again.
    pub fn set_constant(&self, value: Option<u8>) {
        *self.constant.lock().unwrap_or_else(PoisonError::into_inner) = value;
    }
    /// Returns the state that commands and faults can change, as text.
    #[must_use]
    pub fn state(&self) -> String {
        let failed = self.failed.load(Ordering::Relaxed);
        format!(
            "enabled: {}\nfailed: {failed}\ntests requested: {}",
            self.is_enabled(),
            self.tests_requested()
        )
    }
    /// Fills `bytes` with the next random bytes.
    pub fn fill(&self, bytes: &mut [u8]) {
        if let Some(value) = *self.constant.lock().unwrap_or_else(PoisonError::into_inner) {
            bytes.fill(value);
            return;
        }
        self.generator
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .fill_bytes(bytes);
    }
}

impl_device! { RandomModel, base,
    async fn health(&self) -> Result<Health> {
        Ok(if self.is_working() { Health::ok() } else { Health::with_faults(HealthState::Failed, vec!["no module works".into()]) })
    }
}

#[async_trait]
impl RandomSource for RandomModel {
    fn random_capabilities(&self) -> &RandomCapabilities {
        &self.limits
    }
    async fn random(&self, length: usize) -> Result<Zeroizing<Vec<u8>>> {
        if length == 0 || length > self.limits.max_request {
            return Err(Error::invalid(format!(
                "the length must be from 1 to {}, not {length}",
                self.limits.max_request
            )));
        }
        if !self.is_working() {
            return Err(Error::new(ErrorKind::NotReady, "no module works"));
        }
        let mut bytes = Zeroizing::new(vec![0; length]);
        self.fill(&mut bytes);
        Ok(bytes)
    }
}
