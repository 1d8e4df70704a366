//! Keys that were staged over the secret in use, and the key exchanges that were forced with them.

use qkd_hal::{
    Error, ErrorKind, KeyId, Result,
    encryptor::{ChannelId, Staged},
};
use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::time::Instant;

/// The key that was last staged on each channel through one handle, and the exchange forced with it.
///
/// `B`: what the device reported before that exchange. A device that does not report which key it
/// uses would exchange a key with any secret: so a key that was not staged is not activated.
pub struct ForcedExchanges<B>(Mutex<HashMap<ChannelId, Exchange<B>>>);

struct Exchange<B> {
    key: KeyId,
    before: B,
    forced: Option<Instant>,
    ended: Option<Instant>,
}

impl<B> Default for ForcedExchanges<B> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<B: Clone> ForcedExchanges<B> {
    /// Records that a key is about to be staged. The key before it is overwritten.
    pub fn stage(&self, channel: &ChannelId, key: &KeyId, before: B) {
        let new = Exchange {
            key: key.clone(),
            before,
            forced: None,
            ended: None,
        };
        self.lock().insert(channel.clone(), new);
    }

    /// Takes up a roll that another process began. `carried`: the readings that the staged key
    /// carries.
    ///
    /// # Errors
    /// `NotReady` if another key was staged last, or if nothing shows that this one was staged.
    pub fn resume(&self, staged: &Staged, carried: Option<B>) -> Result<()> {
        let (channel, key) = (&staged.channel, &staged.key_id);
        let last = self.lock().get(channel).map(|last| last.key.clone());
        match (last, carried) {
            (Some(last), _) if last == *key => return Ok(()),
            (None, Some(before)) => {
                self.stage(channel, key, before);
                return Ok(());
            }
            _ => {}
        }
        Err(Error::new(
            ErrorKind::NotReady,
            format!(
                "key {key} is not the one last staged on channel `{channel}`, as far as this \
                 handle knows: stage it again"
            ),
        ))
    }

    /// Records that an exchange is about to be forced. An exchange before that used another key.
    pub fn force(&self, channel: &ChannelId, before: B) {
        if let Some(exchange) = self.lock().get_mut(channel) {
            exchange.before = before;
            exchange.forced = Some(Instant::now());
            exchange.ended = None;
        }
    }

    /// Records that the exchange is seen to have ended. Only the first time counts.
    pub fn end(&self, staged: &Staged) {
        let mut all = self.lock();
        if let Some(exchange) = all.get_mut(&staged.channel)
            && exchange.key == staged.key_id
        {
            exchange.ended.get_or_insert_with(Instant::now);
        }
    }

    /// Readings of the device before the exchange with this key; `None` if another key was staged
    /// last.
    pub fn before(&self, staged: &Staged) -> Option<B> {
        let all = self.lock();
        let exchange = all.get(&staged.channel)?;
        (exchange.key == staged.key_id).then(|| exchange.before.clone())
    }

    /// Time from the forcing of the exchange with this key until it was seen to have ended: an upper
    /// bound of the time in which traffic was interrupted. `None` if this handle has not forced it.
    pub fn duration(&self, staged: &Staged) -> Option<Duration> {
        let all = self.lock();
        let exchange = all.get(&staged.channel)?;
        if exchange.key != staged.key_id {
            return None;
        }
        Some(exchange.ended?.duration_since(exchange.forced?))
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ChannelId, Exchange<B>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn staged(key: u8) -> Staged {
        let id = KeyId::from_bytes(&[key; 16]).unwrap();
        Staged::new(ChannelId("1".to_owned()), id, None, "")
    }

    #[tokio::test(start_paused = true)]
    async fn only_the_key_staged_last_is_activated_and_its_exchange_is_timed() {
        let exchanges = ForcedExchanges::<u8>::default();
        let (old, new) = (staged(1), staged(2));
        assert!(exchanges.resume(&old, None).is_err());
        exchanges.resume(&old, Some(1)).unwrap();
        exchanges.stage(&new.channel, &new.key_id, 2);
        let error = exchanges.resume(&old, Some(1)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotReady);
        assert_eq!(exchanges.before(&old), None);
        exchanges.resume(&new, None).unwrap();
        exchanges.end(&new);
        assert_eq!(exchanges.duration(&new), None);
        exchanges.force(&new.channel, 3);
        tokio::time::advance(Duration::from_secs(2)).await;
        exchanges.end(&old);
        assert_eq!(exchanges.duration(&new), None);
        exchanges.end(&new);
        tokio::time::advance(Duration::from_secs(2)).await;
        exchanges.end(&new);
        assert_eq!(exchanges.before(&new), Some(3));
        assert_eq!(exchanges.duration(&new), Some(Duration::from_secs(2)));
    }
}
