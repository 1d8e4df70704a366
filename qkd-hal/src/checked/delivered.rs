//! Key ids that a device has delivered.

use crate::KeyId;
use std::{
    collections::{HashSet, VecDeque, hash_map::RandomState},
    hash::BuildHasher,
};

/// The ids of the last keys that were delivered, as 128-bit hashes under a random key.
#[derive(Debug, Default)]
pub(super) struct Delivered {
    state: [RandomState; 2],
    pub(super) seen: HashSet<u128>,
    order: VecDeque<u128>,
}

impl Delivered {
    /// Number of key IDs that are remembered to detect repeated delivery.
    pub(super) const WINDOW: usize = 1 << 17;

    pub(super) fn is_new(&mut self, id: &KeyId) -> bool {
        let hash =
            u128::from(self.state[0].hash_one(id)) << 64 | u128::from(self.state[1].hash_one(id));
        if !self.seen.insert(hash) {
            return false;
        }
        if self.order.len() == Self::WINDOW
            && let Some(oldest) = self.order.pop_front()
        {
            self.seen.remove(&oldest);
        }
        self.order.push_back(hash);
        true
    }
}
