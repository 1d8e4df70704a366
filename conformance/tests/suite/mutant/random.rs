//! Mutants of a random source.

use super::Broken;
use qkd_hal::{Outcome, Request, Result, request::Answer};
use std::sync::atomic::Ordering;
use zeroize::Zeroizing;

/// The bytes of the source whose URI shows them.
pub(super) const SHOWN: [u8; 32] = *b"shown in the URI of this device.";

fn repeat(bytes: &[u8], length: usize) -> Zeroizing<Vec<u8>> {
    Zeroizing::new(bytes.iter().cycle().take(length).copied().collect())
}

impl Broken {
    pub(super) async fn random_call(&self, request: &Request<'_>) -> Result<Outcome> {
        match *request {
            Request::Random { length } => {
                let bytes = self.random(length, request).await?;
                Ok(bytes.into_outcome())
            }
            _ => self.honest(request).await,
        }
    }

    async fn random(&self, length: usize, request: &Request<'_>) -> Result<Zeroizing<Vec<u8>>> {
        match self.breaks {
            "RNG-04" => return Ok(Zeroizing::default()),
            "RNG-10" => return Ok(repeat(&SHOWN, length)),
            // A caller that finds another one waiting receives the bytes of the first.
            "RNG-11" if self.busy.load(Ordering::Relaxed) > 0 => loop {
                if let Some(first) = &self.past().bytes {
                    return Ok(repeat(first, length));
                }
                tokio::task::yield_now().await;
            },
            _ => {}
        }
        match (self.breaks, self.ask::<Zeroizing<Vec<u8>>>(request).await) {
            ("RNG-01", Ok(mut bytes)) => {
                bytes.push(0);
                Ok(bytes)
            }
            ("RNG-02", Ok(bytes)) => Ok(self.past().bytes.get_or_insert(bytes).clone()),
            ("RNG-03", Ok(mut bytes)) => {
                bytes.iter_mut().step_by(2).for_each(|byte| *byte = 0);
                Ok(bytes)
            }
            // It makes something up.
            ("RNG-05" | "RNG-06" | "RNG-07", Err(_)) => Ok(Zeroizing::new(vec![0; length])),
            ("RNG-11", Ok(bytes)) => {
                self.past().bytes.get_or_insert(bytes.clone());
                Ok(bytes)
            }
            (_, result) => result,
        }
    }
}
