//! The switch as an optical switch, and its inputs as a power meter.

use crate::{
    device::ScteHms,
    protection::{SETTLING, manual},
    proto::{Position, oid},
    unit::Unit,
};
use async_trait::async_trait;
use qkd_driver_kit::switching::{self, Settling, SwitchBackend, position};
use qkd_hal::{Error, ErrorKind, Operation, Result, reading::Measured, units::DecibelMilliwatts};
use qkd_switch_hal::{
    ApplyReport, CrossConnects, Geometry, MonitorStatus, OpticalSwitch, Plan, Port, PowerMeter,
    PowerMeterCapabilities, Step, SwitchCapabilities,
};
use std::time::Duration;
use tokio::time::Instant;

/// One call on the switch.
struct Run<'a> {
    unit: &'a Unit,
    geometry: Geometry,
    until: Instant,
}

#[async_trait]
impl SwitchBackend for Run<'_> {
    async fn read(&self) -> Result<CrossConnects> {
        let state = self
            .unit
            .read_status(&self.unit.agent.with_deadline(self.until))
            .await?
            .state;
        let number = match state {
            Position::PathA | Position::Bar => 1,
            Position::PathB | Position::Cross => 2,
            Position::BothA | Position::BothB => {
                let why = format!(
                    "the switch is at {}: one input feeds both outputs, which no \
                     cross-connects can show",
                    state.name()
                );
                return Err(Error::new(ErrorKind::NotReady, why));
            }
        };
        position::paths(&self.geometry, number)
    }

    async fn run(&self, steps: &[Step]) -> Result<(), (usize, Error)> {
        for (sent, step) in steps.iter().enumerate() {
            self.step(step).await.map_err(|e| (sent, e))?;
        }
        Ok(())
    }

    fn settling(&self) -> Settling {
        Settling::polled(SETTLING, Duration::from_millis(50))
    }
}

impl Run<'_> {
    async fn step(&self, step: &Step) -> Result<()> {
        let call = self.unit.agent.with_deadline(self.until);
        let to = match (self.geometry, position::target(&self.geometry, step)?) {
            (Geometry::Crossbar, 1) => Position::Bar,
            (Geometry::Crossbar, _) => Position::Cross,
            (_, 1) => Position::PathA,
            _ => Position::PathB,
        };
        manual(self.unit.read_status(&call).await?.mode)?;
        call.change(
            Operation::Apply.name(),
            "heOpSwitchControl",
            self.unit.name(oid::CONTROL),
            to.value(),
        )
        .await
    }
}

impl ScteHms {
    fn run(&self) -> Run<'_> {
        Run {
            unit: &self.unit,
            geometry: self.switch.geometry,
            until: self.unit.agent.call().deadline(),
        }
    }
}

#[async_trait]
impl OpticalSwitch for ScteHms {
    fn switch_capabilities(&self) -> &SwitchCapabilities {
        &self.switch
    }

    async fn connections(&self) -> Result<Measured<CrossConnects>> {
        self.run().read().await.map(Measured::now)
    }

    async fn apply(&self, plan: &Plan) -> Result<ApplyReport> {
        let run = self.run();
        let _turn = self.turns.lock(run.until).await?;
        switching::apply(&run, &self.identity, plan, &self.plans, run.until).await
    }
}

#[async_trait]
impl PowerMeter for ScteHms {
    fn meter_capabilities(&self) -> &PowerMeterCapabilities {
        &self.meter
    }

    async fn power(&self, ports: &[Port]) -> Result<Vec<Measured<DecibelMilliwatts>>> {
        let mut all = Vec::with_capacity(ports.len());
        let now = self.unit.read_status(&self.unit.agent.call()).await?;
        for port in ports {
            self.meter.check_port(*port)?;
            let level = now.inputs[usize::from(port.0 == 2)].level;
            all.push(Measured::now(level.ok_or_else(|| {
                Error::new(
                    ErrorKind::NotReady,
                    format!("the agent no longer reports the power at port {port}"),
                )
            })?));
        }
        Ok(all)
    }

    async fn monitor(&self, port: Port) -> Result<MonitorStatus> {
        self.meter.check_port(port)?;
        let input =
            self.unit.read_status(&self.unit.agent.call()).await?.inputs[usize::from(port.0 == 2)];
        let mut status = MonitorStatus::new(port);
        status.alarms.low = input.threshold;
        status.alarmed = Some(input.failed);
        Ok(status)
    }
}
