//! The key management entity, without sockets.

use crate::{
    key_id::KeyIdForm,
    request::{ApiRequest, KeyRequest, RequestError, read},
    source::{KeyAudience, KeyItem, KeySource, SourceError},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Map, Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};
use zeroize::Zeroizing;

/// Configuration of a KME. Sizes are in bits (6.1).
#[derive(Debug, Clone, PartialEq)]
pub struct KmeConfig {
    /// Own ID (`source_KME_ID`).
    pub id: String,
    /// ID of the peer (`target_KME_ID`).
    pub peer_id: String,
    /// The SAEs that may call this KME.
    pub local: BTreeSet<String>,
    /// The SAEs at the other KME.
    pub remote: BTreeSet<String>,
    /// Default key size (`key_size`).
    pub key_size: u64,
    /// Smallest key size (`min_key_size`).
    pub min_key_size: u64,
    /// Largest key size (`max_key_size`).
    pub max_key_size: u64,
    /// Maximum number of keys per request (`max_key_per_request`).
    pub max_per_request: u64,
    /// `max_SAE_ID_count`; 0: one receiver only.
    pub max_additional: u64,
    /// Extensions that it supports, by name, and the values that it can meet; none: any value.
    pub extensions: BTreeMap<String, Vec<Value>>,
    /// Whether an `extension_optional` that it does not support is a 400 instead of being ignored.
    pub refuse_unhandled_options: bool,
    /// Status for an unknown key id: 400 by the standard; one published KME answers 404.
    pub unknown_key_status: u16,
    /// Spelling of key IDs in requests and responses.
    pub key_id_form: KeyIdForm,
    /// Status with which POST is refused; `None`: POST is served, as the standard demands.
    pub post_refusal: Option<u16>,
}

impl KmeConfig {
    /// A KME for one local and one remote SAE: 256-bit keys by default, 64 to 1024 allowed, 128 of
    /// them per request.
    #[must_use]
    pub fn new(id: &str, peer_id: &str, local: &str, remote: &str) -> Self {
        Self {
            id: id.to_owned(),
            peer_id: peer_id.to_owned(),
            local: BTreeSet::from([local.to_owned()]),
            remote: BTreeSet::from([remote.to_owned()]),
            key_size: 256,
            min_key_size: 64,
            max_key_size: 1024,
            max_per_request: 128,
            max_additional: 4,
            extensions: BTreeMap::new(),
            refuse_unhandled_options: false,
            unknown_key_status: 400,
            key_id_form: KeyIdForm::Uuid,
            post_refusal: None,
        }
    }
}

/// A status and a body, which may hold keys: it zeroizes.
pub struct HttpReply {
    /// HTTP status code.
    pub status: u16,
    /// JSON; `None` for 401, which has no body model.
    pub body: Option<Zeroizing<Vec<u8>>>,
}

impl std::fmt::Debug for HttpReply {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "Reply({}, {} bytes)",
            self.status,
            self.body.as_ref().map_or(0, |b| b.len())
        )
    }
}

impl HttpReply {
    fn json(status: u16, value: &Value) -> Self {
        Self {
            status,
            body: Some(Zeroizing::new(value.to_string().into_bytes())),
        }
    }
    /// An error with a message (6.5).
    #[must_use]
    pub fn error(status: u16, message: &str) -> Self {
        Self::json(status, &json!({ "message": message }))
    }
    /// 401 has no body.
    #[must_use]
    pub fn unauthorized() -> Self {
        Self {
            status: 401,
            body: None,
        }
    }
    /// Formats a Key container (6.3) directly into one allocation, so that no copy of a key remains
    /// in memory.
    fn keys(keys: &[KeyItem], form: KeyIdForm) -> Self {
        let mut body = Zeroizing::new(Vec::with_capacity(
            16 + keys
                .iter()
                .map(|k| 72 + k.bytes.len().div_ceil(3) * 4)
                .sum::<usize>(),
        ));
        body.extend_from_slice(b"{\"keys\":[");
        for (i, key) in keys.iter().enumerate() {
            if i > 0 {
                body.push(b',');
            }
            body.extend_from_slice(b"{\"key_ID\":\"");
            body.extend_from_slice(form.spell(key.id).as_bytes());
            body.extend_from_slice(b"\",\"key\":\"");
            body.extend_from_slice(Zeroizing::new(STANDARD.encode(&key.bytes)).as_bytes());
            body.extend_from_slice(b"\"}");
        }
        body.extend_from_slice(b"]}");
        Self {
            status: 200,
            body: Some(body),
        }
    }
}

