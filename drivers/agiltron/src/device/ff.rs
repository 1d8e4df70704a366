//! [`Protocol`] of the FF switches: the driver kit builds the device on it.

use crate::proto::{ProtoError, ff};
use async_trait::async_trait;
use qkd_driver_kit::switching::{Protocol, SwitchCall, position};
use qkd_hal::{Error, Identity, Result};
use qkd_switch_hal::{CrossConnects, Geometry, Step, SwitchCapabilities};

/// An FF 1×N switch with `channels` channels.
pub(crate) struct FfSwitch {
    pub(crate) channels: u32,
}

impl FfSwitch {
    fn geometry(&self) -> Geometry {
        Geometry::one_by(self.channels)
    }
}

#[async_trait]
impl Protocol for FfSwitch {
    fn switch_capabilities(&self) -> SwitchCapabilities {
        SwitchCapabilities::new(self.geometry())
    }

    /// Returns the identity given in the URI, after a device has responded.
    async fn identity(&self, call: &SwitchCall<'_>) -> Result<Identity> {
        self.state(call)
            .await
            .map(|_| Identity::new("Agiltron").with_model(format!("FF 1x{}", self.channels)))
    }

    async fn state(&self, call: &SwitchCall<'_>) -> Result<CrossConnects> {
        position::paths(
            &self.geometry(),
            call.query("get", ff::GET, ff::decode_get).await?.into(),
        )
    }

    async fn step(&self, call: &SwitchCall<'_>, step: &Step) -> Result<()> {
        let request = ff::set(position::target(&self.geometry(), step)?)
            .map_err(|e: ProtoError| Error::invalid(e.to_string()))?;
        call.command("set", request, move |reply| ff::decode_set(request, reply))
            .await
    }
}
