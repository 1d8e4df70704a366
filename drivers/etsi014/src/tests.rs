//! The driver against a scripted KME, in memory.

use crate::driver;
use qkd_driver_kit::{
    OpenContext, OpenedDevice, Registry,
    link::{
        http::{HttpResponse, HttpService, Method},
        memory::Endpoint,
    },
};
use qkd_hal::{
    DeviceMisbehaved, Effect, ErrorKind, EventKind, KeyId, Result,
    event::StreamItem,
    qkd::{KeyRequest, ModuleState, RequestExtension},
    units::Bits,
};
use serde_json::{Value, json};
use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
};
use zeroize::Zeroizing;

const ID: [&str; 2] = [
    "bc490419-7d60-487f-adc1-4ddcc177c139",
    "0a782fb5-3434-48fe-aa4d-14f41d46cf92",
];
const KEY: [&str; 2] = [
    "wHHVxRwDJs3/bXd38GHP3oe4svTuRpZS0yCC7x4Ly+s=",
    "OeGMPxh1+2RpJpNCYixWHFLYRubpOKCw94FcCI7VdJA=",
];

struct Kme {
    name: &'static str,
    get_only: Option<u16>,
    gets: Vec<String>,
    stored: u64,
    answers: VecDeque<(u16, Value)>,
    seen: Vec<(String, Value)>,
}

struct Server(Mutex<Kme>);

impl HttpService for Server {
    fn call(&self, client: Option<&str>, method: Method, path: &str, body: &[u8]) -> HttpResponse {
        let mut kme = self.0.lock().unwrap();
        assert_eq!(client, Some("sae-alice"));
        if path.ends_with("/status") {
            assert_eq!(method, Method::Get);
            let status = json!({"source_KME_ID": kme.name, "slave_SAE_ID": "sae-bob",
                "key_size": 256, "stored_key_count": kme.stored, "max_key_count": 100});
            return HttpResponse {
                status: 200,
                body: Zeroizing::new(status.to_string().into_bytes()),
            };
        }
        match (method, kme.get_only) {
            (Method::Post, Some(status)) => {
                kme.seen.push((path.to_owned(), Value::Null));
                return HttpResponse {
                    status,
                    body: Zeroizing::default(),
                };
            }
            (Method::Post, None) => kme
                .seen
                .push((path.to_owned(), serde_json::from_slice(body).unwrap())),
            (Method::Get, _) => kme.gets.push(path.to_owned()),
        }
        let (status, body) = kme.answers.pop_front().unwrap();
        let body = body
            .as_str()
            .map_or_else(|| body.to_string(), str::to_owned);
        HttpResponse {
            status,
            body: Zeroizing::new(body.into_bytes()),
        }
    }
}

async fn open() -> (OpenedDevice, Arc<Server>) {
    let server = Arc::new(Server(Mutex::new(Kme {
        name: "kme-a",
        get_only: None,
        gets: vec![],
        stored: 7,
        answers: VecDeque::new(),
        seen: vec![],
    })));
    let context = OpenContext::new().with_memory(
        "kme",
        Endpoint::Http(Arc::clone(&server) as _, Some("sae-alice".into())),
    );
    let opened = Registry::new()
        .with(driver())
        .open("etsi014+mem://kme/net1?peer=sae-bob", &context)
        .await;
    (opened.unwrap(), server)
}

fn key(i: usize) -> Value {
    json!({"key_ID": ID[i], "key": KEY[i]})
}

fn id(i: usize) -> KeyId {
    ID[i].parse().unwrap()
}

fn answer(server: &Server, status: u16, body: Value) {
    server.0.lock().unwrap().answers.push_back((status, body));
}

async fn take(opened: &OpenedDevice, count: u32) -> Result<Vec<qkd_hal::Key>> {
    opened
        .module()
        .unwrap()
        .take_keys(&KeyRequest::new(count).with_size(Bits(256)))
        .await
}

