//! [`Protocol`] of the 1xN module: the driver kit builds the device on it.

use crate::proto::mems;
use async_trait::async_trait;
use qkd_driver_kit::switching::{Protocol, Settling, SwitchCall, position};
use qkd_hal::{Capabilities, Identity, Operation, Result};
use qkd_switch_hal::{CrossConnects, Geometry, Step, SwitchCapabilities};
use std::time::Duration;

/// Neither the switching time nor the channel reported during it is published: the module is polled
/// for one second.
const SETTLING: Settling = Settling::polled(Duration::from_secs(1), Duration::from_millis(50));

/// A MEMS 1xN module.
pub(crate) struct MemsSwitch {
    pub(crate) geometry: Geometry,
}

#[async_trait]
impl Protocol for MemsSwitch {
    fn switch_capabilities(&self) -> SwitchCapabilities {
        SwitchCapabilities::new(self.geometry)
    }

    fn capabilities(&self) -> Capabilities {
        use Operation as Op;
        Capabilities::none()
            .with(&[Op::Identity, Op::Connections, Op::Apply])
            .with_emulated(&[Op::Health])
    }

    fn settling(&self) -> Settling {
        SETTLING
    }

    async fn identity(&self, call: &SwitchCall<'_>) -> Result<Identity> {
        Ok(Identity::new("DiCon").with_model(
            call.query("identify", mems::IDENTIFY, mems::decode_identify)
                .await?,
        ))
    }

    async fn state(&self, call: &SwitchCall<'_>) -> Result<CrossConnects> {
        position::paths(
            &self.geometry,
            call.query("channel", mems::CHANNEL, mems::decode_channel)
                .await?,
        )
    }

    async fn step(&self, call: &SwitchCall<'_>, step: &Step) -> Result<()> {
        call.command_no_reply("set", mems::set(position::target(&self.geometry, step)?))
            .await
    }
}
