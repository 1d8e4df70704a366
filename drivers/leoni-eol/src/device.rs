//! [`Protocol`] of the switch: the driver kit builds the device on it.

use crate::proto;
use async_trait::async_trait;
use qkd_driver_kit::switching::{Protocol, Settling, SwitchCall, position};
use qkd_hal::{Capabilities, Error, Identity, Operation, Result};
use qkd_switch_hal::{CrossConnects, Geometry, Step, SwitchCapabilities};
use std::time::Duration;

pub(crate) struct EolSwitch {
    pub(crate) geometry: Geometry,
    /// `1x2`, `1x4` or `2x2`.
    pub(crate) model: String,
    /// Whether channel 1 is cross, and so the kit's position 2.
    pub(crate) cross_first: bool,
}

#[async_trait]
impl Protocol for EolSwitch {
    fn switch_capabilities(&self) -> SwitchCapabilities {
        SwitchCapabilities::new(self.geometry)
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::none()
            .with(&[
                Operation::Identity,
                Operation::Connections,
                Operation::Apply,
            ])
            .with_emulated(&[Operation::Health])
    }

    fn settling(&self) -> Settling {
        Settling::polled(Duration::from_millis(500), Duration::from_millis(50))
    }

    async fn identity(&self, call: &SwitchCall<'_>) -> Result<Identity> {
        let firmware = call
            .query("firmware", proto::FIRMWARE, proto::decode_firmware)
            .await?;
        let identity = Identity::new("LEONI").with_firmware(firmware.version);
        if !firmware.has_type {
            return Ok(identity);
        }
        let found = call.query("type", proto::TYPE, proto::decode_type).await?;
        if !found.ends_with(&format!(" {}", self.model)) {
            return Err(Error::invalid(format!(
                "model={}: the device says that it is `{found}`; correct model=, or the address",
                self.model
            )));
        }
        Ok(identity.with_model(found))
    }

    async fn state(&self, call: &SwitchCall<'_>) -> Result<CrossConnects> {
        let channel = call
            .query("channel", proto::CHANNEL, proto::decode_channel)
            .await?;
        position::paths(
            &self.geometry,
            if self.cross_first && matches!(channel, 1 | 2) {
                3 - channel
            } else {
                channel
            },
        )
    }

    async fn step(&self, call: &SwitchCall<'_>, step: &Step) -> Result<()> {
        let position = position::target(&self.geometry, step)?;
        call.command_no_reply(
            "set",
            proto::set(if self.cross_first {
                3 - position
            } else {
                position
            }),
        )
        .await
    }
}