/// A key management entity.
pub struct Kme {
    config: KmeConfig,
    source: Arc<dyn KeySource>,
    failing: AtomicBool,
}

impl Kme {
    /// A KME in front of a source.
    #[must_use]
    pub fn new(config: KmeConfig, source: Arc<dyn KeySource>) -> Self {
        Self {
            config,
            source,
            failing: AtomicBool::new(false),
        }
    }
    /// Returns the configuration of the KME.
    #[must_use]
    pub fn config(&self) -> &KmeConfig {
        &self.config
    }
    /// Makes every call of a known SAE fail with 503, or ends that.
    pub fn set_failing(&self, failing: bool) {
        self.failing.store(failing, Ordering::Relaxed);
    }

    /// Answers one request of the SAE that the client's certificate names.
    ///
    /// 1. Nobody, or a SAE that is not local: 401.
    /// 2. A path, a method or a body that cannot be read: 404, 405, 400.
    /// 3. The call itself.
    #[must_use]
    pub fn handle(
        &self,
        sae: Option<&str>,
        method: &str,
        path_and_query: &str,
        body: &[u8],
    ) -> HttpReply {
        let Some(caller) = sae.filter(|s| self.config.local.contains(*s)) else {
            return HttpReply::unauthorized();
        };
        if let Some(status) = self.config.post_refusal.filter(|_| method == "POST") {
            return HttpReply::error(status, "this KME takes GET only");
        }
        let (named, call) = match read(method, path_and_query, body) {
            Ok(read) => read,
            Err(RequestError::NoSuchPath) => return HttpReply::error(404, "no such path"),
            Err(RequestError::NoSuchMethod) => return HttpReply::error(405, "no such method"),
            Err(RequestError::Bad(message)) => return HttpReply::error(400, &message),
        };
        if self.failing.load(Ordering::Relaxed) {
            return HttpReply::error(503, "key data access error");
        }
        match call {
            ApiRequest::Status => self.status(caller, &named),
            ApiRequest::EncKeys(request) => self.enc_keys(caller, named, request),
            ApiRequest::DecKeys(ids) if ids.len() as u64 > self.config.max_per_request => {
                HttpReply::error(
                    400,
                    &format!(
                        "key_IDs holds more than max_key_per_request {}",
                        self.config.max_per_request
                    ),
                )
            }
            ApiRequest::DecKeys(ids) => self.dec_keys(caller, &named, &ids),
        }
    }

    fn dec_keys(&self, slave: &str, master: &str, ids: &[String]) -> HttpReply {
        let form = self.config.key_id_form;
        let Some(ids) = ids
            .iter()
            .map(|id| form.read(id))
            .collect::<Option<Vec<_>>>()
        else {
            return match form {
                KeyIdForm::Uuid => HttpReply::error(400, "key_ID is not a UUID"),
                _ => self.failure(SourceError::NotFound),
            };
        };
        match self.source.take_by_id(master, slave, &ids) {
            Ok(keys) => HttpReply::keys(&keys, form),
            Err(error) => self.failure(error),
        }
    }

    fn status(&self, master: &str, slave: &str) -> HttpReply {
        let c = &self.config;
        if !c.remote.contains(slave) {
            return HttpReply::error(400, "slave_SAE_ID is not known to this KME");
        }
        let (stored, capacity) = self.source.count(c.key_size);
        HttpReply::json(
            200,
            &json!({
                "source_KME_ID": c.id, "target_KME_ID": c.peer_id, "master_SAE_ID": master,
                    "slave_SAE_ID": slave,
                "key_size": c.key_size, "stored_key_count": stored, "max_key_count": capacity,
                "max_key_per_request": c.max_per_request, "max_key_size": c.max_key_size,
                    "min_key_size": c.min_key_size,
                "max_SAE_ID_count": c.max_additional,
            }),
        )
    }

