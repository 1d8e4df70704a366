//! The calls of ETSI GS QKD 014, with what a client must check of their answers.

use crate::proto::{self, DeliveredKey, Failure, ProtoError, Status, decode_failure};
use qkd_driver_kit::link::{
    Disclosure, all_secret,
    http::{HttpLink, HttpRequest, HttpResponse, Method},
};
use qkd_hal::{
    DeviceMisbehaved, Effect, Error, ErrorKind, EventKind, Key, KeyId, Result,
    event::{EventHub, Origin},
    qkd::KeyRequest,
};
use std::{collections::HashMap, ops::Range, sync::Arc, time::Duration};
use tokio::sync::oneshot;
use zeroize::Zeroizing;

/// One SAE's access to one KME, about the keys shared with one peer.
#[derive(Clone)]
pub struct Client {
    link: Arc<dyn HttpLink>,
    prefix: Arc<str>,
    peer: Arc<str>,
    deadline: Duration,
    events: EventHub,
}

impl Client {
    /// About keys shared with the SAE `peer`. `prefix` stands before `/api/v1` in each path.
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
        }
    }

    /// The peer.
    #[must_use]
    pub fn peer(&self) -> &str {
        &self.peer
    }

    /// Ends the link.
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
    /// As the KME's answer maps: `Authentication`, `NotFound`, `NotReady`, `Refused`; `Misbehaved`; transport errors.
    pub async fn status(&self) -> Result<Status> {
        let request = self.request("status");
        let response = self
            .link
            .call(request, self.deadline)
            .await
            .map_err(|e| e.reading("status"))?;
        if response.status != 200 {
            return Err(refused(&response).effect(Effect::None));
        }
        proto::decode_status(&response.body)
            .map_err(|e| Error::misbehaved(DeviceMisbehaved::UnexpectedReply, e.to_string()))
    }

    /// Get key (6.2): keys that are new to both ends.
    ///
    /// # Errors
    /// As `QkdModule::take_keys` has them.
    pub async fn take(&self, request: &KeyRequest) -> Result<Vec<Key>> {
        let body = proto::encode_request(request).map_err(|e| Error::invalid(e.to_string()))?;
        let (count, size) = (u64::from(request.count), request.size);
        let taken = self
            .deliver("enc_keys", body, move |keys| {
                if keys.len() as u64 != count {
                    return Err((
                        DeviceMisbehaved::WrongKeyCount,
                        format!("{count} keys were asked for and {} came", keys.len()),
                    ));
                }
                if let Some(size) = size
                    && let Some(other) = keys.iter().find(|k| k.size() != size)
                {
                    return Err((
                        DeviceMisbehaved::WrongKeySize,
                        format!(
                            "keys of {size} were asked for, and {} has {}",
                            other.id(),
                            other.size()
                        ),
                    ));
                }
                Ok(keys)
            })
            .await;
        match taken {
            // The standard has no code for too few keys; the store tells.
            Err(error) if error.kind() == ErrorKind::NotReady => match self.status().await {
                Ok(status) if status.stored_key_count.is_some_and(|stored| stored < count) => {
                    let stored = status.stored_key_count.unwrap_or_default();
                    let new = Error::new(
                        ErrorKind::Exhausted,
                        format!("{count} keys were asked for, and the KME has {stored}"),
                    )
                    .effect(error.effect_on_device());
                    Err(new.caused_by(error))
                }
                _ => Err(error),
            },
            other => other,
        }
    }

    /// Get key with key IDs (6.4): the twins of keys that the peer took, in the order asked.
    ///
    /// # Errors
    /// As `QkdModule::take_keys_by_id` has them.
    pub async fn take_by_id(&self, ids: &[KeyId]) -> Result<Vec<Key>> {
        let wanted = ids.to_vec();
        self.deliver("dec_keys", proto::encode_ids(ids), move |keys| {
            let came = keys.len();
            let mut by_id: HashMap<KeyId, Key> =
                keys.into_iter().map(|k| (k.id().clone(), k)).collect();
            let sorted: Vec<Key> = wanted.iter().filter_map(|id| by_id.remove(id)).collect();
            if sorted.len() == wanted.len() && came == wanted.len() {
                return Ok(sorted);
            }
            Err((
                DeviceMisbehaved::WrongKeyCount,
                format!(
                    "{} keys were asked for by id; {came} came, {} of them asked for",
                    wanted.len(),
                    sorted.len()
                ),
            ))
        })
        .await
    }

    /// A call that delivers keys. It runs to its end even if the caller goes away: then the keys are zeroized and told as lost.
    async fn deliver(
        &self,
        call: &'static str,
        body: Zeroizing<Vec<u8>>,
        check: impl FnOnce(Vec<Key>) -> Result<Vec<Key>, (DeviceMisbehaved, String)> + Send + 'static,
    ) -> Result<Vec<Key>> {
        let (sender, receiver) = oneshot::channel();
        let this = self.clone();
        tokio::spawn(async move {
            let outcome = this.fetch(call, body, check).await;
            if let Err(Ok(keys)) = sender.send(outcome) {
                this.lost(keys.iter().map(|k| k.id().clone()).collect());
            }
        });
        receiver.await.unwrap_or_else(|_| {
            Err(
                Error::new(ErrorKind::Internal, "the call was ended with its runtime")
                    .effect(Effect::Unknown),
            )
        })
    }

    async fn fetch(
        &self,
        call: &'static str,
        body: Zeroizing<Vec<u8>>,
        check: impl FnOnce(Vec<Key>) -> Result<Vec<Key>, (DeviceMisbehaved, String)>,
    ) -> Result<Vec<Key>> {
        // Keys that are delivered leave the store.
        let request = HttpRequest {
            method: Method::Post,
            body: Some(body),
            changes: true,
            reply_disclosure: Disclosure::Secret(key_spans),
            ..self.request(call)
        };
        let response = self.link.call(request, self.deadline).await.map_err(|e| {
            let error = e.changing(call);
            if error.effect_on_device() == Effect::Unknown {
                self.lost(Vec::new());
            }
            error
        })?;
        if response.status != 200 {
            let error = refused(&response);
            if error.effect_on_device() == Effect::Unknown {
                self.lost(Vec::new());
            }
            return Err(error);
        }
        let void = |ids: Vec<KeyId>, what, why: String| {
            self.lost(ids);
            Error::misbehaved(
                what,
                format!("{why}; the whole batch is void, and so are its twins"),
            )
            .effect(Effect::Unknown)
        };
        let keys = proto::decode_container(&response.body).map_err(|e| {
            let what = if matches!(e, ProtoError::NotBase64(_)) {
                DeviceMisbehaved::WrongKeySize
            } else {
                DeviceMisbehaved::UnexpectedReply
            };
            void(Vec::new(), what, e.to_string())
        })?;
        let ids: Vec<KeyId> = keys.iter().map(|k| k.id.clone()).collect();
        let keys = keys
            .into_iter()
            .map(|DeliveredKey { id, bytes }| Key::new(id, bytes))
            .collect();
        check(keys).map_err(|(what, why)| void(ids, what, why))
    }

    fn lost(&self, ids: Vec<KeyId>) {
        self.events
            .publish(Origin::Driver, EventKind::KeyLost { ids });
    }
}

