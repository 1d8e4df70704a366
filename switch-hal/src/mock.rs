//! A `mockall` mock of the trait.

#![allow(missing_docs, reason = "made by a macro")]

use crate::{Applied, CrossConnects, OpticalSwitch, Plan, Port, PortStatus, SwitchCapabilities};
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
        async fn power(&self, ports: &[Port]) -> Result<Vec<Measured<DecibelMilliwatts>>>;
        async fn apply(&self, plan: &Plan) -> Result<Applied>;
        async fn set_port(&self, port: Port, enabled: bool) -> Result<()>;
    }
}
