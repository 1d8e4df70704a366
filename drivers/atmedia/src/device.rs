//! The device, whose state is read.

use crate::{
    INFO,
    proto::{
        EngineState, count, decode_engine_state, decode_interface_state, decode_power_failure,
        decode_rows, decode_text, oid,
    },
};
use async_trait::async_trait;
use qkd_driver_kit::link::{
    make::check_agent,
    snmp::Oid,
    snmp_client::{SnmpClient, optional, reading},
};
use qkd_hal::{
    Capabilities, Descriptor, Device, Encryptor, Error, ErrorKind, EventStream, Health, Identity,
    Operation, Result,
    capability::EventSupport,
    device::HealthState,
    encryptor::{ChannelId, ChannelState, ChannelStatus, EncryptorCapabilities, FailureMode},
    event::EventHub,
    reading::{Reading, ReadingValue as Measure},
};

/// An ATMedia encryptor.
pub struct AtMedia {
    opened: Identity,
    descriptor: Descriptor,
    capabilities: Capabilities,
    encryptor: EncryptorCapabilities,
    agent: SnmpClient,
    events: EventHub,
}

async fn read_identity(agent: &SnmpClient) -> Result<Identity> {
    let call = agent.call();
    check_agent(&INFO, &call).await?;
    let values = call
        .get(&[oid::PRODUCT, oid::SERIAL, oid::SOFTWARE].map(Oid::from))
        .await?;
    let text = |i: usize| decode_text(&values[i], "identity").ok().flatten();
    let mut identity = Identity::new("ATMedia");
    if let Some(model) = text(0) {
        identity = identity.with_model(model);
    }
    if let Some(serial) = text(1) {
        identity = identity.with_serial(serial);
    }
    if let Some(version) = text(2) {
        identity = identity.with_firmware(version);
    }
    Ok(identity)
}

impl AtMedia {
    pub(crate) async fn open(
        descriptor: Descriptor,
        agent: SnmpClient,
        events: EventHub,
    ) -> Result<Self> {
        use Operation as Op;
        // The MIB has no notification.
        let capabilities = Capabilities::none()
            .with(&[
                Op::Identity,
                Op::Health,
                Op::Telemetry,
                Op::Channels,
                Op::Channel,
            ])
            .with_events(EventSupport::LinkOnly);
        let device = Self {
            opened: read_identity(&agent).await?,
            descriptor,
            capabilities,
            encryptor: EncryptorCapabilities::status_only(),
            agent,
            events,
        };
        if device.engines().await?.is_empty() {
            return Err(Error::new(
                ErrorKind::NotReady,
                "the device reports no encryption engine",
            ));
        }
        Ok(device)
    }

    /// The identity at opening.
    pub(crate) fn opened_as(&self) -> &Identity {
        &self.opened
    }

    async fn engines(&self) -> Result<Vec<(u32, EngineState)>> {
        let walk = self
            .agent
            .call()
            .walk(&Oid::from(oid::ENGINE_STATE))
            .await?;
        let rows = decode_rows(walk)?;
        rows.into_iter()
            .map(|(row, state)| Ok((row, decode_engine_state(&state)?)))
            .collect()
    }
}

#[async_trait]
impl Device for AtMedia {
    fn descriptor(&self) -> &Descriptor {
        &self.descriptor
    }
    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    async fn identity(&self) -> Result<Identity> {
        read_identity(&self.agent).await
    }

    async fn health(&self) -> Result<Health> {
        let mut faults = Vec::new();
        for (row, state) in self.engines().await? {
            match state {
                EngineState::Up => {}
                EngineState::Down => faults.push(format!("engine {row} is down")),
                EngineState::Plain => {
                    faults.push(format!("engine {row} passes traffic in clear"));
                }
            }
        }
        let column = Oid::from(oid::INTERFACE_STATE);
        for (row, state) in decode_rows(self.agent.call().walk(&column).await?)? {
            if !decode_interface_state(&state)? {
                faults.push(format!("interface {row} is down"));
            }
        }
        let power = &self.agent.call().get(&[Oid::from(oid::POWER)]).await?[0];
        if decode_power_failure(power)? == Some(true) {
            faults.push("a power supply is down".to_owned());
        }
        Ok(Health::from_faults(HealthState::Degraded, faults))
    }

    async fn telemetry(&self) -> Result<Vec<Reading>> {
        let mut all = Vec::new();
        let temperature = &self
            .agent
            .call()
            .get(&[Oid::from(oid::TEMPERATURE)])
            .await?[0];
        #[allow(clippy::cast_precision_loss, reason = "a temperature has few digits")]
        let degrees = optional(temperature, |v| count(v, "acMaTemperature"))
            .map(|n| n.map(|n| Measure::Number(n as f64 / 100.0)));
        all.extend(reading("temperature", "°C", degrees)?);
        let column = Oid::from(oid::ENGINE_STATE);
        for (row, state) in decode_rows(self.agent.call().walk(&column).await?)? {
            let word = decode_engine_state(&state)
                .map(|state| Some(Measure::Text(state.keyword().to_owned())));
            all.extend(reading(format!("engine.{row}.state"), "", word)?);
        }
        let column = Oid::from(oid::ENGINE_LAST_CHANGE);
        for (row, ticks) in decode_rows(self.agent.call().walk(&column).await?)? {
            let seconds = optional(&ticks, |v| count(v, "acEncryptorStatusLastChange"))
                .map(|n| n.map(|n| Measure::Count(n / 100)));
            all.extend(reading(format!("engine.{row}.last-change"), "s", seconds)?);
        }
        for (column, item) in [(oid::INTERFACE_RX, "received"), (oid::INTERFACE_TX, "sent")] {
            let walk = self.agent.call().walk(&Oid::from(column)).await?;
            for (row, value) in decode_rows(walk)? {
                let bytes = optional(&value, |v| count(v, "acInterfaceStatus"))
                    .map(|n| n.map(Measure::Count));
                all.extend(reading(format!("interface.{row}.{item}"), "B", bytes)?);
            }
        }
        Ok(all)
    }

    fn events(&self) -> EventStream {
        self.events.subscribe()
    }

    async fn close(&self) -> Result<()> {
        self.agent.link().close().await;
        self.events.close();
        Ok(())
    }
}

#[async_trait]
impl Encryptor for AtMedia {
    fn encryptor_capabilities(&self) -> &EncryptorCapabilities {
        &self.encryptor
    }

    async fn channels(&self) -> Result<Vec<ChannelId>> {
        let engines = self.engines().await?;
        let names = engines.into_iter().map(|(row, _)| row.to_string());
        Ok(names.map(ChannelId).collect())
    }

    async fn channel(&self, channel: &ChannelId) -> Result<ChannelStatus> {
        let engines = self.engines().await?;
        let found = engines.iter().find(|(row, _)| row.to_string() == channel.0);
        let Some((_, state)) = found else {
            let known: Vec<String> = engines.iter().map(|(row, _)| row.to_string()).collect();
            return Err(Error::new(
                ErrorKind::NotFound,
                format!(
                    "there is no engine `{channel}`; there are: {}",
                    known.join(", ")
                ),
            ));
        };
        let (of_channel, mode) = match state {
            EngineState::Up => (ChannelState::Encrypting, FailureMode::Unknown),
            EngineState::Down => (ChannelState::Failed, FailureMode::Unknown),
            EngineState::Plain => (ChannelState::Disabled, FailureMode::AllowClear),
        };
        Ok(ChannelStatus::new(channel.clone(), of_channel)
            .with_vendor_state(state.keyword())
            .with_failure_mode(mode))
    }
}
