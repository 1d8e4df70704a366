//! QKD pairs over their real wires: the same keys on both ends, once; rates and states as the model
//! has them; faults as the contract says.

use qkd_driver_kit::{OpenContext, OpenedDevice, credentials::Credentials};
use qkd_emulators::{
    profile::{self, Options, RunningEmulator},
    profiles,
};
use qkd_hal::{
    Effect, ErrorKind, KeyId, QkdModule, TransportFault,
    qkd::{KeyRequest, ModuleState, RequestExtension},
    units::Bits,
};
use std::sync::Arc;

async fn pair(
    name: &str,
    options: &Options,
) -> (RunningEmulator, Arc<dyn QkdModule>, Arc<dyn QkdModule>) {
    let running = profiles::start(name, options).await.unwrap();
    let ready = running.ready();
    let (a, b) = (
        open(ready, 0, "").await.unwrap(),
        open(ready, 1, "").await.unwrap(),
    );
    (running, a.module().unwrap(), b.module().unwrap())
}

async fn open(
    ready: &profile::StartupInfo,
    end: usize,
    more: &str,
) -> qkd_hal::Result<OpenedDevice> {
    let mut context = OpenContext::new();
    if let Some(file) = &ready.credentials_file {
        context = context.with_credentials(Credentials::from_file(file)?);
    }
    qkd_hardware::registry()
        .open(&format!("{}{more}", ready.uris[end]), &context)
        .await
}

#[tokio::test]
async fn both_ends_deliver_the_same_keys_once() {
    for name in ["etsi014-pair", "veriqloud-qline-pair"] {
        let (_running, alice, bob) = pair(name, &Options::default()).await;
        let before = alice.key_store().await.unwrap().stored.unwrap();
        let keys = alice
            .take_keys(&KeyRequest::new(3).with_size(Bits(256)))
            .await
            .unwrap();
        let ids: Vec<KeyId> = keys.iter().map(|k| k.id().clone()).collect();
        assert_eq!(bob.take_keys_by_id(&ids).await.unwrap(), keys, "{name}");
        assert!(
            alice.key_store().await.unwrap().stored.unwrap() <= before + 1_000_000,
            "{name}"
        );
        let again = bob.take_keys_by_id(&ids).await.unwrap_err();
        assert_eq!(again.kind(), ErrorKind::NotFound, "{name}: {again}");
        let unknown = "6fa459ea-ee8a-4ca4-894e-db77e160355e".parse().unwrap();
        assert_eq!(
            bob.take_keys_by_id(&[unknown]).await.unwrap_err().kind(),
            ErrorKind::NotFound,
            "{name}"
        );
    }
}

#[tokio::test]
async fn keys_of_the_peer_are_found_by_the_exact_spelling_of_their_ids() {
    for form in ["uuid", "hex", "upper-case", "token"] {
        let options = Options::default().with("key-id-form", form);
        let (_running, alice, bob) = pair("etsi014-pair", &options).await;
        let keys = alice.take_keys(&KeyRequest::new(2)).await.unwrap();
        let ids: Vec<KeyId> = keys.iter().map(|k| k.id().clone()).collect();
        assert_eq!(
            bob.take_keys_by_id(&ids).await.unwrap(),
            keys,
            "{form}: {ids:?}"
        );
    }
}

#[tokio::test]
async fn a_kme_that_serves_get_only_delivers_keys_at_both_ends() {
    for status in [404, 405, 501] {
        let options = Options::default().with("post-refusal", status);
        let (_running, alice, bob) = pair("etsi014-pair", &options).await;
        let request = KeyRequest::new(3).with_size(Bits(512));
        let keys = alice.take_keys(&request).await.unwrap();
        let ids: Vec<KeyId> = keys.iter().map(|k| k.id().clone()).collect();
        assert_eq!(bob.take_keys_by_id(&ids).await.unwrap(), keys, "{status}");
        let again = bob.take_keys_by_id(&ids).await.unwrap_err();
        assert_eq!(again.kind(), ErrorKind::NotFound, "{status}: {again}");
    }
}

