//! The generator as a `RandomSource`.

use crate::{
    health_test::HealthTest,
    proto::{self, ENDPOINT, PACKET, ProtoError, Request},
};
use async_trait::async_trait;
use qkd_driver_kit::link::{
    Disclosure, all_secret,
    usb::{BulkRead, UsbLink},
};
use qkd_hal::{
    Capabilities, Descriptor, Device, DeviceMisbehaved, Effect, Error, ErrorKind, EventStream,
    Health, Identity, Operation, RandomSource, Result, TransportFault,
    device::HealthState,
    event::EventHub,
    parameter::{ParameterSpec, ParameterType, ParameterValue},
    random::RandomCapabilities,
    reading::{Quality, Reading, ReadingValue},
    units::BitsPerSecond,
};
use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::time::{Instant, sleep};
use zeroize::Zeroizing;

/// Packets between two checks of the modules. The vendor's library checks before each of its reads.
const PACKETS_PER_CHECK: usize = 64;

/// Maximum number of bytes of one call, whatever the rate.
const MAX_REQUEST_BYTES: usize = 1 << 24;

const PARAMETERS: &[ParameterSpec] = &[ParameterSpec::read_only(
    "enabled",
    "whether the module generates",
    ParameterType::Flag,
    "",
)
.write_only()
.disruptive()];

/// A Quantis USB generator.
pub struct Quantis {
    descriptor: Descriptor,
    capabilities: Capabilities,
    random: RandomCapabilities,
    link: Arc<dyn UsbLink>,
    events: EventHub,
    /// Over all bytes that came since the module was started.
    test: Mutex<HealthTest>,
}

fn misbehaved(error: ProtoError, what: &'static str) -> Error {
    Error::misbehaved(
        DeviceMisbehaved::UnexpectedReply,
        format!("{what}: {error}"),
    )
}

/// No byte is given out any more, until the module is started again.
fn not_random(failure: impl std::fmt::Display) -> Error {
    Error::misbehaved(
        DeviceMisbehaved::ValueOutOfRange,
        format!(
            "its bytes fail the health test of NIST SP 800-90B: {failure}; they were discarded, \
             and no more are given out until it is enabled or opened again"
        ),
    )
}

