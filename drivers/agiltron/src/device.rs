//! The two products behind the contract.

use crate::proto::{ProtoError, ff, self_align};
use async_trait::async_trait;
use qkd_driver_kit::{
    link::{
        Disclosure,
        ask::{Unanswered, ask},
        bytes::{ByteLink, Exchange, fixed},
    },
    switching,
};
use qkd_hal::{
    Capabilities, Descriptor, Device, DeviceMisbehaved, Effect, Error, ErrorKind, EventStream, Health, Identity, Operation, Result,
    event::EventHub,
    reading::{Measured, Quality},
};
use qkd_switch_hal::{Applied, CrossConnect, CrossConnects, Geometry, OpticalSwitch, Plan, Readback, Step, SwitchCapabilities};
use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};
use tokio::{sync::Mutex, time::Instant};

/// Which product: no query tells, so the URI must.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Model {
    /// FF 1xN with a CL/LB driver board.
    Ff,
    /// SelfAlign 1xN.
    SelfAlign,
}

impl Model {
    /// By the word of the URI.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        match word {
            "ff" => Some(Self::Ff),
            "selfalign" => Some(Self::SelfAlign),
            _ => None,
        }
    }

    /// The most channels that a frame can carry.
    #[must_use]
    pub fn most_channels(self) -> u32 {
        match self {
            Self::Ff => 255,
            Self::SelfAlign => 256,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Ff => "FF",
            Self::SelfAlign => "SelfAlign",
        }
    }
}

/// An Agiltron switch.
pub struct Agiltron {
    descriptor: Descriptor,
    capabilities: Capabilities,
    switch: SwitchCapabilities,
    model: Model,
    channels: u32,
    link: Arc<dyn ByteLink>,
    events: EventHub,
    turns: switching::Turns,
    /// SelfAlign: the channel that was last acknowledged, and when. Nothing while a command is under way.
    acknowledged: Mutex<Option<(u32, SystemTime)>>,
}

impl Agiltron {
    pub(crate) async fn open(descriptor: Descriptor, model: Model, channels: u32, link: Arc<dyn ByteLink>, events: EventHub) -> Result<Self> {
        use Operation as Op;
        let (capabilities, readback) = match model {
            Model::Ff => (Capabilities::none().with(&[Op::Connections, Op::Apply]).with_emulated(&[Op::Identity, Op::Health]), Readback::Device),
            // It can be asked nothing: not even whether it is there.
            Model::SelfAlign => (Capabilities::none().with(&[Op::Apply]).with_emulated(&[Op::Identity, Op::Connections]), Readback::LastAcknowledged),
        };
        let switch = SwitchCapabilities::new(Geometry::one_by(channels)).with_readback(readback);
        let device =
            Self { descriptor, capabilities, switch, model, channels, link, events, turns: switching::Turns::default(), acknowledged: Mutex::new(None) };
        if model == Model::Ff {
            device.active(device.until()).await?;
        }
        Ok(device)
    }

    fn until(&self) -> Instant {
        Instant::now() + self.descriptor.deadline
    }

    fn who(&self) -> Identity {
        Identity::of("Agiltron").with_model(format!("{} 1x{}", self.model.name(), self.channels))
    }

    async fn exchange<T>(
        &self,
        exchange: Exchange,
        decode: impl Fn(&[u8]) -> Result<T, ProtoError> + Clone + Send + 'static,
    ) -> Result<T, Unanswered<ProtoError>> {
        ask(self.link.as_ref(), exchange.reply(fixed(4), Disclosure::Public), decode).await
    }

    /// FF: the active channel.
    async fn active(&self, until: Instant) -> Result<u32> {
        let exchange = Exchange::new("get", ff::GET, left(until)).reads();
        let channel = match self.exchange(exchange, ff::decode_get).await {
            Ok(channel) => u32::from(channel),
            Err(Unanswered::Link(error)) => return Err(error.reading("get")),
            Err(Unanswered::Reply(error)) => return Err(misbehaved(error)),
        };
        if (1..=self.channels).contains(&channel) {
            return Ok(channel);
        }
        let why = format!("the switch says that channel {channel} is active, and channels={} was given", self.channels);
        Err(Error::misbehaved(DeviceMisbehaved::ValueOutOfRange, why))
    }

