//! One end of a Qline as a `QkdModule`.

use crate::{
    proto::{HwsCommand, Link, MonCommand, Outcome, Side},
    settings,
    wire::QlineTransport,
};
use async_trait::async_trait;
use qkd_driver_etsi014::Client;
use qkd_hal::{
    Capabilities, Descriptor, Device, DeviceMisbehaved, Effect, Error, ErrorKind, EventStream,
    Health, Identity, Key, KeyId, Operation, QkdModule, Result,
    device::HealthState,
    event::EventHub,
    parameter::{ParameterSpec, ParameterValue},
    qkd::{KeyRequest, KeyStore, ModuleState, ModuleStatus, Performance, QkdCapabilities, Role},
    reading::{Measured, Reading, ReadingValue},
    units::{Bits, Celsius, Hertz, Ratio},
};

/// One end of a Qline.
pub struct Qline {
    descriptor: Descriptor,
    capabilities: Capabilities,
    qkd: QkdCapabilities,
    side: Side,
    wire: QlineTransport,
    keys: Option<Client>,
    events: EventHub,
}

fn lacks(operation: Operation) -> Error {
    Error::unsupported(
        operation.name(),
        "give kme= and peer= in the URI to reach the keys of this node",
    )
}

impl Qline {
    pub(crate) async fn open(
        descriptor: Descriptor,
        side: Side,
        wire: QlineTransport,
        keys: Option<Client>,
        events: EventHub,
    ) -> Result<Self> {
        use Operation as Op;
        let role = if side == Side::Alice {
            Role::Transmitter
        } else {
            Role::Receiver
        };
        let mut capabilities = Capabilities::none()
            .with(&[
                Op::Health,
                Op::Telemetry,
                Op::ModuleStatus,
                Op::SetParameter,
            ])
            .with_emulated(&[Op::Identity]);
        if side == Side::Alice {
            capabilities = capabilities.with(&[Op::Performance, Op::Start, Op::Calibrate]);
        }
        if keys.is_some() {
            capabilities = capabilities.with(&[Op::KeyStore, Op::TakeKeys, Op::TakeKeysById]);
        }
        let mut qkd = QkdCapabilities::new(role);
        if side == Side::Alice {
            let (each, steps) = (wire.calibration, HwsCommand::calibration().len());
            qkd = qkd.with_timeouts(each, each * u32::try_from(steps).unwrap_or(u32::MAX));
        }
        let device = Self {
            descriptor,
            capabilities,
            qkd,
            side,
            wire,
            keys,
            events,
        };
        device
            .wire
            .observe(MonCommand::Link, MonCommand::decode_link)
            .await?;
        // A server does not answer what the other end alone knows.
        let reported = match side {
            Side::Alice => device
                .wire
                .observe(MonCommand::NodeStats, MonCommand::decode_node_stats)
                .await
                .map(drop),
            Side::Bob => device
                .wire
                .observe(MonCommand::Counts, MonCommand::decode_counts)
                .await
                .map(drop),
        };
        reported.map_err(|e| match e.kind() {
            ErrorKind::Timeout => Error::new(
                ErrorKind::Timeout,
                format!("the replies are not those of {side}; check role="),
            )
            .with_source(e),
            _ => e,
        })?;
        Ok(device)
    }

    /// A command of `hws`, and what its words mean.
    async fn run(&self, command: &HwsCommand) -> Result<()> {
        match self.wire.command(command).await? {
            Outcome::Done(_) => Ok(()),
            Outcome::Failed(words) => Err(Error::new(
                ErrorKind::Refused,
                format!("`{}` failed", command.keyword()),
            )
            .with_effect(Effect::Partial)
            .with_vendor_text(words)),
            Outcome::Unknown(words) => Err(Error::new(
                ErrorKind::Refused,
                format!(
                    "`{}` is not known, or an error was raised in it",
                    command.keyword()
                ),
            )
            .with_effect(Effect::Unknown)
            .with_vendor_text(words)),
        }
    }
}