impl Quantis {
    pub(crate) async fn open(
        descriptor: Descriptor,
        link: Arc<dyn UsbLink>,
        events: EventHub,
    ) -> Result<Self> {
        use Operation as Op;
        let capabilities = Capabilities::none().with(&[
            Op::Identity,
            Op::Health,
            Op::Telemetry,
            Op::SetParameter,
            Op::Random,
        ]);
        let mut device = Self {
            descriptor,
            capabilities,
            random: RandomCapabilities::default(),
            link,
            events,
            test: Mutex::default(),
        };
        let until = device.until();
        let mask = device
            .byte(Request::ModulesMask, "modules mask", until)
            .await?;
        let kbits = device
            .read_u32(Request::ModulesRate, "modules rate", until)
            .await?;
        if mask == 0 {
            return Err(Error::new(
                ErrorKind::NotReady,
                "the device says that it has no module",
            ));
        }
        let rate = proto::rate(kbits, mask);
        device.random = if rate > 0.0 {
            // What comes within the deadline at the nominal rate, with a fifth of it to spare.
            let bytes = rate / 8.0 * device.descriptor.deadline.as_secs_f64() * 0.8;
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "clamped to 512 bytes and 16 MiB"
            )]
            let most = bytes.clamp(PACKET as f64, MAX_REQUEST_BYTES as f64) as usize;
            RandomCapabilities::default()
                .with_max_request(most)
                .with_rate(BitsPerSecond(rate))
        } else {
            RandomCapabilities::default().with_max_request(1 << 20)
        };
        Ok(device)
    }

    fn until(&self) -> Instant {
        Instant::now() + self.descriptor.deadline
    }

    /// Time left, at most that of the vendor's library for one request.
    fn within(until: Instant) -> Duration {
        until
            .saturating_duration_since(Instant::now())
            .min(Duration::from_millis(proto::TIMEOUT_MS))
    }

    async fn read(&self, request: Request, until: Instant) -> Result<Vec<u8>> {
        self.link
            .control_in(request.setup(), Self::within(until), Disclosure::Public)
            .await
            .map_err(|e| e.into_read_error("request"))
    }

    async fn byte(&self, request: Request, what: &'static str, until: Instant) -> Result<u8> {
        proto::decode_byte(&self.read(request, until).await?).map_err(|e| misbehaved(e, what))
    }

    async fn read_u32(&self, request: Request, what: &'static str, until: Instant) -> Result<u32> {
        proto::decode_word(&self.read(request, until).await?).map_err(|e| misbehaved(e, what))
    }

    async fn command(&self, request: Request, until: Instant) -> Result<()> {
        self.link
            .control_out(
                request.setup(),
                &[],
                Self::within(until),
                Disclosure::Public,
            )
            .await
            .map_err(|e| e.into_change_error("request"))
    }

    fn test(&self) -> MutexGuard<'_, HealthTest> {
        self.test.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads packets and tests them; a short one, or bytes that are not random, are an error, and
    /// what came is zeroized.
    async fn packets(&self, count: usize, until: Instant) -> Result<Zeroizing<Vec<u8>>> {
        let within = until.saturating_duration_since(Instant::now());
        let read = BulkRead {
            endpoint: ENDPOINT,
            chunk: PACKET,
            count,
            within,
            disclosure: Disclosure::Secret(all_secret),
        };
        let bytes = self
            .link
            .bulk_in(read)
            .await
            .map_err(|e| e.into_change_error("read"))?;
        if let Err(error) = proto::check_packets(bytes.len(), count) {
            return Err(Error::misbehaved(
                DeviceMisbehaved::ShortPacket,
                format!("{error}; the bytes were discarded"),
            )
            .with_effect(Effect::Unknown));
        }
        match self.test().test(&bytes) {
            Ok(()) => Ok(bytes),
            Err(failure) => Err(not_random(failure).with_effect(Effect::Unknown)),
        }
    }

    async fn check_modules(&self, until: Instant) -> Result<()> {
        match self
            .byte(Request::ModulesStatus, "modules status", until)
            .await?
        {
            0 => Err(Error::new(
                ErrorKind::NotReady,
                "the device says that no module works",
            )),
            _ => Ok(()),
        }
    }
}

#[async_trait]
impl Device for Quantis {
    fn descriptor(&self) -> &Descriptor {
        &self.descriptor
    }
    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    async fn identity(&self) -> Result<Identity> {
        let version = self
            .read_u32(Request::BoardVersion, "board version", self.until())
            .await?;
        let usb = self.link.identity();
        let mut identity = Identity::new("ID Quantique")
            .with_model(usb.product_name.unwrap_or_else(|| "Quantis USB".to_owned()));
        if let Some(serial) = usb.serial {
            identity = identity.with_serial(serial);
        }
        // How the four bytes are to be read is not public.
        Ok(identity.with_firmware(format!("board {version}")))
    }

    async fn health(&self) -> Result<Health> {
        let until = self.until();
        let status = self
            .byte(Request::ModulesStatus, "modules status", until)
            .await?;
        let mask = self
            .byte(Request::ModulesMask, "modules mask", until)
            .await?;
        let failure = self.test().failure();
        if let Some(failure) = failure {
            let fault = format!("its bytes fail the health test of NIST SP 800-90B: {failure}");
            return Ok(Health::with_faults(HealthState::Failed, vec![fault]));
        }
        let faults: Vec<String> = proto::modules(mask & !status)
            .map(|n| format!("module {n} does not work"))
            .collect();
        Ok(match (status, faults.is_empty()) {
            (0, _) => Health::with_faults(HealthState::Failed, faults),
            (_, false) => Health::with_faults(HealthState::Degraded, faults),
            _ => Health::ok(),
        })
    }

