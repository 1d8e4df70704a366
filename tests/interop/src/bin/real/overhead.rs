//! The time that rolls by a driver take, compared with the time in which it waits for its devices.

use crate::real::keys::{self, KeySource};
use qkd_driver_kit::transcript::{Record, Transcript};
use qkd_hardware::OpenContext;
use std::time::{Duration, Instant};

/// Rolls of one measurement.
const ROLLS: usize = 20;

/// Rolls, and returns the ratio of their time to the time in which an exchange with a device was
/// under way. Both ends are in one process: an exchange with one end is not waited for while the
/// other end answers, too.
pub(crate) async fn measure(uris: &[String; 2], source: &KeySource) -> Result<f64, String> {
    let text = |e: qkd_hal::Error| e.to_string();
    let transcript = Transcript::in_memory();
    let context = OpenContext::new().with_transcript(transcript.clone());
    let pair = keys::open_pair_with(uris, [None, None], &context)
        .await
        .map_err(text)?;
    let (mut took, mut waited) = (Duration::ZERO, Duration::ZERO);
    for _ in 0..ROLLS {
        let roll = pair.readiness().await.map_err(text)?;
        let roll = roll.ready().map_err(text)?;
        let [key, twin] = source.take(roll.key_size()).await.map_err(text)?;
        let before = transcript.records().len();
        let begun = Instant::now();
        let outcome = roll.run([&key, &twin], &mut ()).await.map_err(text)?;
        took += begun.elapsed();
        keys::confirmed(outcome).map_err(text)?;
        waited += under_way(&transcript.records()[before..]);
    }
    if waited.is_zero() {
        return Err("rolls were made without an exchange".to_owned());
    }
    Ok(took.as_secs_f64() / waited.as_secs_f64())
}

/// The time in which at least one of these exchanges was under way.
fn under_way(records: &[Record]) -> Duration {
    let mut spans: Vec<_> = records
        .iter()
        .map(|record| (record.at_us, record.at_us + record.took_us))
        .collect();
    spans.sort_unstable();
    let (mut sum, mut until) = (0, 0);
    for (from, to) in spans {
        sum += to.saturating_sub(from.max(until));
        until = until.max(to);
    }
    Duration::from_micros(sum)
}