#[async_trait]
impl Device for Qline {
    fn descriptor(&self) -> &Descriptor {
        &self.descriptor
    }
    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    /// The protocol has no identification: it is the role, after the server answered.
    async fn identity(&self) -> Result<Identity> {
        self.wire
            .observe(MonCommand::Link, MonCommand::decode_link)
            .await?;
        Ok(
            Identity::new("Veriqloud").with_model(if self.side == Side::Alice {
                "Qline Alice"
            } else {
                "Qline Bob"
            }),
        )
    }

    async fn health(&self) -> Result<Health> {
        let mut faults = Vec::new();
        if self
            .wire
            .observe(MonCommand::Link, MonCommand::decode_link)
            .await?
            == Link::Error
        {
            faults.push("the link is in error".to_owned());
        }
        let pci = self
            .wire
            .observe(MonCommand::PciStatus, MonCommand::decode_text)
            .await?;
        if pci != "ok" {
            faults.push(format!("PCI: {pci}"));
        }
        let servers = self
            .wire
            .observe(MonCommand::Servers, MonCommand::decode_servers)
            .await?;
        faults.extend(
            ["hw", "hws", "gc", "rng"]
                .iter()
                .zip(servers)
                .filter(|(_, code)| *code != 0)
                .map(|(name, code)| format!("server {name} is not active ({code})")),
        );
        let rng = self
            .wire
            .observe(MonCommand::RngStatus, MonCommand::decode_int)
            .await?;
        if rng != 0 {
            faults.push(format!("random generator: status {rng}"));
        }
        if self
            .wire
            .observe(MonCommand::WhiteRabbit, MonCommand::decode_int)
            .await?
            != 0
        {
            faults.push("no address on the White Rabbit network".to_owned());
        }
        Ok(Health::from_faults(HealthState::Degraded, faults))
    }

    async fn telemetry(&self) -> Result<Vec<Reading>> {
        let number = |name: &'static str, value: f64, unit: &'static str| {
            Reading::now(name, ReadingValue::Number(value), unit)
        };
        let mut all = vec![number(
            "global-counter",
            self.wire
                .observe(MonCommand::GlobalCounter, MonCommand::decode_double)
                .await?,
            "",
        )];
        match self.side {
            Side::Alice => {
                let last = self
                    .wire
                    .observe(MonCommand::NodeStats, MonCommand::decode_node_stats)
                    .await?;
                all.push(Reading::now(
                    "key.last-length",
                    ReadingValue::Count(u64::from(last.key_length.unsigned_abs())),
                    Bits::SYMBOL,
                ));
                all.push(number("key.qber", last.qber, Ratio::SYMBOL));
            }
            Side::Bob => {
                let c = self
                    .wire
                    .observe(MonCommand::Counts, MonCommand::decode_counts)
                    .await?;
                // Counted in 0.1 s, as the vendor's client has it.
                for (name, value) in [
                    ("detector.counts", c.total),
                    ("detector.click0", c.click0),
                    ("detector.click1", c.click1),
                ] {
                    all.push(number(name, f64::from(value) * 10.0, Hertz::SYMBOL));
                }
                all.push(number(
                    "detector.temperature",
                    self.wire
                        .observe(MonCommand::DetectorTemperature, MonCommand::decode_double)
                        .await?,
                    Celsius::SYMBOL,
                ));
            }
        }
        Ok(all)
    }

    fn parameters(&self) -> &[ParameterSpec] {
        settings::of(self.side)
    }

    async fn set_parameter(&self, name: &str, value: &ParameterValue) -> Result<()> {
        self.wire
            .set(&settings::command(self.side, name, value)?)
            .await
    }

    fn events(&self) -> EventStream {
        self.events.subscribe()
    }

    async fn close(&self) -> Result<()> {
        self.wire.close().await;
        if let Some(keys) = &self.keys {
            keys.close().await;
        }
        self.events.close();
        Ok(())
    }
}