#[tokio::test]
async fn keys_are_taken_new_and_by_id() {
    let (opened, server) = open().await;
    let module = opened.module().unwrap();
    assert_eq!(module.status().await.unwrap().state, ModuleState::Unknown);
    let store = module.key_store().await.unwrap();
    assert_eq!(
        (store.stored, store.key_size, store.max_per_request),
        (Some(7), Some(Bits(256)), None)
    );

    answer(&server, 200, json!({"keys": [key(0)]}));
    let request = KeyRequest::new(1)
        .with_size(Bits(256))
        .with_extension(RequestExtension {
            name: "abc_x".into(),
            value: "1".into(),
            mandatory: false,
        });
    let keys = module.take_keys(&request).await.unwrap();
    assert_eq!((keys[0].id(), keys[0].expose()[0]), (&id(0), 0xc0));

    // Delivered in another order than requested, and under a capital K.
    let (other, server2) = open().await;
    answer(&server2, 200, json!({"Keys": [key(1), key(0)]}));
    let twins = other
        .module()
        .unwrap()
        .take_keys_by_id(&[id(0), id(1)])
        .await
        .unwrap();
    assert_eq!(
        twins.iter().map(|k| k.id().clone()).collect::<Vec<_>>(),
        [id(0), id(1)]
    );
    assert_eq!(twins[0], keys[0]);

    assert_eq!(
        server.0.lock().unwrap().seen,
        [(
            "/net1/api/v1/keys/sae-bob/enc_keys".into(),
            json!({"number": 1, "size": 256, "extension_optional": [{"abc_x": 1}]})
        )]
    );
    assert_eq!(
        server2.0.lock().unwrap().seen,
        [(
            "/net1/api/v1/keys/sae-bob/dec_keys".into(),
            json!({"key_IDs": [{"key_ID": ID[0]}, {"key_ID": ID[1]}]})
        )]
    );
}

#[tokio::test]
async fn a_batch_that_differs_from_the_request_is_discarded_and_reported() {
    for (count, body, kind) in [
        (1, json!({"keys": []}), DeviceMisbehaved::WrongKeyCount),
        (
            1,
            json!({"keys": [key(0), key(1)]}),
            DeviceMisbehaved::WrongKeyCount,
        ),
        (
            1,
            json!({"keys": [{"key_ID": ID[0], "key": "AAAA"}]}),
            DeviceMisbehaved::WrongKeySize,
        ),
        (
            1,
            json!({"keys": [{"key_ID": ID[0], "key": "!"}]}),
            DeviceMisbehaved::WrongKeySize,
        ),
        (
            1,
            json!({"keys": [{"key_ID": "my key", "key": KEY[0]}]}),
            DeviceMisbehaved::UnexpectedReply,
        ),
        (
            2,
            json!({"keys": [key(0), key(0)]}),
            DeviceMisbehaved::KeyIdReused,
        ),
        (1, json!("<html>"), DeviceMisbehaved::UnexpectedReply),
    ] {
        let (opened, server) = open().await;
        let mut events = opened.device().events();
        answer(&server, 200, body.clone());
        let error = take(&opened, count).await.unwrap_err();
        assert_eq!(
            (error.kind(), error.effect()),
            (ErrorKind::Misbehaved(kind), Effect::Unknown),
            "{body}"
        );
        if kind != DeviceMisbehaved::KeyIdReused {
            assert!(
                matches!(events.try_next(), Some(StreamItem::Event(e)) if matches!(e.kind,
                    EventKind::KeyLost { .. })),
                "{body}"
            );
        }
        answer(&server, 200, json!({"keys": [key(1)]}));
        take(&opened, 1).await.unwrap();
    }
}

#[tokio::test]
async fn refusals_keep_the_error_text_of_the_kme_and_lose_no_key() {
    let (opened, server) = open().await;
    for (status, message, kind, effect) in [
        (
            400,
            "one or more keys specified are not found on KME",
            ErrorKind::NotFound,
            Effect::None,
        ),
        (
            400,
            "not all extension_mandatory parameters are supported",
            ErrorKind::Refused,
            Effect::None,
        ),
        (403, "sae-bob", ErrorKind::Authentication, Effect::None),
        (
            503,
            "key data access error",
            ErrorKind::NotReady,
            Effect::None,
        ),
        (504, "other KME", ErrorKind::NotReady, Effect::Unknown),
    ] {
        answer(&server, status, json!({"message": message}));
        let error = opened
            .module()
            .unwrap()
            .take_keys_by_id(&[id(0)])
            .await
            .unwrap_err();
        assert_eq!((error.kind(), error.effect()), (kind, effect), "{status}");
        assert_eq!(
            (error.vendor_code(), error.vendor_text()),
            (Some(status.to_string().as_str()), Some(message))
        );
    }
}

