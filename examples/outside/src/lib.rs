use qkd_driver_kit::{Driver, DriverInfo, OpenContext, Opened, driver::Transport};
use qkd_hal::{DeviceUri, Result};

pub mod controller;

static ACME: DriverInfo = DriverInfo {
    name: "acme",
    family: "Acme switch, a Polatis under another name",
    transports: &[Transport {
        name: "tcp",
        example: "acme+tcp://192.0.2.8",
    }],
    ..qkd_driver_polatis::INFO
};
pub struct Acme;

#[async_trait::async_trait]
impl Driver for Acme {
    fn info(&self) -> &'static DriverInfo {
        &ACME
    }
    async fn open(&self, uri: &DeviceUri, context: &OpenContext) -> Result<Opened> {
        qkd_driver_polatis::driver().open(uri, context).await
    }
}
