//! `qkdctl demo`: a testbed of all families over their real wires, driven and faulted, told as a story with a verdict.

mod chapters;
mod story;
mod testbed;

use crate::cli::Output;
use qkd_hal::Result;
use story::Story;
use testbed::Testbed;

pub(crate) async fn run(output: Output, seed: u64) -> Result<u8> {
    let mut story = Story::new(output);
    let testbed = Testbed::start(seed, &mut story).await?;
    chapters::all(&testbed, &mut story).await;
    drop(testbed);
    story.end()
}
