//! The device: identity, health, telemetry and notifications.

use crate::{
    INFO,
    flow::{Before, FlowStatus},
    proto::{
        Report, TEXT_LIMIT, count, decode_flows, decode_operational_state, decode_profile,
        decode_text, decode_trap, decode_truth_value,
        oid::{self, Flow},
    },
};
use async_trait::async_trait;
use qkd_driver_kit::{
    change_lock::ChangeLock,
    forced_exchanges::ForcedExchanges,
    link::{
        make::check_agent,
        snmp::{Oid, SetRequest, SnmpLink, Value},
        snmp_client::{BackgroundTask, SnmpCall, SnmpClient, optional, reading},
    },
    officer_password::OfficerPassword,
};
use qkd_hal::{
    Capabilities, Descriptor, Device, Error, ErrorKind, EventKind, EventStream, Health, Identity,
    Operation, Result,
    device::HealthState,
    encryptor::{
        ChannelState, EncryptorCapabilities, Hitless, KeyForm, KeyIdForm, KeyRole, KeySizes,
        PolicyOwner,
    },
    event::{EventHub, Origin},
    reading::{Reading, ReadingValue as Measure},
    units::Bits,
};

/// An ADVA FSP 150 with ConnectGuard.
pub struct Fsp150 {
    opened: Identity,
    descriptor: Descriptor,
    capabilities: Capabilities,
    pub(crate) encryptor: EncryptorCapabilities,
    pub(crate) agent: SnmpClient,
    pub(crate) officer: OfficerPassword,
    /// Whether a key may be staged in a profile that several flows use.
    pub(crate) changes_shared: bool,
    pub(crate) turns: ChangeLock,
    pub(crate) exchanges: ForcedExchanges<Before>,
    events: EventHub,
    traps: BackgroundTask,
}

fn listen(link: &dyn SnmpLink, events: EventHub) -> BackgroundTask {
    BackgroundTask::for_each_notification(link, move |notification| {
        if let Some(message) = notification
            && let Ok(Some(report)) = decode_trap(&message)
        {
            let kind = match report {
                Report::StateChange { flow, state } => EventKind::StateChanged {
                    subject: format!("flow {flow}"),
                    state: state.to_owned(),
                },
                Report::Alarm(alarm) => EventKind::Alarm {
                    code: alarm.number.to_string(),
                    text: alarm.name.to_owned(),
                    subject: alarm.subject,
                    severity: alarm.severity,
                },
            };
            events.publish(Origin::Device, kind);
        }
        std::future::ready(())
    })
}

fn declare() -> EncryptorCapabilities {
    let sizes = KeySizes::AnyUpTo(Bits(TEXT_LIMIT / 2 * 8));
    let form = KeyForm::new(KeyRole::KeyEncryptionPassword, sizes, KeyIdForm::None);
    EncryptorCapabilities::forced_reinitialisation(form, None)
        .with_hitless(Hitless::no(
            "the MIB does not say what traffic does while a key exchange is restarted",
        ))
        .with_policies(PolicyOwner::ByController, PolicyOwner::ByDevice)
}

async fn read_identity(agent: &SnmpClient) -> Result<Identity> {
    let call = agent.call();
    let system = check_agent(&INFO, &call).await?;
    let serial = &call.get(&[Oid::from(oid::SERIAL)]).await?[0];
    let mut identity = Identity::new("ADVA");
    if let Some(model) = system.descr {
        identity = identity.with_model(model);
    }
    if let Some(serial) = decode_text(serial, "entPhysicalSerialNum").ok().flatten() {
        identity = identity.with_serial(serial);
    }
    Ok(identity)
}

