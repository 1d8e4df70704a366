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
use mockall::mock;
use qkd_hal::{
    Capabilities, Descriptor, Device, EventStream, Health, Identity, Result,
    parameter::{ParameterSpec, ParameterValue},
    reading::{Measured, Reading},
    units::DecibelMilliwatts,
};

mock! {
    pub OpticalSwitch {}
    #[async_trait]
    impl Device for OpticalSwitch {
        fn descriptor(&self) -> &Descriptor;
        fn capabilities(&self) -> &Capabilities;
        async fn identity(&self) -> Result<Identity>;
        async fn health(&self) -> Result<Health>;
        async fn telemetry(&self) -> Result<Vec<Reading>>;
        fn parameters(&self) -> &[ParameterSpec];
        async fn parameter(&self, name: &str) -> Result<ParameterValue>;
        async fn set_parameter(&self, name: &str, value: &ParameterValue) -> Result<()>;
        fn events(&self) -> EventStream;
        async fn close(&self) -> Result<()>;
    }
    #[async_trait]
    impl OpticalSwitch for OpticalSwitch {
        fn switch_capabilities(&self) -> &SwitchCapabilities;
        async fn connections(&self) -> Result<Measured<CrossConnects>>;
        async fn ports(&self, ports: &[Port]) -> Result<Vec<PortStatus>>;
        async fn apply(&self, plan: &Plan) -> Result<ApplyReport>;
        async fn set_port(&self, port: Port, enabled: bool) -> Result<()>;
    }
}

mock! {
    pub PowerMeter {}
    #[async_trait]
    impl Device for PowerMeter {
        fn descriptor(&self) -> &Descriptor;
        fn capabilities(&self) -> &Capabilities;
        async fn identity(&self) -> Result<Identity>;
        async fn health(&self) -> Result<Health>;
        async fn telemetry(&self) -> Result<Vec<Reading>>;
        fn parameters(&self) -> &[ParameterSpec];
        async fn parameter(&self, name: &str) -> Result<ParameterValue>;
        async fn set_parameter(&self, name: &str, value: &ParameterValue) -> Result<()>;
        fn events(&self) -> EventStream;
        async fn close(&self) -> Result<()>;
    }
    #[async_trait]
    impl PowerMeter for PowerMeter {
        fn meter_capabilities(&self) -> &PowerMeterCapabilities;
        async fn power(&self, ports: &[Port]) -> Result<Vec<Measured<DecibelMilliwatts>>>;
        async fn monitor(&self, port: Port) -> Result<MonitorStatus>;
        async fn set_monitor(&self, port: Port, change: &MonitorSetting) -> Result<()>;
    }
}

mock! {
    pub Attenuator {}
    #[async_trait]
    impl Device for Attenuator {
        fn descriptor(&self) -> &Descriptor;
        fn capabilities(&self) -> &Capabilities;
        async fn identity(&self) -> Result<Identity>;
        async fn health(&self) -> Result<Health>;
        async fn telemetry(&self) -> Result<Vec<Reading>>;
        fn parameters(&self) -> &[ParameterSpec];
        async fn parameter(&self, name: &str) -> Result<ParameterValue>;
        async fn set_parameter(&self, name: &str, value: &ParameterValue) -> Result<()>;
        fn events(&self) -> EventStream;
        async fn close(&self) -> Result<()>;
    }
    #[async_trait]
    impl Attenuator for Attenuator {
        fn attenuator_capabilities(&self) -> &AttenuatorCapabilities;
        async fn attenuation(&self, port: Port) -> Result<Attenuation>;
        async fn set_attenuation(&self, port: Port, wanted: &Attenuation) -> Result<()>;
    }
}

mock! {
    pub Protection {}
    #[async_trait]
    impl Device for Protection {
        fn descriptor(&self) -> &Descriptor;
        fn capabilities(&self) -> &Capabilities;
        async fn identity(&self) -> Result<Identity>;
        async fn health(&self) -> Result<Health>;
        async fn telemetry(&self) -> Result<Vec<Reading>>;
        fn parameters(&self) -> &[ParameterSpec];
        async fn parameter(&self, name: &str) -> Result<ParameterValue>;
        async fn set_parameter(&self, name: &str, value: &ParameterValue) -> Result<()>;
        fn events(&self) -> EventStream;
        async fn close(&self) -> Result<()>;
    }
    #[async_trait]
    impl Protection for Protection {
        fn protection_capabilities(&self) -> &ProtectionCapabilities;
        async fn groups(&self) -> Result<Vec<GroupId>>;
        async fn protection(&self, group: &GroupId) -> Result<Measured<ProtectionStatus>>;
        async fn set_protection(&self, group: &GroupId, setting: &ProtectionSetting) -> Result<()>;
        async fn command(&self, group: &GroupId, command: &ExternalCommand) -> Result<()>;
    }
}