    /// Moves to a channel; returns when the switch has acknowledged it.
    async fn move_to(&self, channel: u32, until: Instant) -> Result<()> {
        let request = match self.model {
            Model::Ff => ff::set(channel),
            Model::SelfAlign => self_align::set(channel),
        };
        let request = request.map_err(|e| Error::invalid(e.to_string()))?;
        let model = self.model;
        let decode = move |reply: &[u8]| match model {
            Model::Ff => ff::decode_set(request, reply),
            Model::SelfAlign => self_align::decode_set(reply),
        };
        match self.exchange(Exchange::new("set", request, left(until)), decode).await {
            Ok(()) => Ok(()),
            Err(Unanswered::Link(error)) => Err(error.changing("set")),
            Err(Unanswered::Reply(error)) => Err(misbehaved(error).effect(Effect::Unknown)),
        }
    }

    /// SelfAlign: carries out a plan, made from what was last acknowledged, or blind.
    async fn apply_unread(&self, plan: &Plan) -> Result<Applied> {
        let begun = Instant::now();
        if !plan.device().same_box(&self.who()) {
            return Err(Error::new(ErrorKind::IdentityChanged, format!("the plan was made for {}, and this is {}", plan.device(), self.who())));
        }
        let mut acknowledged = self.acknowledged.lock().await;
        if plan.fingerprint().is_some() {
            let Some((channel, _)) = *acknowledged else {
                return Err(Error::new(ErrorKind::StateChanged, "the position is not known any more, and the plan was made from one: plan blind"));
            };
            plan.check(&at(channel)?)?;
        }
        let Some(channel) = target(plan.steps()) else { return Ok(Applied::new(0, false, begun.elapsed())) };
        self.switch.geometry.check(CrossConnect::new(0, channel))?;
        // Whatever happens from here on, the old position is no longer known.
        *acknowledged = None;
        self.move_to(channel, self.until()).await?;
        *acknowledged = Some((channel, SystemTime::now()));
        Ok(Applied::new(1, false, begun.elapsed()))
    }
}

fn left(until: Instant) -> Duration {
    until.saturating_duration_since(Instant::now())
}

fn misbehaved(error: ProtoError) -> Error {
    let what = match error {
        ProtoError::OtherReply(_) => DeviceMisbehaved::ReplyForAnotherRequest,
        _ => DeviceMisbehaved::UnexpectedReply,
    };
    Error::misbehaved(what, error.to_string())
}

/// The common port at a channel.
fn at(channel: u32) -> Result<CrossConnects> {
    [CrossConnect::new(0, channel)].into_iter().collect()
}

/// The channel to which the steps lead.
fn target(steps: &[Step]) -> Option<u32> {
    steps.iter().flat_map(Step::adds).next_back().map(|c| c.egress.0)
}

#[async_trait]
impl Device for Agiltron {
    fn descriptor(&self) -> &Descriptor {
        &self.descriptor
    }
    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    /// What the URI says; FF also proves that something answers.
    async fn identity(&self) -> Result<Identity> {
        if self.model == Model::Ff {
            self.active(self.until()).await?;
        }
        Ok(self.who())
    }

    async fn health(&self) -> Result<Health> {
        match self.model {
            Model::Ff => self.active(self.until()).await.map(|_| Health::ok()),
            Model::SelfAlign => Err(Error::unsupported(Operation::Health.name(), "SelfAlign has no query")),
        }
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
impl OpticalSwitch for Agiltron {
    fn switch_capabilities(&self) -> &SwitchCapabilities {
        &self.switch
    }

    async fn connections(&self) -> Result<Measured<CrossConnects>> {
        match self.model {
            Model::Ff => Ok(Measured::now(at(self.active(self.until()).await?)?)),
            Model::SelfAlign => match *self.acknowledged.lock().await {
                Some((channel, when)) => Ok(Measured { value: at(channel)?, at: when, quality: Quality::Stale }),
                None => Err(Error::new(
                    ErrorKind::NotReady,
                    "SelfAlign cannot be asked, and has not acknowledged a channel to this handle: apply a blind plan first",
                )),
            },
        }
    }

    async fn apply(&self, plan: &Plan) -> Result<Applied> {
        match self.model {
            Model::Ff => {
                let until = self.until();
                switching::apply(&Run { device: self, until }, &self.who(), plan, &self.turns, until).await
            }
            Model::SelfAlign => self.apply_unread(plan).await,
        }
    }
}

/// One application of a plan to an FF switch.
struct Run<'a> {
    device: &'a Agiltron,
    until: Instant,
}

#[async_trait]
impl switching::Backend for Run<'_> {
    async fn read(&self) -> Result<CrossConnects> {
        at(self.device.active(self.until).await?)
    }

    async fn run(&self, steps: &[Step]) -> Result<(), (usize, Error)> {
        match target(steps) {
            Some(channel) => self.device.move_to(channel, self.until).await.map_err(|e| (0, e)),
            None => Ok(()),
        }
    }
}
