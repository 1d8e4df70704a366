//! Parallel execution of cases in memory.

use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicUsize, Ordering},
};

/// Runs the tasks 0 to `count` on as many threads as the host has processors; returns the results
/// in order. A task that returns `None` ends its thread: remaining tasks are not run. Must be
/// called within a multi-threaded runtime.
pub(crate) fn run_parallel<T: Send>(
    count: usize,
    work: impl Fn(usize) -> Option<T> + Sync,
) -> Vec<T> {
    let (next, done) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let worker = || {
        loop {
            let n = next.fetch_add(1, Ordering::Relaxed);
            let Some(result) = (n < count).then(|| work(n)).flatten() else {
                return;
            };
            done.lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push((n, result));
        }
    };
    tokio::task::block_in_place(|| {
        std::thread::scope(|threads| {
            for _ in 0..std::thread::available_parallelism()
                .map_or(2, usize::from)
                .min(count)
            {
                threads.spawn(worker);
            }
        });
    });
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_by_key(|(n, _)| *n);
    done.into_iter().map(|(_, result)| result).collect()
}
