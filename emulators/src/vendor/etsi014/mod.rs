//! The ETSI GS QKD 014 server of `northbound/etsi014`: as a service in memory, and on the wire with
//! faults.

pub(super) mod pair;
pub(super) mod profile;

use crate::fault::{FaultInjector, TextFormat};
use async_trait::async_trait;
use qkd_driver_kit::link::http::{HttpResponse, HttpService, Method};
use qkd_northbound_etsi014::{HttpReply, Kme, RequestHandler};
use std::sync::Arc;
use tokio::time::sleep;
use zeroize::Zeroizing;

/// In memory: the client's name is its SAE id.
pub struct MemoryFrontEnd(pub Arc<Kme>);

impl HttpService for MemoryFrontEnd {
    fn call(&self, client: Option<&str>, method: Method, path: &str, body: &[u8]) -> HttpResponse {
        let verb = if method == Method::Get { "GET" } else { "POST" };
        let reply = self.0.handle(client, verb, path, body);
        HttpResponse {
            status: reply.status,
            body: reply.body.unwrap_or_default(),
        }
    }
}

/// Size of a flooding body: larger than a client of this project reads.
const FLOOD_BODY_BYTES: usize = 17 << 20;

/// Server on the wire, with faults. A lost response never arrives; a truncated or damaged one has
/// such a body; a duplicated one arrives once, because HTTP cannot express it.
pub struct HttpFrontEnd {
    kme: Arc<Kme>,
    faults: FaultInjector,
}

impl HttpFrontEnd {
    /// In front of this KME.
    #[must_use]
    pub fn new(kme: Arc<Kme>, faults: FaultInjector) -> Self {
        Self { kme, faults }
    }
}

#[async_trait]
impl RequestHandler for HttpFrontEnd {
    async fn answer(
        &self,
        sae: Option<&str>,
        method: &str,
        path_and_query: &str,
        body: &[u8],
    ) -> Option<HttpReply> {
        let reply = self.kme.handle(sae, method, path_and_query, body);
        if self.faults.is_quiet() {
            return Some(reply);
        }
        // Even a response without a body is a message that can be lost.
        let whole = reply
            .body
            .as_ref()
            .map_or_else(|| b"{}".to_vec(), |b| b.to_vec());
        let whole = self.faults.insert_hostile_text(whole, TextFormat::Json);
        let delivery = self.faults.deliver(whole);
        sleep(delivery.delay).await;
        if delivery.reset {
            return None;
        }
        if delivery.flood {
            return Some(HttpReply {
                status: reply.status,
                body: Some(Zeroizing::new(vec![b' '; FLOOD_BODY_BYTES])),
            });
        }
        let bytes = match (delivery.now.into_iter().next(), delivery.reordered) {
            (Some(bytes), _) => bytes,
            (None, Some((time, bytes))) => {
                sleep(time).await;
                bytes
            }
            (None, None) => std::future::pending().await,
        };
        let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        sleep(delivery.pace * length).await;
        Some(HttpReply {
            status: reply.status,
            body: reply.body.map(|_| Zeroizing::new(bytes)),
        })
    }
}
