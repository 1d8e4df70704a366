//! `qkdctl demo`: a testbed of most families on their real transports, used and faulted, with a log
//! and a verdict, and then tested with the conformance suite.

mod log;
mod report;
mod steps;
mod testbed;

use crate::output::Output;
use log::DemoLog;
use qkd_hal::Result;
use std::path::Path;
use testbed::Testbed;

pub(crate) async fn run(output: Output, seed: u64, folder: &Path) -> Result<u8> {
    let mut story = DemoLog::new(output);
    let testbed = Testbed::start(seed, &mut story).await?;
    steps::all(&testbed, &mut story).await;
    steps::log_result(
        "the suite",
        report::written(&testbed, &mut story, output, folder).await,
        &mut story,
    );
    drop(testbed);
    story.end()
}
