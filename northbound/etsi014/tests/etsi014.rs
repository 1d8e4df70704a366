//! The interface of GS QKD 014, in memory and over real TLS.
#![allow(clippy::unwrap_used)]

use qkd_northbound_etsi014::{
    ClientAuth, HttpReply, KeyAudience, KeyMaterial, KeyPool, KeySource, Kme, KmeConfig, fuzz,
    pki::TestPki, serve,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject};
use serde_json::{Value, json};
use std::sync::Arc;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

struct Counting(u64, u8);
impl KeyMaterial for Counting {
    fn available(&mut self) -> u64 {
        self.0
    }
    fn capacity(&self) -> u64 {
        32_000
    }
    fn draw(&mut self, out: &mut [u8]) {
        self.0 -= out.len() as u64;
        for byte in out {
            self.1 = self.1.wrapping_add(1);
            *byte = self.1;
        }
    }
}

struct Link {
    alice: Arc<Kme>,
    bob: Arc<Kme>,
    pool: Arc<KeyPool>,
}

fn link(edit: impl Fn(&mut KmeConfig)) -> Link {
    let pool = Arc::new(KeyPool::new(Counting(3_200, 0)));
    let kme = |id, peer, local: &str, remote: &[&str]| {
        let mut config = KmeConfig::new(id, peer, local, remote[0]);
        config.remote.extend(remote.iter().map(|s| (*s).to_owned()));
        if local == "bob" {
            config.local.insert("carol".into());
        }
        edit(&mut config);
        Arc::new(Kme::new(config, pool.clone()))
    };
    Link {
        alice: kme("A", "B", "alice", &["bob", "carol"]),
        bob: kme("B", "A", "bob", &["alice"]),
        pool,
    }
}

fn value(reply: &HttpReply) -> Value {
    serde_json::from_slice(reply.body.as_ref().unwrap()).unwrap()
}
fn message(reply: &HttpReply, status: u16) -> String {
    assert_eq!(reply.status, status);
    value(reply)["message"].as_str().unwrap().to_owned()
}
fn post(kme: &Kme, sae: &str, path: &str, body: &Value) -> HttpReply {
    kme.handle(
        Some(sae),
        "POST",
        &format!("/api/v1/keys/{path}"),
        body.to_string().as_bytes(),
    )
}
fn get(kme: &Kme, sae: &str, path: &str) -> HttpReply {
    kme.handle(Some(sae), "GET", &format!("/api/v1/keys/{path}"), b"")
}

#[test]
fn both_ends_get_the_same_keys_once() {
    let l = link(|_| ());
    let taken = value(&post(
        &l.alice,
        "alice",
        "bob/enc_keys",
        &json!({"number": 3, "size": 128}),
    ));
    let keys = taken["keys"].as_array().unwrap();
    assert_eq!(keys.len(), 3);
    assert_eq!(keys[0]["key"], "AQIDBAUGBwgJCgsMDQ4PEA==");
    let ids: Vec<_> = keys
        .iter()
        .rev()
        .map(|k| json!({"key_ID": k["key_ID"]}))
        .collect();
    let twins = value(&post(
        &l.bob,
        "bob",
        "alice/dec_keys",
        &json!({ "key_IDs": ids }),
    ));
    let reversed: Vec<_> = keys.iter().rev().cloned().collect();
    assert_eq!(twins["keys"], json!(reversed));
    let again = post(&l.bob, "bob", "alice/dec_keys", &json!({ "key_IDs": ids }));
    assert_eq!(
        message(&again, 400),
        "one or more keys specified are not found on KME"
    );
    assert_eq!(l.pool.undelivered(), 0);
}

#[test]
fn status_counts_in_bits_and_keys() {
    let l = link(|_| ());
    let status = value(&get(&l.alice, "alice", "bob/status"));
    assert_eq!(
        status,
        json!({
            "source_KME_ID": "A", "target_KME_ID": "B",
            "master_SAE_ID": "alice", "slave_SAE_ID": "bob",
            "key_size": 256, "min_key_size": 64, "max_key_size": 1024,
            "stored_key_count": 100, "max_key_count": 1000,
            "max_key_per_request": 128, "max_SAE_ID_count": 4,
        })
    );
    assert_eq!(
        get(&l.alice, "alice", "bob/enc_keys?number=2&size=512").status,
        200
    );
    assert_eq!(
        value(&get(&l.alice, "alice", "bob/status"))["stored_key_count"],
        96
    );
}