impl Fsp150 {
    pub(crate) async fn open(
        descriptor: Descriptor,
        agent: SnmpClient,
        officer: OfficerPassword,
        changes_shared: bool,
        events: EventHub,
    ) -> Result<Self> {
        use Operation as Op;
        let capabilities = Capabilities::none()
            .with(&[
                Op::Identity,
                Op::Health,
                Op::Telemetry,
                Op::Channels,
                Op::Channel,
                Op::Stage,
                Op::Activate,
                Op::Confirm,
                Op::Counters,
            ])
            .with_events(agent.link().event_support());
        let traps = listen(agent.link(), events.clone());
        let device = Self {
            opened: read_identity(&agent).await?,
            descriptor,
            capabilities,
            encryptor: declare(),
            agent,
            officer,
            changes_shared,
            turns: ChangeLock::default(),
            exchanges: ForcedExchanges::default(),
            events,
            traps,
        };
        if device.flows(&device.agent.call()).await?.is_empty() {
            return Err(Error::new(
                ErrorKind::NotReady,
                "the device has no ConnectGuard flow: set one up on it",
            ));
        }
        Ok(device)
    }

    /// The identity at opening.
    pub(crate) fn opened_as(&self) -> &Identity {
        &self.opened
    }

    pub(crate) async fn flows(&self, call: &SnmpCall<'_>) -> Result<Vec<Flow>> {
        let column = oid::column(oid::FLOW, oid::OPERATIONAL_STATE);
        Ok(decode_flows(&call.walk(&column).await?)?)
    }

    /// Sets varbinds in one PDU, with the crypto password where the device demands it.
    ///
    /// # Errors
    /// `Authentication` if there is no password, or if the device has refused it; those of the
    /// link.
    pub(crate) async fn change(
        &self,
        call: &SnmpCall<'_>,
        operation: &'static str,
        fill: impl FnOnce(SetRequest) -> SetRequest,
    ) -> Result<()> {
        let control = &call.get(&[Oid::from(oid::PASSWORD_CONTROL)]).await?[0];
        let control = decode_truth_value(control, "f3ConnectGuardCryptoPasswordControl")?;
        if control == Some(false) {
            return call.set(operation, fill(SetRequest::new())).await;
        }
        let request = fill(self.officer.request()?);
        let result = call.try_set(operation, request).await;
        result
            .map(drop)
            .map_err(|refusal| self.officer.judge(refusal).with_operation(operation))
    }
}

#[async_trait]
impl Device for Fsp150 {
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
        for flow in self.flows(&self.agent.call()).await? {
            let status = FlowStatus::read(&self.agent.call(), flow).await?;
            if matches!(
                status.state(),
                ChannelState::Failed | ChannelState::Initialising
            ) {
                faults.push(format!("flow {flow}: {}", status.words()));
            }
        }
        Ok(Health::from_faults(HealthState::Degraded, faults))
    }

    async fn telemetry(&self) -> Result<Vec<Reading>> {
        let mut all = Vec::new();
        for flow in self.flows(&self.agent.call()).await? {
            let columns = [
                oid::OPERATIONAL_STATE,
                oid::FAILURES,
                oid::INTERVAL,
                oid::FLOW_PROFILE,
            ];
            let names = columns.map(|column| oid::of_flow(column, flow));
            let v = self.agent.call().get(&names).await?;
            let number = |value: &Value, object| {
                optional(value, |v| count(v, object)).map(|n| n.map(Measure::Count))
            };
            let is_normal = optional(&v[0], decode_operational_state);
            let failures = number(&v[1], "f3ConnectGuardFlowKeyXchgFailsCounts");
            let minutes = number(&v[2], "f3ConnectGuardFlowKeyExchangeInterval");
            let profile = decode_profile(&v[3]).map(|n| n.map(|n| Measure::Count(n.into())));
            for (name, unit, value) in [
                ("normal", "", is_normal.map(|n| n.map(Measure::Flag))),
                ("failed-exchanges", "", failures),
                ("key-exchange-interval", "min", minutes),
                ("key-exchange-profile", "", profile),
            ] {
                all.extend(reading(format!("flow.{flow}.{name}"), unit, value)?);
            }
        }
        Ok(all)
    }

    fn events(&self) -> EventStream {
        self.events.subscribe()
    }

    async fn close(&self) -> Result<()> {
        self.traps.stop();
        self.agent.link().close().await;
        self.events.close();
        Ok(())
    }
}
