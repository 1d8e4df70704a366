//! Faulty and slow links: loss, delay, duplicates, one-bit damage, low speed; seeded, so that a run can be repeated.

use crate::link::{
    Disclosure, LinkError,
    bytes::{ByteStream, Connector},
    http::{HttpLink, HttpRequest, HttpResponse},
    snmp::{Notification, Oid, SecurityLevel, SetRequest, SnmpLink, VarBind},
    usb::{Read, Setup, UsbIdentity, UsbLink},
};
use async_trait::async_trait;
use qkd_hal::{ErrorKind, TransportFault};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::broadcast,
    time::sleep,
};
use zeroize::Zeroizing;

/// What goes wrong on a link, and how often.
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct LinkFaults {
    /// The probability that a message is lost.
    pub loss: f64,
    /// How much later each message comes.
    pub delay: Duration,
    /// The probability that a message comes twice (byte links).
    pub duplicate: f64,
    /// The probability that one bit of a message is flipped (byte links; elsewhere the link's own check sum makes a loss of it).
    pub damage: f64,
    /// Bytes per second, if limited (byte links).
    pub speed: Option<u32>,
    /// The seed.
    pub seed: u64,
}

impl LinkFaults {
    /// No faults, with a seed.
    #[must_use]
    pub fn seeded(seed: u64) -> Self {
        Self { seed, ..Self::default() }
    }
    /// With loss.
    #[must_use]
    pub fn loss(mut self, probability: f64) -> Self {
        self.loss = probability;
        self
    }
    /// With delay.
    #[must_use]
    pub fn delay(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }
    /// With duplicates.
    #[must_use]
    pub fn duplicate(mut self, probability: f64) -> Self {
        self.duplicate = probability;
        self
    }
    /// With one-bit damage.
    #[must_use]
    pub fn damage(mut self, probability: f64) -> Self {
        self.damage = probability;
        self
    }
    /// At a low speed.
    #[must_use]
    pub fn speed(mut self, bytes_per_second: u32) -> Self {
        self.speed = Some(bytes_per_second.max(1));
        self
    }
    /// Puts these faults around a link.
    #[must_use]
    pub fn around<L>(&self, inner: L) -> Faulty<L> {
        Faulty { inner, faults: *self, dice: Arc::new(Mutex::new(ChaCha8Rng::seed_from_u64(self.seed))) }
    }
}

/// A link with faults.
pub struct Faulty<L> {
    inner: L,
    faults: LinkFaults,
    dice: Arc<Mutex<ChaCha8Rng>>,
}

fn roll(dice: &Mutex<ChaCha8Rng>, probability: f64) -> bool {
    probability > 0.0 && dice.lock().unwrap_or_else(PoisonError::into_inner).random_bool(probability.min(1.0))
}

impl<L> Faulty<L> {
    /// Delays a message, or loses it: then nothing comes until the deadline.
    async fn pass(&self, within: Duration, what: &str) -> Result<(), LinkError> {
        if roll(&self.dice, self.faults.loss + self.faults.damage) {
            sleep(within).await;
            return Err(LinkError::new(ErrorKind::Timeout, format!("{what} within the deadline")).sent());
        }
        if self.faults.delay >= within && !self.faults.delay.is_zero() {
            sleep(within).await;
            return Err(LinkError::new(ErrorKind::Timeout, format!("{what} within the deadline")).sent());
        }
        if !self.faults.delay.is_zero() {
            sleep(self.faults.delay).await;
        }
        Ok(())
    }
}

