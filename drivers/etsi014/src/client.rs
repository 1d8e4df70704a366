//! The calls of ETSI GS QKD 014, with what a client must check of their answers.

use crate::{
    call::KeyCall,
    proto::{self, DeliveredKey, Failure, ProtoError, Status, decode_failure},
    spans::key_spans,
};
use qkd_driver_kit::link::{
    Disclosure,
    http::{HttpLink, HttpRequest, HttpResponse, Method},
};
use qkd_hal::{
    DeviceMisbehaved, Effect, Error, ErrorKind, EventKind, Key, KeyId, Result,
    event::{EventHub, Origin},
    qkd::KeyRequest,
    units::Bits,
};
use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::sync::oneshot;

/// Properties of the KME that its replies have shown.
#[derive(Default)]
struct Learned {
    /// It refuses POST and serves GET.
    get_only: AtomicBool,
    /// `key_size` of its last Status, in bits; 0: none yet.
    key_size: AtomicU64,
}

/// Why a batch is void.
type Void = (DeviceMisbehaved, String);

/// One SAE's access to one KME, about the keys shared with one peer.
#[derive(Clone)]
pub struct Client {
    link: Arc<dyn HttpLink>,
    prefix: Arc<str>,
    peer: Arc<str>,
    deadline: Duration,
    events: EventHub,
    learned: Arc<Learned>,
}

impl Client {
    /// Creates a client for keys shared with the SAE `peer`. `prefix` is placed before `/api/v1` in
    /// each path.
    #[must_use]
    pub fn new(
        link: Arc<dyn HttpLink>,
        prefix: &str,
        peer: &str,
        deadline: Duration,
        events: EventHub,
    ) -> Self {
        Self {
            link,
            prefix: prefix.trim_end_matches('/').into(),
            peer: peer.into(),
            deadline,
            events,
            learned: Arc::default(),
        }
    }

    /// Returns the SAE ID of the peer.
    #[must_use]
    pub fn peer(&self) -> &str {
        &self.peer
    }

    /// Closes the link. Later calls fail with `Closed`.
    pub async fn close(&self) {
        self.link.close().await;
    }

    /// A request without a body that reads.
    fn request(&self, call: &'static str) -> HttpRequest {
        let path = proto::path(&self.prefix, &self.peer, call);
        HttpRequest {
            name: call,
            method: Method::Get,
            path,
            body: None,
            changes: false,
            reply_disclosure: Disclosure::Public,
        }
    }

    /// Status (6.1).
    ///
    /// # Errors
    /// As the KME's answer maps: `Authentication`, `NotFound`, `NotReady`, `Refused`; `Misbehaved`;
    /// transport errors.
    pub async fn status(&self) -> Result<Status> {
        let request = self.request("status");
        let response = self
            .link
            .call(request, self.deadline)
            .await
            .map_err(|e| e.into_read_error("status"))?;
        if response.status != 200 {
            return Err(refused(&response).with_effect(Effect::None));
        }
        let status = proto::decode_status(&response.body)
            .map_err(|e| Error::misbehaved(DeviceMisbehaved::UnexpectedReply, e.to_string()))?;
        self.learned
            .key_size
            .store(status.key_size.unwrap_or(0), Ordering::Relaxed);
        Ok(status)
    }

    /// Get key (6.2): keys that are new to both ends. Without a size in the request, they must have
    /// the `key_size` of Status, where the KME has one.
    ///
    /// # Errors
    /// As `QkdModule::take_keys` has them; `Unsupported` if the KME serves GET only and the
    /// request has what GET cannot carry.
    pub async fn take(&self, request: &KeyRequest) -> Result<Vec<Key>> {
        let count = u64::from(request.count);
        let taken = self.deliver(KeyCall::new_keys(request)?).await;
        match taken {
            // The standard has no code for too few keys; the number of stored keys shows it.
            Err(error) if error.kind() == ErrorKind::NotReady => match self.status().await {
                Ok(status) if status.stored_key_count.is_some_and(|stored| stored < count) => {
                    let stored = status.stored_key_count.unwrap_or_default();
                    let new = Error::new(
                        ErrorKind::Exhausted,
                        format!("{count} keys were asked for, and the KME has {stored}"),
                    )
                    .with_effect(error.effect());
                    Err(new.with_source(error))
                }
                _ => Err(error),
            },
            other => other,
        }
    }

