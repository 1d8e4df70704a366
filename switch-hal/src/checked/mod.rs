//! The check around every switch handle: as [`qkd_hal::checked`], plus ports and plans.

mod optics;
mod protection;

use crate::{
    ApplyReport, CrossConnects, OpticalSwitch, Plan, Port, PortStatus, Step, SwitchCapabilities,
};
use async_trait::async_trait;
use qkd_hal::{
    Request, Result,
    checked::{Checked, no_arguments},
    reading::Measured,
};
use std::borrow::Cow;

/// Checks a request of an optical switch.
///
/// # Errors
/// `InvalidInput` for a port that does not exist, and a cross-connect that cannot be made.
fn check(switch: &dyn OpticalSwitch, request: &Request<'_>) -> Result<()> {
    let geometry = switch.switch_capabilities().geometry;
    match request {
        Request::Ports { ports } => ports.iter().try_for_each(|p| geometry.check_port(*p)),
        Request::SetPort { port, .. } => geometry.check_port(*port),
        Request::Apply { plan } => {
            let mut ports = plan.ports().iter();
            ports.try_for_each(|p| geometry.check_port(*p))?;
            let mut added = plan.steps().iter().flat_map(Step::added);
            added.try_for_each(|c| geometry.check(*c))
        }
        _ => Ok(()),
    }
}

#[async_trait]
impl OpticalSwitch for Checked<dyn OpticalSwitch> {
    fn switch_capabilities(&self) -> &SwitchCapabilities {
        self.inner().switch_capabilities()
    }
    async fn connections(&self) -> Result<Measured<CrossConnects>> {
        let call = self.inner().connections();
        self.call_guard()
            .run(&Request::Connections, no_arguments, call)
            .await
    }
    async fn ports(&self, ports: &[Port]) -> Result<Vec<PortStatus>> {
        let call = self.inner().ports(ports);
        let request = Request::Ports {
            ports: ports.into(),
        };
        let check = |r: &Request<'_>| check(self.inner(), r);
        self.call_guard().run(&request, check, call).await
    }
    async fn apply(&self, plan: &Plan) -> Result<ApplyReport> {
        let call = self.inner().apply(plan);
        let request = Request::Apply {
            plan: Cow::Borrowed(plan),
        };
        let check = |r: &Request<'_>| check(self.inner(), r);
        self.call_guard().run(&request, check, call).await
    }
    async fn set_port(&self, port: Port, enabled: bool) -> Result<()> {
        let call = self.inner().set_port(port, enabled);
        let request = Request::SetPort { port, enabled };
        let check = |r: &Request<'_>| check(self.inner(), r);
        self.call_guard().run(&request, check, call).await
    }
}
