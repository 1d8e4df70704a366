//! Opens a device of the driver from outside, by URI.
use outside::Acme;
use qkd_hardware::{OpenContext, Registry};

#[tokio::main(flavor = "current_thread")]
async fn main() -> qkd_hardware::Result<()> {
    let uri = std::env::args()
        .nth(1)
        .unwrap_or_else(|| "acme+tcp://192.0.2.8".to_owned());
    let opened = Registry::new()
        .with(Acme)
        .open(&uri, &OpenContext::new())
        .await?;
    println!("{}", opened.device().identity().await?);
    Ok(())
}