    fn enc_keys(&self, master: &str, slave: String, request: KeyRequest) -> HttpReply {
        let c = &self.config;
        let (number, size) = (
            request.number.unwrap_or(1),
            request.size.unwrap_or(c.key_size),
        );
        if let Err(message) = self.check(&slave, number, size, &request) {
            return HttpReply::error(400, &message);
        }
        let mut slaves = vec![slave];
        slaves.extend(request.additional_slaves);
        let Ok(count) = usize::try_from(number) else {
            return HttpReply::error(400, "number is too large");
        };
        match self.source.take(
            &KeyAudience {
                master: master.to_owned(),
                slaves,
            },
            count,
            size,
        ) {
            Ok(keys) => HttpReply::keys(&keys, c.key_id_form),
            Err(error) => self.failure(error),
        }
    }

    fn check(
        &self,
        slave: &str,
        number: u64,
        size: u64,
        request: &KeyRequest,
    ) -> Result<(), String> {
        let c = &self.config;
        if !size.is_multiple_of(8) {
            return Err("size shall be a multiple of 8".into());
        }
        if !(c.min_key_size..=c.max_key_size).contains(&size) {
            return Err(format!(
                "size shall be from min_key_size {} to max_key_size {}",
                c.min_key_size, c.max_key_size
            ));
        }
        if !(1..=c.max_per_request).contains(&number) {
            return Err(format!(
                "number shall be from 1 to max_key_per_request {}",
                c.max_per_request
            ));
        }
        if request.additional_slaves.len() as u64 > c.max_additional {
            return Err(format!(
                "additional_slave_SAE_IDs holds more than max_SAE_ID_count {}",
                c.max_additional
            ));
        }
        if let Some(unknown) = std::iter::once(slave)
            .chain(request.additional_slaves.iter().map(String::as_str))
            .find(|s| !c.remote.contains(*s))
        {
            return Err(format!(
                "SAE {} is not known to this KME",
                unknown.escape_debug()
            ));
        }
        let options =
            |list: &[Map<String, Value>]| list.iter().flat_map(|o| o.clone()).collect::<Vec<_>>();
        let supported = |(name, _): &(String, Value)| c.extensions.contains_key(name);
        let met = |(name, value): &(String, Value)| {
            c.extensions
                .get(name)
                .is_some_and(|v| v.is_empty() || v.contains(value))
        };
        let mandatory = options(&request.mandatory);
        if !mandatory.iter().all(supported) {
            return Err("not all extension_mandatory parameters are supported".into());
        }
        if !mandatory.iter().all(met) {
            return Err("not all extension_mandatory request options could be met".into());
        }
        if c.refuse_unhandled_options && !options(&request.optional).iter().all(met) {
            return Err("not all extension_optional request options handled".into());
        }
        Ok(())
    }

    fn failure(&self, error: SourceError) -> HttpReply {
        match error {
            SourceError::NotFound => HttpReply::error(
                self.config.unknown_key_status,
                "one or more keys specified are not found on KME",
            ),
            SourceError::NotAllowed => HttpReply::unauthorized(),
            SourceError::Undelivered => {
                HttpReply::error(503, "too many keys wait for their slave SAE to fetch them")
            }
            SourceError::NotEnough => HttpReply::error(503, "not enough keys are stored"),
            SourceError::Failed(_) => HttpReply::error(503, "key data access error"),
        }
    }
}

/// Drives the request decoder with arbitrary bytes: a method byte, then path, then body, parted by
/// newlines.
pub fn fuzz(input: &[u8]) {
    let mut parts = input.splitn(3, |b| *b == b'\n');
    let method = if parts.next().is_some_and(|m| m.first() == Some(&b'G')) {
        "GET"
    } else {
        "POST"
    };
    let path = String::from_utf8_lossy(parts.next().unwrap_or_default());
    drop(read(method, &path, parts.next().unwrap_or_default()));
}
