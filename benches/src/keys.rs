//! Keys taken and handed on, 256 bit, in batches of 128, from an in-process model.

use crate::tool::{current_thread, row};
use async_trait::async_trait;
use qkd_hal::{
    Capabilities, Descriptor, Device, EventStream, Health, Identity, Key, KeyId, Maturity,
    Operation, QkdModule, Result,
    checked::{CallGuard, Checked},
    qkd::{KeyRequest, ModuleState, ModuleStatus, QkdCapabilities, Role},
    units::Bits,
};
use std::{
    hint::black_box,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};
use zeroize::Zeroizing;

/// A store that never empties: ids count up, bytes follow from the id. What is measured is the
/// contract, not a generator.
struct Store {
    descriptor: Descriptor,
    capabilities: Capabilities,
    qkd: QkdCapabilities,
    next: AtomicU64,
}

#[async_trait]
impl Device for Store {
    fn descriptor(&self) -> &Descriptor {
        &self.descriptor
    }
    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }
    async fn identity(&self) -> Result<Identity> {
        Ok(Identity::default())
    }
    async fn health(&self) -> Result<Health> {
        Ok(Health::ok())
    }
    fn events(&self) -> EventStream {
        EventStream::ended()
    }
    async fn close(&self) -> Result<()> {
        Ok(())
    }
}

#[async_trait]
impl QkdModule for Store {
    fn qkd_capabilities(&self) -> &QkdCapabilities {
        &self.qkd
    }
    async fn status(&self) -> Result<ModuleStatus> {
        Ok(ModuleStatus::new(
            ModuleState::Generating,
            Role::Transmitter,
        ))
    }
    async fn take_keys(&self, request: &KeyRequest) -> Result<Vec<Key>> {
        let first = self
            .next
            .fetch_add(u64::from(request.count), Ordering::Relaxed);
        Ok((first..first + u64::from(request.count))
            .map(|n| {
                let mut id = [0; 16];
                id[..8].copy_from_slice(&n.to_be_bytes());
                let word = n.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes();
                Key::new(
                    KeyId::from_bytes(&id).expect("16 bytes"),
                    Zeroizing::new(word.repeat(4)),
                )
            })
            .collect())
    }
}

pub(crate) fn run(scale: u32) {
    let rate = deliver_batches(40_000 / scale);
    row(
        "keys of 256 bit taken and handed on, batches of 128",
        &format!("{rate:.0} a second"),
        "-",
        None,
        "≥ 1,000,000",
    );
}

/// Takes this number of batches of 128 keys and delivers them; returns the keys per second.
pub(crate) fn deliver_batches(batches: u32) -> f64 {
    let store = Arc::new(Store {
        descriptor: Descriptor::new("store", "store+mem://s", Maturity::Emulated),
        capabilities: Capabilities::none().with(&[Operation::TakeKeys]),
        qkd: QkdCapabilities::new(Role::Transmitter),
        next: AtomicU64::new(0),
    });
    let gate = Arc::new(CallGuard::new(store.descriptor(), store.capabilities()));
    let module: Arc<dyn QkdModule> = Arc::new(Checked::new(store, gate));
    let request = KeyRequest::new(128).with_size(Bits(256));
    current_thread().block_on(async {
        let (give, mut take) = tokio::sync::mpsc::channel::<Vec<Key>>(16);
        let taker = tokio::spawn(async move {
            let mut sum = 0u64;
            while let Some(keys) = take.recv().await {
                for key in keys {
                    sum = sum.wrapping_add(u64::from(black_box(key.expose())[0]));
                }
            }
            sum
        });
        let begun = Instant::now();
        for _ in 0..batches {
            let keys = module.take_keys(&request).await.expect("keys");
            give.send(keys).await.expect("a taker");
        }
        drop(give);
        black_box(taker.await.expect("the taker ends"));
        f64::from(batches) * 128.0 / begun.elapsed().as_secs_f64()
    })
}