#[async_trait]
impl QkdModule for Qline {
    fn qkd_capabilities(&self) -> &QkdCapabilities {
        &self.qkd
    }

    async fn status(&self) -> Result<ModuleStatus> {
        let link = self
            .wire
            .observe(MonCommand::Link, MonCommand::decode_link)
            .await?;
        let state = match link {
            Link::Error => ModuleState::Error,
            Link::Calibrating => ModuleState::Calibrating,
            Link::ProbablyOnline => ModuleState::Generating,
        };
        let status = ModuleStatus::new(state, self.qkd.role).with_vendor_state(link.description());
        Ok(match &self.keys {
            Some(keys) => status.with_peer(keys.peer()),
            None => status,
        })
    }

    async fn performance(&self) -> Result<Performance> {
        if self.side == Side::Bob {
            return Err(Error::unsupported(
                Operation::Performance.name(),
                "Bob's server has no such command: ask Alice",
            ));
        }
        let last = self
            .wire
            .observe(MonCommand::NodeStats, MonCommand::decode_node_stats)
            .await?;
        let mut performance = Performance::default();
        // 0 and 0 mean that there is no key yet.
        if (last.key_length, last.qber) == (0, 0.0) {
            return Ok(performance);
        }
        let length = u64::try_from(last.key_length).map_err(|_| {
            Error::misbehaved(
                DeviceMisbehaved::ValueOutOfRange,
                format!("the device reports a key of {} bit", last.key_length),
            )
        })?;
        performance.last_block = Some(Measured::now(Bits(length)));
        performance.qber = Some(Measured::now(Ratio(last.qber)));
        Ok(performance)
    }

    async fn key_store(&self) -> Result<KeyStore> {
        let keys = self
            .keys
            .as_ref()
            .ok_or_else(|| lacks(Operation::KeyStore))?;
        Ok(keys.status().await?.key_store())
    }

    async fn start(&self) -> Result<()> {
        if self.side == Side::Bob {
            return Err(Error::unsupported(
                Operation::Start.name(),
                "Alice is the entry for both ends",
            ));
        }
        self.run(&HwsCommand::Start).await
    }

    async fn calibrate(&self) -> Result<()> {
        if self.side == Side::Bob {
            return Err(Error::unsupported(
                Operation::Calibrate.name(),
                "Alice is the entry for both ends",
            ));
        }
        let mut done: Vec<String> = Vec::new();
        for step in HwsCommand::calibration() {
            let outcome = match self.wire.command(&step).await {
                Ok(Outcome::Unknown(_)) if step.is_newer() => continue,
                Ok(Outcome::Done(_)) => {
                    done.push(step.keyword());
                    continue;
                }
                Ok(Outcome::Failed(words) | Outcome::Unknown(words)) => {
                    Error::new(ErrorKind::Refused, format!("`{}` failed", step.keyword()))
                        .with_effect(Effect::Partial)
                        .with_vendor_text(words)
                }
                Err(error) => error,
            };
            let reported = if done.is_empty() {
                "nothing".to_owned()
            } else {
                done.join(", ")
            };
            let effect = if done.is_empty() {
                outcome.effect()
            } else {
                Effect::Partial
            };
            let mut error = Error::new(
                outcome.kind(),
                format!("{}; done before: {reported}", outcome.message()),
            )
            .with_effect(effect);
            if let Some(words) = outcome.vendor_text() {
                error = error.with_vendor_text(words);
            }
            return Err(error.with_source(outcome));
        }
        Ok(())
    }

    async fn take_keys(&self, request: &KeyRequest) -> Result<Vec<Key>> {
        self.keys
            .as_ref()
            .ok_or_else(|| lacks(Operation::TakeKeys))?
            .take(request)
            .await
    }

    async fn take_keys_by_id(&self, ids: &[KeyId]) -> Result<Vec<Key>> {
        self.keys
            .as_ref()
            .ok_or_else(|| lacks(Operation::TakeKeysById))?
            .take_by_id(ids)
            .await
    }
}
