//! A QKD module, broken.

use super::{Broken, with_effect};
use async_trait::async_trait;
use qkd_hal::{
    Effect, Error, ErrorKind, Key, KeyId, QkdModule, Result,
    qkd::{KeyRequest, KeyStore, ModuleState, ModuleStatus, Performance, QkdCapabilities, Role},
    reading::Measured,
    units::{Bits, BitsPerSecond, Ratio},
};
use std::{sync::Arc, sync::atomic::Ordering};
use zeroize::Zeroizing;

impl Broken {
    fn honest_module(&self) -> Arc<dyn QkdModule> {
        self.opened.module().unwrap()
    }
    fn keep(&self, keys: &[Key]) {
        let mut past = self.past();
        for key in keys {
            past.kept_ids.push(key.id().clone());
            past.kept.push(Zeroizing::new(key.expose().to_vec()));
        }
    }
    /// A key that was given before.
    fn stored_key(&self, n: usize) -> Option<Key> {
        let past = self.past();
        Some(Key::new(
            past.kept_ids.get(n)?.clone(),
            past.kept[n].clone(),
        ))
    }
}

fn made_up(id: KeyId) -> Key {
    Key::new(id, Zeroizing::new(vec![0x5a; 32]))
}

#[async_trait]
impl QkdModule for Broken {
    fn qkd_capabilities(&self) -> &QkdCapabilities {
        self.qkd.as_ref().unwrap()
    }

    async fn status(&self) -> Result<ModuleStatus> {
        let module = self.honest_module();
        let mut status = self.through(module.status()).await?;
        let kept = self.stored_key(0);
        match self.breaks {
            "QKD-01" => status.role = Role::Transceiver,
            "QKD-04" => status.role = Role::Receiver,
            "QKD-05" => status.state = ModuleState::Generating,
            "QKD-06" | "QKD-07" if self.past().stopped => status.state = ModuleState::Standby,
            "QKD-24" => status.peer = kept.map(|key| hex::encode(key.expose())),
            _ => {}
        }
        Ok(status)
    }

    async fn performance(&self) -> Result<Performance> {
        let module = self.honest_module();
        let mut performance = self.through(module.performance()).await?;
        match self.breaks {
            "QKD-02" => performance.visibility = Some(Measured::now(Ratio(1.5))),
            "QKD-08" => {
                performance.qber = Some(Measured::now(Ratio(0.1 / (1.0 + self.count() as f64))));
                performance.secret_key_rate = Some(Measured::now(BitsPerSecond(1000.0)));
            }
            _ => {}
        }
        Ok(performance)
    }

    async fn key_store(&self) -> Result<KeyStore> {
        let module = self.honest_module();
        let mut store = self.through(module.key_store()).await?;
        match self.breaks {
            "QKD-03" => store.stored = store.capacity.map(|n| n + 1),
            "QKD-25" => store.stored = Some(1000),
            _ => {}
        }
        Ok(store)
    }

    async fn start(&self) -> Result<()> {
        let module = self.honest_module();
        self.past().stopped = self.is("QKD-07");
        self.through(module.start()).await
    }

    async fn calibrate(&self) -> Result<()> {
        let module = self.honest_module();
        self.past().stopped = self.is("QKD-06");
        self.through(module.calibrate()).await
    }

    async fn take_keys(&self, request: &KeyRequest) -> Result<Vec<Key>> {
        let module = self.honest_module();
        match self.breaks {
            "QKD-09" if request.size.is_none() => {
                return module
                    .take_keys(&request.clone().with_size(Bits(128)))
                    .await;
            }
            "QKD-15" | "QKD-16" => return Ok(Vec::new()),
            // What one caller waits for is given to the next too.
            "QKD-23" if self.busy.load(Ordering::Relaxed) > 0 && request.count == 1 => {
                while self.past().kept.is_empty() {
                    tokio::task::yield_now().await;
                }
                return Ok(self.stored_key(0).into_iter().collect());
            }
            _ => {}
        }
        let result = self.through(module.take_keys(request)).await;
        match (self.breaks, result) {
            // The same key under another name.
            ("QKD-10", Ok(keys)) => {
                self.keep(&keys);
                Ok(keys
                    .into_iter()
                    .map(|key| Key::new(key.id().clone(), self.past().kept[0].clone()))
                    .collect())
            }
            ("QKD-18" | "QKD-19", Err(e)) => {
                module.take_keys(&KeyRequest::new(1)).await?;
                Err(e)
            }
            ("QKD-20", Err(e)) => Err(with_effect(&e, Effect::None)),
            // After a loss, the next caller gets what was given before.
            ("QKD-21", Ok(keys)) => {
                let lost = self.past().errors > 0;
                let again = lost.then(|| self.stored_key(0)).flatten();
                self.keep(&keys);
                Ok(again.map_or(keys, |key| vec![key]))
            }
            ("QKD-22", Err(e)) if e.kind() == ErrorKind::Exhausted => {
                Err(Error::new(ErrorKind::Refused, "no"))
            }
            ("QKD-23" | "QKD-24", Ok(keys)) => {
                self.keep(&keys);
                Ok(keys)
            }
            ("QKD-26", Ok(keys)) => Ok(keys
                .into_iter()
                .map(|key| made_up(key.id().clone()))
                .collect()),
            (_, result) => result,
        }
    }

    async fn take_keys_by_id(&self, ids: &[KeyId]) -> Result<Vec<Key>> {
        let module = self.honest_module();
        if self.is("QKD-17") {
            return Ok(ids.iter().cloned().map(made_up).collect());
        }
        let result = self.through(module.take_keys_by_id(ids)).await;
        match (self.breaks, result) {
            ("QKD-11", Ok(keys)) => Ok(keys
                .into_iter()
                .map(|key| {
                    let mut bytes = Zeroizing::new(key.expose().to_vec());
                    bytes[0] ^= 1;
                    Key::new(key.id().clone(), bytes)
                })
                .collect()),
            ("QKD-12", Ok(mut keys)) => {
                keys.reverse();
                Ok(keys)
            }
            ("QKD-13", Ok(keys)) => {
                self.keep(&keys);
                Ok(keys)
            }
            ("QKD-13", Err(_)) => Ok(self.stored_key(0).into_iter().collect()),
            ("QKD-14", Err(_)) => Ok(ids.iter().cloned().map(made_up).collect()),
            (_, result) => result,
        }
    }
}
