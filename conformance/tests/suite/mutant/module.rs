//! Mutants of a QKD module.

use super::{Broken, with_effect};
use qkd_hal::{
    Effect, Error, ErrorKind, Key, KeyId, Outcome, Request, Result,
    qkd::{KeyRequest, ModuleState, Role},
    reading::Measured,
    request::Answer,
    units::{Bits, BitsPerSecond, Ratio},
};
use std::sync::atomic::Ordering;
use zeroize::Zeroizing;

fn made_up(id: &KeyId) -> Key {
    Key::new(id.clone(), Zeroizing::new(vec![0x5a; 32]))
}

/// A copy of a key, under an ID.
fn copied(key: &Key, id: &KeyId) -> Key {
    Key::new(id.clone(), Zeroizing::new(key.expose().to_vec()))
}

impl Broken {
    /// Keeps a copy of the first key that was given.
    fn keep(&self, keys: &[Key]) {
        let mut past = self.past();
        if let (None, Some(first)) = (&past.key, keys.first()) {
            past.key = Some(copied(first, first.id()));
        }
    }

    /// The key that was kept.
    fn kept(&self) -> Option<Key> {
        let past = self.past();
        past.key.as_ref().map(|key| copied(key, key.id()))
    }

    pub(super) async fn module_call(&self, request: &Request<'_>) -> Result<Outcome> {
        match request {
            Request::TakeKeys { request: wanted } => {
                let keys = self.take_keys(wanted, request).await?;
                return Ok(keys.into_outcome());
            }
            Request::TakeKeysById { ids } => {
                let keys = self.take_keys_by_id(ids, request).await?;
                return Ok(keys.into_outcome());
            }
            Request::Start => self.past().stopped = self.is("QKD-07"),
            Request::Calibrate => self.past().stopped = self.is("QKD-06"),
            _ => {}
        }
        let mut outcome = self.honest(request).await?;
        match (self.breaks, &mut outcome) {
            ("QKD-01", Outcome::ModuleStatus(status)) => status.role = Role::Transceiver,
            ("QKD-02", Outcome::Performance(performance)) => {
                performance.visibility = Some(Measured::now(Ratio(1.5)));
            }
            ("QKD-03", Outcome::KeyStore(store)) => store.stored = store.capacity.map(|n| n + 1),
            ("QKD-04", Outcome::ModuleStatus(status)) => status.role = Role::Receiver,
            ("QKD-05", Outcome::ModuleStatus(status)) => status.state = ModuleState::Generating,
            ("QKD-06" | "QKD-07", Outcome::ModuleStatus(status)) if self.past().stopped => {
                status.state = ModuleState::Standby;
            }
            ("QKD-08", Outcome::Performance(performance)) => {
                performance.qber = Some(Measured::now(Ratio(0.1 / (1.0 + self.count() as f64))));
                performance.secret_key_rate = Some(Measured::now(BitsPerSecond(1000.0)));
            }
            ("QKD-24", Outcome::ModuleStatus(status)) => {
                status.peer = self.kept().map(|key| hex::encode(key.expose()));
            }
            ("QKD-25", Outcome::KeyStore(store)) => store.stored = Some(1000),
            _ => {}
        }
        Ok(outcome)
    }

    async fn take_keys(&self, wanted: &KeyRequest, request: &Request<'_>) -> Result<Vec<Key>> {
        match self.breaks {
            "QKD-09" if wanted.size.is_none() => {
                let short = wanted.clone().with_size(Bits(128));
                return self.opened.module()?.take_keys(&short).await;
            }
            "QKD-15" | "QKD-16" => return Ok(Vec::new()),
            // What one caller waits for is given to the next too.
            "QKD-23" if self.busy.load(Ordering::Relaxed) > 0 && wanted.count == 1 => {
                while self.past().key.is_none() {
                    tokio::task::yield_now().await;
                }
                return Ok(self.kept().into_iter().collect());
            }
            _ => {}
        }
        match (self.breaks, self.ask::<Vec<Key>>(request).await) {
            // The same key under another name.
            ("QKD-10", Ok(keys)) => {
                self.keep(&keys);
                let renamed = |key: &Key| Some(copied(&self.kept()?, key.id()));
                Ok(keys.iter().filter_map(renamed).collect())
            }
            ("QKD-18" | "QKD-19", Err(e)) => {
                let one = KeyRequest::new(1);
                self.opened.module()?.take_keys(&one).await?;
                Err(e)
            }
            ("QKD-20", Err(e)) => Err(with_effect(&e, Effect::None)),
            // After a loss, the next caller gets what was given before.
            ("QKD-21", Ok(keys)) => {
                let lost = self.past().errors > 0;
                let again = lost.then(|| self.kept()).flatten();
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
            ("QKD-26", Ok(keys)) => Ok(keys.iter().map(|key| made_up(key.id())).collect()),
            (_, result) => result,
        }
    }

    async fn take_keys_by_id(&self, ids: &[KeyId], request: &Request<'_>) -> Result<Vec<Key>> {
        if self.is("QKD-17") {
            return Ok(ids.iter().map(made_up).collect());
        }
        match (self.breaks, self.ask::<Vec<Key>>(request).await) {
            ("QKD-11", Ok(keys)) => {
                let flipped = keys.iter().map(|key| {
                    let mut bytes = Zeroizing::new(key.expose().to_vec());
                    bytes[0] ^= 1;
                    Key::new(key.id().clone(), bytes)
                });
                Ok(flipped.collect())
            }
            ("QKD-12", Ok(mut keys)) => {
                keys.reverse();
                Ok(keys)
            }
            ("QKD-13", Ok(keys)) => {
                self.keep(&keys);
                Ok(keys)
            }
            ("QKD-13", Err(_)) => Ok(self.kept().into_iter().collect()),
            ("QKD-14", Err(_)) => Ok(ids.iter().map(made_up).collect()),
            (_, result) => result,
        }
    }
}