#[tokio::test]
async fn refusals_of_014_are_reported_and_change_nothing() {
    let (_running, alice, bob) = pair("etsi014-pair", &Options::default()).await;
    let store = alice.key_store().await.unwrap();
    assert_eq!(
        (store.key_size, store.max_per_request),
        (Some(Bits(256)), Some(128))
    );
    for request in [
        KeyRequest::new(129),
        KeyRequest::new(1).with_size(Bits(2048)),
        KeyRequest::new(1).with_size(Bits(8)),
    ] {
        let error = alice.take_keys(&request).await.unwrap_err();
        assert!(
            matches!(error.kind(), ErrorKind::InvalidInput | ErrorKind::Refused),
            "{error}"
        );
        assert_eq!(error.effect(), Effect::None, "{error}");
        assert!(
            error.vendor_text().is_some(),
            "the KME's own words are passed on: {error}"
        );
    }
    let mandatory = RequestExtension {
        name: "abc_route_type".into(),
        value: "\"direct\"".into(),
        mandatory: true,
    };
    let error = alice
        .take_keys(&KeyRequest::new(1).with_extension(mandatory.clone()))
        .await
        .unwrap_err();
    assert!(
        matches!(
            error.kind(),
            ErrorKind::Unsupported | ErrorKind::Refused | ErrorKind::InvalidInput
        ),
        "{error}"
    );
    assert!(
        error
            .to_string()
            .contains("not all extension_mandatory parameters are supported"),
        "{error}"
    );
    alice
        .take_keys(&KeyRequest::new(1).with_extension(RequestExtension {
            mandatory: false,
            ..mandatory
        }))
        .await
        .unwrap();
    // Bob may not take what was not granted to him: his own keys as if Alice had taken them.
    let own = bob.take_keys(&KeyRequest::new(1)).await.unwrap();
    assert_eq!(
        bob.take_keys_by_id(&[own[0].id().clone()])
            .await
            .unwrap_err()
            .kind(),
        ErrorKind::NotFound
    );
}

#[tokio::test]
async fn a_lost_reply_with_keys_is_reported_as_lost_keys() {
    let (running, alice, _bob) = pair("etsi014-pair", &Options::default()).await;
    for fault in ["truncate@once", "reset@once", "drop@once", "flood@once"] {
        let more = "&deadline=700ms";
        let alice = if fault == "drop@once" {
            open(running.ready(), 0, more)
                .await
                .unwrap()
                .module()
                .unwrap()
        } else {
            Arc::clone(&alice)
        };
        running.fault(fault).unwrap();
        let error = alice.take_keys(&KeyRequest::new(2)).await.unwrap_err();
        assert_eq!(error.effect(), Effect::Unknown, "{fault}: {error}");
        assert_eq!(
            alice.take_keys(&KeyRequest::new(1)).await.unwrap().len(),
            1,
            "{fault}: the next call works"
        );
    }
}

#[tokio::test]
async fn wrong_credentials_and_wrong_peers_are_refused() {
    let running = profiles::start("etsi014-pair", &Options::default())
        .await
        .unwrap();
    let ready = running.ready();
    let uri = &ready.uris[0];
    let plain = OpenContext::new();
    let error = qkd_hardware::registry()
        .open(uri, &plain)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Authentication, "{error}");
    // A certificate of another authority.
    let stranger = profiles::start("etsi014-pair", &Options::default())
        .await
        .unwrap();
    let context = OpenContext::new().with_credentials(
        Credentials::from_file(stranger.ready().credentials_file.as_ref().unwrap()).unwrap(),
    );
    let error = match qkd_hardware::registry().open(uri, &context).await {
        Err(error) => error,
        Ok(opened) => opened.module().unwrap().key_store().await.unwrap_err(),
    };
    assert_eq!(error.kind(), ErrorKind::Authentication, "{error}");
    // The far CA has the same name, and another key.
    assert!(error.message().contains("was not signed by"), "{error}");
    // Our certificate is of another authority than the server accepts.
    let own = std::fs::read_to_string(ready.credentials_file.as_ref().unwrap()).unwrap();
    let other = std::fs::read_to_string(stranger.ready().credentials_file.as_ref().unwrap());
    let ca = own.lines().find(|l| l.starts_with("ca =")).unwrap();
    let mixed: String = other
        .unwrap()
        .lines()
        .map(|l| format!("{}\n", if l.starts_with("ca =") { ca } else { l }))
        .collect();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("mixed.toml");
    std::fs::write(&file, mixed).unwrap();
    std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let context = OpenContext::new().with_credentials(Credentials::from_file(&file).unwrap());
    let error = qkd_hardware::registry()
        .open(uri, &context)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Authentication, "{error}");
    assert!(
        error.message().contains("refused our client certificate"),
        "{error}"
    );
    // Bob's certificate at Alice's KME: known to the authority, and no caller of this KME (401).
    let context = OpenContext::new().with_credentials(
        Credentials::from_file(ready.credentials_file.as_ref().unwrap()).unwrap(),
    );
    let bob = uri.replace("credentials=sae-alice", "credentials=sae-bob");
    let error = match qkd_hardware::registry().open(&bob, &context).await {
        Err(error) => error,
        Ok(opened) => opened.module().unwrap().key_store().await.unwrap_err(),
    };
    assert_eq!(error.kind(), ErrorKind::Authentication, "{error}");
}

