//! The device of the contract: what distinguishes it from other switches. The kit provides the
//! rest.

use crate::proto;
use async_trait::async_trait;
use qkd_driver_kit::switching::{Protocol, SwitchCall, position};
use qkd_hal::{Identity, Result};
use qkd_switch_hal::{CrossConnects, Geometry, Step, SwitchCapabilities};

/// An invented 1×4 switch.
const GEOMETRY: Geometry = Geometry::one_by(4);

pub(crate) struct Template;

#[async_trait]
impl Protocol for Template {
    // Declare what the device does, and nothing else: the check around the handle refuses the rest
    // before you are asked.
    fn switch_capabilities(&self) -> SwitchCapabilities {
        SwitchCapabilities::new(GEOMETRY)
    }

    async fn identity(&self, call: &SwitchCall<'_>) -> Result<Identity> {
        self.state(call)
            .await
            .map(|_| Identity::new("Nobody").with_model("1x4"))
    }

    async fn state(&self, call: &SwitchCall<'_>) -> Result<CrossConnects> {
        // `query` changes nothing: a transcript distinguishes it from a command, and its errors
        // have effect `None`.
        position::paths(
            &GEOMETRY,
            call.query("get", proto::GET, proto::decode_get).await?,
        )
    }

    async fn step(&self, call: &SwitchCall<'_>, step: &Step) -> Result<()> {
        call.command(
            "set",
            proto::set(position::target(&GEOMETRY, step)?),
            proto::decode_set,
        )
        .await
    }
}
