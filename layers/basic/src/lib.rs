#![doc = include_str!("../README.md")]
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod metrics;
mod rate_limit;

pub use metrics::{BUCKETS, Metrics, Sample};
pub use rate_limit::{Rate, RateLimit};
