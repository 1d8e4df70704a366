//! `qkdctl demo`: a testbed of most families over their real wires, driven and faulted, told as a
//! story with a verdict, and then held against the conformance suite.

mod chapters;
mod report;
mod story;
mod testbed;

use crate::output::Output;
use qkd_hal::Result;
use std::path::Path;
use story::Story;
use testbed::Testbed;

pub(crate) async fn run(output: Output, seed: u64, folder: &Path) -> Result<u8> {
    let mut story = Story::new(output);
    let testbed = Testbed::start(seed, &mut story).await?;
    chapters::all(&testbed, &mut story).await;
    chapters::told(
        "the suite",
        report::written(&testbed, &mut story, output, folder).await,
        &mut story,
    );
    drop(testbed);
    story.end()
}
