//! SelfAlign, which has no query: what it last acknowledged is all that is known.

use crate::proto::self_align;
use async_trait::async_trait;
use qkd_driver_kit::switching::SwitchConnection;
use qkd_hal::{
    Capabilities, Descriptor, Device, Error, ErrorKind, EventStream, Health, Identity, Operation,
    Result,
    reading::{Measured, Quality},
};
use qkd_switch_hal::{
    ApplyReport, CrossConnect, CrossConnects, Geometry, OpticalSwitch, Plan, Readback, Step,
    SwitchCapabilities,
};
use std::time::SystemTime;
use tokio::{sync::Mutex, time::Instant};

/// A SelfAlign 1×N switch.
pub(crate) struct SelfAlign {
    line: SwitchConnection,
    capabilities: Capabilities,
    switch: SwitchCapabilities,
    identity: Identity,
    /// The channel that was last acknowledged, and when. Nothing while a command is under way.
    acknowledged: Mutex<Option<(u32, SystemTime)>>,
}

impl SelfAlign {
    pub(crate) fn new(line: SwitchConnection, channels: u32) -> Self {
        use Operation as Op;
        Self {
            line,
            // It can be asked nothing: not even whether it is there.
            capabilities: Capabilities::none()
                .with(&[Op::Apply])
                .with_emulated(&[Op::Identity, Op::Connections]),
            switch: SwitchCapabilities::new(Geometry::one_by(channels))
                .with_readback(Readback::LastAcknowledged),
            identity: Identity::new("Agiltron").with_model(format!("SelfAlign 1x{channels}")),
            acknowledged: Mutex::new(None),
        }
    }
}

/// The common port at a channel.
fn at(channel: u32) -> Result<CrossConnects> {
    [CrossConnect::new(0, channel)].into_iter().collect()
}

#[async_trait]
impl Device for SelfAlign {
    fn descriptor(&self) -> &Descriptor {
        self.line.descriptor()
    }
    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    /// Returns the identity given in the URI.
    async fn identity(&self) -> Result<Identity> {
        Ok(self.identity.clone())
    }

    async fn health(&self) -> Result<Health> {
        Err(Error::unsupported(
            Operation::Health.name(),
            "SelfAlign has no query",
        ))
    }

    fn events(&self) -> EventStream {
        self.line.events()
    }

    async fn close(&self) -> Result<()> {
        self.line.close().await;
        Ok(())
    }
}

#[async_trait]
impl OpticalSwitch for SelfAlign {
    fn switch_capabilities(&self) -> &SwitchCapabilities {
        &self.switch
    }

    async fn connections(&self) -> Result<Measured<CrossConnects>> {
        match *self.acknowledged.lock().await {
            Some((channel, when)) => Ok(Measured::now(at(channel)?)
                .taken_at(when)
                .with_quality(Quality::Stale)),
            None => Err(Error::new(
                ErrorKind::NotReady,
                "SelfAlign cannot be asked, and has not acknowledged a channel to this handle: \
                 apply a blind plan first",
            )),
        }
    }

    /// From what was last acknowledged, or blind.
    async fn apply(&self, plan: &Plan) -> Result<ApplyReport> {
        let begun = Instant::now();
        plan.check_device(&self.identity)?;
        let mut acknowledged = self.acknowledged.lock().await;
        if plan.fingerprint().is_some() {
            let Some((channel, _)) = *acknowledged else {
                return Err(Error::new(
                    ErrorKind::StateChanged,
                    "the position is not known any more, and the plan was made from one: plan \
                     blind",
                ));
            };
            plan.check(&at(channel)?)?;
        }
        let Some(path) = plan.steps().iter().flat_map(Step::added).next_back() else {
            return Ok(ApplyReport::new(0, false, begun.elapsed()));
        };
        self.switch.geometry.check(*path)?;
        let channel = path.egress.0;
        let request = self_align::set(channel).map_err(|e| Error::invalid(e.to_string()))?;
        // From here on, the old position is no longer known.
        *acknowledged = None;
        self.line
            .call()
            .command("set", request, self_align::decode_set)
            .await?;
        *acknowledged = Some((channel, SystemTime::now()));
        Ok(ApplyReport::new(1, false, begun.elapsed()))
    }
}
