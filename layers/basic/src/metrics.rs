//! Counts and durations of calls.

use async_trait::async_trait;
use qkd_hal::{
    Effect, Operation,
    layer::{Call, CallEnd, Layer},
};
use serde::Serialize;
use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// Upper bounds of the buckets of [`Sample::buckets`]; the last bucket has no bound.
pub const BUCKETS: [Duration; 12] = [
    Duration::from_millis(1),
    Duration::from_millis(2),
    Duration::from_millis(5),
    Duration::from_millis(10),
    Duration::from_millis(50),
    Duration::from_millis(100),
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(5),
    Duration::from_secs(10),
    Duration::from_secs(60),
    Duration::from_secs(600),
];

/// Counts and durations of the calls of one operation of one device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Sample {
    /// URI of the device, which holds no secret.
    pub device: String,
    /// The operation.
    pub operation: Operation,
    /// Number of calls that returned a value.
    pub returned: u64,
    /// Number of calls that failed or were refused, by the name of the error's kind.
    pub failed: BTreeMap<&'static str, u64>,
    /// Number of failed calls after which the device may have changed.
    pub effect_unknown: u64,
    /// Number of calls whose future was dropped.
    pub abandoned: u64,
    /// Sum of the durations of all calls.
    #[serde(
        rename = "duration_ns",
        serialize_with = "qkd_hal::serial::nanoseconds::serialize"
    )]
    pub duration: Duration,
    /// Longest duration of a call.
    #[serde(
        rename = "longest_ns",
        serialize_with = "qkd_hal::serial::nanoseconds::serialize"
    )]
    pub longest: Duration,
    /// Number of calls by duration: in each bucket those up to its bound in [`BUCKETS`] and above
    /// the bound before.
    pub buckets: [u64; BUCKETS.len() + 1],
}

impl Sample {
    fn new(device: &str, operation: Operation) -> Self {
        Self {
            device: device.to_owned(),
            operation,
            returned: 0,
            failed: BTreeMap::new(),
            effect_unknown: 0,
            abandoned: 0,
            duration: Duration::ZERO,
            longest: Duration::ZERO,
            buckets: [0; BUCKETS.len() + 1],
        }
    }

    /// Returns the number of calls.
    #[must_use]
    pub fn calls(&self) -> u64 {
        self.buckets.iter().sum()
    }

    fn add(&mut self, end: CallEnd<'_>, took: Duration) {
        match end {
            CallEnd::Returned(_) => self.returned += 1,
            CallEnd::Failed(error) => {
                *self.failed.entry(error.kind().name()).or_default() += 1;
                self.effect_unknown += u64::from(error.effect() != Effect::None);
            }
            _ => self.abandoned += 1,
        }
        self.duration = self.duration.saturating_add(took);
        self.longest = self.longest.max(took);
        self.buckets[BUCKETS.partition_point(|bound| *bound < took)] += 1;
    }
}

/// A layer that counts calls and measures their durations, by device, operation and outcome.
///
/// It measures the time of the device and of the layers inside of it. Memory grows with the
/// number of devices and operations, not with the number of calls.
#[derive(Debug, Default)]
pub struct Metrics(Mutex<BTreeMap<String, BTreeMap<Operation, Sample>>>);

impl Metrics {
    /// A layer that has counted nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, BTreeMap<Operation, Sample>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count(&self, call: &Call<'_>, end: CallEnd<'_>, took: Duration) {
        let (device, operation) = (call.device.uri.as_str(), call.request.operation());
        let mut all = self.lock();
        if !all.contains_key(device) {
            all.insert(device.to_owned(), BTreeMap::new());
        }
        if let Some(operations) = all.get_mut(device) {
            operations
                .entry(operation)
                .or_insert_with(|| Sample::new(device, operation))
                .add(end, took);
        }
    }

    /// Returns the samples so far, in the order of devices and operations.
    #[must_use]
    pub fn snapshot(&self) -> Vec<Sample> {
        let all = self.lock();
        all.values().flat_map(BTreeMap::values).cloned().collect()
    }
}

#[async_trait]
impl Layer for Metrics {
    fn after(&self, call: &Call<'_>, end: CallEnd<'_>, since: Instant) {
        self.count(call, end, since.elapsed());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use qkd_hal::{Descriptor, Error, ErrorKind, Maturity, Outcome, Request};

    #[test]
    fn each_end_of_a_call_is_counted_once() {
        let metrics = Metrics::new();
        let device = Descriptor::new("fake", "fake+mem://a", Maturity::Emulated);
        let call = Call::new(&device, &Request::Stop);
        let lost = Error::new(ErrorKind::Timeout, "no reply").with_effect(Effect::Unknown);
        metrics.count(
            &call,
            CallEnd::Returned(&Outcome::Done),
            Duration::from_millis(5),
        );
        metrics.count(&call, CallEnd::Failed(&lost), Duration::from_millis(6));
        metrics.count(&call, CallEnd::Abandoned, Duration::from_secs(601));
        let health = Call::new(&device, &Request::Health);
        metrics.count(&health, CallEnd::Abandoned, Duration::ZERO);
        let [health, stop] = <[Sample; 2]>::try_from(metrics.snapshot()).unwrap();
        assert_eq!((health.operation, health.calls()), (Operation::Health, 1));
        assert_eq!(
            (stop.returned, stop.abandoned, stop.effect_unknown),
            (1, 1, 1)
        );
        assert_eq!(stop.failed, [("timeout", 1)].into());
        assert_eq!(
            (stop.buckets[2], stop.buckets[3], stop.buckets[12]),
            (1, 1, 1)
        );
        assert_eq!(stop.longest, Duration::from_secs(601));
        assert_eq!(stop.duration, Duration::from_millis(601_011));
    }
}