#[tokio::test]
async fn too_few_keys_are_distinguished_from_a_fault() {
    let (opened, server) = open().await;
    answer(&server, 503, json!({"message": "key data access error"}));
    assert_eq!(
        take(&opened, 8).await.unwrap_err().kind(),
        ErrorKind::Exhausted
    );
    answer(&server, 503, json!({"message": "key data access error"}));
    assert_eq!(
        take(&opened, 7).await.unwrap_err().kind(),
        ErrorKind::NotReady
    );
}

#[tokio::test]
async fn a_key_is_never_delivered_twice() {
    let (opened, server) = open().await;
    answer(&server, 200, json!({"keys": [key(0)]}));
    take(&opened, 1).await.unwrap();
    // Some servers repeat a delivered key.
    answer(&server, 200, json!({"keys": [key(0)]}));
    let error = opened
        .module()
        .unwrap()
        .take_keys_by_id(&[id(0)])
        .await
        .unwrap_err();
    assert_eq!(
        error.kind(),
        ErrorKind::Misbehaved(DeviceMisbehaved::KeyIdReused)
    );
}

#[tokio::test]
async fn another_kme_is_noticed() {
    let (opened, server) = open().await;
    assert_eq!(
        opened.device().identity().await.unwrap().serial.as_deref(),
        Some("kme-a")
    );
    server.0.lock().unwrap().name = "kme-b";
    assert_eq!(
        opened.device().identity().await.unwrap_err().kind(),
        ErrorKind::IdentityChanged
    );
}

#[tokio::test]
async fn keys_of_a_cancelled_call_are_reported_as_lost() {
    let (opened, server) = open().await;
    let mut events = opened.device().events();
    answer(&server, 200, json!({"keys": [key(0)]}));
    {
        let module = opened.module().unwrap();
        let request = KeyRequest::new(1);
        let mut call = module.take_keys(&request);
        // Polled once, so that the request is on its way, then dropped.
        assert!(futures_poll(&mut call).await);
    }
    let event = tokio::time::timeout(std::time::Duration::from_secs(1), events.next())
        .await
        .unwrap();
    match event {
        Some(StreamItem::Event(e)) => assert_eq!(e.kind, EventKind::KeyLost { ids: vec![id(0)] }),
        other => panic!("{other:?}"),
    }
}

/// Polls once; whether it is still pending.
async fn futures_poll<F: Future + Unpin>(future: &mut F) -> bool {
    std::future::poll_fn(|cx| {
        std::task::Poll::Ready(std::pin::Pin::new(&mut *future).poll(cx).is_pending())
    })
    .await
}

#[tokio::test]
async fn invalid_arguments_are_refused_before_anything_is_sent() {
    let (opened, server) = open().await;
    let module = opened.module().unwrap();
    let bad = KeyRequest::new(1).with_extension(RequestExtension {
        name: "route".into(),
        value: "1".into(),
        mandatory: true,
    });
    for request in [
        KeyRequest::new(0),
        KeyRequest::new(1).with_size(Bits(7)),
        bad,
    ] {
        assert_eq!(
            module.take_keys(&request).await.unwrap_err().kind(),
            ErrorKind::InvalidInput
        );
    }
    assert_eq!(
        module.take_keys_by_id(&[]).await.unwrap_err().kind(),
        ErrorKind::InvalidInput
    );
    assert_eq!(
        module
            .take_keys_by_id(&[id(0), id(0)])
            .await
            .unwrap_err()
            .kind(),
        ErrorKind::InvalidInput
    );
    assert!(server.0.lock().unwrap().seen.is_empty());
    let context = OpenContext::new();
    assert!(
        Registry::new()
            .with(driver())
            .open("etsi014+mem://kme", &context)
            .await
            .unwrap_err()
            .message()
            .contains("peer")
    );
}

#[tokio::test]
async fn a_key_id_is_sent_back_exactly_as_it_came() {
    for text in [
        "bc4904197d60487fadc14ddcc177c139",
        "BC490419-7D60-487F-ADC1-4DDCC177C139",
        "7-B00c",
        "00112233AAbb",
    ] {
        let (opened, server) = open().await;
        let delivered = json!({"keys": [{"key_ID": text, "key": KEY[0]}]});
        answer(&server, 200, delivered.clone());
        let keys = take(&opened, 1).await.unwrap();
        assert_eq!(keys[0].id().to_string(), text);
        let (far, far_server) = open().await;
        answer(&far_server, 200, delivered);
        let ids = [keys[0].id().clone()];
        far.module().unwrap().take_keys_by_id(&ids).await.unwrap();
        assert_eq!(
            far_server.0.lock().unwrap().seen[0].1,
            json!({"key_IDs": [{"key_ID": text}]})
        );
    }
}

