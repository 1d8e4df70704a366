//! The check around every switch handle: as [`qkd_hal::checked`], plus ports and plans.

mod optics;
mod protection;

use crate::{
    ApplyReport, CrossConnects, OpticalSwitch, Plan, Port, PortStatus, Step, SwitchCapabilities,
};
use async_trait::async_trait;
use qkd_hal::{Operation, Result, checked::Checked, reading::Measured};

#[async_trait]
impl OpticalSwitch for Checked<dyn OpticalSwitch> {
    fn switch_capabilities(&self) -> &SwitchCapabilities {
        self.inner().switch_capabilities()
    }
    async fn connections(&self) -> Result<Measured<CrossConnects>> {
        self.call_guard()
            .run(Operation::Connections, self.inner().connections())
            .await
    }
    async fn ports(&self, ports: &[Port]) -> Result<Vec<PortStatus>> {
        self.call_guard()
            .run(Operation::Ports, async {
                let geometry = self.inner().switch_capabilities().geometry;
                ports.iter().try_for_each(|p| geometry.check_port(*p))?;
                self.inner().ports(ports).await
            })
            .await
    }
    async fn apply(&self, plan: &Plan) -> Result<ApplyReport> {
        self.call_guard()
            .run(Operation::Apply, async {
                let geometry = self.inner().switch_capabilities().geometry;
                plan.ports()
                    .iter()
                    .try_for_each(|p| geometry.check_port(*p))?;
                plan.steps()
                    .iter()
                    .flat_map(Step::added)
                    .try_for_each(|c| geometry.check(*c))?;
                self.inner().apply(plan).await
            })
            .await
    }
    async fn set_port(&self, port: Port, enabled: bool) -> Result<()> {
        self.call_guard()
            .run(Operation::SetPort, async {
                self.inner()
                    .switch_capabilities()
                    .geometry
                    .check_port(port)?;
                self.inner().set_port(port, enabled).await
            })
            .await
    }
}
