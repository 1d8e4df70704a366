//! JSON of ETSI GS QKD 014 V1.1.1 (2019-02): paths, bodies, errors. No I/O.
//!
//! Sizes are in bits (table 9). Known deviations of real servers are accepted: `Keys` for `keys`
//! (as printed in table 11), 404 for an unknown ID, 504 in addition to 503, missing status items,
//! items that the standard does not name.

mod container;
mod error_text;
mod failure;

pub use container::{DeliveredKey, decode_container};
pub use failure::{Failure, decode_failure};

use qkd_hal::{
    KeyId,
    qkd::{KeyRequest, KeyStore},
    units::Bits,
};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::fmt::Write;
use zeroize::Zeroizing;

/// Reason for which a body is invalid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProtoError {
    /// Not the JSON that the standard has for it. The text of a body that may hold keys is never
    /// repeated.
    #[error("the body is not what ETSI GS QKD 014 has for it (line {line}, column {column})")]
    Json {
        /// Line of the error, 1-based.
        line: usize,
        /// Column of the error, 1-based.
        column: usize,
    },
    /// A key that is not Base64.
    #[error("key {0} is not Base64")]
    NotBase64(usize),
    /// A key id that is empty, too long, or holds other than visible ASCII characters.
    #[error("the id of key {0} is empty, longer than 128 characters, or not visible ASCII")]
    NotAnId(usize),
    /// An extension's value that is not JSON, or whose name lacks a vendor's prefix.
    #[error(
        "extension `{0}`: its name needs a vendor's prefix ending in `_`, and its value must be \
         JSON"
    )]
    Extension(String),
}

impl From<serde_json::Error> for ProtoError {
    fn from(error: serde_json::Error) -> Self {
        Self::Json {
            line: error.line(),
            column: error.column(),
        }
    }
}

/// Status (6.1). Items that a server leaves out are `None`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[non_exhaustive]
pub struct Status {
    /// KME of the caller.
    #[serde(rename = "source_KME_ID")]
    pub source_kme: Option<String>,
    /// KME of the far end.
    #[serde(rename = "target_KME_ID")]
    pub target_kme: Option<String>,
    /// SAE ID of the caller.
    #[serde(rename = "master_SAE_ID")]
    pub master_sae: Option<String>,
    /// SAE ID of the peer.
    #[serde(rename = "slave_SAE_ID")]
    pub slave_sae: Option<String>,
    /// Default size, in bits.
    pub key_size: Option<u64>,
    /// Keys that can be taken now.
    pub stored_key_count: Option<u64>,
    /// The most that are stored.
    pub max_key_count: Option<u64>,
    /// The most of one request.
    pub max_key_per_request: Option<u64>,
    /// Greatest size, in bits.
    pub max_key_size: Option<u64>,
    /// Least size, in bits.
    pub min_key_size: Option<u64>,
    /// Maximum number of additional receivers; 0: none.
    #[serde(rename = "max_SAE_ID_count")]
    pub max_sae_count: Option<u64>,
}

impl Status {
    /// As the contract's key store.
    #[must_use]
    pub fn key_store(&self) -> KeyStore {
        let mut store = KeyStore::default();
        store.stored = self.stored_key_count;
        store.capacity = self.max_key_count;
        store.key_size = self.key_size.map(Bits);
        store.min_key_size = self.min_key_size.map(Bits);
        store.max_key_size = self.max_key_size.map(Bits);
        store.max_per_request = self.max_key_per_request;
        store.max_additional_receivers = self.max_sae_count;
        store
    }
}

/// Reads a Status.
///
/// # Errors
/// [`ProtoError::Json`].
pub fn decode_status(body: &[u8]) -> Result<Status, ProtoError> {
    Ok(serde_json::from_slice(body)?)
}

/// A path of the standard (5.1 to 5.3), such as `/api/v1/keys/{SAE}/enc_keys`. The SAE's id is
/// percent-encoded.
#[must_use]
pub fn path(prefix: &str, sae: &str, call: &str) -> String {
    format!("{prefix}/api/v1/keys/{}/{call}", percent_encode(sae))
}

/// Returns `text` as one segment of a path, or one value of a query (RFC 3986).
#[must_use]
pub fn percent_encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

/// The body of Get key (6.2). Items that are not asked for are left out, so that the server's
/// defaults hold.
///
/// # Errors
/// [`ProtoError::Extension`].
pub fn encode_request(request: &KeyRequest) -> Result<Zeroizing<Vec<u8>>, ProtoError> {
    let mut body = Map::new();
    body.insert("number".into(), request.count.into());
    if let Some(size) = request.size {
        body.insert("size".into(), size.0.into());
    }
    if !request.additional_receivers.is_empty() {
        body.insert(
            "additional_slave_SAE_IDs".into(),
            request.additional_receivers.clone().into(),
        );
    }
    for (name, mandatory) in [("extension_mandatory", true), ("extension_optional", false)] {
        let all = request
            .extensions
            .iter()
            .filter(|e| e.mandatory == mandatory)
            .map(|e| {
                let wrong = || ProtoError::Extension(e.name.clone());
                // 6.2: `abc_route_type`: a vendor's prefix, ending in `_`.
                let prefixed = e
                    .name
                    .split_once('_')
                    .is_some_and(|(prefix, rest)| !prefix.is_empty() && !rest.is_empty());
                let value: Value = serde_json::from_str(&e.value).map_err(|_| wrong())?;
                if prefixed {
                    Ok(json!({ e.name.clone(): value }))
                } else {
                    Err(wrong())
                }
            });
        let all = all.collect::<Result<Vec<Value>, _>>()?;
        if !all.is_empty() {
            body.insert(name.into(), all.into());
        }
    }
    Ok(Zeroizing::new(Value::Object(body).to_string().into_bytes()))
}

/// The body of Get key with key IDs (6.4).
#[must_use]
pub fn encode_ids(ids: &[KeyId]) -> Zeroizing<Vec<u8>> {
    let ids: Vec<Value> = ids
        .iter()
        .map(|id| json!({ "key_ID": id.to_string() }))
        .collect();
    Zeroizing::new(json!({ "key_IDs": ids }).to_string().into_bytes())
}

/// Drives every decoder with arbitrary bytes.
pub fn fuzz(input: &[u8]) {
    let _ = decode_status(input).map(|s| s.key_store());
    let _ = decode_container(input);
    for status in [400, 401, 404, 500, 503, 504] {
        let _ = decode_failure(status, input);
    }
    if let Ok(text) = std::str::from_utf8(input) {
        let _ = path("", text, "status");
        let extension = qkd_hal::qkd::RequestExtension {
            name: text.to_owned(),
            value: text.to_owned(),
            mandatory: true,
        };
        let _ = encode_request(&KeyRequest::new(1).with_extension(extension));
    }
}

#[cfg(test)]
mod tests;
