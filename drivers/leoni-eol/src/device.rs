//! The switch over the kit's.

use crate::proto;
use async_trait::async_trait;
use qkd_driver_kit::switching::{Call, Protocol, Settling, position};
use qkd_hal::{Capabilities, Identity, Operation, Result};
use qkd_switch_hal::{CrossConnects, Geometry, Step, SwitchCapabilities};
use std::time::Duration;

/// Ours: no public source tells how long `ch?` may still tell the old channel.
const SETTLING: Settling = Settling::polled(Duration::from_millis(500), Duration::from_millis(50));

pub(crate) struct Eol {
    pub(crate) geometry: Geometry,
    /// Whether channel 1 of the crossbar is cross.
    pub(crate) swapped: bool,
}

impl Eol {
    /// The kit's position of a channel, and back.
    fn other_side(&self, n: u32) -> u32 {
        if self.swapped && (1..=2).contains(&n) { 3 - n } else { n }
    }
}

#[async_trait]
impl Protocol for Eol {
    fn switch_capabilities(&self) -> SwitchCapabilities {
        SwitchCapabilities::new(self.geometry)
    }

    fn capabilities(&self) -> Capabilities {
        use Operation as Op;
        Capabilities::none().with(&[Op::Identity, Op::Connections, Op::Apply]).with_emulated(&[Op::Health])
    }

    fn settling(&self) -> Settling {
        SETTLING
    }

    async fn identity(&self, call: &Call<'_>) -> Result<Identity> {
        Ok(Identity::of("LEONI").with_firmware(call.query("firmware", proto::FIRMWARE, proto::decode_firmware).await?))
    }

    async fn state(&self, call: &Call<'_>) -> Result<CrossConnects> {
        let channel = call.query("channel", proto::CHANNEL, proto::decode_channel).await?;
        position::paths(&self.geometry, self.other_side(channel))
    }

    async fn step(&self, call: &Call<'_>, step: &Step) -> Result<()> {
        call.tell("set", proto::set(self.other_side(position::target(&self.geometry, step)?))).await
    }
}
