//! Exclusivity: a port that only one process may hold is held by one.

use crate::{
    case::{Case, Precondition},
    case_context::CaseContext,
    case_outcome::{CaseOutcome, ensure, expect_error, not_applicable},
    reading,
};
use qkd_hal::{DeviceUri, ErrorKind};

pub(super) const CASES: &[Case] = &[Case::new(
    "DEV-41/second",
    "opens a serial or USB device a second time",
    &[Precondition::Wire],
    |b| Box::pin(second(b)),
)
.negative()];

async fn second(b: &CaseContext) -> CaseOutcome {
    let uri: DeviceUri = b.uris()[0].parse()?;
    if !matches!(uri.transport(), "serial" | "usb" | "usbip") {
        return not_applicable(format!("its transport, {}, is shared", uri.transport()));
    }
    let opened = b.open().await?;
    let right = reading::stable_reading(b, &opened).await?;
    let error = expect_error("opening it a second time", b.open().await)?;
    ensure(error.kind() == ErrorKind::Busy, || {
        format!("opening it a second time: {error}")
    })?;
    let still = reading::stable_reading(b, &opened).await?;
    ensure(still == right, || {
        format!("the first handle read `{right}` before, and `{still}` after another process tried")
    })
}
