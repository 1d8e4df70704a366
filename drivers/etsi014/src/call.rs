//! Requests for keys, as POST and as GET.

use crate::proto;
use qkd_hal::{Error, KeyId, Result, qkd::KeyRequest};
use zeroize::Zeroizing;

/// A call that delivers keys, with its body as POST.
pub(crate) enum KeyCall {
    /// Method "Get key" (clause 5.2).
    New {
        request: KeyRequest,
        body: Zeroizing<Vec<u8>>,
    },
    /// Get key with key IDs (5.3).
    Twins {
        ids: Vec<KeyId>,
        body: Zeroizing<Vec<u8>>,
    },
}

impl KeyCall {
    /// New keys. `InvalidInput` if an extension cannot be sent.
    pub(crate) fn new_keys(request: &KeyRequest) -> Result<Self> {
        let body = proto::encode_request(request).map_err(|e| Error::invalid(e.to_string()))?;
        Ok(Self::New {
            request: request.clone(),
            body,
        })
    }

    /// Keys that the peer took.
    pub(crate) fn lost_peer_keys(ids: &[KeyId]) -> Self {
        Self::Twins {
            ids: ids.to_vec(),
            body: proto::encode_ids(ids),
        }
    }

    /// The last part of its path.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::New { .. } => "enc_keys",
            Self::Twins { .. } => "dec_keys",
        }
    }

    /// The body as POST; empty once taken.
    pub(crate) fn take_body(&mut self) -> Zeroizing<Vec<u8>> {
        let (Self::New { body, .. } | Self::Twins { body, .. }) = self;
        std::mem::take(body)
    }

    /// The queries as GET: `number` and `size` (5.2), or one `key_ID` each (5.3). `None` if GET
    /// cannot carry the request.
    pub(crate) fn queries(&self) -> Option<Vec<String>> {
        match self {
            Self::New { request, .. } => {
                let fits = request.additional_receivers.is_empty() && request.extensions.is_empty();
                let size = request.size.map(|size| format!("&size={}", size.0));
                fits.then(|| {
                    vec![format!(
                        "?number={}{}",
                        request.count,
                        size.unwrap_or_default()
                    )]
                })
            }
            Self::Twins { ids, .. } => Some(
                ids.iter()
                    .map(|id| format!("?key_ID={}", proto::percent_encode(&id.to_string())))
                    .collect(),
            ),
        }
    }
}