    /// Requests keys with key IDs (clause 6.4): the keys that the peer took, in the requested
    /// order.
    ///
    /// # Errors
    /// As `QkdModule::take_keys_by_id`.
    pub async fn take_by_id(&self, ids: &[KeyId]) -> Result<Vec<Key>> {
        self.deliver(KeyCall::lost_peer_keys(ids)).await
    }

    /// A call that delivers keys. It runs to its end even if the caller goes away: then the keys
    /// are zeroized and reported as lost.
    async fn deliver(&self, call: KeyCall) -> Result<Vec<Key>> {
        let (sender, receiver) = oneshot::channel();
        let this = self.clone();
        tokio::spawn(async move {
            let outcome = this.fetch(call).await;
            if let Err(Ok(keys)) = sender.send(outcome) {
                this.lost(keys.iter().map(|k| k.id().clone()).collect());
            }
        });
        receiver.await.unwrap_or_else(|_| {
            Err(
                Error::new(ErrorKind::Internal, "the call was ended with its runtime")
                    .with_effect(Effect::Unknown),
            )
        })
    }

    async fn fetch(&self, mut call: KeyCall) -> Result<Vec<Key>> {
        let keys = if self.learned.get_only.load(Ordering::Relaxed) {
            let queries = call.queries().ok_or_else(|| needs_post(&call))?;
            self.fetch_by_get(&call, queries, None).await?
        } else {
            let request = HttpRequest {
                method: Method::Post,
                body: Some(call.take_body()),
                ..self.key_request(call.name(), "")
            };
            let response = self.exchange(request).await?;
            if is_not_served(response.status) {
                match call.queries() {
                    // The KME did not process the POST: the GET is not a second request for keys.
                    Some(queries) => self.fetch_by_get(&call, queries, Some(&response)).await?,
                    None if response.status == 404 => return Err(refused(&response)),
                    None => {
                        return Err(needs_post(&call).with_vendor_code(response.status.to_string()));
                    }
                }
            } else {
                self.read_keys(&response)?
            }
        };
        match &call {
            KeyCall::New { request, .. } => self.check_new(keys, request).await,
            KeyCall::Twins { ids, .. } => in_requested_order(keys, ids),
        }
        .map_err(|((what, why), ids)| self.void(ids, what, &why))
    }

    /// The call as GET, in one request for each query. `post` is the KME's refusal of the call as
    /// POST: it is the answer if GET is not served either.
    async fn fetch_by_get(
        &self,
        call: &KeyCall,
        queries: Vec<String>,
        post: Option<&HttpResponse>,
    ) -> Result<Vec<Key>> {
        let mut keys: Vec<Key> = Vec::new();
        for query in queries {
            let outcome = match self.exchange(self.key_request(call.name(), &query)).await {
                Ok(response) => {
                    if let Some(post) = post {
                        if is_not_served(response.status) {
                            return Err(refused(post));
                        }
                        // 404 to a POST may be about its key id.
                        if response.status == 200 || post.status != 404 {
                            self.learned.get_only.store(true, Ordering::Relaxed);
                        }
                    }
                    self.read_keys(&response)
                }
                Err(error) => Err(error),
            };
            match outcome {
                Ok(more) => keys.extend(more),
                Err(error) if keys.is_empty() => return Err(error),
                Err(error) => {
                    self.lost(keys.iter().map(|k| k.id().clone()).collect());
                    return Err(error.with_effect(Effect::Partial));
                }
            }
        }
        Ok(keys)
    }

    /// A request for keys, as GET with this query. Keys that are delivered leave the store.
    fn key_request(&self, name: &'static str, query: &str) -> HttpRequest {
        let mut request = HttpRequest {
            changes: true,
            reply_disclosure: Disclosure::Secret(key_spans),
            ..self.request(name)
        };
        request.path.push_str(query);
        request
    }

    async fn exchange(&self, request: HttpRequest) -> Result<HttpResponse> {
        let name = request.name;
        self.link.call(request, self.deadline).await.map_err(|e| {
            let error = e.into_change_error(name);
            if error.effect() == Effect::Unknown {
                self.lost(Vec::new());
            }
            error
        })
    }

