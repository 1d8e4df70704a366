//! Meaning of a status other than 200 (clause 5.4, and servers in the field).

use super::error_text::error_text;
use qkd_hal::{DeviceMisbehaved, ErrorKind};

/// Why a server refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Error kind of the contract.
    pub kind: ErrorKind,
    /// The server's own words, safe to show, where it sent some.
    pub message: Option<String>,
}

/// Decodes a status and its error body. The standard has only 400, 401 and 503; 401 has no body.
#[must_use]
pub fn decode_failure(status: u16, body: &[u8]) -> Failure {
    let message = error_text(body);
    let says = |words: &[&str]| {
        message
            .as_deref()
            .is_some_and(|m| words.iter().any(|w| m.to_ascii_lowercase().contains(w)))
    };
    // The standard has no code for this: servers use 400 or 503.
    let no_keys = says(&[
        "not enough",
        "insufficient",
        "no key available",
        "no keys available",
        "exhausted",
    ]);
    let kind = match status {
        400 | 503 if no_keys => ErrorKind::Exhausted,
        // `one or more keys specified are not found on KME`
        400 if says(&["not found"]) => ErrorKind::NotFound,
        401 | 403 => ErrorKind::Authentication,
        // Not in the standard; thomasarmel/qkd_kme_server answers so for an unknown id.
        404 => ErrorKind::NotFound,
        400..=499 => ErrorKind::Refused,
        // 504 is not in the standard; thomasarmel/qkd_kme_server answers so when the other KME
        // cannot be reached.
        502..=504 => ErrorKind::NotReady,
        500..=599 => ErrorKind::Refused,
        _ => ErrorKind::Misbehaved(DeviceMisbehaved::UnexpectedReply),
    };
    Failure { kind, message }
}
