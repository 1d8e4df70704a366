//! `mockall` mocks of the traits.

#![allow(missing_docs, reason = "made by a macro")]

use crate::{
    ApplyReport, Attenuation, Attenuator, AttenuatorCapabilities, CrossConnects, MonitorSetting,
    MonitorStatus, OpticalSwitch, Plan, Port, PortStatus, PowerMeter, PowerMeterCapabilities,
    SwitchCapabilities,
    protection::{
        ExternalCommand, GroupId, Protection, ProtectionCapabilities, ProtectionSetting,
        ProtectionStatus,
    },
};
use async_trait::async_trait;
use qkd_hal::{Result, mock_devices, reading::Measured, units::DecibelMilliwatts};

mock_devices! {
    OpticalSwitch {
        fn switch_capabilities(&self) -> &SwitchCapabilities;
        async fn connections(&self) -> Result<Measured<CrossConnects>>;
        async fn ports(&self, ports: &[Port]) -> Result<Vec<PortStatus>>;
        async fn apply(&self, plan: &Plan) -> Result<ApplyReport>;
        async fn set_port(&self, port: Port, enabled: bool) -> Result<()>;
    }
    PowerMeter {
        fn meter_capabilities(&self) -> &PowerMeterCapabilities;
        async fn power(&self, ports: &[Port]) -> Result<Vec<Measured<DecibelMilliwatts>>>;
        async fn monitor(&self, port: Port) -> Result<MonitorStatus>;
        async fn set_monitor(&self, port: Port, change: &MonitorSetting) -> Result<()>;
    }
    Attenuator {
        fn attenuator_capabilities(&self) -> &AttenuatorCapabilities;
        async fn attenuation(&self, port: Port) -> Result<Attenuation>;
        async fn set_attenuation(&self, port: Port, wanted: &Attenuation) -> Result<()>;
    }
    Protection {
        fn protection_capabilities(&self) -> &ProtectionCapabilities;
        async fn groups(&self) -> Result<Vec<GroupId>>;
        async fn protection(&self, group: &GroupId) -> Result<Measured<ProtectionStatus>>;
        async fn set_protection(&self, group: &GroupId, setting: &ProtectionSetting) -> Result<()>;
        async fn command(&self, group: &GroupId, command: &ExternalCommand) -> Result<()>;
    }
}