    async fn telemetry(&self) -> Result<Vec<Reading>> {
        let until = self.until();
        let mask = self
            .byte(Request::ModulesMask, "modules mask", until)
            .await?;
        let kbits = self
            .read_u32(Request::ModulesRate, "modules rate", until)
            .await?;
        let count =
            |name: &'static str, value: u64| Reading::now(name, ReadingValue::Count(value), "");
        let flag = match self.byte(Request::Ais31Flag, "AIS 31 flag", until).await {
            Ok(flag) => count("ais31.flag", u64::from(flag)),
            // Boards from before the request stall it.
            Err(e) if e.kind() == ErrorKind::Transport(TransportFault::Stall) => {
                count("ais31.flag", 0).with_quality(Quality::Invalid)
            }
            Err(e) => return Err(e),
        };
        Ok(vec![
            count(
                "board.version",
                u64::from(
                    self.read_u32(Request::BoardVersion, "board version", until)
                        .await?,
                ),
            ),
            count("modules.mask", u64::from(mask)),
            count(
                "modules.status",
                u64::from(
                    self.byte(Request::ModulesStatus, "modules status", until)
                        .await?,
                ),
            ),
            count(
                "modules.power",
                u64::from(
                    self.byte(Request::ModulesPower, "modules power", until)
                        .await?,
                ),
            ),
            Reading::now(
                "modules.rate",
                ReadingValue::Number(proto::rate(kbits, mask)),
                BitsPerSecond::SYMBOL,
            ),
            flag,
        ])
    }

    fn parameters(&self) -> &[ParameterSpec] {
        PARAMETERS
    }

    async fn set_parameter(&self, _name: &str, value: &ParameterValue) -> Result<()> {
        let until = self.until();
        if *value == ParameterValue::Flag(false) {
            return self.command(Request::ModuleDisable, until).await;
        }
        self.command(Request::ModuleEnable, until).await?;
        *self.test() = HealthTest::default();
        // The vendor's library waits for 1 s after enabling, and discards 4096 bytes. Here these
        // bytes are the input of the start-up test.
        sleep(Duration::from_secs(1).min(until.saturating_duration_since(Instant::now()))).await;
        self.packets(4096 / PACKET, until).await.map(drop)
    }

    fn events(&self) -> EventStream {
        self.events.subscribe()
    }

    async fn close(&self) -> Result<()> {
        self.link.close().await;
        self.events.close();
        Ok(())
    }
}

#[async_trait]
impl RandomSource for Quantis {
    fn random_capabilities(&self) -> &RandomCapabilities {
        &self.random
    }

    async fn random(&self, length: usize) -> Result<Zeroizing<Vec<u8>>> {
        if length == 0 || length > self.random.max_request {
            return Err(Error::invalid(format!(
                "{length} bytes were asked for; ask for 1 to {}",
                self.random.max_request
            )));
        }
        let failure = self.test().failure();
        if let Some(failure) = failure {
            return Err(not_random(failure));
        }
        let until = self.until();
        // The first call reads what the start-up test needs, however few bytes are wanted.
        let needed = length.max(self.test().missing());
        let mut left = needed.div_ceil(PACKET);
        // Capacity for whole packets, so that the buffer never moves and leaves a copy in memory.
        let mut all = Zeroizing::new(Vec::with_capacity(left * PACKET));
        while left > 0 {
            self.check_modules(until).await?;
            let count = left.min(PACKETS_PER_CHECK);
            all.extend_from_slice(&self.packets(count, until).await?);
            left -= count;
        }
        // `truncate` would leave the rest in the buffer's spare room until it is dropped.
        zeroize::Zeroize::zeroize(&mut all[length..]);
        all.truncate(length);
        Ok(all)
    }
}
