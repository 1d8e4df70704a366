//! The switch over the kit's.

use crate::proto;
use async_trait::async_trait;
use qkd_driver_kit::switching::{Protocol, Settling, SwitchCall, position};
use qkd_hal::{Capabilities, Identity, Operation, Result};
use qkd_switch_hal::{CrossConnects, Geometry, Step, SwitchCapabilities};
use std::time::Duration;

/// PnPQ polls each 300 ms for up to 3 s; qudi throws the first reading after a set away.
const SETTLING: Settling =
    Settling::polled(Duration::from_secs(3), Duration::from_millis(300)).discard_first();

/// An OSW12 or OSW22.
pub(crate) struct OswSwitch {
    pub(crate) geometry: Geometry,
}

#[async_trait]
impl Protocol for OswSwitch {
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
        let board = call.query("type", proto::TYPE, proto::decode_type).await?;
        let firmware = call
            .query("identify", proto::IDENTIFY, proto::decode_identify)
            .await?;
        Ok(Identity::new("Thorlabs")
            .with_model(board)
            .with_firmware(firmware))
    }

    async fn state(&self, call: &SwitchCall<'_>) -> Result<CrossConnects> {
        position::paths(
            &self.geometry,
            call.query("position", proto::POSITION, proto::decode_position)
                .await?,
        )
    }

    async fn step(&self, call: &SwitchCall<'_>, step: &Step) -> Result<()> {
        call.command_no_reply("set", proto::set(position::target(&self.geometry, step)?))
            .await
    }
}