/// The contract's error of a refusal. Only the statuses of the standard's refusals (4xx, 503) say that nothing was given.
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
    .effect(effect)
    .vendor_code(response.status.to_string());
    match message {
        Some(words) => error.vendor_text(words),
        None => error,
    }
}

/// Where the keys of a container stand. A body that is not surely understood is secret as a whole.
fn key_spans(body: &[u8]) -> Vec<Range<usize>> {
    const NAME: &[u8] = b"\"key\"";
    let Ok(keys) = proto::decode_container(body) else {
        return all_secret(body);
    };
    if body.contains(&b'\\') {
        return all_secret(body);
    }
    let mut spans = Vec::new();
    let mut at = 0;
    while let Some(found) = body
        .get(at..)
        .and_then(|rest| rest.windows(NAME.len()).position(|w| w == NAME))
    {
        at += found + NAME.len();
        let skip = |from: usize, byte: u8| {
            let rest = body.get(from..)?;
            let blank = rest.iter().take_while(|b| b.is_ascii_whitespace()).count();
            (rest.get(blank) == Some(&byte)).then_some(from + blank + 1)
        };
        let Some(start) = skip(at, b':').and_then(|colon| skip(colon, b'"')) else {
            continue;
        };
        let Some(length) = body[start..].iter().position(|b| *b == b'"') else {
            return all_secret(body);
        };
        spans.push(start..start + length);
        at = start + length;
    }
    if spans.len() == keys.len() {
        spans
    } else {
        all_secret(body)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transcript_leaves_out_the_keys_and_nothing_else() {
        let id = "bc490419-7d60-487f-adc1-4ddcc177c139";
        let body = format!(
            r#"{{"keys":[{{"key_ID":"{id}","key" : "AAAA"}},{{"key":"BBBB","key_ID":"{id}"}}]}}"#
        );
        let secret: Vec<&str> = key_spans(body.as_bytes())
            .into_iter()
            .map(|r| &body[r])
            .collect();
        assert_eq!(secret, ["AAAA", "BBBB"]);
        for odd in [
            r#"{"x":"AAAA"}"#,
            "AAAA",
            &body.replace("AAAA", r"\/AAA"),
            &body.replace("key_ID", "key"),
        ] {
            assert_eq!(key_spans(odd.as_bytes()), vec![0..odd.len()], "{odd}");
        }
    }
}
