//! Mutants of a switch.

use super::{Broken, NOT_APPLIED, connections, with_effect};
use qkd_hal::{
    Effect, Error, ErrorKind, Outcome, Request, Result,
    reading::{Measured, Quality},
};
use qkd_switch_hal::{
    ApplyReport, CrossConnect, CrossConnects, Plan, Port, PortState, Step, SwitchState,
};
use std::time::Duration;

fn done(plan: &Plan) -> ApplyReport {
    ApplyReport::new(plan.steps().len(), true, Duration::from_millis(1))
}

impl Broken {
    pub(super) async fn switch_call(&self, request: &Request<'_>) -> Result<Outcome> {
        match (self.breaks, request) {
            (_, Request::Apply { plan }) => {
                return self.apply(plan, request).await.map(Outcome::Applied);
            }
            ("SWI-01", Request::Connections) => return Ok(connections(1, 9999)),
            ("SWI-02", Request::Connections) => {
                return Ok(connections(1, 17 + self.count() as u32));
            }
            ("SWI-07", Request::Ports { .. }) => return Ok(Outcome::Ports(Vec::new())),
            ("SWI-07" | "SWI-21", Request::SetPort { .. }) => return Ok(Outcome::Done),
            ("SWI-09", Request::Connections) => return Ok(connections(0, 1)),
            // The first reading after a change is the one before it.
            ("SWI-26", Request::Connections) => {
                if let Some(before) = self.past().stale.take() {
                    return Ok(Outcome::Connections(Measured::now(before)));
                }
            }
            _ => {}
        }
        let mut result = self.honest(request).await;
        match (self.breaks, &mut result) {
            ("SWI-03", Ok(Outcome::Ports(all))) => all[0].peer = Some(Port(20)),
            ("SWI-04", Ok(Outcome::Ports(all))) => all.sort_by_key(|p| p.port),
            ("SWI-08", Ok(Outcome::Ports(all))) => {
                all.iter_mut().for_each(|p| p.state = PortState::Enabled);
            }
            ("SWI-14", Ok(Outcome::Connections(now))) => {
                self.past().seen = Some(now.value.clone());
            }
            ("SWI-24", Ok(Outcome::Connections(now))) => now.quality = Quality::Good,
            _ => {}
        }
        result
    }

    async fn apply(&self, plan: &Plan, request: &Request<'_>) -> Result<ApplyReport> {
        match self.breaks {
            // It says that it did.
            "SWI-11" => return Ok(done(plan)),
            "SWI-12" if plan.is_empty() => {
                self.opened.switch()?.set_port(Port(1), true).await?;
            }
            // Any change anywhere is one too many.
            "SWI-14" => {
                let seen = self.past().seen.clone();
                if seen.is_some() && seen != Some(self.present().await?) {
                    let why = "something has changed somewhere";
                    return Err(Error::new(ErrorKind::StateChanged, why));
                }
            }
            "SWI-26" => {
                let before = self.present().await?;
                let report = self.ask(request).await?;
                self.past().stale = Some(before);
                return Ok(report);
            }
            _ => {}
        }
        let error = match self.ask(request).await {
            Ok(report) => {
                // It removes another cross-connect too.
                if self.is("SWI-19") {
                    let now = self.present().await?;
                    if let Some(other) = now.iter().find(|c| !plan.ports().contains(&c.ingress)) {
                        self.change(plan, &now, &[other.ingress], &[]).await?;
                    }
                }
                return Ok(report);
            }
            Err(error) => error,
        };
        match (self.breaks, error.kind()) {
            // It applies the plan regardless of the present state.
            ("SWI-13" | "SWI-18", ErrorKind::StateChanged) => {
                let steps = plan.steps().iter();
                let adds: Vec<_> = steps.flat_map(Step::added).copied().collect();
                self.change(plan, &self.present().await?, &[], &adds).await
            }
            ("SWI-20" | "SWI-25" | "SWI-27", ErrorKind::StateChanged | NOT_APPLIED)
            | ("SWI-15", ErrorKind::IdentityChanged)
            | ("SWI-23", ErrorKind::InvalidInput) => Ok(done(plan)),
            ("SWI-16", ErrorKind::Refused) => Err(Error::new(ErrorKind::Refused, "no")),
            ("SWI-17", _) => Err(with_effect(&error, Effect::None)),
            ("SWI-22", _) => Err(with_effect(&error, Effect::Partial)),
            _ => Err(error),
        }
    }

    /// Returns the cross-connects of the honest device.
    async fn present(&self) -> Result<CrossConnects> {
        Ok(self.opened.switch()?.connections().await?.value)
    }

    /// Changes the cross-connects `now` of the device of a plan.
    async fn change(
        &self,
        plan: &Plan,
        now: &CrossConnects,
        removes: &[Port],
        adds: &[CrossConnect],
    ) -> Result<ApplyReport> {
        let switch = self.opened.switch()?;
        let state = SwitchState {
            device: plan.device().clone(),
            geometry: switch.switch_capabilities().geometry,
            connections: now.clone(),
        };
        let wanted = now.with_changes(&state.geometry, removes, adds)?;
        switch.apply(&state.plan().to(wanted).build()?).await
    }
}
