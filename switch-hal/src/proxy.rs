//! Handles of optical devices that are reached by requests: see [`qkd_hal::request::Proxy`].

use crate::{
    ApplyReport, Attenuation, Attenuator, AttenuatorCapabilities, CrossConnects, MonitorSetting,
    MonitorStatus, OpticalSwitch, Plan, Port, PortStatus, PowerMeter, PowerMeterCapabilities,
    Protection, SwitchCapabilities,
    protection::{
        ExternalCommand, GroupId, ProtectionCapabilities, ProtectionSetting, ProtectionStatus,
    },
};
use async_trait::async_trait;
use qkd_hal::{Request, Result, reading::Measured, request::Proxy, units::DecibelMilliwatts};
use std::borrow::Cow;

#[async_trait]
impl OpticalSwitch for Proxy<SwitchCapabilities> {
    fn switch_capabilities(&self) -> &SwitchCapabilities {
        self.declared()
    }
    async fn connections(&self) -> Result<Measured<CrossConnects>> {
        self.ask(Request::Connections).await
    }
    async fn ports(&self, ports: &[Port]) -> Result<Vec<PortStatus>> {
        let ports = Cow::Borrowed(ports);
        self.ask(Request::Ports { ports }).await
    }
    async fn apply(&self, plan: &Plan) -> Result<ApplyReport> {
        let plan = Cow::Borrowed(plan);
        self.ask(Request::Apply { plan }).await
    }
    async fn set_port(&self, port: Port, enabled: bool) -> Result<()> {
        self.ask(Request::SetPort { port, enabled }).await
    }
}

#[async_trait]
impl PowerMeter for Proxy<PowerMeterCapabilities> {
    fn meter_capabilities(&self) -> &PowerMeterCapabilities {
        self.declared()
    }
    async fn power(&self, ports: &[Port]) -> Result<Vec<Measured<DecibelMilliwatts>>> {
        let ports = Cow::Borrowed(ports);
        self.ask(Request::Power { ports }).await
    }
    async fn monitor(&self, port: Port) -> Result<MonitorStatus> {
        self.ask(Request::Monitor { port }).await
    }
    async fn set_monitor(&self, port: Port, change: &MonitorSetting) -> Result<()> {
        let change = *change;
        self.ask(Request::SetMonitor { port, change }).await
    }
}

#[async_trait]
impl Attenuator for Proxy<AttenuatorCapabilities> {
    fn attenuator_capabilities(&self) -> &AttenuatorCapabilities {
        self.declared()
    }
    async fn attenuation(&self, port: Port) -> Result<Attenuation> {
        self.ask(Request::Attenuation { port }).await
    }
    async fn set_attenuation(&self, port: Port, wanted: &Attenuation) -> Result<()> {
        let wanted = Cow::Borrowed(wanted);
        self.ask(Request::SetAttenuation { port, wanted }).await
    }
}

#[async_trait]
impl Protection for Proxy<ProtectionCapabilities> {
    fn protection_capabilities(&self) -> &ProtectionCapabilities {
        self.declared()
    }
    async fn groups(&self) -> Result<Vec<GroupId>> {
        self.ask(Request::ProtectionGroups).await
    }
    async fn protection(&self, group: &GroupId) -> Result<Measured<ProtectionStatus>> {
        let group = Cow::Borrowed(group);
        self.ask(Request::ProtectionStatus { group }).await
    }
    async fn set_protection(&self, group: &GroupId, setting: &ProtectionSetting) -> Result<()> {
        let (group, setting) = (Cow::Borrowed(group), Cow::Borrowed(setting));
        self.ask(Request::SetProtection { group, setting }).await
    }
    async fn command(&self, group: &GroupId, command: &ExternalCommand) -> Result<()> {
        let (group, command) = (Cow::Borrowed(group), Cow::Borrowed(command));
        self.ask(Request::ProtectionCommand { group, command })
            .await
    }
}