    fn read_keys(&self, response: &HttpResponse) -> Result<Vec<Key>> {
        if response.status != 200 {
            let error = refused(response);
            if error.effect() == Effect::Unknown {
                self.lost(Vec::new());
            }
            return Err(error);
        }
        let keys = proto::decode_container(&response.body).map_err(|e| {
            let what = if matches!(e, ProtoError::NotBase64(_)) {
                DeviceMisbehaved::WrongKeySize
            } else {
                DeviceMisbehaved::UnexpectedReply
            };
            self.void(Vec::new(), what, &e.to_string())
        })?;
        Ok(keys
            .into_iter()
            .map(|DeliveredKey { id, bytes }| Key::new(id, bytes))
            .collect())
    }

    async fn check_new(
        &self,
        keys: Vec<Key>,
        request: &KeyRequest,
    ) -> Result<Vec<Key>, (Void, Vec<KeyId>)> {
        let ids = || keys.iter().map(|k| k.id().clone()).collect();
        if keys.len() as u64 != u64::from(request.count) {
            let why = format!(
                "{} keys were asked for and {} came",
                request.count,
                keys.len()
            );
            return Err(((DeviceMisbehaved::WrongKeyCount, why), ids()));
        }
        let other_than = |size: Bits| keys.iter().find(|k| k.size() != size);
        let Some(size) = request.size.or_else(|| self.default_size()) else {
            return Ok(keys);
        };
        let Some(other) = other_than(size) else {
            return Ok(keys);
        };
        let why = if request.size.is_some() {
            "were asked for"
        } else {
            // Its default may have been changed since the last Status.
            let now = self.status().await.ok().and_then(|s| s.key_size).map(Bits);
            if now.is_some_and(|size| other_than(size).is_none()) {
                return Ok(keys);
            }
            "are the KME's default (key_size of its Status)"
        };
        let why = format!(
            "keys of {size} {why}, and {} has {}",
            other.id(),
            other.size()
        );
        Err(((DeviceMisbehaved::WrongKeySize, why), ids()))
    }

    /// `key_size` of the last Status.
    fn default_size(&self) -> Option<Bits> {
        let size = self.learned.key_size.load(Ordering::Relaxed);
        (size > 0).then_some(Bits(size))
    }

    fn void(&self, ids: Vec<KeyId>, what: DeviceMisbehaved, why: &str) -> Error {
        self.lost(ids);
        Error::misbehaved(
            what,
            format!("{why}; the whole batch is void, and so are its twins"),
        )
        .with_effect(Effect::Unknown)
    }

    fn lost(&self, ids: Vec<KeyId>) {
        self.events
            .publish(Origin::Driver, EventKind::KeyLost { ids });
    }
}

/// Returns the keys in the requested order.
fn in_requested_order(keys: Vec<Key>, wanted: &[KeyId]) -> Result<Vec<Key>, (Void, Vec<KeyId>)> {
    let came: Vec<KeyId> = keys.iter().map(|k| k.id().clone()).collect();
    let mut by_id: HashMap<KeyId, Key> = keys.into_iter().map(|k| (k.id().clone(), k)).collect();
    let sorted: Vec<Key> = wanted.iter().filter_map(|id| by_id.remove(id)).collect();
    if sorted.len() == wanted.len() && came.len() == wanted.len() {
        return Ok(sorted);
    }
    let why = format!(
        "{} keys were asked for by id; {} came, {} of them asked for",
        wanted.len(),
        came.len(),
        sorted.len()
    );
    Err(((DeviceMisbehaved::WrongKeyCount, why), came))
}

/// Whether a status says that the server has no such method, or no such path for it.
fn is_not_served(status: u16) -> bool {
    matches!(status, 404 | 405 | 501)
}

/// The KME refuses POST, and GET cannot carry the request.
fn needs_post(call: &KeyCall) -> Error {
    Error::new(
        ErrorKind::Unsupported,
        format!(
            "the KME serves {} by GET only, which carries no further receivers and no extensions; \
             ask without them",
            call.name()
        ),
    )
    .with_effect(Effect::None)
}

/// The contract's error of a refusal. Only the statuses of the standard's refusals (4xx, 503) say
/// that nothing was given.
fn refused(response: &HttpResponse) -> Error {
    let Failure { kind, message } = decode_failure(response.status, &response.body);
    let effect = if (400..500).contains(&response.status) || response.status == 503 {
        Effect::None
    } else {
        Effect::Unknown
    };
    let error = Error::new(
        kind,
        format!("the KME answered with status {}", response.status),
    )
    .with_effect(effect)
    .with_vendor_code(response.status.to_string());
    match message {
        Some(words) => error.with_vendor_text(words),
        None => error,
    }
}
