//! A random source, broken.

use super::Broken;
use async_trait::async_trait;
use qkd_hal::{RandomSource, Result, random::RandomCapabilities};
use std::sync::{Arc, atomic::Ordering};
use zeroize::Zeroizing;

impl Broken {
    fn honest_source(&self) -> Arc<dyn RandomSource> {
        self.opened.random().unwrap()
    }
}

#[async_trait]
impl RandomSource for Broken {
    fn random_capabilities(&self) -> &RandomCapabilities {
        self.random.as_ref().unwrap()
    }

    async fn random(&self, length: usize) -> Result<Zeroizing<Vec<u8>>> {
        let source = self.honest_source();
        if self.is("RNG-04") {
            return Ok(Zeroizing::default());
        }
        let crowded = self.busy.load(Ordering::Relaxed) > 0;
        if self.is("RNG-11") && crowded {
            while self.past().kept.is_empty() {
                tokio::task::yield_now().await;
            }
            let first = self.past().kept[0].clone();
            return Ok(Zeroizing::new(
                first.iter().cycle().take(length).copied().collect(),
            ));
        }
        let result = self
            .through(async {
                if self.is("RNG-11") {
                    tokio::task::yield_now().await;
                }
                source.random(length).await
            })
            .await;
        match (self.breaks, result) {
            ("RNG-01", Ok(mut bytes)) => {
                bytes.push(0);
                Ok(bytes)
            }
            ("RNG-02", Ok(bytes)) => {
                let mut past = self.past();
                past.kept.push(bytes);
                Ok(past.kept[0].clone())
            }
            ("RNG-11", Ok(bytes)) => {
                self.past().kept.push(bytes.clone());
                Ok(bytes)
            }
            ("RNG-03", Ok(mut bytes)) => {
                bytes.iter_mut().step_by(2).for_each(|byte| *byte = 0);
                Ok(bytes)
            }
            // It makes something up.
            ("RNG-05" | "RNG-06" | "RNG-07", Err(_)) => Ok(Zeroizing::new(vec![0; length])),
            ("RNG-10", Ok(bytes)) => {
                let mut printed = self.descriptor.clone();
                printed.uri = format!("{}?seed={}", printed.uri, hex::encode(&bytes));
                let _ = self.printed.set(printed);
                Ok(bytes)
            }
            (_, result) => result,
        }
    }
}
