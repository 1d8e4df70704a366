//! Power meters and attenuators.

use crate::{
    Attenuation, Attenuator, AttenuatorCapabilities, MonitorSetting, MonitorStatus, Port,
    PowerMeter, PowerMeterCapabilities,
};
use async_trait::async_trait;
use qkd_hal::{Request, Result, checked::Checked, reading::Measured, units::DecibelMilliwatts};
use std::borrow::Cow;

/// Checks a request of a power meter.
///
/// # Errors
/// `InvalidInput` for a port without a monitor, and a setting that is not declared.
fn check_monitor(meter: &dyn PowerMeter, request: &Request<'_>) -> Result<()> {
    let declared = meter.meter_capabilities();
    match request {
        Request::Power { ports } => ports.iter().try_for_each(|p| declared.check_port(*p)),
        Request::Monitor { port } => declared.check_port(*port),
        Request::SetMonitor { port, change } => {
            declared.check_port(*port)?;
            declared.check(change)
        }
        _ => Ok(()),
    }
}

#[async_trait]
impl PowerMeter for Checked<dyn PowerMeter> {
    fn meter_capabilities(&self) -> &PowerMeterCapabilities {
        self.inner().meter_capabilities()
    }
    async fn power(&self, ports: &[Port]) -> Result<Vec<Measured<DecibelMilliwatts>>> {
        let call = self.inner().power(ports);
        let request = Request::Power {
            ports: ports.into(),
        };
        let check = |r: &Request<'_>| check_monitor(self.inner(), r);
        self.call_guard().run(&request, check, call).await
    }
    async fn monitor(&self, port: Port) -> Result<MonitorStatus> {
        let call = self.inner().monitor(port);
        let request = Request::Monitor { port };
        let check = |r: &Request<'_>| check_monitor(self.inner(), r);
        self.call_guard().run(&request, check, call).await
    }
    async fn set_monitor(&self, port: Port, change: &MonitorSetting) -> Result<()> {
        let call = self.inner().set_monitor(port, change);
        let request = Request::SetMonitor {
            port,
            change: *change,
        };
        let check = |r: &Request<'_>| check_monitor(self.inner(), r);
        self.call_guard().run(&request, check, call).await
    }
}

/// Checks a request of an attenuator.
///
/// # Errors
/// `InvalidInput` for a port without an attenuator, and a setting that is not declared.
fn check_attenuator(attenuator: &dyn Attenuator, request: &Request<'_>) -> Result<()> {
    let declared = attenuator.attenuator_capabilities();
    match request {
        Request::Attenuation { port } => declared.check_port(*port),
        Request::SetAttenuation { port, wanted } => declared.check(*port, wanted),
        _ => Ok(()),
    }
}

#[async_trait]
impl Attenuator for Checked<dyn Attenuator> {
    fn attenuator_capabilities(&self) -> &AttenuatorCapabilities {
        self.inner().attenuator_capabilities()
    }
    async fn attenuation(&self, port: Port) -> Result<Attenuation> {
        let call = self.inner().attenuation(port);
        let request = Request::Attenuation { port };
        let check = |r: &Request<'_>| check_attenuator(self.inner(), r);
        self.call_guard().run(&request, check, call).await
    }
    async fn set_attenuation(&self, port: Port, wanted: &Attenuation) -> Result<()> {
        let call = self.inner().set_attenuation(port, wanted);
        let request = Request::SetAttenuation {
            port,
            wanted: Cow::Borrowed(wanted),
        };
        let check = |r: &Request<'_>| check_attenuator(self.inner(), r);
        self.call_guard().run(&request, check, call).await
    }
}
