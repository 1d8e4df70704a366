//! Mutants of operations of every device, and of what holds for each operation.

use super::{Broken, connections};
use qkd_hal::{
    Error, ErrorKind, Health, Identity, Outcome, Request, Result, Support,
    device::HealthState,
    parameter::ParameterValue,
    reading::{Reading, ReadingValue},
};
use std::sync::atomic::Ordering;

impl Broken {
    pub(super) async fn device_call(&self, request: &Request<'_>) -> Result<Outcome> {
        let declared = &self.declarations;
        match (self.breaks, request) {
            ("DEV-01", Request::Identity) => return Ok(Outcome::Identity(Identity::new(" "))),
            ("DEV-04", Request::Health) => {
                let faults = vec!["all is lost".to_owned()];
                let health = Health::with_faults(HealthState::Ok, faults);
                return Ok(Outcome::Health(health));
            }
            ("DEV-05", Request::Health) => return Ok(Outcome::Health(Health::ok())),
            // It asks by setting something.
            ("DEV-13", Request::Health) => {
                let device = self.opened.device();
                let value = device.parameter("boot-mode").await?;
                device.set_parameter("boot-mode", &value).await?;
            }
            // An undeclared operation succeeds.
            ("DEV-16", _)
                if declared.capabilities.supports(request.operation()) == Support::Unsupported =>
            {
                match request {
                    Request::Ports { .. } => return Ok(Outcome::Ports(Vec::new())),
                    Request::SetPort { .. } => return Ok(Outcome::Done),
                    _ => {}
                }
            }
            ("DEV-22", Request::GetParameter { name })
                if declared.parameters.iter().all(|p| p.name != *name) =>
            {
                return Ok(Outcome::Parameter(ParameterValue::Flag(true)));
            }
            // It reports success, and does nothing.
            ("DEV-22" | "DEV-23" | "DEV-24" | "DEV-25", Request::SetParameter { .. }) => {
                return Ok(Outcome::Done);
            }
            // It takes the first change over all handles, and no other.
            ("put-back", Request::SetParameter { .. }) if self.count() > 0 || self.nth > 1 => {
                return Err(Error::new(ErrorKind::Refused, "enough"));
            }
            _ => {}
        }
        let mut result = self.honest(request).await;
        match (self.breaks, request, &mut result) {
            ("DEV-02", _, Ok(Outcome::Identity(identity))) => {
                identity.serial = Some(format!("SN-{}", self.nth));
            }
            ("DEV-06", _, Ok(Outcome::Telemetry(all))) => all.push(Reading::now(
                "port.1.length",
                ReadingValue::Number(1.0),
                "furlong",
            )),
            ("DEV-07", _, Ok(Outcome::Telemetry(all))) if self.count() % 2 == 1 => all.reverse(),
            // What came is taken for an answer.
            ("DEV-29", Request::Connections, Err(_)) => result = Ok(connections(1, 17)),
            // Another device is taken for the first.
            ("DEV-37", _, Ok(Outcome::Identity(identity))) => {
                let first = &mut self.past().identity;
                first.get_or_insert_with(|| identity.clone());
            }
            ("DEV-37", Request::Identity, Err(e)) if e.kind() == ErrorKind::IdentityChanged => {
                let first = self.past().identity.clone();
                result = Ok(Outcome::Identity(first.unwrap_or_default()));
            }
            ("panics", Request::SetParameter { .. }, _) => {
                assert_ne!(self.nth, 1, "in the middle of a change");
            }
            (_, _, Ok(Outcome::Connections(_))) if self.is_wrong_answer() => {
                result = Ok(connections(1, 18));
            }
            _ => {}
        }
        result
    }

    /// Whether this answer shall be a wrong one.
    fn is_wrong_answer(&self) -> bool {
        match self.breaks {
            // To the second of two callers at once.
            "DEV-08" => self.busy.load(Ordering::Relaxed) > 1,
            "DEV-09" => std::mem::take(&mut self.past().dropped),
            // The call after a late reply receives it.
            "DEV-27" => std::mem::take(&mut self.past().errors) > 0,
            // A doubled reply is taken for that of the next request.
            "DEV-28" => self.count() % 3 == 1,
            _ => false,
        }
    }
}