#[test]
fn the_messages_of_the_standard() {
    let l = link(|c| {
        c.extensions
            .insert("abc_route_type".into(), vec![json!("direct")]);
        c.refuse_unhandled_options = true;
    });
    let enc = |body: Value| post(&l.alice, "alice", "bob/enc_keys", &body);
    assert_eq!(
        message(&enc(json!({"size": 129})), 400),
        "size shall be a multiple of 8"
    );
    assert_eq!(
        message(&enc(json!({"extension_mandatory": [{"x_y": 1}]})), 400),
        "not all extension_mandatory parameters are supported"
    );
    assert_eq!(
        message(
            &enc(json!({"extension_mandatory": [{"abc_route_type": "indirect"}]})),
            400
        ),
        "not all extension_mandatory request options could be met"
    );
    assert_eq!(
        message(&enc(json!({"extension_optional": [{"x_y": 1}]})), 400),
        "not all extension_optional request options handled"
    );
    assert_eq!(
        enc(json!({"extension_mandatory": [{"abc_route_type": "direct"}]})).status,
        200
    );
    l.alice.set_failing(true);
    assert_eq!(message(&enc(json!({})), 503), "key data access error");
}

#[test]
fn optional_extensions_are_optional() {
    let l = link(|_| ());
    assert_eq!(
        post(
            &l.alice,
            "alice",
            "bob/enc_keys",
            &json!({"extension_optional": [{"x_y": 1}]})
        )
        .status,
        200
    );
}

#[test]
fn a_null_is_an_omitted_option() {
    let l = link(|_| ());
    let body = json!({"number": 2, "size": null, "additional_slave_SAE_IDs": null,
        "extension_mandatory": null, "extension_optional": null});
    let given = post(&l.alice, "alice", "bob/enc_keys", &body);
    assert_eq!(
        (
            given.status,
            value(&given)["keys"].as_array().unwrap().len()
        ),
        (200, 2)
    );
}

#[test]
fn an_unknown_caller_is_refused_without_information() {
    let l = link(|_| ());
    let id = value(&get(&l.alice, "alice", "bob/enc_keys"))["keys"][0]["key_ID"]
        .as_str()
        .unwrap()
        .to_owned();
    let path = format!("alice/dec_keys?key_ID={id}");
    for (caller, kme) in [
        (Some("carol"), &l.bob),
        (None, &l.bob),
        (Some("mallory"), &l.bob),
        (Some("bob"), &l.alice),
    ] {
        let reply = kme.handle(caller, "GET", &format!("/api/v1/keys/{path}"), b"");
        assert_eq!(
            (reply.status, reply.body.is_none()),
            (401, true),
            "{caller:?}"
        );
    }
    assert_eq!(
        get(&l.bob, "bob", &path).status,
        200,
        "the refusals took nothing away"
    );
}

#[test]
fn several_receivers_each_receive_every_notification_once() {
    let l = link(|_| ());
    let body = json!({"additional_slave_SAE_IDs": ["carol"]});
    let id = value(&post(&l.alice, "alice", "bob/enc_keys", &body))["keys"][0]["key_ID"]
        .as_str()
        .unwrap()
        .to_owned();
    let path = format!("alice/dec_keys?key_ID={id}");
    assert_eq!(
        value(&get(&l.bob, "bob", &path)),
        value(&get(&l.bob, "carol", &path))
    );
    assert_eq!(get(&l.bob, "bob", &path).status, 400);
    assert_eq!(get(&l.bob, "carol", &path).status, 400);
}

