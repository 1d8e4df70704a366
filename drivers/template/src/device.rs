//! The device behind the contract.

use crate::proto::{self, ProtoError};
use async_trait::async_trait;
use qkd_driver_kit::{
    link::{
        Disclosure,
        ask::{Unanswered, ask},
        bytes::{ByteLink, Exchange, line},
    },
    switching,
};
use qkd_hal::{
    Capabilities, Descriptor, Device, DeviceMisbehaved, Effect, Error, EventStream, Health, Identity, Operation, Result, event::EventHub, reading::Measured,
};
use qkd_switch_hal::{Applied, CrossConnect, CrossConnects, Geometry, OpticalSwitch, Plan, Step, SwitchCapabilities};
use std::sync::Arc;
use tokio::time::Instant;

/// A 1×4 switch of nobody's.
pub struct Template {
    descriptor: Descriptor,
    capabilities: Capabilities,
    switch: SwitchCapabilities,
    link: Arc<dyn ByteLink>,
    events: EventHub,
    turns: switching::Turns,
}

impl Template {
    /// Checks that such a device answers.
    pub(crate) async fn open(descriptor: Descriptor, link: Arc<dyn ByteLink>, events: EventHub) -> Result<Self> {
        // Declare what the device does, and nothing else: the check around the handle refuses the rest before you are asked.
        let capabilities = Capabilities::none().with(&[Operation::Connections, Operation::Apply]).with_emulated(&[Operation::Identity, Operation::Health]);
        let device = Self { descriptor, capabilities, switch: SwitchCapabilities::new(Geometry::one_by(4)), link, events, turns: switching::Turns::default() };
        device.position().await?;
        Ok(device)
    }

    fn exchange(&self, request: impl Into<Vec<u8>>) -> Exchange {
        // It counts as one that changes the device, unless its caller adds `reads()`.
        // `Public`: nothing in it is secret. Undeclared replies are recorded as a length only.
        Exchange::new("template", request, self.descriptor.deadline).reply(line(64), Disclosure::Public)
    }

    async fn position(&self) -> Result<u32> {
        match ask(self.link.as_ref(), self.exchange(proto::GET).reads(), proto::decode_get).await {
            Ok(position @ 1..=4) => Ok(position),
            Ok(other) => Err(Error::misbehaved(DeviceMisbehaved::ValueOutOfRange, format!("the device is at {other}, and has positions 1 to 4"))),
            Err(Unanswered::Link(e)) => Err(e.reading("get")),
            Err(Unanswered::Reply(e)) => Err(unexpected(&e)),
        }
    }
}

fn unexpected(error: &ProtoError) -> Error {
    Error::misbehaved(DeviceMisbehaved::UnexpectedReply, error.to_string())
}

#[async_trait]
impl Device for Template {
    fn descriptor(&self) -> &Descriptor {
        &self.descriptor
    }
    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }
    async fn identity(&self) -> Result<Identity> {
        self.position().await.map(|_| Identity::of("Nobody").with_model("1x4"))
    }
    async fn health(&self) -> Result<Health> {
        self.position().await.map(|_| Health::ok())
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
impl switching::Backend for Template {
    async fn read(&self) -> Result<CrossConnects> {
        [CrossConnect::new(0, self.position().await?)].into_iter().collect()
    }
    async fn run(&self, steps: &[Step]) -> Result<(), (usize, Error)> {
        let Some(to) = steps.iter().flat_map(Step::adds).next_back() else { return Ok(()) };
        match ask(self.link.as_ref(), self.exchange(proto::set(to.egress.0)), proto::decode_set).await {
            Ok(()) => Ok(()),
            // `changing`: once the request was sent, the device may have moved.
            Err(Unanswered::Link(e)) => Err((0, e.changing("set"))),
            Err(Unanswered::Reply(e)) => Err((0, unexpected(&e).effect(Effect::Unknown))),
        }
    }
}

#[async_trait]
impl OpticalSwitch for Template {
    fn switch_capabilities(&self) -> &SwitchCapabilities {
        &self.switch
    }
    async fn connections(&self) -> Result<Measured<CrossConnects>> {
        Ok(Measured::now(switching::Backend::read(self).await?))
    }
    async fn apply(&self, plan: &Plan) -> Result<Applied> {
        // The kit reads again, checks, runs, reads back and says what was done.
        let until = Instant::now() + self.descriptor.deadline;
        switching::apply(self, &self.identity().await?, plan, &self.turns, until).await
    }
}