/// The error of opening Alice's KME, whose certificate has a fault.
async fn refused(ready: &profile::StartupInfo, more: &str) -> qkd_hal::Error {
    let error = open(ready, 0, more).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Authentication, "{error}");
    error
}

#[tokio::test]
async fn a_faulty_certificate_is_named_and_its_pinned_key_is_accepted() {
    for (fault, words) in [
        ("version-1", "X.509 version 1"),
        ("self-signed", "self-signed"),
        ("other-name", "only `kme.example`; write server-name="),
        ("no-name", "it has no subjectAltName"),
        ("expired", "it expired on 2021-01-01T00:00:00Z"),
        (
            "not-yet-valid",
            "it is valid from 2999-01-01T00:00:00Z only",
        ),
        (
            "unknown-issuer",
            "its issuer `CN=another CA` is not in the `ca`",
        ),
    ] {
        let options = Options::default().with("certificate", fault);
        let running = profiles::start("etsi014-pair", &options).await.unwrap();
        let ready = running.ready();
        let error = refused(ready, "").await;
        assert!(error.message().contains(words), "{fault}: {error}");
        let (_, pin) = error.message().split_once("pin-sha256=").unwrap();
        let pin = &pin[..64];
        let opened = open(ready, 0, &format!("&pin-sha256={pin}")).await.unwrap();
        let module = opened.module().unwrap();
        module.take_keys(&KeyRequest::new(1)).await.unwrap();
        let wrong = refused(ready, &format!("&pin-sha256={}", "0".repeat(64))).await;
        assert!(wrong.message().contains(pin), "{fault}: {wrong}");
    }
}

#[tokio::test]
async fn a_server_name_takes_the_place_of_the_host() {
    let options = Options::default().with("certificate", "other-name");
    let running = profiles::start("etsi014-pair", &options).await.unwrap();
    let ready = running.ready();
    open(ready, 0, "&server-name=kme.example").await.unwrap();
    let error = refused(ready, "&server-name=other.example").await;
    assert!(
        error.message().contains("does not cover `other.example`"),
        "{error}"
    );
}

#[tokio::test]
async fn an_empty_store_is_exhausted_and_not_failed() {
    let options = Options::default().with("stored", 512).with("length", 400);
    let (_running, alice, _bob) = pair("etsi014-pair", &options).await;
    assert_eq!(alice.take_keys(&KeyRequest::new(2)).await.unwrap().len(), 2);
    let error = alice.take_keys(&KeyRequest::new(1)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Exhausted, "{error}");
}

#[tokio::test]
async fn a_qline_reports_its_states_and_only_the_values_of_each_role() {
    let (running, alice, bob) = pair(
        "veriqloud-qline-pair",
        &Options::default().with("time-factor", 1000),
    )
    .await;
    assert_eq!(alice.status().await.unwrap().state, ModuleState::Generating);
    let qber = alice.performance().await.unwrap().qber.unwrap().value.0;
    assert!((0.0..0.11).contains(&qber), "{qber}");
    assert_eq!(
        bob.performance().await.unwrap_err().kind(),
        ErrorKind::Unsupported
    );
    assert!(
        bob.telemetry()
            .await
            .unwrap()
            .iter()
            .any(|r| r.name.contains("temperature"))
    );
    assert_eq!(
        alice.stop().await.unwrap_err().kind(),
        ErrorKind::Unsupported,
        "it runs over a local socket only"
    );
    alice.calibrate().await.unwrap();
    alice.start().await.unwrap();
    running.fault("fail").unwrap();
    assert_eq!(bob.status().await.unwrap().state, ModuleState::Error);
    running.fault("clear").unwrap();
    running.fault("cut").unwrap();
    assert_eq!(alice.status().await.unwrap().state, ModuleState::Error);
    assert_eq!(
        bob.start().await.unwrap_err().kind(),
        ErrorKind::Unsupported
    );
}

#[tokio::test]
async fn an_emulator_killed_during_an_operation_is_reported_immediately() {
    let (running, alice, _bob) = pair("veriqloud-qline-pair", &Options::default()).await;
    running.fault("delay=20s").unwrap();
    let call = tokio::spawn(async move { alice.status().await });
    tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    let begun = std::time::Instant::now();
    drop(running);
    let error = call.await.unwrap().unwrap_err();
    assert!(begun.elapsed().as_secs() < 2);
    assert_eq!(
        error.kind(),
        ErrorKind::Transport(TransportFault::HungUp),
        "{error}"
    );
}
