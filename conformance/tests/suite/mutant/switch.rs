//! Mutants of a switch.

use super::{Broken, with_effect};
use async_trait::async_trait;
use qkd_hal::{
    DeviceMisbehaved, Effect, ErrorKind, Operation as Op, Result,
    reading::{Measured, Quality},
};
use qkd_switch_hal::{
    ApplyReport, CrossConnect, CrossConnects, OpticalSwitch, Plan, Port, PortState, PortStatus,
    Step, SwitchCapabilities, SwitchState,
};
use std::{sync::Arc, time::Duration};

impl Broken {
    fn honest_switch(&self) -> Arc<dyn OpticalSwitch> {
        self.opened.switch().unwrap()
    }

    /// Applies a plan regardless of the present state.
    async fn force(&self, plan: &Plan) -> Result<ApplyReport> {
        let switch = self.honest_switch();
        let geometry = switch.switch_capabilities().geometry;
        let present = switch.connections().await?.value;
        let adds: Vec<CrossConnect> = plan.steps().iter().flat_map(Step::added).copied().collect();
        let wanted = present.with_changes(&geometry, &[], &adds)?;
        switch
            .apply(
                &SwitchState {
                    device: plan.device().clone(),
                    geometry,
                    connections: present.clone(),
                }
                .plan()
                .to(wanted.clone())
                .build()?,
            )
            .await
    }
}

fn path(ingress: u32, egress: u32) -> CrossConnects {
    std::iter::once(CrossConnect::new(ingress, egress))
        .collect::<Result<_>>()
        .unwrap()
}

fn done(plan: &Plan) -> ApplyReport {
    ApplyReport::new(plan.steps().len(), true, Duration::from_millis(1))
}

#[async_trait]
impl OpticalSwitch for Broken {
    fn switch_capabilities(&self) -> &SwitchCapabilities {
        self.switch.as_ref().unwrap()
    }

    async fn connections(&self) -> Result<Measured<CrossConnects>> {
        let switch = self.honest_switch();
        match self.breaks {
            "SWI-01" => return Ok(Measured::now(path(1, 9999))),
            "SWI-02" => return Ok(Measured::now(path(1, 17 + self.count() as u32))),
            "SWI-09" => return Ok(Measured::now(path(0, 1))),
            _ => {}
        }
        if let Some(before) = self.past().stale.take() {
            return Ok(Measured::now(before));
        }
        let result = self.through(switch.connections()).await;
        match self.breaks {
            // Whatever came is taken for an answer.
            "DEV-29" if result.is_err() => return Ok(Measured::now(path(1, 17))),
            "SWI-14" => {
                self.past().state = result
                    .as_ref()
                    .map(|now| now.value.to_string())
                    .unwrap_or_default()
            }
            _ => {}
        }
        let now = result?;
        if self.is_faulty() {
            return Ok(Measured::now(path(1, 18)));
        }
        Ok(if self.is("SWI-24") {
            now.with_quality(Quality::Good)
        } else {
            now
        })
    }

    async fn ports(&self, ports: &[Port]) -> Result<Vec<PortStatus>> {
        if self.obliging(Op::Ports) || self.is("SWI-07") {
            return Ok(Vec::new());
        }
        let switch = self.honest_switch();
        let mut all = self.through(switch.ports(ports)).await?;
        match self.breaks {
            "SWI-03" => all[0].peer = Some(Port(20)),
            "SWI-04" => all.sort_by_key(|p| p.port),
            "SWI-08" => all.iter_mut().for_each(|p| p.state = PortState::Enabled),
            _ => {}
        }
        Ok(all)
    }

    async fn apply(&self, plan: &Plan) -> Result<ApplyReport> {
        let switch = self.honest_switch();
        match self.breaks {
            // It says that it did.
            "SWI-11" => return Ok(done(plan)),
            "SWI-12" if plan.is_empty() => switch.set_port(Port(1), true).await?,
            // Any change anywhere is one too many.
            "SWI-14" => {
                let seen = self.past().state.clone();
                if !seen.is_empty() && switch.connections().await?.value.to_string() != seen {
                    return Err(qkd_hal::Error::new(
                        ErrorKind::StateChanged,
                        "something has changed somewhere",
                    ));
                }
            }
            _ => {}
        }
        let before = if self.is("SWI-26") {
            Some(switch.connections().await?.value)
        } else {
            None
        };
        let result = self.through(switch.apply(plan)).await;
        if result.is_ok() {
            self.past().stale = before;
        }
        match (self.breaks, result) {
            ("SWI-13" | "SWI-18", Err(e)) if e.kind() == ErrorKind::StateChanged => {
                self.force(plan).await
            }
            ("SWI-20" | "SWI-25" | "SWI-27", Err(e))
                if matches!(
                    e.kind(),
                    ErrorKind::StateChanged
                        | ErrorKind::Misbehaved(DeviceMisbehaved::ChangeNotApplied)
                ) =>
            {
                Ok(done(plan))
            }
            ("SWI-15", Err(e)) if e.kind() == ErrorKind::IdentityChanged => Ok(done(plan)),
            ("SWI-16", Err(e)) if e.kind() == ErrorKind::Refused => {
                Err(qkd_hal::Error::new(e.kind(), "no"))
            }
            ("SWI-17", Err(e)) => Err(with_effect(&e, Effect::None)),
            // It takes another path along.
            ("SWI-19", Ok(applied)) => {
                let geometry = switch.switch_capabilities().geometry;
                let now = switch.connections().await?.value;
                if let Some(other) = now.iter().find(|c| !plan.ports().contains(&c.ingress)) {
                    let less = now.with_changes(&geometry, &[other.ingress], &[])?;
                    switch
                        .apply(
                            &SwitchState {
                                device: plan.device().clone(),
                                geometry,
                                connections: now.clone(),
                            }
                            .plan()
                            .to(less.clone())
                            .build()?,
                        )
                        .await?;
                }
                Ok(applied)
            }
            ("SWI-22", Err(e)) => Err(with_effect(&e, Effect::Partial)),
            ("SWI-23", Err(e)) if e.kind() == ErrorKind::InvalidInput => Ok(done(plan)),
            (_, result) => result,
        }
    }

    async fn set_port(&self, port: Port, enabled: bool) -> Result<()> {
        if self.is("SWI-21") || self.is("SWI-07") || self.obliging(Op::SetPort) {
            return Ok(());
        }
        let switch = self.honest_switch();
        self.through(switch.set_port(port, enabled)).await
    }
}
