use qkd_hardware::driver_kit::driver_info::Transport;
use qkd_hardware::{
    DeviceUri, Driver, DriverInfo, OpenContext, OpenedDevice, Result, drivers::polatis,
};

pub mod controller;
pub mod counting;
pub mod proxy;

static ACME: DriverInfo = DriverInfo {
    name: "acme",
    family: "Acme switch, a Polatis under another name",
    transports: &[Transport {
        name: "tcp",
        example: "acme+tcp://192.0.2.8",
    }],
    ..polatis::INFO
};
pub struct Acme;

#[async_trait::async_trait]
impl Driver for Acme {
    fn info(&self) -> &'static DriverInfo {
        &ACME
    }
    async fn open(&self, uri: &DeviceUri, context: &OpenContext) -> Result<OpenedDevice> {
        polatis::driver().open(uri, context).await
    }
}
