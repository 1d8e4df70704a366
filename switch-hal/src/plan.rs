//! Planning a change of a switch from its present state.

use crate::{OpticalSwitch, PlanBuilder, StateSource, SwitchState};
use async_trait::async_trait;
use qkd_hal::Result;

impl<'a> dyn OpticalSwitch + 'a {
    /// Begins a plan from the state that this switch has when the plan is built. To build it, the
    /// identity and the cross-connects are read.
    ///
    /// ```
    /// # async fn example(switch: &dyn qkd_switch_hal::OpticalSwitch) -> qkd_hal::Result<()> {
    /// let plan = switch.plan().connect(1, 17).build().await?;
    /// switch.apply(&plan).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn plan(&self) -> PlanBuilder<&(dyn OpticalSwitch + 'a)> {
        PlanBuilder::from_source(self)
    }
}

#[async_trait]
impl StateSource for &(dyn OpticalSwitch + '_) {
    async fn state(self) -> Result<SwitchState> {
        Ok(SwitchState {
            device: self.identity().await?,
            geometry: self.switch_capabilities().geometry,
            connections: self.connections().await?.value,
        })
    }
}
