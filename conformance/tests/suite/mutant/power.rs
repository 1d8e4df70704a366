//! Mutants of a power meter.

use super::Broken;
use qkd_hal::{Outcome, Request, Result, reading::Measured, units::DecibelMilliwatts};
use qkd_switch_hal::{MonitorSetting, Port};
use std::borrow::Cow;

/// The same power at each port.
fn constant(ports: &[Port], dbm: f64) -> Outcome {
    Outcome::Power(vec![Measured::now(DecibelMilliwatts(dbm)); ports.len()])
}

impl Broken {
    pub(super) async fn meter_call(&self, request: &Request<'_>) -> Result<Outcome> {
        match (self.breaks, request) {
            ("PWR-01", Request::Power { ports }) => return Ok(constant(ports, 300.0)),
            ("PWR-02" | "PWR-03", Request::Power { ports }) => return Ok(constant(ports, -3.0)),
            // The values are in the order of the ports, not in that of the request.
            ("PWR-04", Request::Power { ports }) => {
                let mut ports = ports.to_vec();
                ports.sort();
                let ports = Cow::Owned(ports);
                return self.honest(&Request::Power { ports }).await;
            }
            (
                "PWR-05",
                Request::SetMonitor {
                    change: MonitorSetting::Averaging(_),
                    ..
                },
            ) => {
                return Ok(Outcome::Done);
            }
            // It asks the device first.
            ("PWR-06", &Request::SetMonitor { port, .. }) => {
                self.opened.power_meter()?.power(&[port]).await?;
            }
            _ => {}
        }
        let mut result = self.honest(request).await;
        if let ("PWR-07", Ok(Outcome::Monitor(now))) = (self.breaks, &mut result) {
            now.alarmed = Some(false);
        }
        result
    }
}
