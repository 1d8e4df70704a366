//! Exclusivity: a port that only one process may hold is held by one.

use crate::{
    bench::Bench,
    case::{Case, Need, Stop, Verdict, holds, refused},
    reading,
};
use qkd_hal::{DeviceUri, ErrorKind};

pub(super) const CASES: &[Case] = &[Case::new(
    "DEV-41/second",
    "opens a serial or USB device a second time",
    &[Need::Wire],
    |b| Box::pin(second(b)),
)
.negative()];

async fn second(b: &Bench) -> Verdict {
    let uri: DeviceUri = b.uris()[0].parse()?;
    if !matches!(uri.transport(), "serial" | "usb" | "usbip") {
        return Err(Stop::NotApplicable(format!(
            "its transport, {}, is shared",
            uri.transport()
        )));
    }
    let opened = b.open().await?;
    let right = reading::steady(b, &opened).await?;
    let error = refused("opening it a second time", b.open().await)?;
    holds(error.kind() == ErrorKind::Busy, || {
        format!("opening it a second time: {error}")
    })?;
    let still = reading::steady(b, &opened).await?;
    holds(still == right, || {
        format!("the first handle read `{right}` before, and `{still}` after somebody else tried")
    })
}
