//! Mutants of an attenuator.

use super::{Broken, NOT_APPLIED};
use qkd_hal::{Outcome, Request, Result, request::Caller, units::Decibels};
use qkd_switch_hal::Attenuation;

impl Broken {
    pub(super) async fn attenuator_call(&self, request: &Request<'_>) -> Result<Outcome> {
        match (self.breaks, request) {
            ("VOA-01", Request::Attenuation { .. }) => {
                return Ok(Outcome::Attenuation(Attenuation::Loss(Decibels(3.0))));
            }
            ("VOA-02", Request::Attenuation { .. }) => {
                return Ok(Outcome::Attenuation(Attenuation::Transparent));
            }
            // It asks the device first.
            ("VOA-03", &Request::SetAttenuation { port, .. }) => {
                self.opened.call(&Request::Attenuation { port }).await?;
            }
            ("VOA-04", Request::SetAttenuation { wanted, .. })
                if matches!(**wanted, Attenuation::OutputPower(_)) =>
            {
                return Ok(Outcome::Done);
            }
            _ => {}
        }
        match (self.breaks, self.honest(request).await) {
            ("VOA-05", Err(e)) if e.kind() == NOT_APPLIED => Ok(Outcome::Done),
            (_, result) => result,
        }
    }
}