#[test]
fn limits_and_malformed_requests_deliver_no_key() {
    let l = link(|_| ());
    let too_many = json!(["bob", "bob", "bob", "bob", "bob"]);
    for body in [
        json!({"number": 0}),
        json!({"number": 129}),
        json!({"number": -1}),
        json!({"number": "2"}),
        json!({"size": 56}),
        json!({"size": 1032}),
        json!({"size": 1e99}),
        json!({"additional_slave_SAE_IDs": too_many}),
        json!({"additional_slave_SAE_IDs": ["dave"]}),
        json!({"extension_mandatory": {}}),
        json!([]),
    ] {
        assert_eq!(
            post(&l.alice, "alice", "bob/enc_keys", &body).status,
            400,
            "{body}"
        );
    }
    assert_eq!(
        post(&l.alice, "alice", "bob/enc_keys", &json!({"number": 101})).status,
        503
    );
    for (path, status) in [
        ("bob/enc_keys?key_ID=1", 400),
        ("bob", 404),
        ("bob/x", 404),
        ("dave/status", 400),
        ("bob/dec_keys", 400),
        ("%ff/status", 400),
    ] {
        assert_eq!(get(&l.alice, "alice", path).status, status, "{path}");
    }
    assert_eq!(
        post(&l.alice, "alice", "bob/status", &json!({})).status,
        405
    );
    let id = "6fa459ea-ee8a-4ca4-894e-db77e160355e";
    assert_eq!(
        post(
            &l.bob,
            "bob",
            "alice/dec_keys",
            &json!({"key_IDs": [{"key_ID": id}]})
        )
        .status,
        400
    );
    assert_eq!(
        value(&get(&l.alice, "alice", "bob/status"))["stored_key_count"],
        100
    );
}

#[test]
fn one_unknown_id_fails_the_whole_request() {
    let l = link(|_| ());
    let id = value(&get(&l.alice, "alice", "bob/enc_keys"))["keys"][0]["key_ID"].clone();
    for second in [json!("6fa459ea-ee8a-4ca4-894e-db77e160355e"), id.clone()] {
        let reply = post(
            &l.bob,
            "bob",
            "alice/dec_keys",
            &json!({"key_IDs": [{"key_ID": id}, {"key_ID": second}]}),
        );
        assert_eq!(reply.status, 400);
    }
    assert_eq!(
        post(
            &l.bob,
            "bob",
            "alice/dec_keys",
            &json!({"key_IDs": [{"key_ID": id}]})
        )
        .status,
        200
    );
}

#[test]
fn requests_of_published_clients() {
    let l = link(|_| ());
    let take = |body: &Value| post(&l.alice, "alice", "bob/enc_keys", body);
    let first = |reply: &HttpReply| value(reply)["keys"][0].clone();
    // RouterOS.
    let short = first(&take(&json!({"number": 1, "size": 64})));
    assert_eq!(short["key"].as_str().unwrap().len(), "AQIDBAUGBwg=".len());
    // QURSA for strongSwan: 32 bytes are meant, and a size is in bits.
    let in_bytes = get(&l.alice, "alice", "bob/enc_keys?number=1&size=32");
    let words = message(&in_bytes, 400);
    assert!(words.contains("size"), "{words}");
    // The TU/e clients name no further receivers, and spell the item differently.
    let odd = json!({"number": 1, "size": 256, "additional_target_sae_ids": []});
    let key = first(&take(&odd));
    // QURSA in its build for QuKayDee repeats the master's id.
    let id = json!({"key_ID": key["key_ID"], "master_SAE_ID": "alice"});
    let ids = json!({"key_IDs": [id]});
    let twin = first(&post(&l.bob, "bob", "alice/dec_keys", &ids));
    assert_eq!(twin, key);
    // Arnika.
    let key = first(&get(&l.alice, "alice", "bob/enc_keys?number=1&size=256"));
    let id = key["key_ID"].as_str().unwrap();
    let by_get = get(&l.bob, "bob", &format!("alice/dec_keys?key_ID={id}"));
    assert_eq!(value(&by_get), json!({"keys": [key]}));
    // QKD_Mate: not in the standard, and no key is spent on it.
    let key = first(&take(&json!({})));
    let id = key["key_ID"].as_str().unwrap();
    let joined = get(&l.bob, "bob", &format!("alice/dec_keys?key_IDs={id},{id}"));
    assert_eq!(joined.status, 400);
    // QURSA reformats a UUID: in upper case here, and in lower case there.
    let printed = json!({"key_IDs": [{"key_ID": id.to_uppercase()}]});
    let twin = first(&post(&l.bob, "bob", "alice/dec_keys", &printed));
    assert_eq!(twin["key"], key["key"]);
}

