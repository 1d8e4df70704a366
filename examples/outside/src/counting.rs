//! A layer that counts the calls of each operation.
use qkd_hardware::hal::{
    Layer, Operation,
    layer::{Call, CallEnd},
};
use std::{collections::BTreeMap, sync::Mutex, time::Instant};

/// Counts the calls of each operation, over all devices.
#[derive(Default)]
pub struct Counting(Mutex<BTreeMap<Operation, u64>>);

impl Counting {
    /// The calls so far.
    pub fn calls(&self) -> BTreeMap<Operation, u64> {
        self.0.lock().expect("no holder panics").clone()
    }
}

impl Layer for Counting {
    fn after(&self, call: &Call<'_>, _: CallEnd<'_>, _: Instant) {
        let mut calls = self.0.lock().expect("no holder panics");
        *calls.entry(call.request.operation()).or_default() += 1;
    }
}