#[async_trait]
impl Connector for Faulty<Box<dyn Connector>> {
    /// The faults act on what the device sends, message by message as it comes.
    async fn connect(&self, within: Duration) -> Result<Box<dyn ByteStream>, LinkError> {
        let stream = self.inner.connect(within).await?;
        let (near, far) = tokio::io::duplex(64 * 1024);
        let (faults, dice) = (self.faults, Arc::clone(&self.dice));
        tokio::spawn(async move {
            let (mut from_device, mut to_device) = tokio::io::split(stream);
            let (mut from_host, mut to_host) = tokio::io::split(far);
            let back = async {
                let mut buffer = Zeroizing::new(vec![0; 4096]);
                while let Ok(n @ 1..) = from_device.read(&mut buffer).await {
                    sleep(faults.delay).await;
                    if roll(&dice, faults.loss) {
                        continue;
                    }
                    if roll(&dice, faults.damage) {
                        let bit = dice.lock().unwrap_or_else(PoisonError::into_inner).random_range(0..n * 8);
                        buffer[bit / 8] ^= 1 << (bit % 8);
                    }
                    for _ in 0..=usize::from(roll(&dice, faults.duplicate)) {
                        match faults.speed {
                            None => to_host.write_all(&buffer[..n]).await?,
                            Some(speed) => {
                                for byte in &buffer[..n] {
                                    sleep(Duration::from_secs(1) / speed).await;
                                    to_host.write_all(&[*byte]).await?;
                                }
                            }
                        }
                    }
                }
                to_host.shutdown().await
            };
            let forth = tokio::io::copy(&mut from_host, &mut to_device);
            tokio::select! { _ = back => {}, _ = forth => {} }
        });
        Ok(Box::new(near))
    }
    fn address(&self) -> String {
        self.inner.address()
    }
    fn exclusive(&self) -> Option<String> {
        self.inner.exclusive()
    }
}

#[async_trait]
impl SnmpLink for Faulty<Arc<dyn SnmpLink>> {
    async fn get(&self, oids: &[Oid], within: Duration) -> Result<Vec<VarBind>, LinkError> {
        self.pass(within, "no response came").await?;
        self.inner.get(oids, within).await
    }
    async fn set(&self, request: SetRequest, within: Duration) -> Result<i32, LinkError> {
        let id = self.inner.set(request, within).await?;
        // The response is lost: the agent has set it.
        self.pass(within, "no response came").await?;
        Ok(id)
    }
    async fn walk(&self, root: &Oid, within: Duration) -> Result<Vec<VarBind>, LinkError> {
        self.pass(within, "no response came").await?;
        self.inner.walk(root, within).await
    }
    fn notifications(&self) -> broadcast::Receiver<Notification> {
        self.inner.notifications()
    }
    fn security(&self) -> SecurityLevel {
        self.inner.security()
    }
    fn address(&self) -> String {
        self.inner.address()
    }
    async fn close(&self) {
        self.inner.close().await;
    }
}

#[async_trait]
impl UsbLink for Faulty<Arc<dyn UsbLink>> {
    async fn control_in(&self, setup: Setup, within: Duration, disclosure: Disclosure) -> Result<Vec<u8>, LinkError> {
        self.pass(within, "no data came").await?;
        self.inner.control_in(setup, within, disclosure).await
    }
    async fn control_out(&self, setup: Setup, data: &[u8], within: Duration, disclosure: Disclosure) -> Result<(), LinkError> {
        self.inner.control_out(setup, data, within, disclosure).await?;
        self.pass(within, "no status came").await
    }
    async fn bulk_in(&self, read: Read) -> Result<Zeroizing<Vec<u8>>, LinkError> {
        self.pass(read.within, "no data came").await?;
        self.inner.bulk_in(read).await
    }
    async fn bulk_out(&self, endpoint: u8, data: &[u8], within: Duration, disclosure: Disclosure) -> Result<usize, LinkError> {
        let n = self.inner.bulk_out(endpoint, data, within, disclosure).await?;
        self.pass(within, "no status came").await?;
        Ok(n)
    }
    async fn interrupt_in(&self, read: Read) -> Result<Zeroizing<Vec<u8>>, LinkError> {
        self.pass(read.within, "no data came").await?;
        self.inner.interrupt_in(read).await
    }
    fn identity(&self) -> UsbIdentity {
        self.inner.identity()
    }
    fn address(&self) -> String {
        self.inner.address()
    }
    async fn close(&self) {
        self.inner.close().await;
    }
}

#[async_trait]
impl HttpLink for Faulty<Arc<dyn HttpLink>> {
    async fn call(&self, request: HttpRequest, within: Duration) -> Result<HttpResponse, LinkError> {
        let response = self.inner.call(request, within).await?;
        if roll(&self.dice, self.faults.damage) {
            return Err(LinkError::new(ErrorKind::Transport(TransportFault::Framing), "the response was damaged on the way").sent());
        }
        self.pass(within, "no response came").await?;
        Ok(response)
    }
    fn address(&self) -> String {
        self.inner.address()
    }
    async fn close(&self) {
        self.inner.close().await;
    }
}
