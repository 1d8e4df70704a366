//! [`Protocol`] of the switch: the driver kit builds the device on it.

use crate::proto;
use async_trait::async_trait;
use qkd_driver_kit::switching::{Protocol, Settling, SwitchCall, position};
use qkd_hal::{Capabilities, Identity, Operation, Result};
use qkd_switch_hal::{CrossConnects, Geometry, Step, SwitchCapabilities};
use std::time::Duration;

/// As the public programs do: PnPQ polls every 300 ms for up to 3 s, and qudi discards the first
/// reading after a set.
const SETTLING: Settling =
    Settling::polled(Duration::from_secs(3), Duration::from_millis(300)).discard_first();

/// An OSW12 (1×2) or OSW22 (2×2).
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
