//! Requests: path, query and JSON body, strictly parsed.

use serde_json::{Map, Value};

/// A call of the interface (clause 5, Table 2).
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum ApiRequest {
    /// Get status (5.1).
    Status,
    /// Get key (5.2), with its parameters.
    EncKeys(KeyRequest),
    /// 5.3, with the ids as they came
    DecKeys(Vec<String>),
}

/// A Key request (6.2).
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct KeyRequest {
    pub(crate) number: Option<u64>,
    pub(crate) size: Option<u64>,
    pub(crate) additional_slaves: Vec<String>,
    pub(crate) mandatory: Vec<Map<String, Value>>,
    pub(crate) optional: Vec<Map<String, Value>>,
}

/// Why a request cannot be read.
#[derive(Debug, PartialEq)]
pub(crate) enum RequestError {
    /// Unknown path: status 404.
    NoSuchPath,
    /// Unknown method: status 405.
    NoSuchMethod,
    /// 400, with a message
    Bad(String),
}

fn bad<T>(message: impl Into<String>) -> Result<T, RequestError> {
    Err(RequestError::Bad(message.into()))
}

/// The SAE id of the path, and the call.
pub(crate) fn read(
    method: &str,
    path_and_query: &str,
    body: &[u8],
) -> Result<(String, ApiRequest), RequestError> {
    let (path, query) = path_and_query
        .split_once('?')
        .unwrap_or((path_and_query, ""));
    let mut parts = path
        .strip_prefix("/api/v1/keys/")
        .ok_or(RequestError::NoSuchPath)?
        .split('/');
    let (Some(sae), Some(operation), None) = (parts.next(), parts.next(), parts.next()) else {
        return Err(RequestError::NoSuchPath);
    };
    let Some(sae) = percent_decode(sae).filter(|s| !s.is_empty()) else {
        return bad("the SAE id of the path is not UTF-8 in percent-encoding");
    };
    let call = match (operation, method) {
        ("status", "GET") => ApiRequest::Status,
        ("enc_keys", "GET") => ApiRequest::EncKeys(from_query(query)?),
        ("enc_keys", "POST") => ApiRequest::EncKeys(from_body(body)?),
        ("dec_keys", "GET") => ApiRequest::DecKeys(vec![id_from_query(query)?]),
        ("dec_keys", "POST") => ApiRequest::DecKeys(ids_from_body(body)?),
        ("status" | "enc_keys" | "dec_keys", _) => return Err(RequestError::NoSuchMethod),
        _ => return Err(RequestError::NoSuchPath),
    };
    Ok((sae, call))
}

fn percent_decode(text: &str) -> Option<String> {
    let mut bytes = text.bytes();
    let mut out = Vec::with_capacity(text.len());
    while let Some(b) = bytes.next() {
        out.push(if b == b'%' {
            let digit = |d: Option<u8>| d.and_then(|d| char::from(d).to_digit(16));
            u8::try_from(digit(bytes.next())? * 16 + digit(bytes.next())?).ok()?
        } else {
            b
        });
    }
    String::from_utf8(out).ok()
}

fn pairs(query: &str) -> impl Iterator<Item = (&str, &str)> {
    query
        .split('&')
        .filter(|p| !p.is_empty())
        .map(|p| p.split_once('=').unwrap_or((p, "")))
}

/// `?number=..&size=..` (5.2: GET is for these two only).
fn from_query(query: &str) -> Result<KeyRequest, RequestError> {
    let mut request = KeyRequest::default();
    for (name, value) in pairs(query) {
        let number = || {
            value
                .parse()
                .map_err(|_| RequestError::Bad(format!("{name} is not a whole number")))
        };
        match name {
            "number" => request.number = Some(number()?),
            "size" => request.size = Some(number()?),
            _ => return bad("GET takes the parameters number and size only; use POST"),
        }
    }
    Ok(request)
}

fn id_from_query(query: &str) -> Result<String, RequestError> {
    let mut all = pairs(query);
    match (all.next(), all.next()) {
        (Some(("key_ID", id)), None) => {
            percent_decode(id).map_or_else(|| bad("key_ID is not UTF-8 in percent-encoding"), Ok)
        }
        _ => bad("GET takes exactly one key_ID; use POST"),
    }
}

fn object(body: &[u8]) -> Result<Map<String, Value>, RequestError> {
    match serde_json::from_slice(body) {
        Ok(Value::Object(map)) => Ok(map),
        _ => bad("the body is not a JSON object"),
    }
}

fn from_body(body: &[u8]) -> Result<KeyRequest, RequestError> {
    if body.is_empty() {
        return Ok(KeyRequest::default());
    }
    let mut map = object(body)?;
    // Clients write null for an option that they leave out: the crate etsi014 0.4.1 does for
    // additional_slave_SAE_IDs.
    map.retain(|_, value| !value.is_null());
    let number = |name: &str| match map.get(name) {
        None => Ok(None),
        Some(v) => v
            .as_u64()
            .map(Some)
            .ok_or_else(|| RequestError::Bad(format!("{name} is not a whole number"))),
    };
    let objects = |name: &str| match map.get(name) {
        None => Ok(Vec::new()),
        Some(Value::Array(list)) => list
            .iter()
            .map(|v| v.as_object().cloned())
            .collect::<Option<_>>()
            .ok_or_else(|| RequestError::Bad(format!("{name} is not an array of objects"))),
        Some(_) => bad(format!("{name} is not an array of objects")),
    };
    let additional_slaves = match map.get("additional_slave_SAE_IDs") {
        None => Vec::new(),
        Some(list) => list
            .as_array()
            .and_then(|l| {
                l.iter()
                    .map(|v| v.as_str().map(str::to_owned))
                    .collect::<Option<_>>()
            })
            .ok_or_else(|| {
                RequestError::Bad("additional_slave_SAE_IDs is not an array of strings".into())
            })?,
    };
    Ok(KeyRequest {
        number: number("number")?,
        size: number("size")?,
        additional_slaves,
        mandatory: objects("extension_mandatory")?,
        optional: objects("extension_optional")?,
    })
}

/// Parses `{"key_IDs":[{"key_ID":..}]}` (6.4).
fn ids_from_body(body: &[u8]) -> Result<Vec<String>, RequestError> {
    let map = object(body)?;
    let list = map
        .get("key_IDs")
        .and_then(Value::as_array)
        .filter(|l| !l.is_empty());
    let Some(list) = list else {
        return bad("key_IDs is not a filled array");
    };
    list.iter()
        .map(|item| {
            item.get("key_ID")
                .and_then(Value::as_str)
                .map_or_else(|| bad("key_ID is missing"), |id| Ok(id.to_owned()))
        })
        .collect()
}