#[test]
fn deviations_of_published_kmes() {
    let l = link(|c| c.unknown_key_status = 404);
    l.pool.set_redelivers(true);
    let grant = KeyAudience {
        master: "alice".into(),
        slaves: vec!["bob".into()],
    };
    let id = l.pool.take(&grant, 1, 256).unwrap()[0].id;
    let path = format!("alice/dec_keys?key_ID={id}");
    assert_eq!(
        value(&get(&l.bob, "bob", &path)),
        value(&get(&l.bob, "bob", &path))
    );
    assert_eq!(
        get(
            &l.bob,
            "bob",
            "alice/dec_keys?key_ID=6fa459ea-ee8a-4ca4-894e-db77e160355e"
        )
        .status,
        404
    );
}

#[test]
fn no_input_panics() {
    let mut state = 1u64;
    for _ in 0..20_000 {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        let mut input = format!(
            "{}\n/api/v1/keys/b/",
            if state >> 63 == 0 { "G" } else { "P" }
        )
        .into_bytes();
        input.extend_from_slice(
            [
                &b"dec_keys?key_ID=6fa459ea-ee8a"[..],
                b"enc_keys?number=1&size=8",
                b"enc_keys\n{\"number\":1}",
            ][(state >> 40) as usize % 3],
        );
        let at = (state >> 20) as usize % input.len();
        input[at] = (state >> 8) as u8;
        fuzz(&input);
    }
}

#[tokio::test]
async fn over_real_tls_the_certificate_names_the_caller() {
    let pki = TestPki::new("test CA").unwrap();
    let server = pki.server("kme").unwrap();
    let l = link(|_| ());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(serve(
        listener,
        l.alice.clone(),
        ClientAuth::mutual_tls(&pki.ca(), &server.cert, &server.key).unwrap(),
    ));

    let ask = async |sae: Option<&str>| {
        let mut roots = rustls::RootCertStore::empty();
        roots
            .add(CertificateDer::from_pem_slice(pki.ca().as_bytes()).unwrap())
            .unwrap();
        let builder = rustls::ClientConfig::builder_with_provider(Arc::new(
            rustls::crypto::ring::default_provider(),
        ))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
        let config = match sae {
            None => builder.with_no_client_auth(),
            Some(sae) => {
                let pair = pki.client(sae).unwrap();
                let cert = CertificateDer::from_pem_slice(pair.cert.as_bytes()).unwrap();
                builder
                    .with_client_auth_cert(
                        vec![cert],
                        PrivateKeyDer::from_pem_slice(pair.key.as_bytes()).unwrap(),
                    )
                    .unwrap()
            }
        };
        let tcp = TcpStream::connect(address).await.unwrap();
        let mut tls = tokio_rustls::TlsConnector::from(Arc::new(config))
            .connect(ServerName::try_from("127.0.0.1").unwrap(), tcp)
            .await
            .ok()?;
        tls.write_all(
            b"GET /api/v1/keys/bob/status HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        )
        .await
        .ok()?;
        let mut text = String::new();
        tls.read_to_string(&mut text).await.ok()?;
        Some(text)
    };
    assert!(
        ask(Some("alice"))
            .await
            .unwrap()
            .starts_with("HTTP/1.1 200")
    );
    let refused = ask(Some("mallory")).await.unwrap();
    assert!(
        refused.starts_with("HTTP/1.1 401") && refused.ends_with("\r\n\r\n"),
        "{refused}"
    );
    assert_eq!(ask(None).await, None, "no certificate, no connection");
}

#[tokio::test]
async fn plain_http_reads_the_caller_from_the_configuration() {
    let l = link(|_| ());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(serve(
        listener,
        l.alice.clone(),
        ClientAuth::Everybody("alice".into()),
    ));
    let mut tcp = TcpStream::connect(address).await.unwrap();
    tcp.write_all(
        b"POST /api/v1/keys/bob/enc_keys HTTP/1.1\r\nHost: x\r\nConnection: \
        close\r\nContent-Length: 23\r\n\r\n{\"number\":1,\"size\":512} ",
    )
    .await
    .unwrap();
    let mut text = String::new();
    tcp.read_to_string(&mut text).await.unwrap();
    assert!(text.starts_with("HTTP/1.1 200"), "{text}");
    let container: Value = serde_json::from_str(text.split_once("\r\n\r\n").unwrap().1).unwrap();
    assert_eq!(container["keys"][0]["key"].as_str().unwrap().len(), 88);
}
