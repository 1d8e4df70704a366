use qkd_driver_kit::{Driver, DriverInfo, OpenContext, Opened, Registry, driver::Transport};
use qkd_hal::{DeviceUri, Result};

static ACME: DriverInfo = DriverInfo { name: "acme", family: "Acme switch, a Polatis under another name", transports: &[Transport { name: "tcp", example: "acme+tcp://192.0.2.8" }], ..qkd_driver_polatis::INFO };
struct Acme;

#[async_trait::async_trait]
impl Driver for Acme {
    fn info(&self) -> &'static DriverInfo { &ACME }
    async fn open(&self, uri: &DeviceUri, context: &OpenContext) -> Result<Opened> { qkd_driver_polatis::driver().open(uri, context).await }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let uri = std::env::args().nth(1).unwrap_or_else(|| ACME.transports[0].example.to_owned());
    let opened = Registry::new().with(Acme).open(&uri, &OpenContext::new()).await?;
    println!("{}", opened.device().identity().await?);
    Ok(())
}