#[tokio::test]
async fn a_key_without_a_size_in_the_request_has_the_default_size() {
    let (opened, server) = open().await;
    let module = opened.module().unwrap();
    // The KME's Status has a key_size of 256 bit.
    answer(
        &server,
        200,
        json!({"keys": [{"key_ID": ID[0], "key": "AQIDBA=="}]}),
    );
    let error = module.take_keys(&KeyRequest::new(1)).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.effect()),
        (
            ErrorKind::Misbehaved(DeviceMisbehaved::WrongKeySize),
            Effect::Unknown
        )
    );
    assert!(
        error.message().contains("key_size of its Status"),
        "{error}"
    );
    answer(&server, 200, json!({"keys": [key(1)]}));
    module.take_keys(&KeyRequest::new(1)).await.unwrap();
}

#[tokio::test]
async fn a_kme_that_refuses_post_is_asked_by_get() {
    for status in [405, 404, 501] {
        let (opened, server) = open().await;
        let module = opened.module().unwrap();
        server.0.lock().unwrap().get_only = Some(status);
        answer(&server, 200, json!({"keys": [key(0)]}));
        take(&opened, 1).await.unwrap();
        let (far, far_server) = open().await;
        far_server.0.lock().unwrap().get_only = Some(status);
        answer(&far_server, 200, json!({"keys": [key(0)]}));
        answer(&far_server, 200, json!({"keys": [key(1)]}));
        let twins = far.module().unwrap();
        assert_eq!(
            twins.take_keys_by_id(&[id(0), id(1)]).await.unwrap().len(),
            2
        );
        {
            let (near, far) = (server.0.lock().unwrap(), far_server.0.lock().unwrap());
            let path = "/net1/api/v1/keys/sae-bob";
            assert_eq!(near.gets, [format!("{path}/enc_keys?number=1&size=256")]);
            assert_eq!(
                far.gets,
                ID.map(|id| format!("{path}/dec_keys?key_ID={id}"))
            );
            assert_eq!(
                (near.seen.len(), far.seen.len()),
                (1, 1),
                "POST once, then remembered"
            );
        }

        answer(&server, 200, json!({"keys": [key(1)]}));
        take(&opened, 1).await.unwrap();
        assert_eq!(server.0.lock().unwrap().seen.len(), 1);
        let more = KeyRequest::new(1).with_additional_receivers(vec!["sae-carol".into()]);
        let error = module.take_keys(&more).await.unwrap_err();
        assert_eq!(
            (error.kind(), error.effect()),
            (ErrorKind::Unsupported, Effect::None)
        );
    }
}

#[tokio::test]
async fn a_404_for_a_key_does_not_mean_that_post_is_missing() {
    let (opened, server) = open().await;
    let module = opened.module().unwrap();
    for _ in 0..2 {
        answer(&server, 404, json!({"message": "no such key"}));
    }
    let error = module.take_keys_by_id(&[id(0)]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    answer(&server, 200, json!({"keys": [key(0)]}));
    module.take_keys_by_id(&[id(0)]).await.unwrap();
    assert_eq!(server.0.lock().unwrap().seen.len(), 2, "POST is still used");
}

#[tokio::test]
async fn keys_of_a_batch_by_get_that_broke_off_are_reported_lost() {
    let (opened, server) = open().await;
    let mut events = opened.device().events();
    server.0.lock().unwrap().get_only = Some(405);
    answer(&server, 200, json!({"keys": [key(0)]}));
    answer(&server, 503, json!({"message": "busy"}));
    let ids = [id(0), id(1)];
    let error = opened
        .module()
        .unwrap()
        .take_keys_by_id(&ids)
        .await
        .unwrap_err();
    assert_eq!(
        (error.kind(), error.effect()),
        (ErrorKind::NotReady, Effect::Partial)
    );
    assert!(matches!(
        events.try_next(),
        Some(StreamItem::Event(e)) if e.kind == EventKind::KeyLost { ids: vec![id(0)] }
    ));
}
